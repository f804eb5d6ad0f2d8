import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { operationKey } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import { operationOf, type Watched } from "../../src/services/Agents.js"
import type { Executor, Run } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { accepted, advance, headOf, testEach, until, untilPhase } from "../engine/support.js"
import { agentsOf, asking, toldUntil, waiting } from "./support.js"

const approval = { question: "approval", key: "o-1" }

describe("questions", () => {
  testEach(
    "are what is asked and waits for an answer, in the order in which those who ask were admitted",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        assert.deepStrictEqual(yield* agents.questions("a/x"), [])
        const driver = yield* process.drivers.get("a/x")
        const first = yield* accepted(process.plane, "a/x", Input.prompt("first"))
        yield* process.plane.hold("a/x", first)
        yield* waiting(process, "a/x", [Input.prompt("second")], [
          { ...approval, ask: { cents: 1 }, until: 60_000 },
          { question: "name", key: "a/b", ask: null }
        ])
        // Asked later, by one that was there before.
        yield* process.plane.release("a/x", first)
        const { runId } = yield* F.stageOf(driver, ["first"])
        yield* TestClock.adjust(5)
        yield* driver.note({ runId, ...asking([{ question: "name", key: "1", ask: ["who?"] }], 5) })
        const open1 = [
          { question: "name", key: "1", ask: ["who?"], askedAt: 5, expiresAt: null },
          { ...approval, ask: { cents: 1 }, askedAt: 0, expiresAt: 60_000 },
          { question: "name", key: "a/b", ask: null, askedAt: 0, expiresAt: null }
        ]
        assert.deepStrictEqual(yield* agents.questions("a/x"), open1)
        yield* close
        const again = yield* agentsOf(yield* open())
        assert.deepStrictEqual(yield* again.questions("a/x"), open1)
        assert.deepStrictEqual(yield* again.questions("a/y"), [])
      })
  )

  testEach("are one when several inputs or batches wait for the same", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* waiting(process, "a/x", [F.flow("1"), F.flow("2")], [{ ...approval, ask: 1 }])
      const driver = yield* process.drivers.get("a/x")
      const { runId } = yield* F.running(driver)
      yield* driver.note({ runId, awaits: asking([approval]).awaits })
      assert.deepStrictEqual(yield* agents.questions("a/x"), [{ ...approval, ask: 1, askedAt: 0, expiresAt: null }])
    }))

  testEach(
    "are no other operations, and end with the answer, with the deadline and with those who ask",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const keys = Effect.map(agents.questions("a/x"), (open) => open.map(({ key }) => key))
        const driver = yield* process.drivers.get("a/x")
        const { runId } = yield* F.running(driver, "works")
        yield* driver.note({
          runId,
          awaits: ["job", "job/1", "odd/1", "odd/2"].map((operationId) => ({ operationId, until: null })),
          // Under the name of a question, and not one.
          notes: [{ scope: "question/odd", key: "1", value: "not so" }]
        })
        assert.deepStrictEqual(yield* keys, [])
        yield* driver.hold({ runId, reason: "question", awaits: ["job/1"] })
        const [asker = ""] = yield* waiting(process, "a/x", [Input.prompt("asks")], [
          { ...approval, key: "answered" },
          { ...approval, key: "expires", until: 1_000 },
          { ...approval, key: "stays" }
        ])
        assert.deepStrictEqual(yield* keys, ["answered", "expires", "stays"])
        yield* agents.answer("a/x", { ...approval, key: "answered", answer: true })
        assert.deepStrictEqual(yield* keys, ["expires", "stays"])
        yield* TestClock.adjust(999)
        assert.deepStrictEqual(yield* keys, ["expires", "stays"])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* keys, ["stays"])
        yield* process.plane.cancel("a/x", { inputId: asker, reason: "" })
        assert.deepStrictEqual(yield* keys, [])
      })
  )
})

