import { assert, describe, it } from "@effect/vitest"
import * as Cron from "effect/Cron"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { textOf } from "../engine/support.js"
import { events, hosting, runs, sent, test, testEach } from "./support.js"

describe("AgentTest.crash", () => {
  testEach(
    "the next attempt goes on behind the last boundary, and is counted",
    Effect.gen(function*() {
      const log: Array<string> = []
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          const resumed = Option.map(run.resume, ({ sequence }) => sequence)
          log.push(`attempt ${run.attempt} behind ${Option.getOrElse(resumed, () => 0)}, lost: ${run.afterLoss}`)
          yield* run.checkpoint({ append: [`attempt ${run.attempt}`] })
          yield* Effect.sleep("1 day")
          return { append: ["done"], result: run.attempt }
        })
      )
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      yield* TestClock.adjust("10 hours")
      yield* AgentTest.crash
      yield* TestClock.adjust("23 hours")
      assert.deepStrictEqual(log, ["attempt 1 behind 0, lost: false", "attempt 2 behind 1, lost: true"])
      // The attempt of before would be through by now.
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiter)))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(2))
      assert.deepStrictEqual(yield* runs("a/x"), { "run.started": 2, "run.boundary": 3, "run.lost": 1 })
      assert.deepStrictEqual((yield* plane.transcript("a/x")).messages.slice(1), ["attempt 1", "attempt 2", "done"])
    })
  )

  testEach(
    "it answers when what was running is recovered under a new token",
    Effect.gen(function*() {
      const store = yield* RuntimeStore
      const plane = yield* hosting(() => Effect.never)
      yield* sent(plane, "a/x", Input.prompt("hello"))
      yield* TestClock.adjust(0)
      const epoch = Effect.map(
        store.loadStamp("a/x" as never, { _tag: "runtime" }),
        (stamp) => Option.getOrThrow(stamp).epoch
      )
      const before = yield* epoch
      yield* AgentTest.crash
      assert.deepInclude(yield* runs("a/x"), { "run.lost": 1 })
      assert.strictEqual(yield* epoch, before + 1)
    })
  )

  testEach(
    "with nothing to do, and again, it changes nothing",
    Effect.gen(function*() {
      yield* AgentTest.crash
      const plane = yield* hosting((run) => Effect.succeed({ result: textOf(run) }))
      yield* AgentTest.crash
      assert.deepStrictEqual((yield* plane.submit("a/x", Input.prompt("one"))).result, Option.some("one"))
      const before = yield* events("a/x")
      yield* AgentTest.crash
      yield* AgentTest.crash
      assert.deepStrictEqual(yield* events("a/x"), before)
      assert.deepStrictEqual((yield* plane.submit("a/x", Input.prompt("two"))).result, Option.some("two"))
    })
  )

  testEach(
    "each crash costs the run an attempt, until it is a dead letter",
    Effect.gen(function*() {
      const plane = yield* hosting(() => Effect.never, { attemptsMax: 3 })
      const waiter = yield* Effect.fork(Effect.flip(plane.submit("a/x", Input.prompt("poison"))))
      for (let attempt = 1; attempt <= 3; attempt++) {
        yield* TestClock.adjust("1 hour")
        assert.deepInclude(yield* runs("a/x"), { "run.started": attempt })
        yield* AgentTest.crash
      }
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(waiter))._tag, "DeadLettered")
    })
  )

  testEach(
    "a life that has just begun is crashed like any other",
    Effect.gen(function*() {
      const plane = yield* hosting((run) => Effect.succeed({ result: textOf(run) }))
      const crashes = yield* Effect.fork(Effect.all(Array.from({ length: 10 }, () => AgentTest.crash), {
        concurrency: "unbounded"
      }))
      const again = yield* Effect.fork(Effect.zipRight(Effect.yieldNow(), AgentTest.crash))
      assert.deepStrictEqual((yield* plane.submit("a/x", Input.prompt("hello"))).result, Option.some("hello"))
      yield* Fiber.join(crashes)
      yield* Fiber.join(again)
    })
  )

  testEach(
    "recurring inputs go on: each tick once, those that were missed by their policy",
    Effect.gen(function*() {
      const plane = yield* hosting(() => Effect.void)
      yield* plane.cron({
        name: "hourly",
        cron: Cron.unsafeParse("0 * * * *", "UTC"),
        runtimeId: "a/x",
        input: Input.prompt("tick")
      })
      yield* TestClock.adjust("150 minutes")
      yield* AgentTest.crash
      yield* TestClock.adjust("2 hours")
      yield* AgentTest.crash
      yield* TestClock.adjust("1 hour")
      const keys = (yield* plane.inputs("a/x")).map((row) => row._tag === "Right" ? String(row.right.head.key) : "none")
      assert.deepStrictEqual(keys, [1, 2, 3, 4, 5].map((hour) => `cron/hourly/1970-01-01T0${hour}:00:00.000Z`))
    })
  )

  testEach(
    "what was paused stays so: an agent, and a runtime",
    Effect.gen(function*() {
      const log: Array<string> = []
      const plane = yield* hosting((run) => Effect.sync(() => void log.push(run.id)))
      yield* plane.register("b", { apply: (run) => Effect.sync(() => void log.push(run.runtimeId)) })
      yield* plane.pause({ agent: "b" })
      yield* sent(plane, "a/x", Input.prompt("hello"))
      yield* TestClock.adjust(0)
      yield* plane.pause({ runtimeId: "a/x" })
      yield* AgentTest.crash
      for (const runtimeId of ["a/x", "a/y", "b/x"]) yield* sent(plane, runtimeId, Input.prompt("hello"))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(log, ["x", "y"])
      yield* plane.unpause({ agent: "b" })
      yield* plane.unpause({ runtimeId: "a/x" })
      yield* TestClock.adjust("1 hour")
      assert.sameMembers(log, ["x", "y", "x", "b/x"])
    })
  )

  testEach(
    "a deadline of days is kept",
    Effect.gen(function*() {
      const log: Array<string> = []
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          log.push(`attempt ${run.attempt} at hour ${(yield* TestClock.currentTimeMillis) / 3_600_000}`)
          if (log.length === 1) return yield* run.park({ until: 72 * 3_600_000 })
        })
      )
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      yield* TestClock.adjust("1 day")
      yield* AgentTest.crash
      yield* TestClock.adjust("3 days")
      yield* Fiber.join(waiter)
      assert.deepStrictEqual(log, ["attempt 1 at hour 0", "attempt 1 at hour 72"])
    })
  )

  testEach(
    "delayed inputs come at their time",
    Effect.gen(function*() {
      const plane = yield* hosting(() => TestClock.currentTimeMillis.pipe(Effect.map((result) => ({ result }))))
      const input = Input.prompt("later", { deliverAt: 5_000_000 })
      const waiter = yield* Effect.fork(plane.submit("a/x", input))
      yield* TestClock.adjust("1 hour")
      yield* AgentTest.crash
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(5_000_000))
    })
  )

  testEach(
    "blobs are on the disk, too",
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      const text = "long ".repeat(50_000)
      const inputId = yield* sent(plane, "a/x", Input.prompt(text))
      yield* AgentTest.crash
      yield* hosting((run) => Effect.succeed({ result: textOf(run) === text }))
      assert.deepStrictEqual((yield* plane.await("a/x", inputId)).result, Option.some(true))
    })
  )

  test(
    "the finalizers of an executor run, which nobody waits for",
    Effect.gen(function*() {
      const log: Array<string> = []
      const plane = yield* hosting((run) =>
        Effect.zipRight(
          Effect.acquireRelease(
            Effect.sync(() => log.push(`acquired by ${run.attempt}`)),
            () => Effect.sync(() => log.push(`released by ${run.attempt}`))
          ),
          run.attempt === 1 ? Effect.never : Effect.void
        )
      )
      yield* sent(plane, "a/x", Input.prompt("hello"))
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      yield* TestClock.adjust(0)
      assert.sameMembers(log, ["acquired by 1", "released by 1", "acquired by 2", "released by 2"])
    })
  )

  test(
    "an executor crashes its own process, and does not hear of it",
    Effect.gen(function*() {
      const log: Array<string> = []
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          log.push(`attempt ${run.attempt}`)
          if (run.attempt === 1) yield* AgentTest.crash
          log.push(`goes on in ${run.attempt}`)
        })
      )
      yield* plane.submit("a/x", Input.prompt("hello"))
      assert.deepStrictEqual(log, ["attempt 1", "attempt 2", "goes on in 2"])
    })
  )
})

