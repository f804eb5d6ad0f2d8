import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Burrow from "../../src/layers/Burrow.js"
import { Engine } from "../../src/layers/engine/Engine.js"
import type { Gate } from "../../src/layers/engine/Gate.js"
import * as Input from "../../src/schema/Input.js"
import { makeFork } from "../../src/services/Batcher.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { Executor } from "../../src/services/Executor.js"
import * as Metrics from "../../src/services/Metrics.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  deadLetters,
  headOf,
  latch,
  settle,
  test,
  testEach,
  testFaulty,
  textOf,
  textsOf,
  untilPhase,
  untilTrue,
  type World
} from "./support.js"

const range = (length: number) => Array.from({ length }, (_, i) => i)

const done: Executor = { apply: () => Effect.succeed({ result: 1 }) }

const outcomes = ["completed", "failed", "closed", "trouble", "lost", "given_back"]

/** How the attempts of an agent have ended, over all tests: so each has an agent of its own. */
const outcomesOf = (agent: string) =>
  Effect.map(
    Effect.forEach(outcomes, (outcome) =>
      Effect.map(
        Metric.value(Metric.tagged(Metric.tagged(Metrics.runs, "agent", agent), "outcome", outcome)),
        ({ count }) => range(count).map(() => outcome)
      )),
    (found) => found.flat()
  )

describe("a layer that was built where nothing can be interrupted", () => {
  it.scopedLive("closes all the same, with a run in progress", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Effect.uninterruptible(Layer.buildWithScope(Burrow.layerMemory, scope))
      const plane = Context.get(context, ControlPlane)
      yield* plane.register("a", { apply: () => Effect.never })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      const closing = yield* Effect.forkDaemon(Scope.close(scope, Exit.void))
      yield* untilTrue("it is closed", () => closing.unsafePoll() !== null)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(closing)))
    }))
})

describe("an outage", () => {
  test("is probed by one beside an older run that goes on, and is over for all with the first success", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const [older, probe] = [yield* latch, yield* latch]
      const begun: Array<string> = []
      let isDown = true
      yield* plane.register("a", {
        apply: (run): Effect.Effect<void, string> =>
          Effect.suspend(() => {
            if (textOf(run) === "older") return older.wait
            begun.push(textOf(run))
            return isDown ? Effect.fail("down") : probe.wait
          })
      }, { runsMax: 16, outage: () => Option.some("100 millis") })
      const first = yield* accepted(plane, "a/older", Input.prompt("older"))
      yield* untilPhase(plane, "a/older", first, "staged")
      const ids = yield* Effect.forEach(range(5), (i) => accepted(plane, `a/${i}`, Input.prompt(`${i}`)))
      yield* settle
      const failed = begun.length
      // The pause, and twice as long behind the probe that fails.
      yield* advance("100 millis")
      assert.strictEqual(begun.length, failed + 1)
      isDown = false
      yield* advance("199 millis")
      assert.strictEqual(begun.length, failed + 1)
      yield* advance("1 millis")
      yield* settle
      assert.strictEqual(begun.length, failed + 2, "one goes alone until it has succeeded")
      yield* probe.open
      yield* Effect.forEach(ids, (id, i) => plane.await(`a/${i}`, id), { concurrency: "unbounded" })
      assert.strictEqual((yield* headOf(plane, "a/older", first)).phase, "staged")
      assert.deepStrictEqual(yield* deadLetters(plane), [])
      yield* older.open
      yield* plane.await("a/older", first)
    }))
})

describe("I9, I14: who waits for an input of a runtime that another owner has", () => {
  test("is told at once, also when it comes after the loss, until the runtime is taken back", ({ open }) =>
    Effect.gen(function*() {
      const [one, other] = [yield* open(), yield* open()]
      yield* one.plane.register("a", { apply: (run) => Effect.succeed({ result: textOf(run) }) })
      const before = yield* one.plane.submit("a", Input.prompt("before"))
      yield* one.plane.pause({ agent: "a" })
      const id = yield* accepted(one.plane, "a", Input.prompt("go"))
      // It opens, and thereby claims.
      yield* other.drivers.get("a")
      assert.strictEqual((yield* Effect.flip(one.plane.ingest("a", Input.prompt("more"))))._tag, "OwnershipLost")
      for (const _ of range(2)) {
        const late = yield* Effect.fork(Effect.flip(one.plane.await("a", id)))
        yield* untilTrue("it is told", () => late.unsafePoll() !== null)
        assert.strictEqual((yield* Fiber.join(late))._tag, "OwnershipLost")
      }
      assert.deepStrictEqual(
        yield* one.plane.await("a", before.inputId),
        before,
        "what has ended is known all the same"
      )
      yield* one.plane.takeOver("a")
      const again = yield* Effect.fork(one.plane.await("a", id))
      yield* settle
      assert.isNull(again.unsafePoll())
      yield* one.plane.unpause({ agent: "a" })
      assert.deepStrictEqual((yield* Fiber.join(again)).result, Option.some("go"))
    }))
})

