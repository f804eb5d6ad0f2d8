/**
 * How each kind is treated while no run is open and while one is, and what a sleeping or busy loop is told.
 */
import * as Effect from "effect/Effect"
import type * as Input from "../../../schema/Input.js"
import type { PolicyDecision, WakeSignal } from "../../../schema/Policy.js"
import type { HandlingMode } from "../../../schema/Turn.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

type Cell = Pick<PolicyDecision, "apply" | "wake" | "queue" | "route" | "consume" | "recordTranscript">

const queue: Cell = {
  apply: "stage_run_start",
  wake: "wake_if_idle",
  queue: "fifo",
  route: "queue",
  consume: "on_final",
  recordTranscript: true
}
const quiet: Cell = { ...queue, wake: "none" }
const pressing: Cell = { ...queue, wake: "interrupt_yielding" }
const steer: Cell = { ...queue, apply: "stage_run_boundary", route: "steer" }
const steering: Cell = { ...steer, wake: "interrupt_yielding" }
const riding: Cell = { ...steer, apply: "ride_along", wake: "none" }
const unseen = (cell: Cell): Cell => ({ ...cell, recordTranscript: false })
const ignored: Cell = {
  apply: "ignore",
  wake: "none",
  queue: "fifo",
  route: "drop",
  consume: "on_accept",
  recordTranscript: false
}

interface Row {
  readonly what: string
  readonly draft: Input.Draft
  readonly idle: readonly [Cell, WakeSignal]
  readonly running: readonly [Cell, WakeSignal]
}

const rows: ReadonlyArray<Row> = [
  { what: "a prompt", draft: F.prompt("x"), idle: [queue, "wake_loop"], running: [quiet, "none"] },
  {
    what: "a peer's message",
    draft: F.message("x"),
    idle: [queue, "wake_loop"],
    running: [pressing, "interrupt_yielding"]
  },
  {
    what: "a peer's request",
    draft: F.request("x", "ask"),
    idle: [queue, "wake_loop"],
    running: [pressing, "interrupt_yielding"]
  },
  {
    what: "progress of a response",
    draft: F.progress("x"),
    idle: [{ ...steer, queue: "coalesce", wake: "wake_if_idle" }, "request_immediate_processing"],
    running: [{ ...steer, queue: "coalesce", wake: "none" }, "none"]
  },
  {
    what: "a terminal response",
    draft: F.terminal("x"),
    idle: [queue, "wake_loop"],
    running: [steer, "request_immediate_processing"]
  },
  { what: "a flow's step", draft: F.flow("x"), idle: [queue, "wake_loop"], running: [quiet, "none"] },
  { what: "an external event", draft: F.external("x"), idle: [queue, "wake_loop"], running: [quiet, "none"] },
  {
    what: "a continuation",
    draft: F.continuation("x"),
    idle: [unseen(steer), "request_immediate_processing"],
    running: [unseen(steering), "request_immediate_processing"]
  },
  { what: "an operation", draft: F.operation("x"), idle: [ignored, "none"], running: [ignored, "none"] }
]

type Handled = readonly [what: string, draft: (mode: HandlingMode) => Input.Draft, record: (cell: Cell) => Cell]

const handled: ReadonlyArray<Handled> = [
  ["a prompt", (mode) => F.prompt("x", {}, mode), (cell) => cell],
  ["a flow's step", (mode) => F.flow("x", {}, mode), (cell) => cell],
  ["a peer's message", (mode) => F.message("x", {}, mode), (cell) => cell],
  ["a peer's request", (mode) => F.request("x", "ask", {}, mode), (cell) => cell],
  ["an external event", (mode) => F.external("x", {}, mode), (cell) => cell],
  ["a continuation", (mode) => F.continuation("x", {}, mode), unseen]
]

const byMode = handled.flatMap(([what, draft, record]): ReadonlyArray<Row> => [
  {
    what: `${what} to be queued`,
    draft: draft("queue"),
    idle: [record(queue), "wake_loop"],
    running: [record(quiet), "none"]
  },
  {
    what: `${what} to steer`,
    draft: draft("steer"),
    idle: [record(steer), "request_immediate_processing"],
    running: [record(steering), "request_immediate_processing"]
  },
  {
    what: `${what} to ride along`,
    draft: draft("ride_along"),
    idle: [record(riding), "none"],
    running: [record(riding), "none"]
  }
])

