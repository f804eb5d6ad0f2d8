/**
 * Why waiting for an input gives no result: how it ended, or that it cannot be waited for.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Failure } from "./InputState.js"

const names = { runtimeId: Schema.String, inputId: Schema.String }

const input = ({ inputId, runtimeId }: { readonly runtimeId: string; readonly inputId: string }): string =>
  `Input ${inputId} of ${runtimeId}`

/**
 * The input was given up: its attempts are used up, or its executor said that trying again cannot help. `error` is the
 * last failure.
 *
 * @since 0.1.0
 * @category errors
 */
export class DeadLettered extends Schema.TaggedError<DeadLettered>()("DeadLettered", {
  ...names,
  attempts: Schema.Number,
  error: Failure
}) {
  /** Waiting again gives the same answer; a redrive is a new input. */
  readonly retryable = false
  override get message(): string {
    const { message, tag } = this.error
    const said = message === "" ? tag : `${tag}: ${message.replace(/\.$/, "")}`
    return `${input(this)} was given up after ${this.attempts} attempt${this.attempts === 1 ? "" : "s"}: ${said}. ` +
      "Redrive it when the cause is gone."
  }
}

/**
 * The input, or the run that worked on it, was cancelled.
 *
 * @since 0.1.0
 * @category errors
 */
export class Cancelled extends Schema.TaggedError<Cancelled>()("Cancelled", { ...names, reason: Schema.String }) {
  readonly retryable = false
  override get message(): string {
    return `${input(this)} was cancelled${this.reason === "" ? "" : ` (${this.reason})`}. Send a new one to try again.`
  }
}

/**
 * A newer input took this one's place before it was worked on. One that was coalesced into another reports as this, too.
 *
 * @since 0.1.0
 * @category errors
 */
export class Superseded extends Schema.TaggedError<Superseded>()("Superseded", { ...names, by: Schema.String }) {
  readonly retryable = false
  override get message(): string {
    return `${input(this)} was superseded. Wait for ${this.by}, which took its place.`
  }
}

/**
 * The input was abandoned with everything that waited, by a command on its runtime.
 *
 * @since 0.1.0
 * @category errors
 */
export class Dropped extends Schema.TaggedError<Dropped>()("Dropped", {
  ...names,
  reason: Schema.Literal("reset", "destroyed", "retired", "stopped")
}) {
  readonly retryable = false
  override get message(): string {
    return `${input(this)} was dropped: the runtime was ${this.reason}. ${
      this.reason === "destroyed" ? "Use another runtime." : "Send it again, with another key."
    }`
  }
}

/**
 * Nobody knows what became of the input's work: its run was lost and the application settles such runs instead of
 * trying again (`outcome_unknown`), or the input was ephemeral and its process has ended (`process_ended`).
 *
 * @since 0.1.0
 * @category errors
 */
export class Lost extends Schema.TaggedError<Lost>()("Lost", {
  ...names,
  reason: Schema.Literal("outcome_unknown", "process_ended")
}) {
  readonly retryable = false
  override get message(): string {
    return this.reason === "outcome_unknown"
      ? `${input(this)} was lost in the middle of its run. Find out what it did before you send it again.`
      : `${input(this)} was ephemeral and ended with its process. Send it again, or make it durable.`
  }
}

/**
 * The input was handed over as a row, by an outbox or an `Inbox`, and its runtime has refused it for good. It never was
 * one of its inputs; the row is kept: `RuntimeStore.loadDeposits({ refused: true })`.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { ...names, error: Failure }) {
  readonly retryable = false
  override get message(): string {
    return `${input(this)} was handed over and refused: ${this.error.tag}: ${this.error.message}`
  }
}

/**
 * A run of `by` would wait for `runtimeId`, which cannot go on before that run ends.
 *
 * @since 0.1.0
 * @category errors
 */
export class WouldDeadlock extends Schema.TaggedError<WouldDeadlock>()("WouldDeadlock", {
  runtimeId: Schema.String,
  by: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return this.runtimeId === this.by
      ? `A run of ${this.by} would wait for its own runtime, which goes on only when the run ends. Send and do not wait.`
      : `A run of ${this.by} would wait for ${this.runtimeId}, which itself waits for that run. Send and do not wait.`
  }
}

/**
 * How an input ended that has no result. None of these passes: the outcome of an input never changes (I8).
 *
 * @since 0.1.0
 * @category models
 */
export type Ended = DeadLettered | Cancelled | Superseded | Dropped | Lost | Refused
