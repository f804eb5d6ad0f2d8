import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Input from "../../src/schema/Input.js"
import type { Run } from "../../src/services/Executor.js"
import {
  accepted,
  advance,
  headOf,
  latch,
  type Plane,
  type Process,
  settle,
  test,
  testEach,
  textOf,
  untilPhase
} from "../engine/support.js"

/** Its runs of `work` wait for the gate; others answer what they were sent. */
const working = ({ plane }: Process) =>
  Effect.gen(function*() {
    const gate = yield* latch
    const ended: Array<string> = []
    yield* plane.register("a", {
      apply: (run: Run) =>
        Effect.gen(function*() {
          if (textOf(run) !== "work") return { append: [`did ${textOf(run)}`], result: textOf(run) }
          yield* run.checkpoint({ append: ["at work"] })
          yield* Effect.onInterrupt(gate.wait, () => Effect.sync(() => ended.push("interrupted")))
          return { append: ["worked"], result: "worked" }
        })
    })
    return { gate, ended }
  })

/** A runtime with an open run, and two inputs behind it. */
const busy = (plane: Plane, runtimeId: string) =>
  Effect.gen(function*() {
    const work = yield* accepted(plane, runtimeId, Input.prompt("work"))
    yield* untilPhase(plane, runtimeId, work, "staged")
    const next = yield* accepted(plane, runtimeId, Input.prompt("next"))
    const last = yield* accepted(plane, runtimeId, Input.prompt("last"))
    yield* settle
    return { work, next, last }
  })

/** A runtime with three inputs and no run. */
const waiting = (plane: Plane, runtimeId: string) =>
  Effect.zipRight(
    plane.pause({ agent: "a" }),
    Effect.all([1, 2, 3].map((i) => accepted(plane, runtimeId, Input.prompt(`${i}`))))
  )

const phase = (plane: Plane, runtimeId: string, inputId: string) =>
  Effect.map(headOf(plane, runtimeId, inputId), ({ phase }) => phase)

const howItEnds = (plane: Plane, runtimeId: string, inputId: string) =>
  Effect.map(Effect.either(plane.await(runtimeId, inputId)), (either) =>
    Either.isRight(either)
      ? Option.getOrNull(either.right.result)
      : either.left._tag === "Dropped"
      ? `Dropped: ${either.left.reason}`
      : either.left._tag)

const refusal = (plane: Plane, runtimeId: string) =>
  Effect.map(Effect.flip(plane.ingest(runtimeId, Input.prompt("new"))), ({ _tag }) => _tag)

const length = (plane: Plane, runtimeId: string) =>
  Effect.map(
    plane.inspect(runtimeId),
    (found) => Option.match(Option.getOrThrow(found).session, { onNone: () => 0, onSome: ({ length }) => length })
  )

