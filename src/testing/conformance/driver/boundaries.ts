/**
 * Checkpoint, note and final: what each consumes, hands over and closes, and what a repetition of it answers.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { InputId, RunId } from "../../../schema/Ids.js"
import * as Session from "../../../schema/Session.js"
import type { BoundaryOptions, BoundaryOutcome, Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const table = [
  F.make(
    "a checkpoint leaves batch and run as they are, and commits receipt 1, 2, 3 ...",
    (driver) =>
      Effect.gen(function*() {
        const { batchId, inputs, runId } = yield* F.running(driver)
        for (const sequence of [1, 2, 3]) {
          const { alreadyApplied, receipt, steers } = yield* driver.checkpoint({ runId })
          yield* expectEqual(
            { ...receipt, commitDigest: "", at: 0 },
            {
              runId,
              batchId,
              boundary: "checkpoint",
              contributors: inputs.map(({ head }) => head.id),
              consumed: [],
              conversationDigest: receipt.conversationDigest,
              messageCount: 1,
              parent: receipt.parent,
              sequence,
              commitDigest: "",
              at: 0
            } as const,
            "the receipt"
          )
          yield* expectEqual([alreadyApplied, steers.length], [false, 0], "alreadyApplied, and the steers")
        }
        yield* F.expectPhase(driver, inputs[0]!.head.id, "staged")
        yield* expectEqual(
          Option.map(yield* driver.openRun, (run) => run.sequence),
          Option.some(3),
          "the last boundary"
        )
      })
  ),
  F.make(
    "I8: the final boundary consumes the batch, says so in its receipt, and closes the run",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const { runId } = yield* F.stage(driver)
        const { receipt } = yield* driver.complete({ runId, result: { answer: 42 } })
        yield* expectEqual([receipt.boundary, receipt.sequence], ["final", 1], "the receipt")
        yield* expectEqual(receipt.consumed, ids, "what it consumed")
        yield* expectEqual(yield* driver.openRun, Option.none(), "the open run")
        yield* expectEqual(yield* driver.state, "idle", "the state")
        for (const id of ids) {
          const { outcome, phase } = yield* F.head(driver, id)
          yield* expectEqual(phase, "consumed", "the phase")
          yield* expectEqual(outcome, { _tag: "consumed", runId, sequence: 1 }, "the outcome")
        }
      })
  ),
  F.make(
    "I8: steers are consumed by the checkpoint after the one that handed them over",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const [s1, s2] = yield* F.acceptAll(driver, [F.steer("s1"), F.continuation("s2")])
        const first = yield* driver.checkpoint({ runId })
        yield* expectEqual(F.labels(first.steers), ["s1", "s2"], "the steers handed over")
        yield* expectEqual(first.receipt.consumed, [], "what the first consumed")
        yield* F.expectPhase(driver, s1!, "staged")
        const s3 = yield* F.accept(driver, F.steer("s3"))
        const second = yield* driver.checkpoint({ runId })
        yield* expectEqual(second.receipt.consumed, [s1!, s2!], "what the second consumed")
        yield* expectEqual(F.labels(second.steers), ["s3"], "the steers handed over then")
        yield* F.expectPhase(driver, s1!, "consumed")
        const final = yield* driver.complete({ runId })
        yield* check(final.receipt.consumed.includes(s3.inputId), "the final boundary consumes the last steer")
        yield* F.expectPhase(driver, s3.inputId, "consumed")
      })
  ),
  F.make("steers that were not handed over are not consumed by the final boundary", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const { inputId } = yield* F.accept(driver, F.steer("late"))
      const { receipt } = yield* driver.complete({ runId })
      yield* check(!receipt.contributors.includes(inputId), "it contributed nothing")
      yield* expectEqual(yield* F.drain(driver), [["late"]], "what is staged next")
    })),
  F.make("a note consumes nothing and hands over nothing", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const [s1] = yield* F.acceptAll(driver, [F.steer("s1")])
      yield* driver.checkpoint({ runId })
      const s2 = yield* F.accept(driver, F.steer("s2"))
      const { receipt, steers } = yield* driver.note({ runId, notes: [{ scope: "a", key: "b", value: 1 }] })
      yield* expectEqual([receipt.boundary, receipt.sequence], ["note", 2], "the receipt")
      yield* expectEqual([receipt.consumed.length, steers.length], [0, 0], "consumed, and handed over")
      yield* F.expectPhase(driver, s1!, "staged")
      yield* F.expectPhase(driver, s2.inputId, "queued")
    })),
  F.make("inputs of the queue lane are not handed to an open run", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.acceptAll(driver, [F.prompt("p"), F.message("m")])
      yield* expectEqual((yield* driver.checkpoint({ runId })).steers, [], "the steers")
    })),
  F.make("the answer that an open run waits for reaches it at its next checkpoint", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.terminal("answer"))
      yield* expectEqual(F.labels((yield* driver.checkpoint({ runId })).steers), ["answer"], "the steers")
    })),
  F.make(
    "I16: a checkpoint hands over at most batchInputsMax steers, the next one the rest",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const names = Array.from({ length: F.limits.batchInputsMax + 2 }, (_, i) => `${i}`)
        yield* F.acceptAll(driver, names.map((name) => F.steer(name)))
        const first = yield* driver.checkpoint({ runId })
        const second = yield* driver.checkpoint({ runId })
        yield* expectEqual(F.labels(first.steers), names.slice(0, F.limits.batchInputsMax), "the first steers")
        yield* expectEqual(F.labels(second.steers), names.slice(F.limits.batchInputsMax), "the second steers")
      })
  ),
  F.make(
    "steers that wait for a time, or are held, are handed over when they are ready",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* F.accept(driver, F.steer("late", { deliverAt: 1_000 }))
        const { inputId } = yield* F.accept(driver, F.steer("held"))
        yield* driver.holdInput({ inputId, reason: "operator" })
        yield* expectEqual((yield* driver.checkpoint({ runId })).steers, [], "the steers before")
        yield* driver.release(inputId)
        yield* expectEqual(F.labels((yield* driver.checkpoint({ runId })).steers), ["held"], "the steers then")
      })
  ),
  F.make(
    "steers are handed over again, in order, by the first checkpoint of the next attempt",
    (driver) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* F.acceptAll(driver, [F.steer("s1"), F.steer("s2")])
        yield* driver.checkpoint({ runId: first.runId })
        yield* F.fail(driver, first)
        const second = yield* F.stageOf(driver, ["go"])
        yield* F.accept(driver, F.steer("s3"))
        const { steers } = yield* driver.checkpoint({ runId: second.runId })
        yield* expectEqual(F.labels(steers), ["s1", "s2", "s3"], "the steers")
      })
  ),
  F.make("steers tells how many the next checkpoint hands over", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("go"))
      yield* expectEqual(yield* driver.steers, 0, "how many while no run is open")
      const { runId } = yield* F.stage(driver)
      const names = Array.from({ length: F.limits.batchInputsMax + 1 }, (_, i) => `${i}`)
      yield* F.acceptAll(driver, [F.terminal("alone", {}, "steer"), F.steer("late", { deliverAt: 10 }), F.prompt("p")])
      yield* expectEqual(yield* driver.steers, 0, "how many when none is meant for this run, now")
      yield* TestClock.adjust(10)
      yield* expectEqual(yield* driver.steers, 1, "how many when its time has come")
      yield* F.acceptAll(driver, names.map((name) => F.steer(name)))
      for (const left of [F.limits.batchInputsMax, 2, 0]) {
        yield* expectEqual(yield* driver.steers, left, "how many wait")
        yield* expectEqual((yield* driver.checkpoint({ runId })).steers.length, left, "how many are handed over")
      }
    })),
  F.make("I14: a final boundary is followed by the next batch at once", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
      const { runId } = yield* F.stage(driver)
      yield* driver.complete({ runId })
      yield* F.stageOf(driver, ["b"])
    }))
]

type Kind = "checkpoint" | "note" | "complete"
const kinds: ReadonlyArray<Kind> = ["checkpoint", "note", "complete"]

const content = (runId: RunId, after: number): BoundaryOptions => ({
  runId,
  after,
  delta: { append: [Session.assistant("hello")], snapshot: Uint8Array.of(1, 2, 3) },
  notes: [{ scope: "batch", key: "step", value: { n: 1 } }]
})

const commitOf = (driver: Service, kind: Kind, options: BoundaryOptions) =>
  kind === "complete" ? driver.complete({ ...options, result: [1, "two"] }) : driver[kind](options)

const others: ReadonlyArray<readonly [what: string, change: (options: BoundaryOptions) => BoundaryOptions]> = [
  ["other messages", (options) => ({ ...options, delta: { ...options.delta, append: [Session.assistant("bye")] } })],
  ["no messages", (options) => ({ ...options, delta: { snapshot: Uint8Array.of(1, 2, 3) } })],
  ["another snapshot", (options) => ({ ...options, delta: { ...options.delta, snapshot: Uint8Array.of(1, 2) } })],
  ["the snapshot removed", (options) => ({ ...options, delta: { ...options.delta, snapshot: null } })],
  ["another note", (options) => ({ ...options, notes: [{ scope: "batch", key: "step", value: { n: 2 } }] })],
  ["no note", ({ notes: _notes, ...options }) => options]
]

const repetition = [
  ...kinds.map((kind) =>
    F.make(
      `I7: the exact repetition of a ${kind} is alreadyApplied, with the same receipt, and writes nothing`,
      (driver) =>
        Effect.gen(function*() {
          const { runId } = yield* F.running(driver)
          yield* driver.checkpoint({ runId })
          const first = yield* commitOf(driver, kind, content(runId, 1))
          const again = yield* F.expectUnchanged(driver, commitOf(driver, kind, content(runId, 1)))
          yield* expectEqual([first.alreadyApplied, again.alreadyApplied], [false, true], "alreadyApplied")
          yield* expectEqual(again.receipt, first.receipt, "the receipt")
          yield* expectEqual(again.session, first.session, "the session")
          const boundaries = F.only(yield* F.events(driver), "run.boundary")
          yield* expectEqual(boundaries.map(({ sequence }) => sequence), [1, 2], "the boundaries of the log")
        })
    )
  ),
  ...kinds.flatMap((kind) =>
    others.map(([what, change]) =>
      F.make(`I7: a repetition of a ${kind} with ${what} is ReceiptConflict`, (driver) =>
        Effect.gen(function*() {
          const { runId } = yield* F.running(driver)
          yield* commitOf(driver, kind, content(runId, 0))
          const error = yield* F.expectUnchanged(
            driver,
            expectFailure(commitOf(driver, kind, change(content(runId, 0))), "ReceiptConflict")
          )
          yield* expectEqual([error.runId as RunId, error.sequence], [runId, 1], "the boundary that it names")
        }))
    )
  ),
  F.make(
    "I7: a repetition of a final boundary with another result is ReceiptConflict",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.complete({ runId, after: 0, result: 1 })
        yield* expectFailure(driver.complete({ runId, after: 0, result: 2 }), "ReceiptConflict")
        yield* expectFailure(driver.complete({ runId, after: 0 }), "ReceiptConflict")
      })
  ),
  F.make("I7: a repetition as another kind of boundary is ReceiptConflict", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.checkpoint({ runId, after: 0 })
      yield* expectFailure(driver.note({ runId, after: 0 }), "ReceiptConflict")
      yield* expectFailure(driver.complete({ runId, after: 0 }), "ReceiptConflict")
    })),
  F.make(
    "I7: an earlier boundary can be repeated after later ones, and after the run has ended",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const first = yield* driver.checkpoint(content(runId, 0))
        yield* driver.checkpoint({ runId })
        yield* expectEqual((yield* driver.checkpoint(content(runId, 0))).receipt, first.receipt, "the receipt")
        yield* driver.complete({ runId })
        const again = yield* driver.checkpoint(content(runId, 0))
        yield* expectEqual([again.alreadyApplied, again.receipt.sequence], [true, 1], "the repetition")
      })
  ),
  F.make(
    "I8, I14: the repetition of a checkpoint answers the steers that it handed over",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* F.acceptAll(driver, [F.steer("s1"), F.steer("s2")])
        yield* driver.checkpoint({ runId, after: 0 })
        const again = yield* driver.checkpoint({ runId, after: 0 })
        yield* expectEqual(again.alreadyApplied, true, "alreadyApplied")
        // The next boundary consumes them: who lost the answer would never see them.
        yield* expectEqual(F.labels(again.steers), ["s1", "s2"], "the steers")
      })
  ),
  F.make(
    "I7: a boundary that names another predecessor than the last one is SequenceMismatch",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.checkpoint({ runId })
        const error = yield* F.expectUnchanged(
          driver,
          expectFailure(driver.checkpoint({ runId, after: 2 }), "SequenceMismatch")
        )
        yield* expectEqual([error.after, error.last], [2, 1], "what it names")
      })
  ),
  F.make("I10: a boundary of a run that never was is RunNotOpen", (driver) =>
    Effect.gen(function*() {
      yield* F.running(driver)
      const runId = (yield* F.freshInputId) as string as RunId
      yield* F.expectUnchanged(driver, expectFailure(driver.checkpoint({ runId }), "RunNotOpen"))
    })),
  ...kinds.map((kind) =>
    F.make(`I10: a late ${kind} of a run that was cancelled is RunNotOpen`, (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.cancel({ runId, reason: "enough" })
        yield* F.expectUnchanged(driver, expectFailure(commitOf(driver, kind, content(runId, 0)), "RunNotOpen"))
      }))
  ),
  F.make(
    "I10: a late checkpoint of a run that had checkpoints is RunNotOpen, whether it names its predecessor or not",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.checkpoint({ runId })
        yield* driver.cancel({ runId, reason: "enough" })
        const late: BoundaryOptions = { runId, delta: { append: [Session.assistant("late")] } }
        yield* expectFailure(driver.checkpoint({ ...late, after: 1 }), "RunNotOpen")
        yield* expectFailure(driver.checkpoint(late), "RunNotOpen")
      })
  ),
  F.make(
    "I10: the old attempt's boundary is RunNotOpen while the next attempt is open",
    (driver) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* F.fail(driver, first)
        yield* F.stage(driver)
        yield* F.expectUnchanged(driver, expectFailure(driver.complete({ runId: first.runId }), "RunNotOpen"))
      })
  ),
  F.make(
    "I7: of two that commit the same boundary at once one does, and the other is told that it was applied",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const outcomes = yield* Effect.all([1, 2, 3].map(() => driver.checkpoint(content(runId, 0))), {
          concurrency: "unbounded"
        })
        yield* expectEqual(outcomes.map(({ alreadyApplied }) => alreadyApplied), [false, true, true], "alreadyApplied")
      })
  )
]

const notes = [
  F.make(
    "a note is unique for ever under its scope and key: another one is NoteConflict",
    (driver) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        const note = { scope: "batch", key: "step", value: 1 }
        yield* driver.note({ runId: first.runId, notes: [note] })
        const error = yield* F.expectUnchanged(
          driver,
          expectFailure(driver.note({ runId: first.runId, notes: [{ ...note, value: 2 }] }), "NoteConflict")
        )
        yield* expectEqual([error.scope, error.key], ["batch", "step"], "what it names")
        yield* driver.note({ runId: first.runId, notes: [{ ...note, key: "other" }, { ...note, scope: "other" }] })
        yield* driver.complete({ runId: first.runId })
        const second = yield* F.running(driver)
        yield* expectFailure(driver.complete({ runId: second.runId, notes: [note] }), "NoteConflict")
        yield* driver.complete({ runId: second.runId })
      })
  ),
  F.make(
    "a result, a note or a message that is not JSON is InvalidInput that names where, and nothing is written",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const bad = { list: [0, Number.NaN] }
        const attempts: ReadonlyArray<readonly [string, Effect.Effect<BoundaryOutcome, unknown>]> = [
          ["result.list[1]", driver.complete({ runId, result: bad })],
          ["notes[0].value.list[1]", driver.note({ runId, notes: [{ scope: "s", key: "step", value: bad }] })],
          ["append[0].list[1]", driver.checkpoint({ runId, delta: { append: [bad] } })]
        ]
        for (const [field, attempt] of attempts) {
          const failed = yield* F.expectUnchanged(driver, Effect.either(attempt))
          yield* expectEqual(Either.isLeft(failed) && (failed.left as { field?: string }).field, field, "the field")
        }
      })
  ),
  F.make("I16: a note's key over keyLengthMax is InvalidInput", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const key = "k".repeat(F.limits.keyLengthMax + 1)
      yield* F.expectUnchanged(
        driver,
        expectFailure(driver.note({ runId, notes: [{ scope: "s", key, value: 1 }] }), "InvalidInput")
      )
    })),
  F.make(
    "I16: too many messages, too many bytes and too large a snapshot are InvalidInput",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const many = Array.from({ length: F.limits.appendMessagesMax + 1 }, () => 1)
        const large = ["x".repeat(F.limits.appendBytesMax)]
        const snapshot = new Uint8Array(F.limits.snapshotBytesMax + 1)
        for (
          const [field, delta] of [["append", { append: many }], ["append", { append: large }], ["snapshot", {
            snapshot
          }]] as const
        ) {
          const error = yield* F.expectUnchanged(
            driver,
            expectFailure(driver.checkpoint({ runId, delta }), "InvalidInput")
          )
          yield* expectEqual(error.field, field, "the field")
        }
        yield* driver.checkpoint({ runId, delta: { append: many.slice(1) } })
      })
  )
]

export const cases = [...table, ...repetition, ...notes]

export const durableCases = [
  F.makeDurable(
    "the typed result is stored with the final receipt, and read back by (run, sequence)",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.checkpoint({ runId })
        const { receipt } = yield* driver.complete({ runId, result: { answer: [42, "\u00e9"] } })
        yield* restart()
        const stored = yield* F.some(
          yield* store.loadBoundaryReceipt(driver.runtimeId, runId, 2),
          "the receipt is stored"
        )
        yield* expectEqual(stored.receipt, receipt, "the stored receipt")
        yield* expectEqual(stored.result, Option.some("{\"answer\":[42,\"\u00e9\"]}"), "the stored result")
        const checkpoint = yield* F.some(
          yield* store.loadBoundaryReceipt(driver.runtimeId, runId, 1),
          "the checkpoint's receipt is stored"
        )
        yield* expectEqual(checkpoint.result, Option.none(), "the checkpoint's result")
      })
  ),
  F.makeDurable(
    "I7: after a restart the exact repetition is alreadyApplied by a later owner too",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const first = yield* driver.checkpoint(content(runId, 0))
        const again = yield* restart()
        const repeated = yield* again.checkpoint(content(runId, 0))
        yield* expectEqual([repeated.alreadyApplied, repeated.receipt.sequence], [true, 1], "the repetition")
        yield* expectEqual(repeated.receipt, first.receipt, "the receipt")
        yield* expectFailure(again.checkpoint({ ...content(runId, 0), notes: [] }), "ReceiptConflict")
        yield* expectFailure(again.checkpoint(content(runId, 1)), "RunNotOpen")
      })
  ),
  F.makeDurable(
    "I8: each consumed input is in the consumed of exactly one receipt, and is what its row says",
    (driver, { store }) =>
      Effect.gen(function*() {
        const inputs = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const { runId } = yield* F.stage(driver)
        const steer = yield* F.accept(driver, F.steer("s"))
        for (let i = 0; i < 3; i++) yield* driver.checkpoint({ runId })
        yield* driver.complete({ runId })
        const consumed: Array<InputId> = []
        for (let sequence = 1; sequence <= 4; sequence++) {
          const { receipt } = yield* F.some(
            yield* store.loadBoundaryReceipt(driver.runtimeId, runId, sequence),
            `receipt ${sequence} is stored`
          )
          for (const id of receipt.consumed) {
            consumed.push(id)
            const stored = yield* F.some(yield* store.loadInputState(driver.runtimeId, id), "the input is stored")
            yield* expectEqual(stored.head.outcome, { _tag: "consumed", runId, sequence }, "the stored outcome")
          }
        }
        yield* expectEqual(consumed, [steer.inputId, ...inputs], "what was consumed, in order")
      })
  ),
  F.makeDurable("notes are read back by their scope", (driver, { store }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const written = [{ scope: "s", key: "a", value: { x: [1] } }, { scope: "s", key: "b", value: null }]
      yield* driver.note({ runId, notes: written })
      yield* driver.note({ runId, notes: [{ scope: "t", key: "a", value: 2 }] })
      const stored = yield* store.loadNotes(driver.runtimeId, "s")
      yield* expectEqual([...stored].sort((a, b) => a.key < b.key ? -1 : 1), written, "the notes")
    }))
]