const terminalSteer: Row = {
  what: "a terminal response to steer, which outranks the queue and begins a run of its own",
  draft: F.terminal("x", {}, "steer"),
  idle: [{ ...steer, apply: "stage_run_start" }, "request_immediate_processing"],
  running: [{ ...steering, apply: "stage_run_start" }, "request_immediate_processing"]
}

const expectRow = (driver: Service, draft: Input.Draft, [cell, signal]: readonly [Cell, WakeSignal]) =>
  Effect.gen(function*() {
    yield* driver.takeSignal
    const { state } = yield* F.accept(driver, draft)
    const { reason, version, ...decided } = state.policy
    yield* expectEqual<Cell>(decided, cell, "the decision")
    yield* check(reason !== "" && version > 0, "the decision has a version and a reason")
    yield* expectEqual(state.lane, cell.route === "drop" ? null : cell.route, "the lane")
    yield* expectEqual(yield* driver.takeSignal, signal, "the signal")
  })

const table = [...rows, ...byMode, terminalSteer].flatMap(({ draft, idle, running, what }) => [
  F.make(
    `${what}, while no run is open: ${idle[0].apply}, ${idle[0].route}, ${idle[1]}`,
    (driver) => expectRow(driver, draft, idle)
  ),
  F.make(
    `${what}, while an executor is attached and no run is open, is treated as if nobody were`,
    (driver) => Effect.zipRight(driver.attach("agent"), expectRow(driver, draft, idle))
  ),
  F.make(
    `${what}, while a run is open: ${running[0].apply}, ${running[0].route}, ${running[1]}`,
    (driver) => Effect.zipRight(F.running(driver), expectRow(driver, draft, running))
  )
])

const decisions = [
  F.make("the decision is made once, at admission, and stored with the input", (driver) =>
    Effect.gen(function*() {
      yield* F.running(driver)
      const { inputId, state } = yield* F.accept(driver, F.message("m"))
      const stored = yield* F.some(yield* driver.loadInput(inputId), "the input is stored")
      yield* expectEqual(stored.head.policy, state.policy, "the stored decision")
    })),
  F.make(
    "a key for supersession makes a fifo decision one that supersedes, and says so",
    (driver) =>
      Effect.gen(function*() {
        const { state } = yield* F.accept(driver, F.prompt("p", { scope: "s" }))
        yield* expectEqual(state.policy.queue, "supersede", "what the queue does")
        yield* check(state.policy.reason.includes("supersession_key"), "the reason names the key")
      })
  ),
  F.make(
    "an input that is not for the transcript is not recorded, and the decision says so",
    (driver) =>
      Effect.gen(function*() {
        const { state } = yield* F.accept(driver, F.prompt("p", { visibility: { transcript: false, operator: true } }))
        yield* expectEqual(state.policy.recordTranscript, false, "recordTranscript")
        yield* check(state.policy.reason.includes("not_for_transcript"), "the reason names it")
      })
  ),
  F.make(
    "an operation is consumed at admission: it has an outcome, reaches no run and wakes nobody",
    (driver) =>
      Effect.gen(function*() {
        const { inputId, state } = yield* F.accept(driver, F.operation("o"))
        yield* expectEqual(state.phase, "consumed", "the phase")
        yield* expectEqual(state.outcome, { _tag: "consumed", runId: null, sequence: null }, "the outcome")
        yield* F.expectPhase(driver, inputId, "consumed")
        yield* F.nothing(driver)
        yield* expectEqual(F.tags(yield* F.events(driver)), ["input.accepted", "input.consumed"], "the events")
      })
  )
]

