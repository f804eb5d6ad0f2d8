/**
 * A database file and the connection to it: what can be wrong with the place, the settings that make a commit durable,
 * and whether the file is still the one that was opened.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import * as process from "node:process"
import { StoreOpenFailed, StoreReplaced } from "../../schema/StoreError.js"
import { attempt } from "../sql/Lease.js"
import { codeOf } from "../sql/transact.js"

type Connection = SqlConnection.Connection

/** SQLite before it loses commits of two connections when the log is reset. */
const SQLITE_VERSION_MIN = "3.51.3"

// From statfs(2). A write-ahead log needs memory that all its users share.
const networkFileSystems = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x5346414f, "AFS"],
  [0x73757245, "Coda"],
  [0x564c, "NCP"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"]
])

const reasons: ReadonlyArray<readonly [code: RegExp, reason: string]> = [
  [/^SQLITE_NOTADB/, "it is not a SQLite database"],
  [/^SQLITE_CORRUPT/, "it is damaged"],
  [/^SQLITE_READONLY|^EROFS/, "it is read-only"],
  [/^SQLITE_CANTOPEN/, "the file, or its log beside it, cannot be opened or made"],
  [/^SQLITE_BUSY|^SQLITE_LOCKED/, "another connection holds its lock"],
  [/^SQLITE_FULL|^ENOSPC/, "the disk is full"],
  [/^SQLITE_IOERR|^EIO/, "the disk failed"],
  [/^EACCES|^EPERM/, "permission is denied"],
  [/^ENOTDIR|^EEXIST/, "a part of its path is not a folder"]
]

/** The error of the database or the system, however many of ours are around it. */
const originOf = (cause: unknown): unknown =>
  cause instanceof Error && cause.cause instanceof Error ? originOf(cause.cause) : cause

const codeOfCause = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""

/** One line that names what is wrong, with the original beside it. */
export const openFailed = (filename: string) => (cause: unknown): StoreOpenFailed => {
  const origin = originOf(cause)
  const code = codeOfCause(origin)
  const known = reasons.find(([pattern]) => pattern.test(code))?.[1]
  const message = origin instanceof Error ? origin.message.split("\n", 1)[0] ?? "" : "unknown cause"
  return new StoreOpenFailed({ filename, reason: known === undefined ? message : `${known} (${message})`, cause })
}

const realPath = (absolute: string): string => {
  if (fs.existsSync(absolute)) return fs.realpathSync(absolute)
  const parent = path.dirname(absolute)
  return parent === absolute ? absolute : path.join(realPath(parent), path.basename(absolute))
}

/** The file's own path, whatever links lead to it: locks and logs are named after it. */
export const resolve = (filename: string): Effect.Effect<string, StoreOpenFailed> =>
  filename === ""
    ? Effect.fail(new StoreOpenFailed({ filename, reason: "it has no name" }))
    : Effect.try({ try: () => realPath(path.resolve(filename)), catch: openFailed(filename) })

const nearestFolder = (folder: string): string => fs.existsSync(folder) ? folder : nearestFolder(path.dirname(folder))

const problemOf = (filename: string): string | undefined => {
  const stats = fs.statSync(filename, { throwIfNoEntry: false })
  if (stats?.isDirectory() === true) return "it is a folder"
  // SQLite would make the file that it leads to, under another name than the lock's.
  if (stats === undefined && fs.lstatSync(filename, { throwIfNoEntry: false }) !== undefined) {
    return "it is a broken link"
  }
  // Opening a pipe would wait for its other end.
  if (stats !== undefined && !stats.isFile()) return "it is not a regular file"
  const folder = nearestFolder(path.dirname(filename))
  if (!fs.statSync(folder).isDirectory()) return `${folder} is not a folder`
  const network = process.platform === "linux" ? networkFileSystems.get(fs.statfsSync(folder).type) : undefined
  return network === undefined
    ? undefined
    : `it is on a network file system (${network}), whose locks cannot be trusted`
}

/** Looks, without opening anything: closing a file drops this process's locks on it. */
export const check = (filename: string): Effect.Effect<void, StoreOpenFailed> =>
  Effect.flatMap(
    Effect.try({ try: () => problemOf(filename), catch: openFailed(filename) }),
    (reason) => reason === undefined ? Effect.void : Effect.fail(new StoreOpenFailed({ filename, reason }))
  )

