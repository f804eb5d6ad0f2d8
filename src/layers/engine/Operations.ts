/**
 * What a run waits for that others end: questions, jobs elsewhere. Each is named in a boundary of the batch before it is
 * waited for, so that its end finds the batch. A run that does nothing else is parked.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { BlobError } from "../../schema/BlobError.js"
import type { OperationEnd } from "../../schema/Input.js"
import type { Awaited } from "../../schema/InputState.js"
import type { Limits } from "../../schema/Limits.js"
import type { LoadError, ReadFailed, RecordCorrupt, SchemaFromTheFuture } from "../../schema/StoreError.js"
import { eventLoopTurn } from "../../services/Batcher.js"
import type { Service as Driver } from "../../services/Driver.js"
import type { Delta, DeltaError, Outbox } from "../../services/Executor.js"
import { Arguments } from "../driver/Arguments.js"
import * as Backoff from "./Backoff.js"
import { Stillness } from "./Stillness.js"

/** A fiber that waits. */
interface Waiting {
  readonly operationId: string
  readonly until: number | null
  /** The operation may have ended. */
  readonly wake: () => void
  readonly leave: () => void
  /** A fiber of the run has come to rest. */
  changed: () => void
}

export interface Needs {
  readonly driver: Driver
  readonly limits: Limits
  /** What the batch waits for already. */
  readonly awaits: ReadonlyArray<Awaited>
  readonly read: <A, E extends LoadError | BlobError>(
    effect: Effect.Effect<A, E>
  ) => Effect.Effect<A, Exclude<E, ReadFailed>>
  /** Ends the run: the store has failed. */
  readonly outside: (error: unknown) => Effect.Effect<never>
  /** Commits that the batch waits from now on. */
  readonly name: <E, R>(
    delta: Delta<E, R>,
    awaited: Awaited
  ) => Effect.Effect<void, DeltaError | E, Exclude<R, Outbox>>
  readonly park: (until: number | null, awaits: ReadonlyArray<string>) => void
}

const DAY_MILLIS = 86_400_000

/** Timers take no more than weeks at a time. */
const sleepUntil = (time: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now >= time
      ? Effect.void
      : Effect.zipRight(Effect.sleep(Math.min(time - now, DAY_MILLIS)), sleepUntil(time)))

export class Operations {
  readonly stillness = new Stillness(() => this.changed())
  /** What the batch has named, with the deadlines. */
  private readonly named: Map<string, number | null>
  private readonly naming = Effect.unsafeMakeSemaphore(1)
  private readonly waiting = new Set<Waiting>()
  /** The executor's first fiber, once it has begun. */
  private first: Fiber.RuntimeFiber<unknown, unknown> | undefined

  constructor(private readonly needs: Needs) {
    this.named = new Map(needs.awaits.map(({ operationId, until }) => [operationId, until]))
  }

  /** The fiber from which all that the run does is followed. */
  begins(fiber: Fiber.RuntimeFiber<unknown, unknown>): void {
    this.first = fiber
  }

  /** It was committed, whatever became of who asked for it. What was named before keeps its deadline. */
  hasNamed({ operationId, until }: Awaited): void {
    if (!this.named.has(operationId)) this.named.set(operationId, until)
  }

  /** Something was committed that may have ended one. */
  wake(): void {
    for (const { wake } of this.waiting) wake()
  }

  /** The attempt is over: who waits where no interruption comes would wait for ever. */
  dismiss(): void {
    for (const { leave } of this.waiting) leave()
  }

  wait<E, R>(
    operationId: string,
    { delta = Effect.succeed({}), until }: {
      readonly until?: number
      readonly delta?: Effect.Effect<Delta<E, R>>
    } = {}
  ): Effect.Effect<OperationEnd, DeltaError | E | RecordCorrupt | SchemaFromTheFuture, Exclude<R, Outbox>> {
    const { driver, limits, name } = this.needs
    return Effect.gen(this, function*() {
      yield* new Arguments(driver.runtimeId, limits).operationId("operationId", operationId)
      const known = yield* this.find(operationId)
      if (Option.isSome(known)) return known.value
      const awaited = { operationId, until: until ?? null }
      yield* this.naming.withPermits(1)(Effect.suspend(() =>
        this.named.has(operationId)
          ? Effect.void
          : Effect.flatMap(delta, (delta) => name(delta, awaited))
      ))
      return yield* this.ended(operationId, this.named.get(operationId) ?? null)
    })
  }

