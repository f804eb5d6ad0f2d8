import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Burrow from "../../src/layers/Burrow.js"
import { Engine } from "../../src/layers/engine/Engine.js"
import type { Gate } from "../../src/layers/engine/Gate.js"
import { ProgressHub } from "../../src/layers/engine/Progress.js"
import { RunId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import { makeFork } from "../../src/services/Batcher.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { DeltaError, Executor, Options, Run } from "../../src/services/Executor.js"
import * as Metrics from "../../src/services/Metrics.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  deadLetters,
  headOf,
  latch,
  type Plane,
  settle,
  test,
  testEach,
  testFaulty,
  textOf,
  textsOf,
  until,
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

describe("I13: what an agent's options answer", () => {
  test("a delay without end is none: the input is a dead letter, its run is closed, and who waits is told", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: (run) => textOf(run) === "bad" ? Effect.fail("no") : Effect.void }, {
        retry: Schedule.spaced(Duration.infinity)
      })
      const waiting = yield* Effect.fork(Effect.flip(plane.submit("a", Input.prompt("bad"))))
      yield* untilTrue("who waits is told", () => waiting.unsafePoll() !== null)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "DeadLettered")
      yield* plane.submit("a", Input.prompt("good"))
      assert.strictEqual((yield* deadLetters(plane)).length, 1)
    }))

  const once = (options: Options<string | DeltaError>) => (open: World["open"]) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: (run) => run.attempt === 1 ? Effect.fail("no") : Effect.succeed({ result: run.attempt })
      }, options)
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* until("it has failed", Effect.map(headOf(plane, "a", id), ({ failure }) => failure !== null))
      assert.strictEqual((yield* headOf(plane, "a", id)).readyAt, 1_000)
      yield* advance("1 second")
      assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some(2))
    })

  test("a schedule whose step throws leaves the standard delays", ({ open }) =>
    once({
      retry: Schedule.makeWithState(0, () => {
        throw new Error("no step")
      })
    })(open))

  test("an outage of no duration is none, and the attempt has failed", ({ open }) =>
    once({ outage: () => Option.some("soon" as "1 second") })(open))

  test("a decision about a lost run that throws holds it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: () => Effect.never }, {
        inDoubt: () => {
          throw new Error("no idea")
        }
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* plane.recover("a")
      yield* untilPhase(plane, "a", id, "held")
      assert.strictEqual((yield* headOf(plane, "a", id)).hold, "in_doubt")
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

describe("what an executor acquires", () => {
  const counted = () => {
    const count = { acquired: 0, released: 0 }
    const resource = Effect.acquireRelease(
      Effect.sync(() => count.acquired++),
      () => Effect.sync(() => count.released++)
    )
    return { count, resource }
  }

  test("is released with the attempt, however that ends, not with the registration", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { count, resource } = counted()
      yield* plane.register("a", {
        apply: (run): Effect.Effect<void, string, Scope.Scope> =>
          Effect.zipRight(resource, textOf(run) === "fails" ? Effect.fail("no") : Effect.void)
      }, { attemptsMax: 1 })
      for (const i of range(20)) {
        yield* Effect.exit(plane.submit("a", Input.prompt(i % 2 === 0 ? "works" : "fails")))
        yield* untilTrue("it is released", () => count.released === i + 1)
      }
      assert.strictEqual(count.acquired, 20)
    }))

  test("in deciding about a lost run is released with the attempt", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { count, resource } = counted()
      const executor: Executor<never, Scope.Scope> = {
        apply: (run) => run.attempt === 1 ? Effect.never : Effect.void
      }
      yield* plane.register("a", executor, { inDoubt: () => Effect.as(resource, "retry" as const) })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* plane.recover("a")
      yield* plane.await("a", id)
      assert.deepStrictEqual(count, { acquired: 1, released: 1 })
    }))

  test("in the alongside of a final boundary is released with the attempt", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { count, resource } = counted()
      yield* plane.register("a", { apply: () => Effect.succeed({ alongside: resource }) })
      for (const _ of range(3)) yield* plane.submit("a", Input.prompt("go"))
      yield* settle
      assert.deepStrictEqual(count, { acquired: 3, released: 3 })
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

describe("the functions of a run", () => {
  test("may be taken out of it, and handed on", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: ({ checkpoint, emit, history, note, notes, park, rewrite, transcript }) =>
          Effect.gen(function*() {
            yield* Effect.forEach([1, 2, 3], emit)
            yield* checkpoint({ append: ["one", "two"] })
            yield* note({ notes: [{ scope: "s", key: "k", value: 1 }] })
            yield* rewrite({ selection: { start: 1, end: 3 }, reason: "shorter", actor: "a", replacement: ["short"] })
            const { messages } = yield* transcript()
            const refused = yield* Effect.flip(park({ until: -1 }))
            return { result: [messages.length, (yield* history()).length, (yield* notes("s")).length, refused._tag] }
          })
      })
      const { result } = yield* plane.submit("a", Input.prompt("go"))
      assert.deepStrictEqual(result, Option.some([2, 2, 1, "InvalidInput"]))
    }))
})

