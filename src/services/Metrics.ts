/**
 * What is counted. One module, so that names stay together.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type { Commit } from "../core/Commit.js"
import type { AcceptOutcome } from "../schema/Report.js"

/**
 * Commits that went through the shared transactions of a store, refused ones included; the tag `store` is its name.
 * Those with an `alongside`, and those tried alone after their group has failed, are not counted.
 *
 * @since 0.1.0
 * @category metrics
 */
export const commits = Metric.counter("burrow.store.commits", { incremental: true })

/**
 * How many commits shared a transaction.
 *
 * @since 0.1.0
 * @category metrics
 */
export const groupSize = Metric.histogram(
  "burrow.store.group_size",
  MetricBoundaries.exponential({ start: 1, factor: 2, count: 9 })
)

/**
 * Inputs answered; the tag `outcome` is the answer's: `accepted`, `deduplicated` or `rejected`. Errors are not counted.
 *
 * @example
 * ```ts
 * import { Metrics } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 *
 * const accepted = Effect.map(
 *   Metric.value(Metric.tagged(Metrics.accepts, "outcome", "accepted")),
 *   ({ count }) => count
 * )
 * ```
 *
 * @since 0.1.0
 * @category metrics
 */
export const accepts = Metric.counter("burrow.driver.accepts", { incremental: true })

/**
 * Inputs that became dead letters, by whichever commit: their attempts were used up, or they failed for good. The tag
 * `store` is the store's name. Those of a commit that was in doubt are not counted. A counter: a redriven one stays in it.
 *
 * @since 0.1.0
 * @category metrics
 */
export const deadLetters = Metric.counter("burrow.store.dead_letters", { incremental: true })

/**
 * Runtimes whose drivers are in memory, of all drivers of the process.
 *
 * @since 0.1.0
 * @category metrics
 */
export const runtimesLive = Metric.gauge("burrow.driver.runtimes_live")

/**
 * Runtimes that have work and wait for a place among their agent's `runsMax`; the tag `agent` is the agent's name.
 *
 * @since 0.1.0
 * @category metrics
 */
export const runtimesWaiting = Metric.gauge("burrow.agent.runtimes_waiting")

/**
 * Attempts that are going on in this process; the tag `agent` is the agent's name. One that waits for another runtime
 * has lent its place, and is counted all the same.
 *
 * @since 0.1.0
 * @category metrics
 */
export const runsInProgress = Metric.gauge("burrow.agent.runs_in_progress")

/**
 * Attempts that ended; the tag `agent` is the agent's name, `outcome` is `completed`, `failed`, `outage`, `parked`,
 * `given_back`, `closed` (cancelled, stopped, destroyed), `trouble` (of the store), `lost`, or of a run that was lost
 * before `held` or `settled`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const runs = Metric.counter("burrow.agent.runs", { incremental: true })

/**
 * How long attempts took, in milliseconds; the tag `agent` is the agent's name.
 *
 * @since 0.1.0
 * @category metrics
 */
export const runMillis = Metric.histogram(
  "burrow.agent.run_millis",
  MetricBoundaries.exponential({ start: 1, factor: 4, count: 12 })
)

/** One metric for each value of a tag: to make one for every update would cost more than the update. */
const tagged = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>, tag: string) => {
  const known = new Map<string, Metric.Metric<Type, In, Out>>()
  return (value: string): Metric.Metric<Type, In, Out> => {
    const found = known.get(value)
    if (found !== undefined) return found
    const made = Metric.tagged(metric, tag, value)
    known.set(value, made)
    return made
  }
}

const acceptsBy = tagged(accepts, "outcome")
const commitsBy = tagged(commits, "store")
const deadLettersBy = tagged(deadLetters, "store")
const runMillisBy = tagged(runMillis, "agent")
const runsInProgressBy = tagged(runsInProgress, "agent")
const runtimesWaitingBy = tagged(runtimesWaiting, "agent")

/**
 * One input that was answered.
 *
 * @internal
 */
export const accepted = (outcome: AcceptOutcome): void => acceptsBy(outcome._tag).unsafeUpdate(1, [])

/**
 * So many more, or fewer, drivers in memory.
 *
 * @internal
 */
export const live = (more: number): void => runtimesLive.unsafeModify(more, [])

/**
 * Runtimes more, or fewer, that wait for a place.
 *
 * @internal
 */
export const waiting = (agent: string, more: number): void => runtimesWaitingBy(agent).unsafeModify(more, [])

/**
 * Counts the attempt among those in progress while it lasts.
 *
 * @internal
 */
export const running = <A, E, R>(agent: string, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const inProgress = runsInProgressBy(agent)
  return Effect.acquireUseRelease(
    Effect.sync(() => inProgress.unsafeModify(1, [])),
    () => attempt,
    () => Effect.sync(() => inProgress.unsafeModify(-1, []))
  )
}

/**
 * One attempt that ended.
 *
 * @internal
 */
export const ran = (agent: string, outcome: string, millis: number): Effect.Effect<void> =>
  Effect.sync(() => {
    Metric.tagged(Metric.tagged(runs, "agent", agent), "outcome", outcome).unsafeUpdate(1, [])
    runMillisBy(agent).unsafeUpdate(millis, [])
  })

/**
 * One transaction of `members` commits.
 *
 * @internal
 */
export const committed = (store: string, members: number): Effect.Effect<void> =>
  Effect.sync(() => {
    commitsBy(store).unsafeUpdate(members, [])
    groupSize.unsafeUpdate(members, [])
  })

/**
 * How many inputs the commit makes dead letters.
 *
 * @internal
 */
export const deadLettersOf = ({ inputs }: Commit): number => {
  let count = 0
  for (const { head: { outcome } } of inputs) {
    if (outcome?._tag !== "abandoned") continue
    const { _tag } = outcome.reason
    if (_tag === "max_attempts_exhausted" || _tag === "failed") count++
  }
  return count
}

/**
 * Inputs that have become dead letters.
 *
 * @internal
 */
export const died = (store: string, inputs: number): void => {
  if (inputs > 0) deadLettersBy(store).unsafeUpdate(inputs, [])
}
