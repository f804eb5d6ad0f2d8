/** What is said, and where: lines and the result on stdout, the updating line of a terminal and errors on stderr. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as process from "node:process"

export class OutputFailed extends Schema.TaggedError<OutputFailed>()("OutputFailed", { reason: Schema.String }) {
  override get message(): string {
    return `nothing more can be printed: ${this.reason}`
  }
}

const outputFailed = (error: NodeJS.ErrnoException): OutputFailed =>
  new OutputFailed({ reason: error.code === "EPIPE" ? "the reader has gone" : error.message })

// A failed write also is an event, and without a listener that ends the process with a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

/**
 * Ends in a turn of the event loop: commits are synchronous, and a job that does one after the other would otherwise
 * hear of a signal when it is done.
 */
const write = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void, OutputFailed> =>
  Effect.async((resume) => {
    stream.write(text, (error) => setImmediate(() => resume(error ? outputFailed(error) : Effect.void)))
  })

/** Terminals show one line that changes; whoever reads a pipe or a file gets every line. */
const updates = process.stderr.isTTY === true
const plain = !(updates && process.stdout.isTTY === true)

let shown = false

const clear = Effect.suspend(() => {
  if (!shown) return Effect.void
  shown = false
  return write(process.stderr, "\r\u001b[K")
})

/** A line that stays. */
export const line = (text: string): Effect.Effect<void, OutputFailed> =>
  Effect.zipRight(clear, write(process.stdout, `${text}\n`))

/** A line that stays, for people only. */
export const notice = (text: string): Effect.Effect<void, OutputFailed> =>
  Effect.zipRight(clear, write(process.stderr, `${text}\n`))

/** The changing line stays as it is. */
export const settle: Effect.Effect<void, OutputFailed> = Effect.suspend(() => {
  if (!shown) return Effect.void
  shown = false
  return write(process.stderr, "\n")
})

/** Of this process. */
export const counts = { accepted: 0, deduplicated: 0, consumed: 0 }

/** One step of the job, said when it is durable. */
export const step = (kind: keyof typeof counts, text: string): Effect.Effect<void, OutputFailed> =>
  Effect.gen(function*() {
    counts[kind]++
    if (plain) yield* line(text)
    if (!updates) return
    const { accepted, consumed, deduplicated } = counts
    const known = deduplicated === 0 ? "" : `, ${deduplicated} known before`
    const status = `${accepted} accepted${known}, ${consumed} consumed: ${text}`
    shown = true
    yield* write(process.stderr, `\r\u001b[K${status.slice(0, (process.stderr.columns || 80) - 1)}`)
  })

/** The end of a failed job: one line for what can be expected, everything for what cannot. */
export const complain = <E extends Error>(cause: Cause.Cause<E>): Effect.Effect<void> => {
  if (Cause.isInterruptedOnly(cause)) return Effect.void
  const text = Option.match(Cause.failureOption(cause), {
    onNone: () => Cause.pretty(cause),
    onSome: (error) => `quickstart: ${error.message.replace(/\s*\n\s*/g, " ")}`
  })
  return Effect.ignore(notice(text))
}
