/** What the compiler infers for those who write agents. */
import { Agent, type AgentError, type Agents, type ControlPlane, type Message } from "effect-burrow"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { describe, expect, test } from "tstyche"
import { Clerk, Cook, type CookShape, dinner, Empty, Full, Ledger, Notes, Pantry, Silent, Terse } from "./support.js"

const use = <I>(tag: Effect.Effect<{ readonly write: Effect.Effect<void> }, never, I>) =>
  Effect.flatMap(tag, ({ write }) => write)
const hand = Effect.flatMap(Agent.Outbox, ({ send }) => Effect.ignore(send("a/b", {} as never)))

type Hosted<R> = Layer.Layer<never, Agent.HostError, ControlPlane.ControlPlane | R>

describe("a definition", () => {
  test("is a value and a type", () => {
    expect(Cook.agentName).type.toBe<"cook">()
    expect(Cook.of("ana")).type.toBe<Agent.HandleOf<typeof Cook>>()
    expect<Cook>().type.toBeAssignableTo<object>()
    expect<typeof Cook>().type.toBeAssignableTo<Agent.Any>()
    expect<typeof Silent>().type.toBeAssignableTo<Agent.Any>()
  })

  test("is its types alone, without Schemas", () => {
    type Shape = typeof Cook extends Agent.Definition<string, infer T> ? T : never
    expect<Shape>().type.toBeAssignableTo<CookShape>()
    expect<Shape>().type.toBeAssignableFrom<CookShape>()
    expect<Agent.RunOf<typeof Silent>>().type.toBe<Agent.Run<{}>>()
    expect<Agent.HandleOf<typeof Silent>>().type.toBe<Agent.Handle<{}>>()
    expect<Agent.DeltaOf<typeof Cook>>().type.toBe<Agent.Delta<{ readonly step: number }, Message>>()
  })

  test("takes literals for its initial state, at any depth", () => {
    class _Picky extends Agent.make("picky", {
      state: Schema.Struct({
        mode: Schema.Literal("hot", "cold"),
        pairs: Schema.Array(Schema.Tuple(Schema.String, Schema.Literal(1, 2))),
        note: Schema.optional(Schema.String)
      }),
      initial: { mode: "hot", pairs: [["a", 1]] }
    }) {}
    expect<Agent.RunOf<typeof _Picky>["state"]>().type.toBe<
      Effect.Effect<{
        readonly mode: "hot" | "cold"
        readonly pairs: ReadonlyArray<readonly [string, 1 | 2]>
        readonly note?: string | undefined
      }>
    >()
  })

  test("knows the input that becomes one of its messages", () => {
    Agent.make("own", {
      message: {
        schema: Schema.String,
        fromInput: (input) => {
          expect(input).type.toBe<Agent.AnyInput>()
          return Option.some(input.text)
        }
      }
    })
  })
})

