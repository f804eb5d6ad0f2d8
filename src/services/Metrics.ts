/**
 * What is counted. One module, so that names stay together.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/**
 * Commits that became durable, by store.
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
 * Inputs answered, by outcome.
 *
 * @since 0.1.0
 * @category metrics
 */
export const accepts = Metric.counter("burrow.driver.accepts", { incremental: true })

/** @internal */
export const committed = (store: string, members: number): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.incrementBy(Metric.tagged(commits, "store", store), members),
    Metric.update(groupSize, members)
  )
