/**
 * Whether a write set may be committed, given what the store holds at that moment. Every store reads the facts inside
 * its transaction and asks here.
 */
import type { NoteRow, Outcome, Refusal, Rows, SessionHeadRow } from "./Rows.js"

export interface Facts {
  readonly runtime: {
    readonly epoch: number
    readonly claimId: string
    readonly runId: string | null
    readonly runSequence: number | null
  } | null
  /** The digest of the receipt at (run, after + 1). Read when there is a boundary. */
  readonly receiptDigest: string | null
  /** How many of the boundary's contributors are staged under its run. Read when there is a boundary. */
  readonly contributorsStaged: number
  /** Read when there is a session write. */
  readonly session: SessionHeadRow | null
  /** Read when the session write expects a snapshot. */
  readonly snapshot: Uint8Array | null
  /** The stored notes of the same scopes and keys. Read when there are notes. */
  readonly notes: ReadonlyArray<NoteRow>
}

type Check = (rows: Rows, facts: Facts) => Refusal | "AlreadyApplied" | undefined

const token: Check = (rows, { runtime }) =>
  runtime !== null && runtime.epoch === rows.epoch && runtime.claimId === rows.claimId
    ? undefined
    : { _tag: "StaleFence", current: runtime?.epoch ?? null }

const receipt: Check = ({ boundary }, { receiptDigest }) =>
  boundary === null || receiptDigest === null
    ? undefined
    : receiptDigest === boundary.digest
    ? "AlreadyApplied"
    : { _tag: "ReceiptConflict" }

const openRun: Check = ({ boundary }, { runtime }) =>
  boundary === null || runtime?.runId === boundary.runId ? undefined : { _tag: "RunNotOpen" }

const lastSequence: Check = ({ boundary }, { runtime }) =>
  boundary === null || runtime?.runSequence === boundary.after
    ? undefined
    : { _tag: "SequenceMismatch", last: runtime?.runSequence ?? 0 }

const sessionKey: Check = ({ session }, facts) =>
  session === null || facts.session === null || facts.session.sessionId === session.sessionId
    ? undefined
    : { _tag: "SessionKeyMismatch", actual: facts.session.sessionId }

const sessionParent: Check = ({ session }, facts) => {
  if (session === null) return undefined
  const version = facts.session?.version ?? 0
  const sameRevision = facts.session === null || facts.session.revision === session.parent.revision
  return version === session.parent.version && sameRevision
    ? undefined
    : { _tag: "TranscriptRevisionConflict", actual: `${facts.session?.revision ?? "empty"} (version ${version})` }
}

const snapshot: Check = ({ session }, facts) =>
  session === null || session.expected === undefined || sameBytes(session.expected, facts.snapshot)
    ? undefined
    : { _tag: "SnapshotChanged" }

const contributors: Check = ({ boundary }, { contributorsStaged }) =>
  boundary === null || contributorsStaged === boundary.contributors.length
    ? undefined
    : { _tag: "ContributorNotStaged" }

const notes: Check = (rows, facts) => {
  const taken = rows.notes.find((note) =>
    facts.notes.some((stored) => stored.scope === note.scope && stored.key === note.key)
  )
  return taken && { _tag: "NoteConflict", scope: taken.scope, key: taken.key }
}

/** In this order; the first that speaks decides. */
const checks: ReadonlyArray<Check> = [
  token,
  receipt,
  openRun,
  lastSequence,
  sessionKey,
  sessionParent,
  snapshot,
  contributors,
  notes
]

/** `undefined`: write it. */
export const judge = (rows: Rows, facts: Facts): Outcome | undefined => {
  for (const check of checks) {
    const said = check(rows, facts)
    if (said === "AlreadyApplied") return { _tag: "AlreadyApplied" }
    if (said !== undefined) return { _tag: "Refused", by: said }
  }
  return undefined
}

const sameBytes = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === b || (a !== null && b !== null && a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]))
