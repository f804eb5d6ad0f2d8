import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlError from "@effect/sql/SqlError"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { query } from "../../src/layers/sql/Statements.js"
import { makeTransactor, type Transactor } from "../../src/layers/sql/transact.js"
import { TransactionEnded } from "../../src/schema/StoreError.js"
import { client, committedNumbers, connect, failureOf, folder, insert, intercepted, numbersOf } from "./support.js"

const setup = Effect.gen(function*() {
  const { filename, sql } = yield* client
  const transactor = yield* makeTransactor(sql, { busyRetryMillis: 0 })
  return { filename, sql, transactor, committed: committedNumbers(filename) }
})

/** The connection is free and outside of any transaction: another transaction begins, commits, and is seen. */
const isFree = (transactor: Transactor, filename: string) =>
  Effect.gen(function*() {
    yield* transactor.transact("the next one", (connection) => insert(connection, 9999))
    assert.include(yield* committedNumbers(filename), 9999)
    yield* transactor.transact("the next one", (connection) =>
      connection.execute("DELETE FROM numbers WHERE number = 9999", [], undefined))
  }).pipe(Effect.timeout("5 seconds"))

describe("transact", () => {
  it.scoped("commits what its body wrote, the body's plain use of the client included", () =>
    Effect.gen(function*() {
      const { committed, filename, sql, transactor } = yield* setup
      const answer = yield* transactor.transact("write", (connection) =>
        Effect.gen(function*() {
          yield* insert(connection, 1)
          yield* sql`INSERT INTO numbers (number) VALUES (2)`
          assert.strictEqual(yield* transactor.ambient, "mine")
          assert.deepStrictEqual(yield* committed, [])
          return "done"
        }))
      assert.strictEqual(answer, "done")
      assert.strictEqual(yield* transactor.ambient, "none")
      assert.deepStrictEqual(yield* committed, [1, 2])
      yield* isFree(transactor, filename)
    }))

  it.scoped("a failure of the body is answered unchanged and nothing is written", () =>
    Effect.gen(function*() {
      const { committed, filename, transactor } = yield* setup
      const error = yield* failureOf(
        transactor.transact("write", (connection) => Effect.zipRight(insert(connection, 1), Effect.fail("no")))
      )
      assert.strictEqual(error, "no")
      assert.deepStrictEqual(yield* committed, [])
      yield* isFree(transactor, filename)
    }))

  it.scoped("a defect of the body, also one thrown before it became an effect, writes nothing", () =>
    Effect.gen(function*() {
      const { committed, filename, transactor } = yield* setup
      const bug = new Error("bug")
      const died = yield* Effect.exit(
        transactor.transact("write", (connection) => Effect.zipRight(insert(connection, 1), Effect.die(bug)))
      )
      assert.deepStrictEqual(died, Exit.die(bug))
      const threw = yield* Effect.exit(transactor.transact("write", (): Effect.Effect<void> => {
        throw bug
      }))
      assert.deepStrictEqual(threw, Exit.die(bug))
      assert.deepStrictEqual(yield* committed, [])
      yield* isFree(transactor, filename)
    }))

  it.scoped("an interruption of the body writes nothing", () =>
    Effect.gen(function*() {
      const { committed, filename, transactor } = yield* setup
      const reached = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(transactor.transact("write", (connection) =>
        insert(connection, 1).pipe(
          Effect.zipRight(Deferred.succeed(reached, undefined)),
          Effect.zipRight(Effect.never)
        )))
      yield* Deferred.await(reached)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(yield* committed, [])
      yield* isFree(transactor, filename)
    }))

  it.scoped("an interruption that comes when the body is done does not undo the commit", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      const interrupt: { effect: Effect.Effect<void> } = { effect: Effect.void }
      const late = yield* intercepted(sql, (text, run) =>
        text === "COMMIT"
          ? Effect.zipRight(
            Effect.suspend(() => interrupt.effect),
            Effect.zipRight(Effect.yieldNow(), run)
          )
          : run)
      const transactor = yield* makeTransactor(late)
      const fiber = yield* Effect.fork(transactor.transact("write", (connection) => insert(connection, 1)))
      interrupt.effect = Fiber.interruptFork(fiber)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(yield* committedNumbers(filename), [1])
      yield* isFree(transactor, filename)
    }))

  it.scoped("interrupting those who wait for the connection loses no permit", () =>
    Effect.gen(function*() {
      const { filename, transactor } = yield* setup
      for (let round = 0; round < 200; round++) {
        const fibers = yield* Effect.forEach([1, 2, 3], () =>
          Effect.fork(transactor.read("read", (connection) => query(connection, "SELECT 1", []))))
        for (let yields = 0; yields < round % 7; yields++) {
          yield* Effect.yieldNow()
        }
        yield* Fiber.interruptAll(fibers)
      }
      yield* isFree(transactor, filename)
    }))
})