describe("a peer's response", () => {
  test("that is steered is taken, and handed to the running run at its next checkpoint", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const handed: Array<string> = []
      const gate = yield* latch
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            yield* gate.wait
            handed.push(...textsOf(yield* run.checkpoint()))
          })
      })
      const first = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", first, "staged")
      const ids: Array<string> = []
      for (const draft of [F.progress("half"), F.terminal("whole")]) {
        const outcome = yield* plane.steer("a", draft)
        assert.strictEqual(outcome._tag, "accepted")
        if (outcome._tag === "accepted") ids.push(outcome.inputId)
      }
      yield* gate.open
      const { runId } = yield* plane.await("a", first)
      assert.sameMembers(handed, ["half", "whole"])
      for (const id of ids) assert.deepStrictEqual((yield* plane.await("a", id)).runId, runId)
    }))
})

describe("register", () => {
  for (
    const [agent, options, field] of [
      ["a", { runsMax: 0 }, "runsMax"],
      ["a", { runsMax: Number.NaN }, "runsMax"],
      ["a", { attemptsMax: 0 }, "attemptsMax"],
      ["a", { attemptsMax: 1.5 }, "attemptsMax"],
      ["a/b", {}, "agent"],
      ["", {}, "agent"]
    ] as const
  ) {
    test(`of ${JSON.stringify(agent)} with ${Object.entries(options).join()} is InvalidInput, named ${field}`, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const error = yield* Effect.flip(plane.register(agent, done, options))
        assert.strictEqual(error._tag === "InvalidInput" && error.field, field)
        // It is as if nobody had asked.
        yield* plane.register("a", done)
        yield* plane.submit("a", Input.prompt("go"))
      }))
  }

  testEach("after the plane has closed is StoreClosed", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      yield* process.close
      const asking = yield* Effect.fork(Effect.flip(process.plane.register("a", done)))
      yield* untilTrue("it is answered", () => asking.unsafePoll() !== null)
      const { _tag } = yield* Fiber.join(asking)
      assert.include(["StoreClosed", "ReadFailed"], _tag)
    }))
})

describe("I16: limits of what waits", () => {
  it.scopedLive("one more that waits than may is TooManyWaiters, and may wait when one has ended", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Burrow.layerMemoryWith({ limits: { waitersMax: 2 } }))
      const plane = Context.get(context, ControlPlane)
      const gate = yield* latch
      yield* plane.register("a", {
        apply: (run) => Effect.as(textOf(run) === "slow" ? gate.wait : Effect.void, { result: 1 })
      })
      const ids = yield* Effect.forEach(range(3), (i) => accepted(plane, `a/${i}`, Input.prompt("slow")))
      const waiting = yield* Effect.forEach([0, 1], (i) => Effect.fork(plane.await(`a/${i}`, ids[i]!)))
      yield* settle
      const refused = yield* Effect.flip(plane.await("a/2", ids[2]!))
      assert.deepStrictEqual([refused._tag, refused.retryable], ["TooManyWaiters", true])
      yield* Fiber.interrupt(waiting[0]!)
      const third = yield* Effect.fork(plane.await("a/2", ids[2]!))
      yield* settle
      assert.isNull(third.unsafePoll())
      assert.strictEqual((yield* Effect.flip(plane.submit("a/3", Input.prompt("fast"))))._tag, "TooManyWaiters")
      yield* gate.open
      yield* Fiber.join(waiting[1]!)
      yield* Fiber.join(third)
      yield* plane.submit("a/4", Input.prompt("fast"))
    }))

  const WAITING_MAX = 4
  const RUNS_MAX = 3

  /** An engine whose gate can be seen, with work for forty runtimes of an agent that is not registered yet. */
  const crowd = (open: World["open"], input: Input.Draft) =>
    Effect.gen(function*() {
      const { drivers, plane } = yield* open({ limits: { runtimesWaitingMax: WAITING_MAX } })
      const fork = yield* makeFork
      const engine = new Engine(drivers, fork, yield* Clock.currentTimeMillis)
      yield* drivers.listen((notice) => engine.noticed(notice))
      fork(engine.timer.run)
      const ran: Array<string> = []
      yield* engine.setPaused("a", true)
      yield* engine.register("a", { apply: (run) => Effect.sync(() => void ran.push(run.runtimeId)) }, {
        runsMax: RUNS_MAX
      })
      const { gate } = (engine as unknown as { readonly agents: Map<string, { readonly gate: Gate }> }).agents.get("a")!
      const seen = { max: 0 }
      const enqueue = gate.enqueue.bind(gate)
      gate.enqueue = (runtimeId) => {
        enqueue(runtimeId)
        seen.max = Math.max(seen.max, gate.waitingCount)
      }
      const ids = yield* Effect.forEach(
        range(40),
        (i) => Effect.map(accepted(plane, `a/${i}`, input), (id) => [`a/${i}`, id] as const)
      )
      yield* settle
      return { engine, ids, plane, ran, seen }
    })

  test("no more names stand in the gate of an agent than may, and all get done", ({ open }) =>
    Effect.gen(function*() {
      const { engine, ids, plane, ran, seen } = yield* crowd(open, Input.prompt("go"))
      assert.strictEqual(seen.max, WAITING_MAX)
      yield* engine.setPaused("a", false)
      yield* untilTrue("all have run", () => ran.length === 40)
      yield* Effect.forEach(ids, ([runtimeId, id]) => plane.await(runtimeId, id))
      // Who has had a turn looks once more.
      assert.isAtMost(seen.max, WAITING_MAX + RUNS_MAX)
      assert.strictEqual(new Set(ran).size, 40)
    }))

  test("nor when forty delayed inputs are due at one moment", ({ open }) =>
    Effect.gen(function*() {
      const { engine, ids, plane, ran, seen } = yield* crowd(open, Input.prompt("go", { deliverAt: 10_000 }))
      yield* engine.setPaused("a", false)
      yield* settle
      assert.strictEqual(ran.length, 0)
      seen.max = 0
      yield* advance("10 seconds")
      yield* untilTrue("all have run", () => ran.length === 40)
      yield* Effect.forEach(ids, ([runtimeId, id]) => plane.await(runtimeId, id))
      assert.isAtMost(seen.max, WAITING_MAX + RUNS_MAX)
      assert.isAbove(seen.max, 0)
    }))
})

