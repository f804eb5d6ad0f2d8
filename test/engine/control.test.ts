import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Input from "../../src/schema/Input.js"
import type { Executor } from "../../src/services/Executor.js"
import {
  accepted,
  advance,
  headOf,
  latch,
  settle,
  test,
  testEach,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

const gated = Effect.map(latch, (gate) => {
  const log: Array<string> = []
  const executor: Executor = {
    apply: (run) =>
      Effect.zipRight(Effect.sync(() => log.push(textOf(run))), textOf(run) === "slow" ? gate.wait : Effect.void).pipe(
        Effect.as({ result: textOf(run) }),
        Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted")))
      )
  }
  return { gate, log, executor }
})

describe("stop", () => {
  testEach(
    "cancels the open run, keeps what waits, refuses more, and goes on with resume",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const { executor, log } = yield* gated
        yield* plane.register("a", executor)
        const first = yield* accepted(plane, "a", Input.prompt("slow"))
        const second = yield* accepted(plane, "a", Input.prompt("next"))
        yield* untilTrue("it runs", () => log.length === 1)
        yield* plane.stop("a")
        yield* untilTrue("it is interrupted", () => log.length === 2)
        assert.strictEqual((yield* Effect.flip(plane.await("a", first)))._tag, "Cancelled")
        assert.strictEqual((yield* Effect.flip(plane.ingest("a", Input.prompt("more"))))._tag, "NotReady")
        yield* settle
        assert.deepStrictEqual(log, ["slow", "interrupted"])
        assert.deepStrictEqual(yield* plane.runtimeState("a"), Option.some("stopped"))
        yield* plane.resume("a")
        assert.deepStrictEqual((yield* plane.await("a", second)).result, Option.some("next"))
      })
  )

  testEach("lasts over a restart", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      const id = yield* accepted(first.plane, "a", Input.prompt("go"))
      yield* first.plane.stop("a")
      yield* first.close
      const second = yield* open()
      const { executor, log } = yield* gated
      yield* second.plane.register("a", executor)
      yield* settle
      assert.deepStrictEqual(log, [])
      yield* second.plane.resume("a")
      yield* second.plane.await("a", id)
    }))
})

describe("pause", () => {
  testEach(
    "of a runtime lets its run go on and starts no other, also over a restart, until unpause",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const { executor, gate, log } = yield* gated
        yield* process.plane.register("a", executor)
        const first = yield* accepted(process.plane, "a", Input.prompt("slow"))
        yield* untilTrue("it runs", () => log.length === 1)
        yield* process.plane.pause({ runtimeId: "a" })
        const second = yield* accepted(process.plane, "a", Input.prompt("next"))
        yield* gate.open
        yield* process.plane.await("a", first)
        yield* process.plane.submit("a/other", Input.prompt("other"))
        assert.deepStrictEqual(log, ["slow", "other"])
        yield* process.close
        const next = yield* open()
        yield* next.plane.register("a", executor)
        yield* settle
        assert.deepStrictEqual(log, ["slow", "other"])
        yield* next.plane.unpause({ runtimeId: "a" })
        yield* next.plane.await("a", second)
      })
  )

  testEach(
    "of an agent starts no run of any of its runtimes, also over a restart; others go on",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const { executor, gate, log } = yield* gated
        yield* process.plane.register("a", executor)
        yield* process.plane.register("b", { apply: () => Effect.succeed({ result: "b" }) })
        const first = yield* accepted(process.plane, "a/1", Input.prompt("slow"))
        yield* untilTrue("it runs", () => log.length === 1)
        yield* process.plane.pause({ agent: "a" })
        yield* process.plane.pause({ agent: "a" })
        const second = yield* accepted(process.plane, "a/1", Input.prompt("next"))
        const third = yield* accepted(process.plane, "a/2", Input.prompt("third"))
        yield* gate.open
        yield* process.plane.await("a/1", first)
        yield* process.plane.submit("b", Input.prompt("go"))
        yield* settle
        assert.deepStrictEqual(log, ["slow"])
        yield* process.close
        const next = yield* open()
        yield* next.plane.register("a", executor)
        yield* settle
        assert.deepStrictEqual(log, ["slow"])
        yield* next.plane.unpause({ agent: "a" })
        yield* next.plane.await("a/1", second)
        yield* next.plane.await("a/2", third)
        yield* next.close
        const last = yield* open()
        yield* last.plane.register("a", executor)
        yield* last.plane.submit("a/1", Input.prompt("last"))
      })
  )

  test("of a delayed input's agent past its time does not lose it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = yield* gated
      yield* plane.register("a", executor)
      const id = yield* accepted(plane, "a", Input.prompt("later", { deliverAt: 10_000 }))
      yield* settle
      yield* plane.pause({ agent: "a" })
      yield* advance("1 minute")
      assert.deepStrictEqual(log, [])
      yield* plane.unpause({ agent: "a" })
      yield* plane.await("a", id)
    }))
})

