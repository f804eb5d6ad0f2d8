/**
 * Newer inputs in the place of older ones of the same kind and supersession key.
 */
import * as Effect from "effect/Effect"
import type { InputId } from "../../../schema/Ids.js"
import type * as Input from "../../../schema/Input.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

const expectSuperseded = (driver: Service, older: InputId, newer: InputId) =>
  Effect.gen(function*() {
    const { outcome, phase } = yield* F.head(driver, older)
    yield* expectEqual(phase, "superseded", "the older input's phase")
    yield* expectEqual(outcome, { _tag: "superseded", by: newer }, "the older input's outcome")
  })

type Make = (text: string, options: F.HeaderOptions) => Input.Draft

const superseding: ReadonlyArray<readonly [kind: string, make: Make]> = [
  ["prompt", F.prompt],
  ["peer's message", F.message],
  ["peer's request", (text, options) => F.request(text, "ask", options)],
  ["terminal response", F.terminal],
  ["flow's step", F.flow],
  ["external event", F.external],
  ["continuation", F.continuation],
  ["steer", F.steer]
]

const successors = [
  ...superseding.map(([kind, draft]) =>
    F.make(`D5: a newer ${kind} of the same key supersedes one that is queued`, (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, draft("old", { scope: "s" }))
        const newer = yield* F.accept(driver, draft("new", { scope: "s" }))
        yield* expectSuperseded(driver, older.inputId, newer.inputId)
        yield* expectEqual(yield* F.drain(driver), [["new"]], "what is staged, ever")
      }))
  ),
  F.make(
    "D4: newer progress of the same key takes the older with it, as coalesced into it",
    (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.progress("10 %", { scope: "s" }))
        const newer = yield* F.accept(driver, F.progress("20 %", { scope: "s" }))
        const { outcome, phase } = yield* F.head(driver, older.inputId)
        yield* expectEqual(phase, "coalesced", "the older input's phase")
        yield* expectEqual(outcome, { _tag: "coalesced", into: newer.inputId }, "the older input's outcome")
        yield* expectEqual(
          F.tags(yield* F.events(driver)),
          ["input.accepted", "input.accepted", "input.coalesced"],
          "the events"
        )
        yield* expectEqual(yield* F.drain(driver), [["20 %"]], "what is staged, ever")
      })
  ),
  F.make("D4: progress without a key is kept, each of it", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.progress("10 %"), F.progress("20 %")])
      yield* expectEqual(yield* F.drain(driver), [["10 %", "20 %"]], "what is staged")
    })),
  F.make(
    "D3: the superseded input leaves its lane, ends in its successor's commit, and the log names the successor",
    (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
        const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
        yield* expectEqual(yield* driver.activeInputIds, [newer.inputId], "the active inputs")
        const found = yield* F.events(driver)
        yield* expectEqual(F.tags(found), ["input.accepted", "input.accepted", "input.superseded"], "the events")
        yield* expectEqual(
          F.only(found, "input.superseded"),
          [{ _tag: "input.superseded", inputId: older.inputId, by: newer.inputId }],
          "the event"
        )
        yield* expectEqual(F.idsOf(yield* F.stage(driver)), [newer.inputId], "the batch")
      })
  ),
  F.make(
    "I8: a chain of successors leaves the newest, and each knows the one that took its place",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* F.acceptAll(driver, ["1", "2", "3", "4"].map((text) => F.flow(text, { scope: "s" })))
        for (const [i, id] of ids.slice(0, -1).entries()) yield* expectSuperseded(driver, id, ids[i + 1]!)
        yield* expectEqual(yield* F.drain(driver), [["4"]], "what is staged, ever")
      })
  ),
  F.make("inputs of other kinds, other keys and no key do not replace each other", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [
        F.flow("a", { scope: "s" }),
        F.external("b", { scope: "s" }),
        F.message("c", { scope: "s" }),
        F.request("d", "ask", { scope: "s" }),
        F.flow("e", { scope: "t" }),
        F.flow("f"),
        F.flow("g")
      ])
      yield* expectEqual((yield* driver.activeInputIds).length, 7, "the active inputs")
    })),
  F.make("keys for supersession of other runtimes are other keys", (driver, drivers) =>
    Effect.gen(function*() {
      const other = yield* drivers.get(yield* F.freshRuntimeId)
      yield* F.accept(driver, F.flow("a", { scope: "s" }))
      yield* F.accept(other, F.flow("b", { scope: "s" }))
      yield* expectEqual((yield* driver.activeInputIds).length, 1, "the active inputs")
    })),
  F.make("an operation with a key replaces nothing and is not replaced", (driver) =>
    Effect.gen(function*() {
      const ids = yield* F.acceptAll(driver, [F.operation("a", { scope: "s" }), F.operation("b", { scope: "s" })])
      for (const id of ids) yield* F.expectPhase(driver, id, "consumed")
    })),
  F.make(
    "an input that waits for its time or for somebody is replaced like one that is ready",
    (driver) =>
      Effect.gen(function*() {
        const late = yield* F.accept(driver, F.flow("late", { scope: "s", deliverAt: 1_000 }))
        const held = yield* F.accept(driver, F.flow("held", { scope: "t" }))
        yield* driver.holdInput({ inputId: held.inputId, reason: "operator" })
        const [a, b] = yield* F.acceptAll(driver, [F.flow("a", { scope: "s" }), F.flow("b", { scope: "t" })])
        yield* expectSuperseded(driver, late.inputId, a!)
        yield* expectSuperseded(driver, held.inputId, b!)
      })
  ),
  F.make(
    "the successor waits at its own place, not at that of the one it replaces",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [
          F.prompt("old", { scope: "s" }),
          F.prompt("other"),
          F.prompt("new", { scope: "s" })
        ])
        yield* expectEqual(yield* F.drain(driver), [["other"], ["new"]], "the batches")
      })
  )
]

