/** Decode errors name the field and the kind of value, and never the value: it may be a secret, or a megabyte. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { inspect } from "node:util"
import * as codecs from "../../src/services/codecs.js"
import { PKCE_VERIFIER, records } from "../fixtures/records/values.js"

const SECRET = "hunter2-hunter2"

type Tree = null | boolean | number | string | Array<Tree> | { [key: string]: Tree }

/** Every place in a tree, as a path. */
const paths = (tree: Tree): ReadonlyArray<ReadonlyArray<string>> =>
  typeof tree !== "object" || tree === null
    ? [[]]
    : [[], ...Object.entries(tree).flatMap(([key, member]) => paths(member).map((path) => [key, ...path]))]

const plant = (tree: Tree, path: ReadonlyArray<string>, change: (found: Tree) => Tree): Tree => {
  const [key, ...rest] = path
  if (key === undefined) return change(tree)
  const copy = structuredClone(tree) as { [key: string]: Tree }
  copy[key] = plant(copy[key]!, rest, change)
  return copy
}

/** Ways in which a secret can be where it does not belong. */
const plantings: ReadonlyArray<(found: Tree) => Tree> = [
  () => SECRET,
  () => [SECRET],
  () => ({ [SECRET]: SECRET }),
  () => ({ _tag: SECRET, value: SECRET }),
  (found) => `${typeof found === "string" ? found : ""}${SECRET}\u0000\ud800`,
  (found) => (typeof found === "object" && !Array.isArray(found) ? { ...found, [SECRET]: SECRET } : `${SECRET}`)
]

type Decode = (text: string) => Either.Either<unknown, { readonly message: string }>
const decoders: { readonly [name: string]: readonly [Decode, ReadonlyArray<string>] } = {
  payload: [
    (text) => codecs.body("agent", "input", text),
    Object.entries(records).filter(([name]) => name.startsWith("input.")).flatMap(([, values]) =>
      (values as typeof records["input.prompt"]).map((value) => Either.getOrThrow(codecs.payload.encode(value)))
    )
  ],
  receipt: [
    (text) => codecs.receiptOf("agent", text),
    records.receipt.map((value) => Either.getOrThrow(codecs.receipt.encode(value)))
  ],
  rewrite: [
    (text) => codecs.rewriteOf("agent", text),
    records.rewrite.map((value) => Either.getOrThrow(codecs.rewrite.encode(value)))
  ],
  ops: [(text) => codecs.opsOf("agent", text), records.ops.map((value) => Either.getOrThrow(codecs.ops.encode(value)))],
  oauth: [
    (text) => codecs.flows(new TextEncoder().encode(text)),
    records.oauth.map((value) => new TextDecoder().decode(Either.getOrThrow(codecs.oauth(value))))
  ],
  lifecycle: [(text) => codecs.lifecycle("agent", text), records.lifecycle.map(codecs.lifecycleRecord.encode)],
  event: [codecs.event.decode, records.event.map(codecs.event.encode)],
  outcome: [codecs.outcome.decode, records.outcome.map(codecs.outcome.encode)],
  policy: [codecs.policy.decode, records.policy.map(codecs.policy.encode)],
  failure: [codecs.failure.decode, records.failure.map(codecs.failure.encode)]
}

const printed = (error: { readonly message: string }): string =>
  [error.message, String(error), JSON.stringify(error), inspect(error, { depth: 9 })].join("\n")

describe("Decode errors", () => {
  for (const [name, [decode, texts]] of Object.entries(decoders)) {
    it(`a secret anywhere in a ${name} is in no message`, () => {
      let refusals = 0
      for (const text of texts) {
        const tree = JSON.parse(text) as Tree
        for (const path of paths(tree)) {
          for (const planting of plantings) {
            const decoded = decode(JSON.stringify(plant(tree, path, planting)))
            if (Either.isRight(decoded)) continue
            refusals++
            const words = printed(decoded.left)
            assert.notInclude(words, SECRET, `at ${path.join(".")}`)
            assert.notInclude(words, PKCE_VERIFIER)
            assert.isBelow(decoded.left.message.length, 400)
          }
        }
      }
      assert.isAbove(refusals, texts.length * 3)
    })

    it(`a ${name} that is cut short, or no JSON, is refused without its text`, () => {
      FastCheck.assert(
        FastCheck.property(
          FastCheck.constantFrom(...texts),
          FastCheck.double({ min: 0, max: 0.99, noNaN: true }),
          (text, part) => {
            const cut = `${SECRET}${text}`.slice(0, SECRET.length + Math.floor(text.length * part))
            for (const broken of [cut, cut.slice(SECRET.length)]) {
              const error = Either.getOrThrow(Either.flip(decode(broken)))
              assert.notInclude(printed(error), SECRET)
              assert.notInclude(printed(error), PKCE_VERIFIER)
            }
          }
        ),
        { numRuns: 50 }
      )
    })

    it(`a ${name} with a field of another kind names the field`, () => {
      for (const text of texts) {
        const tree = JSON.parse(text) as Tree
        for (const path of paths(tree)) {
          const leaf = path.at(-1)
          const decoded = decode(JSON.stringify(plant(tree, path, () => [{ wrong: true }])))
          if (Either.isRight(decoded) || leaf === undefined) continue
          const words = decoded.left.message
          const known = path.filter((key) => !["value", "kind", "version", "_tag"].includes(key) && !/^\d+$/.test(key))
          if (known.length > 0) assert.isTrue(known.some((key) => words.includes(key)), `${path.join(".")}: ${words}`)
        }
      }
    })
  }

  it("what encoding refuses is not printed either", () => {
    const prompt = records["input.prompt"][0]!
    if (prompt._tag !== "inline") return assert.fail()
    const refused = codecs.payload.encode({
      ...prompt,
      input: { ...prompt.input, header: { ...prompt.input.header, id: SECRET as never } }
    })
    const error = Either.getOrThrow(Either.flip(refused))
    assert.notInclude(printed(error), SECRET)
    assert.include(error.field, "header.id")
  })
})
