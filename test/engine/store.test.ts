import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Content from "../../src/schema/Content.js"
import * as Input from "../../src/schema/Input.js"
import type { DeltaError, Executor } from "../../src/services/Executor.js"
import { accepted, advance, headOf, latch, settle, testFaulty, until, untilPhase, untilTrue } from "./support.js"

/** Two boundaries and a result. Counts its attempts. */
const counting = () => {
  const attempts: Array<number> = []
  const executor: Executor<DeltaError> = {
    apply: (run) =>
      Effect.gen(function*() {
        attempts.push(run.attempt)
        yield* run.checkpoint({ append: ["first"] })
        yield* run.note({ append: ["second"], notes: [{ scope: "s", key: `${run.runId}`, value: 1 }] })
        return { append: ["last"], result: run.attempt }
      })
  }
  return { attempts, executor }
}

const appended = ["user", "first", "second", "last"]

describe("I13: failures of the store cost no attempt", () => {
  for (const fate of ["fail", "busy", "die", "lost", "committed"] as const) {
    for (let nth = 0; nth < 5; nth++) {
      testFaulty(
        `a commit that ends as ${fate}, after ${nth} others, is made good: each boundary once`,
        ({ faults, plane }) =>
          Effect.gen(function*() {
            const { attempts, executor } = counting()
            yield* plane.register("a", executor)
            const id = yield* accepted(plane, "a", Input.prompt("go", { deliverAt: 1_000 }))
            yield* settle
            faults.next(...Array.from({ length: nth }, () => "write" as const), fate)
            const waiting = yield* Effect.fork(plane.await("a", id))
            yield* advance("1 minute", { steps: 12 })
            const done = yield* Fiber.join(waiting)
            // A defect of the store is not the store's passing trouble: the boundary that met it failed.
            if (fate !== "die") assert.deepStrictEqual(done.result, Option.some(1))
            if (fate !== "die") assert.deepStrictEqual([...new Set(attempts)], [1])
            if (fate === "die") return
            const { messages } = yield* plane.transcript("a")
            assert.strictEqual(messages.length, appended.length)
            assert.deepStrictEqual(messages.slice(1), appended.slice(1))
            assert.strictEqual((yield* headOf(plane, "a", id)).attempt, 1)
          })
      )
    }
  }

  testFaulty(
    "a store that fails for a minute holds the boundary up, and its run goes on behind it",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        const { attempts, executor } = counting()
        const gate = yield* latch
        yield* plane.register("a", { apply: (run) => Effect.zipRight(gate.wait, executor.apply(run)) })
        const id = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", id, "staged")
        faults.byCommit = () => "fail"
        yield* gate.open
        yield* advance("30 seconds", { steps: 30 })
        faults.byCommit = () => "write"
        yield* advance("5 seconds", { steps: 5 })
        assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some(1))
        assert.deepStrictEqual(attempts, [1])
      })
  )

  testFaulty(
    "a store that fails for an hour ends the attempt from outside, uncharged; no catch of the executor works on",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const gate = yield* latch
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              if (log.length > 0) return { result: run.attempt }
              yield* gate.wait
              yield* Effect.catchAllCause(run.checkpoint(), () => Effect.sync(() => log.push("caught")))
              yield* Effect.sleep("1 hour")
              log.push("works on")
              return {}
            }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
        })
        const id = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", id, "staged")
        faults.byCommit = () => "fail"
        yield* gate.open
        yield* advance("1 hour", { steps: 400 })
        faults.byCommit = () => "write"
        yield* advance("2 minutes", { steps: 10 })
        assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some(1))
        assert.notInclude(log, "works on")
        assert.include(log, "interrupted")
      })
  )

  testFaulty(
    "a staging whose commit is in doubt for longer than anybody waits is not lost: its run is taken back",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        const { attempts, executor } = counting()
        yield* plane.register("a", executor)
        const id = yield* accepted(plane, "a", Input.prompt("go", { deliverAt: 1_000 }))
        yield* settle
        faults.next("committed")
        faults.barriersFailing = 40
        yield* advance("2 minutes", { steps: 120 })
        assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some(1))
        assert.deepStrictEqual(attempts, [1])
      })
  )

  testFaulty(
    "an end that the store will not take for minutes is made good: nothing stays open",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        let attempts = 0
        const gate = yield* latch
        yield* plane.register("a", {
          apply: (run) =>
            Effect.suspend((): Effect.Effect<{ result: number }, string> =>
              ++attempts === 1 ? Effect.zipRight(gate.wait, Effect.fail("no")) : Effect.succeed({ result: run.attempt })
            )
        })
        const id = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", id, "staged")
        faults.byCommit = () => "fail"
        yield* gate.open
        yield* advance("5 minutes", { steps: 100 })
        faults.byCommit = () => "write"
        yield* advance("2 minutes", { steps: 20 })
        yield* untilPhase(plane, "a", id, "consumed")
      })
  )
})

