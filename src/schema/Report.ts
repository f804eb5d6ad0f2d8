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
 * All are mistakes in the draft itself: the same draft is rejected again. `detail` is for people.
 *
 * @since 0.1.0
 * @category models
 */
export type RejectReason = typeof RejectReason.Type

/**
 * - `accepted`: the input is durable, or ended at admission; `state` is its head.
 * - `deduplicated`: the key or id is known with the same payload; `existing` names the input that has it.
 * - `rejected`: nothing was written.
 *
 * @example
 * ```ts
 * import { type Driver, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const submit = (driver: Driver.Service, text: string, key: string) =>
 *   Effect.map(driver.accept(Input.prompt(text, { idempotencyKey: key })), (outcome) => {
 *     switch (outcome._tag) {
 *       case "accepted":
 *         return `202: ${outcome.inputId}`
 *       case "deduplicated":
 *         return `200: ${outcome.existing}`
 *       case "rejected":
 *         return `422: ${outcome.reason.detail}`
 *     }
 *   })
 * ```
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
 * An answer, not an error: the command is done in all three cases. `sequence` is the input's place in the order of
 * admission.
 *
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
 * `lostRun`: a run was open, and was closed as lost. The counts are of inputs.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecoveryReport extends Schema.Schema.Type<typeof RecoveryReport> {}

/**
 * What retiring leaves behind: it abandons nothing itself, so `inputsAbandoned` is 0.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RetireReport = Schema.Struct({ inputsAbandoned: Count, inputsPendingDrain: Count, inputsRiding: Count })
/**
 * `inputsPendingDrain` counts active inputs; held ones among them drain only when they are released. Not counted there,
 * but in `inputsRiding`, are those that ride along and have nobody to go with yet: they go with what drains, and what is
 * left of them then waits on, for `recycle`, `reset` or `destroy`. The drain does not wait for them.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetireReport extends Schema.Schema.Type<typeof RetireReport> {}

/**
 * How many inputs the command has ended without consuming them, those of a cancelled run included.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AbandonReport = Schema.Struct({ inputsAbandoned: Count })
/**
 * The report of `reset`, `destroy`, `stop` and `abandonPending`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AbandonReport extends Schema.Schema.Type<typeof AbandonReport> {}

/**
 * How many inputs are active after the runtime was rebuilt from its rows, held ones included.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RecycleReport = Schema.Struct({ inputsTransferred: Count })
/**
 * `inputsTransferred` counts active inputs; terminal ones stay in their rows and are not counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecycleReport extends Schema.Schema.Type<typeof RecycleReport> {}

/**
 * What became of the inputs of a run that ended without a final boundary.
 *
 * @since 0.1.0
 * @category models
 */
export interface CloseReply {
  readonly requeued: ReadonlyArray<InputId>
  readonly abandoned: ReadonlyArray<InputId>
}
