/** A process that is not the owner: it hands inputs over until it is killed. What it was answered is in a journal. */
import { Inbox, Input } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as work from "./work.js"

export interface Options {
  readonly journal: string
  readonly life: number
}

/** New inputs of one runtime in one life. */
const PER_LIFE = 30

/** Names of runtimes with an even number are never sent again; the others are keys, and all sent twice. */
export const isKeyed = (runtime: number): boolean => runtime % 2 === 1

/** `runtime index input-id`, in the order of the answers. */
export const answered = (
  journal: string
): ReadonlyArray<{ readonly runtime: number; readonly name: string; readonly inputId: string }> =>
  (fs.existsSync(journal) ? fs.readFileSync(journal, "utf8").split("\n").slice(0, -1) : []).map((line) => {
    const [name, inputId] = line.split(" ")
    return { runtime: Number(name!.split("/")[0]), name: name!, inputId: inputId! }
  })

const handOver = (runtime: number, name: string) =>
  Effect.flatMap(
    Inbox.Inbox,
    (inbox) => inbox.enqueue(`work/${runtime}`, Input.prompt(name, isKeyed(runtime) ? { idempotencyKey: name } : {}))
  )

export const perform = ({ journal, life }: Options, say: (line: string) => void) =>
  Effect.gen(function*() {
    say("open")
    const earlier = answered(journal)
    for (let i = 0; i < PER_LIFE; i++) {
      for (let runtime = 0; runtime < work.RUNTIMES; runtime++) {
        const known = earlier.filter((answer) => answer.runtime === runtime).length
        const name = `${runtime}/${isKeyed(runtime) ? known + i : life * 1_000 + i}`
        const inputId = yield* handOver(runtime, name)
        fs.appendFileSync(journal, `${name} ${inputId}\n`)
        if (isKeyed(runtime)) yield* handOver(runtime, name)
        yield* Effect.sleep("1 millis")
      }
    }
    say("quiet")
    yield* Effect.never
  })
