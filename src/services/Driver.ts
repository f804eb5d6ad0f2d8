/**
 * A driver owns one runtime: it takes commands, decides them in the core, commits, and only then answers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { InDoubt } from "../core/Recover.js"
import type { BlobError } from "../schema/BlobError.js"
import type {
  Destroyed,
  InputTooLarge,
  InvalidInput,
  NotReady,
  OwnershipLost,
  QueueFull,
  RunInProgress,
  TooManyRuntimes,
  UnknownInput,
  UnknownOperation
} from "../schema/DriverError.js"
import type { BatchId, IdempotencyKey, InputId, RunId, RuntimeId } from "../schema/Ids.js"
import type { Draft, Input, OperationEnd } from "../schema/Input.js"
import type { AbandonReason, Awaited, Failure, HoldReason, InputHead } from "../schema/InputState.js"
import type { Json } from "../schema/Json.js"
import type { Limits } from "../schema/Limits.js"
import type { WakeSignal } from "../schema/Policy.js"
import type { CloseReply } from "../schema/Report.js"
import type { AbandonReport, AcceptOutcome, RecoveryReport, RecycleReport, RetireReport } from "../schema/Report.js"
import type { OpenTurn } from "../schema/Run.js"
import type { Note, OpenRun, Receipt, RunEvent, RunPrimitive } from "../schema/Run.js"
import type { RuntimeState } from "../schema/Runtime.js"
import type { EventRecord } from "../schema/RuntimeEvent.js"
import type { RewriteDraft, SessionDelta, SessionHead } from "../schema/Session.js"
import type {
  AlongsideTimeout,
  CommitError,
  EventsPruned,
  IdempotencyConflict,
  InsideTransaction,
  LoadError,
  NoteConflict,
  ReadFailed,
  ReceiptConflict,
  RecordCorrupt,
  RunNotOpen,
  SchemaFromTheFuture,
  SequenceMismatch,
  SessionKeyMismatch,
  StoreClosed,
  TranscriptRevisionConflict
} from "../schema/StoreError.js"
import type { EnqueueError } from "./Inbox.js"
import type { RuntimeStore, StoredDeposit, StoredInput } from "./RuntimeStore.js"

/**
 * What every command can fail with, beside its own refusals. After any of these, memory and rows agree: the command
 * happened wholly or not at all (I3).
 *
 * @since 0.1.0
 * @category models
 */
export type CommandError = CommitError | OwnershipLost | InsideTransaction | StoreClosed

/**
 * Why an input was not taken. It is not stored then; after `CommitUnknown` alone it may be, and is found under the same
 * key or id.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptError =
  | CommandError
  | LoadError
  | NotReady
  | Destroyed
  | QueueFull
  | InputTooLarge
  | InvalidInput
  | IdempotencyConflict
  | BlobError

/**
 * Why a boundary was not committed. The SQL of `alongside` is undone with it. After `CommitUnknown` alone it may be
 * committed: repeat it exactly, and with its `after`.
 *
 * @since 0.1.0
 * @category models
 */
export type BoundaryError =
  | CommandError
  | LoadError
  | RunNotOpen
  | SequenceMismatch
  | ReceiptConflict
  | SessionKeyMismatch
  | TranscriptRevisionConflict
  | NoteConflict
  | AlongsideTimeout
  | InvalidInput
  | InputTooLarge
  | BlobError

/**
 * Why the session was not changed between runs. While a run is open the session is the run's: `RunInProgress`.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionError =
  | CommandError
  | LoadError
  | NotReady
  | Destroyed
  | RunInProgress
  | SessionKeyMismatch
  | TranscriptRevisionConflict
  | InvalidInput

/**
 * An input of a run. When its body cannot be read the reason is on the left. A run with one that never can is best held
 * as `undecodable`; a steer that could not be read just now can be had by repeating the checkpoint with its `after`.
 *
 * @since 0.1.0
 * @category models
 */
