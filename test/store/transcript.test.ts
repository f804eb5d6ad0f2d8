import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as DigestNode from "../../src/layers/DigestNode.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.js"
import { Digest } from "../../src/services/Digest.js"
import { IdGenerator } from "../../src/services/IdGenerator.js"
import * as FromEncoded from "../../src/services/RuntimeStoreFromEncoded.js"
import { begin, type Bench, own, rewritten } from "../../src/testing/conformance/store/fixtures.js"

/** A session of five messages, and a store in which it is rewritten between the first two reads of messages. */
const rewrittenBetween = Effect.gen(function*() {
  const encoded = yield* MemoryStore.make
  const rewrite = { run: Effect.void as Effect.Effect<void> }
  const store = yield* FromEncoded.make({
    ...encoded,
    readMessages: (runtimeId, start, limit) =>
      Effect.zipRight(Effect.suspend(() => rewrite.run), encoded.readMessages(runtimeId, start, limit))
  })
  const { sha256 } = yield* Digest
  const bench: Bench = { store, sha256, next: (yield* IdGenerator).next }
  const owner = yield* own(bench)
  const before = yield* begin(bench, owner, [0, 1, 2, 3, 4])
  const selection = { start: 1, end: 4 }
  const after = rewritten(bench, before, { selection, reason: "r" }, ["summary"])
  rewrite.run = Effect.suspend(() => {
    rewrite.run = Effect.void
    return Effect.orDie(
      store.commitSessionTranscriptRewriteSnapshot(owner.runtimeId, owner.stamp(), after.write)
    )
  })
  return { store, runtimeId: owner.runtimeId, before, after: after.transcript }
})

describe("a page of a transcript that is rewritten between the reads of which it is made", () => {
  const provided = Effect.provide(Layer.merge(DigestNode.layer, IdGeneratorUuid.layer))

  for (const limit of [2, 100]) {
    it.scoped(`is one of the later transcript, with ${limit} messages at most`, () =>
      Effect.gen(function*() {
        const { after, runtimeId, store } = yield* rewrittenBetween
        assert.deepStrictEqual(yield* store.loadTranscript(runtimeId, { limit }), {
          revision: after.head.revision,
          length: 3,
          start: 0,
          messages: after.messages.slice(0, limit)
        })
      }).pipe(provided))

    it.scoped(`is TranscriptRevisionConflict when it is pinned, with ${limit} messages at most`, () =>
      Effect.gen(function*() {
        const { after, before, runtimeId, store } = yield* rewrittenBetween
        const { length, revision } = before.head
        const error = yield* Effect.flip(store.loadTranscript(runtimeId, { limit, at: { revision, length } }))
        assert(error._tag === "TranscriptRevisionConflict")
        assert.deepStrictEqual([error.expected, error.actual], [revision, after.head.revision])
      }).pipe(provided))
  }
})
