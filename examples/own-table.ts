/**
 * Rows of your own in the transaction of the receipt: exactly one row for each event, whatever dies when.
 *
 *   npx tsx examples/own-table.ts
 *
 * Kill it with `kill -9` wherever you like and start it again.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqlClient from "@effect/sql/SqlClient"
import { Console, Effect, Layer, Schema } from "effect"
import { Agent } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import { isEntry } from "./entry.js"

export class Ledger extends Agent.make("ledger", {
  events: { paid: Schema.Struct({ invoice: Schema.String, cents: Schema.Number }) }
}) {}

const Tables = Layer.effectDiscard(
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE IF NOT EXISTS payments (invoice TEXT, cents INTEGER)`)
)

export const LedgerLive = Ledger.toLayer(Effect.fn(function*(run) {
  return {
    alongside: Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient // the store's own: same transaction as the receipt
      for (const input of run.inputs) {
        if (input._tag === "Event") {
          yield* sql`INSERT INTO payments (invoice, cents) VALUES (${input.payload.invoice}, ${input.payload.cents})`
        }
      }
    })
  }
})).pipe(Layer.provide(Tables))

const Live = LedgerLive.pipe(
  Layer.provideMerge(BurrowSqlite.layer({ filename: process.env["DB"] ?? "ledger.db" }))
)

const program = Effect.gen(function*() {
  const ledger = Ledger.of("2026")
  for (const [invoice, cents] of [["i-1", 995], ["i-2", 1200], ["i-3", 50]] as const) {
    const { inputId } = yield* ledger.event("paid", { invoice, cents }, { key: invoice })
    yield* ledger.await(inputId)
  }
  const sql = yield* SqlClient.SqlClient
  for (const { cents, invoice } of yield* sql`SELECT * FROM payments`) yield* Console.log(`${invoice}: ${cents} cents`)
})

if (isEntry(import.meta)) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
