/**
 * The runtime's lifecycle as a table.
 *
 *            retire        reset       stop         resume      recycle     destroy
 *   idle     retired       idle        stopped      idle        idle        destroyed
 *   retired  retired       idle        -            -           idle        destroyed
 *   stopped  -             -           stopped      idle        -           destroyed
 *   destroyed takes no command. `running` is not a state here: it is idle (or retired) with an open run.
 */
import type { Token } from "../schema/Ids.js"
import type { BindingFacts, LifecyclePhase, LifecycleRecord, RuntimeState } from "../schema/Runtime.js"

export type ControlCommand = "retire" | "reset" | "stop" | "resume" | "recycle" | "destroy"

/** Where a command leads from each phase; absent: refused. */
export const transitions: { readonly [C in ControlCommand]: { readonly [P in LifecyclePhase]?: LifecyclePhase } } = {
  retire: { idle: "retired", retired: "retired" },
  reset: { idle: "idle", retired: "idle" },
  stop: { idle: "stopped", stopped: "stopped" },
  resume: { idle: "idle", stopped: "idle" },
  recycle: { idle: "idle", retired: "idle" },
  destroy: { idle: "destroyed", retired: "destroyed", stopped: "destroyed" }
}

/** Commands that have to wait for the open run's end; `stop` and `destroy` cancel it, `retire` lets it finish. */
export const refusedWhileRunning: ReadonlySet<ControlCommand> = new Set(["reset", "recycle"])

export const acceptsInput: { readonly [P in LifecyclePhase]: boolean } = {
  idle: true,
  retired: false,
  stopped: false,
  destroyed: false
}

/** A retired runtime drains what it has. */
export const stagesRuns: { readonly [P in LifecyclePhase]: boolean } = {
  idle: true,
  retired: true,
  stopped: false,
  destroyed: false
}

/** The phase that a stored state stands for: transient states of foreign data are idle. */
export const phaseOf = (state: RuntimeState): LifecyclePhase =>
  state === "retired" || state === "stopped" || state === "destroyed" ? state : "idle"

export const unbound: BindingFacts = {
  agentRuntimeId: null,
  fenceToken: null,
  runtimeGeneration: 0,
  runtimeEpochId: null
}

/** The record of a runtime that nobody has used yet. */
export const fresh: LifecycleRecord = {
  record_version: 1,
  runtimeState: "idle",
  paused: false,
  silentIntents: [],
  binding: unbound
}

/** The same facts under a new token. The executor of another process is gone with it. */
export const rebind = (record: LifecycleRecord, token: Token, sameProcess = false): LifecycleRecord => ({
  ...record,
  binding: {
    ...record.binding,
    agentRuntimeId: sameProcess ? record.binding.agentRuntimeId : null,
    fenceToken: token.epoch,
    runtimeEpochId: token.claimId
  }
})
