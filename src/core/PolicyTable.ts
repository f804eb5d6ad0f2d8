/**
 * How each kind of input is treated, while no run is open and while one is.
 */
import { handlingModeOf, type Input, type Kind, kindOf } from "../schema/Input.js"
import type { Lane, PolicyDecision, WakeSignal } from "../schema/Policy.js"
import type { HandlingMode } from "../schema/Turn.js"

type Cell = Omit<PolicyDecision, "version" | "reason">
type Row = { readonly idle: Cell; readonly running: Cell }

export const POLICY_VERSION = 1

const queue: Cell = {
  apply: "stage_run_start",
  wake: "wake_if_idle",
  queue: "fifo",
  route: "queue",
  consume: "on_final",
  recordTranscript: true
}
const steer: Cell = { ...queue, apply: "stage_run_boundary", route: "steer" }

/** Waits for the next turn without disturbing this one. */
const quiet: Row = { idle: queue, running: { ...queue, wake: "none" } }
/** Waits for the next turn, and tells a run that can yield. */
const pressing: Row = { idle: queue, running: { ...queue, wake: "interrupt_yielding" } }
/** Into the running run. */
const steering: Row = { idle: steer, running: { ...steer, wake: "interrupt_yielding" } }

/** Into the running run too, or with the next one, and nobody is told. */
const riding: Cell = { ...steer, apply: "ride_along", wake: "none" }

const unseen = (row: Row): Row => ({
  idle: { ...row.idle, recordTranscript: false },
  running: { ...row.running, recordTranscript: false }
})

const ignored: Cell = {
  apply: "ignore",
  wake: "none",
  queue: "fifo",
  route: "drop",
  consume: "on_accept",
  recordTranscript: false
}

const table: { readonly [K in Kind]: Row } = {
  prompt: quiet,
  peer_message: pressing,
  peer_request: pressing,
  peer_response_progress: {
    idle: { ...steer, queue: "coalesce" },
    running: { ...steer, queue: "coalesce", wake: "none" }
  },
  // The answer a run is waiting for reaches it at its next boundary.
  peer_response_terminal: { idle: queue, running: steer },
  flow_step: quiet,
  external_event: quiet,
  continuation: unseen(steering),
  operation: { idle: ignored, running: ignored }
}

/** What the sender asks for outranks the table, as far as the kind allows it. */
const modes: { readonly [M in HandlingMode]: Row } = {
  queue: quiet,
  steer: steering,
  ride_along: { idle: riding, running: riding }
}

const override = (kind: Kind, mode: HandlingMode): Row => {
  const row = modes[mode]
  if (kind === "continuation") return unseen(row)
  if (kind === "peer_response_terminal" && mode === "steer") {
    // It outranks the queue lane, but begins a run of its own.
    return { idle: { ...row.idle, apply: "stage_run_start" }, running: { ...row.running, apply: "stage_run_start" } }
  }
  return row
}

/**
 * The decision for an input: the sender's handling mode, else the kind's row; then the keys and intents that change
 * single fields of it.
 */
export const resolve = (
  input: Input,
  situation: { readonly runOpen: boolean; readonly silentIntents: ReadonlyArray<string> }
): PolicyDecision => {
  const kind = kindOf(input)
  const mode = handlingModeOf(input)
  const row = mode === undefined ? table[kind] : override(kind, mode)
  const when = situation.runOpen ? "running" : "idle"
  const reasons = [mode === undefined ? `table:${kind}/${when}` : `handling_mode:${mode}/${when}`]
  let cell = row[when]
  if (input.header.supersessionKey !== undefined && cell.queue === "fifo" && cell.route !== "drop") {
    cell = { ...cell, queue: "supersede" }
    reasons.push("supersession_key")
  }
  // What rides along is silent already, and must not begin a run.
  if (cell.apply !== "ride_along" && isSilent(input, situation.silentIntents)) {
    cell = { ...cell, apply: "stage_run_start", wake: "none" }
    reasons.push("silent_intent")
  }
  if (!input.header.visibility.transcript && cell.recordTranscript) {
    cell = { ...cell, recordTranscript: false }
    reasons.push("not_for_transcript")
  }
  return { version: POLICY_VERSION, reason: reasons.join(", "), ...cell }
}

const isSilent = (input: Input, intents: ReadonlyArray<string>): boolean =>
  input._tag === "peer" && input.convention._tag === "request" && intents.includes(input.convention.intent)

export const laneOf = (policy: PolicyDecision): Lane | null => policy.route === "drop" ? null : policy.route

/** What a loop is told when an input with this decision was admitted. */
export const signalOf = (policy: PolicyDecision, runOpen: boolean): WakeSignal => {
  if (policy.wake === "none" || policy.route === "drop") return "none"
  if (policy.route === "steer") return "request_immediate_processing"
  return policy.wake === "interrupt_yielding" && runOpen ? "interrupt_yielding" : "wake_loop"
}
