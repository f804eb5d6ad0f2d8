/**
 * What the original driver got wrong (its defects have numbers) and no other part shows.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { ClaimId, RuntimeId } from "../../../schema/Ids.js"
import type { OpsSnapshot } from "../../../schema/Ops.js"
import * as Session from "../../../schema/Session.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

export const cases = [
  F.make(
    "D12: a boundary that failed leaves a runtime that can go on: its run fails, and is tried again",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* Effect.exit(driver.complete({ runId: run.runId, alongside: Effect.fail("disk full") }))
        yield* expectEqual(yield* driver.state, "running", "the state")
        yield* F.fail(driver, run)
        const second = yield* F.stageOf(driver, ["go"])
        yield* driver.complete({ runId: second.runId })
        yield* expectEqual(yield* driver.state, "idle", "the state in the end")
      })
  ),
  F.make(
    "D13: a run whose executor died is failed like any other, with the defect as its failure",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        const exit = yield* Effect.exit(Effect.die(new Error("panic")))
        yield* check(Exit.isFailure(exit), "the executor died")
        yield* driver.onRunEvent({
          _tag: "run_failed",
          runId: run.runId,
          failure: { tag: "Defect", message: "panic" }
        })
        const second = yield* F.stageOf(driver, ["go"])
        yield* expectEqual(second.inputs[0]!.head.failure, { tag: "Defect", message: "panic" }, "its failure")
      })
  ),
  F.make(
    "D15: a failed run's answer and event tell what will be tried again, and what is over",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        const replies = yield* Effect.forEach(
          Array.from({ length: F.limits.attemptsMax }),
          () => Effect.flatMap(F.stage(driver), (run) => F.fail(driver, run))
        )
        yield* expectEqual(
          replies,
          [
            { requeued: [inputId], abandoned: [] },
            { requeued: [inputId], abandoned: [] },
            { requeued: [], abandoned: [inputId] }
          ],
          "the answers"
        )
        const found = yield* F.events(driver)
        yield* expectEqual(F.only(found, "run.failed").map(({ requeued }) => requeued.length), [1, 1, 0], "the events")
        yield* expectEqual(F.only(found, "input.abandoned").map((event) => event.inputId), [inputId], "the end")
      })
  ),
  F.make(
    "D16: an input goes from staged to consumed with its run's final boundary: there is nothing in between",
    (driver) =>
      Effect.gen(function*() {
        const { inputs, runId } = yield* F.running(driver)
        const { id } = inputs[0]!.head
        yield* driver.checkpoint({ runId })
        yield* driver.note({ runId, notes: [{ scope: "s", key: "k", value: 1 }] })
        yield* F.expectPhase(driver, id, "staged")
        yield* driver.complete({ runId })
        yield* F.expectPhase(driver, id, "consumed")
        yield* expectEqual(yield* driver.openRun, Option.none(), "the open run")
      })
  ),
  F.make(
    "D20, I16: an input that has ended is active no more; its state is read from its row",
    (driver) =>
      Effect.gen(function*() {
        const ids: Array<string> = []
        for (let i = 0; i < 150; i++) {
          const { inputId } = yield* F.accept(driver, F.prompt(`${i}`))
          const { runId } = yield* F.stage(driver)
          yield* driver.complete({ runId })
          ids.push(inputId)
          yield* F.expectPhase(driver, inputId, "consumed")
        }
        yield* expectEqual(yield* driver.activeInputIds, [], "the active inputs")
        yield* expectEqual(ids.length > F.limits.queueDepthMax, true, "more of them than the queue is deep")
      })
  ),
  F.make(
    "D23: there is one copy of each input's state: after every command memory and rows are one",
    (driver) =>
      Effect.gen(function*() {
        const step = <A, E>(command: Effect.Effect<A, E>) => Effect.tap(command, () => F.expectConsistent(driver))
        yield* step(F.acceptAll(driver, [F.flow("a", { scope: "s" }), F.flow("b"), F.steer("s"), F.prompt("p")]))
        const first = yield* step(F.stage(driver))
        yield* step(driver.checkpoint({ runId: first.runId, delta: { append: [Session.assistant("x")] } }))
        yield* step(F.acceptAll(driver, [F.flow("A", { scope: "s" }), F.steer("t"), F.operation("o")]))
        yield* step(driver.checkpoint({ runId: first.runId }))
        yield* step(F.fail(driver, first))
        const second = yield* step(F.stage(driver))
        yield* step(driver.hold({ runId: second.runId, reason: "question" }))
        yield* step(driver.release(second.inputs[0]!.head.id))
        const third = yield* step(F.stage(driver))
        yield* step(driver.giveBack({ runId: third.runId, visibleAt: 1_000 }))
        yield* step(Effect.either(driver.accept(F.prompt("", { key: "" }))))
        const fourth = yield* step(F.stage(driver))
        yield* step(driver.cancel({ runId: fourth.runId, reason: "x" }))
        yield* step(driver.recover)
        yield* step(driver.recycle)
        yield* step(driver.abandonPending({ _tag: "retired" }))
        yield* expectEqual(yield* driver.activeInputIds, [], "the active inputs")
        yield* F.events(driver)
      })
  ),
  F.make(
    "D12, I3: a command that is refused in each of its ways leaves everything as it was",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* F.accept(driver, F.prompt("p", { key: "k" }))
        const commands: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          driver.accept(F.prompt("q", { key: "k" })),
          driver.stage(),
          driver.checkpoint({ runId, after: 3 }),
          driver.reset,
          driver.recycle,
          driver.clearSession,
          driver.publish("", null)
        ]
        for (const command of commands) {
          const outcome = yield* F.expectUnchanged(driver, Effect.either(command))
          yield* check(Either.isLeft(outcome), "the command is refused")
        }
      })
  )
]

const snapshot: OpsSnapshot = {
  epochId: "epoch",
  operations: [],
  feed: [{
    sequence: 1,
    operationId: "evicted",
    kind: "background_tool_op",
    outcome: { _tag: "failed", error: "it did not work" }
  }],
  nextCompletionSequence: 2,
  concurrentMax: null,
  cursors: { agentApplied: 0, runtimeObserved: 0, runtimeInjected: 0 }
}

export const durableCases = [
  F.makeDurable(
    "D22: the feed keeps the outcome of an operation that was evicted, for whoever waited for it",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        const runtimeId = RuntimeId.make(`${driver.runtimeId}/operations`)
        const token = yield* store.claim(runtimeId, ClaimId.make(yield* F.freshInputId))
        yield* store.persistOpsLifecycle(runtimeId, { token, n: 1 }, snapshot)
        yield* restart()
        yield* expectEqual(yield* store.loadOpsLifecycle(runtimeId), Option.some(snapshot), "the stored snapshot")
      })
  ),
  F.makeDurable(
    "D12, I2: a boundary that failed is no part of what the next owner finds",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { inputs, runId } = yield* F.running(driver)
        yield* Effect.exit(driver.complete({ runId, alongside: Effect.die("panic") }))
        const again = yield* restart()
        yield* F.expectPhase(again, inputs[0]!.head.id, "queued")
        yield* expectFailure(again.complete({ runId }), "RunNotOpen")
      })
  )
]
