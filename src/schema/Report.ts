/**
 * What commands answer.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { InputId, Sequence } from "./Ids.js"
import { InputHead } from "./InputState.js"

/**
 * Why an input was not admitted. A refusal writes nothing and uses up no key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RejectReason = Schema.Union(
  Schema.TaggedStruct("durability_violation", { detail: Schema.String }),
  Schema.TaggedStruct("peer_handling_mode_invalid", { detail: Schema.String }),
  Schema.TaggedStruct("peer_response_terminal_invalid", { detail: Schema.String })
)
/**
 * @since 0.1.0
 * @category models
 */
export type RejectReason = typeof RejectReason.Type

/**
 * - `accepted`: the input is durable, or ended at admission; `state` is its head.
 * - `deduplicated`: the key or id is known with the same payload; `existing` names the input that has it.
 * - `rejected`: nothing was written.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AcceptOutcome = Schema.Union(
  Schema.TaggedStruct("accepted", { inputId: InputId, sequence: Sequence, state: InputHead }),
  Schema.TaggedStruct("deduplicated", { inputId: InputId, existing: InputId, sequence: Sequence }),
  Schema.TaggedStruct("rejected", { inputId: InputId, reason: RejectReason })
)
/**
 * @since 0.1.0
 * @category models
 */
export type AcceptOutcome = typeof AcceptOutcome.Type

const Count = Schema.NonNegativeInt

/**
 * What recovery found. `active` counts the inputs that are active afterwards; `requeued` those of them that a lost run
 * gave back; `corrupt` names rows that could not be read: they are kept and skipped.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RecoveryReport = Schema.Struct({
  active: Count,
  requeued: Count,
  consumed: Count,
  abandoned: Count,
  lostRun: Schema.Boolean,
  corrupt: Schema.Array(Schema.Struct({ record: Schema.String, field: Schema.String }))
})
/**
 * @since 0.1.0
 * @category models
 */
export interface RecoveryReport extends Schema.Schema.Type<typeof RecoveryReport> {}

/**
 * @since 0.1.0
 * @category schemas
 */
export const RetireReport = Schema.Struct({ inputsAbandoned: Count, inputsPendingDrain: Count })
/**
 * @since 0.1.0
 * @category models
 */
export interface RetireReport extends Schema.Schema.Type<typeof RetireReport> {}

/**
 * @since 0.1.0
 * @category schemas
 */
export const AbandonReport = Schema.Struct({ inputsAbandoned: Count })
/**
 * The report of reset, destroy, stop, cancel and abandon-pending.
 *
 * @since 0.1.0
 * @category models
 */
export interface AbandonReport extends Schema.Schema.Type<typeof AbandonReport> {}

/**
 * @since 0.1.0
 * @category schemas
 */
export const RecycleReport = Schema.Struct({ inputsTransferred: Count })
/**
 * @since 0.1.0
 * @category models
 */
export interface RecycleReport extends Schema.Schema.Type<typeof RecycleReport> {}
