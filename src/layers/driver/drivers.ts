/**
 * The table of a process's drivers: one for each runtime, opened once, however many ask at the same time, and forgotten
 * when nobody has used it for a while.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import { idOfKey } from "../../core/Digests.js"
import { TooManyRuntimes } from "../../schema/DriverError.js"
import type { RuntimeId } from "../../schema/Ids.js"
import * as Limits from "../../schema/Limits.js"
import { InsideTransaction, StoreClosed } from "../../schema/StoreError.js"
import { makeFork } from "../../services/Batcher.js"
import { BlobStore } from "../../services/BlobStore.js"
import { Digest } from "../../services/Digest.js"
import type { Drivers, InDoubtPolicy, Notice, OpenError } from "../../services/Driver.js"
import { IdGenerator } from "../../services/IdGenerator.js"
import * as Metrics from "../../services/Metrics.js"
import { RuntimeStore } from "../../services/RuntimeStore.js"
import { runtimeIdOf } from "./Arguments.js"
import { DriverLive } from "./DriverLive.js"
import type { Env } from "./Env.js"
import * as Outgoing from "./Outgoing.js"
import { recover } from "./Recovery.js"

/**
 * How the drivers of a process behave. All limits have defaults; see `Limits`.
 */
export interface Options {
  readonly limits?: Partial<Limits.Limits>
  /** What becomes of a batch whose run was lost with its process. Default: `retry`. */
  readonly inDoubt?: InDoubtPolicy
}

export const make = (
  options: Options = {}
): Effect.Effect<
  Context.Tag.Service<Drivers>,
  never,
  RuntimeStore | BlobStore | Digest | IdGenerator | Scope.Scope
> =>
  Effect.gen(function*() {
    const listeners = new Set<(notice: Notice) => void>()
    const env: Env = {
      store: yield* RuntimeStore,
      blobs: yield* BlobStore,
      sha256: (yield* Digest).sha256,
      ids: yield* IdGenerator,
      limits: { ...Limits.defaults, ...options.limits },
      inDoubt: options.inDoubt ?? "retry",
      fork: yield* makeFork,
      announce: (notice) => {
        for (const listener of listeners) {
          // What was committed is answered, whatever a listener does.
          const told = Either.try(() => listener(notice))
          if (Either.isLeft(told)) env.fork(Effect.logError("a listener to drivers has thrown", told.left))
        }
      }
    }
    const table = new Table(env)
    yield* Effect.addFinalizer(() => Effect.sync(() => Metrics.live(-table.ids.length)))
    return {
      get: (name) => Effect.uninterruptibleMask((restore) => Effect.map(table.open(name, restore), driverOf)),
      lease: (name) =>
        // Not `acquireRelease`, whose acquisition cannot be interrupted: an opening may take long.
        Effect.uninterruptibleMask((restore) =>
          Effect.map(
            Effect.tap(table.open(name, restore), (lease) => Effect.addFinalizer(() => table.release(lease))),
            driverOf
          )
        ),
      store: env.store,
      limits: env.limits,
      post: (outgoing) => Outgoing.post(env, outgoing),
      idOfKey: (to, key) => idOfKey(env.sha256, to as RuntimeId, key),
      live: Effect.sync(() => table.ids),
      isLive: (runtimeId) => Effect.sync(() => table.has(runtimeId)),
      listen: (listener) =>
        Effect.asVoid(Effect.acquireRelease(
          // A registration of its own, also for one that is registered already.
          Effect.sync(() => {
            const registered = (notice: Notice) => listener(notice)
            listeners.add(registered)
            return registered
          }),
          (registered) => Effect.sync(() => listeners.delete(registered))
        ))
    }
  })

interface Entry {
  readonly runtimeId: RuntimeId
  readonly opened: Deferred.Deferred<DriverLive, OpenError>
  driver: DriverLive | undefined
  /** Who uses it now. One that somebody has for good is never given back. */
  uses: number
  usedAt: number
}

interface Lease extends Entry {
  readonly driver: DriverLive
}

const driverOf = ({ driver }: Lease): DriverLive => driver

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

class Table {
  /** In the order of last use: the first has been idle longest. */
  private readonly entries = new Map<RuntimeId, Entry>()
  private isSweeping = false

  constructor(private readonly env: Env) {}

  get ids(): ReadonlyArray<RuntimeId> {
    return Array.from(this.entries.keys())
  }

  has(runtimeId: RuntimeId): boolean {
    return this.entries.has(runtimeId)
  }

  /** Uninterruptible, but for the wait: who gets a lease has to give it back. */
  open(name: string, restore: Restore): Effect.Effect<Lease, OpenError> {
    return Effect.flatMap(
      runtimeIdOf(this.env.limits, name),
      (runtimeId) =>
        Effect.flatMap(this.entryOf(runtimeId), (entry) =>
          Effect.onError(
            Effect.as(restore(Deferred.await(entry.opened)), entry as Lease),
            () => this.release(entry)
          ))
    )
  }

