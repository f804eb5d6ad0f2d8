import { Effect, Layer, Option, Schema } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"

export class Refunds extends Agent.make("refunds", {
  events: { requested: Schema.Struct({ order: Schema.String, cents: Schema.Number }) },
  questions: {
    approval: {
      ask: Schema.Struct({ order: Schema.String, cents: Schema.Number }),
      answer: Schema.Struct({ approved: Schema.Boolean, by: Schema.String })
    }
  },
  result: Schema.Literal("paid", "refused", "expired")
}) {}

declare const pay: (order: string, cents: number, key: string) => Effect.Effect<void>

export const RefundsLive = Refunds.toLayer(Effect.fn(function*(run) {
  const input = run.inputs[0]
  if (input._tag !== "Event") return { result: "refused" }
  const { cents, order } = input.payload
  const answer = yield* run.ask("approval", { key: order, ask: { order, cents }, expires: "7 days" }).pipe(
    Effect.map(Option.some),
    Effect.catchTag("QuestionExpired", () => Effect.succeed(Option.none()))
  )
  if (Option.isNone(answer)) return { result: "expired" }
  if (!answer.value.approved) {
    return { result: "refused", append: [Message.assistant(`Refused by ${answer.value.by}.`)] }
  }
  yield* run.once("pay", Schema.Void, pay(order, cents, run.idempotencyKey))
  return { result: "paid" }
}))

// the desk: what waits, and the button. A double click is the same answer.
export const desk = Effect.gen(function*() {
  const refunds = Refunds.of("shop-7")
  yield* refunds.event("requested", { order: "o-1", cents: 995 }, { key: "o-1" })
  for (const q of yield* refunds.questions) {
    if (q.question === "approval") yield* refunds.answer("approval", q.key, { approved: q.ask.cents < 1000, by: "ana" })
  }
  // @ts-expect-error wrong payload
  yield* refunds.event("requested", { order: 1 })
  // @ts-expect-error no such question
  yield* refunds.answer("approve", "o-1", { approved: true, by: "x" })
})
export const Live = RefundsLive.pipe(Layer.provideMerge(BurrowSqlite.layer({ filename: "refunds.db" })))
