import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as ControlPlaneLive from "../../src/layers/ControlPlaneLive.js"
import * as DriverEphemeral from "../../src/layers/DriverEphemeral.js"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"

const process = Effect.map(
  Layer.build(ControlPlaneLive.layer.pipe(Layer.provide(DriverEphemeral.layer))),
  Context.get(ControlPlane)
)

describe("an engine over ephemeral drivers", () => {
  it.scoped("takes, runs, answers and shows as one that is persistent", () =>
    Effect.gen(function*() {
      const plane = yield* process
      yield* plane.register("a", {
        apply: (run) =>
          run.attempt === 1
            ? Effect.zipRight(run.checkpoint({ append: ["so far"] }), Effect.fail("again"))
            : Effect.succeed({ append: ["done"], result: run.attempt })
      }, { retry: Schedule.recurs(3) })
      const draft = Input.prompt("go", { idempotencyKey: "monday" })
      const outcome = yield* plane.ingest("a/x", draft)
      assert.strictEqual(outcome._tag, "accepted")
      assert.strictEqual((yield* plane.ingest("a/x", draft))._tag, "deduplicated")
      const { inputId, result } = yield* plane.submit("a/x", draft)
      assert.deepStrictEqual(result, Option.some(2))
      assert.deepStrictEqual(yield* plane.await("a/x", inputId), yield* plane.await("a/x", inputId))
      const messages = Stream.filter(plane.watch("a/x"), ({ _tag }) => _tag === "message")
      assert.strictEqual(Chunk.size(yield* Stream.runCollect(Stream.take(messages, 3))), 3)
      assert.strictEqual(Option.getOrThrow(yield* plane.inspect("a/x")).totals.consumed, 1)
    }))

  it.scoped("leaves nothing: the next one knows nobody", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const plane = yield* process
        yield* plane.ingest("a/x", Input.prompt("go"))
        assert.strictEqual((yield* plane.runtimes()).length, 1)
      }))
      const plane = yield* process
      assert.deepStrictEqual(yield* plane.runtimes(), [])
      assert.strictEqual((yield* Effect.flip(plane.stop("a/x")))._tag, "RuntimeNotFound")
    }))
})
