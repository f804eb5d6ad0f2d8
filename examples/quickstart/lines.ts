/** Texts as streams of numbered lines. Whatever their length, one piece of the file is in memory at a time. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

export interface Line {
  /** From 1; empty lines count. */
  readonly number: number
  readonly text: string
}

export class LineTooLong extends Schema.TaggedError<LineTooLong>()("LineTooLong", {
  line: Schema.Number,
  lineBytesMax: Schema.Number
}) {
  override get message(): string {
    return `line ${this.line} has more than ${this.lineBytesMax} bytes`
  }
}

export class NotUtf8 extends Schema.TaggedError<NotUtf8>()("NotUtf8", { line: Schema.Number }) {
  override get message(): string {
    return `line ${this.line} is not valid UTF-8`
  }
}

export const LINE_BYTES_MAX = 1024 * 1024

const LF = 0x0a
const CR = 0x0d
const BYTE_ORDER_MARK = "\ufeff"

/** A mark at the start of the file is no text; anywhere else it is a character like others. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A line whose end has not come yet. The pieces are the reader's own, so that a line in many of them stays cheap. */
interface Open {
  readonly number: number
  readonly pieces: Array<Uint8Array>
  readonly bytes: number
}

const open = (number: number): Open => ({ number, pieces: [], bytes: 0 })

const extend = (line: Open, piece: Uint8Array): Effect.Effect<Open, LineTooLong> => {
  const bytes = line.bytes + piece.length
  if (bytes > LINE_BYTES_MAX) {
    return Effect.fail(new LineTooLong({ line: line.number, lineBytesMax: LINE_BYTES_MAX }))
  }
  line.pieces.push(piece)
  return Effect.succeed({ ...line, bytes })
}

const decode = ({ number, pieces }: Open): Effect.Effect<Line, NotUtf8> =>
  Effect.try({
    try: () => {
      const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
      const text = decoder.decode(bytes.at(-1) === CR ? bytes.subarray(0, -1) : bytes)
      return { number, text: number === 1 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text }
    },
    catch: () => new NotUtf8({ line: number })
  })

/** The lines that end in `bytes`, and the one that does not. */
const cut = (before: Open, bytes: Uint8Array): Effect.Effect<[Open, ReadonlyArray<Line>], LineTooLong | NotUtf8> =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    let line = before
    let from = 0
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, from)) {
      lines.push(yield* decode(yield* extend(line, bytes.subarray(from, end))))
      line = open(line.number + 1)
      from = end + 1
    }
    return [from === bytes.length ? line : yield* extend(line, bytes.subarray(from)), lines]
  })

/** The non-empty lines, without their line ends (LF or CRLF). */
export const nonEmptyLines = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Line, E | LineTooLong | NotUtf8, R> =>
  Stream.suspend(() =>
    Stream.map(bytes, Option.some).pipe(
      Stream.concat(Stream.make(Option.none<Uint8Array>())),
      // Each reading of the stream has a first line of its own.
      Stream.mapAccumEffect(open(1), (line, next) =>
        Option.match(next, {
          onSome: (piece) => cut(line, piece),
          // The last line of a text may have no end.
          onNone: () => Effect.map(decode(line), (last): [Open, ReadonlyArray<Line>] => [line, [last]])
        })),
      Stream.mapConcatChunk((lines) => Chunk.filter(Chunk.unsafeFromArray(lines), (line) => line.text.length > 0))
    )
  )
