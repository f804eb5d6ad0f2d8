/**
 * One life of the process that a test crashes. When it is over nothing of it gets anywhere: what asks for the store is
 * never answered, and what the store had begun for it comes to nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Service as Agents } from "../../services/Agents.js"
import type { BlobStore } from "../../services/BlobStore.js"
import type { Service as ControlPlane } from "../../services/ControlPlane.js"
import type { Drivers } from "../../services/Driver.js"
import type { Executor, Options, Output } from "../../services/Executor.js"
import type { Inbox } from "../../services/Inbox.js"
import type { Service as Observer } from "../../services/Observer.js"
import type { RuntimeStore } from "../../services/RuntimeStore.js"

/** What a life has, once it has begun. */
export interface Services {
  readonly agents: Agents
  readonly blobs: Context.Tag.Service<BlobStore>
  readonly drivers: Context.Tag.Service<Drivers>
  readonly inbox: Context.Tag.Service<Inbox>
  /** Whether the calling fiber is in a transaction of this life's. */
  readonly insideTransaction: Effect.Effect<boolean>
  readonly observer: Observer
  readonly plane: ControlPlane
  readonly store: Context.Tag.Service<RuntimeStore>
}

/** The life that a fiber is of. Those who have none are outside, and see one life after the other. */
export class Within extends Context.Tag("effect-burrow/testing/agent/Life/Within")<Within, Life>() {}

/** A fiber of a life that is over can do nothing to those that come. */
export const unlessOver = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.serviceOption(Within),
    (within) => Option.exists(within, (life) => life.isOver) ? Effect.interrupt : effect
  )

export class Life {
  /** It takes commands, or took them. */
  isUp = false
  isOver = false
  /** Nothing of it is left. */
  hasGone = false
  private begun: Services | undefined
  private readonly runs = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  private readonly listeners = new Set<() => void>()

  constructor(readonly scope: Scope.CloseableScope) {}

  get services(): Services {
    if (this.begun === undefined) throw new Error("this life has not begun")
    return this.begun
  }

  begin(services: Services): void {
    this.begun = services
  }

  get isReady(): boolean {
    return this.isUp && !this.isOver
  }

  /**
   * From here on it is as if there were no process. Executors are interrupted at once, since they would go on at the next
   * tick of a clock that no dead process hears.
   */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    for (const fiber of this.runs) fiber.unsafeInterruptAsFork(FiberId.none)
    this.tell()
  }

  gone(): void {
    this.hasGone = true
    this.tell()
  }

  private tell(): void {
    for (const listener of this.listeners) listener()
  }

  /** Told when it is over, and again when nothing is left of it. Answers how to stop listening. */
  listen(listener: () => void): () => void {
    const registered = () => listener()
    this.listeners.add(registered)
    return () => void this.listeners.delete(registered)
  }

  get over(): Effect.Effect<void> {
    return this.when(() => this.isOver)
  }

  get left(): Effect.Effect<void> {
    return this.when(() => this.hasGone)
  }

  private when(isSo: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      const look = () => isSo() && resume(Effect.void)
      const stop = this.listen(look)
      look()
      return Effect.sync(stop)
    })
  }

  /** What was asked for in time is answered, if it could be. All else is interrupted, since nobody is there any more. */
  alive<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() =>
      this.isOver
        ? Effect.interrupt
        : Effect.catchAllCause(effect, (cause) => this.isOver ? Effect.interrupt : Effect.failCause(cause))
    )
  }

  /** Interrupts it when this life is over, whoever runs it. */
  cutOff<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.raceFirst(
      Effect.interruptible(Effect.disconnect(effect)),
      Effect.interruptible(Effect.zipRight(this.over, Effect.interrupt))
    )
  }

  private within<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.mapInputContext(effect, (context: Context.Context<R>) => Context.add(context, Within, this))
  }

  /** In the fiber of whoever carries out the run: by its fibers the engine knows whether a run still does something. */
  private carry<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.withFiberRuntime<A, E, R>((fiber) => {
      if (this.isOver) return Effect.interrupt
      this.runs.add(fiber)
      return Effect.ensuring(this.within(effect), Effect.sync(() => this.runs.delete(fiber)))
    })
  }

  /** An executor as a part of this life. */
  executor<E, R, AE, AR>(executor: Executor<E, R, AE, AR>): Executor<E, R, AE, AR> {
    const { messageOf } = executor
    const output = (output: Output<AE, AR> | void): Output<AE, AR> | void =>
      output?.alongside === undefined ? output : { ...output, alongside: this.within(output.alongside) }
    return {
      apply: (run) => this.carry(Effect.map(Effect.suspend(() => executor.apply(run)), output)),
      ...(messageOf !== undefined && { messageOf: messageOf.bind(executor) })
    }
  }

  options<E, R>(options: Options<E, R>): Options<E, R> {
    const { inDoubt } = options
    return inDoubt === undefined
      ? options
      : { ...options, inDoubt: (run) => this.carry(Effect.suspend(() => inDoubt(run))) }
  }

  /** With loggers that a process takes with it: what is left of a life that is over has nobody to complain to. */
  heard<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.locallyWith(
      effect,
      FiberRef.currentLoggers,
      HashSet.map((logger) => Logger.make((line) => this.isOver ? undefined : logger.log(line)))
    )
  }
}
