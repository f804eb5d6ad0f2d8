/**
 * Brings a database to the tables of this version. `@effect/sql`'s migrator answers success when another process had
 * the lock; this one reads back what is there before it answers.
 */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type CommitError, type ReadFailed, SchemaFromTheFuture, StoreOpenFailed } from "../../schema/StoreError.js"
import { attempt, type Dialect } from "./Lease.js"
import * as initial from "./migrations/0001_initial.js"
import { commitError, type Transactor } from "./transact.js"

type Connection = SqlConnection.Connection

export interface Migration {
  readonly name: string
  readonly statements: (dialect: Dialect) => ReadonlyArray<string>
}

/** In order; the first one makes version 1. */
export const migrations: ReadonlyArray<Migration> = [{ name: "initial", statements: initial.statements }]

interface Entry {
  readonly version: number
  readonly name: string
}

const LEDGER = "burrow_migrations"

const objects = {
  sqlite: "SELECT name AS \"name\" FROM sqlite_master WHERE name LIKE 'burrow\\_%' ESCAPE '\\'",
  pg: "SELECT relname AS \"name\" FROM pg_class WHERE relname LIKE 'burrow\\_%' AND relnamespace = " +
    "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
}

const ledgerTables = {
  sqlite: `CREATE TABLE ${LEDGER} (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)`,
  pg: `CREATE TABLE ${LEDGER} (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`
}

const inserts = {
  sqlite: `INSERT INTO ${LEDGER} (version, name, applied_at) VALUES (?, ?, ?)`,
  pg: `INSERT INTO ${LEDGER} (version, name, applied_at) VALUES ($1, $2, $3)`
}

const rows = (connection: Connection, text: string, params: ReadonlyArray<unknown> = []) =>
  // Not prepared: the client would remember the failure of a table that is not there yet.
  attempt(() => connection.executeUnprepared(text, params, undefined))

/** What a migration makes, by name, so that a ledger that lies is found. */
const madeBy = ({ statements }: Migration): ReadonlyArray<string> =>
  statements("sqlite").flatMap((text) => /^CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)/.exec(text)?.[1] ?? [])

interface Found {
  readonly ledger: ReadonlyArray<Entry>
  readonly objects: ReadonlySet<string>
}

const look = (dialect: Dialect, connection: Connection): Effect.Effect<Found, SqlError.SqlError> =>
  Effect.gen(function*() {
    const names = new Set((yield* rows(connection, objects[dialect])).map(({ name }) => String(name)))
    const entries = names.has(LEDGER)
      ? yield* rows(connection, `SELECT version AS "version", name AS "name" FROM ${LEDGER} ORDER BY version`)
      : []
    return { objects: names, ledger: entries.map(({ name, version }) => ({ name, version: Number(version) })) }
  })

const versionOf = ({ ledger }: Found): number => ledger.at(-1)?.version ?? 0

export interface Options {
  /** What is migrated, for errors. */
  readonly filename: string
  readonly migrations?: ReadonlyArray<Migration>
}

/** Why the database is not what its ledger says, or has not become what it should be. */
const problemOf = (found: Found, expected: ReadonlyArray<Migration>): string | undefined => {
  const { ledger, objects } = found
  if (ledger.length !== expected.length || versionOf(found) !== expected.length) {
    return `its ledger lists ${ledger.length} migrations up to version ${
      versionOf(found)
    } instead of ${expected.length}`
  }
  const other = ledger.find(({ name }, i) => name !== expected[i]?.name)
  if (other !== undefined) return `its migration ${other.version} is ${JSON.stringify(other.name)}, which is not ours`
  const missing = expected.flatMap(madeBy).find((name) => !objects.has(name))
  return missing === undefined ? undefined : `its ledger is at version ${versionOf(found)}, but ${missing} is missing`
}

/**
 * Runs the migrations that the database has not had, all in one transaction. A database of a newer library is not
 * touched. A database that is up to date is only read.
 */
export const migrate = (
  transactor: Transactor,
  options: Options
): Effect.Effect<void, SchemaFromTheFuture | StoreOpenFailed | ReadFailed | CommitError> =>
  Effect.gen(function*() {
    const expected = options.migrations ?? migrations
    const { dialect } = transactor
    const isBehind = (found: Found): boolean => versionOf(found) < expected.length
    if (isBehind(yield* transactor.read(LEDGER, (connection) => look(dialect, connection)))) {
      yield* transactor.transact("the migration", (connection) =>
        Effect.mapError(
          // Another process may have migrated since.
          Effect.flatMap(
            look(dialect, connection),
            (found) => isBehind(found) ? apply(dialect, connection, found, expected) : Effect.void
          ),
          commitError("the migration")
        ))
    }
    yield* verify(transactor, options)
  })

/** Fails unless the database is exactly at this library's version. Changes nothing. */
export const verify = (
  transactor: Transactor,
  { filename, migrations: expected = migrations }: Options
): Effect.Effect<void, SchemaFromTheFuture | StoreOpenFailed | ReadFailed> =>
  Effect.gen(function*() {
    const found = yield* transactor.read(LEDGER, (connection) => look(transactor.dialect, connection))
    const version = versionOf(found)
    if (version > expected.length) {
      return yield* new SchemaFromTheFuture({ record: filename, version, known: expected.length })
    }
    const reason = problemOf(found, expected)
    if (reason !== undefined) return yield* new StoreOpenFailed({ filename, reason })
  })

const apply = Effect.fnUntraced(function*(
  dialect: Dialect,
  connection: Connection,
  found: Found,
  expected: ReadonlyArray<Migration>
) {
  const from = versionOf(found)
  const now = yield* Clock.currentTimeMillis
  if (!found.objects.has(LEDGER)) yield* rows(connection, ledgerTables[dialect])
  // Whoever still holds a token of the older tables must not write the newer ones.
  if (from > 0) yield* rows(connection, "UPDATE burrow_runtimes SET epoch = epoch + 1")
  for (const [i, migration] of expected.entries()) {
    if (i < from) continue
    for (const text of migration.statements(dialect)) yield* rows(connection, text)
    yield* rows(connection, inserts[dialect], [i + 1, migration.name, now])
  }
})
