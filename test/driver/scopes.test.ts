import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import { Drivers } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withTable } from "./bench.js"
import { sqlite } from "./environments.js"
import { Control, layer as faulty, shut } from "./faulty.js"

const open = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(faulty, scope)
  const driver = yield* Context.get(context, Drivers).get(yield* F.freshRuntimeId)
  return { scope, driver, faults: Context.get(context, Control) }
})

describe("a scope that closes over a doubt", () => {
  it.effect("I12: it ends the resolver, whose barriers stop, and the waiter gets CommitUnknown", () =>
    Effect.gen(function*() {
      const { driver, faults, scope } = yield* open
      faults.next("committed")
      faults.barriersFailing = Number.POSITIVE_INFINITY
      const caller = yield* Effect.fork(Effect.flip(driver.accept(F.prompt("p"))))
      yield* F.turns
      assert.isAtLeast(faults.barriers, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(caller))._tag, "CommitUnknown")
      const { barriers } = faults
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("10 seconds")
        yield* F.turns
      }
      assert.strictEqual(faults.barriers, barriers)
    }))

  it.effect("I12: a commit that turns unknown while it closes starts no resolver, and the waiter gets CommitUnknown", () =>
    Effect.gen(function*() {
      const { driver, faults, scope } = yield* open
      const gate = yield* shut
      faults.gate = gate.wait
      faults.next("committed")
      faults.barriersFailing = Number.POSITIVE_INFINITY
      const caller = yield* Effect.fork(Effect.flip(driver.accept(F.prompt("p"))))
      yield* F.turns
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* F.turns
      yield* gate.open
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Fiber.join(caller))._tag, "CommitUnknown")
      yield* TestClock.adjust("1 minute")
      yield* F.turns
      assert.strictEqual(faults.barriers, 0)
    }))
})

describe("a driver that is being opened", () => {
  it.effect("I14: its waiters are told StoreClosed when the scope closes", () => {
    let asked = 0
    return withTable({
      store: () => ({
        recover: () =>
          Effect.suspend(() => {
            asked++
            return Effect.never
          })
      })
    }, ({ table }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const drivers = yield* Scope.extend(table(), scope)
        const runtimeId = yield* F.freshRuntimeId
        const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Effect.flip(drivers.get(runtimeId))))
        yield* F.turns
        assert.strictEqual(asked, 1)
        yield* Scope.close(scope, Exit.void)
        for (const waiter of waiters) assert.strictEqual((yield* Fiber.join(waiter))._tag, "StoreClosed")
      }))
  })

  it.effect("I14: whoever asks for it inside the store's own transaction is told InsideTransaction, and holds up nobody", () =>
    Effect.gen(function*() {
      const drivers = yield* Drivers
      const sql = yield* SqlClient.SqlClient
      const runtimeId = yield* F.freshRuntimeId
      const entered = yield* Deferred.make<void>()
      const gate = yield* shut
      const inside = yield* Deferred.succeed(entered, undefined).pipe(
        Effect.zipRight(gate.wait),
        Effect.zipRight(Effect.flip(drivers.get(runtimeId))),
        sql.withTransaction,
        Effect.fork
      )
      yield* Deferred.await(entered)
      const opening = yield* Effect.fork(drivers.get(runtimeId))
      yield* F.turns
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(inside))._tag, "InsideTransaction")
      const driver = yield* Fiber.join(opening)
      yield* F.accept(driver, F.prompt("p"))
      const again = yield* sql.withTransaction(drivers.get(runtimeId))
      assert.strictEqual(again, driver, "one that is open is had everywhere")
    }).pipe(Effect.provide(
      DriverPersistent.layerWith({ limits: F.limits }).pipe(
        Layer.provideMerge(sqlite),
        Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
      )
    )))
})
