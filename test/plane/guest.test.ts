import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as ControlPlaneLive from "../../src/layers/ControlPlaneLive.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { Executor } from "../../src/services/Executor.js"
import { Inbox } from "../../src/services/Inbox.js"
import { Observer } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { accepted, textOf, until } from "../engine/support.js"
import { failureOf, folder } from "../sql/support.js"

const echo: Executor = {
  apply: (run) => Effect.succeed({ append: [`to ${textOf(run).length}`], result: textOf(run) })
}

const owner = (filename: string) =>
  Effect.map(Layer.build(BurrowSqlite.layer({ filename, pollMillis: 5 })), (context) => ({
    plane: Context.get(context, ControlPlane),
    store: Context.get(context, RuntimeStore)
  }))

const guest = (filename: string) =>
  Effect.map(Layer.build(BurrowSqlite.layerGuest({ filename, pollMillis: 5 })), (context) => ({
    inbox: Context.get(context, Inbox),
    observer: Context.get(context, Observer),
    store: Context.get(context, RuntimeStore),
    sql: Context.get(context, SqlClient.SqlClient),
    context
  }))

const test = (name: string, body: (filename: string) => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.scopedLive(name, () => Effect.flatMap(folder, (folder) => body(path.join(folder, "burrow.db"))), 20_000)

/** The file is there, and nobody owns it. */
const made = (filename: string) => Effect.scoped(owner(filename))

describe("a guest hands an input over", () => {
  test("and waits for its result, which the owner's executor makes", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* owner(filename)
      yield* plane.register("a", echo)
      const { inbox, observer } = yield* guest(filename)
      const inputId = yield* inbox.enqueue("a/x", Input.prompt("hello"))
      assert.deepStrictEqual((yield* observer.await("a/x", inputId)).result, Option.some("hello"))
      // Long after, too.
      assert.deepStrictEqual((yield* observer.await("a/x", inputId)).result, Option.some("hello"))
    }))

  test("I1, I14: and waits for it, also when the owner starts later, and its executor later still", (filename) =>
    Effect.gen(function*() {
      yield* made(filename)
      const { inbox, observer, store } = yield* guest(filename)
      const inputs = yield* Effect.forEach([1, 2, 3], (i) => inbox.enqueue("a/x", Input.prompt(`${i}`)))
      const waiters = yield* Effect.forEach(inputs, (inputId) => Effect.fork(observer.await("a/x", inputId)))
      yield* Effect.sleep("50 millis")
      for (const fiber of waiters) assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      const { plane } = yield* owner(filename)
      yield* until("they are admitted", Effect.map(store.loadDeposits(), (left) => left.length === 0))
      yield* plane.register("a", echo)
      const results = yield* Effect.forEach(waiters, (fiber) => Effect.map(Fiber.join(fiber), ({ result }) => result))
      assert.deepStrictEqual(results, ["1", "2", "3"].map(Option.some))
      // In the order in which they were handed over.
      assert.deepStrictEqual(
        (yield* plane.inputs("a/x")).map((row) => row._tag === "Right" && row.right.head.id),
        inputs
      )
    }))

  test("I5: twice under one key, and is told of one input both times", (filename) =>
    Effect.gen(function*() {
      yield* made(filename)
      const { inbox, observer, store } = yield* guest(filename)
      const draft = Input.prompt("once", { idempotencyKey: "monday" })
      const first = yield* inbox.enqueue("a/x", draft)
      assert.strictEqual(yield* inbox.enqueue("a/x", draft), first)
      const { plane } = yield* owner(filename)
      yield* plane.register("a", echo)
      yield* observer.await("a/x", first)
      assert.strictEqual(yield* inbox.enqueue("a/x", draft), first)
      yield* until("all are admitted", Effect.map(store.loadDeposits(), (left) => left.length === 0))
      assert.strictEqual((yield* plane.inputs("a/x")).length, 1)
      assert.deepStrictEqual(yield* store.loadDeposits({ refused: true }), [])
    }))

  test("I5: whose key is known under another id, and awaits that input", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* owner(filename)
      const known = yield* accepted(plane, "a/x", Input.prompt("hello", { idempotencyKey: "monday" }))
      const { inbox, observer } = yield* guest(filename)
      const inputId = yield* inbox.enqueue("a/x", Input.prompt("hello", { idempotencyKey: "monday" }))
      assert.notStrictEqual(inputId, known)
      const waiter = yield* Effect.fork(observer.await("a/x", inputId))
      yield* plane.register("a", echo)
      const completion = yield* Fiber.join(waiter)
      assert.strictEqual(completion.inputId, known)
      assert.deepStrictEqual(completion.result, Option.some("hello"))
      assert.deepStrictEqual(yield* observer.await("a/x", inputId), completion)
      assert.deepStrictEqual(yield* plane.await("a/x", inputId), completion)
      assert.strictEqual((yield* plane.inputs("a/x")).length, 1)
    }))

  test("that is refused for good: whoever waits is told, and it is kept with the reason", (filename) =>
    Effect.gen(function*() {
      const { plane, store } = yield* owner(filename)
      yield* accepted(plane, "a/gone", Input.prompt("hello"))
      yield* accepted(plane, "a/x", Input.prompt("hello", { idempotencyKey: "monday" }))
      yield* plane.destroy("a/gone")
      const { inbox, observer, store: ours } = yield* guest(filename)
      const late = yield* inbox.enqueue("a/gone", Input.prompt("late"))
      const other = yield* inbox.enqueue("a/x", Input.prompt("another", { idempotencyKey: "monday" }))
      for (const wait of [observer.await, plane.await]) {
        const gone = yield* failureOf(wait("a/gone", late))
        assert.strictEqual(gone._tag === "Refused" && gone.error.tag, "Destroyed")
        const conflict = yield* failureOf(wait("a/x", other))
        assert.strictEqual(conflict._tag === "Refused" && conflict.error.tag, "IdempotencyConflict")
      }
      for (const seen of [store, ours]) {
        const refused = yield* seen.loadDeposits({ refused: true })
        assert.deepStrictEqual(refused.map(({ inputId }) => inputId), [late, other])
        assert.deepStrictEqual(refused.map(({ failure }) => failure?.tag), ["Destroyed", "IdempotencyConflict"])
        assert.deepStrictEqual(yield* seen.loadDeposits(), [])
      }
    }))

  test("that is refused for now: it waits in order until its runtime takes inputs again", (filename) =>
    Effect.gen(function*() {
      const { plane, store } = yield* owner(filename)
      yield* plane.register("a", echo)
      yield* plane.submit("a/x", Input.prompt("hello"))
      yield* plane.stop("a/x")
      const { inbox, observer } = yield* guest(filename)
      const inputs = yield* Effect.forEach([1, 2], (i) => inbox.enqueue("a/x", Input.prompt(`${i}`)))
      // Another runtime's do not wait for them.
      yield* observer.await("a/y", yield* inbox.enqueue("a/y", Input.prompt("y")))
      assert.strictEqual((yield* store.loadDeposits()).length, 2)
      yield* plane.resume("a/x")
      for (const inputId of inputs) yield* observer.await("a/x", inputId)
      assert.deepStrictEqual(yield* store.loadDeposits({ refused: true }), [])
    }))

  test("with large content, which arrives whole", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* owner(filename)
      yield* plane.register("a", echo)
      const { inbox, observer } = yield* guest(filename)
      for (const size of [20_000, 100_000, 700_000]) {
        const text = "ä".repeat(size / 2)
        const inputId = yield* inbox.enqueue("a/x", Input.prompt(text))
        assert.deepStrictEqual((yield* observer.await("a/x", inputId)).result, Option.some(text))
      }
      const large = yield* failureOf(inbox.enqueue("a/x", Input.prompt("x".repeat(5_000_000))))
      assert.strictEqual(large._tag, "InputTooLarge")
    }))

  test("I2: within a transaction of its own: both are there, or neither", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* owner(filename)
      yield* plane.register("a", echo)
      const { inbox, observer, sql, store } = yield* guest(filename)
      yield* sql`CREATE TABLE orders (id TEXT PRIMARY KEY)`
      const order = (id: string) =>
        Effect.zipRight(
          sql`INSERT INTO orders (id) VALUES (${id})`,
          inbox.enqueue("a/x", Input.prompt(`Ship ${id}`, { idempotencyKey: id }))
        )
      const inputId = yield* sql.withTransaction(Effect.tap(order("one"), () => Effect.sleep("50 millis")))
      assert.deepStrictEqual((yield* observer.await("a/x", inputId)).result, Option.some("Ship one"))
      const lost: Array<string> = []
      yield* Effect.flip(
        sql.withTransaction(
          Effect.tap(order("two"), (id) => Effect.zipRight(Effect.sync(() => lost.push(id)), Effect.fail("no")))
        )
      )
      assert.deepStrictEqual(yield* store.loadDeposits(), [])
      assert.deepStrictEqual(yield* sql`SELECT id FROM orders`, [{ id: "one" }])
      assert.strictEqual((yield* failureOf(observer.await("a/x", lost[0]!)))._tag, "UnknownInput")
      // The key is as free as before.
      const again = yield* sql.withTransaction(order("two"))
      assert.strictEqual(again, lost[0])
      yield* observer.await("a/x", again)
    }))
})

