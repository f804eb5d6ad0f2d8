/**
 * Boundaries that are written: receipts, their numbers, the run's end, the exact retry.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { SessionWrite } from "../../../core/Commit.js"
import { RunId } from "../../../schema/Ids.js"
import type { Note } from "../../../schema/Run.js"
import type { AtomicApply } from "../../../services/RuntimeStore.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardText } from "./awkward.js"
import {
  accept,
  appended,
  begin,
  type Bench,
  boundaryOf,
  type BoundaryOptions,
  changingNothing,
  claim,
  expectSame,
  freshRunId,
  freshSessionId,
  heads,
  make,
  NOW,
  openRun,
  own,
  type Owner,
  SCOPE,
  stateOf,
  type StoreCase
} from "./fixtures.js"

/** An owner with two inputs staged in an open run. */
const running = (bench: Bench) =>
  Effect.gen(function*() {
    const owner = yield* own(bench)
    const inputs = [yield* accept(bench, owner), yield* accept(bench, owner)]
    const opened = yield* openRun(bench, owner, inputs.map(({ head }) => head))
    return { owner, opened }
  })

const receiptOf = (boundary: AtomicApply<never, never>) => ({
  ...boundary.receiptDraft,
  sequence: boundary.after + 1,
  commitDigest: boundary.commitDigest,
  at: boundary.at
})

const loadReceipt = ({ store }: Bench, { runtimeId }: Owner, boundary: AtomicApply<never, never>) =>
  Effect.map(
    Effect.flatten(store.loadBoundaryReceipt(runtimeId, boundary.receiptDraft.runId, boundary.after + 1)),
    ({ receipt, result }) => ({ receipt, result: Option.getOrNull(result) })
  )

/** The open run as recovery finds it. On the left nothing is written, so this is a look. */
const openRunOf = ({ store }: Bench, { runtimeId, token }: Owner) =>
  Effect.flip(store.recover(runtimeId, token.claimId, ({ run }) => Either.left({ _tag: "Looked", run } as const))).pipe(
    Effect.flatMap((looked) => looked._tag === "Looked" ? Effect.succeed(looked.run) : Effect.fail(looked))
  )

const complete = (delta: SessionWrite): BoundaryOptions => ({
  boundary: "final",
  delta,
  result: awkwardText,
  notes: [{ scope: SCOPE, key: "k", value: { text: awkwardText } }],
  record: { paused: true, silentIntents: ["hush"] }
})

