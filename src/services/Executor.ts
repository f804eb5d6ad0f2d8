/**
 * What an application brings: the code that carries out runs. One executor for each agent, registered with the
 * `ControlPlane`; the agent of a runtime is the part of its id before the first `/`.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { WouldDeadlock } from "../schema/AwaitError.js"
import type { BlobError } from "../schema/BlobError.js"
import type { InputTooLarge, InvalidInput } from "../schema/DriverError.js"
import type { InputId, RunId, RuntimeId } from "../schema/Ids.js"
import type { Draft, Input, OperationEnd } from "../schema/Input.js"
import type { Failure } from "../schema/InputState.js"
import type { Json } from "../schema/Json.js"
import type { OpenTurn } from "../schema/Run.js"
import type { Note, RunPrimitive } from "../schema/Run.js"
import type { RewriteDraft, SessionHead, TranscriptPage } from "../schema/Session.js"
import type {
  AlongsideTimeout,
  CommitError,
  NoteConflict,
  RecordCorrupt,
  SchemaFromTheFuture,
  SessionKeyMismatch,
  StoreClosed,
  TranscriptRevisionConflict
} from "../schema/StoreError.js"
import type { Outgoing } from "./Driver.js"

/**
 * The run that the calling fiber works for.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunInfo {
  readonly runtimeId: RuntimeId
  /** The part of the runtime's id before the first slash. */
  readonly agent: string
  /** The part behind it; the whole id, if there is no slash. */
  readonly id: string
  readonly runId: RunId
  /** 1 for the first attempt. */
  readonly attempt: number
  /** The same for every attempt at the same inputs. Pass it to whatever you call. */
  readonly idempotencyKey: string
}

/**
 * In the context of everything that an executor does, so that what it calls can know for whom.
 *
 * @since 0.1.0
 * @category services
 */
export class CurrentRun extends Context.Tag("effect-burrow/CurrentRun")<CurrentRun, RunInfo>() {}

/**
 * Inputs for other runtimes, sent from within an `alongside`: they leave with the boundary's commit, and are admitted
 * after it exactly once. Outside of one, name them in the boundary's `outbox`.
 *
 * @since 0.1.0
 * @category services
 */
export class Outbox extends Context.Tag("effect-burrow/Outbox")<Outbox, {
  /** Answers the id that the input will have. */
  readonly send: (
    to: RuntimeId | string,
    input: Draft
  ) => Effect.Effect<InputId, InvalidInput | InputTooLarge | BlobError | CommitError | StoreClosed>
}>() {}

/**
 * What a boundary commits: messages appended, a new snapshot, notes, inputs for others, and rows of the application's
 * own in the same transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delta<E = never, R = never> {
  readonly append?: ReadonlyArray<Json>
  /** `null` removes it; absent leaves it. */
  readonly snapshot?: Uint8Array | null
  readonly notes?: ReadonlyArray<Note>
  readonly outbox?: ReadonlyArray<Outgoing>
  /**
   * Joins the transaction, last, on the store's own client. It may run more than once, and only its SQL is undone with
   * the boundary.
   */
  readonly alongside?: Effect.Effect<unknown, E, R>
}

