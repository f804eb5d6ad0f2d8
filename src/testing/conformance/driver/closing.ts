/**
 * The ends of a run without a final boundary: fail, cancel, give back, hold; and inputs that wait for somebody.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { RunId } from "../../../schema/Ids.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

/** A run of [a, b] with a steer handed over and another that waits. */
const busy = (driver: Service) =>
  Effect.gen(function*() {
    const batch = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
    const run = yield* F.stageOf(driver, ["a", "b"])
    const handed = yield* F.accept(driver, F.steer("handed"))
    yield* driver.checkpoint({ runId: run.runId })
    const waiting = yield* F.accept(driver, F.steer("waiting"))
    return { run, batch, handed: handed.inputId, waiting: waiting.inputId }
  })

const ends = [
  F.make(
    "fail queues the batch and the steers handed over again, and keeps the failure",
    (driver) =>
      Effect.gen(function*() {
        const { batch, handed, run } = yield* busy(driver)
        yield* expectEqual(
          yield* driver.fail({ runId: run.runId, failure: F.failure }),
          { requeued: [...batch, handed], abandoned: [] },
          "the reply"
        )
        const head = yield* F.head(driver, batch[0]!)
        yield* expectEqual([head.phase, head.attempt, head.run], ["queued", 1, null], "the head")
        yield* expectEqual(head.failure, F.failure, "its failure")
        yield* expectEqual(yield* driver.openRun, Option.none(), "the open run")
        yield* expectEqual(yield* driver.state, "idle", "the state")
        const found = F.only(yield* F.events(driver), "run.failed")
        yield* expectEqual(
          found,
          [{ _tag: "run.failed", runId: run.runId, failure: F.failure, requeued: [...batch, handed], retryAt: null }],
          "the event"
        )
      })
  ),
  F.make(
    "cancel abandons what the run had staged, steers handed over included; others stay queued",
    (driver) =>
      Effect.gen(function*() {
        const { batch, handed, run, waiting } = yield* busy(driver)
        const reply = yield* driver.cancel({ runId: run.runId, reason: "enough" })
        yield* expectEqual(reply, { requeued: [], abandoned: [...batch, handed] }, "the reply")
        for (const id of [...batch, handed]) {
          const { outcome } = yield* F.head(driver, id)
          yield* expectEqual(
            outcome,
            { _tag: "abandoned", reason: { _tag: "cancelled", reason: "enough" } },
            "the outcome"
          )
        }
        yield* F.expectPhase(driver, waiting, "queued")
        yield* expectEqual(yield* F.drain(driver), [["waiting"]], "what is staged next")
        const found = yield* F.events(driver)
        yield* expectEqual(F.only(found, "run.cancelled").length, 1, "the event of the run")
        yield* expectEqual(
          F.only(found, "input.abandoned").map(({ inputId }) => inputId),
          [...batch, handed],
          "the events"
        )
      })
  ),
  F.make(
    "I13: give back queues everything again as it was: no attempt and no staging is charged",
    (driver) =>
      Effect.gen(function*() {
        const { batch, handed, run } = yield* busy(driver)
        const reply = yield* driver.giveBack({ runId: run.runId })
        yield* expectEqual(reply, { requeued: [...batch, handed], abandoned: [] }, "the reply")
        for (const id of [...batch, handed]) {
          const { attempt, failure, phase, stagings } = yield* F.head(driver, id)
          yield* expectEqual<ReadonlyArray<unknown>>(
            [phase, attempt, stagings, failure],
            ["queued", 0, 0, null],
            "the head"
          )
        }
        const again = yield* F.stageOf(driver, ["a", "b"])
        yield* expectEqual([again.attempt, again.idempotencyKey], [1, run.idempotencyKey], "attempt and key")
        yield* expectEqual(F.tags(yield* F.events(driver)).includes("run.given_back"), true, "the log tells of it")
      })
  ),
  F.make("I13: a run can be given back any number of times, with its steers", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p"))
      const steer = yield* F.accept(driver, F.steer("s"))
      yield* driver.holdInput({ inputId: steer.inputId, reason: "operator" })
      for (let i = 0; i < F.limits.stagingsMax + 2; i++) {
        const run = yield* F.stageOf(driver, ["p"])
        yield* expectEqual(run.attempt, 1, "the attempt")
        if (i === 0) yield* driver.release(steer.inputId)
        yield* expectEqual(F.labels((yield* driver.checkpoint({ runId: run.runId })).steers), ["s"], "the steers")
        yield* driver.giveBack({ runId: run.runId })
      }
      yield* F.expectPhase(driver, inputId, "queued")
      yield* F.expectPhase(driver, steer.inputId, "queued")
    })),
  F.make("give back with a time makes the batch wait for it", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.giveBack({ runId, visibleAt: 500 })
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(500), "nextReadyAt")
      yield* TestClock.adjust(500)
      yield* F.stageOf(driver, ["go"])
    })),
  F.make(
    "settle abandons the batch as outcome_unknown; the steers handed over go back, uncharged",
    (driver) =>
      Effect.gen(function*() {
        const { batch, handed, run } = yield* busy(driver)
        const reply = yield* driver.settle({ runId: run.runId })
        yield* expectEqual(reply, { requeued: [handed], abandoned: batch }, "the reply")
        for (const id of batch) {
          const { outcome } = yield* F.head(driver, id)
          yield* expectEqual(outcome, { _tag: "abandoned", reason: { _tag: "outcome_unknown" } }, "the outcome")
        }
        yield* expectEqual((yield* F.head(driver, handed)).stagings, 0, "what the steer is charged with")
        yield* expectEqual(yield* driver.openRun, Option.none(), "the open run")
        yield* expectEqual(yield* F.drain(driver), [["handed", "waiting"]], "what is staged next")
      })
  ),
  F.make(
    "a run that ended ends once: fail, cancel, settle, give back and hold are RunNotOpen afterwards",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.fail({ runId, failure: F.failure })
        const late: ReadonlyArray<ReturnType<Service["onRunEvent"]>> = [
          driver.fail({ runId, failure: F.failure }),
          driver.cancel({ runId, reason: "late" }),
          driver.settle({ runId }),
          driver.giveBack({ runId }),
          driver.hold({ runId, reason: "question" })
        ]
        for (const command of late) yield* F.expectUnchanged(driver, expectFailure(command, "RunNotOpen"))
        yield* F.stage(driver)
        for (const command of late) yield* F.expectUnchanged(driver, expectFailure(command, "RunNotOpen"))
      })
  ),
  F.make("I14: the end of a run wakes the loop for the steers that wait", (driver) =>
    Effect.gen(function*() {
      const { run } = yield* busy(driver)
      yield* driver.takeSignal
      yield* driver.cancel({ runId: run.runId, reason: "enough" })
      yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
    }))
]

