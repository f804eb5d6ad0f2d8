/**
 * The one function that opens transactions.
 *
 * `SqlClient.withTransaction` cannot be used: it makes a defect of a failed COMMIT, leaves SQLite's only connection
 * inside the failed transaction, begins without the write lock, and commits what a statement such as
 * `ON CONFLICT ROLLBACK` has already rolled back.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { CommitError, StoreReplaced } from "../../schema/StoreError.js"
import {
  CommitUnknown,
  ReadFailed,
  StoreBusy,
  TransactionEnded,
  Unsupported,
  WriteFailed
} from "../../schema/StoreError.js"
import { attempt, type Client, type Dialect, isWithinTransaction, Lease, rollback, Transaction } from "./Lease.js"

type Connection = SqlConnection.Connection

export interface Transactor {
  readonly client: SqlClient.SqlClient
  readonly dialect: Dialect
  /** Whose transaction the calling fiber is in. */
  readonly ambient: Effect.Effect<"none" | "mine" | "foreign">
  /** Whether the `SqlClient` among these services is another than this one. */
  readonly isForeign: (services: Context.Context<never>) => boolean
  /**
   * Runs `body` in a transaction, which the body's own use of the client joins; inside one of the same client it is a
   * savepoint, inside another client's a transaction of its own. A failure, a defect or an interruption of the body
   * rolls back. It answers success only when the commit succeeded.
   */
  readonly transact: <A, E, R>(
    operation: string,
    body: (connection: Connection) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CommitError, R>
  /** Runs `body` on one snapshot of committed rows, or inside the caller's transaction. */
  readonly read: <A>(
    operation: string,
    body: (connection: Connection) => Effect.Effect<A, SqlError.SqlError>
  ) => Effect.Effect<A, ReadFailed>
}

export interface Options {
  /** Looks before each commit whether the database is still the one that was opened. Kept for the client. */
  readonly verify?: (() => StoreReplaced | undefined) | undefined
  /** How long BEGIN is tried again while another connection has the write lock, in milliseconds. Default 5000. */
  readonly busyRetryMillis?: number | undefined
}

/** What all transactors over one client share. */
interface Home extends Client {
  verify: (() => StoreReplaced | undefined) | undefined
  replaced: StoreReplaced | undefined
  /** For savepoints right inside a transaction of `SqlClient.withTransaction`. */
  readonly turns: Effect.Semaphore
}

/** One transactor's own. */
interface Own {
  readonly sql: SqlClient.SqlClient
  readonly home: Home
  readonly busyRetry: Duration.Duration
}

/** The transaction around a fiber. */
type Around =
  | { readonly _tag: "none" | "foreign" }
  /** `null`: the transaction was opened by `SqlClient.withTransaction`. */
  | { readonly _tag: "mine"; readonly lease: Lease | null; readonly depth: number }

/** A transaction that a savepoint or a read joins. */
interface Joined {
  readonly transaction: Transaction
  readonly lease: Lease | null
}

// By connection where there is one, so that `sql`, `sql.safe` and `sql.withoutTransforms()` are the same client.
const homes = new WeakMap<object, Home>()

