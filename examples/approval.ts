/**
 * An agent that asks a person, and waits for as long as it takes. While it waits it is some rows, and no fiber. The money
 * is paid once: the answer, and that the bank was told, are committed.
 *
 *   npx tsx examples/approval.ts        somebody is at the desk
 *   npx tsx examples/approval.ts away   nobody is: the question waits
 *
 * Kill it with `kill -9` wherever you like and start it again. refunds.db.log has what the bank was told: one line, or two
 * with the same key, if you have hit the moment between its answer and the commit. A bank pays once for each key.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { Agent, Message } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import { appendFileSync } from "node:fs"
import { isEntry } from "./entry.js"

export class Bank extends Context.Tag("Bank")<Bank, {
  readonly pay: (order: string, cents: number, key: string) => Effect.Effect<void>
}>() {}

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

export const RefundsLive = Refunds.toLayer(Effect.fn(function*(run) {
  const bank = yield* Bank
  const input = run.inputs[0]
  if (input._tag !== "Event") return { result: "refused" }
  const { cents, order } = input.payload
  const answer = yield* run.ask("approval", { key: order, ask: { order, cents }, expires: "7 days" }).pipe(
    Effect.map(Option.some),
    Effect.catchTag("QuestionExpired", () => Effect.succeed(Option.none()))
  )
  if (Option.isNone(answer)) return { result: "expired" }
  const { approved, by } = answer.value
  if (!approved) return { result: "refused", append: [Message.assistant(`Refused by ${by}.`)] }
  yield* run.once("pay", Schema.Void, bank.pay(order, cents, run.idempotencyKey))
  return { result: "paid" }
}))

const refunds = Refunds.of("shop-7")

// the desk: what is asked, and the button. A double click is the same answer, and so is one after a restart.
export const desk = refunds.watch().pipe(
  Stream.runForEach((seen) => {
    if (seen._tag !== "Asked") return Effect.void
    const { ask, key, question } = seen.question
    const answer = { approved: ask.cents < 1000, by: "ana" }
    return Console.log(`${key}: may I refund ${ask.cents} cents?`).pipe(
      Effect.zipRight(Effect.sleep("500 millis")),
      Effect.zipRight(refunds.answer(question, key, answer)),
      Effect.zipRight(Console.log(`${key}: ${answer.approved ? "yes" : "no"}`))
    )
  })
)

const filename = process.env["DB"] ?? "refunds.db"

const BankPretended = Layer.succeed(Bank, {
  pay: (order, cents, key) =>
    Effect.sync(() => appendFileSync(`${filename}.log`, `${key} ${order} ${cents}\n`)).pipe(Effect.delay("300 millis"))
})

const Live = RefundsLive.pipe(
  Layer.provide(BankPretended),
  Layer.provideMerge(BurrowSqlite.layer({ filename }))
)

const program = Effect.gen(function*() {
  if (process.argv[2] !== "away") yield* Effect.forkScoped(desk)
  const { inputId } = yield* refunds.event("requested", { order: "o-1", cents: 995 }, { key: "o-1" })
  yield* Console.log(`o-1: ${yield* refunds.await(inputId)}`)
}).pipe(Effect.scoped)

if (isEntry(import.meta)) program.pipe(Effect.provide(Live), NodeRuntime.runMain)