describe("what is registered", () => {
  testEach(
    "is closed with the scope of whoever registered it, in whichever life",
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      const scope = yield* Scope.make()
      yield* Scope.extend(hosting((run) => Effect.succeed({ result: textOf(run) })), scope)
      yield* AgentTest.crash
      assert.strictEqual((yield* Effect.flip(hosting(() => Effect.void)))._tag, "AlreadyRegistered")
      yield* Scope.close(scope, Exit.void)
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      yield* TestClock.adjust("1 hour")
      yield* AgentTest.crash
      yield* TestClock.adjust("1 hour")
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiter)))
      yield* hosting(() => Effect.succeed({ result: "another one" }))
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some("another one"))
    })
  )

  test(
    "has the services, and is asked about lost runs, in each life",
    Effect.gen(function*() {
      class Price extends Effect.Tag("test/Price")<Price, number>() {}
      const asked: Array<number> = []
      const plane = yield* hosting(
        (run) =>
          Effect.zipRight(run.attempt < 3 ? Effect.never : Effect.void, Effect.map(Price, (result) => ({ result }))),
        { inDoubt: (run) => Effect.map(Price, (price) => (asked.push(run.attempt + price), "retry" as const)) }
      ).pipe(Effect.provideService(Price, 100))
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      yield* TestClock.adjust(0)
      yield* AgentTest.crash
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(100))
      assert.deepStrictEqual(asked, [102, 103])
    })
  )
})