describe("while a run is open", () => {
  testEach(
    "pause: the run goes on, no other starts, inputs are taken, the session is kept",
    (world) =>
      Effect.gen(function*() {
        const process = yield* world.open()
        const { plane } = process
        const { gate } = yield* working(process)
        const { last, next, work } = yield* busy(plane, "a/x")
        yield* plane.pause({ runtimeId: "a/x" })
        yield* accepted(plane, "a/x", Input.prompt("new"))
        yield* gate.open
        assert.strictEqual(yield* howItEnds(plane, "a/x", work), "worked")
        yield* settle
        assert.strictEqual(yield* phase(plane, "a/x", next), "queued")
        assert.strictEqual(Option.getOrThrow(yield* plane.inspect("a/x")).paused, true)
        yield* plane.unpause({ runtimeId: "a/x" })
        assert.strictEqual(yield* howItEnds(plane, "a/x", next), "next")
        assert.strictEqual(yield* howItEnds(plane, "a/x", last), "last")
      })
  )

  testEach(
    "stop: the run is cancelled, the queue is kept, inputs are refused until resume",
    (world) =>
      Effect.gen(function*() {
        const process = yield* world.open()
        const { plane } = process
        const { ended } = yield* working(process)
        const { last, next, work } = yield* busy(plane, "a/x")
        const report = yield* plane.stop("a/x")
        assert.deepStrictEqual(report, { inputsAbandoned: 1 })
        assert.strictEqual(yield* howItEnds(plane, "a/x", work), "Cancelled")
        yield* settle
        assert.deepStrictEqual(ended, ["interrupted"])
        assert.strictEqual(yield* phase(plane, "a/x", next), "queued")
        assert.strictEqual(yield* refusal(plane, "a/x"), "NotReady")
        // What the run had committed is kept.
        assert.strictEqual(yield* length(plane, "a/x"), 2)
        assert.deepStrictEqual(yield* plane.runtimeState("a/x"), Option.some("stopped" as const))
        yield* plane.resume("a/x")
        assert.strictEqual(yield* howItEnds(plane, "a/x", next), "next")
        assert.strictEqual(yield* howItEnds(plane, "a/x", last), "last")
      })
  )

  testEach("retire: the run finishes, the queue is drained, inputs are refused", (world) =>
    Effect.gen(function*() {
      const process = yield* world.open()
      const { plane } = process
      const { gate } = yield* working(process)
      const { last, next, work } = yield* busy(plane, "a/x")
      const report = yield* plane.retire("a/x")
      assert.deepStrictEqual(report, { inputsAbandoned: 0, inputsPendingDrain: 3, inputsRiding: 0 })
      assert.strictEqual(yield* refusal(plane, "a/x"), "NotReady")
      yield* gate.open
      assert.strictEqual(yield* howItEnds(plane, "a/x", work), "worked")
      assert.strictEqual(yield* howItEnds(plane, "a/x", next), "next")
      assert.strictEqual(yield* howItEnds(plane, "a/x", last), "last")
      assert.deepStrictEqual(yield* plane.runtimeState("a/x"), Option.some("retired" as const))
      assert.strictEqual(yield* refusal(plane, "a/x"), "NotReady")
      yield* plane.reset("a/x")
      yield* plane.submit("a/x", Input.prompt("again"))
    }))

  testEach(
    "reset, recycle, rewrite and clearSession are refused, and change nothing",
    (world) =>
      Effect.gen(function*() {
        const process = yield* world.open()
        const { plane } = process
        const { gate } = yield* working(process)
        const { last, work } = yield* busy(plane, "a/x")
        const draft = { selection: { start: 0, end: 1 }, reason: "test", replacement: [] }
        for (
          const command of [
            plane.reset("a/x"),
            plane.recycle("a/x"),
            plane.rewrite("a/x", draft),
            plane.clearSession("a/x")
          ]
        ) {
          const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(command)
          assert.strictEqual(error._tag, "RunInProgress")
        }
        yield* gate.open
        assert.strictEqual(yield* howItEnds(plane, "a/x", work), "worked")
        assert.strictEqual(yield* howItEnds(plane, "a/x", last), "last")
      })
  )

  testEach(
    "destroy: the run is cancelled, the queue abandoned, inputs are refused for ever",
    (world) =>
      Effect.gen(function*() {
        const process = yield* world.open()
        const { plane } = process
        const { ended } = yield* working(process)
        const { last, next, work } = yield* busy(plane, "a/x")
        assert.deepStrictEqual(yield* plane.destroy("a/x"), { inputsAbandoned: 3 })
        assert.strictEqual(yield* howItEnds(plane, "a/x", next), "Dropped: destroyed")
        assert.strictEqual(yield* howItEnds(plane, "a/x", last), "Dropped: destroyed")
        assert.include(["Cancelled", "Dropped: destroyed"], yield* howItEnds(plane, "a/x", work))
        yield* settle
        assert.deepStrictEqual(ended, ["interrupted"])
        assert.strictEqual(yield* refusal(plane, "a/x"), "Destroyed")
        assert.strictEqual(yield* length(plane, "a/x"), 2)
        assert.strictEqual((yield* Effect.flip(plane.resume("a/x")))._tag, "Destroyed")
        yield* process.close
        const { plane: again } = yield* world.open()
        assert.strictEqual(yield* refusal(again, "a/x"), "Destroyed")
      })
  )

  testEach("recover and takeOver: the run is lost, its batch is tried again", (world) =>
    Effect.gen(function*() {
      const process = yield* world.open()
      const { plane } = process
      const { ended, gate } = yield* working(process)
      const { last, work } = yield* busy(plane, "a/x")
      for (const command of [plane.recover, plane.takeOver]) {
        const report = yield* command("a/x")
        assert.isTrue(report.lostRun)
        assert.strictEqual(report.active, 3)
        yield* untilPhase(plane, "a/x", work, "staged")
        yield* settle
      }
      assert.deepStrictEqual(ended, ["interrupted", "interrupted"])
      assert.strictEqual((yield* headOf(plane, "a/x", work)).attempt, 3)
      yield* gate.open
      assert.strictEqual(yield* howItEnds(plane, "a/x", work), "worked")
      assert.strictEqual(yield* howItEnds(plane, "a/x", last), "last")
    }))

  testEach(
    "hold and release are about what waits: what the run has is UnknownInput",
    (world) =>
      Effect.gen(function*() {
        const process = yield* world.open()
        const { plane } = process
        const { gate } = yield* working(process)
        const { last, next, work } = yield* busy(plane, "a/x")
        const staged = yield* Effect.flip(plane.hold("a/x", work))
        assert.strictEqual(staged._tag === "UnknownInput" && staged.phase, "staged")
        yield* plane.hold("a/x", next)
        yield* gate.open
        assert.strictEqual(yield* howItEnds(plane, "a/x", last), "last")
        assert.strictEqual(yield* phase(plane, "a/x", next), "held")
        yield* plane.release("a/x", next)
        assert.strictEqual(yield* howItEnds(plane, "a/x", next), "next")
        const over = yield* Effect.flip(plane.release("a/x", next))
        assert.strictEqual(over._tag, "UnknownInput")
      })
  )
})

