/**
 * One writer: who takes a runtime has it, and the one who had it is told.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Session from "../../../schema/Session.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

type Command = (driver: Service) => Effect.Effect<unknown, { readonly _tag: string }>

const commands: ReadonlyArray<readonly [name: string, command: Command]> = [
  ["accept", (driver) => driver.accept(F.prompt("p"))],
  ["stage", (driver) => driver.stage()],
  ["publish", (driver) => driver.publish("n", 1)],
  ["pause", (driver) => driver.pause],
  ["attach", (driver) => driver.attach("agent")],
  ["commitSession", (driver) => driver.commitSession({ append: [1] })],
  ["reset", (driver) => driver.reset],
  ["retire", (driver) => driver.retire],
  ["stop", (driver) => driver.stop],
  ["destroy", (driver) => driver.destroy],
  ["setSilentIntents", (driver) => driver.setSilentIntents(["x"])],
  ["abandonPending", (driver) => driver.abandonPending({ _tag: "reset" })]
]

/** A command after which a driver knows that it is the owner no more. */
const notice = (driver: Service) => expectFailure(driver.publish("notice", null), "OwnershipLost")

export const cases: ReadonlyArray<ReturnType<typeof F.make>> = [
  F.make("takeOver by the owner itself is recover", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const report = yield* driver.takeOver
      yield* expectEqual([report.lostRun, report.requeued], [true, 1], "the report")
      yield* expectFailure(driver.complete({ runId }), "RunNotOpen")
      yield* F.stageOf(driver, ["go"])
    }))
]

export const durableCases = [
  ...commands.map(([name, command]) =>
    F.makeDurable(
      `I9: ${name} is OwnershipLost when another has taken the runtime, and changes nothing`,
      (driver, { restart }) =>
        Effect.gen(function*() {
          yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
          const other = yield* restart()
          const before = yield* F.look(other)
          const error = yield* F.expectUnchanged(driver, expectFailure(command(driver), "OwnershipLost"))
          yield* check(typeof Reflect.get(error, "by") === "number", "it names the epoch of the owner")
          yield* expectEqual(yield* F.look(other), before, "what the owner shows")
          yield* expectEqual(F.tags(yield* F.events(other)), ["input.accepted", "input.accepted"], "the owner's events")
        })
    )
  ),
  F.makeDurable(
    "I9: a loser's boundary is OwnershipLost, and its alongside is not run",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* restart()
        let runs = 0
        const alongside = Effect.sync(() => void runs++)
        const delta = { append: [Session.assistant("x")] }
        yield* F.expectUnchanged(driver, expectFailure(driver.complete({ runId, delta, alongside }), "OwnershipLost"))
        yield* expectEqual(runs, 0, "how often the alongside ran")
        yield* expectEqual(yield* store.loadBoundaryReceipt(driver.runtimeId, runId, 1), Option.none(), "the receipt")
      })
  ),
  F.makeDurable(
    "I9: a loser does not take the runtime back by itself, however often it is asked",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const other = yield* restart()
        for (let i = 0; i < 5; i++) yield* expectFailure(driver.accept(F.prompt("p")), "OwnershipLost")
        yield* expectFailure(driver.recover, "OwnershipLost")
        yield* expectFailure(driver.recycle, "OwnershipLost")
        yield* F.accept(other, F.prompt("mine"))
        yield* expectEqual((yield* other.activeInputIds).length, 1, "the owner's inputs")
      })
  ),
  F.makeDurable(
    "I9: takeOver is the way back: it recovers what the other left, and the other is told",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt("first"))
        const other = yield* restart()
        yield* notice(driver)
        yield* F.accept(other, F.prompt("second"))
        const theirs = yield* F.stageOf(other, ["first"])
        const report = yield* driver.takeOver
        yield* expectEqual([report.active, report.lostRun], [2, true], "the report")
        yield* expectFailure(other.complete({ runId: theirs.runId }), "OwnershipLost")
        yield* expectEqual(yield* F.drain(driver), [["first"], ["second"]], "what is staged")
      })
  ),
  F.makeDurable(
    "I4: a loser may be old, never uncommitted: its queries answer what it last knew",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("first"))
        const other = yield* restart()
        yield* F.accept(other, F.prompt("second"))
        yield* notice(driver)
        yield* expectEqual(yield* driver.activeInputIds, [inputId], "the inputs that it knows")
        yield* expectEqual(yield* driver.state, "idle", "the state")
      })
  ),
  F.makeDurable(
    "I9, I14: commands that wait together are all told when the runtime is lost",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* restart()
        const outcomes = yield* Effect.all(
          Array.from({ length: 30 }, (_, i) => Effect.flip(driver.accept(F.prompt(`${i}`)))),
          { concurrency: "unbounded" }
        )
        yield* check(outcomes.every(({ _tag }) => _tag === "OwnershipLost"), "all are OwnershipLost")
      })
  ),
  F.makeDurable("I9: of three owners in a row the newest has it", (driver, { restart }) =>
    Effect.gen(function*() {
      const second = yield* restart()
      const third = yield* restart()
      yield* notice(driver)
      yield* notice(second)
      yield* F.accept(third, F.prompt("p"))
    })),
  F.makeDurable(
    "I17: other runtimes of the one that lost are its own still",
    (driver, { drivers, restart }) =>
      Effect.gen(function*() {
        const other = yield* drivers.get(yield* F.freshRuntimeId)
        yield* restart()
        yield* notice(driver)
        yield* F.accept(other, F.prompt("p"))
      })
  ),
  F.makeDurable(
    "I9: a duplicate is not answered by one that has lost the runtime",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const draft = F.prompt("p", { key: "k" })
        yield* F.accept(driver, draft)
        yield* restart()
        yield* notice(driver)
        yield* expectFailure(driver.accept(draft), "OwnershipLost")
      })
  )
]
