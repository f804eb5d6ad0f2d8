/**
 * Everything that could grow has a limit. What is over it is refused with a typed error before a row is written;
 * batches are split, and texts that tell what happened are cut.
 *
 * @since 0.1.0
 */

/**
 * What one runtime may hold and one command may carry, each in the unit that its field names. What is over a limit is
 * refused as `QueueFull`, `InputTooLarge` or `InvalidInput`, unless the field says what is done with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** Active inputs of one runtime. */
  readonly queueDepthMax: number
  /** An input's encoded body, in bytes; blobs are counted by their own limit. */
  readonly inputBytesMax: number
  /** Above it an input's body goes into a blob instead of its row, in bytes. */
  readonly inlineBytesMax: number
  /** Above it a block's bytes go into a blob, in bytes. */
  readonly blockInlineBytesMax: number
  /** Length of an idempotency, supersession or correlation key, or of a note's key, in UTF-16 code units. */
  readonly keyLengthMax: number
  /** Length of a runtime id, in UTF-16 code units. */
  readonly idLengthMax: number
  /** Inputs staged together, and steers handed over at once; what rides along is counted with them. */
  readonly batchInputsMax: number
  /** Attempts charged to an input before it is abandoned. */
  readonly attemptsMax: number
  /** How often an input may be handed to a run at all, steers handed to a running one included. */
  readonly stagingsMax: number
  /** Messages in one delta. */
  readonly appendMessagesMax: number
  /** Canonical text of all messages in one delta, in bytes. */
  readonly appendBytesMax: number
  /** A run's result, in bytes of its canonical text. */
  readonly resultBytesMax: number
  /** Notes of one boundary; each input that ends with the batch is one. */
  readonly notesMax: number
  /** The value of a note, or the data of a published event, in bytes of its canonical text. */
  readonly valueBytesMax: number
  /** Silent intents of one runtime. */
  readonly silentIntentsMax: number
  /** A failure's tag and message and a cancel's reason are cut to this length, in UTF-16 code units. */
  readonly failureLengthMax: number
  /** The opaque snapshot, in bytes. */
  readonly snapshotBytesMax: number
  /** Runtimes in memory; above it the one that has been idle longest makes room, and `TooManyRuntimes` if none is. */
  readonly runtimesLiveMax: number
  /** How long a runtime that nothing happens to stays in memory, in milliseconds. */
  readonly runtimeIdleMillis: number
  /** Runtimes of one agent that wait for a turn by name; those beyond are found in the store when there is room. */
  readonly runtimesWaitingMax: number
  /** Fibers that wait for inputs at the same time; more are refused as `TooManyWaiters`. */
  readonly waitersMax: number
  /** Inputs that leave with one boundary. */
  readonly outboxMax: number
  /** Commands folded into one commit. */
  readonly foldCommandsMax: number
  /** How long a command whose commit is in doubt waits for certainty, in milliseconds. */
  readonly inDoubtMillis: number
}

/**
 * The limits of drivers that were given none. `DriverPersistent.layerWith({ limits })` replaces single ones.
 *
 * @example
 * ```ts
 * import { DriverPersistent, Limits } from "effect-burrow"
 *
 * const drivers = DriverPersistent.layerWith({
 *   limits: { queueDepthMax: 100, attemptsMax: Limits.defaults.attemptsMax + 2 }
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Limits = {
  queueDepthMax: 10_000,
  inputBytesMax: 4 * 1024 * 1024,
  inlineBytesMax: 64 * 1024,
  blockInlineBytesMax: 16 * 1024,
  keyLengthMax: 512,
  idLengthMax: 512,
  batchInputsMax: 64,
  attemptsMax: 3,
  stagingsMax: 50,
  appendMessagesMax: 1_000,
  appendBytesMax: 8 * 1024 * 1024,
  resultBytesMax: 1024 * 1024,
  notesMax: 100,
  valueBytesMax: 256 * 1024,
  silentIntentsMax: 1_000,
  failureLengthMax: 4_096,
  snapshotBytesMax: 64 * 1024 * 1024,
  runtimesLiveMax: 10_000,
  runtimeIdleMillis: 60_000,
  runtimesWaitingMax: 16_384,
  waitersMax: 100_000,
  outboxMax: 100,
  foldCommandsMax: 128,
  inDoubtMillis: 5_000
}