describe("a run", () => {
  test("has the agent's state, inputs, questions, progress and messages", () => {
    Cook.toLayer((run) =>
      Effect.gen(function*() {
        expect(run).type.toBe<Agent.RunOf<typeof Cook>>()
        expect(run.state).type.toBe<Effect.Effect<{ readonly step: number }>>()
        expect(run.history()).type.toBe<Effect.Effect<ReadonlyArray<Message>>>()
        expect(run.inputs[0]).type.toBe<Agent.Input<CookShape["events"]>>()
        expect(run.checkpoint()).type.toBe<Effect.Effect<ReadonlyArray<Agent.Input<CookShape["events"]>>>>()
        expect(run.ask("salt", { key: "1", ask: "How much?" })).type.toBe<
          Effect.Effect<{ readonly grams: number }, AgentError.QuestionExpired>
        >()
        expect(run.ask("guests", { key: "1", ask: undefined })).type.toBe<
          Effect.Effect<number, AgentError.QuestionExpired>
        >()
        expect(run.emit).type.toBe<(progress: { readonly percent: number }) => Effect.Effect<void>>()
        return yield* Effect.succeed(dinner)
      })
    )
  })

  test("is inferred by Effect.fn, too", () => {
    const layer = Cook.toLayer(Effect.fn(function*(run) {
      expect(run).type.toBe<Agent.RunOf<typeof Cook>>()
      let { step } = yield* run.state
      yield* run.checkpoint({ state: { step: ++step } })
      return dinner
    }))
    expect(layer).type.toBe<Hosted<never>>()
  })

  test("tells its inputs apart by _tag", () => {
    Cook.toLayer((run) => {
      for (const input of run.inputs) {
        expect(input.text).type.toBe<string>()
        switch (input._tag) {
          case "Prompt":
            expect(input.steered).type.toBe<boolean>()
            break
          case "Event":
            expect(input.type).type.toBe<"burnt" | "rang">()
            if (input.type === "burnt") expect(input.payload).type.toBe<{ readonly dish: string }>()
            else expect(input.payload).type.toBe<number>()
            break
          case "Other":
            expect(input.payload).type.toBe<unknown>()
        }
      }
      return Effect.succeed(dinner)
    })
  })

  test("of an agent without events has prompts and what is rare", () => {
    expect<Agent.RunOf<typeof Silent>["inputs"][0]>().type.toBe<Agent.Prompt | Agent.Other>()
  })

  test("tells steers apart from other prompts", () => {
    Silent.toLayer((run) =>
      Effect.map(run.checkpoint(), (steers) => {
        const [steer] = steers
        if (steer?._tag === "Prompt") expect(steer.steered).type.toBe<boolean>()
      })
    )
  })

  test("has messages of the agent's own", () => {
    Terse.toLayer((run) =>
      Effect.gen(function*() {
        expect(run.history()).type.toBe<Effect.Effect<ReadonlyArray<number>>>()
        yield* run.rewrite({ from: 0, with: [1], reason: "short" })
        return { append: [1, 2] }
      })
    )
  })

  test("gets a child's result", () => {
    Silent.toLayer((run) =>
      Effect.gen(function*() {
        expect(run.child(Cook, { key: "1", input: "dinner" })).type.toBe<Effect.Effect<string, AgentError.AwaitError>>()
        expect(run.child(Silent, { key: "2", input: "x" })).type.toBe<Effect.Effect<void, AgentError.AwaitError>>()
        yield* Effect.void
      })
    )
  })

  test("gets what once has made, with its error and its requirements", () => {
    Silent.toLayer((run) => {
      const taken = run.once("a", Schema.NumberFromString, Effect.zipRight(Pantry, Effect.fail(new Empty())))
      expect(taken).type.toBe<Effect.Effect<number, Empty, Pantry>>()
      return Effect.asVoid(taken)
    })
  })
})

describe("toLayer", () => {
  test("needs the control plane, and gives nothing", () => {
    expect(Cook.toLayer(() => Effect.succeed(dinner))).type.toBe<Hosted<never>>()
  })

  test("asks an agent without result for none", () => {
    expect(Silent.toLayer(() => Effect.void)).type.toBe<Hosted<never>>()
    expect(Silent.toLayer(() => Effect.succeed({}))).type.toBe<Hosted<never>>()
    expect(Silent.toLayer(Effect.fn(function*(run) {
      yield* run.heartbeat
    }))).type.toBe<Hosted<never>>()
    expect(Silent.toLayer(Effect.fn(function*(run) {
      yield* run.heartbeat
      return run.attempt > 1 ? {} : undefined
    }))).type.toBe<Hosted<never>>()
  })

  test("requires what runs, boundaries and decisions require, and nothing that a run has", () => {
    const layer = Cook.toLayer((run) =>
      Effect.gen(function*() {
        yield* Pantry
        yield* Agent.CurrentRun
        yield* Effect.acquireRelease(Effect.void, () => Effect.void)
        yield* run.checkpoint({ alongside: Effect.zipRight(use(Ledger), hand) })
        return { result: "done", alongside: Effect.zipRight(use(Notes), hand) }
      }), { inDoubt: () => Effect.flatMap(Clerk, ({ judge }) => judge) })
    expect(layer).type.toBe<Hosted<Pantry | Ledger | Notes | Clerk>>()
  })

  test("requires what a question commits alongside", () => {
    const layer = Silent.toLayer(() => Effect.void)
    expect(layer).type.toBe<Hosted<never>>()
    expect(
      Cook.toLayer((run) =>
        Effect.as(
          run.ask("salt", { key: "1", ask: "?", commit: { alongside: Effect.zipRight(use(Notes), hand) } }),
          dinner
        )
      )
    ).type.toBe<Hosted<Notes>>()
  })

  test("shows the failures of a run and of its last boundary to outage and retry", () => {
    Cook.toLayer(
      (run) =>
        run.attempt > 1 ? Effect.fail(new Empty()) : Effect.succeed({ result: "", alongside: Effect.fail(new Full()) }),
      {
        outage: (error) => {
          expect(error).type.toBe<Empty | Full | Agent.DeltaError>()
          return Option.none()
        },
        retry: Schedule.spaced("1 second").pipe(
          Schedule.whileInput((error: Empty | Full | Agent.DeltaError) => error._tag !== "Full")
        )
      }
    )
  })

  test("shows the failures of what a checkpoint commits alongside", () => {
    Silent.toLayer((run) => Effect.asVoid(run.checkpoint({ alongside: Effect.fail(new Full()) })), {
      outage: (error) => {
        expect(error).type.toBe<Full | Agent.DeltaError>()
        return Option.none()
      }
    })
  })

  test("shows the failures of boundaries even to those that never fail", () => {
    Silent.toLayer(() => Effect.void, {
      outage: (error) => {
        expect(error).type.toBe<Agent.DeltaError>()
        return Option.none()
      }
    })
  })

  test("gives inDoubt the run", () => {
    Silent.toLayer(() => Effect.void, {
      inDoubt: (run) => {
        expect(run).type.toBe<Agent.RunOf<typeof Silent>>()
        return Effect.succeed("settle")
      }
    })
  })
})

