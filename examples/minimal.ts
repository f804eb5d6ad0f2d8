/**
 * The smallest agent: it answers with what was said. A call with a key can be repeated for ever: it is one input, with
 * one result.
 *
 *   npx tsx examples/minimal.ts hello
 *
 * Kill it with `kill -9` in its two seconds and start it again: it goes on. Once it has answered, it answers at once.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import { isEntry } from "./entry.js"

export class Echo extends Agent.make("echo", { result: Schema.String }) {}

export const EchoLive = Echo.toLayer(Effect.fn(function*(run) {
  const history = yield* run.history()
  yield* Effect.sleep("2 seconds") // kill -9 me here, and start me again
  const result = `You said "${Message.text(history.at(-1)!)}", message ${history.length}.`
  return { append: [Message.assistant(result)], result }
}))

const program = Effect.gen(function*() {
  const chat = Echo.of("ana")
  const line = process.argv[2] ?? "hello"
  const reply = yield* chat.call(line, { key: line })
  yield* Console.log(reply)
})

const Live = EchoLive.pipe(Layer.provideMerge(BurrowSqlite.layer({ filename: process.env["DB"] ?? "echo.db" })))

if (isEntry(import.meta)) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
