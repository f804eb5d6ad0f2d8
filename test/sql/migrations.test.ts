import type * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import * as Migrations from "../../src/layers/sql/Migrations.js"
import * as SqlStore from "../../src/layers/sql/SqlStore.js"
import * as Statements from "../../src/layers/sql/Statements.js"
import { makeTransactor } from "../../src/layers/sql/transact.js"
import { ended, start } from "../sqlite/process.js"
import { connect, failureOf, folder, intercepted } from "./support.js"

const fixture = fileURLToPath(new URL("./fixtures/schema-1.sql", import.meta.url))

const setup = Effect.gen(function*() {
  const filename = path.join(yield* folder, "x.db")
  const sql = yield* connect(filename)
  return { filename, sql, transactor: yield* makeTransactor(sql) }
})

const later: Migrations.Migration = {
  name: "later",
  statements: () => ["CREATE TABLE burrow_later (a INTEGER)", "CREATE INDEX burrow_later_a ON burrow_later (a)"]
}
const both = [...Migrations.migrations, later]

const schemaOf = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ readonly sql: string }>`SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name`,
    (rows) => `${rows.map((row) => row.sql).join(";\n\n")};\n`
  )

const ledgerOf = (sql: SqlClient.SqlClient) => sql`SELECT version, name FROM burrow_migrations ORDER BY version`

describe("migrate", () => {
  it.scoped("makes the tables of the fixture, from nothing", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename })
      const schema = yield* schemaOf(sql)
      // To be deleted and made again only together with a new migration: files of version 1 exist.
      if (process.env["UPDATE_FIXTURES"] === "1") fs.writeFileSync(fixture, schema)
      assert.strictEqual(schema, fs.readFileSync(fixture, "utf8"))
      assert.deepStrictEqual(yield* ledgerOf(sql), [{ version: 1, name: "initial" }])
    }))

  it.scoped("gives inputs exactly three indexes that an ordinary accept writes, and two that it does not", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename })
      const indexes = yield* sql<{ readonly name: string; readonly sql: string }>`
        SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'burrow_inputs' ORDER BY name`
      const isIdle = (text: string) => /WHERE (ready_at IS NOT NULL|phase = 'abandoned')$/.test(text)
      assert.deepStrictEqual(indexes.filter(({ sql }) => !isIdle(sql)).map(({ name }) => name), [
        "burrow_inputs_active",
        "burrow_inputs_id",
        "burrow_inputs_key"
      ])
      assert.deepStrictEqual(indexes.filter(({ sql }) => isIdle(sql)).map(({ name }) => name), [
        "burrow_inputs_abandoned",
        "burrow_inputs_ready"
      ])
    }))

  it.scoped("a second time writes nothing", () =>
    Effect.gen(function*() {
      const { filename, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename })
      const watcher = new Database(filename, { readonly: true })
      yield* Effect.addFinalizer(() => Effect.sync(() => watcher.close()))
      const before = watcher.pragma("data_version", { simple: true })
      yield* Migrations.migrate(transactor, { filename })
      assert.strictEqual(watcher.pragma("data_version", { simple: true }), before)
    }))

  it.scoped("from an older version runs what is missing, and fences off who holds a token", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename })
      yield* sql`INSERT INTO burrow_runtimes (runtime_id, epoch, claim_id, n, state, record) VALUES ('r', 4, 'c', 1, 'idle', '{}')`
      yield* Migrations.migrate(transactor, { filename, migrations: both })
      assert.deepStrictEqual(yield* ledgerOf(sql), [{ version: 1, name: "initial" }, { version: 2, name: "later" }])
      assert.deepStrictEqual(yield* sql`SELECT epoch FROM burrow_runtimes`, [{ epoch: 5 }])
    }))

  it.scoped("that fails changes nothing", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      const broken: Migrations.Migration = {
        name: "broken",
        statements: () => [...later.statements("sqlite"), "CREATE NONSENSE"]
      }
      const error = yield* failureOf(
        Migrations.migrate(transactor, { filename, migrations: [...Migrations.migrations, broken] })
      )
      assert.strictEqual(error._tag, "WriteFailed")
      assert.deepStrictEqual(yield* sql`SELECT name FROM sqlite_master`, [])
    }))

  it.scoped("of a newer library's database is SchemaFromTheFuture and changes nothing", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename, migrations: both })
      const before = yield* schemaOf(sql)
      const error = yield* failureOf(Migrations.migrate(transactor, { filename }))
      assert.strictEqual(error._tag, "SchemaFromTheFuture")
      assert.include(error.message, "version 2")
      assert.strictEqual(yield* schemaOf(sql), before)
      assert.strictEqual((yield* failureOf(Migrations.verify(transactor, { filename })))._tag, "SchemaFromTheFuture")
    }))

  it.scoped("of two connections at once happens once", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* setup
      const others = yield* Effect.forEach([1, 2, 3], () => Effect.flatMap(connect(filename), makeTransactor))
      yield* Effect.forEach(others, (transactor) => Migrations.migrate(transactor, { filename }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(yield* ledgerOf(sql), [{ version: 1, name: "initial" }])
    }))

  for (const [name, theirs] of [["same", Migrations.migrations], ["newer", both]] as const) {
    it.scoped(`that another process of a ${name} version has done in the meantime is not done again`, () =>
      Effect.gen(function*() {
        const { filename, sql } = yield* setup
        const otherSql = yield* connect(filename)
        const other = yield* makeTransactor(otherSql)
        const migrateThere = Effect.zipRight(
          Migrations.migrate(other, { filename, migrations: theirs }),
          otherSql`INSERT INTO burrow_runtimes (runtime_id, epoch, claim_id, n, state, record) VALUES ('r', 4, 'c', 1, 'idle', '{}')`
        )
        const raced = yield* intercepted(sql, (text, run) =>
          text === "BEGIN IMMEDIATE"
            ? Effect.zipRight(Effect.orDie(migrateThere), run)
            : run)
        const exit = yield* Effect.either(Migrations.migrate(yield* makeTransactor(raced), { filename }))
        assert.strictEqual(
          Either.isLeft(exit) ? exit.left._tag : "migrated",
          name === "same" ? "migrated" : "SchemaFromTheFuture"
        )
        assert.strictEqual((yield* ledgerOf(sql)).length, theirs.length)
        assert.deepStrictEqual(
          yield* sql`SELECT epoch FROM burrow_runtimes`,
          [{ epoch: 4 }],
          "its owner is not fenced off"
        )
      }))
  }

  it.scoped("of two processes, one after the other, happens once", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* setup
      for (const turn of ["first", "second"]) {
        const child = yield* start("open", filename)
        assert.strictEqual(child.line, "open", turn)
        yield* ended(child)
      }
      assert.deepStrictEqual(yield* ledgerOf(sql), [{ version: 1, name: "initial" }])
    }), 60_000)
})