describe("a COMMIT that fails", () => {
  const deferred = Effect.gen(function*() {
    const all = yield* setup
    yield* all.sql`PRAGMA foreign_keys = ON`
    yield* all.sql`CREATE TABLE marks (number INTEGER REFERENCES numbers (number) DEFERRABLE INITIALLY DEFERRED)`
    return all
  })

  it.scoped("with the transaction still open is rolled back and WriteFailed", () =>
    Effect.gen(function*() {
      const { committed, filename, sql, transactor } = yield* deferred
      const error = yield* failureOf(transactor.transact("write", (connection) =>
        Effect.zipRight(insert(connection, 1), connection.execute("INSERT INTO marks VALUES (7)", [], undefined))))
      assert.strictEqual(error._tag, "WriteFailed")
      yield* sql`INSERT INTO numbers (number) VALUES (2)`
      assert.deepStrictEqual(yield* committed, [2], "what came after is committed by itself, what came before is gone")
      yield* isFree(transactor, filename)
    }))

  it.scoped("because of a lock is StoreBusy", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      const busy = yield* intercepted(
        sql,
        (text, run) => text === "COMMIT" ? Effect.fail(sqlError("SQLITE_BUSY")) : run
      )
      const transactor = yield* makeTransactor(busy)
      const error = yield* failureOf(transactor.transact("write", (connection) => insert(connection, 1)))
      assert.strictEqual(error._tag, "StoreBusy")
      assert.deepStrictEqual(yield* committedNumbers(filename), [])
    }))

  it.scoped("with no transaction left afterwards is CommitUnknown", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      for (const [number, happens] of [[1, "COMMIT"], [2, "ROLLBACK"]] as const) {
        const broken = yield* intercepted(sql, (text, run, real) =>
          text === "COMMIT"
            ? Effect.zipRight(real.execute(happens, [], undefined), Effect.fail(sqlError("SQLITE_IOERR_FSYNC")))
            : run)
        const transactor = yield* makeTransactor(broken)
        const error = yield* failureOf(transactor.transact("write", (connection) => insert(connection, number)))
        assert.strictEqual(error._tag, "CommitUnknown")
      }
      assert.deepStrictEqual(yield* committedNumbers(filename), [1])
      yield* isFree(yield* makeTransactor(sql), filename)
    }))

  it.scoped("of SqlClient.withTransaction leaves its rows on the connection: the next transaction takes them back", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* deferred
      const exit = yield* Effect.exit(
        sql.withTransaction(
          Effect.zipRight(sql`INSERT INTO numbers (number) VALUES (1)`, sql`INSERT INTO marks VALUES (7)`)
        )
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      const seen = yield* transactor.read("read", (connection) => query(connection, "SELECT number FROM numbers", []))
      assert.deepStrictEqual(seen, [], "a read shows committed rows only")
      yield* transactor.transact("write", (connection) => insert(connection, 2))
      assert.deepStrictEqual(yield* committed, [2])
    }))
})

