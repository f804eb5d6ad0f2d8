/**
 * When a failed batch is tried again. A schedule's state is not stored: it is stepped from its beginning, once for each
 * attempt that was made, so that a restart changes nothing.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Intervals from "effect/ScheduleIntervals"
import type { Failed } from "../../services/Executor.js"

const TIME_MAX = 8.64e15

/**
 * The time of the next attempt; `null` when the schedule has ended, or never comes to it. Time goes on within it as its
 * delays say.
 */
export const nextAttemptAt = <E>(
  schedule: Schedule.Schedule<unknown, Failed<E>>,
  failed: Failed<E>,
  attempt: number,
  now: number
): Effect.Effect<number | null> => {
  const step = (state: unknown, made: number, time: number): Effect.Effect<number | null> =>
    Effect.flatMap(Effect.suspend(() => schedule.step(time, failed, state)), ([next, , decision]) => {
      if (decision._tag === "Done") return Effect.succeed(null)
      const at = Math.max(time, Intervals.start(decision.intervals))
      if (!(now + at - time <= TIME_MAX)) return Effect.succeed(null)
      return made >= attempt ? Effect.succeed(now + at - time) : step(next, made + 1, at)
    })
  return step(schedule.initial, 1, now)
}

/** For what is wrong with a store, and passes. */
export const patience = Schedule.exponential("20 millis").pipe(
  Schedule.union(Schedule.spaced("2 seconds")),
  Schedule.jittered
)

/** How long the n-th trouble in a row is waited out, in milliseconds. */
export const troubleMillis = (inARow: number): number => Math.min(30_000, 500 * 2 ** Math.min(inARow - 1, 10))

/** The pause of the n-th outage in a row: it doubles, up to eight times the first. */
export const outageMillis = (pauseMillis: number, inARow: number): number =>
  pauseMillis * Math.min(8, 2 ** (inARow - 1))

const passing: ReadonlySet<string> = new Set([
  "StoreBusy",
  "CommitUnknown",
  "WriteFailed",
  "ReadFailed",
  "BlobReadFailed",
  "BlobWriteFailed",
  "TransactionEnded"
])

/** What the store will get over, so that the same may be tried again. */
export const isPassing = (error: { readonly _tag: string; readonly retryable?: boolean }): boolean =>
  passing.has(error._tag) && error.retryable === true

/** How often what the store would not take is tried, before the attempt is given back. */
export const TRIES_MAX = 30