describe("while no run is open", () => {
  const cases = [
    { command: "stop", report: { inputsAbandoned: 0 }, ends: ["1", "2", "3"], back: "resume" },
    { command: "reset", report: { inputsAbandoned: 3 }, ends: Array(3).fill("Dropped: reset"), back: undefined },
    { command: "recycle", report: { inputsTransferred: 3 }, ends: ["1", "2", "3"], back: undefined },
    {
      command: "retire",
      report: { inputsAbandoned: 0, inputsPendingDrain: 3, inputsRiding: 0 },
      ends: ["1", "2", "3"],
      back: undefined
    },
    { command: "destroy", report: { inputsAbandoned: 3 }, ends: Array(3).fill("Dropped: destroyed"), back: undefined }
  ] as const
  for (const { back, command, ends, report } of cases) {
    testEach(
      `${command} of three that wait: no run starts once the agent is paused`,
      (world) =>
        Effect.gen(function*() {
          const process = yield* world.open()
          const { plane } = process
          yield* working(process)
          yield* plane.submit("a/x", Input.prompt("first"))
          const inputs = yield* waiting(plane, "a/x")
          const answer: Effect.Effect<unknown, unknown> = plane[command]("a/x")
          assert.deepStrictEqual(yield* answer, report)
          if (back !== undefined) yield* plane[back]("a/x")
          yield* plane.unpause({ agent: "a" })
          const ended = yield* Effect.forEach(inputs, (inputId) => howItEnds(plane, "a/x", inputId))
          assert.deepStrictEqual(ended, [...ends])
          assert.isAtLeast(yield* length(plane, "a/x"), 2)
        })
    )
  }

  testEach(
    "rewrite and clearSession change the transcript, and the next run sees it",
    (world) =>
      Effect.gen(function*() {
        const process = yield* world.open()
        const { plane } = process
        yield* working(process)
        yield* plane.submit("a/x", Input.prompt("one"))
        const head = yield* plane.rewrite("a/x", {
          selection: { start: 0, end: 2 },
          reason: "compaction",
          actor: "ana",
          replacement: ["in short"]
        })
        assert.strictEqual(head.length, 1)
        const outside = yield* Effect.flip(
          plane.rewrite("a/x", { selection: { start: 0, end: 9 }, reason: "compaction", replacement: [] })
        )
        assert.strictEqual(outside._tag, "InvalidInput")
        assert.deepStrictEqual((yield* plane.transcript("a/x")).messages, ["in short"])
        yield* plane.submit("a/x", Input.prompt("two"))
        assert.strictEqual(yield* length(plane, "a/x"), 3)
        yield* plane.clearSession("a/x")
        assert.strictEqual(yield* length(plane, "a/x"), 0)
        yield* plane.submit("a/x", Input.prompt("three"))
        assert.strictEqual(yield* length(plane, "a/x"), 2)
      })
  )

  testEach("cancel and interrupt answer that there was nothing", (world) =>
    Effect.gen(function*() {
      const process = yield* world.open()
      const { plane } = process
      yield* working(process)
      yield* plane.submit("a/x", Input.prompt("one"))
      assert.deepStrictEqual(yield* plane.cancel("a/x", { reason: "enough" }), { requeued: [], abandoned: [] })
      assert.isFalse(yield* plane.interrupt("a/x"))
    }))
})

