import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Input from "../../src/schema/Input.js"
import type { Executor } from "../../src/services/Executor.js"
import {
  accepted,
  advance,
  headOf,
  latch,
  logged,
  type Process,
  settle,
  test,
  testEach,
  testSqlite,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "../engine/support.js"

const echo: Executor = { apply: (run) => Effect.succeed({ result: textOf(run) }) }

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

const evicted = ({ drivers }: Process) =>
  until("nobody is in memory", Effect.map(drivers.live, (live) => live.length === 0))

/** Lets time go by until nobody is in memory; idle runtimes are forgotten after a second. */
const evict = (process: Process) => Effect.zipRight(advance("4 seconds", { steps: 4 }), evicted(process))

const limits = { runtimeIdleMillis: 1_000 }

describe("a limit is refused typed, and writes nothing", () => {
  testEach("I16: QueueFull, for as long as the queue is full", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { queueDepthMax: 2 } })
      yield* accepted(plane, "a/x", Input.prompt("1"))
      const second = yield* accepted(plane, "a/x", Input.prompt("2"))
      const full = yield* Effect.flip(plane.ingest("a/x", Input.prompt("3", { idempotencyKey: "three" })))
      assert.strictEqual(full._tag, "QueueFull")
      assert.isTrue(full.retryable)
      assert.strictEqual((yield* Effect.flip(plane.steer("a/x", Input.prompt("3"))))._tag, "QueueFull")
      assert.strictEqual((yield* plane.inputs("a/x")).length, 2)
      // Of one runtime alone.
      yield* accepted(plane, "a/y", Input.prompt("1"))
      // What is known is answered all the same, and what is refused has used up no key.
      yield* plane.register("a", echo)
      yield* plane.await("a/x", second)
      yield* accepted(plane, "a/x", Input.prompt("3", { idempotencyKey: "three" }))
    }))

  testEach("I16: InputTooLarge and InvalidInput", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { inputBytesMax: 1_000, keyLengthMax: 10 } })
      yield* accepted(plane, "a/x", Input.prompt("small"))
      const large = yield* Effect.flip(plane.ingest("a/x", Input.prompt("x".repeat(1_000))))
      assert.strictEqual(large._tag, "InputTooLarge")
      assert.isFalse(large.retryable)
      assert.strictEqual(
        (yield* Effect.flip(plane.submit("a/x", Input.prompt("x".repeat(1_000)))))._tag,
        "InputTooLarge"
      )
      const key = yield* Effect.flip(plane.ingest("a/x", Input.prompt("x", { idempotencyKey: "x".repeat(11) })))
      assert.strictEqual(key._tag, "InvalidInput")
      assert.strictEqual((yield* plane.inputs("a/x")).length, 1)
    }))

  testEach("I17: TooManyRuntimes, while all that are in memory have runs", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { runtimesLiveMax: 2 } })
      const gate = yield* latch
      yield* plane.register("a", { apply: () => Effect.zipRight(gate.wait, Effect.succeed({ result: 1 })) })
      const first = yield* accepted(plane, "a/1", Input.prompt("go"))
      const second = yield* accepted(plane, "a/2", Input.prompt("go"))
      yield* untilPhase(plane, "a/1", first, "staged")
      yield* untilPhase(plane, "a/2", second, "staged")
      const refused = yield* Effect.flip(plane.ingest("a/3", Input.prompt("go")))
      assert.strictEqual(refused._tag, "TooManyRuntimes")
      assert.isTrue(refused.retryable)
      // Reading needs no place.
      assert.deepStrictEqual(yield* plane.inspect("a/3"), Option.none())
      yield* gate.open
      yield* plane.await("a/1", first)
      yield* plane.await("a/2", second)
      yield* until(
        "the loops have ended",
        Effect.map(Effect.either(plane.ingest("a/3", Input.prompt("go"))), Either.isRight)
      )
    }))
})

describe("four runtimes in memory", () => {
  testEach(
    "I14, I16: are enough for forty with work, and no more are ever there",
    ({ open }) =>
      logged((lines) =>
        Effect.gen(function*() {
          const { drivers, plane } = yield* open({ limits: { runtimesLiveMax: 4 } })
          for (const i of numbers(40)) yield* accepted(plane, `a/${i}`, Input.prompt("go"))
          let liveMax = 0
          let done = 0
          yield* plane.register("a", {
            apply: () =>
              Effect.gen(function*() {
                liveMax = Math.max(liveMax, (yield* drivers.live).length)
                yield* settle
                done++
              })
          })
          // No time goes by: who found no place goes on as soon as there is one.
          yield* untilTrue("all have run", () => done === 40)
          assert.strictEqual(liveMax, 4)
          assert.deepStrictEqual(lines, [])
        })
      )
  )
})

