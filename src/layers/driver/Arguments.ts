/** What a command's arguments must be, said before the driver sees them: a typed refusal, and nothing written. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Kind } from "../../core/Boundary.js"
import { isReserved } from "../../core/Children.js"
import { InvalidInput } from "../../schema/DriverError.js"
import { type InputId, isStorable, operationKey, RuntimeId } from "../../schema/Ids.js"
import { OperationEnd } from "../../schema/Input.js"
import type { Awaited, Failure } from "../../schema/InputState.js"
import { canonical, type Json } from "../../schema/Json.js"
import type { Limits } from "../../schema/Limits.js"
import type { Note } from "../../schema/Run.js"

const TIME_MAX = 8.64e15

const byteLength = (text: string): number => new TextEncoder().encode(text).byteLength

const isOperationEnd = Schema.is(OperationEnd)
/** What `Ids.operationKey` puts in front of a name. */
const OPERATION_PREFIX_LENGTH = operationKey("-").length - 1

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
  name(field: string, value: string, lengthMax = this.limits.keyLengthMax): Effect.Effect<string, InvalidInput> {
    if (value === "" || !isStorable(value)) {
      return this.invalid(field, "must be non-empty, well-formed Unicode without NUL")
    }
    return value.length <= lengthMax
      ? Effect.succeed(value)
      : this.invalid(field, `is ${value.length} characters long; at most ${lengthMax} are taken`)
  }

  /** It has to fit into the key of its end. */
  operationId(field: string, value: string): Effect.Effect<string, InvalidInput> {
    return this.name(field, value, this.limits.keyLengthMax - OPERATION_PREFIX_LENGTH)
  }

  operationEnd(end: OperationEnd): Effect.Effect<OperationEnd, InvalidInput> {
    return isOperationEnd(end)
      ? Effect.succeed(end)
      : this.invalid("end", "expected completed with a result, failed with an error, or cancelled")
  }

  awaits(kind: Kind, awaits: ReadonlyArray<Awaited>): Effect.Effect<void, InvalidInput> {
    const { notesMax } = this.limits
    if (kind === "final" && awaits.length > 0) return this.invalid("awaits", "the batch ends with its final boundary")
    if (awaits.length > notesMax) return this.invalid("awaits", `are ${awaits.length}; at most ${notesMax} are taken`)
    const seen = new Set<string>()
    return Effect.forEach(awaits, ({ operationId, until }, i) => {
      if (seen.has(operationId)) return this.invalid(`awaits[${i}]`, "names the same operation as another one")
      seen.add(operationId)
      if (until !== null && !Number.isInteger(until)) {
        return this.invalid(`awaits[${i}].until`, "expected whole milliseconds since the Unix epoch")
      }
      return Effect.zipRight(
        this.operationId(`awaits[${i}].operationId`, operationId),
        this.time(`awaits[${i}].until`, until ?? undefined)
      )
    }, { discard: true })
  }

  /** What inputs become: their canonical texts, all together within what one delta may append. */
  messages(
    messages: ReadonlyMap<InputId, Json | null>
  ): Effect.Effect<ReadonlyMap<InputId, string | null>, InvalidInput> {
    const { appendBytesMax, appendMessagesMax } = this.limits
    if (messages.size > appendMessagesMax) {
      return this.invalid("messages", `are ${messages.size}; at most ${appendMessagesMax} are taken`)
    }
    return Effect.gen(this, function*() {
      const texts = new Map<InputId, string | null>()
      let left = appendBytesMax
      for (const [inputId, message] of messages) {
        const text = message === null ? null : yield* this.json(`messages.${inputId}`, message, left)
        if (text !== null) left -= byteLength(text)
        texts.set(inputId, text)
      }
      return texts
    })
  }

  /** The canonical text of a value, within `bytesMax`. */
  json(field: string, value: Json, bytesMax: number): Effect.Effect<string, InvalidInput> {
    return Either.match(canonical(value), {
      onLeft: ({ kind, path }) =>
        this.invalid(path === "" ? field : `${field}.${path}`, `is ${kind}, which has no JSON form`),
      onRight: (text) => {
        const bytes = byteLength(text)
        return bytes <= bytesMax
          ? Effect.succeed(text)
          : this.invalid(field, `has ${bytes} bytes; at most ${bytesMax} are taken`)
      }
    })
  }

  /** A boundary's notes. `recorded`: how many the driver makes itself. */
  notes(notes: ReadonlyArray<Note>, recorded: number): Effect.Effect<void, InvalidInput> {
    const { notesMax, valueBytesMax } = this.limits
    const count = notes.length + recorded
    if (count > notesMax) return this.invalid("notes", `are ${count}; at most ${notesMax} are taken`)
    const seen = new Set<string>()
    return Effect.forEach(notes, ({ key, scope, value }, i) => {
      const name = JSON.stringify([scope, key])
      if (seen.has(name)) return this.invalid(`notes[${i}]`, "names the same scope and key as another one")
      seen.add(name)
      if (isReserved(scope)) return this.invalid(`notes[${i}].scope`, "is for what the driver notes")
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
