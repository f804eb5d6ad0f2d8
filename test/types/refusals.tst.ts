/**
 * Wrong programs do not compile, and a person can read why. What stands behind `@ts-expect-error` is a part of the
 * message, with `...` for what is left out.
 */
import { Agent, type ControlPlane } from "effect-burrow"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { describe, test } from "tstyche"
import { Cook, dinner, Empty, type Full, Pantry, Silent } from "./support.js"

const State = Schema.Struct({ step: Schema.Number })
const chat = Cook.of("ana")
const silent = Silent.of("ana")

describe("a definition", () => {
  test("has an initial value for its state", () => {
    // @ts-expect-error Property 'initial' is missing in type...but required in type '{ readonly initial: { readonly step: number; }; }'.
    Agent.make("x", { state: State })
  })

  test("has an initial value of the state's type", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    Agent.make("x", { state: State, initial: { step: "0" } })
    // @ts-expect-error Property 'step' is missing in type '{}' but required in type '{ readonly step: number; }'.
    Agent.make("x", { state: State, initial: {} })
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    Agent.make("x", { state: Schema.Number, initial: "0" })
    // @ts-expect-error Type '"warm"' is not assignable to type '"hot" | "cold"'.
    Agent.make("x", { state: Schema.Literal("hot", "cold"), initial: "warm" })
  })

  test("has Schemas where Schemas belong", () => {
    // @ts-expect-error Type 'StringConstructor' is missing the following properties from type 'Schema<any, any, never>'
    Agent.make("x", { result: String })
    // @ts-expect-error Type 'string' is not assignable to type 'AnyNoContext'.
    Agent.make("x", { events: { burnt: "string" } })
    // @ts-expect-error Property 'answer' is missing in type '{ ask: typeof Schema.String; }'
    Agent.make("x", { questions: { salt: { ask: Schema.String } } })
    // @ts-expect-error 'results' does not exist in type 'Spec'. Did you mean to write 'result'?
    Agent.make("x", { results: Schema.String })
  })

  test("has Schemas that need no services", () => {
    const needy = Schema.String as unknown as Schema.Schema<string, string, Pantry>
    // @ts-expect-error Type 'Pantry' is not assignable to type 'never'.
    Agent.make("x", { result: needy })
  })
})

describe("a run ends with", () => {
  test("a result, when its agent has one", () => {
    // @ts-expect-error Property 'result' is missing in type '{ append: never[]; }' but required in type '{ readonly result: string; }'.
    Cook.toLayer(() => Effect.succeed({ append: [] }))
    // @ts-expect-error Type 'void' is not assignable to type '{ readonly result: string; }'.
    Cook.toLayer(() => Effect.void)
    // @ts-expect-error Type 'string' is not assignable to type '{ readonly result: string; }'.
    Cook.toLayer(() => Effect.succeed("Dinner is ready."))
    // @ts-expect-error is not assignable to parameter of type 'Execute<...Property 'result' is missing in type '{ append: never[]; }'
    Cook.toLayer(Effect.fn(function*(run) {
      yield* run.heartbeat
      return { append: [] }
    }))
    // @ts-expect-error is not assignable to parameter of type 'Execute<...Type 'void' is not assignable to type '{ readonly result: string; }'.
    Cook.toLayer(Effect.fn(function*(run) {
      yield* run.heartbeat
    }))
  })

  test("a result on every path", () => {
    // @ts-expect-error Type '{ append: never[]; }' is not assignable to type 'Output<...Property 'result' is missing in type '{ append: never[]; }'
    Cook.toLayer(Effect.fn(function*(run) {
      yield* run.heartbeat
      return run.attempt > 1 ? { append: [] } : dinner
    }))
  })

  test("a result of its agent's type", () => {
    // @ts-expect-error Types of property 'result' are incompatible...Type 'number' is not assignable to type 'string'.
    Cook.toLayer(() => Effect.succeed({ result: 1 }))
    // @ts-expect-error 'Output<{ readonly step: number; }, string, Message, never, never>'...Types of property 'result' are incompatible.
    Cook.toLayer(Effect.fn(function*(run) {
      yield* run.heartbeat
      return { result: 1 }
    }))
  })

  test("no result, when its agent has none", () => {
    // @ts-expect-error Types of property 'result' are incompatible...Type 'number' is not assignable to type 'undefined'.
    Silent.toLayer(() => Effect.succeed({ result: 1 }))
  })

  test("a state of its agent's type", () => {
    // @ts-expect-error The types of 'state.step' are incompatible between these types...Type 'string' is not assignable to type 'number'.
    Cook.toLayer(() => Effect.succeed({ state: { step: "1" }, result: "" }))
    // @ts-expect-error Types of property 'state' are incompatible...Type 'number' is not assignable to type 'void'.
    Silent.toLayer(() => Effect.succeed({ state: 1 }))
  })

  test("messages of its agent's kind", () => {
    // @ts-expect-error Types of property 'append' are incompatible...Type 'string' is not assignable to type 'Message'.
    Cook.toLayer(() => Effect.succeed({ append: ["Dinner is ready."], result: "" }))
  })
})