const ofBatches = [
  F.make(
    "I8: an input that is staged is not replaced; its successor is queued behind it",
    (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
        const { runId } = yield* F.stage(driver)
        yield* F.accept(driver, F.flow("new", { scope: "s" }))
        yield* F.expectPhase(driver, older.inputId, "staged")
        yield* driver.complete({ runId })
        yield* F.expectPhase(driver, older.inputId, "consumed")
        yield* expectEqual(yield* F.drain(driver), [["new"]], "what is staged afterwards")
      })
  ),
  F.make(
    "I8: an input that comes back while a newer of its scope waits is superseded in that commit",
    (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
        const run = yield* F.stage(driver)
        const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
        const reply = yield* F.fail(driver, run)
        yield* expectEqual(reply, { requeued: [], abandoned: [] }, "the reply")
        yield* expectSuperseded(driver, older.inputId, newer.inputId)
        const found = yield* F.events(driver)
        yield* expectEqual(F.only(found, "run.failed")[0]?.requeued, [], "what the log says was queued again")
        yield* expectEqual(yield* F.drain(driver), [["new"]], "what is staged afterwards")
      })
  ),
  F.make("what is given back while a newer of its scope waits is superseded too", (driver) =>
    Effect.gen(function*() {
      const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
      const { runId } = yield* F.stage(driver)
      const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
      yield* driver.giveBack({ runId })
      yield* expectSuperseded(driver, older.inputId, newer.inputId)
    })),
  F.make(
    "I8: an older input is superseded by the newest that waits, also when one in between has ended",
    (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("1", { scope: "s" }))
        const run = yield* F.stage(driver)
        yield* F.accept(driver, F.flow("2", { scope: "s" }))
        const newest = yield* F.accept(driver, F.flow("3", { scope: "s" }))
        yield* F.fail(driver, run)
        yield* expectSuperseded(driver, older.inputId, newest.inputId)
      })
  ),
  F.make(
    "a batch without a receipt that loses a member to a successor is dissolved: new batch, new key, place kept",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b", { scope: "s" }), F.flow("c"), F.flow("d")])
        const first = yield* F.stageOf(driver, ["a", "b", "c", "d"])
        yield* F.fail(driver, first)
        yield* F.accept(driver, F.flow("B", { scope: "s" }))
        const second = yield* F.stageOf(driver, ["a", "c", "d", "B"])
        yield* check(second.idempotencyKey !== first.idempotencyKey, "the batch has another key")
        yield* check(second.batchId !== first.batchId, "the batch has another id")
      })
  ),
  F.make(
    "a batch that loses a member as it comes back is dissolved in that commit",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b", { scope: "s" })])
        const first = yield* F.stageOf(driver, ["a", "b"])
        yield* F.acceptAll(driver, [F.prompt("between"), F.flow("B", { scope: "s" })])
        yield* F.fail(driver, first)
        const second = yield* F.stageOf(driver, ["a"])
        yield* check(second.idempotencyKey !== first.idempotencyKey, "the rest has another key")
        yield* driver.complete({ runId: second.runId })
        yield* expectEqual(yield* F.drain(driver), [["between"], ["B"]], "what follows")
      })
  ),
  F.make(
    "a batch with a receipt has begun to act: no member is replaced, and it keeps its key",
    (driver) =>
      Effect.gen(function*() {
        const [, b] = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b", { scope: "s" })])
        const first = yield* F.stageOf(driver, ["a", "b"])
        yield* driver.checkpoint({ runId: first.runId })
        yield* F.accept(driver, F.flow("B", { scope: "s" }))
        yield* F.fail(driver, first)
        yield* F.expectPhase(driver, b!, "queued")
        yield* F.accept(driver, F.flow("B2", { scope: "s" }))
        const second = yield* F.stageOf(driver, ["a", "b"])
        yield* expectEqual(second.idempotencyKey, first.idempotencyKey, "the key")
        yield* driver.complete({ runId: second.runId })
        yield* expectEqual(yield* F.drain(driver), [["B2"]], "what follows")
      })
  ),
  F.make(
    "a held batch without a receipt is dissolved as well, and its other members stay held",
    (driver) =>
      Effect.gen(function*() {
        const [a, b] = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b", { scope: "s" })])
        const { runId } = yield* F.stageOf(driver, ["a", "b"])
        yield* driver.hold({ runId, reason: "question" })
        const newer = yield* F.accept(driver, F.flow("B", { scope: "s" }))
        yield* expectSuperseded(driver, b!, newer.inputId)
        yield* F.expectPhase(driver, a!, "held")
        yield* driver.release(a!)
        yield* expectEqual(yield* F.drain(driver), [["a", "B"]], "the batches")
      })
  ),
  F.make(
    "I8: what was superseded or coalesced is never staged again, and its outcome never changes",
    (driver) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
        const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
        yield* driver.recover
        yield* driver.recycle
        yield* driver.reset
        yield* expectSuperseded(driver, older.inputId, newer.inputId)
        yield* F.nothing(driver)
      })
  ),
  F.make("a steer handed to the run is not replaced; once it came back it is", (driver) =>
    Effect.gen(function*() {
      const run = yield* F.running(driver)
      const older = yield* F.accept(driver, F.steer("old", { scope: "s" }))
      yield* driver.checkpoint({ runId: run.runId })
      const newer = yield* F.accept(driver, F.steer("new", { scope: "s" }))
      yield* F.expectPhase(driver, older.inputId, "staged")
      yield* F.fail(driver, run)
      yield* expectSuperseded(driver, older.inputId, newer.inputId)
    }))
]

export const cases = [...successors, ...ofBatches]

export const durableCases = [
  F.makeDurable(
    "D3, I8: what was superseded stays so after a restart, and its successor is staged alone",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
        const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
        const again = yield* restart()
        yield* expectSuperseded(again, older.inputId, newer.inputId)
        yield* expectEqual(yield* F.drain(again), [["new"]], "what is staged")
      })
  ),
  F.makeDurable(
    "an input of a lost run is superseded at recovery when a newer of its scope waits",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const older = yield* F.accept(driver, F.flow("old", { scope: "s" }))
        yield* F.stage(driver)
        const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
        const again = yield* restart()
        yield* expectSuperseded(again, older.inputId, newer.inputId)
        yield* expectEqual(yield* F.drain(again), [["new"]], "what is staged")
      })
  )
]
