/**
 * The event log and the notes.
 */
import * as Effect from "effect/Effect"
import type { BatchId } from "../../../schema/Ids.js"
import type { Json } from "../../../schema/Json.js"
import type { EventRecord, RuntimeEvent } from "../../../schema/RuntimeEvent.js"
import type { Revision } from "../../../schema/Session.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardNames, awkwardText } from "./awkward.js"
import {
  accept,
  acceptEvent,
  type Bench,
  boundaryOf,
  changingNothing,
  commit,
  consumedAtOnce,
  ending,
  eventOf,
  freshInputId,
  freshRunId,
  freshRuntimeId,
  make,
  newInput,
  NOW,
  openRun,
  own,
  type Owner,
  published,
  SCOPE,
  type StoreCase,
  writeSet
} from "./fixtures.js"

const numbersOf = (events: ReadonlyArray<EventRecord>) => events.map(({ number }) => number)

const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)

const everyEvent = (bench: Bench) =>
  Effect.gen(function*() {
    const inputId = yield* freshInputId(bench)
    const other = yield* freshInputId(bench)
    const runId = yield* freshRunId(bench)
    const failure = { tag: "Boom", message: awkwardText }
    const revision = bench.sha256("x") as Revision
    const events: ReadonlyArray<RuntimeEvent> = [
      { _tag: "input.accepted", inputId, kind: "operation", lane: null },
      { _tag: "input.consumed", inputId },
      { _tag: "input.superseded", inputId, by: other },
      { _tag: "input.coalesced", inputId, into: other },
      { _tag: "input.abandoned", inputId, reason: { _tag: "cancelled", reason: awkwardText }, failure },
      { _tag: "input.held", inputId, reason: "question", until: NOW },
      { _tag: "input.released", inputId },
      { _tag: "input.recovered", inputId },
      { _tag: "run.started", runId, batchId: "b" as BatchId, attempt: 2, inputIds: [inputId, other] },
      {
        _tag: "run.boundary",
        runId,
        sequence: 1,
        boundary: "final",
        consumed: [other],
        delivered: [inputId],
        messages: { start: 3, end: 5 },
        revision: null
      },
      { _tag: "run.failed", runId, failure, requeued: [inputId], retryAt: null },
      { _tag: "run.cancelled", runId, reason: awkwardText },
      { _tag: "run.given_back", runId },
      { _tag: "run.lost", runId },
      { _tag: "runtime.state_changed", from: "idle", to: "retired" },
      { _tag: "runtime.paused", paused: true },
      {
        _tag: "session.rewritten",
        reason: awkwardText,
        selection: { start: 1, end: 4 },
        messages: { start: 1, end: 2 },
        revision,
        length: 2
      },
      { _tag: "session.changed", version: 7, messages: { start: 2, end: 3 }, revision },
      { _tag: "session.cleared" },
      { _tag: "runtime.published", code: awkwardText, data: { text: awkwardText, list: [1.5, null, true] } }
    ]
    return events
  })

/** An owner whose log is: accept 1, published 2, accept 3, published 4, accept 5. */
const interleaved = (bench: Bench) =>
  Effect.gen(function*() {
    const owner = yield* own(bench)
    const first = yield* accept(bench, owner)
    const second = published(owner, "second")
    yield* commit(bench, owner, { events: [second] })
    const third = yield* accept(bench, owner)
    const fourth = published(owner, "fourth")
    yield* commit(bench, owner, { events: [fourth] })
    const fifth = yield* accept(bench, owner, { draft: { _tag: "continuation", reason: "r" }, head: { lane: null } })
    const heads = [first, third, fifth].map(({ head }) => head)
    const log = [...heads.map(acceptEvent), second, fourth].sort((a, b) => a.number - b.number)
    return { owner, heads, log }
  })