describe("a transaction that a statement has ended", () => {
  const endIt = (connection: { readonly execute: SqlConnectionExecute }) =>
    connection.execute("INSERT OR ROLLBACK INTO numbers (number) VALUES (1)", [], undefined)

  it.scoped("is not committed, and what comes after is refused instead of committed by itself", () =>
    Effect.gen(function*() {
      const { committed, filename, sql, transactor } = yield* setup
      yield* transactor.transact("write", (connection) => insert(connection, 1))
      const error = yield* failureOf(transactor.transact("write", (connection) =>
        Effect.gen(function*() {
          yield* insert(connection, 2)
          yield* failureOf(endIt(connection))
          const ours = yield* failureOf(insert(connection, 3))
          assert.instanceOf(ours.cause, TransactionEnded)
          const theirs = yield* failureOf(sql`INSERT INTO numbers (number) VALUES (4)`)
          assert.instanceOf(theirs.cause, TransactionEnded)
          const nested = yield* failureOf(transactor.transact("nested", () => Effect.void))
          assert.strictEqual(nested._tag, "TransactionEnded")
        })))
      assert.strictEqual(error._tag, "WriteFailed")
      assert.include(error.message, "UNIQUE constraint failed")
      assert.deepStrictEqual(yield* committed, [1])
      yield* isFree(transactor, filename)
    }))

  it.scoped("inside a savepoint takes the whole transaction with it", () =>
    Effect.gen(function*() {
      const { committed, filename, sql, transactor } = yield* setup
      yield* transactor.transact("write", (connection) => insert(connection, 1))
      const error = yield* failureOf(transactor.transact("write", (connection) =>
        Effect.gen(function*() {
          yield* insert(connection, 2)
          yield* transactor.transact("alongside", () =>
            Effect.zipRight(
              Effect.ignore(sql`INSERT OR ROLLBACK INTO numbers (number) VALUES (1)`),
              Effect.ignore(sql`INSERT INTO numbers (number) VALUES (3)`)
            )).pipe(Effect.ignore)
        })))
      assert.strictEqual(error._tag, "WriteFailed")
      assert.deepStrictEqual(yield* committed, [1])
      yield* isFree(transactor, filename)
    }))

  it.scoped("by a full disk writes nothing", () =>
    Effect.gen(function*() {
      const { committed, filename, sql, transactor } = yield* setup
      yield* sql`CREATE TABLE big (bytes BLOB)`
      yield* sql`PRAGMA max_page_count = 20`
      const error = yield* failureOf(transactor.transact("write", (connection) =>
        Effect.gen(function*() {
          yield* insert(connection, 1)
          yield* Effect.ignore(connection.execute("INSERT INTO big VALUES (randomblob(1000000))", [], undefined))
          yield* Effect.ignore(insert(connection, 2))
        })))
      assert.strictEqual(error._tag, "WriteFailed")
      assert.include(error.message, "full")
      assert.deepStrictEqual(yield* committed, [])
      yield* isFree(transactor, filename)
    }))

  it.scoped("or has taken a savepoint from, is not committed even if that is swallowed", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      const names: Array<string> = []
      const spied = yield* intercepted(sql, (text, run) =>
        Effect.zipRight(
          Effect.sync(() => text.startsWith("SAVEPOINT ") && names.push(text.slice(10))),
          run
        ))
      const transactor = yield* makeTransactor(spied)
      for (const end of ["RELEASE", "ROLLBACK TO"]) {
        const error = yield* failureOf(transactor.transact("write", (connection) =>
          Effect.gen(function*() {
            yield* insert(connection, 1)
            yield* transactor.transact("outer", () =>
              Effect.ignore(
                transactor.transact("alongside", () =>
                  Effect.zipRight(spiedUnsafe(connection, `${end} ${names.at(-2)}`), Effect.void))
              ))
          })))
        assert.strictEqual(error._tag, "WriteFailed")
        assert.include(error.message, "no such savepoint")
        assert.deepStrictEqual(yield* committedNumbers(filename), [])
        yield* isFree(transactor, filename)
      }
    }))

  it.scoped("cannot be ended by the statements of its body", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* setup
      const texts = ["COMMIT", " /* now */ end", "ROLLBACK", "-- x\nrollback transaction", "BEGIN", ";COMMIT"]
      yield* failureOf(transactor.transact("write", (connection) =>
        Effect.gen(function*() {
          yield* insert(connection, 1)
          for (const text of texts) yield* failureOf(sql.unsafe(text))
          for (const text of texts) yield* failureOf(connection.executeUnprepared(text, [], undefined))
          yield* sql.withTransaction(sql`INSERT INTO numbers (number) VALUES (2)`)
          yield* Effect.ignore(
            sql.withTransaction(Effect.zipRight(sql`INSERT INTO numbers VALUES (3)`, Effect.fail("no")))
          )
          assert.deepStrictEqual(yield* numbersOf(sql), [1, 2])
          return yield* Effect.fail("no")
        })))
      assert.deepStrictEqual(yield* committed, [])
    }))
})

