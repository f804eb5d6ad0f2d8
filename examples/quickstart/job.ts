/** The main job: each line of a text becomes a durable prompt, and the agent consumes them. */
import * as FileSystem from "@effect/platform/FileSystem"
import { ControlPlane, Driver, type Ids, Input, RuntimeStore } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Array from "effect/Array"
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

/** The agent needs milliseconds for a line. */
const PATIENCE = "10 seconds"

const temporaryFile = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "burrow-quickstart-" })
  return `${folder}/quickstart.db`
})

export const run = (args: Extract<Arguments, { readonly _tag: "run" }>) =>
  Effect.gen(function*() {
    const opening = yield* Text.choose(args)
    const filename = yield* Effect.catchTag(args.db, "NoSuchElementException", () => temporaryFile)
    const [kept, goesOn] = Option.isSome(args.db)
      ? ["", `; --db ${filename} goes on from here`]
      : [" (removed at the end; --db FILE keeps it)", ""]
    yield* Output.line(`database: ${filename}${kept}`).pipe(
      Effect.zipRight(work(opening, args.crashAfter)),
      Effect.onInterrupt(() => Effect.ignore(Output.notice(`quickstart: interrupted${goesOn}`))),
      Effect.provide(BurrowSqlite.layer({ filename, limits }))
    )
  }).pipe(Effect.scoped)

const work = (opening: Text.Opening, crashAfter: Option.Option<number>) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    const { isNew, left } = yield* tellRecovery(plane)

    // From here on the agent works, at first on what an earlier process has left.
    const told = yield* Effect.makeSemaphore(0)
    yield* plane.register(RUNTIME_ID, Agent.make({ crashAfter, told }))
    const tell = (inputId: Ids.InputId) => Effect.zipRight(tellConsumed(plane, inputId), told.release(1))
    yield* Effect.forEach(left, tell)

    // Then line by line. Reading goes ahead, and each line is waited for in its turn.
    const lines = yield* linesOf(yield* opening, isNew)
    yield* lines.pipe(
      Stream.mapEffect((line) => accept(plane, line)),
      Stream.buffer({ capacity: LINES_AHEAD_MAX }),
      Stream.runForEach((outcome) => outcome._tag === "accepted" ? tell(outcome.inputId) : Effect.void)
    )
    yield* Output.settle
    const { json } = yield* result(Output.counts.deduplicated)
    yield* Output.line(json)
  }).pipe(Effect.scoped)

/** Says what an earlier process has left, and answers the lines of it that the agent will go on with. */
const tellRecovery = (plane: ControlPlane.Service) =>
  Effect.gen(function*() {
    const drivers = yield* Driver.Drivers
    const driver = yield* drivers.get(RUNTIME_ID)
    const { active, corrupt, lostRun, requeued } = yield* driver.recovery
    const { accepted, consumed } = yield* drivers.store.loadTotals(RUNTIME_ID)
    if (accepted === 0) return { isNew: true, left: [] }
    yield* Output.line(
      `recovered: ${accepted} accepted before, ${consumed} consumed, ${active} waiting` +
        (lostRun ? `, ${requeued} of them requeued from a run that was lost` : "") +
        (corrupt.length > 0 ? `, ${corrupt.length} unreadable and skipped` : "")
    )
    const rows = yield* plane.inputs(RUNTIME_ID, { only: "active", limit: active + corrupt.length })
    // What is held waits for a person.
    const left = Array.getRights(rows).filter(({ head }) => head.phase !== "held").map(({ head }) => head.id)
    return { isNew: false, left }
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
    const stored = yield* store.loadInputStateByKey(RUNTIME_ID, Agent.keyOf(first.value.number))
    return Option.exists(stored, ({ body }) =>
      body._tag === "inline" && Agent.textOf(Input.contentOf(body.input)) === first.value.text)
  })

/** Says that the line is accepted when it is on the disk, and not before. */
const accept = (plane: ControlPlane.Service, line: Line) =>
  Effect.gen(function*() {
    const refused = (reason: string) => new LineRefused({ line: line.number, reason })
    const input = Input.prompt(line.text, { idempotencyKey: Agent.keyOf(line.number) })
    const outcome = yield* plane.ingest(RUNTIME_ID, input).pipe(
      Effect.catchTags({
        IdempotencyConflict: () => refused("another text was accepted under this number before"),
        InputTooLarge: (error) => refused(error.message),
        InvalidInput: (error) => refused(error.message)
      })
    )
    if (outcome._tag === "rejected") return yield* refused(outcome.reason.detail)
    yield* Output.step(outcome._tag, `${outcome._tag} line ${line.number}`)
    return outcome
  })

/** Says that the line is consumed when its boundary is on the disk, and not before. */
const tellConsumed = (plane: ControlPlane.Service, inputId: Ids.InputId) =>
  plane.await(RUNTIME_ID, inputId).pipe(
    Effect.timeout(PATIENCE),
    // The engine waits until a store that fails is well again. This job ends: a write tells what is wrong.
    Effect.tapErrorTag("TimeoutException", () => plane.publishEvent(RUNTIME_ID, "quickstart.overdue", inputId)),
    Effect.flatMap(({ result }) => Output.step("consumed", `consumed ${Option.getOrElse(result, () => inputId)}`))
  )
