import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Burrow from "../../src/layers/Burrow.js"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as ObserverLive from "../../src/layers/ObserverLive.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import { WouldDeadlock } from "../../src/schema/AwaitError.js"
import type { InputId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import type { AbandonReason } from "../../src/schema/InputState.js"
import { ReadFailed } from "../../src/schema/StoreError.js"
import { eventLoopTurn } from "../../src/services/Batcher.js"
import { Drivers, type Service } from "../../src/services/Driver.js"
import { Observer } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { folder } from "../sql/support.js"
import { environments, observing, settle, withObserver } from "./bench.js"

const { none, some } = Option

/** What somebody who waits since before and somebody who comes afterwards are told. */
const ends = (
  bench: { readonly driver: Service; readonly observer: Context.Tag.Service<Observer> },
  inputId: InputId,
  end: Effect.Effect<unknown, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const { driver: { runtimeId }, observer } = bench
    const wait = Effect.either(observer.await(runtimeId, inputId))
    const early = yield* Effect.fork(wait)
    yield* settle
    assert.isNull(early.unsafePoll(), "the input is waited for")
    yield* end
    const answer = yield* Fiber.join(early)
    assert.deepStrictEqual(yield* wait, answer, "who comes later is told the same")
    return answer
  })

const failed = (bench: Parameters<typeof ends>[0], inputId: InputId, end: Parameters<typeof ends>[2]) =>
  Effect.flatMap(ends(bench, inputId, end), (answer) => Effect.flip(answer))

