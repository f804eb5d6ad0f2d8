/**
 * What can go wrong in a store. Each error says what happened, to which runtime or record, and whether the same call
 * can succeed later (`retryable`).
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const runtimeId = { runtimeId: Schema.String }
const expectedActual = { expected: Schema.String, actual: Schema.String }

/**
 * A write did not happen. Nothing of it is visible.
 *
 * @since 0.1.0
 * @category errors
 */
export class WriteFailed extends Schema.TaggedError<WriteFailed>()("WriteFailed", {
  operation: Schema.String,
  cause: Schema.Defect
}) {
  /** Not when the store was opened for reading. */
  get retryable(): boolean {
    return !(this.cause instanceof Unsupported)
  }
  override get message(): string {
    return `${this.operation} was not written; nothing of it is stored: ${reasonOf(this.cause)}`
  }
}

/**
 * A read did not happen, and says nothing about what is stored. `cause` is the original error.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReadFailed extends Schema.TaggedError<ReadFailed>()("ReadFailed", {
  operation: Schema.String,
  cause: Schema.Defect
}) {
  readonly retryable = true
  override get message(): string {
    return `${this.operation} could not be read: ${reasonOf(this.cause)}`
  }
}

/**
 * Another connection holds the database's lock. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreBusy extends Schema.TaggedError<StoreBusy>()("StoreBusy", { operation: Schema.String }) {
  readonly retryable = true
  override get message(): string {
    return `${this.operation} was not written: another connection holds the database. Try again.`
  }
}

/**
 * Whether the commit happened cannot be known yet. The same command with the same key is safe to repeat.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommitUnknown extends Schema.TaggedError<CommitUnknown>()("CommitUnknown", {
  operation: Schema.String,
  cause: Schema.Defect
}) {
  readonly retryable = true
  override get message(): string {
    return `Whether ${this.operation} was committed is not known: ${reasonOf(this.cause)}. Repeat it with the same key.`
  }
}

/**
 * The database file or its log was removed or replaced while open. The store is closed: what it would write is lost.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreReplaced extends Schema.TaggedError<StoreReplaced>()("StoreReplaced", { filename: Schema.String }) {
  readonly retryable = false
  override get message(): string {
    return `${this.filename} was removed or replaced while it was open. Restart the process on the right file.`
  }
}

/**
 * A statement came after its transaction had ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionEnded extends Schema.TaggedError<TransactionEnded>()("TransactionEnded", {
  operation: Schema.String
}) {
  readonly retryable = true
  override get message(): string {
    return `${this.operation}: the transaction had already ended. Nothing was written.`
  }
}

/**
 * What the `Encoded` contract of a store fails with; everything else is a value inside.
 *
 * @since 0.1.0
 * @category models
 */
export type CommitError = WriteFailed | StoreBusy | CommitUnknown | StoreReplaced | TransactionEnded

/**
 * The write named a token that is no longer the runtime's: another owner has claimed it (I9).
 *
 * @since 0.1.0
 * @category errors
 */
export class StaleFence extends Schema.TaggedError<StaleFence>()("StaleFence", {
  ...runtimeId,
  epoch: Schema.Number,
  current: Schema.NullOr(Schema.Number)
}) {
  readonly retryable = false
  override get message(): string {
    return this.current === null
      ? `Runtime ${this.runtimeId} has not been claimed. Claim it before writing.`
      : `Runtime ${this.runtimeId} was claimed by another owner (epoch ${this.current}, ours ${this.epoch}).`
  }
}

/**
 * Another boundary is stored under the same run and sequence (I7).
 *
 * @since 0.1.0
 * @category errors
 */
export class ReceiptConflict extends Schema.TaggedError<ReceiptConflict>()("ReceiptConflict", {
  ...runtimeId,
  runId: Schema.String,
  sequence: Schema.Number
}) {
  readonly retryable = false
  override get message(): string {
    return `Boundary ${this.sequence} of run ${this.runId} (runtime ${this.runtimeId}) was committed with other content.`
  }
}

