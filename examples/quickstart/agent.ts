/** A small deterministic agent: it answers each line with what it counted in it. */
import { type Driver, Input, Session } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as process from "node:process"
import * as Output from "./output.js"

/** The name under which a line is one and the same input, however often the job is started. */
export const keyOf = (line: number): string => String(line)

const lineOf = (input: Input.Input): string => input.header.idempotencyKey ?? "?"

export const textOf = (content: Session.Message["content"]): string =>
  content.map((block) => block._tag === "text" ? block.text : `[${block._tag}]`).join("")

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const answer = (text: string): string => {
  const words = text.split(/\s+/u).filter((word) => word !== "").length
  return `${plural(words, "word")}, ${plural([...text].length, "character")}`
}

const replyTo = (input: Input.Input): string => `-> line ${lineOf(input)}: ${answer(textOf(Input.contentOf(input)))}`

/** It is called inside the transaction that the boundary is about to commit, and does not come back. */
const crash = (boundary: number): Effect.Effect<never, Output.OutputFailed> =>
  Output.line(`killing this process in the middle of boundary ${boundary}`).pipe(
    Effect.zipRight(Effect.sync(() => process.kill(process.pid, "SIGKILL"))),
    Effect.zipRight(Effect.never)
  )

export interface Options {
  readonly crashAfter: Option.Option<number>
}

/**
 * Works off what waits, run by run. A run ends by one commit: the line and its reply are in the session, the input is
 * consumed, the receipt is written. What ends a run before that gives it back.
 */
export const make = (driver: Driver.Service, { crashAfter }: Options) => {
  let boundaries = 0

  const perform = (run: Driver.StagedRun) =>
    Effect.gen(function*() {
      const inputs = Either.all(run.inputs.map(({ input }) => input))
      if (Either.isLeft(inputs)) {
        yield* driver.hold({ runId: run.runId, reason: "undecodable" })
        return yield* Output.line(`held an input that cannot be read: ${inputs.left.message}`)
      }
      const boundary = ++boundaries
      yield* driver.complete({
        runId: run.runId,
        // The lines themselves are appended by the library, as the messages of the inputs.
        delta: { append: inputs.right.map((input) => Session.assistant(replyTo(input))) },
        ...(Option.contains(crashAfter, boundary) && { alongside: crash(boundary) })
      })
      for (const input of inputs.right) {
        const again = run.attempt === 1 ? "" : ` (attempt ${run.attempt})`
        yield* Output.step("consumed", `consumed line ${lineOf(input)}${again}`)
      }
    })

  /** Staging is not interrupted: a run that nobody knows of would count as lost. */
  const next = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const staged = yield* driver.stage()
      if (staged._tag === "nothing") return false
      const { run } = staged
      yield* restore(perform(run)).pipe(
        // A run that has ended meanwhile needs nothing.
        Effect.onError(() => Effect.ignore(driver.giveBack({ runId: run.runId })))
      )
      return true
    })
  )

  return { workOff: Effect.repeat(next, { while: (wasThere) => wasThere }) }
}