describe("progress", () => {
  test("is told to whoever watches when it is told, not when the telling was made", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", {
        apply: (run) => {
          const tell = run.emit("x")
          return Effect.zipRight(tell, Effect.zipRight(gate.wait, Effect.repeatN(tell, 1)))
        }
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* settle
      const seen: Array<unknown> = []
      yield* Effect.forkScoped(Stream.runForEach(plane.watch("a"), (one) =>
        Effect.sync(() => {
          if (one._tag === "progress") seen.push(one.value)
        })))
      yield* settle
      yield* gate.open
      yield* plane.await("a", id)
      yield* untilTrue("both are seen", () => seen.length === 2)
      assert.deepStrictEqual(seen, ["x", "x"])
    }))

  test("that a watcher has not read goes with the oldest first", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: (run) => Effect.forEach(range(200), run.emit, { discard: true }) })
      const seen: Array<unknown> = []
      const gate = yield* latch
      yield* Effect.forkScoped(Stream.runForEach(plane.watch("a"), (one) =>
        Effect.zipRight(
          gate.wait,
          Effect.sync(() => {
            if (one._tag === "progress") seen.push(one.value)
          })
        )))
      yield* settle
      yield* plane.submit("a", Input.prompt("go"))
      yield* gate.open
      yield* untilTrue("the last is seen", () => seen.includes(199))
      assert.isBelow(seen.length, 200)
      assert.deepStrictEqual(seen.slice(-50), range(200).slice(-50))
    }))

  test("goes on, and its run with it, when a watcher goes away in the middle of it", () =>
    Effect.gen(function*() {
      const hub = new ProgressHub()
      const [a, run] = [yield* F.freshRuntimeId, RunId.make(yield* F.freshInputId)]
      const seen: Array<unknown> = []
      const watch = Stream.runForEach(hub.stream(a), ({ value }) => Effect.sync(() => void seen.push(value)))
      yield* Effect.replicateEffect(Effect.forkScoped(watch), 2)
      yield* settle
      // One is gone, and has not said so yet.
      const { readers } = hub as unknown as { readonly readers: Map<string, Set<Queue.Queue<unknown>>> }
      const [gone] = readers.get(a)!
      yield* Queue.shutdown(gone!)
      const telling = yield* Effect.exit(hub.emit(a, run, "x"))
      assert.isTrue(Exit.isSuccess(telling))
      yield* untilTrue("the other one sees it", () => seen.length === 1)
    }))
})

describe("silenceMax", () => {
  const parent = (plane: Plane): Executor<unknown> => ({
    apply: (run) =>
      Effect.gen(function*() {
        yield* plane.submit("child", Input.prompt("go"))
        yield* Effect.sleep(textOf(run) === "silent" ? "10 seconds" : "900 millis")
        return { result: run.attempt }
      })
  })

  test("does not count the time that a run waits for another runtime, and counts again behind it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("child", { apply: () => Effect.sleep("10500 millis") })
      yield* plane.register("a", parent(plane), { silenceMax: "1 second", attemptsMax: 1 })
      const id = yield* accepted(plane, "a/1", Input.prompt("go"))
      yield* advance("12 seconds", { steps: 48 })
      assert.deepStrictEqual((yield* plane.await("a/1", id)).result, Option.some(1))
      const silent = yield* accepted(plane, "a/2", Input.prompt("silent"))
      yield* advance("13 seconds", { steps: 52 })
      const error = yield* Effect.flip(plane.await("a/2", silent))
      assert.strictEqual(error._tag === "DeadLettered" && error.error.tag, "RunSilent")
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

describe("park", () => {
  test("until a time that has come is InvalidInput, and the attempt has failed: it does not spin", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* advance("10 seconds")
      let attempts = 0
      yield* plane.register("a", {
        apply: (run) => {
          attempts++
          return run.park({ until: Number(textOf(run)) })
        }
      }, { attemptsMax: 1 })
      for (const [i, time] of ["10000", "9999", "1"].entries()) {
        const submitting = yield* Effect.fork(Effect.flip(plane.submit("a", Input.prompt(time))))
        yield* settle
        assert.strictEqual(attempts, i + 1)
        const error = yield* Fiber.join(submitting)
        assert.strictEqual(error._tag === "DeadLettered" && error.error.tag, "InvalidInput")
      }
    }))
})

describe("I13: a run of a last attempt that waits for another runtime", () => {
  const ending = (how: "its process is gone" | "it is recovered") =>
    test(`is not charged: when ${how} then, it is no dead letter`, ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        const { plane } = first
        const log: Array<string> = []
        const apply = (run: Run): Effect.Effect<{ readonly result: number }, unknown> =>
          Effect.suspend(() => {
            log.push(`${run.attempt}`)
            if (log.length <= 2) return Effect.never
            return log.length === 3
              ? Effect.as(plane.submit("leaf", Input.prompt("go")), { result: 0 })
              : Effect.succeed({ result: run.attempt })
          })
        yield* plane.register("leaf", { apply: () => Effect.never })
        yield* plane.register("a", { apply })
        const id = yield* accepted(plane, "a", Input.prompt("go"))
        for (const lost of [1, 2]) {
          yield* untilTrue(`attempt ${lost} has begun`, () => log.length === lost)
          yield* plane.recover("a")
        }
        yield* untilTrue("the last attempt has begun", () => log.length === 3)
        yield* until(
          "the leaf runs",
          Effect.map(plane.inspect("leaf"), (found) => Option.exists(found, ({ run }) => Option.isSome(run)))
        )
        assert.deepStrictEqual(log, ["1", "2", "3"])
        let after: Plane = plane
        if (how === "it is recovered") yield* plane.recover("a")
        else {
          // It opens, and thereby claims: what the first one has open is lost.
          after = (yield* open()).plane
          yield* after.register("a", { apply })
        }
        assert.deepStrictEqual((yield* after.await("a", id)).result, Option.some(3))
        assert.deepStrictEqual(yield* deadLetters(after), [])
      }))

  ending("it is recovered")
  ending("its process is gone")
})
