/** A run as its executor sees it, and as the loop does: who has ended it, when it last gave a sign, whether it waits. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { append } from "../../core/Projection.js"
import type { BlobError } from "../../schema/BlobError.js"
import { InvalidInput, type OwnershipLost } from "../../schema/DriverError.js"
import type { InputId, RuntimeId } from "../../schema/Ids.js"
import type { Input } from "../../schema/Input.js"
import type { Awaited, Failure } from "../../schema/InputState.js"
import type { Json } from "../../schema/Json.js"
import { message } from "../../schema/Session.js"
import type { SessionHead } from "../../schema/Session.js"
import type { LoadError, ReadFailed } from "../../schema/StoreError.js"
import type {
  BoundaryError,
  BoundaryOptions,
  BoundaryOutcome,
  Drivers,
  Notice,
  Service as Driver,
  StagedInput,
  StagedRun
} from "../../services/Driver.js"
import { type Delta, type DeltaError, type Executor, Outbox, type Output, type Run } from "../../services/Executor.js"
import { Arguments } from "../driver/Arguments.js"
import * as Backoff from "./Backoff.js"
import type { Gate } from "./Gate.js"
import { Operations } from "./Operations.js"
import type { ProgressHub } from "./Progress.js"
import type { Waits } from "./Waits.js"

/** Why an attempt is over. The first word counts. */
export type Verdict =
  | { readonly _tag: "exited"; readonly exit: Exit.Exit<Output<unknown, unknown> | void, unknown> }
  /** By a commit that was not the loop's: cancelled, stopped, destroyed, recovered. */
  | { readonly _tag: "closed" }
  /** Another owner has the runtime: there is nothing to commit any more. */
  | { readonly _tag: "lost"; readonly error: OwnershipLost }
  /** The store failed, and went on failing. */
  | { readonly _tag: "trouble"; readonly error: unknown }
  | { readonly _tag: "timedOut"; readonly limit: "runMax" | "silenceMax" }
  | {
    readonly _tag: "parked"
    readonly reason: "question" | "undecodable"
    readonly until: number | null
    /** Of these one has to end; see `Driver.hold`. */
    readonly awaits?: ReadonlyArray<string>
    readonly failure?: Failure
    readonly inputIds?: ReadonlyArray<InputId>
  }
  /** The run before was lost, and the application has decided. `retry`: if there were an attempt left. */
  | { readonly _tag: "inDoubt"; readonly word: "retry" | "hold" | "settle" }
  /** By the engine: it closes, or was asked to. */
  | { readonly _tag: "givenBack" }

/** What an `alongside` itself fails with, told apart from what its commit does. */
class AlongsideFailed<E> extends Data.TaggedClass("AlongsideFailed")<{ readonly error: E }> {}

const theirs = new Set<string>(
  [
    "InvalidInput",
    "InputTooLarge",
    "NoteConflict",
    "SessionKeyMismatch",
    "TranscriptRevisionConflict",
    "AlongsideTimeout",
    "BlobNotFound",
    "BlobCorrupt",
    "BlobTooLarge",
    "BlobInvalidId"
  ] satisfies ReadonlyArray<DeltaError["_tag"]>
)

const isTheirs = (error: BoundaryError): error is Extract<BoundaryError, DeltaError> => theirs.has(error._tag)

const PAGE = 100

const defaultMessage = (input: Input): Option.Option<Json> =>
  Option.map(Option.fromNullable(append(input)), ({ content, role }) => message(role)(content))

export interface Needs {
  readonly agent: string
  readonly driver: Driver
  readonly drivers: Context.Tag.Service<Drivers>
  readonly gate: Gate
  readonly progress: ProgressHub
  readonly staged: StagedRun
  readonly inputs: ReadonlyArray<Input>
  /** What an input becomes in the transcript, if not a message of the default shape. */
  readonly messageOf: Executor["messageOf"]
  readonly startedAt: number
  /** After its first boundary: it has not ended the process. */
  readonly onBoundary: () => void
  /** It waits for another runtime, maybe for one of those that wait for it to end. */
  readonly onWait: Effect.Effect<void>
  readonly waits: Waits
}

