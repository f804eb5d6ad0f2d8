/**
 * A model with tools, on a typed state. Tool calls are committed before they run, and their results before the model sees
 * them: whoever goes on after a crash makes the same calls, under the same keys, and only those without a result.
 *
 *   npx tsx examples/tools.ts
 *
 * Kill it with `kill -9` wherever you like and start it again. assistant.db.log has what the weather service was asked:
 * one line for each city, or two with the same key, if you have hit the moment between its answer and the commit.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import { appendFileSync } from "node:fs"
import { isEntry } from "./entry.js"

const Call = Schema.Struct({ id: Schema.String, name: Schema.Literal("weather"), city: Schema.String })

// what a provider would give
interface Turn {
  readonly text: string
  readonly calls: ReadonlyArray<typeof Call.Type>
}
class ProviderDown extends Schema.TaggedError<ProviderDown>()("ProviderDown", {}) {}
class Model extends Context.Tag("Model")<Model, {
  readonly turn: (history: ReadonlyArray<Message>) => Effect.Effect<Turn, ProviderDown>
}>() {}
class Weather extends Context.Tag("Weather")<Weather, {
  readonly get: (city: string, key: string) => Effect.Effect<string>
}>() {}

export class Assistant extends Agent.make("assistant", {
  state: Schema.Struct({ cities: Schema.Array(Schema.String), turns: Schema.Number, calls: Schema.Array(Call) }),
  initial: { cities: [], turns: 0, calls: [] },
  result: Schema.String,
  progress: Schema.Struct({ token: Schema.String })
}) {}

export const AssistantLive = Assistant.toLayer(
  Effect.fn(function*(run) {
    const model = yield* Model
    const weather = yield* Weather
    while (true) {
      const { calls, cities, turns } = yield* run.state
      if (calls.length > 0) {
        const results = yield* Effect.forEach(
          calls,
          (call) => run.once(call.id, Schema.String, weather.get(call.city, `${run.idempotencyKey}/${call.id}`))
        )
        yield* run.checkpoint({
          append: results.map(Message.tool),
          state: { cities: [...cities, ...calls.map((call) => call.city)], turns, calls: [] }
        })
        continue
      }
      const turn = yield* model.turn(yield* run.history())
      yield* run.emit({ token: turn.text })
      const state = { cities, turns: turns + 1, calls: turn.calls }
      const append = [Message.assistant(turn.text)]
      if (turn.calls.length === 0) return { append, state, result: turn.text }
      yield* run.checkpoint({ append, state })
    }
  }),
  { runsMax: 8, outage: (e) => e._tag === "ProviderDown" ? Option.some("1 minute") : Option.none() }
)

const filename = process.env["DB"] ?? "assistant.db"

/** Asks for the weather of each city that was named, then says what it was told. As with any model, no two ids are alike. */
const ModelPretended = Layer.succeed(Model, {
  turn: (history) =>
    Effect.sync((): Turn => {
      const asked = history.findLast(({ role }) => role === "user")!
      const told = history.slice(history.lastIndexOf(asked)).filter(({ role }) => role === "tool")
      if (told.length > 0) return { text: told.map(Message.text).join(" "), calls: [] }
      const cities = Message.text(asked).match(/Berlin|Rome|Oslo/g) ?? []
      const calls = cities.map((city, i) => ({ id: `call-${process.pid}-${i}`, name: "weather" as const, city }))
      return { text: "Let me look.", calls }
    }).pipe(Effect.delay("300 millis"))
})

const WeatherPretended = Layer.succeed(Weather, {
  get: (city, key) =>
    Effect.sync(() => {
      appendFileSync(`${filename}.log`, `${key} ${city}\n`)
      return `${city}: ${city === "Rome" ? 24 : 12}°.`
    }).pipe(Effect.delay("300 millis"))
})

const Live = AssistantLive.pipe(
  Layer.provide([ModelPretended, WeatherPretended]),
  Layer.provideMerge(BurrowSqlite.layer({ filename }))
)

const program = Effect.gen(function*() {
  const assistant = Assistant.of("ana")
  yield* assistant.watch().pipe(
    Stream.runForEach((seen) => seen._tag === "Progress" ? Console.log(`... ${seen.value.token}`) : Effect.void),
    Effect.forkScoped
  )
  yield* Console.log(yield* assistant.call("Do I need a coat in Berlin or in Rome?", { key: "coat" }))
  yield* Console.log(yield* assistant.state)
}).pipe(Effect.scoped)

if (isEntry(import.meta)) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
