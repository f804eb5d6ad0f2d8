import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Input from "../../src/schema/Input.js"
import type { DeltaError, Executor, Failed } from "../../src/services/Executor.js"
import { accepted, advance, deadLetters, headOf, settle, test, testEach, textOf, until, untilPhase } from "./support.js"

class Boiled extends Data.TaggedError("Boiled")<{ readonly message: string }> {}

/** Fails every attempt, and keeps the times of them. */
const failing = <E>(failure: Effect.Effect<never, E>) => {
  const times: Array<number> = []
  const executor: Executor<E> = {
    apply: () => Effect.zipRight(Effect.map(Clock.currentTimeMillis, (now) => times.push(now)), failure)
  }
  return { executor, times }
}

const never = Schedule.spaced("1 hour")

const expectFailure = (
  name: string,
  failure: Effect.Effect<never, unknown>,
  expected: { readonly tag: string; readonly message: string }
) =>
  testEach(name, ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", failing(failure).executor, { retry: never })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* until(
        "it has failed",
        Effect.map(headOf(plane, "a", id), (head) => head.failure !== null)
      )
      const head = yield* headOf(plane, "a", id)
      assert.deepStrictEqual([head.phase, head.attempt, head.failure], ["queued", 1, expected])
    }))

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

describe("what an executor fails with is kept with its input", () => {
  expectFailure("a typed failure, by its tag and message", Effect.fail(new Boiled({ message: "over" })), {
    tag: "Boiled",
    message: "over"
  })
  expectFailure("a defect, by its name and message", Effect.die(new TypeError("no such pan")), {
    tag: "TypeError",
    message: "no such pan"
  })
  expectFailure(
    "a thrown error",
    Effect.sync(() => {
      throw new RangeError("too hot")
    }),
    { tag: "RangeError", message: "too hot" }
  )
  expectFailure("an interruption of its own making", Effect.interrupt, {
    tag: "Interrupted",
    message: "the executor interrupted itself"
  })
  expectFailure("a string", Effect.fail("burnt"), { tag: "string", message: "burnt" })
  expectFailure("nothing at all", Effect.fail(undefined), { tag: "undefined", message: "undefined" })
  expectFailure(
    "an object without a name",
    Effect.fail({ code: 7 }),
    { tag: "object", message: "{\"code\":7}" }
  )
  expectFailure("an object that cannot even be printed", Effect.fail(Object.create(null)), {
    tag: "object",
    message: "{}"
  })

  expectFailure("an error that has nothing but its tag to say", Effect.fail(new Down()), { tag: "Down", message: "" })
})

