/**
 * Inputs without end for a few runtimes, each with rows of the application's own and a message to another runtime. What
 * was acknowledged is written into a journal, outside of the database.
 *
 * An input is named `runtime/index`. Every fifth one is a steer; every third run makes a checkpoint.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { ControlPlane, type Executor, Input, RuntimeStore, Session } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as fs from "node:fs"
import { textOf } from "./texts.js"

export const RUNTIMES = 6
const SINKS = 2
/** New inputs of one runtime in one life. */
const PER_LIFE = 8

export const isSteer = (index: number): boolean => index % 5 === 4
export const indexOf = (name: string): number => Number(name.split("/")[1])
const makesCheckpoint = (name: string): boolean => indexOf(name) % 3 === 0

const began = (name: string): string => `began ${name}`
export const reply = (name: string): string => `did ${name}`

/** What an input of the queue lane adds to the transcript, in all its attempts. */
export const messagesOf = (name: string): ReadonlyArray<string> =>
  makesCheckpoint(name) ? [name, began(name), reply(name)] : [name, reply(name)]

/** Without keys: what is written twice is there twice. */
const tables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.zipRight(
    sql`CREATE TABLE IF NOT EXISTS done (name TEXT NOT NULL)`,
    sql`CREATE TABLE IF NOT EXISTS received (name TEXT NOT NULL)`
  ))

const insert = (table: "done" | "received", names: ReadonlyArray<string>) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => Effect.forEach(names, (name) => sql`INSERT INTO ${sql(table)} (name) VALUES (${name})`, { discard: true })
  )

const pause = (millisMax: number) => Effect.flatMap(Random.nextIntBetween(0, millisMax + 1), (ms) => Effect.sleep(ms))

const worker = {
  apply: (run: Executor.Run) =>
    Effect.gen(function*() {
      const names = run.inputs.map(textOf)
      yield* pause(3)
      if (names.some(makesCheckpoint) && Option.isNone(run.resume)) {
        const steers = yield* run.checkpoint({ append: names.map((name) => Session.assistant(began(name))) })
        names.push(...steers.map(textOf))
        yield* pause(3)
      }
      return {
        append: names.map((name) => Session.assistant(reply(name))),
        outbox: names.map((name) => ({ to: `sink/${indexOf(name) % SINKS}`, input: Input.prompt(name) })),
        alongside: insert("done", names),
        result: names
      }
    })
}

const receiver = {
  apply: (run: Executor.Run) => Effect.succeed({ alongside: insert("received", run.inputs.map(textOf)) })
}

export const acknowledged = (journal: string): ReadonlyArray<string> =>
  fs.existsSync(journal) ? fs.readFileSync(journal, "utf8").split("\n").slice(0, -1) : []

/** From where the last life was told; what it was not told of may be known. */
const produce = (journal: string, runtime: number) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    const told = acknowledged(journal).filter((name) => name.startsWith(`${runtime}/`)).length
    for (let index = told; index < told + PER_LIFE; index++) {
      yield* pause(6)
      const name = `${runtime}/${index}`
      const input = Input.prompt(name, { idempotencyKey: name })
      const outcome = yield* isSteer(index)
        ? plane.steer(`work/${runtime}`, input)
        : plane.ingest(`work/${runtime}`, input)
      if (outcome._tag === "rejected") return yield* Effect.dieMessage(`rejected: ${name}`)
      fs.appendFileSync(journal, `${name}\n`)
    }
  })

/** Until nothing is on its way, and nothing is pending but what is held for somebody. */
export const quiet = Effect.gen(function*() {
  const store = yield* RuntimeStore.RuntimeStore
  const isBusy = Effect.gen(function*() {
    if ((yield* store.loadDeposits()).length > 0) return true
    const pending = yield* store.loadPendingRuntimes({ limit: 10_000 })
    return pending.some(({ readyAt }) => Option.isSome(readyAt))
  })
  while (yield* isBusy) yield* Effect.sleep("25 millis")
})

export interface Options {
  /** None: others bring the inputs. */
  readonly journal?: string
  /** It ends when nothing is left to do; the others are to be killed. */
  readonly isLast: boolean
}

export const perform = ({ isLast, journal }: Options, say: (line: string) => void) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    yield* tables
    say("open")
    yield* plane.register("work", worker, { attemptsMax: 1_000 })
    yield* plane.register("sink", receiver, { attemptsMax: 1_000 })
    if (!isLast && journal !== undefined) {
      const runtimes = Array.from({ length: RUNTIMES }, (_, runtime) => runtime)
      yield* Effect.forEach(runtimes, (runtime) => produce(journal, runtime), { concurrency: "unbounded" })
    }
    yield* quiet
    say("quiet")
    if (!isLast) yield* Effect.never
  })
