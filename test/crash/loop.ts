/** Starts the job on one file and kills it with SIGKILL at random moments, until it finishes. */
import Database from "better-sqlite3"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { contentsOf, type Ended, linesOf, type Result, resultOf, run, type Running, start } from "./job.js"
import { makeText, type NumberedLine, transcriptOf } from "./text.js"

export interface Options {
  readonly seed: number
  readonly lines: number
  /** Then the job is left alone to finish. */
  readonly kills: number
  /** An empty one, for the text and the database. */
  readonly folder: string
  readonly log?: (text: string) => Effect.Effect<void>
}

export interface Outcome {
  /** Fewer than asked for, if the job was faster. */
  readonly kills: number
  readonly result: Result
  /** What was seen and should not be. */
  readonly problems: ReadonlyArray<string>
}

type Moment =
  /** Before, while and soon after the file is opened; at the latest after so many lines of progress. */
  | { readonly _tag: "time"; readonly millis: number; readonly lines: number }
  /** So many milliseconds after so many lines of progress. */
  | { readonly _tag: "progress"; readonly millis: number; readonly lines: number }
  /** With the transaction of a boundary open. */
  | { readonly _tag: "boundary"; readonly number: number }

const STARTUP_KILLS = 3
const AFTER_LINE_MILLIS_MAX = 4

/** How long a process takes on this machine until it could open the file. */
const startupMillis = Effect.map(Effect.timed(run(["--help"])), ([duration]) => Duration.toMillis(duration))

const nextMoment = (
  random: PCGRandom,
  { kills, lines }: Options,
  startup: number,
  killsBefore: number
): Moment => {
  // On the average half of it: the job should live until the last kill.
  const boundaries = Math.max(2, Math.floor(lines / kills))
  const linesMax = 2 * boundaries
  const kind = killsBefore < STARTUP_KILLS ? 0 : random.integer(10)
  if (kind < 2) return { _tag: "time", millis: Math.round(startup * (0.5 + random.number() * 0.75)), lines: boundaries }
  if (kind < 5) return { _tag: "boundary", number: 1 + random.integer(boundaries) }
  return { _tag: "progress", lines: 1 + random.integer(linesMax), millis: random.integer(AFTER_LINE_MILLIS_MAX + 1) }
}

const describe = (moment: Moment): string => {
  switch (moment._tag) {
    case "time":
      return `${moment.millis} ms after its start, or ${moment.lines} lines of progress`
    case "progress":
      return `${moment.millis} ms after ${moment.lines} lines of progress`
    case "boundary":
      return `in the middle of its boundary ${moment.number}`
  }
}

const startAndKill = (moment: Moment | undefined, db: string, textFile: string): Effect.Effect<Ended> =>
  Effect.scoped(Effect.gen(function*() {
    let progress = 0
    const args = moment?._tag === "boundary" ? ["--crash-after", `${moment.number}`] : []
    const job: Running = yield* start(["--db", db, ...args, textFile], {
      onLine: (line, { kill }) => {
        if (moment === undefined || moment._tag === "boundary" || !/^(accepted|consumed) /.test(line)) return
        const wait = moment._tag === "progress" ? moment.millis : 0
        if (++progress === moment.lines) setTimeout(() => kill("SIGKILL"), wait)
      }
    })
    if (moment?._tag === "time") {
      return yield* Effect.raceFirst(
        job.ended,
        Effect.sleep(moment.millis).pipe(
          Effect.zipRight(Effect.sync(() => job.kill("SIGKILL"))),
          Effect.zipRight(Effect.never)
        )
      )
    }
    return yield* job.ended
  }))

/** What people were told, by line number: it must be found for ever after. */
interface Told {
  readonly accepted: Set<number>
  readonly consumed: Set<number>
}

const note = (told: Told, { stdout }: Ended): ReadonlyArray<string> => {
  const problems: Array<string> = []
  for (const line of linesOf(stdout)) {
    const [, kind, number] = /^(accepted|deduplicated|consumed) line (\d+)/.exec(line) ?? []
    if (kind === undefined) continue
    const known = kind === "consumed" ? told.consumed : told.accepted
    if (kind !== "deduplicated" && known.has(Number(number))) problems.push(`told twice: ${line}`)
    known.add(Number(number))
  }
  return problems
}

