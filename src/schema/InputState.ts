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
 * `consumed`, `superseded`, `coalesced` and `abandoned` are terminal and are never left (I8).
 *
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
 * Text alone, since it outlives the process and the class that failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure extends Schema.Schema.Type<typeof Failure> {}

/**
 * What is kept with the inputs of a run that was lost: nobody knows how far it came.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lost = (how: "process" | "owner"): Failure =>
  how === "process"
    ? { tag: "ProcessEnded", message: "the process ended while the run was open" }
    : { tag: "RuntimeRecovered", message: "the runtime was recovered while the run was open" }

/**
 * Whether a failure is the loss of a run: with its process, or with its owner. An executor's own failure of that name is
 * not.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLost = (failure: Failure | null): boolean =>
  [lost("process"), lost("owner")].some(({ message, tag }) => failure?.tag === tag && failure.message === message)

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
  /** The executor said that trying again cannot help. */
  Schema.TaggedStruct("failed", { attempts: Schema.NonNegativeInt }),
  /** The owning process ended, and the input was `ephemeral`. */
  Schema.TaggedStruct("process_ended", {}),
  /** The run died in the middle, and the application's policy is to settle instead of trying again. */
  Schema.TaggedStruct("outcome_unknown", {})
)
/**
 * `max_attempts_exhausted` and `failed` are the dead letters, which `RuntimeStore.loadDeadLetters` lists.
 *
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
 * Tells where to look next: at the run that consumed the input, at the input that took its place, or at the reason it
 * was given up for.
 *
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
 * The library itself holds as `in_doubt`, when a run was lost and the policy says so; the others are for callers of
 * `hold` and `holdInput`.
 *
 * @since 0.1.0
 * @category models
 */
export type HoldReason = typeof HoldReason.Type

/**
 * An operation whose end a batch waits for: a question to somebody, a job elsewhere. `until` is the deadline.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Awaited = Schema.Struct({ operationId: Schema.NonEmptyString, until: Schema.NullOr(EpochMillis) })
/**
 * The operation's end is an input of kind `operation`, under the key `Ids.operationKey(operationId)`. `until` is in epoch
 * milliseconds; `null` for no deadline.
 *
 * @since 0.1.0
 * @category models
 */
export interface Awaited extends Schema.Schema.Type<typeof Awaited> {}

/**
 * The part of an input that changes, and what of its body the driver needs to order it. Small: the driver keeps the
 * heads of active inputs only, and recovery reads nothing else.
 *
 * - `sequence`: number of the accept event, which is also the input's place in its lane. It never changes.
 * - `readyAt`: not before this time (backoff, `deliverAt`, the deadline of a hold); `null` in a hold without deadline.
 * - `deliverAt`: not before this time at all, whatever else has held it up.
 * - `attempt`, `stagings`: attempts charged to the input, and how often it was handed to a run at all.
 * - `batch`: set at staging, kept over all attempts.
 * - `run`: the run it is staged under, or the one that consumed it.
 * - `receipt`: the last boundary that its batch committed.
 * - `recorded`: its message is in the transcript.
 * - `awaits`: operations that its batch has named and that have not ended. The same for all members of a batch.
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
  deliverAt: Schema.NullOr(EpochMillis),
  hold: Schema.NullOr(HoldReason),
  recorded: Schema.Boolean,
  awaits: Schema.Array(Awaited),
  outcome: Schema.NullOr(TerminalOutcome),
  failure: Schema.NullOr(Failure),
  updatedAt: EpochMillis
})
/**
 * The input as it was when it was asked for: a head that was handed out does not change.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputHead extends Schema.Schema.Type<typeof InputHead> {}

/**
 * Whether the input has ended, for good (I8). The phases of foreign data are not terminal: recovery settles them.
 *
 * @example
 * ```ts
 * import { type Driver, type Ids, InputState } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 *
 * const isDone = (driver: Driver.Service, inputId: Ids.InputId) =>
 *   Effect.map(driver.inputState(inputId), Option.exists(InputState.isTerminal))
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTerminal = (head: Pick<InputHead, "phase">): boolean =>
  head.phase === "consumed" || head.phase === "superseded" || head.phase === "coalesced" || head.phase === "abandoned"
