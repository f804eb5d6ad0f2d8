/**
 * The session's opaque snapshot: exact bytes, compare-and-set.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { check, expectEqual } from "../../Conformance.js"
import {
  accept,
  appended,
  begin,
  type Bench,
  boundaryOf,
  changingNothing,
  make,
  openRun,
  own,
  type Owner,
  rewritten,
  stateOf,
  type StoreCase
} from "./fixtures.js"

const allBytes = Uint8Array.from({ length: 256 }, (_, i) => i)
const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

const loadSnapshot = ({ store }: Bench, { runtimeId }: Owner) => Effect.flatten(store.loadSessionSnapshot(runtimeId))

const replace = ({ store }: Bench, owner: Owner, expected: Uint8Array, replacement: Uint8Array) =>
  store.replaceSessionSnapshotIfCurrent(owner.runtimeId, owner.stamp(), expected, replacement)

const clearIf = ({ store }: Bench, owner: Owner, expected: Uint8Array) =>
  store.clearSessionSnapshotIfCurrent(owner.runtimeId, owner.stamp(), expected)

const clear = ({ store }: Bench, owner: Owner) => store.clearSessionSnapshot(owner.runtimeId, owner.stamp())

const version = ({ store }: Bench, { runtimeId }: Owner) =>
  Effect.map(Effect.flatten(store.loadSession(runtimeId)), (session) => session.version)

/** What is not "current" for a snapshot of these bytes. */
const others = (snapshot: Uint8Array): ReadonlyArray<Uint8Array> => [
  bytes(),
  snapshot.slice(0, -1),
  bytes(...snapshot, 0),
  snapshot.with(0, snapshot[0]! ^ 1),
  snapshot.with(snapshot.length - 1, snapshot.at(-1)! ^ 0x80)
]

const compared: ReadonlyArray<StoreCase> = [
  make(
    "replaceSessionSnapshotIfCurrent replaces exactly the expected bytes, and answers true",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { messages } = yield* begin(bench, owner, ["kept"], { snapshot: allBytes })
        yield* check(yield* replace(bench, owner, allBytes, bytes(1)), "the first is replaced")
        yield* expectEqual(yield* loadSnapshot(bench, owner), bytes(1))
        yield* check(yield* replace(bench, owner, bytes(1), bytes()), "the second is replaced")
        yield* check(yield* replace(bench, owner, bytes(), allBytes), "the third is replaced, which is empty")
        yield* expectEqual(yield* loadSnapshot(bench, owner), allBytes)
        yield* expectEqual((yield* bench.store.loadTranscript(owner.runtimeId)).messages, messages)
      })
  ),

  make(
    "replaceSessionSnapshotIfCurrent of other bytes answers false, and nothing is written",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* begin(bench, owner, [], { snapshot: allBytes })
        for (const other of others(allBytes)) {
          const answer = yield* changingNothing(bench, owner.runtimeId, replace(bench, owner, other, bytes(9)))
          yield* check(!answer, "the answer is false")
        }
      })
  ),

  make(
    "replaceSessionSnapshotIfCurrent of an absent snapshot answers false, and nothing is written",
    (bench) =>
      Effect.gen(function*() {
        const [without, cleared] = [yield* own(bench), yield* own(bench)]
        yield* begin(bench, cleared, ["a"])
        for (const owner of [without, cleared]) {
          for (const expected of [bytes(), bytes(1)]) {
            const answer = yield* changingNothing(bench, owner.runtimeId, replace(bench, owner, expected, bytes(9)))
            yield* check(!answer, "the answer is false")
          }
        }
      })
  ),

  make(
    "clearSessionSnapshotIfCurrent removes exactly the expected bytes, and answers true",
    (bench) =>
      Effect.gen(function*() {
        for (const snapshot of [allBytes, bytes(), bytes(0)]) {
          const owner = yield* own(bench)
          yield* begin(bench, owner, ["kept"], { snapshot })
          yield* check(yield* clearIf(bench, owner, snapshot), "the answer is true")
          yield* expectEqual(yield* bench.store.loadSessionSnapshot(owner.runtimeId), Option.none())
          yield* expectEqual((yield* bench.store.loadTranscript(owner.runtimeId)).messages, ["kept"])
          const again = yield* changingNothing(bench, owner.runtimeId, clearIf(bench, owner, snapshot))
          yield* check(!again, "the second answer is false")
        }
      })
  ),

  make(
    "clearSessionSnapshotIfCurrent of other bytes answers false, and nothing is written",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* begin(bench, owner, [], { snapshot: allBytes })
        for (const other of others(allBytes)) {
          const answer = yield* changingNothing(bench, owner.runtimeId, clearIf(bench, owner, other))
          yield* check(!answer, "the answer is false")
        }
        const without = yield* own(bench)
        yield* check(!(yield* clearIf(bench, without, bytes())), "the answer without a session is false")
      })
  ),

  make("of many replacements of the same bytes at the same time one answers true", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* begin(bench, owner, [], { snapshot: allBytes })
      const answers = yield* Effect.forEach(
        Array.from({ length: 10 }, (_, i) => i),
        (i) => replace(bench, owner, allBytes, bytes(i)),
        { concurrency: "unbounded" }
      )
      yield* expectEqual(answers.filter((answer) => answer).length, 1)
      yield* expectEqual(yield* loadSnapshot(bench, owner), bytes(answers.indexOf(true)))
    }))
]

