/**
 * Blobs in the tables of a SQL database, beside the runtimes that use them: one file to copy, one lock, one disk to
 * watch. Made for blobs of some megabytes; keep larger ones in files.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { BlobReadFailed, BlobTooLarge, BlobWriteFailed } from "../schema/BlobError.js"
import { SchemaFromTheFuture, StoreOpenFailed } from "../schema/StoreError.js"
import * as BlobStore from "../services/BlobStore.js"
import * as Digest from "../services/Digest.js"
import * as Migrations from "./sql/Migrations.js"
import { bytesOf } from "./sql/SqlWrites.js"
import * as Statements from "./sql/Statements.js"
import { commitError, makeTransactor, type Transactor } from "./sql/transact.js"

const FILENAME = "the client's database"

const makeEncoded = (transactor: Transactor): BlobStore.BlobStoreEncoded => {
  const statements = Statements.make(transactor.dialect)

  const write = (id: string, operation: string, text: string, params: (now: number) => Statements.Tuple) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        transactor.transact(
          operation,
          (connection) => Effect.mapError(Statements.query(connection, text, params(now)), commitError(operation))
        )
    ).pipe(
      Effect.mapError((cause) => new BlobWriteFailed({ blobId: id, cause }))
    )

  return {
    persistent: true,
    read: (id, recordBytesMax) =>
      transactor.read("the blob", (connection) =>
        Effect.gen(function*() {
          const [size] = yield* Statements.query<{ readonly bytes: number }>(connection, statements.blobBytes, [id])
          const bytes = Number(size?.bytes ?? 0)
          if (bytes > recordBytesMax) return { bytes, record: null }
          const [row] = yield* Statements.query<{ readonly record: unknown }>(connection, statements.blob, [id])
          return { bytes, record: bytesOf(row?.record) }
        })).pipe(
          Effect.mapError((cause) => new BlobReadFailed({ blobId: id, cause })),
          Effect.flatMap(({ bytes, record }) =>
            bytes > recordBytesMax
              ? Effect.fail(new BlobTooLarge({ blobId: id, bytes, blobBytesMax: recordBytesMax }))
              : Effect.succeed(Option.fromNullable(record))
          )
        ),
    write: (id, record) => write(id, "the blob", statements.putBlob, (now) => [id, now, record]),
    renew: (id) =>
      Effect.map(write(id, "the blob's age", statements.renewBlob, (now) => [now, id]), (rows) => rows.length === 1),
    remove: (id) => write(id, "the blob's removal", statements.dropBlob, () => [id])
  }
}

/**
 * A store in the client's database, whose tables are made if they are not there. Inside a transaction of the client
 * `put` and `delete` are part of it, and durable only when it commits.
 *
 * @example
 * ```ts
 * import { BlobStoreSql, DigestNode } from "effect-burrow/sqlite"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import * as Effect from "effect/Effect"
 *
 * const store = BlobStoreSql.make({ blobBytesMax: 16_000_000 }).pipe(
 *   Effect.provide([DigestNode.layer, SqliteClient.layer({ filename: "data/agents.db" })])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: { readonly blobBytesMax?: number | undefined }) {
  const sql = yield* SqlClient.SqlClient
  const digest = yield* Digest.Digest
  const transactor = yield* Effect.mapError(
    open(sql),
    (error) =>
      error instanceof StoreOpenFailed || error instanceof SchemaFromTheFuture
        ? error
        : new StoreOpenFailed({ filename: FILENAME, reason: error.message, cause: error })
  )
  return BlobStore.make(makeEncoded(transactor), { digest, blobBytesMax: options.blobBytesMax })
})

const open = Effect.fnUntraced(function*(sql: SqlClient.SqlClient) {
  const transactor = yield* makeTransactor(sql)
  yield* Migrations.migrate(transactor, { filename: FILENAME })
  if (transactor.dialect === "sqlite") {
    // What is compiled into better-sqlite3 answers before the disk has a commit.
    yield* Effect.scoped(
      Effect.flatMap(sql.reserve, (connection) => connection.execute("PRAGMA synchronous = FULL", [], undefined))
    )
  }
  return transactor
})

/**
 * Blobs in the client's database, of up to `blobBytesMax` bytes each (64 MiB if not given). What `put` answered is
 * synced as the client's commits are.
 *
 * @example
 * ```ts
 * import { BlobStoreSql, DigestNode } from "effect-burrow/sqlite"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreSql.layer({ blobBytesMax: 16_000_000 }).pipe(
 *   Layer.provide([DigestNode.layer, SqliteClient.layer({ filename: "data/agents.db" })])
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly blobBytesMax?: number
} = {}): Layer.Layer<
  BlobStore.BlobStore,
  StoreOpenFailed | SchemaFromTheFuture,
  Digest.Digest | SqlClient.SqlClient
> => Layer.effect(BlobStore.BlobStore, make(options))
