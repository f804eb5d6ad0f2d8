import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { Notice, Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver, withTable } from "./bench.js"
import { test as withFaults } from "./faulty.js"

/** What listeners are told while an effect runs. */
const listening = Effect.fnUntraced(function*(drivers: Parameters<Parameters<typeof withDriver>[1]>[0]["drivers"]) {
  const notices: Array<Notice> = []
  yield* drivers.listen((notice) => void notices.push(notice))
  return { notices, taken: () => notices.splice(0) }
})

const short = ({ lost, runId, signal, steers }: Notice) => [signal, runId, steers, lost?._tag ?? null]

describe("listen", () => {
  it.effect("I4: a listener is told once for a commit, after it and before its caller is answered", () =>
    withDriver({}, ({ driver, drivers }) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        yield* drivers.listen(({ runtimeId }) => {
          seen.push([runtimeId, Effect.runSync(driver.activeInputIds).length])
        })
        yield* Effect.tap(F.accept(driver, F.prompt("p")), () => Effect.sync(() => seen.push("answered")))
        assert.deepStrictEqual(seen, [[driver.runtimeId, 1], "answered"])
      })))

  it.effect("it is told the signal, the open run and the steers that wait for it, as they are now", () =>
    withDriver({}, ({ driver, drivers }) =>
      Effect.gen(function*() {
        const { taken } = yield* listening(drivers)
        yield* F.accept(driver, F.prompt("go"))
        assert.deepStrictEqual(taken().map(short), [["wake_loop", null, 0, null]])
        const { runId } = yield* F.stageOf(driver, ["go"])
        assert.deepStrictEqual(taken().map(short), [["none", runId, 0, null]])
        yield* F.accept(driver, F.steer("s"))
        assert.deepStrictEqual(taken().map(short), [["request_immediate_processing", runId, 1, null]])
        yield* F.accept(driver, F.steer("late", { deliverAt: 10 }))
        yield* F.accept(driver, F.prompt("next"))
        assert.deepStrictEqual(taken().map(({ steers }) => steers), [1, 1])
        yield* TestClock.adjust(10)
        yield* driver.publish("tick", null)
        assert.deepStrictEqual(taken().map(short), [["none", runId, 2, null]])
        yield* driver.checkpoint({ runId })
        assert.deepStrictEqual(taken().map(short), [["none", runId, 0, null]])
        yield* driver.complete({ runId })
        assert.deepStrictEqual(taken().map(short), [["wake_loop", null, 0, null]])
      })))

  it.effect("it is told nothing of a command that was refused", () =>
    withDriver({}, ({ driver, drivers }) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const { taken } = yield* listening(drivers)
        yield* Effect.flip(driver.checkpoint({ runId, after: 9 }))
        yield* Effect.flip(driver.checkpoint({ runId, alongside: Effect.fail({ _tag: "No" } as const) }))
        yield* Effect.flip(driver.accept(F.prompt("p", { key: "" })))
        assert.deepStrictEqual(taken().filter(({ signal }) => signal !== "none"), [])
      })))

  it.effect("it is told of every driver of the table, and by each commit once, however many are folded", () =>
    withDriver({}, ({ driver, drivers }) =>
      Effect.gen(function*() {
        const other = yield* drivers.get(yield* F.freshRuntimeId)
        const { taken } = yield* listening(drivers)
        yield* Effect.all([driver, other].map((one) => F.accept(one, F.prompt("p"))), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          new Set(taken().map(({ runtimeId }) => runtimeId)),
          new Set([driver.runtimeId, other.runtimeId])
        )
        yield* Effect.all(Array.from({ length: 5 }, () => driver.publish("n", 1)), { concurrency: "unbounded" })
        assert.isBelow(taken().length, 5)
      })))

  it.effect("until its scope closes, and each as often as it was registered", () =>
    withDriver({}, ({ driver, drivers }) =>
      Effect.gen(function*() {
        let told = 0
        const listener = () => void told++
        const [one, two] = [yield* Scope.make(), yield* Scope.make()]
        yield* Scope.extend(drivers.listen(listener), one)
        yield* Scope.extend(drivers.listen(listener), two)
        const rounds: Array<number> = []
        for (const scope of [one, two, undefined]) {
          told = 0
          yield* driver.publish("n", 1)
          rounds.push(told)
          if (scope !== undefined) yield* Scope.close(scope, Exit.void)
        }
        assert.deepStrictEqual(rounds, [2, 1, 0])
      })))

  const commands: ReadonlyArray<readonly [name: string, run: (driver: Service) => Effect.Effect<unknown, unknown>]> = [
    ["a command", (driver) => driver.pause],
    [
      "a boundary with an alongside",
      (driver) =>
        Effect.flatMap(
          driver.openRun,
          (run) =>
            driver.checkpoint({ runId: run._tag === "Some" ? run.value.id : "none" as never, alongside: Effect.void })
        )
    ]
  ]
  for (const [name, command] of commands) {
    it.effect(`I9: it is told of the loss that ${name} finds, with the owner's epoch`, () =>
      withDriver({}, ({ driver, drivers, restart }) =>
        Effect.gen(function*() {
          yield* F.running(driver)
          const { taken } = yield* listening(drivers)
          yield* restart()
          assert.deepStrictEqual(taken(), [], "the other's table has listeners of its own")
          yield* Effect.flip(command(driver))
          const [notice, ...more] = taken()
          assert.deepStrictEqual(more, [])
          assert.deepInclude(notice?.lost, { _tag: "OwnershipLost", runtimeId: driver.runtimeId, by: 2 })
          yield* driver.takeOver
          assert.deepStrictEqual(taken().map(short), [["wake_loop", null, 0, null]])
        })))
  }

  withFaults(
    "I12: of a commit in doubt it is told when it turns out committed, and nothing when it is absent",
    ({ driver, drivers, faults }) =>
      Effect.scoped(Effect.gen(function*() {
        const { taken } = yield* listening(drivers)
        faults.next("lost")
        yield* Effect.flip(driver.accept(F.prompt("p")))
        assert.deepStrictEqual(taken(), [])
        faults.next("committed")
        yield* driver.accept(F.prompt("q"))
        assert.deepStrictEqual(taken().map(short), [["wake_loop", null, 0, null]])
      }))
  )

  withFaults(
    "I9, I12: of a loss that a doubt ends in it is told too",
    ({ driver, drivers, faults }) =>
      Effect.scoped(Effect.gen(function*() {
        const { taken } = yield* listening(drivers)
        faults.next("committed")
        faults.barrierStale = true
        yield* Effect.flip(driver.accept(F.prompt("p")))
        assert.deepStrictEqual(taken().map(({ lost }) => lost?.by), [77])
      }))
  )

  it.effect("I14: recovery is told of as a commit: what is ready wakes the loop", () =>
    withTable({ limits: { runtimeIdleMillis: 1_000 } }, ({ table }) =>
      Effect.gen(function*() {
        const drivers = yield* table()
        const driver = yield* drivers.get(yield* F.freshRuntimeId)
        yield* F.running(driver)
        const { taken } = yield* listening(drivers)
        yield* driver.recover
        assert.deepStrictEqual(taken().map(short), [["wake_loop", null, 0, null]])
      })))
})
