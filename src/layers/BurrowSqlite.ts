/**
 * Everything at once, in one SQLite file: inputs, receipts, sessions, blobs, and the application's own tables.
 *
 * @since 0.1.0
 */
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import type { Limits } from "../schema/Limits.js"
import type { SchemaFromTheFuture, StoreOpenFailed, StoreOwned } from "../schema/StoreError.js"
import type { Agents } from "../services/Agents.js"
import type { BlobStore } from "../services/BlobStore.js"
import type { ControlPlane } from "../services/ControlPlane.js"
import type { Digest } from "../services/Digest.js"
import type { Drivers } from "../services/Driver.js"
import type { IdGenerator } from "../services/IdGenerator.js"
import type { Inbox } from "../services/Inbox.js"
import type { Observer } from "../services/Observer.js"
import type { RuntimeStore } from "../services/RuntimeStore.js"
import * as AgentsLive from "./AgentsLive.js"
import * as BlobStoreSql from "./BlobStoreSql.js"
import * as ControlPlaneLive from "./ControlPlaneLive.js"
import * as DigestNode from "./DigestNode.js"
import * as DriverPersistent from "./DriverPersistent.js"
import * as IdGeneratorUuid from "./IdGeneratorUuid.js"
import * as InboxLive from "./InboxLive.js"
import * as ObserverLive from "./ObserverLive.js"
import * as RuntimeStoreSqlite from "./RuntimeStoreSqlite.js"

/**
 * The file, and how its store and the drivers over it behave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends RuntimeStoreSqlite.Options, DriverPersistent.Options {}

/**
 * How the store over an application's client, and the drivers over it, behave.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions
  extends Omit<RuntimeStoreSqlite.Options, "filename" | "busyTimeoutMillis">, DriverPersistent.Options
{}

/**
 * The file, and the limits of inputs that are handed over, which should be those of the owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface GuestOptions extends RuntimeStoreSqlite.GuestOptions {
  readonly limits?: Partial<Limits>
}

/** All that stands on the store and its client. */
const overStore = (options: DriverPersistent.Options) =>
  Layer.merge(AgentsLive.layer, InboxLive.layerWith(options)).pipe(
    Layer.provideMerge(ControlPlaneLive.layer),
    Layer.provideMerge(DriverPersistent.layerWith(options)),
    Layer.provideMerge(BlobStoreSql.layer())
  )

/**
 * The embedded default. The process owns the file for as long as the layer lives.
 *
 * @example
 * ```ts
 * import { Driver, Input } from "effect-burrow"
 * import { BurrowSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const drivers = yield* Driver.Drivers
 *   const ana = yield* drivers.get("ana")
 *   return yield* ana.accept(Input.prompt("Make dinner"))
 * }).pipe(Effect.provide(BurrowSqlite.layer({ filename: "burrow.db" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  | Agents
  | ControlPlane
  | Observer
  | Inbox
  | Drivers
  | RuntimeStore
  | BlobStore
  | Digest
  | IdGenerator
  | SqlClient.SqlClient
  | SqliteClient,
  StoreOpenFailed | StoreOwned | SchemaFromTheFuture
> =>
  overStore(options).pipe(
    Layer.provideMerge(RuntimeStoreSqlite.layer(options)),
    Layer.provideMerge(Layer.merge(DigestNode.layer, IdGeneratorUuid.layer))
  )

/**
 * The same over a client of the application's own: its tables and Burrow's are in one file, and what it writes through
 * that client in an `alongside`, or hands over (`Inbox`) within a transaction of it, is one commit. The client is in WAL
 * mode, and is made to sync its commits; it outlives the layer. No lock is taken: keep other processes from writing the
 * file as an owner.
 *
 * @example
 * ```ts
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import { ControlPlane, type Executor, Input } from "effect-burrow"
 * import { BurrowSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const pay: Executor.Executor<never, never, unknown, SqlClient.SqlClient> = {
 *   apply: (run) =>
 *     Effect.succeed({
 *       alongside: Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *         sql`INSERT INTO payments (run, cents) VALUES (${run.idempotencyKey}, 995)`)
 *     })
 * }
 *
 * const program = Effect.gen(function*() {
 *   const plane = yield* ControlPlane.ControlPlane
 *   yield* plane.register("till", pay)
 *   return yield* plane.submit("till/ana", Input.prompt("Pay the invoice", { idempotencyKey: "invoice 7" }))
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(Layer.provideMerge(BurrowSqlite.layerFromClient(), SqliteClient.layer({ filename: "app.db" })))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<
  Agents | ControlPlane | Observer | Inbox | Drivers | RuntimeStore | BlobStore | Digest | IdGenerator,
  StoreOpenFailed | SchemaFromTheFuture,
  SqlClient.SqlClient
> =>
  overStore(options).pipe(
    Layer.provideMerge(RuntimeStoreSqlite.layerFromClient(options)),
    Layer.provideMerge(Layer.merge(DigestNode.layer, IdGeneratorUuid.layer))
  )

/**
 * For a process beside the owner of the file: it waits for inputs, watches, reads, and hands over inputs (`Inbox`) that
 * the owner admits, also later, when there is none now. The file must be there.
 *
 * @example
 * ```ts
 * import { Inbox, Input, Observer } from "effect-burrow"
 * import { BurrowSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 *
 * const ask = Effect.gen(function*() {
 *   const inbox = yield* Inbox.Inbox
 *   const observer = yield* Observer.Observer
 *   const inputId = yield* inbox.enqueue("cook/ana", Input.prompt("Make dinner", { idempotencyKey: "monday" }))
 *   return yield* observer.await("cook/ana", inputId)
 * }).pipe(Effect.provide(BurrowSqlite.layerGuest({ filename: "burrow.db" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerGuest = (
  options: GuestOptions
): Layer.Layer<
  Observer | Inbox | RuntimeStore | BlobStore | Digest | IdGenerator | SqlClient.SqlClient | SqliteClient,
  StoreOpenFailed | SchemaFromTheFuture
> =>
  Layer.merge(ObserverLive.layer, InboxLive.layerWith(options)).pipe(
    Layer.provideMerge(BlobStoreSql.layer()),
    Layer.provideMerge(RuntimeStoreSqlite.layerGuest(options)),
    Layer.provideMerge(Layer.merge(DigestNode.layer, IdGeneratorUuid.layer))
  )

/**
 * Reads a file that may have an owner, and changes nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerReader: (options: {
  readonly filename: string
}) => Layer.Layer<RuntimeStore, StoreOpenFailed | SchemaFromTheFuture> = RuntimeStoreSqlite.layerReader
