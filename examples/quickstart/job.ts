/** The main job: each line of a text becomes a durable prompt, and the agent consumes them. */
import * as FileSystem from "@effect/platform/FileSystem"
import { Driver, Ids, Input, RuntimeStore } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Agent from "./agent.js"
import type { Arguments } from "./arguments.js"
import { type Line, nonEmptyLines } from "./lines.js"
import * as Output from "./output.js"
import { result, RUNTIME_ID } from "./report.js"
import * as Text from "./text.js"

export class LineRefused extends Schema.TaggedError<LineRefused>()("LineRefused", {
  line: Schema.Number,
  reason: Schema.String
}) {
  override get message(): string {
    return `line ${this.line} is refused: ${this.reason}`
  }
}

/** Every kill costs an attempt, and a job that is meant to be killed should not run out of them. */
const limits = { attemptsMax: 1_000_000, stagingsMax: 1_000_000 }

/** Lines that may be accepted and not consumed: how far reading goes ahead of the agent. */
const LINES_AHEAD_MAX = 64

interface Database {
  readonly filename: string
  readonly temporary: boolean
}

const databaseOf = (given: Option.Option<string>) =>
  Option.match(given, {
    onSome: (filename) => Effect.succeed<Database>({ filename, temporary: false }),
    onNone: () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const folder = yield* files.makeTempDirectoryScoped({ prefix: "burrow-quickstart-" })
        return { filename: `${folder}/quickstart.db`, temporary: true }
      })
  })

export const run = (args: Extract<Arguments, { readonly _tag: "run" }>) =>
  Effect.gen(function*() {
    const opening = yield* Text.choose(args)
    const database = yield* databaseOf(args.db)
    yield* Effect.provide(work(opening, database, args), BurrowSqlite.layer({ filename: database.filename, limits }))
  }).pipe(Effect.scoped)

const work = (opening: Text.Opening, { filename, temporary }: Database, options: Agent.Options) =>
  Effect.gen(function*() {
    const drivers = yield* Driver.Drivers
    const driver = yield* drivers.get(RUNTIME_ID)
    yield* Output.line(`database: ${filename}${temporary ? " (removed at the end; --db FILE keeps it)" : ""}`)
    const isNew = yield* tellRecovery(driver)

    // First what an earlier process has left, then line by line; the agent works while the next lines are read.
    const agent = Agent.make(driver, options)
    yield* agent.workOff
    let deduplicated = 0
    const lines = yield* linesOf(yield* opening, isNew)
    yield* lines.pipe(
      Stream.mapEffect((line) => accept(driver, line)),
      Stream.tap((outcome) => Effect.sync(() => outcome === "deduplicated" && deduplicated++)),
      Stream.buffer({ capacity: LINES_AHEAD_MAX }),
      Stream.runForEach(() => agent.workOff)
    )
    yield* Output.settle
    const { json } = yield* result(deduplicated)
    yield* Output.line(json)
  }).pipe(
    Effect.onInterrupt(() =>
      Effect.ignore(Output.notice(`quickstart: interrupted${temporary ? "" : `; --db ${filename} goes on from here`}`))
    )
  )

/** Says what an earlier process has left. Answers whether there was none. */
const tellRecovery = (driver: Driver.Service) =>
  Effect.gen(function*() {
    const store = yield* RuntimeStore.RuntimeStore
    const { accepted, consumed } = yield* store.loadTotals(RUNTIME_ID)
    if (accepted === 0) return true
    const { active, corrupt, lostRun, requeued } = yield* driver.recovery
    yield* Output.line(
      `recovered: ${accepted} accepted before, ${consumed} consumed, ${active} waiting` +
        (lostRun ? `, ${requeued} of them requeued from a run that was lost` : "") +
        (corrupt.length > 0 ? `, ${corrupt.length} unreadable and skipped` : "")
    )
    return false
  })

/** A text that nobody has chosen is not mixed with another. */
const linesOf = (text: Text.Text, isNew: boolean) =>
  Effect.gen(function*() {
    const lines = nonEmptyLines(text.bytes)
    if (isNew || !text.shipped || (yield* isBegun(lines))) {
      yield* Output.line(`text: ${text.name}`)
      return lines
    }
    yield* Output.line("text: none is given, and the database began with another one than the project's")
    return Stream.empty
  })

/** Whether the database began with these lines. */
const isBegun = <E>(lines: Stream.Stream<Line, E>) =>
  Effect.gen(function*() {
    const store = yield* RuntimeStore.RuntimeStore
    const first = yield* Stream.runHead(lines)
    if (Option.isNone(first)) return false
    const stored = yield* store.loadInputStateByKey(RUNTIME_ID, keyOf(first.value))
    return Option.exists(stored, ({ body }) =>
      body._tag === "inline" && Agent.textOf(Input.contentOf(body.input)) === first.value.text)
  })

const keyOf = (line: Line): Ids.IdempotencyKey => Ids.IdempotencyKey.make(Agent.keyOf(line.number))

/** Says that the line is accepted when it is on the disk, and not before. */
const accept = (driver: Driver.Service, line: Line) =>
  Effect.gen(function*() {
    const refused = (reason: string) => new LineRefused({ line: line.number, reason })
    const outcome = yield* driver.accept(Input.prompt(line.text, { idempotencyKey: keyOf(line) })).pipe(
      Effect.catchTags({
        IdempotencyConflict: () => refused("another text was accepted under this number before"),
        InputTooLarge: (error) => refused(error.message),
        InvalidInput: (error) => refused(error.message)
      })
    )
    if (outcome._tag === "rejected") return yield* refused(outcome.reason.detail)
    yield* Output.step(outcome._tag, `${outcome._tag} line ${line.number}`)
    return outcome._tag
  })
