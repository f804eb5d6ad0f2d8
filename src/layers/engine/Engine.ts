/**
 * The loops of a process. A runtime that has nothing to do has nothing here: a loop is a turn after the other for as
 * long as there is work, each with a place of its agent's.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { OwnershipLost } from "../../schema/DriverError.js"
import type { RuntimeId } from "../../schema/Ids.js"
import {
  type CommitError,
  type ReadFailed,
  RecordCorrupt,
  SchemaFromTheFuture,
  StoreReplaced
} from "../../schema/StoreError.js"
import { eventLoopTurn, type Fork } from "../../services/Batcher.js"
import { AlreadyRegistered } from "../../services/ControlPlane.js"
import type { Drivers, Notice, Service as Driver } from "../../services/Driver.js"
import type { Executor, Options } from "../../services/Executor.js"
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

/** Names that may stand in a gate before those behind them are fetched from the store. */
const WAITING_MAX = 16_384

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
  /** Turns that are going on, of all agents; who closes waits for them. */
  private readonly quiet = new Map<Hosted.Hosted, { turns: number; readonly ended: Deferred.Deferred<void> }>()

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
    this.loops.get(runtimeId)?.run?.noticed(notice)
    if (lost !== null) this.tellLost(runtimeId, lost)
    else if (signal !== "none") this.wake(runtimeId)
  }

  runOf(runtimeId: RuntimeId): RunLive | undefined {
    return this.loops.get(runtimeId)?.run
  }

  private tellLost(runtimeId: RuntimeId, error: Unreachable): void {
    for (const tell of this.lostListeners.get(runtimeId) ?? []) tell(error)
  }

  /** Fails when this process loses the runtime, or cannot go on with it. */
  lost(runtimeId: RuntimeId): Effect.Effect<never, Unreachable> {
    return Effect.async((resume) => {
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
    options: Options<E | AE, R>
  ): Effect.Effect<void, AlreadyRegistered | ReadFailed, Scope.Scope> {
    return Effect.gen(this, function*() {
      const context = yield* Effect.context<never>()
      const isPaused = yield* PausedAgents.has(this.drivers.store, agent)
      if (this.agents.has(agent)) return yield* new AlreadyRegistered({ agent })
      const hosted = Hosted.make(agent, executor, options, {
        context: context as Context.Context<unknown>,
        attemptsMax: this.drivers.limits.attemptsMax,
        start: (hosted, runtimeId) => this.start(hosted, runtimeId)
      })
      hosted.isPaused = isPaused
      if (isPaused) hosted.gate.close()
      this.agents.set(agent, hosted)
      this.quiet.set(hosted, { turns: 0, ended: Deferred.unsafeMake(FiberId.none) })
      this.fork(this.resume(hosted))
    }).pipe(
      this.pausing.withPermits(1),
      (registered) => Effect.acquireRelease(registered, () => this.unregister(agent))
    )
  }

  /** Finds what is pending of an agent, in pages: what it has room for at a time. */
  private resume(hosted: Hosted.Hosted): Effect.Effect<void> {
    const page = (after: Option.Option<RuntimeId>): Effect.Effect<void> =>
      Effect.gen(this, function*() {
        while (hosted.gate.waitingCount > WAITING_MAX && !hosted.isClosing) yield* Effect.sleep("100 millis")
        if (hosted.isClosing) return
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
  private unregister(agent: string): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const hosted = this.agents.get(agent)
      if (hosted === undefined) return
      hosted.isClosing = true
      hosted.gate.close()
      for (const [runtimeId, loop] of this.loops) {
        if (loop.hosted !== hosted) continue
        loop.run?.end({ _tag: "givenBack" })
        // Who stands in the gate has no turn any more.
        if (loop.run === undefined) this.loops.delete(runtimeId)
      }
      const quiet = this.quiet.get(hosted)
      if (quiet !== undefined && quiet.turns > 0) yield* Deferred.await(quiet.ended)
      // Whoever closes the engine waits too; one of them is the first to go on.
      if (!this.quiet.delete(hosted)) return
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
    const quiet = this.quiet.get(hosted)
    if (loop === undefined || quiet === undefined) return hosted.gate.release()
    quiet.turns++
    const ended = Effect.sync(() => {
      quiet.turns--
      if (quiet.turns === 0 && hosted.isClosing) Deferred.unsafeDone(quiet.ended, Effect.void)
    })
    const begun = this.fork(
      Effect.ensuring(
        Effect.flatMap(this.turnOf(hosted, loop, runtimeId), (turned) => this.turned(loop, runtimeId, turned)),
        ended
      )
    )
    if (!begun) quiet.turns--
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
  private closeFor(hosted: Hosted.Hosted, pause: Duration.DurationInput, now: number): void {
    if (now < hosted.downUntil) return
    const millis = Backoff.outageMillis(pause, ++hosted.outages)
    hosted.downUntil = now + millis
    hosted.gate.close()
    this.fork(
      Effect.logWarning(`agent ${hosted.agent} pauses for ${millis} ms: an outage`).pipe(
        Effect.zipRight(Effect.sleep(millis)),
        Effect.zipRight(Effect.sync(() => {
          if (!hosted.isPaused && !hosted.isClosing) hosted.gate.open("for one")
        }))
      )
    )
  }

  /** Gives everything back that runs. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.agents.keys()), (agent) => this.unregister(agent), {
        concurrency: "unbounded",
        discard: true
      })
    )
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
