/**
 * Effects that commit with a boundary, and commands that find themselves in a transaction.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Session from "../../../schema/Session.js"
import type { BoundaryOptions, Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

class Note extends Context.Tag("effect-burrow/testing/conformance/driver/alongside/Note")<Note, string>() {}

class Refusal {
  readonly _tag = "Refusal"
  constructor(readonly because = "no") {}
}

const troubles: ReadonlyArray<readonly [what: string, alongside: Effect.Effect<void, Refusal>]> = [
  ["fails", Effect.fail(new Refusal())],
  ["dies", Effect.die(new Error("a defect"))],
  ["is interrupted", Effect.interrupt],
  [
    "throws",
    Effect.sync(() => {
      throw new Error("thrown")
    })
  ]
]

type Kind = "checkpoint" | "note" | "complete"
const kinds: ReadonlyArray<Kind> = ["checkpoint", "note", "complete"]

const delta = { append: [Session.assistant("done")], snapshot: Uint8Array.of(7) }

const rollback = kinds.flatMap((kind) =>
  troubles.map(([what, trouble]) =>
    F.make(
      `I2, I3: a ${kind} whose alongside ${what} leaves everything as it was, and can be tried again`,
      (driver) =>
        Effect.gen(function*() {
          const { inputs, runId } = yield* F.running(driver)
          const steer = yield* F.accept(driver, F.steer("s"))
          yield* driver.checkpoint({ runId })
          const options: BoundaryOptions = { runId, after: 1, delta, notes: [{ scope: "s", key: "k", value: 1 }] }
          const exit = yield* F.expectUnchanged(driver, Effect.exit(driver[kind]({ ...options, alongside: trouble })))
          yield* check(Exit.isFailure(exit), "the boundary fails")
          yield* F.expectConsistent(driver)
          const { alreadyApplied, receipt } = yield* driver[kind]({ ...options, alongside: Effect.void })
          yield* expectEqual([alreadyApplied, receipt.sequence], [false, 2], "the boundary that is tried again")
          yield* F.expectPhase(driver, inputs[0]!.head.id, kind === "complete" ? "consumed" : "staged")
          yield* F.expectPhase(driver, steer.inputId, kind === "note" ? "staged" : "consumed")
          const boundaries = F.only(yield* F.events(driver), "run.boundary")
          yield* expectEqual(boundaries.map(({ sequence }) => sequence), [1, 2], "the boundaries of the log")
        })
    )
  )
)

const outcomes = [
  F.make("the error of an alongside is the boundary's error, unchanged", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const error = yield* expectFailure(
        driver.checkpoint({ runId, alongside: Effect.fail(new Refusal("why")) }),
        "Refusal"
      )
      yield* expectEqual(error.because, "why", "what it says")
    })),
  F.make("the defect of an alongside is the boundary's defect", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const defect = new Error("a defect")
      const exit = yield* Effect.exit(driver.checkpoint({ runId, alongside: Effect.die(defect) }))
      yield* check(Exit.isFailure(exit) && Cause.isDie(exit.cause), "the boundary dies")
      yield* check(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("a defect"), "the cause names the defect")
    })),
  F.make(
    "I7: a repetition that is alreadyApplied runs no alongside, nor does one that is refused",
    (driver) =>
      Effect.gen(function*() {
        let runs = 0
        const alongside = Effect.sync(() => void runs++)
        const { runId } = yield* F.running(driver)
        yield* driver.checkpoint({ runId, after: 0, delta, alongside })
        yield* expectEqual(runs, 1, "how often it ran")
        yield* driver.checkpoint({ runId, after: 0, delta, alongside })
        yield* expectFailure(driver.checkpoint({ runId, after: 0, alongside }), "ReceiptConflict")
        yield* expectFailure(driver.checkpoint({ runId, after: 5, alongside }), "SequenceMismatch")
        yield* driver.complete({ runId, after: 1, delta, alongside })
        yield* driver.complete({ runId, after: 1, delta, alongside })
        yield* expectFailure(driver.checkpoint({ runId, after: 2, alongside }), "RunNotOpen")
        yield* expectEqual(runs, 2, "how often it ran in the end")
      })
  ),
  F.make("nobody sees a boundary before its alongside has ended", (driver) =>
    Effect.gen(function*() {
      const { inputs, runId } = yield* F.running(driver)
      const before = yield* F.look(driver)
      const started = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const alongside = Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(go))
      const fiber = yield* Effect.fork(driver.complete({ runId, delta, alongside }))
      yield* Deferred.await(started)
      yield* expectEqual(yield* driver.state, "running", "the state meanwhile")
      yield* expectEqual(yield* driver.session, before.session, "the session meanwhile")
      yield* F.expectPhase(driver, inputs[0]!.head.id, "staged")
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(fiber)
      yield* F.expectPhase(driver, inputs[0]!.head.id, "consumed")
    })),
  F.make("an alongside has the services of its caller", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      let found: unknown
      const alongside = Effect.map(Effect.serviceOption(Note), (service) => void (found = service))
      yield* Effect.provideService(driver.checkpoint({ runId, alongside }), Note, "mine")
      yield* expectEqual(found, Option.some("mine"), "the service")
    }))
]

const commands: ReadonlyArray<readonly [name: string, run: (driver: Service) => Effect.Effect<unknown, unknown>]> = [
  ["accept", (driver) => driver.accept(F.prompt("p"))],
  ["stage", (driver) => driver.stage()],
  ["pause", (driver) => driver.pause],
  ["recover", (driver) => driver.recover],
  ["publish", (driver) => driver.publish("code", null)]
]

const inside = [
  ...commands.map(([name, run]) =>
    F.make(
      `${name} inside an alongside is InsideTransaction, of any runtime of the store, and nothing happens`,
      (driver, drivers) =>
        Effect.gen(function*() {
          const other = yield* drivers.get(yield* F.freshRuntimeId)
          const { runId } = yield* F.running(driver)
          for (const target of [driver, other]) {
            const error = yield* F.expectUnchanged(
              driver,
              Effect.flip(driver.checkpoint({ runId, alongside: run(target) }))
            )
            yield* expectEqual((error as { _tag?: string })._tag, "InsideTransaction", "the error")
          }
          yield* expectEqual(yield* other.activeInputIds, [], "the other runtime's inputs")
        })
    )
  ),
  F.make("opening a runtime inside an alongside is InsideTransaction", (driver, drivers) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const fresh = yield* F.freshRuntimeId
      const error = yield* Effect.flip(driver.checkpoint({ runId, alongside: drivers.get(fresh) }))
      yield* expectEqual((error as { _tag?: string })._tag, "InsideTransaction", "the error")
    })),
  F.make("I4: queries inside an alongside answer what was committed before", (driver) =>
    Effect.gen(function*() {
      const { inputs, runId } = yield* F.running(driver)
      let found: unknown
      const { id } = inputs[0]!.head
      const alongside = Effect.map(
        driver.inputState(id),
        (head) => void (found = Option.map(head, ({ phase }) => phase))
      )
      yield* driver.complete({ runId, alongside })
      yield* expectEqual(found, Option.some("staged"), "the phase inside")
    }))
]

export const cases = [...rollback, ...outcomes, ...inside]

export const durableCases = [
  ...commands.map(([name, run]) =>
    F.makeDurable(
      `${name} inside the store's own transaction is InsideTransaction`,
      (driver, { store }) =>
        Effect.gen(function*() {
          const error = yield* F.expectUnchanged(
            driver,
            Effect.flip(store.updateAuthOAuthFlowSnapshot(() => Effect.zipRight(run(driver), Effect.interrupt)))
          )
          yield* expectEqual((error as { _tag?: string })._tag, "InsideTransaction", "the error")
        })
    )
  ),
  F.makeDurable(
    "I2: a boundary whose alongside failed is not there after a restart",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        const { inputs, runId } = yield* F.running(driver)
        yield* Effect.exit(driver.complete({ runId, delta, alongside: Effect.fail(new Refusal()) }))
        const again = yield* restart()
        yield* F.expectPhase(again, inputs[0]!.head.id, "queued")
        yield* expectEqual(yield* again.session, Option.none(), "the session")
        yield* expectEqual(yield* store.loadBoundaryReceipt(driver.runtimeId, runId, 1), Option.none(), "the receipt")
        yield* F.stageOf(again, ["go"])
      })
  )
]