export interface StagedInput {
  readonly head: InputHead
  readonly input: Either.Either<Input, RecordCorrupt | BlobError | ReadFailed | SchemaFromTheFuture>
}

/**
 * A run that was opened. The attempt is counted and durable; nothing has been executed.
 *
 * @since 0.1.0
 * @category models
 */
export interface StagedRun {
  readonly runId: RunId
  readonly batchId: BatchId
  /** The same for every attempt at the same inputs. */
  readonly idempotencyKey: string
  /** 1 for the first attempt. */
  readonly attempt: number
  readonly inputs: ReadonlyArray<StagedInput>
  /** The readable inputs in the form that an executor takes. */
  readonly primitive: RunPrimitive
  /** The attempt before was lost, with its process or its owner: nobody knows how far it came. */
  readonly afterLoss: boolean
  /** The last boundary that an earlier attempt at this batch committed. */
  readonly resume: Option.Option<OpenTurn>
  /** Other batches that have begun a turn and not ended it. */
  readonly openTurns: ReadonlyArray<OpenTurn>
  /** The session that the run sees (I11). */
  readonly session: Option.Option<SessionHead>
}

/**
 * A run that was opened, or why there is none to open now.
 *
 * @since 0.1.0
 * @category models
 */
export type StageOutcome =
  | { readonly _tag: "staged"; readonly run: StagedRun }
  | {
    readonly _tag: "nothing"
    readonly paused: boolean
    /** When the earliest waiting input is ready, in epoch milliseconds; what rides along makes nothing ready. */
    readonly nextReadyAt: Option.Option<number>
    /** There is a batch to go, which `mayBeFatal: false` has kept back. */
    readonly keptBack: boolean
  }

/**
 * Which batch is staged, and how its inputs are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface StageOptions {
  /** What stands for a blob that is gone: an error in its input, or a text that says so. Default `fail`. */
  readonly missingBlob?: "fail" | "placeholder"
  /** Attempts before an input is abandoned. Default: the drivers' limit. */
  readonly attemptsMax?: number
  /** `block`: while a failed batch waits for its next attempt, nothing else goes. Default `pass`. */
  readonly onFailure?: "pass" | "block"
  /**
   * `false` keeps back a batch whose last attempt this would be, and whose run was lost before: it may be what ends
   * processes. Default `true`.
   */
  readonly mayBeFatal?: boolean
  /** The caller decides about a batch whose run was lost, and takes it also when its attempts are used up. */
  readonly decidesLost?: boolean
}

/**
 * An input for a runtime, this one or another: it leaves with the commit that carries it, and is admitted after that
 * exactly once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outgoing {
  readonly to: RuntimeId | string
  readonly input: Draft
  /**
   * It is a part of the batch's work: when the batch is cancelled, or ended by `stop`, `reset`, `destroy` or
   * `abandonPending`, the input's cancel leaves with that commit. Only in a boundary's `outbox`, and with an id or a key;
   * sent again under it, it is the same input.
   */
  readonly endsWithBatch?: boolean
}

/**
 * A boundary to commit. `after` names the last boundary that the caller knows of (0: none), so that a repetition is
 * recognised. Without it a checkpoint or note is always the next one: who may have to repeat it, names it.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundaryOptions<E = never, R = never> {
  readonly runId: RunId
  readonly after?: number
  readonly delta?: SessionDelta
  readonly notes?: ReadonlyArray<Note>
  /** What leaves with the commit. */
  readonly outbox?: ReadonlyArray<Outgoing>
  /**
   * Operations that the batch waits for from now on, but for those that have ended; those that it waits for already stay
   * as they are. At most `notesMax`, and none in the final boundary.
   */
  readonly awaits?: ReadonlyArray<Awaited>
  /**
   * What inputs become in the transcript, in place of a message of the default shape; `null` for nothing. The first
   * boundary that covers an input decides it, for all that follow.
   */
  readonly messages?: ReadonlyMap<InputId, Json | null>
  /**
   * Joins the transaction, last, on the store's own client. It may run more than once, and only its SQL is undone with
   * the boundary.
   */
  readonly alongside?: Effect.Effect<unknown, E, R>
}

