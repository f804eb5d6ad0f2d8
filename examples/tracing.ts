/**
 * One story in two traces: the caller's, in which the input is accepted, and the run's, which links back to it, however
 * much later and in whichever process it runs. Here as a tree on the terminal; any exporter of OpenTelemetry takes the
 * place of the one below.
 *
 *   npx tsx examples/tracing.ts
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Burrow, ControlPlane, type Executor, Input, Session } from "effect-burrow"
import * as Effect from "effect/Effect"

const cook: Executor.Executor<Executor.DeltaError> = {
  apply: (run) =>
    Effect.gen(function*() {
      yield* Effect.sleep("20 millis").pipe(Effect.withSpan("boil water"))
      yield* run.checkpoint({ append: [Session.assistant("Water is boiling.")] })
      yield* Effect.sleep("30 millis").pipe(Effect.withSpan("cook rice"))
      yield* run.checkpoint({ append: [Session.assistant("Rice is done.")] })
      return { append: [Session.assistant("Dinner is ready.")] }
    })
}

const program = Effect.gen(function*() {
  const plane = yield* ControlPlane.ControlPlane
  yield* plane.register("cook", cook)
  yield* plane.submit("cook/ana", Input.prompt("Make dinner")).pipe(Effect.withSpan("POST /dinner"))
}).pipe(Effect.scoped)

const exporter = new InMemorySpanExporter()

const tracing = NodeSdk.layer(() => ({
  resource: { serviceName: "kitchen" },
  spanProcessor: new SimpleSpanProcessor(exporter)
}))

/** What is worth a look in a tree. The ids of inputs and runs are there too, to search by. */
const shown = ["runtime.id", "attempt", "boundary", "outcome", "commit.members"]

const millis = ([seconds, nanos]: readonly [number, number]): number => seconds * 1_000 + nanos / 1_000_000

const print = (spans: ReadonlyArray<ReadableSpan>): void => {
  const ids = spans.map((span) => span.spanContext().spanId)
  const numberOf = (spanId: string): string => `#${ids.indexOf(spanId) + 1}`
  const printAll = (parent: string | undefined, indent: string): void => {
    for (const span of spans) {
      if (span.parentSpanContext?.spanId !== parent) continue
      const { spanId } = span.spanContext()
      const attributes = shown.flatMap((name) => {
        const value = span.attributes[`burrow.${name}`]
        return value === undefined ? [] : [`${name}=${String(value)}`]
      })
      const links = span.links.map(({ context }) => `<- ${numberOf(context.spanId)}`)
      const name = `${indent}${numberOf(spanId)} ${span.name}`
      const took = `${millis(span.duration).toFixed(1)} ms`
      console.log([name.padEnd(28), took.padStart(9), ...attributes, ...links].join("  "))
      printAll(spanId, `${indent}  `)
    }
  }
  printAll(undefined, "")
}

const main = program.pipe(
  // The tracer goes around the layer too: runs are traced by the one that the engine was built under.
  Effect.provide(Burrow.layerMemory),
  Effect.zipRight(
    Effect.sync(() => print(exporter.getFinishedSpans().toSorted((a, b) => millis(a.startTime) - millis(b.startTime))))
  ),
  Effect.provide(tracing)
)

void Effect.runPromise(main)
