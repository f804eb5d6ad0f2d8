/**
 * The durable state of runtimes: inputs, receipts, sessions, lifecycles, operations, login flows and events.
 *
 * Every write of a runtime's rows names the owner's token; a write under another one is `StaleFence` and changes
 * nothing (I9). A write is all or nothing (I2), and durable when it answers (I1), as far as the implementation is
 * persistent.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Commit, Deposit, InputStateRecord, MachineLifecycleCommit, SessionWrite } from "../core/Commit.js"
import type { KnownRow, Outcome } from "../core/Rows.js"
import type { BlobId } from "../schema/Blob.js"
import type { ClaimId, IdempotencyKey, InputId, RunId, RuntimeId, SessionId, Stamp, Token } from "../schema/Ids.js"
import type { Input } from "../schema/Input.js"
import type { Failure, InputHead } from "../schema/InputState.js"
import type { OAuthFlowSnapshot } from "../schema/OAuthFlow.js"
import type { OpsSnapshot } from "../schema/Ops.js"
import type { Note, OpenRun, Receipt, ReceiptDraft } from "../schema/Run.js"
import type { LifecycleRecord, RuntimeState } from "../schema/Runtime.js"
import type { EventRecord } from "../schema/RuntimeEvent.js"
import type { Revision, SessionHead, TranscriptPage, TranscriptRewriteCommit } from "../schema/Session.js"
import type {
  AlongsideTimeout,
  CommitError,
  ContributorNotStaged,
  EventsPruned,
  IdempotencyConflict,
  LoadError,
  NoteConflict,
  ReadFailed,
  ReceiptConflict,
  RecordCorrupt,
  RunNotOpen,
  SequenceMismatch,
  SessionKeyMismatch,
  StaleFence,
  StoreClosed,
  TranscriptRevisionConflict
} from "../schema/StoreError.js"
import type { Totals, Witness } from "./RuntimeStoreEncoded.js"

/**
 * What every write can fail with, beside its own refusals.
 *
 * @since 0.1.0
 * @category models
 */
export type WriteError = CommitError | StaleFence | StoreClosed

/**
 * A stored input: its head, and its body in the row or in a blob.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredInput {
  readonly head: InputHead
  readonly body:
    | { readonly _tag: "inline"; readonly input: Input }
    | { readonly _tag: "blob"; readonly blobId: BlobId }
}

/**
 * One row of a load: a corrupt row takes no other with it (I17).
 *
 * @since 0.1.0
 * @category models
 */
export type Row<A> = Either.Either<A, RecordCorrupt>

/**
 * An input that waits for the owner of its runtime to admit it, or that the owner refused, for `failure`. A row of which
 * a part cannot be read has its error for a body.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredDeposit {
  /** Its number in the store, never used again. */
  readonly no: number
  readonly runtimeId: RuntimeId
  readonly inputId: InputId
  /** Epoch milliseconds. */
  readonly at: number
  readonly body: Row<StoredInput["body"]>
  readonly failure: Failure | null
}

/**
 * The tag of a deposit's failure when its key was known under another id, which is the failure's message.
 *
 * @since 0.1.0
 * @category models
 */
export const DEDUPLICATED = "Deduplicated"

/**
 * Everything that recovery decides on. Read after the claim, in its transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recovered {
  /** `null`: nobody has used this runtime yet. */
  readonly lifecycle: LifecycleRecord | null
  readonly run: OpenRun | null
  readonly session: SessionHead | null
  readonly inputs: ReadonlyArray<InputHead>
  readonly corrupt: ReadonlyArray<RecordCorrupt>
  readonly lastSequence: number
  readonly hasReceipt: (runId: RunId, sequence: number) => boolean
}

/**
 * A boundary as `atomicApply` takes it. `stamp` carries the token; `after` is the last sequence that the writer knows
 * (0: none), and the store writes `after + 1`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AtomicApply<E, R> {
  readonly stamp: Stamp
  readonly after: number
  readonly receiptDraft: ReceiptDraft
  readonly commitDigest: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly lifecycle: MachineLifecycleCommit
  readonly delta?: SessionWrite
  readonly inputUpdates?: ReadonlyArray<InputStateRecord>
  /** The typed result, encoded. */
  readonly result?: string
  readonly notes?: ReadonlyArray<Note>
  readonly events?: ReadonlyArray<EventRecord>
  /** Inputs for other runtimes, or for this one, that are deposited with the boundary or not at all. */
  readonly outbox?: ReadonlyArray<Deposit>
  /** Runs last in the transaction, in a savepoint of its own, on the store's own client. */
  readonly alongside?: Effect.Effect<unknown, E, R>
  /** The session that the delta must belong to. It validates and creates nothing. */
  readonly sessionStoreKey?: SessionId
}

