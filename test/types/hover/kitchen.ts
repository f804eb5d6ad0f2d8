/** What people meet first. The comments mark where `hover.test.ts` points. */
import { Agent, Message } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

class Cook extends Agent.make("cook", {
  state: Schema.Struct({ step: Schema.Number }),
  initial: { step: 0 },
  result: Schema.String
}) {}

class Refunds extends Agent.make("refunds", {
  events: { requested: Schema.Struct({ order: Schema.String, cents: Schema.Number }) },
  questions: { approval: { ask: Schema.String, answer: Schema.Boolean } },
  result: Schema.Literal("paid", "refused")
}) {}

export const /*layer*/ CookLive = Cook.toLayer((/*run*/ run) =>
  Effect.gen(function*() {
    const { step } = yield* run /*run.state*/.state
    const [/*input*/ input] = run /*run.inputs*/.inputs
    yield* run /*run.checkpoint*/.checkpoint({ state: { step: step + 1 }, append: [Message.assistant(input.text)] })
    return { result: "done" }
  })
)

export const RefundsLive = Refunds.toLayer(
  (run) =>
    Effect.gen(function*() {
      const /*refund*/ refund = run.inputs[0]
      const /*approved*/ approved = yield* run.ask("approval", { key: "1", ask: refund.text })
      const /*dinner*/ dinner = yield* run.child(Cook, { key: "1", input: "dinner" })
      return { result: approved && dinner !== "" ? "paid" : "refused" }
    }),
  {
    outage: (/*outage*/ error) => {
      throw error
    }
  }
)

export const /*handle*/ chat = Cook.of("ana")
export const /*called*/ called = chat /*chat.call*/.call("dinner")
export const /*awaited*/ awaited = chat.await("i-1")
export const state = chat /*chat.state*/.state
export const watched = chat /*chat.watch*/.watch()
export const /*refunds*/ refunds = Refunds.of("shop")
