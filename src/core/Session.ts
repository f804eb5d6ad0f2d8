/**
 * Changes of the session: appended messages, a replaced range, another snapshot.
 */
import type { RunId, SessionId } from "../schema/Ids.js"
import type { RuntimeEvent } from "../schema/RuntimeEvent.js"
import type { Revision, RewriteDraft, SessionHead } from "../schema/Session.js"
import type { SessionWrite } from "./Commit.js"
import { emptySession, nextRevision, type Sha256 } from "./Digests.js"

/** A delta with its messages as canonical text, and the facts about the stored transcript that it needs. */
export interface Delta {
  readonly sessionId?: SessionId
  readonly append: ReadonlyArray<string>
  readonly snapshot?: Uint8Array | null
  /** Compare-and-set of the snapshot. */
  readonly expected?: Uint8Array | null
  readonly rewrite?: RewriteDraft & {
    readonly replacement: ReadonlyArray<string>
    /** The revision of the messages before the selection; `null` in a delta that is only compared. */
    readonly keepRevision: Revision | null
    /** The messages behind the selection. */
    readonly tail: ReadonlyArray<string>
  }
}

export const noDelta: Delta = { append: [] }

export const isEmpty = (delta: Delta): boolean =>
  delta.append.length === 0 && delta.snapshot === undefined && delta.rewrite === undefined

/** The session that a delta without one begins. */
export const parentOf = (sha256: Sha256, session: SessionHead | null, id: SessionId): SessionHead =>
  session ?? emptySession(sha256, id)

export const write = (options: {
  readonly sha256: Sha256
  readonly parent: SessionHead
  readonly delta: Delta
  /** Messages of inputs, before those of the delta. */
  readonly recorded: ReadonlyArray<string>
  readonly runId: RunId | null
  readonly now: number
}): SessionWrite => {
  const { delta, now, parent, recorded, runId, sha256 } = options
  const { rewrite } = delta
  const keep = rewrite?.selection.start ?? parent.length
  if (rewrite?.keepRevision === null) throw new Error("a delta that is only compared cannot be written")
  let revision = rewrite?.keepRevision ?? parent.revision
  const append = [...rewrite?.replacement ?? [], ...rewrite?.tail ?? [], ...recorded, ...delta.append].map(
    (message) => {
      revision = nextRevision(sha256, revision, message)
      return { revision, message }
    }
  )
  const length = keep + append.length
  return {
    parent,
    after: { id: parent.id, revision, version: parent.version + 1, length },
    keep,
    append,
    snapshot: delta.snapshot,
    expected: delta.expected,
    rewrite: rewrite === undefined ? null : {
      selection: rewrite.selection,
      reason: rewrite.reason,
      ...(rewrite.actor !== undefined && { actor: rewrite.actor }),
      parentRevision: parent.revision,
      revision,
      replacementDigest: sha256(`[${rewrite.replacement.join(",")}]`),
      messagesBefore: parent.length,
      messagesAfter: length,
      at: now,
      runId
    }
  }
}

/** What a rewrite tells those who follow the transcript. */
export const rewritten = ({ rewrite }: Delta, { after }: SessionWrite): RuntimeEvent | undefined =>
  rewrite && {
    _tag: "session.rewritten",
    reason: rewrite.reason,
    selection: rewrite.selection,
    messages: { start: rewrite.selection.start, end: rewrite.selection.start + rewrite.replacement.length },
    revision: after.revision,
    length: after.length
  }
