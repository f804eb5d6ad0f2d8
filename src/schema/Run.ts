/**
 * Runs: attempts at a batch, their boundaries and receipts.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Content from "./Content.js"
import { BatchId, EpochMillis, InputId, RunId, Sequence } from "./Ids.js"
import { Failure } from "./InputState.js"
import { Json } from "./Json.js"
import { Revision } from "./Session.js"
import { TurnMetadata } from "./Turn.js"

/**
 * A point of a run whose effects are committed. `checkpoint`, `note` and `final` are written; the others are read from
 * foreign data only.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Boundary = Schema.Literal("checkpoint", "note", "final", "immediate", "run_start", "run_checkpoint")
/**
 * Of those that are written, `final` alone closes the run.
 *
 * @since 0.1.0
 * @category models
 */
export type Boundary = typeof Boundary.Type

const draftFields = {
  runId: RunId,
  batchId: BatchId,
  boundary: Boundary,
  /** Staged under the run when it committed, batch first, then steers, each in order. */
  contributors: Schema.Array(InputId),
  /** The contributors that this boundary consumed. */
  consumed: Schema.Array(InputId),
  /** The transcript after the boundary. */
  conversationDigest: Schema.NullOr(Revision),
  messageCount: Sequence,
  /** The session that the boundary was made on. */
  parent: Schema.NullOr(Schema.Struct({ revision: Revision, version: Sequence }))
}

/**
 * A receipt before the driver has numbered it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ReceiptDraft = Schema.Struct(draftFields)
/**
 * Sequence, digest and time are added when it is committed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReceiptDraft extends Schema.Schema.Type<typeof ReceiptDraft> {}

/**
 * Proof that boundary (runtime, run, sequence) was committed. Sequences of a run are dense and start at 1 (I7).
 * `commitDigest` covers run, sequence, boundary, contributors, consumed, parent, messages, snapshot, result, notes and
 * awaited operations; no times, no epoch. What inputs become is no part of it: that follows from the inputs.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Receipt = Schema.Struct({
  ...draftFields,
  sequence: Sequence,
  commitDigest: Schema.String,
  at: EpochMillis
})
/**
 * Written once and never changed: another boundary under its run and sequence is `ReceiptConflict`. `at` is in epoch
 * milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Receipt extends Schema.Schema.Type<typeof Receipt> {}

/**
 * The run that is open now. Columns of the runtime's row: one at a time (I10).
 *
 * @since 0.1.0
 * @category schemas
 */
export const OpenRun = Schema.Struct({
  id: RunId,
  batch: BatchId,
  /** The last boundary committed; 0 before the first. */
  sequence: Sequence,
  openedAt: EpochMillis
})
/**
 * `sequence` is what the next boundary names as its predecessor. `openedAt` is in epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenRun extends Schema.Schema.Type<typeof OpenRun> {}

/**
 * One message that an input becomes.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ConversationAppend = Schema.Struct({
  inputId: InputId,
  role: Schema.Literal("user"),
  content: Content.Content
})
/**
 * Continuations and operations become no message.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConversationAppend extends Schema.Schema.Type<typeof ConversationAppend> {}

/**
 * Knowledge for the turn that is not a message.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ContextAppend = Schema.Struct({ key: Schema.String, content: Content.Content })
/**
 * The driver makes none: the list is empty in the runs that it stages.
 *
 * @since 0.1.0
 * @category models
 */
export interface ContextAppend extends Schema.Schema.Type<typeof ContextAppend> {}

/**
 * What a run is asked to do: its batch in the form that an executor takes.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunPrimitive = Schema.Struct({
  boundary: Schema.Literal("run_start", "run_checkpoint"),
  appends: Schema.Array(ConversationAppend),
  contextAppends: Schema.Array(ContextAppend),
  contributors: Schema.Array(InputId),
  turn: TurnMetadata
})
/**
 * `run_checkpoint` when the batch is of the steer lane. Inputs that could not be read are not in it; `StagedRun.inputs`
 * has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunPrimitive extends Schema.Schema.Type<typeof RunPrimitive> {}

/**
 * A result, an answer or a question that a run committed under a name: unique per (runtime, scope, key), for ever.
 * The scope is the batch for results of `once`, the question's name for questions.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Note = Schema.Struct({ scope: Schema.String, key: Schema.String, value: Json })
/**
 * The key has at most `keyLengthMax` UTF-16 code units. Another value under a name that is taken is `NoteConflict`.
 * Scopes that begin with `children/` are the driver's: what a batch has sent to end with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Note extends Schema.Schema.Type<typeof Note> {}

/**
 * What a loop tells the driver about the open run.
 *
 * @example
 * ```ts
 * import type { Driver, Ids } from "effect-burrow"
 * import * as Clock from "effect/Clock"
 * import * as Effect from "effect/Effect"
 *
 * const rateLimited = (driver: Driver.Service, runId: Ids.RunId) =>
 *   Effect.flatMap(Clock.currentTimeMillis, (now) =>
 *     driver.onRunEvent({
 *       _tag: "run_failed",
 *       runId,
 *       failure: { tag: "RateLimited", message: "the model asks for a minute" },
 *       visibleAt: now + 60_000
 *     }))
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunEvent = Schema.Union(
  Schema.TaggedStruct("run_failed", {
    runId: RunId,
    failure: Failure,
    /** Not tried again before this time. */
    visibleAt: Schema.optionalWith(EpochMillis, { exact: true }),
    /** `false`: the batch is abandoned at once. Default `true`. */
    recoverable: Schema.optionalWith(Schema.Boolean, { exact: true })
  }),
  Schema.TaggedStruct("run_cancelled", { runId: RunId, reason: Schema.String }),
  Schema.TaggedStruct("run_given_back", {
    runId: RunId,
    visibleAt: Schema.optionalWith(EpochMillis, { exact: true })
  })
)
/**
 * `Driver.onRunEvent` does with them what `fail`, `cancel` and `giveBack` do.
 *
 * @since 0.1.0
 * @category models
 */
export type RunEvent = typeof RunEvent.Type

/**
 * A batch that has committed something and is not done: its last boundary, by whichever attempt made it.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenTurn {
  readonly batchId: BatchId
  readonly runId: RunId
  readonly sequence: number
}