const begins = {
  // The write lock is taken first: a deferred transaction that turns out to write can only fail with BUSY_SNAPSHOT.
  sqlite: { write: "BEGIN IMMEDIATE", read: "BEGIN" },
  pg: { write: "BEGIN", read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" }
}

// Nothing else sleeps on the way to a commit. A test's clock would never move while a transaction waits.
const liveClock = Clock.make()

let savepoints = 0

/** What a failed statement of a write means for its caller. */
export const commitError =
  (operation: string) => (error: SqlError.SqlError): WriteFailed | StoreBusy | TransactionEnded => {
    if (error.cause instanceof TransactionEnded) return error.cause
    return isBusy(error) ? new StoreBusy({ operation }) : new WriteFailed({ operation, cause: error })
  }

/** The database's own name for an error: `SQLITE_BUSY`, `23505` ... */
export const codeOf = ({ cause }: SqlError.SqlError): string =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string" ? cause.code : ""

// Classes 40 and 55P03: serialization failure, deadlock, lock not available.
const isBusy = (error: SqlError.SqlError): boolean => /^(SQLITE_BUSY|SQLITE_LOCKED|40|55P03)/.test(codeOf(error))

const homeOf = Effect.fnUntraced(function*(sql: SqlClient.SqlClient, dialect: Dialect) {
  const connection = dialect === "sqlite" ? yield* Effect.scoped(sql.reserve) : null
  const key = connection ?? sql
  const known = homes.get(key)
  if (known !== undefined) return known
  const home: Home = {
    dialect,
    connection,
    verify: undefined,
    replaced: undefined,
    current: null,
    turns: Effect.unsafeMakeSemaphore(1)
  }
  homes.set(key, home)
  return home
})

export const makeTransactor = Effect.fnUntraced(function*(sql: SqlClient.SqlClient, options: Options = {}) {
  const dialect = sql.onDialectOrElse({
    sqlite: () => "sqlite" as const,
    pg: () => "pg" as const,
    orElse: () => undefined
  })
  if (dialect === undefined) return yield* new Unsupported({ operation: "this SQL dialect" })
  const home = yield* homeOf(sql, dialect)
  if (options.verify !== undefined) home.verify = options.verify
  return make({ sql, home, busyRetry: Duration.millis(options.busyRetryMillis ?? 5000) })
})

const make = (own: Own): Transactor => {
  const { home } = own
  const around: Effect.Effect<Around> = Effect.contextWith((context: Context.Context<never>) => aroundOf(context, home))

  return {
    client: own.sql,
    dialect: home.dialect,
    ambient: Effect.map(around, ({ _tag }) => _tag),
    isForeign: (services) => {
      const found = Context.getOption(services, SqlClient.SqlClient)
      // Its connection is known only to who waits for it. What gives it is shared by `sql`, `sql.safe` and
      // `sql.withoutTransforms()`, and by nothing else.
      return found._tag === "Some" && found.value.reserve !== own.sql.reserve
    },
    transact: (operation, body) =>
      Effect.flatMap(around, (around) =>
        around._tag === "mine"
          // Released out of order, two savepoints of one transaction would take each other's rows along.
          ? (around.lease ?? home).turns.withPermits(1)(
            Effect.flatMap(join(home, operation, around), (joined) =>
              savepoint(joined, operation, around.depth + 1, body))
          )
          : outermost(own, operation, body)),
    read: (operation, body) =>
      Effect.mapError(
        Effect.flatMap(around, (around) => reading(own, operation, around, body)),
        (cause) => new ReadFailed({ operation, cause })
      )
  }
}

const reading = <A>(
  own: Own,
  operation: string,
  around: Around,
  body: (connection: Connection) => Effect.Effect<A, SqlError.SqlError>
): Effect.Effect<A, SqlError.SqlError | StoreReplaced | TransactionEnded> =>
  around._tag === "mine"
    ? Effect.flatMap(
      join(own.home, operation, around),
      ({ lease, transaction }) => body(lease ?? transaction.connection)
    )
    : Effect.zipRight(usable(own.home), snapshot(own, body))

const aroundOf = (context: Context.Context<never>, home: Home): Around => {
  const found = Context.getOption(context, SqlClient.TransactionConnection)
  if (found._tag === "None") return { _tag: "none" }
  const [connection, depth] = found.value
  if (connection instanceof Lease) {
    return connection.transaction.home === home
      ? { _tag: "mine", lease: connection, depth }
      : { _tag: "foreign" }
  }
  return connection === home.connection ? { _tag: "mine", lease: null, depth } : { _tag: "foreign" }
}

const join = (
  home: Home,
  operation: string,
  { lease }: Extract<Around, { readonly _tag: "mine" }>
): Effect.Effect<Joined, TransactionEnded> =>
  Effect.suspend((): Effect.Effect<Joined, TransactionEnded> => {
    const ended = Effect.fail(new TransactionEnded({ operation }))
    if (lease !== null) return lease.isOpen ? Effect.succeed({ lease, transaction: lease.transaction }) : ended
    // A savepoint where nothing is open would begin and commit on its own.
    const transaction = Transaction.borrowed(home)
    return transaction === null || transaction.isOver
      ? ended
      : Effect.flatMap(transaction.probe, (isOpen) => isOpen ? Effect.succeed({ lease, transaction }) : ended)
  })

const enclose = <A, E, R>(effect: Effect.Effect<A, E, R>, lease: Lease, depth: number): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) => Context.add(context, SqlClient.TransactionConnection, [lease, depth])
  )

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Reserved {
  readonly scope: Scope.CloseableScope
  readonly connection: Connection
}

