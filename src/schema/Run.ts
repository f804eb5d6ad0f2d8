/**
 * Runs: attempts at a batch, their boundaries and receipts.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type * as Content from "./Content.js"
import { BatchId, EpochMillis, InputId, RunId, Sequence } from "./Ids.js"
import { Failure } from "./InputState.js"
import type { Json } from "./Json.js"
import { Revision } from "./Session.js"
import type { TurnMetadata } from "./Turn.js"

/**
 * A point of a run whose effects are committed. `checkpoint`, `note` and `final` are written; the others are read from
 * foreign data only.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Boundary = Schema.Literal("checkpoint", "note", "final", "immediate", "run_start", "run_checkpoint")
/**
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
 * @since 0.1.0
 * @category models
 */
export interface ReceiptDraft extends Schema.Schema.Type<typeof ReceiptDraft> {}

/**
 * Proof that boundary (runtime, run, sequence) was committed. Sequences of a run are dense and start at 1 (I7).
 * `commitDigest` covers run, sequence, boundary, contributors, consumed, parent, messages, snapshot and result; no
 * times, no epoch.
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
 * @since 0.1.0
 * @category models
 */
export interface OpenRun extends Schema.Schema.Type<typeof OpenRun> {}

/**
 * One message that an input becomes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConversationAppend {
  readonly inputId: InputId
  readonly role: "user"
  readonly content: Content.Content
}

/**
 * Knowledge for the turn that is not a message.
 *
 * @since 0.1.0
 * @category models
 */
export interface ContextAppend {
  readonly key: string
  readonly content: Content.Content
}

/**
 * What a run is asked to do: its batch in the form that an executor takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunPrimitive {
  readonly boundary: "run_start" | "run_checkpoint"
  readonly appends: ReadonlyArray<ConversationAppend>
  readonly contextAppends: ReadonlyArray<ContextAppend>
  readonly contributors: ReadonlyArray<InputId>
  readonly turn: TurnMetadata
}

/**
 * A result, an answer or a question that a run committed under a name: unique per (runtime, scope, key), for ever.
 * The scope is the batch for results of `once`, the question's name for questions.
 *
 * @since 0.1.0
 * @category models
 */
export interface Note {
  readonly scope: string
  readonly key: string
  readonly value: Json
}

/**
 * What a loop tells the driver about the open run.
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
  Schema.TaggedStruct("run_given_back", { runId: RunId })
)
/**
 * @since 0.1.0
 * @category models
 */
export type RunEvent = typeof RunEvent.Type
