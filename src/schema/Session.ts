/**
 * The session: an append-only transcript with a revision, and an opaque snapshot.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Content from "./Content.js"
import { EpochMillis, RunId, Sequence, SessionId } from "./Ids.js"
import type { Json } from "./Json.js"

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
 * @since 0.1.0
 * @category models
 */
export interface SessionHead extends Schema.Schema.Type<typeof SessionHead> {}

/**
 * A message of the default shape. Sessions keep any JSON value as a message, so an agent may bring its own.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Message = Schema.Struct({
  role: Schema.Literal("user", "assistant", "tool", "system"),
  content: Content.Content
})
/**
 * @since 0.1.0
 * @category models
 */
export interface Message extends Schema.Schema.Type<typeof Message> {}

/**
 * A message as the JSON that sessions keep.
 *
 * @since 0.1.0
 * @category constructors
 */
export const message = (role: Message["role"]) => (content: string | Content.Content): Json =>
  Schema.encodeSync(Message)({ role, content: Content.from(content) }) as Json

/**
 * @since 0.1.0
 * @category constructors
 */
export const user = message("user")
/**
 * @since 0.1.0
 * @category constructors
 */
export const assistant = message("assistant")
/**
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
 * @since 0.1.0
 * @category models
 */
export interface TranscriptRewriteCommit extends Schema.Schema.Type<typeof TranscriptRewriteCommit> {}

/**
 * What a boundary changes in the session: messages appended, optionally a range replaced first, optionally a new
 * snapshot (`null` removes it). The driver fills in the parent. `sessionId` is checked when given.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionDelta {
  readonly sessionId?: SessionId
  readonly rewrite?: RewriteDraft & { readonly replacement: ReadonlyArray<Json> }
  readonly append?: ReadonlyArray<Json>
  readonly snapshot?: Uint8Array | null
}

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
