/**
 * A `RuntimeStore` in one SQLite file. What it answers is on the disk: every commit ends with a sync.
 *
 * For local disks only: SQLite's locks and shared memory do not work over a network.
 *
 * @since 0.1.0
 */
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import { SqliteClient as SqliteClientTag } from "@effect/sql-sqlite-node/SqliteClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SchemaFromTheFuture, StoreOpenFailed, StoreOwned } from "../schema/StoreError.js"
import { RuntimeStore } from "../services/RuntimeStore.js"
import * as FromEncoded from "../services/RuntimeStoreFromEncoded.js"
import * as open from "./sqlite/open.js"

/** What guests have deposited can wait for that long. */
const POLL_MILLIS = 250

/**
 * Where the file is, how long another connection's lock is waited for, the bounds of one transaction, and how often
 * deposits of guests are looked for (default 250); all times are in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends open.OwnerOptions, FromEncoded.Options {}

/**
 * Opens the file as its one owner, and makes it when it is not there. A second owner, in this process or another, gets
 * `StoreOwned`; the lock ends with the scope, and with the process however it ends.
 *
 * The `SqlClient` is the store's own: what is written through it inside `alongside` is part of the boundary's commit.
 *
 * @example
 * ```ts
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import { RuntimeStore } from "effect-burrow"
 * import { RuntimeStoreSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`CREATE TABLE IF NOT EXISTS payments (invoice TEXT PRIMARY KEY, cents INTEGER NOT NULL)`
 *   const store = yield* RuntimeStore.RuntimeStore
 *   return yield* store.loadPendingRuntimes()
 * }).pipe(Effect.provide(RuntimeStoreSqlite.layer({ filename: "burrow.db" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  RuntimeStore | SqlClient.SqlClient | SqliteClient,
  StoreOpenFailed | StoreOwned | SchemaFromTheFuture
> =>
  Layer.scopedContext(
    Effect.flatMap(open.openOwner(options), ({ client, encoded }) =>
      Effect.map(FromEncoded.make(encoded, { pollMillis: POLL_MILLIS, ...options }), (store) =>
        Context.make(RuntimeStore, store).pipe(
          Context.add(SqlClient.SqlClient, client),
          Context.add(SqliteClientTag, client)
        )))
  )

/**
 * Reads a file that may have an owner. Makes and changes nothing; every write is `WriteFailed`. Who subscribes is told
 * of the owner's commits.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerReader = (options: {
  readonly filename: string
}): Layer.Layer<RuntimeStore, StoreOpenFailed | SchemaFromTheFuture> =>
  Layer.scoped(
    RuntimeStore,
    Effect.flatMap(open.openReader(options), ({ encoded }) => FromEncoded.makeGuest(encoded))
  )

/**
 * Where the file is, and times in milliseconds: how often the owner's commits are looked for while somebody is
 * subscribed (default 100), and how long a deposit is tried again while another connection writes (default 5000).
 *
 * @since 0.1.0
 * @category models
 */
export interface GuestOptions {
  readonly filename: string
  readonly pollMillis?: number
  readonly busyRetryMillis?: number
}

/**
 * For a process that is not the owner: reads the file, is told of the owner's commits, and deposits inputs for the owner
 * to admit; every other write of the store is `WriteFailed`. The file must be there, and of this library's version; it
 * may be without an owner for now. What is deposited within a transaction of its `SqlClient` is part of that.
 *
 * @example
 * ```ts
 * import { Ids, RuntimeStore } from "effect-burrow"
 * import { RuntimeStoreSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 *
 * const state = Effect.flatMap(RuntimeStore.RuntimeStore, (store) => store.loadRuntimeState(Ids.RuntimeId.make("ana")))
 *   .pipe(Effect.provide(RuntimeStoreSqlite.layerGuest({ filename: "burrow.db" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerGuest = (
  options: GuestOptions
): Layer.Layer<RuntimeStore | SqlClient.SqlClient | SqliteClient, StoreOpenFailed | SchemaFromTheFuture> =>
  Layer.scopedContext(
    Effect.flatMap(open.openGuest(options), ({ client, encoded }) =>
      Effect.map(
        FromEncoded.makeGuest(encoded, options.pollMillis === undefined ? {} : { pollMillis: options.pollMillis }),
        (store) =>
          Context.make(RuntimeStore, store).pipe(
            Context.add(SqlClient.SqlClient, client),
            Context.add(SqliteClientTag, client)
          )
      ))
  )

/**
 * A store over a client of the application's own, on a file that no other process writes: no lock is taken. The client
 * must be in WAL mode; it is made to sync its commits.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: Omit<Options, "filename" | "busyTimeoutMillis"> = {}
): Layer.Layer<RuntimeStore, StoreOpenFailed | SchemaFromTheFuture, SqlClient.SqlClient> =>
  Layer.scoped(
    RuntimeStore,
    Effect.flatMap(SqlClient.SqlClient, (client) =>
      Effect.flatMap(open.fromClient(client, options), ({ encoded }) =>
        FromEncoded.make(encoded, { pollMillis: POLL_MILLIS, ...options })))
  )
