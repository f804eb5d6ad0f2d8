/**
 * The everyday service over the engine of this process.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { UnknownQuestion } from "../schema/AgentError.js"
import { Cancelled } from "../schema/AwaitError.js"
import { InvalidInput } from "../schema/DriverError.js"
import { isReservedKey, type RuntimeId } from "../schema/Ids.js"
import type { AcceptOutcome } from "../schema/Report.js"
import { IdempotencyConflict } from "../schema/StoreError.js"
import { type Accepted, Agents, operationOf, type Service } from "../services/Agents.js"
import { ControlPlane } from "../services/ControlPlane.js"
import { Drivers } from "../services/Driver.js"
import type { Completion } from "../services/Observer.js"
import { awaitError, sendError, unavailable } from "./agents/errors.js"
import { activeHeads, openQuestions, wasAsked } from "./agents/questions.js"
import { watch } from "./agents/watch.js"

type Plane = Context.Tag.Service<ControlPlane>
type DriversHere = Context.Tag.Service<Drivers>

const MESSAGES = 100
const MESSAGES_MAX = 1_000

const accepted = (runtimeId: string) => (outcome: AcceptOutcome): Effect.Effect<Accepted, InvalidInput> => {
  switch (outcome._tag) {
    case "accepted":
      return Effect.succeed({ inputId: outcome.inputId, duplicate: false, sequence: outcome.sequence })
    case "deduplicated":
      return Effect.succeed({ inputId: outcome.existing, duplicate: true, sequence: outcome.sequence })
    case "rejected":
      return new InvalidInput({ runtimeId, field: "input", problem: outcome.reason.detail })
  }
}

const send = (plane: Plane): Service["send"] => (runtimeId, input) => {
  const { idempotencyKey = "" } = input.header ?? {}
  return isReservedKey(idempotencyKey)
    ? new InvalidInput({ runtimeId, field: "key", problem: "begins as the library's own keys do" })
    : Effect.flatMap(Effect.mapError(plane.ingest(runtimeId, input), sendError), accepted(runtimeId))
}

const operationEnd = (drivers: DriversHere, runtimeId: string, operationId: string) =>
  Effect.scoped(Effect.flatMap(drivers.lease(runtimeId), (driver) => driver.operationEnd(operationId)))

const answer = (plane: Plane, drivers: DriversHere): Service["answer"] => (runtimeId, { answer, key, question }) =>
  Effect.gen(function*() {
    const unknown = () => new UnknownQuestion({ runtimeId, question, key })
    const asked = yield* Effect.mapError(wasAsked(drivers.store, runtimeId, { question, key }), unavailable)
    // Other operations are not ended by an answer.
    if (!asked) return yield* unknown()
    const operationId = operationOf(question, key)
    const outcome = yield* plane.endOperation(runtimeId, operationId, { _tag: "completed", result: answer }).pipe(
      Effect.mapError((error) =>
        error._tag === "UnknownOperation" || error._tag === "RuntimeNotFound" ? unknown() : sendError(error)
      ),
      // Somebody else has answered it otherwise, unless it was given up: then it has expired.
      Effect.catchTag("IdempotencyConflict", (conflict) =>
        Effect.flatMap(
          Effect.mapError(operationEnd(drivers, runtimeId, operationId), sendError),
          (end) =>
            Effect.fail(
              Option.exists(end, ({ _tag }) => _tag === "cancelled")
                ? unknown()
                : new IdempotencyConflict({ runtimeId, key, inputId: conflict.inputId })
            )
        ))
    )
    return yield* accepted(runtimeId)(outcome)
  })

/** The inputs whose end is that of a run, when it has consumed an input on its way: what a steer went into. */
const batchBehind = (plane: Plane, runtimeId: string, { result, runId, sequence }: Completion) =>
  Option.isSome(result) || Option.isNone(runId) || Option.isNone(sequence)
    ? Effect.succeed([])
    : Effect.map(
      plane.loadBoundaryReceipt(runtimeId, runId.value, sequence.value),
      Option.match({
        onNone: () => [],
        onSome: ({ receipt: { boundary, consumed, contributors } }) =>
          boundary === "checkpoint" ? contributors.filter((id) => !consumed.includes(id)) : []
      })
    )