const cancelled = { _tag: "abandoned", reason: { _tag: "cancelled", reason: "no more" } } as const

const one = [
  F.make("cancelInput ends an input that waits, and only that one", (driver) =>
    Effect.gen(function*() {
      const ids = yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("late", { deliverAt: 99 }), F.prompt("held")])
      yield* driver.holdInput({ inputId: ids[2]!, reason: "operator" })
      yield* F.accept(driver, F.prompt("b"))
      for (const inputId of ids) {
        const reply = yield* driver.cancelInput({ inputId, reason: "no more" })
        yield* expectEqual(reply, { requeued: [], abandoned: [inputId] }, "the reply")
        yield* expectEqual((yield* F.head(driver, inputId)).outcome, cancelled, "the outcome")
      }
      yield* expectEqual((yield* F.nothingBut(driver, "b")).nextReadyAt, Option.none(), "what still waits")
    })),
  F.make(
    "I14: cancelInput of one that is staged ends its run, and wakes the loop for the others",
    (driver) =>
      Effect.gen(function*() {
        const { batch, handed, run } = yield* busy(driver)
        yield* driver.takeSignal
        const reply = yield* driver.cancelInput({ inputId: batch[1]!, reason: "no more" })
        yield* expectEqual(reply, { requeued: [], abandoned: [...batch, handed] }, "the reply")
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
        yield* expectFailure(driver.complete({ runId: run.runId }), "RunNotOpen")
        yield* expectEqual(yield* F.drain(driver), [["waiting"]], "what is staged next")
      })
  ),
  F.make(
    "cancelInput of a member dissolves a batch that has committed nothing, and no other",
    (driver) =>
      Effect.gen(function*() {
        const [a] = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), F.flow("c")])
        const first = yield* F.stage(driver)
        yield* F.fail(driver, first)
        yield* driver.cancelInput({ inputId: a!, reason: "no more" })
        const second = yield* F.stageOf(driver, ["b", "c"])
        yield* check(second.idempotencyKey !== first.idempotencyKey, "another set of inputs has another key")
        yield* driver.checkpoint({ runId: second.runId })
        yield* F.fail(driver, second)
        yield* driver.cancelInput({ inputId: F.idsOf(second)[0]!, reason: "no more" })
        const third = yield* F.stageOf(driver, ["c"])
        yield* expectEqual(third.idempotencyKey, second.idempotencyKey, "the key of one that has begun to act")
      })
  ),
  F.make(
    "I8: cancelInput of what has ended, or never was, is UnknownInput, and changes nothing",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* driver.complete({ runId: run.runId })
        for (const inputId of [F.idsOf(run)[0]!, yield* F.freshInputId]) {
          const cancel = driver.cancelInput({ inputId, reason: "no more" })
          yield* F.expectUnchanged(driver, expectFailure(cancel, "UnknownInput"))
        }
      })
  )
]