describe("a connection that outlives its transaction", () => {
  it.scoped("refuses statements, transactions and reads with TransactionEnded", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* setup
      const over = yield* Deferred.make<void>()
      const fiber = yield* transactor.transact("write", (connection) =>
        Effect.forkDaemon(Effect.zipRight(
          Deferred.await(over),
          Effect.all({
            plain: failureOf(sql`INSERT INTO numbers (number) VALUES (1)`),
            leased: failureOf(insert(connection, 1)),
            transact: failureOf(transactor.transact("late", () => Effect.void)),
            read: failureOf(transactor.read("late", () => Effect.void))
          })
        )))
      yield* Deferred.succeed(over, undefined)
      const { leased, plain, read, transact } = yield* Fiber.join(fiber)
      assert.instanceOf(plain.cause, TransactionEnded)
      assert.instanceOf(leased.cause, TransactionEnded)
      assert.strictEqual(transact._tag, "TransactionEnded")
      assert.instanceOf(read.cause, TransactionEnded)
      assert.deepStrictEqual(yield* committed, [])
    }))

  it.scoped("of a savepoint cannot write into the transaction around it, nor into the next one", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* setup
      const late = (gate: Deferred.Deferred<void>) =>
        Effect.zipRight(Deferred.await(gate), failureOf(sql`INSERT INTO numbers (number) VALUES (1)`))
      const gate = yield* Deferred.make<void>()
      yield* transactor.transact("write", () =>
        Effect.gen(function*() {
          const fiber = yield* transactor.transact("alongside", () => Effect.forkDaemon(late(gate)))
          yield* Deferred.succeed(gate, undefined)
          assert.instanceOf((yield* Fiber.join(fiber)).cause, TransactionEnded)
        }))
      const next = yield* Deferred.make<void>()
      const fiber = yield* transactor.transact(
        "write",
        () => transactor.transact("alongside", () => Effect.forkDaemon(late(next)))
      )
      yield* transactor.transact("the next one", () =>
        Effect.gen(function*() {
          yield* Deferred.succeed(next, undefined)
          assert.instanceOf((yield* Fiber.join(fiber)).cause, TransactionEnded)
        }))
      assert.deepStrictEqual(yield* committed, [])
    }))

  it.scoped("of SqlClient.withTransaction is found out, with and without a transaction open", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* setup
      const late = (gate: Deferred.Deferred<void>) =>
        Effect.all([
          Effect.forkDaemon(Effect.zipRight(
            Deferred.await(gate),
            failureOf(transactor.transact("late", (connection) => insert(connection, 1)))
          )),
          Effect.forkDaemon(
            Effect.zipRight(Deferred.await(gate), failureOf(transactor.read("late", () => Effect.void)))
          )
        ])
      const isEnded = Effect.fnUntraced(function*([write, read]: Effect.Effect.Success<ReturnType<typeof late>>) {
        assert.strictEqual((yield* Fiber.join(write))._tag, "TransactionEnded")
        assert.instanceOf((yield* Fiber.join(read)).cause, TransactionEnded)
      })
      const next = yield* Deferred.make<void>()
      const during = yield* sql.withTransaction(late(next))
      yield* transactor.transact(
        "the next one",
        () => Effect.zipRight(Deferred.succeed(next, undefined), isEnded(during))
      )
      const gate = yield* Deferred.make<void>()
      const idle = yield* sql.withTransaction(late(gate))
      yield* Deferred.succeed(gate, undefined)
      yield* isEnded(idle)
      assert.deepStrictEqual(yield* committed, [])
    }))

  it.scoped("slips no statement behind the end of the body", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      const gate = yield* Deferred.make<void>()
      const slow = yield* intercepted(sql, (text, run) =>
        text === "COMMIT"
          ? Effect.zipRight(Effect.zipRight(Deferred.succeed(gate, undefined), Effect.yieldNow()), run)
          : run)
      const transactor = yield* makeTransactor(slow)
      const fiber = yield* transactor.transact("write", (connection) =>
        Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), Effect.either(insert(connection, 1)))))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* committedNumbers(filename), [])
    }))
})