/**
 * Only the open run can commit (I10).
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotOpen extends Schema.TaggedError<RunNotOpen>()("RunNotOpen", {
  ...runtimeId,
  runId: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `Run ${this.runId} of runtime ${this.runtimeId} is not open: it ended, or was cancelled. Stop working on it.`
  }
}

/**
 * The boundary named another predecessor than the last one committed.
 *
 * @since 0.1.0
 * @category errors
 */
export class SequenceMismatch extends Schema.TaggedError<SequenceMismatch>()("SequenceMismatch", {
  ...runtimeId,
  runId: Schema.String,
  after: Schema.Number,
  last: Schema.Number
}) {
  readonly retryable = false
  override get message(): string {
    return `The boundary of run ${this.runId} names ${this.after} as its predecessor, but the last one is ${this.last}.`
  }
}

/**
 * A contributor is not staged under the run.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContributorNotStaged extends Schema.TaggedError<ContributorNotStaged>()("ContributorNotStaged", {
  ...runtimeId,
  runId: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `A contributor of the boundary is not staged under run ${this.runId} of runtime ${this.runtimeId}.`
  }
}

/**
 * The session has changed since the parent that the write names.
 *
 * @since 0.1.0
 * @category errors
 */
export class TranscriptRevisionConflict
  extends Schema.TaggedError<TranscriptRevisionConflict>()("TranscriptRevisionConflict", {
    ...runtimeId,
    ...expectedActual
  })
{
  readonly retryable = false
  override get message(): string {
    return `The session of ${this.runtimeId} is at ${this.actual}, not at ${this.expected}. Read it again.`
  }
}

/**
 * The session's id is not the one that was named.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionKeyMismatch extends Schema.TaggedError<SessionKeyMismatch>()("SessionKeyMismatch", {
  ...runtimeId,
  ...expectedActual
}) {
  readonly retryable = false
  override get message(): string {
    return `Runtime ${this.runtimeId} holds session ${this.actual}, not ${this.expected}.`
  }
}

/**
 * The same key or id was used for another payload (I5). `inputId` is the input that has it.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdempotencyConflict extends Schema.TaggedError<IdempotencyConflict>()("IdempotencyConflict", {
  ...runtimeId,
  key: Schema.NullOr(Schema.String),
  inputId: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return this.key === null
      ? `Input id ${this.inputId} of runtime ${this.runtimeId} was used before with another payload.`
      : `Key ${JSON.stringify(this.key)} of runtime ${this.runtimeId} is input ${this.inputId}, with another payload.`
  }
}

/**
 * A note of that scope and key exists. It is there for ever, whatever its value.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoteConflict extends Schema.TaggedError<NoteConflict>()("NoteConflict", {
  ...runtimeId,
  scope: Schema.String,
  key: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `${JSON.stringify(this.key)} was already recorded for ${this.scope} (runtime ${this.runtimeId}).`
  }
}

/**
 * A stored record cannot be read. It is kept as it is and skipped (I17).
 *
 * @since 0.1.0
 * @category errors
 */
export class RecordCorrupt extends Schema.TaggedError<RecordCorrupt>()("RecordCorrupt", {
  ...runtimeId,
  record: Schema.String,
  field: Schema.String,
  problem: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `${this.record} of runtime ${this.runtimeId} cannot be read. ${this.field}: ${this.problem}. It was left as it is.`
  }
}

/**
 * The file or a record was written by a newer version of the library. Nothing was changed.
 *
 * @since 0.1.0
 * @category errors
 */
export class SchemaFromTheFuture extends Schema.TaggedError<SchemaFromTheFuture>()("SchemaFromTheFuture", {
  record: Schema.String,
  version: Schema.Number,
  known: Schema.Number
}) {
  readonly retryable = false
  override get message(): string {
    return `${this.record} has version ${this.version}; this library knows up to ${this.known}. Use a newer one.`
  }
}

