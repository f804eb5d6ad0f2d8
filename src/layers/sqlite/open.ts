/**
 * The ways to a store in a SQLite file: as its owner, as a reader, as a guest who also deposits, and over a client that
 * the application has made.
 */
import type * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import {
  SchemaFromTheFuture,
  StoreOpenFailed,
  type StoreOwned,
  Unsupported,
  WriteFailed
} from "../../schema/StoreError.js"
import type { Encoded } from "../../services/RuntimeStoreEncoded.js"
import * as Migrations from "../sql/Migrations.js"
import * as SqlStore from "../sql/SqlStore.js"
import * as Statements from "../sql/Statements.js"
import { makeTransactor, type Transactor } from "../sql/transact.js"
import * as DatabaseFile from "./DatabaseFile.js"
import * as OwnerLock from "./OwnerLock.js"

export interface Opened<Client = SqliteClient.SqliteClient> {
  /** The store's own client: what is written through it inside a commit is part of the commit. */
  readonly client: Client
  readonly encoded: Encoded
  readonly transactor: Transactor
}

export interface OwnerOptions {
  /** `:memory:` is a database of its own that ends with the scope. */
  readonly filename: string
  /** How long one statement blocks the whole process on another connection's lock, in milliseconds. Default 10. */
  readonly busyTimeoutMillis?: number | undefined
  /** How long a transaction is tried again, without blocking, while another connection writes. Default 5000. */
  readonly busyRetryMillis?: number | undefined
}

const MEMORY = ":memory:"

const BUSY_TIMEOUT_MILLIS = 10

/** Room for every statement of ours in every size, and for the application's. */
const PREPARE_CACHE_SIZE = 512

/**
 * Opens the file for writing, makes it with its folders if it is not there, and brings it to this version's tables.
 * Nothing is left behind when it fails. Ends with a committed, synced write: a file that was not closed can show rows
 * that are not on the disk, and now they are.
 */
export const openOwner = (
  options: OwnerOptions
): Effect.Effect<Opened, StoreOpenFailed | StoreOwned | SchemaFromTheFuture, Scope.Scope> =>
  options.filename === MEMORY ? openMemory(options) : openFile(options)

const openMemory = ({ busyRetryMillis, filename }: OwnerOptions) =>
  Effect.gen(function*() {
    const client = yield* DatabaseFile.connect({ filename, prepareCacheSize: PREPARE_CACHE_SIZE })
    return yield* establish(client, { filename, busyRetryMillis, authorityKey: null })
  })

const openFile = (
  options: OwnerOptions
): Effect.Effect<Opened, StoreOpenFailed | StoreOwned | SchemaFromTheFuture, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const filename = yield* DatabaseFile.resolve(options.filename)
      yield* DatabaseFile.check(filename)
      const folders = yield* DatabaseFile.makeFolders(filename)
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      let isOpen = false
      return yield* restore(Scope.extend(own({ ...options, filename }, () => !isOpen), scope)).pipe(
        Effect.tap(() => Effect.sync(() => isOpen = true)),
        Effect.onError((cause) =>
          Effect.zipRight(
            Scope.close(scope, Exit.failCause(cause)),
            Effect.sync(() => DatabaseFile.removeFolders(folders))
          )
        )
      )
    })
  )

/** Finalizers run from the last to the first: the connection, then what it left, and the lock at the very end. */
const own = (
  options: OwnerOptions,
  hasFailed: () => boolean
): Effect.Effect<Opened, StoreOpenFailed | StoreOwned | SchemaFromTheFuture, Scope.Scope> =>
  Effect.gen(function*() {
    const { filename } = options
    yield* OwnerLock.acquire(filename, hasFailed)
    const existed = yield* DatabaseFile.exists(filename)
    yield* Effect.addFinalizer(() => existed || !hasFailed() ? Effect.void : DatabaseFile.removeFiles(filename))
    const client = yield* DatabaseFile.connect({ filename, prepareCacheSize: PREPARE_CACHE_SIZE })
    yield* DatabaseFile.prepare(client, {
      filename,
      busyTimeoutMillis: options.busyTimeoutMillis ?? BUSY_TIMEOUT_MILLIS
    })
    return yield* establish(client, {
      filename,
      busyRetryMillis: options.busyRetryMillis,
      authorityKey: `sqlite:${filename}`
    })
  })

interface Place {
  /** For errors. */
  readonly filename: string
  /** `null` for a database in memory, which nobody can replace. */
  readonly authorityKey: string | null
  readonly busyRetryMillis: number | undefined
}

/** Makes a connected database the store: durable settings, tables, the first write. */
const establish = <Client extends SqlClient.SqlClient>(
  client: Client,
  { authorityKey, busyRetryMillis, filename }: Place
): Effect.Effect<Opened<Client>, StoreOpenFailed | SchemaFromTheFuture> =>
  Effect.gen(function*() {
    yield* DatabaseFile.configure(client, filename)
    const unwatched = yield* makeTransactor(client, { busyRetryMillis })
    yield* Migrations.migrate(unwatched, { filename })
    const owner = yield* OwnerLock.self
    const { countOpening, putMeta } = Statements.make(unwatched.dialect)
    yield* unwatched.transact("the owner's first write", (connection) =>
      Effect.zipRight(
        Statements.query(connection, putMeta, [OwnerLock.META, owner]),
        Statements.query(connection, countOpening, [])
      ))
    yield* DatabaseFile.verifySettings(client, filename)
    // From now on: the log is there after a first write.
    const verify = authorityKey === null ? undefined : DatabaseFile.watch(filename, [filename, `${filename}-wal`])
    const transactor = yield* makeTransactor(client, { busyRetryMillis, verify })
    return { client, transactor, encoded: SqlStore.make(transactor, { name: "sqlite", authorityKey }) }
  }).pipe(Effect.mapError(asOpenFailed(filename)))

