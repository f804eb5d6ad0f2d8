/**
 * The loops of a process. A runtime that has nothing to do has nothing here: a loop is a turn after the other for as
 * long as there is work, each with a place of its agent's.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { InvalidInput, OwnershipLost } from "../../schema/DriverError.js"
import type { RuntimeId } from "../../schema/Ids.js"
import {
  type CommitError,
  ForeignSqlClient,
  type ReadFailed,
  RecordCorrupt,
  SchemaFromTheFuture,
  StoreClosed,
  StoreReplaced
} from "../../schema/StoreError.js"
import { eventLoopTurn, type Fork } from "../../services/Batcher.js"
import { AlreadyRegistered } from "../../services/ControlPlane.js"
import type { Drivers, Notice, Service as Driver } from "../../services/Driver.js"
import type { DeltaError, Executor, Options } from "../../services/Executor.js"
import * as Metrics from "../../services/Metrics.js"
import { agentOf } from "../../services/Observer.js"
import * as Backoff from "./Backoff.js"
import * as Hosted from "./Hosted.js"
import * as PausedAgents from "./PausedAgents.js"
import { ProgressHub } from "./Progress.js"
import type { RunLive } from "./RunLive.js"
import { Solo } from "./Solo.js"
import { Timer } from "./Timer.js"
import { turn, type Turned } from "./Turn.js"
import { Waits } from "./Waits.js"

/** A runtime with work: it stands in its agent's gate, or has its turn. */
interface Loop {
  readonly hosted: Hosted.Hosted
  /** There may be more than what the turn has seen. */
  again: boolean
  run: RunLive | undefined
  /** Troubles in a row. */
  troubles: number
}

/** Why a runtime does not go on in this process, whoever waits for it. */
type Unreachable = OwnershipLost | StoreReplaced | RecordCorrupt | SchemaFromTheFuture

const PENDING_PAGE = 4_096

/** Who found no place in memory looks again after so long, since others than loops hold drivers too. */
const CROWDED_MILLIS = 500

export class Engine {
  readonly progress = new ProgressHub()
  readonly waits = new Waits()
  readonly timer: Timer
  private readonly agents = new Map<string, Hosted.Hosted>()
  private readonly loops = new Map<RuntimeId, Loop>()
  private readonly solo = new Solo((runtimeId) => {
    this.wake(runtimeId)
    return this.agents.get(agentOf(runtimeId))?.gate.isOpen === true
  })
  private readonly lostListeners = new Map<RuntimeId, Set<(error: Unreachable) => void>>()
  /** They found no place in memory: one of them goes on behind each turn. */
  private readonly crowded = new Map<RuntimeId, Loop>()
  /** Which agents are paused is decided by one at a time, so that memory is what the store says last. */
  private readonly pausing = Effect.unsafeMakeSemaphore(1)
  /** Runtimes that do not go on in this process, until a driver says otherwise. */
  private readonly unreachable = new Map<RuntimeId, Unreachable>()
  private isClosed = false

  constructor(
    readonly drivers: Context.Tag.Service<Drivers>,
    private readonly fork: Fork,
    now: number
  ) {
    this.timer = new Timer(drivers.store, (runtimeId) => this.wake(runtimeId), now)
  }

  /** There is, or may be, something to do. */
  wake(runtimeId: RuntimeId): void {
    const hosted = this.agents.get(agentOf(runtimeId))
    if (hosted === undefined || hosted.isClosing) return
    const loop = this.loops.get(runtimeId)
    if (loop !== undefined) {
      loop.again = true
      // What has become ready meanwhile may be a steer.
      loop.run?.wakeSteered()
      return
    }
    if (hosted.gate.waitingCount >= this.drivers.limits.runtimesWaitingMax) {
      // Its rows say so too: it is found there when there is room.
      hosted.hasMore = true
      return
    }
    this.loops.set(runtimeId, { hosted, again: false, run: undefined, troubles: 0 })
    this.enqueue(hosted, runtimeId)
  }

  private enqueue(hosted: Hosted.Hosted, runtimeId: RuntimeId): void {
    Metrics.waiting(hosted.agent, 1)
    hosted.gate.enqueue(runtimeId)
  }

  noticed(notice: Notice): void {
    const { lost, nextReadyAt, runtimeId, signal } = notice
    if (nextReadyAt !== null) this.timer.notice(nextReadyAt)
    if (lost === null) this.unreachable.delete(runtimeId)
    this.loops.get(runtimeId)?.run?.noticed(notice)
    if (lost !== null) this.tellLost(runtimeId, lost)
    else if (signal !== "none") this.wake(runtimeId)
  }

  runOf(runtimeId: RuntimeId): RunLive | undefined {
    return this.loops.get(runtimeId)?.run
  }

