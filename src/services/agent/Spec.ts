/**
 * What an agent's outside sees, as data: a browser can import it.
 *
 * @since 0.1.0
 */
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Content from "../../schema/Content.js"
import type { Message } from "../../schema/Message.js"

/**
 * A Schema that needs no services.
 *
 * @since 0.1.0
 * @category models
 */
export type AnySchema = Schema.Schema.AnyNoContext

/**
 * The Schemas of an agent. All are optional: an agent without any takes prompts and answers nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spec {
  /** What it remembers beside the transcript. It needs an `initial` value. */
  readonly state?: AnySchema
  readonly initial?: unknown
  /** What `call` answers. */
  readonly result?: AnySchema
  /** Events from outside that it understands, by type. */
  readonly events?: { readonly [type: string]: AnySchema }
  /** Questions that it may ask a person or another system, and wait for, for months. Names without a slash. */
  readonly questions?: { readonly [name: string]: { readonly ask: AnySchema; readonly answer: AnySchema } }
  /** Ephemeral progress: tokens, percentages. */
  readonly progress?: AnySchema
  /** Messages of the transcript, and what an input becomes there; `Message` unless given. */
  readonly message?: {
    readonly schema: AnySchema
    readonly fromInput: (input: AnyInput) => Option.Option<unknown>
  }
}

/**
 * Somebody says something. A prompt that was not steered has a run of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prompt {
  readonly _tag: "Prompt"
  readonly inputId: string
  readonly text: string
  readonly blocks: Content.Content
  /** It was sent by `steer`. */
  readonly steered: boolean
}

/**
 * Something happened. `text` is what the transcript says of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event<K, A> {
  readonly _tag: "Event"
  readonly inputId: string
  readonly text: string
  readonly type: K
  readonly payload: A
}

/**
 * Kinds of inputs that have no place in an agent's definition: a peer's message, a step of a flow, a continuation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Other {
  readonly _tag: "Other"
  readonly inputId: string
  readonly text: string
  readonly kind: string
  readonly payload: unknown
}

/**
 * An input of any agent.
 *
 * @since 0.1.0
 * @category models
 */
export type AnyInput = Prompt | Event<string, unknown> | Other

/**
 * The types that an agent's Schemas stand for. Only what the agent has is in it, so that types stay short where people
 * meet them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shape {
  state?: unknown
  result?: unknown
  events?: { [type: string]: unknown }
  questions?: { [name: string]: { ask: unknown; answer: unknown } }
  progress?: unknown
  message?: unknown
}

type TypeOf<X> = X extends Schema.Schema<infer A, infer _I, infer _R> ? A : never

type Flat<X> = X extends infer Y ? { [K in keyof Y]: Y[K] } : never

type One<S, K extends keyof Spec, F extends string = K> = S extends { readonly [P in K]: infer X extends AnySchema }
  ? { [P in F]: TypeOf<X> }
  : {}

/**
 * The types of a definition.
 *
 * @since 0.1.0
 * @category models
 */
export type ShapeOf<S extends Spec> = Flat<
  & One<S, "state">
  & One<S, "result">
  & (S extends { readonly events: infer E } ? { events: { -readonly [K in keyof E]: TypeOf<E[K]> } } : {})
  & (S extends { readonly questions: infer Q } ? {
      questions: {
        -readonly [K in keyof Q]: Q[K] extends { ask: infer A; answer: infer B } ? { ask: TypeOf<A>; answer: TypeOf<B> }
          : never
      }
    }
    : {})
  & One<S, "progress">
  & (S extends { readonly message: { readonly schema: infer M extends AnySchema } } ? { message: TypeOf<M> } : {})
>

/** @since 0.1.0 @category models */
export type StateOf<T extends Shape> = T extends { state: infer X } ? X : void
/** @since 0.1.0 @category models */
export type ResultOf<T extends Shape> = T extends { result: infer X } ? X : void
/** @since 0.1.0 @category models */
export type ProgressOf<T extends Shape> = T extends { progress: infer X } ? X : never
/** @since 0.1.0 @category models */
export type MessageOf<T extends Shape> = T extends { message: infer X } ? X : Message
/** @since 0.1.0 @category models */
export type EventsOf<T extends Shape> = T extends { events: infer X } ? X : {}
/** @since 0.1.0 @category models */
export type QuestionsOf<T extends Shape> = T extends { questions: infer X } ? X : {}
/** @since 0.1.0 @category models */
export type AskOf<T extends Shape, K> = K extends keyof QuestionsOf<T>
  ? QuestionsOf<T>[K] extends { ask: infer A } ? A : never
  : never
/** @since 0.1.0 @category models */
export type AnswerOf<T extends Shape, K> = K extends keyof QuestionsOf<T>
  ? QuestionsOf<T>[K] extends { answer: infer A } ? A : never
  : never

/**
 * What errors say of an agent without events, questions or progress, where one of them would have to be.
 *
 * @since 0.1.0
 * @category models
 */
export type AgentHasNo<What extends string> = string & { readonly agentHasNo: What }

type NamesOf<X, What extends string> = [keyof X] extends [never] ? AgentHasNo<What> : keyof X & string

/** @since 0.1.0 @category models */
export type EventNamesOf<T extends Shape> = NamesOf<EventsOf<T>, "events">
/** @since 0.1.0 @category models */
export type QuestionNamesOf<T extends Shape> = NamesOf<QuestionsOf<T>, "questions">
/** @since 0.1.0 @category models */
export type PayloadOf<T extends Shape, K> = K extends keyof EventsOf<T> ? EventsOf<T>[K] : never
/** What an agent may tell those who watch. @since 0.1.0 @category models */
export type EmittedOf<T extends Shape> = T extends { progress: infer X } ? X : AgentHasNo<"progress">

/**
 * An input of an agent: a prompt, one of its events (by type, with their payloads), or something rare.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<Events> = Prompt | { [K in keyof Events]: Event<K, Events[K]> }[keyof Events] | Other

/**
 * With a state there is an initial value, of the state's type.
 *
 * @since 0.1.0
 * @category models
 */
export type WithInitial<S extends Spec> = S extends { readonly state: infer X extends AnySchema }
  ? S extends { readonly initial: TypeOf<X> } ? S : Omit<S, "initial"> & { readonly initial: TypeOf<X> }
  : S

/**
 * Any agent as data: its name and its Schemas.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  /** Not `name`: a class has that of its own. */
  readonly agentName: string
  readonly spec: Spec
}

/**
 * An agent as data, with the types that it stands for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<out Name extends string, in out T extends Shape> extends Any {
  readonly agentName: Name
  /** Only in types. */
  readonly shape?: (shape: T) => T
}