  /** An entry stays behind the ones that were used before it. */
  release(entry: Entry): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      entry.uses--
      entry.usedAt = now
      if (this.entries.get(entry.runtimeId) !== entry) return
      this.entries.delete(entry.runtimeId)
      this.entries.set(entry.runtimeId, entry)
      if (entry.uses === 0) this.startSweeping()
    })
  }

  /** In use from the moment it is found: a fiber may be suspended between any two steps. */
  private entryOf(runtimeId: RuntimeId): Effect.Effect<Entry, OpenError> {
    return Effect.gen(this, function*() {
      const live = this.entries.get(runtimeId)
      if (live?.driver !== undefined) return used(live)
      // To wait for an opening from within a transaction would be to wait for the connection one holds.
      if (yield* this.env.store.insideTransaction) {
        return yield* new InsideTransaction({ operation: `opening runtime ${runtimeId}` })
      }
      const usedAt = yield* Clock.currentTimeMillis
      while (true) {
        if (this.env.fork.closed) return yield* closed(runtimeId)
        const existing = this.entries.get(runtimeId)
        if (existing !== undefined) return used(existing)
        if (this.entries.size < this.env.limits.runtimesLiveMax) return used(this.add(runtimeId, usedAt))
        yield* this.makeRoom(runtimeId)
      }
    })
  }

  private add(runtimeId: RuntimeId, usedAt: number): Entry {
    const opened = Deferred.unsafeMake<DriverLive, OpenError>(FiberId.none)
    const entry: Entry = { runtimeId, opened, driver: undefined, uses: 0, usedAt }
    this.entries.set(runtimeId, entry)
    Metrics.live(1)
    this.env.fork(this.fill(entry))
    return entry
  }

  /** In the background: a caller that is interrupted takes no other's driver with it. */
  private fill(entry: Entry): Effect.Effect<void> {
    const { opened, runtimeId } = entry
    return recover(this.env, runtimeId, "anew").pipe(
      Effect.map((recovered) => entry.driver = new DriverLive(runtimeId, this.env, recovered)),
      Effect.tap((driver) => driver.announce),
      Effect.onExit((exit) =>
        Effect.zipRight(
          // A failure is not remembered: the next caller tries again.
          Effect.sync(() => exit._tag === "Failure" && this.forget(entry)),
          Exit.isInterrupted(exit) ? Deferred.fail(opened, closed(runtimeId)) : Deferred.done(opened, exit)
        )
      ),
      Effect.exit,
      Effect.asVoid
    )
  }

  private forget(entry: Entry): void {
    if (this.entries.get(entry.runtimeId) !== entry) return
    this.entries.delete(entry.runtimeId)
    Metrics.live(-1)
  }

  /** Decided and done in one step, so that nobody comes to use it in between. */
  private forgetIfIdle(entry: Entry): Effect.Effect<boolean> {
    return entry.driver === undefined || entry.uses > 0
      ? Effect.succeed(false)
      : Effect.map(entry.driver.isForgettable, (idle) => {
        if (!idle || entry.uses > 0) return false
        this.forget(entry)
        return true
      })
  }

  private makeRoom(runtimeId: RuntimeId): Effect.Effect<void, TooManyRuntimes> {
    const { runtimesLiveMax } = this.env.limits
    return Effect.gen(this, function*() {
      for (const entry of this.entries.values()) {
        if (yield* this.forgetIfIdle(entry)) return
      }
      return yield* new TooManyRuntimes({ runtimeId, runtimesLiveMax })
    })
  }

  /** One fiber for all: most runtimes that were used once are idle at the same time. Without any there is no timer. */
  private startSweeping(): void {
    if (this.isSweeping) return
    this.isSweeping = true
    const { runtimeIdleMillis } = this.env.limits
    this.env.fork(Effect.whileLoop({
      while: () => this.isSweeping = this.hasUnused,
      body: () => Effect.zipRight(Effect.sleep(Math.max(1, runtimeIdleMillis / 2)), this.sweep(runtimeIdleMillis)),
      step: () => {}
    }))
  }

  private get hasUnused(): boolean {
    for (const { uses } of this.entries.values()) if (uses === 0) return true
    return false
  }

  private sweep(runtimeIdleMillis: number): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      const now = yield* Clock.currentTimeMillis
      for (const entry of this.entries.values()) {
        if (now - entry.usedAt < runtimeIdleMillis) break
        yield* this.forgetIfIdle(entry)
      }
    })
  }
}

const used = (entry: Entry): Entry => {
  entry.uses++
  return entry
}

const closed = (runtimeId: RuntimeId) => new StoreClosed({ operation: `opening runtime ${runtimeId}` })
