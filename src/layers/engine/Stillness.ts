/**
 * Whether a run does nothing any more but wait for operations. Followed from its first fiber along what each fiber waits
 * for: another fiber's end, the fibers of a concurrent loop, or an operation. What waits for anything else (a timer, a
 * request, a queue) works, as far as can be seen from here. Fibers that nobody waits for do not count.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as Supervisor from "effect/Supervisor"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

interface Known {
  readonly fiber: AnyFiber
  /** The fiber of the concurrent loop that has started it. */
  readonly startedBy: number | undefined
}

/** A fiber's number within the process. */
const numberOf = (fiber: AnyFiber): number => fiber.id().id

export class Stillness extends Supervisor.AbstractSupervisor<void> {
  private readonly live = new Map<number, Known>()
  /** Fibers that wait for an operation. */
  private readonly waiting = new Set<number>()
  private readonly watching = new Set<number>()

  constructor(private readonly changed: () => void) {
    super()
  }

  override get value(): Effect.Effect<void> {
    return Effect.void
  }

  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    parent: Option.Option<AnyFiber>,
    fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    const current = Option.getOrUndefined(Fiber.getCurrentFiber())
    // What a concurrent loop starts is not its own child, but that of who called it.
    const byLoop = current !== undefined && Option.exists(parent, (parent) => numberOf(parent) !== numberOf(current))
    this.live.set(numberOf(fiber), { fiber, startedBy: byLoop ? this.loopOf(current) : undefined })
  }

  /** It starts the next one from where one ends. */
  private loopOf(current: AnyFiber): number | undefined {
    return current.unsafePoll() === null ? numberOf(current) : this.live.get(numberOf(current))?.startedBy
  }

  override onEnd<A, E>(_exit: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>): void {
    this.live.delete(numberOf(fiber))
    this.changed()
  }

  override onSuspend<A, E>(fiber: Fiber.RuntimeFiber<A, E>): void {
    if (!this.watching.has(numberOf(fiber))) this.changed()
  }

  /** Whoever watches the run is not a part of it: its own rests are no news. */
  watch<A, E, R>(watch: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.withFiberRuntime<A, E, R>((fiber) => {
      const number = numberOf(fiber)
      this.watching.add(number)
      return Effect.ensuring(watch, Effect.sync(() => this.watching.delete(number)))
    })
  }

  /** Whoever runs it does nothing else until it ends. */
  whileWaiting<A, E, R>(wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.withFiberRuntime<A, E, R>((fiber) => {
      const number = numberOf(fiber)
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          this.waiting.add(number)
          this.changed()
        }),
        () => wait,
        () => Effect.sync(() => this.waiting.delete(number))
      )
    })
  }

  isStill(first: AnyFiber): Effect.Effect<boolean> {
    return this.waiting.size === 0 ? Effect.succeed(false) : this.still(first, [])
  }

  private still(fiber: AnyFiber, path: ReadonlyArray<number>): Effect.Effect<boolean> {
    const number = numberOf(fiber)
    // Nobody waits for the end of who waits for him: what he waits for is a value that the other has made room for.
    if (path.includes(number)) return Effect.succeed(false)
    return Effect.flatMap(fiber.status, (status) => {
      switch (status._tag) {
        case "Done":
          return Effect.succeed(true)
        case "Running":
          return Effect.succeed(false)
        case "Suspended": {
          if (this.waiting.has(number)) return Effect.succeed(true)
          const awaited = Array.from(HashSet.values(FiberId.ids(status.blockingOn)), (id) => this.live.get(id))
          // A concurrent loop waits, uninterruptibly, in a fiber of its own that starts the others.
          const others = awaited.length > 0 || RuntimeFlags.interruptible(status.runtimeFlags)
            ? awaited
            : this.startedBy(number)
          return others.length === 0
            ? Effect.succeed(false)
            : Effect.every(
              others,
              (known) => known === undefined ? Effect.succeed(false) : this.still(known.fiber, [...path, number])
            )
        }
      }
    })
  }

  private startedBy(number: number): ReadonlyArray<Known> {
    return Array.from(this.live.values()).filter(({ startedBy }) => startedBy === number)
  }
}
