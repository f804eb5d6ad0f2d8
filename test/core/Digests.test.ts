import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { createHash } from "node:crypto"
import * as Digests from "../../src/core/Digests.js"
import * as Session from "../../src/core/Session.js"
import type { BlobId } from "../../src/schema/Blob.js"
import type { Block } from "../../src/schema/Content.js"
import type { SessionId } from "../../src/schema/Ids.js"
import type { Input } from "../../src/schema/Input.js"
import type { Revision, SessionHead } from "../../src/schema/Session.js"
import { digestOf, input, inputId, kinds, runId, sessionId, sha256 } from "./support.js"

const hex = (...parts: ReadonlyArray<Uint8Array>) => createHash("sha256").update(Buffer.concat(parts)).digest("hex")
const utf8 = (text: string) => Buffer.from(text, "utf8")

describe("payloadDigest", () => {
  const base = input("prompt", 1, { key: "k" })

  it("I5: names kind, origin, content and keys, not the id, the time or the trace", () => {
    const trace = { traceId: "t", spanId: "s", sampled: true }
    const renamed: Input = { ...base, header: { ...base.header, id: inputId(99), at: 12_345, trace } }
    assert.strictEqual(digestOf(renamed), digestOf(base))
    const all = kinds.map((kind) => digestOf(input(kind, 1)))
    assert.strictEqual(new Set(all).size, kinds.length)
  })

  const others: { readonly [what: string]: Input } = {
    content: input("prompt", 1, { key: "k", text: "other" }),
    "idempotency key": input("prompt", 1, { key: "l" }),
    "supersession key": input("prompt", 1, { key: "k", scope: "s" }),
    "correlation id": { ...base, header: { ...base.header, correlationId: "c" } },
    origin: input("prompt", 1, { key: "k", origin: { _tag: "operator" } }),
    "handling mode": input("prompt", 1, { key: "k", mode: "steer" })
  }
  for (const [what, other] of Object.entries(others)) {
    it(`I5: another ${what} is another payload`, () => assert.notStrictEqual(digestOf(other), digestOf(base)))
  }

  const media = (source: Extract<Block, { readonly _tag: "image" }>["source"], mediaType = "image/png"): Input => ({
    ...input("external_event", 1),
    content: [{ _tag: "image", mediaType, source }]
  } as Input)
  const data = Uint8Array.of(1, 2, 3)
  const blobId = Digests.blobId(sha256, data, "image/png") as BlobId

  it("inline bytes and the blob they would be are the same payload", () => {
    const inline = media({ _tag: "inline", data })
    assert.strictEqual(digestOf(media({ _tag: "blob", blobId })), digestOf(inline))
    assert.strictEqual(digestOf(media({ _tag: "inline", data }, "Image/PNG; q=1")), digestOf(inline))
    assert.notStrictEqual(digestOf(media({ _tag: "inline", data: Uint8Array.of(1, 2) })), digestOf(inline))
    assert.notStrictEqual(digestOf(media({ _tag: "inline", data }, "image/gif")), digestOf(inline))
  })

  it("a blob's id is the hash of its canonical media type, a zero byte and its raw bytes", () =>
    assert.strictEqual(blobId, `sha256:${hex(utf8("image/png"), Uint8Array.of(0), data)}`))

  it("the order of members makes no difference", () => {
    const event = (payload: never) => ({ ...input("external_event", 1), payload }) as Input
    assert.strictEqual(digestOf(event({ a: 1, b: 2 } as never)), digestOf(event({ b: 2, a: 1 } as never)))
  })

  it("what has no JSON form is refused by its path and kind", () => {
    const event = { ...input("external_event", 1), payload: { deep: [1n] } as never } as Input
    const refused = Either.getOrThrow(Either.flip(Digests.payloadDigest(sha256, event)))
    assert.deepInclude(refused, { path: "payload.deep[0]", kind: "a bigint" })
  })
})

describe("commitDigest", () => {
  const receipt = {
    runId: runId(1),
    sequence: 1,
    boundary: "final" as const,
    contributors: [inputId(1), inputId(2)],
    consumed: [inputId(1)],
    parent: { revision: "a".repeat(64) as Revision, version: 3 }
  }
  const content = {
    messages: ["1", "2"],
    replacement: { start: 0, end: 2, messages: ["3"] },
    snapshot: Uint8Array.of(1) as Uint8Array | null | undefined,
    result: "42" as string | null,
    notes: ["n"],
    awaits: [{ operationId: "op", until: null as number | null }]
  }
  const digest = Digests.commitDigest(sha256, receipt, content)

  it("is the same for the same boundary, whatever time and epoch the receipt has beside", () => {
    const stored = { ...receipt, at: 99, epoch: 7, batchId: "b", commitDigest: "x", messageCount: 4 }
    assert.strictEqual(Digests.commitDigest(sha256, stored, { ...content }), digest)
  })

  const named: { readonly [what: string]: Partial<typeof receipt> | { readonly boundary: "note" } | { parent: null } } =
    {
      run: { runId: runId(2) },
      sequence: { sequence: 2 },
      boundary: { boundary: "note" },
      contributors: { contributors: [inputId(1)] },
      "contributors' order": { contributors: [inputId(2), inputId(1)] },
      consumed: { consumed: [] },
      "parent's revision": { parent: { revision: "b".repeat(64) as Revision, version: 3 } },
      "parent's version": { parent: { ...receipt.parent, version: 4 } },
      "parent's absence": { parent: null }
    }
  for (const [what, change] of Object.entries(named)) {
    it(`covers the ${what}`, () =>
      assert.notStrictEqual(Digests.commitDigest(sha256, { ...receipt, ...change }, content), digest))
  }

  const contents: { readonly [what: string]: Partial<typeof content> | { readonly replacement: null } } = {
    messages: { messages: ["1"] },
    "messages' borders": { messages: ["12"] },
    "replaced range": { replacement: { ...content.replacement, end: 1 } },
    "replacing messages": { replacement: { ...content.replacement, messages: ["4"] } },
    "absence of a replacement": { replacement: null },
    snapshot: { snapshot: Uint8Array.of(2) },
    "snapshot's removal": { snapshot: null },
    "snapshot's being kept": { snapshot: undefined },
    result: { result: "43" },
    "result's absence": { result: null },
    notes: { notes: [] },
    awaits: { awaits: [] },
    "awaits' deadlines": { awaits: [{ operationId: "op", until: 1 }] }
  }
  for (const [what, change] of Object.entries(contents)) {
    it(`covers the ${what}`, () =>
      assert.notStrictEqual(Digests.commitDigest(sha256, receipt, { ...content, ...change }), digest))
  }

  it("an empty snapshot is not a removed one, an empty result not an absent one", () => {
    const of = (change: Partial<typeof content>) => Digests.commitDigest(sha256, receipt, { ...content, ...change })
    assert.notStrictEqual(of({ snapshot: new Uint8Array() }), of({ snapshot: null }))
    assert.notStrictEqual(of({ result: "" }), of({ result: null }))
  })
})