describe("what cannot be committed", () => {
  const expectFailed = (name: string, apply: Executor<DeltaError | string, never, string>["apply"], tag: string) =>
    testFaulty(`${name} is a failed run, not a hang`, ({ plane }) =>
      Effect.gen(function*() {
        yield* plane.register("a", { apply }, { attemptsMax: 1 })
        const error = yield* Effect.flip(plane.submit("a", Input.prompt("go")))
        assert.strictEqual(error._tag, "DeadLettered")
        if (error._tag === "DeadLettered") assert.strictEqual(error.error.tag, tag)
        // The runtime goes on.
        yield* plane.submit("a", Input.prompt("go")).pipe(Effect.flip)
        assert.deepStrictEqual((yield* plane.transcript("a")).messages, [])
      }))

  const many = Array.from({ length: 17 }, (_, i) => i)
  const { text } = Content

  expectFailed("a final boundary that appends too much", () => Effect.succeed({ append: many }), "InvalidInput")
  expectFailed("a result that is no JSON", () => Effect.succeed({ result: Number.NaN }), "InvalidInput")
  expectFailed(
    "an outbox with too large an input",
    () => Effect.succeed({ outbox: [{ to: "b", input: Input.prompt([text("x".repeat(70_000))]) }] }),
    "InputTooLarge"
  )
  expectFailed(
    "a checkpoint that appends too much, and is not caught",
    (run) => run.checkpoint({ append: many }).pipe(Effect.asVoid),
    "InvalidInput"
  )
  expectFailed(
    "a final boundary whose alongside fails",
    () => Effect.succeed({ alongside: Effect.fail("no row") }),
    "string"
  )
  expectFailed(
    "a final boundary whose alongside dies",
    () => Effect.succeed({ alongside: Effect.die(new TypeError("no")) }),
    "TypeError"
  )
  expectFailed(
    "a final boundary whose alongside interrupts itself",
    () => Effect.succeed({ alongside: Effect.interrupt }),
    "Interrupted"
  )
  expectFailed(
    "a checkpoint whose alongside interrupts itself",
    (run) => Effect.asVoid(run.checkpoint({ alongside: Effect.interrupt })),
    "Interrupted"
  )

  testFaulty(
    "is the executor's to mend: a refused checkpoint can be made again, smaller",
    ({ plane }) =>
      Effect.gen(function*() {
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              const refused = yield* Effect.flip(run.checkpoint({ append: many }))
              yield* run.checkpoint({ append: ["one"] })
              const failed = yield* Effect.flip(
                run.checkpoint({ append: ["two"], alongside: Effect.fail("mine" as const) })
              )
              return { result: [typeof refused === "string" ? refused : refused._tag, failed === "mine"] }
            })
        })
        const { result } = yield* plane.submit("a", Input.prompt("go"))
        assert.deepStrictEqual(result, Option.some(["InvalidInput", true]))
        assert.strictEqual((yield* plane.transcript("a")).messages.length, 2)
      })
  )
})

describe("a runtime that another owner has taken", () => {
  testFaulty(
    "I9: ends its run, tells who waits, and is not taken back by itself",
    ({ faults, plane }) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const gate = yield* latch
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              log.push("begins")
              yield* gate.wait
              yield* run.checkpoint()
              log.push("works on")
            }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
        })
        const id = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilTrue("it runs", () => log.length === 1)
        const waiting = yield* Effect.fork(Effect.flip(plane.await("a", id)))
        yield* settle
        faults.next("stale")
        yield* gate.open
        assert.strictEqual((yield* Fiber.join(waiting))._tag, "OwnershipLost")
        yield* until("it is interrupted", Effect.sync(() => log.includes("interrupted")))
        assert.deepStrictEqual(log, ["begins", "interrupted"])
        const { commits } = faults
        yield* advance("1 hour", { steps: 4 })
        assert.strictEqual(faults.commits, commits, "nothing is tried")
        assert.strictEqual((yield* Effect.flip(plane.ingest("a", Input.prompt("more"))))._tag, "OwnershipLost")
        assert.strictEqual((yield* Effect.flip(plane.cancel("a", { reason: "" })))._tag, "OwnershipLost")
        yield* plane.takeOver("a")
        yield* untilPhase(plane, "a", id, "consumed")
      })
  )
})
