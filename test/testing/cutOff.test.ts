import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Input from "../../src/schema/Input.js"
import { Agents } from "../../src/services/Agents.js"
import { BlobStore } from "../../src/services/BlobStore.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { Run } from "../../src/services/Executor.js"
import { Inbox } from "../../src/services/Inbox.js"
import { Observer } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { logged, textOf } from "../engine/support.js"
import { events, hosting, payments, runs, sent, test, testEach, testSql } from "./support.js"

/** Everything that an executor can ask for, by its name. */
const wishes = (run: Run) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane
    const observer = yield* Observer
    const agents = yield* Agents
    const inbox = yield* Inbox
    const store = yield* RuntimeStore
    const blobs = yield* BlobStore
    const input = Input.prompt("too late")
    const wishes: Record<string, Effect.Effect<unknown, unknown, AgentTest.Crash>> = {
      checkpoint: run.checkpoint({ append: ["too late"] }),
      note: run.note({ notes: [{ scope: "s", key: "k", value: "too late" }] }),
      transcript: run.transcript(),
      snapshot: run.snapshot,
      ingest: plane.ingest("a/other", input),
      submit: plane.submit("a/other", input),
      publish: plane.publishEvent("a/x", "too late", 1),
      register: Effect.scoped(plane.register("b", { apply: () => Effect.void })),
      inputs: plane.inputs("a/x"),
      watch: Stream.runHead(observer.watch("a/x")),
      send: agents.send("a/other", input),
      enqueue: inbox.enqueue("a/other", input),
      updateCell: store.updateCell("cell", () => Effect.succeedSome(new Uint8Array([1]))),
      loadCell: store.loadCell("cell"),
      put: blobs.put(new Uint8Array([1, 2, 3]), "text/plain"),
      crash: AgentTest.crash,
      crashAfterCommit: AgentTest.crashAfterCommit(1)
    }
    return wishes
  })

const isGone = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)

