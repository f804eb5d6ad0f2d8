/**
 * Commands that change a runtime's lifecycle or its session outside a run.
 */
import * as Either from "effect/Either"
import { Destroyed, NotReady, RunInProgress } from "../schema/DriverError.js"
import type { SessionId } from "../schema/Ids.js"
import type { AbandonReason } from "../schema/InputState.js"
import type { Json } from "../schema/Json.js"
import type { Limits } from "../schema/Limits.js"
import type { AbandonReport, RetireReport } from "../schema/Report.js"
import type { SessionHead } from "../schema/Session.js"
import { SessionKeyMismatch } from "../schema/StoreError.js"
import { abandonWaiting, closeRun } from "./Close.js"
import { emptySession, type Sha256 } from "./Digests.js"
import * as Lifecycle from "./Lifecycle.js"
import * as Session from "./Session.js"
import * as State from "./State.js"
import { type Decide, Step } from "./Step.js"

export type ControlRefusal = NotReady | Destroyed | RunInProgress

/** The table first, then the run: nothing has changed when a command is refused. */
const control = <A>(
  command: Lifecycle.ControlCommand,
  act: (step: Step, to: State.DriverState["phase"]) => A
): Decide<A, ControlRefusal> =>
(state, stamp, now) => {
  const { runtimeId } = state
  const to = Lifecycle.transitions[command][state.phase]
  if (to === undefined) {
    return Either.left(
      state.phase === "destroyed"
        ? new Destroyed({ runtimeId })
        : new NotReady({ runtimeId, state: State.runtimeState(state), command })
    )
  }
  if (state.run !== null && Lifecycle.refusedWhileRunning.has(command)) {
    return Either.left(new RunInProgress({ runtimeId, runId: state.run.id, command }))
  }
  const step = new Step(state, stamp, now)
  const reply = act(step, to)
  if (state.phase !== to) step.lifecycle({ phase: to })
  return Either.right(step.finish(reply))
}

const cancelRun = (step: Step, reason: string, limits: Limits): number =>
  step.state.run === null
    ? 0
    : closeRun(step, { _tag: "cancel", runId: step.state.run.id, reason }, limits).abandoned.length

/** New inputs are refused; what waits is drained. Riders that nobody takes along are left: no run is begun for them. */
export const retire: Decide<RetireReport, ControlRefusal> = control("retire", (step) => {
  if (State.hasReady(step.state)) step.wake("wake_loop")
  const inputsRiding = State.ridersLeft(step.state)
  return { inputsAbandoned: 0, inputsPendingDrain: State.activeCount(step.state) - inputsRiding, inputsRiding }
})

export const reset: Decide<AbandonReport, ControlRefusal> = control("reset", (step) => {
  const inputsAbandoned = abandonWaiting(step, { _tag: "reset" })
  step.lifecycle({ silentIntents: [] })
  return { inputsAbandoned }
})

/** The queue is kept and goes on after `resume`. */
export const stop = (limits: Limits): Decide<AbandonReport, ControlRefusal> =>
  control("stop", (step) => ({ inputsAbandoned: cancelRun(step, "stopped", limits) }))

export const resume: Decide<void, ControlRefusal> = control("resume", (step) => {
  if (step.state.phase === "stopped") step.wake("wake_loop")
})

export const destroy = (limits: Limits): Decide<AbandonReport, ControlRefusal> =>
  control("destroy", (step) => ({
    inputsAbandoned: cancelRun(step, "destroyed", limits) + abandonWaiting(step, { _tag: "destroyed" })
  }))

/** Back to service, with everything that waits. The driver rebuilds itself from the rows afterwards. */
export const recycle: Decide<void, ControlRefusal> = control("recycle", (step) => {
  const { binding } = step.state
  step.lifecycle({ binding: { ...binding, runtimeGeneration: (binding.runtimeGeneration ?? 0) + 1 } })
})

/** Commands that every living runtime takes. */
const alive = <A>(act: (step: Step) => A): Decide<A, Destroyed> => (state, stamp, now) => {
  if (state.phase === "destroyed") return Either.left(new Destroyed({ runtimeId: state.runtimeId }))
  const step = new Step(state, stamp, now)
  const reply = act(step)
  return Either.right(step.finish(reply))
}

