/**
 * A disk that is a SQLite file. Each life has a connection of its own over the one that is open to the file, so that what
 * a life that is over had begun can be rolled back, and cannot go on: a statement is either before the crash, or refused.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as BlobStoreSql from "../../layers/BlobStoreSql.js"
import { attempt, rollback } from "../../layers/sql/Lease.js"
import * as DatabaseFile from "../../layers/sqlite/DatabaseFile.js"
import * as open from "../../layers/sqlite/open.js"
import { Digest } from "../../services/Digest.js"
import { type Life, unlessOver } from "./Life.js"
import type { Disk } from "./Lives.js"

type Connection = SqlConnection.Connection
type Result<A> = Effect.Effect<A, SqlError>

const CROWD = 1_000_000

const crashed = (): SqlError => {
  const message = "the process of this transaction has crashed; the transaction is rolled back"
  return new SqlError({ cause: new Error(message), message })
}

/** A connection whose every statement goes through `run`. */
const connectionOf = (
  real: Connection,
  run: <A>(text: string, statement: (connection: Connection) => Result<A>, refused: A) => Result<A>
): Connection => ({
  execute: (text, params, transform) => run(text, (it) => it.execute(text, params, transform), []),
  executeRaw: (text, params) => run(text, (it) => it.executeRaw(text, params), []),
  executeValues: (text, params) => run(text, (it) => it.executeValues(text, params), []),
  executeUnprepared: (text, params, transform) => run(text, (it) => it.executeUnprepared(text, params, transform), []),
  // There is none in SQLite's client.
  executeStream: (text, params, transform) => real.executeStream(text, params, transform)
})

/** The database as one life has it. */
class Session {
  readonly turn = Effect.unsafeMakeSemaphore(1)
  readonly connection: Connection
  /** There is another one. */
  readonly replaced = Deferred.unsafeMake<void>(FiberId.none)

  constructor(real: Connection, readonly life: Life) {
    this.connection = connectionOf(real, (text, statement, refused) =>
      unlessOver(Effect.suspend(() => {
        // In one go, so that no crash comes between the question and the statement.
        if (!life.isOver) return Effect.withMaxOpsBeforeYield(attempt(() => statement(real)), Number.MAX_SAFE_INTEGER)
        // It has been.
        return /^\s*ROLLBACK\b/i.test(text) ? Effect.succeed(refused) : Effect.fail(crashed())
      })))
  }

  /** The connection, for as long as the scope is open. */
  get reserve(): Effect.Effect<Connection, SqlError, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.as(
        Effect.zipRight(restore(this.turn.take(1)), Effect.addFinalizer(() => this.turn.release(1))),
        this.connection
      )
    )
  }
}

/** The sessions of all lives, and the client of those outside, which has the session of whichever life it is. */
class Database {
  private session: Session | undefined
  /** For statements in no transaction: each runs in the life of its moment. */
  private readonly roaming: Connection

  constructor(private readonly real: Connection) {
    this.roaming = connectionOf(
      real,
      (_, statement) => unlessOver(Effect.flatMap(this.now, ({ connection }) => statement(connection)))
    )
  }

  /** A session for a life that begins. What the one before has left open is rolled back. */
  begin(life: Life): Effect.Effect<Session> {
    return Effect.gen(this, function*() {
      yield* Effect.ignore(rollback(this.real))
      const before = this.session
      const session = this.session = new Session(this.real, life)
      if (before !== undefined) {
        // Those who wait for the connection of before wait for this one.
        yield* before.turn.release(CROWD)
        yield* Deferred.succeed(before.replaced, undefined)
      }
      return session
    })
  }

  private get now(): Effect.Effect<Session> {
    return Effect.suspend(() => {
      const { session } = this
      if (session === undefined) return Effect.dieMessage("there is no life yet")
      return session.life.isOver ? Effect.zipRight(Deferred.await(session.replaced), this.now) : Effect.succeed(session)
    })
  }

  get reserve(): Effect.Effect<Connection, SqlError, Scope.Scope> {
    return unlessOver(Effect.flatMap(this.now, (session) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.zipRight(
          restore(session.turn.take(1)),
          Effect.suspend(() =>
            session.life.isOver
              ? Effect.zipRight(session.turn.release(1), restore(this.reserve))
              : Effect.as(Effect.addFinalizer(() => session.turn.release(1)), session.connection)
          )
        )
      )))
  }

  get turn(): Effect.Effect<Connection, SqlError> {
    return unlessOver(Effect.as(Effect.flatMap(this.now, ({ turn }) => turn.withPermits(1)(Effect.void)), this.roaming))
  }
}

const clientOf = (
  reserve: Effect.Effect<Connection, SqlError, Scope.Scope>,
  turn: Effect.Effect<Connection, SqlError>
): Effect.Effect<SqlClient.SqlClient> =>
  SqlClient.make({
    acquirer: turn,
    transactionAcquirer: reserve,
    compiler: Statement.makeCompilerSqlite(),
    spanAttributes: [["db.system.name", "sqlite"]]
  }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make))

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), "burrow-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** A new file in a folder of its own, both gone with the scope, and the client to it that survives every crash. */
export const make: Effect.Effect<
  { readonly disk: Disk; readonly context: Context.Context<SqlClient.SqlClient> },
  never,
  Scope.Scope | Digest
> = Effect.gen(function*() {
  const digest = yield* Digest
  const filename = path.join(yield* folder, "burrow.db")
  const file = yield* DatabaseFile.connect({ filename, prepareCacheSize: 512 })
  yield* DatabaseFile.prepare(file, { filename, busyTimeoutMillis: 10 })
  const database = new Database(yield* file.reserve)
  const client = yield* clientOf(database.reserve, database.turn)
  const disk: Disk = {
    open: (life) =>
      Effect.gen(function*() {
        const session = yield* database.begin(life)
        const own = yield* clientOf(
          session.reserve,
          session.turn.withPermits(1)(Effect.succeed(session.connection))
        )
        const { encoded } = yield* open.fromClient(own)
        const blobs = yield* Effect.provideService(BlobStoreSql.make({}), SqlClient.SqlClient, own)
        return {
          blobs,
          encoded: {
            ...encoded,
            // The application has the other client to the same file.
            isForeign: (services: Context.Context<never>) =>
              Option.exists(
                Context.getOption(services, SqlClient.SqlClient),
                ({ reserve }) => reserve !== client.reserve
              )
          }
        }
      }).pipe(Effect.provideService(Digest, digest), Effect.catchAll(Effect.die))
  }
  return { disk, context: Context.make(SqlClient.SqlClient, client) }
}).pipe(Effect.catchAll(Effect.die))