const retry: ReadonlyArray<StoreCase> = [
  make(
    "I7: the exact retry of the last boundary is alreadyApplied and writes nothing, also of a closed run",
    (bench) =>
      Effect.gen(function*() {
        for (const boundary of ["checkpoint", "note", "final"] as const) {
          const { opened, owner } = yield* running(bench)
          const transcript = yield* begin(bench, owner, ["hello"])
          const { write } = appended(bench, transcript, ["more"])
          const given = boundaryOf(bench, owner, opened, { ...complete(write), boundary })
          const first = yield* bench.store.atomicApply(owner.runtimeId, given)
          const retried = { ...given, stamp: owner.stamp(), at: NOW + 60_000 }
          const second = yield* changingNothing(
            bench,
            owner.runtimeId,
            bench.store.atomicApply(owner.runtimeId, retried)
          )
          yield* expectEqual([first.alreadyApplied, second.alreadyApplied], [false, true])
          yield* expectEqual(yield* loadReceipt(bench, owner, given), {
            receipt: receiptOf(given),
            result: awkwardText
          })
        }
      })
  ),

  make("I7: the exact retry by a later owner is alreadyApplied", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const given = boundaryOf(bench, owner, opened, { boundary: "final" })
      yield* bench.store.atomicApply(owner.runtimeId, given)
      const later = yield* claim(bench, owner.runtimeId)
      const retried = { ...given, stamp: later.stamp() }
      const { alreadyApplied } = yield* changingNothing(
        bench,
        owner.runtimeId,
        bench.store.atomicApply(owner.runtimeId, retried)
      )
      yield* check(alreadyApplied, "the retry is alreadyApplied")
    })),

  make("I7: the exact retry runs no alongside", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const given = boundaryOf(bench, owner, opened)
      let runs = 0
      const alongside = Effect.sync(() => {
        runs += 1
      })
      yield* bench.store.atomicApply(owner.runtimeId, { ...given, alongside })
      yield* bench.store.atomicApply(owner.runtimeId, { ...given, stamp: owner.stamp(), alongside })
      yield* expectEqual(runs, 1)
    })),

  make(
    "I7: other content at a stored sequence is ReceiptConflict, and the stored receipt stays",
    (bench) =>
      Effect.gen(function*() {
        const { opened, owner } = yield* running(bench)
        const given = boundaryOf(bench, owner, opened, { result: "one" })
        yield* bench.store.atomicApply(owner.runtimeId, given)
        const other = boundaryOf(bench, owner, opened, { result: "other" })
        const error = yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(bench.store.atomicApply(owner.runtimeId, other), "ReceiptConflict")
        )
        yield* expectEqual([error.runId, error.sequence], [opened.run.id, 1])
        yield* expectEqual((yield* loadReceipt(bench, owner, given)).receipt, receiptOf(given))
      })
  ),

  make("I7: of two writers of one boundary at the same time one applies it", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const given = boundaryOf(bench, owner, opened)
      const twice = [given, { ...given, stamp: owner.stamp() }]
      const answers = yield* Effect.forEach(twice, (one) => bench.store.atomicApply(owner.runtimeId, one), {
        concurrency: "unbounded"
      })
      yield* expectEqual(answers.map(({ alreadyApplied }) => alreadyApplied).sort(), [false, true])
    }))
]

const runs: ReadonlyArray<StoreCase> = [
  make(
    "I7: the store writes after + 1, and the sequences of a run are dense from 1",
    (bench) =>
      Effect.gen(function*() {
        const { opened, owner } = yield* running(bench)
        const kinds = ["checkpoint", "note", "checkpoint", "final"] as const
        for (const [after, boundary] of kinds.entries()) {
          const given = boundaryOf(bench, owner, opened, { after, boundary, result: `${after}` })
          const { receipt } = yield* bench.store.atomicApply(owner.runtimeId, given)
          yield* expectEqual([receipt.sequence, receipt.boundary], [after + 1, boundary])
          yield* expectEqual(receipt, receiptOf(given))
          yield* expectEqual(yield* loadReceipt(bench, owner, given), {
            receipt,
            result: `${after}`
          })
        }
        yield* expectEqual((yield* bench.store.loadTotals(owner.runtimeId)).receipts, 4)
      })
  ),

  make(
    "I10: a checkpoint and a note leave the run open at their sequence, a final boundary closes it",
    (bench) =>
      Effect.gen(function*() {
        const { opened, owner } = yield* running(bench)
        for (const [after, boundary] of (["checkpoint", "note", "final"] as const).entries()) {
          yield* expectEqual(yield* openRunOf(bench, owner), { ...opened.run, sequence: after })
          yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, opened, { after, boundary }))
        }
        yield* expectEqual(yield* openRunOf(bench, owner), null)
      })
  ),

  make("I10: after a final boundary its run is not open any more", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, opened, { boundary: "final" }))
      const late = boundaryOf(bench, owner, opened, { after: 1, contributors: [] })
      const error = yield* changingNothing(
        bench,
        owner.runtimeId,
        expectFailure(bench.store.atomicApply(owner.runtimeId, late), "RunNotOpen")
      )
      yield* expectEqual(error.runId, opened.run.id)
    })),

  make("a run follows a closed one, and its sequences begin at 1 again", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const first = boundaryOf(bench, owner, opened, { boundary: "final", result: "first" })
      yield* bench.store.atomicApply(owner.runtimeId, first)
      const { head } = yield* accept(bench, owner)
      const next = yield* openRun(bench, owner, [head])
      const second = boundaryOf(bench, owner, next, { boundary: "final", result: "second" })
      yield* bench.store.atomicApply(owner.runtimeId, second)
      for (const [given, result] of [[first, "first"], [second, "second"]] as const) {
        const stored = yield* loadReceipt(bench, owner, given)
        yield* expectEqual(stored, { receipt: receiptOf(given), result })
        yield* expectEqual(stored.receipt.sequence, 1)
      }
    }))
]

