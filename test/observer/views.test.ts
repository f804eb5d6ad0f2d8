import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { redriveKey } from "../../src/schema/Ids.js"
import { RecordCorrupt } from "../../src/schema/StoreError.js"
import type { Service } from "../../src/services/Driver.js"
import { agentOf, type DeadLetterFilter, type Observer } from "../../src/services/Observer.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { environments, withObserver } from "./bench.js"
import { says } from "./story.js"

const { none, some } = Option

const die = (driver: Service, tag: string) =>
  Effect.gen(function*() {
    const { inputId } = yield* F.accept(driver, F.prompt(tag))
    const { runId } = yield* F.stage(driver)
    yield* driver.fail({ runId, failure: { tag, message: "no" }, recoverable: false })
    return inputId
  })

const dead = (observer: Context.Tag.Service<Observer>, filter?: DeadLetterFilter) =>
  Effect.map(Stream.runCollect(observer.deadLetters(filter)), Chunk.toReadonlyArray)

describe("agentOf", () => {
  it("is the part before the first slash, or the whole id", () => {
    assert.deepStrictEqual(["a/b/c", "a", "/b", ""].map(agentOf), ["a", "a", "", ""])
  })
})

for (const { name, stores } of environments) {
  describe(`what an observer lists, in ${name}`, () => {
    it.effect("runtimes and inputs come in pages", () =>
      withObserver({ stores }, ({ drivers, observer }) =>
        Effect.gen(function*() {
          const driver = yield* drivers.get("a/1")
          yield* drivers.get("a/2")
          const ids = (yield* observer.runtimes()).map(({ runtimeId }) => runtimeId as string)
          assert.includeMembers(ids, ["a/1", "a/2"])
          assert.deepStrictEqual(yield* observer.runtimes({ after: "a/1", limit: 1 }), [
            { runtimeId: "a/2" as never, state: "idle" }
          ])
          const [first] = yield* F.acceptAll(driver, [F.prompt("one"), F.prompt("two")])
          const gone = yield* Effect.tap(F.stage(driver), ({ runId }) =>
            driver.fail({ runId, failure: F.failure, recoverable: false }))
          const waits = yield* F.accept(driver, F.prompt("three"))
          const listed = (page?: Parameters<typeof observer.inputs>[1]) =>
            Effect.map(
              observer.inputs("a/1", page),
              (rows) =>
                rows.map((row) => Either.getOrThrow(row).head.id)
            )
          const all = yield* listed()
          assert.deepStrictEqual([all.length, all[0], all[2]], [3, first, waits.inputId])
          assert.deepStrictEqual(F.idsOf(gone), [first!])
          assert.deepStrictEqual(yield* listed({ only: "dead" }), [first!])
          assert.deepStrictEqual(yield* listed({ only: "active" }), all.slice(1))
          assert.deepStrictEqual(yield* listed({ only: "active", limit: 1, after: waits.state.sequence - 1 }), [
            waits.inputId
          ])
        })))

    it.effect("an input has its head and body, and what it was redriven as once it was", () =>
      withObserver({ stores }, ({ driver, observer, store }) =>
        Effect.gen(function*() {
          const { runtimeId } = driver
          const inputId = yield* die(driver, "Boom")
          const before = Option.getOrThrow(yield* observer.input(runtimeId, inputId))
          const { body, head } = Option.getOrThrow(yield* store.loadInputState(runtimeId, inputId))
          assert.deepStrictEqual(before, { head, body, redrivenAs: none() })
          const again = yield* F.accept(driver, F.prompt("Boom", { key: redriveKey(inputId) }))
          assert.deepStrictEqual(Option.getOrThrow(yield* observer.input(runtimeId, inputId)), {
            head,
            body,
            redrivenAs: some(again.inputId)
          })
          assert.deepStrictEqual(yield* observer.input(runtimeId, yield* F.freshInputId), none())
        })))

    it.effect("a runtime at a glance is what its rows say", () =>
      withObserver({ stores }, ({ drivers, observer, store }) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* observer.inspect("cook/ana"), none())
          const driver = yield* drivers.get("cook/ana")
          const look = Effect.map(observer.inspect("cook/ana"), Option.getOrThrow)
          assert.deepInclude(yield* look, { agent: "cook", state: "idle", paused: false, session: none() })
          yield* F.running(driver)
          yield* driver.pause
          assert.deepInclude(yield* look, { state: "running", paused: true })
          const { runId } = Option.map(yield* driver.openRun, ({ id }) => ({ runId: id })).pipe(Option.getOrThrow)
          yield* driver.complete({ runId })
          yield* driver.retire
          const { runtimeId } = driver
          assert.deepStrictEqual(yield* look, {
            runtimeId,
            agent: "cook",
            state: "retired",
            paused: true,
            session: yield* driver.session,
            totals: yield* store.loadTotals(runtimeId)
          })
        })))

    it.effect("receipts come with their results, transcripts and events in pages", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const { runtimeId } = driver
          const { runId } = yield* F.running(driver)
          const first = yield* driver.checkpoint({ runId, delta: { append: says("m", 3) } })
          const second = yield* driver.complete({ runId, result: [1, { two: 2 }] })
          assert.deepStrictEqual(
            yield* observer.receipt(runtimeId, runId, 1),
            some({ receipt: first.receipt, result: none() })
          )
          assert.deepStrictEqual(
            yield* observer.receipt(runtimeId, runId, 2),
            some({ receipt: second.receipt, result: some([1, { two: 2 }]) })
          )
          assert.deepStrictEqual(yield* observer.receipt(runtimeId, runId, 3), none())
          assert.deepInclude(yield* observer.transcript(runtimeId, { start: 2, limit: 1 }), {
            length: 4,
            messages: says("m", 3).slice(1, 2)
          })
          const events = yield* observer.events(runtimeId, { after: 1, limit: 2 })
          assert.deepStrictEqual(events.map(({ number }) => number), [2, 3])
        })))

    it.effect("dead letters of all runtimes are listed, over many pages, with what they were redriven as", () =>
      withObserver({ stores }, ({ drivers, observer }) =>
        Effect.gen(function*() {
          const expected: Array<string> = []
          for (const id of ["a/1", "a/2", "b"]) {
            const driver = yield* drivers.get(id)
            for (let i = 0; i < 70; i++) expected.push(yield* die(driver, "Boom"))
          }
          const again = yield* F.accept(yield* drivers.get("b"), F.prompt("x", { key: `redrive/${expected[150]}` }))
          const found = yield* dead(observer)
          assert.deepStrictEqual(found.map(({ inputId }) => inputId as string), expected)
          assert.deepStrictEqual(
            found.map(({ redrivenAs }) => redrivenAs),
            expected.map((_, i) => i === 150 ? some(again.inputId) : none())
          )
        })))

    it.effect("dead letters are found by agent, by time and by the failure's tag", () =>
      withObserver({ stores }, ({ drivers, observer }) =>
        Effect.gen(function*() {
          const ana = yield* drivers.get("a/1")
          const bob = yield* drivers.get("b")
          const first = yield* die(ana, "Boom")
          yield* TestClock.adjust("1 minute")
          const second = yield* die(ana, "Bang")
          const third = yield* die(bob, "Boom")
          const ids = (filter?: DeadLetterFilter) =>
            Effect.map(dead(observer, filter), (found) => found.map(({ inputId }) => inputId))
          assert.deepStrictEqual(yield* ids(), [first, second, third])
          assert.deepStrictEqual(yield* ids({ agent: "a" }), [first, second])
          assert.deepStrictEqual(yield* ids({ agent: "a/1" }), [])
          assert.deepStrictEqual(yield* ids({ since: 60_000 }), [second, third])
          assert.deepStrictEqual(yield* ids({ since: 60_001 }), [])
          assert.deepStrictEqual(yield* ids({ errorTag: "Boom" }), [first, third])
          assert.deepStrictEqual(yield* ids({ agent: "a", since: 60_000, errorTag: "Boom" }), [])
          assert.deepStrictEqual((yield* dead(observer, { errorTag: "Bang" }))[0], {
            runtimeId: ana.runtimeId,
            agent: "a",
            inputId: second,
            attempts: 1,
            error: some({ tag: "Bang", message: "no" }),
            diedAt: 60_000,
            redrivenAs: none()
          })
        })))

    it.effect("I17: a dead letter that cannot be read is left out, and hides no other", () => {
      const isCorrupt = (i: number) => i === 1
      return withObserver({
        stores,
        trouble: ({ loadAllDeadLetters }) => ({
          loadAllDeadLetters: (page) =>
            Effect.map(loadAllDeadLetters(page), (rows) =>
              rows.map((row, i) =>
                isCorrupt(i)
                  ? {
                    ...row,
                    input: Either.left(
                      new RecordCorrupt({ runtimeId: row.runtimeId, record: "input", field: "$", problem: "?" })
                    )
                  }
                  : row
              ))
        })
      }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const ids = [yield* die(driver, "A"), yield* die(driver, "B"), yield* die(driver, "C")]
          assert.deepStrictEqual((yield* dead(observer)).map(({ inputId }) => inputId), [ids[0]!, ids[2]!])
        }))
    })
  })
}
