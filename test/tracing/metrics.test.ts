import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, it } from "@effect/vitest"
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { Burrow, ControlPlane, Input, Metrics } from "effect-burrow"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

class Burnt extends Error {
  readonly _tag = "Burnt"
}

/** The value that was exported last, by its tags. */
const latest = (exporter: InMemoryMetricExporter, name: string, tags: Readonly<Record<string, string>>): unknown => {
  const points = exporter.getMetrics().slice(-1).flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap(({ dataPoints, descriptor }): ReadonlyArray<DataPoint<unknown>> =>
        descriptor.name === name ? dataPoints : []
      )
    )
  )
  const point = points.find(({ attributes }) => Object.entries(tags).every(([tag, value]) => attributes[tag] === value))
  return point?.value
}

const deadLetters = Effect.map(
  Metric.value(Metric.tagged(Metrics.deadLetters, "store", "memory")),
  ({ count }) => count
)

it.live("exports what is counted: answers, attempts by agent and outcome, those that go on or wait, dead letters", () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const sdk = NodeSdk.layer(() => ({ resource: { serviceName: "burrow" }, metricReader: reader }))
  const flush = Effect.promise(() => reader.forceFlush())
  const agent = { agent: "metered" }
  const now = (name: string) => latest(exporter, name, agent)

  return Effect.gen(function*() {
    // All tests of a process share Effect's registry.
    const deadBefore = yield* deadLetters
    const begun = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    yield* Effect.gen(function*() {
      const plane = yield* ControlPlane.ControlPlane
      yield* plane.register("metered", {
        apply: ({ runtimeId }) =>
          runtimeId.endsWith("bad")
            ? Effect.fail(new Burnt("black"))
            : Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(goOn))
      }, { runsMax: 1, attemptsMax: 1 })
      const first = yield* plane.ingest("metered/a", Input.prompt("x"))
      yield* Deferred.await(begun)
      const bad = yield* plane.ingest("metered/bad", Input.prompt("x"))
      yield* flush
      assert.strictEqual(now("burrow.agent.runs_in_progress"), 1)
      assert.strictEqual(now("burrow.agent.runtimes_waiting"), 1)
      yield* Deferred.succeed(goOn, undefined)
      yield* plane.await("metered/a", first.inputId)
      yield* Effect.flip(plane.await("metered/bad", bad.inputId))
    }).pipe(Effect.scoped, Effect.provide(Burrow.layerMemory))
    yield* flush
    assert.strictEqual(now("burrow.agent.runs_in_progress"), 0)
    assert.strictEqual(now("burrow.agent.runtimes_waiting"), 0)
    assert.strictEqual(latest(exporter, "burrow.agent.runs", { ...agent, outcome: "completed" }), 1)
    assert.strictEqual(latest(exporter, "burrow.agent.runs", { ...agent, outcome: "failed" }), 1)
    assert.isDefined(now("burrow.agent.run_millis"))
    assert.strictEqual(latest(exporter, "burrow.driver.accepts", { outcome: "accepted" }), 2)
    assert.strictEqual(yield* deadLetters, deadBefore + 1)
    assert.strictEqual(latest(exporter, "burrow.store.dead_letters", { store: "memory" }), deadBefore + 1)
  }).pipe(Effect.provide(sdk))
})
