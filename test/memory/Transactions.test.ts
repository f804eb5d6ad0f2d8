import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Outcome } from "../../src/core/Rows.js"
import { make } from "../../src/layers/memory/MemoryStore.js"
import type { Encoded } from "../../src/services/RuntimeStoreEncoded.js"
import { claim, columns, input, rows } from "./rows.js"

const committed: Outcome = { _tag: "Committed" }

const claimed = (...runtimeIds: ReadonlyArray<string>): Effect.Effect<Encoded> =>
  Effect.gen(function*() {
    const store = yield* make
    yield* Effect.forEach(runtimeIds, (runtimeId) => claim(store, runtimeId))
    return store
  }).pipe(Effect.catchAll((error) => Effect.die(error)))

const insert = (runtimeId: string, sequence: number) => rows(runtimeId, sequence, { inserts: [input(sequence)] })

const ids = (store: Encoded, runtimeId: string) =>
  Effect.map(
    store.readInputs(runtimeId, { after: 0, limit: 100, filter: "all" }),
    (inputs) => inputs.map(({ inputId }) => inputId)
  )

/** A `commitWith` that has written its rows and holds its transaction until it is told to go on. */
const held = Effect.fnUntraced(function*(store: Encoded, runtimeId: string, sequence: number) {
  const entered = yield* Deferred.make<void>()
  const go = yield* Deferred.make<void>()
  const fiber = yield* Effect.fork(
    store.commitWith(
      insert(runtimeId, sequence),
      Effect.zipRight(Deferred.succeed(entered, undefined), Deferred.await(go))
    )
  )
  yield* Deferred.await(entered)
  return { fiber, go }
})

