/**
 * To talk to an agent while it works: a steer goes into the running run. What it has written is in its state, so that
 * whoever goes on after a crash does not begin again.
 *
 *   npx tsx examples/steering.ts
 *
 * Kill it with `kill -9` wherever you like and start it again: steers have keys, so nothing is said twice.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import { isEntry } from "./entry.js"

class Writer extends Context.Tag("Writer")<Writer, {
  readonly write: (history: ReadonlyArray<Message>) => Effect.Effect<string>
}>() {}

/** Its state is the number of chapters that are written. */
export class Essay extends Agent.make("essay", { state: Schema.Number, initial: 0, result: Schema.Number }) {}

export const EssayLive = Essay.toLayer(Effect.fn(function*(run) {
  const writer = yield* Writer
  let chapters = yield* run.state
  while (chapters < 10) {
    // a steer cuts the paragraph short; what was said is in the next history
    const paragraph = yield* run.history().pipe(
      Effect.flatMap((history) => writer.write(history)),
      Effect.map(Option.some),
      Effect.raceFirst(Effect.as(run.steered, Option.none()))
    )
    if (Option.isSome(paragraph)) chapters++
    const steers = yield* run.checkpoint({
      append: Option.toArray(paragraph).map(Message.assistant),
      state: chapters
    })
    if (steers.some((steer) => steer.text === "enough")) break
  }
  return { state: 0, result: chapters }
}))

export const caller = Effect.gen(function*() {
  const essay = Essay.of("e1")
  const { inputId } = yield* essay.send("Write about moles.", { key: "1" })
  yield* Effect.sleep("900 millis")
  yield* essay.steer("shorter sentences", { key: "2" })
  yield* Effect.sleep("1 second")
  yield* essay.steer("enough", { key: "3" })
  return yield* essay.await(inputId).pipe(
    Effect.catchTag("Cancelled", (e) => Effect.logWarning(e.reason).pipe(Effect.as(0)))
  )
})

const WriterPretended = Layer.succeed(Writer, {
  write: (history) => {
    const isShort = history.some((message) => Message.text(message) === "shorter sentences")
    return Effect.delay(Effect.succeed(isShort ? "Moles dig." : "Moles, as we shall see, dig."), "400 millis")
  }
})

const Live = EssayLive.pipe(
  Layer.provide(WriterPretended),
  Layer.provideMerge(BurrowSqlite.layer({ filename: process.env["DB"] ?? "essay.db" }))
)

const program = Effect.gen(function*() {
  yield* Essay.of("e1").watch().pipe(
    Stream.runForEach((seen) =>
      seen._tag === "Message" ? Console.log(`${seen.message.role}: ${Message.text(seen.message)}`) : Effect.void
    ),
    Effect.forkScoped
  )
  yield* Console.log(`${yield* caller} chapters`)
}).pipe(Effect.scoped)

if (isEntry(import.meta)) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
