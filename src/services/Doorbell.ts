/**
 * Says "look again" to those who read what a store holds. It carries nothing, so it can lose nothing, never waits, and
 * costs nothing for runtimes that nobody watches.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { Rows } from "../core/Rows.js"
import type { ReadFailed } from "../schema/StoreError.js"
import type { Fork } from "./Batcher.js"

type Listener = Deferred.Deferred<void>

/** Those of one runtime. Who waits for one input is not walked when another one ends. */
interface Listeners {
  readonly toAll: Set<Listener>
  readonly byInput: Map<string, Set<Listener>>
}

/** Completes once it was rung, however late it is waited for. */
type Subscription = Effect.Effect<Effect.Effect<void>, never, Scope.Scope>

const wake = (listeners: Set<Listener>): void => {
  for (const listener of listeners) Deferred.unsafeDone(listener, Effect.void)
  listeners.clear()
}

export class Doorbell {
  private readonly byRuntime = new Map<string, Listeners>()
  private readonly toDeposits = new Set<Listener>()
  /** Called for each new listener. */
  onListener: () => void = () => {}

  /** Whether anybody listens to anything. */
  get isWatched(): boolean {
    return this.byRuntime.size > 0 || this.areDepositsWatched
  }

  get areDepositsWatched(): boolean {
    return this.toDeposits.size > 0
  }

  /** For a write set that was committed: those of its runtime, of the inputs that it ended, and of deposits. */
  committed(rows: Rows): void {
    if (rows.deposits.length > 0) this.deposited()
    const listeners = this.byRuntime.get(rows.runtimeId)
    if (listeners === undefined) return
    wake(listeners.toAll)
    if (listeners.byInput.size > 0) {
      for (const { inputId, outcome } of [...rows.inserts, ...rows.moves]) {
        const waiting = outcome === null ? undefined : listeners.byInput.get(inputId)
        if (waiting === undefined) continue
        wake(waiting)
        listeners.byInput.delete(inputId)
      }
    }
    this.prune(rows.runtimeId)
  }

  deposited(): void {
    wake(this.toDeposits)
  }

  /** Everybody of one runtime, whatever they wait for. */
  everybodyOf(runtimeId: string): void {
    const listeners = this.byRuntime.get(runtimeId)
    if (listeners === undefined) return
    this.byRuntime.delete(runtimeId)
    wake(listeners.toAll)
    listeners.byInput.forEach(wake)
  }

  everybody(): void {
    this.deposited()
    for (const runtimeId of this.byRuntime.keys()) this.everybodyOf(runtimeId)
  }

  /** Registers at once, for the scope; with an input, for its end alone. */
  subscribe(runtimeId: string, inputId?: string): Subscription {
    return this.listen(() => this.setOf(runtimeId, inputId), () => this.prune(runtimeId, inputId))
  }

  readonly subscribeDeposits: Subscription = this.listen(() => this.toDeposits, () => {})

  private listen(set: () => Set<Listener>, removed: () => void): Subscription {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const listener: Listener = Deferred.unsafeMake(FiberId.none)
        const among = set().add(listener)
        this.onListener()
        return { among, listener }
      }),
      ({ among, listener }) =>
        Effect.sync(() => {
          if (among.delete(listener)) removed()
        })
    ).pipe(Effect.map(({ listener }) => Deferred.await(listener)))
  }

  private setOf(runtimeId: string, inputId: string | undefined): Set<Listener> {
    let listeners = this.byRuntime.get(runtimeId)
    if (listeners === undefined) {
      this.byRuntime.set(runtimeId, listeners = { toAll: new Set(), byInput: new Map() })
    }
    if (inputId === undefined) return listeners.toAll
    const found = listeners.byInput.get(inputId) ?? new Set()
    listeners.byInput.set(inputId, found)
    return found
  }

  /** What nobody listens to any more is forgotten. */
  private prune(runtimeId: string, inputId?: string): void {
    const listeners = this.byRuntime.get(runtimeId)
    if (listeners === undefined) return
    if (inputId !== undefined && listeners.byInput.get(inputId)?.size === 0) listeners.byInput.delete(inputId)
    if (listeners.toAll.size === 0 && listeners.byInput.size === 0) this.byRuntime.delete(runtimeId)
  }
}

