import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import * as process from "node:process"
import { fromClient, openOwner, openReader } from "../../src/layers/sqlite/open.js"
import { columns, rowsOf } from "../sql/rows.js"
import { connect, failureOf, folder } from "../sql/support.js"
import { kill, start } from "./process.js"

const claim = (encoded: Effect.Effect.Success<ReturnType<typeof openOwner>>["encoded"], runtimeId = "r") =>
  encoded.recover(
    runtimeId,
    "claim",
    (_, epoch) => Either.right([rowsOf({ runtimeId, epoch, runtime: columns }), epoch])
  )

const contents = (at: string): ReadonlyArray<string> =>
  fs.readdirSync(at, { recursive: true, withFileTypes: true }).map(({ name, parentPath }) =>
    path.relative(at, path.join(parentPath, name))
  ).sort()

/** What opening answers, and that the folder is as it was before. */
const refusal = (filename: string, at: string) =>
  Effect.gen(function*() {
    const before = contents(at)
    const error = yield* failureOf(Effect.scoped(openOwner({ filename })))
    assert.deepStrictEqual(contents(at), before, "nothing is left behind")
    assert.strictEqual(error.message.includes("\n"), false, "one line")
    return error
  })

describe("openOwner", () => {
  it.scoped("makes the file and the missing folders above it", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "a", "b", "c.db")
      yield* Effect.scoped(Effect.flatMap(openOwner({ filename }), ({ encoded }) => claim(encoded)))
      const { encoded } = yield* openOwner({ filename })
      assert.strictEqual((yield* encoded.readRuntime("r"))?.epoch, 1)
      assert.strictEqual(encoded.authorityKey, `sqlite:${filename}`)
    }))

  it.scoped("syncs every commit, in the log's mode, also on a file that was closed and opened again", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      for (let times = 0; times < 3; times++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { client, encoded } = yield* openOwner({ filename })
          for (let writes = 0; writes < 2; writes++) {
            assert.deepStrictEqual(yield* client`PRAGMA synchronous`, [{ synchronous: 2 }])
            assert.deepStrictEqual(yield* client`PRAGMA journal_mode`, [{ journal_mode: "wal" }])
            assert.deepStrictEqual(yield* client`PRAGMA busy_timeout`, [{ timeout: 10 }])
            yield* claim(encoded)
          }
        }))
      }
    }))

  it.scoped("ends with a committed write, before any read", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      yield* Effect.scoped(openOwner({ filename }))
      const before = new Database(filename, { readonly: true })
      yield* Effect.addFinalizer(() => Effect.sync(() => before.close()))
      const version = before.pragma("data_version", { simple: true })
      yield* openOwner({ filename })
      assert.notStrictEqual(before.pragma("data_version", { simple: true }), version)
    }))

  it.scoped("keeps what an application has in the file", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      yield* Effect.scoped(Effect.flatMap(connect(filename), (sql) => sql`CREATE TABLE mine AS SELECT 1 AS one`))
      const { client } = yield* openOwner({ filename })
      assert.deepStrictEqual(yield* client`SELECT * FROM mine`, [{ one: 1 }])
    }))

  it.scoped("in memory is a store of its own", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([openOwner({ filename: ":memory:" }), openOwner({ filename: ":memory:" })])
      yield* claim(one.encoded)
      assert.isNull(one.encoded.authorityKey)
      assert.isNull(yield* other.encoded.readRuntime("r"))
    }))

  it.scoped("refuses a folder, and a path through a file", () =>
    Effect.gen(function*() {
      const at = yield* folder
      fs.mkdirSync(path.join(at, "folder"))
      fs.writeFileSync(path.join(at, "file"), "")
      assert.include((yield* refusal(path.join(at, "folder"), at)).message, "it is a folder")
      assert.include((yield* refusal(path.join(at, "file", "x.db"), at)).message, "is not a folder")
      assert.include((yield* refusal("", at)).message, "no name")
      fs.symlinkSync(path.join(at, "nowhere"), path.join(at, "link"))
      assert.include((yield* refusal(path.join(at, "link"), at)).message, "broken link")
    }))

  it.scoped("refuses what is no database, and leaves it as it was", () =>
    Effect.gen(function*() {
      const at = yield* folder
      const filename = path.join(at, "notes.txt")
      const text = "These are notes.\n".repeat(1000)
      fs.writeFileSync(filename, text)
      const error = yield* refusal(filename, at)
      assert.strictEqual(error._tag, "StoreOpenFailed")
      assert.include(error.message, "not a SQLite database")
      assert.strictEqual(fs.readFileSync(filename, "utf8"), text)
    }))

  it.scoped("refuses a database that was cut off", () =>
    Effect.gen(function*() {
      const at = yield* folder
      const filename = path.join(at, "x.db")
      yield* Effect.scoped(openOwner({ filename }))
      for (const bytes of [20_000, 4_096, 100]) {
        fs.truncateSync(filename, bytes)
        const error = yield* refusal(filename, at)
        assert.strictEqual(error._tag, "StoreOpenFailed")
      }
    }))

  it.scoped("makes nothing where no log can be made beside it", () =>
    Effect.gen(function*() {
      const at = yield* folder
      const filename = path.join(at, "x.db")
      fs.mkdirSync(`${filename}-wal`)
      const error = yield* refusal(filename, at)
      assert.strictEqual(error._tag, "StoreOpenFailed")
    }))

  it.scoped("removes the folders that it made, when it fails", () =>
    Effect.gen(function*() {
      const at = yield* folder
      const error = yield* refusal(path.join(at, "a", "b", "x".repeat(300)), at)
      assert.strictEqual(error._tag, "StoreOpenFailed")
    }))

  it.scoped.skipIf(process.getuid?.() !== 0)(
    "refuses, as another user, a file and a folder that it may not write",
    () =>
      Effect.gen(function*() {
        const at = yield* folder
        fs.chmodSync(at, 0o755)
        const filename = path.join(at, "x.db")
        yield* Effect.scoped(openOwner({ filename }))
        const readOnly = yield* start("open", filename, { uid: 65_534 })
        assert.match(readOnly.line, /^StoreOpenFailed: .*(permission|cannot be opened)/)
        const missing = yield* start("open", path.join(at, "new", "y.db"), { uid: 65_534 })
        assert.match(missing.line, /^StoreOpenFailed: .*permission/)
        fs.chmodSync(at, 0o777)
        const unwritable = yield* start("open", filename, { uid: 65_534 })
        assert.match(unwritable.line, /^StoreOpenFailed: .*(permission|read-only)/)
        // A lock that may not be written locks nobody out.
        fs.chmodSync(filename, 0o666)
        const unlockable = yield* start("open", filename, { uid: 65_534 })
        assert.match(unlockable.line, /^StoreOpenFailed: .*permission/)
      }),
    60_000
  )

  it.scoped("is refused to a second process, and in the same one, while the first lives", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const scope = yield* Scope.make()
      yield* Scope.extend(openOwner({ filename }), scope)
      const here = yield* failureOf(Effect.scoped(openOwner({ filename })))
      assert.strictEqual(here._tag, "StoreOwned")
      assert.include(here.message, `process ${process.pid} on `)
      const there = yield* start("open", filename)
      assert.match(there.line, new RegExp(`^StoreOwned: .*process ${process.pid} on `))
      fs.symlinkSync(filename, `${filename}.link`)
      assert.strictEqual(
        (yield* failureOf(Effect.scoped(openOwner({ filename: `${filename}.link` }))))._tag,
        "StoreOwned"
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* start("open", filename)).line, "open")
    }), 60_000)

  it.scoped("is free again when its owner was killed", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const owner = yield* start("own", filename)
      assert.strictEqual(owner.line, "open")
      const began = performance.now()
      const error = yield* failureOf(Effect.scoped(openOwner({ filename })))
      assert.strictEqual(error._tag, "StoreOwned")
      assert.include(error.message, `process ${owner.process.pid} on `)
      assert.isBelow(performance.now() - began, 1000, "it does not wait")
      yield* kill(owner)
      yield* openOwner({ filename })
    }), 60_000)

  it.scoped("of two processes at once is given to one", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "new", "x.db")
      const lines = yield* Effect.forEach([1, 2, 3], () => Effect.map(start("own", filename), ({ line }) => line), {
        concurrency: "unbounded"
      })
      assert.strictEqual(lines.filter((line) => line === "open").length, 1)
      assert.strictEqual(lines.filter((line) => line.startsWith("StoreOwned")).length, 2)
    }), 60_000)
})

