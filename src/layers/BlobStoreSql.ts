/**
 * Blobs in a table of the same database as everything else, so that a first program needs one file.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { BlobReadFailed, BlobTooLarge, BlobWriteFailed } from "../schema/BlobError.js"
import { type SchemaFromTheFuture, StoreOpenFailed } from "../schema/StoreError.js"
import * as BlobStore from "../services/BlobStore.js"
import * as Digest from "../services/Digest.js"
import * as Migrations from "./sql/Migrations.js"
import { bytesOf } from "./sql/SqlWrites.js"
import * as Statements from "./sql/Statements.js"
import { makeTransactor } from "./sql/transact.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The most bytes of one blob. Default 64 MiB. */
  readonly blobBytesMax?: number | undefined
}

const DATABASE = "the client's database"

const make = (options: Options) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const digest = yield* Digest.Digest
    const transactor = yield* makeTransactor(sql)
    yield* Migrations.migrate(transactor, { filename: DATABASE })
    const statements = Statements.make(transactor.dialect)
    const write = (blobId: string, text: string, params: Statements.Tuple) =>
      transactor.transact("BlobStore.put", (connection) => Statements.query(connection, text, params)).pipe(
        Effect.mapError((cause) => new BlobWriteFailed({ blobId, cause }))
      )
    return BlobStore.make({
      persistent: true,
      read: (id, recordBytesMax) =>
        transactor.read("BlobStore.get", (connection) =>
          Effect.gen(function*() {
            // The size first: a record that is too large is not loaded.
            const [size] = yield* Statements.query<{ readonly bytes: number }>(connection, statements.blobBytes, [id])
            if (size === undefined) return Option.none<Uint8Array | number>()
            if (size.bytes > recordBytesMax) return Option.some<Uint8Array | number>(size.bytes)
            const [row] = yield* Statements.query<{ readonly record: unknown }>(connection, statements.blob, [id])
            return Option.fromNullable<Uint8Array | number | null>(bytesOf(row?.record))
          })).pipe(
            Effect.mapError((cause) => new BlobReadFailed({ blobId: id, cause })),
            Effect.flatMap((found) =>
              Option.isSome(found) && typeof found.value === "number"
                ? Effect.fail(
                  new BlobTooLarge({ blobId: id, bytes: found.value, blobBytesMax: recordBytesMax })
                )
                : Effect.succeed(found as Option.Option<Uint8Array>)
            )
          ),
      write: (id, record) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => write(id, statements.putBlob, [id, now, record])),
      renew: (id) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.map(write(id, statements.renewBlob, [now, id]), (rows) => rows.length === 1)),
      remove: (id) =>
        write(id, statements.dropBlob, [id])
    }, { digest, blobBytesMax: options.blobBytesMax })
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "StoreOpenFailed" || error._tag === "SchemaFromTheFuture"
        ? error
        : new StoreOpenFailed({ filename: DATABASE, reason: error.message, cause: error })
    )
  )

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options: Options
): Layer.Layer<BlobStore.BlobStore, StoreOpenFailed | SchemaFromTheFuture, SqlClient.SqlClient | Digest.Digest> =>
  Layer.effect(BlobStore.BlobStore, make(options))

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  BlobStore.BlobStore,
  StoreOpenFailed | SchemaFromTheFuture,
  SqlClient.SqlClient | Digest.Digest
> = layerWith({})
