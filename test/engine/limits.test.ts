import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Engine } from "../../src/layers/engine/Engine.js"
import * as Input from "../../src/schema/Input.js"
import { makeFork } from "../../src/services/Batcher.js"
import type { DeltaError, Executor } from "../../src/services/Executor.js"
import {
  accepted,
  advance,
  latch,
  memoryWorld,
  settle,
  test,
  testEach,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

const range = (length: number) => Array.from({ length }, (_, i) => i)
const done: Executor = { apply: () => Effect.succeed({ result: 1 }) }

describe("I16: limits", () => {
  testEach(
    "QueueFull and InputTooLarge are told, nothing is stored, and there is room again when work is done",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open({ limits: { queueDepthMax: 3, inputBytesMax: 2_000 } })
        const gate = yield* latch
        yield* plane.register("a", { apply: () => Effect.as(gate.wait, { result: 1 }) })
        const ids = yield* Effect.forEach(range(3), (i) => accepted(plane, "a", Input.prompt(`${i}`)))
        assert.strictEqual((yield* Effect.flip(plane.ingest("a", Input.prompt("4"))))._tag, "QueueFull")
        assert.strictEqual(
          (yield* Effect.flip(plane.ingest("b", Input.prompt("x".repeat(3_000)))))._tag,
          "InputTooLarge"
        )
        yield* gate.open
        yield* Effect.forEach(ids, (id) => plane.await("a", id))
        yield* plane.submit("a", Input.prompt("4"))
        assert.strictEqual((yield* plane.inputs("a")).length, 4)
      })
  )

  testEach(
    "a handful of runtimes in memory are enough for many with work: all of it gets done",
    ({ open }) =>
      Effect.gen(function*() {
        const { drivers, plane } = yield* open({ limits: { runtimesLiveMax: 4 } })
        let liveMax = 0
        yield* plane.register("a", {
          apply: () =>
            Effect.map(drivers.live, (live) => {
              liveMax = Math.max(liveMax, live.length)
              return { result: 1 }
            })
        }, { runsMax: 2 })
        yield* plane.pause({ agent: "a" })
        const ids = yield* Effect.forEach(range(60), (i) => accepted(plane, `a/${i}`, Input.prompt("go")))
        yield* plane.unpause({ agent: "a" })
        yield* Effect.forEach(ids, (id, i) => plane.await(`a/${i}`, id), { concurrency: "unbounded" })
        assert.isAtMost(liveMax, 4)
      })
  )

  test("TooManyRuntimes is told when all in memory are at work; a loop waits and comes again", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { runtimesLiveMax: 2 } })
      const gate = yield* latch
      yield* plane.register("a", { apply: () => Effect.as(gate.wait, { result: 1 }) })
      yield* plane.pause({ agent: "a" })
      const ids = yield* Effect.forEach(range(4), (i) => accepted(plane, `a/${i}`, Input.prompt("go")))
      yield* plane.unpause({ agent: "a" })
      yield* settle
      assert.strictEqual((yield* Effect.flip(plane.ingest("b", Input.prompt("go"))))._tag, "TooManyRuntimes")
      yield* gate.open
      yield* advance("1 minute", { steps: 30 })
      yield* Effect.forEach(ids, (id, i) => plane.await(`a/${i}`, id))
    }))
})