describe("what an operator sees", () => {
  test("a run's last sign of life moves with heartbeats, progress and boundaries", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      const steps = yield* Effect.all([latch, latch, latch, latch])
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            yield* steps[0].wait
            yield* run.heartbeat
            yield* steps[1].wait
            yield* run.emit("soon")
            yield* steps[2].wait
            yield* run.checkpoint()
            yield* steps[3].wait
          })
      })
      yield* advance("1 second")
      const inputId = yield* accepted(plane, "a/x", Input.prompt("go"))
      yield* untilPhase(plane, "a/x", inputId, "staged")
      yield* settle
      const run = Effect.flatMap(
        plane.inspect("a/x"),
        (found) => Effect.map(Option.getOrThrow(found).run, (run) => run)
      )
      const first = yield* run
      assert.deepStrictEqual([first.attempt, first.startedAt, first.lastProgressAt], [1, 1_000, 1_000])
      for (let i = 0; i < 3; i++) {
        yield* advance("1 second")
        assert.strictEqual((yield* run).lastProgressAt, 1_000 + i * 1_000)
        yield* steps[i]!.open
        yield* settle
        assert.strictEqual((yield* run).lastProgressAt, 2_000 + i * 1_000)
      }
      const health = Option.getOrThrow(yield* plane.inspect("a/x"))
      assert.deepStrictEqual([health.live, health.agent, health.state], [true, "a", "running"])
      yield* steps[3].open
      yield* plane.await("a/x", inputId)
      yield* settle
      const after = Option.getOrThrow(yield* plane.inspect("a/x"))
      assert.deepStrictEqual(after.run, Option.none())
      assert.strictEqual(after.totals.consumed, 1)
      yield* advance("3 minutes", { steps: 3 })
      assert.isFalse(Option.getOrThrow(yield* plane.inspect("a/x")).live)
    }))

  testEach("runtimes and inputs, page by page", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      for (const i of [3, 1, 2, 5, 4]) yield* accepted(plane, `a/${i}`, Input.prompt("go"))
      const first = yield* plane.runtimes({ limit: 3 })
      assert.deepStrictEqual(first.map(({ runtimeId }) => String(runtimeId)), ["a/1", "a/2", "a/3"])
      const second = yield* plane.runtimes({ limit: 3, after: first[2]!.runtimeId })
      assert.deepStrictEqual(second.map(({ runtimeId }) => String(runtimeId)), ["a/4", "a/5"])
      const ids = yield* Effect.forEach([1, 2, 3, 4], (i) => accepted(plane, "a/1", Input.prompt(`${i}`)))
      const page = (yield* plane.inputs("a/1", { limit: 3 })).map(Either.getOrThrow)
      const rest = (yield* plane.inputs("a/1", { after: page[2]!.head.sequence })).map(Either.getOrThrow)
      assert.deepStrictEqual([...page, ...rest].map(({ head }) => head.id).slice(1), ids)
      yield* plane.cancel("a/1", { inputId: ids[0]!, reason: "enough" })
      assert.strictEqual((yield* plane.inputs("a/1", { only: "active" })).length, 4)
    }))
})
