/** The next owner of a file that the script was killed on, in this process, until nothing is left to do. */
import { ControlPlane, Ids, RuntimeStore } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { auditQuiet, withRows } from "./audit.js"
import * as script from "./script.js"
import { textOfMessage } from "./texts.js"

const nameIn = (payload: unknown): string => /"text":"(\w+)"/.exec(String(payload))?.[1] ?? "?"

/** What is in the file, in the words of the table in `commits.test.ts`. */
export const diskOf = (filename: string): string =>
  withRows(filename, (rows) => {
    const tables = rows("SELECT name FROM sqlite_master").map(({ name }) => name)
    const work = tables.includes("burrow_runtimes") ? rows("SELECT * FROM burrow_runtimes WHERE no = 1")[0] : undefined
    if (work === undefined) return "nothing"
    const names = (sql: string) => rows(sql).map(({ payload }) => nameIn(payload)).join(", ")
    const out = names("SELECT payload FROM burrow_deposits ORDER BY no")
    const sink = names("SELECT payload FROM burrow_inputs WHERE runtime_no = 2 ORDER BY no")
    return [
      ...rows("SELECT * FROM burrow_inputs WHERE runtime_no = 1 ORDER BY no").map(({ attempt, payload, phase }) =>
        `${nameIn(payload)} ${phase}${nameIn(payload) === "order" && phase !== "consumed" ? ` ${attempt}` : ""}`
      ),
      work["run_id"] === null ? "no run" : `run at ${work["run_sequence"]}`,
      `rows ${rows("SELECT value FROM steps").length}`,
      ...out === "" ? [] : [`out: ${out}`],
      ...sink === "" ? [] : [`sink: ${sink}`]
    ].join("; ")
  })

export const sightOf = (sight: script.Sight | undefined): string => {
  if (sight === undefined) return "nothing"
  const handed = Object.entries(sight.handed).map(([step, names]) => ` ${step}[${names.join("")}]`).join("")
  return `attempt ${sight.attempt}${sight.afterLoss ? " after a loss" : ""}, behind ${sight.resume ?? "none"},${handed}`
}

interface Found {
  readonly sight: script.Sight | undefined
  readonly result: unknown
  readonly transcript: ReadonlyArray<string>
  readonly notes: ReadonlyArray<unknown>
  readonly steps: ReadonlyArray<unknown>
  readonly received: ReadonlyArray<unknown>
  readonly problems: ReadonlyArray<string>
}

const column = (filename: string, table: string): ReadonlyArray<unknown> =>
  withRows(filename, (rows) => rows(`SELECT value FROM ${table} ORDER BY rowid`).map(({ value }) => value))

const transcript = Effect.gen(function*() {
  const store = yield* RuntimeStore.RuntimeStore
  const { messages } = yield* store.loadTranscript(Ids.RuntimeId.make(script.WORK))
  return messages.map(textOfMessage)
})

const order = Effect.gen(function*() {
  const plane = yield* ControlPlane.ControlPlane
  const rows = yield* plane.inputs(script.WORK, { limit: 1 })
  return Either.getOrThrow(rows[0]!).head
})

/** Works until nothing is left to do. */
export const takesOver = (filename: string, first?: "release") =>
  Effect.gen(function*() {
    const sights = new Map<string, script.Sight>()
    if (first === "release") {
      const plane = yield* ControlPlane.ControlPlane
      yield* plane.release(script.WORK, (yield* order).id)
    }
    const { result } = yield* script.perform((sight) => sights.set(sight.runId, sight), "the next")
    yield* script.quiet
    const store = yield* RuntimeStore.RuntimeStore
    return {
      sight: sights.values().next().value,
      result: Option.getOrNull(result),
      transcript: yield* transcript,
      notes: yield* store.loadNotes(Ids.RuntimeId.make(script.WORK), "script")
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(BurrowSqlite.layer({ filename })),
    Effect.map((seen): Found => ({
      ...seen,
      problems: auditQuiet(filename),
      received: column(filename, "received"),
      steps: column(filename, "steps")
    }))
  )

/** An owner that holds what was lost: what it finds, and how many runs it begins. */
export const holds = (filename: string) =>
  Effect.gen(function*() {
    let runs = 0
    const working = yield* Effect.fork(script.perform(() => runs++, "the next"))
    const store = yield* RuntimeStore.RuntimeStore
    while ((yield* order).phase !== "held") yield* Effect.sleep("2 millis")
    while ((yield* store.loadDeposits()).length > 0) yield* Effect.sleep("2 millis")
    yield* Effect.sleep("50 millis")
    const { hold, phase } = yield* order
    yield* Fiber.interrupt(working)
    return { phase, hold, runs }
  }).pipe(
    Effect.scoped,
    Effect.provide(BurrowSqlite.layer({ filename, inDoubt: "hold" })),
    Effect.map((seen) => ({ ...seen, steps: column(filename, "steps") }))
  )

/** An owner that settles what was lost. */
export const settles = (filename: string) =>
  Effect.gen(function*() {
    const ended = yield* Effect.either(script.perform(() => {}, "the next"))
    yield* script.quiet
    return { error: Either.isLeft(ended) ? ended.left._tag : "none", transcript: yield* transcript }
  }).pipe(
    Effect.scoped,
    Effect.provide(BurrowSqlite.layer({ filename, inDoubt: "settle" })),
    Effect.map((seen) => ({
      ...seen,
      problems: auditQuiet(filename),
      received: column(filename, "received"),
      steps: column(filename, "steps")
    }))
  )