/** Waits for the connection, then begins. Without a transaction the connection is given back. */
const begin = <E>(
  sql: SqlClient.SqlClient,
  restore: Restore,
  start: (connection: Connection) => Effect.Effect<void, SqlError.SqlError | E>
): Effect.Effect<Reserved, SqlError.SqlError | E> =>
  Effect.flatMap(Scope.make(), (scope) =>
    reserve(sql, restore, scope).pipe(
      Effect.flatMap((connection) => Effect.as(start(connection), { scope, connection })),
      Effect.tapErrorCause((cause) => Scope.close(scope, Exit.failCause(cause)))
    ))

const reserve = (
  sql: SqlClient.SqlClient,
  restore: Restore,
  scope: Scope.Scope
): Effect.Effect<Connection, SqlError.SqlError> => {
  const reserved = restore(Scope.extend(sql.reserve, scope))
  return restore(Effect.checkInterruptible((isInterruptible) =>
    // A yield between taking the permit and noting it in the scope would let an interruption lose the permit.
    isInterruptible ? Effect.withMaxOpsBeforeYield(reserved, Number.MAX_SAFE_INTEGER) : reserved
  ))
}

/**
 * Every transaction holds the connection, so one that is open when the connection was free has been left behind by a
 * COMMIT that failed in `SqlClient.withTransaction`. Its caller was told; what it wrote is taken back.
 */
const start = (connection: Connection, text: string): Effect.Effect<void, SqlError.SqlError> => {
  const statement = attempt(() => connection.execute(text, [], undefined))
  return Effect.catchAll(statement, (error) =>
    isWithinTransaction(error)
      ? Effect.logWarning("A transaction was left open on the store's connection. It is rolled back.").pipe(
        Effect.zipRight(rollback(connection)),
        Effect.zipRight(statement)
      )
      : Effect.fail(error))
}

const usable = (home: Home): Effect.Effect<void, StoreReplaced> =>
  Effect.suspend(() => home.replaced === undefined ? Effect.void : Effect.fail(home.replaced))

const verified = (home: Home): Effect.Effect<void, StoreReplaced> =>
  Effect.suspend(() => {
    home.replaced ??= home.verify?.()
    return usable(home)
  })

/** Only BEGIN waits for the lock of another connection, and without holding ours. */
const beginPatiently = (
  { busyRetry, home, sql }: Own,
  operation: string,
  restore: Restore
): Effect.Effect<Reserved, CommitError> => {
  const once = Effect.zipRight(
    usable(home),
    Effect.mapError(
      begin(sql, restore, (connection) => start(connection, begins[home.dialect].write)),
      commitError(operation)
    )
  )
  return Effect.catchTag(
    once,
    "StoreBusy",
    (busy) =>
      Effect.flatMap(Schedule.driver(busySchedule(busyRetry)), (driver) => {
        const again = (busy: StoreBusy): Effect.Effect<Reserved, CommitError> =>
          restore(Effect.withClock(driver.next(busy), liveClock)).pipe(
            Effect.mapError(() => busy),
            Effect.zipRight(Effect.catchTag(once, "StoreBusy", again))
          )
        return again(busy)
      })
  )
}

const busySchedule = (busyRetry: Duration.Duration) =>
  Schedule.exponential(Duration.millis(1), 1.5).pipe(
    Schedule.union(Schedule.spaced(Duration.millis(100))),
    Schedule.jittered,
    Schedule.upTo(busyRetry)
  )