describe("a transaction inside another", () => {
  it.scoped("of the same client is a savepoint: its failure undoes its own rows only", () =>
    Effect.gen(function*() {
      const { committed, transactor } = yield* setup
      yield* transactor.transact("outer", (outer) =>
        Effect.gen(function*() {
          yield* insert(outer, 1)
          yield* Effect.ignore(transactor.transact("inner", (inner) =>
            Effect.gen(function*() {
              yield* insert(inner, 2)
              yield* transactor.transact("innermost", (innermost) => insert(innermost, 3))
              return yield* Effect.fail("no")
            })))
          yield* transactor.transact("inner", (inner) => insert(inner, 4))
          assert.deepStrictEqual(yield* committed, [])
        }))
      assert.deepStrictEqual(yield* committed, [1, 4])
    }))

  it.scoped("takes turns with its siblings", () =>
    Effect.gen(function*() {
      const { committed, transactor } = yield* setup
      yield* transactor.transact("outer", () =>
        Effect.forEach([1, 2, 3, 4], (number) =>
          transactor.transact("inner", (inner) =>
            Effect.zipRight(
              Effect.zipRight(insert(inner, number), Effect.yieldNow()),
              number % 2 === 0 ? Effect.fail("no") : Effect.void
            )).pipe(Effect.ignore), { concurrency: "unbounded" }))
      assert.deepStrictEqual(yield* committed, [1, 3])
    }))

  it.scoped("joins one of SqlClient.withTransaction on the same client, and is undone with it", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* setup
      yield* sql.withTransaction(Effect.gen(function*() {
        assert.strictEqual(yield* transactor.ambient, "mine")
        yield* transactor.transact("inner", (connection) => insert(connection, 1))
        const seen = yield* transactor.read("read", (connection) => query(connection, "SELECT number FROM numbers", []))
        assert.strictEqual(seen.length, 1)
        return yield* Effect.fail("no")
      })).pipe(Effect.ignore)
      assert.deepStrictEqual(yield* committed, [])
      yield* sql.withTransaction(transactor.transact("inner", (connection) => insert(connection, 2)))
      assert.deepStrictEqual(yield* committed, [2])
    }))

  it.scoped("of another client is a transaction of its own, in its own file", () =>
    Effect.gen(function*() {
      const { committed, transactor } = yield* setup
      const { sql: other } = yield* client
      yield* Effect.ignore(other.withTransaction(Effect.gen(function*() {
        assert.strictEqual(yield* transactor.ambient, "foreign")
        yield* transactor.transact("write", (connection) => insert(connection, 1))
        assert.strictEqual(
          (yield* transactor.read("read", (connection) => query(connection, "SELECT number FROM numbers", []))).length,
          1
        )
        return yield* Effect.fail("no")
      })))
      assert.deepStrictEqual(yield* committed, [1])
    }))

  it.scoped("knows every transactor and every copy of its client", () =>
    Effect.gen(function*() {
      const { committed, sql, transactor } = yield* setup
      const other = yield* makeTransactor(sql.withoutTransforms())
      yield* Effect.ignore(transactor.transact("outer", () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* other.ambient, "mine")
          yield* other.transact("inner", (connection) => insert(connection, 1))
          return yield* Effect.fail("no")
        })))
      assert.deepStrictEqual(yield* committed, [])
    }))
})