/** Functions are fields, so that an executor may hand them on, or take them out of the run. */
export class RunLive implements Run {
  readonly verdict = Deferred.unsafeMake<Verdict>(FiberId.none)
  lastProgressAt: number
  private readonly lock = Effect.unsafeMakeSemaphore(1)
  private sequence = 0
  /** The batch, then the steers of the last checkpoint: the next boundary records those that are not yet. */
  private handed: ReadonlyArray<StagedInput>
  /** The messages of what was handed. */
  private readonly made = new Map<InputId, Option.Option<Json>>()
  /** Steers that were handed over, and that no caller was told of yet. */
  private untold: ReadonlyArray<StagedInput> = []
  private readonly steeredListeners = new Set<() => void>()
  /** How many of its fibers wait for other runtimes; see `waitingFor`. */
  private waits = 0
  private hasPlace = true
  /** It wants its place again: how it is told that it has one, and how it goes on without. */
  private inLine: { readonly tell: () => void; readonly goOn: () => void } | undefined
  private hasVerdict = false
  private isCompleting = false
  private isDismissed = false
  readonly operations: Operations
  /** What has ended it that was not its executor: the store's failure, or the refusal of a run that is over. */
  trouble: unknown

  constructor(private readonly needs: Needs) {
    this.lastProgressAt = needs.startedAt
    this.handed = needs.staged.inputs
    this.operations = new Operations({
      driver: needs.driver,
      limits: needs.drivers.limits,
      awaits: needs.staged.inputs[0]?.head.awaits ?? [],
      read: (effect) => this.read(effect),
      outside: (error) => this.outside(error),
      name: (delta, awaited) => Effect.asVoid(this.commit("note", delta, { awaits: [awaited] })),
      park: (until, awaits) => this.end({ _tag: "parked", reason: "question", until, awaits })
    })
  }

  get runtimeId() {
    return this.needs.driver.runtimeId
  }
  get agent() {
    return this.needs.agent
  }
  get id() {
    return this.runtimeId === this.agent ? this.agent : this.runtimeId.slice(this.agent.length + 1)
  }
  get runId() {
    return this.needs.staged.runId
  }
  get attempt() {
    return this.needs.staged.attempt
  }
  get idempotencyKey() {
    return this.needs.staged.idempotencyKey
  }
  get boundary() {
    return this.needs.staged.primitive.boundary
  }
  get resume() {
    return this.needs.staged.resume
  }
  get openTurns() {
    return this.needs.staged.openTurns
  }
  get afterLoss() {
    return this.needs.staged.afterLoss
  }
  get inputs() {
    return this.needs.inputs
  }
  get primitive() {
    return this.needs.staged.primitive
  }
  get startedAt() {
    return this.needs.startedAt
  }

  end(verdict: Verdict): void {
    this.hasVerdict = true
    Deferred.unsafeDone(this.verdict, Effect.succeed(verdict))
  }

  /** What the driver says after each commit. */
  noticed({ lost, runId, signal, steers }: Notice): void {
    if (lost !== null) return this.end({ _tag: "lost", error: lost })
    if (runId !== this.runId) return this.end({ _tag: "closed" })
    if (steers > 0) this.wakeSteered()
    // It may have been the end of an operation.
    if (signal !== "none") this.operations.wake()
  }

  wakeSteered(): void {
    for (const wake of this.steeredListeners) wake()
  }

  get session(): Effect.Effect<Option.Option<SessionHead>> {
    return this.needs.driver.session
  }