  private find(operationId: string) {
    return this.needs.read(this.needs.driver.operationEnd(operationId))
  }

  private ended(
    operationId: string,
    until: number | null
  ): Effect.Effect<OperationEnd, RecordCorrupt | SchemaFromTheFuture | BlobError> {
    const woken = Effect.scoped(Effect.gen(this, function*() {
      const woken = yield* Deferred.make<void>()
      const waiting: Waiting = {
        operationId,
        until,
        wake: () => Deferred.unsafeDone(woken, Effect.void),
        leave: () => Deferred.unsafeDone(woken, Effect.interrupt),
        changed: () => {}
      }
      // Who listens first misses nothing.
      yield* Effect.acquireRelease(
        Effect.sync(() => this.waiting.add(waiting)),
        () =>
          Effect.sync(() => {
            this.waiting.delete(waiting)
            this.changed()
          })
      )
      const found = yield* this.find(operationId)
      if (Option.isSome(found)) return found
      const now = yield* Clock.currentTimeMillis
      if (until !== null && until <= now) return yield* this.expire(operationId)
      // Neither of these is waited for by anybody, so they do not keep the run.
      if (until !== null) yield* Effect.forkScoped(Effect.zipRight(sleepUntil(until), Effect.sync(waiting.wake)))
      yield* Effect.forkScoped(this.stillness.watch(this.parkWhenStill(waiting)))
      // Also in a region that is not: a run that is over would be waited for for ever.
      yield* Effect.interruptible(this.stillness.whileWaiting(Deferred.await(woken)))
      return Option.none<OperationEnd>()
    }))
    return Effect.flatMap(
      woken,
      Option.match({
        onNone: () => this.ended(operationId, until),
        onSome: Effect.succeed
      })
    )
  }

  /** The deadline is over: whose word is under the key first, holds. */
  private expire(operationId: string): Effect.Effect<Option.Option<OperationEnd>> {
    const cancelled: OperationEnd = { _tag: "cancelled" }
    return this.needs.driver.endOperation(operationId, cancelled).pipe(
      Effect.retry({ schedule: Backoff.patience, times: Backoff.TRIES_MAX, while: Backoff.isPassing }),
      Effect.as(Option.some(cancelled)),
      Effect.catchAll((error) => {
        switch (error._tag) {
          case "IdempotencyConflict":
            return Effect.succeedNone
          // Nothing waits for it any more: it is over for this run.
          case "UnknownOperation":
            return Effect.succeed(Option.some(cancelled))
          default:
            return this.needs.outside(error)
        }
      })
    )
  }

  /** Looks again whenever one of its fibers has come to rest; the first of those that wait does it for all. */
  private parkWhenStill(waiting: Waiting): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      for (;;) {
        const changed = yield* Deferred.make<void>()
        waiting.changed = () => Deferred.unsafeDone(changed, Effect.void)
        // What a fiber has been told is done first: it may go on.
        yield* eventLoopTurn
        const [first] = this.waiting
        if (first === waiting && this.first !== undefined && (yield* this.stillness.isStill(this.first))) {
          return this.park()
        }
        yield* Deferred.await(changed)
      }
    })
  }

  private changed(): void {
    // The first looks for all.
    const [first] = this.waiting
    first?.changed()
  }

  private park(): void {
    const waiting = Array.from(this.waiting)
    const deadlines = waiting.flatMap(({ until }) => until ?? [])
    this.needs.park(
      deadlines.length === 0 ? null : Math.min(...deadlines),
      waiting.map(({ operationId }) => operationId)
    )
  }
}