describe("memory transactions", () => {
  it.effect("readers see nothing of a transaction before it succeeded, and do not wait for it", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a")
      const { fiber, go } = yield* held(store, "a", 1)
      assert.deepStrictEqual(yield* ids(store, "a"), [])
      assert.isFalse(yield* store.insideTransaction)
      yield* Deferred.succeed(go, undefined)
      assert.deepStrictEqual(yield* Fiber.join(fiber), committed)
      assert.deepStrictEqual(yield* ids(store, "a"), ["input-1"])
    }))

  it.effect("a failure, a defect and an interruption of alongside write nothing and free the store", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a")
      const failed = yield* Effect.exit(store.commitWith(insert("a", 1), Effect.fail("no")))
      assert.deepStrictEqual(failed, Exit.fail("no"))
      const died = yield* Effect.exit(store.commitWith(insert("a", 1), Effect.die("boom")))
      assert.deepStrictEqual(died, Exit.die("boom"))
      const { fiber } = yield* held(store, "a", 1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(yield* ids(store, "a"), [])
      assert.isNull(yield* store.readInputByKey("a", "key-1"))
      assert.deepStrictEqual(yield* store.commit([insert("a", 1)]), [committed])
    }))

  it.effect("alongside is not run for a refused write set", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a")
      const outcome = yield* store.commitWith(rows("a", 1, { claimId: "other" }), Effect.die("was run"))
      assert.deepStrictEqual(outcome, { _tag: "Refused", by: { _tag: "StaleFence", current: 1 } })
    }))

  it.effect("commits are serialised: each waits for the transaction before it", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a", "b")
      const { fiber, go } = yield* held(store, "a", 1)
      const later = yield* Effect.fork(store.commit([insert("b", 1)]))
      const barrier = yield* Effect.fork(store.barrier("a", 1, "owner"))
      const cell = yield* Effect.fork(store.updateCell("cell", () => Effect.succeed(Uint8Array.of(1))))
      yield* Effect.yieldNow()
      yield* Effect.forEach([later, barrier, cell], (one) =>
        Effect.map(Fiber.poll<unknown, unknown>(one), (polled) => assert.strictEqual(polled._tag, "None")))
      assert.deepStrictEqual(yield* ids(store, "b"), [])
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Fiber.join(later), [committed])
      assert.isTrue(yield* Fiber.join(barrier))
      yield* Fiber.join(cell)
    }))

  it.effect("of concurrent inserts of one id exactly one is committed", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a")
      const outcomes = yield* Effect.all(
        Array.from({ length: 50 }, () => store.commitWith(insert("a", 1), Effect.yieldNow())),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Committed").length, 1)
      assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Refused").length, 49)
    }))

  it.effect("concurrent updates of a cell lose none", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* Effect.all(
        Array.from({ length: 20 }, () =>
          store.updateCell("cell", (now) => Effect.as(Effect.yieldNow(), Uint8Array.of((now?.[0] ?? 0) + 1)))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* store.readCell("cell"), Uint8Array.of(20))
    }))

  it.effect("nested calls join: they see the transaction's rows and are applied with it", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a", "b")
      const outcome = yield* store.commitWith(
        insert("a", 1),
        Effect.gen(function*() {
          assert.isTrue(yield* store.insideTransaction)
          assert.deepStrictEqual(yield* ids(store, "a"), ["input-1"])
          const again = yield* store.commit([insert("a", 1)])
          assert.strictEqual(again[0]?._tag, "Refused")
          assert.deepStrictEqual(yield* store.commit([insert("b", 1)]), [committed])
          assert.deepStrictEqual(yield* ids(store, "b"), ["input-1"])
          yield* store.updateCell("cell", () => Effect.succeed(Uint8Array.of(1)))
          assert.deepStrictEqual(yield* store.readCell("cell"), Uint8Array.of(1))
          assert.strictEqual((yield* claim(store, "c")).epoch, 1)
          assert.isTrue(yield* store.barrier("c", 1, "owner"))
        })
      )
      assert.deepStrictEqual(outcome, committed)
      assert.deepStrictEqual(yield* ids(store, "b"), ["input-1"])
      assert.deepStrictEqual(yield* store.readCell("cell"), Uint8Array.of(1))
      assert.strictEqual((yield* store.readRuntime("c"))?.epoch, 1)
    }))

  it.effect("nested calls are dropped with the transaction they joined", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a", "b")
      yield* store.updateCell("cell", () => Effect.succeed(Uint8Array.of(7)))
      const outer = store.updateCell("cell", () =>
        Effect.gen(function*() {
          yield* store.commit([insert("b", 1)])
          yield* store.updateCell("cell", () => Effect.succeed(null))
          assert.isNull(yield* store.readCell("cell"))
          yield* claim(store, "c")
          return yield* Effect.fail("no")
        }))
      assert.deepStrictEqual(yield* Effect.exit(outer), Exit.fail("no"))
      assert.deepStrictEqual(yield* ids(store, "b"), [])
      assert.deepStrictEqual(yield* store.readCell("cell"), Uint8Array.of(7))
      assert.isNull(yield* store.readRuntime("c"))
      assert.deepStrictEqual(yield* store.readRuntimes(null, 10), [
        { runtimeId: "a", state: "idle" },
        { runtimeId: "b", state: "idle" }
      ])
    }))

  it.effect("a nested failure takes back its own writes, and nobody else's", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a", "b", "c")
      yield* store.commitWith(
        insert("a", 1),
        Effect.gen(function*() {
          const nested = store.commitWith(
            insert("b", 1),
            Effect.zipRight(
              Effect.ignore(store.commitWith(insert("b", 2), Effect.yieldNow())),
              Effect.fail("no")
            )
          )
          yield* Effect.all([Effect.ignore(nested), store.commit([insert("c", 1)])], { concurrency: "unbounded" })
          assert.deepStrictEqual(yield* ids(store, "b"), [])
        })
      )
      assert.deepStrictEqual(yield* ids(store, "a"), ["input-1"])
      assert.deepStrictEqual(yield* ids(store, "b"), [])
      assert.deepStrictEqual(yield* ids(store, "c"), ["input-1"])
    }))

  it.effect("a fiber that outlives its transaction gets TransactionEnded", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a", "b")
      const ended = yield* Deferred.make<void>()
      const late = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.fork(Effect.zipRight(Deferred.await(ended), Effect.either(effect)))
      const fibers = yield* Deferred.make<ReadonlyArray<Fiber.Fiber<Either.Either<unknown, { _tag: string }>>>>()
      yield* store.commitWith(
        insert("a", 1),
        Effect.flatMap(
          Effect.all([
            late(store.commit([insert("b", 1)])),
            late(store.commitWith(insert("b", 1), Effect.void)),
            late(store.updateCell("cell", () => Effect.succeed(Uint8Array.of(1)))),
            late(store.barrier("a", 1, "owner")),
            late(claim(store, "a"))
          ]),
          (all) => Deferred.succeed(fibers, all)
        )
      )
      yield* Deferred.succeed(ended, undefined)
      for (const fiber of yield* Deferred.await(fibers)) {
        const answer = yield* Fiber.join(fiber)
        assert.strictEqual(Either.isLeft(answer) ? answer.left._tag : undefined, "TransactionEnded")
      }
      assert.deepStrictEqual(yield* ids(store, "b"), [])
      assert.strictEqual((yield* store.readRuntime("a"))?.epoch, 1)
    }))

  it.effect("a nested transaction that is still open when the outer one ends writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a", "b")
      const entered = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const forked = yield* Deferred.make<Fiber.Fiber<string>>()
      const nested = store.commitWith(
        insert("b", 1),
        Effect.zipRight(Deferred.succeed(entered, undefined), Deferred.await(go))
      )
      yield* store.commitWith(
        insert("a", 1),
        Effect.fork(Effect.merge(Effect.mapBoth(nested, { onFailure: ({ _tag }) => _tag, onSuccess: () => "written" })))
          .pipe(
            Effect.flatMap((fiber) => Deferred.succeed(forked, fiber)),
            Effect.zipRight(Deferred.await(entered))
          )
      )
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual(yield* Fiber.join(yield* Deferred.await(forked)), "TransactionEnded")
      assert.deepStrictEqual(yield* ids(store, "b"), [])
      assert.deepStrictEqual(yield* store.commit([insert("b", 1)]), [committed])
    }))

  it.effect("another store's transaction is not ours, and does not hide ours", () =>
    Effect.gen(function*() {
      const one = yield* claimed("a", "b")
      const other = yield* claimed("a")
      const outer = one.commitWith(
        insert("a", 1),
        Effect.gen(function*() {
          assert.isFalse(yield* other.insideTransaction)
          yield* other.commitWith(insert("a", 1), one.commit([insert("b", 1)]))
          assert.deepStrictEqual(yield* ids(one, "b"), ["input-1"])
          return yield* Effect.fail("no")
        })
      )
      assert.deepStrictEqual(yield* Effect.exit(outer), Exit.fail("no"))
      assert.deepStrictEqual(yield* ids(one, "b"), [])
      assert.deepStrictEqual(yield* ids(other, "a"), ["input-1"])
    }))

  it.effect("recover writes nothing when decide answers on the left, dies, or is refused", () =>
    Effect.gen(function*() {
      const store = yield* claimed("a")
      assert.deepStrictEqual(
        yield* Effect.exit(store.recover("a", "next", () => Either.left("no" as const))),
        Exit.fail("no" as const)
      )
      const dies = store.recover("new", "next", () => {
        throw new Error("boom")
      })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(dies)))
      const stale = store.recover("a", "next", () =>
        Either.right(
          [{ ...rows("a", 0, { epoch: 9, claimId: "next" }), runtime: { ...columns, state: "bad" } }, null] as const
        ))
      assert.strictEqual((yield* Effect.flip(stale))._tag, "WriteFailed")
      assert.deepStrictEqual(yield* store.readRuntime("a"), { ...columns, epoch: 1, claimId: "owner", n: 0 })
      assert.isNull(yield* store.readRuntime("new"))
    }))
})
