/**
 * An agent from within: one attempt at what was asked of it.
 *
 * @since 0.1.0
 */

import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { AwaitError, QuestionExpired } from "../../schema/AgentError.js"
import type * as Content from "../../schema/Content.js"
import type { CurrentRun, Outbox } from "../Executor.js"
import type {
  AnswerOf,
  AskOf,
  Definition,
  EmittedOf,
  EventsOf,
  Input,
  MessageOf,
  QuestionNamesOf,
  ResultOf,
  Shape,
  StateOf
} from "./Spec.js"

/**
 * What a boundary commits, all of it or nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delta<State, Message, E = never, R = never> {
  readonly append?: ReadonlyArray<Message>
  /** The whole state; absent leaves it. */
  readonly state?: State
  /**
   * Joins the boundary's transaction, last; the `SqlClient` it gets is the store's own. `handle.post` works in it. It may
   * run more than once, and only its SQL is undone with the boundary.
   */
  readonly alongside?: Effect.Effect<unknown, E, R>
}

/**
 * What a run ends with: its last boundary, and the result for whoever waits.
 *
 * @since 0.1.0
 * @category models
 */
export type Output<State, Result, Message, E = never, R = never> =
  & ([Result] extends [void] ? { readonly result?: undefined } : { readonly result: Result })
  & Delta<State, Message, E, R>

/**
 * What is there in every run without being asked for: its scope and `CurrentRun`. In an `alongside` also `Outbox`.
 *
 * @since 0.1.0
 * @category models
 */
export type Provided = CurrentRun | Scope.Scope

/**
 * A question, and how long it waits.
 *
 * @since 0.1.0
 * @category models
 */
export interface AskOptions<Ask, State, Message, E = never, R = never> {
  /** The question's name in the conversation, for ever. */
  readonly key: string
  readonly ask: Ask
  /** Counted from the first time that it is asked. Default: never. */
  readonly expires?: Duration.DurationInput
  /** What is committed together with the question, once. */
  readonly commit?: Delta<State, Message, E, R>
}

/**
 * One attempt. It may be killed anywhere, and is made again from its last boundary: what is between two boundaries may be
 * done more than once, what a boundary has committed never is.
 *
 * A store that fails for good, a boundary that cannot be, and a run that is over end the attempt from outside: none of it
 * is in an error channel here, but in that of `child`, which waits for what others do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run<in out T extends Shape> {
  readonly agent: string
  /** The conversation: what `of` was called with. */
  readonly id: string
  readonly runId: string
  /** 1 for the first attempt. */
  readonly attempt: number
  /** The same for every attempt at the same inputs. Pass it to whatever you call. */
  readonly idempotencyKey: string
  /** What was asked, in order: a prompt alone, or events together. */
  readonly inputs: readonly [Input<EventsOf<T>>, ...ReadonlyArray<Input<EventsOf<T>>>]
  /** As of the last boundary, by whichever attempt made it. */
  readonly state: Effect.Effect<StateOf<T>>
  /**
   * What a model should see: the last messages of the transcript (all, without `last`), then those of inputs, steers that
   * were handed over included, that are not in it yet. The library commits these with the next boundary, once over all
   * attempts.
   */
  readonly history: (options?: { readonly last?: number }) => Effect.Effect<ReadonlyArray<MessageOf<T>>>
  /** Commits what was done so far, consumes the steers handed over before, and answers those that wait. */
  readonly checkpoint: <E = never, R = never>(
    delta?: Delta<StateOf<T>, MessageOf<T>, E, R>
  ) => Effect.Effect<ReadonlyArray<Input<EventsOf<T>>>, E, Exclude<R, Outbox>>
  /** Replaces the messages from position `from` to the end (compaction, redaction), in a boundary of its own. */
  readonly rewrite: (options: {
    readonly from: number
    readonly with: ReadonlyArray<MessageOf<T>>
    readonly reason: string
  }) => Effect.Effect<void>
  /** Completes when a steer waits. Race it against a slow call. */
  readonly steered: Effect.Effect<void>
  /**
   * Runs the effect and commits its result under the key; a later attempt at the same inputs gets the result instead. Keys
   * are names: there is no order to keep, and no replay. The effect itself runs again if the process dies before its
   * result is committed; give `idempotencyKey` and the key to whom it calls.
   */
  readonly once: <A, I, E, R>(
    key: string,
    schema: Schema.Schema<A, I>,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /**
   * Commits the question, together with `commit`, and waits for its answer, for months if need be. When all that the run
   * does is to wait for answers it leaves memory, and other inputs have their turns; the answer, or the deadline, starts
   * a fresh attempt, uncharged, in which `ask` returns at once.
   *
   * A question of a conversation is answered once: whoever asks it again under the same key gets the same answer.
   */
  readonly ask: <K extends QuestionNamesOf<T>, E = never, R = never>(
    question: K,
    options: AskOptions<AskOf<T, K>, StateOf<T>, MessageOf<T>, E, R>
  ) => Effect.Effect<AnswerOf<T, K>, QuestionExpired | E, Exclude<R, Outbox>>
  /**
   * Asks another agent, once over all attempts, and waits for its result. `id` is the conversation, one of its own for
   * each call unless given. When this run is cancelled, what it asked for is cancelled in the same commit.
   */
  readonly child: <C extends Shape>(agent: Definition<string, C>, options: {
    readonly key: string
    readonly input: string | Content.Content
    readonly id?: string
  }) => Effect.Effect<ResultOf<C>, AwaitError>
  /** Tells those who watch. Not stored: who is not there misses it. */
  readonly emit: (progress: EmittedOf<T>) => Effect.Effect<void>
  /** A sign of life, for agents with a limit on silence. */
  readonly heartbeat: Effect.Effect<void>
}