  private tellLost(runtimeId: RuntimeId, error: Unreachable): void {
    this.unreachable.set(runtimeId, error)
    const listeners = this.lostListeners.get(runtimeId)
    this.lostListeners.delete(runtimeId)
    for (const tell of listeners ?? []) tell(error)
  }

  /** Fails when this process loses the runtime, or cannot go on with it. */
  lost(runtimeId: RuntimeId): Effect.Effect<never, Unreachable> {
    return Effect.async((resume) => {
      const known = this.unreachable.get(runtimeId)
      if (known !== undefined) return resume(Effect.fail(known))
      const tell = (error: Unreachable) => resume(Effect.fail(error))
      const listeners = this.lostListeners.get(runtimeId) ?? new Set()
      this.lostListeners.set(runtimeId, listeners.add(tell))
      return Effect.sync(() => {
        listeners.delete(tell)
        if (listeners.size === 0) this.lostListeners.delete(runtimeId)
      })
    })
  }

  register<E, R, AE, AR>(
    agent: string,
    executor: Executor<E, R, AE, AR>,
    options: Options<E | AE | DeltaError, R>
  ): Effect.Effect<void, AlreadyRegistered | ForeignSqlClient | InvalidInput | ReadFailed | StoreClosed, Scope.Scope> {
    return Effect.gen(this, function*() {
      yield* checkOptions(agent, options)
      const context = yield* Effect.context<never>()
      if (this.drivers.store.isForeign(context)) return yield* new ForeignSqlClient({ agent })
      const isPaused = yield* PausedAgents.has(this.drivers.store, agent)
      if (this.isClosed) return yield* new StoreClosed({ operation: `registering ${agent}` })
      if (this.agents.has(agent)) return yield* new AlreadyRegistered({ agent })
      const hosted = Hosted.make(agent, executor, options, {
        context: context as Context.Context<unknown>,
        attemptsMax: this.drivers.limits.attemptsMax,
        start: (hosted, runtimeId) => this.start(hosted, runtimeId)
      })
      hosted.isPaused = isPaused
      if (isPaused) hosted.gate.close()
      this.agents.set(agent, hosted)
      this.fork(this.resume(hosted))
      return hosted
    }).pipe(
      this.pausing.withPermits(1),
      (registered) => Effect.acquireRelease(registered, (hosted) => this.unregister(hosted)),
      Effect.asVoid
    )
  }

  /** Finds what is pending of an agent, in pages: what it has room for at a time. */
  private resume(hosted: Hosted.Hosted): Effect.Effect<void> {
    const page = (after: Option.Option<RuntimeId>): Effect.Effect<void> =>
      Effect.gen(this, function*() {
        if (hosted.isClosing || hosted.hasMore) return
        const now = yield* Clock.currentTimeMillis
        const pending = yield* this.drivers.store.loadPendingRuntimes({
          limit: PENDING_PAGE,
          ...(Option.isSome(after) && { after: after.value })
        })
        for (const { readyAt, runtimeId } of pending) {
          if (agentOf(runtimeId) === hosted.agent && Option.exists(readyAt, (at) => at <= now)) this.wake(runtimeId)
        }
        const last = pending[pending.length - 1]
        if (last !== undefined && pending.length === PENDING_PAGE) yield* page(Option.some(last.runtimeId))
      }).pipe(
        Effect.catchAll((error) =>
          Effect.zipRight(
            Effect.logWarning(`what is pending of ${hosted.agent} could not be read; trying again`, error),
            Effect.zipRight(
              Effect.sleep("1 second"),
              Effect.suspend(() => hosted.isClosing ? Effect.void : page(after))
            )
          )
        )
      )
    return page(Option.none())
  }

  /** Its runs are given back, and waited for. */
  private unregister(hosted: Hosted.Hosted): Effect.Effect<void> {
    const { agent } = hosted
    return Effect.gen(this, function*() {
      hosted.isClosing = true
      hosted.gate.close()
      for (const [runtimeId, loop] of this.loops) {
        if (loop.hosted !== hosted) continue
        loop.run?.end({ _tag: "givenBack" })
        // Who stands in the gate has no turn any more.
        if (loop.run === undefined) this.loops.delete(runtimeId)
      }
      if (hosted.turns > 0) yield* Deferred.await(hosted.quiet)
      // Whoever closes the engine waits too; one of them is the first to go on.
      if (this.agents.get(agent) !== hosted) return
      this.agents.delete(agent)
      Metrics.waiting(agent, -hosted.gate.waitingCount)
      for (const runtimeId of yield* this.drivers.live) {
        if (agentOf(runtimeId) === agent) {
          yield* Effect.scoped(Effect.flatMap(this.drivers.lease(runtimeId), (driver) => driver.detach)).pipe(
            Effect.ignore
          )
        }
      }
    })
  }

