import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { operationKey } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import { Outbox } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  type Process,
  settle,
  test,
  testEach,
  testFaulty,
  testSqlite,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

const collecting = () => {
  const log: Array<string> = []
  return {
    log,
    executor: { apply: (run: Parameters<typeof textOf>[0]) => Effect.sync(() => void log.push(textOf(run))) }
  }
}

describe("the outbox of a boundary", () => {
  testEach(
    "is delivered once, in order, each input under the id that it left with",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const mine = yield* F.freshInputId
        const { executor, log } = collecting()
        yield* plane.register("b", executor)
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              const to = (text: string) => ({ to: "b", input: Input.prompt(text) })
              yield* run.checkpoint({ outbox: [to("1"), to("2")] })
              yield* run.note({ outbox: [to("3")] })
              return { outbox: [to("4"), { to: "b", input: Input.prompt("5", { id: mine }) }] }
            })
        })
        yield* plane.submit("a", Input.prompt("go"))
        yield* untilTrue("all are there", () => log.length === 5)
        yield* settle
        assert.deepStrictEqual(log, ["1", "2", "3", "4", "5"])
        assert.strictEqual(Option.isSome(yield* plane.input("b", mine)), true)
      })
  )

  testEach("may go to the sender itself, and to a runtime that nobody has used", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const log: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.sync(() => {
            log.push(`${run.runtimeId} ${textOf(run)}`)
            return textOf(run) === "go"
              ? { outbox: [{ to: "a", input: Input.prompt("self") }, { to: "a/new", input: Input.prompt("new") }] }
              : {}
          })
      })
      yield* plane.submit("a", Input.prompt("go"))
      yield* untilTrue("all are there", () => log.length === 3)
      assert.sameMembers(log, ["a go", "a self", "a/new new"])
    }))

  testEach("of a boundary that is not committed goes nowhere", ({ open }) =>
    Effect.gen(function*() {
      const { plane, store } = yield* open()
      yield* plane.register("a", {
        apply: () => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt("x") }], alongside: Effect.fail("no") })
      }, { attemptsMax: 1 })
      yield* Effect.flip(plane.submit("a", Input.prompt("go")))
      yield* settle
      assert.deepStrictEqual([yield* store.loadDeposits({ after: 0, limit: 10 }), yield* plane.inputs("b")], [[], []])
    }))

  test("waits for a target that is stopped, with everything behind it, and is delivered after resume", ({ open }) =>
    Effect.gen(function*() {
      const { plane, store } = yield* open()
      const { executor, log } = collecting()
      yield* plane.register("b", executor)
      yield* plane.submit("b", Input.prompt("0"))
      yield* plane.stop("b")
      yield* plane.register("a", {
        apply: (run) => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt(textOf(run)) }] })
      })
      yield* plane.submit("a", Input.prompt("1"))
      yield* plane.submit("a", Input.prompt("2"))
      yield* advance("1 minute", { steps: 10 })
      assert.deepStrictEqual(log, ["0"])
      yield* plane.resume("b")
      yield* advance("1 minute", { steps: 10 })
      yield* untilTrue("both are there", () => log.length === 3)
      assert.deepStrictEqual(log, ["0", "1", "2"])
      assert.deepStrictEqual(yield* store.loadDeposits({ after: 0, limit: 10 }), [])
    }))

  testEach(
    "I14: the end of an operation passes what a retired runtime does not take, which is drained with it",
    ({ open }) =>
      Effect.gen(function*() {
        const { drivers, inbox, plane, store } = yield* open()
        const { executor, log } = collecting()
        const inputId = yield* accepted(plane, "b", Input.prompt("asks"))
        const driver = yield* drivers.get("b")
        const { runId } = yield* F.stage(driver)
        yield* driver.note({ runId, awaits: [{ operationId: "ask", until: null }] })
        yield* driver.hold({ runId, reason: "question", awaits: ["ask"] })
        yield* plane.retire("b")
        yield* plane.register("b", executor)
        yield* inbox.enqueue("b", Input.prompt("late"))
        yield* inbox.enqueue("b", {
          _tag: "operation",
          header: { idempotencyKey: operationKey("ask") },
          operationId: "ask",
          event: { _tag: "completed", result: "yes" }
        })
        yield* plane.await("b", inputId)
        yield* settle
        assert.deepStrictEqual(log, ["asks"])
        assert.strictEqual((yield* store.loadDeposits({ after: 0, limit: 10 })).length, 1)
      })
  )

  testEach(
    "that its target refuses for good is kept with the reason, and holds up nothing",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane, store } = yield* open()
        const { executor, log } = collecting()
        yield* plane.register("b", executor)
        yield* accepted(plane, "b", Input.prompt("0", { idempotencyKey: "k" }))
        yield* plane.register("a", {
          apply: () =>
            Effect.succeed({
              outbox: [
                { to: "b", input: Input.prompt("another payload", { idempotencyKey: "k" }) },
                { to: "b", input: Input.prompt("1") }
              ]
            })
        })
        yield* plane.submit("a", Input.prompt("go"))
        yield* untilTrue("the next one is there", () => log.length === 2)
        yield* until(
          "it is settled",
          Effect.map(store.loadDeposits({ refused: true }), (refused) => refused.length === 1)
        )
        const [refused] = yield* store.loadDeposits({ refused: true })
        assert.strictEqual(refused?.failure?.tag, "IdempotencyConflict")
        assert.deepStrictEqual(yield* store.loadDeposits({ after: 0, limit: 10 }), [])
      })
  )

  testEach("to a destroyed runtime is refused for good", ({ open }) =>
    Effect.gen(function*() {
      const { plane, store } = yield* open()
      yield* accepted(plane, "b", Input.prompt("0"))
      yield* plane.destroy("b")
      yield* plane.register("a", { apply: () => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt("1") }] }) })
      yield* plane.submit("a", Input.prompt("go"))
      yield* until(
        "it is settled",
        Effect.map(store.loadDeposits({ refused: true }), (refused) => refused.length === 1)
      )
    }))

  testEach("is delivered by the next process when this one ends first", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      yield* first.plane.stop("b").pipe(Effect.ignore)
      yield* accepted(first.plane, "b", Input.prompt("0"))
      yield* first.plane.stop("b")
      yield* first.plane.register("a", {
        apply: () => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt("1") }] })
      })
      yield* first.plane.submit("a", Input.prompt("go"))
      yield* first.close
      const second = yield* open()
      const { executor, log } = collecting()
      yield* second.plane.resume("b")
      yield* second.plane.register("b", executor)
      yield* advance("5 seconds", { steps: 5 })
      yield* untilTrue("both are there", () => log.length === 2)
      assert.deepStrictEqual(log, ["0", "1"])
    }))

  testFaulty(
    "is delivered once although the answer of its boundary was lost, and although its admission's was",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        const { executor, log } = collecting()
        yield* plane.register("b", executor)
        yield* plane.register("a", {
          apply: (run) => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt(textOf(run)) }] })
        })
        for (let nth = 0; nth < 5; nth++) {
          const id = yield* accepted(plane, "a", Input.prompt(`${nth}`, { deliverAt: 1_000 * (nth + 1) * 60 }))
          yield* settle
          faults.next(...Array.from({ length: nth }, () => "write" as const), "committed")
          yield* advance("1 minute", { steps: 10 })
          yield* plane.await("a", id)
          yield* advance("10 seconds", { steps: 3 })
          yield* untilTrue(`${nth} is there`, () => log.length === nth + 1)
        }
        assert.deepStrictEqual(log, ["0", "1", "2", "3", "4"])
      })
  )
})