describe("Revision", () => {
  it("revision(0) is the hash of the label, a zero byte and the session's id", () =>
    assert.strictEqual(
      Digests.firstRevision(sha256, "größe" as SessionId),
      hex(utf8("burrow/session/1"), Uint8Array.of(0), utf8("größe"))
    ))

  it("revision(n) is the hash of the raw bytes of revision(n-1) and of the message", () => {
    const first = Digests.firstRevision(sha256, sessionId)
    const raw = hex(Buffer.from(first, "hex"), utf8("\"ü\""))
    assert.strictEqual(Digests.nextRevision(sha256, first, "\"ü\""), raw)
    assert.notStrictEqual(raw, hex(utf8(first), utf8("\"ü\"")), "not of its hexadecimal text")
  })

  const empty = Digests.emptySession(sha256, sessionId)
  const write = (parent: SessionHead, delta: Session.Delta, recorded: ReadonlyArray<string> = []) =>
    Session.write({ sha256, parent, delta, recorded, runId: null, now: 1 })
  const texts = FastCheck.array(FastCheck.integer().map(String), { maxLength: 8 })

  it("I11: appending in one delta or in many gives the same revision", () =>
    FastCheck.assert(FastCheck.property(FastCheck.array(texts, { maxLength: 5 }), (deltas) => {
      const one = write(empty, { append: deltas.flat() }).after
      const many = deltas.reduce((head, append) => write(head, { append }).after, empty)
      assert.deepStrictEqual([many.revision, many.length], [one.revision, one.length])
      assert.strictEqual(many.version, deltas.length)
    })))

  it("I11: a rewrite from k is the chain computed again from scratch", () =>
    FastCheck.assert(
      FastCheck.property(texts, texts, FastCheck.nat(8), FastCheck.nat(8), (before, replacement, a, b) => {
        const [start, end] = [Math.min(a, b, before.length), Math.min(Math.max(a, b), before.length)]
        const old = write(empty, { append: before })
        const keepRevision = (start === 0 ? empty.revision : old.append[start - 1]!.revision) as Revision
        const rewrite = { selection: { start, end }, reason: "r", replacement, keepRevision, tail: before.slice(end) }
        const rewritten = write(old.after, { append: ["9"], rewrite }, ["8"])
        const all = [...before.slice(0, start), ...replacement, ...before.slice(end), "8", "9"]
        const scratch = write(empty, { append: all })
        assert.deepStrictEqual(
          { revision: rewritten.after.revision, length: rewritten.after.length },
          { revision: scratch.after.revision, length: all.length }
        )
        assert.deepStrictEqual(rewritten.append, scratch.append.slice(start), "only the tail is written again")
        assert.strictEqual(rewritten.keep, start)
        assert.deepInclude(rewritten.rewrite, {
          parentRevision: old.after.revision,
          revision: scratch.after.revision,
          messagesBefore: before.length,
          messagesAfter: all.length
        })
      })
    ))

  it("another message, order or session is another revision", () => {
    const revision = (id: string, ...append: ReadonlyArray<string>) =>
      write(Digests.emptySession(sha256, id as SessionId), { append }).after.revision
    const all = [revision("s", "1", "2"), revision("s", "2", "1"), revision("s", "12"), revision("t", "1", "2")]
    assert.strictEqual(new Set(all).size, 4)
  })

  it("I16: appending writes the delta alone, a snapshot no message", () => {
    const long = write(empty, { append: Array.from({ length: 1_000 }, (_, i) => String(i)) }).after
    assert.strictEqual(write(long, { append: ["1"] }).append.length, 1)
    const snapshot = write(long, { append: [], snapshot: Uint8Array.of(1) })
    assert.deepStrictEqual([snapshot.append, snapshot.after.revision, snapshot.after.version], [[], long.revision, 2])
  })

  it("the replacement's digest tells where one message ends and the next begins", () => {
    const digest = (replacement: ReadonlyArray<string>) =>
      write(empty, {
        append: [],
        rewrite: { selection: { start: 0, end: 0 }, reason: "r", replacement, keepRevision: empty.revision, tail: [] }
      }).rewrite!.replacementDigest
    assert.notStrictEqual(digest(["1", "23"]), digest(["12", "3"]))
  })
})