describe("a file that is not the one that was opened", () => {
  const opened = Effect.gen(function*() {
    const filename = path.join(yield* folder, "x.db")
    const { client, encoded } = yield* openOwner({ filename })
    yield* claim(encoded)
    return { client, encoded, filename }
  })
  const copyOver = (filename: string) => {
    fs.copyFileSync(filename, `${filename}.copy`)
    fs.renameSync(`${filename}.copy`, filename)
  }
  const harms: ReadonlyArray<readonly [name: string, harm: (filename: string) => void]> = [
    ["removed", (filename) => fs.rmSync(filename)],
    ["replaced", copyOver],
    ["parted from its log", (filename) => fs.rmSync(`${filename}-wal`)],
    ["given another log", (filename) => copyOver(`${filename}-wal`)]
  ]
  for (const [name, harm] of harms) {
    it.scoped(`because it was ${name} refuses every commit from then on, and reads`, () =>
      Effect.gen(function*() {
        const { encoded, filename } = yield* opened
        const original = `${filename}.original`
        fs.linkSync(filename, original)
        harm(filename)
        for (let times = 0; times < 2; times++) {
          const error = yield* failureOf(claim(encoded))
          assert.strictEqual(error._tag, "StoreReplaced")
        }
        // Too late: what came between may be lost.
        fs.rmSync(filename, { force: true })
        fs.linkSync(original, filename)
        assert.strictEqual((yield* failureOf(claim(encoded)))._tag, "StoreReplaced")
        assert.strictEqual((yield* failureOf(encoded.readRuntime("r")))._tag, "ReadFailed")
      }))
  }
})