describe("I13: attempts", () => {
  test("are made exactly when the schedule says, and as many as the limit says", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, times } = failing(Effect.fail(new Boiled({ message: "over" })))
      yield* plane.register("a", executor, { retry: Schedule.exponential("1 second"), attemptsMax: 4 })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* settle
      assert.deepStrictEqual(times, [0])
      yield* advance(999)
      assert.deepStrictEqual(times, [0])
      yield* advance(1)
      assert.deepStrictEqual(times, [0, 1_000])
      yield* advance(1_999)
      assert.strictEqual(times.length, 2)
      yield* advance(1)
      yield* advance(3_999)
      assert.strictEqual(times.length, 3)
      yield* advance(1)
      assert.deepStrictEqual(times, [0, 1_000, 3_000, 7_000])
      yield* advance("1 hour", { steps: 4 })
      assert.strictEqual(times.length, 4)
      const [dead, ...others] = yield* deadLetters(plane)
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual([dead?.inputId, dead?.attempts, dead?.error, dead?.diedAt], [
        id,
        4,
        Option.some({ tag: "Boiled", message: "over" }),
        7_000
      ])
    }))

  test("are three, a second and two apart, when nothing is said", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, times } = failing(Effect.fail("no"))
      yield* plane.register("a", executor)
      yield* accepted(plane, "a", Input.prompt("go"))
      yield* advance("10 seconds", { steps: 10 })
      assert.deepStrictEqual(times, [0, 1_000, 3_000])
      assert.strictEqual((yield* deadLetters(plane)).length, 1)
    }))

  test("stop at once when the schedule, which sees the failure, is done with it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const seen: Array<Failed<Boiled | DeltaError>["_tag"]> = []
      yield* plane.register("a", failing(Effect.fail(new Boiled({ message: "for good" }))).executor, {
        retry: Schedule.spaced("1 second").pipe(
          Schedule.whileInput((failed: Failed<Boiled | DeltaError>) => {
            seen.push(failed._tag)
            return failed._tag === "Failed" && failed.error.message !== "for good"
          })
        )
      })
      const error = yield* Effect.flip(plane.submit("a", Input.prompt("go")))
      assert.strictEqual(error._tag, "DeadLettered")
      assert.deepStrictEqual(seen, ["Failed"])
      const [dead] = yield* deadLetters(plane)
      assert.strictEqual(dead?.attempts, 1)
    }))

  test("go on counting, and waiting, in the next process", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      const before = failing(Effect.fail("no"))
      yield* first.plane.register("a", before.executor)
      const id = yield* accepted(first.plane, "a", Input.prompt("go"))
      yield* advance("1 second")
      assert.deepStrictEqual(before.times, [0, 1_000])
      yield* first.close
      const second = yield* open()
      const after = failing(Effect.fail("no"))
      yield* second.plane.register("a", after.executor)
      yield* advance("1999 millis")
      assert.deepStrictEqual(after.times, [])
      yield* advance(1)
      assert.deepStrictEqual(after.times, [3_000])
      yield* untilPhase(second.plane, "a", id, "abandoned")
    }))

  test("that succeed in the end leave no trace of failure but their number", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: (run) => run.attempt < 3 ? Effect.fail("not yet") : Effect.succeed({ result: run.attempt })
      })
      const waiting = yield* Effect.fork(plane.submit("a", Input.prompt("go")))
      yield* advance("10 seconds", { steps: 10 })
      assert.deepStrictEqual((yield* Fiber.join(waiting)).result, Option.some(3))
      assert.deepStrictEqual(yield* deadLetters(plane), [])
    }))

  test("whose schedule dies, or whose outage does, are failures like others", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const boom = () => {
        throw new Error("the application's function")
      }
      yield* plane.register("schedule", failing(Effect.fail("no")).executor, {
        retry: Schedule.recurWhile(boom)
      })
      yield* plane.register("outage", failing(Effect.fail("no")).executor, { outage: boom })
      yield* accepted(plane, "schedule", Input.prompt("go"))
      yield* accepted(plane, "outage", Input.prompt("go"))
      yield* advance("1 minute", { steps: 30 })
      const dead = yield* deadLetters(plane)
      assert.deepStrictEqual(dead.map(({ agent, attempts }) => [agent, attempts]), [["outage", 3], ["schedule", 3]])
    }))
})