/** The transaction of ours that a fiber is in: its rings are repeated when it has ended. */
class Around extends Context.Tag("effect-burrow/services/Doorbell/Around")<
  Around,
  { readonly rings: Array<() => void>; hasEnded: boolean }
>() {}

/**
 * Rings now, and again behind the transaction of ours that the fiber is in: who looks before its end sees nothing of it.
 * Behind a transaction that the application began nobody rings again, and nobody has to: there is one connection, and
 * who looks waits for it.
 */
export const announce = (ring: () => void): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) => {
    ring()
    const around = Context.getOption(context, Around)
    if (around._tag === "Some" && !around.value.hasEnded) around.value.rings.push(ring)
  })

/** Runs the effect of a transaction in `enclose`, and repeats its rings when the transaction has ended. */
export const repeating = <A, E, R>(
  transaction: (enclose: <B, F, S>(body: Effect.Effect<B, F, S>) => Effect.Effect<B, F, S>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const around = { rings: new Array<() => void>(), hasEnded: false }
    const enclose = <B, F, S>(body: Effect.Effect<B, F, S>): Effect.Effect<B, F, S> =>
      Effect.mapInputContext(body, (context: Context.Context<S>) => Context.add(context, Around, around))
    return Effect.ensuring(
      transaction(enclose),
      Effect.suspend(() => {
        around.hasEnded = true
        return around.rings.length === 0 ? Effect.void : announce(() => around.rings.forEach((ring) => ring()))
      })
    )
  })

/** Rings behind what was committed, and for an interrupted caller, who cannot know, to be sure. */
export const ringing = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  ring: () => void,
  isCommitted: (answer: A) => boolean = () => true
): Effect.Effect<A, E, R> =>
  Effect.onExit(
    effect,
    (exit) => (Exit.isSuccess(exit) ? isCommitted(exit.value) : Exit.isInterrupted(exit)) ? announce(ring) : Effect.void
  )

/**
 * Rings for what other connections commit, which no commit of ours tells of: looks at the database's version, for as
 * long as somebody listens.
 */
export const follow = (
  { doorbell, fork, pollMillis, told, version }: {
    readonly doorbell: Doorbell
    readonly fork: Fork
    readonly version: Effect.Effect<number, ReadFailed>
    readonly pollMillis: number
    /** Who listens to what the others write. */
    readonly told: "everybody" | "depositors"
  }
): Effect.Effect<void> =>
  Effect.map(Effect.either(version), (first) => {
    // What was seen last is kept while nobody listens: the next listener may be told for nothing, but never too late.
    let seen = first._tag === "Right" ? first.right : undefined
    let isFollowing = false
    const isNeeded = () => told === "everybody" ? doorbell.isWatched : doorbell.areDepositsWatched
    const look = Effect.match(version, {
      // The next look may succeed, and tells of all that has happened since the last one that did.
      onFailure: () => {},
      onSuccess: (now) => {
        if (now === seen) return
        seen = now
        if (told === "everybody") doorbell.everybody()
        else doorbell.deposited()
      }
    })
    const start = (): void => {
      if (isFollowing || !isNeeded()) return
      isFollowing = true
      const isForked = fork(
        Effect.ensuring(
          Effect.whileLoop({
            while: isNeeded,
            body: () => Effect.zipRight(look, Effect.sleep(pollMillis)),
            step: () => {}
          }),
          Effect.sync(() => {
            isFollowing = false
            // Who came since the fiber last looked saw it following.
            start()
          })
        )
      )
      if (!isForked) isFollowing = false
    }
    doorbell.onListener = start
  })
