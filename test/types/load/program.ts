/** A program of many agents, no two alike. The same count gives the same text. */

const PACKAGE = "effect-burrow"

const state = (index: number): string =>
  `Schema.Struct({
    step: Schema.Number,
    name${index}: Schema.optional(Schema.String),
    mode: Schema.Literal("idle${index}", "busy"),
    items: Schema.Array(Schema.Struct({ id: Schema.String, tags: Schema.Array(Schema.String), at: Schema.Date })),
    by: Schema.Record({ key: Schema.String, value: Schema.Union(Schema.Number, Schema.Struct({ n${index}: Schema.Number })) })
  })`

const initial = (index: number): string => `{ step: ${index}, mode: "idle${index}", items: [], by: {} }`

const agent = (index: number, count: number): string => {
  const child = index + 1 < count ? `Agent${index + 1}` : undefined
  return `import { Agent, Message } from "${PACKAGE}"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
${child === undefined ? "" : `import { ${child} } from "./agent${index + 1}.js"\n`}
export class Model${index} extends Context.Tag("Model${index}")<Model${index}, {
  readonly turn: (history: ReadonlyArray<Message>) => Effect.Effect<string, Down${index}>
}>() {}
export class Down${index} extends Schema.TaggedError<Down${index}>()("Down${index}", { status: Schema.Number }) {}
export class Table${index} extends Context.Tag("Table${index}")<Table${index}, { readonly write: Effect.Effect<void, Full${index}> }>() {}
export class Full${index} extends Schema.TaggedError<Full${index}>()("Full${index}", {}) {}

export class Agent${index} extends Agent.make("agent${index}", {
  state: ${state(index)},
  initial: ${initial(index)},
  result: Schema.Struct({ text: Schema.String, total${index}: Schema.Number }),
  events: {
    paid${index}: Schema.Struct({ invoice: Schema.String, cents: Schema.Number }),
    moved: Schema.Struct({ from: Schema.String, to: Schema.String, lines: Schema.Array(Schema.Number) }),
    gone: Schema.Void
  },
  questions: {
    approval: { ask: Schema.Struct({ cents: Schema.Number }), answer: Schema.Struct({ approved: Schema.Boolean }) },
    detail${index}: { ask: Schema.String, answer: Schema.Array(Schema.String) }
  },
  progress: Schema.Struct({ token${index}: Schema.String })
}) {}

export const Agent${index}Live = Agent${index}.toLayer(
  Effect.fn(function*(run) {
    const model = yield* Model${index}
    let state = yield* run.state
    for (const input of run.inputs) {
      if (input._tag === "Event" && input.type === "paid${index}") state = { ...state, step: state.step + input.payload.cents }
      else if (input._tag === "Event" && input.type === "moved") {
        state = { ...state, items: [{ id: input.payload.to, tags: [input.payload.from], at: new Date(0) }] }
      } else if (input._tag === "Prompt" && input.steered) state = { ...state, mode: "busy" }
    }
    yield* run.emit({ token${index}: "a" })
    const text = yield* Effect.raceFirst(model.turn(yield* run.history({ last: 5 })), Effect.as(run.steered, ""))
    const steers = yield* run.checkpoint({ append: [Message.assistant(text)], state })
    const { approved } = yield* run.ask("approval", { key: "1", ask: { cents: steers.length }, expires: "7 days" }).pipe(
      Effect.catchTag("QuestionExpired", () => Effect.succeed({ approved: false }))
    )
    const detail = yield* run.ask("detail${index}", { key: "2", ask: text, commit: { state } }).pipe(
      Effect.catchTag("QuestionExpired", () => Effect.succeed([]))
    )
    const total = yield* run.once("total", Schema.Number, Effect.succeed(detail.length))
    ${
    child === undefined
      ? `const below = total`
      : `const below = (yield* run.child(${child}, { key: "below", input: text }).pipe(
      Effect.catchTag("Cancelled", () => Effect.succeed({ text: "", total${index + 1}: 0 }))
    )).total${index + 1}`
  }
    yield* run.heartbeat
    return {
      append: [Message.assistant(approved ? text : "no")],
      state: { ...state, by: { total } },
      result: { text, total${index}: below },
      alongside: Effect.flatMap(Table${index}, (table) => table.write)
    }
  }),
  {
    runsMax: ${index + 1},
    outage: (error) => error._tag === "Down${index}" ? Option.some("1 minute") : Option.none(),
    retry: Schedule.spaced("1 second"),
    inDoubt: (run) => Effect.map(run.state, ({ step }) => step > 0 ? "retry" : "hold")
  }
)

export const handle${index} = Agent${index}.of("one")
export const use${index} = Effect.gen(function*() {
  const { inputId } = yield* handle${index}.event("paid${index}", { invoice: "i", cents: ${index} }, { key: "i" })
  for (const asked of yield* handle${index}.questions) {
    if (asked.question === "approval") {
      yield* handle${index}.answer("approval", asked.key, { approved: asked.ask.cents < 100 })
    } else yield* handle${index}.answer("detail${index}", asked.key, [asked.ask])
  }
  const { total${index} } = yield* handle${index}.call("go", { key: "go" })
  const { text } = yield* handle${index}.await(inputId).pipe(
    Effect.catchTag("DeadLettered", () => Effect.succeed({ text: "", total${index}: 0 }))
  )
  const { step } = yield* handle${index}.state
  return { total: total${index}, text, step }
})
export const watched${index} = handle${index}.watch()
`
}

const main = (count: number): string => {
  const all = Array.from({ length: count }, (_, index) => index)
  return `import { Burrow } from "${PACKAGE}"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
${all.map((index) => `import { Agent${index}Live, use${index} } from "./agent${index}.js"`).join("\n")}

export const Hosted = Layer.mergeAll(
${all.map((index) => `  Agent${index}Live`).join(",\n")}
)
export const Live = Hosted.pipe(Layer.provideMerge(Burrow.layerMemory))
export const program = Effect.all([
${all.map((index) => `  use${index}`).join(",\n")}
])
`
}

/** By file name. */
export const sources = (count: number): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(Array.from({ length: count }, (_, index) => [`agent${index}.ts`, agent(index, count)])),
  "main.ts": main(count)
})
