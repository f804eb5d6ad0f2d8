/**
 * Callers hand in requests, one worker at a time takes what is ready and answers it together. Drivers fold waiting
 * commands with it, and the store groups waiting commits.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { StoreClosed } from "../schema/StoreError.js"

interface Entry<Request, A, E> {
  readonly request: Request
  readonly answer: Deferred.Deferred<Effect.Effect<A, E>, StoreClosed>
}

/** Starts background work under the scope's runtime, never in the caller's context, whose transaction it would inherit. */
export interface Fork {
  readonly closed: boolean
  /** `false`: the scope has closed, and nothing was started. */
  (effect: Effect.Effect<void>): boolean
}

export const makeFork: Effect.Effect<Fork, never, Scope.Scope> = Effect.gen(function*() {
  const runtime = yield* Effect.runtime<never>()
  const state = { closed: false }
  // Nor in the span of whoever built the layer, which has long ended.
  const runFork = Runtime.runFork(Runtime.updateContext(runtime, Context.omit(Tracer.ParentSpan)))
  const scope = yield* Scope.make()
  // Closed is known before the workers end: what they leave behind is answered, and nothing new is taken.
  yield* Effect.addFinalizer((exit) =>
    Effect.suspend(() => {
      state.closed = true
      return Scope.close(scope, exit)
    })
  )
  const fork = (effect: Effect.Effect<void>): boolean => {
    if (state.closed) return false
    // Whoever built the layer may not have been interruptible; what is forked here has to end with the scope.
    runFork(Effect.interruptible(Effect.tapErrorCause(effect, reportDefect)), { scope })
    return true
  }
  return Object.defineProperty(fork, "closed", { get: () => state.closed }) as Fork
})

/** Nobody waits for background work, so nobody else would hear of it. */
const reportDefect = (cause: Cause.Cause<never>): Effect.Effect<void> =>
  Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logError("background work has died", cause)

export interface Options<Request, A, E> {
  readonly operation: string
  readonly fork: Fork
  /** How many requests from the front go together; at least 1. */
  readonly take: (pending: ReadonlyArray<Request>) => number
  /**
   * Answers each request of the batch, in its order. Runs without interruption and never fails. An answer is an effect
   * that its caller goes on with, so that one may be waited for without holding up the next batch.
   */
  readonly run: (batch: Arr.NonEmptyReadonlyArray<Request>) => Effect.Effect<ReadonlyArray<Effect.Effect<A, E>>>
  /** What goes before each batch, so that who is ready to submit gets in. Default: the other fibers have a turn. */
  readonly pause?: Effect.Effect<void>
}

const { setImmediate } = globalThis as { readonly setImmediate?: (turn: () => void) => unknown }

/**
 * A turn of the whole event loop, where there is a way to wait for just that. Fibers that only yield to each other keep
 * timers and sockets waiting, and work on a synchronous database gives them no other chance.
 */
export const eventLoopTurn: Effect.Effect<void> = setImmediate === undefined
  ? Effect.yieldNow()
  : Effect.async((resume) => void setImmediate(() => resume(Effect.void)))

/**
 * An object over one array, not a fiber with a queue: there is one of it for each live runtime. The worker is forked
 * when there is work and ends with it.
 */
export class Batcher<Request, A, E> {
  private pending: Array<Entry<Request, A, E>> = []
  private working = false

  constructor(private readonly options: Options<Request, A, E>) {}

  /**
   * Waits for the request's answer. Interruption withdraws a request that no batch has taken; a taken one runs to its
   * outcome without its caller. Requests that are not taken when the scope closes fail with `StoreClosed`.
   */
  submit(request: Request): Effect.Effect<A, E | StoreClosed> {
    return Effect.suspend(() => {
      const { fork, operation } = this.options
      if (fork.closed) return Effect.fail(new StoreClosed({ operation }))
      return Effect.flatMap(Deferred.make<Effect.Effect<A, E>, StoreClosed>(), (answer) => {
        const entry: Entry<Request, A, E> = { request, answer }
        this.pending.push(entry)
        this.start()
        return Effect.flatten(
          Effect.onInterrupt(Deferred.await(answer), () => Effect.sync(() => this.withdraw(entry)))
        )
      })
    })
  }

  /** Nothing waits and nothing is being worked on. */
  get isIdle(): boolean {
    return !this.working && this.pending.length === 0
  }

  private start(): void {
    if (this.working) return
    this.working = true
    const { fork } = this.options
    fork(
      Effect.ensuring(
        this.work,
        Effect.suspend(() => {
          this.working = false
          const { fork, operation } = this.options
          if (!fork.closed) {
            // The fiber may have been suspended since it last looked: who came then saw it working.
            if (this.pending.length > 0) this.start()
            return Effect.void
          }
          const left = this.pending
          this.pending = []
          return Effect.forEach(left, ({ answer }) => Deferred.fail(answer, new StoreClosed({ operation })), {
            discard: true
          })
        })
      )
    )
  }

  private get work(): Effect.Effect<void> {
    const { pause = Effect.yieldNow() } = this.options
    return Effect.whileLoop({
      while: () => this.pending.length > 0,
      body: () => Effect.zipRight(pause, Effect.uninterruptible(Effect.suspend(() => this.next()))),
      step: () => {}
    })
  }

  private next(): Effect.Effect<void> {
    if (this.pending.length === 0) return Effect.void
    const count = Math.max(1, this.options.take(this.pending.map((entry) => entry.request)))
    const batch = this.pending.splice(0, count)
    if (!Arr.isNonEmptyArray(batch)) return Effect.void
    // Also what throws before it is an effect is an answer: who was taken waits for one.
    return Effect.suspend(() => this.options.run(Arr.map(batch, (entry) => entry.request))).pipe(
      Effect.matchCauseEffect({
        onFailure: (cause) =>
          Effect.forEach(batch, ({ answer }) => Deferred.failCause(answer, cause), { discard: true }),
        onSuccess: (answers) =>
          Effect.forEach(batch, ({ answer }, i) => Deferred.succeed(answer, answers[i]!), { discard: true })
      })
    )
  }

  private withdraw(entry: Entry<Request, A, E>): void {
    const at = this.pending.indexOf(entry)
    if (at >= 0) this.pending.splice(at, 1)
  }
}
