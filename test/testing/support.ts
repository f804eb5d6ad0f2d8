/** Applications that are crashed, in memory and in a SQLite file. */
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RuntimeEvent } from "../../src/schema/RuntimeEvent.js"
import { ControlPlane, type Service as Plane } from "../../src/services/ControlPlane.js"
import type { DeltaError, Options, Output, Run } from "../../src/services/Executor.js"
import { Observer } from "../../src/services/Observer.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { tally } from "../engine/support.js"

const TIMEOUT_MILLIS = 30_000

type Body = Effect.Effect<void, unknown, AgentTest.Services | Scope.Scope>

/** Of one layer, which is built for the test and closed with it. */
export const test = (name: string, body: Body) =>
  it.scoped(name, () => Effect.provide(body, AgentTest.layer), TIMEOUT_MILLIS)

export const testSql = (
  name: string,
  body: Effect.Effect<void, unknown, AgentTest.Services | SqlClient.SqlClient | Scope.Scope>
) => it.scoped(name, () => Effect.provide(body, AgentTest.layerSql), TIMEOUT_MILLIS)

export const testEach = (name: string, body: Body) => {
  test(`${name}, in memory`, body)
  testSql(`${name}, in a SQLite file`, body)
}

/** Agent `a` of this executor, and the control plane. */
export const hosting = <E, R, AE = never, AR = never>(
  apply: (run: Run) => Effect.Effect<Output<AE, AR> | void, E, R>,
  options?: Options<E | AE | DeltaError, R>
) => Effect.flatMap(ControlPlane, (plane) => Effect.as(plane.register("a", { apply }, options), plane))

export const events = (runtimeId: string): Effect.Effect<ReadonlyArray<RuntimeEvent>, unknown, Observer> =>
  Effect.flatMap(
    Observer,
    (observer) =>
      Effect.map(observer.events(runtimeId, { limit: 1_000 }), (records) => records.map(({ event }) => event))
  )

/** What has become of the runs of a runtime. */
export const runs = (runtimeId: string) =>
  Effect.map(
    events(runtimeId),
    (events) => Object.fromEntries(Object.entries(tally(events)).filter(([name]) => name.startsWith("run.")))
  )

export const sent = (plane: Plane, runtimeId: string, draft: Parameters<Plane["ingest"]>[1]) =>
  Effect.map(plane.ingest(runtimeId, draft), (outcome) => {
    assert.strictEqual(outcome._tag, "accepted")
    return outcome.inputId
  })

export const payments = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE payments (invoice TEXT NOT NULL)`
  return {
    sql,
    pay: (invoice: string) => sql`INSERT INTO payments (invoice) VALUES (${invoice})`,
    all: Effect.map(
      sql<{ readonly invoice: string }>`SELECT invoice FROM payments ORDER BY rowid`,
      (rows) => rows.map(({ invoice }) => invoice)
    )
  }
})
