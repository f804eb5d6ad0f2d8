import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as DigestNode from "../../src/layers/DigestNode.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as Digest from "../../src/services/Digest.js"

const layers = [["DigestPure", DigestPure.layer], ["DigestNode", DigestNode.layer]] as const

// The examples of FIPS 180-4.
const vectors: ReadonlyArray<readonly [what: string, text: string, hex: string]> = [
  ["nothing", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["one block", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "two blocks",
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
  ],
  ["a million characters", "a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"]
]

const utf8 = new TextEncoder()
const text = FastCheck.string({ unit: FastCheck.nat(0xffff).map((unit) => String.fromCharCode(unit)) })
const part = FastCheck.oneof(FastCheck.uint8Array({ maxLength: 300 }), text)

const concatenate = (parts: ReadonlyArray<Uint8Array | string>): Uint8Array =>
  Uint8Array.from(parts.flatMap((each) => [...(typeof each === "string" ? utf8.encode(each) : each)]))

for (const [name, layer] of layers) {
  describe(name, () => {
    for (const [what, text, hex] of vectors) {
      it.effect(`answers the published digest of ${what}`, () =>
        Effect.gen(function*() {
          const digest = yield* Digest.Digest
          assert.strictEqual(digest.sha256(text), hex)
        }).pipe(Effect.provide(layer)))
    }

    it.effect("takes a lone surrogate as U+FFFD", () =>
      Effect.gen(function*() {
        const digest = yield* Digest.Digest
        assert.strictEqual(digest.sha256("a\ud800b"), digest.sha256("a\ufffdb"))
      }).pipe(Effect.provide(layer)))
  })
}

describe("Digest", () => {
  it.effect.prop(
    "all layers answer the same, the digest of the concatenated bytes",
    [FastCheck.array(part)],
    ([parts]) =>
      Effect.gen(function*() {
        const [pure, node] = yield* Effect.forEach(layers, ([, layer]) => Effect.provide(Digest.Digest, layer))
        const expected = node!.sha256(concatenate(parts))
        assert.strictEqual(node!.sha256(...parts), expected)
        assert.strictEqual(pure!.sha256(...parts), expected)
        assert.match(expected, /^[0-9a-f]{64}$/)
      })
  )
})
