import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Cron from "effect/Cron"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { Timer } from "../../src/layers/engine/Timer.js"
import type { RuntimeId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import type { Executor } from "../../src/services/Executor.js"
import { accepted, advance, latch, type Plane, settle, test, testEach, textOf, untilTrue } from "./support.js"

const range = (length: number) => Array.from({ length }, (_, i) => i)

/** What has run, and when. */
const watching = () => {
  const log: Array<readonly [text: string, at: number]> = []
  const executor: Executor = {
    apply: (run) => Effect.map(Clock.currentTimeMillis, (now) => void log.push([textOf(run), now]))
  }
  return { log, executor }
}

const later = (text: string, deliverAt: number) => Input.prompt(text, { deliverAt })

describe("a delayed input", () => {
  testEach("runs once, at its time and not before; others pass it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = watching()
      yield* plane.register("a", executor)
      yield* accepted(plane, "a", later("third", 3_000))
      yield* accepted(plane, "a", later("second", 2_000))
      yield* accepted(plane, "a", Input.prompt("first"))
      yield* advance("1 second")
      assert.deepStrictEqual(log, [["first", 0]])
      yield* advance("999 millis")
      assert.strictEqual(log.length, 1)
      yield* advance("1 millis")
      assert.deepStrictEqual(log[1], ["second", 2_000])
      yield* advance("5 seconds", { steps: 5 })
      assert.deepStrictEqual(log, [["first", 0], ["second", 2_000], ["third", 3_000]])
    }))

  testEach(
    "is on time in the next process, also when its time has passed while there was none",
    ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        yield* accepted(first.plane, "a/1", later("missed", 1_000))
        yield* accepted(first.plane, "a/2", later("coming", 10_000))
        yield* first.close
        yield* TestClock.adjust("5 seconds")
        const second = yield* open()
        const { executor, log } = watching()
        yield* second.plane.register("a", executor)
        yield* settle
        assert.deepStrictEqual(log, [["missed", 5_000]])
        yield* advance("5 seconds")
        yield* untilTrue("the other one", () => log.length === 2)
        assert.deepStrictEqual(log[1], ["coming", 10_000])
      })
  )

  test("set for an earlier time than all others does not wait for theirs", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = watching()
      yield* plane.register("a", executor)
      for (const at of [60_000, 50_000, 40_000, 30_000, 20_000, 10_000, 25_000, 5_000]) {
        yield* accepted(plane, `a/${at}`, later(`${at}`, at))
        yield* settle
      }
      yield* advance("1 minute", { steps: 60 })
      assert.deepStrictEqual(log.map(([text]) => Number(text)), log.map(([, at]) => at))
      assert.strictEqual(log.length, 8)
    }))

  test("runs beside more than a thousand others of the same moment", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const runs = new Map<string, number>()
      yield* plane.register("a", {
        apply: (run) => Effect.sync(() => void runs.set(run.runtimeId, (runs.get(run.runtimeId) ?? 0) + 1))
      })
      yield* Effect.forEach(range(1_100), (i) => accepted(plane, `a/${i}`, later("go", 1_000)), {
        concurrency: 100,
        discard: true
      })
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* untilTrue("all have run", () => runs.size === 1_100)
      assert.deepStrictEqual(new Set(runs.values()), new Set([1]))
    }))

  test("whose runtime is forgotten meanwhile comes back in time, and so does a held one", ({ open }) =>
    Effect.gen(function*() {
      const { drivers, plane } = yield* open({ limits: { runtimeIdleMillis: 10_000 } })
      const { executor, log } = watching()
      yield* plane.register("a", executor)
      yield* accepted(plane, "a/delayed", later("delayed", 120_000))
      yield* plane.pause({ agent: "a" })
      const held = yield* accepted(plane, "a/held", Input.prompt("held"))
      yield* plane.hold("a/held", held, { until: 180_000 })
      yield* plane.unpause({ agent: "a" })
      yield* advance("1 minute", { steps: 6 })
      assert.deepStrictEqual(yield* drivers.live, [])
      yield* advance("3 minutes", { steps: 18 })
      assert.deepStrictEqual(log, [["delayed", 120_000], ["held", 180_000]])
      assert.deepStrictEqual(yield* drivers.live, [])
    }))
})

describe("the timer", () => {
  test("hears of an earlier time also while it asks the store, and also the second time", ({ open }) =>
    Effect.gen(function*() {
      const { store } = yield* open()
      const woken: Array<RuntimeId> = []
      const asked = yield* Effect.all([latch, latch, latch, latch])
      const go = yield* Effect.all([latch, latch, latch, latch])
      let due: Array<readonly [RuntimeId, number]> = []
      let n = 0
      const timer = new Timer(
        {
          ...store,
          loadNextReadyAt: (after) =>
            Effect.gen(function*() {
              const next = due.map(([, at]) => at).filter((at) => at > after).sort((one, two) => one - two)[0]
              const i = n++
              yield* asked[i]?.open ?? Effect.void
              // What it has read is old by the time that it knows it.
              yield* go[i]?.wait ?? Effect.void
              return Option.fromNullable(next)
            }),
          loadDue: ({ after, until }) =>
            Effect.sync(() =>
              due.filter(([, at]) => at > after && at <= until).map(([runtimeId, readyAt]) => ({ runtimeId, readyAt }))
            )
        },
        (runtimeId) => woken.push(runtimeId),
        0
      )
      yield* Effect.forkScoped(timer.run)
      const add = (name: string, at: number) => {
        due = [...due, [name as RuntimeId, at]]
        timer.notice(at)
      }
      yield* asked[0].wait
      add("first", 10_000)
      yield* go[0].open
      yield* asked[1].wait
      add("second", 5_000)
      yield* go[1].open
      yield* asked[2].wait
      yield* go[2].open
      yield* settle
      add("third", 2_000)
      yield* asked[3].wait
      add("fourth", 1_000)
      yield* go[3].open
      yield* advance("10 seconds", { steps: 10 })
      assert.deepStrictEqual(woken, ["fourth", "third", "second", "first"] as ReadonlyArray<string>)
    }))
})

