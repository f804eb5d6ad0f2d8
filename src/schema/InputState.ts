/**
 * What becomes of an input: its phase, its outcome, and the small mutable head beside its immutable body.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BatchId, EpochMillis, IdempotencyKey, InputId, RunId, Sequence, SupersessionKey } from "./Ids.js"
import { Durability, Kind } from "./Input.js"
import { Lane, PolicyDecision } from "./Policy.js"

/**
 * `accepted`, `applied` and `applied_pending_consumption` are read from foreign data only.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Phase = Schema.Literal(
  "queued",
  "staged",
  "held",
  "consumed",
  "superseded",
  "coalesced",
  "abandoned",
  "accepted",
  "applied",
  "applied_pending_consumption"
)
/**
 * @since 0.1.0
 * @category models
 */
export type Phase = typeof Phase.Type

/**
 * A failure as it is kept with an input or a run: the error's tag and message.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Failure = Schema.Struct({ tag: Schema.String, message: Schema.String })
/**
 * @since 0.1.0
 * @category models
 */
export interface Failure extends Schema.Schema.Type<typeof Failure> {}

/**
 * Why an input ended without being consumed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AbandonReason = Schema.Union(
  Schema.TaggedStruct("retired", {}),
  Schema.TaggedStruct("reset", {}),
  Schema.TaggedStruct("stopped", {}),
  Schema.TaggedStruct("destroyed", {}),
  Schema.TaggedStruct("cancelled", { reason: Schema.String }),
  Schema.TaggedStruct("max_attempts_exhausted", { attempts: Schema.NonNegativeInt }),
  /** The owning process ended, and the input was `ephemeral`. */
  Schema.TaggedStruct("process_ended", {}),
  /** The run died in the middle, and the application's policy is to settle instead of trying again. */
  Schema.TaggedStruct("outcome_unknown", {})
)
/**
 * @since 0.1.0
 * @category models
 */
export type AbandonReason = typeof AbandonReason.Type

/**
 * How an input ended. It is present exactly when the phase is terminal, and never changes (I8).
 *
 * @since 0.1.0
 * @category schemas
 */
export const TerminalOutcome = Schema.Union(
  /** `sequence` is absent for an input that was consumed at admission. */
  Schema.TaggedStruct("consumed", {
    runId: Schema.NullOr(RunId),
    sequence: Schema.NullOr(Sequence)
  }),
  Schema.TaggedStruct("superseded", { by: InputId }),
  Schema.TaggedStruct("coalesced", { into: InputId }),
  Schema.TaggedStruct("abandoned", { reason: AbandonReason })
)
/**
 * @since 0.1.0
 * @category models
 */
export type TerminalOutcome = typeof TerminalOutcome.Type

/**
 * Why an input waits for somebody.
 *
 * @since 0.1.0
 * @category schemas
 */
export const HoldReason = Schema.Literal("question", "in_doubt", "undecodable", "operator")
/**
 * @since 0.1.0
 * @category models
 */
export type HoldReason = typeof HoldReason.Type

/**
 * The part of an input that changes, and what of its body the driver needs to order it. Small: the driver keeps the
 * heads of active inputs only, and recovery reads nothing else.
 *
 * - `sequence`: number of the accept event, which is also the input's place in its lane. It never changes.
 * - `readyAt`: not before this time (backoff, `deliverAt`, the deadline of a hold); `null` in a hold without deadline.
 * - `attempt`, `stagings`: attempts charged to the input, and how often it was handed to a run at all.
 * - `batch`: set at staging, kept over all attempts.
 * - `run`: the run it is staged under, or the one that consumed it.
 * - `receipt`: the last boundary that its batch committed.
 * - `recorded`: its message is in the transcript.
 *
 * @since 0.1.0
 * @category schemas
 */
export const InputHead = Schema.Struct({
  id: InputId,
  sequence: Sequence,
  acceptedAt: EpochMillis,
  kind: Kind,
  durability: Durability,
  key: Schema.NullOr(IdempotencyKey),
  supersessionKey: Schema.NullOr(SupersessionKey),
  payloadDigest: Schema.String,
  policy: PolicyDecision,
  lane: Schema.NullOr(Lane),
  phase: Phase,
  attempt: Schema.NonNegativeInt,
  stagings: Schema.NonNegativeInt,
  batch: Schema.NullOr(BatchId),
  run: Schema.NullOr(RunId),
  receipt: Schema.NullOr(Schema.Struct({ runId: RunId, sequence: Sequence })),
  readyAt: Schema.NullOr(EpochMillis),
  hold: Schema.NullOr(HoldReason),
  recorded: Schema.Boolean,
  outcome: Schema.NullOr(TerminalOutcome),
  failure: Schema.NullOr(Failure),
  updatedAt: EpochMillis
})
/**
 * @since 0.1.0
 * @category models
 */
export interface InputHead extends Schema.Schema.Type<typeof InputHead> {}

/**
 * @since 0.1.0
 * @category predicates
 */
export const isTerminal = (head: Pick<InputHead, "phase">): boolean =>
  head.phase === "consumed" || head.phase === "superseded" || head.phase === "coalesced" || head.phase === "abandoned"