const signals = [
  F.make("signals add up to the strongest, and taking it leaves none", (driver) =>
    Effect.gen(function*() {
      yield* F.running(driver)
      yield* driver.takeSignal
      yield* F.acceptAll(driver, [F.message("m"), F.continuation("c"), F.message("n"), F.prompt("p")])
      yield* expectEqual(yield* driver.takeSignal, "request_immediate_processing", "the signal")
      yield* expectEqual(yield* driver.takeSignal, "none", "the signal after it was taken")
    })),
  F.make("a weaker signal does not hide a stronger one that nobody took", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.prompt("p")])
      yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal of a prompt")
      yield* F.stageOf(driver, ["p"])
      yield* driver.takeSignal
      yield* F.acceptAll(driver, [F.message("m"), F.prompt("p")])
      yield* expectEqual(yield* driver.takeSignal, "interrupt_yielding", "the signal of message and prompt")
    })),
  F.make("a duplicate, a rejected and a refused input wake nobody", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p", { key: "k" }))
      yield* driver.takeSignal
      yield* driver.accept(F.prompt("p", { key: "k" }))
      yield* F.rejected(driver, F.prompt("p", { durability: "derived" }))
      yield* Effect.ignore(driver.accept(F.prompt("q", { key: "k" })))
      yield* expectEqual(yield* driver.takeSignal, "none", "the signal")
    })),
  F.make("I14: the end of a run wakes the loop when something is ready", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.prompt("next"))
      yield* driver.takeSignal
      yield* driver.complete({ runId })
      yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
    })),
  F.make(
    "I14: a failed run wakes the loop for its own batch and for what waits behind it",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* driver.takeSignal
        yield* F.fail(driver, run)
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
      })
  ),
  F.make("I14: a run that ends with nothing ready wakes nobody", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.takeSignal
      yield* driver.complete({ runId })
      yield* expectEqual(yield* driver.takeSignal, "none", "the signal")
    })),
  F.make(
    "I14: attach, unpause, resume and release wake the loop when something waits",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        const commands = [
          driver.attach(),
          Effect.zipRight(driver.pause, driver.unpause),
          Effect.zipRight(driver.stop, driver.resume),
          Effect.zipRight(driver.holdInput({ inputId, reason: "operator" }), driver.release(inputId))
        ]
        for (const command of commands) {
          yield* driver.takeSignal
          yield* command
          yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
        }
      })
  )
]

const silent = [
  F.make("silent intents are sorted and without duplicates", (driver) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["b", "a", "b"])
      yield* expectEqual(yield* driver.silentIntents, ["a", "b"], "the silent intents")
      yield* driver.setSilentIntents(["c"])
      yield* expectEqual(yield* driver.silentIntents, ["c"], "the silent intents that were set again")
      yield* driver.setSilentIntents([])
      yield* expectEqual(yield* driver.silentIntents, [], "no silent intents")
    })),
  F.make(
    "a request with a silent intent is admitted without waking anybody, idle or running",
    (driver) =>
      Effect.gen(function*() {
        yield* driver.setSilentIntents(["quiet"])
        const { state } = yield* F.accept(driver, F.request("q", "quiet"))
        yield* expectEqual<Cell["apply"]>(state.policy.apply, "stage_run_start", "how it is applied")
        yield* expectEqual(state.policy.wake, "none", "whom it wakes")
        yield* check(state.policy.reason.includes("silent_intent"), "the reason names it")
        yield* expectEqual(yield* driver.takeSignal, "none", "the signal while idle")
        yield* F.stageOf(driver, ["q"])
        yield* driver.takeSignal
        yield* F.accept(driver, F.request("r", "quiet"))
        yield* expectEqual(yield* driver.takeSignal, "none", "the signal while running")
      })
  ),
  F.make("a silent request rides along with the next batch, in its place", (driver) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["quiet"])
      yield* F.acceptAll(driver, [F.request("q", "quiet"), F.message("m")])
      yield* F.stageOf(driver, ["q", "m"])
    })),
  F.make("a silent request that is to ride along begins no run", (driver) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["quiet"])
      const { state } = yield* F.accept(driver, F.request("q", "quiet", {}, "ride_along"))
      yield* expectEqual<Cell["apply"]>(state.policy.apply, "ride_along", "how it is applied")
      yield* F.nothing(driver)
    })),
  F.make("a silent request to steer is not handed to an open run", (driver) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["quiet"])
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.request("q", "quiet", {}, "steer"))
      yield* expectEqual((yield* driver.checkpoint({ runId })).steers.length, 0, "the steers handed over")
      yield* driver.complete({ runId })
      yield* F.stageOf(driver, ["q"])
    })),
  F.make("other intents, other conventions and other kinds are not silent", (driver) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["quiet"])
      for (const draft of [F.request("q", "loud"), F.message("quiet"), F.prompt("quiet")]) {
        yield* F.accept(driver, draft)
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
      }
    }))
]

export const cases = [...table, ...decisions, ...signals, ...silent]

export const durableCases = [
  F.makeDurable("silent intents survive a restart", (driver, { restart }) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["z", "a"])
      const again = yield* restart()
      yield* expectEqual(yield* again.silentIntents, ["a", "z"], "the silent intents")
      yield* again.takeSignal
      yield* F.accept(again, F.request("q", "z"))
      yield* expectEqual(yield* again.takeSignal, "none", "the signal")
    })),
  F.makeDurable("I14: a restart with something ready wakes the loop", (driver, { restart }) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      const again = yield* restart()
      yield* expectEqual(yield* again.takeSignal, "wake_loop", "the signal")
    }))
]