describe("a guest looks on", () => {
  test("I4, I18: and sees the same sequence as the owner, from any cursor", (filename) =>
    Effect.gen(function*() {
      const { plane } = yield* owner(filename)
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            yield* run.emit("only here")
            yield* run.checkpoint({ append: ["one", "two"] })
            if (run.attempt === 1) return yield* Effect.fail("again")
            return { append: ["three"], result: 1 }
          })
      }, { retry: Schedule.recurs(5) })
      const { observer } = yield* guest(filename)
      const count = 16
      const committed = Stream.filter(plane.watch("a/x"), (seen) => seen._tag !== "progress")
      const inside = yield* Effect.fork(Stream.runCollect(Stream.take(committed, count)))
      const outside = yield* Effect.fork(Stream.runCollect(Stream.take(observer.watch("a/x"), count)))
      yield* plane.submit("a/x", Input.prompt("1"))
      yield* plane.submit("a/x", Input.prompt("2"))
      const seen = Chunk.toReadonlyArray(yield* Fiber.join(outside))
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(inside)), seen)
      const cursors = seen.map(({ cursor }) => cursor)
      assert.deepStrictEqual(cursors, [...cursors].sort((a, b) => a - b))
      for (const at of [0, 3, 5, count - 2]) {
        const rest = yield* Stream.runCollect(
          Stream.take(observer.watch("a/x", { after: cursors[at]! }), count - 1 - at)
        )
        assert.deepStrictEqual(Chunk.toReadonlyArray(rest), seen.slice(at + 1))
      }
    }))

  test("I14: and waits on while owners come and go", (filename) =>
    Effect.gen(function*() {
      yield* made(filename)
      const { inbox, observer } = yield* guest(filename)
      const inputId = yield* inbox.enqueue("a/x", Input.prompt("hello"))
      const waiter = yield* Effect.fork(observer.await("a/x", inputId))
      const scope = yield* Scope.make()
      const { plane } = yield* Scope.extend(owner(filename), scope)
      yield* until("it is admitted", Effect.map(plane.input("a/x", inputId), Option.isSome))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiter)))
      const next = yield* owner(filename)
      yield* next.plane.register("a", echo)
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some("hello"))
    }))

  test("I9: and commands nothing: an engine over its store is refused whatever it would write", (filename) =>
    Effect.gen(function*() {
      const theirs = yield* owner(filename)
      yield* theirs.plane.register("a", echo)
      const { inputId } = yield* theirs.plane.submit("a/x", Input.prompt("hello"))
      const ours = yield* guest(filename)
      const context = yield* Layer.build(
        ControlPlaneLive.layer.pipe(
          Layer.provide(DriverPersistent.layer),
          Layer.provide(Layer.succeedContext(ours.context))
        )
      )
      const plane = Context.get(context, ControlPlane)
      const writes: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>> = [
        plane.ingest("a/x", Input.prompt("mine")),
        plane.ingest("a/new", Input.prompt("mine")),
        plane.stop("a/x"),
        plane.destroy("a/x"),
        plane.takeOver("a/x"),
        plane.pause({ agent: "a" }),
        plane.pause({ runtimeId: "a/x" }),
        plane.clearSession("a/x")
      ]
      for (const write of writes) {
        const error = yield* failureOf(write)
        assert.strictEqual(error._tag, "WriteFailed")
        assert.include(error.message, "a guest only reads and deposits")
      }
      // It reads.
      assert.deepStrictEqual((yield* plane.await("a/x", inputId)).result, Option.some("hello"))
      // The owner has noticed nothing.
      assert.deepStrictEqual((yield* theirs.plane.submit("a/x", Input.prompt("more"))).result, Option.some("more"))
    }))
})

const child = fileURLToPath(new URL("./guest.child.ts", import.meta.url))

/** Runs the guest's program in a process of its own, and answers what it said. */
const outside = (filename: string, text: string, key: string) =>
  Effect.async<string>((resume) => {
    const started = spawn(process.execPath, ["--import", "tsx", child, filename, text, key], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, TSX_DISABLE_CACHE: "1" }
    })
    let said = ""
    started.stdout.on("data", (chunk: Buffer) => said += chunk.toString())
    started.once("exit", () => resume(Effect.sync(() => said)))
    return Effect.sync(() => started.kill("SIGKILL"))
  })

describe("a guest in a process of its own", () => {
  it.scopedLive("hands inputs over, is told their results, and shares a key with others", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "burrow.db")
      const { plane } = yield* owner(filename)
      yield* plane.register("a", echo)
      const said = yield* Effect.all(
        [
          outside(filename, "hello", "monday"),
          outside(filename, "hello", "monday"),
          outside(filename, "other", "tuesday")
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(said, ["hello", "hello", "other"].map((result) => JSON.stringify({ result })))
      assert.strictEqual((yield* plane.inputs("a/x")).length, 2)
    }), 60_000)
})
