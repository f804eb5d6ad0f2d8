import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import type { HrTime } from "@opentelemetry/api"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

/** What spans are told by. */
export class Story {
  constructor(readonly spans: ReadonlyArray<ReadableSpan>) {}

  all(name: string, attributes: Readonly<Record<string, unknown>> = {}): ReadonlyArray<ReadableSpan> {
    return this.spans.filter((span) =>
      span.name === name && Object.entries(attributes).every(([key, value]) => span.attributes[key] === value)
    )
  }

  /** The only one. */
  one(name: string, attributes: Readonly<Record<string, unknown>> = {}): ReadableSpan {
    const found = this.all(name, attributes)
    if (found[0] === undefined || found.length > 1) {
      const names = this.spans.map((span) => `${span.name} ${JSON.stringify(span.attributes)}`).join("\n")
      throw new Error(`${found.length} spans ${name} ${JSON.stringify(attributes)} among\n${names}`)
    }
    return found[0]
  }

  childrenOf(parent: ReadableSpan): ReadonlyArray<ReadableSpan> {
    return this.spans.filter((span) => isChild(span, parent)).toSorted((a, b) => inOrder(a.startTime, b.startTime))
  }
}

const inOrder = ([a, b]: HrTime, [c, d]: HrTime): number => a - c || b - d

const idOf = (span: ReadableSpan): string => span.spanContext().spanId

export const isChild = (span: ReadableSpan, parent: ReadableSpan): boolean =>
  span.parentSpanContext?.spanId === idOf(parent) && span.spanContext().traceId === parent.spanContext().traceId

/** Where its links lead to, as `<trace>/<span>`. */
export const linksOf = (span: ReadableSpan): ReadonlyArray<string> =>
  span.links.map(({ context }) => `${context.traceId}/${context.spanId}`)

export const placeOf = (span: ReadableSpan): string => `${span.spanContext().traceId}/${idOf(span)}`

/**
 * Runs the body with the layer inside an SDK of its own, and tells what was exported when the layer had closed: runs end
 * after those who wait for them are answered.
 */
export const recorded = <A, E, R, E2>(
  body: Effect.Effect<A, E, R>,
  layer: Layer.Layer<R, E2>
): Effect.Effect<readonly [Story, A], E | E2> =>
  Effect.suspend(() => {
    const exporter = new InMemorySpanExporter()
    const sdk = NodeSdk.layer(() => ({
      resource: { serviceName: "burrow" },
      spanProcessor: new SimpleSpanProcessor(exporter)
    }))
    return body.pipe(
      Effect.provide(layer),
      // Before the SDK closes, which forgets them.
      Effect.map((answer) => [new Story(exporter.getFinishedSpans().slice()), answer] as const),
      Effect.provide(sdk)
    )
  })