const outermost = <A, E, R>(
  own: Own,
  operation: string,
  body: (connection: Connection) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CommitError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(beginPatiently(own, operation, restore), ({ connection, scope }) => {
      const transaction = Transaction.begun(own.home, connection)
      const lease = new Lease(transaction, null, operation)
      return Effect.exit(restore(enclose(Effect.suspend(() => body(lease)), lease, 0))).pipe(
        Effect.flatMap((exit): Effect.Effect<A, E | CommitError> => {
          // Before COMMIT: a fiber that outlives the body must not slip a statement behind it.
          lease.close()
          return Exit.isSuccess(exit)
            ? Effect.as(commit(transaction, own.home, operation), exit.value)
            : Effect.zipRight(Effect.ignore(rollback(connection)), exit)
        }),
        Effect.exit,
        Effect.flatMap((exit) => {
          transaction.end()
          return Effect.zipRight(Scope.close(scope, exit), exit)
        })
      )
    })
  )

const commit = (transaction: Transaction, home: Home, operation: string): Effect.Effect<void, CommitError> => {
  const { connection } = transaction
  const undo = Effect.ignore(rollback(connection))
  return Effect.matchEffect(Effect.zipRight(transaction.intact, verified(home)), {
    onFailure: (error) =>
      Effect.zipRight(undo, Effect.fail(error._tag === "SqlError" ? commitError(operation)(error) : error)),
    onSuccess: () =>
      attempt(() => connection.execute("COMMIT", [], undefined)).pipe(
        Effect.catchAll((error) =>
          Effect.matchEffect(rollback(connection), {
            // It was still open, so nothing of it is stored.
            onSuccess: () => Effect.fail(commitError(operation)(error)),
            onFailure: () => Effect.fail(new CommitUnknown({ operation, cause: error }))
          })
        )
      )
  })
}

const savepoint = <A, E, R>(
  { lease: parent, transaction }: Joined,
  operation: string,
  depth: number,
  body: (connection: Connection) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | CommitError, R> =>
  Effect.uninterruptibleMask((restore) => {
    const name = `burrow_${++savepoints}`
    const lease = new Lease(transaction, parent, operation)
    const release = transaction.control(`RELEASE SAVEPOINT ${name}`)
    return transaction.control(`SAVEPOINT ${name}`).pipe(
      Effect.mapError(commitError(operation)),
      Effect.zipRight(Effect.exit(restore(enclose(Effect.suspend(() => body(lease)), lease, depth)))),
      Effect.flatMap((exit): Effect.Effect<A, E | CommitError> => {
        lease.close()
        // What is around has ended, and the savepoint with it.
        if (transaction.isOver || parent?.isClosed === true) {
          return Exit.isSuccess(exit) ? Effect.fail(new TransactionEnded({ operation })) : exit
        }
        const settled = Exit.isSuccess(exit)
          ? release
          : Effect.zipRight(transaction.control(`ROLLBACK TO SAVEPOINT ${name}`), release)
        return Effect.matchEffect(settled, {
          onSuccess: () => exit,
          // It may have ended, or hold half a write: nothing of it may be committed.
          onFailure: (error) =>
            Effect.flatMap(transaction.lose(error), (reason): Effect.Effect<A, E | CommitError> =>
              Exit.isSuccess(exit) ? Effect.fail(commitError(operation)(reason)) : exit)
        })
      })
    )
  })

const snapshot = <A>(
  { home, sql }: Own,
  body: (connection: Connection) => Effect.Effect<A, SqlError.SqlError>
): Effect.Effect<A, SqlError.SqlError> =>
  Effect.uninterruptibleMask((restore) =>
    // BEGIN also finds a transaction that was left open, whose rows are not committed.
    Effect.flatMap(
      begin(sql, restore, (connection) => start(connection, begins[home.dialect].read)),
      ({ connection, scope }) =>
        Effect.flatMap(Effect.exit(restore(Effect.suspend(() => body(connection)))), (exit) =>
          Effect.catchAll(attempt(() => connection.execute("COMMIT", [], undefined)), () =>
            Effect.ignore(rollback(connection))).pipe(
              Effect.zipRight(Scope.close(scope, exit)),
              Effect.zipRight(exit)
            ))
    )
  )
