/**
 * The engine: any number of runtimes in one process, each with one loop that stages its inputs into runs of its agent's
 * executor. And everything that an operator does with them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Cron from "effect/Cron"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Ended, WouldDeadlock } from "../schema/AwaitError.js"
import type {
  Destroyed,
  InputRejected,
  InvalidInput,
  NotReady,
  OwnershipLost,
  RunInProgress,
  RuntimeNotFound,
  TooManyWaiters,
  UnknownInput,
  UnknownOperation
} from "../schema/DriverError.js"
import type { InputId, RunId, RuntimeId } from "../schema/Ids.js"
import type { Draft, OperationEnd } from "../schema/Input.js"
import type { Json } from "../schema/Json.js"
import type { CloseReply } from "../schema/Report.js"
import type { AbandonReport, AcceptOutcome, RecoveryReport, RecycleReport, RetireReport } from "../schema/Report.js"
import type { RuntimeState } from "../schema/Runtime.js"
import type { RewriteDraft, SessionHead } from "../schema/Session.js"
import type {
  CommitError,
  EventsPruned,
  ForeignSqlClient,
  LoadError,
  ReadFailed,
  SchemaFromTheFuture,
  StoreClosed,
  StoreReplaced
} from "../schema/StoreError.js"
import type { AcceptError, CommandError, OpenError, SessionError } from "./Driver.js"
import type { CurrentRun, DeltaError, Executor, Options, Outbox } from "./Executor.js"
import type { Completion, Inspection, Service as Observer, Watched as Committed } from "./Observer.js"

/**
 * Another executor is registered for the agent. There is one for each.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlreadyRegistered extends Schema.TaggedError<AlreadyRegistered>()("AlreadyRegistered", {
  agent: Schema.String
}) {
  readonly retryable = false
  override get message(): string {
    return `Agent ${this.agent} has an executor in this process. Give the other one another name.`
  }
}

/**
 * Why an input was not taken: see `Driver.AcceptError`. With `OpenError`, since its runtime may have to be loaded.
 *
 * @since 0.1.0
 * @category models
 */
export type IngestError = AcceptError | OpenError

/**
 * Why nobody can be told that the input was consumed: it has ended otherwise, or it cannot be known here.
 *
 * @since 0.1.0
 * @category models
 */
export type AwaitError =
  | Ended
  | UnknownInput
  | WouldDeadlock
  | TooManyWaiters
  | OwnershipLost
  | StoreReplaced
  | LoadError
  | StoreClosed

/**
 * What every command to a runtime can fail with. Commands, other than those that bring an input, are about runtimes
 * that exist: a name that nobody has used is `RuntimeNotFound`, and makes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type ControlError = CommandError | OpenError | RuntimeNotFound | Destroyed

/**
 * What a subscriber sees: committed events and messages, each with a cursor, and ephemeral progress, which has none. The
 * progress of a run is void once a later cursor of the same run was seen.
 *
 * @since 0.1.0
 * @category models
 */
export type Watched = Committed | { readonly _tag: "progress"; readonly runId: RunId; readonly value: Json }

/**
 * What is paused: one runtime, or an agent with all its runtimes.
 *
 * @since 0.1.0
 * @category models
 */
export type Target = { readonly runtimeId: RuntimeId | string } | { readonly agent: string }

/**
 * A runtime at a glance, with what only its owner's process knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health extends Inspection {
  /** It is in memory. */
  readonly live: boolean
  readonly run: Option.Option<{
    readonly runId: RunId
    readonly attempt: number
    /** Epoch milliseconds. */
    readonly startedAt: number
    /** The last boundary, progress or heartbeat, in epoch milliseconds. */
    readonly lastProgressAt: number
  }>
}

/**
 * A recurring input. Each tick is one input, under the key `cron/<name>/<ISO time>`, so that no tick is taken twice.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recurring {
  /** Unique in the store: under it is kept which tick was the last. */
  readonly name: string
  readonly cron: Cron.Cron
  readonly runtimeId: RuntimeId | string
  readonly input: Draft
  /** Ticks that passed while no process was there, or while it slept: dropped, one input for all, or one for each. Default `once`. */
  readonly missed?: "skip" | "once" | "all"
}

