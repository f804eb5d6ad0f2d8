/**
 * The newest part of one runtime's log, shared by those who follow it: a commit is read once, however many they are.
 * Publishing never waits: who is not there when it happens finds a window of recent items, and rows behind that.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { RuntimeId } from "../../schema/Ids.js"
import { ReadFailed, StoreClosed } from "../../schema/StoreError.js"
import type { Fork } from "../../services/Batcher.js"
import type { Watched } from "../../services/Observer.js"
import type { Reader, ReadError } from "./Reader.js"
import type { Store } from "./Store.js"

const WINDOW = 256

export class Tail {
  /** Everything behind `from` that was published. */
  private recent: ReadonlyArray<Watched> = []
  private from: number
  private published = Deferred.unsafeMake<void, ReadError>(FiberId.none)
  private ended: Effect.Effect<never, ReadError> | undefined
  private fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
  followers = 0

  /** `reader` has read all there was. */
  constructor(
    readonly runtimeId: RuntimeId,
    private readonly store: Store,
    private readonly reader: Reader,
    fork: Fork
  ) {
    this.from = reader.end
    const isForked = fork(Effect.withFiberRuntime<void>((fiber) => {
      this.fiber = fiber
      return Effect.ignore(Effect.onExit(this.follow, (exit) => Effect.sync(() => this.end(exit))))
    }))
    if (!isForked) this.end(Exit.interrupt(FiberId.none))
  }

  get hasEnded(): boolean {
    return this.ended !== undefined
  }

  covers(cursor: number): boolean {
    return cursor >= this.from
  }

  /** What was published behind a cursor that is covered. */
  behind(cursor: number): ReadonlyArray<Watched> {
    const { recent } = this
    let first = recent.length
    while (first > 0 && recent[first - 1]!.cursor > cursor) first--
    return recent.slice(first)
  }

  /** Completes with the next publication, counted from when this is called. */
  get next(): Effect.Effect<void, ReadError> {
    return this.ended ?? Deferred.await(this.published)
  }

  /** The subscription is there before the read: what is committed in between is read again. */
  private get follow(): Effect.Effect<never, ReadError> {
    return Effect.forever(Effect.scoped(Effect.flatMap(
      this.store.subscribe(this.runtimeId),
      (committed) => Effect.zipRight(this.readAll, committed)
    )))
  }

  private get readAll(): Effect.Effect<void, ReadError> {
    return Effect.suspend(() => {
      let items: ReadonlyArray<Watched> = []
      let more = true
      return Effect.whileLoop({
        while: () => more,
        body: () => this.reader.next,
        step: (read) => {
          more = read.more
          items = [...items, ...read.items]
          if (more && items.length < WINDOW) return
          this.publish(items)
          items = []
        }
      })
    })
  }

  private publish(items: ReadonlyArray<Watched>): void {
    if (items.length === 0) return
    const all = [...this.recent, ...items]
    const dropped = all.length - WINDOW
    if (dropped > 0) this.from = all[dropped - 1]!.cursor
    this.recent = dropped > 0 ? all.slice(dropped) : all
    const { published } = this
    this.published = Deferred.unsafeMake(FiberId.none)
    Deferred.unsafeDone(published, Effect.void)
  }

  private end(exit: Exit.Exit<never, ReadError>): void {
    const closed = new ReadFailed({
      operation: `events of ${this.runtimeId}`,
      cause: new StoreClosed({ operation: "watch" })
    })
    this.ended = Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)
      ? Effect.failCause(exit.cause)
      : Effect.fail(closed)
    Deferred.unsafeDone(this.published, this.ended)
  }

  /** The last follower has gone: nothing of it is left when this answers. */
  get stop(): Effect.Effect<void> {
    return this.fiber === undefined ? Effect.void : Effect.asVoid(Fiber.interrupt(this.fiber))
  }
}

/** The tails of the runtimes that are followed now. */
export class Tails {
  private readonly byRuntime = new Map<RuntimeId, Tail>()

  /** Tails end with the fork's scope, and never run in the context of those who follow them. */
  constructor(private readonly store: Store, private readonly fork: Fork) {}

  /** The runtime's tail, if there is one that has not failed. Who joins has to leave. */
  join(runtimeId: RuntimeId): Tail | undefined {
    const tail = this.byRuntime.get(runtimeId)
    if (tail === undefined || tail.hasEnded) return undefined
    tail.followers++
    return tail
  }

  /** A tail that begins where `reader` has ended. */
  begin(runtimeId: RuntimeId, reader: Reader): Tail {
    const tail = new Tail(runtimeId, this.store, reader, this.fork)
    // Where the log has never been, a tail covers nobody but the one who asked for it.
    if (reader.isInLog) this.byRuntime.set(runtimeId, tail)
    tail.followers++
    return tail
  }

  leave(tail: Tail): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (--tail.followers > 0) return Effect.void
      if (this.byRuntime.get(tail.runtimeId) === tail) this.byRuntime.delete(tail.runtimeId)
      return tail.stop
    })
  }
}
