/**
 * One process owns a database file: it holds an exclusive transaction on a small file beside it, which the kernel
 * releases when the process dies.
 */
import type * as SqlError from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as process from "node:process"
import { StoreOpenFailed, StoreOwned } from "../../schema/StoreError.js"
import { attempt } from "../sql/Lease.js"
import { codeOf } from "../sql/transact.js"
import * as DatabaseFile from "./DatabaseFile.js"

/** The name of the owner's row in `burrow_meta`. */
export const META = "owner"

/** What an owner writes down, for those who find the file owned. */
export const self: Effect.Effect<string> = Effect.map(
  Clock.currentTimeMillis,
  (millis) => `process ${process.pid} on ${os.hostname()} since ${DateTime.formatIso(DateTime.unsafeMake(millis))}`
)

const ATTEMPTS_MAX = 20

const lockFileOf = (filename: string): string => `${filename}-owner`

const lock = (filename: string): Effect.Effect<boolean, StoreOpenFailed | StoreOwned, Scope.Scope> =>
  Effect.gen(function*() {
    const file = lockFileOf(filename)
    const before = DatabaseFile.identityOf(file)
    const client = yield* Effect.mapError(
      DatabaseFile.connect({ filename: file }),
      // The user's file is the one they know.
      ({ cause }) => DatabaseFile.openFailed(filename)(cause)
    )
    const failed = (error: SqlError.SqlError) => DatabaseFile.openFailed(filename)(error)
    const connection = yield* Effect.mapError(client.reserve, failed)
    const run = (text: string) => attempt(() => connection.executeUnprepared(text, [], undefined))
    yield* Effect.mapError(run("PRAGMA busy_timeout = 0"), failed)
    // On a file that it may not write SQLite takes BEGIN EXCLUSIVE for a read, which locks nobody out.
    yield* Effect.try({ try: () => fs.accessSync(file, fs.constants.W_OK), catch: DatabaseFile.openFailed(filename) })
    yield* Effect.catchAll(
      run("BEGIN EXCLUSIVE"),
      (error): Effect.Effect<never, StoreOpenFailed | StoreOwned> =>
        codeOf(error).startsWith("SQLITE_BUSY")
          ? Effect.flatMap(ownerOf(filename), (by) => Effect.fail(new StoreOwned({ filename, by })))
          : Effect.fail(failed(error))
    )
    // An owner that failed to open removes the file it made: then this lock may be on a file that nobody else finds.
    return before !== undefined && before === DatabaseFile.identityOf(file)
  })

/**
 * Holds the lock for the scope's life. Closing it removes the lock's file if `discard` says so, while it is still held.
 */
export const acquire = (
  filename: string,
  discard: () => boolean
): Effect.Effect<void, StoreOpenFailed | StoreOwned, Scope.Scope> =>
  Effect.gen(function*() {
    const existed = yield* DatabaseFile.exists(lockFileOf(filename))
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const held = yield* Scope.extend(lock(filename), scope).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      if (held) {
        return yield* Effect.addFinalizer(() =>
          existed || !discard() ? Effect.void : DatabaseFile.removeFile(lockFileOf(filename))
        )
      }
      yield* Scope.close(scope, Exit.void)
    }
    return yield* new StoreOpenFailed({ filename, reason: `${lockFileOf(filename)} is removed again and again` })
  })

/** Who wrote itself down last; the lock itself names nobody. */
const ownerOf = (filename: string): Effect.Effect<string> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* DatabaseFile.connect({ filename, readonly: true })
    const connection = yield* client.reserve
    yield* attempt(() => connection.executeUnprepared("PRAGMA busy_timeout = 0", [], undefined))
    const [row] = yield* attempt(() =>
      connection.executeUnprepared("SELECT value FROM burrow_meta WHERE name = ?", [META], undefined)
    )
    return String(row?.value ?? "another process")
  })).pipe(Effect.catchAll(() => Effect.succeed("another process")))