describe("a life that is over", () => {
  testEach(
    "answers nothing, and writes nothing, to an executor that goes on all the same",
    Effect.gen(function*() {
      const goOn = yield* Deferred.make<void>()
      const told = yield* Deferred.make<Record<string, boolean>>()
      const plane = yield* hosting((run) =>
        run.attempt > 1
          ? Effect.never
          : Effect.uninterruptible(Effect.gen(function*() {
            yield* run.checkpoint({ append: ["in time"] })
            yield* Deferred.await(goOn)
            const all = yield* wishes(run)
            const gone = Object.entries(all).map(([name, wish]) =>
              Effect.map(Effect.exit(Effect.timeout(wish, "1 hour")), (exit) => [name, isGone(exit)] as const)
            )
            yield* Deferred.succeed(told, Object.fromEntries(yield* Effect.all(gone)))
            return { append: ["too late"], result: "too late" }
          }))
      )
      const inputId = yield* sent(plane, "a/x", Input.prompt("hello"))
      yield* TestClock.adjust("1 hour")
      yield* AgentTest.crash
      yield* TestClock.adjust("1 hour")
      const before = yield* events("a/x")
      yield* Deferred.succeed(goOn, undefined)
      const gone = yield* Deferred.await(told)
      assert.deepStrictEqual(Object.keys(gone).filter((name) => gone[name] !== true), [])
      yield* TestClock.adjust("1 hour")

      assert.deepStrictEqual(yield* events("a/x"), before)
      assert.deepStrictEqual(yield* runs("a/x"), { "run.started": 2, "run.boundary": 1, "run.lost": 1 })
      const store = yield* RuntimeStore
      assert.deepStrictEqual((yield* store.loadRuntimes()).map(({ runtimeId }) => String(runtimeId)), ["a/x"])
      assert.deepStrictEqual(yield* store.loadCell("cell"), Option.none())
      assert.deepStrictEqual(yield* store.loadDeposits(), [])
      assert.isFalse(Option.exists(yield* plane.input("a/x", inputId), ({ head }) => head.outcome !== null))
    })
  )

  testEach(
    "gives no run back",
    Effect.gen(function*() {
      const plane = yield* hosting((run) => Effect.zipRight(run.checkpoint(), Effect.sleep("1 hour")))
      for (let runtime = 0; runtime < 10; runtime++) yield* sent(plane, `a/${runtime}`, Input.prompt("hello"))
      yield* TestClock.adjust("1 minute")
      yield* AgentTest.crash
      yield* TestClock.adjust("2 hours")
      for (let runtime = 0; runtime < 10; runtime++) {
        assert.deepStrictEqual(yield* runs(`a/${runtime}`), { "run.started": 2, "run.boundary": 3, "run.lost": 1 })
      }
    })
  )

  testEach(
    "does not commit what it was about to: a transaction that was open is rolled back",
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const log: Array<string> = []
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          log.push(`attempt ${run.attempt}, ${Option.isSome(run.resume) ? "resumes" : "begins"}`)
          yield* run.checkpoint({
            append: [`attempt ${run.attempt}`],
            alongside: run.attempt === 1 && run.inputs.length === 1 && textOf(run) === "first"
              ? Effect.onInterrupt(
                Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never),
                () => Effect.sync(() => log.push("interrupted"))
              )
              : Effect.void
          })
          return { result: run.attempt }
        })
      )
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("first")))
      yield* Deferred.await(begun)
      // They wait behind the commit.
      const second = yield* Effect.fork(plane.submit("a/x", Input.prompt("second")))
      const elsewhere = yield* Effect.fork(plane.submit("a/y", Input.prompt("elsewhere")))
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(2))
      assert.deepStrictEqual((yield* Fiber.join(second)).result, Option.some(1))
      assert.deepStrictEqual((yield* Fiber.join(elsewhere)).result, Option.some(1))
      assert.includeMembers(log, ["attempt 1, begins", "interrupted", "attempt 2, begins"])
      assert.deepStrictEqual((yield* plane.transcript("a/x")).messages.filter((one) => typeof one === "string"), [
        "attempt 2",
        "attempt 1"
      ])
    })
  )

  testEach(
    "does not begin what waited for its turn",
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const told = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      const inbox = yield* Inbox
      const plane = yield* hosting((run) =>
        run.attempt > 1
          ? Effect.never
          : run.id === "first"
          ? Effect.asVoid(
            run.checkpoint({ alongside: Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never) })
          )
          : Effect.uninterruptible(Effect.gen(function*() {
            yield* Deferred.await(begun)
            yield* Deferred.succeed(told, yield* Effect.exit(inbox.enqueue("b/x", Input.prompt("too late"))))
          }))
      )
      yield* sent(plane, "a/second", Input.prompt("hello"))
      yield* TestClock.adjust(0)
      yield* sent(plane, "a/first", Input.prompt("hello"))
      yield* Deferred.await(begun)
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      assert.isTrue(isGone(yield* Deferred.await(told)))
      const store = yield* RuntimeStore
      assert.deepStrictEqual(yield* store.loadDeposits(), [])
      assert.deepStrictEqual(yield* plane.inspect("b/x"), Option.none())
    })
  )

  testEach(
    "keeps nobody waiting by an executor that does not end",
    Effect.gen(function*() {
      const stuck = yield* Deferred.make<void>()
      yield* Effect.addFinalizer(() => Deferred.succeed(stuck, undefined))
      const plane = yield* hosting((run) =>
        run.attempt === 1 ? Effect.uninterruptible(Deferred.await(stuck)) : Effect.succeed({ result: run.attempt })
      )
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      const watcher = yield* Effect.fork(Stream.runHead(Stream.filter(
        plane.watch("a/x"),
        (seen) => seen._tag === "event" && seen.event._tag === "run.boundary"
      )))
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(2))
      assert.isTrue(Option.isSome(yield* Fiber.join(watcher)))
    })
  )

  testEach(
    "is crashed from within a commit of its own",
    Effect.gen(function*() {
      const plane = yield* hosting((run) =>
        Effect.succeed({ result: run.attempt, ...(run.attempt === 1 && { alongside: AgentTest.crash }) })
      )
      assert.deepStrictEqual((yield* plane.submit("a/x", Input.prompt("hello"))).result, Option.some(2))
      assert.deepStrictEqual(yield* runs("a/x"), { "run.started": 2, "run.boundary": 1, "run.lost": 1 })
    })
  )

  test(
    "complains to nobody",
    logged((lines) =>
      Effect.gen(function*() {
        const plane = yield* hosting((run) =>
          Effect.onInterrupt(
            Effect.zipRight(Effect.logWarning(`attempt ${run.attempt}`), Effect.never),
            () => Effect.logWarning("interrupted")
          )
        )
        yield* sent(plane, "a/x", Input.prompt("hello"))
        const inbox = yield* Inbox
        yield* Effect.fork(inbox.enqueue("a/y", Input.prompt("hello")))
        yield* TestClock.adjust("1 hour")
        yield* AgentTest.crash
        yield* TestClock.adjust("1 hour")
        const own = lines.filter((line) => line.includes("a/x"))
        assert.deepStrictEqual(own.map((line) => line.split(" ").slice(0, 2).join(" ")), ["attempt 1", "attempt 2"])
      }).pipe(Effect.provide(AgentTest.layer))
    ) as Effect.Effect<void, unknown>
  )
})