describe("within a run", () => {
  const execute = (_: (run: Agent.RunOf<typeof Cook>) => unknown) => {}
  const mute = (_: (run: Agent.RunOf<typeof Silent>) => unknown) => {}

  test("a checkpoint takes a state of the agent's type", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    execute((run) => run.checkpoint({ state: { step: "1" } }))
    // @ts-expect-error Property 'step' is missing in type '{}' but required in type '{ readonly step: number; }'.
    execute((run) => run.checkpoint({ state: {} }))
    // @ts-expect-error Type 'number' is not assignable to type 'void'.
    mute((run) => run.checkpoint({ state: 1 }))
    // @ts-expect-error Type 'string' is not assignable to type 'Message'.
    execute((run) => run.checkpoint({ append: ["so far"] }))
  })

  test("only questions of the agent are asked", () => {
    // @ts-expect-error Argument of type '"pepper"' is not assignable to parameter of type '"salt" | "guests"'.
    execute((run) => run.ask("pepper", { key: "1", ask: "?" }))
    // @ts-expect-error Type 'number' is not assignable to type 'string'.
    execute((run) => run.ask("salt", { key: "1", ask: 1 }))
    // @ts-expect-error Property 'key' is missing in type '{ ask: string; }' but required in type 'AskOptions<string,
    execute((run) => run.ask("salt", { ask: "?" }))
    // @ts-expect-error is not assignable to parameter of type 'AgentHasNo<"questions">'.
    mute((run) => run.ask("salt", { key: "1", ask: "?" }))
  })

  test("an answer has the question's type", () => {
    execute((run) =>
      Effect.map(run.ask("salt", { key: "1", ask: "?" }), (answer) => {
        // @ts-expect-error Type '{ readonly grams: number; }' is not assignable to type 'string'.
        const text: string = answer
        return text
      })
    )
  })

  test("only progress of the agent is told", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    execute((run) => run.emit({ percent: "10" }))
    // @ts-expect-error Argument of type '{ percent: number; }' is not assignable to parameter of type 'AgentHasNo<"progress">'.
    mute((run) => run.emit({ percent: 10 }))
    // @ts-expect-error is not assignable to parameter of type 'AgentHasNo<"progress">'.
    mute((run) => run.emit("half"))
  })

  test("a child's result has the child's type", () => {
    mute((run) =>
      Effect.map(run.child(Cook, { key: "1", input: "dinner" }), (result) => {
        // @ts-expect-error Type 'string' is not assignable to type 'number'.
        const count: number = result
        return count
      })
    )
    // @ts-expect-error Property 'input' is missing in type '{ key: string; }' but required in type '{ readonly key: string; readonly input: string | Content; readonly id?: string; }'.
    mute((run) => run.child(Cook, { key: "1" }))
    // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'Definition<string, Shape>'.
    mute((run) => run.child("cook", { key: "1", input: "dinner" }))
  })

  test("an input is a prompt before it was steered", () => {
    // @ts-expect-error Property 'steered' does not exist on type 'Input<{}>'.
    mute((run) => run.inputs[0].steered)
    execute(({ inputs: [input] }) => {
      // @ts-expect-error types '"burnt" | "rang"' and '"burned"' have no overlap.
      return input._tag === "Event" && input.type === "burned"
    })
  })
})