describe("retire", () => {
  testEach("refuses more, drains what there is, and lets the run finish", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, gate, log } = yield* gated
      yield* plane.register("a", executor)
      const first = yield* accepted(plane, "a", Input.prompt("slow"))
      const second = yield* accepted(plane, "a", Input.prompt("next"))
      yield* untilTrue("it runs", () => log.length === 1)
      yield* plane.retire("a")
      assert.strictEqual((yield* Effect.flip(plane.ingest("a", Input.prompt("more"))))._tag, "NotReady")
      yield* gate.open
      assert.deepStrictEqual((yield* plane.await("a", first)).result, Option.some("slow"))
      assert.deepStrictEqual((yield* plane.await("a", second)).result, Option.some("next"))
      assert.deepStrictEqual(yield* plane.runtimeState("a"), Option.some("retired"))
    }))
})

describe("reset and recycle", () => {
  testEach("are refused while a run is open, and change nothing then", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, gate, log } = yield* gated
      yield* plane.register("a", executor)
      const first = yield* accepted(plane, "a", Input.prompt("slow"))
      const second = yield* accepted(plane, "a", Input.prompt("next"))
      yield* untilTrue("it runs", () => log.length === 1)
      assert.strictEqual((yield* Effect.flip(plane.reset("a")))._tag, "RunInProgress")
      assert.strictEqual((yield* Effect.flip(plane.recycle("a")))._tag, "RunInProgress")
      yield* gate.open
      yield* plane.await("a", first)
      yield* plane.await("a", second)
    }))

  testEach("drop what waits, or keep it and go on", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = yield* gated
      yield* plane.register("a", executor)
      yield* plane.pause({ agent: "a" })
      const dropped = yield* accepted(plane, "a", Input.prompt("dropped"))
      yield* plane.reset("a")
      const kept = yield* accepted(plane, "a", Input.prompt("kept"))
      assert.deepStrictEqual(yield* plane.recycle("a"), { inputsTransferred: 1 })
      yield* plane.unpause({ agent: "a" })
      yield* plane.await("a", kept)
      assert.deepStrictEqual(log, ["kept"])
      assert.strictEqual((yield* Effect.flip(plane.await("a", dropped)))._tag, "Dropped")
    }))
})

describe("destroy", () => {
  testEach("cancels the run, drops what waits, and is for ever", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = yield* gated
      yield* plane.register("a", executor)
      const first = yield* accepted(plane, "a", Input.prompt("slow"))
      const second = yield* accepted(plane, "a", Input.prompt("next"))
      yield* untilTrue("it runs", () => log.length === 1)
      yield* plane.destroy("a")
      yield* untilTrue("it is interrupted", () => log.length === 2)
      assert.strictEqual((yield* Effect.flip(plane.await("a", first)))._tag, "Cancelled")
      assert.strictEqual((yield* Effect.flip(plane.await("a", second)))._tag, "Dropped")
      assert.strictEqual((yield* Effect.flip(plane.ingest("a", Input.prompt("more"))))._tag, "Destroyed")
    }))
})

describe("I9: takeOver", () => {
  test("after another owner has claimed: the run is interrupted, waiters are told, nothing is claimed back by itself", ({ open }) =>
    Effect.gen(function*() {
      const [one, other] = [yield* open(), yield* open()]
      const { executor, log } = yield* gated
      yield* one.plane.register("a", executor)
      const id = yield* accepted(one.plane, "a", Input.prompt("slow"))
      const second = yield* accepted(one.plane, "a", Input.prompt("next"))
      yield* untilTrue("it runs", () => log.length === 1)
      const waiting = yield* Effect.fork(Effect.flip(one.plane.await("a", second)))
      yield* settle
      // It opens, and thereby claims.
      yield* other.drivers.get("a")
      // The first owner learns of it with its next commit.
      assert.strictEqual((yield* Effect.flip(one.plane.ingest("a", Input.prompt("more"))))._tag, "OwnershipLost")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "OwnershipLost")
      yield* untilTrue("it is interrupted", () => log.length === 2)
      yield* advance("1 hour", { steps: 3 })
      assert.deepStrictEqual(log, ["slow", "interrupted"])
      // The other one works.
      yield* other.plane.register("a", { apply: (run) => Effect.succeed({ result: [textOf(run), run.attempt] }) })
      assert.deepStrictEqual((yield* other.plane.await("a", id)).result, Option.some(["slow", 2]))
      assert.deepStrictEqual((yield* other.plane.await("a", second)).result, Option.some(["next", 1]))
      // And back.
      yield* one.plane.takeOver("a")
      assert.deepStrictEqual((yield* one.plane.submit("a", Input.prompt("mine"))).result, Option.some("mine"))
      assert.strictEqual((yield* Effect.flip(other.plane.submit("a", Input.prompt("x"))))._tag, "OwnershipLost")
    }))
})