describe("the application's tables", () => {
  testSql(
    "keep what was committed, and none of what a life had begun",
    Effect.gen(function*() {
      const { all, pay, sql } = yield* payments
      const begun = yield* Deferred.make<void>()
      const plane = yield* hosting((run) =>
        run.attempt > 1
          ? Effect.void
          : Effect.zipRight(
            pay("by itself"),
            sql.withTransaction(
              Effect.zipRight(
                pay("in a transaction"),
                Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
              )
            )
          )
      )
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      yield* Deferred.await(begun)
      yield* AgentTest.crash
      yield* Fiber.join(waiter)
      assert.deepStrictEqual(yield* all, ["by itself"])
      yield* sql.withTransaction(Effect.zipRight(pay("after"), pay("after, too")))
      assert.deepStrictEqual(yield* all, ["by itself", "after", "after, too"])
    })
  )

  testSql(
    "are not written by an executor that goes on all the same, nor by its finalizers",
    Effect.gen(function*() {
      const { all, pay, sql } = yield* payments
      const goOn = yield* Deferred.make<void>()
      const told = yield* Deferred.make<ReadonlyArray<boolean>>()
      const plane = yield* hosting((run) =>
        run.attempt > 1
          ? Effect.never
          : Effect.uninterruptible(Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.ignore(pay("by a finalizer")))
            const exits = yield* sql.withTransaction(Effect.gen(function*() {
              yield* pay("in time")
              yield* Deferred.await(goOn)
              return [yield* Effect.exit(pay("too late"))]
            })).pipe(Effect.exit)
            const behind = [
              yield* Effect.exit(pay("too late")),
              yield* Effect.exit(sql.withTransaction(pay("too late"))),
              yield* Effect.exit(sql`SELECT * FROM payments`)
            ]
            yield* Deferred.succeed(told, [exits, ...behind].map(isGone))
          }))
      )
      yield* sent(plane, "a/x", Input.prompt("hello"))
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      yield* Deferred.succeed(goOn, undefined)
      const [inside, ...behind] = yield* Deferred.await(told)
      assert.deepStrictEqual(behind, [true, true, true])
      assert.isDefined(inside)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* all, [])
    })
  )

  testSql(
    "lose a transaction that the test itself had open, which is told",
    Effect.gen(function*() {
      const { all, pay, sql } = yield* payments
      const begun = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const inbox = yield* Inbox
      const transaction = yield* Effect.fork(Effect.either(sql.withTransaction(
        pay("one").pipe(
          Effect.zipRight(inbox.enqueue("a/x", Input.prompt("hello"))),
          Effect.zipRight(Deferred.succeed(begun, undefined)),
          Effect.zipRight(Deferred.await(goOn)),
          Effect.zipRight(pay("two"))
        )
      )))
      yield* Deferred.await(begun)
      const waiting = yield* Effect.fork(pay("three"))
      const reserved = yield* Effect.fork(sql.withTransaction(pay("four")))
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      yield* Fiber.join(waiting)
      yield* Fiber.join(reserved)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual((yield* Fiber.join(transaction))._tag, "Left")
      assert.deepStrictEqual(yield* all, ["three", "four"])
      const store = yield* RuntimeStore
      assert.deepStrictEqual(yield* store.loadRuntimes(), [])
      assert.deepStrictEqual(yield* store.loadDeposits(), [])
    })
  )

  testSql(
    "are in one transaction with what is handed over",
    Effect.gen(function*() {
      const { all, pay, sql } = yield* payments
      const inbox = yield* Inbox
      const plane = yield* hosting(() => Effect.succeed({ result: "done" }))
      yield* Effect.flip(sql.withTransaction(
        Effect.zipRight(
          pay("never"),
          Effect.zipRight(inbox.enqueue("a/never", Input.prompt("never")), Effect.fail("no"))
        )
      ))
      const inputId = yield* sql.withTransaction(
        Effect.zipRight(pay("one"), inbox.enqueue("a/x", Input.prompt("hello")))
      )
      yield* AgentTest.crash
      assert.deepStrictEqual((yield* plane.await("a/x", inputId)).result, Option.some("done"))
      assert.deepStrictEqual(yield* all, ["one"])
      assert.deepStrictEqual(yield* plane.inspect("a/never"), Option.none())
    })
  )

  testSql(
    "cannot be another database's: that client is refused",
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const other = Object.assign(Object.create(sql) as SqlClient.SqlClient, { reserve: Effect.never })
      const refused = hosting(() => Effect.void).pipe(Effect.provideService(SqlClient.SqlClient, other))
      assert.strictEqual((yield* Effect.flip(refused))._tag, "ForeignSqlClient")
      yield* AgentTest.crash
      yield* hosting(() => Effect.void).pipe(Effect.provideService(SqlClient.SqlClient, sql.withoutTransforms()))
    })
  )
})
