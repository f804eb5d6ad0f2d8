/**
 * The write set of one runtime as a store sees it: rows of text and numbers. Every store writes the same rows, so that
 * no store can have a policy of its own.
 */

/** Columns of the runtime's row that a command may change. */
export interface RuntimeColumns {
  /** `RuntimeState`, so that runtimes can be listed without decoding. */
  readonly state: string
  /** The lifecycle record, encoded. */
  readonly record: string
  readonly runId: string | null
  readonly runBatch: string | null
  readonly runSequence: number | null
  readonly runOpenedAt: number | null
}

/** The columns of an input that change. An UPDATE names these only. */
export interface HeadRow {
  readonly inputId: string
  readonly phase: string
  readonly attempt: number
  readonly stagings: number
  readonly batchId: string | null
  readonly runId: string | null
  readonly receiptRunId: string | null
  readonly receiptSequence: number | null
  readonly readyAt: number | null
  readonly hold: string | null
  readonly recorded: 0 | 1
  /** Encoded list of `Awaited`; `null` for none, as nearly always. */
  readonly awaits: string | null
  /** Encoded `TerminalOutcome`; present exactly when the input is terminal. */
  readonly outcome: string | null
  readonly failure: string | null
  readonly updatedAt: number
}

/** An input without its payload: what recovery reads. */
export interface InputHeadRow extends HeadRow {
  readonly sequence: number
  readonly acceptedAt: number
  readonly deliverAt: number | null
  readonly kind: string
  readonly durability: string
  readonly lane: string | null
  readonly idempotencyKey: string | null
  readonly supersessionKey: string | null
  readonly payloadDigest: string
  readonly policy: string
}

/** An input as it is inserted. */
export interface InputRow extends InputHeadRow {
  readonly payload: string
}

export interface MessageRow {
  readonly revision: string
  readonly message: string
}

export interface SessionHeadRow {
  readonly sessionId: string
  readonly revision: string
  readonly version: number
  readonly length: number
}

export interface SessionRows {
  readonly sessionId: string
  /** What the write was made on. Version 0 is a session without a row. */
  readonly parent: { readonly revision: string; readonly version: number }
  readonly after: { readonly revision: string; readonly version: number; readonly length: number }
  /** Messages kept from the front; those behind are deleted before `append` is written. */
  readonly keep: number
  readonly append: ReadonlyArray<MessageRow>
  /** `undefined` leaves the snapshot as it is, `null` removes it. */
  readonly snapshot: Uint8Array | null | undefined
  /** Compare-and-set: the snapshot must be these bytes (`null`: absent). `undefined` asks nothing. */
  readonly expected: Uint8Array | null | undefined
  /** The record of a rewrite, encoded. */
  readonly rewrite: string | null
}

export interface BoundaryRow {
  readonly runId: string
  readonly batchId: string
  /** The last boundary the writer knows; this one becomes `after + 1`. */
  readonly after: number
  readonly digest: string
  readonly contributors: ReadonlyArray<string>
  readonly receipt: string
  readonly result: string | null
}

export interface NoteRow {
  readonly scope: string
  readonly key: string
  readonly value: string
}

export interface EventRow {
  readonly number: number
  readonly at: number
  readonly code: string
  readonly data: string
}

/** An input that waits for the owner of its runtime to admit it. The runtime may be another one, and not be there yet. */
export interface DepositRow {
  /** The target. */
  readonly runtimeId: string
  readonly inputId: string
  readonly at: number
  readonly payload: string
}

export interface Rows {
  readonly runtimeId: string
  readonly epoch: number
  readonly claimId: string
  /** With the epoch it stamps every row that the commit writes. */
  readonly n: number
  readonly runtime: RuntimeColumns | null
  readonly inserts: ReadonlyArray<InputRow>
  readonly moves: ReadonlyArray<HeadRow>
  readonly session: SessionRows | null
  readonly boundary: BoundaryRow | null
  readonly notes: ReadonlyArray<NoteRow>
  readonly events: ReadonlyArray<EventRow>
  /** The operations' snapshot: `undefined` leaves it, `null` deletes it. */
  readonly ops: string | null | undefined
  readonly deposits: ReadonlyArray<DepositRow>
}

/** A stored input that has the id or the key of one that is to be inserted. */
export interface KnownRow {
  readonly inputId: string
  readonly idempotencyKey: string | null
  readonly payloadDigest: string
  readonly sequence: number
}

/** Why a commit was refused; nothing of it was written. */
export type Refusal =
  | { readonly _tag: "StaleFence"; readonly current: number | null }
  | { readonly _tag: "ReceiptConflict" }
  | { readonly _tag: "RunNotOpen" }
  | { readonly _tag: "SequenceMismatch"; readonly last: number }
  | { readonly _tag: "SessionKeyMismatch"; readonly actual: string }
  | { readonly _tag: "TranscriptRevisionConflict"; readonly actual: string }
  | { readonly _tag: "SnapshotChanged" }
  | { readonly _tag: "ContributorNotStaged" }
  | { readonly _tag: "NoteConflict"; readonly scope: string; readonly key: string }
  | { readonly _tag: "KnownInput"; readonly known: ReadonlyArray<KnownRow> }

export type Outcome =
  | { readonly _tag: "Committed" }
  /** Exactly this boundary is already stored. Nothing was written, no `alongside` was run. */
  | { readonly _tag: "AlreadyApplied" }
  | { readonly _tag: "Refused"; readonly by: Refusal }

export const committed: Outcome = { _tag: "Committed" }