describe("answer", () => {
  testEach(
    "ends the question, and those who asked go on; again it is the same answer",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        const [asker = ""] = yield* waiting(process, "a/x", [Input.prompt("asks")], [approval])
        const yes = { ...approval, answer: { approved: true } }
        const first = yield* agents.answer("a/x", yes)
        assert.isFalse(first.duplicate)
        const stored = Option.getOrThrow(yield* process.plane.input("a/x", first.inputId))
        assert.strictEqual(stored.head.sequence, first.sequence)
        assert.strictEqual(stored.head.key, operationKey("approval/o-1"))
        assert.strictEqual((yield* headOf(process.plane, "a/x", asker)).phase, "queued")
        const driver = yield* process.drivers.get("a/x")
        assert.deepStrictEqual(
          yield* driver.operationEnd("approval/o-1"),
          Option.some({
            _tag: "completed",
            result: { approved: true }
          })
        )
        assert.deepStrictEqual(yield* agents.answer("a/x", yes), { ...first, duplicate: true })
        // Also when nobody waits any more, and in another process.
        yield* driver.complete({ runId: (yield* F.stageOf(driver, ["asks"])).runId })
        yield* close
        const again = yield* agentsOf(yield* open())
        assert.deepStrictEqual(yield* again.answer("a/x", yes), { ...first, duplicate: true })
      })
  )

  testEach("is a conflict when somebody has answered otherwise", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* waiting(process, "a/x", [Input.prompt("asks")], [approval, { ...approval, key: "o-2" }])
      const { inputId } = yield* agents.answer("a/x", { ...approval, answer: "yes" })
      const conflict = yield* Effect.flip(agents.answer("a/x", { ...approval, answer: "no" }))
      assert.deepInclude(conflict, { _tag: "IdempotencyConflict", key: "o-1", inputId })
      // Its work was given up for another reason than time: that is an end like another.
      yield* process.plane.endOperation("a/x", operationOf("approval", "o-2"), { _tag: "failed", error: "no" })
      const other = yield* Effect.flip(agents.answer("a/x", { ...approval, key: "o-2", answer: "no" }))
      assert.strictEqual(other._tag, "IdempotencyConflict")
    }))

  testEach("finds no question that was never asked, and ends no other operation", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      const unknown = (runtimeId: string, question: string, key: string) =>
        Effect.map(Effect.flip(agents.answer(runtimeId, { question, key, answer: 1 })), (error) =>
          assert.deepInclude(error, { _tag: "UnknownQuestion", runtimeId, question, key }))
      yield* unknown("a/nobody", "approval", "o-1")
      assert.deepStrictEqual(yield* process.plane.runtimeState("a/nobody"), Option.none())
      const asker = yield* accepted(process.plane, "a/x", Input.prompt("hello"))
      yield* unknown("a/x", "approval", "o-1")
      const driver = yield* process.drivers.get("a/x")
      const { runId } = yield* F.stage(driver)
      yield* driver.note({
        runId,
        awaits: [{ operationId: "job/1", until: null }, { operationId: "job/1/2", until: null }],
        notes: asking([{ question: "job", key: "1/2" }]).notes
      })
      yield* unknown("a/x", "job", "1")
      // The name of a question has no slash: this would be the key of another one.
      yield* unknown("a/x", "job/1", "2")
      yield* unknown("a/x", "", "")
      assert.deepStrictEqual(
        (yield* agents.questions("a/x")).map(({ key }) =>
          key
        ),
        ["1/2"]
      )
      assert.strictEqual((yield* headOf(process.plane, "a/x", asker)).awaits.length, 2)
    }))

  testEach(
    "comes too late when the question has expired, or who asked it has ended",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        const late = (agents: Effect.Effect.Success<ReturnType<typeof agentsOf>>, key: string) =>
          Effect.map(
            Effect.flip(agents.answer("a/x", { ...approval, key, answer: 1 })),
            (error) => assert.deepInclude(error, { _tag: "UnknownQuestion", ...approval, key })
          )
        const [asker = ""] = yield* waiting(process, "a/x", [Input.prompt("asks")], [
          { ...approval, key: "deadline", until: 1_000 },
          { ...approval, key: "given up" },
          { ...approval, key: "ended" }
        ])
        yield* TestClock.adjust(1_000)
        // Before anybody has said so.
        yield* late(agents, "deadline")
        for (const key of ["deadline", "given up"]) {
          yield* process.plane.endOperation("a/x", operationOf("approval", key), { _tag: "cancelled" })
          yield* late(agents, key)
        }
        yield* process.plane.cancel("a/x", { inputId: asker, reason: "" })
        for (const key of ["deadline", "given up", "ended"]) yield* late(agents, key)
        yield* close
        const again = yield* agentsOf(yield* open())
        for (const key of ["deadline", "given up", "ended"]) yield* late(again, key)
      })
  )

  testEach(
    "is taken by a runtime that is drained, and by none that is stopped or destroyed",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        yield* waiting(process, "a/x", [Input.prompt("asks")], [approval, { ...approval, key: "o-2" }])
        yield* process.plane.retire("a/x")
        assert.isFalse((yield* agents.answer("a/x", { ...approval, answer: 1 })).duplicate)
        yield* waiting(process, "a/y", [Input.prompt("asks")], [approval])
        yield* process.plane.stop("a/y")
        const stopped = yield* Effect.flip(agents.answer("a/y", { ...approval, answer: 1 }))
        assert.deepInclude(stopped, { _tag: "AgentClosed", state: "stopped" })
        yield* process.plane.resume("a/y")
        assert.isFalse((yield* agents.answer("a/y", { ...approval, answer: 1 })).duplicate)
        yield* process.plane.destroy("a/y")
        const destroyed = yield* Effect.flip(agents.answer("a/y", { ...approval, answer: 2 }))
        assert.strictEqual(destroyed._tag, "IdempotencyConflict")
        yield* waiting(process, "a/z", [Input.prompt("asks")], [approval])
        yield* process.plane.destroy("a/z")
        const gone = yield* Effect.flip(agents.answer("a/z", { ...approval, answer: 1 }))
        assert.deepInclude(gone, { _tag: "AgentClosed", state: "destroyed" })
      })
  )

  testEach("is refused when it is too large, or no JSON", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits: { inputBytesMax: 1_000 } })
      const agents = yield* agentsOf(process)
      yield* waiting(process, "a/x", [Input.prompt("asks")], [approval])
      const large = yield* Effect.flip(agents.answer("a/x", { ...approval, answer: "x".repeat(1_000) }))
      assert.strictEqual(large._tag, "InputTooLarge")
      const odd = yield* Effect.flip(agents.answer("a/x", { ...approval, answer: Number.NaN }))
      assert.strictEqual(odd._tag, "InvalidInput")
      assert.strictEqual((yield* agents.questions("a/x")).length, 1)
    }))
})

