import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { Rows } from "../../src/core/Rows.js"
import { ReadFailed } from "../../src/schema/StoreError.js"
import { makeFork } from "../../src/services/Batcher.js"
import { Doorbell, follow } from "../../src/services/Doorbell.js"
import { input, move, rows } from "../memory/rows.js"

const isRung = (told: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(told)
    yield* Effect.replicateEffect(Effect.yieldNow(), 5, { discard: true })
    const exit = yield* Fiber.poll(fiber)
    yield* Fiber.interrupt(fiber)
    return exit._tag === "Some"
  })

/** A terminal input, whatever its outcome. */
const ended = { phase: "consumed", outcome: "{}" }

/** The listeners that a bell holds on to. */
const held = (doorbell: Doorbell): unknown =>
  JSON.parse(
    JSON.stringify(doorbell, (_, value: unknown) =>
      value instanceof Map ? Array.from(value.entries()) : value instanceof Set ? value.size : value)
  )

describe("a doorbell", () => {
  it.scoped("rings for the commits of its runtime alone", () =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      const [one, other] = [yield* doorbell.subscribe("one"), yield* doorbell.subscribe("other")]
      doorbell.committed(rows("one", 1))
      assert.isTrue(yield* isRung(one))
      assert.isFalse(yield* isRung(other))
    }))

  it.scoped("rings for an input when it ends, in an insert or a move, and for nothing else of its runtime", () =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      const [first, second, third] = [
        yield* doorbell.subscribe("r", "input-1"),
        yield* doorbell.subscribe("r", "input-2"),
        yield* doorbell.subscribe("r", "input-3")
      ]
      const elsewhere = yield* doorbell.subscribe("s", "input-1")
      const commits: ReadonlyArray<Partial<Rows>> = [
        { inserts: [input(1), input(3)] },
        { moves: [move(1, { phase: "staged" })], inserts: [input(2, ended)] }
      ]
      for (const [n, parts] of commits.entries()) doorbell.committed(rows("r", n, parts))
      assert.deepStrictEqual(
        yield* Effect.all([first, second, third, elsewhere].map(isRung)),
        [false, true, false, false]
      )
      doorbell.committed(rows("r", 3, { moves: [move(1, ended)] }))
      assert.deepStrictEqual(
        yield* Effect.all([first, second, third, elsewhere].map(isRung)),
        [true, true, false, false]
      )
    }))

  it.scoped("does not ring for what was committed before, and stays rung for what came behind", () =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      doorbell.committed(rows("r", 1, { deposits: [{ runtimeId: "s", inputId: "i", at: 1, payload: "" }] }))
      const told = yield* doorbell.subscribe("r")
      const deposits = yield* doorbell.subscribeDeposits
      assert.isFalse(yield* isRung(told))
      assert.isFalse(yield* isRung(deposits))
      doorbell.committed(rows("r", 2))
      assert.isTrue(yield* isRung(told))
      assert.isTrue(yield* isRung(told))
      assert.isFalse(yield* isRung(deposits))
    }))

  it.scoped("rings for everybody of a runtime, or for everybody", () =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      const all = [
        yield* doorbell.subscribe("r"),
        yield* doorbell.subscribe("r", "input-1"),
        yield* doorbell.subscribe("s", "input-1"),
        yield* doorbell.subscribeDeposits
      ]
      doorbell.everybodyOf("r")
      assert.deepStrictEqual(yield* Effect.all(all.map(isRung)), [true, true, false, false])
      doorbell.everybody()
      assert.deepStrictEqual(yield* Effect.all(all.map(isRung)), [true, true, true, true])
    }))

  it.effect("holds on to nobody whose scope has closed, or who was told", () =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      const before = held(doorbell)
      const scopes = yield* Effect.replicateEffect(Scope.make(), 4)
      for (const scope of scopes) {
        yield* Scope.extend(
          Effect.all([
            doorbell.subscribe("r"),
            doorbell.subscribe("r", "input-1"),
            doorbell.subscribe("s", "input-2"),
            doorbell.subscribeDeposits
          ]),
          scope
        )
      }
      assert.isTrue(doorbell.isWatched)
      yield* Scope.close(scopes[0]!, Exit.void)
      yield* Scope.close(scopes[1]!, Exit.void)
      assert.notDeepEqual(held(doorbell), before)
      doorbell.committed(rows("r", 1, { moves: [move(1, ended)] }))
      doorbell.everybodyOf("s")
      doorbell.deposited()
      assert.deepStrictEqual(held(doorbell), before)
      assert.isFalse(doorbell.isWatched)
      // Whoever comes then is not forgotten by those who leave late.
      const told = yield* Effect.scoped(doorbell.subscribe("r")).pipe(
        Effect.zipRight(Scope.extend(doorbell.subscribe("r", "input-1"), scopes[3]!))
      )
      yield* Scope.close(scopes[2]!, Exit.void)
      doorbell.committed(rows("r", 2, { moves: [move(1, ended)] }))
      assert.isTrue(yield* isRung(told))
      yield* Scope.close(scopes[3]!, Exit.void)
      assert.deepStrictEqual(held(doorbell), before)
    }))

  it.scoped("walks nobody who waits for other inputs", () =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      yield* Effect.forEach(Array.from({ length: 1000 }, (_, i) => i + 2), (i) => doorbell.subscribe("r", `input-${i}`))
      const told = yield* doorbell.subscribe("r", "input-1")
      let walked = 0
      const iterate = Map.prototype[Symbol.iterator]
      const forEach = Map.prototype.forEach
      Map.prototype[Symbol.iterator] = function(this: Map<unknown, unknown>) {
        walked += this.size
        return iterate.call(this)
      }
      Map.prototype.forEach = function(this: Map<unknown, unknown>, ...args) {
        walked += this.size
        return forEach.apply(this, args)
      }
      try {
        doorbell.committed(rows("r", 1, { moves: [move(1, ended)] }))
      } finally {
        Map.prototype[Symbol.iterator] = iterate
        Map.prototype.forEach = forEach
      }
      assert.strictEqual(walked, 0)
      assert.isTrue(yield* isRung(told))
    }))
})

