import { assert, describe, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { TooManyRuntimes } from "../../src/schema/DriverError.js"
import { RuntimeId } from "../../src/schema/Ids.js"
import { CommitUnknown, ReadFailed } from "../../src/schema/StoreError.js"
import type { Drivers, Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { type Options, withTable } from "./bench.js"
import { sqlite } from "./environments.js"
import { shut } from "./faulty.js"

type Table = Context.Tag.Service<Drivers>

const runtimeIdleMillis = 1_000
const cause = new Error("the disk is on fire")

/** A table of drivers that are forgotten after a second, and a runtime that nobody has used. */
const test = <E>(
  name: string,
  body: (drivers: Table, id: string) => Effect.Effect<void, E, Scope.Scope>,
  { limits, ...options }: Options = {}
) =>
  it.effect(
    name,
    () =>
      withTable({ ...options, limits: { runtimeIdleMillis, ...limits } }, ({ table }) =>
        Effect.gen(function*() {
          yield* body(yield* table(), yield* F.freshRuntimeId)
        }))
  )

/** Uses the driver, and gives it back. */
const using = <A, E>(drivers: Table, id: string, use: (driver: Service) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(drivers.lease(id), use))

const isLive = (drivers: Table, id: string) => Effect.map(drivers.live, (live) => live.includes(RuntimeId.make(id)))

/** Longer than anybody idle is kept. */
const idle = TestClock.adjust(runtimeIdleMillis * 2)

const expectKept = (drivers: Table, id: string, is: boolean, why: string) =>
  Effect.gen(function*() {
    yield* idle
    yield* F.turns
    assert.strictEqual(yield* isLive(drivers, id), is, why)
  })

describe("a lease", () => {
  test(
    "I16: keeps a driver for as long as its scope is open; afterwards an idle one is forgotten",
    (drivers, id) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const driver = yield* Scope.extend(drivers.lease(id), scope)
        yield* F.accept(driver, F.prompt("p"))
        yield* expectKept(drivers, id, true, "somebody has it")
        assert.strictEqual(yield* using(drivers, id, Effect.succeed), driver, "it is the same for everybody")
        yield* expectKept(drivers, id, true, "somebody has it still")
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(yield* isLive(drivers, id), "it stays for a while")
        yield* expectKept(drivers, id, false, "nobody has it")
        assert.notStrictEqual(yield* using(drivers, id, Effect.succeed), driver)
      })
  )

  test("I16: what is used now and then is not forgotten in between", (drivers, id) =>
    Effect.gen(function*() {
      const driver = yield* using(drivers, id, Effect.succeed)
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust(runtimeIdleMillis * 0.9)
        assert.strictEqual(yield* using(drivers, id, Effect.succeed), driver)
      }
    }))

  test("I16: who goes idle first is forgotten first, each after its time", (drivers) =>
    Effect.gen(function*() {
      const ids = ["a", "b", "c"].map((id) => RuntimeId.make(id))
      for (const id of ids) {
        yield* using(drivers, id, () => Effect.void)
        yield* TestClock.adjust(400)
      }
      assert.deepStrictEqual(yield* drivers.live, ids.slice(1))
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(yield* drivers.live, ids.slice(2))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* drivers.live, [])
    }))

  test("`get` is for good", (drivers, id) =>
    Effect.gen(function*() {
      const driver = yield* drivers.get(id)
      yield* using(drivers, id, () => Effect.void)
      yield* expectKept(drivers, id, true, "somebody has it for good")
      assert.strictEqual(yield* drivers.get(id), driver)
    }))

  test(
    "I9: of many at once for one runtime there is one driver, which is recovered once",
    (drivers, id) =>
      Effect.gen(function*() {
        const leases = Array.from(
          { length: 20 },
          (_, i) => i % 2 === 0 ? drivers.lease(id) : Effect.scoped(drivers.lease(id))
        )
        const found = yield* Effect.all(leases, { concurrency: "unbounded" })
        assert.strictEqual(new Set(found).size, 1)
        const [driver] = found
        assert.strictEqual((yield* driver!.recovery).lostRun, false)
        yield* F.accept(driver!, F.prompt("p"))
        yield* expectKept(drivers, id, true, "ten of them have it")
      })
  )

  test("I9, I16: coming and going at once from all sides never makes two owners", (drivers) =>
    Effect.gen(function*() {
      const ids = ["a", "b", "c", "d"]
      const visit = (i: number): Effect.Effect<unknown, unknown> =>
        Effect.catchIf(
          using(drivers, ids[i % 4]!, (driver) => F.accept(driver, F.prompt(`${i}`))),
          (error) => error instanceof TooManyRuntimes,
          () => Effect.zipRight(F.turns, visit(i))
        )
      yield* Effect.all(Array.from({ length: 200 }, (_, i) => visit(i)), { concurrency: 40 })
      let total = 0
      for (const id of ids) {
        total += yield* using(drivers, id, (driver) => Effect.map(driver.activeInputIds, (all) => all.length))
      }
      assert.strictEqual(total, 200)
      assert.isAtMost((yield* drivers.live).length, 2)
    }), { limits: { runtimesLiveMax: 2, queueDepthMax: 1_000 } })

  it.effect("an opening that is waited for in vain leaks no use, and holds up nobody who is interrupted", () =>
    Effect.gen(function*() {
      const gate = yield* shut
      yield* withTable({
        limits: { runtimeIdleMillis },
        store: (store) => ({
          recover: (...args) => Effect.zipRight(gate.wait, store.recover(...args))
        })
      }, ({ table }) =>
        Effect.gen(function*() {
          const drivers = yield* table()
          const waiters = yield* Effect.forEach(["lease", "get"] as const, (how) =>
            Effect.fork(Effect.scoped(drivers[how]("a"))))
          yield* F.turns
          yield* Fiber.interruptAll(waiters)
          yield* gate.open
          yield* F.turns
          yield* expectKept(drivers, "a", false, "nobody has it")
        }))
    }))

  it.effect("I14: an opening that failed is forgotten, with all who waited for it, and tried again", () => {
    let isBroken = true
    return withTable({
      limits: { runtimeIdleMillis, runtimesLiveMax: 1 },
      store: ({ recover }) => ({
        recover: (runtimeId, claimId, decide) =>
          isBroken
            ? Effect.zipRight(Effect.yieldNow(), Effect.fail(new ReadFailed({ operation: "recovery", cause })))
            : recover(runtimeId, claimId, decide)
      })
    }, ({ table }) =>
      Effect.gen(function*() {
        const drivers = yield* table()
        const opening = Effect.flip(Effect.scoped(drivers.lease("a")))
        const errors = yield* Effect.all([opening, opening, opening], { concurrency: "unbounded" })
        assert.deepStrictEqual(errors.map(({ _tag }) => _tag), ["ReadFailed", "ReadFailed", "ReadFailed"])
        assert.deepStrictEqual(yield* drivers.live, [])
        isBroken = false
        yield* using(drivers, "b", () => Effect.void)
        yield* using(drivers, "a", () => Effect.void)
        yield* expectKept(drivers, "a", false, "nobody has it")
      }))
  })
})

