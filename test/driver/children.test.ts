import { assert, describe } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { InputId } from "../../src/schema/Ids.js"
import type { Draft } from "../../src/schema/Input.js"
import { ReadFailed, RecordCorrupt } from "../../src/schema/StoreError.js"
import type { Drivers, Service } from "../../src/services/Driver.js"
import { inputOf, waitingFor } from "../../src/testing/conformance/driver/deposits.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { test } from "./faulty.js"

type DriversService = Context.Tag.Service<Drivers>

const to = "child"
const outbox = [{ to, input: F.prompt("child", { key: "child" }), endsWithBatch: true }]

/** An open run that has sent a child. */
const parent = (driver: Service, text = "go") =>
  Effect.gen(function*() {
    const { inputId } = yield* F.accept(driver, F.prompt(text))
    const { runId } = yield* F.stageOf(driver, [text])
    yield* driver.note({ runId, outbox })
    return { runId, inputId, cancel: driver.cancel({ runId, reason: "enough" }) }
  })

const cancelOf = (inputId: InputId): Draft => ({
  _tag: "operation",
  header: { origin: { _tag: "peer", peerId: "parent" }, idempotencyKey: `cancel/${inputId}` },
  operationId: inputId,
  event: { _tag: "cancelled" }
})

const kindsOf = (drivers: DriversService) =>
  Effect.flatMap(
    waitingFor(drivers, to),
    (found) => Effect.forEach(found, (deposit) => Effect.map(inputOf(deposit), ({ _tag }) => _tag))
  )

describe("the commit that ends a batch with a child", () => {
  for (const fate of ["fail", "busy", "die", "stale"] as const) {
    test(`I2, I3: when it is not written, neither the batch nor its child has ended (${fate})`, ({ driver, drivers, faults }) =>
      Effect.gen(function*() {
        const { cancel } = yield* parent(driver)
        faults.next(fate)
        yield* F.expectUnchanged(driver, Effect.exit(cancel))
        assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt"])
      }))
  }

  test("I2: it is one", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const { cancel } = yield* parent(driver)
      const before = faults.commits
      yield* cancel
      assert.strictEqual(faults.commits, before + 1)
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt", "operation"])
    }))

  test("I2, I12: in doubt, and turned out committed, it has ended both", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const { cancel } = yield* parent(driver)
      faults.next("committed")
      assert.strictEqual((yield* cancel).abandoned.length, 1)
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt", "operation"])
    }))

  test("I2, I12: in doubt, and turned out absent, it ends both when it is repeated", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const { cancel } = yield* parent(driver)
      faults.next("lost")
      assert.strictEqual((yield* Effect.flip(cancel))._tag, "WriteFailed")
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt"])
      yield* cancel
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt", "operation"])
    }))

  test("I2: the boundary that sends a child notes it in the same commit", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const note = driver.note({ runId, after: 0, outbox })
      faults.next("fail")
      yield* Effect.flip(note)
      assert.deepStrictEqual(yield* kindsOf(drivers), [])
      const batch = Option.getOrThrow(yield* driver.openRun).batch
      const scope = `children/${batch}`
      assert.deepStrictEqual(yield* drivers.store.loadNotes(driver.runtimeId, scope), [])
      const before = faults.commits
      yield* note
      assert.strictEqual(faults.commits, before + 1)
      const [sent] = yield* waitingFor(drivers, to)
      const value = { runtimeId: to, inputId: sent!.inputId }
      assert.deepStrictEqual(yield* drivers.store.loadNotes(driver.runtimeId, scope), [
        { scope, key: sent!.inputId, value }
      ])
    }))

  test("I5: is decided anew with what the index knows: a cancel that came before its input cancels nothing later", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const id = yield* F.freshInputId
      yield* F.accept(driver, cancelOf(id))
      yield* F.accept(driver, F.prompt("go", { id }))
      const { runId } = yield* F.stageOf(driver, ["go"])
      yield* driver.note({ runId, outbox })
      faults.blind = true
      const again = yield* F.expectUnchanged(driver, driver.accept(cancelOf(id)))
      assert.strictEqual(again._tag, "deduplicated")
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt"])
    }))
})

describe("children that cannot be read", () => {
  test("I3: their batch does not end while the store fails, and nothing is written", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const { cancel, inputId } = yield* parent(driver)
      faults.notesFail = new ReadFailed({ operation: "notes", cause: new Error("the disk is on fire") })
      const ends: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        cancel,
        driver.stop,
        driver.destroy,
        driver.accept(cancelOf(inputId))
      ]
      for (const end of ends) {
        assert.strictEqual((yield* F.expectUnchanged(driver, Effect.flip(end)))._tag, "ReadFailed")
      }
      faults.notesFail = undefined
      yield* cancel
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt", "operation"])
    }))

  test("I17: keep no run from being stopped when their record is corrupt", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const { cancel } = yield* parent(driver)
      faults.notesFail = new RecordCorrupt({ runtimeId: driver.runtimeId, record: "note", field: "value", problem: "" })
      assert.strictEqual((yield* cancel).abandoned.length, 1)
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt"])
    }))
})

describe("what has no children", () => {
  test("I16: is ended without a look, and together with others", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), F.flow("c")])
      const before = faults.commits
      yield* Effect.all([
        driver.cancel({ runId, reason: "enough" }),
        ...ids.slice(1).map((inputId) => driver.cancelInput({ inputId, reason: "enough" })),
        driver.accept(cancelOf(ids[0]!))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* driver.activeInputIds, [])
      assert.isBelow(faults.commits, before + 4)
      yield* F.accept(driver, F.prompt("p"))
      yield* driver.abandonPending({ _tag: "reset" })
      yield* driver.reset
      yield* driver.destroy
      assert.strictEqual(faults.notesLoads, 0)
    }))

  test("I16: a boundary without children looks for none, nor does the first one with some", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.note({ runId, outbox })
      yield* driver.checkpoint({ runId })
      assert.strictEqual(faults.notesLoads, 0)
      yield* driver.note({ runId, outbox })
      assert.strictEqual(faults.notesLoads, 1)
    }))

  test("takes no neighbour out of its turn: commands beside one that ends a child are answered", ({ driver, drivers }) =>
    Effect.gen(function*() {
      const { cancel } = yield* parent(driver)
      const answers = yield* Effect.all([driver.accept(F.flow("a")), cancel, driver.accept(F.flow("b"))], {
        concurrency: "unbounded"
      })
      assert.strictEqual(answers[1].abandoned.length, 1)
      assert.deepStrictEqual(yield* kindsOf(drivers), ["prompt", "operation"])
      yield* F.expectConsistent(driver)
      assert.deepStrictEqual(yield* F.drain(driver), [["a", "b"]])
    }))
})