  /** Given a place by the gate. */
  private start(hosted: Hosted.Hosted, runtimeId: RuntimeId): void {
    Metrics.waiting(hosted.agent, -1)
    const loop = this.loops.get(runtimeId)
    if (hosted.hasMore && hosted.gate.waitingCount <= this.drivers.limits.runtimesWaitingMax / 2) {
      hosted.hasMore = false
      this.fork(this.resume(hosted))
    }
    if (loop === undefined || this.agents.get(hosted.agent) !== hosted) return hosted.gate.release()
    hosted.turns++
    const ended = Effect.sync(() => {
      hosted.turns--
      if (hosted.turns === 0 && hosted.isClosing) Deferred.unsafeDone(hosted.quiet, Effect.void)
    })
    const begun = this.fork(
      Effect.ensuring(
        Effect.flatMap(this.turnOf(hosted, loop, runtimeId), (turned) => this.turned(loop, runtimeId, turned)),
        ended
      )
    )
    if (!begun) hosted.turns--
  }

  /** The place is the run's as soon as there is one; before, and without one, it is given back here. */
  private turnOf(
    hosted: Hosted.Hosted,
    loop: Loop,
    runtimeId: RuntimeId
  ): Effect.Effect<Either.Either<Turned, Cause.Cause<unknown>>> {
    loop.again = false
    return Effect.scoped(
      Effect.gen(this, function*() {
        // Others have a turn first: a loop that always finds work would keep timers and sockets waiting.
        yield* eventLoopTurn
        const driver = yield* this.drivers.lease(runtimeId)
        yield* this.prepare(driver)
        return yield* turn({
          hosted,
          drivers: this.drivers,
          driver,
          progress: this.progress,
          alone: () => this.solo.take(runtimeId),
          onBoundary: () => hosted.gate.widen(),
          onWait: this.leaveSolo(runtimeId, driver),
          waits: this.waits,
          began: (run) => {
            loop.run = run
            if (hosted.isClosing) run.end({ _tag: "givenBack" })
          },
          outage: (pause, now) => this.closeFor(hosted, pause, now)
        })
      })
    ).pipe(
      Effect.sandbox,
      Effect.either,
      Effect.ensuring(Effect.sync(() => {
        if (loop.run === undefined) hosted.gate.release()
        loop.run = undefined
        this.solo.release(runtimeId)
        this.solo.next()
      })),
      Effect.annotateLogs({ "burrow.agent.name": hosted.agent, "burrow.runtime.id": runtimeId })
    )
  }

  /** Who goes on with others beside it is not to blame alone: its attempt is not its last any more. */
  private leaveSolo(runtimeId: RuntimeId, driver: Driver): Effect.Effect<void> {
    return Effect.suspend(() => {
      const runId = this.runOf(runtimeId)?.runId
      return !this.solo.isHeldBy(runtimeId) || runId === undefined ? Effect.void : Effect.ensuring(
        Effect.ignore(driver.uncharge({ runId })),
        Effect.sync(() => this.solo.release(runtimeId))
      )
    })
  }

  private prepare(driver: Driver) {
    return Effect.gen(function*() {
      const open = yield* driver.openRun
      // Nobody's: the store would not take its end, or nobody was told that it had taken its beginning.
      if (Option.isSome(open)) {
        yield* Effect.catchTag(driver.giveBack({ runId: open.value.id }), "RunNotOpen", () => Effect.void)
      }
      // That it is attached is a fact of this process; a stopped one is not, and stages nothing.
      if (yield* driver.isIdle) yield* Effect.ignore(driver.attach())
    })
  }

