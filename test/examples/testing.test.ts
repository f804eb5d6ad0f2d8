/** Agents of the examples in a process that the test crashes, on the test's clock. */
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { AgentTest } from "effect-burrow/testing"
import { Bank, Refunds, RefundsLive } from "../../examples/approval.js"
import { Ledger, LedgerLive } from "../../examples/own-table.js"

const paid: Array<string> = []
const BankTest = Layer.succeed(Bank, { pay: (order) => Effect.sync(() => paid.push(order)) })

it.layer(RefundsLive.pipe(Layer.provide(BankTest), Layer.provideMerge(AgentTest.layer)))("refunds", (it) => {
  it.effect("an answer after three days and a restart is honoured, once", () =>
    Effect.gen(function*() {
      const refunds = Refunds.of("shop")
      const { inputId } = yield* refunds.event("requested", { order: "o", cents: 5000 }, { key: "o" })
      yield* TestClock.adjust("3 days")
      yield* AgentTest.crash
      yield* refunds.answer("approval", "o", { approved: true, by: "ana" })
      yield* refunds.answer("approval", "o", { approved: true, by: "ana" }) // double click
      assert.strictEqual(yield* refunds.await(inputId), "paid")
      assert.deepStrictEqual(paid, ["o"])
    }))

  it.effect("nobody answers for a week", () =>
    Effect.gen(function*() {
      const refunds = Refunds.of("shop-2")
      const { inputId } = yield* refunds.event("requested", { order: "o", cents: 5000 })
      const waiter = yield* Effect.fork(refunds.await(inputId))
      yield* TestClock.adjust("7 days")
      assert.strictEqual(yield* Fiber.join(waiter), "expired")
    }))
})

it.layer(LedgerLive.pipe(Layer.provideMerge(AgentTest.layerSql)))("ledger", (it) => {
  it.effect("one row per event, whatever dies", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* AgentTest.crashAfterCommit(1)
      const { inputId } = yield* Ledger.of("l").event("paid", { invoice: "i1", cents: 3 })
      yield* Ledger.of("l").await(inputId)
      assert.strictEqual((yield* sql`SELECT * FROM payments`).length, 1)
    }))
})
