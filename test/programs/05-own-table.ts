import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Layer, Schema } from "effect"
import { Agent } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"

export class Ledger extends Agent.make("ledger", {
  events: { paid: Schema.Struct({ invoice: Schema.String, cents: Schema.Number }) }
}) {}

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
}))

const Schema_ = Layer.effectDiscard(
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE IF NOT EXISTS payments (invoice TEXT, cents INTEGER)`)
)

export const Live = LedgerLive.pipe(
  Layer.provide(Schema_),
  Layer.provideMerge(BurrowSqlite.layer({ filename: "ledger.db" }))
)
