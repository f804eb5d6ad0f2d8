/**
 * The verbs of the lifecycle (design §10): what each does to the queue, to an open run, to new inputs and to the session,
 * from each state and twice.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { RuntimeState } from "../../../schema/Runtime.js"
import type { RuntimeEvent } from "../../../schema/RuntimeEvent.js"
import * as Session from "../../../schema/Session.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

type Verb = "retire" | "reset" | "stop" | "resume" | "recycle" | "destroy"
type From = "idle" | "attached" | "running" | "retired" | "draining" | "stopped" | "destroyed"

/** Brings a runtime that nobody has used into a state. */
const into: { readonly [S in From]: (driver: Service) => Effect.Effect<unknown, unknown> } = {
  idle: () => Effect.void,
  attached: (driver) => driver.attach("agent"),
  running: (driver) => F.running(driver),
  retired: (driver) => driver.retire,
  draining: (driver) => Effect.zipRight(F.running(driver), driver.retire),
  stopped: (driver) => driver.stop,
  destroyed: (driver) => driver.destroy
}

const seenAs: { readonly [S in From]: RuntimeState } = {
  idle: "idle",
  attached: "attached",
  running: "running",
  retired: "retired",
  draining: "retired",
  stopped: "stopped",
  destroyed: "destroyed"
}

type Answer = RuntimeState | "NotReady" | "Destroyed" | "RunInProgress"

const states: ReadonlyArray<From> = ["idle", "attached", "running", "retired", "draining", "stopped", "destroyed"]

/** Where each verb leads from each state, in the order of `states`; or how it is refused. */
const transitions: { readonly [V in Verb]: ReadonlyArray<Answer> } = {
  retire: ["retired", "retired", "retired", "retired", "retired", "NotReady", "Destroyed"],
  reset: ["idle", "attached", "RunInProgress", "idle", "RunInProgress", "NotReady", "Destroyed"],
  stop: ["stopped", "stopped", "stopped", "NotReady", "NotReady", "stopped", "Destroyed"],
  resume: ["idle", "attached", "running", "NotReady", "NotReady", "idle", "Destroyed"],
  recycle: ["idle", "attached", "RunInProgress", "idle", "RunInProgress", "NotReady", "Destroyed"],
  destroy: ["destroyed", "destroyed", "destroyed", "destroyed", "destroyed", "destroyed", "Destroyed"]
}

const refused = (answer: Answer): answer is "NotReady" | "Destroyed" | "RunInProgress" =>
  answer === "NotReady" || answer === "Destroyed" || answer === "RunInProgress"

const expectTransition = (driver: Service, verb: Verb, from: From, answer: Answer) =>
  Effect.gen(function*() {
    yield* into[from](driver)
    yield* expectEqual(yield* driver.state, seenAs[from], "the state before")
    const command: Effect.Effect<unknown, { readonly _tag: string }> = driver[verb]
    if (refused(answer)) {
      yield* F.expectUnchanged(driver, expectFailure(command, answer))
    } else {
      yield* command
      yield* expectEqual<RuntimeState>(yield* driver.state, answer, "the state afterwards")
    }
  })

const verbs: ReadonlyArray<Verb> = ["retire", "reset", "stop", "resume", "recycle", "destroy"]

const table = verbs.flatMap((verb) =>
  states.map((from, i) => {
    const answer = transitions[verb][i]!
    const defects = refused(answer) && (from === "running" || from === "draining") && verb === "reset"
      ? from === "running" ? "D9: " : "D10: "
      : ""
    return F.make(
      refused(answer)
        ? `${defects}${verb} from ${from} is ${answer}, and changes nothing`
        : `${verb} from ${from} leads to ${answer}`,
      (driver) => expectTransition(driver, verb, from, answer)
    )
  })
)