const check = (told: Told, db: string): Effect.Effect<ReadonlyArray<string>, Error> =>
  Effect.gen(function*() {
    // It may have died before it made the file.
    if (!fs.existsSync(db) && told.accepted.size === 0) return []
    const { result } = yield* contentsOf(db)
    return (["accepted", "consumed"] as const).flatMap((kind) =>
      result[kind] < told[kind].size ? [`${told[kind].size} were ${kind}, ${result[kind]} are found`] : []
    )
  }).pipe(
    // Killed while it made the file: there is nothing to read, and nothing was told.
    Effect.catchAll((error) => told.accepted.size === 0 ? Effect.succeed([]) : Effect.fail(error))
  )

/** The whole file, after the last process has ended. */
const inspect = (db: string, lines: ReadonlyArray<NumberedLine>, last: Result): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(run(["--db", db, "--report"]), (report) => {
    const problems: Array<string> = []
    const expect = (what: string, actual: unknown, expected: unknown) => {
      if (actual !== expected) problems.push(`${what}: ${String(actual)}, not ${String(expected)}`)
    }
    expect("the report's exit code", report.code, 0)
    const shown = linesOf(report.stdout).slice(0, -1)
    const expected = transcriptOf(lines)
    expect("messages in the transcript", shown.length, expected.length)
    expected.forEach((line, i) => expect(`message ${i}`, shown[i]?.slice(0, 200), line.slice(0, 200)))
    expect("the report", JSON.stringify({ ...resultOf(report) }), JSON.stringify({ ...last, deduplicated: 0 }))
    expect("accepted", last.accepted, lines.length)
    expect("consumed", last.consumed, lines.length)
    expect("abandoned", last.abandoned, 0)
    expect("receipts", last.receipts, lines.length)
    expect("session messages", last.sessionMessages, 2 * lines.length)
    inspectRows(db, expect, lines.length)
    return problems
  })

const inspectRows = (
  db: string,
  expect: (what: string, actual: unknown, expected: unknown) => void,
  lines: number
): void => {
  const database = new Database(db)
  try {
    expect("integrity_check", database.pragma("integrity_check", { simple: true }), "ok")
    const value = (sql: string) => database.prepare(sql).pluck().get()
    expect(
      "runs whose receipts are not dense",
      value(`SELECT count(*) FROM (SELECT 1 FROM burrow_receipts GROUP BY runtime_no, run_id
        HAVING min(sequence) <> 1 OR max(sequence) <> count(*))`),
      0
    )
    const consumed = `burrow_receipts, json_each(receipt, '$.value.consumed')`
    expect("inputs consumed by receipts", value(`SELECT count(*) FROM ${consumed}`), lines)
    expect("inputs consumed by receipts, each once", value(`SELECT count(DISTINCT value) FROM ${consumed}`), lines)
    expect("inputs that are not terminal", value("SELECT count(*) FROM burrow_inputs WHERE outcome IS NULL"), 0)
    expect("open runs", value("SELECT count(*) FROM burrow_runtimes WHERE run_id IS NOT NULL"), 0)
  } finally {
    database.close()
  }
}

export const crashLoop = (options: Options): Effect.Effect<Outcome, Error> =>
  Effect.gen(function*() {
    const { folder, log = () => Effect.void, seed } = options
    const random = new PCGRandom(seed)
    const { lines, text } = makeText(options.lines, (max) => random.integer(max))
    const textFile = `${folder}/text.txt`
    const db = `${folder}/job.db`
    fs.writeFileSync(textFile, text)

    const told: Told = { accepted: new Set(), consumed: new Set() }
    const problems: Array<string> = []
    const startup = yield* startupMillis
    for (let kills = 0;; kills++) {
      const moment = kills < options.kills ? nextMoment(random, options, startup, kills) : undefined
      const ended = yield* startAndKill(moment, db, textFile)
      problems.push(...note(told, ended))
      if (ended.signal === null) {
        if (ended.code !== 0) {
          return yield* Effect.fail(new Error(`seed ${seed}: the job ended with ${ended.code}: ${ended.stderr}`))
        }
        const result = resultOf(ended)
        return { kills, result, problems: [...problems, ...yield* inspect(db, lines, result)] }
      }
      problems.push(...(yield* check(told, db)).map((problem) => `kill ${kills + 1}: ${problem}`))
      yield* log(
        `kill ${kills + 1}, ${describe(moment!)}: ${told.accepted.size} accepted, ${told.consumed.size} consumed`
      )
    }
  })
