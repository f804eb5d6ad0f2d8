/** Handles: the agent's types around the encoded service. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { StoreUnavailable, Undecodable } from "../../schema/AgentError.js"
import * as Content from "../../schema/Content.js"
import { InvalidInput } from "../../schema/DriverError.js"
import type { Malformed } from "../../schema/Envelope.js"
import { isReservedKey } from "../../schema/Ids.js"
import type { Draft, HeaderDraft } from "../../schema/Input.js"
import { Agents, type Question, type Watched as Encoded } from "../Agents.js"
import { Outbox } from "../Executor.js"
import * as Codecs from "./codecs.js"
import type { Asked, Handle, SendOptions, Watched } from "./Handle.js"
import type { Any, Definition, MessageOf, ProgressOf, ResultOf, Shape } from "./Spec.js"

type Mode = "steer" | "ride_along" | undefined

const headerOf = ({ after, at, key, replaces }: SendOptions): Effect.Effect<HeaderDraft> =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    ...(key !== undefined && { idempotencyKey: key }),
    ...(replaces !== undefined && { supersessionKey: replaces }),
    ...(at !== undefined
      ? { deliverAt: DateTime.toEpochMillis(at) }
      : after !== undefined && { deliverAt: Math.ceil(now + Duration.toMillis(after)) })
  }))

export const prompt = (
  input: string | Content.Content,
  header: HeaderDraft,
  handlingMode: Mode
): Draft => ({
  _tag: "prompt",
  header,
  content: Content.from(input),
  ...(handlingMode !== undefined && { turn: { handlingMode } })
})

const modeOf = ({ wake = true }: SendOptions): Mode => wake ? undefined : "ride_along"

export const idOf = ({ agentName }: Any, id: string): string => `${agentName}/${id}`

/** The result of an input that has ended well. */
export const resultOf = <T extends Shape>(
  agent: Definition<string, T>,
  runtimeId: string,
  inputId: string | null,
  stored: Option.Option<unknown>
): Either.Either<ResultOf<T>, Undecodable> =>
  Option.match(Codecs.of(agent).result, {
    onNone: () => Either.right(undefined as ResultOf<T>),
    onSome: ({ decode }) =>
      Option.match(stored, {
        onNone: () =>
          Either.left(new Undecodable({ runtimeId, inputId, field: "result", problem: "there is none stored" })),
        onSome: (json) => Either.mapLeft(decode(json), undecodable(runtimeId, inputId))
      })
  })

const undecodable = (runtimeId: string, inputId: string | null) => ({ field, problem }: Malformed): Undecodable =>
  new Undecodable({ runtimeId, inputId, field, problem })