/**
 * What a run ends with. The result is for those who wait for one of its inputs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Output<E = never, R = never> extends Delta<E, R> {
  readonly result?: Json
}

/**
 * Why a boundary of the executor's own making was not committed: what it asked for cannot be. Nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export type DeltaError =
  | InvalidInput
  | InputTooLarge
  | BlobError
  | NoteConflict
  | SessionKeyMismatch
  | TranscriptRevisionConflict
  | AlongsideTimeout

/**
 * One attempt at a batch. A store that fails for good, and a run that is over, end the fiber from outside, by
 * interruption: no `catchAll` of an executor works on under a lost token.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run extends RunInfo {
  /** `run_checkpoint` when the batch is of the steer lane. */
  readonly boundary: RunPrimitive["boundary"]
  /** The last boundary that an earlier attempt at this batch committed. */
  readonly resume: Option.Option<OpenTurn>
  /** Other batches that have begun a turn and not ended it. */
  readonly openTurns: ReadonlyArray<OpenTurn>
  /** The attempt before was lost, with its process or its owner: nobody knows how far it came. */
  readonly afterLoss: boolean
  /** The batch, with the bytes of its blobs. */
  readonly inputs: ReadonlyArray<Input>
  /** The batch as conversation appends, context appends and merged hints for the turn. */
  readonly primitive: RunPrimitive
  /** As of the last boundary, by whichever attempt made it. */
  readonly session: Effect.Effect<Option.Option<SessionHead>>
  /** A page of the transcript as of the last boundary, of at most `limit` (100) messages from `start` (0). */
  readonly transcript: (
    page?: { readonly start?: number; readonly limit?: number }
  ) => Effect.Effect<TranscriptPage, RecordCorrupt | SchemaFromTheFuture>
  /** The opaque snapshot as of the last boundary. */
  readonly snapshot: Effect.Effect<Option.Option<Uint8Array>>
  /**
   * What a model should see: the last messages of the transcript (all, without `last`), then those of the batch and of the
   * steers that were handed over, as far as they are not in it yet. The next boundary commits these, once over all attempts.
   */
  readonly history: (
    options?: { readonly last?: number }
  ) => Effect.Effect<ReadonlyArray<Json>, RecordCorrupt | SchemaFromTheFuture>
  /** What runs have noted under a scope; with `key` that note alone. */
  readonly notes: (
    scope: string,
    key?: string
  ) => Effect.Effect<ReadonlyArray<Note>, RecordCorrupt | SchemaFromTheFuture>

  /**
   * Commits what was done so far, consumes the steers handed over before, and answers those that wait, with what rides
   * along.
   */
  readonly checkpoint: <E = never, R = never>(
    delta?: Delta<E, R>
  ) => Effect.Effect<ReadonlyArray<Input>, DeltaError | E, Exclude<R, Outbox>>
  /** Commits like a checkpoint, and leaves the steers where they are. */
  readonly note: <E = never, R = never>(delta: Delta<E, R>) => Effect.Effect<void, DeltaError | E, Exclude<R, Outbox>>
  /** Replaces a range of the transcript, in a boundary of its own. Steers stay where they are. */
  readonly rewrite: (
    rewrite: RewriteDraft & { readonly replacement: ReadonlyArray<Json> }
  ) => Effect.Effect<void, DeltaError>
  /** The id of an input that leaves in an `outbox` under a key, without an id of its own. */
  readonly idOfKey: (to: RuntimeId | string, key: string) => InputId
  /** Completes when a steer waits. Race it against a slow call. */
  readonly steered: Effect.Effect<void>
  /** Tells those who watch. Not stored: who is not there misses it. */
  readonly emit: (progress: Json) => Effect.Effect<void>
  /** A sign of life, for executors with a limit on silence. Boundaries and progress are signs of their own. */
  readonly heartbeat: Effect.Effect<void>
  /**
   * Ends the attempt, uncharged, and holds its inputs until `ControlPlane.release`, or until a time to come in epoch
   * milliseconds. The fiber is interrupted; the next attempt resumes behind the last boundary.
   */
  readonly park: (options?: { readonly until?: number }) => Effect.Effect<never, InvalidInput>
  /**
   * Waits until somebody ends an operation (`ControlPlane.endOperation`), for as long as that takes. The first time that
   * this batch asks for it, `delta` is made, and committed together with the fact that it waits, and the deadline `until` (epoch
   * milliseconds), behind which the end is `cancelled`. Later attempts go on waiting, or have the end at once.
   *
   * When all that the run does is to wait for operations, the attempt is ended, uncharged, and its inputs are held: the
   * fiber is interrupted, the runtime may leave memory, other inputs have their runs. An end, or the first deadline,
   * starts the next attempt. Fibers that nobody waits for do not keep a run from that; those that wait for anything else
   * than fibers and operations do.
   */
  readonly operation: <E = never, R = never>(
    operationId: string,
    options?: { readonly until?: number; readonly delta?: Effect.Effect<Delta<E, R>> }
  ) => Effect.Effect<OperationEnd, DeltaError | E | RecordCorrupt | SchemaFromTheFuture, Exclude<R, Outbox>>
  /**
   * What waits for another runtime, and does something before. Fails at once, and does nothing, when that runtime waits
   * for this run; while it goes on, who would wait the other way round is refused.
   */
  readonly dependingOn: <A, E, R>(
    runtimeId: RuntimeId | string,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | WouldDeadlock, R>
  /** Ends the attempt as failed, from outside: as if the executor had failed with the error, and nobody caught it. */
  readonly refuse: (error: DeltaError) => Effect.Effect<never>
  /**
   * Ends the attempt, uncharged, because something stored cannot be read by this program: the inputs are held as
   * `undecodable`, with the failure, until `ControlPlane.release`. With `inputIds` those alone, and the others are tried
   * again without them; unless the batch has committed something, since then it stays whole.
   */
  readonly setAside: (failure: Failure, inputIds?: ReadonlyArray<InputId>) => Effect.Effect<never>
}