/** What the verb does to new inputs. */
const admission = [
  ...(["retired", "draining", "stopped"] as const).map((from) =>
    F.make(
      `new inputs are refused while ${from}, as NotReady that names the state`,
      (driver) =>
        Effect.gen(function*() {
          yield* into[from](driver)
          const error = yield* F.expectUnchanged(driver, expectFailure(driver.accept(F.prompt("p")), "NotReady"))
          yield* expectEqual(error.state, seenAs[from], "the state that it names")
          yield* expectEqual(error.command, "accept", "the command that it names")
        })
    )
  ),
  F.make("destroy is for ever: inputs, runs, verbs and the session are Destroyed", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      yield* driver.destroy
      const commands: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        driver.accept(F.prompt("q")),
        driver.stage(),
        driver.attach(),
        driver.pause,
        driver.unpause,
        driver.setSilentIntents([]),
        driver.publish("code", null),
        driver.abandonPending({ _tag: "reset" }),
        driver.onControl("stop"),
        driver.onControl("resume"),
        driver.commitSession({ append: [1] }),
        driver.clearSession,
        driver.replaceSnapshotIfCurrent(null, null)
      ]
      for (const command of commands) yield* F.expectUnchanged(driver, expectFailure(command, "Destroyed"))
      yield* driver.recover
      yield* expectEqual(yield* driver.state, "destroyed", "the state after recover")
    })),
  ...(["reset", "recycle", "resume"] as const).map((verb) =>
    F.make(`after ${verb} new inputs are accepted`, (driver) =>
      Effect.gen(function*() {
        yield* verb === "resume" ? driver.stop : driver.retire
        yield* driver[verb]
        yield* F.accept(driver, F.prompt("p"))
        yield* F.stageOf(driver, ["p"])
      }))
  ),
  F.make(
    "a paused runtime accepts inputs, an open run goes on, and no new one is begun",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.pause
        yield* expectEqual(yield* driver.isPaused, true, "isPaused")
        yield* expectEqual(yield* driver.state, "running", "the state")
        yield* F.accept(driver, F.steer("s"))
        yield* expectEqual(F.labels((yield* driver.checkpoint({ runId })).steers), ["s"], "the steers")
        yield* driver.complete({ runId })
        yield* F.accept(driver, F.prompt("p"))
        yield* expectEqual((yield* F.nothing(driver)).paused, true, "paused")
        yield* driver.unpause
        yield* F.stageOf(driver, ["p"])
      })
  ),
  F.make("pause twice and unpause twice is once, in the log too", (driver) =>
    Effect.gen(function*() {
      for (const command of [driver.unpause, driver.pause, driver.pause, driver.unpause, driver.unpause]) yield* command
      const found = F.only(yield* F.events(driver), "runtime.paused")
      yield* expectEqual(found.map(({ paused }) => paused), [true, false], "the events")
    }))
]

const mixed = [F.prompt("a"), F.flow("b"), F.steer("c"), F.prompt("late", { deliverAt: 10_000 })]

