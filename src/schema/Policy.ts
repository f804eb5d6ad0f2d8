/**
 * The decision how an input is treated. It is made once, at admission, and stored with the input and its reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The lane an input waits in: `queue` for the next turn, `steer` for the running run.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Lane = Schema.Literal("queue", "steer")
/**
 * An input that is ignored is in none: `InputHead.lane` is then `null`.
 *
 * @since 0.1.0
 * @category models
 */
export type Lane = typeof Lane.Type

/**
 * - `apply`: `stage_run_start` begins a run; `stage_run_boundary` may also be handed to an open run at its next
 *   checkpoint; `ride_along` goes into an open run at its next checkpoint, or in front of the next new batch, and begins
 *   no run; `ignore` never reaches a run.
 * - `wake`: what a sleeping or busy loop is told (see `WakeSignal`).
 * - `queue`: what happens to an older queued input of the same kind and supersession key: nothing (`fifo`), it is
 *   replaced (`supersede`), or taken together (`coalesce`).
 * - `route`: its lane, or `drop` for none.
 * - `consume`: when it is done. `on_accept` ends it at admission; `on_final` with the final boundary of its run. The
 *   other points are only read, from foreign data.
 * - `recordTranscript`: whether its message enters the session.
 * - `reason`: the row of the policy table, or the override, that decided.
 *
 * @example
 * ```ts
 * import type { Report } from "effect-burrow"
 *
 * const explain = (outcome: Report.AcceptOutcome): string =>
 *   outcome._tag === "accepted"
 *     // queue, because of table:prompt/idle
 *     ? `${outcome.state.policy.route}, because of ${outcome.state.policy.reason}`
 *     : outcome._tag
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const PolicyDecision = Schema.Struct({
  version: Schema.Int,
  reason: Schema.String,
  apply: Schema.Literal("stage_run_start", "stage_run_boundary", "ride_along", "ignore"),
  wake: Schema.Literal("wake_if_idle", "interrupt_yielding", "none"),
  queue: Schema.Literal("fifo", "supersede", "coalesce"),
  route: Schema.Literal("queue", "steer", "drop"),
  consume: Schema.Literal("on_accept", "on_final", "on_apply", "on_run_start", "on_run_complete", "explicit_ack"),
  recordTranscript: Schema.Boolean
})
/**
 * A later version of the policy does not change it: what was decided at admission holds for the input's life.
 *
 * @since 0.1.0
 * @category models
 */
export interface PolicyDecision extends Schema.Schema.Type<typeof PolicyDecision> {}

const strength = { none: 0, wake_loop: 1, interrupt_yielding: 2, request_immediate_processing: 3 } as const

/**
 * What a loop should do about new work. Signals accumulate to the strongest; taking one resets it to `none`.
 *
 * @since 0.1.0
 * @category models
 */
export type WakeSignal = keyof typeof strength

/**
 * The stronger of two signals: `none` < `wake_loop` < `interrupt_yielding` < `request_immediate_processing`.
 *
 * @since 0.1.0
 * @category combining
 */
export const strongest = (a: WakeSignal, b: WakeSignal): WakeSignal => strength[a] >= strength[b] ? a : b
