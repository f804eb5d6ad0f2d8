/**
 * An agent from outside: one conversation with it.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type {
  AwaitError,
  CallError,
  SendError,
  StoreUnavailable,
  Undecodable,
  UnknownQuestion
} from "../../schema/AgentError.js"
import type * as Content from "../../schema/Content.js"
import type { InputTooLarge, InvalidInput } from "../../schema/DriverError.js"
import type { Failure } from "../../schema/InputState.js"
import type { Accepted, Agents, How } from "../Agents.js"
import type { Outbox } from "../Executor.js"
import type {
  AnswerOf,
  AskOf,
  EventNamesOf,
  MessageOf,
  PayloadOf,
  ProgressOf,
  QuestionNamesOf,
  QuestionsOf,
  ResultOf,
  Shape,
  StateOf
} from "./Spec.js"

/**
 * How an input is sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface SendOptions {
  /** Yours: the same key is the same input of this conversation, for ever. */
  readonly key?: string
  /** Replaces an input of the same name that still waits. */
  readonly replaces?: string
  /** `false`: it rides along with the next run, and starts none. Default `true`. */
  readonly wake?: boolean
  /** Not before this time. */
  readonly at?: DateTime.Utc
  /** Not before this long from now. */
  readonly after?: Duration.DurationInput
}

/**
 * A question that waits for an answer. Told apart by `question`.
 *
 * @since 0.1.0
 * @category models
 */
export type Asked<T extends Shape, K extends keyof QuestionsOf<T> = keyof QuestionsOf<T>> = {
  [Q in K]: {
    readonly question: Q
    readonly key: string
    readonly ask: AskOf<T, Q>
    readonly askedAt: DateTime.Utc
    readonly expiresAt: Option.Option<DateTime.Utc>
  }
}[K]

/**
 * What happens in a conversation. Any cursor can be gone on behind (`watch({ after })`). Progress has none: it is void
 * once a later cursor of the same run was seen. `Done` comes behind the messages of its boundary: who reads until then
 * has the answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Watched<T extends Shape> =
  | { readonly _tag: "Accepted"; readonly cursor: number; readonly inputId: string }
  | { readonly _tag: "Started"; readonly cursor: number; readonly runId: string; readonly attempt: number }
  | { readonly _tag: "Message"; readonly cursor: number; readonly index: number; readonly message: MessageOf<T> }
  | { readonly _tag: "Asked"; readonly cursor: number; readonly question: Asked<T> }
  | { readonly _tag: "Answered"; readonly cursor: number; readonly question: string; readonly key: string }
  | {
    readonly _tag: "Failed"
    readonly cursor: number
    readonly error: Failure
    readonly retryAt: Option.Option<DateTime.Utc>
  }
  | {
    readonly _tag: "Done"
    readonly cursor: number
    readonly inputIds: ReadonlyArray<string>
    readonly result: ResultOf<T>
  }
  | { readonly _tag: "Dead"; readonly cursor: number; readonly inputId: string; readonly error: Failure }
  | { readonly _tag: "Ended"; readonly cursor: number; readonly inputId: string; readonly how: How }
  | { readonly _tag: "Progress"; readonly runId: string; readonly value: ProgressOf<T> }

/**
 * One conversation with an agent. Making one does nothing; every use of it needs `Agents`, which any Burrow layer
 * provides.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handle<in out T extends Shape> {
  readonly id: string
  /** The stored id, `<agent>/<id>`: what the control plane calls it. */
  readonly runtimeId: string
  /** On the disk when it answers. */
  readonly send: (
    input: string | Content.Content,
    options?: SendOptions
  ) => Effect.Effect<Accepted, SendError, Agents>
  /** `send`, then `await`. With a key it can be repeated for ever: one input, one result. */
  readonly call: (
    input: string | Content.Content,
    options?: SendOptions
  ) => Effect.Effect<ResultOf<T>, CallError, Agents>
  /** Waits for the result; also after a restart, also of what ended long ago. */
  readonly await: (inputId: string) => Effect.Effect<ResultOf<T>, AwaitError, Agents>
  /**
   * Into the running run, at its next checkpoint. When none runs it begins one, before what is queued. `wake` means nothing
   * here.
   */
  readonly steer: (
    input: string | Content.Content,
    options?: Omit<SendOptions, "wake">
  ) => Effect.Effect<Accepted, SendError, Agents>
  readonly event: <K extends EventNamesOf<T>>(
    type: K,
    payload: PayloadOf<T, K>,
    options?: SendOptions
  ) => Effect.Effect<Accepted, SendError, Agents>
  /**
   * Within an `alongside`: leaves with the boundary's commit, and is admitted after it exactly once. Answers the id that
   * the input will have.
   */
  readonly post: (
    input: string | Content.Content,
    options: SendOptions & { readonly key: string }
  ) => Effect.Effect<string, InvalidInput | InputTooLarge | StoreUnavailable, Outbox>
  /**
   * Answers an open question. The same answer again is `duplicate`, also long after; another one is
   * `IdempotencyConflict`.
   */
  readonly answer: <K extends QuestionNamesOf<T>>(
    question: K,
    key: string,
    answer: AnswerOf<T, K>
  ) => Effect.Effect<Accepted, SendError | UnknownQuestion, Agents>
  /** What waits for an answer. */
  readonly questions: Effect.Effect<ReadonlyArray<Asked<T>>, StoreUnavailable | Undecodable, Agents>
  /**
   * Ends the run that goes on, and those that wait for answers; what is queued goes on. With `inputId` that input alone.
   * On the disk when it answers.
   */
  readonly cancel: (
    reason?: string,
    options?: { readonly inputId?: string }
  ) => Effect.Effect<void, StoreUnavailable, Agents>
  /** What has been committed, from behind the cursor `after` (0) on, and then what happens, without end. */
  readonly watch: (
    options?: { readonly after?: number }
  ) => Stream.Stream<Watched<T>, StoreUnavailable | Undecodable, Agents>
  /** A page of the transcript: at most `limit` (100) messages from position `after` (0). */
  readonly messages: (options?: { readonly after?: number; readonly limit?: number }) => Effect.Effect<
    { readonly items: ReadonlyArray<MessageOf<T>>; readonly next: Option.Option<number> },
    StoreUnavailable | Undecodable,
    Agents
  >
  readonly state: Effect.Effect<StateOf<T>, StoreUnavailable | Undecodable, Agents>
}