/**
 * The operation does not exist in this store.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", { operation: Schema.String }) {
  readonly retryable = false
  override get message(): string {
    return `This store does not support ${this.operation}.`
  }
}

/**
 * Events before `oldest` are no longer kept.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventsPruned extends Schema.TaggedError<EventsPruned>()("EventsPruned", {
  ...runtimeId,
  oldest: Schema.Number
}) {
  readonly retryable = false
  override get message(): string {
    return `Events of ${this.runtimeId} before ${this.oldest} are no longer kept. Read on from there.`
  }
}

/**
 * The store, or the driver over it, was closed before the command was taken. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreClosed extends Schema.TaggedError<StoreClosed>()("StoreClosed", { operation: Schema.String }) {
  readonly retryable = false
  override get message(): string {
    return `${this.operation}: the scope has closed. Nothing was written.`
  }
}

/**
 * `alongside` took longer than its limit. The boundary was rolled back.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlongsideTimeout extends Schema.TaggedError<AlongsideTimeout>()("AlongsideTimeout", {
  ...runtimeId,
  alongsideMillisMax: Schema.Number
}) {
  readonly retryable = true
  override get message(): string {
    return `alongside of ${this.runtimeId} took longer than ${this.alongsideMillisMax} ms; the boundary was rolled back.`
  }
}

/**
 * Another process owns the file.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreOwned extends Schema.TaggedError<StoreOwned>()("StoreOwned", {
  filename: Schema.String,
  by: Schema.String
}) {
  readonly retryable = true
  override get message(): string {
    return `${this.filename} is owned by ${this.by}. Only one process may own it: end that one, or open it beside it ` +
      "with BurrowSqlite.layerGuest, or to read with BurrowSqlite.layerReader."
  }
}

/**
 * The file could not be opened as a store.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreOpenFailed extends Schema.TaggedError<StoreOpenFailed>()("StoreOpenFailed", {
  filename: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalWith(Schema.Defect, { exact: true })
}) {
  readonly retryable = false
  override get message(): string {
    return `${this.filename} cannot be opened as a store: ${this.reason}.`
  }
}

/**
 * An agent was given a `SqlClient` that is not the store's own: what it would write through that in an `alongside` would
 * be part of no boundary.
 *
 * @since 0.1.0
 * @category errors
 */
export class ForeignSqlClient extends Schema.TaggedError<ForeignSqlClient>()("ForeignSqlClient", {
  agent: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `Agent ${this.agent} is provided with a SqlClient that is not the store's own, so its rows would not be ` +
      "committed together with its boundaries. Provide it with the SqlClient of the Burrow layer, and name another " +
      "database by a service of its own."
  }
}

/**
 * A driver's command inside an open transaction of the store's client: its answer could be rolled back.
 *
 * @since 0.1.0
 * @category errors
 */
export class InsideTransaction extends Schema.TaggedError<InsideTransaction>()("InsideTransaction", {
  operation: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `${this.operation} was called inside an open transaction, which could undo its answer. Call it after the commit.`
  }
}

const reasonOf = (cause: unknown): string => {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return inner instanceof Error ? inner.message : "unknown cause"
}

/**
 * What reading a store can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type LoadError = ReadFailed | RecordCorrupt | SchemaFromTheFuture

/**
 * Every error of a store.
 *
 * @example
 * ```ts
 * import { type Driver, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * // The key makes every repetition the same input, also after `CommitUnknown`.
 * const accept = (driver: Driver.Service, text: string, key: string) =>
 *   driver.accept(Input.prompt(text, { idempotencyKey: key })).pipe(
 *     Effect.retry({ while: (error) => error.retryable, schedule: Schedule.exponential("50 millis"), times: 5 })
 *   )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type StoreError =
  | CommitError
  | LoadError
  | StaleFence
  | ReceiptConflict
  | RunNotOpen
  | SequenceMismatch
  | ContributorNotStaged
  | TranscriptRevisionConflict
  | SessionKeyMismatch
  | IdempotencyConflict
  | NoteConflict
  | Unsupported
  | EventsPruned
  | StoreClosed
  | AlongsideTimeout
  | StoreOwned
  | StoreOpenFailed
  | StoreReplaced
  | InsideTransaction
