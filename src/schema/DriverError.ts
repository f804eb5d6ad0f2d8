/**
 * What a driver refuses, beside what its store fails with.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RejectReason } from "./Report.js"
import { RuntimeState } from "./Runtime.js"

const runtimeId = { runtimeId: Schema.String }

/**
 * The runtime's state does not allow the command.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", {
  ...runtimeId,
  state: RuntimeState,
  command: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `Runtime ${this.runtimeId} is ${this.state}: ${this.command} is refused. ${
      this.state === "stopped" ? "Resume it first." : this.state === "retired" ? "Reset or recycle it first." : ""
    }`.trimEnd()
  }
}

/**
 * The runtime was destroyed. It takes no command any more.
 *
 * @since 0.1.0
 * @category errors
 */
export class Destroyed extends Schema.TaggedError<Destroyed>()("Destroyed", runtimeId) {
  readonly retryable = false
  override get message(): string {
    return `Runtime ${this.runtimeId} was destroyed. Use another id.`
  }
}

/**
 * Nobody has used a runtime of that id.
 *
 * @since 0.1.0
 * @category errors
 */
export class RuntimeNotFound extends Schema.TaggedError<RuntimeNotFound>()("RuntimeNotFound", runtimeId) {
  readonly retryable = false
  override get message(): string {
    return `There is no runtime ${this.runtimeId}. A runtime is made by its first input.`
  }
}

/**
 * The input is not valid as it is, whenever it is handed in. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class InputRejected extends Schema.TaggedError<InputRejected>()("InputRejected", {
  ...runtimeId,
  reason: RejectReason
}) {
  readonly retryable = false
  override get message(): string {
    return `The input for ${this.runtimeId} is rejected, and would be again: ${this.reason.detail}. Nothing was written.`
  }
}

/**
 * The command has to wait until no run is open.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunInProgress extends Schema.TaggedError<RunInProgress>()("RunInProgress", {
  ...runtimeId,
  runId: Schema.String,
  command: Schema.String
}) {
  readonly retryable = true
  override get message(): string {
    return `${this.command} is refused while run ${this.runId} of ${this.runtimeId} is open. Wait for it or cancel it.`
  }
}

/**
 * Another owner claimed the runtime, or nobody knows whether (`by` is `null`); this driver writes nothing any more until
 * `takeOver`.
 *
 * @since 0.1.0
 * @category errors
 */
export class OwnershipLost extends Schema.TaggedError<OwnershipLost>()("OwnershipLost", {
  ...runtimeId,
  by: Schema.NullOr(Schema.Number)
}) {
  readonly retryable = false
  override get message(): string {
    return this.by === null
      ? `What runtime ${this.runtimeId} holds is not known here any more. Take it over to go on.`
      : `Runtime ${this.runtimeId} was claimed by another owner (epoch ${this.by}). Take it over to go on.`
  }
}

/**
 * The runtime has as many active inputs as it may. Nothing was written, and no key was used up.
 *
 * @since 0.1.0
 * @category errors
 */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  ...runtimeId,
  queueDepthMax: Schema.Number
}) {
  readonly retryable = true
  override get message(): string {
    return `Runtime ${this.runtimeId} has ${this.queueDepthMax} active inputs, its limit. Try again when some are done.`
  }
}

/**
 * As many runtimes are in memory as may be, and none of them is idle.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyRuntimes extends Schema.TaggedError<TooManyRuntimes>()("TooManyRuntimes", {
  ...runtimeId,
  runtimesLiveMax: Schema.Number
}) {
  readonly retryable = true
  override get message(): string {
    return `Runtime ${this.runtimeId} cannot be opened: ${this.runtimesLiveMax} runtimes are live, the limit, and none ` +
      "of them is idle. Try again when some are done."
  }
}

/**
 * As many fibers wait for inputs as may.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyWaiters extends Schema.TaggedError<TooManyWaiters>()("TooManyWaiters", {
  ...runtimeId,
  waitersMax: Schema.Number
}) {
  readonly retryable = true
  override get message(): string {
    return `Waiting for an input of ${this.runtimeId} is refused: ${this.waitersMax} fibers wait for inputs, the limit. ` +
      "Wait for fewer at a time; inputs go on without being waited for."
  }
}

/**
 * The encoded body is over `inputBytesMax`; bytes of blobs do not count.
 *
 * @since 0.1.0
 * @category errors
 */
export class InputTooLarge extends Schema.TaggedError<InputTooLarge>()("InputTooLarge", {
  ...runtimeId,
  bytes: Schema.Number,
  inputBytesMax: Schema.Number
}) {
  readonly retryable = false
  override get message(): string {
    return `The input for ${this.runtimeId} has ${this.bytes} bytes; at most ${this.inputBytesMax} are taken. Hand large ` +
      "content over as media blocks, or raise inputBytesMax."
  }
}

/**
 * An argument is not what it should be. `problem` names the kind of value, never the value.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  ...runtimeId,
  field: Schema.String,
  problem: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `${this.field}: ${this.problem} (runtime ${this.runtimeId}). Nothing was written.`
  }
}

/**
 * No batch waits for that operation: none ever did, its deadline is over, or what waited for it has ended. Nothing was
 * written.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownOperation extends Schema.TaggedError<UnknownOperation>()("UnknownOperation", {
  ...runtimeId,
  operationId: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `Nothing of runtime ${this.runtimeId} waits for operation ${this.operationId}: it was never asked for, its ` +
      "deadline is over, or what waited for it has ended. Nothing was written."
  }
}

/**
 * No input of that id, or none in a phase that the command applies to.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownInput extends Schema.TaggedError<UnknownInput>()("UnknownInput", {
  ...runtimeId,
  inputId: Schema.String,
  phase: Schema.NullOr(Schema.String)
}) {
  readonly retryable = false
  override get message(): string {
    return this.phase === null
      ? `Runtime ${this.runtimeId} has no input ${this.inputId} to act on.`
      : `Input ${this.inputId} of ${this.runtimeId} is ${this.phase}; the command does not apply to it.`
  }
}
