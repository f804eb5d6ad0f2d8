/** What a run's commands read besides the driver's memory: bodies of inputs, and the receipt of a repetition. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { BoundaryFacts } from "../../core/Boundary.js"
import type { Child } from "../../core/Children.js"
import * as Projection from "../../core/Projection.js"
import type { StageReply } from "../../core/Stage.js"
import * as State from "../../core/State.js"
import { type IdempotencyKey, type InputId, operationKey, type RunId, type RuntimeId } from "../../schema/Ids.js"
import type { Input } from "../../schema/Input.js"
import type { Awaited, InputHead } from "../../schema/InputState.js"
import { canonical } from "../../schema/Json.js"
import { message, type SessionHead } from "../../schema/Session.js"
import { type LoadError, ReadFailed, type SchemaFromTheFuture } from "../../schema/StoreError.js"
import type { StagedInput, StagedRun } from "../../services/Driver.js"
import * as Children from "./Children.js"
import type { Env } from "./Env.js"
import * as Intake from "./Intake.js"

/**
 * The inputs of heads, hydrated, each with its own trouble. It does not fail: it also runs behind a commit, whose answer
 * must not depend on it.
 */
export const openInputs = (
  env: Env,
  runtimeId: RuntimeId,
  heads: ReadonlyArray<InputHead>,
  missing: "fail" | "placeholder"
): Effect.Effect<ReadonlyArray<StagedInput>> =>
  Effect.flatMap(
    Effect.either(env.store.loadBodies(runtimeId, heads.map((head) => head.id))),
    (rows) => {
      const bodies = new Map(Either.isRight(rows) ? rows.right.map((row) => [row.inputId, row.body]) : [])
      return Effect.forEach(heads, (head): Effect.Effect<StagedInput> => {
        if (Either.isLeft(rows)) return Effect.succeed({ head, input: Either.left(rows.left) })
        const body = bodies.get(head.id)
        if (body === undefined) return Effect.dieMessage(`input ${head.id} is staged and has no row`)
        return Effect.flatMap(body, (stored) => Intake.open(env, runtimeId, head.id, stored)).pipe(
          Effect.flatMap((input) => Intake.hydrate(env, input, missing)),
          Effect.either,
          Effect.map((input) => ({ head, input }))
        )
      })
    }
  )

/** As `openInputs`, for a run that can still be given back: what a later try may read fails the whole. */
export const openReadable = (
  env: Env,
  runtimeId: RuntimeId,
  heads: ReadonlyArray<InputHead>,
  missing: "fail" | "placeholder"
): Effect.Effect<ReadonlyArray<StagedInput>, ReadFailed | SchemaFromTheFuture> =>
  Effect.tap(
    openInputs(env, runtimeId, heads, missing),
    (inputs) =>
      Effect.forEach(inputs, ({ input }) =>
        Either.isLeft(input) && (input.left._tag === "ReadFailed" || input.left._tag === "SchemaFromTheFuture")
          ? Effect.fail(input.left)
          : Effect.void, { discard: true })
  )

export const stagedRun = (
  reply: Extract<StageReply, { readonly _tag: "staged" }>,
  inputs: ReadonlyArray<StagedInput>,
  session: SessionHead | null
): StagedRun => ({
  runId: reply.runId,
  batchId: reply.batchId,
  idempotencyKey: reply.batchId,
  attempt: reply.attempt,
  inputs,
  primitive: Projection.primitive(
    reply.boundary,
    inputs.flatMap(({ input }) => Either.isRight(input) ? [input.right] : [])
  ),
  afterLoss: reply.afterLoss,
  resume: Option.fromNullable(reply.resume),
  openTurns: reply.openTurns,
  session: Option.fromNullable(session)
})

/** What a boundary says that the store has to be asked about. */
export interface Said {
  readonly runId: RunId
  readonly after: number | undefined
  readonly awaits: ReadonlyArray<Awaited>
  /** Of inputs that do not become the message of the default shape: their canonical text, or none. */
  readonly messages: ReadonlyMap<InputId, string | null>
  /** What leaves with it, to end with the batch. */
  readonly children: ReadonlyArray<Child>
}

/**
 * The messages of inputs that are not in the transcript yet, the receipt that a repetition would find, and the
 * operations that have ended before anybody waited for them.
 */
export const boundaryFacts = (
  env: Env,
  state: State.DriverState,
  { after, awaits, children, messages, runId }: Said
): Effect.Effect<BoundaryFacts, LoadError> =>
  Effect.gen(function*() {
    const last = state.run?.id === runId ? state.run.sequence : undefined
    const known = after ?? last ?? 0
    const receipt = last === undefined || known < last
      ? yield* env.store.loadBoundaryReceipt(state.runtimeId, runId, known + 1)
      : Option.none()
    return {
      messages: last === undefined ? new Map() : yield* unrecorded(env, state, messages),
      receipt: Option.getOrNull(Option.map(receipt, (found) => found.receipt)),
      ended: awaits.length === 0 || last === undefined ? new Set() : yield* ended(env, state.runtimeId, awaits),
      children: yield* Children.sentBefore(env, state, runId, children)
    }
  })

const ended = (
  env: Env,
  runtimeId: RuntimeId,
  awaits: ReadonlyArray<Awaited>
): Effect.Effect<ReadonlySet<string>, ReadFailed> => {
  const names = new Map(awaits.map(({ operationId }) => [operationKey(operationId), operationId]))
  return Effect.map(
    env.store.lookup(runtimeId, [], Array.from(names.keys())),
    (known) => new Set(known.flatMap((row) => names.get(row.idempotencyKey as IdempotencyKey) ?? []))
  )
}

const unrecorded = (
  env: Env,
  state: State.DriverState,
  given: Said["messages"]
): Effect.Effect<ReadonlyMap<InputId, string | null>, ReadFailed | SchemaFromTheFuture> =>
  Effect.gen(function*() {
    const messages = new Map<InputId, string | null>()
    const ids: Array<InputId> = []
    for (const { id, policy, recorded } of [...State.batchOfRun(state), ...State.delivered(state)]) {
      if (recorded || !policy.recordTranscript) continue
      const message = given.get(id)
      if (message === undefined) ids.push(id)
      else messages.set(id, message)
    }
    if (ids.length === 0) return messages
    for (const { body, inputId } of yield* env.store.loadBodies(state.runtimeId, ids)) {
      const input = yield* Effect.flatMap(body, (stored) => Intake.open(env, state.runtimeId, inputId, stored)).pipe(
        Effect.map(Option.some),
        Effect.catchAll((error): Effect.Effect<Option.Option<Input>, ReadFailed | SchemaFromTheFuture> =>
          error._tag === "SchemaFromTheFuture"
            ? Effect.fail(error)
            : error._tag === "BlobReadFailed"
            ? Effect.fail(new ReadFailed({ operation: `input ${inputId}`, cause: error }))
            // What can never be read has no message; its run is told of it at staging.
            : Effect.succeedNone
        )
      )
      const append = Option.flatMapNullable(input, Projection.append)
      if (Option.isSome(append)) {
        messages.set(inputId, Either.getOrThrow(canonical(message(append.value.role)(append.value.content))))
      }
    }
    return messages
  })