const runEvents = [
  F.make("onRunEvent: run_failed is fail, with its time and its verdict", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.onRunEvent({ _tag: "run_failed", runId: first.runId, failure: F.failure, visibleAt: 100 })
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(100), "nextReadyAt")
      yield* TestClock.adjust(100)
      const second = yield* F.stageOf(driver, ["go"])
      const reply = yield* driver.onRunEvent({
        _tag: "run_failed",
        runId: second.runId,
        failure: F.failure,
        recoverable: false
      })
      yield* expectEqual(reply.abandoned, F.idsOf(second), "what was abandoned")
    })),
  F.make("onRunEvent: run_cancelled is cancel, run_given_back is give back", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.onRunEvent({ _tag: "run_given_back", runId: first.runId })
      const second = yield* F.stageOf(driver, ["go"])
      yield* expectEqual(second.attempt, 1, "the attempt")
      const reply = yield* driver.onRunEvent({ _tag: "run_cancelled", runId: second.runId, reason: "x" })
      yield* expectEqual(reply.abandoned, F.idsOf(second), "what was abandoned")
    })),
  F.make("onRunEvent: of a run that is not open it is RunNotOpen", (driver) =>
    Effect.gen(function*() {
      const runId = (yield* F.freshInputId) as string as RunId
      yield* expectFailure(driver.onRunEvent({ _tag: "run_given_back", runId }), "RunNotOpen")
    }))
]