export const snapshot: ReadonlyArray<StoreCase> = [
  make(
    "a snapshot's bytes come back as they were given, all 256 values of a byte included",
    (bench) =>
      Effect.gen(function*() {
        for (const given of [allBytes, bytes(), bytes(0), bytes(0xff, 0xfe, 0xc0, 0x80)]) {
          const owner = yield* own(bench)
          yield* begin(bench, owner, [], { snapshot: given })
          const stored = yield* loadSnapshot(bench, owner)
          yield* expectEqual(Uint8Array.from(stored), given)
        }
      })
  ),

  make("a snapshot of 1 MiB comes back whole", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const given = new Uint8Array(1 << 20).map((_, i) => (i * 31 + (i >> 8)) & 0xff)
      yield* begin(bench, owner, [], { snapshot: given })
      const stored = yield* loadSnapshot(bench, owner)
      yield* expectEqual([stored.length, bench.sha256(stored)], [given.length, bench.sha256(given)])
    })),

  make(
    "a snapshot is a copy: neither the array that was given nor the one that was answered is shared",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const given = bytes(1, 2, 3)
        const transcript = yield* begin(bench, owner, [], { snapshot: given })
        given.fill(9)
        const answered = yield* loadSnapshot(bench, owner)
        yield* expectEqual(Uint8Array.from(answered), bytes(1, 2, 3))
        answered.fill(8)
        yield* expectEqual(Uint8Array.from(yield* loadSnapshot(bench, owner)), bytes(1, 2, 3))
        const replacement = bytes(4)
        yield* replace(bench, owner, bytes(1, 2, 3), replacement)
        replacement.fill(9)
        yield* expectEqual(Uint8Array.from(yield* loadSnapshot(bench, owner)), bytes(4))
        yield* check(transcript.head.version === 1, "the first change is version 1")
      })
  ),

  make(
    "a write of the session keeps the snapshot, replaces it or removes it, as it says",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const first = yield* begin(bench, owner, ["a"], { snapshot: bytes(1) })
        const write = (written: ReturnType<typeof appended>) =>
          Effect.as(
            bench.store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), written.write),
            written.transcript
          )
        const kept = yield* write(appended(bench, first, ["b"]))
        yield* expectEqual(yield* loadSnapshot(bench, owner), bytes(1))
        const replaced = yield* write(appended(bench, kept, [], { snapshot: bytes(2) }))
        yield* expectEqual(yield* loadSnapshot(bench, owner), bytes(2))
        yield* write(appended(bench, replaced, ["c"], { snapshot: null }))
        yield* expectEqual(yield* bench.store.loadSessionSnapshot(owner.runtimeId), Option.none())
        yield* expectEqual((yield* bench.store.loadTranscript(owner.runtimeId)).messages, ["a", "b", "c"])
      })
  ),

  make(
    "clearSessionSnapshot removes the snapshot and leaves transcript, inputs, receipts and lifecycle",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head } = yield* accept(bench, owner)
        const opened = yield* openRun(bench, owner, [head])
        const transcript = yield* begin(bench, owner, ["a"], { snapshot: allBytes })
        const delta = appended(bench, transcript, ["b"]).write
        yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, opened, { delta }))
        const { session: _, snapshot: stored, ...before } = yield* stateOf(bench, owner.runtimeId)
        yield* expectEqual(stored, allBytes)
        yield* clear(bench, owner)
        const { session: __, snapshot: cleared, ...after } = yield* stateOf(bench, owner.runtimeId)
        yield* expectEqual(cleared, null)
        yield* expectEqual<unknown>(after, before)
        yield* check(
          Option.isSome(yield* bench.store.loadBoundaryReceipt(owner.runtimeId, opened.run.id, 1)),
          "the receipt is still there"
        )
      })
  ),

  make(
    "clearSessionSnapshot of an absent snapshot is fine, with a session and without",
    (bench) =>
      Effect.gen(function*() {
        const [without, owner] = [yield* own(bench), yield* own(bench)]
        yield* changingNothing(bench, without.runtimeId, clear(bench, without))
        yield* begin(bench, owner, ["a"], { snapshot: bytes(1) })
        yield* Effect.replicateEffect(clear(bench, owner), 3)
        yield* expectEqual(yield* bench.store.loadSessionSnapshot(owner.runtimeId), Option.none())
      })
  ),

  ...compared,

  make(
    "the session's version grows with every change of its transcript or snapshot",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const versions: Array<number> = []
        const look = Effect.map(version(bench, owner), (now) => void versions.push(now))
        const first = yield* begin(bench, owner, ["a"])
        yield* look
        const second = appended(bench, first, [], { snapshot: bytes(1) })
        yield* bench.store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), second.write)
        yield* look
        const third = rewritten(bench, second.transcript, { selection: { start: 0, end: 1 }, reason: "r" }, ["b"])
        yield* bench.store.commitSessionTranscriptRewriteSnapshot(owner.runtimeId, owner.stamp(), third.write)
        yield* look
        yield* replace(bench, owner, bytes(1), bytes(2))
        yield* look
        yield* clearIf(bench, owner, bytes(2))
        yield* look
        yield* expectEqual(versions, [1, 2, 3, 4, 5])
      })
  ),

  make(
    "I11: a snapshot changed since makes the parent another one, though the transcript is the same",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const first = yield* begin(bench, owner, ["a"], { snapshot: bytes(1) })
        yield* replace(bench, owner, bytes(1), bytes(2))
        const late = appended(bench, first, ["b"])
        const error = yield* changingNothing(
          bench,
          owner.runtimeId,
          Effect.flip(bench.store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), late.write))
        )
        yield* expectEqual<string>(error._tag, "TranscriptRevisionConflict")
      })
  )
]