describe("a handle", () => {
  const chat = Cook.of("ana")

  test("needs Agents, whatever it is asked for", () => {
    expect(chat.call("dinner")).type.toBe<Effect.Effect<string, AgentError.CallError, Agents.Agents>>()
    expect(chat.await("i-1")).type.toBe<Effect.Effect<string, AgentError.AwaitError, Agents.Agents>>()
    expect(chat.send("dinner")).type.toBe<Effect.Effect<Agent.Accepted, AgentError.SendError, Agents.Agents>>()
    expect(chat.steer("faster")).type.toBe<Effect.Effect<Agent.Accepted, AgentError.SendError, Agents.Agents>>()
    expect(chat.cancel()).type.toBe<Effect.Effect<void, AgentError.StoreUnavailable, Agents.Agents>>()
    expect(chat.event("burnt", { dish: "pie" })).type.toBe<
      Effect.Effect<Agent.Accepted, AgentError.SendError, Agents.Agents>
    >()
    expect(chat.answer("salt", "1", { grams: 2 })).type.toBe<
      Effect.Effect<Agent.Accepted, AgentError.SendError | AgentError.UnknownQuestion, Agents.Agents>
    >()
  })

  test("needs an Outbox to post", () => {
    expect<Effect.Effect.Context<ReturnType<typeof chat.post>>>().type.toBe<Agent.Outbox>()
  })

  test("has the agent's state, messages, questions and progress", () => {
    type Failed = AgentError.StoreUnavailable | AgentError.Undecodable
    expect(chat.state).type.toBe<Effect.Effect<{ readonly step: number }, Failed, Agents.Agents>>()
    expect<Effect.Effect.Success<ReturnType<typeof chat.messages>>["items"]>().type.toBe<ReadonlyArray<Message>>()
    type Seen = Stream.Stream.Success<ReturnType<typeof chat.watch>>
    expect<Extract<Seen, { readonly _tag: "Progress" }>["value"]>().type.toBe<{ readonly percent: number }>()
    expect<Extract<Seen, { readonly _tag: "Done" }>["result"]>().type.toBe<string>()
    type Asked = Effect.Effect.Success<typeof chat.questions>[number]
    expect<Extract<Asked, { readonly question: "salt" }>["ask"]>().type.toBe<string>()
    expect<Asked["askedAt"]>().type.toBe<DateTime.Utc>()
  })

  test("of an agent without result answers nothing", () => {
    expect(Silent.of("x").call("go")).type.toBe<Effect.Effect<void, AgentError.CallError, Agents.Agents>>()
    expect(Silent.of("x").state).type.toBe<
      Effect.Effect<void, AgentError.StoreUnavailable | AgentError.Undecodable, Agents.Agents>
    >()
  })

  test("is found without a scope", () => {
    expect<Effect.Effect.Context<ReturnType<typeof chat.call>>>().type.not.toBeAssignableFrom<Scope.Scope>()
  })
})