const keepers: ReadonlyArray<
  readonly [
    what: string,
    begin: (driver: Service) => Effect.Effect<unknown, unknown>,
    end: (driver: Service) => Effect.Effect<unknown, unknown>
  ]
> = [
  [
    "an active input that ends with the process",
    (driver) => F.accept(driver, F.prompt("p", { durability: "ephemeral", deliverAt: 1e9 })),
    (driver) => driver.abandonPending({ _tag: "reset" })
  ],
  [
    "an open run",
    (driver) => F.running(driver),
    (driver) => Effect.flatMap(driver.openRun, (run) => driver.giveBack({ runId: Option.getOrThrow(run).id }))
  ]
]

describe("what keeps a driver that nobody has", () => {
  for (const [what, begin, end] of keepers) {
    test(`I16: ${what}, until it has ended`, (drivers, id) =>
      Effect.gen(function*() {
        const driver = yield* using(drivers, id, (driver) => Effect.as(begin(driver), driver))
        yield* expectKept(drivers, id, true, what)
        assert.strictEqual(yield* using(drivers, id, Effect.succeed), driver)
        yield* using(drivers, id, end)
        yield* expectKept(drivers, id, false, "it has ended")
      }))
  }

  it.effect("I3: a command whose caller has gone, until it is committed", () =>
    Effect.gen(function*() {
      const gate = yield* shut
      yield* withTable({
        limits: { runtimeIdleMillis },
        store: ({ commit }) => ({ commit: (one) => Effect.zipRight(gate.wait, commit(one)) })
      }, ({ table }) =>
        Effect.gen(function*() {
          const drivers = yield* table()
          const caller = yield* Effect.fork(using(drivers, "a", (driver) => driver.accept(F.prompt("p"))))
          yield* F.turns
          yield* Fiber.interrupt(caller)
          yield* expectKept(drivers, "a", true, "it is being committed")
          yield* gate.open
          yield* expectKept(drivers, "a", false, "it was committed")
          assert.deepStrictEqual(yield* using(drivers, "a", F.drain), [["p"]])
        }))
    }))

  it.effect("I12: a doubt, until it is resolved", () =>
    Effect.gen(function*() {
      const gate = yield* shut
      let isUnknown = true
      yield* withTable({
        limits: { runtimeIdleMillis, inDoubtMillis: 10 },
        store: ({ barrier, commit }) => ({
          commit: (one) =>
            isUnknown
              ? Effect.zipRight(commit(one), Effect.fail(new CommitUnknown({ operation: "a commit", cause })))
              : commit(one),
          barrier: (...args) => Effect.zipRight(gate.wait, barrier(...args))
        })
      }, ({ table }) =>
        Effect.gen(function*() {
          const drivers = yield* table()
          const caller = yield* Effect.fork(using(drivers, "a", (driver) => Effect.flip(driver.accept(F.prompt("p")))))
          yield* F.turns
          yield* expectKept(drivers, "a", true, "it is in doubt")
          assert.strictEqual((yield* Fiber.join(caller))._tag, "CommitUnknown")
          isUnknown = false
          yield* gate.open
          yield* expectKept(drivers, "a", false, "the doubt is over")
        }))
    }))

  it.effect("I9: that another has taken the runtime: it would be claimed again by who asks next", () =>
    withTable({ limits: { runtimeIdleMillis } }, ({ table }) =>
      Effect.gen(function*() {
        const [ours, theirs] = [yield* table(), yield* table()]
        yield* using(ours, "a", () => Effect.void)
        const other = yield* theirs.get("a")
        const error = yield* using(ours, "a", (driver) => Effect.flip(driver.pause))
        assert.strictEqual(error._tag, "OwnershipLost")
        yield* expectKept(ours, "a", true, "it was lost")
        assert.strictEqual((yield* using(ours, "a", (driver) => Effect.flip(driver.pause)))._tag, "OwnershipLost")
        yield* other.pause
      })))
})

