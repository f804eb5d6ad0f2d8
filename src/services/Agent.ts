/**
 * Agents: what people write. The definition is data, the implementation a layer, a conversation a handle.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { StoreUnavailable } from "../schema/AgentError.js"
import type { InvalidInput } from "../schema/DriverError.js"
import type { Handle } from "./agent/Handle.js"
import { cron, type CronOptions, host, type HostError, type HostOptions } from "./agent/host.js"
import { handle } from "./agent/outside.js"
import type { Delta, Output, Provided, Run } from "./agent/Run.js"
import type { Any, Definition, MessageOf, ResultOf, Shape, ShapeOf, Spec, StateOf, WithInitial } from "./agent/Spec.js"
import type { ControlPlane } from "./ControlPlane.js"
import type { DeltaError, Outbox } from "./Executor.js"

export type { Asked, Handle, SendOptions, Watched } from "./agent/Handle.js"
export type { CronOptions, HostError, HostOptions } from "./agent/host.js"
export type { AskOptions, Delta, Output, Provided, Run } from "./agent/Run.js"
export type {
  AgentHasNo,
  AnswerOf,
  Any,
  AnyInput,
  AskOf,
  Definition,
  EmittedOf,
  Event,
  EventNamesOf,
  EventsOf,
  Input,
  MessageOf,
  Other,
  PayloadOf,
  ProgressOf,
  Prompt,
  QuestionNamesOf,
  QuestionsOf,
  ResultOf,
  Shape,
  ShapeOf,
  Spec,
  StateOf,
  WithInitial
} from "./agent/Spec.js"
export type { Accepted, How } from "./Agents.js"
export { CurrentRun, type DeltaError, Outbox, type RunInfo } from "./Executor.js"

/**
 * An agent's definition: what its outside sees. `class Cook extends Agent.make("cook", { ... }) {}` gives it a name in
 * types, too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent<out Name extends string, in out T extends Shape> extends Definition<Name, T> {
  new(_: never): {}
  /** A handle on one conversation. It does nothing by itself. */
  of(id: string): Handle<T>
  /**
   * Hosts the agent: its pending work goes on when the layer is built, and its runs are given back, uncharged, and waited
   * for before the layer closes. What `execute`, its `alongside` and the options require, the layer requires.
   */
  toLayer<E, R, AE = never, AR = never, OR = never>(
    execute: Execute<T, E, R, AE, AR>,
    options?: HostOptions<T, E | AE | DeltaError, OR>
  ): Layer.Layer<never, HostError, ControlPlane | Exclude<R | OR, Provided> | Exclude<AR, Provided | Outbox>>
  /** A recurring prompt, for as long as the layer lives. */
  cron(options: CronOptions): Layer.Layer<never, InvalidInput | StoreUnavailable, ControlPlane>
}

/**
 * What an agent does in a run.
 *
 * @since 0.1.0
 * @category models
 */
export type Execute<T extends Shape, E, R, AE = never, AR = never> = (
  run: Run<T>
) => Effect.Effect<
  Output<StateOf<T>, ResultOf<T>, MessageOf<T>, AE, AR> | ([ResultOf<T>] extends [void] ? void : never),
  E,
  R
>

/**
 * The run of an agent: `Agent.RunOf<typeof Cook>`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunOf<A extends Any> = A extends Definition<string, infer T> ? Run<T> : never

/**
 * The handle of an agent: `Agent.HandleOf<typeof Cook>`.
 *
 * @since 0.1.0
 * @category models
 */
export type HandleOf<A extends Any> = A extends Definition<string, infer T> ? Handle<T> : never

/**
 * What a boundary of an agent commits: `Agent.DeltaOf<typeof Cook>`.
 *
 * @since 0.1.0
 * @category models
 */
export type DeltaOf<A extends Any> = A extends Definition<string, infer T> ? Delta<StateOf<T>, MessageOf<T>> : never

/**
 * Defines an agent. The name is the first part of every stored id: it has no slash, and is not changed while there is
 * something stored.
 *
 * @example
 * ```ts
 * import { Agent, Message } from "effect-burrow"
 * import { BurrowSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 *
 * class Echo extends Agent.make("echo", { result: Schema.String }) {}
 *
 * const EchoLive = Echo.toLayer((run) =>
 *   Effect.map(run.history(), (history) => {
 *     const result = `You said "${Message.text(history.at(-1)!)}".`
 *     return { append: [Message.assistant(result)], result }
 *   })
 * )
 *
 * const program = Echo.of("ana").call("hello", { key: "1" }).pipe(
 *   Effect.provide(EchoLive.pipe(Layer.provideMerge(BurrowSqlite.layer({ filename: "echo.db" }))))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Name extends string, const S extends Spec>(
  name: Name,
  spec?: WithInitial<S>
): Agent<Name, ShapeOf<S>> => {
  const definition: Definition<Name, ShapeOf<S>> = { agentName: name, spec: spec ?? {} }
  class Base {
    static readonly agentName = name
    static readonly spec = definition.spec
    static readonly of = (id: string) => handle(definition, id)
    static readonly toLayer = (execute: never, options: never) => host(definition, execute, options)
    static readonly cron = (options: CronOptions) => cron(definition, options)
  }
  return Base as never
}