const queues = [
  F.make(
    "retire keeps the queue, tells how much there is to drain, and drains it in order",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, mixed.slice(0, 3))
        yield* driver.takeSignal
        const report = yield* driver.retire
        yield* expectEqual(report, { inputsAbandoned: 0, inputsPendingDrain: 3, inputsRiding: 0 }, "the report")
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
        yield* expectEqual(yield* F.drain(driver), [["c"], ["a"], ["b"]], "the batches")
        yield* expectEqual(yield* driver.state, "retired", "the state when it is drained")
      })
  ),
  F.make("D18: an executor can be attached to a retired runtime, to drain it", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("a"))
      yield* driver.retire
      yield* driver.attach("agent")
      yield* expectEqual(yield* F.drain(driver), [["a"]], "the batches")
    })),
  F.make(
    "reset abandons what waits, held and delayed inputs included, and tells how many",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* F.acceptAll(driver, mixed)
        yield* driver.holdInput({ inputId: ids[0]!, reason: "operator" })
        yield* expectEqual(yield* driver.reset, { inputsAbandoned: 4 }, "the report")
        for (const id of ids) {
          const { outcome } = yield* F.head(driver, id)
          yield* expectEqual(outcome, { _tag: "abandoned", reason: { _tag: "reset" } }, "the outcome")
        }
        yield* F.nothing(driver)
        yield* expectEqual(yield* driver.reset, { inputsAbandoned: 0 }, "the report of the second")
      })
  ),
  F.make("D9: reset while a run is open abandons nothing", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const { inputId } = yield* F.accept(driver, F.prompt("p"))
      yield* F.expectUnchanged(driver, expectFailure(driver.reset, "RunInProgress"))
      yield* F.expectPhase(driver, inputId, "queued")
      yield* driver.complete({ runId })
    })),
  F.make(
    "D10: reset of a retired runtime that still has a run is refused, and the run completes",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.retire
        yield* F.expectUnchanged(driver, expectFailure(driver.reset, "RunInProgress"))
        yield* driver.complete({ runId })
        yield* driver.reset
        yield* expectEqual(yield* driver.state, "idle", "the state")
      })
  ),
  F.make("retire lets the open run finish", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.steer("s"))
      yield* driver.retire
      yield* expectEqual(F.labels((yield* driver.checkpoint({ runId })).steers), ["s"], "the steers")
      yield* driver.complete({ runId })
      yield* expectEqual(yield* driver.state, "retired", "the state")
    })),
  F.make(
    "D14: stop cancels the open run, keeps the queue, and resume goes on with it",
    (driver) =>
      Effect.gen(function*() {
        const { inputs, runId } = yield* F.running(driver)
        yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
        yield* expectEqual(yield* driver.stop, { inputsAbandoned: 1 }, "the report")
        const { outcome } = yield* F.head(driver, inputs[0]!.head.id)
        yield* expectEqual(outcome?._tag, "abandoned", "the outcome of what ran")
        yield* expectFailure(driver.complete({ runId }), "RunNotOpen")
        yield* expectFailure(driver.stage(), "NotReady")
        yield* expectEqual((yield* driver.activeInputIds).length, 2, "what still waits")
        yield* driver.resume
        yield* expectEqual(yield* F.drain(driver), [["a"], ["b"]], "what goes on")
      })
  ),
  F.make("D14: destroy cancels the open run, and abandons what waits", (driver) =>
    Effect.gen(function*() {
      const { inputs, runId } = yield* F.running(driver)
      const ids = yield* F.acceptAll(driver, mixed)
      yield* expectEqual(yield* driver.destroy, { inputsAbandoned: 5 }, "the report")
      yield* expectEqual(yield* driver.openRun, Option.none(), "the open run")
      yield* expectEqual(yield* driver.activeInputIds, [], "the active inputs")
      yield* expectFailure(driver.complete({ runId }), "RunNotOpen")
      for (const id of ids) {
        const { outcome } = yield* F.head(driver, id)
        yield* expectEqual(outcome, { _tag: "abandoned", reason: { _tag: "destroyed" } }, "the outcome")
      }
      yield* F.expectPhase(driver, inputs[0]!.head.id, "abandoned")
    })),
  F.make(
    "D7: recycle keeps the work of an idle and of a retired runtime, and answers how much",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, mixed.slice(0, 3))
        yield* expectEqual(yield* driver.recycle, { inputsTransferred: 3 }, "the report")
        yield* driver.retire
        yield* expectEqual(yield* driver.recycle, { inputsTransferred: 3 }, "the report of a retired runtime")
        yield* F.accept(driver, F.prompt("d"))
        yield* expectEqual(yield* F.drain(driver), [["c"], ["a"], ["b"], ["d"]], "the batches")
      })
  ),
  F.make("recycle keeps ephemeral inputs: their process goes on", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p", { durability: "ephemeral" }))
      yield* expectEqual(yield* driver.recycle, { inputsTransferred: 1 }, "the report")
      yield* F.expectPhase(driver, inputId, "queued")
    })),
  F.make("recycle keeps silent intents, pause, session, attempts and batches", (driver) =>
    Effect.gen(function*() {
      yield* driver.setSilentIntents(["quiet"])
      yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
      const first = yield* F.stage(driver)
      yield* driver.checkpoint({ runId: first.runId })
      yield* F.fail(driver, first)
      yield* driver.pause
      const before = yield* F.look(driver)
      yield* driver.recycle
      const { heads, rows, ...after } = yield* F.look(driver)
      yield* expectEqual(heads, before.heads, "the heads")
      yield* expectEqual(rows, before.rows, "the rows")
      yield* expectEqual({ ...after, heads, rows }, before, "everything else")
      yield* driver.unpause
      const second = yield* F.stageOf(driver, ["a", "b"])
      yield* expectEqual([second.attempt, second.idempotencyKey], [2, first.idempotencyKey], "attempt and key")
    })),
  F.make("recycle wakes the loop for the work that it kept", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      yield* driver.takeSignal
      yield* driver.recycle
      yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
    }))
]

