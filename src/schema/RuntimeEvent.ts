/**
 * The event log of a runtime. Events are dense per runtime and numbered inside the commit of their cause (I18).
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BatchId, EpochMillis, InputId, RunId, Sequence } from "./Ids.js"
import { Kind } from "./Input.js"
import { AbandonReason, Failure, HoldReason } from "./InputState.js"
import { Json } from "./Json.js"
import { Lane } from "./Policy.js"
import { Boundary } from "./Run.js"
import { RuntimeState } from "./Runtime.js"
import { Revision } from "./Session.js"

const inputId = { inputId: InputId }
const runId = { runId: RunId }
const Range = Schema.Struct({ start: Sequence, end: Sequence })

/**
 * What happened; `_tag` is the event's code and is stable.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RuntimeEvent = Schema.Union(
  Schema.TaggedStruct("input.accepted", { ...inputId, kind: Kind, lane: Schema.NullOr(Lane) }),
  /** Consumed at admission; inputs consumed by a run are listed by its `run.boundary`. */
  Schema.TaggedStruct("input.consumed", inputId),
  Schema.TaggedStruct("input.superseded", { ...inputId, by: InputId }),
  Schema.TaggedStruct("input.coalesced", { ...inputId, into: InputId }),
  Schema.TaggedStruct("input.abandoned", { ...inputId, reason: AbandonReason, failure: Schema.NullOr(Failure) }),
  Schema.TaggedStruct("input.held", { ...inputId, reason: HoldReason, until: Schema.NullOr(EpochMillis) }),
  Schema.TaggedStruct("input.released", inputId),
  Schema.TaggedStruct("input.recovered", inputId),
  /** The open run's batch waits for the end of an operation, from this boundary on. */
  Schema.TaggedStruct("operation.awaited", {
    ...runId,
    operationId: Schema.NonEmptyString,
    until: Schema.NullOr(EpochMillis)
  }),
  /** An operation that somebody waited for has ended, by this input. */
  Schema.TaggedStruct("operation.ended", {
    ...inputId,
    operationId: Schema.NonEmptyString,
    how: Schema.Literal("completed", "failed", "cancelled")
  }),
  Schema.TaggedStruct("run.started", {
    ...runId,
    batchId: BatchId,
    attempt: Schema.NonNegativeInt,
    inputIds: Schema.Array(InputId)
  }),
  Schema.TaggedStruct("run.boundary", {
    ...runId,
    sequence: Sequence,
    boundary: Boundary,
    consumed: Schema.Array(InputId),
    delivered: Schema.Array(InputId),
    /** The messages that it appended: positions in the transcript, half-open; the transcript ends there. */
    messages: Range,
    /** The transcript after it; none while there is no session. */
    revision: Schema.NullOr(Revision)
  }),
  Schema.TaggedStruct("run.failed", {
    ...runId,
    failure: Failure,
    requeued: Schema.Array(InputId),
    retryAt: Schema.NullOr(EpochMillis)
  }),
  Schema.TaggedStruct("run.cancelled", { ...runId, reason: Schema.String }),
  Schema.TaggedStruct("run.given_back", runId),
  Schema.TaggedStruct("run.lost", runId),
  Schema.TaggedStruct("runtime.state_changed", { from: RuntimeState, to: RuntimeState }),
  Schema.TaggedStruct("runtime.paused", { paused: Schema.Boolean }),
  /** Messages were replaced, between runs or by a boundary of one: `selection` as it was, `messages` in its place. */
  Schema.TaggedStruct("session.rewritten", {
    reason: Schema.String,
    selection: Range,
    messages: Range,
    revision: Revision,
    /** Of the whole transcript, behind the rewrite and what was appended with it. */
    length: Sequence
  }),
  /** Between runs: messages appended (positions, half-open), or another snapshot. */
  Schema.TaggedStruct("session.changed", { version: Sequence, messages: Range, revision: Revision }),
  Schema.TaggedStruct("session.cleared", {}),
  /** An application's own event, appended by `publish`. */
  Schema.TaggedStruct("runtime.published", { code: Schema.NonEmptyString, data: Json })
)
/**
 * Inputs are named by their ids; their content is not in the log.
 *
 * @since 0.1.0
 * @category models
 */
export type RuntimeEvent = typeof RuntimeEvent.Type

/**
 * An event in its place: `number` is the cursor.
 *
 * @example
 * ```ts
 * import type { Driver } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * const logFailures = (driver: Driver.Service, after: number) =>
 *   Stream.runForEach(driver.events({ after }), ({ event, number }) =>
 *     event._tag === "run.failed"
 *       ? Effect.logWarning(`${number}: run ${event.runId} failed: ${event.failure.message}`)
 *       : Effect.void)
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const EventRecord = Schema.Struct({ number: Sequence, at: EpochMillis, event: RuntimeEvent })
/**
 * A reader that keeps `number` goes on behind it with `events({ after: number })`. `at` is in epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventRecord extends Schema.Schema.Type<typeof EventRecord> {}
