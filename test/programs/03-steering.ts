import { Context, Effect, Option, Schema } from "effect"
import { Agent, Message } from "effect-burrow"

class Writer
  extends Context.Tag("Writer")<Writer, { readonly write: (h: ReadonlyArray<Message>) => Effect.Effect<string> }>()
{}

class Essay extends Agent.make("essay", { result: Schema.Number }) {}

export const EssayLive = Essay.toLayer(Effect.fn(function*(run) {
  const writer = yield* Writer
  let chapters = 0
  while (chapters < 10) {
    // a steer cuts the paragraph short; what was said is in the next history
    const paragraph = yield* run.history().pipe(
      Effect.flatMap((h) => writer.write(h)),
      Effect.map(Option.some),
      Effect.raceFirst(Effect.as(run.steered, Option.none()))
    )
    const steers = yield* run.checkpoint({
      append: Option.toArray(paragraph).map(Message.assistant)
    })
    if (steers.some((s) => s.text === "enough")) break
    if (Option.isSome(paragraph)) chapters++
  }
  return { result: chapters }
}))

export const caller = Effect.gen(function*() {
  const essay = Essay.of("e1")
  const { inputId } = yield* essay.send("Write about moles.", { key: "1" })
  yield* essay.steer("shorter sentences", { key: "2" })
  return yield* essay.await(inputId).pipe(
    Effect.catchTag("Cancelled", (e) => Effect.logWarning(e.reason).pipe(Effect.as(0)))
  )
})