export const boundary: ReadonlyArray<StoreCase> = [
  make(
    "I2: a boundary writes session, receipt, result, inputs, notes, events and lifecycle together",
    (bench) =>
      Effect.gen(function*() {
        const { opened, owner } = yield* running(bench)
        const transcript = yield* begin(bench, owner, ["hello"])
        const { transcript: after, write } = appended(bench, transcript, ["more", awkwardText], {
          snapshot: Uint8Array.of(1, 2)
        })
        const given = boundaryOf(bench, owner, opened, complete(write))
        const { alreadyApplied, receipt } = yield* bench.store.atomicApply(owner.runtimeId, given)
        yield* expectEqual([alreadyApplied, receipt], [false, receiptOf(given)])
        const stored = yield* loadReceipt(bench, owner, given)
        yield* expectEqual(stored, { receipt: receiptOf(given), result: awkwardText })
        const state = yield* stateOf(bench, owner.runtimeId)
        yield* expectEqual([state.session, state.transcript.messages], [after.head, after.messages])
        yield* expectEqual(state.snapshot, Uint8Array.of(1, 2))
        yield* expectEqual<ReadonlyArray<Note>>(state.notes, given.notes ?? [])
        yield* expectEqual(
          yield* heads(yield* bench.store.loadInputStates(owner.runtimeId)),
          (given.inputUpdates ?? []).map(({ head }) => head)
        )
        const numbers = (given.events ?? []).map(({ number }) => number)
        yield* expectEqual(
          state.events.filter(({ number }) => numbers.includes(number)),
          [...given.events ?? []].sort((a, b) => a.number - b.number)
        )
        const record = yield* Effect.flatten(bench.store.loadMachineLifecycle(owner.runtimeId))
        yield* expectEqual([record.paused, record.silentIntents], [true, ["hush"]])
      })
  ),

  make("a boundary without change of the session leaves the session as it is", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const { head } = yield* begin(bench, owner, ["hello"], { snapshot: Uint8Array.of(9) })
      yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, opened))
      yield* expectEqual(yield* Effect.flatten(bench.store.loadSession(owner.runtimeId)), head)
      const snapshot = yield* Effect.flatten(bench.store.loadSessionSnapshot(owner.runtimeId))
      yield* expectEqual(snapshot, Uint8Array.of(9))
    })),

  make("a boundary without contributors is one", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const given = boundaryOf(bench, owner, opened, { boundary: "note", contributors: [] })
      yield* bench.store.atomicApply(owner.runtimeId, given)
      yield* expectEqual((yield* loadReceipt(bench, owner, given)).receipt.contributors, [])
    })),

  make("a receipt keeps the order of its contributors", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const contributors = opened.staged.map(({ id }) => id).reverse()
      const given = boundaryOf(bench, owner, opened, { contributors })
      yield* bench.store.atomicApply(owner.runtimeId, given)
      yield* expectEqual((yield* loadReceipt(bench, owner, given)).receipt.contributors, contributors)
    })),

  make(
    "a receipt has the result that was given, none when none was, and an empty one is a result",
    (bench) =>
      Effect.gen(function*() {
        const { opened, owner } = yield* running(bench)
        const none = boundaryOf(bench, owner, opened)
        const empty = boundaryOf(bench, owner, opened, { after: 1, result: "" })
        yield* bench.store.atomicApply(owner.runtimeId, none)
        yield* bench.store.atomicApply(owner.runtimeId, empty)
        yield* expectEqual((yield* loadReceipt(bench, owner, none)).result, null)
        yield* expectEqual((yield* loadReceipt(bench, owner, empty)).result, "")
      })
  ),

  make("a receipt that is not stored is none: another run, sequence or runtime", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, opened))
      const other = yield* own(bench)
      const places = [
        [owner.runtimeId, opened.run.id, 0],
        [owner.runtimeId, opened.run.id, 2],
        [owner.runtimeId, RunId.make(yield* bench.next), 1],
        [other.runtimeId, opened.run.id, 1]
      ] as const
      for (const [runtimeId, runId, sequence] of places) {
        yield* expectEqual(yield* bench.store.loadBoundaryReceipt(runtimeId, runId, sequence), Option.none())
      }
    })),

  ...runs,
  ...retry,

  make(
    "I17: a boundary of one runtime changes nothing of another, though their runs have one id",
    (bench) =>
      Effect.gen(function*() {
        const [one, other] = [yield* running(bench), yield* running(bench)]
        const before = yield* stateOf(bench, other.owner.runtimeId)
        yield* bench.store.atomicApply(one.owner.runtimeId, boundaryOf(bench, one.owner, one.opened))
        yield* expectSame(yield* stateOf(bench, other.owner.runtimeId), before, "of the other runtime")
        const stolen = boundaryOf(bench, other.owner, one.opened, { contributors: [] })
        yield* expectFailure(bench.store.atomicApply(other.owner.runtimeId, stolen), "RunNotOpen")
      })
  ),

  make("sessionStoreKey is checked against the delta and creates nothing", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const transcript = yield* begin(bench, owner, ["hello"])
      const { write } = appended(bench, transcript, ["more"])
      const other = yield* freshSessionId(bench)
      const mismatched = { ...boundaryOf(bench, owner, opened, { delta: write }), sessionStoreKey: other }
      const error = yield* changingNothing(
        bench,
        owner.runtimeId,
        expectFailure(bench.store.atomicApply(owner.runtimeId, mismatched), "SessionKeyMismatch")
      )
      yield* expectEqual([error.expected, error.actual], [other, transcript.head.id])
      const keyOnly = { ...boundaryOf(bench, owner, opened), sessionStoreKey: other }
      yield* bench.store.atomicApply(owner.runtimeId, keyOnly)
      yield* expectEqual(yield* Effect.flatten(bench.store.loadSession(owner.runtimeId)), transcript.head)
      const matching = {
        ...boundaryOf(bench, owner, opened, { after: 1, delta: write }),
        sessionStoreKey: transcript.head.id
      }
      yield* bench.store.atomicApply(owner.runtimeId, matching)
      yield* expectEqual(yield* Effect.flatten(bench.store.loadSession(owner.runtimeId)), write.after)
    })),

  make("100 notes and 1 MiB of result and message are written with one boundary", (bench) =>
    Effect.gen(function*() {
      const { opened, owner } = yield* running(bench)
      const transcript = yield* begin(bench, owner, [])
      const large = "0123456789abcdef".repeat(65_536)
      const { transcript: after, write } = appended(bench, transcript, [large], { snapshot: new Uint8Array(1 << 20) })
      const notes = Array.from({ length: 100 }, (_, i) => ({ scope: SCOPE, key: `${100 + i}`, value: i }))
      const given = boundaryOf(bench, owner, opened, { delta: write, result: large, notes })
      yield* bench.store.atomicApply(owner.runtimeId, given)
      const state = yield* stateOf(bench, owner.runtimeId)
      yield* expectEqual(state.transcript.messages, after.messages)
      const { snapshot = null } = state
      yield* expectEqual(snapshot && bench.sha256(snapshot), bench.sha256(new Uint8Array(1 << 20)))
      yield* expectEqual([...state.notes].sort((a, b) => Number(a.key) - Number(b.key)), notes)
      yield* expectEqual((yield* loadReceipt(bench, owner, given)).result, large)
    })),

  make("a run that was never opened cannot commit", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const run = { id: yield* freshRunId(bench), sequence: 0, openedAt: NOW }
      const { opened } = yield* running(bench)
      const given = boundaryOf(bench, owner, { run: { ...opened.run, ...run }, staged: [] })
      yield* changingNothing(
        bench,
        owner.runtimeId,
        expectFailure(bench.store.atomicApply(owner.runtimeId, given), "RunNotOpen")
      )
    }))
]