describe("AgentTest.layer", () => {
  it.layer(
    Layer.scopedDiscard(hosting((run) => Effect.as(Effect.sleep(textOf(run) as "1 day"), { result: run.attempt })))
      .pipe(
        Layer.provideMerge(AgentTest.layer)
      )
  )("shared by tests", (it) => {
    it.effect("is on the clock of the first", () =>
      Effect.gen(function*() {
        const plane = yield* ControlPlane
        const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("2 hours")))
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(1))
      }))

    it.effect("and on that of the second", () =>
      Effect.gen(function*() {
        const plane = yield* ControlPlane
        const waiter = yield* Effect.fork(plane.submit("a/y", Input.prompt("2 hours")))
        yield* TestClock.adjust("1 hour")
        yield* AgentTest.crash
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(2))
      }))
  })

  test(
    "has the clock wait for runs that are on their way",
    Effect.gen(function*() {
      const at: Array<number> = []
      // Each has its run in an hour of its own, and asks for the next one.
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          at.push(yield* TestClock.currentTimeMillis)
          yield* run.checkpoint()
          yield* Effect.sleep("1 hour")
          const plane = yield* ControlPlane
          if (at.length < 20) yield* plane.ingest(`a/${at.length}`, Input.prompt("next"))
        })
      )
      yield* sent(plane, "a/0", Input.prompt("first"))
      yield* TestClock.adjust("19 hours")
      assert.deepStrictEqual(at, Array.from({ length: 20 }, (_, hour) => hour * 3_600_000))
    })
  )

  it.scoped("takes limits, and an executor that will not end does not keep it from closing", () =>
    Effect.gen(function*() {
      const stuck = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const plane = yield* hosting((run) =>
          run.attempt === 1 ? Effect.uninterruptible(Deferred.await(stuck)) : Effect.never
        )
        yield* sent(plane, "a/x", Input.prompt("first"))
        yield* TestClock.adjust(0)
        yield* AgentTest.crash
        yield* sent(plane, "a/x", Input.prompt("second"))
        assert.strictEqual((yield* Effect.flip(plane.ingest("a/x", Input.prompt("third"))))._tag, "QueueFull")
      }).pipe(Effect.provide(AgentTest.layerWith({ limits: { queueDepthMax: 2 } })))
      yield* Deferred.succeed(stuck, undefined)
    }))

  it.scoped("tells those who wait when it closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(AgentTest.layer, scope)
      const waiter = yield* Effect.provide(
        Effect.gen(function*() {
          const plane = yield* ControlPlane
          const inputId = yield* sent(plane, "a/x", Input.prompt("nobody hosts this"))
          yield* AgentTest.crash
          return yield* Effect.fork(Effect.flip(plane.await("a/x", inputId)))
        }),
        context
      )
      yield* TestClock.adjust(0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiter))._tag, "StoreClosed")
    }))
})