type Id = RuntimeId | string

/**
 * The service. Whatever a command answers is durable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Carries out the runs of an agent, from now until the scope closes: its pending work goes on at once. At the end its
   * runs are given back, uncharged, and waited for.
   *
   * Executors get the services of whoever registers them, and a scope of their own for each attempt. Loggers, tracers and
   * other settings of fibers are those of the engine's layer: put them around it. A `SqlClient` among them is the store's
   * own, or it is `ForeignSqlClient`, and nothing is registered.
   */
  readonly register: <E, R, AE = never, AR = never>(
    agent: string,
    executor: Executor<E, R, AE, AR>,
    options?: Options<E | AE | DeltaError, R>
  ) => Effect.Effect<
    void,
    AlreadyRegistered | ForeignSqlClient | InvalidInput | ReadFailed | StoreClosed,
    Scope.Scope | Exclude<R, CurrentRun | Scope.Scope> | Exclude<AR, Outbox | CurrentRun>
  >

  /** Takes an input and wakes its runtime, which is made by its first one. */
  readonly ingest: (runtimeId: Id, input: Draft) => Effect.Effect<AcceptOutcome, IngestError>
  /** `ingest`, then `await`. */
  readonly submit: (
    runtimeId: Id,
    input: Draft
  ) => Effect.Effect<Completion, IngestError | AwaitError | InputRejected>
  /**
   * Waits for the input's end; also after a restart, also of one that ended long ago. From within a run it gives the
   * run's place among `runsMax` to others meanwhile, and goes on when there is one again, also when it gives up waiting;
   * to wait for oneself is `WouldDeadlock`, around any corner. (`Observer.await` and `watch` know nothing of runs.)
   */
  readonly await: (runtimeId: Id, inputId: InputId | string) => Effect.Effect<Completion, AwaitError>
  /** `ingest` into the running run, at its next checkpoint; with the next run when none is open. */
  readonly steer: (runtimeId: Id, input: Draft) => Effect.Effect<AcceptOutcome, IngestError>
  /**
   * Ends an operation that a batch waits for (`Executor.Run.operation`), and has that go on. An operation ends once: the
   * same end again is `deduplicated`, also when nobody waits any more, and another one `IdempotencyConflict`.
   */
  readonly endOperation: (
    runtimeId: Id,
    operationId: string,
    end: OperationEnd
  ) => Effect.Effect<AcceptOutcome, IngestError | RuntimeNotFound | UnknownOperation>
  readonly publishEvent: (runtimeId: Id, code: string, data: Json) => Effect.Effect<void, ControlError>

  /**
   * Ends the open run, and what it had staged, as `cancelled`. With `inputId` that input alone, or the run that has it.
   * Answers what has ended: nothing without an open run. Durable when it answers; the executor is interrupted after. It
   * waits for no executor, but for a commit that is under way, whose `alongside` may take `alongsideMillisMax`.
   */
  readonly cancel: (
    runtimeId: Id,
    options: { readonly reason: string; readonly inputId?: InputId | string }
  ) => Effect.Effect<CloseReply, ControlError | UnknownInput>
  /** Ends the open attempt, uncharged; its inputs are tried again. Answers whether there was one. */
  readonly interrupt: (runtimeId: Id) => Effect.Effect<boolean, ControlError>
  readonly stop: (runtimeId: Id) => Effect.Effect<AbandonReport, ControlError | NotReady | RunInProgress>
  readonly resume: (runtimeId: Id) => Effect.Effect<void, ControlError | NotReady | RunInProgress>
  /** No new run starts until `unpause`; an open one goes on. */
  readonly pause: (target: Target) => Effect.Effect<void, ControlError | ReadFailed>
  readonly unpause: (target: Target) => Effect.Effect<void, ControlError | ReadFailed>
  readonly retire: (runtimeId: Id) => Effect.Effect<RetireReport, ControlError | NotReady | RunInProgress>
  readonly reset: (runtimeId: Id) => Effect.Effect<AbandonReport, ControlError | NotReady | RunInProgress>
  readonly recycle: (
    runtimeId: Id
  ) => Effect.Effect<RecycleReport, ControlError | NotReady | RunInProgress>
  readonly recover: (runtimeId: Id) => Effect.Effect<RecoveryReport, ControlError>
  readonly destroy: (runtimeId: Id) => Effect.Effect<AbandonReport, ControlError | NotReady | RunInProgress>
  /** `recover`, also after another owner has taken the runtime. */
  readonly takeOver: (runtimeId: Id) => Effect.Effect<RecoveryReport, ControlError>

  /** A dead letter's payload as a new input, at the tail. The dead one stays dead and points at it. */
  readonly redrive: (
    runtimeId: Id,
    inputId: InputId | string
  ) => Effect.Effect<AcceptOutcome, IngestError | RuntimeNotFound | UnknownInput>
  /** Holds an input that waits, with its batch, until `release` or a time in epoch milliseconds. */
  readonly hold: (
    runtimeId: Id,
    inputId: InputId | string,
    options?: { readonly until?: number }
  ) => Effect.Effect<void, ControlError | UnknownInput | InvalidInput>
  readonly release: (runtimeId: Id, inputId: InputId | string) => Effect.Effect<void, ControlError | UnknownInput>
  /** Replaces a range of the transcript, between runs. */
  readonly rewrite: (
    runtimeId: Id,
    rewrite: RewriteDraft & { readonly replacement: ReadonlyArray<Json> }
  ) => Effect.Effect<SessionHead, ControlError | SessionError>
  readonly clearSession: (runtimeId: Id) => Effect.Effect<void, ControlError | SessionError>

  readonly runtimeState: (runtimeId: Id) => Effect.Effect<Option.Option<RuntimeState>, LoadError>
  readonly inspect: (runtimeId: Id) => Effect.Effect<Option.Option<Health>, LoadError>
  readonly loadBoundaryReceipt: Observer["receipt"]
  readonly runtimes: Observer["runtimes"]
  readonly inputs: Observer["inputs"]
  readonly input: Observer["input"]
  readonly deadLetters: Observer["deadLetters"]
  readonly transcript: Observer["transcript"]
  /**
   * What happens in a runtime, behind a cursor and on without end: no gap, no repetition, never what was rolled back.
   * However many subscribe, and however slow they are, nobody waits for them.
   */
  readonly watch: (
    runtimeId: Id,
    options?: { readonly after?: number }
  ) => Stream.Stream<Watched, LoadError | EventsPruned>

  /** Takes the recurring input at each tick until the scope closes, and first what the policy says of missed ones. */
  readonly cron: (
    recurring: Recurring
  ) => Effect.Effect<void, InvalidInput | ReadFailed | SchemaFromTheFuture | CommitError, Scope.Scope>
}

/**
 * The engine of a process.
 *
 * @example
 * ```ts
 * import { BurrowSqlite } from "effect-burrow/sqlite"
 * import { ControlPlane, type Executor, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const shout: Executor.Executor = {
 *   apply: (run) => Effect.succeed({ result: `${run.inputs.length} inputs, attempt ${run.attempt}` })
 * }
 *
 * const program = Effect.gen(function*() {
 *   const plane = yield* ControlPlane.ControlPlane
 *   yield* plane.register("shout", shout, { runsMax: 4 })
 *   const { result } = yield* plane.submit("shout/ana", Input.prompt("hello", { idempotencyKey: "monday" }))
 *   return result
 * }).pipe(Effect.scoped, Effect.provide(BurrowSqlite.layer({ filename: "burrow.db" })))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ControlPlane extends Context.Tag("effect-burrow/ControlPlane")<ControlPlane, Service>() {}
