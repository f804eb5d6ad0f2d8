import { assert, describe, it } from "@effect/vitest"
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestServices from "effect/TestServices"
import { Batcher, makeFork, type Options } from "../../src/services/Batcher.js"

type Run = Options<number, number, string>["run"]

const double: Run = (batch) => Effect.succeed(batch.map((n) => Effect.succeed(2 * n)))

/** A batcher that remembers its batches, and whose batches wait at a gate once one is set. */
const make = (options: { readonly take?: number; readonly run?: Run } = {}) =>
  Effect.gen(function*() {
    const fork = yield* makeFork
    const batches: Array<ReadonlyArray<number>> = []
    const gates: Array<Deferred.Deferred<void>> = []
    const run: Run = (batch) => {
      batches.push(batch)
      const answer = Effect.suspend(() => (options.run ?? double)(batch))
      const gate = gates.shift()
      return gate === undefined ? answer : Effect.zipRight(Deferred.await(gate), answer)
    }
    const batcher = new Batcher<number, number, string>({
      operation: "the test",
      fork,
      take: (pending) => Math.min(pending.length, options.take ?? pending.length),
      run
    })
    return { batcher, batches, gates }
  })

/** Lets every fiber that is ready go on. */
const settle = Effect.repeatN(Effect.yieldNow(), 50)
/** On the real clock: what hangs fails. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) => TestServices.provideLive(Effect.timeout(effect, "1 second"))
const gate = (gates: Array<Deferred.Deferred<void>>) =>
  Effect.tap(Deferred.make<void>(), (made) => Effect.sync(() => void gates.push(made)))

class Transaction extends Context.Tag("test/Transaction")<Transaction, string>() {}
const local = FiberRef.unsafeMake("outside")

describe("Batcher", () => {
  it.scoped("requests that are ready together go in one batch, and each gets its own answer", () =>
    Effect.gen(function*() {
      const { batcher, batches } = yield* make()
      const answers = yield* Effect.forEach([1, 2, 3], (n) => batcher.submit(n), { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, [2, 4, 6])
      assert.deepStrictEqual(batches, [[1, 2, 3]])
    }))

  it.scoped("requests that come while a batch runs go together with the next, in order", () =>
    Effect.gen(function*() {
      const { batcher, batches, gates } = yield* make()
      const open = yield* gate(gates)
      const first = yield* Effect.fork(batcher.submit(1))
      yield* settle
      const others = yield* Effect.forEach([2, 3, 4], (n) => Effect.fork(batcher.submit(n)))
      yield* settle
      assert.deepStrictEqual(batches, [[1]])
      yield* Deferred.succeed(open, undefined)
      assert.deepStrictEqual(yield* Fiber.join(Fiber.all([first, ...others])), [2, 4, 6, 8])
      assert.deepStrictEqual(batches, [[1], [2, 3, 4]])
    }))

  it.scoped("I16: take bounds a batch; one is taken at least", () =>
    Effect.gen(function*() {
      for (const [take, expected] of [[2, [[1, 2], [3]]], [0, [[1], [2], [3]]]] as const) {
        const { batcher, batches } = yield* make({ take })
        yield* Effect.forEach([1, 2, 3], (n) => batcher.submit(n), { concurrency: "unbounded" })
        assert.deepStrictEqual(batches, expected.map((batch) => [...batch]))
      }
    }))

  it.scoped("the worker ends when there is nothing to do, and starts again", () =>
    Effect.gen(function*() {
      const { batcher, batches } = yield* make()
      for (const n of [1, 2, 3]) {
        assert.strictEqual(yield* batcher.submit(n), 2 * n)
        yield* settle
      }
      assert.deepStrictEqual(batches, [[1], [2], [3]])
    }))

  it.scoped("I3: interruption withdraws a request that no batch has taken", () =>
    Effect.gen(function*() {
      const { batcher, batches, gates } = yield* make()
      const open = yield* gate(gates)
      const first = yield* Effect.fork(batcher.submit(1))
      yield* settle
      const second = yield* Effect.fork(batcher.submit(2))
      const third = yield* Effect.fork(batcher.submit(3))
      yield* settle
      yield* Fiber.interrupt(second)
      yield* Deferred.succeed(open, undefined)
      assert.deepStrictEqual(yield* Fiber.join(Fiber.zip(first, third)), [2, 6])
      assert.deepStrictEqual(batches, [[1], [3]])
    }))

  it.scoped("I3: a request that a batch has taken runs to its outcome without its caller", () =>
    Effect.gen(function*() {
      const done: Array<number> = []
      const { batcher, gates } = yield* make({
        run: (batch) => Effect.sync(() => (done.push(...batch), batch.map(Effect.succeed)))
      })
      const open = yield* gate(gates)
      const first = yield* Effect.fork(batcher.submit(1))
      yield* settle
      const exit = yield* Fiber.interrupt(first)
      assert.isTrue(Exit.isInterrupted(exit), "its caller does not wait for it")
      yield* Deferred.succeed(open, undefined)
      yield* settle
      assert.deepStrictEqual(done, [1])
      assert.strictEqual(yield* batcher.submit(2), 2)
    }))

  it.effect("I14: when the scope closes, what was taken finishes first and the rest is StoreClosed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { batcher, batches, gates } = yield* Scope.extend(make(), scope)
      const open = yield* gate(gates)
      const taken = yield* Effect.fork(batcher.submit(1))
      yield* settle
      const untaken = yield* Effect.fork(batcher.submit(2))
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)), "closing waits for the batch")
      const late = yield* Effect.fork(batcher.submit(3))
      yield* settle
      yield* Deferred.succeed(open, undefined)
      yield* Fiber.join(closing)
      assert.strictEqual(yield* Fiber.join(taken), 2)
      for (const fiber of [untaken, late]) {
        const error = yield* Effect.flip(Fiber.join(fiber)).pipe(inTime)
        assert.deepInclude(error as object, { _tag: "StoreClosed", operation: "the test" })
      }
      assert.deepInclude((yield* Effect.flip(batcher.submit(4))) as object, { _tag: "StoreClosed" })
      assert.deepStrictEqual(batches, [[1]])
    }))

  it.effect("I14: requests submitted in the same instant as the scope closes are answered", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { batcher } = yield* Scope.extend(make(), scope)
      const fibers = yield* Effect.forEach([1, 2, 3], (n) => Effect.fork(Effect.exit(batcher.submit(n))))
      yield* Scope.close(scope, Exit.void)
      const exits = yield* Fiber.join(Fiber.all(fibers)).pipe(inTime)
      for (const exit of exits) {
        const error = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
        assert.isTrue(Exit.isSuccess(exit) || (Option.isSome(error) && (error.value as object) instanceof Error))
      }
    }))

  it.scoped("a defect answers all of its batch, and the next batch goes on", () =>
    Effect.gen(function*() {
      const { batcher } = yield* make({
        run: (batch) => batch.includes(13) ? Effect.die(new Error("unlucky")) : double(batch)
      })
      const exits = yield* Effect.forEach([1, 13], (n) => Effect.exit(batcher.submit(n)), { concurrency: "unbounded" })
      for (const exit of exits) {
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      }
      assert.strictEqual(yield* batcher.submit(2), 4)
    }))

  it.scoped("a run that throws before it answers is a defect too", () =>
    Effect.gen(function*() {
      const { batcher } = yield* make({
        run: (batch) => {
          if (batch[0] === 1) throw new Error("thrown")
          return double(batch)
        }
      })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(batcher.submit(1))))
      assert.strictEqual(yield* batcher.submit(2), 4)
    }))

  it.scoped("each request has its own failure", () =>
    Effect.gen(function*() {
      const { batcher } = yield* make({
        run: (batch) => Effect.succeed(batch.map((n) => n === 2 ? Effect.fail("two") : Effect.succeed(n)))
      })
      const exits = yield* Effect.forEach([1, 2, 3], (n) => Effect.exit(batcher.submit(n)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(exits, [Exit.succeed(1), Exit.fail("two"), Exit.succeed(3)])
    }))

  it.scoped("an answer that waits does not hold up the next batch", () =>
    Effect.gen(function*() {
      const wait = yield* Deferred.make<number>()
      const { batcher } = yield* make({
        run: (batch) => Effect.succeed(batch.map((n) => n === 1 ? Deferred.await(wait) : Effect.succeed(n)))
      })
      const first = yield* Effect.fork(batcher.submit(1))
      yield* settle
      assert.strictEqual(yield* batcher.submit(2), 2)
      yield* Deferred.succeed(wait, 9)
      assert.strictEqual(yield* Fiber.join(first), 9)
    }))

  it.scoped("I14: a busy batcher starves nobody", () =>
    Effect.gen(function*() {
      const { batcher } = yield* make({ take: 1 })
      let [answered, others] = [0, 0]
      const busy = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 500 }, (_, i) => i),
          (n) => Effect.tap(batcher.submit(n), () => Effect.sync(() => answered++)),
          { concurrency: "unbounded" }
        )
      )
      const other = yield* Effect.fork(
        Effect.whileLoop({
          while: () => answered < 500,
          body: () => Effect.yieldNow(),
          step: () => void others++
        })
      )
      yield* Fiber.join(Fiber.zip(busy, other))
      assert.isAbove(others, 100, "another fiber ran between the batches")
    }))

  it.effect("I14: a request that comes between the worker's last look and its end is not lost", () =>
    Effect.gen(function*() {
      // The worker is suspended every few steps, so that each gap of it is met by some rhythm of requests.
      for (let steps = 10; steps <= 20; steps++) {
        for (let pause = 1; pause <= 6; pause++) {
          let answered = 0
          yield* Effect.scoped(Effect.gen(function*() {
            const { batcher } = yield* Effect.withMaxOpsBeforeYield(make(), steps)
            for (let n = 0; n < 60; n++) {
              yield* Effect.fork(Effect.tap(batcher.submit(n), () => Effect.sync(() => answered++)))
              yield* Effect.repeatN(Effect.yieldNow(), pause)
            }
            yield* Effect.repeatN(Effect.yieldNow(), 200)
          }))
          assert.strictEqual(answered, 60, `${steps} steps, a request every ${pause} yields`)
        }
      }
    }))

  it.scoped("the worker inherits nothing of its callers: no service, no transaction, no fiber's local", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [boolean, string]> = []
      const { batcher } = yield* make({
        run: (batch: Arr.NonEmptyReadonlyArray<number>) =>
          Effect.gen(function*() {
            const context = yield* Effect.context<never>()
            seen.push([Option.isSome(Context.getOption(context, Transaction)), yield* FiberRef.get(local)])
            return batch.map(Effect.succeed)
          })
      })
      yield* batcher.submit(1).pipe(
        Effect.provideService(Transaction, "an open transaction"),
        Effect.locally(local, "the caller")
      )
      assert.deepStrictEqual(seen, [[false, "outside"]])
    }))

  it.scoped("the caller goes on in its own context", () =>
    Effect.gen(function*() {
      const { batcher } = yield* make({
        run: (batch) => Effect.succeed(batch.map(() => Effect.map(FiberRef.get(local), (text) => text.length)))
      })
      assert.strictEqual(yield* Effect.locally(batcher.submit(1), local, "caller"), 6)
    }))

  it.scoped("a run that throws answers its callers, and the next batch goes on", () =>
    Effect.gen(function*() {
      const { batcher } = yield* make({
        run: (batch) => {
          if (batch[0] === 1) throw new Error("a fault")
          return Effect.succeed(batch.map(Effect.succeed))
        }
      })
      const exit = yield* Effect.exit(batcher.submit(1))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.strictEqual(yield* batcher.submit(2), 2)
    }))
})
