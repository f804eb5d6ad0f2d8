import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Commit from "../../src/core/Commit.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import { openGuest, openOwner } from "../../src/layers/sqlite/open.js"
import { ClaimId, InputId, RuntimeId } from "../../src/schema/Ids.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { connect, failureOf, folder } from "../sql/support.js"
import { ended, kill, start } from "./process.js"

const runtimeId = RuntimeId.make("ana")
const claimId = ClaimId.make("0190a0b0-c0d0-7000-8000-000000000001")
const deposit: Commit.Deposit = {
  runtimeId,
  inputId: InputId.make("0190a0b0-c0d0-7000-8000-000000000002"),
  at: 1,
  payload: "{}"
}

const storeOf = <E>(layer: Layer.Layer<RuntimeStore, E>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, RuntimeStore))

const owner = (filename: string) => storeOf(RuntimeStoreSqlite.layer({ filename, pollMillis: 5 }))
const guest = (filename: string) => storeOf(RuntimeStoreSqlite.layerGuest({ filename, pollMillis: 5 }))

const file = Effect.map(folder, (folder) => path.join(folder, "x.db"))

const waiting = (store: RuntimeStore["Type"]) =>
  Effect.map(store.loadDeposits(), (all) => all.map(({ inputId }) => inputId))

describe("a guest", () => {
  it.scopedLive("deposits for the owner, who is told of it", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const theirs = yield* owner(filename)
      const ours = yield* guest(filename)
      const told = yield* theirs.subscribeDeposits
      yield* ours.deposit([deposit])
      yield* told
      assert.deepStrictEqual(yield* waiting(theirs), [deposit.inputId])
      assert.deepStrictEqual(yield* waiting(ours), [deposit.inputId])
    }))

  it.scopedLive("of another process deposits for the owner, who is told of it", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const theirs = yield* owner(filename)
      const told = yield* theirs.subscribeDeposits
      const child = yield* start("deposit", filename)
      assert.strictEqual(child.line, "open")
      yield* told
      assert.strictEqual((yield* waiting(theirs)).length, 1)
      yield* ended(child)
    }), 60_000)

  it.scopedLive("is told of what the owner commits, whatever it waits for", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const theirs = yield* owner(filename)
      const ours = yield* guest(filename)
      const all = yield* Effect.all([
        ours.subscribe(runtimeId),
        ours.subscribe(runtimeId, deposit.inputId),
        ours.subscribeDeposits
      ])
      const fiber = yield* Effect.fork(Effect.all(all, { concurrency: "unbounded", discard: true }))
      yield* theirs.claim(runtimeId, claimId)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* ours.loadRuntimeState(runtimeId), Option.some("idle" as const))
    }))

  it.scopedLive("hears its own deposits at once", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* owner(filename)
      const ours = yield* storeOf(RuntimeStoreSqlite.layerGuest({ filename, pollMillis: 1_000_000 }))
      const told = yield* ours.subscribeDeposits
      yield* ours.deposit([deposit])
      yield* told
    }))

  it.scoped("cannot write anything else, and says so", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const theirs = yield* owner(filename)
      const token = yield* theirs.claim(runtimeId, claimId)
      const ours = yield* guest(filename)
      const stamp = { token, n: 1 }
      const writes: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>> = [
        ours.commit(Commit.make(runtimeId, stamp, { deposits: [deposit] })),
        ours.commitWith(Commit.make(runtimeId, stamp, { deposits: [deposit] }), Effect.void),
        ours.claim(runtimeId, claimId),
        ours.recover(runtimeId, claimId, (_, token) =>
          Either.right([Commit.make(runtimeId, { token, n: 0 }, {}), undefined])),
        ours.barrier(runtimeId, token),
        ours.settleDeposits([{ no: 1, failure: null }]),
        ours.updateCell("c", () =>
          Effect.succeedSome(Uint8Array.of(1))),
        ours.deleteOpsLifecycle(runtimeId, stamp)
      ]
      for (const write of writes) {
        const error = yield* failureOf(write)
        assert.strictEqual(error._tag, "WriteFailed")
        assert.include(error.message, "a guest only reads and deposits")
      }
      assert.deepStrictEqual(yield* waiting(ours), [])
      assert.deepStrictEqual(yield* theirs.loadStamp(runtimeId, { _tag: "runtime" }), Option.some({ epoch: 1, n: 0 }))
    }))

  it.scoped("takes no lock: an owner may come and go, and other guests too", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.scoped(owner(filename))
      const ours = yield* guest(filename)
      yield* ours.deposit([deposit])
      yield* Effect.scoped(Effect.gen(function*() {
        const theirs = yield* owner(filename)
        assert.deepStrictEqual(yield* waiting(theirs), [deposit.inputId])
        yield* theirs.settleDeposits((yield* theirs.loadDeposits()).map(({ no }) => ({ no, failure: null })))
        yield* Effect.scoped(Effect.flatMap(guest(filename), (other) => other.deposit([deposit])))
      }))
      assert.deepStrictEqual(yield* waiting(ours), [deposit.inputId])
      yield* ours.deposit([deposit])
      assert.strictEqual((yield* waiting(ours)).length, 2)
    }))

  it.scoped("deposits beside an owner that was killed, and the next one finds it", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const killed = yield* start("own", filename)
      assert.strictEqual(killed.line, "open")
      yield* Effect.flatMap(guest(filename), (ours) => ours.deposit([deposit]))
      yield* kill(killed)
      assert.deepStrictEqual(yield* Effect.flatMap(owner(filename), waiting), [deposit.inputId])
    }), 60_000)

  it.scopedLive("waits for another's write lock, and is StoreBusy when it takes too long", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.scoped(owner(filename))
      const ours = yield* storeOf(RuntimeStoreSqlite.layerGuest({ filename, busyRetryMillis: 20 }))
      const other = new Database(filename)
      yield* Effect.addFinalizer(() => Effect.sync(() => other.close()))
      other.exec("BEGIN IMMEDIATE")
      assert.strictEqual((yield* failureOf(ours.deposit([deposit])))._tag, "StoreBusy")
      other.exec("COMMIT")
      yield* ours.deposit([deposit])
    }))

  it.scoped("syncs what it deposits", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.scoped(openOwner({ filename }))
      const opened = yield* openGuest({ filename })
      for (let times = 0; times < 2; times++) {
        assert.deepStrictEqual(yield* opened.client`PRAGMA synchronous`, [{ synchronous: 2 }])
        assert.deepStrictEqual(yield* opened.client`PRAGMA busy_timeout`, [{ timeout: 10 }])
        yield* opened.encoded.deposit([deposit])
      }
    }))

  it.scoped("does not deposit into a file that was replaced", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.scoped(owner(filename))
      const ours = yield* guest(filename)
      fs.renameSync(filename, `${filename}.old`)
      fs.copyFileSync(`${filename}.old`, filename)
      assert.strictEqual((yield* failureOf(ours.deposit([deposit])))._tag, "StoreReplaced")
    }))

  it.scoped("makes nothing: no file, no tables", () =>
    Effect.gen(function*() {
      const at = yield* folder
      const missing = yield* failureOf(Effect.scoped(guest(path.join(at, "x.db"))))
      assert.strictEqual(missing._tag, "StoreOpenFailed")
      assert.include(missing.message, "does not exist")
      assert.deepStrictEqual(fs.readdirSync(at), [])
      const filename = path.join(at, "other.db")
      yield* Effect.scoped(Effect.flatMap(connect(filename), (sql) => sql`CREATE TABLE mine (a)`))
      const before = fs.readFileSync(filename)
      assert.strictEqual((yield* failureOf(Effect.scoped(guest(filename))))._tag, "StoreOpenFailed")
      assert.isTrue(fs.readFileSync(filename).equals(before))
    }))

  it.scoped("refuses a file of a newer schema, and one of none", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.scoped(owner(filename))
      const sql = yield* connect(filename)
      yield* sql`INSERT INTO burrow_migrations (version, name, applied_at) VALUES (2, 'later', 0)`
      assert.strictEqual((yield* failureOf(Effect.scoped(guest(filename))))._tag, "SchemaFromTheFuture")
      yield* sql`DELETE FROM burrow_migrations`
      assert.strictEqual((yield* failureOf(Effect.scoped(guest(filename))))._tag, "StoreOpenFailed")
    }))
})
