/**
 * The event log and its stream: dense, in order, following commits.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { EventRecord } from "../../../schema/RuntimeEvent.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

const first = (driver: Service, count: number, after = 0) =>
  driver.events({ after }).pipe(
    Stream.take(count),
    Stream.runCollect,
    Effect.map((chunk): ReadonlyArray<EventRecord> => Array.from(chunk))
  )

const numbersFrom = (start: number, count: number) => Array.from({ length: count }, (_, i) => start + i)

const numbers = (records: ReadonlyArray<EventRecord>) => records.map(({ number }) => number)

const publishMany = (driver: Service, count: number, from = 0) =>
  Effect.forEach(numbersFrom(from, count), (i) => driver.publish("n", i), { discard: true })

const log = [
  F.make(
    "I18: a whole life is in the log, each event numbered inside the commit of its cause",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const run = yield* F.stage(driver)
        const steer = yield* F.accept(driver, F.steer("s"))
        yield* driver.checkpoint({ runId: run.runId })
        yield* driver.complete({ runId: run.runId })
        const found = yield* F.events(driver)
        yield* expectEqual(
          F.tags(found),
          ["input.accepted", "input.accepted", "run.started", "input.accepted", "run.boundary", "run.boundary"],
          "the events"
        )
        const ids = F.idsOf(run)
        const { batchId, runId } = run
        yield* expectEqual(
          F.only(found, "run.started"),
          [{ _tag: "run.started", runId, batchId, attempt: 1, inputIds: ids }],
          "the run's event"
        )
        yield* expectEqual(
          F.only(found, "run.boundary").map(({ boundary, consumed, delivered, sequence }) => ({
            boundary,
            consumed,
            delivered,
            sequence
          })),
          [
            { boundary: "checkpoint", consumed: [], delivered: [steer.inputId], sequence: 1 },
            { boundary: "final", consumed: [...ids, steer.inputId], delivered: [], sequence: 2 }
          ],
          "the boundaries' events"
        )
      })
  ),
  F.make(
    "I11: each boundary's event tells the transcript's revision, and where it ends",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.continuation("go on"))
        const { runId } = yield* F.stage(driver)
        yield* driver.note({ runId })
        const revisions: Array<string | null> = [null]
        for (const append of [["a", "b"], [], ["c"]]) {
          const { session } = yield* driver.checkpoint({ runId, delta: { append } })
          revisions.push((yield* F.some(session, "there is a session")).revision)
        }
        const found = F.only(yield* F.events(driver), "run.boundary")
        yield* expectEqual<unknown>(found.map(({ revision }) => revision), revisions, "the revisions")
        yield* expectEqual(found.map(({ messages }) => [messages.start, messages.end]), [[0, 0], [0, 2], [2, 2], [
          2,
          3
        ]])
      })
  ),
  F.make("a rewrite inside a run is in the log, before the boundary that made it", (driver) =>
    Effect.gen(function*() {
      yield* driver.commitSession({ append: ["a", "b", "c"] })
      yield* F.accept(driver, F.continuation("compact"))
      const { runId } = yield* F.stage(driver)
      const selection = { start: 1, end: 3 }
      const rewrite = { selection, reason: "shorter", replacement: ["b and c"] }
      const { session } = yield* driver.note({ runId, delta: { rewrite, append: ["d"] } })
      const { revision } = yield* F.some(session, "there is a session")
      const found = yield* F.events(driver)
      yield* expectEqual(F.tags(found).slice(-2), ["session.rewritten", "run.boundary"], "the last events")
      yield* expectEqual(
        F.only(found, "session.rewritten"),
        [{
          _tag: "session.rewritten",
          reason: "shorter",
          selection,
          messages: { start: 1, end: 2 },
          revision,
          length: 3
        }],
        "the rewrite"
      )
      const [boundary] = F.only(found, "run.boundary")
      yield* expectEqual<unknown>(
        [boundary?.messages, boundary?.revision],
        [{ start: 2, end: 3 }, revision],
        "what the boundary appended"
      )
    })),
  F.make("a change of the session between runs is in the log, with its revision", (driver) =>
    Effect.gen(function*() {
      const { revision, version } = yield* F.some(yield* driver.commitSession({ append: ["a"] }), "there is a session")
      yield* driver.commitSession({ snapshot: Uint8Array.of(1) })
      yield* expectEqual(F.only(yield* F.events(driver), "session.changed"), [
        { _tag: "session.changed", version, messages: { start: 0, end: 1 }, revision },
        { _tag: "session.changed", version: version + 1, messages: { start: 1, end: 1 }, revision }
      ], "the events")
    })),
  F.make("an input's accept event is its admission number, also when it has ended", (driver) =>
    Effect.gen(function*() {
      const [a, b] = [yield* F.accept(driver, F.prompt("a")), yield* F.accept(driver, F.prompt("b"))]
      yield* F.drain(driver)
      const found = yield* F.eventsUntil(driver, ({ _tag }) => _tag === "run.boundary")
      const accepted = found.filter(({ event }) => event._tag === "input.accepted")
      yield* expectEqual(numbers(accepted), [a.sequence, b.sequence], "the numbers")
    })),
  F.make(
    "a command that was refused or failed is not in the log, and leaves no gap",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* Effect.exit(driver.checkpoint({ runId, alongside: Effect.fail("no") }))
        yield* Effect.exit(driver.stage())
        yield* Effect.exit(driver.accept(F.prompt("")))
        yield* Effect.exit(driver.reset)
        yield* driver.complete({ runId })
        yield* expectEqual(
          F.tags(yield* F.events(driver)).filter((tag) => tag !== "input.accepted"),
          ["run.started", "run.boundary"],
          "the events"
        )
      })
  ),
  F.make("an event has the time of its commit", (driver) =>
    Effect.gen(function*() {
      yield* driver.publish("n", 1)
      const [record] = yield* first(driver, 1)
      yield* expectEqual(record?.at, 0, "the time")
    }))
]

const streams = [
  F.make("the stream begins behind `after`", (driver) =>
    Effect.gen(function*() {
      yield* publishMany(driver, 10)
      yield* expectEqual(numbers(yield* first(driver, 3, 4)), [5, 6, 7], "the numbers")
      yield* expectEqual(numbers(yield* first(driver, 10)), numbersFrom(1, 10), "all numbers")
    })),
  F.make("a long log is read whole, without gap or repeat", (driver) =>
    Effect.gen(function*() {
      yield* Effect.all(numbersFrom(0, 600).map((i) => driver.publish("n", i)), { concurrency: "unbounded" })
      yield* expectEqual(numbers(yield* first(driver, 600)), numbersFrom(1, 600), "the numbers")
    })),
  F.make("I14: a stream that has read everything follows commits as they are made", (driver) =>
    Effect.gen(function*() {
      yield* publishMany(driver, 3)
      const fiber = yield* Effect.fork(first(driver, 8))
      yield* F.turns
      yield* publishMany(driver, 5, 3)
      yield* expectEqual(numbers(yield* Fiber.join(fiber)), numbersFrom(1, 8), "the numbers")
    })),
  F.make("I14: events that are committed while a stream looks are not missed", (driver) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(first(driver, 40))
      yield* Effect.all(numbersFrom(0, 40).map((i) => driver.publish("n", i)), { concurrency: "unbounded" })
      yield* expectEqual(numbers(yield* Fiber.join(fiber)), numbersFrom(1, 40), "the numbers")
    })),
  F.make("several streams of one runtime see the same, whenever they begin", (driver) =>
    Effect.gen(function*() {
      const early = yield* Effect.fork(first(driver, 30))
      yield* publishMany(driver, 10)
      const middle = yield* Effect.fork(first(driver, 30))
      yield* F.turns
      yield* publishMany(driver, 20, 10)
      const late = yield* first(driver, 30)
      yield* expectEqual(yield* Fiber.join(early), late, "the early stream's events")
      yield* expectEqual(yield* Fiber.join(middle), late, "the other's events")
    })),
  F.make("I16: a stream whose reader is slow delays nobody, and misses nothing", (driver) =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const slow = yield* driver.events().pipe(
        Stream.take(300),
        Stream.runForEach(({ number }) =>
          Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 20), Effect.sync(() => seen.push(number)))
        ),
        Effect.fork
      )
      yield* publishMany(driver, 300)
      yield* check(seen.length < 300, "the commits are there before the reader is")
      yield* Fiber.join(slow)
      yield* expectEqual(seen, numbersFrom(1, 300), "what it saw")
    })),
  F.make("a stream that is interrupted leaves the others alone", (driver) =>
    Effect.gen(function*() {
      const one = yield* Effect.fork(first(driver, 5))
      const other = yield* Effect.fork(first(driver, 5))
      yield* F.turns
      yield* Fiber.interrupt(one)
      yield* publishMany(driver, 5)
      yield* expectEqual(numbers(yield* Fiber.join(other)), numbersFrom(1, 5), "what the other saw")
    })),
  F.make("streams of other runtimes see nothing of it", (driver, drivers) =>
    Effect.gen(function*() {
      const other = yield* drivers.get(yield* F.freshRuntimeId)
      const fiber = yield* Effect.fork(first(other, 1))
      yield* publishMany(driver, 3)
      yield* other.publish("mine", null)
      const [record] = yield* Fiber.join(fiber)
      yield* expectEqual(record?.event, { _tag: "runtime.published", code: "mine", data: null }, "the event")
    }))
]

export const cases = [...log, ...streams]

export const durableCases = [
  F.makeDurable(
    "a log goes on over a restart, under the same numbers",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* publishMany(driver, 5)
        const before = yield* first(driver, 5)
        const again = yield* restart()
        yield* publishMany(again, 5, 5)
        const found = yield* first(again, 10)
        yield* expectEqual<ReadonlyArray<EventRecord>>(found.slice(0, 5), before, "the events of the first owner")
        yield* expectEqual(numbers(found), numbersFrom(1, 10), "the numbers")
      })
  )
]