describe("a runtime that was evicted", () => {
  testEach(
    "I14: comes back in time for what was delayed, held, parked, or is tried again",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open({ limits })
        const { plane } = process
        const runs: Array<string> = []
        let hasParked = false
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              const text = textOf(run)
              runs.push(`${text} ${run.attempt}`)
              if (text === "park" && !hasParked) {
                hasParked = true
                return yield* run.park({ until: 40_000 })
              }
              return yield* text === "backoff" && run.attempt === 1
                ? Effect.fail("not today")
                : Effect.succeed({ result: text })
            })
        }, { retry: Schedule.spaced("50 seconds") })
        yield* plane.pause({ agent: "a" })
        const held = yield* accepted(plane, "a/held", Input.prompt("held"))
        yield* plane.hold("a/held", held, { until: 30_000 })
        const forLong = yield* accepted(plane, "a/for long", Input.prompt("for long"))
        yield* plane.hold("a/for long", forLong)
        yield* plane.unpause({ agent: "a" })
        const delayed = yield* accepted(plane, "a/delayed", Input.prompt("delayed", { deliverAt: 20_000 }))
        const parked = yield* accepted(plane, "a/parked", Input.prompt("park"))
        const backoff = yield* accepted(plane, "a/backoff", Input.prompt("backoff"))
        const waiters = yield* Effect.fork(Effect.forEach(
          [
            ["a/held", held],
            ["a/for long", forLong],
            ["a/delayed", delayed],
            ["a/parked", parked],
            ["a/backoff", backoff]
          ] as const,
          ([runtimeId, inputId]) => Effect.map(plane.await(runtimeId, inputId), ({ result }) => result),
          {
            concurrency: "unbounded"
          }
        ))
        yield* untilTrue("two have run", () => runs.length === 2)
        yield* evict(process)
        const began = ["backoff 1", "park 1"]
        assert.deepStrictEqual([...runs].sort(), began)
        runs.length = 0
        const next = (name: string) =>
          Effect.gen(function*() {
            yield* untilTrue(`${name} has run`, () => runs.length === 1)
            assert.deepStrictEqual(runs.splice(0), [name])
            yield* evict(process)
          })
        yield* advance("17 seconds", { steps: 17 })
        yield* next("delayed 1")
        yield* advance("10 seconds", { steps: 10 })
        yield* next("held 1")
        yield* advance("10 seconds", { steps: 10 })
        yield* next("park 1")
        yield* advance("20 seconds", { steps: 20 })
        yield* next("backoff 2")
        yield* advance("2 minutes", { steps: 4 })
        assert.deepStrictEqual(runs, [])
        yield* plane.release("a/for long", forLong)
        // Those who waited all the time are told.
        assert.deepStrictEqual(
          (yield* Fiber.join(waiters)).map(Option.getOrNull),
          ["held", "for long", "delayed", "park", "backoff"]
        )
      })
  )

  testEach("I14: still resolves those who wait for it, however it ends", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits })
      const { plane } = process
      const ended = ["a/done", "a/cancelled", "a/reset", "a/destroyed"]
      const inputs = yield* Effect.forEach(ended, (runtimeId) => accepted(plane, runtimeId, Input.prompt("go")))
      const waiters = yield* Effect.forEach(ended, (runtimeId, i) =>
        Effect.fork(Effect.flip(plane.await(runtimeId, inputs[i]!))))
      yield* evict(process)
      yield* plane.cancel("a/cancelled", { inputId: inputs[1]!, reason: "enough" })
      yield* plane.reset("a/reset")
      yield* plane.destroy("a/destroyed")
      yield* plane.register("a", {
        apply: () =>
          Effect.fail("no")
      }, { attemptsMax: 1 })
      const tags = yield* Effect.forEach(waiters, (fiber) => Effect.map(Fiber.join(fiber), ({ _tag }) => _tag))
      assert.deepStrictEqual(tags, ["DeadLettered", "Cancelled", "Dropped", "Dropped"])
    }))

  testEach("keeps its place in the queue, its attempts and its session", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits })
      const { plane } = process
      const attempts: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            attempts.push(`${textOf(run)} ${run.attempt}`)
            if (run.attempt === 1) {
              yield* run.checkpoint({ append: ["so far"] })
              return yield* Effect.fail("once more")
            }
            return { result: (yield* run.transcript()).messages.length }
          })
      }, { retry: Schedule.spaced("1 minute"), onFailure: "block" })
      const first = yield* accepted(plane, "a/x", Input.prompt("first"))
      yield* untilTrue("it has been tried", () => attempts.length === 1)
      const second = yield* accepted(plane, "a/x", Input.prompt("second"))
      yield* evict(process)
      assert.strictEqual((yield* headOf(plane, "a/x", second)).phase, "queued")
      yield* advance("1 minute", { steps: 6 })
      const { result } = yield* plane.await("a/x", first)
      assert.deepStrictEqual(result, Option.some(2))
      yield* advance("2 minutes", { steps: 6 })
      yield* plane.await("a/x", second)
      assert.deepStrictEqual(attempts, ["first 1", "first 2", "second 1", "second 2"])
    }))
})

