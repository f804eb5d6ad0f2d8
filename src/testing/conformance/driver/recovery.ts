/**
 * What the next owner makes of what it finds, and what a driver makes of itself when it is told to recover.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Session from "../../../schema/Session.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const nothingFound = { active: 0, requeued: 0, consumed: 0, abandoned: 0, lostRun: false, corrupt: [] }

/** A run of [a, b] with one boundary, a steer handed over, and a prompt that waits. */
const midway = (driver: Service) =>
  Effect.gen(function*() {
    const batch = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
    const run = yield* F.stageOf(driver, ["a", "b"])
    const steer = yield* F.accept(driver, F.steer("s"))
    yield* driver.checkpoint({ runId: run.runId, delta: { append: [Session.assistant("half")] } })
    yield* F.accept(driver, F.prompt("next"))
    return { batch, run, steer: steer.inputId }
  })

const alive = [
  F.make("a runtime that nobody has used has nothing to recover", (driver) =>
    Effect.gen(function*() {
      yield* expectEqual(yield* driver.recovery, nothingFound, "the report")
      yield* expectEqual(yield* driver.state, "idle", "the state")
      yield* expectEqual(yield* driver.takeSignal, "none", "the signal")
    })),
  F.make(
    "D17, I10: recover on a live driver closes the open run as lost, and its executor's boundaries are RunNotOpen",
    (driver) =>
      Effect.gen(function*() {
        const { batch, run, steer } = yield* midway(driver)
        const report = yield* driver.recover
        yield* expectEqual(report, { ...nothingFound, active: 4, requeued: 3, lostRun: true }, "the report")
        yield* expectEqual(yield* driver.recovery, report, "the recovery that it remembers")
        yield* expectEqual(yield* driver.openRun, Option.none(), "the open run")
        for (const id of [...batch, steer]) yield* F.expectPhase(driver, id, "queued")
        yield* F.expectConsistent(driver)
        yield* expectFailure(driver.complete({ runId: run.runId }), "RunNotOpen")
        const second = yield* F.stageOf(driver, ["a", "b"])
        yield* expectEqual([second.attempt, second.idempotencyKey], [2, run.idempotencyKey], "attempt and key")
      })
  ),
  F.make("a second recovery finds nothing more to do", (driver) =>
    Effect.gen(function*() {
      yield* midway(driver)
      yield* driver.recover
      const before = yield* F.look(driver)
      yield* expectEqual(yield* driver.recover, { ...nothingFound, active: 4 }, "the second report")
      yield* expectEqual(yield* F.look(driver), before, "what the driver shows")
    })),
  F.make("recovery wakes the loop when something is ready", (driver) =>
    Effect.gen(function*() {
      yield* F.running(driver)
      yield* driver.takeSignal
      yield* driver.recover
      yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
    })),
  F.make("a run that was lost is in the log", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.recover
      yield* expectEqual(F.only(yield* F.events(driver), "run.lost"), [{ _tag: "run.lost", runId }], "the events")
    })),
  F.make("an executor that is attached stays so when its driver recovers", (driver) =>
    Effect.gen(function*() {
      yield* driver.attach("agent")
      yield* driver.recover
      yield* expectEqual(yield* driver.state, "attached", "the state")
    }))
]