const sessions = [
  ...(["pause", "stop", "retire", "reset", "recycle", "destroy"] as const).map((verb) =>
    F.make(`${verb} keeps the session`, (driver) =>
      Effect.gen(function*() {
        yield* driver.commitSession({ append: [Session.user("hello")], snapshot: Uint8Array.of(1) })
        const before = yield* driver.session
        yield* driver[verb]
        yield* expectEqual(yield* driver.session, before, "the session")
        yield* F.expectTranscript(driver, [Session.user("hello")])
      }))
  )
]

const attachment = [
  F.make(
    "attach and detach: idle, attached, idle; detach answers whether an executor was attached",
    (driver) =>
      Effect.gen(function*() {
        yield* expectEqual(yield* driver.isIdle, true, "isIdle")
        yield* driver.attach("agent")
        yield* expectEqual(yield* driver.state, "attached", "the state")
        yield* expectEqual(yield* driver.isIdle, false, "isIdle when attached")
        yield* expectEqual(yield* driver.isIdleOrAttached, true, "isIdleOrAttached")
        yield* expectEqual(yield* driver.detach, true, "what detach answers")
        yield* expectEqual(yield* driver.detach, false, "what the second detach answers")
        yield* expectEqual(yield* driver.state, "idle", "the state afterwards")
      })
  ),
  F.make("a second attach is NotReady, and can be done after detach", (driver) =>
    Effect.gen(function*() {
      yield* driver.attach()
      yield* F.expectUnchanged(driver, expectFailure(driver.attach(), "NotReady"))
      yield* driver.detach
      yield* driver.attach()
    })),
  F.make("an attached runtime runs and is attached again afterwards", (driver) =>
    Effect.gen(function*() {
      yield* driver.attach()
      const { runId } = yield* F.running(driver)
      yield* expectEqual(yield* driver.state, "running", "the state of the run")
      yield* expectEqual(yield* driver.isIdleOrAttached, false, "isIdleOrAttached")
      yield* driver.complete({ runId })
      yield* expectEqual(yield* driver.state, "attached", "the state afterwards")
    })),
  F.make(
    "D13, D17: an executor that is gone can be replaced: detach, recover, attach, and its work runs",
    (driver) =>
      Effect.gen(function*() {
        yield* driver.attach("first")
        yield* F.running(driver)
        yield* driver.detach
        yield* driver.recover
        yield* driver.attach("second")
        yield* expectEqual(yield* F.drain(driver), [["go"]], "the batches")
      })
  ),
  F.make("onControl is stop and resume", (driver) =>
    Effect.gen(function*() {
      yield* driver.onControl("stop")
      yield* expectEqual(yield* driver.state, "stopped", "the state after stop")
      yield* driver.onControl("resume")
      yield* expectEqual(yield* driver.state, "idle", "the state after resume")
    }))
]

const changesOf = (found: ReadonlyArray<RuntimeEvent>) =>
  F.only(found, "runtime.state_changed").map(({ from, to }) => [from, to] as const)