for (const { name, stores } of environments) {
  describe(`await, in ${name}`, () => {
    it.effect("answers the result of the run that consumed the input, and that of each input of its batch", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver } = bench
          const { inputId: first } = yield* F.accept(driver, F.flow("a"))
          const { inputId: second } = yield* F.accept(driver, F.flow("b"))
          const { runId } = yield* F.stageOf(driver, ["a", "b"])
          const waiting = yield* Effect.fork(bench.observer.await(driver.runtimeId, second))
          const result = { dish: "omelette", eggs: [1, 2], note: null }
          const answer = yield* ends(bench, first, driver.complete({ runId, result }))
          const completion = { runId: some(runId), sequence: some(1), result: some(result) }
          assert.deepStrictEqual(answer, Either.right({ inputId: first, ...completion }))
          assert.deepStrictEqual(yield* Fiber.join(waiting), { inputId: second, ...completion })
        })))

    it.effect("has no result where the run has none, and tells null from none", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          for (const [stored, expected] of [[{}, none()], [{ result: null }, some(null)]] as const) {
            const { inputId } = yield* F.accept(driver, F.prompt("go"))
            const { runId } = yield* F.stage(driver)
            yield* driver.complete({ runId, ...stored })
            assert.deepStrictEqual((yield* observer.await(driver.runtimeId, inputId)).result, expected)
          }
        })))

    it.effect("has neither run nor result for an input that is consumed at admission", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.operation("o"))
          const completion = { inputId, runId: none(), sequence: none(), result: none() }
          assert.deepStrictEqual(yield* observer.await(driver.runtimeId, inputId), completion)
        })))

    it.effect("names the checkpoint that consumed a steer, and has no result then", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver } = bench
          const { runId } = yield* F.running(driver)
          const { inputId } = yield* F.accept(driver, F.steer("s"))
          yield* driver.checkpoint({ runId })
          const answer = yield* ends(bench, inputId, driver.checkpoint({ runId }))
          const completion = { inputId, runId: some(runId), sequence: some(2), result: none() }
          assert.deepStrictEqual(answer, Either.right(completion))
        })))

    it.effect("goes on waiting while the input is tried again, held and released, and reads nothing for it", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver, observer, spy } = bench
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          const waiting = yield* Effect.fork(observer.await(driver.runtimeId, inputId))
          yield* settle
          const { inputs } = spy
          yield* F.fail(driver, yield* F.stage(driver))
          yield* driver.hold({ ...(yield* F.stage(driver)), reason: "operator" })
          yield* driver.release(inputId)
          yield* F.acceptAll(driver, [F.prompt("other"), F.prompt("another")])
          const { runId } = yield* F.stage(driver)
          yield* driver.note({ runId })
          yield* settle
          assert.isNull(waiting.unsafePoll())
          assert.deepStrictEqual([spy.inputs, spy.open], [inputs, 1])
          yield* driver.complete({ runId, result: "done" })
          assert.deepStrictEqual((yield* Fiber.join(waiting)).result, some("done"))
          assert.deepStrictEqual([spy.inputs, spy.open], [inputs + 1, 0])
        })))

    it.effect("fails as DeadLettered with the last failure when the attempts are used up", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver } = bench
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          yield* F.failUntilLast(driver)
          const run = yield* F.stage(driver)
          assert.deepInclude(yield* failed(bench, inputId, F.fail(driver, run)), {
            _tag: "DeadLettered",
            runtimeId: driver.runtimeId,
            inputId,
            attempts: F.limits.attemptsMax,
            error: F.failure,
            retryable: false,
            message: `Input ${inputId} of ${driver.runtimeId} was given up after 3 attempts: ` +
              "Boom: it did not work. Redrive it when the cause is gone."
          })
        })))

    it.effect("fails as DeadLettered at once when the executor says that trying again cannot help", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver } = bench
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          const { runId } = yield* F.stage(driver)
          const dead = yield* failed(bench, inputId, driver.fail({ runId, failure: F.failure, recoverable: false }))
          assert.deepInclude(dead, { _tag: "DeadLettered", attempts: 1 })
          assert.include(dead.message, "after 1 attempt: Boom")
        })))

    it.effect("fails as Cancelled with the reason", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver } = bench
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          const { runId } = yield* F.stage(driver)
          const error = yield* failed(bench, inputId, driver.cancel({ runId, reason: "the user left" }))
          assert.deepInclude(error, { _tag: "Cancelled", reason: "the user left" })
          assert.include(error.message, "was cancelled (the user left)")
        })))

    it.effect("fails as Superseded with the input that took its place, coalesced ones too", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver } = bench
          for (
            const draft of [
              (text: string) => F.external(text, { scope: "s" }),
              (text: string) => F.progress(text, { scope: "s" })
            ]
          ) {
            const { inputId } = yield* F.accept(driver, draft("old"))
            let by: string | undefined
            const error = yield* failed(
              bench,
              inputId,
              Effect.map(F.accept(driver, draft("new")), (newer) => {
                by = newer.inputId
              })
            )
            assert.deepInclude(error, { _tag: "Superseded", inputId, by: by! })
            assert.include(error.message, by!)
          }
        })))

    const dropped = ["reset", "destroyed", "retired", "stopped"] as const
    for (const reason of dropped) {
      it.effect(`fails as Dropped when the input was abandoned as ${reason}`, () =>
        withObserver({ stores }, (bench) =>
          Effect.gen(function*() {
            const { driver } = bench
            const { inputId } = yield* F.accept(driver, F.prompt("go"))
            const command = reason === "reset"
              ? driver.reset
              : reason === "destroyed"
              ? driver.destroy
              : driver.abandonPending({ _tag: reason } satisfies AbandonReason)
            const error = yield* failed(bench, inputId, command)
            assert.deepInclude(error, { _tag: "Dropped", reason })
            assert.include(error.message, `the runtime was ${reason}`)
          })))
    }

    it.effect("fails as Lost when the run was lost and is settled, and when the input was its process's", () =>
      withObserver({ stores }, (bench) =>
        Effect.gen(function*() {
          const { driver, restart } = bench
          const { inputId } = yield* F.accept(driver, F.prompt("durable"))
          yield* F.stage(driver)
          const settled = yield* failed(bench, inputId, restart("settle"))
          assert.deepInclude(settled, { _tag: "Lost", reason: "outcome_unknown" })
          const again = yield* restart()
          const ephemeral = yield* F.accept(again, F.prompt("ephemeral", { durability: "ephemeral" }))
          const ended = yield* failed(bench, ephemeral.inputId, restart())
          assert.deepInclude(ended, { _tag: "Lost", reason: "process_ended" })
        })))

    it.effect("fails as UnknownInput where there is none, and does not wait", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          for (const inputId of [yield* F.freshInputId, "no id at all", ""]) {
            const error = yield* Effect.flip(observer.await(driver.runtimeId, inputId))
            assert.deepInclude(error, { _tag: "UnknownInput", inputId, phase: null })
          }
          assert.strictEqual((yield* Effect.flip(observer.await("nobody", "none")))._tag, "UnknownInput")
          assert.strictEqual(spy.open, 0)
        })))

    it.effect("answers an input that has ended from one row, without a subscription", () => {
      let subscriptions = 0
      return withObserver({
        stores,
        trouble: ({ subscribe }) => ({
          subscribe: (...of) =>
            Effect.suspend(() => {
              subscriptions++
              return subscribe(...of)
            })
        })
      }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          yield* F.drain(driver)
          yield* observer.await(driver.runtimeId, inputId)
          assert.deepStrictEqual([spy.inputs, subscriptions], [1, 0])
        }))
    })

    it.effect("I14: hears of an end that comes between its look and its subscription", () => {
      let between: Effect.Effect<unknown> = Effect.void
      return withObserver({
        stores,
        trouble: ({ subscribe }) => ({ subscribe: (...of) => Effect.zipRight(between, subscribe(...of)) })
      }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          const { runId } = yield* F.stage(driver)
          between = Effect.ignore(driver.complete({ runId, result: 1 }))
          assert.deepStrictEqual((yield* observer.await(driver.runtimeId, inputId)).result, some(1))
        }))
    })

    it.effect("I14: a thousand waiters on one runtime are each answered once, and none reads for another's input", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const ids = yield* F.acceptAll(driver, Array.from({ length: 20 }, (_, i) => F.prompt(`${i}`)))
          const answers: Array<string> = []
          const waiters = yield* Effect.forEach(Array.from({ length: 1_000 }), (_, i) =>
            Effect.fork(Effect.tap(observer.await(driver.runtimeId, ids[i % 20]!), ({ inputId }) => {
              answers.push(inputId)
            })))
          yield* settle
          assert.deepStrictEqual([spy.open, spy.inputs], [1_000, 2_000])
          for (let ended = 1; ended <= 20; ended++) {
            const { runId } = yield* F.stage(driver)
            yield* driver.complete({ runId, result: ended })
            yield* settle
            assert.deepStrictEqual([answers.length, spy.inputs, spy.open], [
              50 * ended,
              2_000 + 50 * ended,
              1_000 - 50 * ended
            ])
          }
          const completions = yield* Fiber.joinAll(waiters)
          assert.deepStrictEqual(
            completions.map(({ inputId, result }) => [inputId, result]),
            completions.map((_, i) => [ids[i % 20]!, some((i % 20) + 1)])
          )
        })))

    it.effect("a waiter that is interrupted leaves nothing behind", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          for (let turns = 0; turns < 6; turns++) {
            const waiter = yield* Effect.fork(observer.await(driver.runtimeId, inputId))
            yield* Effect.repeatN(eventLoopTurn, turns)
            yield* Fiber.interrupt(waiter)
            assert.strictEqual(spy.open, 0)
          }
        })))

    it.effect("a read that fails is the waiter's typed failure", () => {
      const broken = new ReadFailed({ operation: "input", cause: new Error("the disk is on fire") })
      let isBroken = false
      return withObserver({
        stores,
        trouble: ({ loadInputState }) => ({
          loadInputState: (...of) => Effect.suspend(() => isBroken ? Effect.fail(broken) : loadInputState(...of))
        })
      }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          const waiter = yield* Effect.fork(Effect.flip(observer.await(driver.runtimeId, inputId)))
          yield* settle
          isBroken = true
          yield* F.drain(driver)
          assert.strictEqual((yield* Fiber.join(waiter)).message, broken.message)
          assert.strictEqual(spy.open, 0)
          isBroken = false
          assert.strictEqual((yield* observer.await(driver.runtimeId, inputId)).inputId, inputId)
        }))
    })

    it.effect("a receipt that is gone or a result that is no JSON is RecordCorrupt, and never a missing result", () => {
      let receipt: "gone" | "garbled" = "gone"
      return withObserver({
        stores,
        trouble: ({ loadBoundaryReceipt }) => ({
          loadBoundaryReceipt: (...of) =>
            Effect.map(
              loadBoundaryReceipt(...of),
              (found) => receipt === "gone" ? none() : Option.map(found, (one) => ({ ...one, result: some("{") }))
            )
        })
      }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          yield* F.drain(driver)
          const wait = Effect.flip(observer.await(driver.runtimeId, inputId))
          assert.deepInclude(yield* wait, { _tag: "RecordCorrupt", record: `input ${inputId}`, field: "outcome" })
          receipt = "garbled"
          assert.strictEqual((yield* wait)._tag, "RecordCorrupt")
        }))
    })

    it.effect("who waits when the observer closes gets StoreClosed", () =>
      withObserver({ stores }, ({ driver, store }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt("go"))
          const scope = yield* Scope.make()
          const { observer, spy } = yield* Scope.extend(observing(store), scope)
          const waiter = yield* Effect.fork(Effect.flip(observer.await(driver.runtimeId, inputId)))
          yield* settle
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual((yield* Fiber.join(waiter))._tag, "StoreClosed")
          assert.strictEqual(spy.open, 0)
          assert.strictEqual((yield* Effect.flip(observer.await(driver.runtimeId, inputId)))._tag, "StoreClosed")
        })))
  })
}

