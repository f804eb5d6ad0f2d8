/** Where the text comes from: a named file, standard input, or the text that the project ships. */
import * as NodeStream from "@effect/platform-node/NodeStream"
import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as process from "node:process"
import { isatty } from "node:tty"
import { fileURLToPath } from "node:url"
import type { Arguments } from "./arguments.js"
import * as Output from "./output.js"

export class TextUnreadable extends Schema.TaggedError<TextUnreadable>()("TextUnreadable", {
  name: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.name} cannot be read: ${this.reason}`
  }
}

type Bytes = Stream.Stream<Uint8Array, TextUnreadable>

export interface Text {
  /** For people. */
  readonly name: string
  readonly bytes: Bytes
  /** Nobody has chosen it: the job runs on it only if the database began with it. */
  readonly shipped: boolean
}

const shipped = fileURLToPath(new URL("text.txt", import.meta.url))

/** How long a bare `npm run quickstart` waits for the first byte of a pipe that may be nobody's, in milliseconds. */
const SILENCE_MILLIS_MAX = 3_000

/** Opens the text. On a pipe it waits for the first bytes. */
export type Opening = Effect.Effect<Text, TextUnreadable | Output.OutputFailed, Scope.Scope>

/** Looked at before anything is made: a text that cannot be read leaves no database behind. */
export const choose = ({ bare, textFile }: Extract<Arguments, { readonly _tag: "run" }>): Effect.Effect<
  Opening,
  TextUnreadable,
  FileSystem.FileSystem
> =>
  Effect.gen(function*() {
    if (Option.isSome(textFile)) {
      const name = textFile.value
      const bytes = yield* openFile(name, name)
      return Effect.succeed({ name, bytes, shipped: false })
    }
    const name = "the one that the project ships"
    const own: Text = { name, bytes: yield* openFile(shipped, name), shipped: true }
    return Option.match(yield* standardInput, {
      onNone: () => Effect.succeed(own),
      onSome: ({ bytes, isPipe }) => {
        const text = (bytes: Bytes): Text => ({ name: "standard input", bytes, shipped: false })
        return isPipe
          ? Effect.map(peek(bytes, bare), Option.match({ onNone: () => own, onSome: text }))
          : Effect.succeed(text(bytes))
      }
    })
  })

const openFile = (file: string, name: string): Effect.Effect<Bytes, TextUnreadable, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const { type } = yield* files.stat(file)
    if (type === "Directory") return yield* new TextUnreadable({ name, reason: "it is a directory" })
    yield* files.access(file, { readable: true })
    return readable(name, () => fs.createReadStream(file))
  }).pipe(Effect.catchTags({
    SystemError: (error) => new TextUnreadable({ name, reason: reasonOf(error) }),
    BadArgument: (error) => new TextUnreadable({ name, reason: error.message })
  }))

const reasonOf = (error: PlatformError.SystemError): string => {
  switch (error.reason) {
    case "NotFound":
      return "there is no such file"
    case "PermissionDenied":
      return "permission is denied"
    default:
      return error.message
  }
}

const readable = (name: string, open: () => NodeJS.ReadableStream): Bytes =>
  NodeStream.fromReadable<TextUnreadable, Uint8Array>(
    open,
    (cause) => new TextUnreadable({ name, reason: cause instanceof Error ? cause.message : "unknown cause" })
  )

/**
 * A redirected file counts as given, also when it is empty. A terminal, `/dev/null`, a closed descriptor (which Node
 * replaces by `/dev/null`) and a pipe that ends without a byte count as nothing.
 */
const standardInput: Effect.Effect<
  Option.Option<{ readonly bytes: Bytes; readonly isPipe: boolean }>,
  TextUnreadable
> = Effect.gen(function*() {
  const name = "standard input"
  const stats = yield* Effect.try({
    try: () => fs.fstatSync(0),
    catch: () => new TextUnreadable({ name, reason: "it cannot be looked at" })
  })
  if (stats.isDirectory()) return yield* new TextUnreadable({ name, reason: "it is a directory" })
  if (isatty(0)) return Option.none()
  return Option.some({ bytes: readable(name, () => process.stdin), isPipe: !stats.isFile() })
})

/** The same bytes, once the first of them have come; none for a pipe that ends before. */
const peek = (
  bytes: Bytes,
  bare: boolean
): Effect.Effect<Option.Option<Bytes>, TextUnreadable | Output.OutputFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const pull = yield* Stream.toPull(bytes)
    const rest = Stream.repeatEffectChunkOption(pull)
    const given = pull.pipe(
      Effect.map((first) => Option.some(Stream.concat(Stream.fromChunk(first), rest))),
      Effect.catchAll(Option.match({ onNone: () => Effect.succeedNone, onSome: Effect.fail }))
    )
    const silent = Effect.zipRight(
      Effect.sleep(SILENCE_MILLIS_MAX),
      bare
        ? Effect.as(Output.notice("nothing has come from standard input: going on without it"), Option.none<Bytes>())
        : Effect.zipRight(Output.notice("reading from standard input ..."), Effect.never)
    )
    return yield* Effect.raceFirst(given, silent)
  })