describe("a run that asks", () => {
  const ask = (run: Run, key: string, until?: number) =>
    run.operation(operationOf("approval", key), {
      ...(until !== undefined && { until }),
      delta: Effect.map(
        Clock.currentTimeMillis,
        (askedAt) => ({ notes: asking([{ ...approval, key }], askedAt).notes })
      )
    })

  const asks: Executor<unknown> = {
    apply: (run) =>
      Effect.gen(function*() {
        const first = yield* ask(run, "first")
        const second = yield* ask(run, "second", 60_000)
        return { result: [first, second] }
      })
  }

  testEach(
    "is answered in another process, and what is told of it is the same behind every cursor",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        yield* process.plane.register("a", asks)
        const { inputId } = yield* agents.send("a/x", Input.prompt("go"))
        yield* untilPhase(process.plane, "a/x", inputId, "held")
        assert.deepStrictEqual(yield* agents.questions("a/x"), [
          { ...approval, key: "first", ask: null, askedAt: 0, expiresAt: null }
        ])
        yield* close
        const next = yield* open()
        const later = yield* agentsOf(next)
        yield* next.plane.register("a", asks)
        yield* later.answer("a/x", { ...approval, key: "first", answer: "yes" })
        yield* until("the second is asked", Effect.map(later.questions("a/x"), ([open]) => open?.key === "second"))
        const waiter = yield* Effect.fork(later.await("a/x", inputId))
        yield* later.answer("a/x", { ...approval, key: "second", answer: "no" })
        const completed = (result: string) => ({ _tag: "completed", result })
        assert.deepStrictEqual(yield* Fiber.join(waiter), Option.some([completed("yes"), completed("no")]))
        assert.deepStrictEqual(yield* later.questions("a/x"), [])
        const isDone = (seen: Watched) => seen._tag === "Done"
        const told = yield* toldUntil(later, "a/x", isDone)
        assert.deepStrictEqual(
          told.flatMap((seen) =>
            seen._tag === "Asked" ? [seen.question.key] : seen._tag === "Answered" ? [seen.key] : []
          ),
          ["first", "first", "second", "second"]
        )
        for (const [i, seen] of told.slice(0, -1).entries()) {
          if (seen._tag === "Progress") continue
          assert.deepStrictEqual(yield* toldUntil(later, "a/x", isDone, { after: seen.cursor }), told.slice(i + 1))
        }
      })
  )

  testEach("goes on behind the deadline, and the answer comes too late", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* process.plane.register("a", asks)
      const { inputId } = yield* agents.send("a/x", Input.prompt("go"))
      yield* untilPhase(process.plane, "a/x", inputId, "held")
      yield* agents.answer("a/x", { ...approval, key: "first", answer: "yes" })
      yield* until("the second is asked", Effect.map(agents.questions("a/x"), ([open]) => open?.key === "second"))
      yield* untilPhase(process.plane, "a/x", inputId, "held")
      const waiter = yield* Effect.fork(agents.await("a/x", inputId))
      yield* advance("60 seconds")
      assert.deepStrictEqual(
        yield* Fiber.join(waiter),
        Option.some([{ _tag: "completed", result: "yes" }, { _tag: "cancelled" }])
      )
      const late = yield* Effect.flip(agents.answer("a/x", { ...approval, key: "second", answer: "yes" }))
      assert.strictEqual(late._tag, "UnknownQuestion")
      // What was answered in time stays answered.
      assert.isTrue((yield* agents.answer("a/x", { ...approval, key: "first", answer: "yes" })).duplicate)
    }))

  testEach("is ended by cancel while it waits", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* process.plane.register("a", asks)
      const { inputId } = yield* agents.send("a/x", Input.prompt("go"))
      yield* untilPhase(process.plane, "a/x", inputId, "held")
      const waiter = yield* Effect.fork(Effect.flip(agents.await("a/x", inputId)))
      yield* agents.cancel("a/x", { reason: "enough" })
      assert.deepInclude(yield* Fiber.join(waiter), { _tag: "Cancelled", reason: "enough" })
      const late = yield* Effect.flip(agents.answer("a/x", { ...approval, key: "first", answer: "yes" }))
      assert.strictEqual(late._tag, "UnknownQuestion")
    }))
})