describe("I14: no wake is lost", () => {
  test("when inputs come while a run is finishing, five hundred times", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      let seed = 7
      const random = (max: number) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
        return seed % max
      }
      yield* plane.register("a", {
        apply: () => Effect.repeatN(Effect.yieldNow(), random(6))
      }, { runsMax: 2 })
      const ids: Array<readonly [string, string]> = []
      for (let i = 0; i < 500; i++) {
        const name = `a/${random(4)}`
        ids.push([name, yield* accepted(plane, name, Input.prompt(`${i}`))])
        yield* Effect.repeatN(Effect.yieldNow(), random(8))
      }
      yield* Effect.forEach(ids, ([name, id]) => plane.await(name, id), { concurrency: "unbounded", discard: true })
    }))
})

describe("cron", () => {
  const every = Either.getOrThrow(Cron.parse("*/10 * * * * *"))

  const recurring = (plane: Plane, missed?: "skip" | "once" | "all") =>
    plane.cron({
      name: "tick",
      cron: every,
      runtimeId: "a",
      input: Input.prompt("tick"),
      ...(missed !== undefined && { missed })
    })

  const keysOf = (plane: Plane) =>
    Effect.map(
      plane.inputs("a", { limit: 1_000 }),
      (rows) =>
        rows.map((row) => Either.getOrThrow(row).head.key ?? "none").map((key) =>
          key.replace(/^cron\/tick\/1970-01-01T/, "")
        )
    )

  test("takes an input at each tick, once, until its scope closes", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = watching()
      yield* plane.register("a", executor)
      const scope = yield* Scope.make()
      yield* Scope.extend(recurring(plane), scope)
      yield* advance("1 minute", { steps: 60 })
      assert.deepStrictEqual(log.map(([, at]) => at), [10_000, 20_000, 30_000, 40_000, 50_000, 60_000])
      assert.strictEqual((yield* keysOf(plane))[0], "00:00:10.000Z")
      yield* Scope.close(scope, Exit.void)
      yield* advance("1 minute", { steps: 6 })
      assert.strictEqual(log.length, 6)
    }))

  for (
    const [missed, expected] of [["skip", []], ["once", ["40"]], ["all", ["20", "30", "40"]]] as ReadonlyArray<
      readonly ["skip" | "once" | "all", ReadonlyArray<string>]
    >
  ) {
    testEach(`of ticks that passed while there was no process takes ${missed}`, ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        const scope = yield* Scope.make()
        yield* Scope.extend(recurring(first.plane, missed), scope)
        yield* advance("15 seconds", { steps: 3 })
        yield* Scope.close(scope, Exit.void)
        yield* first.close
        yield* TestClock.adjust("30 seconds")
        const second = yield* open()
        yield* recurring(second.plane, missed)
        yield* settle
        const seconds = (keys: ReadonlyArray<string>) => keys.map((key) => key.slice(6, 8))
        assert.deepStrictEqual(seconds(yield* keysOf(second.plane)), ["10", ...expected])
        yield* advance("5 seconds", { steps: 2 })
        assert.deepStrictEqual(seconds(yield* keysOf(second.plane)), ["10", ...expected, "50"])
      }))
  }

  test("takes no tick twice, also when two processes' worth of it run at once", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* recurring(plane)
      yield* recurring(plane)
      yield* advance("30 seconds", { steps: 30 })
      assert.deepStrictEqual(yield* keysOf(plane), ["00:00:10.000Z", "00:00:20.000Z", "00:00:30.000Z"])
    }))

  test("keeps a tick that the runtime cannot take just now", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { queueDepthMax: 1 } })
      yield* recurring(plane)
      const blocking = yield* accepted(plane, "a", Input.prompt("in the way"))
      yield* advance("15 seconds", { steps: 5 })
      assert.strictEqual((yield* plane.inputs("a")).length, 1)
      yield* plane.cancel("a", { reason: "no", inputId: blocking })
      yield* advance("4 seconds", { steps: 4 })
      assert.deepStrictEqual(yield* keysOf(plane), ["none", "00:00:10.000Z"])
    }))

  test("is interrupted while it waits, and leaves nothing behind", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(recurring(plane), Effect.never)))
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* advance("1 minute", { steps: 6 })
      assert.deepStrictEqual(yield* plane.inputs("a"), [])
      assert.isTrue(Option.isNone(yield* plane.runtimeState("a")))
    }))
})