  /** Reads of an executor: what passes is waited out, and what does not ends the attempt from outside. */
  private read<A, E extends LoadError | BlobError>(
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, Exclude<E, ReadFailed>> {
    return effect.pipe(
      Effect.retry({ schedule: Backoff.patience, times: Backoff.TRIES_MAX, while: Backoff.isPassing }),
      Effect.catchAll((error) => error._tag === "ReadFailed" ? this.outside(error) : Effect.fail(error as never))
    )
  }

  private outside(error: unknown): Effect.Effect<never> {
    return Effect.suspend(() => {
      this.trouble = error
      this.end({ _tag: "trouble", error })
      return Effect.interrupt
    })
  }

  readonly transcript = ({ limit = PAGE, start = 0 }: { readonly start?: number; readonly limit?: number } = {}) => {
    const load = Effect.flatMap(this.session, (head) =>
      this.needs.drivers.store.loadTranscript(this.runtimeId, {
        start,
        limit,
        ...(Option.isSome(head) && { at: { revision: head.value.revision, length: head.value.length } })
      }))
    return this.read(
      Effect.catchTag(load, "TranscriptRevisionConflict", (conflict) =>
        // The session is this run's alone: somebody else has taken it.
        this.outside(conflict))
    )
  }

  get snapshot() {
    return this.read(this.needs.drivers.store.loadSessionSnapshot(this.runtimeId))
  }

  readonly history = ({ last }: { readonly last?: number } = {}) => {
    return Effect.gen(this, function*() {
      const own = this.unrecorded.flatMap((input) => Option.toArray(this.messageOf(input)))
      const length = Option.match(yield* this.session, { onNone: () => 0, onSome: (head) => head.length })
      const wanted = last === undefined ? length : Math.max(0, Math.min(length, last - own.length))
      const messages: Array<Json> = []
      while (messages.length < wanted) {
        const page = yield* this.transcript({ start: length - wanted + messages.length, limit: PAGE })
        if (page.messages.length === 0) break
        messages.push(...page.messages)
      }
      const all = [...messages, ...own]
      return last === undefined ? all : all.slice(Math.max(0, all.length - last))
    })
  }

  readonly notes = (scope: string, key?: string) => {
    return this.read(this.needs.drivers.store.loadNotes(this.runtimeId, scope, key))
  }

  readonly checkpoint = <E, R>(delta: Delta<E, R> = {}) => {
    // A caller that was interrupted behind the commit has not seen its steers: the next one is told of them, too.
    return Effect.uninterruptibleMask((restore) =>
      Effect.zipRight(
        restore(this.commit("checkpoint", delta)),
        Effect.suspend(() => {
          const steers = this.untold
          this.untold = []
          return Effect.map(Effect.forEach(steers, (steer) => this.readable(steer)), (inputs) => inputs.flat())
        })
      )
    )
  }

  private readable({ head, input }: StagedInput): Effect.Effect<ReadonlyArray<Input>> {
    return Either.match(input, {
      onRight: (input) => Effect.succeed([input]),
      onLeft: (error) =>
        Effect.as(
          Effect.logError(`steer ${head.id} of ${this.runtimeId} cannot be read; the run goes on without it`, error),
          []
        )
    })
  }

  /** What the next boundary records. */
  private get unrecorded(): ReadonlyArray<Input> {
    return this.handed.flatMap(({ head, input }) =>
      head.recorded || !head.policy.recordTranscript || Either.isLeft(input) ? [] : [input.right]
    )
  }

  readonly note = <E, R>(delta: Delta<E, R>) => {
    return Effect.asVoid(this.commit("note", delta))
  }

  readonly rewrite = (rewrite: Parameters<Run["rewrite"]>[0]) => {
    return Effect.asVoid(this.commit<never, never>("note", {}, { rewrite }))
  }

  readonly complete = <E, R>({ result, ...delta }: Output<E, R>) => {
    return Effect.suspend(() => {
      this.isCompleting = true
      return this.commit("complete", delta, result === undefined ? {} : { result })
    })
  }

  readonly idOfKey = (to: RuntimeId | string, key: string): InputId => {
    return this.needs.drivers.idOfKey(to, key)
  }

  get steered(): Effect.Effect<void> {
    // A wake may be for another input: so it looks again. Who listens first misses none.
    const look: Effect.Effect<boolean> = Effect.acquireUseRelease(
      Effect.sync(() => {
        const woken = Deferred.unsafeMake<void>(FiberId.none)
        const wake = () => Deferred.unsafeDone(woken, Effect.void)
        this.steeredListeners.add(wake)
        return { wake, woken }
      }),
      ({ woken }) =>
        Effect.flatMap(
          this.needs.driver.steers,
          (steers) => steers > 0 ? Effect.succeed(true) : Effect.as(Deferred.await(woken), false)
        ),
      ({ wake }) => Effect.sync(() => this.steeredListeners.delete(wake))
    )
    return Effect.asVoid(Effect.repeat(look, { until: (isThere) => isThere }))
  }

  readonly emit = (value: Json) => {
    return Effect.zipRight(this.heartbeat, this.needs.progress.emit(this.runtimeId, this.runId, value))
  }

  get heartbeat(): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      this.lastProgressAt = now
    })
  }

  readonly park = ({ until }: { readonly until?: number } = {}) => {
    return Effect.gen(this, function*() {
      const time = yield* new Arguments(this.runtimeId, this.needs.drivers.limits).time("until", until)
      // Parking is not counted: without a wait it could go on for ever.
      if (time !== null && time <= (yield* Clock.currentTimeMillis)) {
        return yield* new InvalidInput({ runtimeId: this.runtimeId, field: "until", problem: "must be in the future" })
      }
      this.end({ _tag: "parked", reason: "question", until: time })
      return yield* Effect.interrupt
    })
  }

  readonly setAside = (failure: Failure, inputIds?: ReadonlyArray<InputId>) => {
    return Effect.suspend(() => {
      this.end({
        _tag: "parked",
        reason: "undecodable",
        until: null,
        failure,
        ...(inputIds !== undefined && { inputIds })
      })
      return Effect.interrupt
    })
  }

  readonly dependingOn = <A, E, R>(runtimeId: string, effect: Effect.Effect<A, E, R>) => {
    return this.needs.waits.during(this.runtimeId, runtimeId as RuntimeId, effect)
  }

  readonly refuse = (error: DeltaError) => {
    return Effect.suspend(() => {
      this.end({ _tag: "exited", exit: Exit.fail(error) })
      return Effect.interrupt
    })
  }

  readonly operation: Run["operation"] = (operationId, options) => {
    return this.operations.wait(operationId, options)
  }

  /** Once made, it is what the run has seen, and what is recorded. */
  private messageOf(input: Input): Option.Option<Json> {
    const { id } = input.header
    const known = this.made.get(id)
    if (known !== undefined) return known
    const made = this.needs.messageOf === undefined ? defaultMessage(input) : this.needs.messageOf(input)
    this.made.set(id, made)
    return made
  }

  private get messages(): ReadonlyMap<InputId, Json | null> | undefined {
    return this.needs.messageOf &&
      new Map(this.unrecorded.map((input) => [input.header.id, Option.getOrNull(this.messageOf(input))]))
  }

  /**
   * One boundary after the other, each to its outcome: who interrupts one would not know where the run stands. What the
   * store gets over is tried again with the same `after`, so that it is committed once.
   */
  private commit<E, R>(
    kind: "checkpoint" | "note" | "complete",
    { alongside, append, notes, outbox, snapshot }: Delta<E, R>,
    more: {
      readonly result?: Json
      readonly rewrite?: Parameters<Run["rewrite"]>[0]
      readonly awaits?: ReadonlyArray<Awaited>
    } = {}
  ): Effect.Effect<BoundaryOutcome, DeltaError | E, Exclude<R, Outbox>> {
    const { driver, drivers } = this.needs
    const joined = alongside?.pipe(
      Effect.mapError((error) => new AlongsideFailed({ error })),
      Effect.provideService(Outbox, { send: (to, input) => drivers.post({ to, input }) })
    )
    const options = (
      messages = this.messages
    ): BoundaryOptions<AlongsideFailed<E>, Exclude<R, Outbox>> & { readonly result?: Json } => ({
      runId: this.runId,
      after: this.sequence,
      delta: {
        ...(append !== undefined && { append }),
        ...(snapshot !== undefined && { snapshot }),
        ...(more.rewrite !== undefined && { rewrite: more.rewrite })
      },
      ...(notes !== undefined && { notes }),
      ...(outbox !== undefined && { outbox }),
      ...(more.result !== undefined && { result: more.result }),
      ...(more.awaits !== undefined && { awaits: more.awaits }),
      ...(messages !== undefined && { messages }),
      ...(joined !== undefined && { alongside: joined })
    })
    const once = Effect.suspend(() => driver[kind](options())).pipe(
      // A steer that could not be read just now is handed over again by the repetition.
      Effect.filterOrElse(
        ({ steers }) => steers.every(({ input }) => Either.isRight(input) || !Backoff.isPassing(input.left)),
        ({ steers }) => Effect.fail(steers.flatMap(({ input }) => Either.isLeft(input) ? [input.left] : [])[0]!)
      )
    )
    const settled = once.pipe(
      Effect.retry({
        schedule: Backoff.patience,
        times: Backoff.TRIES_MAX,
        while: (error) => error._tag !== "AlongsideFailed" && Backoff.isPassing(error) && !this.isOver
      }),
      Effect.tap(({ receipt, steers }) => {
        this.sequence = receipt.sequence
        this.handed = steers
        this.made.clear()
        this.untold = [...this.untold, ...steers]
        for (const awaited of more.awaits ?? []) this.operations.hasNamed(awaited)
        this.needs.onBoundary()
        return this.heartbeat
      }),
      Effect.catchAll((error): Effect.Effect<never, DeltaError | E> => {
        if (error._tag === "AlongsideFailed") return Effect.fail(error.error)
        return isTheirs(error) ? Effect.fail(error) : this.outside(error)
      })
    )
    return this.lock.withPermits(1)(Effect.uninterruptible(settled))
  }

  /**
   * The place among `runsMax` is others' while the run waits, with however many fibers. Also who gives up waiting goes on
   * with a place: it stands in line, whatever becomes of its fiber, until it has one or the run is over.
   */
  waitingFor<A, E, R>(wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const begin = Effect.suspend(() => {
      this.waits++
      this.leavePlace()
      return this.needs.onWait
    })
    const end = Effect.async<void>((resume) => {
      this.waits--
      if (this.waits > 0 || this.hasPlace || this.isDismissed) return resume(this.heartbeat)
      const goOn = () => {
        this.inLine = undefined
        resume(this.heartbeat)
      }
      const tell = () => {
        this.hasPlace = true
        goOn()
      }
      this.inLine = { tell, goOn }
      this.needs.gate.regain(tell)
    })
    return Effect.uninterruptibleMask((restore) =>
      Effect.zipRight(begin, Effect.flatMap(Effect.exit(restore(wait)), (exit) => Effect.zipRight(end, exit)))
    )
  }

  /** Nor does it want one any more: a fiber that stands in line goes on without. */
  private leavePlace(): void {
    if (this.inLine !== undefined) {
      this.needs.gate.withdraw(this.inLine.tell)
      this.inLine.goOn()
    }
    if (!this.hasPlace) return
    this.hasPlace = false
    this.needs.gate.release()
  }

  /** The loop has done with it. Whatever its executor goes on with, it takes nobody's place. */
  dismiss(): void {
    this.isDismissed = true
    this.operations.dismiss()
    this.leavePlace()
  }

  get isWaiting(): boolean {
    return this.waits > 0 || this.inLine !== undefined
  }

  private get isOver(): boolean {
    return this.hasVerdict && !this.isCompleting
  }
}