/** A paused runtime accepts and stages nothing; an open run goes on. */
export const pause = (paused: boolean): Decide<void, Destroyed> =>
  alive((step) => {
    if (step.state.paused === paused) return
    step.lifecycle({ paused })
    step.emit({ _tag: "runtime.paused", paused })
    if (!paused) step.wake("wake_loop")
  })

export const setSilentIntents = (intents: ReadonlyArray<string>): Decide<void, Destroyed> =>
  alive((step) => step.lifecycle({ silentIntents: [...new Set(intents)].sort() }))

export const abandonPending = (reason: AbandonReason): Decide<AbandonReport, Destroyed> =>
  alive((step) => ({ inputsAbandoned: abandonWaiting(step, reason) }))

export const publish = (code: string, data: Json): Decide<void, Destroyed> =>
  alive((step) => step.emit({ _tag: "runtime.published", code, data }))

/** An executor takes the runtime. Only a name for it is stored; being attached is a fact of the process. */
export const attach = (agentRuntimeId: string | null): Decide<void, NotReady | Destroyed> => (state, stamp, now) => {
  const { runtimeId } = state
  if (state.phase === "destroyed") return Either.left(new Destroyed({ runtimeId }))
  if (state.attached || state.phase === "stopped") {
    return Either.left(new NotReady({ runtimeId, state: State.runtimeState(state), command: "attach" }))
  }
  const step = new Step(state, stamp, now)
  step.local({ attached: true })
  if (state.binding.agentRuntimeId !== agentRuntimeId) {
    step.lifecycle({ binding: { ...state.binding, agentRuntimeId } })
  }
  if (State.hasReady(state) || State.nextReadyAt(state) !== null) step.wake("wake_loop")
  return Either.right(step.finish(undefined))
}

/** Answers whether an executor was attached. */
export const detach: Decide<boolean, never> = (state, stamp, now) => {
  const step = new Step(state, stamp, now)
  step.local({ attached: false })
  return Either.right(step.finish(state.attached))
}

export interface SessionCommand {
  readonly name: string
  readonly delta: Session.Delta
  readonly sessionId: SessionId
  /** Everything goes: the transcript too. */
  readonly clear?: boolean
}

export type SessionRefusal = ControlRefusal | SessionKeyMismatch

/** Changes the session between runs. */
export const changeSession =
  (command: SessionCommand, sha256: Sha256): Decide<SessionHead | null, SessionRefusal> => (state, stamp, now) => {
    const { runtimeId } = state
    const { clear = false, delta, name } = command
    if (state.phase === "destroyed") return Either.left(new Destroyed({ runtimeId }))
    if (state.run !== null) return Either.left(new RunInProgress({ runtimeId, runId: state.run.id, command: name }))
    if (delta.sessionId !== undefined && state.session !== null && state.session.id !== delta.sessionId) {
      return Either.left(
        new SessionKeyMismatch({ runtimeId, expected: delta.sessionId, actual: state.session.id })
      )
    }
    const step = new Step(state, stamp, now)
    if (clear) {
      if (state.session !== null) {
        const cleared = emptySession(sha256, state.session.id)
        step.changeSession({
          parent: state.session,
          after: { ...cleared, version: state.session.version + 1 },
          keep: 0,
          append: [],
          snapshot: null,
          expected: undefined,
          rewrite: null
        })
        // What is not in the transcript any more goes in again with the next boundary that covers it.
        for (const head of State.activeHeads(state)) if (head.recorded) step.amend(head, { recorded: false })
        step.emit({ _tag: "session.cleared" })
      }
      return Either.right(step.finish(step.state.session))
    }
    if (Session.isEmpty(delta)) return Either.right(step.finish(state.session))
    const parent = Session.parentOf(sha256, state.session, delta.sessionId ?? command.sessionId)
    const write = Session.write({ sha256, parent, delta, recorded: [], runId: null, now })
    const { length, revision, version } = write.after
    step.changeSession(write)
    step.emit(
      Session.rewritten(delta, write) ??
        { _tag: "session.changed", version, messages: { start: parent.length, end: length }, revision }
    )
    return Either.right(step.finish(step.state.session))
  }