describe("what the engine keeps", () => {
  test("is nothing for runtimes that are done: no loop, no wait, no listener, and no driver after the idle time", ({ open }) =>
    Effect.gen(function*() {
      // An engine whose insides can be seen.
      const { drivers } = yield* open({ limits: { runtimeIdleMillis: 10_000 } })
      const engine = new Engine(drivers, yield* makeFork, yield* Clock.currentTimeMillis)
      yield* drivers.listen((notice) => engine.noticed(notice))
      yield* engine.register("a", done, { runsMax: 64 })
      const losing = yield* Effect.fork(engine.lost("a/1" as never))
      yield* Effect.forEach(
        range(500),
        (i) => Effect.scoped(Effect.flatMap(drivers.lease(`a/${i}`), (driver) => driver.accept(Input.prompt("go")))),
        {
          concurrency: 50
        }
      )
      const insides = engine as unknown as Record<"loops" | "lostListeners", Map<unknown, unknown>>
      yield* until("no loop is left", Effect.sync(() => insides.loops.size === 0))
      yield* Fiber.interrupt(losing)
      assert.strictEqual(insides.lostListeners.size, 0)
      assert.strictEqual((engine.waits as unknown as { readonly waits: Map<unknown, unknown> }).waits.size, 0)
      yield* advance("30 seconds", { steps: 6 })
      assert.deepStrictEqual(yield* drivers.live, [])
    }))

  it.scopedLive("is no fiber: as many roots after a thousand inputs as before", () =>
    Effect.flatMap(memoryWorld, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        yield* plane.register("a", {
          apply: (run) =>
            run.attempt === 1 && run.runtimeId === "a/1" ? Effect.fail("once") : Effect.succeed({ result: 1 })
        }, { runMax: "1 hour", retry: Schedule.spaced(1) })
        yield* plane.submit("a/0", Input.prompt("go"))
        yield* settle
        const before = (yield* Fiber.roots).length
        yield* Effect.forEach(range(1_000), (i) => plane.submit(`a/${i % 20}`, Input.prompt("go")), {
          concurrency: "unbounded"
        })
        const { inputId } = yield* plane.submit("a/3", Input.prompt("again"))
        yield* plane.await("a/3", inputId)
        yield* until("the fibers are gone", Effect.map(Fiber.roots, (roots) => roots.length <= before))
      })))

  it.scopedLive("leaves the event loop its turns: timers fire in time while it is busy", () =>
    Effect.flatMap(memoryWorld, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        yield* plane.register("a", {
          apply: (run) => Effect.as(Effect.orDie(plane.ingest(run.runtimeId, Input.prompt("again"))), {})
        })
        for (const i of range(8)) yield* accepted(plane, `a/${i}`, Input.prompt("go"))
        let fired = 0
        const timer = setInterval(() => fired++, 10)
        yield* Effect.sleep(500)
        clearInterval(timer)
        assert.isAtLeast(fired, 10)
      })))
})

describe("progress", () => {
  const talking = (gate: Effect.Effect<void>): Executor<DeltaError> => ({
    apply: (run) =>
      Effect.gen(function*() {
        yield* run.emit("one")
        yield* run.checkpoint({ append: ["saved"] })
        for (const i of range(200)) yield* run.emit(i)
        yield* gate
        return { append: ["last"] }
      })
  })

  testEach("comes between what is committed, to those who watch", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", talking(gate.wait))
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(plane.watch("a"), (one) =>
        Effect.sync(() => {
          seen.push(
            one._tag === "progress"
              ? `progress ${JSON.stringify(one.value)}`
              : one._tag === "event"
              ? one.event._tag
              : "message"
          )
        })))
      yield* settle
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilTrue("it has told", () => seen.includes("progress 199"))
      assert.notInclude(seen, "run.finished")
      yield* gate.open
      yield* plane.await("a", id)
      yield* untilTrue("all is seen", () => seen.filter((one) => one === "run.boundary").length === 2)
      assert.include(seen, "progress \"one\"")
      assert.isBelow(seen.indexOf("progress 199"), seen.lastIndexOf("run.boundary"))
    }))

  test("is all that a slow watcher loses, and it holds nobody up", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", talking(Effect.void))
      const events: Array<number> = []
      let progress = 0
      const gate = yield* latch
      yield* Effect.forkScoped(Stream.runForEach(plane.watch("a"), (one) =>
        Effect.zipRight(
          gate.wait,
          Effect.sync(() => {
            if (one._tag === "progress") progress++
            else if (one._tag === "event") events.push(one.cursor)
          })
        )))
      yield* settle
      yield* Effect.forEach(range(20), () => plane.submit("a", Input.prompt("go")))
      yield* gate.open
      const last = 20 * 4
      yield* until("all events are seen", Effect.sync(() => events.length >= last))
      assert.deepStrictEqual(events, events.map((_, i) => i + 1))
      assert.isBelow(progress, 20 * 201)
    }))
})

test("a run is seen by inspect while it goes on, with its last sign of life", ({ open }) =>
  Effect.gen(function*() {
    const { plane } = yield* open()
    yield* plane.register("a", {
      apply: (run) => Effect.zipRight(Effect.sleep("10 seconds"), Effect.zipRight(run.heartbeat, Effect.never))
    })
    const id = yield* accepted(plane, "a", Input.prompt("go"))
    yield* untilPhase(plane, "a", id, "staged")
    yield* advance("15 seconds", { steps: 3 })
    const health = Option.getOrThrow(yield* plane.inspect("a"))
    const run = Option.getOrThrow(health.run)
    assert.deepStrictEqual([health.live, health.state, run.attempt, run.startedAt, run.lastProgressAt], [
      true,
      "running",
      1,
      0,
      10_000
    ])
  }))