describe("a ledger that does not tell the truth", () => {
  const lies: ReadonlyArray<
    readonly [name: string, lie: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>]
  > = [
    ["about a table", (sql) => sql`DROP TABLE burrow_events`],
    ["about an index", (sql) => sql`DROP INDEX burrow_inputs_key`],
    ["about whose migrations ran", (sql) => sql`UPDATE burrow_migrations SET name = 'theirs'`],
    ["about how many ran", (sql) => sql`INSERT INTO burrow_migrations VALUES (0, 'before', 1)`]
  ]
  for (const [name, lie] of lies) {
    it.scoped(`${name} is found out`, () =>
      Effect.gen(function*() {
        const { filename, sql, transactor } = yield* setup
        yield* Migrations.migrate(transactor, { filename })
        yield* lie(sql)
        assert.strictEqual((yield* failureOf(Migrations.migrate(transactor, { filename })))._tag, "StoreOpenFailed")
        assert.strictEqual((yield* failureOf(Migrations.verify(transactor, { filename })))._tag, "StoreOpenFailed")
      }))
  }

  it.scoped("because it is gone does not make the tables again", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename })
      yield* sql`DROP TABLE burrow_migrations`
      assert.strictEqual((yield* failureOf(Migrations.migrate(transactor, { filename })))._tag, "WriteFailed")
    }))
})

describe("the statements", () => {
  const sizes = [1, 2, 64]
  const textsOf = (statements: object): ReadonlyArray<string> =>
    Object.values(statements).flatMap((statement: unknown) =>
      typeof statement === "string"
        ? [statement]
        : typeof statement === "function"
        ? sizes.map((size) => (statement as Statements.Sized)(size))
        : typeof statement === "object" && statement !== null
        ? textsOf(statement)
        : []
    )

  it.scoped("can all be prepared, and walk no table from end to end", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      yield* Migrations.migrate(transactor, { filename })
      assert.strictEqual(SqlStore.make(transactor, { name: "sqlite", authorityKey: null }).name, "sqlite")
      for (const text of textsOf(Statements.make("sqlite"))) {
        const params = Array.from({ length: text.split("?").length - 1 }, () => null)
        const plan = yield* sql.unsafe<{ readonly detail: string }>(`EXPLAIN QUERY PLAN ${text}`, params)
        const scans = plan.map(({ detail }) => detail).filter((detail) =>
          /^SCAN \w+/.test(detail) && !/VALUES CLAUSE|CONSTANT ROW|SCAN [pd]$|SCAN v\b/.test(detail) &&
          // The partial indexes hold active inputs, open runs and abandoned inputs only.
          !/USING (COVERING )?INDEX burrow_(inputs_active|runtimes_open|inputs_abandoned)/.test(detail)
        )
        assert.deepStrictEqual(scans, [], text)
      }
    }))

  it("are numbered for PostgreSQL", () => {
    for (const text of textsOf(Statements.make("pg"))) {
      assert.notInclude(text, "?")
      const numbers = [...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number))
      assert.deepStrictEqual(numbers, numbers.map((_, i) => i + 1))
    }
  })
})
