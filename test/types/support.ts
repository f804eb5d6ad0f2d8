/** The agents and services of the type tests. */
import { Agent, Message } from "effect-burrow"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** One of everything. */
export class Cook extends Agent.make("cook", {
  state: Schema.Struct({ step: Schema.Number }),
  initial: { step: 0 },
  result: Schema.String,
  events: { burnt: Schema.Struct({ dish: Schema.String }), rang: Schema.Number },
  questions: {
    salt: { ask: Schema.String, answer: Schema.Struct({ grams: Schema.Number }) },
    guests: { ask: Schema.Void, answer: Schema.Number }
  },
  progress: Schema.Struct({ percent: Schema.Number })
}) {}

export interface CookShape {
  state: { readonly step: number }
  result: string
  events: { burnt: { readonly dish: string }; rang: number }
  questions: {
    salt: { ask: string; answer: { readonly grams: number } }
    guests: { ask: void; answer: number }
  }
  progress: { readonly percent: number }
}

/** Nothing of anything. */
export class Silent extends Agent.make("silent") {}

/** Messages of its own. */
export class Terse extends Agent.make("terse", {
  message: { schema: Schema.NumberFromString, fromInput: (input) => Option.some(input.text.length) }
}) {}

export class Pantry extends Context.Tag("test/types/Pantry")<Pantry, { readonly take: Effect.Effect<void> }>() {}
export class Ledger extends Context.Tag("test/types/Ledger")<Ledger, { readonly write: Effect.Effect<void> }>() {}
export class Notes extends Context.Tag("test/types/Notes")<Notes, { readonly write: Effect.Effect<void> }>() {}
export class Clerk extends Context.Tag("test/types/Clerk")<Clerk, { readonly judge: Effect.Effect<"hold"> }>() {}

export class Empty extends Schema.TaggedError<Empty>()("Empty", {}) {}
export class Full extends Schema.TaggedError<Full>()("Full", {}) {}

export const dinner = { append: [Message.assistant("Dinner is ready.")], result: "Dinner is ready." }
