/**
 * Lifecycle records, lists of runtimes, totals.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Commit from "../../../core/Commit.js"
import type { BatchId, RuntimeId } from "../../../schema/Ids.js"
import type { InputHead, TerminalOutcome } from "../../../schema/InputState.js"
import type { LifecycleRecord, RuntimeState } from "../../../schema/Runtime.js"
import { check, expectEqual } from "../../Conformance.js"
import { awkwardNames, awkwardText } from "./awkward.js"
import {
  accept,
  type Bench,
  boundaryOf,
  commit,
  consumedAtOnce,
  ending,
  family,
  freshClaimId,
  freshInputId,
  freshRuntimeId,
  lifecycleOf,
  loadHead,
  make,
  moved,
  newInput,
  NOW,
  openRun,
  own,
  type Owner,
  policy,
  type StoreCase
} from "./fixtures.js"

const states: ReadonlyArray<RuntimeState> = [
  "initializing",
  "idle",
  "attached",
  "running",
  "recovering",
  "retired",
  "stopped",
  "destroyed"
]

const commitRecord = ({ store }: Bench, owner: Owner, changes: Partial<LifecycleRecord>) => {
  const record = lifecycleOf(owner, changes)
  const lifecycle = Commit.lifecycle(record, null)
  return Effect.as(store.commitMachineLifecycle(owner.runtimeId, owner.stamp(), lifecycle, []), record)
}

const records: ReadonlyArray<StoreCase> = [
  make("a lifecycle record comes back as it was, state, binding facts and all", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const bindings: ReadonlyArray<LifecycleRecord["binding"]> = [
        { agentRuntimeId: null, fenceToken: null, runtimeGeneration: null, runtimeEpochId: null },
        {
          agentRuntimeId: awkwardText,
          fenceToken: 7,
          runtimeGeneration: 3,
          runtimeEpochId: yield* freshClaimId(bench)
        },
        { agentRuntimeId: "", fenceToken: 0, runtimeGeneration: Number.MAX_SAFE_INTEGER, runtimeEpochId: null }
      ]
      for (const binding of bindings) {
        for (const runtimeState of states) {
          const paused = runtimeState === "stopped"
          const silentIntents = paused ? ["a", awkwardText] : []
          const record = yield* commitRecord(bench, owner, { binding, runtimeState, paused, silentIntents })
          yield* expectEqual(yield* Effect.flatten(bench.store.loadMachineLifecycle(owner.runtimeId)), record)
          const state = yield* Effect.flatten(bench.store.loadRuntimeState(owner.runtimeId))
          yield* expectEqual(state, runtimeState)
        }
      }
    })),

  make("the stored bytes of a lifecycle record are JSON and carry record_version 1", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const record = yield* commitRecord(bench, owner, { runtimeState: "retired" })
      const stored = yield* Effect.flatten(bench.store.loadMachineLifecycleRecord(owner.runtimeId))
      const json: unknown = JSON.parse(new TextDecoder().decode(stored))
      yield* expectEqual(json, record)
      yield* expectEqual(Reflect.get(Object(json), "record_version"), 1)
    })),

  make(
    "a runtime that was never claimed has no lifecycle, in none of the three reads",
    (bench) =>
      Effect.gen(function*() {
        const runtimeId = yield* freshRuntimeId(bench)
        yield* expectEqual(yield* bench.store.loadMachineLifecycleRecord(runtimeId), Option.none())
        yield* expectEqual(yield* bench.store.loadMachineLifecycle(runtimeId), Option.none())
        yield* expectEqual(yield* bench.store.loadRuntimeState(runtimeId), Option.none())
      })
  ),

  make(
    "the lifecycle row and the listed inputs are written together; inputs that are not listed stay",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const [a, b] = [yield* accept(bench, owner), yield* accept(bench, owner)]
        const added = yield* newInput(bench, owner)
        const changed = moved(a.head, { attempt: 1 })
        const lifecycle = Commit.lifecycle(lifecycleOf(owner, { runtimeState: "stopped" }), null)
        yield* bench.store.commitMachineLifecycle(owner.runtimeId, owner.stamp(), lifecycle, [changed, added.record])
        yield* expectEqual(yield* Effect.flatten(bench.store.loadRuntimeState(owner.runtimeId)), "stopped")
        for (const head of [changed.head, b.head, added.head]) {
          yield* expectEqual(yield* loadHead(bench, owner.runtimeId, head.id), head)
        }
      })
  ),

  make("I17: a lifecycle record of one runtime leaves those of others", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      const record = yield* commitRecord(bench, one, { runtimeState: "retired" })
      yield* commitRecord(bench, other, { runtimeState: "destroyed", paused: true })
      yield* expectEqual(yield* Effect.flatten(bench.store.loadMachineLifecycle(one.runtimeId)), record)
    }))
]

const lists: ReadonlyArray<StoreCase> = [
  make("runtimes are listed in order of their ids, with their states", (bench) =>
    Effect.gen(function*() {
      const { after, belongs, owners } = yield* family(bench, ["c", "a", "b", "aa", "B"])
      yield* commitRecord(bench, owners[2]!, { runtimeState: "retired" })
      const page = yield* bench.store.loadRuntimes({ after, limit: 1000 })
      const listed = page.filter(({ runtimeId }) => belongs(runtimeId))
      yield* expectEqual(
        listed.map(({ runtimeId, state }) => [runtimeId.slice(after.length + 1), state]),
        [["B", "idle"], ["a", "idle"], ["aa", "idle"], ["b", "retired"], ["c", "idle"]]
      )
    })),

  make(
    "a page of runtimes is what is behind its cursor, and not more than its limit",
    (bench) =>
      Effect.gen(function*() {
        const { after, belongs, owners } = yield* family(bench, ["1", "2", "3", "4", "5"])
        const first = yield* bench.store.loadRuntimes({ after, limit: 2 })
        yield* expectEqual(first.map(({ runtimeId }) => runtimeId), [owners[0]!.runtimeId, owners[1]!.runtimeId])
        const second = yield* bench.store.loadRuntimes({ after: owners[1]!.runtimeId, limit: 2 })
        yield* expectEqual(second.map(({ runtimeId }) => runtimeId), [owners[2]!.runtimeId, owners[3]!.runtimeId])
        const last = yield* bench.store.loadRuntimes({ after: owners[4]!.runtimeId, limit: 2 })
        yield* expectEqual(last.filter(({ runtimeId }) => belongs(runtimeId)), [])
      })
  ),

  make("going through the pages names every runtime once, whatever their ids", (bench) =>
    Effect.gen(function*() {
      const { after, belongs, owners } = yield* family(bench, awkwardNames)
      yield* Effect.forEach(owners, (owner) => accept(bench, owner))
      for (const load of [bench.store.loadRuntimes, bench.store.loadPendingRuntimes]) {
        const seen: Array<string> = []
        let cursor = after
        for (;;) {
          const page: ReadonlyArray<{ readonly runtimeId: RuntimeId }> = yield* load({ after: cursor, limit: 7 })
          const mine = page.filter(({ runtimeId }) => belongs(runtimeId))
          seen.push(...mine.map(({ runtimeId }) => runtimeId))
          const last = mine.at(-1)
          if (last === undefined || mine.length < 7) break
          cursor = last.runtimeId
        }
        yield* expectEqual([...seen].sort(), owners.map(({ runtimeId }) => `${runtimeId}`).sort())
      }
    })),

  make("a runtime that was never claimed is not listed", (bench) =>
    Effect.gen(function*() {
      const runtimeId = yield* freshRuntimeId(bench)
      yield* bench.store.loadInputStates(runtimeId)
      yield* bench.store.loadTranscript(runtimeId)
      const listed = yield* bench.store.loadRuntimes({ limit: 100_000 })
      yield* check(listed.every((one) => one.runtimeId !== runtimeId), "it is not listed")
    }))
]

type Pending = {
  readonly what: string
  readonly heads: ReadonlyArray<Partial<InputHead>>
  readonly readyAt: number | null
}

const held = (readyAt: number | null): Partial<InputHead> => ({ phase: "held", hold: "question", readyAt })
const riding: Partial<InputHead> = { lane: "steer", policy: { ...policy, apply: "ride_along", route: "steer" } }

const pending: ReadonlyArray<Pending> = [
  { what: "a queued input is ready at once", heads: [{}], readyAt: 0 },
  { what: "a queued input that waits for a time is ready then", heads: [{ readyAt: NOW + 5 }], readyAt: NOW + 5 },
  {
    what: "of several the earliest counts",
    heads: [{ readyAt: NOW + 9 }, { readyAt: NOW + 5 }, { readyAt: NOW + 7 }, held(null), held(NOW + 8)],
    readyAt: NOW + 5
  },
  { what: "a held input with a deadline is ready then", heads: [held(null), held(NOW + 3)], readyAt: NOW + 3 },
  { what: "held inputs without a deadline wait for somebody", heads: [held(null), held(null)], readyAt: null },
  { what: "one that is ready at once comes before all times", heads: [{ readyAt: NOW + 9 }, {}, held(1)], readyAt: 0 },
  {
    what: "inputs that ride along wait for others, whatever their times",
    heads: [riding, { ...riding, readyAt: NOW + 5 }, { ...held(NOW + 3), ...riding }],
    readyAt: null
  },
  {
    what: "one that rides along with an interrupted batch is ready with it",
    heads: [{ ...riding, batch: "batch" as BatchId, readyAt: NOW + 5 }],
    readyAt: NOW + 5
  },
  { what: "one that rides along makes no other wait", heads: [riding, { readyAt: NOW + 5 }], readyAt: NOW + 5 }
]

const pendingOf = ({ store }: Bench, { runtimeId }: Owner) =>
  Effect.map(
    store.loadPendingRuntimes({ limit: 100_000 }),
    (rows) => rows.filter((row) => row.runtimeId === runtimeId).map(({ readyAt }) => Option.getOrNull(readyAt))
  )

const readiness: ReadonlyArray<StoreCase> = [
  ...pending.map(({ heads, readyAt, what }) =>
    make(`I14: pending runtimes: ${what}`, (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* Effect.forEach(heads, (head) => accept(bench, owner, { head }))
        yield* expectEqual(yield* pendingOf(bench, owner), [readyAt])
      }))
  ),

  make(
    "I14: a runtime with an open run is pending, ready at once, also when no input is active",
    (bench) =>
      Effect.gen(function*() {
        const [empty, staged] = [yield* own(bench), yield* own(bench)]
        yield* openRun(bench, empty, [])
        yield* expectEqual(yield* pendingOf(bench, empty), [0])
        const { head } = yield* accept(bench, staged)
        yield* openRun(bench, staged, [head])
        yield* expectEqual(yield* pendingOf(bench, staged), [0])
      })
  ),

  make("a runtime without open run and active inputs is not pending", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* expectEqual(yield* pendingOf(bench, owner), [])
      const { head } = yield* accept(bench, owner)
      const opened = yield* openRun(bench, owner, [head])
      yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, opened, { boundary: "final" }))
      yield* expectEqual(yield* pendingOf(bench, owner), [])
    })),

  make("pending runtimes are listed in order of their ids, in pages", (bench) =>
    Effect.gen(function*() {
      const { after, owners } = yield* family(bench, ["4", "1", "3", "2", "0"])
      yield* Effect.forEach(owners.slice(0, 4), (owner) => accept(bench, owner))
      const [four, one, three, two] = owners.map(({ runtimeId }) => runtimeId)
      const first = yield* bench.store.loadPendingRuntimes({ after, limit: 2 })
      yield* expectEqual(first.map(({ runtimeId }) => runtimeId), [one!, two!])
      const second = yield* bench.store.loadPendingRuntimes({ after: two!, limit: 2 })
      yield* expectEqual(second.map(({ runtimeId }) => runtimeId), [three!, four!])
    }))
]

const totals: ReadonlyArray<StoreCase> = [
  make("totals of a runtime that nobody has used are zero", (bench) =>
    Effect.gen(function*() {
      const none = yield* bench.store.loadTotals(yield* freshRuntimeId(bench))
      yield* expectEqual(Object.values(none), [0, 0, 0, 0, 0, 0, 0, 0, 0])
    })),

  make(
    "I15: totals count every accepted input once, by what became of it, and receipts and runs",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const other = yield* freshInputId(bench)
        const ends: ReadonlyArray<TerminalOutcome> = [
          consumedAtOnce,
          { _tag: "superseded", by: other },
          { _tag: "superseded", by: other },
          { _tag: "coalesced", into: other },
          { _tag: "abandoned", reason: { _tag: "reset" } },
          { _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts: 3 } }
        ]
        for (const outcome of ends) {
          const { head } = yield* accept(bench, owner)
          yield* commit(bench, owner, ending(head, outcome))
        }
        yield* accept(bench, owner, { head: held(null) })
        yield* accept(bench, owner)
        const first = yield* openRun(bench, owner, [(yield* accept(bench, owner)).head])
        yield* bench.store.atomicApply(owner.runtimeId, boundaryOf(bench, owner, first))
        const final = boundaryOf(bench, owner, first, { after: 1, boundary: "final" })
        yield* bench.store.atomicApply(owner.runtimeId, final)
        yield* openRun(bench, owner, [(yield* accept(bench, owner)).head])
        const found = yield* bench.store.loadTotals(owner.runtimeId)
        yield* expectEqual(found, {
          accepted: 10,
          active: 2,
          held: 1,
          consumed: 2,
          superseded: 2,
          coalesced: 1,
          abandoned: 2,
          receipts: 2,
          runs: 2
        })
      })
  )
]

export const lifecycle: ReadonlyArray<StoreCase> = [...records, ...lists, ...readiness, ...totals]
