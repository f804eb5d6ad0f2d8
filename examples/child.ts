/**
 * An agent that asks others, once over all its attempts. Who waits for a child holds no place that the child would need.
 *
 *   npx tsx examples/child.ts
 *
 * Kill it with `kill -9` wherever you like and start it again: what is found is found.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import { isEntry } from "./entry.js"

export class Research extends Agent.make("research", {
  result: Schema.Struct({ facts: Schema.Array(Schema.String) })
}) {}
export class Reporter extends Agent.make("reporter", { result: Schema.String }) {}

export const ResearchLive = Research.toLayer(
  Effect.fn(function*(run) {
    const topic = run.inputs[0].text.replace("Facts on ", "")
    yield* Console.log(`looking for ${topic}`)
    yield* Effect.sleep("500 millis")
    return { result: { facts: [`${topic} dig`] } }
  }),
  { runsMax: 4 }
)

export const ReporterLive = Reporter.toLayer(
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

const Live = Layer.mergeAll(ResearchLive, ReporterLive).pipe(
  Layer.provideMerge(BurrowSqlite.layer({ filename: process.env["DB"] ?? "report.db" }))
)

const program = Effect.flatMap(Reporter.of("daily").call("Report.", { key: "monday" }), Console.log)

if (isEntry(import.meta)) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
