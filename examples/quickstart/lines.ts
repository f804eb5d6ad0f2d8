/** Texts as streams of numbered lines. Whatever their length, one piece of the file is in memory at a time. */
import * as Either from "effect/Either"
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

type Read = Either.Either<Line, LineTooLong | NotUtf8>

const extend = (line: Open, piece: Uint8Array): Either.Either<Open, LineTooLong> => {
  const bytes = line.bytes + piece.length
  if (bytes > LINE_BYTES_MAX) {
    return Either.left(new LineTooLong({ line: line.number, lineBytesMax: LINE_BYTES_MAX }))
  }
  line.pieces.push(piece)
  return Either.right({ ...line, bytes })
}

const decode = ({ number, pieces }: Open): Read =>
  Either.try({
    try: () => {
      const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
      const text = decoder.decode(bytes.at(-1) === CR ? bytes.subarray(0, -1) : bytes)
      return { number, text: number === 1 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text }
    },
    catch: () => new NotUtf8({ line: number })
  })

/** The lines that end in `bytes`, and the one that does not. What is wrong with one comes behind those before it. */
const cut = (before: Open, bytes: Uint8Array): readonly [Open, ReadonlyArray<Read>] => {
  const lines: Array<Read> = []
  let line = before
  let from = 0
  for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, from)) {
    lines.push(Either.flatMap(extend(line, bytes.subarray(from, end)), decode))
    line = open(line.number + 1)
    from = end + 1
  }
  if (from === bytes.length) return [line, lines]
  const rest = extend(line, bytes.subarray(from))
  return Either.isRight(rest) ? [rest.right, lines] : [line, [...lines, Either.left(rest.left)]]
}

/** The non-empty lines, without their line ends (LF or CRLF). */
export const nonEmptyLines = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Line, E | LineTooLong | NotUtf8, R> =>
  Stream.suspend(() =>
    Stream.map(bytes, Option.some).pipe(
      Stream.concat(Stream.make(Option.none<Uint8Array>())),
      // Each reading of the stream has a first line of its own.
      Stream.mapAccum(open(1), (line, next) =>
        Option.match(next, {
          onSome: (piece) => cut(line, piece),
          // The last line of a text may have no end.
          onNone: (): readonly [Open, ReadonlyArray<Read>] => [line, [decode(line)]]
        })),
      Stream.mapConcat((lines) => lines),
      Stream.mapEffect((line) => line),
      Stream.filter((line) => line.text.length > 0)
    )
  )
