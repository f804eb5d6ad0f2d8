/**
 * One batch, as a script of five boundaries. The executor does what its snapshot says is not done yet, so a resumed
 * attempt begins behind the last boundary.
 *
 *   1 checkpoint   steers itself with A before it, which it is handed
 *   2 checkpoint   steers itself with B before it; the message `first` leaves with it, and is waited for
 *   3 note
 *   4 checkpoint
 *   5 final        the message `second` leaves from its `alongside`
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { ControlPlane, Executor, Input, RuntimeStore, Session } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { textOf, textOfMessage } from "./texts.js"

export const WORK = "work/1"
export const SINK = "sink/1"

/** What one attempt saw. */
export interface Sight {
  readonly attempt: number
  readonly afterLoss: boolean
  readonly key: string
  /** The boundary of this batch's earlier attempts that it goes on behind. */
  readonly resume: number | null
  readonly resumeRun: string | null
  readonly runId: string
  readonly history: ReadonlyArray<string>
  /** The steers it was handed, by the step of the checkpoint. */
  readonly handed: { [step: number]: ReadonlyArray<string> }
}

const insert = (table: "steps" | "received", value: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO ${sql(table)} (value) VALUES (${value})`)

/** No key and no primary key: whatever is written twice is there twice. */
export const tables = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.zipRight(
    sql`CREATE TABLE IF NOT EXISTS steps (value TEXT NOT NULL)`,
    sql`CREATE TABLE IF NOT EXISTS received (value TEXT NOT NULL)`
  ))

const steps = 5

/** Until everything that was handed over is admitted. */
const delivered = Effect.gen(function*() {
  const store = yield* RuntimeStore.RuntimeStore
  while ((yield* store.loadDeposits()).length > 0) yield* Effect.sleep("2 millis")
})

const step = (run: Executor.Run, number: number, sight: Sight) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    const delta = {
      append: [Session.assistant(`step ${number}`)],
      snapshot: new Uint8Array([number]),
      alongside: insert("steps", `step ${number}`)
    }
    const note = (texts: ReadonlyArray<Input.Input>) => {
      sight.handed[number] = texts.map(textOf)
    }
    switch (number) {
      case 1:
        yield* plane.steer(WORK, Input.prompt("A", { idempotencyKey: "A" }))
        return note(yield* run.checkpoint(delta))
      case 2:
        yield* plane.steer(WORK, Input.prompt("B", { idempotencyKey: "B" }))
        note(yield* run.checkpoint({ ...delta, outbox: [{ to: SINK, input: Input.prompt("first") }] }))
        return yield* delivered
      case 3:
        return yield* run.note({ ...delta, notes: [{ scope: "script", key: "step 3", value: "noted" }] })
      default:
        return note(yield* run.checkpoint(delta))
    }
  })

/** `see` is told what the attempt saw when it ends, and whenever it is about to commit. */
export const executor = (see: (sight: Sight) => void) => ({
  apply: (run: Executor.Run) =>
    Effect.gen(function*() {
      // Steers that no checkpoint of the order's run was left for.
      if (!run.inputs.some((input) => textOf(input) === "order")) return {}
      const done = Option.match(yield* run.snapshot, { onNone: () => 0, onSome: (bytes) => bytes[0]! })
      const sight: Sight = {
        attempt: run.attempt,
        afterLoss: run.afterLoss,
        key: run.idempotencyKey,
        resume: Option.getOrNull(Option.map(run.resume, ({ sequence }) => sequence)),
        resumeRun: Option.getOrNull(Option.map(run.resume, ({ runId }) => runId)),
        runId: run.runId,
        history: (yield* run.history()).map(textOfMessage),
        handed: {}
      }
      see(sight)
      for (let number = done + 1; number < steps; number++) {
        yield* step(run, number, sight)
        see(sight)
      }
      const send = Effect.flatMap(Executor.Outbox, (outbox) => outbox.send(SINK, Input.prompt("second")))
      return {
        append: [Session.assistant(`step ${steps}`)],
        result: "done",
        alongside: Effect.zipRight(insert("steps", `step ${steps}`), send)
      }
    })
})

/** Notes what it received with the commit that consumes it. */
const receiver = {
  apply: (run: Executor.Run) =>
    Effect.succeed({
      alongside: Effect.forEach(run.inputs, (input) => insert("received", textOf(input)), { discard: true })
    })
}

export const order = Input.prompt("order", { idempotencyKey: "order" })

/** The life of an owner: registers, sends the order, and waits for its end. */
export const perform = (see: (sight: Sight) => void, who: "the first" | "the next") =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    yield* tables
    yield* plane.register("work", executor(see), { attemptsMax: 100 })
    if (who === "the next") yield* plane.register("sink", receiver)
    const completion = yield* plane.submit(WORK, order)
    yield* delivered
    return completion
  })

/** Until nothing of any runtime is pending. */
export const quiet = Effect.gen(function*() {
  const store = yield* RuntimeStore.RuntimeStore
  while ((yield* store.loadPendingRuntimes()).length > 0) yield* Effect.sleep("2 millis")
})