describe("a listener of drivers that throws", () => {
  test("fails no command that is committed, and keeps nothing from those behind it", ({ open }) =>
    Effect.gen(function*() {
      const { drivers, plane } = yield* open()
      let told = 0
      yield* drivers.listen(() => {
        throw new Error("not listening")
      })
      yield* drivers.listen(() => void told++)
      yield* plane.register("a", done)
      assert.deepStrictEqual((yield* plane.submit("a", Input.prompt("go"))).result, Option.some(1))
      assert.isAbove(told, 0)
      yield* plane.stop("a")
      assert.deepStrictEqual(yield* plane.runtimeState("a"), Option.some("stopped"))
    }))
})

describe("a cancel in the final boundary", () => {
  const answered = ["requeued", "abandoned"]

  testEach(
    "that comes while its alongside is at work is answered, and the input ends once: consumed",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const agent = yield* F.freshRuntimeId
        const [begun, gate] = [yield* latch, yield* latch]
        yield* plane.register(agent, {
          apply: () => Effect.succeed({ result: 1, alongside: Effect.zipRight(begun.open, gate.wait) })
        })
        const id = yield* accepted(plane, agent, Input.prompt("go"))
        yield* begun.wait
        const cancelling = yield* Effect.fork(plane.cancel(agent, { reason: "no" }))
        yield* settle
        yield* gate.open
        yield* untilTrue("the cancel is answered", () => cancelling.unsafePoll() !== null)
        assert.hasAllKeys(yield* Fiber.join(cancelling), answered)
        assert.deepStrictEqual((yield* plane.await(agent, id)).result, Option.some(1))
        yield* settle
        assert.deepStrictEqual(yield* outcomesOf(agent), ["completed"])
      })
  )

  testFaulty(
    "that comes between two of its tries is answered, and the input ends once: cancelled",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        const agent = yield* F.freshRuntimeId
        const gate = yield* latch
        let joined = 0
        yield* plane.register(agent, {
          apply: () => Effect.as(gate.wait, { result: 1, alongside: Effect.sync(() => joined++) })
        })
        const id = yield* accepted(plane, agent, Input.prompt("go"))
        yield* untilPhase(plane, agent, id, "staged")
        faults.next("busy")
        yield* gate.open
        yield* settle
        assert.deepStrictEqual((yield* plane.cancel(agent, { reason: "no" })).abandoned, [id])
        yield* advance("5 seconds", { steps: 5 })
        assert.strictEqual((yield* Effect.flip(plane.await(agent, id)))._tag, "Cancelled")
        assert.strictEqual(joined, 0)
        assert.deepStrictEqual(yield* outcomesOf(agent), ["closed"])
      })
  )
})

describe("the courier", () => {
  testEach(
    "delivers to a stopped runtime soon after its resume, in order with what came behind",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const log: Array<string> = []
        yield* plane.register("b", { apply: (run) => Effect.sync(() => void log.push(textOf(run))) })
        yield* plane.submit("b", Input.prompt("0"))
        yield* plane.stop("b")
        yield* plane.register("a", {
          apply: (run) => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt(textOf(run)) }] })
        })
        yield* plane.submit("a", Input.prompt("1"))
        // By now it looks by itself at growing distances.
        yield* advance("3 minutes", { steps: 20 })
        yield* plane.submit("a", Input.prompt("2"))
        yield* settle
        yield* plane.resume("b")
        yield* advance("500 millis", { steps: 5 })
        yield* untilTrue("what had waited is there", () => log.length === 3)
        yield* plane.submit("a", Input.prompt("3"))
        yield* advance("100 millis")
        yield* untilTrue("all are there", () => log.length === 4)
        assert.deepStrictEqual(log, ["0", "1", "2", "3"])
      })
  )
})
