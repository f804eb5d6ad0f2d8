// A tool loop on a typed state. Tool calls are committed before they run; results before the model sees them.
import { Context, Effect, Schema } from "effect"
import { Agent, Message } from "effect-burrow"

// what a provider would give
type Turn = {
  readonly text: string
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: "weather"; readonly city: string }>
}
class Model extends Context.Tag("Model")<
  Model,
  { readonly turn: (h: ReadonlyArray<Message>) => Effect.Effect<Turn, ProviderDown> }
>() {}
class ProviderDown extends Schema.TaggedError<ProviderDown>()("ProviderDown", {}) {}
class Weather
  extends Context.Tag("Weather")<Weather, { readonly get: (city: string, key: string) => Effect.Effect<string> }>()
{}

export class Assistant extends Agent.make("assistant", {
  state: Schema.Struct({ cities: Schema.Array(Schema.String), turns: Schema.Number }),
  initial: { cities: [], turns: 0 },
  result: Schema.String,
  progress: Schema.Struct({ token: Schema.String })
}) {}

export const AssistantLive = Assistant.toLayer(
  Effect.fn(function*(run) {
    const model = yield* Model
    const weather = yield* Weather
    while (true) {
      const turn = yield* model.turn(yield* run.history())
      yield* run.emit({ token: turn.text })
      const { cities, turns } = yield* run.state
      if (turn.calls.length === 0) {
        return { append: [Message.assistant(turn.text)], state: { cities, turns: turns + 1 }, result: turn.text }
      }
      yield* run.checkpoint({ append: [Message.assistant(turn.text)] })
      const results = yield* Effect.forEach(
        turn.calls,
        (call) => run.once(call.id, Schema.String, weather.get(call.city, `${run.idempotencyKey}/${call.id}`))
      )
      yield* run.checkpoint({
        append: results.map(Message.tool),
        state: {
          cities: [
            ...cities,
            ...turn.calls.map((c) => c.city)
          ],
          turns
        }
      })
    }
  }),
  { runsMax: 8, outage: (e) => e._tag === "ProviderDown" ? Option.some("1 minute") : Option.none() }
)

import { Option } from "effect"
// wrong programs do not compile
// @ts-expect-error state without initial
Agent.make("x", { state: Schema.Struct({ a: Schema.Number }) })
// @ts-expect-error wrong initial
Agent.make("x", { state: Schema.Struct({ a: Schema.Number }), initial: { a: "1" } })
// @ts-expect-error result missing
Assistant.toLayer(() => Effect.succeed({ append: [] }))
// @ts-expect-error wrong state
Assistant.toLayer(() => Effect.succeed({ state: { cities: 1, turns: 2 }, result: "" }))
