import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as path from "node:path"
import * as BlobStoreSql from "../../src/layers/BlobStoreSql.js"
import * as DigestNode from "../../src/layers/DigestNode.js"
import { openOwner } from "../../src/layers/sqlite/open.js"
import * as BlobStore from "../../src/services/BlobStore.js"
import { blobBytesMax, cases, Tamper, tamperCases } from "../../src/testing/BlobStoreConformance.js"
import { connect, failureOf, folder } from "./support.js"

const file = Effect.map(folder, (at) => path.join(at, "x.db"))

const client = Layer.scoped(SqlClient.SqlClient, Effect.flatMap(file, connect))

const tamper = Layer.effect(
  Tamper,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    read: (id) =>
      Effect.map(
        sql<{ readonly record: Uint8Array }>`SELECT record FROM burrow_blobs WHERE id = ${id}`,
        (rows) => rows[0]?.record ?? new Uint8Array()
      ),
    overwrite: (id, record) =>
      sql`INSERT INTO burrow_blobs (id, put_at, record) VALUES (${id}, 0, ${record})
        ON CONFLICT (id) DO UPDATE SET record = excluded.record`
  }))
)

const bytes = Uint8Array.of(1, 2, 3)

describe("BlobStoreSql", () => {
  const store = BlobStoreSql.layer({ blobBytesMax }).pipe(Layer.provide(DigestNode.layer))
  for (const { name, run } of [...cases, ...tamperCases]) {
    it.effect(name, () => Effect.provide(run, Layer.provideMerge(tamper, store).pipe(Layer.provideMerge(client))))
  }

  it.scoped("keeps blobs over a restart, in the file of the runtimes", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const opened = Effect.flatMap(openOwner({ filename }), ({ client }) =>
        Effect.provideService(BlobStoreSql.make({}), SqlClient.SqlClient, client)).pipe(
          Effect.provide(DigestNode.layer)
        )
      const id = yield* Effect.scoped(Effect.flatMap(opened, (blobs) =>
        blobs.put(bytes, "image/png")))
      const blobs = yield* opened
      assert.isTrue(blobs.persistent)
      assert.deepStrictEqual(yield* blobs.get(id), { mediaType: "image/png", bytes })
    }))

  it.scoped("takes part in a transaction of the client, and syncs its own", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const blobs = yield* BlobStore.BlobStore
      assert.deepStrictEqual(yield* sql`PRAGMA synchronous`, [{ synchronous: 2 }])
      yield* failureOf(sql.withTransaction(Effect.zipRight(blobs.put(bytes, "image/png"), Effect.fail("no"))))
      assert.deepStrictEqual(yield* sql`SELECT id FROM burrow_blobs`, [])
      const id = yield* sql.withTransaction(blobs.put(bytes, "image/png"))
      assert.isTrue(yield* blobs.exists(id))
    }).pipe(Effect.provide(Layer.provideMerge(store, client))))

  it.scoped("a blob is as young as its last put", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const blobs = yield* BlobStore.BlobStore
      for (const at of [1000, 2000]) {
        yield* TestClock.setTime(at)
        yield* blobs.put(bytes, "image/png")
        assert.deepStrictEqual(yield* sql`SELECT put_at FROM burrow_blobs`, [{ put_at: at }])
      }
    }).pipe(Effect.provide(Layer.provideMerge(store, client))))

  it.scoped("on a database of a newer library is refused", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE burrow_migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)`
      yield* sql`INSERT INTO burrow_migrations VALUES (99, 'later', 0)`
      const error = yield* failureOf(Effect.provide(BlobStoreSql.make({}), DigestNode.layer))
      assert.strictEqual(error._tag, "SchemaFromTheFuture")
    }).pipe(Effect.provide(client)))
})