describe("a lock that another connection holds", () => {
  it.scoped("is StoreBusy when it outlasts the retries", () =>
    Effect.gen(function*() {
      const { filename, sql, transactor } = yield* setup
      const other = yield* connect(filename)
      yield* other`BEGIN IMMEDIATE`
      const error = yield* failureOf(transactor.transact("write", () => Effect.die("not run")))
      assert.strictEqual(error._tag, "StoreBusy")
      assert.deepStrictEqual(yield* numbersOf(sql), [], "the connection is free meanwhile")
      yield* other`ROLLBACK`
      yield* isFree(transactor, filename)
    }))

  // Not `it.live`: the retries must not wait for a test's clock.
  it.scoped("is waited for without holding the connection", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      const transactor = yield* makeTransactor(sql, { busyRetryMillis: 5000 })
      const other = yield* connect(filename)
      yield* other`BEGIN IMMEDIATE`
      const fiber = yield* Effect.fork(transactor.transact("write", (connection) => insert(connection, 1)))
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      assert.deepStrictEqual(yield* numbersOf(sql), [])
      yield* other`ROLLBACK`
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* committedNumbers(filename), [1])
    }))

  it.scoped("is not waited for after an interruption", () =>
    Effect.gen(function*() {
      const { filename, sql } = yield* client
      const transactor = yield* makeTransactor(sql, { busyRetryMillis: 60_000 })
      const other = yield* connect(filename)
      yield* other`BEGIN IMMEDIATE`
      const fiber = yield* Effect.fork(transactor.transact("write", (connection) => insert(connection, 1)))
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* other`ROLLBACK`
      yield* isFree(transactor, filename)
    }))
})

describe("our statements", () => {
  it.scoped("answer numbers, also for a caller who asked for bigints", () =>
    Effect.gen(function*() {
      const { transactor } = yield* setup
      const one = transactor.read("read", (connection) =>
        query<{ readonly one: number }>(connection, "SELECT 1 AS one", []))
      assert.deepStrictEqual(yield* Effect.provideService(one, SqlClient.SafeIntegers, true), [{ one: 1 }])
      assert.deepStrictEqual(yield* one, [{ one: 1 }])
    }))

  it.scoped("recover from a text that the client remembers as one that cannot be prepared", () =>
    Effect.gen(function*() {
      const { sql, transactor } = yield* setup
      const read = transactor.read("read", (connection) => query(connection, "SELECT * FROM later", []))
      assert.strictEqual((yield* failureOf(read))._tag, "ReadFailed")
      yield* sql`CREATE TABLE later (a)`
      assert.deepStrictEqual(yield* read, [])
    }))

  it.scoped("are for dialects that the store knows", () =>
    Effect.gen(function*() {
      const sql = yield* connect(`${yield* folder}/x.db`)
      const mysql = Object.assign(Object.create(sql) as SqlClient.SqlClient, {
        onDialectOrElse: ({ orElse }: { readonly orElse: () => unknown }) => orElse()
      })
      assert.strictEqual((yield* failureOf(makeTransactor(mysql)))._tag, "Unsupported")
    }))
})

const spiedUnsafe = (connection: { readonly execute: SqlConnectionExecute }, text: string) =>
  connection.execute(text, [], undefined)

type SqlConnectionExecute = (
  sql: string,
  params: ReadonlyArray<unknown>,
  transform: undefined
) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>

const sqlError = (code: string) =>
  new SqlError.SqlError({ cause: Object.assign(new Error(code), { code }), message: code })