export const handle = <T extends Shape>(agent: Definition<string, T>, id: string): Handle<T> => {
  const runtimeId = idOf(agent, id)
  const codecs = Codecs.of(agent)
  const read = <A>(decoded: Either.Either<A, Malformed>): Either.Either<A, Undecodable> =>
    Either.mapLeft(decoded, undecodable(runtimeId, null))
  const invalid = ({ field, problem }: Malformed): InvalidInput => new InvalidInput({ runtimeId, field, problem })

  // Its stored id would be nobody's.
  const named = id === "" ? Effect.fail(new InvalidInput({ runtimeId, field: "id", problem: "is empty" })) : Effect.void
  const say = (mode: (options: SendOptions) => Mode): Handle<T>["send"] => (input, options = {}) =>
    Effect.flatMap(
      Effect.zipRight(named, headerOf(options)),
      (header) => Effect.flatMap(Agents, (agents) => agents.send(runtimeId, prompt(input, header, mode(options))))
    )
  const send = say(modeOf)

  const result: Handle<T>["await"] = (inputId) =>
    Effect.flatMap(Agents, (agents) => agents.await(runtimeId, inputId)).pipe(
      Effect.flatMap((stored) => resultOf(agent, runtimeId, inputId, stored))
    )

  const asked = ({ ask, askedAt, expiresAt, key, question }: Question): Either.Either<Asked<T>, Undecodable> =>
    Option.match(codecs.question(question), {
      onNone: () =>
        Either.left(
          new Undecodable({
            runtimeId,
            inputId: null,
            field: `questions.${question}`,
            problem: "is no question of the agent"
          })
        ),
      onSome: (codec) =>
        Either.map(read(codec.ask.decode(ask)), (ask) =>
          ({
            question,
            key,
            ask,
            askedAt: DateTime.unsafeMake(askedAt),
            expiresAt: Option.map(Option.fromNullable(expiresAt), DateTime.unsafeMake)
          }) as Asked<T>)
    })

  const watched = (seen: Encoded): Either.Either<Watched<T>, Undecodable> => {
    switch (seen._tag) {
      case "Message":
        return Either.map(read(codecs.message.decode<MessageOf<T>>(seen.message)), (message) => ({ ...seen, message }))
      case "Asked":
        return Either.map(asked(seen.question), (question) => ({ ...seen, question }))
      case "Failed":
        return Either.right({ ...seen, retryAt: Option.map(Option.fromNullable(seen.retryAt), DateTime.unsafeMake) })
      case "Done":
        return Either.map(
          resultOf(agent, runtimeId, seen.inputIds[0] ?? null, seen.result),
          (result) => ({ ...seen, result })
        )
      case "Progress":
        return Either.map(read(codecs.progress.decode<ProgressOf<T>>(seen.value)), (value) => ({ ...seen, value }))
      default:
        return Either.right(seen)
    }
  }

  return {
    id,
    runtimeId,
    send,
    call: (input, options) => Effect.flatMap(send(input, options), ({ inputId }) => result(inputId)),
    await: result,
    steer: say(() => "steer"),
    event: (type, payload, options = {}) =>
      Effect.gen(function*() {
        const codec = codecs.event(type)
        if (Option.isNone(codec)) {
          return yield* new InvalidInput({ runtimeId, field: "type", problem: `${type} is no event of the agent` })
        }
        const encoded = yield* Either.mapLeft(codec.value.encode(payload), invalid)
        const mode = modeOf(options)
        yield* named
        const agents = yield* Agents
        return yield* agents.send(runtimeId, {
          _tag: "external_event",
          header: yield* headerOf(options),
          eventType: type,
          payload: encoded,
          ...(mode !== undefined && { handlingMode: mode })
        })
      }),
    post: (input, options) =>
      Effect.gen(function*() {
        if (isReservedKey(options.key)) {
          return yield* new InvalidInput({ runtimeId, field: "key", problem: "begins as the library's own keys do" })
        }
        yield* named
        const header = yield* headerOf(options)
        const outbox = yield* Outbox
        return yield* outbox.send(runtimeId, prompt(input, header, modeOf(options)))
      }).pipe(
        Effect.mapError((error) =>
          error._tag === "InvalidInput" || error._tag === "InputTooLarge"
            ? error
            : new StoreUnavailable({ reason: error })
        )
      ),
    answer: (question, key, answer) =>
      Effect.gen(function*() {
        const codec = codecs.question(question)
        if (Option.isNone(codec)) {
          return yield* new InvalidInput({
            runtimeId,
            field: "question",
            problem: `${question} is no question of the agent`
          })
        }
        const encoded = yield* Either.mapLeft(codec.value.answer.encode(answer), invalid)
        const agents = yield* Agents
        return yield* agents.answer(runtimeId, { question, key, answer: encoded })
      }),
    questions: Effect.flatMap(Agents, (agents) => agents.questions(runtimeId)).pipe(
      // What the agent asks no more, nobody here can answer.
      Effect.map((open) => open.filter(({ question }) => Option.isSome(codecs.question(question)))),
      Effect.flatMap((open) => Either.all(open.map(asked)))
    ),
    cancel: (reason = "", options = {}) =>
      Effect.flatMap(Agents, (agents) => agents.cancel(runtimeId, { reason, ...options })),
    watch: (options = {}) =>
      Stream.unwrap(Effect.map(Agents, (agents) => agents.watch(runtimeId, options))).pipe(Stream.mapEffect(watched)),
    messages: (options = {}) =>
      Effect.flatMap(Agents, (agents) => agents.messages(runtimeId, options)).pipe(
        Effect.flatMap(({ items, next }) =>
          Either.map(
            Either.all(items.map((item) => read(codecs.message.decode<MessageOf<T>>(item)))),
            (items) => ({ items, next })
          )
        )
      ),
    state: Effect.flatMap(Agents, (agents) => agents.state(runtimeId)).pipe(
      Effect.flatMap((stored) => read(codecs.state.decode(stored)))
    )
  }
}