/**
 * What was committed. The next boundary names `receipt.sequence` as its `after`.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundaryOutcome {
  readonly receipt: Receipt
  /** The exact boundary had been committed before; nothing was written and no `alongside` was run. */
  readonly alreadyApplied: boolean
  /** The steers that the run was handed with this checkpoint, and what rides along. The next one consumes them. */
  readonly steers: ReadonlyArray<StagedInput>
  readonly session: Option.Option<SessionHead>
}

/**
 * The commands and queries of one runtime. Commands that wait together are committed together; one that is refused
 * takes no neighbour with it. Interruption withdraws a command that is not yet being committed; a command that is runs
 * to its outcome without its caller.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly runtimeId: RuntimeId
  /** What was found when this driver last took the runtime. */
  readonly recovery: Effect.Effect<RecoveryReport>

  /** Durable when it answers `accepted` or `deduplicated` (I1). */
  readonly accept: (input: Draft) => Effect.Effect<AcceptOutcome, AcceptError>
  /** Admits an input that was handed over as a row, once: its id is known from then on. */
  readonly admit: (deposit: StoredDeposit) => Effect.Effect<AcceptOutcome, AcceptError>
  /** Freezes the next batch and opens a run for it. `nothing` when no input is ready or the runtime is paused. */
  readonly stage: (
    options?: StageOptions
  ) => Effect.Effect<StageOutcome, CommandError | LoadError | NotReady | Destroyed | RunInProgress>
  /** Commits what was done so far, consumes the steers handed over before, and hands over those that wait. */
  readonly checkpoint: <E = never, R = never>(
    options: BoundaryOptions<E, R>
  ) => Effect.Effect<BoundaryOutcome, BoundaryError | E, R>
  /** Commits like a checkpoint, and leaves the steers where they are. */
  readonly note: <E = never, R = never>(
    options: BoundaryOptions<E, R>
  ) => Effect.Effect<BoundaryOutcome, BoundaryError | E, R>
  /** The last boundary: consumes the batch and the steers, stores the result, closes the run. */
  readonly complete: <E = never, R = never>(
    options: BoundaryOptions<E, R> & {
      /** The typed result, encoded by whoever knows its schema. */
      readonly result?: Json
    }
  ) => Effect.Effect<BoundaryOutcome, BoundaryError | E, R>
  /** Closes the run as failed. Its batch is tried again, or abandoned when its attempts are used up. */
  readonly fail: (options: {
    readonly runId: RunId
    readonly failure: Failure
    /** Not tried again before, in epoch milliseconds. */
    readonly visibleAt?: number
    /** `false`: abandoned at once. Default `true`. */
    readonly recoverable?: boolean
    /** Attempts before an input is abandoned. Default: the drivers' limit. */
    readonly attemptsMax?: number
  }) => Effect.Effect<CloseReply, CommandError | RunNotOpen | InvalidInput>
  /**
   * Closes the run and abandons what it had staged as `cancelled`. The cancels of what its batch has sent with
   * `endsWithBatch` leave with this commit, as with that of every command by which a batch ends before it is done; they
   * are read before, so nothing was written when that fails.
   */
  readonly cancel: (options: {
    readonly runId: RunId
    readonly reason: string
  }) => Effect.Effect<CloseReply, CommandError | ReadFailed | RunNotOpen>
  /** Takes back the count of the open run's attempt. Its staging stays counted, so that there is an end to it. */
  readonly uncharge: (options: { readonly runId: RunId }) => Effect.Effect<void, CommandError | RunNotOpen>
  /** Closes the run and abandons its batch as `outcome_unknown`: what a lost attempt did is not done again. */
  readonly settle: (options: { readonly runId: RunId }) => Effect.Effect<CloseReply, CommandError | RunNotOpen>
  /** Ends one active input as `cancelled`; with one that is staged its whole run ends. */
  readonly cancelInput: (options: {
    readonly inputId: InputId
    readonly reason: string
  }) => Effect.Effect<CloseReply, CommandError | ReadFailed | UnknownInput>
  /**
   * Ends an operation that a batch waits for, and makes that ready, in one commit. It ends once: the same end again is
   * `deduplicated`, also when nobody waits any more, and another one `IdempotencyConflict`.
   */
  readonly endOperation: (
    operationId: string,
    end: OperationEnd
  ) => Effect.Effect<AcceptOutcome, AcceptError | UnknownOperation>
  /**
   * Admits a dead letter's payload as a new input, at the tail. The dead one stays dead; the new one has the key
   * `Ids.redriveKey(inputId)`, so that a dead letter is redriven once, and a repetition answers the same new input.
   */
  readonly redrive: (inputId: InputId) => Effect.Effect<AcceptOutcome, AcceptError | UnknownInput>
  /** Rolls the run back: queued again as it was, no attempt charged. What a clean shutdown does. */
  readonly giveBack: (options: {
    readonly runId: RunId
    readonly visibleAt?: number
  }) => Effect.Effect<CloseReply, CommandError | RunNotOpen | InvalidInput>
  /**
   * Closes the run without charging it; its batch waits for `release`, or for the deadline. With `awaits` for the end of
   * one of these operations, too: when one has ended already, the batch is queued again instead. With `inputIds`, and
   * as long as the batch has committed nothing, those alone are held, and the others are queued again, each without the
   * batch; a batch of which all or none are named stays whole. `failure` is kept with what is held.
   */
  readonly hold: (options: {
    readonly runId: RunId
    readonly reason: HoldReason
    readonly until?: number
    readonly awaits?: ReadonlyArray<string>
    readonly inputIds?: ReadonlyArray<InputId>
    readonly failure?: Failure
  }) => Effect.Effect<CloseReply, CommandError | RunNotOpen | InvalidInput>
  /** Holds an input that waits, with its batch. */
  readonly holdInput: (options: {
    readonly inputId: InputId
    readonly reason: HoldReason
    readonly until?: number
  }) => Effect.Effect<void, CommandError | UnknownInput | InvalidInput>
  /** Makes a held input ready, with its batch; the batch goes first. */
  readonly release: (inputId: InputId) => Effect.Effect<void, CommandError | UnknownInput>
  /** Ends every input that waits; what a run has staged is the run's. */
  readonly abandonPending: (
    reason: AbandonReason
  ) => Effect.Effect<AbandonReport, CommandError | ReadFailed | Destroyed>

  readonly onRunEvent: (
    event: RunEvent
  ) => Effect.Effect<CloseReply, CommandError | ReadFailed | RunNotOpen | InvalidInput>
  /** Appends an application's event to the log. */
  readonly publish: (code: string, data: Json) => Effect.Effect<void, CommandError | Destroyed | InvalidInput>
  readonly onControl: (
    command: "stop" | "resume"
  ) => Effect.Effect<void, CommandError | ReadFailed | NotReady | Destroyed | RunInProgress>

  readonly attach: (
    agentRuntimeId?: string
  ) => Effect.Effect<void, CommandError | NotReady | Destroyed | InvalidInput>
  /** Answers whether an executor was attached. */
  readonly detach: Effect.Effect<boolean, CommandError>
  readonly pause: Effect.Effect<void, CommandError | Destroyed>
  readonly unpause: Effect.Effect<void, CommandError | Destroyed>
  /** New inputs are refused, what waits is drained. */
  readonly retire: Effect.Effect<RetireReport, CommandError | NotReady | Destroyed | RunInProgress>
  /** Abandons what waits; refused while a run is open. The session stays. */
  readonly reset: Effect.Effect<AbandonReport, CommandError | ReadFailed | NotReady | Destroyed | RunInProgress>
  /** Cancels the open run and refuses inputs until `resume`. What waits stays. */
  readonly stop: Effect.Effect<AbandonReport, CommandError | ReadFailed | NotReady | Destroyed | RunInProgress>
  readonly resume: Effect.Effect<void, CommandError | NotReady | Destroyed | RunInProgress>
  /** For ever: cancels the open run and abandons what waits. */
  readonly destroy: Effect.Effect<AbandonReport, CommandError | ReadFailed | NotReady | Destroyed | RunInProgress>
  /** Forgets memory, keeps the work: the runtime is taken anew and rebuilt from its rows. */
  readonly recycle: Effect.Effect<RecycleReport, CommandError | LoadError | NotReady | Destroyed | RunInProgress>
  /** Takes the runtime anew. An open run is closed as lost; its executor's later boundaries are `RunNotOpen`. */
  readonly recover: Effect.Effect<RecoveryReport, CommandError | LoadError>
  /** `recover`, also after the runtime was lost to another owner: the only way back. */
  readonly takeOver: Effect.Effect<RecoveryReport, CommandError | LoadError>
  /** Requests with one of these intents are admitted without waking anybody. Stored, sorted, without duplicates. */
  readonly setSilentIntents: (
    intents: ReadonlyArray<string>
  ) => Effect.Effect<void, CommandError | Destroyed | InvalidInput>

  /** Replaces a range of the transcript, between runs. */
  readonly rewrite: (
    rewrite: RewriteDraft & { readonly replacement: ReadonlyArray<Json> }
  ) => Effect.Effect<SessionHead, SessionError>
  /** Appends, or replaces the snapshot, between runs. */
  readonly commitSession: (
    delta: Omit<SessionDelta, "rewrite">
  ) => Effect.Effect<Option.Option<SessionHead>, SessionError>
  /** Byte-exact compare-and-set of the snapshot; `null` stands for none. `false`: it was another one. */
  readonly replaceSnapshotIfCurrent: (
    expected: Uint8Array | null,
    next: Uint8Array | null
  ) => Effect.Effect<boolean, SessionError>
  /** Removes transcript and snapshot. Inputs, receipts and lifecycle stay. */
  readonly clearSession: Effect.Effect<void, SessionError>

  readonly state: Effect.Effect<RuntimeState>
  readonly isIdle: Effect.Effect<boolean>
  readonly isIdleOrAttached: Effect.Effect<boolean>
  readonly isPaused: Effect.Effect<boolean>
  readonly silentIntents: Effect.Effect<ReadonlyArray<string>>
  /** Steers that the open run would be handed now. */
  readonly steers: Effect.Effect<number>
  readonly openRun: Effect.Effect<Option.Option<OpenRun>>
  readonly session: Effect.Effect<Option.Option<SessionHead>>
  /** From memory while the input is active, from its row afterwards. */
  readonly inputState: (inputId: InputId) => Effect.Effect<Option.Option<InputHead>, LoadError>
  /** With its body; in which a large one is still a reference to a blob. */
  readonly loadInput: (inputId: InputId) => Effect.Effect<Option.Option<StoredInput>, LoadError>
  readonly inputByKey: (key: IdempotencyKey) => Effect.Effect<Option.Option<StoredInput>, LoadError>
  /** How an operation has ended, if it has. */
  readonly operationEnd: (operationId: string) => Effect.Effect<Option.Option<OperationEnd>, LoadError | BlobError>
  /** In admission order. */
  readonly activeInputIds: Effect.Effect<ReadonlyArray<InputId>>
  /** The strongest signal since it was last taken. */
  readonly takeSignal: Effect.Effect<WakeSignal>
  /**
   * Committed events behind `after`, and on as they are committed: dense, in order, without end. A slow reader reads
   * rows and slows nobody.
   */
  readonly events: (options?: { readonly after?: number }) => Stream.Stream<EventRecord, LoadError | EventsPruned>
}

