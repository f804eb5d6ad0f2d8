/** A small deterministic agent: it answers each line with what it counted in it. */
import { type Executor, Ids, Input, type Message, Session } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as process from "node:process"
import * as Output from "./output.js"

/** The name under which a line is one and the same input, however often the job is started. */
export const keyOf = (line: number): Ids.IdempotencyKey => Ids.IdempotencyKey.make(String(line))

const nameOf = (input: Input.Input): string => `line ${input.header.idempotencyKey ?? "?"}`

export const textOf = (content: Message["content"]): string =>
  content.map((block) => block._tag === "text" ? block.text : `[${block._tag}]`).join("")

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const answer = (text: string): string => {
  const words = text.split(/\s+/u).filter((word) => word !== "").length
  return `${plural(words, "word")}, ${plural([...text].length, "character")}`
}

const replyTo = (input: Input.Input): string => `-> ${nameOf(input)}: ${answer(textOf(Input.contentOf(input)))}`

/** It is called inside the transaction that the boundary is about to commit, and does not come back. */
const crash = (boundary: number): Effect.Effect<never> =>
  Effect.ignore(Output.line(`killing this process in the middle of boundary ${boundary}`)).pipe(
    Effect.zipRight(Effect.sync(() => process.kill(process.pid, "SIGKILL"))),
    Effect.zipRight(Effect.never)
  )

export interface Options {
  /** The boundary of this process that it does not survive; the first one is 1. */
  readonly crashAfter: Option.Option<number>
  /** Has a permit for each line that was told to be consumed. */
  readonly told: Effect.Semaphore
}

/**
 * A run has one line. What `apply` answers is committed at once: the line and its reply are in the session, the input is
 * consumed, the receipt is written, and whoever waits for the line is given the result.
 */
export const make = ({ crashAfter, told }: Options): Executor.Executor => {
  let boundaries = 0
  return {
    apply: ({ attempt, inputs }) =>
      Effect.gen(function*() {
        const boundary = ++boundaries
        const again = attempt === 1 ? "" : ` (attempt ${attempt})`
        const output = {
          // The lines themselves are appended by the library, as the messages of the inputs.
          append: inputs.map((input) => Session.assistant(replyTo(input))),
          result: `${inputs.map(nameOf).join(", ")}${again}`
        }
        if (!Option.contains(crashAfter, boundary)) return output
        // Nobody else could tell of the boundaries before this one.
        yield* told.take(boundary - 1)
        return { ...output, alongside: crash(boundary) }
      })
  }
}