const holds = [
  F.make(
    "I6, I13: a held run is not charged; its batch waits whole, and goes first when it is released",
    (driver) =>
      Effect.gen(function*() {
        const { batch, handed, run } = yield* busy(driver)
        yield* driver.hold({ runId: run.runId, reason: "question" })
        for (const id of batch) {
          const { attempt, hold, phase, stagings } = yield* F.head(driver, id)
          yield* expectEqual<ReadonlyArray<unknown>>(
            [phase, hold, attempt, stagings],
            ["held", "question", 0, 0],
            "the head"
          )
        }
        yield* F.expectPhase(driver, handed, "queued")
        yield* F.accept(driver, F.prompt("other"))
        yield* expectEqual(yield* F.drain(driver), [["handed", "waiting"], ["other"]], "what goes on meanwhile")
        yield* F.acceptAll(driver, [F.steer("later"), F.prompt("later still")])
        yield* driver.release(batch[1]!)
        const again = yield* F.stageOf(driver, ["a", "b"])
        yield* expectEqual([again.attempt, again.idempotencyKey], [1, run.idempotencyKey], "attempt and key")
      })
  ),
  F.make("a hold with a deadline ends by itself", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.hold({ runId, reason: "question", until: 2_000 })
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(2_000), "nextReadyAt")
      yield* TestClock.adjust(2_000)
      const run = yield* F.stageOf(driver, ["go"])
      yield* expectEqual(run.inputs[0]!.head.hold, null, "its hold")
      const found = F.tags(yield* F.events(driver))
      yield* check(found.includes("input.held") && found.includes("input.released"), "the log tells of both")
    })),
  F.make("a hold without a deadline lasts until release", (driver) =>
    Effect.gen(function*() {
      const { inputs, runId } = yield* F.running(driver)
      yield* driver.hold({ runId, reason: "undecodable" })
      yield* TestClock.adjust("365 days")
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.none(), "nextReadyAt")
      yield* driver.release(inputs[0]!.head.id)
      yield* F.stageOf(driver, ["go"])
    })),
  F.make(
    "holdInput holds an input that waits, and release makes it ready at its place",
    (driver) =>
      Effect.gen(function*() {
        const [a] = yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b"), F.prompt("c")])
        yield* driver.holdInput({ inputId: a!, reason: "operator" })
        const { hold, phase } = yield* F.head(driver, a!)
        yield* expectEqual([phase, hold], ["held", "operator"], "the head")
        const b = yield* F.stageOf(driver, ["b"])
        yield* driver.release(a!)
        yield* driver.complete({ runId: b.runId })
        yield* expectEqual(yield* F.drain(driver), [["a"], ["c"]], "what follows")
      })
  ),
  F.make("holdInput holds the whole batch of an interrupted input", (driver) =>
    Effect.gen(function*() {
      const [a, b] = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
      yield* F.fail(driver, yield* F.stage(driver))
      yield* driver.holdInput({ inputId: b!, reason: "operator", until: 900 })
      yield* F.expectPhase(driver, a!, "held")
      yield* F.nothing(driver)
      yield* TestClock.adjust(900)
      yield* F.stageOf(driver, ["a", "b"])
    })),
  F.make(
    "an input with deliverAt that is held and released does not go before its time",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("later", { deliverAt: 1_000 }))
        yield* driver.holdInput({ inputId, reason: "operator" })
        yield* driver.release(inputId)
        yield* F.nothing(driver)
        yield* TestClock.adjust(1_000)
        yield* F.stageOf(driver, ["later"])
      })
  ),
  F.make(
    "holdInput of what does not wait, and release of what is not held, are UnknownInput with the phase",
    (driver) =>
      Effect.gen(function*() {
        const unknown = yield* F.freshInputId
        const { inputs, runId } = yield* F.running(driver)
        const { id } = inputs[0]!.head
        const waiting = yield* F.accept(driver, F.prompt("p"))
        const commands = [
          [driver.holdInput({ inputId: unknown, reason: "operator" }), null],
          [driver.release(unknown), null],
          [driver.holdInput({ inputId: id, reason: "operator" }), "staged"],
          [driver.release(id), "staged"],
          [driver.release(waiting.inputId), "queued"]
        ] as const
        for (const [command, phase] of commands) {
          const error = yield* F.expectUnchanged(driver, expectFailure(command, "UnknownInput"))
          yield* expectEqual<string | null>(error.phase, phase, "the phase that it names")
        }
        yield* driver.complete({ runId })
        yield* expectFailure(driver.release(id), "UnknownInput")
      })
  ),
  F.make(
    "D11: abandonPending ends everything that waits, held and delayed inputs included; the run keeps its own",
    (driver) =>
      Effect.gen(function*() {
        const { inputs, runId } = yield* F.running(driver)
        const waiting = yield* F.acceptAll(driver, [
          F.prompt("a"),
          F.steer("b"),
          F.prompt("c", { deliverAt: 99 }),
          F.prompt("d")
        ])
        yield* driver.holdInput({ inputId: waiting[3]!, reason: "operator" })
        const report = yield* driver.abandonPending({ _tag: "retired" })
        yield* expectEqual(report, { inputsAbandoned: 4 }, "the report")
        for (const id of waiting) {
          const { outcome } = yield* F.head(driver, id)
          yield* expectEqual(outcome, { _tag: "abandoned", reason: { _tag: "retired" } }, "the outcome")
        }
        yield* expectEqual(yield* driver.activeInputIds, [inputs[0]!.head.id], "the active inputs")
        yield* driver.complete({ runId })
        yield* F.nothing(driver)
      })
  )
]