const syncFolder = (folder: string): void => {
  const handle = fs.openSync(folder, "r")
  try {
    fs.fsyncSync(handle)
  } finally {
    fs.closeSync(handle)
  }
}

/** Makes the missing folders, each synced into its parent: SQLite does that for its files only. Answers the made ones. */
export const makeFolders = (filename: string): Effect.Effect<ReadonlyArray<string>, StoreOpenFailed> =>
  Effect.suspend(() => {
    const made: Array<string> = []
    const make = (folder: string): void => {
      if (fs.existsSync(folder)) return
      const parent = path.dirname(folder)
      make(parent)
      fs.mkdirSync(folder)
      made.push(folder)
      syncFolder(parent)
    }
    return Effect.try({
      try: () => {
        make(path.dirname(filename))
        return made
      },
      catch: (cause) => {
        removeFolders(made)
        return openFailed(filename)(cause)
      }
    })
  })

/** Removes those that are still empty, the innermost first. */
export const removeFolders = (made: ReadonlyArray<string>): void => {
  for (const folder of made.toReversed()) {
    try {
      fs.rmdirSync(folder)
    } catch {
      return
    }
  }
}

/** Removes a database that could not be made into a store, and what SQLite has put beside it. */
export const removeFiles = (filename: string): Effect.Effect<void> =>
  Effect.forEach(["-wal", "-shm", "-journal", ""], (suffix) => removeFile(`${filename}${suffix}`), { discard: true })

export const removeFile = (file: string): Effect.Effect<void> =>
  Effect.ignore(Effect.try(() => fs.rmSync(file, { force: true })))

/** A client of its own connection, closed with the scope. The client's constructor throws. */
export const connect = (
  config: Omit<SqliteClient.SqliteClientConfig, "disableWAL">
): Effect.Effect<SqliteClient.SqliteClient, StoreOpenFailed, Scope.Scope> =>
  // The client would set the journal mode before the busy timeout is: it could block the process for 5 seconds.
  SqliteClient.make({ ...config, disableWAL: true }).pipe(
    Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make),
    Effect.catchAllDefect((cause) => Effect.fail(openFailed(config.filename)(cause)))
  )

const first = (
  connection: Connection,
  text: string
): Effect.Effect<unknown, SqlError.SqlError> =>
  Effect.map(
    attempt(() => connection.executeUnprepared(text, [], undefined)),
    ([row]) => row === undefined ? undefined : Object.values(row)[0]
  )

const blockFor = (connection: Connection, millis: number): Effect.Effect<unknown, SqlError.SqlError> =>
  first(connection, `PRAGMA busy_timeout = ${Math.max(0, Math.trunc(millis))}`)

/** Another process may be recovering the log. In live time: a test's clock would wait for ever. */
const whileBusy = <A, R>(effect: Effect.Effect<A, SqlError.SqlError, R>): Effect.Effect<A, SqlError.SqlError, R> =>
  Effect.withClock(
    Effect.retry(effect, {
      schedule: Schedule.spaced(Duration.millis(20)).pipe(Schedule.upTo(Duration.seconds(5))),
      while: (error) => codeOf(error).startsWith("SQLITE_BUSY")
    }),
    Clock.make()
  )

const isOlder = (version: string, than: string): boolean => {
  const numbers = version.split(".").map(Number)
  for (const [i, wanted] of than.split(".").map(Number).entries()) {
    const number = numbers[i] ?? 0
    if (number !== wanted) return number < wanted
  }
  return false
}

/** What only the owner of a file may set: how long a statement blocks the process, and the journal's mode. */
export const prepare = (
  sql: SqlClient.SqlClient,
  { busyTimeoutMillis, filename }: { readonly filename: string; readonly busyTimeoutMillis: number }
): Effect.Effect<void, StoreOpenFailed> =>
  onConnection(sql, filename, (connection) =>
    Effect.zipRight(
      blockFor(connection, busyTimeoutMillis),
      whileBusy(first(connection, "PRAGMA journal_mode = WAL"))
    ))

