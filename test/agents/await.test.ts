import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Input from "../../src/schema/Input.js"
import type { DeltaError, Executor } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { accepted, advance, headOf, latch, settle, test, testEach, textOf, untilPhase } from "../engine/support.js"
import { agentsOf, waiting } from "./support.js"

const echo: Executor = { apply: (run) => Effect.succeed({ result: textOf(run) }) }

/** Takes one steer with each of two checkpoints, the second of which consumes it, and then ends as `end` says. */
const steered = <E>(end: Effect.Effect<string, E>): Executor<E | DeltaError> => ({
  apply: (run) =>
    Effect.gen(function*() {
      if (run.attempt === 1) {
        yield* run.steered
        yield* run.checkpoint()
        yield* run.checkpoint()
      }
      return { result: yield* end }
    })
})

describe("await", () => {
  testEach(
    "gives the result of the run that has consumed the input, also after a restart",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        yield* process.plane.register("a", echo)
        const { inputId } = yield* agents.send("a/x", Input.prompt("hello"))
        assert.deepStrictEqual(yield* agents.await("a/x", inputId), Option.some("hello"))
        yield* close
        const again = yield* agentsOf(yield* open())
        assert.deepStrictEqual(yield* again.await("a/x", inputId), Option.some("hello"))
      })
  )

  testEach("gives none of a run that has ended without one", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* process.plane.register("a", { apply: () => Effect.void })
      const { inputId } = yield* agents.send("a/x", Input.prompt("hello"))
      assert.deepStrictEqual(yield* agents.await("a/x", inputId), Option.none())
    }))

  testEach("gives none of an answer, which no run consumes", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* waiting(process, "a/x", [Input.prompt("asks")], [{ question: "q", key: "1" }])
      const { inputId } = yield* agents.answer("a/x", { question: "q", key: "1", answer: "yes" })
      assert.deepStrictEqual(yield* agents.await("a/x", inputId), Option.none())
    }))

  testEach("fails as the input has ended, and of one that nobody knows", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      const agents = yield* agentsOf(process)
      const ended = (inputId: string) => Effect.flip(agents.await("a/x", inputId))
      assert.strictEqual((yield* ended("nobody"))._tag, "UnknownInput")
      const driver = yield* process.drivers.get("a/x")
      const old = yield* F.accept(driver, F.prompt("old", { scope: "s" }))
      const newer = yield* F.accept(driver, F.prompt("newer", { scope: "s" }))
      const superseded = yield* ended(old.inputId)
      assert.deepInclude(superseded, { _tag: "Superseded", by: newer.inputId })
      yield* plane.cancel("a/x", { inputId: newer.inputId, reason: "enough" })
      assert.deepInclude(yield* ended(newer.inputId), { _tag: "Cancelled", reason: "enough" })
      const dead = yield* F.running(driver)
      yield* driver.fail({ runId: dead.runId, failure: F.failure, recoverable: false })
      assert.deepInclude(yield* ended(F.idsOf(dead)[0]!), { _tag: "DeadLettered", attempts: 1, error: F.failure })
      const lost = yield* F.running(driver)
      yield* driver.settle({ runId: lost.runId })
      assert.deepInclude(yield* ended(F.idsOf(lost)[0]!), { _tag: "Lost", reason: "outcome_unknown" })
      const dropped = yield* accepted(plane, "a/x", Input.prompt("hello"))
      yield* plane.reset("a/x")
      assert.deepInclude(yield* ended(dropped), { _tag: "Dropped", reason: "reset" })
      assert.strictEqual((yield* ended("nobody"))._tag, "UnknownInput")
      yield* agents.send("a/x", Input.prompt("one", { idempotencyKey: "k" }))
      const refused = yield* process.inbox.enqueue("a/x", Input.prompt("another", { idempotencyKey: "k" }))
      assert.strictEqual((yield* ended(refused))._tag, "Refused")
    }))

  test("is refused in a circle, and by the limit of those who wait", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits: { waitersMax: 1 } })
      const agents = yield* agentsOf(process)
      const { inputId } = yield* agents.send("a/x", Input.prompt("hello"))
      const waiter = yield* Effect.fork(agents.await("a/x", inputId))
      yield* settle
      assert.strictEqual((yield* Effect.flip(agents.await("a/x", inputId)))._tag, "TooManyWaiters")
      yield* Fiber.interrupt(waiter)
      yield* process.plane.register("a", {
        apply: (run) => Effect.map(Effect.flip(agents.await(run.runtimeId, inputId)), ({ _tag }) => ({ result: _tag }))
      })
      assert.deepStrictEqual(yield* agents.await("a/x", inputId), Option.some("WouldDeadlock"))
    }))
})

