/** What a command's arguments must be, said before the driver sees them: a typed refusal, and nothing written. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { InvalidInput } from "../../schema/DriverError.js"
import { isStorable, RuntimeId } from "../../schema/Ids.js"
import type { Failure } from "../../schema/InputState.js"
import { canonical, type Json } from "../../schema/Json.js"
import type { Limits } from "../../schema/Limits.js"
import type { Note } from "../../schema/Run.js"

const TIME_MAX = 8.64e15

const decodeRuntimeId = Schema.decodeUnknownEither(RuntimeId)

/** A runtime's name, checked. */
export const runtimeIdOf = (
  { idLengthMax }: Pick<Limits, "idLengthMax">,
  name: string
): Either.Either<RuntimeId, InvalidInput> => {
  if (name.length > idLengthMax) {
    return Either.left(
      new InvalidInput({
        runtimeId: `${name.slice(0, 32)}...`,
        field: "runtimeId",
        problem: `is ${name.length} characters long; at most ${idLengthMax} are taken`
      })
    )
  }
  return Either.mapLeft(decodeRuntimeId(name), () =>
    new InvalidInput({
      runtimeId: JSON.stringify(name.slice(0, 32)),
      field: "runtimeId",
      problem: "must be non-empty, well-formed Unicode without NUL"
    }))
}

export class Arguments {
  constructor(private readonly runtimeId: RuntimeId, private readonly limits: Limits) {}

  private invalid(field: string, problem: string): Effect.Effect<never, InvalidInput> {
    return Effect.fail(new InvalidInput({ runtimeId: this.runtimeId, field, problem }))
  }

  /** Epoch milliseconds, if given. */
  time(field: string, value: number | undefined): Effect.Effect<number | null, InvalidInput> {
    if (value === undefined) return Effect.succeed(null)
    return Number.isFinite(value) && value >= 0 && value <= TIME_MAX
      ? Effect.succeed(value)
      : this.invalid(field, "expected milliseconds since the Unix epoch")
  }

  /** A name that is stored: what every store can keep, within the limit. */
  name(field: string, value: string): Effect.Effect<string, InvalidInput> {
    const { keyLengthMax } = this.limits
    if (value === "" || !isStorable(value)) {
      return this.invalid(field, "must be non-empty, well-formed Unicode without NUL")
    }
    return value.length <= keyLengthMax
      ? Effect.succeed(value)
      : this.invalid(field, `is ${value.length} characters long; at most ${keyLengthMax} are taken`)
  }

  /** The canonical text of a value, within `bytesMax`. */
  json(field: string, value: Json, bytesMax: number): Effect.Effect<string, InvalidInput> {
    return Either.match(canonical(value), {
      onLeft: ({ kind, path }) =>
        this.invalid(path === "" ? field : `${field}.${path}`, `is ${kind}, which has no JSON form`),
      onRight: (text) => {
        const bytes = new TextEncoder().encode(text).byteLength
        return bytes <= bytesMax
          ? Effect.succeed(text)
          : this.invalid(field, `has ${bytes} bytes; at most ${bytesMax} are taken`)
      }
    })
  }

  notes(notes: ReadonlyArray<Note>): Effect.Effect<void, InvalidInput> {
    const { notesMax, valueBytesMax } = this.limits
    if (notes.length > notesMax) return this.invalid("notes", `are ${notes.length}; at most ${notesMax} are taken`)
    const seen = new Set<string>()
    return Effect.forEach(notes, ({ key, scope, value }, i) => {
      const name = JSON.stringify([scope, key])
      if (seen.has(name)) return this.invalid(`notes[${i}]`, "names the same scope and key as another one")
      seen.add(name)
      return Effect.zipRight(
        Effect.zipRight(this.name(`notes[${i}].scope`, scope), this.name(`notes[${i}].key`, key)),
        this.json(`notes[${i}].value`, value, valueBytesMax)
      )
    }, { discard: true })
  }

  intents(intents: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, InvalidInput> {
    const { silentIntentsMax } = this.limits
    return intents.length > silentIntentsMax
      ? this.invalid("intents", `are ${intents.length}; at most ${silentIntentsMax} are taken`)
      : Effect.forEach(intents, (intent, i) => this.name(`intents[${i}]`, intent))
  }

  /** Texts that tell what happened are cut rather than refused: a failure must be storable whatever it says. */
  text(value: string): string {
    const { failureLengthMax } = this.limits
    return (value.length <= failureLengthMax ? value : `${value.slice(0, failureLengthMax)}...`)
      .toWellFormed().replaceAll("\u0000", "\ufffd")
  }

  failure({ message, tag }: Failure): Failure {
    return { tag: this.text(tag), message: this.text(message) }
  }
}