/**
 * How an attempt went wrong: by a typed failure, of the executor or of its final boundary, by a defect, or by a limit
 * that it went over.
 *
 * @since 0.1.0
 * @category models
 */
export type Failed<E> =
  | { readonly _tag: "Failed"; readonly error: E; readonly failure: Failure }
  | { readonly _tag: "Died"; readonly cause: Cause.Cause<never>; readonly failure: Failure }
  /** It went over `runMax`, or was silent for longer than `silenceMax`. */
  | { readonly _tag: "TimedOut"; readonly limit: "runMax" | "silenceMax"; readonly failure: Failure }

/**
 * Exponential, from 1 second to at most 1 minute.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaultRetry: Schedule.Schedule<unknown, unknown> = Schedule.exponential("1 second").pipe(
  Schedule.union(Schedule.spaced("1 minute"))
)

/**
 * How an agent's runs are carried out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R = never> {
  /**
   * Runs of this agent at once, in this process. The rest waits, unloaded. A run that waits for another runtime does not
   * count, nor does one that is over and ignores its interruption. Default 16.
   */
  readonly runsMax?: number
  /** Runtimes that wait are served in turns over this key (a tenant). Default: the runtime. */
  readonly fairBy?: (runtimeId: RuntimeId) => string
  /** Attempts before an input is a dead letter. Default: the drivers' limit, 3. */
  readonly attemptsMax?: number
  /**
   * The delay before the next attempt. It sees every failure so far as the last one; when it is done, or its delay has no
   * end, the input is a dead letter at once. For delays: a schedule by the clock (`Schedule.cron`) is stepped through all
   * its attempts at the time of the last one. Default: `defaultRetry`.
   */
  readonly retry?: Schedule.Schedule<unknown, Failed<E>>
  /** Whether inputs behind a failed one go on while it waits. Default `pass`. */
  readonly onFailure?: "pass" | "block"
  /**
   * The world's fault, not the input's: costs no attempt, and no run of the agent starts for as long. Then one tries; the
   * pause doubles while it fails, up to eight times as long.
   */
  readonly outage?: (failed: Failed<E>) => Option.Option<Duration.DurationInput>
  /** What becomes of a batch whose run was lost. Asked before the next attempt; if it dies, `hold`. Default: `retry`. */
  readonly inDoubt?: (run: Run) => Effect.Effect<"retry" | "hold" | "settle", never, R>
  /** The longest time of one attempt. Default: none. */
  readonly runMax?: Duration.DurationInput
  /** The longest time without a boundary, progress or heartbeat; waiting for other runtimes aside. Default: none. */
  readonly silenceMax?: Duration.DurationInput
  /** How long a run that is over is waited for, before the next one starts without it. Default 5 seconds. */
  readonly interruptGrace?: Duration.DurationInput
  /** What stands for a blob that is gone: the input is held as `undecodable`, or a text says so. Default `fail`. */
  readonly missingBlob?: "fail" | "placeholder"
}

/**
 * Carries out runs. What it answers is committed as the run's final boundary, which consumes the inputs.
 *
 * @example
 * ```ts
 * import { type Executor, Session } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * class NotToday extends Error {
 *   readonly _tag = "NotToday"
 * }
 *
 * const cook: Executor.Executor<NotToday | Executor.DeltaError> = {
 *   apply: (run) =>
 *     Effect.gen(function*() {
 *       if (run.attempt > 2) return yield* Effect.fail(new NotToday())
 *       yield* run.checkpoint({ append: [Session.assistant("Water is boiling.")] })
 *       return { append: [Session.assistant("Dinner is ready.")], result: "dinner" }
 *     })
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Executor<E = never, R = never, AE = never, AR = never> {
  readonly apply: (run: Run) => Effect.Effect<Output<AE, AR> | void, E, R>
  /** The message that an input becomes in the transcript; none for none. Default: one of the shape `Message`. */
  readonly messageOf?: (input: Input) => Option.Option<Json>
}
