/** What an agent's Schemas read and write, as the JSON and bytes that are stored. Made once for each definition. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import { append } from "../../core/Projection.js"
import * as Content from "../../schema/Content.js"
import { describe, Malformed } from "../../schema/Envelope.js"
import type * as Input from "../../schema/Input.js"
import { kindOf } from "../../schema/Input.js"
import { canonical, type Json } from "../../schema/Json.js"
import { Message } from "../../schema/Message.js"
import type { Any, AnyInput, AnySchema, Other, Spec } from "./Spec.js"

export interface Codec {
  /** In the JSON form; what is malformed names its field, below `field`. */
  readonly encode: (value: unknown) => Either.Either<Json, Malformed>
  /** Its type is the Schema's: whoever has the agent's types says it. */
  readonly decode: <A>(value: unknown) => Either.Either<A, Malformed>
}

const below = (field: string) => (malformed: Malformed): Malformed =>
  new Malformed({ field: malformed.field === "$" ? field : `${field}.${malformed.field}`, problem: malformed.problem })

const unit: Codec = { encode: () => Either.right(null), decode: <A>() => Either.right(undefined as A) }

export const codec = <A, I>(field: string, schema: Schema.Schema<A, I>): Codec => {
  // Its Schema takes and gives anything: nothing of it is stored.
  if (AST.isVoidKeyword(schema.ast)) return unit
  const encode = Schema.encodeUnknownEither(schema)
  const decode = Schema.decodeUnknownEither(schema)
  return {
    // Nothing has no JSON form: it is stored as null.
    encode: (value) =>
      Either.mapBoth(encode(value), {
        onLeft: (error) => below(field)(describe(error)),
        onRight: (encoded) => (encoded ?? null) as Json
      }),
    decode: <T>(value: unknown) =>
      decode(value).pipe(
        Either.orElse((error) => value === null ? Either.mapLeft(decode(undefined), () => error) : Either.left(error)),
        Either.mapBoth({
          onLeft: (error) => below(field)(describe(error)),
          onRight: (decoded) => decoded as unknown as T
        })
      )
  }
}

/** A wrong value of the program's own is a defect of it, with the name of the field. */
export const orDie = <A>(encoded: Either.Either<A, Malformed>): Effect.Effect<A> =>
  Either.match(encoded, { onLeft: (malformed) => Effect.die(malformed), onRight: Effect.succeed })

export interface Codecs {
  readonly state: {
    readonly encode: (value: unknown) => Either.Either<Uint8Array, Malformed>
    readonly decode: <A>(bytes: Option.Option<Uint8Array>) => Either.Either<A, Malformed>
  }
  /** None for an agent that answers nothing. */
  readonly result: Option.Option<Codec>
  readonly progress: Codec
  readonly message: Codec
  readonly event: (type: string) => Option.Option<Codec>
  readonly question: (name: string) => Option.Option<{ readonly ask: Codec; readonly answer: Codec }>
  /** The agent's own form of what inputs become in the transcript; none where the default will do. */
  readonly fromInput: Option.Option<(input: AnyInput) => Option.Option<unknown>>
}

const optional = (field: string, schema: AnySchema | undefined): Option.Option<Codec> =>
  Option.map(Option.fromNullable(schema), (schema) => codec(field, schema))

const stateOf = (spec: Spec): Codecs["state"] => {
  const inner = Option.getOrElse(optional("state", spec.state), () => unit)
  return {
    // What has no JSON form is refused before it is stored, not when it is read.
    encode: (value) =>
      Either.flatMap(inner.encode(value), (json) =>
        Either.mapBoth(canonical(json), {
          onLeft: ({ kind, path }) =>
            below("state")(new Malformed({ field: path, problem: `${kind} has no JSON form` })),
          onRight: (text) => new TextEncoder().encode(text)
        })),
    decode: <A>(stored: Option.Option<Uint8Array>) =>
      Option.match(stored, {
        onNone: () => Either.right(spec.initial as A),
        onSome: (bytes) =>
          Either.try({
            try: (): unknown => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
            catch: () => new Malformed({ field: "state", problem: "is no JSON text" })
          }).pipe(Either.flatMap((json) => inner.decode<A>(json)))
      })
  }
}

const make = (spec: Spec): Codecs => {
  const events = new Map(
    Object.entries(spec.events ?? {}).map(([type, schema]) => [type, codec(`events.${type}`, schema)])
  )
  const questions = new Map(
    Object.entries(spec.questions ?? {}).map(([name, { answer, ask }]) => [
      name,
      { ask: codec(`questions.${name}.ask`, ask), answer: codec(`questions.${name}.answer`, answer) }
    ])
  )
  return {
    state: stateOf(spec),
    result: optional("result", spec.result),
    progress: Option.getOrElse(optional("progress", spec.progress), () => unit),
    message: codec("message", spec.message?.schema ?? Message),
    event: (type) => Option.fromNullable(events.get(type)),
    question: (name) => Option.fromNullable(questions.get(name)),
    fromInput: Option.map(Option.fromNullable(spec.message), ({ fromInput }) => fromInput)
  }
}

const made = new WeakMap<Spec, Codecs>()

export const of = ({ spec }: Any): Codecs => {
  const known = made.get(spec)
  if (known !== undefined) return known
  const codecs = make(spec)
  made.set(spec, codecs)
  return codecs
}

/** Text that an event brings along itself. */
const hasBody = (payload: Json): boolean =>
  typeof payload === "object" && payload !== null && "body" in payload && typeof payload.body === "string" &&
  payload.body.trim() !== ""

/** What the transcript says of an input; of an event also what it carries, since a model sees nothing else of it. */
export const contentOf = (input: Input.Input): Content.Content => {
  const content = append(input)?.content ?? []
  const [first, ...others] = content
  return input._tag !== "external_event" || input.payload === null || hasBody(input.payload) || first?._tag !== "text"
    ? content
    : [Content.text(`${first.text} ${JSON.stringify(input.payload)}`), ...others]
}

const textOf = (input: Input.Input): string => Content.toText(contentOf(input))

/** An input as the agent sees it, or what of it the agent's Schemas do not read. */
export const inputOf = (codecs: Codecs, input: Input.Input): Either.Either<AnyInput, Malformed> => {
  const inputId = input.header.id
  const text = textOf(input)
  switch (input._tag) {
    case "prompt": {
      const steered = input.turn?.handlingMode === "steer"
      return Either.right({ _tag: "Prompt", inputId, text, blocks: input.content, steered })
    }
    case "external_event": {
      const type = input.eventType
      return Option.match(codecs.event(type), {
        onNone: () => Either.left(new Malformed({ field: `events.${type}`, problem: "is no event of the agent" })),
        onSome: ({ decode }) =>
          Either.map(decode(input.payload), (payload) => ({ _tag: "Event" as const, inputId, text, type, payload }))
      })
    }
    default:
      return Either.right(other(input))
  }
}

export const other = (input: Input.Input): Other => {
  const { _tag, header, ...payload } = input
  return { _tag: "Other", inputId: header.id, text: textOf(input), kind: kindOf(input), payload }
}