describe("openReader", () => {
  it.scoped("reads beside the owner, and cannot write", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const owner = yield* openOwner({ filename })
      const guest = yield* openReader({ filename })
      assert.isNull(yield* guest.encoded.readRuntime("r"))
      yield* claim(owner.encoded)
      assert.strictEqual((yield* guest.encoded.readRuntime("r"))?.epoch, 1)
      const error = yield* failureOf(claim(guest.encoded))
      assert.strictEqual(error._tag, "WriteFailed")
      yield* failureOf(guest.client`DELETE FROM burrow_runtimes`)
      yield* claim(owner.encoded)
      assert.strictEqual(guest.encoded.authorityKey, owner.encoded.authorityKey)
    }))

  it.scoped("reads what a killed owner had committed, without taking the file", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const owner = yield* start("own", filename)
      yield* kill(owner)
      const guest = yield* openReader({ filename })
      assert.isNull(yield* guest.encoded.readRuntime("r"))
      yield* openOwner({ filename })
    }), 60_000)

  it.scoped("makes nothing: no file, no tables", () =>
    Effect.gen(function*() {
      const at = yield* folder
      const missing = yield* failureOf(Effect.scoped(openReader({ filename: path.join(at, "x.db") })))
      assert.include(missing.message, "does not exist")
      assert.deepStrictEqual(contents(at), [])
      const filename = path.join(at, "other.db")
      yield* Effect.scoped(Effect.flatMap(connect(filename), (sql) => sql`CREATE TABLE mine (a)`))
      const before = fs.readFileSync(filename)
      const other = yield* failureOf(Effect.scoped(openReader({ filename })))
      assert.strictEqual(other._tag, "StoreOpenFailed")
      assert.isTrue(fs.readFileSync(filename).equals(before))
    }))
})

describe("fromClient", () => {
  it.scoped("makes a store of an application's own client, and has its commits synced", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "x.db")
      const sql = yield* connect(filename)
      const { encoded } = yield* fromClient(sql)
      yield* claim(encoded)
      assert.deepStrictEqual(yield* sql`PRAGMA synchronous`, [{ synchronous: 2 }])
      assert.strictEqual(encoded.authorityKey, `sqlite:${filename}`)
      assert.strictEqual((yield* sql`SELECT * FROM burrow_runtimes`).length, 1)
    }))

  it.scoped("refuses one that is not in the log's mode", () =>
    Effect.gen(function*() {
      const sql = yield* connect(path.join(yield* folder, "x.db"))
      yield* sql`PRAGMA journal_mode = DELETE`
      const error = yield* failureOf(fromClient(sql))
      assert.include(error.message, "journal mode is delete")
    }))

  it.scoped("takes one in memory", () =>
    Effect.gen(function*() {
      const { encoded } = yield* fromClient(yield* connect(":memory:"))
      assert.strictEqual(yield* claim(encoded), 1)
      assert.isNull(encoded.authorityKey)
    }))
})