describe("park", () => {
  const parking = () => {
    const log: Array<string> = []
    const executor: Executor<unknown> = {
      apply: (run) =>
        Effect.gen(function*() {
          log.push(`${textOf(run)} ${run.attempt} ${Option.isSome(run.resume) ? "resumes" : "begins"}`)
          if (textOf(run) === "now" || Option.isSome(run.resume)) return { result: textOf(run) }
          yield* run.checkpoint({ append: ["so far"] })
          const until = Number(textOf(run))
          return yield* run.park(Number.isNaN(until) ? {} : { until })
        })
    }
    return { log, executor }
  }

  testEach(
    "holds the run's inputs, others run meanwhile, and release resumes behind the last boundary, uncharged",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const { executor, log } = parking()
        yield* plane.register("a", executor)
        const id = yield* accepted(plane, "a", Input.prompt("question"))
        yield* untilPhase(plane, "a", id, "held")
        assert.deepStrictEqual((yield* headOf(plane, "a", id)).hold, "question")
        assert.deepStrictEqual((yield* plane.submit("a", Input.prompt("now"))).result, Option.some("now"))
        yield* plane.release("a", id)
        assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some("question"))
        assert.deepStrictEqual(log, ["question 1 begins", "now 1 begins", "question 1 resumes"])
      })
  )

  testEach("with a deadline comes back by itself, also in the next process", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      const { executor, log } = parking()
      yield* first.plane.register("a", executor)
      const soon = yield* accepted(first.plane, "a", Input.prompt("60000"))
      const late = yield* accepted(first.plane, "a", Input.prompt("120000"))
      yield* untilPhase(first.plane, "a", late, "held")
      yield* advance("59 seconds")
      assert.strictEqual(log.length, 2)
      yield* advance("1 second")
      yield* first.plane.await("a", soon)
      yield* first.close
      const second = yield* open()
      yield* second.plane.register("a", executor)
      yield* advance("59 seconds")
      assert.strictEqual(log.length, 3)
      yield* advance("1 second")
      yield* second.plane.await("a", late)
    }))

  test("ends the fiber: nothing behind it is done", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const log: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            yield* Effect.catchAllCause(run.park(), () => Effect.sync(() => log.push("caught")))
            yield* Effect.sleep("1 second")
            log.push("works on")
          }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "held")
      yield* advance("10 seconds", { steps: 3 })
      assert.notInclude(log, "works on")
      assert.include(log, "interrupted")
    }))

  test("until a time that is none fails where it is asked", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: (run) => Effect.map(Effect.flip(run.park({ until: Number.NaN })), (error) => ({ result: error._tag }))
      })
      assert.deepStrictEqual((yield* plane.submit("a", Input.prompt("go"))).result, Option.some("InvalidInput"))
    }))

  testEach("is what an operator does with hold to an input that waits", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, log } = parking()
      yield* plane.pause({ agent: "a" })
      yield* plane.register("a", executor)
      const held = yield* accepted(plane, "a", Input.prompt("now"))
      const timed = yield* accepted(plane, "a", Input.prompt("now"))
      const free = yield* accepted(plane, "a", Input.prompt("now"))
      yield* plane.hold("a", held)
      yield* plane.hold("a", timed, { until: 5_000 })
      yield* plane.unpause({ agent: "a" })
      yield* plane.await("a", free)
      yield* settle
      assert.strictEqual(log.length, 1)
      yield* advance("5 seconds")
      yield* plane.await("a", timed)
      yield* plane.release("a", held)
      yield* plane.await("a", held)
      yield* until("three have run", Effect.sync(() => log.length === 3))
    }))
})

describe("endOperation", () => {
  testEach("is about runtimes that exist, and has what waits go on", ({ open }) =>
    Effect.gen(function*() {
      const { drivers, plane } = yield* open()
      const end = { _tag: "completed", result: { answer: "yes" } } as const
      assert.strictEqual((yield* Effect.flip(plane.endOperation("nobody", "ask", end)))._tag, "RuntimeNotFound")
      assert.deepStrictEqual(yield* plane.runtimeState("nobody"), Option.none())

      const inputId = yield* accepted(plane, "a", Input.prompt("go"))
      assert.strictEqual((yield* Effect.flip(plane.endOperation("a", "ask", end)))._tag, "UnknownOperation")
      const driver = yield* drivers.get("a")
      const staged = yield* driver.stage()
      const runId = staged._tag === "staged" ? staged.run.runId : assert.fail("nothing is staged")
      yield* driver.note({ runId, awaits: [{ operationId: "ask", until: null }] })
      yield* driver.hold({ runId, reason: "question", awaits: ["ask"] })
      const { executor } = yield* gated
      yield* plane.register("a", executor)
      yield* settle
      assert.strictEqual((yield* headOf(plane, "a", inputId)).phase, "held")
      assert.strictEqual((yield* plane.endOperation("a", "ask", end))._tag, "accepted")
      yield* plane.await("a", inputId)
      assert.strictEqual((yield* plane.endOperation("a", "ask", end))._tag, "deduplicated")
      const other = { _tag: "cancelled" } as const
      assert.strictEqual((yield* Effect.flip(plane.endOperation("a", "ask", other)))._tag, "IdempotencyConflict")
      assert.strictEqual((yield* Effect.flip(plane.endOperation("a", "", end)))._tag, "InvalidInput")
    }))
})
