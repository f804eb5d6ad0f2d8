import { assert, it } from "@effect/vitest"
import { context, propagation, trace } from "@opentelemetry/api"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import { Burrow, ControlPlane, Input } from "effect-burrow"
import * as Effect from "effect/Effect"
import { recorded } from "./recording.js"

it.scopedLive("keeps a run nobody's child where OpenTelemetry's own context is handed on through callbacks", () =>
  Effect.gen(function*() {
    const provider = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const provider = new NodeTracerProvider()
        provider.register()
        return provider
      }),
      (provider) =>
        Effect.promise(() => {
          context.disable()
          trace.disable()
          propagation.disable()
          return provider.shutdown()
        })
    )
    const request = provider.getTracer("http").startSpan("a request")
    const submitted = recorded(
      Effect.gen(function*() {
        const plane = yield* ControlPlane.ControlPlane
        yield* plane.register("cook", { apply: () => Effect.void })
        yield* plane.submit("cook/ana", Input.prompt("Make dinner"))
      }).pipe(Effect.scoped),
      Burrow.layerMemory
    )
    const [story] = yield* Effect.promise(() =>
      context.with(trace.setSpan(context.active(), request), () => Effect.runPromise(submitted))
    )
    assert.strictEqual(story.one("Driver.accept").parentSpanContext?.spanId, request.spanContext().spanId)
    assert.isUndefined(story.one("Agent.run").parentSpanContext)
  }))