/** Runs with the client of the process's file. */
const withSql = <A, E>(process: Process, effect: Effect.Effect<A, E, SqlClient.SqlClient>): Effect.Effect<A, E> =>
  Effect.provide(effect, process.stores as Context.Context<never>) as Effect.Effect<A, E>

describe("in the application's own transaction, on a file", () => {
  testSqlite(
    "I2: Outbox.send in an alongside leaves with the boundary, and with its rows, or not at all",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const { plane } = process
        yield* withSql(process, Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE orders (id TEXT)`))
        const { executor, log } = collecting()
        yield* plane.register("b", executor)
        const apply = (run: Parameters<typeof textOf>[0]) =>
          Effect.succeed({
            alongside: Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              const outbox = yield* Outbox
              yield* sql`INSERT INTO orders (id) VALUES (${textOf(run)})`
              yield* outbox.send("b", Input.prompt(textOf(run)))
              if (textOf(run) === "bad") return yield* Effect.fail("no")
            })
          })
        yield* withSql(process, plane.register("a", { apply }, { attemptsMax: 1 }) as never)
        yield* plane.submit("a", Input.prompt("good"))
        yield* Effect.flip(plane.submit("a", Input.prompt("bad")))
        yield* untilTrue("it is there", () => log.length === 1)
        yield* settle
        assert.deepStrictEqual(log, ["good"])
        const rows = yield* withSql(process, Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT id FROM orders`))
        assert.deepStrictEqual(rows, [{ id: "good" }])
      })
  )

  testSqlite(
    "Inbox.enqueue is admitted exactly once when the transaction commits, and never when it does not",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const { inbox, plane } = process
        const { executor, log } = collecting()
        yield* plane.register("a", executor)
        const within = (text: string, fails: boolean) =>
          withSql(
            process,
            Effect.flatMap(SqlClient.SqlClient, (sql) =>
              sql.withTransaction(
                Effect.tap(
                  inbox.enqueue("a", Input.prompt(text, { idempotencyKey: text })),
                  () => fails ? Effect.fail("rolled back") : Effect.void
                )
              ))
          )
        const id = yield* within("good", false)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(within("bad", true))))
        yield* within("good", false)
        yield* untilTrue("it is there", () => log.length === 1)
        yield* untilPhase(plane, "a", id, "consumed")
        yield* settle
        assert.deepStrictEqual(log, ["good"])
        assert.strictEqual((yield* plane.inputs("a")).length, 1)
      })
  )

  testEach("Inbox.enqueue outside of one is durable when it is answered", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      const id = yield* first.inbox.enqueue("a", F.flow("x"))
      yield* first.close
      const second = yield* open()
      const { executor, log } = collecting()
      yield* second.plane.register("a", executor)
      yield* untilTrue("it is there", () => log.length === 1)
      yield* second.plane.await("a", id)
    }))
})