/**
 * The driver of one runtime.
 *
 * @example
 * ```ts
 * import { Driver, Session } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * // One turn of a loop: `false` when nothing is ready.
 * const turn = (execute: (run: Driver.StagedRun) => Effect.Effect<string, Error>) =>
 *   Effect.gen(function*() {
 *     const driver = yield* Driver.Driver
 *     const staged = yield* driver.stage()
 *     if (staged._tag === "nothing") return false
 *     const { runId } = staged.run
 *     yield* Effect.matchEffect(execute(staged.run), {
 *       onSuccess: (answer) => driver.complete({ runId, delta: { append: [Session.assistant(answer)] } }),
 *       onFailure: ({ message, name }) => driver.fail({ runId, failure: { tag: name, message } })
 *     })
 *     return true
 *   }).pipe(Effect.provide(Driver.layer("ana")))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Driver extends Context.Tag("effect-burrow/Driver")<Driver, Service>() {}

/**
 * Why a runtime could not be taken; the next `get` tries again. `InvalidInput` is about the id.
 *
 * @since 0.1.0
 * @category models
 */
export type OpenError = CommitError | LoadError | InvalidInput | StoreClosed | InsideTransaction | TooManyRuntimes

/**
 * What a driver has just committed or lost, as far as somebody who runs it has to know.
 *
 * @since 0.1.0
 * @category models
 */