describe("a runtime that was forgotten", () => {
  for (const [name, options] of [["memory", {}], ["SQLite", { stores: sqlite }]] as const) {
    test(`I1, I3: comes back as it was (${name})`, (drivers, id) =>
      Effect.gen(function*() {
        const before = yield* using(drivers, id, (driver) =>
          Effect.gen(function*() {
            yield* driver.setSilentIntents(["quiet"])
            yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
            const first = yield* F.stage(driver)
            yield* driver.checkpoint({ runId: first.runId })
            yield* driver.fail({ runId: first.runId, failure: F.failure, visibleAt: 90_000 })
            const { runId } = yield* F.running(driver, "held")
            yield* driver.hold({ runId, reason: "question", until: 80_000 })
            yield* F.acceptAll(driver, [
              F.prompt("late", { deliverAt: 70_000 }),
              F.prompt("now", { key: "k" }),
              F.steer("steer")
            ])
            yield* driver.pause
            return yield* F.look(driver)
          }))
        yield* expectKept(drivers, id, false, "nobody has it")
        yield* using(drivers, id, (driver) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* F.look(driver), before)
            assert.strictEqual((yield* driver.accept(F.prompt("now", { key: "k" })))._tag, "deduplicated")
            yield* driver.unpause
            assert.deepStrictEqual(yield* F.drain(driver), [["steer"], ["now"]])
            assert.deepStrictEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(70_000))
            yield* TestClock.adjust(90_000)
            const again = yield* F.stageOf(driver, ["a", "b"])
            assert.deepStrictEqual([again.attempt, again.afterLoss, Option.isSome(again.resume)], [2, false, true])
            yield* driver.complete({ runId: again.runId })
            assert.deepStrictEqual(yield* F.drain(driver), [["held"], ["late"]])
          }))
      }), options)
  }

  test("I14: wakes the loop for what became ready in the meantime", (drivers, id) =>
    Effect.gen(function*() {
      yield* using(drivers, id, (driver) =>
        Effect.zipRight(F.accept(driver, F.prompt("late", { deliverAt: 5_000 })), driver.takeSignal))
      yield* expectKept(drivers, id, false, "nobody has it")
      yield* TestClock.adjust(5_000)
      assert.strictEqual(
        yield* using(drivers, id, (driver) =>
          driver.takeSignal),
        "wake_loop"
      )
    }))

  test("I9: what still has its old driver is told that the runtime was taken", (drivers, id) =>
    Effect.gen(function*() {
      const old = yield* using(drivers, id, Effect.succeed)
      yield* expectKept(drivers, id, false, "nobody has it")
      yield* using(drivers, id, (driver) => F.accept(driver, F.prompt("p")))
      assert.strictEqual((yield* Effect.flip(old.accept(F.prompt("q"))))._tag, "OwnershipLost")
    }))
})