describe("await of a steer", () => {
  testEach(
    "gives the result of the run that it went into, when a checkpoint has consumed it",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        const gate = yield* latch
        yield* process.plane.register("a", steered(Effect.as(gate.wait, "done")))
        const first = yield* agents.send("a/x", Input.prompt("go"))
        yield* untilPhase(process.plane, "a/x", first.inputId, "staged")
        const steer = yield* agents.send("a/x", F.steer("left"))
        yield* untilPhase(process.plane, "a/x", steer.inputId, "consumed")
        // It has ended, and what is waited for has not.
        const waiter = yield* Effect.fork(agents.await("a/x", steer.inputId))
        yield* settle
        assert.deepStrictEqual(yield* Fiber.poll(waiter), Option.none())
        yield* gate.open
        assert.deepStrictEqual(yield* Fiber.join(waiter), Option.some("done"))
        assert.deepStrictEqual(yield* agents.await("a/x", first.inputId), Option.some("done"))
        yield* close
        const again = yield* agentsOf(yield* open())
        assert.deepStrictEqual(yield* again.await("a/x", steer.inputId), Option.some("done"))
      })
  )

  testEach(
    "gives that result also when the final boundary has consumed it, or it had a run of its own",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        yield* process.plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              if (textOf(run) === "go") {
                yield* run.steered
                yield* run.checkpoint()
              }
              return { result: textOf(run) }
            })
        })
        const first = yield* agents.send("a/x", Input.prompt("go"))
        yield* untilPhase(process.plane, "a/x", first.inputId, "staged")
        const steer = yield* agents.send("a/x", F.steer("left"))
        assert.deepStrictEqual(yield* agents.await("a/x", steer.inputId), Option.some("go"))
        const alone = yield* agents.send("a/x", F.steer("right"))
        assert.deepStrictEqual(yield* agents.await("a/x", alone.inputId), Option.some("right"))
      })
  )

  testEach("gives none when its run ends without a result", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      const driver = yield* process.drivers.get("a/x")
      const { runId } = yield* F.running(driver)
      const { inputId } = yield* agents.send("a/x", F.steer("left"))
      yield* driver.checkpoint({ runId })
      yield* driver.checkpoint({ runId })
      yield* driver.complete({ runId })
      assert.deepStrictEqual(yield* agents.await("a/x", inputId), Option.none())
    }))

  testEach("gives the result of the attempt that succeeds", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      let attempts = 0
      const sometimes = Effect.suspend(() => ++attempts === 1 ? Effect.fail("no") : Effect.succeed("at last"))
      yield* process.plane.register("a", steered(sometimes))
      const first = yield* agents.send("a/x", Input.prompt("go"))
      yield* untilPhase(process.plane, "a/x", first.inputId, "staged")
      const steer = yield* agents.send("a/x", F.steer("left"))
      yield* untilPhase(process.plane, "a/x", steer.inputId, "consumed")
      const waiter = yield* Effect.fork(agents.await("a/x", steer.inputId))
      yield* advance("2 seconds", { steps: 2 })
      assert.deepStrictEqual(yield* Fiber.join(waiter), Option.some("at last"))
    }))

  testEach("fails as the batch of its run has ended, and names its first input", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* process.plane.register("a", steered(Effect.fail("no")), { attemptsMax: 1 })
      const first = yield* agents.send("a/x", Input.prompt("go"))
      yield* untilPhase(process.plane, "a/x", first.inputId, "staged")
      const steer = yield* agents.send("a/x", F.steer("left"))
      const dead = yield* Effect.flip(agents.await("a/x", steer.inputId))
      assert.deepInclude(dead, { _tag: "DeadLettered", inputId: first.inputId })
    }))

  testEach(
    "goes by the members of the batch that are left, when others were cancelled alone",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const driver = yield* process.drivers.get("a/x")
        const [one, two] = yield* F.acceptAll(driver, [F.flow("1"), F.flow("2")])
        const { runId } = yield* F.stageOf(driver, ["1", "2"])
        const { inputId } = yield* agents.send("a/x", F.steer("left"))
        yield* driver.checkpoint({ runId })
        yield* driver.checkpoint({ runId })
        assert.strictEqual((yield* headOf(process.plane, "a/x", inputId)).phase, "consumed")
        yield* driver.giveBack({ runId })
        yield* agents.cancel("a/x", { reason: "not this", inputId: one! })
        const again = yield* F.stageOf(driver, ["2"])
        const waiter = yield* Effect.fork(agents.await("a/x", inputId))
        yield* driver.complete({ runId: again.runId, result: "done" })
        assert.deepStrictEqual(yield* Fiber.join(waiter), Option.some("done"))
        assert.deepStrictEqual(yield* agents.await("a/x", two!), Option.some("done"))
        assert.strictEqual((yield* Effect.flip(agents.await("a/x", one!)))._tag, "Cancelled")
      })
  )

  testEach("is cancelled with all of the batch", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      const driver = yield* process.drivers.get("a/x")
      const [, two] = yield* F.acceptAll(driver, [F.flow("1"), F.flow("2")])
      const { runId } = yield* F.stageOf(driver, ["1", "2"])
      const { inputId } = yield* agents.send("a/x", F.steer("left"))
      yield* driver.checkpoint({ runId })
      yield* driver.checkpoint({ runId })
      yield* agents.cancel("a/x", { reason: "enough" })
      const cancelled = yield* Effect.flip(agents.await("a/x", inputId))
      assert.deepInclude(cancelled, { _tag: "Cancelled", reason: "enough", inputId: two! })
    }))
})