export interface Notice {
  readonly runtimeId: RuntimeId
  /** What the commands of this commit ask of a loop. */
  readonly signal: WakeSignal
  /** The open run, now. */
  readonly runId: RunId | null
  /** Steers that could be handed to it. */
  readonly steers: number
  /** When the earliest input that waits for a time is ready, in epoch milliseconds. */
  readonly nextReadyAt: number | null
  /** Another owner has the runtime, or nobody knows: this driver writes nothing any more. */
  readonly lost: OwnershipLost | null
}

/**
 * The drivers of this process: one for each runtime, taken and recovered at its first use. Ephemeral and persistent
 * drivers are swapped here.
 *
 * @since 0.1.0
 * @category services
 */
export class Drivers extends Context.Tag("effect-burrow/Drivers")<Drivers, {
  /** The runtime's driver, which stays in memory from then on. */
  readonly get: (runtimeId: RuntimeId | string) => Effect.Effect<Service, OpenError>
  /**
   * The runtime's driver for as long as the scope is open. Afterwards it may be forgotten: when it has been idle for
   * `runtimeIdleMillis`, or when another one needs its place among `runtimesLiveMax`. The next mention recovers it.
   */
  readonly lease: (runtimeId: RuntimeId | string) => Effect.Effect<Service, OpenError, Scope.Scope>
  /** The runtimes whose drivers are in memory now. */
  readonly live: Effect.Effect<ReadonlyArray<RuntimeId>>
  readonly isLive: (runtimeId: RuntimeId) => Effect.Effect<boolean>
  /** The store that these drivers own, and their limits. */
  readonly store: Context.Tag.Service<RuntimeStore>
  readonly limits: Limits
  /** Hands an input over as a row: see `Inbox.enqueue`. */
  readonly post: (outgoing: Outgoing) => Effect.Effect<InputId, EnqueueError>
  /** The id of an input that is handed over under a key, by an outbox or an `Inbox`, without an id of its own. */
  readonly idOfKey: (to: RuntimeId | string, key: string) => InputId
  /** Is told of every commit of every driver, after it, in its worker: it must not wait, and must not throw. */
  readonly listen: (listener: (notice: Notice) => void) => Effect.Effect<void, never, Scope.Scope>
}>() {}

/**
 * What a driver does with a batch whose run was lost with its process: try again (default), hold it as `in_doubt`, or
 * settle it as `abandoned{outcome_unknown}`.
 *
 * @since 0.1.0
 * @category models
 */
export type InDoubtPolicy = InDoubt

/**
 * One runtime's driver as a service. Two mentions of it are the same driver.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (runtimeId: RuntimeId | string): Layer.Layer<Driver, OpenError, Drivers> =>
  Layer.effect(Driver, Effect.flatMap(Drivers, (drivers) => drivers.get(runtimeId)))