const accepts: ReadonlyArray<StoreCase> = [
  make("I18: the accepts of active inputs are events in their places", (bench) =>
    Effect.gen(function*() {
      const { log, owner } = yield* interleaved(bench)
      yield* expectEqual(numbersOf(log), upTo(5))
      yield* expectEqual(yield* bench.store.loadEvents(owner.runtimeId), log)
    })),

  make("I18: an accept stays the same one event when its input ends", (bench) =>
    Effect.gen(function*() {
      const { heads, log, owner } = yield* interleaved(bench)
      for (const head of heads) {
        yield* commit(bench, owner, ending(head, consumedAtOnce))
        yield* expectEqual(yield* bench.store.loadEvents(owner.runtimeId), log)
      }
    })),

  make(
    "I18: an accept stays the same one event while its input is staged, held and consumed by a run",
    (bench) =>
      Effect.gen(function*() {
        const { heads, log, owner } = yield* interleaved(bench)
        const opened = yield* openRun(bench, owner, heads)
        const final = boundaryOf(bench, owner, opened, { boundary: "final" })
        const whole = bench.store.loadEvents(owner.runtimeId)
        yield* expectEqual((yield* whole).slice(0, 5), log)
        yield* bench.store.atomicApply(owner.runtimeId, final)
        yield* expectEqual((yield* whole).slice(0, 5), log)
        yield* expectEqual(numbersOf(yield* whole), upTo(7))
      })
  ),

  make("an input that ends at its admission has its accept in the log", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head, record } = yield* newInput(bench, owner, { head: { phase: "consumed", outcome: consumedAtOnce } })
      const consumed = eventOf(owner, { _tag: "input.consumed", inputId: head.id })
      yield* commit(bench, owner, { inputs: [record], events: [acceptEvent(head), consumed] })
      yield* expectEqual(yield* bench.store.loadEvents(owner.runtimeId), [acceptEvent(head), consumed])
    })),

  make(
    "I18: a reader that follows the cursor gets every event once, while inputs come and end",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const seen: Array<EventRecord> = []
        const open: Array<Parameters<typeof acceptEvent>[0]> = []
        for (let round = 0; round < 20; round++) {
          open.push((yield* accept(bench, owner)).head)
          if (round % 2 === 1) yield* commit(bench, owner, { events: [published(owner, round)] })
          const ended = round % 3 === 2 ? open.splice(round % open.length, 1) : []
          for (const head of ended) yield* commit(bench, owner, ending(head, consumedAtOnce))
          const after = seen.at(-1)?.number ?? 0
          seen.push(...yield* bench.store.loadEvents(owner.runtimeId, { after, limit: 1 + round % 3 }))
        }
        for (let after = -1; after !== (seen.at(-1)?.number ?? 0);) {
          after = seen.at(-1)?.number ?? 0
          seen.push(...yield* bench.store.loadEvents(owner.runtimeId, { after, limit: 3 }))
        }
        yield* expectEqual(numbersOf(seen), upTo(30))
        yield* expectEqual(yield* bench.store.loadEvents(owner.runtimeId), seen)
      })
  )
]

const log: ReadonlyArray<StoreCase> = [
  make("every kind of event comes back as it was", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const events = (yield* everyEvent(bench)).map((event) => eventOf(owner, event))
      yield* commit(bench, owner, { events })
      yield* expectEqual(yield* bench.store.loadEvents(owner.runtimeId), events)
    })),

  make("events come in order of their numbers, whatever the order of their writes", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const events = Array.from({ length: 12 }, () => published(owner))
      yield* commit(bench, owner, { events: events.slice(6).reverse() })
      yield* commit(bench, owner, { events: events.slice(0, 6).reverse() })
      yield* expectEqual(yield* bench.store.loadEvents(owner.runtimeId), events)
    })),

  make(
    "a page of events is what is behind its cursor, and not more than its limit, accepts included",
    (bench) =>
      Effect.gen(function*() {
        const { log, owner } = yield* interleaved(bench)
        for (let after = 0; after <= 6; after++) {
          for (let limit = 1; limit <= 6; limit++) {
            const page = yield* bench.store.loadEvents(owner.runtimeId, { after, limit })
            yield* expectEqual(page, log.slice(after, after + limit))
          }
        }
      })
  ),

  make("a page has 100 events unless it says otherwise, from the start", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const inputs = yield* Effect.replicateEffect(newInput(bench, owner), 60)
      const events = Array.from({ length: 60 }, () => published(owner))
      yield* commit(bench, owner, { inputs: inputs.map(({ record }) => record), events })
      yield* expectEqual(numbersOf(yield* bench.store.loadEvents(owner.runtimeId)), upTo(100))
      const rest = yield* bench.store.loadEvents(owner.runtimeId, { after: 100 })
      yield* expectEqual(numbersOf(rest).length, 20)
    })),

  make(
    "I18: a number is used once: a second event of it is WriteFailed, and the first stays",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const event = published(owner, "first")
        yield* commit(bench, owner, { events: [event] })
        const second = writeSet(owner, { events: [{ ...event, at: NOW + 1 }], ops: null })
        yield* changingNothing(bench, owner.runtimeId, expectFailure(bench.store.commit(second), "WriteFailed"))
      })
  ),

  make("I17: events are of their runtime, and a runtime that never was has none", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      const [ofOne, ofOther] = [published(one, "one"), published(other, "other")]
      yield* commit(bench, one, { events: [ofOne] })
      yield* commit(bench, other, { events: [ofOther] })
      yield* expectEqual(yield* bench.store.loadEvents(one.runtimeId), [ofOne])
      yield* expectEqual(yield* bench.store.loadEvents(other.runtimeId), [ofOther])
      yield* expectEqual(yield* bench.store.loadEvents(yield* freshRuntimeId(bench)), [])
    })),

  make("numbers and times of events up to the largest come back exactly", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const last: EventRecord = { ...published(owner), number: Number.MAX_SAFE_INTEGER, at: 8.64e15 }
      yield* commit(bench, owner, { events: [last] })
      const page = yield* bench.store.loadEvents(owner.runtimeId, { after: Number.MAX_SAFE_INTEGER - 1 })
      yield* expectEqual(page, [last])
    }))
]