const crashes = [
  F.makeDurable(
    "I1: everything that was accepted is there after a crash, in its order, with its body",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const drafts = [
          F.prompt("a"),
          F.message("b"),
          F.request("c", "ask"),
          F.progress("d"),
          F.terminal("e"),
          F.flow("f"),
          F.external("g"),
          F.continuation("h"),
          F.external("i", { durability: "derived", origin: { _tag: "system" } })
        ]
        const ids = yield* F.acceptAll(driver, drafts)
        const before = yield* Effect.forEach(ids, (id) => driver.loadInput(id))
        const again = yield* restart()
        yield* expectEqual(yield* again.activeInputIds, ids, "the active inputs")
        yield* expectEqual(yield* Effect.forEach(ids, (id) => again.loadInput(id)), before, "what is stored")
        yield* F.expectConsistent(again)
        yield* expectEqual(yield* again.recovery, { ...nothingFound, active: ids.length }, "the report")
        yield* expectEqual(yield* F.drain(again), [["d", "h"], ["a"], ["b", "c", "e", "f", "g", "i"]], "the batches")
      })
  ),
  F.makeDurable(
    "I1: ephemeral inputs end as process_ended with their process, and the report counts them",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("e", { durability: "ephemeral", key: "k" }))
        yield* F.accept(driver, F.prompt("d"))
        const again = yield* restart()
        const { outcome } = yield* F.head(again, inputId)
        yield* expectEqual(outcome, { _tag: "abandoned", reason: { _tag: "process_ended" } }, "the outcome")
        yield* expectEqual(yield* again.recovery, { ...nothingFound, active: 1, abandoned: 1 }, "the report")
        yield* expectEqual(F.only(yield* F.events(again), "input.abandoned").length, 1, "how often the log tells of it")
      })
  ),
  F.makeDurable(
    "I10: a crash leaves the run open, and the next owner closes it as lost and tries again",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* F.accept(driver, F.prompt("next"))
        const again = yield* restart()
        yield* expectEqual(yield* again.state, "idle", "the state")
        yield* expectEqual(
          yield* again.recovery,
          { ...nothingFound, active: 2, requeued: 1, lostRun: true },
          "the report"
        )
        const second = yield* F.stageOf(again, ["go"])
        yield* expectEqual([second.attempt, second.idempotencyKey], [2, first.idempotencyKey], "attempt and key")
        yield* expectEqual(second.inputs[0]!.head.failure?.tag, "ProcessEnded", "its failure")
        yield* expectFailure(again.complete({ runId: first.runId }), "RunNotOpen")
      })
  ),
  F.makeDurable(
    "I6, I11: the lost batch goes first, whole, and sees the session of its last boundary",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { run } = yield* midway(driver)
        const committed = yield* driver.session
        const again = yield* restart()
        const second = yield* F.stageOf(again, ["a", "b"])
        yield* expectEqual(second.session, committed, "the session")
        const { batchId, runId } = run
        yield* expectEqual(second.resume, Option.some({ batchId, runId, sequence: 1 }), "what it resumes")
        const { steers } = yield* again.checkpoint({ runId: second.runId })
        yield* expectEqual(F.labels(steers), ["s"], "the steers, which are handed over again")
        yield* again.complete({ runId: second.runId })
        yield* expectEqual(yield* F.drain(again), [["next"]], "what follows")
      })
  ),
  F.makeDurable(
    "I13: attempts of processes that died count, and the last one is the last",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("poison"))
        let now = driver
        for (let attempt = 1; attempt <= F.limits.attemptsMax; attempt++) {
          yield* expectEqual((yield* F.stageOf(now, ["poison"])).attempt, attempt, "the attempt")
          now = yield* restart()
        }
        yield* expectEqual(
          yield* now.recovery,
          { ...nothingFound, active: 1, requeued: 1, lostRun: true },
          "the report"
        )
        // How many there may be is known to whoever stages.
        yield* F.nothing(now)
        const { outcome } = yield* F.head(now, inputId)
        yield* expectEqual(
          outcome,
          { _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts: F.limits.attemptsMax } },
          "the outcome"
        )
      })
  ),
  F.makeDurable("I13: a clean shutdown costs nothing, however often", (driver, { restart }) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      let now = driver
      for (let i = 0; i < F.limits.stagingsMax + 1; i++) {
        const run = yield* F.stageOf(now, ["p"])
        yield* expectEqual(run.attempt, 1, "the attempt")
        yield* now.giveBack({ runId: run.runId })
        now = yield* restart()
      }
    })),
  F.makeDurable(
    "by policy, a lost batch is held as in_doubt, and goes first when it is released",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { batch, run, steer } = yield* midway(driver)
        const again = yield* restart("hold")
        for (const id of batch) {
          const { hold, phase } = yield* F.head(again, id)
          yield* expectEqual([phase, hold], ["held", "in_doubt"], "the head")
        }
        yield* F.expectPhase(again, steer, "queued")
        yield* expectEqual(yield* F.drain(again), [["s"], ["next"]], "what goes on")
        yield* again.release(batch[0]!)
        const second = yield* F.stageOf(again, ["a", "b"])
        yield* expectEqual([second.attempt, second.idempotencyKey], [1, run.idempotencyKey], "attempt and key")
        yield* check(!second.afterLoss, "it is not in doubt any more")
      })
  ),
  F.makeDurable(
    "by policy, a lost batch is settled as outcome_unknown",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { batch } = yield* midway(driver)
        const again = yield* restart("settle")
        for (const id of batch) {
          const { outcome } = yield* F.head(again, id)
          yield* expectEqual(outcome, { _tag: "abandoned", reason: { _tag: "outcome_unknown" } }, "the outcome")
        }
        yield* expectEqual(yield* F.drain(again), [["s"], ["next"]], "what goes on")
      })
  ),
  F.makeDurable(
    "I8: what a final boundary consumed stays consumed after a crash",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { inputs, runId } = yield* F.running(driver)
        yield* driver.complete({ runId })
        const before = yield* F.head(driver, inputs[0]!.head.id)
        const again = yield* restart()
        yield* expectEqual(yield* F.head(again, inputs[0]!.head.id), before, "the head")
        yield* F.nothing(again)
      })
  ),
  F.makeDurable(
    "I15: accepted = active + held + consumed + superseded + coalesced + abandoned, over a crash",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [
          F.prompt("consumed"),
          F.operation("consumed at once"),
          F.external("old", { scope: "s" }),
          F.external("new", { scope: "s" }),
          F.progress("old", { scope: "t" }),
          F.progress("new", { scope: "t" }),
          F.prompt("ephemeral", { durability: "ephemeral" })
        ])
        const held = yield* F.accept(driver, F.prompt("held"))
        yield* driver.holdInput({ inputId: held.inputId, reason: "operator" })
        const steers = yield* F.stageOf(driver, ["new"])
        yield* driver.complete({ runId: steers.runId })
        const prompt = yield* F.stageOf(driver, ["consumed"])
        yield* driver.complete({ runId: prompt.runId })
        yield* F.stageOf(driver, ["new"])
        const again = yield* restart()
        const totals = yield* store.loadTotals(again.runtimeId)
        yield* expectEqual(totals, {
          accepted: 8,
          active: 1,
          held: 1,
          consumed: 3,
          superseded: 1,
          coalesced: 1,
          abandoned: 1,
          receipts: 2,
          runs: 3
        }, "the totals")
      })
  ),
  F.makeDurable(
    "I18: numbers go on where they were: events stay dense over a crash",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* midway(driver)
        const before = yield* F.events(driver)
        const again = yield* restart()
        const found = yield* F.events(again)
        yield* expectEqual(found.slice(0, before.length), before, "the events of the first owner")
        yield* check(found.length > before.length, "the recovery is in the log")
        const { sequence } = yield* F.accept(again, F.prompt("later"))
        const numbers = yield* F.eventsUntil(
          again,
          (event) => event._tag === "input.accepted" && event.kind === "prompt" && found.length > 0,
          sequence - 1
        )
        yield* expectEqual(numbers.map(({ number }) => number), [sequence], "the number of the next input")
      })
  ),
  F.makeDurable(
    "I13: a batch that was split before its last attempt stays split after a crash",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        yield* F.failUntilLast(driver)
        yield* F.stageOf(driver, ["a"])
        const again = yield* restart()
        const b = yield* F.stageOf(again, ["b"])
        yield* again.complete({ runId: b.runId })
        yield* F.nothing(again)
      })
  )
]

export const cases = alive
export const durableCases = crashes