const asOpenFailed = (filename: string) => (error: { readonly _tag: string }): StoreOpenFailed | SchemaFromTheFuture =>
  error instanceof StoreOpenFailed || error instanceof SchemaFromTheFuture
    ? error
    : DatabaseFile.openFailed(filename)(error)

/**
 * Opens the file of another process for reading. It takes no lock and changes nothing of what is stored; every write
 * fails. SQLite may put an empty log beside the file. What is shown is committed, but may not be synced when the owner
 * has just died.
 */
export const openReader = (
  options: Pick<OwnerOptions, "filename" | "busyTimeoutMillis">
): Effect.Effect<Opened, StoreOpenFailed | SchemaFromTheFuture, Scope.Scope> =>
  Effect.gen(function*() {
    const filename = yield* DatabaseFile.resolve(options.filename)
    yield* DatabaseFile.check(filename)
    if (!(yield* DatabaseFile.exists(filename))) {
      return yield* new StoreOpenFailed({ filename, reason: "it does not exist" })
    }
    const client = yield* DatabaseFile.connect({ filename, readonly: true, prepareCacheSize: PREPARE_CACHE_SIZE })
    yield* DatabaseFile.queryOnly(client, {
      filename,
      busyTimeoutMillis: options.busyTimeoutMillis ?? BUSY_TIMEOUT_MILLIS
    })
    const transactor = refusing(
      yield* makeTransactor(client, { verify: DatabaseFile.watch(filename, [filename]) }),
      "it was opened for reading"
    )
    yield* Migrations.verify(transactor, { filename })
    return {
      client,
      transactor,
      encoded: SqlStore.make(transactor, { name: "sqlite", authorityKey: `sqlite:${filename}` })
    }
  }).pipe(Effect.mapError(asOpenFailed(options.filename)))

/**
 * Opens the file of another process, which has its owner or will have one, to read and to deposit. It takes no lock and
 * makes no tables: the file must be there, and of exactly this version. What it deposits is synced.
 */
export const openGuest = (
  options: OwnerOptions
): Effect.Effect<Opened, StoreOpenFailed | SchemaFromTheFuture, Scope.Scope> =>
  Effect.gen(function*() {
    const filename = yield* DatabaseFile.resolve(options.filename)
    yield* DatabaseFile.check(filename)
    if (!(yield* DatabaseFile.exists(filename))) {
      return yield* new StoreOpenFailed({ filename, reason: "it does not exist" })
    }
    const client = yield* DatabaseFile.connect({ filename, prepareCacheSize: PREPARE_CACHE_SIZE })
    yield* DatabaseFile.setBusyTimeout(client, {
      filename,
      busyTimeoutMillis: options.busyTimeoutMillis ?? BUSY_TIMEOUT_MILLIS
    })
    yield* DatabaseFile.configure(client, filename)
    const { busyRetryMillis } = options
    yield* Migrations.verify(yield* makeTransactor(client, { busyRetryMillis }), { filename })
    // The look has opened the log, where the settings hold from now on, and which cannot go away under us.
    yield* DatabaseFile.verifySettings(client, filename)
    const depositing = yield* makeTransactor(client, {
      busyRetryMillis,
      verify: DatabaseFile.watch(filename, [filename, `${filename}-wal`])
    })
    const transactor = refusing(depositing, "a guest only reads and deposits")
    const name = { name: "sqlite", authorityKey: `sqlite:${filename}` }
    const { deposit } = SqlStore.make(depositing, name)
    return { client, transactor, encoded: { ...SqlStore.make(transactor, name), deposit } }
  }).pipe(Effect.mapError(asOpenFailed(options.filename)))

const refusing = (transactor: Transactor, reason: string): Transactor => ({
  ...transactor,
  transact: (operation) =>
    Effect.fail(
      new WriteFailed({ operation, cause: new Unsupported({ operation: `${operation}: ${reason}` }) })
    )
})

/**
 * A store over a client that the application has made, on a file that it shares with nobody: no lock is taken. The
 * client must be in WAL mode, which is its default. It is made to sync its commits.
 */
export const fromClient = <Client extends SqlClient.SqlClient>(
  client: Client,
  options: Pick<OwnerOptions, "busyRetryMillis"> = {}
): Effect.Effect<Opened<Client>, StoreOpenFailed | SchemaFromTheFuture> =>
  Effect.flatMap(
    Effect.mapError(DatabaseFile.fileOf(client), DatabaseFile.openFailed("the client's database")),
    (file) =>
      establish(client, {
        filename: file === "" ? MEMORY : file,
        authorityKey: file === "" ? null : `sqlite:${file}`,
        busyRetryMillis: options.busyRetryMillis
      })
  )
