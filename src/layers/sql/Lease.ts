/**
 * The connection that the body of a transaction is given. It ends with the transaction, and knows at any moment whether
 * the transaction is still open.
 */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TransactionEnded } from "../../schema/StoreError.js"

type Connection = SqlConnection.Connection

export type Dialect = "sqlite" | "pg"

/** `executeUnprepared` of the SQLite client throws. */
export const attempt = <A>(
  run: () => Effect.Effect<A, SqlError.SqlError>
): Effect.Effect<A, SqlError.SqlError> =>
  Effect.suspend(() => {
    try {
      return run()
    } catch (cause) {
      return Effect.fail(new SqlError.SqlError({ cause, message: "Failed to execute statement" }))
    }
  })

export const rollback = (connection: Connection): Effect.Effect<unknown, SqlError.SqlError> =>
  attempt(() => connection.execute("ROLLBACK", [], undefined))

/** SQLite's answer to a BEGIN inside a transaction; it has no code of its own. */
export const isWithinTransaction = ({ cause }: SqlError.SqlError): boolean =>
  cause instanceof Error && cause.message.includes("within a transaction")

/** A client. One that has one connection has one open transaction. */
export interface Client {
  readonly dialect: Dialect
  /** The client's one connection, which `SqlClient.withTransaction` puts in context. `null` where there is a pool. */
  readonly connection: Connection | null
  /** The transaction that was begun on the one connection by us. */
  current: Transaction | null
}

/** One open transaction of a client. */
export class Transaction {
  /** Why it ended before its time, or may not be committed any more. */
  private lost: SqlError.SqlError | undefined
  private suspect = false
  private ended = false

  private constructor(
    readonly home: Client,
    readonly connection: Connection,
    private readonly isBorrowed: boolean
  ) {}

  static begun(home: Client, connection: Connection): Transaction {
    const transaction = new Transaction(home, connection, false)
    if (home.connection !== null) home.current = transaction
    return transaction
  }

  /** One that `SqlClient.withTransaction` has begun on the client's one connection. */
  static borrowed(home: Client): Transaction | null {
    return home.connection && new Transaction(home, home.connection, true)
  }

  end(): void {
    this.ended = true
    if (this.home.current === this) this.home.current = null
  }

  /** A borrowed one is over when one of ours could begin. */
  get isOver(): boolean {
    return this.ended || (this.isBorrowed && this.home.current !== null)
  }

  get isLost(): boolean {
    return this.lost !== undefined
  }

  /** Runs a statement. After one that failed it is known whether the transaction is still there. */
  run<A>(
    statement: (connection: Connection) => Effect.Effect<A, SqlError.SqlError>
  ): Effect.Effect<A, SqlError.SqlError> {
    return Effect.catchAll(
      attempt(() => statement(this.connection)),
      (error) => Effect.zipRight(this.examine(error), Effect.fail(error))
    )
  }

  /** Runs a savepoint's statement. */
  control(text: string): Effect.Effect<void, SqlError.SqlError> {
    return Effect.suspend(() =>
      this.lost === undefined
        ? Effect.asVoid(this.run((connection) => connection.executeUnprepared(text, [], undefined)))
        : Effect.fail(this.lost)
    )
  }

  /** No statement is run in it any more, and it is not committed. Answers the first reason. */
  lose(error: SqlError.SqlError): Effect.Effect<SqlError.SqlError> {
    return Effect.sync(() => this.lost ??= error)
  }

  /** Fails unless what was written so far can be committed. */
  get intact(): Effect.Effect<void, SqlError.SqlError> {
    return Effect.suspend(() => {
      if (this.lost !== undefined) return Effect.fail(this.lost)
      // PostgreSQL answers the COMMIT of an aborted transaction with success, and rolls it back.
      return this.suspect && this.home.dialect === "pg"
        ? Effect.asVoid(this.connection.execute("SELECT 1", [], undefined))
        : Effect.void
    })
  }

  /**
   * Whether SQLite has a transaction open: only then BEGIN fails with that reason. What fails otherwise is taken for
   * ended, which costs a retry and no rows.
   */
  get probe(): Effect.Effect<boolean> {
    return Effect.uninterruptible(
      Effect.matchEffect(attempt(() => this.connection.executeUnprepared("BEGIN", [], undefined)), {
        onFailure: (error) => Effect.succeed(isWithinTransaction(error)),
        onSuccess: () => Effect.as(Effect.ignore(rollback(this.connection)), false)
      })
    )
  }

  // `ON CONFLICT ROLLBACK`, a full disk and some I/O errors end the whole transaction. The next statement would commit
  // by itself.
  private examine(error: SqlError.SqlError): Effect.Effect<void> {
    this.suspect = true
    return this.home.dialect === "pg"
      ? Effect.void
      : Effect.flatMap(this.probe, (isOpen) => isOpen ? Effect.void : this.lose(error))
  }
}

/** The connection of one transaction or savepoint, for as long as it lasts. */
export class Lease implements Connection {
  /** Savepoints right inside it are one after another. */
  readonly turns: Effect.Semaphore = Effect.unsafeMakeSemaphore(1)
  private closed = false

  constructor(
    readonly transaction: Transaction,
    private readonly parent: Lease | null,
    private readonly operation: string
  ) {}

  get isClosed(): boolean {
    return this.closed || this.parent?.isClosed === true
  }

  get isOpen(): boolean {
    return !this.isClosed && !this.transaction.isLost && !this.transaction.isOver
  }

  close(): void {
    this.closed = true
  }

  readonly execute: Connection["execute"] = (sql, params, transformRows) =>
    this.run(sql, (connection) => connection.execute(sql, params, transformRows))

  readonly executeRaw: Connection["executeRaw"] = (sql, params) =>
    this.run(sql, (connection) => connection.executeRaw(sql, params))

  readonly executeValues: Connection["executeValues"] = (sql, params) =>
    this.run(sql, (connection) => connection.executeValues(sql, params))

  readonly executeUnprepared: Connection["executeUnprepared"] = (sql, params, transformRows) =>
    this.run(sql, (connection) => connection.executeUnprepared(sql, params, transformRows))

  readonly executeStream: Connection["executeStream"] = (sql, params, transformRows) =>
    Stream.suspend(() => {
      const refused = this.refusal(sql)
      return refused === undefined
        ? this.transaction.connection.executeStream(sql, params, transformRows)
        : Stream.fail(refused)
    })

  private run<A>(
    sql: string,
    statement: (connection: Connection) => Effect.Effect<A, SqlError.SqlError>
  ): Effect.Effect<A, SqlError.SqlError> {
    return Effect.suspend(() => {
      const refused = this.refusal(sql)
      return refused === undefined ? this.transaction.run(statement) : Effect.fail(refused)
    })
  }

  private refusal(sql: string): SqlError.SqlError | undefined {
    if (!this.isOpen) {
      const ended = new TransactionEnded({ operation: this.operation })
      return new SqlError.SqlError({ cause: ended, message: ended.message })
    }
    return endsTransaction.test(sql)
      ? new SqlError.SqlError({
        message: `${this.operation}: a transaction is begun and ended by its owner. Use sql.withTransaction inside it.`
      })
      : undefined
  }
}

// A COMMIT in the middle would store half a write set; afterwards nobody could tell that from one which stored none.
const endsTransaction =
  /^(?:\s|;|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)*(?:BEGIN|START\s+TRANSACTION|COMMIT|END|ABORT|ROLLBACK(?!\s+(?:TRANSACTION\s+|WORK\s+)?TO\b))\b/i
