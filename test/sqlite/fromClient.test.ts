/** Everything over an application's own client: `BurrowSqlite.layerFromClient`. */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as path from "node:path"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import { RuntimeId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import { BlobStore } from "../../src/services/BlobStore.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { Executor } from "../../src/services/Executor.js"
import { Inbox } from "../../src/services/Inbox.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { connect, folder } from "../sql/support.js"

/** A new process of the application: its client and its table, and Burrow over them. */
const open = (filename: string, options?: BurrowSqlite.ClientOptions) =>
  Effect.gen(function*() {
    const client = yield* SqliteClient.make({ filename }).pipe(
      Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make)
    )
    yield* client`CREATE TABLE IF NOT EXISTS payments (run TEXT PRIMARY KEY, cents INTEGER NOT NULL)`
    const layer = BurrowSqlite.layerFromClient(options)
    const context = yield* Layer.build(Layer.provide(layer, Layer.succeed(SqlClient.SqlClient, client)))
    return { client, context, plane: Context.get(context, ControlPlane) }
  })

const pay = (end: Effect.Effect<unknown, string>): Executor<never, never, unknown, SqlClient.SqlClient> => ({
  apply: (run) =>
    Effect.succeed({
      result: "paid",
      alongside: Effect.zipRight(
        Effect.flatMap(
          SqlClient.SqlClient,
          (sql) => sql`INSERT INTO payments (run, cents) VALUES (${run.idempotencyKey}, 995)`
        ),
        end
      )
    })
})

const payments = (sql: SqlClient.SqlClient) => Effect.map(sql`SELECT cents FROM payments`, (rows) => rows.length)

const test = (name: string, body: (filename: string) => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.scopedLive(name, () => Effect.flatMap(folder, (at) => body(path.join(at, "app.db"))), 30_000)

describe("BurrowSqlite.layerFromClient", () => {
  test("carries out inputs, whose alongside is on the application's client, in its tables", (filename) =>
    Effect.gen(function*() {
      const { client, plane } = yield* open(filename)
      yield* Effect.provideService(plane.register("till", pay(Effect.void)), SqlClient.SqlClient, client)
      const { result } = yield* plane.submit("till/ana", Input.prompt("pay"))
      assert.deepStrictEqual(result, Option.some("paid"))
      assert.strictEqual(yield* payments(client), 1)
      assert.deepStrictEqual(yield* client`PRAGMA synchronous`, [{ synchronous: 2 }])
    }))

  test("undoes the application's rows with the boundary that failed", (filename) =>
    Effect.gen(function*() {
      const { client, plane } = yield* open(filename)
      yield* Effect.provideService(
        plane.register("till", pay(Effect.fail("no")), { attemptsMax: 1 }),
        SqlClient.SqlClient,
        client
      )
      const error = yield* Effect.flip(plane.submit("till/ana", Input.prompt("pay")))
      assert.strictEqual(error._tag, "DeadLettered")
      assert.strictEqual(yield* payments(client), 0)
    }))

  test("refuses an agent with another client, also of the same file", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* open(filename)
      const other = yield* connect(filename)
      const refused = yield* Effect.flip(
        Effect.provideService(plane.register("till", pay(Effect.void)), SqlClient.SqlClient, other)
      )
      assert.strictEqual(refused._tag, "ForeignSqlClient")
    }))

  test("finds everything again when the file is opened anew, by whichever of its layers", (filename) =>
    Effect.gen(function*() {
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const { client, context, plane } = yield* open(filename)
        yield* Effect.provideService(plane.register("till", pay(Effect.void)), SqlClient.SqlClient, client)
        yield* plane.submit("till/ana", Input.prompt("pay", { idempotencyKey: "first" }))
        yield* plane.ingest("other/ana", Input.prompt("later", { idempotencyKey: "second" }))
        return yield* Context.get(context, BlobStore).put(Uint8Array.of(1, 2, 3), "image/png")
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const { client, context, plane } = yield* open(filename)
        assert.strictEqual((yield* plane.ingest("till/ana", prompt("pay", "first")))._tag, "deduplicated")
        assert.strictEqual(yield* payments(client), 1)
        yield* plane.register("other", { apply: () => Effect.succeed({ result: "done" }) })
        const outcome = yield* plane.ingest("other/ana", prompt("later", "second"))
        assert.strictEqual(outcome._tag, "deduplicated")
        if (outcome._tag !== "deduplicated") return
        assert.deepStrictEqual((yield* plane.await("other/ana", outcome.existing)).result, Option.some("done"))
        assert.deepStrictEqual((yield* Context.get(context, BlobStore).get(id)).bytes, Uint8Array.of(1, 2, 3))
      }))
      const owned = yield* Layer.build(BurrowSqlite.layer({ filename }))
      const outcome = yield* Context.get(owned, ControlPlane).ingest("till/ana", prompt("pay", "first"))
      assert.strictEqual(outcome._tag, "deduplicated")
    }))

  test("admits what is handed over in a transaction of the client, if that commits", (filename) =>
    Effect.gen(function*() {
      const { client, context, plane } = yield* open(filename, { pollMillis: 50 })
      const inbox = Context.get(context, Inbox)
      yield* plane.register("a", { apply: () => Effect.succeed({ result: "done" }) })
      const hand = (key: string, end: Effect.Effect<void, string>) =>
        Effect.either(
          client.withTransaction(
            Effect.tap(inbox.enqueue("a/x", prompt("go", key)), () =>
              Effect.zipRight(client`INSERT INTO payments (run, cents) VALUES (${key}, 1)`, end))
          )
        )
      yield* hand("undone", Effect.fail("no"))
      const inputId = Either.getOrThrow(yield* hand("kept", Effect.void))
      assert.deepStrictEqual((yield* plane.await("a/x", inputId)).result, Option.some("done"))
      assert.deepStrictEqual(yield* client`SELECT run FROM payments`, [{ run: "kept" }])
      const { accepted } = yield* Context.get(context, RuntimeStore).loadTotals(RuntimeId.make("a/x"))
      assert.strictEqual(accepted, 1)
    }))

  test("keeps to the limits that it is given", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* open(filename, { limits: { queueDepthMax: 1 } })
      yield* plane.ingest("a/x", Input.prompt("one"))
      const error = yield* Effect.flip(plane.ingest("a/x", Input.prompt("two")))
      assert.strictEqual(error._tag, "QueueFull")
    }))

  test("refuses a client that is not in the log's mode, and leaves it open", (filename) =>
    Effect.gen(function*() {
      const client = yield* connect(filename)
      yield* client`PRAGMA journal_mode = DELETE`
      const layer = Layer.provide(BurrowSqlite.layerFromClient(), Layer.succeed(SqlClient.SqlClient, client))
      const error = yield* Effect.flip(Layer.build(layer))
      assert.strictEqual(error._tag, "StoreOpenFailed")
      assert.deepStrictEqual(yield* client`SELECT 1 AS one`, [{ one: 1 }])
    }))
})

const prompt = (text: string, idempotencyKey: string): Input.Draft => Input.prompt(text, { idempotencyKey })
