/**
 * What is counted. One module, so that names stay together.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

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
 * One transaction of `members` commits.
 *
 * @internal
 */
export const committed = (store: string, members: number): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.incrementBy(Metric.tagged(commits, "store", store), members),
    Metric.update(groupSize, members)
  )
