import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"

// What the outside sees. Pure data: a browser can import it.
class Cook extends Agent.make("cook", {
  state: Schema.Struct({ step: Schema.Number }),
  initial: { step: 0 },
  result: Schema.String
}) {}

// What it does. May be killed anywhere; starts again from its last checkpoint.
const CookLive = Cook.toLayer(Effect.fn(function*(run) {
  let { step } = yield* run.state
  while (step < 10) {
    yield* Effect.sleep("1 second")
    yield* Console.log(`attempt ${run.attempt}: step ${++step}`)
    yield* run.checkpoint({ state: { step } })
  }
  return { state: { step: 0 }, append: [Message.assistant("Dinner is ready.")], result: "Dinner is ready." }
}))

const Live = CookLive.pipe(Layer.provideMerge(BurrowSqlite.layer({ filename: "cook.db" })))

Cook.of("ana").call("Make dinner", { key: process.argv[2] ?? "monday" }).pipe(
  Effect.flatMap(Console.log),
  Effect.provide(Live),
  NodeRuntime.runMain
)