/**
 * At most `limit` rows behind `after`, which is the number of the last row of the page before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page {
  /** Behind this cursor. Default: from the start. */
  readonly after?: number
  /** Default 100. */
  readonly limit?: number
}

/**
 * The typed store over one implementation's rows. Applications read from it; its writes take a token, which is the
 * driver's.
 *
 * @example
 * ```ts
 * import { Ids, RuntimeStore } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const deadLetters = Effect.flatMap(RuntimeStore.RuntimeStore, (store) =>
 *   store.loadDeadLetters(Ids.RuntimeId.make("ana"), { limit: 20 }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class RuntimeStore extends Context.Tag("effect-burrow/RuntimeStore")<RuntimeStore, {
  /** Names the durable authority behind the store: two handles on one database have the same. None in memory. */
  readonly authAuthorityKey: Option.Option<string>
  /** Whether the calling fiber is inside a transaction of this store's own client. */
  readonly insideTransaction: Effect.Effect<boolean>

  /**
   * The one write: a sealed write set of one runtime, made by the core, in one transaction; refusals are values.
   * Commits that wait at the same time share a transaction. The other writes are made of it. `askedBy` are the spans of
   * those on whose behalf it is made, for a caller that is not one of them: the transaction's span links to them.
   */
  readonly commit: (
    commit: Commit,
    askedBy?: ReadonlyArray<Tracer.AnySpan>
  ) => Effect.Effect<Outcome, CommitError | StoreClosed>
  /**
   * `commit`, with an effect that joins the transaction. It shares it with nobody, is rolled back with it, and takes at
   * most `alongsideMillisMax`. The `SqlClient` that it takes from its context is the store's own, whichever its caller
   * has; a service that was built on another client stays with that one, and outside the transaction.
   */
  readonly commitWith: <E, R>(
    commit: Commit,
    alongside: Effect.Effect<unknown, E, R>
  ) => Effect.Effect<Outcome, CommitError | AlongsideTimeout | E, R>
  /**
   * Takes the runtime and recovers it: claim, load, decide and write are one transaction, so nothing read before the
   * claim is used. On the left of `decide` nothing is written, not even the claim.
   */
  readonly recover: <A, E>(
    runtimeId: RuntimeId,
    claimId: ClaimId,
    decide: (recovered: Recovered, token: Token) => Either.Either<readonly [commit: Commit, reply: A], E>
  ) => Effect.Effect<A, CommitError | LoadError | E>
  /** Takes the runtime without changing anything else of it. Older tokens are stale from then on. */
  readonly claim: (runtimeId: RuntimeId, claimId: ClaimId) => Effect.Effect<Token, CommitError | LoadError>
  /** A durable write under the token, after which a read is final (I12). */
  readonly barrier: (runtimeId: RuntimeId, token: Token) => Effect.Effect<void, CommitError | ReadFailed | StaleFence>
  /** The (epoch, n) of the commit that last wrote the witness's row. */
  readonly loadStamp: (
    runtimeId: RuntimeId,
    witness: Witness
  ) => Effect.Effect<Option.Option<{ readonly epoch: number; readonly n: number }>, ReadFailed>

  /**
   * Says when to look again. Registers at once, for the scope; the inner effect completes with the first commit of the
   * runtime after that, or, with an input, with the commit that ends it. It may complete for nothing, so look before
   * each wait.
   */
  readonly subscribe: (
    runtimeId: RuntimeId,
    inputId?: InputId
  ) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>

  /**
   * Leaves inputs for the owners of their runtimes to admit, exactly once each; the runtimes may not exist yet. It takes
   * no token. All or nothing, and durable when it answers; inside the calling fiber's transaction of the store's own
   * client it is part of that one.
   */
  readonly deposit: (deposits: ReadonlyArray<Deposit>) => Effect.Effect<void, CommitError | StoreClosed>
  /** The deposit of an input, while it waits or when it was refused. */
  readonly loadDeposit: (
    runtimeId: RuntimeId,
    inputId: InputId
  ) => Effect.Effect<Option.Option<StoredDeposit>, ReadFailed | SchemaFuture>
  /** Waiting deposits, or with `refused` those that were not admitted, in the order of their numbers. */
  readonly loadDeposits: (
    page?: Page & { readonly refused?: boolean }
  ) => Effect.Effect<ReadonlyArray<StoredDeposit>, ReadFailed | SchemaFuture>
  /**
   * What became of deposits, by their numbers: without a failure it was admitted, and is removed; with one it is kept,
   * and waits no more. Repeating it changes nothing.
   */
  readonly settleDeposits: (
    settled: ReadonlyArray<{ readonly no: number; readonly failure: Failure | null }>
  ) => Effect.Effect<void, CommitError | StoreClosed>
  /**
   * As `subscribe`, for deposits: completes when something was deposited through this store, or, where other processes
   * deposit and are looked after, when another connection has committed.
   */
  readonly subscribeDeposits: Effect.Effect<Effect.Effect<void>, never, Scope.Scope>

  /** One input's row, new or changed. */
  readonly persistInputState: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    record: InputStateRecord
  ) => Effect.Effect<void, WriteError | IdempotencyConflict>
  /** The lifecycle row and the listed input rows, together. Rows not listed stay as they are. */
  readonly commitMachineLifecycle: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    commit: MachineLifecycleCommit,
    records: ReadonlyArray<InputStateRecord>
  ) => Effect.Effect<void, WriteError | IdempotencyConflict>
  /**
   * A boundary: session change, receipt, input rows, lifecycle, notes, events and the application's own rows. The exact
   * retry answers `alreadyApplied` and runs no `alongside` (I7). Checked in this order: token, receipt, open run, last
   * sequence, session key, session parent, contributors, notes. That the delta is of `sessionStoreKey` is looked at
   * before all of these: it says whether the call makes sense, not what the store holds.
   */
  readonly atomicApply: <E = never, R = never>(
    runtimeId: RuntimeId,
    boundary: AtomicApply<E, R>
  ) => Effect.Effect<
    { readonly receipt: Receipt; readonly alreadyApplied: boolean },
    | WriteError
    | ReceiptConflict
    | RunNotOpen
    | SequenceMismatch
    | SessionKeyMismatch
    | TranscriptRevisionConflict
    | ContributorNotStaged
    | NoteConflict
    | IdempotencyConflict
    | AlongsideTimeout
    | E,
    R
  >
  readonly loadBoundaryReceipt: (
    runtimeId: RuntimeId,
    runId: RunId,
    sequence: number
  ) => Effect.Effect<Option.Option<{ readonly receipt: Receipt; readonly result: Option.Option<string> }>, LoadError>

  /** A change of the session that is not a boundary: append, snapshot. */
  readonly commitSessionSnapshot: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    write: SessionWrite
  ) => Effect.Effect<void, WriteError | SessionKeyMismatch | TranscriptRevisionConflict>
  /** Replaces messages, compared by parent revision in the same transaction, and keeps the record of it. */
  readonly commitSessionTranscriptRewriteSnapshot: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    write: SessionWrite & { readonly rewrite: TranscriptRewriteCommit }
  ) => Effect.Effect<void, WriteError | SessionKeyMismatch | TranscriptRevisionConflict>
  /** The snapshot's bytes, as they were given. */
  readonly loadSessionSnapshot: (runtimeId: RuntimeId) => Effect.Effect<Option.Option<Uint8Array>, ReadFailed>
  readonly loadSession: (runtimeId: RuntimeId) => Effect.Effect<Option.Option<SessionHead>, LoadError>
  /**
   * Removes the snapshot, whatever it is; absent is fine, and changes only the session's version. Inputs, receipts and
   * lifecycle stay.
   */
  readonly clearSessionSnapshot: (
    runtimeId: RuntimeId,
    stamp: Stamp
  ) => Effect.Effect<void, WriteError | LoadError>
  /** Byte-exact compare-and-set. `false`: it is absent or other bytes, and nothing was written. */
  readonly replaceSessionSnapshotIfCurrent: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    expected: Uint8Array,
    replacement: Uint8Array
  ) => Effect.Effect<boolean, WriteError | LoadError>
  /** Byte-exact compare-and-delete. */
  readonly clearSessionSnapshotIfCurrent: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    expected: Uint8Array
  ) => Effect.Effect<boolean, WriteError | LoadError>
  /**
   * A page of the transcript. Pinned to a revision, it is read as of then, as long as that is a prefix of the
   * transcript; a rewrite in between is `TranscriptRevisionConflict`.
   */
  readonly loadTranscript: (
    runtimeId: RuntimeId,
    page?: {
      readonly start?: number
      readonly limit?: number
      readonly at?: { readonly revision: Revision; readonly length: number }
    }
  ) => Effect.Effect<TranscriptPage, LoadError | TranscriptRevisionConflict>
  /** The revision of the first `length` messages; none beyond the transcript's end, and for 0. */
  readonly loadRevision: (
    runtimeId: RuntimeId,
    length: number
  ) => Effect.Effect<Option.Option<Revision>, ReadFailed>
  /** The records of all rewrites, oldest first. */
  readonly loadRewrites: (
    runtimeId: RuntimeId
  ) => Effect.Effect<ReadonlyArray<Row<TranscriptRewriteCommit>>, ReadFailed | SchemaFuture>

  readonly loadInputState: (
    runtimeId: RuntimeId,
    inputId: InputId
  ) => Effect.Effect<Option.Option<StoredInput>, LoadError>
  readonly loadInputStateByKey: (
    runtimeId: RuntimeId,
    key: IdempotencyKey
  ) => Effect.Effect<Option.Option<StoredInput>, LoadError>
  /** In admission order, `after` an admission number. */
  readonly loadInputStates: (
    runtimeId: RuntimeId,
    page?: Page
  ) => Effect.Effect<ReadonlyArray<Row<StoredInput>>, ReadFailed | SchemaFuture>
  readonly loadActiveInputStates: (
    runtimeId: RuntimeId,
    page?: Page
  ) => Effect.Effect<ReadonlyArray<Row<StoredInput>>, ReadFailed | SchemaFuture>
  /** Inputs whose attempts were used up, or that failed for good, with their last failure. */
  readonly loadDeadLetters: (
    runtimeId: RuntimeId,
    page?: Page
  ) => Effect.Effect<ReadonlyArray<Row<StoredInput>>, ReadFailed | SchemaFuture>
  /** The dead letters of all runtimes, in the order of (runtime id, admission number). */
  readonly loadAllDeadLetters: (page?: {
    readonly after?: { readonly runtimeId: RuntimeId; readonly sequence: number }
    readonly limit?: number
  }) => Effect.Effect<
    ReadonlyArray<{ readonly runtimeId: RuntimeId; readonly sequence: number; readonly input: Row<StoredInput> }>,
    ReadFailed | SchemaFuture
  >
  /** The bodies of the named inputs, in the order of the names. Absent ones are left out. */
  readonly loadBodies: (
    runtimeId: RuntimeId,
    inputIds: ReadonlyArray<InputId>
  ) => Effect.Effect<
    ReadonlyArray<{ readonly inputId: InputId; readonly body: Row<StoredInput["body"]> }>,
    ReadFailed | SchemaFuture
  >
  /** Stored inputs that have one of the ids or keys, terminal ones included. */
  readonly lookup: (
    runtimeId: RuntimeId,
    inputIds: ReadonlyArray<InputId>,
    keys: ReadonlyArray<IdempotencyKey>
  ) => Effect.Effect<ReadonlyArray<KnownRow>, ReadFailed>

  /** The stored bytes of the lifecycle record, not decoded. */
  readonly loadMachineLifecycleRecord: (
    runtimeId: RuntimeId
  ) => Effect.Effect<Option.Option<Uint8Array>, ReadFailed>
  /** The decoded record. One of another version is never read as if it were this one. */
  readonly loadMachineLifecycle: (
    runtimeId: RuntimeId
  ) => Effect.Effect<Option.Option<LifecycleRecord>, LoadError>
  readonly loadRuntimeState: (runtimeId: RuntimeId) => Effect.Effect<Option.Option<RuntimeState>, LoadError>
  /** Runtimes in order of their ids, `after` an id. */
  readonly loadRuntimes: (page?: {
    readonly after?: RuntimeId
    readonly limit?: number
  }) => Effect.Effect<ReadonlyArray<{ readonly runtimeId: RuntimeId; readonly state: RuntimeState }>, ReadFailed>
  /**
   * Runtimes with an open run or active inputs, and when the earliest of them is ready, in epoch milliseconds: 0 with an
   * open run or a staged input, none when all are held without a deadline, or ride along with nobody.
   */
  readonly loadPendingRuntimes: (page?: {
    readonly after?: RuntimeId
    readonly limit?: number
  }) => Effect.Effect<
    ReadonlyArray<{ readonly runtimeId: RuntimeId; readonly readyAt: Option.Option<number> }>,
    ReadFailed
  >
  /**
   * Runtimes with an active input, held or not, that gets ready in (after, until]: each once, with its earliest such
   * time, in the order of (time, runtime id). Times are epoch milliseconds. A full page can end among equal times.
   */
  readonly loadDue: (options: {
    readonly after: number
    readonly until: number
    readonly limit?: number
  }) => Effect.Effect<ReadonlyArray<{ readonly runtimeId: RuntimeId; readonly readyAt: number }>, ReadFailed>
  /** The earliest time behind `after` at which an active input of any runtime gets ready. */
  readonly loadNextReadyAt: (after: number) => Effect.Effect<Option.Option<number>, ReadFailed>
  /** Counts over the whole life of a runtime. The terminal inputs are counted row by row. */
  readonly loadTotals: (runtimeId: RuntimeId) => Effect.Effect<Totals, ReadFailed>

  /**
   * Committed events behind `after`, dense and in order. The accept event of an active input is its row; whoever ends an
   * input adds that event to the log, under its old number, in the same commit.
   */
  readonly loadEvents: (
    runtimeId: RuntimeId,
    page?: Page
  ) => Effect.Effect<ReadonlyArray<EventRecord>, LoadError | EventsPruned>
  /** The notes of a scope, in no particular order; with `key` that note alone. */
  readonly loadNotes: (
    runtimeId: RuntimeId,
    scope: string,
    key?: string
  ) => Effect.Effect<ReadonlyArray<Note>, LoadError>
  /**
   * Whether an effect with these services would write through another SQL client than the store's own: then its rows are
   * part of no commit. Without a SQL client on either side nothing is foreign.
   */
  readonly isForeign: (services: Context.Context<never>) => boolean

  readonly persistOpsLifecycle: (
    runtimeId: RuntimeId,
    stamp: Stamp,
    snapshot: OpsSnapshot
  ) => Effect.Effect<void, WriteError>
  readonly loadOpsLifecycle: (runtimeId: RuntimeId) => Effect.Effect<Option.Option<OpsSnapshot>, LoadError>
  readonly deleteOpsLifecycle: (runtimeId: RuntimeId, stamp: Stamp) => Effect.Effect<void, WriteError>

  /** Bytes that belong to the whole store, under a name of the application's. */
  readonly loadCell: (name: string) => Effect.Effect<Option.Option<Uint8Array>, ReadFailed>
  /**
   * Read, compute, write in one transaction; none removes the cell. It takes no token. When `f` fails, dies or is
   * interrupted nothing is written, and its error is returned unchanged.
   */
  readonly updateCell: <E, R>(
    name: string,
    f: (now: Option.Option<Uint8Array>) => Effect.Effect<Option.Option<Uint8Array>, E, R>
  ) => Effect.Effect<void, CommitError | ReadFailed | E, R>

  /** Overwrites the store's one login-flow snapshot. It takes no token: it is not a runtime's. */
  readonly persistAuthOAuthFlowSnapshot: (
    snapshot: OAuthFlowSnapshot
  ) => Effect.Effect<void, CommitError | ReadFailed>
  readonly loadAuthOAuthFlowSnapshot: Effect.Effect<Option.Option<OAuthFlowSnapshot>, LoadError>
  /**
   * Read, compute, write in one transaction. When `f` fails, dies or is interrupted nothing is written, and its error
   * is returned unchanged.
   */
  readonly updateAuthOAuthFlowSnapshot: <E, R>(
    f: (now: Option.Option<OAuthFlowSnapshot>) => Effect.Effect<OAuthFlowSnapshot, E, R>
  ) => Effect.Effect<void, CommitError | LoadError | E, R>
}>() {}

type SchemaFuture = Extract<LoadError, { readonly _tag: "SchemaFromTheFuture" }>