  private turned(
    loop: Loop,
    runtimeId: RuntimeId,
    turned: Either.Either<Turned, Cause.Cause<unknown>>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (Either.isLeft(turned)) return this.troubled(loop, runtimeId, turned.left)
      for (const next of this.crowded.keys()) {
        this.uncrowd(next)
        break
      }
      if (turned.right._tag === "open") return this.troubled(loop, runtimeId, Cause.fail(turned.right.error))
      loop.troubles = 0
      if (turned.right._tag === "idle") {
        const { nextReadyAt } = turned.right
        if (Option.isSome(nextReadyAt)) this.timer.notice(nextReadyAt.value)
        if (!loop.again) {
          this.loops.delete(runtimeId)
          return Effect.void
        }
      }
      this.goOn(loop, runtimeId)
      return Effect.void
    })
  }

  private goOn(loop: Loop, runtimeId: RuntimeId): void {
    // It may have been closed, and registered again, meanwhile.
    if (this.loops.get(runtimeId) !== loop) return
    if (loop.hosted.isClosing) this.loops.delete(runtimeId)
    else this.enqueue(loop.hosted, runtimeId)
  }

  private uncrowd(runtimeId: RuntimeId): void {
    const loop = this.crowded.get(runtimeId)
    this.crowded.delete(runtimeId)
    if (loop !== undefined) this.goOn(loop, runtimeId)
  }

  /** What passes is waited out; what does not is left until somebody wakes the runtime. */
  private troubled(loop: Loop, runtimeId: RuntimeId, error: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const tag = tagOf(error)
      if (tag !== undefined && forGood.has(tag)) {
        this.loops.delete(runtimeId)
        const unreachable = Option.filter(Cause.failureOption(error), isUnreachable)
        if (Option.isSome(unreachable)) this.tellLost(runtimeId, unreachable.value)
        return expected.has(tag) ? Effect.void : Effect.logError(`the loop of ${runtimeId} stops`, error)
      }
      if (tag === "TooManyRuntimes") {
        this.crowded.set(runtimeId, loop)
        this.fork(Effect.zipRight(Effect.sleep(CROWDED_MILLIS), Effect.sync(() => this.uncrowd(runtimeId))))
        return Effect.void
      }
      const millis = Backoff.troubleMillis(++loop.troubles)
      this.fork(Effect.zipRight(Effect.sleep(millis), Effect.sync(() => this.goOn(loop, runtimeId))))
      return Effect.logWarning(`the loop of ${runtimeId} goes on in ${millis} ms`, error)
    })
  }

  /** Runs that fail of the same outage prolong nothing: who tries again after it does. */
  private closeFor(hosted: Hosted.Hosted, pauseMillis: number, now: number): void {
    if (now < hosted.downUntil) return
    const millis = Backoff.outageMillis(pauseMillis, ++hosted.outages)
    const until = now + millis
    hosted.downUntil = until
    hosted.gate.close()
    this.fork(
      Effect.logWarning(`agent ${hosted.agent} pauses for ${millis} ms: an outage`).pipe(
        Effect.zipRight(Effect.sleep(millis)),
        Effect.zipRight(Effect.sync(() => {
          if (hosted.downUntil === until && !hosted.isPaused && !hosted.isClosing) hosted.gate.open("for one")
        }))
      )
    )
  }

  /** Gives everything back that runs. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isClosed = true
      return Effect.forEach(Array.from(this.agents.values()), (hosted) => this.unregister(hosted), {
        concurrency: "unbounded",
        discard: true
      })
    })
  }

  setPaused(agent: string, paused: boolean): Effect.Effect<void, CommitError | ReadFailed> {
    const kept = PausedAgents.set(this.drivers.store, agent, paused)
    const known = Effect.map(Clock.currentTimeMillis, (now) => {
      const hosted = this.agents.get(agent)
      if (hosted === undefined || hosted.isPaused === paused) return
      hosted.isPaused = paused
      if (paused) hosted.gate.close()
      else if (!hosted.isClosing && hosted.downUntil <= now) hosted.gate.open(hosted.outages > 0 ? "for one" : "wide")
    })
    return this.pausing.withPermits(1)(Effect.uninterruptible(Effect.zipRight(kept, known)))
  }
}

const checkOptions = <E, R>(
  agent: string,
  { attemptsMax = 1, runsMax = 1 }: Options<E, R>
): Effect.Effect<void, InvalidInput> => {
  const invalid = (field: string, problem: string) =>
    Effect.fail(new InvalidInput({ runtimeId: `${agent}/...`, field, problem }))
  if (agent === "" || agent.includes("/")) return invalid("agent", "must be non-empty, without a slash")
  for (const [field, value] of Object.entries({ attemptsMax, runsMax })) {
    if (!Number.isSafeInteger(value) || value < 1) return invalid(field, "must be a whole number, at least 1")
  }
  return Effect.void
}

const isUnreachable = (error: unknown): error is Unreachable =>
  error instanceof OwnershipLost || error instanceof StoreReplaced || error instanceof RecordCorrupt ||
  error instanceof SchemaFromTheFuture

/** Nothing of this process changes these: whoever does, wakes the runtime. */
const forGood: ReadonlySet<string> = new Set([
  "OwnershipLost",
  "Destroyed",
  "NotReady",
  "RunInProgress",
  "StoreClosed",
  "StoreReplaced",
  "RecordCorrupt",
  "SchemaFromTheFuture",
  "InvalidInput"
])

const expected: ReadonlySet<string> = new Set([
  "OwnershipLost",
  "Destroyed",
  "NotReady",
  "RunInProgress",
  "StoreClosed"
])

const tagOf = (cause: Cause.Cause<unknown>): string | undefined => {
  if (Cause.isInterruptedOnly(cause)) return "StoreClosed"
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  return Predicate.hasProperty(error, "_tag") ? String(error._tag) : undefined
}
