/**
 * Inputs that ride along: with whom they go, and that no run is begun for them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { Service } from "../../../services/Driver.js"
import { expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

const wakesNobody = (driver: Service) =>
  Effect.flatMap(driver.takeSignal, (signal) => expectEqual(signal, "none", "the signal"))

export const cases = [
  F.make(
    "I14: what rides along alone begins no run, wakes nobody and tells no time, whatever is done",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.rider("r"), F.rider("late", { deliverAt: 10 })])
        const commands = [Effect.void, driver.attach(), TestClock.adjust(10), driver.detach, driver.retire]
        for (const command of commands) {
          yield* command
          yield* wakesNobody(driver)
          yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.none(), "nextReadyAt")
        }
      })
  ),
  F.make(
    "I6: what rides along goes in front of the next batch, whose prompt is alone but for it",
    (driver) =>
      Effect.gen(function*() {
        const [prompt, , rider] = yield* F.acceptAll(driver, [F.prompt("p1"), F.prompt("p2"), F.rider("r")])
        const run = yield* F.stageOf(driver, ["r", "p1"])
        yield* expectEqual(run.primitive.boundary, "run_start", "where the primitive applies")
        yield* expectEqual(run.primitive.contributors, [rider!, prompt!], "the contributors")
        const { receipt } = yield* driver.complete({ runId: run.runId })
        yield* expectEqual(receipt.consumed, [rider!, prompt!], "what is consumed")
        yield* F.acceptAll(driver, [F.rider("r2"), F.steer("s"), F.rider("r3")])
        const steers = yield* F.stageOf(driver, ["r2", "r3", "s"])
        yield* expectEqual(steers.primitive.boundary, "run_checkpoint", "where the primitive of steers applies")
      })
  ),
  F.make(
    "I16: riders and the others are at most batchInputsMax, and one of these is among them",
    (driver) =>
      Effect.gen(function*() {
        const { batchInputsMax } = F.limits
        const names = Array.from({ length: batchInputsMax + 1 }, (_, i) => `r${i}`)
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), ...names.map((name) => F.rider(name))])
        yield* expectEqual(
          yield* F.drain(driver),
          [[...names.slice(0, batchInputsMax - 1), "a"], [...names.slice(batchInputsMax - 1), "b"]],
          "the batches"
        )
      })
  ),
  F.make(
    "I6: what rides along does not join an interrupted batch, which stays what it was",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.prompt("p"), F.rider("r")])
        const first = yield* F.stageOf(driver, ["r", "p"])
        yield* F.acceptAll(driver, [F.rider("new")])
        yield* F.fail(driver, first)
        const second = yield* F.stageOf(driver, ["r", "p"])
        yield* expectEqual(second.idempotencyKey, first.idempotencyKey, "the key")
        yield* driver.complete({ runId: second.runId })
        yield* F.accept(driver, F.prompt("next"))
        yield* F.stageOf(driver, ["new", "next"])
      })
  ),
  F.make(
    "I8: what rides along is handed over with the steers, and consumed by the boundary behind",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const [r, s] = yield* F.acceptAll(driver, [F.rider("r"), F.steer("s"), F.rider("late", { deliverAt: 10 })])
        yield* expectEqual(yield* driver.steers, 1, "how many steers wait")
        yield* expectEqual(F.labels((yield* driver.checkpoint({ runId })).steers), ["r", "s"], "what is handed over")
        yield* TestClock.adjust(10)
        yield* expectEqual(yield* driver.steers, 0, "how many steers wait then")
        const second = yield* driver.checkpoint({ runId })
        yield* expectEqual(second.receipt.consumed, [r!, s!], "what is consumed")
        yield* expectEqual(F.labels(second.steers), ["late"], "what is handed over in its time")
      })
  ),
  F.make(
    "what rides along is handed to the next attempt, or goes with the next batch",
    (driver) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* F.accept(driver, F.rider("r"))
        yield* driver.checkpoint({ runId: first.runId })
        yield* F.fail(driver, first)
        const second = yield* F.stageOf(driver, ["go"])
        yield* driver.takeSignal
        yield* driver.complete({ runId: second.runId })
        yield* wakesNobody(driver)
        yield* F.nothing(driver)
        yield* F.accept(driver, F.prompt("next"))
        yield* F.stageOf(driver, ["r", "next"])
      })
  ),
  F.make(
    "I13: the last attempt of a batch that failed with riders is made without them",
    (driver) =>
      Effect.gen(function*() {
        const [rider, prompt] = yield* F.acceptAll(driver, [F.rider("r"), F.prompt("p")])
        const [first] = yield* F.failUntilLast(driver)
        const last = yield* F.stageOf(driver, ["p"])
        yield* expectEqual(last.idempotencyKey, `${first!.batchId}/${prompt!}`, "the key")
        yield* driver.complete({ runId: last.runId })
        yield* F.expectPhase(driver, rider!, "queued")
        yield* F.nothing(driver)
      })
  ),
  F.make(
    "I13: a rider that was tried attemptsMax times, with whomever, is abandoned, and those it was with go on",
    (driver) =>
      Effect.gen(function*() {
        const rider = yield* F.accept(driver, F.rider("r"))
        yield* F.accept(driver, F.prompt("p"))
        yield* F.failUntilLast(driver)
        yield* driver.complete({ runId: (yield* F.stageOf(driver, ["p"])).runId })
        const next = yield* F.accept(driver, F.prompt("next"))
        const run = yield* F.stageOf(driver, ["r", "next"])
        yield* expectEqual(run.attempt, 1, "the attempt of those it is with")
        yield* expectEqual(
          yield* F.fail(driver, run),
          { requeued: [next.inputId], abandoned: [rider.inputId] },
          "the reply"
        )
        yield* F.stageOf(driver, ["next"])
      })
  ),
  F.make("I14: a drain does not wait for riders that nobody takes along", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.prompt("p"), F.rider("r"), F.rider("late", { deliverAt: 10 })])
      yield* expectEqual(
        yield* driver.retire,
        { inputsAbandoned: 0, inputsPendingDrain: 1, inputsRiding: 2 },
        "the report before"
      )
      yield* expectEqual(yield* F.drain(driver), [["r", "p"]], "the batches")
      yield* expectEqual(
        yield* driver.retire,
        { inputsAbandoned: 0, inputsPendingDrain: 0, inputsRiding: 1 },
        "the report after"
      )
    }))
]

export const durableCases = [
  F.makeDurable(
    "I14: after a restart what rides along still begins nothing, and goes with the next batch",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.rider("r"), F.rider("late", { deliverAt: 10 })])
        const again = yield* restart()
        yield* wakesNobody(again)
        yield* F.nothing(again)
        const pending = yield* store.loadPendingRuntimes({ limit: 100_000 })
        yield* expectEqual(
          pending.filter(({ runtimeId }) => runtimeId === again.runtimeId).map(({ readyAt }) => readyAt),
          [Option.none()],
          "when the store says that it is ready"
        )
        yield* F.accept(again, F.prompt("p"))
        yield* F.stageOf(again, ["r", "p"])
        const third = yield* restart()
        yield* F.stageOf(third, ["r", "p"])
      })
  )
]