describe("what is pending", () => {
  testEach(
    "of an agent without executor waits, is evicted, and goes on when there is one",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open({ limits })
        const { plane } = process
        yield* plane.register("other", echo)
        const inputs = yield* Effect.forEach(numbers(10), (i) => accepted(plane, `a/${i}`, Input.prompt(`${i}`)))
        const whole = yield* accepted(plane, "a", Input.prompt("whole"))
        yield* evict(process)
        for (const [i, inputId] of inputs.entries()) {
          assert.strictEqual((yield* headOf(plane, `a/${i}`, inputId)).phase, "queued")
        }
        yield* Effect.scoped(Effect.gen(function*() {
          yield* plane.register("a", echo)
          for (const [i, inputId] of inputs.entries()) {
            assert.deepStrictEqual((yield* plane.await(`a/${i}`, inputId)).result, Option.some(`${i}`))
          }
          assert.deepStrictEqual((yield* plane.await("a", whole)).result, Option.some("whole"))
        }))
        // An agent is the part before the slash, not a prefix.
        const neighbour = yield* accepted(plane, "ab/1", Input.prompt("go"))
        yield* plane.register("a", echo)
        yield* advance("1 minute", { steps: 3 })
        assert.strictEqual((yield* headOf(plane, "ab/1", neighbour)).phase, "queued")
      })
  )

  testSqlite(
    "I14, I16: is found and resumed on start, without loading the runtimes that have nothing to do",
    ({ open }) =>
      Effect.gen(function*() {
        const pending = [7, 77, 150, 222, 299]
        const before = yield* open()
        yield* Effect.scoped(Effect.gen(function*() {
          yield* before.plane.register("a", echo, { runsMax: 64 })
          yield* Effect.forEach(numbers(300), (i) => before.plane.submit(`a/${i}`, Input.prompt("go")), {
            concurrency: "unbounded"
          })
        }))
        const inputs = yield* Effect.forEach(
          pending,
          (i) => accepted(before.plane, `a/${i}`, Input.prompt(`again ${i}`))
        )
        yield* before.close
        const { drivers, plane } = yield* open()
        assert.deepStrictEqual(yield* drivers.live, [])
        yield* plane.register("a", echo)
        for (const [at, i] of pending.entries()) {
          assert.deepStrictEqual((yield* plane.await(`a/${i}`, inputs[at]!)).result, Option.some(`again ${i}`))
        }
        yield* settle
        assert.deepStrictEqual(
          [...yield* drivers.live].sort(),
          pending.map((i) => `a/${i}`).sort()
        )
      })
  )

  test("I14: is found behind a page of runtimes that have no executor", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open({ limits: { runtimesLiveMax: 50 } })
      yield* Effect.forEach(numbers(4_100), (i) => first.plane.ingest(`a/${i}`, Input.prompt("go")), { discard: true })
      const inputs = yield* Effect.forEach(numbers(3), (i) => accepted(first.plane, `z/${i}`, Input.prompt("go")))
      yield* first.close
      const { drivers, plane } = yield* open()
      yield* plane.register("z", echo)
      for (const [i, inputId] of inputs.entries()) yield* plane.await(`z/${i}`, inputId)
      assert.strictEqual((yield* drivers.live).length, 3)
    }))
})