const turns = [
  F.make(
    "the next attempt resumes from the last boundary that its batch committed",
    (driver) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* driver.checkpoint({ runId: first.runId })
        yield* driver.checkpoint({ runId: first.runId })
        yield* F.fail(driver, first)
        const second = yield* F.stage(driver)
        const { batchId } = first
        yield* expectEqual(second.resume, Option.some({ batchId, runId: first.runId, sequence: 2 }), "what it resumes")
        yield* F.fail(driver, second)
        const third = yield* F.stage(driver)
        yield* expectEqual(third.resume, second.resume, "what an attempt after one without a boundary resumes")
      })
  ),
  F.make("a run is told of the turns that other batches have begun and not ended", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.checkpoint({ runId: first.runId })
      yield* driver.hold({ runId: first.runId, reason: "question" })
      const other = yield* F.running(driver, "other")
      const turn = { batchId: first.batchId, runId: first.runId, sequence: 1 }
      yield* expectEqual(other.openTurns, [turn], "the open turns")
      yield* expectEqual(other.resume, Option.none(), "what it resumes")
      yield* driver.complete({ runId: other.runId })
      yield* driver.release(first.inputs[0]!.head.id)
      const again = yield* F.stage(driver)
      yield* expectEqual(again.openTurns, [], "its own turn is no other's")
      yield* driver.complete({ runId: again.runId })
      yield* expectEqual((yield* F.running(driver, "last")).openTurns, [], "the turns after its final boundary")
    })),
  F.make("an abandoned batch's turn is closed", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.checkpoint({ runId: first.runId })
      yield* driver.fail({ runId: first.runId, failure: F.failure, recoverable: false })
      yield* expectEqual((yield* F.running(driver, "other")).openTurns, [], "the open turns")
    })),
  F.make(
    "D19: a run that fails after a boundary is tried again, and its input is consumed in the end",
    (driver) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* driver.checkpoint({ runId: first.runId })
        yield* F.fail(driver, first)
        const { id } = first.inputs[0]!.head
        yield* F.expectPhase(driver, id, "queued")
        const second = yield* F.stageOf(driver, ["go"])
        const { receipt } = yield* driver.complete({ runId: second.runId })
        yield* expectEqual(receipt.consumed, [id], "what is consumed")
      })
  )
]

export const cases = [...ends, ...one, ...runEvents, ...holds, ...turns]

export const durableCases = [
  F.makeDurable("holds, deadlines and open turns survive a restart", (driver, { restart }) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.checkpoint({ runId: first.runId })
      yield* driver.hold({ runId: first.runId, reason: "question", until: 7_000 })
      const again = yield* restart()
      yield* F.expectPhase(again, first.inputs[0]!.head.id, "held")
      yield* expectEqual((yield* F.nothing(again)).nextReadyAt, Option.some(7_000), "nextReadyAt")
      const other = yield* F.running(again, "other")
      yield* expectEqual(
        other.openTurns,
        [{ batchId: first.batchId, runId: first.runId, sequence: 1 }],
        "the open turns"
      )
      yield* again.complete({ runId: other.runId })
      yield* TestClock.adjust(7_000)
      yield* F.stageOf(again, ["go"])
    }))
]
