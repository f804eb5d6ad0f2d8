import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** A folder of the test's own, gone with it. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), "burrow-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** A client of a connection of its own, which never waits for a lock. */
export const connect = (filename: string): Effect.Effect<SqliteClient.SqliteClient, never, Scope.Scope> =>
  SqliteClient.make({ filename }).pipe(
    Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make),
    Effect.tap((sql) => Effect.orDie(sql`PRAGMA busy_timeout = 0`))
  )

/** A client in a file of its own, with a table whose numbers are unique. */
export const client = Effect.gen(function*() {
  const filename = path.join(yield* folder, "test.db")
  const sql = yield* connect(filename)
  yield* sql`CREATE TABLE numbers (number INTEGER PRIMARY KEY)`
  return { filename, sql }
})

/** What another connection sees: the committed numbers. */
export const committedNumbers = (filename: string): Effect.Effect<ReadonlyArray<number>> =>
  // No client: inside a transaction its statements would go to the transaction's connection.
  Effect.sync(() => {
    const database = new Database(filename, { readonly: true })
    try {
      return database.prepare<[], { number: number }>("SELECT number FROM numbers ORDER BY number").all()
        .map(({ number }) => number)
    } finally {
      database.close()
    }
  })

export const numbersOf = (sql: SqlClient.SqlClient): Effect.Effect<ReadonlyArray<number>, SqlError.SqlError> =>
  Effect.map(
    sql<{ readonly number: number }>`SELECT number FROM numbers ORDER BY number`,
    (rows) => rows.map(({ number }) => number)
  )

export const insert = (connection: SqlConnection.Connection, number: number) =>
  connection.execute("INSERT INTO numbers (number) VALUES (?)", [number], undefined)

/** The same client with one connection, whose statements go through `intercept` first. */
export const intercepted = (
  sql: SqliteClient.SqliteClient,
  intercept: (
    text: string,
    run: Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>,
    real: SqlConnection.Connection
  ) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>
): Effect.Effect<SqlClient.SqlClient, SqlError.SqlError> =>
  Effect.map(Effect.scoped(sql.reserve), (real) => {
    const connection: SqlConnection.Connection = {
      ...real,
      execute: (text, params, transform) =>
        intercept(text, Effect.suspend(() => real.execute(text, params, transform)), real),
      executeUnprepared: (text, params, transform) =>
        intercept(text, Effect.suspend(() => real.executeUnprepared(text, params, transform)), real)
    }
    return Object.assign(Object.create(sql) as SqlClient.SqlClient, { reserve: Effect.as(sql.reserve, connection) })
  })

/** The failure of an effect that must fail. */
export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.orDieWith(Effect.flip(effect), (value) => new Error(`it succeeded with ${JSON.stringify(value)}`))
