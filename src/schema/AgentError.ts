/**
 * Errors of the everyday API. What concerns the caller has a tag of its own; what concerns the store is one tag,
 * `StoreUnavailable`, with the store's own error as its reason.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Ended, WouldDeadlock } from "./AwaitError.js"
import * as BlobError from "./BlobError.js"
import { OwnershipLost, RunInProgress, TooManyRuntimes } from "./DriverError.js"
import type { InputTooLarge, InvalidInput, QueueFull, TooManyWaiters, UnknownInput } from "./DriverError.js"
import { RuntimeState } from "./Runtime.js"
import * as StoreError from "./StoreError.js"

const runtimeId = { runtimeId: Schema.String }

const question = { ...runtimeId, question: Schema.String, key: Schema.String }

/**
 * What a store, or the owner of a runtime, failed with.
 *
 * @since 0.1.0
 * @category schemas
 */
export const StoreReason = Schema.Union(
  StoreError.WriteFailed,
  StoreError.ReadFailed,
  StoreError.StoreBusy,
  StoreError.CommitUnknown,
  StoreError.StoreReplaced,
  StoreError.TransactionEnded,
  StoreError.RecordCorrupt,
  StoreError.SchemaFromTheFuture,
  StoreError.StoreClosed,
  StoreError.EventsPruned,
  StoreError.TranscriptRevisionConflict,
  StoreError.InsideTransaction,
  OwnershipLost,
  TooManyRuntimes,
  RunInProgress,
  BlobError.BlobNotFound,
  BlobError.BlobCorrupt,
  BlobError.BlobTooLarge,
  BlobError.BlobInvalidId,
  BlobError.BlobInvalidMediaType,
  BlobError.BlobReadFailed,
  BlobError.BlobWriteFailed
)
/**
 * Match on its `_tag` where it matters; `retryable` says whether the same call can succeed later.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreReason = typeof StoreReason.Type

/**
 * The disk, the network, or the runtime's owner. After `CommitUnknown` alone an input may have been taken: send it again
 * under the same key.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  reason: StoreReason
}) {
  get retryable(): boolean {
    return this.reason.retryable
  }
  override get message(): string {
    return this.reason.message
  }
}

/**
 * The agent takes nothing under this id: it was stopped, retired or destroyed.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentClosed
  extends Schema.TaggedError<AgentClosed>()("AgentClosed", { ...runtimeId, state: RuntimeState })
{
  readonly retryable = false
  override get message(): string {
    return `${this.runtimeId} is ${this.state} and takes no input. ${
      this.state === "stopped"
        ? "Resume it first."
        : this.state === "destroyed"
        ? "Use another id."
        : "Recycle it first."
    }`
  }
}

/**
 * Something stored is not what the agent's present Schema reads. It stays as it is: a program that reads it finds it.
 *
 * @since 0.1.0
 * @category errors
 */
export class Undecodable extends Schema.TaggedError<Undecodable>()("Undecodable", {
  ...runtimeId,
  inputId: Schema.NullOr(Schema.String),
  field: Schema.String,
  problem: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `${this.field} of ${
      this.inputId === null ? "" : `input ${this.inputId} of `
    }${this.runtimeId} is not what the ` +
      `agent's Schema reads: ${this.problem}. Deploy a Schema that reads it, then release what is held.`
  }
}

/**
 * Nobody answered the question until its deadline.
 *
 * @since 0.1.0
 * @category errors
 */
export class QuestionExpired extends Schema.TaggedError<QuestionExpired>()("QuestionExpired", question) {
  readonly retryable = false
  override get message(): string {
    return `Nobody answered question ${this.question} "${this.key}" of ${this.runtimeId} in time.`
  }
}

/**
 * No run waits for an answer to that question: it was never asked, it has expired, or who asked it was cancelled.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownQuestion extends Schema.TaggedError<UnknownQuestion>()("UnknownQuestion", question) {
  readonly retryable = false
  override get message(): string {
    return `Nothing of ${this.runtimeId} waits for an answer to question ${this.question} "${this.key}": it was never ` +
      "asked, it has expired, or what asked it has ended. Nothing was written."
  }
}

/**
 * Why an input was not taken. Nothing was written, except maybe after `StoreUnavailable` for `CommitUnknown`.
 *
 * @since 0.1.0
 * @category models
 */
export type SendError =
  | QueueFull
  | InputTooLarge
  | InvalidInput
  | TooManyRuntimes
  | AgentClosed
  | StoreError.IdempotencyConflict
  | StoreError.InsideTransaction
  | StoreUnavailable

/**
 * Why waiting for an input gives no result: how it ended, or why it cannot be waited for.
 *
 * @since 0.1.0
 * @category models
 */
export type AwaitError = Ended | Undecodable | UnknownInput | WouldDeadlock | TooManyWaiters | StoreUnavailable

/**
 * Why `call` gives no result: the input was not taken, or waiting for it gives none.
 *
 * @since 0.1.0
 * @category models
 */
export type CallError = SendError | AwaitError
