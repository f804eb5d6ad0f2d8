/**
 * The session: an append-only transcript with a revision, and an opaque snapshot.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Content from "./Content.js"
import { EpochMillis, RunId, Sequence, SessionId } from "./Ids.js"
import { Json } from "./Json.js"
import { Message } from "./Message.js"

/**
 * Names a transcript: a fold over all of its messages. `revision(0)` is made of the session id alone.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Revision = Schema.String.pipe(
  Schema.pattern(/^[0-9a-f]{64}$/, { message: () => "expected 64 hexadecimal digits" }),
  Schema.brand("effect-burrow/Revision")
)
/**
 * In lower case. Two transcripts of one session with the same revision are the same messages in the same order.
 *
 * @since 0.1.0
 * @category models
 */
export type Revision = typeof Revision.Type

/**
 * The session's head. `version` grows by one with every change of the transcript or the snapshot; (revision, version)
 * is the parent that a change must name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionHead = Schema.Struct({ id: SessionId, revision: Revision, version: Sequence, length: Sequence })
/**
 * `length` counts messages. A driver keeps this much of the session in memory, and never the messages.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionHead extends Schema.Schema.Type<typeof SessionHead> {}

/**
 * A message as the JSON that sessions keep.
 *
 * @since 0.1.0
 * @category constructors
 */
export const message = (role: Message["role"]) => (content: string | Content.Content): Json =>
  Schema.encodeSync(Message)({ role, content: Content.from(content) }) as Json

/**
 * A message of a user. Inputs become such messages by themselves; this is for what no input has said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const user = message("user")
/**
 * A message of the agent: what a run appends with its boundary.
 *
 * @since 0.1.0
 * @category constructors
 */
export const assistant = message("assistant")
/**
 * A message with the result of a tool.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tool = message("tool")

/**
 * A half-open range of messages.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Selection = Schema.Struct({ start: Sequence, end: Sequence })

/**
 * Why messages were replaced, and by whom.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RewriteDraft = Schema.Struct({
  selection: Selection,
  reason: Schema.NonEmptyString,
  actor: Schema.optionalWith(Schema.NonEmptyString, { exact: true })
})
/**
 * Positions are those before the rewrite; a range that is not inside the transcript is `InvalidInput`. A reason is
 * asked for because the replaced messages are deleted.
 *
 * @since 0.1.0
 * @category models
 */
export interface RewriteDraft extends Schema.Schema.Type<typeof RewriteDraft> {}

/**
 * The record of a rewrite: what was replaced by what.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TranscriptRewriteCommit = Schema.Struct({
  ...RewriteDraft.fields,
  parentRevision: Revision,
  revision: Revision,
  replacementDigest: Schema.String,
  messagesBefore: Sequence,
  messagesAfter: Sequence,
  at: EpochMillis,
  runId: Schema.NullOr(RunId)
})
/**
 * What is left of messages that were replaced: `RuntimeStore.loadRewrites` gives these records, oldest first. `at` is
 * in epoch milliseconds; `runId` is `null` for a rewrite between runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface TranscriptRewriteCommit extends Schema.Schema.Type<typeof TranscriptRewriteCommit> {}

/**
 * What a boundary changes in the session: messages appended, optionally a range replaced first, optionally a new
 * snapshot (`null` removes it). The driver fills in the parent. `sessionId` is checked when given.
 *
 * @example
 * ```ts
 * import { type Driver, type Ids, Session } from "effect-burrow"
 *
 * const finish = (driver: Driver.Service, runId: Ids.RunId) =>
 *   driver.complete({
 *     runId,
 *     delta: {
 *       append: [Session.tool("2 eggs left"), Session.assistant("An omelette, then.")],
 *       snapshot: null // what was planned is done
 *     }
 *   })
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionDelta = Schema.Struct({
  sessionId: Schema.optionalWith(SessionId, { exact: true }),
  rewrite: Schema.optionalWith(
    Schema.Struct({ ...RewriteDraft.fields, replacement: Schema.Array(Json) }),
    { exact: true }
  ),
  append: Schema.optionalWith(Schema.Array(Json), { exact: true }),
  snapshot: Schema.optionalWith(Schema.NullOr(Schema.Uint8ArrayFromBase64), { exact: true })
})
/**
 * What is above `appendMessagesMax`, `appendBytesMax` (of canonical text) or `snapshotBytesMax` is `InvalidInput`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionDelta extends Schema.Schema.Type<typeof SessionDelta> {}

/**
 * A page of a transcript, pinned to the revision it was asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface TranscriptPage {
  readonly revision: Revision
  readonly length: number
  readonly start: number
  readonly messages: ReadonlyArray<Json>
}
