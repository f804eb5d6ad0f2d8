/**
 * What whoever runs an agent says at staging and at failing: how often, what waits for what, and who decides.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { Service, StageOptions } from "../../../services/Driver.js"
import { check, expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

const labelsOf = (driver: Service, options: StageOptions) =>
  Effect.map(driver.stage(options), (outcome) => outcome._tag === "staged" ? F.labels(outcome.run.inputs) : [])

/** A run that its owner took anew, which is lost like one whose process died. */
const lose = (driver: Service) => Effect.zipRight(F.stage(driver), driver.recover)

const reason = (driver: Service, id: Parameters<Service["inputState"]>[0]) =>
  Effect.map(F.head(driver, id), ({ outcome }) => outcome?._tag === "abandoned" ? outcome.reason : outcome)

export const cases = [
  F.make(
    "block: nothing passes a failed batch that waits for its next attempt, whose time is told",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* F.acceptAll(driver, [F.prompt("next"), F.steer("s"), F.prompt("early", { deliverAt: 50 })])
        yield* driver.fail({ runId, failure: F.failure, visibleAt: 100 })
        yield* TestClock.adjust(60)
        const blocked = yield* F.expectUnchanged(driver, driver.stage({ onFailure: "block" }))
        yield* expectEqual(
          blocked,
          { _tag: "nothing", paused: false, nextReadyAt: Option.some(100), keptBack: false },
          "the answer"
        )
        yield* TestClock.adjust(40)
        yield* expectEqual(yield* labelsOf(driver, { onFailure: "block" }), ["go"], "what goes then")
      })
  ),
  F.make("I17: pass, which is the default: others go while a failed batch waits", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
      yield* driver.fail({ runId, failure: F.failure, visibleAt: 100 })
      yield* driver.complete({ runId: (yield* F.stageOf(driver, ["a"])).runId })
      yield* expectEqual(yield* labelsOf(driver, { onFailure: "pass" }), ["b"], "what goes")
    })),
  F.make("I13: attemptsMax of fail and of stage is what counts for them", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      const { abandoned } = yield* driver.fail({ runId: first.runId, failure: F.failure, attemptsMax: 1 })
      yield* expectEqual(abandoned, F.idsOf(first), "what one attempt ends")
      const { inputId } = yield* F.accept(driver, F.prompt("stubborn"))
      for (let attempt = 1; attempt <= F.limits.attemptsMax + 2; attempt++) {
        const outcome = yield* driver.stage({ attemptsMax: 10 })
        if (outcome._tag !== "staged") return yield* check(false, "it is staged")
        yield* expectEqual(outcome.run.attempt, attempt, "the attempt")
        yield* driver.fail({ runId: outcome.run.runId, failure: F.failure, attemptsMax: 10 })
      }
      yield* F.nothing(driver)
      yield* expectEqual(
        yield* reason(driver, inputId),
        { _tag: "max_attempts_exhausted", attempts: F.limits.attemptsMax + 2 },
        "how it ends under the drivers' limit"
      )
    })),
  F.make("I13: nobody is given up who was never tried, whatever attemptsMax says", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      yield* expectEqual(yield* labelsOf(driver, { attemptsMax: 0 }), ["p"], "what is staged")
    })),
  F.make(
    "I13: mayBeFatal false keeps back the last attempt of a batch whose run was lost, and writes nothing",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.prompt("suspect"), F.prompt("next")])
        yield* lose(driver)
        const second = yield* driver.stage({ mayBeFatal: false })
        yield* check(second._tag === "staged" && second.run.afterLoss, "an attempt that is not the last is made")
        yield* driver.recover
        const kept = yield* F.expectUnchanged(driver, driver.stage({ mayBeFatal: false }))
        yield* expectEqual(
          kept,
          { _tag: "nothing", paused: false, nextReadyAt: Option.none(), keptBack: true },
          "the answer"
        )
        yield* F.stageOf(driver, ["suspect"])
      })
  ),
  F.make("I13: mayBeFatal false keeps back nothing that failed by itself", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      yield* F.failUntilLast(driver)
      yield* expectEqual(yield* labelsOf(driver, { mayBeFatal: false }), ["p"], "what is staged")
    })),
  F.make(
    "I13: what lost runs have used up ends when it would be staged, and the next one goes",
    (driver) =>
      Effect.gen(function*() {
        const [poison] = yield* F.acceptAll(driver, [F.prompt("poison"), F.prompt("next")])
        for (let i = 0; i < F.limits.attemptsMax; i++) yield* lose(driver)
        yield* F.expectPhase(driver, poison!, "queued")
        yield* F.stageOf(driver, ["next"])
        yield* expectEqual(
          yield* reason(driver, poison!),
          { _tag: "max_attempts_exhausted", attempts: F.limits.attemptsMax },
          "the reason"
        )
        yield* expectEqual(
          (yield* F.head(driver, poison!)).failure?.tag,
          "RuntimeRecovered",
          "the failure that is kept"
        )
      })
  ),
  F.make(
    "I13: decidesLost gets what lost runs have used up, is told, and may settle it",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("poison"))
        for (let i = 0; i < F.limits.attemptsMax; i++) yield* lose(driver)
        const outcome = yield* driver.stage({ decidesLost: true })
        if (outcome._tag !== "staged") return yield* check(false, "it is staged")
        yield* check(outcome.run.afterLoss, "it is told of the loss")
        yield* driver.settle({ runId: outcome.run.runId })
        yield* expectEqual(yield* reason(driver, inputId), { _tag: "outcome_unknown" }, "the reason")
      })
  ),
  F.make(
    "I13: decidesLost may hold it; released it is tried again, and not in doubt any more",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        yield* lose(driver)
        const outcome = yield* driver.stage({ decidesLost: true })
        if (outcome._tag !== "staged") return yield* check(false, "it is staged")
        yield* driver.hold({ runId: outcome.run.runId, reason: "in_doubt" })
        yield* F.nothing(driver)
        yield* driver.release(inputId)
        const { afterLoss } = yield* F.stageOf(driver, ["p"])
        yield* check(!afterLoss, "somebody has decided")
      })
  ),
  F.make("afterLoss tells of the attempt before: lost, or not", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.recover
      const second = yield* F.stage(driver)
      yield* F.fail(driver, second)
      const third = yield* F.stage(driver)
      yield* expectEqual([first, second, third].map(({ afterLoss }) => afterLoss), [false, true, false], "afterLoss")
    }))
]
