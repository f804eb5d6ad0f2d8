import { Effect, Layer, Schema } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"

class Research extends Agent.make("research", { result: Schema.Struct({ facts: Schema.Array(Schema.String) }) }) {}
class Reporter extends Agent.make("reporter", { result: Schema.String }) {}

const ResearchLive = Research.toLayer(() => Effect.succeed({ result: { facts: ["moles dig"] } }), { runsMax: 4 })

const ReporterLive = Reporter.toLayer(
  Effect.fn(function*(run) {
    const topics = ["moles", "voles"]
    const found = yield* Effect.forEach(
      topics,
      (topic) => run.child(Research, { key: topic, input: `Facts on ${topic}` }),
      { concurrency: "unbounded" }
    )
    const result = found.flatMap((f) => f.facts).join("; ")
    return { append: [Message.assistant(result)], result }
  }),
  { attemptsMax: 5 }
)

export const Live = Layer.mergeAll(ResearchLive, ReporterLive).pipe(
  Layer.provideMerge(BurrowSqlite.layer({ filename: "report.db" }))
)
