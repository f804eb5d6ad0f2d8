import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Input from "../../src/schema/Input.js"
import type { Executor } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  eventsOf,
  headOf,
  latch,
  logged,
  settle,
  tally,
  test,
  testEach,
  textOf,
  untilPhase,
  untilTrue
} from "./support.js"

/** Goes on until it is told, and keeps what became of its runs. */
const waiter = () => {
  const log: Array<string> = []
  const executor: Executor = {
    apply: (run) =>
      textOf(run) === "quick"
        ? Effect.sync(() => {
          log.push("quick")
          return { result: "quick" }
        })
        : Effect.zipRight(Effect.sync(() => log.push(`${textOf(run)} begins`)), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => log.push(`${textOf(run)} is interrupted`)))
        )
  }
  return { log, executor }
}

describe("cancel", () => {
  testEach(
    "ends the open run and its inputs, tells who waits, and interrupts the executor",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const { executor, log } = waiter()
        yield* plane.register("a", executor)
        const id = yield* accepted(plane, "a", Input.prompt("slow"))
        const waiting = yield* Effect.fork(Effect.flip(plane.await("a", id)))
        yield* untilTrue("it runs", () => log.length === 1)
        const reply = yield* plane.cancel("a", { reason: "enough" })
        assert.deepStrictEqual(reply, { requeued: [], abandoned: [id] })
        assert.strictEqual((yield* headOf(plane, "a", id)).phase, "abandoned")
        const error = yield* Fiber.join(waiting)
        assert.deepStrictEqual([error._tag, error._tag === "Cancelled" && error.reason], ["Cancelled", "enough"])
        yield* untilTrue("it is interrupted", () => log.length === 2)
        assert.deepStrictEqual(log, ["slow begins", "slow is interrupted"])
        assert.strictEqual((yield* plane.submit("a", Input.prompt("quick"))).inputId.length > 0, true)
      })
  )

  test("answers at once, also with an executor that ignores its interruption; the next run starts after the grace", ({ open }) =>
    logged((lines) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const log: Array<string> = []
        yield* plane.register("a", {
          apply: (run) =>
            textOf(run) === "quick" ?
              Effect.sync(() => log.push("quick")).pipe(Effect.as({})) :
              Effect.gen(function*() {
                log.push("begins")
                yield* Effect.uninterruptible(Effect.sleep("1 hour"))
                log.push("goes on")
                yield* run.checkpoint({ append: ["too late"] })
              })
        }, { interruptGrace: "10 seconds", runsMax: 1 })
        const id = yield* accepted(plane, "a", Input.prompt("slow"))
        const next = yield* accepted(plane, "a", Input.prompt("quick"))
        yield* settle
        assert.deepStrictEqual((yield* plane.cancel("a", { reason: "enough" })).abandoned, [id])
        yield* advance("9 seconds")
        assert.deepStrictEqual([log, lines], [["begins"], []])
        yield* advance("1 second")
        yield* untilPhase(plane, "a", next, "consumed")
        assert.match(lines.join("\n"), /ignores its interruption for 10000 ms/)
        yield* advance("1 hour")
        assert.deepStrictEqual(log, ["begins", "quick"], "it ends where it can be interrupted")
        assert.deepStrictEqual((yield* plane.transcript("a")).messages.length, 1)
      })
    ))

  test("refuses the checkpoint of an executor that ignores its interruption throughout, and writes nothing", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const late: Array<boolean> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.uninterruptible(
            Effect.flatMap(
              Effect.exit(Effect.zipRight(Effect.sleep("1 minute"), run.checkpoint({ append: ["late"] }))),
              (exit) =>
                Effect.sync(() => {
                  late.push(Exit.isInterrupted(exit))
                })
            )
          )
      }, { interruptGrace: "1 second" })
      yield* accepted(plane, "a", Input.prompt("slow"))
      yield* settle
      yield* plane.cancel("a", { reason: "enough" })
      yield* advance("2 minutes", { steps: 2 })
      assert.deepStrictEqual(late, [true])
      assert.deepStrictEqual((yield* plane.transcript("a")).messages, [])
    }))

  testEach("of an input that waits ends it alone; the run goes on", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", { apply: (run) => Effect.as(gate.wait, { result: textOf(run) }) })
      const first = yield* accepted(plane, "a", Input.prompt("1"))
      const second = yield* accepted(plane, "a", Input.prompt("2"))
      const third = yield* accepted(plane, "a", Input.prompt("3"))
      yield* untilPhase(plane, "a", first, "staged")
      assert.deepStrictEqual((yield* plane.cancel("a", { reason: "no", inputId: second })).abandoned, [second])
      yield* gate.open
      assert.deepStrictEqual((yield* plane.await("a", third)).result, Option.some("3"))
      assert.deepStrictEqual((yield* plane.await("a", first)).result, Option.some("1"))
      assert.strictEqual((yield* Effect.flip(plane.await("a", second)))._tag, "Cancelled")
    }))

  testEach("of an input that a run has ends the run", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = waiter()
      yield* plane.register("a", executor)
      const id = yield* accepted(plane, "a", Input.prompt("slow"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* plane.cancel("a", { reason: "no", inputId: id })
      yield* untilTrue("it is interrupted", () => log.length === 2)
    }))

  test("without a run ends nothing; of an input that has ended, or of a runtime that is nobody's, it is refused", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", waiter().executor)
      const { inputId } = yield* plane.submit("a", Input.prompt("quick"))
      assert.deepStrictEqual(yield* plane.cancel("a", { reason: "no" }), { requeued: [], abandoned: [] })
      assert.strictEqual((yield* Effect.flip(plane.cancel("a", { reason: "no", inputId })))._tag, "UnknownInput")
      assert.strictEqual((yield* Effect.flip(plane.cancel("b", { reason: "no" })))._tag, "RuntimeNotFound")
    }))

  test("takes steers that were handed over with the run, and leaves the others", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const handed: Array<number> = []
      yield* plane.register("a", {
        apply: (run) =>
          run.boundary === "run_checkpoint" ? Effect.succeed({ result: "steered" }) : Effect.zipRight(
            Effect.flatMap(run.steered, () => Effect.map(run.checkpoint(), (steers) => handed.push(steers.length))),
            Effect.never
          )
      })
      yield* accepted(plane, "a", Input.prompt("slow"))
      yield* settle
      const first = yield* accepted(plane, "a", F.steer("first"))
      yield* untilTrue("it is handed over", () => handed.length === 1)
      const second = yield* accepted(plane, "a", F.steer("second"))
      yield* plane.cancel("a", { reason: "no" })
      assert.strictEqual((yield* Effect.flip(plane.await("a", first)))._tag, "Cancelled")
      assert.deepStrictEqual((yield* plane.await("a", second)).result, Option.some("steered"))
    }))
})

describe("interrupt", () => {
  testEach("ends the attempt uncharged, and its inputs are tried again", (world) =>
    Effect.gen(function*() {
      const process = yield* world.open()
      const { plane } = process
      const attempts: Array<number> = []
      yield* plane.register("a", {
        apply: (run) => {
          attempts.push(run.attempt)
          return attempts.length <= 5 ? Effect.never : Effect.succeed({ result: run.attempt })
        }
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      for (let i = 1; i <= 5; i++) {
        yield* untilTrue(`attempt ${i} runs`, () => attempts.length === i)
        assert.isTrue(yield* plane.interrupt("a"))
      }
      assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some(1))
      assert.deepStrictEqual(attempts, [1, 1, 1, 1, 1, 1])
      assert.isFalse(yield* plane.interrupt("a"))
      assert.strictEqual(tally(yield* eventsOf(process, "a"))["run.given_back"], 5)
    }))
})