describe("as many runtimes as may be live", () => {
  const limits = { runtimesLiveMax: 2 }

  test("I16: the one that has been idle longest makes room", (drivers) =>
    Effect.gen(function*() {
      for (const id of ["a", "b"]) yield* using(drivers, id, (driver) => F.accept(driver, F.prompt(id)))
      yield* using(drivers, "a", () => Effect.void)
      yield* using(drivers, "c", () => Effect.void)
      assert.deepStrictEqual([...yield* drivers.live].sort(), ["a", "c"])
      assert.deepStrictEqual(yield* using(drivers, "b", F.drain), [["b"]])
      assert.deepStrictEqual([...yield* drivers.live].sort(), ["b", "c"])
    }), { limits })

  test(
    "I16: nobody makes room who is in use, and without anybody it is TooManyRuntimes",
    (drivers) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Scope.extend(drivers.lease("a"), scope)
        yield* using(drivers, "b", (driver) => F.running(driver))
        for (const how of ["lease", "get"] as const) {
          const error = yield* Effect.flip(Effect.scoped(drivers[how]("c")))
          assert.strictEqual(error._tag, "TooManyRuntimes")
          assert.deepInclude(error, { runtimeId: "c", runtimesLiveMax: 2, retryable: true })
        }
        assert.deepStrictEqual(yield* drivers.live, ["a", "b"].map((id) => RuntimeId.make(id)))
        yield* using(drivers, "a", () => Effect.void)
        yield* Scope.close(scope, Exit.void)
        yield* using(drivers, "c", () => Effect.void)
        assert.deepStrictEqual([...yield* drivers.live].sort(), ["b", "c"])
      }),
    { limits }
  )

  test("I16: those that are being opened count", (drivers) =>
    Effect.gen(function*() {
      const results = yield* Effect.all(
        ["a", "b", "c", "d"].map((id) => Effect.either(drivers.lease(id))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Right", "Right", "Left", "Left"])
    }), { limits })
})