/** Has commits synced before they answer. */
export const configure = (sql: SqlClient.SqlClient, filename: string): Effect.Effect<void, StoreOpenFailed> =>
  onConnection(sql, filename, (connection) =>
    Effect.gen(function*() {
      const version = String(yield* first(connection, "SELECT sqlite_version()"))
      if (isOlder(version, SQLITE_VERSION_MIN)) {
        const reason = `SQLite ${version} can lose commits; ${SQLITE_VERSION_MIN} is the oldest that does not`
        return yield* new StoreOpenFailed({ filename, reason })
      }
      yield* first(connection, "PRAGMA synchronous = FULL")
      if (process.platform === "darwin") {
        yield* first(connection, "PRAGMA fullfsync = 1")
        yield* first(connection, "PRAGMA checkpoint_fullfsync = 1")
      }
    }))

const onConnection = (
  sql: SqlClient.SqlClient,
  filename: string,
  use: (connection: Connection) => Effect.Effect<unknown, SqlError.SqlError | StoreOpenFailed>
): Effect.Effect<void, StoreOpenFailed> =>
  Effect.scoped(Effect.flatMap(sql.reserve, use)).pipe(
    Effect.mapError((error) => error._tag === "SqlError" ? openFailed(filename)(error) : error),
    Effect.asVoid
  )

/**
 * Fails unless commits are durable. To be asked after a write: until then better-sqlite3's own default, which does not
 * sync, may still take the place of what was set.
 */
export const verifySettings = (
  sql: SqlClient.SqlClient,
  filename: string
): Effect.Effect<void, StoreOpenFailed> =>
  onConnection(sql, filename, (connection) =>
    Effect.gen(function*() {
      const mode = String(yield* first(connection, "PRAGMA journal_mode"))
      const synchronous = Number(yield* first(connection, "PRAGMA synchronous"))
      const isInMemory = (yield* locate(connection)) === ""
      if (mode !== "wal" && !isInMemory) {
        return yield* new StoreOpenFailed({ filename, reason: `its journal mode is ${mode} and not wal` })
      }
      if (synchronous < 2) {
        const reason = `it does not sync its commits (synchronous is ${synchronous})`
        return yield* new StoreOpenFailed({ filename, reason })
      }
    }))

const locate = (connection: Connection): Effect.Effect<string, SqlError.SqlError> =>
  Effect.map(
    first(connection, "SELECT file FROM pragma_database_list WHERE name = 'main'"),
    (file) => String(file ?? "")
  )

/** The file that a client is connected to; `""` for a database in memory. */
export const fileOf = (sql: SqlClient.SqlClient): Effect.Effect<string, SqlError.SqlError> =>
  Effect.scoped(Effect.flatMap(sql.reserve, locate))

/** Nothing is written through the client from now on, by whomever. */
export const queryOnly = (
  sql: SqlClient.SqlClient,
  { busyTimeoutMillis, filename }: { readonly filename: string; readonly busyTimeoutMillis: number }
): Effect.Effect<void, StoreOpenFailed> =>
  onConnection(
    sql,
    filename,
    (connection) =>
      Effect.zipRight(blockFor(connection, busyTimeoutMillis), first(connection, "PRAGMA query_only = ON"))
  )

/** How long a statement blocks the process on another connection's lock. */
export const setBusyTimeout = (
  sql: SqlClient.SqlClient,
  { busyTimeoutMillis, filename }: { readonly filename: string; readonly busyTimeoutMillis: number }
): Effect.Effect<void, StoreOpenFailed> =>
  onConnection(sql, filename, (connection) => blockFor(connection, busyTimeoutMillis))

/** Whether the file is there. Not to know it is a failure: what was not there may be removed again. */
export const exists = (filename: string): Effect.Effect<boolean, StoreOpenFailed> =>
  Effect.try({
    try: () => fs.statSync(filename, { throwIfNoEntry: false }) !== undefined,
    catch: openFailed(filename)
  })

/** Device and inode; `undefined` for a file that is not there, or cannot be looked at. */
export const identityOf = (file: string): string | undefined => {
  try {
    const stats = fs.statSync(file, { throwIfNoEntry: false })
    return stats && `${stats.dev}/${stats.ino}`
  } catch {
    return undefined
  }
}

/** Looks whether the files are still those of now. */
export const watch = (filename: string, files: ReadonlyArray<string>): () => StoreReplaced | undefined => {
  const identities = files.map(identityOf)
  return () =>
    files.every((file, i) => identityOf(file) === identities[i]) ? undefined : new StoreReplaced({ filename })
}