const log = [
  F.make(
    "a change of state is in the log, with both states; a verb that changes none is not",
    (driver) =>
      Effect.gen(function*() {
        for (const verb of ["retire", "retire", "reset", "reset", "stop", "stop", "resume", "resume"] as const) {
          yield* driver[verb]
        }
        yield* expectEqual(
          changesOf(yield* F.events(driver)),
          [["idle", "retired"], ["retired", "idle"], ["idle", "stopped"], ["stopped", "idle"]],
          "the changes"
        )
      })
  ),
  F.make("a change of state while a run is open is in the log as well", (driver) =>
    Effect.gen(function*() {
      yield* F.running(driver)
      yield* driver.stop
      yield* driver.resume
      yield* F.running(driver)
      yield* driver.retire
      yield* expectEqual(
        changesOf(yield* F.events(driver)).map(([, to]) => to),
        ["stopped", "idle", "retired"],
        "where the changes lead"
      )
    })),
  F.make("destroy is in the log, behind what it abandoned", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      yield* driver.destroy
      const found = yield* F.eventsUntil(driver, ({ _tag }) => _tag === "runtime.state_changed")
      yield* expectEqual(
        found.map(({ event }) => event._tag),
        ["input.accepted", "input.abandoned", "runtime.state_changed"],
        "the events"
      )
    })),
  F.make(
    "publish appends an application's event, and refuses a code that is empty or too long",
    (driver) =>
      Effect.gen(function*() {
        yield* driver.publish("app.something", { deep: [1, "two"] })
        for (const code of ["", "c".repeat(F.limits.keyLengthMax + 1)]) {
          const error = yield* expectFailure(driver.publish(code, null), "InvalidInput")
          yield* expectEqual(error.field, "code", "the field")
        }
        const error = yield* expectFailure(driver.publish("app.bad", { x: Number.POSITIVE_INFINITY }), "InvalidInput")
        yield* check(error.field.startsWith("data"), "the field is data")
        yield* expectEqual(
          yield* F.events(driver),
          [{ _tag: "runtime.published", code: "app.something", data: { deep: [1, "two"] } }],
          "the events"
        )
      })
  )
]

export const cases = [...table, ...admission, ...queues, ...sessions, ...attachment, ...log]

const survivors = (["idle", "retired", "stopped", "destroyed"] as const).map((from) =>
  F.makeDurable(`a runtime that is ${from} is so after a restart`, (driver, { restart }) =>
    Effect.gen(function*() {
      if (from !== "destroyed") yield* F.accept(driver, F.prompt("p"))
      yield* into[from](driver)
      const again = yield* restart()
      yield* expectEqual<RuntimeState>(yield* again.state, from, "the state")
      if (from === "stopped") yield* again.resume
      if (from === "destroyed") yield* expectFailure(again.accept(F.prompt("p")), "Destroyed")
      else yield* expectEqual(yield* F.drain(again), [["p"]], "what is drained")
    }))
)

export const durableCases = [
  ...survivors,
  F.makeDurable("pause survives a restart; being attached does not", (driver, { restart }) =>
    Effect.gen(function*() {
      yield* driver.attach("agent")
      yield* driver.pause
      const again = yield* restart()
      yield* expectEqual(yield* again.isPaused, true, "isPaused")
      yield* expectEqual(yield* again.state, "idle", "the state")
    })),
  F.makeDurable(
    "D18: a retired runtime with work can be drained after a restart",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
        yield* driver.retire
        const again = yield* restart()
        yield* again.attach("agent")
        yield* expectEqual(yield* again.takeSignal, "wake_loop", "the signal")
        yield* expectEqual(yield* F.drain(again), [["a"], ["b"]], "the batches")
      })
  ),
  F.makeDurable(
    "the lifecycle record says who owns the runtime, who is bound to it, and how often it was rebuilt",
    (driver, { store }) =>
      Effect.gen(function*() {
        yield* driver.attach("agent")
        const first = yield* F.some(yield* store.loadMachineLifecycle(driver.runtimeId), "there is a record")
        yield* expectEqual(first.binding.agentRuntimeId, "agent", "the executor's name")
        yield* driver.recycle
        const second = yield* F.some(yield* store.loadMachineLifecycle(driver.runtimeId), "there is a record")
        yield* check(
          (second.binding.fenceToken ?? 0) > (first.binding.fenceToken ?? 0),
          "recycle takes the runtime anew"
        )
        yield* expectEqual(
          second.binding.runtimeGeneration,
          (first.binding.runtimeGeneration ?? 0) + 1,
          "how often it was rebuilt"
        )
      })
  )
]