describe("I17: a poison input at the head of a lane", () => {
  const backlog = Array.from({ length: 5 }, (_, i) => `n${i}`)

  const poisoned = (onFailure: "pass" | "block") => {
    const order: Array<string> = []
    const executor: Executor<string> = {
      apply: (run) => {
        order.push(textOf(run))
        return textOf(run) === "poison" ? Effect.fail("yuck") : Effect.succeed({})
      }
    }
    return { order, executor, options: { onFailure } }
  }

  testEach("lets its backlog pass while it waits", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, options, order } = poisoned("pass")
      yield* plane.register("a", executor, options)
      yield* plane.pause({ agent: "a" })
      for (const text of ["poison", ...backlog]) yield* accepted(plane, "a", Input.prompt(text))
      yield* plane.unpause({ agent: "a" })
      yield* until("the backlog is consumed", Effect.sync(() => order.length === 6))
      assert.deepStrictEqual(order, ["poison", ...backlog])
      yield* advance("5 seconds", { steps: 5 })
      assert.deepStrictEqual(order.slice(6), ["poison", "poison"])
    }))

  testEach(
    "keeps its backlog behind it, when the agent says so, until it is dead",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const { executor, options, order } = poisoned("block")
        yield* plane.register("a", executor, options)
        for (const text of ["poison", ...backlog]) yield* accepted(plane, "a", Input.prompt(text))
        yield* advance("2 seconds", { steps: 2 })
        assert.deepStrictEqual(order, ["poison", "poison"])
        yield* advance("1 second")
        yield* until("the backlog is consumed", Effect.sync(() => order.length === 8))
        assert.deepStrictEqual(order.slice(2), ["poison", ...backlog])
      })
  )

  testEach(
    "is a dead letter with its error, and is redriven as one new input, however often",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        let isPoison = true
        yield* plane.register("a", {
          apply: (run) =>
            isPoison ? Effect.fail(new Boiled({ message: "over" })) : Effect.succeed({ result: textOf(run) })
        }, { attemptsMax: 1 })
        const id = yield* accepted(plane, "a", Input.prompt("poison", { idempotencyKey: "k" }))
        yield* untilPhase(plane, "a", id, "abandoned")
        const [dead] = yield* deadLetters(plane)
        assert.deepStrictEqual(dead?.error, Option.some({ tag: "Boiled", message: "over" }))
        assert.deepStrictEqual(dead?.redrivenAs, Option.none())
        isPoison = false
        const first = yield* plane.redrive("a", id)
        const second = yield* plane.redrive("a", id)
        assert.strictEqual(first._tag, "accepted")
        assert.strictEqual(second._tag, "deduplicated")
        if (first._tag !== "accepted" || second._tag !== "deduplicated") return
        assert.strictEqual(second.existing, first.inputId)
        assert.deepStrictEqual((yield* plane.await("a", first.inputId)).result, Option.some("poison"))
        const [still] = yield* deadLetters(plane)
        assert.deepStrictEqual([still?.inputId, still?.redrivenAs], [id, Option.some(first.inputId)])
        assert.strictEqual((yield* Effect.flip(plane.await("a", id)))._tag, "DeadLettered")
      })
  )
})

describe("limits of a run's time", () => {
  test("runMax ends an attempt that takes longer as a failed one", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      let interrupted = 0
      yield* plane.register("a", {
        apply: (run) =>
          run.attempt === 1
            ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
            : Effect.succeed({ result: "second" })
      }, { runMax: "1 minute" })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* advance("59 seconds")
      assert.strictEqual((yield* headOf(plane, "a", id)).phase, "staged")
      yield* advance("1 second")
      const head = yield* headOf(plane, "a", id)
      assert.deepStrictEqual([head.phase, head.failure, interrupted], [
        "queued",
        { tag: "RunTimedOut", message: "the run took longer than 60000 ms" },
        1
      ])
      yield* advance("1 second")
      assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some("second"))
    }))

  for (const sign of ["heartbeat", "emit", "checkpoint", "note", "nothing"] as const) {
    test(
      `silenceMax ends an attempt that is silent for longer; ${sign} is ${
        sign === "nothing" ? "none" : "a sign"
      } of life`,
      ({ open }) =>
        Effect.gen(function*() {
          const { plane } = yield* open()
          yield* plane.register("a", {
            apply: (run) => {
              const give = {
                heartbeat: run.heartbeat,
                emit: run.emit("hm"),
                checkpoint: run.checkpoint(),
                note: run.note({}),
                nothing: Effect.void
              }[sign]
              return Effect.as(Effect.repeatN(Effect.zipRight(Effect.sleep("20 seconds"), give), 4), { result: "done" })
            }
          }, { silenceMax: "30 seconds", attemptsMax: 1 })
          const waiting = yield* Effect.fork(Effect.either(plane.submit("a", Input.prompt("go"))))
          yield* advance("100 seconds", { steps: 20 })
          const ended = yield* Fiber.join(waiting)
          if (sign === "nothing") {
            assert.strictEqual(ended._tag, "Left")
            const [dead] = yield* deadLetters(plane)
            assert.deepStrictEqual(
              [Option.map(dead!.error, ({ tag }) => tag), dead!.diedAt],
              [Option.some("RunSilent"), Duration.toMillis("30 seconds")]
            )
          } else assert.deepStrictEqual(ended._tag === "Right" && ended.right.result, Option.some("done"))
        })
    )
  }
})
