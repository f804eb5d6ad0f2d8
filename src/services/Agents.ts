/**
 * What the outside of agents can do, with everything encoded. Handles (`Agent.of`) put the agent's types around it. The
 * local one stands over the engine of this process; one over HTTP can take its place.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { AwaitError, SendError, StoreUnavailable, Undecodable, UnknownQuestion } from "../schema/AgentError.js"
import type { Draft } from "../schema/Input.js"
import type { Failure } from "../schema/InputState.js"
import type { Json } from "../schema/Json.js"

/**
 * An input that is on the disk. `sequence` is its place in its runtime, and a cursor for `watch`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accepted {
  readonly inputId: string
  /** It was there before, under the same key. */
  readonly duplicate: boolean
  readonly sequence: number
}

/**
 * A question that waits for an answer. Times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Question {
  readonly question: string
  readonly key: string
  readonly ask: Json
  readonly askedAt: number
  readonly expiresAt: number | null
}

/**
 * The operation that stands for a question: its end is the answer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const operationOf = (question: string, key: string): string => `${question}/${key}`

/**
 * The scope of the notes that say what was asked: unique per (runtime, question, key), for ever.
 *
 * @since 0.1.0
 * @category constructors
 */
export const scopeOf = (question: string): string => `question/${question}`

/**
 * What happens to a conversation. Cursors grow, and any of them can be gone on behind. Times are epoch milliseconds.
 * `Done` comes behind the messages of its boundary: who reads until then has the answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Watched =
  | { readonly _tag: "Accepted"; readonly cursor: number; readonly inputId: string }
  | { readonly _tag: "Started"; readonly cursor: number; readonly runId: string; readonly attempt: number }
  | { readonly _tag: "Message"; readonly cursor: number; readonly index: number; readonly message: Json }
  | { readonly _tag: "Asked"; readonly cursor: number; readonly question: Question }
  | {
    readonly _tag: "Answered"
    readonly cursor: number
    readonly question: string
    readonly key: string
  }
  | { readonly _tag: "Failed"; readonly cursor: number; readonly error: Failure; readonly retryAt: number | null }
  | {
    readonly _tag: "Done"
    readonly cursor: number
    readonly inputIds: ReadonlyArray<string>
    readonly result: Option.Option<Json>
  }
  | { readonly _tag: "Dead"; readonly cursor: number; readonly inputId: string; readonly error: Failure }
  | { readonly _tag: "Ended"; readonly cursor: number; readonly inputId: string; readonly how: How }
  | { readonly _tag: "Progress"; readonly runId: string; readonly value: Json }

/**
 * Ended without a result, or waiting for somebody: `held` is for an operator, by a doubt, or for what cannot be read.
 *
 * @since 0.1.0
 * @category models
 */
export type How = "cancelled" | "superseded" | "dropped" | "lost" | "held"

/**
 * Names are stored ids, `<agent>/<id>`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Durable when it answers. */
  readonly send: (runtimeId: string, input: Draft) => Effect.Effect<Accepted, SendError>
  /** The encoded result; none of an agent without one. Of a steer it is that of the run which it went into. */
  readonly await: (
    runtimeId: string,
    inputId: string
  ) => Effect.Effect<Option.Option<Json>, Exclude<AwaitError, Undecodable>>
  readonly answer: (
    runtimeId: string,
    answer: { readonly question: string; readonly key: string; readonly answer: Json }
  ) => Effect.Effect<Accepted, SendError | UnknownQuestion>
  /** Open questions, in the order in which those who asked were admitted. */
  readonly questions: (runtimeId: string) => Effect.Effect<ReadonlyArray<Question>, StoreUnavailable>
  /** Ends what was begun and is not done: the open run, and those that wait for answers. With `inputId` that input alone. */
  readonly cancel: (
    runtimeId: string,
    options: { readonly reason: string; readonly inputId?: string }
  ) => Effect.Effect<void, StoreUnavailable>
  /** The encoded state as UTF-8 JSON; none before the first. */
  readonly state: (runtimeId: string) => Effect.Effect<Option.Option<Uint8Array>, StoreUnavailable>
  /** A page of the transcript from position `after` (0). */
  readonly messages: (
    runtimeId: string,
    page: { readonly after?: number; readonly limit?: number }
  ) => Effect.Effect<
    { readonly items: ReadonlyArray<Json>; readonly next: Option.Option<number> },
    StoreUnavailable
  >
  readonly watch: (
    runtimeId: string,
    options: { readonly after?: number }
  ) => Stream.Stream<Watched, StoreUnavailable>
}

/**
 * Needed by every handle, and provided by every Burrow layer.
 *
 * @since 0.1.0
 * @category services
 */
export class Agents extends Context.Tag("effect-burrow/Agents")<Agents, Service>() {}