describe("following a version", () => {
  const setUp = (told: "everybody" | "depositors") =>
    Effect.gen(function*() {
      const doorbell = new Doorbell()
      const database = { version: 1, reads: 0, fails: false }
      const fork = yield* makeFork
      const version = Effect.suspend(() => {
        database.reads++
        return database.fails
          ? Either.left(new ReadFailed({ operation: "version", cause: "closed" }))
          : Either.right(database.version)
      })
      yield* follow({ doorbell, fork, version, pollMillis: 100, told })
      return { doorbell, database }
    })

  it.scoped("reads while somebody listens, and not else", () =>
    Effect.gen(function*() {
      const { database, doorbell } = yield* setUp("everybody")
      yield* TestClock.adjust(1000)
      assert.strictEqual(database.reads, 1)
      yield* Effect.scoped(Effect.zipRight(doorbell.subscribe("r"), TestClock.adjust(1000)))
      assert.strictEqual(database.reads, 12)
      yield* TestClock.adjust(1000)
      assert.strictEqual(database.reads, 12)
    }))

  it.scoped("tells everybody once of a change, also of one while nobody listened", () =>
    Effect.gen(function*() {
      const { database, doorbell } = yield* setUp("everybody")
      database.version++
      const first = yield* doorbell.subscribe("r", "input-1")
      assert.isTrue(yield* isRung(first))
      const [second, deposits] = [yield* doorbell.subscribe("r"), yield* doorbell.subscribeDeposits]
      yield* TestClock.adjust(500)
      assert.isFalse(yield* isRung(second))
      database.version++
      yield* TestClock.adjust(100)
      assert.isTrue(yield* isRung(second))
      assert.isTrue(yield* isRung(deposits))
    }))

  it.scoped("of an owned store tells those of deposits alone, and reads for them alone", () =>
    Effect.gen(function*() {
      const { database, doorbell } = yield* setUp("depositors")
      const told = yield* doorbell.subscribe("r")
      yield* TestClock.adjust(1000)
      assert.strictEqual(database.reads, 1)
      const deposits = yield* doorbell.subscribeDeposits
      yield* TestClock.adjust(100)
      assert.isFalse(yield* isRung(deposits))
      database.version++
      yield* TestClock.adjust(100)
      assert.isTrue(yield* isRung(deposits))
      assert.isFalse(yield* isRung(told))
    }))

  it.scoped("goes on behind a read that failed", () =>
    Effect.gen(function*() {
      const { database, doorbell } = yield* setUp("everybody")
      database.fails = true
      const told = yield* doorbell.subscribe("r")
      database.version++
      yield* TestClock.adjust(1000)
      assert.isFalse(yield* isRung(told))
      database.fails = false
      yield* TestClock.adjust(100)
      assert.isTrue(yield* isRung(told))
    }))

  it.scoped("serves who comes in between the last look and the end of the fiber", () =>
    Effect.gen(function*() {
      const { database, doorbell } = yield* setUp("everybody")
      for (let times = 0; times < 20; times++) {
        yield* Effect.scoped(doorbell.subscribe("r"))
        yield* Effect.replicateEffect(Effect.yieldNow(), times, { discard: true })
        yield* TestClock.adjust(100)
        const told = yield* doorbell.subscribe("r")
        database.version++
        yield* TestClock.adjust(200)
        assert.isTrue(yield* isRung(told))
      }
    }))
})
