import { assert, describe } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/TestClock"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { Run } from "../../src/services/Executor.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { textOf } from "../engine/support.js"
import { events, hosting, payments, runs, sent, test, testEach, testSql } from "./support.js"

/** Three boundaries of three kinds; an attempt goes on behind the last one that was committed. */
const steps =
  (log: Array<string>, alongside: (step: string) => Effect.Effect<unknown, unknown> = () => Effect.void) =>
  (run: Run) =>
    Effect.gen(function*() {
      const reached = Option.match(run.resume, { onNone: () => 0, onSome: ({ sequence }) => sequence })
      log.push(`attempt ${run.attempt} behind ${reached}`)
      if (reached < 1) {
        yield* run.note({ notes: [{ scope: "step", key: "1", value: 1 }], alongside: alongside("note") })
        log.push("noted")
      }
      if (reached < 2) {
        yield* run.checkpoint({ append: ["step 2"], alongside: alongside("checkpoint") })
        log.push("checked")
      }
      return { append: ["step 3"], result: "done", alongside: alongside("final") }
    })

describe("AgentTest.crashAfterCommit", () => {
  for (const n of [1, 2, 3]) {
    testSql(
      `behind boundary ${n}: the table has each row once`,
      Effect.gen(function*() {
        const { all, pay } = yield* payments
        const log: Array<string> = []
        const plane = yield* hosting(steps(log, pay))
        yield* AgentTest.crashAfterCommit(n)
        const { result } = yield* plane.submit("a/x", Input.prompt("hello"))
        assert.deepStrictEqual(result, Option.some("done"))
        assert.deepStrictEqual(yield* all, ["note", "checkpoint", "final"])
        // Nobody was told of the last one.
        assert.deepStrictEqual(
          log,
          [
            ["attempt 1 behind 0", "attempt 2 behind 1", "checked"],
            ["attempt 1 behind 0", "noted", "attempt 2 behind 2"],
            ["attempt 1 behind 0", "noted", "checked"]
          ][n - 1]
        )
        assert.deepStrictEqual(
          yield* runs("a/x"),
          n === 3
            ? { "run.started": 1, "run.boundary": 3 }
            : { "run.started": 2, "run.boundary": 3, "run.lost": 1 }
        )
      })
    )
  }

  testEach(
    "the executor is not told, even when it cannot be interrupted",
    Effect.gen(function*() {
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const plane = yield* hosting((run) =>
        run.attempt > 1 ? Effect.void : Effect.uninterruptible(
          Effect.gen(function*() {
            exits.push(yield* Effect.exit(run.checkpoint({ append: ["one"] })))
            exits.push(yield* Effect.exit(run.checkpoint({ append: ["two"] })))
          })
        )
      )
      yield* AgentTest.crashAfterCommit(1)
      yield* plane.submit("a/x", Input.prompt("hello"))
      assert.deepStrictEqual(exits.map((exit) => Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)), [
        true,
        true
      ])
      assert.deepStrictEqual((yield* plane.transcript("a/x")).messages.slice(1), ["one"])
    })
  )

  testEach(
    "counts the next run that opens, and none that is open",
    Effect.gen(function*() {
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          yield* Effect.sleep("1 hour")
          yield* run.checkpoint()
          return { result: `${textOf(run)} in ${run.attempt}` }
        })
      )
      const open = yield* Effect.fork(plane.submit("a/open", Input.prompt("open")))
      yield* TestClock.adjust("30 minutes")
      yield* AgentTest.crashAfterCommit(2)
      // Not a run of its own, and not one that opens.
      yield* plane.publishEvent("a/open", "news", 1)
      yield* TestClock.adjust("30 minutes")
      assert.deepStrictEqual((yield* Fiber.join(open)).result, Option.some("open in 1"))
      const next = yield* Effect.fork(plane.submit("a/next", Input.prompt("next")))
      yield* TestClock.adjust("90 minutes")
      // It had ended with the boundary behind which the process did.
      assert.deepStrictEqual((yield* Fiber.join(next)).result, Option.some("next in 1"))
      assert.deepStrictEqual(yield* runs("a/next"), { "run.started": 1, "run.boundary": 2 })
      assert.deepStrictEqual(yield* runs("a/open"), { "run.started": 1, "run.boundary": 2 })
    })
  )

  testEach(
    "is off when that run ends before: by its last boundary, by a failure, by a crash",
    Effect.gen(function*() {
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          if (textOf(run) === "fails" && run.attempt === 1) return yield* Effect.fail("it does")
          if (textOf(run) === "crashes" && run.attempt === 1) return yield* Effect.never
          yield* run.checkpoint()
        })
      )
      const submit = (text: string) =>
        Effect.gen(function*() {
          yield* AgentTest.crashAfterCommit(text === "ends" ? 3 : 1)
          const waiter = yield* Effect.fork(plane.submit(`a/${text}`, Input.prompt(text)))
          yield* TestClock.adjust("1 minute")
          if (text === "crashes") yield* AgentTest.crash
          yield* Fiber.join(waiter)
          return yield* runs(`a/${text}`)
        })
      const once = { "run.started": 1, "run.boundary": 2 }
      assert.deepStrictEqual(yield* submit("ends"), once)
      assert.deepStrictEqual(yield* submit("fails"), { "run.started": 2, "run.failed": 1, "run.boundary": 2 })
      assert.deepStrictEqual(yield* submit("crashes"), { "run.started": 2, "run.lost": 1, "run.boundary": 2 })
      yield* plane.submit("a/later", Input.prompt("later"))
      assert.deepStrictEqual(yield* runs("a/later"), once)
    })
  )

  testEach(
    "tells all others that were committed with it",
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      yield* sent(plane, "b/x", Input.prompt("there is one"))
      const about = yield* Queue.unbounded<void>()
      yield* hosting((run) =>
        run.attempt > 1 ? Effect.void : Effect.zipRight(Queue.offer(about, undefined), Effect.asVoid(run.checkpoint()))
      )
      for (let round = 0; round < 10; round++) {
        yield* AgentTest.crashAfterCommit(1)
        const waiter = yield* Effect.fork(plane.submit(`a/${round}`, Input.prompt("hello")))
        yield* Queue.take(about)
        yield* plane.publishEvent("b/x", "numbered", round)
        yield* Fiber.join(waiter)
        assert.deepInclude(yield* runs(`a/${round}`), { "run.lost": 1 })
      }
      const published = (yield* events("b/x")).flatMap((event) =>
        event._tag === "runtime.published" ? [event.data] : []
      )
      assert.deepStrictEqual(published, Array.from({ length: 10 }, (_, round) => round))
    })
  )

  test(
    "takes a whole number from 1",
    Effect.gen(function*() {
      for (const n of [0, -1, 1.5, NaN]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(AgentTest.crashAfterCommit(n))))
      }
    })
  )
})