const values: ReadonlyArray<Json> = [
  null,
  false,
  0,
  -0.5,
  1e300,
  "",
  awkwardText,
  [],
  {},
  [[null, { a: { b: [1] } }]],
  JSON.parse("{\"__proto__\":{\"x\":1},\"constructor\":2}") as Json
]

const writeNotes = (bench: Bench, owner: Owner, notes: ReadonlyArray<readonly [string, string, Json]>) =>
  commit(bench, owner, { notes: notes.map(([scope, key, value]) => ({ scope, key, value })) })

const notes: ReadonlyArray<StoreCase> = [
  make("a note's value comes back as it was, for every kind of JSON value", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* writeNotes(bench, owner, values.map((value, i) => [SCOPE, `${i}`, value]))
      const stored = yield* bench.store.loadNotes(owner.runtimeId, SCOPE)
      yield* expectEqual(stored.length, values.length)
      for (const { key, scope, value } of stored) {
        yield* expectEqual([scope, value], [SCOPE, values[Number(key)]!])
      }
    })),

  make("a note is named by scope and key as they are, and none of them is special", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const names = awkwardNames.filter((name) => name.length < 100)
      yield* writeNotes(
        bench,
        owner,
        names.flatMap((scope) => names.map((key) => [scope, key, `${scope}|${key}`] as const))
      )
      for (const scope of names) {
        const stored = yield* bench.store.loadNotes(owner.runtimeId, scope)
        yield* expectEqual(stored.map(({ key }) => key).sort(), [...names].sort())
        yield* check(stored.every(({ key, value }) => value === `${scope}|${key}`), "each note has its own value")
      }
    })),

  make(
    "a note is found by its scope and key, alone, and nothing is found by others",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const [other, ...names] = awkwardNames.filter((name) => name.length < 100)
        yield* writeNotes(
          bench,
          owner,
          names.flatMap((scope) => names.map((key) => [scope, key, `${scope}|${key}`] as const))
        )
        for (const key of names) {
          const scope = names[0]!
          const found = yield* bench.store.loadNotes(owner.runtimeId, scope, key)
          yield* expectEqual(found, [{ scope, key, value: `${scope}|${key}` }])
          yield* expectEqual(yield* bench.store.loadNotes(owner.runtimeId, other!, key), [])
          yield* expectEqual(yield* bench.store.loadNotes(owner.runtimeId, key, other!), [])
        }
      })
  ),

  make(
    "I7: a note is written once, for ever: a second one of its scope and key is refused as NoteConflict",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* writeNotes(bench, owner, [[SCOPE, "k", 1]])
        const again = writeSet(owner, { notes: [{ scope: SCOPE, key: "k", value: 1 }], events: [published(owner)] })
        const outcome = yield* changingNothing(bench, owner.runtimeId, bench.store.commit(again))
        yield* expectEqual<unknown>(outcome, {
          _tag: "Refused",
          by: { _tag: "NoteConflict", scope: SCOPE, key: "k" }
        })
      })
  ),

  make("I17: notes are of their runtime and scope, and an unknown scope has none", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      yield* writeNotes(bench, one, [[SCOPE, "k", "one"], ["another", "k", "another"]])
      yield* writeNotes(bench, other, [[SCOPE, "k", "other"]])
      const valuesOf = (owner: Owner, scope: string) =>
        Effect.map(bench.store.loadNotes(owner.runtimeId, scope), (found) => found.map(({ value }) => value))
      yield* expectEqual(yield* valuesOf(one, SCOPE), ["one"])
      yield* expectEqual(yield* valuesOf(one, "another"), ["another"])
      yield* expectEqual(yield* valuesOf(other, SCOPE), ["other"])
      yield* expectEqual(yield* valuesOf(other, "another"), [])
    })),

  make(
    "a note whose value is no JSON value is WriteFailed, and nothing of its commit is stored",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        for (const value of ["\ud800", Number.NaN, [Number.POSITIVE_INFINITY]]) {
          const write = writeSet(owner, { notes: [{ scope: SCOPE, key: "k", value }], events: [published(owner)] })
          yield* changingNothing(bench, owner.runtimeId, expectFailure(bench.store.commit(write), "WriteFailed"))
        }
      })
  )
]

export const events: ReadonlyArray<StoreCase> = [...log, ...accepts, ...notes]
