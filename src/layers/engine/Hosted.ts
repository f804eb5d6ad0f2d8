/** An executor as the engine has it: with its context, its options filled in, and its gate. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import type { RuntimeId } from "../../schema/Ids.js"
import type { Failure } from "../../schema/InputState.js"
import {
  CurrentRun,
  defaultRetry,
  type DeltaError,
  type Executor,
  type Failed,
  type Options,
  type Output,
  type Run
} from "../../services/Executor.js"
import * as Backoff from "./Backoff.js"
import { Gate } from "./Gate.js"

export interface Hosted {
  readonly agent: string
  readonly gate: Gate
  readonly attemptsMax: number
  readonly onFailure: "pass" | "block"
  readonly missingBlob: "fail" | "placeholder"
  readonly runMaxMillis: number
  readonly silenceMaxMillis: number
  readonly graceMillis: number
  /** What it does, with everything that it needs. */
  readonly apply: (run: Run) => Effect.Effect<Output<unknown, unknown> | void, unknown>
  readonly messageOf: Executor["messageOf"]
  /** Gives an `alongside` of its output what that needs. */
  readonly provide: <A, E>(effect: Effect.Effect<A, E, unknown>) => Effect.Effect<A, E>
  readonly inDoubt: ((run: Run) => Effect.Effect<"retry" | "hold" | "settle">) | undefined
  /** The time of the next attempt; `null` for none. */
  readonly retryAt: (failed: Failed<unknown>, attempt: number, now: number) => Effect.Effect<number | null>
  /** The pause of an outage, in milliseconds. */
  readonly outage: (failed: Failed<unknown>) => Effect.Effect<Option.Option<number>>
  /** Outages in a row. */
  outages: number
  isPaused: boolean
  /** Turns that are going on, and the end of the last one after it has begun to close. */
  turns: number
  readonly quiet: Deferred.Deferred<void>
  /** There is more to do than has a name in the gate: it is to be found in the store. */
  hasMore: boolean
  /** Not before this time, in epoch milliseconds: the world is down. */
  downUntil: number
  isClosing: boolean
}

const millis = (duration: Duration.DurationInput | undefined, otherwise: number): number =>
  duration === undefined ? otherwise : Duration.toMillis(duration)

export const make = <E, R, AE, AR>(
  agent: string,
  executor: Executor<E, R, AE, AR>,
  options: Options<E | AE | DeltaError, R>,
  more: {
    readonly context: Context.Context<unknown>
    readonly attemptsMax: number
    readonly start: (hosted: Hosted, runtimeId: RuntimeId) => void
  }
): Hosted => {
  // What the executor asked for is there: `register` has it from whoever registered.
  const provide = <A, F>(effect: Effect.Effect<A, F, unknown>): Effect.Effect<A, F> =>
    Effect.mapInputContext(
      effect,
      (own: Context.Context<never>) =>
        Context.merge(more.context, Context.pick(CurrentRun, Tracer.ParentSpan)(own as never))
    )
  const retry = (options.retry ?? defaultRetry) as Schedule.Schedule<unknown, Failed<unknown>>
  const { inDoubt, outage } = options
  const hosted: Hosted = {
    agent,
    gate: new Gate({
      runsMax: options.runsMax ?? 16,
      fairBy: fairKey(options.fairBy),
      start: (runtimeId) => more.start(hosted, runtimeId)
    }),
    attemptsMax: options.attemptsMax ?? more.attemptsMax,
    onFailure: options.onFailure ?? "pass",
    missingBlob: options.missingBlob ?? "fail",
    runMaxMillis: millis(options.runMax, Infinity),
    silenceMaxMillis: millis(options.silenceMax, Infinity),
    graceMillis: millis(options.interruptGrace, 5_000),
    // What a run acquires ends with the run.
    apply: (run) => provide(Effect.scoped(Effect.suspend(() => executor.apply(run)))),
    messageOf: executor.messageOf,
    provide,
    inDoubt: inDoubt &&
      ((run) =>
        otherwise(
          "decision about a lost run",
          provide(Effect.scoped(Effect.suspend(() => inDoubt(run)))),
          Effect.succeed("hold")
        )),
    retryAt: (failed, attempt, now) =>
      otherwise(
        "schedule of retries",
        Backoff.nextAttemptAt(retry, failed, attempt, now),
        Backoff.nextAttemptAt(defaultRetry, failed, attempt, now)
      ),
    outage: (failed) =>
      outage === undefined
        ? Effect.succeedNone
        : otherwise(
          "judgement of outages",
          Effect.sync(() => Option.map(outage(failed as Failed<E | AE | DeltaError>), Duration.toMillis)),
          Effect.succeedNone
        ),
    outages: 0,
    isPaused: false,
    turns: 0,
    quiet: Deferred.unsafeMake(FiberId.none),
    hasMore: false,
    downUntil: 0,
    isClosing: false
  }
  return hosted
}

/** It is asked where nothing may throw; a function that does leaves its runtime a turn of its own. */
const fairKey = (fairBy: ((runtimeId: RuntimeId) => string) | undefined) => (runtimeId: RuntimeId): string =>
  fairBy === undefined ? runtimeId : Either.getOrElse(Either.try(() => fairBy(runtimeId)), () => runtimeId)

/** What an application was only asked, and died of, it has not said. */
const otherwise = <A>(what: string, asked: Effect.Effect<A>, instead: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.catchAllDefect(
    asked,
    (defect) => Effect.zipRight(Effect.logError(`the application's ${what} dies`, defect), instead)
  )

const textOf = (error: unknown): Failure => {
  const tag = Predicate.hasProperty(error, "_tag") && typeof error._tag === "string"
    ? error._tag
    : error instanceof Error
    ? error.name
    : typeof error
  const message = error instanceof Error
    // A tagged error without fields has nothing but its tag to say.
    ? error.message.replace(/^\{\s*\}$/, "")
    : Predicate.hasProperty(error, "message") && typeof error.message === "string"
    ? error.message
    : Inspectable.toStringUnknown(error, 0)
  return { tag, message }
}

/** What an executor's exit says, when it is not what it was asked for. */
export const failedOf = (exit: Exit.Failure<unknown, unknown>): Failed<unknown> => {
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) return { _tag: "Failed", error: failure.value, failure: textOf(failure.value) }
  const cause = exit.cause as Cause.Cause<never>
  const defect = Cause.dieOption(cause)
  return {
    _tag: "Died",
    cause,
    failure: Option.isSome(defect)
      ? textOf(defect.value)
      : { tag: "Interrupted", message: "the executor interrupted itself" }
  }
}

export const timedOut = (limit: "runMax" | "silenceMax", millis: number): Failed<unknown> => ({
  _tag: "TimedOut",
  limit,
  failure: limit === "runMax"
    ? { tag: "RunTimedOut", message: `the run took longer than ${millis} ms` }
    : { tag: "RunSilent", message: `the run gave no sign for ${millis} ms` }
})