describe("the options of toLayer", () => {
  const failing = () => Effect.fail(new Empty())

  test("see every failure", () => {
    // @ts-expect-error Type '(_error: Full) => Option.Option<DurationInput>' is not assignable to type '(error: DeltaError | Empty | Full)
    Cook.toLayer(failing, { outage: (_error: Full) => Option.none() })
    // @ts-expect-error Type 'Schedule<number, Full, never>' is not assignable to type 'Schedule<unknown, DeltaError | Empty | Full, never>'
    Cook.toLayer(failing, { retry: Schedule.spaced("1 second").pipe(Schedule.whileInput((_: Full) => true)) })
  })

  test("are known ones", () => {
    // @ts-expect-error 'outtage' does not exist in type 'HostOptions<...Did you mean to write 'outage'?
    Cook.toLayer(failing, { outtage: () => Option.none() })
    // @ts-expect-error Type '"again"' is not assignable to type '"retry" | "hold" | "settle"'.
    Cook.toLayer(failing, { inDoubt: () => Effect.succeed("again") })
  })
})

describe("the layer", () => {
  const layer = Cook.toLayer(() => Effect.as(Pantry, dinner))
  const take = <ROut, E, RIn>(_: Layer.Layer<ROut, E, RIn>) => {}

  test("needs what its runs need", () => {
    // @ts-expect-error Type 'Pantry' is not assignable to type 'ControlPlane'.
    take<never, Agent.HostError, ControlPlane.ControlPlane>(layer)
  })

  test("can fail", () => {
    // @ts-expect-error Type 'HostError' is not assignable to type 'never'.
    take<never, never, ControlPlane.ControlPlane | Pantry>(layer)
  })
})

describe("a handle", () => {
  test("sends events of the agent alone", () => {
    // @ts-expect-error Type 'number' is not assignable to type 'string'.
    chat.event("burnt", { dish: 1 })
    // @ts-expect-error Property 'dish' is missing in type '{}' but required in type '{ readonly dish: string; }'.
    chat.event("burnt", {})
    // @ts-expect-error Argument of type '"burned"' is not assignable to parameter of type '"burnt" | "rang"'.
    chat.event("burned", { dish: "pie" })
    // @ts-expect-error is not assignable to parameter of type 'AgentHasNo<"events">'.
    silent.event("burnt", { dish: "pie" })
  })

  test("answers questions of the agent alone", () => {
    // @ts-expect-error Argument of type '"pepper"' is not assignable to parameter of type '"salt" | "guests"'.
    chat.answer("pepper", "1", { grams: 1 })
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    chat.answer("salt", "1", { grams: "1" })
    // @ts-expect-error is not assignable to parameter of type 'AgentHasNo<"questions">'.
    silent.answer("salt", "1", { grams: 1 })
  })

  test("takes text or blocks, and known options", () => {
    // @ts-expect-error Argument of type 'number' is not assignable to parameter of type 'string | Content'.
    chat.call(1)
    // @ts-expect-error 'kei' does not exist in type 'SendOptions'.
    chat.call("dinner", { kei: "1" })
    // @ts-expect-error Expected 2 arguments, but got 1.
    chat.post("dinner")
  })

  test("gives a result of the agent's type", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    Effect.map(chat.call("dinner"), (result: number) => result)
  })

  test("needs Agents", () => {
    // @ts-expect-error 'Effect<string, CallError, Agents>'...Type 'Agents' is not assignable to type 'never'.
    Effect.runPromise(chat.call("dinner"))
  })

  test("posts where there is an Outbox", () => {
    // @ts-expect-error Type 'Outbox' is not assignable to type 'never'.
    Effect.runPromise(chat.post("dinner", { key: "1" }))
  })
})