describe("WouldDeadlock", () => {
  it("tells a run that waits for its own runtime from one that waits for another", () => {
    const own = new WouldDeadlock({ runtimeId: "ana", by: "ana" })
    const other = new WouldDeadlock({ runtimeId: "bob", by: "ana" })
    assert.include(own.message, "A run of ana would wait for its own runtime")
    assert.include(other.message, "A run of ana would wait for bob, which itself waits for that run")
    assert.deepStrictEqual([own.retryable, other.retryable], [false, false])
  })
})

describe("await, over a file", () => {
  const opened = (filename: string) => Layer.provideMerge(ObserverLive.layer, BurrowSqlite.layer({ filename }))

  it.scoped("answers after the file was closed and opened again, whatever has ended before", () =>
    Effect.gen(function*() {
      const filename = `${yield* folder}/burrow.db`
      const { dead, done, waits } = yield* Effect.gen(function*() {
        const driver = yield* Effect.flatMap(Drivers, (drivers) => drivers.get("ana"))
        const done = yield* F.accept(driver, F.prompt("done"))
        yield* driver.complete({ ...(yield* F.stage(driver)), result: { eggs: 2 } })
        const dead = yield* F.accept(driver, F.prompt("dead"))
        const { runId } = yield* F.stage(driver)
        yield* driver.fail({ runId, failure: F.failure, recoverable: false })
        const waits = yield* F.accept(driver, F.prompt("waits"))
        return { done: done.inputId, dead: dead.inputId, waits: waits.inputId }
      }).pipe(Effect.provide(opened(filename)))
      yield* Effect.gen(function*() {
        const observer = yield* Observer
        assert.deepStrictEqual((yield* observer.await("ana", done)).result, some({ eggs: 2 }))
        assert.strictEqual((yield* Effect.flip(observer.await("ana", dead)))._tag, "DeadLettered")
        const waiter = yield* Effect.fork(observer.await("ana", waits))
        yield* settle
        yield* F.drain(yield* Effect.flatMap(Drivers, (drivers) => drivers.get("ana")))
        assert.strictEqual((yield* Fiber.join(waiter)).inputId, waits)
      }).pipe(Effect.provide(opened(filename)))
    }))

  it.scopedLive("a reader beside the owner hears of an end, and leaves no subscription", () =>
    Effect.gen(function*() {
      const filename = `${yield* folder}/burrow.db`
      const owner = yield* Layer.build(BurrowSqlite.layer({ filename }))
      const driver = yield* Context.get(owner, Drivers).get("ana")
      const { inputId } = yield* F.accept(driver, F.prompt("go"))
      const reader = yield* Layer.build(RuntimeStoreSqlite.layerReader({ filename }))
      const { observer, spy } = yield* observing(Context.get(reader, RuntimeStore))
      const waiter = yield* Effect.fork(observer.await("ana", inputId))
      yield* settle
      yield* F.acceptAll(driver, [F.prompt("other")])
      const { runId } = yield* F.stage(driver)
      yield* driver.complete({ runId, result: "done" })
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, some("done"))
      assert.strictEqual(spy.open, 0)
    }))

  it.effect("is the same service over everything in memory", () =>
    Effect.gen(function*() {
      const observer = yield* Observer
      const driver = yield* Effect.flatMap(Drivers, (drivers) => drivers.get("ana"))
      const { inputId } = yield* F.accept(driver, Input.prompt("go"))
      yield* F.drain(driver)
      assert.strictEqual((yield* observer.await("ana", inputId)).inputId, inputId)
    }).pipe(Effect.provide(Layer.provideMerge(ObserverLive.layer, Burrow.layerMemory))))
})