const awaiting = (plane: Plane): Service["await"] => (runtimeId, inputId) =>
  Effect.gen(function*() {
    const own = yield* plane.await(runtimeId, inputId)
    const [first, ...others] = yield* batchBehind(plane, runtimeId, own)
    if (first === undefined) return own.result
    // A batch that has committed something ends as a whole, but for members that were cancelled alone.
    const whole = others.reduce(
      (before, other) => Effect.catchIf(before, isCancelled, () => plane.await(runtimeId, other)),
      plane.await(runtimeId, first)
    )
    return (yield* whole).result
  }).pipe(Effect.mapError(awaitError))

const isCancelled = (error: unknown): error is Cancelled => error instanceof Cancelled

const cancel = (plane: Plane): Service["cancel"] => (runtimeId, { inputId, reason }) => {
  const end = (inputId?: string) =>
    plane.cancel(runtimeId, inputId === undefined ? { reason } : { reason, inputId }).pipe(
      // Nothing is there, any more or at all: under a name that cannot be one, too.
      Effect.catchTags({
        RuntimeNotFound: () => Effect.void,
        Destroyed: () => Effect.void,
        UnknownInput: () => Effect.void,
        InvalidInput: () => Effect.void
      }),
      Effect.mapError(unavailable),
      Effect.asVoid
    )
  const held = Effect.map(
    Effect.mapError(activeHeads(plane, runtimeId), unavailable),
    (heads) => heads.filter(({ hold }) => hold === "question").map(({ id }) => id)
  )
  const endAll = (ids: ReadonlyArray<string>) => Effect.forEach(ids, (id) => end(id), { discard: true })
  if (inputId !== undefined) return end(inputId)
  // Looked for on both sides of the open run: an answer may come meanwhile, and a run begin to wait for one.
  return Effect.flatMap(held, (before) =>
    end().pipe(
      Effect.zipRight(endAll(before)),
      Effect.zipRight(Effect.flatMap(held, endAll))
    ))
}

const messages = (plane: Plane): Service["messages"] => (runtimeId, { after = 0, limit = MESSAGES }) => {
  const start = after > 0 ? Math.min(Math.trunc(after), Number.MAX_SAFE_INTEGER) : 0
  return plane.transcript(runtimeId, {
    start,
    limit: limit >= 1 ? Math.min(Math.trunc(limit), MESSAGES_MAX) : 1
  }).pipe(
    Effect.map(({ length, messages }) => {
      const end = start + messages.length
      return { items: messages, next: end < length ? Option.some(end) : Option.none() }
    }),
    Effect.mapError(unavailable)
  )
}

/**
 * What handles need, over the engine of this process; `Burrow.layerMemory` and `BurrowSqlite.layer` have it in them.
 *
 * @example
 * ```ts
 * import { Agents, Burrow, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * // Waits until some executor of "cook" has carried it out.
 * const dinner = Effect.gen(function*() {
 *   const agents = yield* Agents.Agents
 *   const { inputId } = yield* agents.send("cook/ana", Input.prompt("Make dinner", { idempotencyKey: "monday" }))
 *   return yield* agents.await("cook/ana", inputId)
 * }).pipe(Effect.provide(Burrow.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Agents, never, ControlPlane | Drivers> = Layer.effect(
  Agents,
  Effect.gen(function*() {
    const plane = yield* ControlPlane
    const drivers = yield* Drivers
    const { store } = drivers
    return {
      send: send(plane),
      await: awaiting(plane),
      answer: answer(plane, drivers),
      questions: (runtimeId) => Effect.mapError(openQuestions(plane, store, runtimeId), unavailable),
      cancel: cancel(plane),
      state: (runtimeId) => Effect.mapError(store.loadSessionSnapshot(runtimeId as RuntimeId), unavailable),
      messages: messages(plane),
      watch: (runtimeId, options) => Stream.mapError(watch(plane, store, runtimeId, options), unavailable)
    }
  })
)
