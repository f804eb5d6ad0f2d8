/** What a run's commands read besides the driver's memory: bodies of inputs, and the receipt of a repetition. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { BoundaryFacts } from "../../core/Boundary.js"
import * as Projection from "../../core/Projection.js"
import * as State from "../../core/State.js"
import type { InputId, RunId, RuntimeId } from "../../schema/Ids.js"
import type { InputHead } from "../../schema/InputState.js"
import { canonical } from "../../schema/Json.js"
import { message } from "../../schema/Session.js"
import type { LoadError, ReadFailed, SchemaFromTheFuture } from "../../schema/StoreError.js"
import type { StagedInput } from "../../services/Driver.js"
import type { Env } from "./Env.js"
import * as Intake from "./Intake.js"

/** The inputs of heads, hydrated, each with its own trouble. */
export const openInputs = (
  env: Env,
  runtimeId: RuntimeId,
  heads: ReadonlyArray<InputHead>,
  missing: "fail" | "placeholder"
): Effect.Effect<ReadonlyArray<StagedInput>, ReadFailed | SchemaFromTheFuture> =>
  Effect.flatMap(env.store.loadBodies(runtimeId, heads.map((head) => head.id)), (rows) => {
    const bodies = new Map(rows.map((row) => [row.inputId, row.body]))
    return Effect.forEach(heads, (head): Effect.Effect<StagedInput, SchemaFromTheFuture> => {
      const body = bodies.get(head.id)
      if (body === undefined) return Effect.dieMessage(`input ${head.id} is staged and has no row`)
      return Effect.flatMap(body, (stored) => Intake.open(env, runtimeId, head.id, stored)).pipe(
        Effect.flatMap((input) => Intake.hydrate(env, input, missing)),
        Effect.matchEffect({
          onFailure: (error) =>
            error._tag === "SchemaFromTheFuture"
              ? Effect.fail(error)
              : Effect.succeed<StagedInput>({ head, input: Either.left(error) }),
          onSuccess: (input) => Effect.succeed<StagedInput>({ head, input: Either.right(input) })
        })
      )
    })
  })

/** The messages of inputs that are not in the transcript yet, and the receipt that a repetition would find. */
export const boundaryFacts = (
  env: Env,
  state: State.DriverState,
  runId: RunId,
  after: number | undefined
): Effect.Effect<BoundaryFacts, LoadError> =>
  Effect.gen(function*() {
    const last = state.run?.id === runId ? state.run.sequence : undefined
    const known = after ?? last ?? 0
    const receipt = last === undefined || known < last
      ? yield* env.store.loadBoundaryReceipt(state.runtimeId, runId, known + 1)
      : Option.none()
    return {
      messages: last === undefined ? new Map() : yield* unrecorded(env, state),
      receipt: Option.getOrNull(Option.map(receipt, (found) => found.receipt))
    }
  })

const unrecorded = (
  env: Env,
  state: State.DriverState
): Effect.Effect<ReadonlyMap<InputId, string>, ReadFailed | SchemaFromTheFuture> =>
  Effect.gen(function*() {
    const ids = [...State.batchOfRun(state), ...State.delivered(state)].flatMap((head) =>
      head.recorded || !head.policy.recordTranscript ? [] : [head.id]
    )
    const messages = new Map<InputId, string>()
    if (ids.length === 0) return messages
    for (const { body, inputId } of yield* env.store.loadBodies(state.runtimeId, ids)) {
      // What cannot be read has no message; its run is told of it at staging.
      const input = yield* Effect.option(
        Effect.flatMap(body, (stored) => Intake.open(env, state.runtimeId, inputId, stored))
      )
      const append = Option.flatMapNullable(input, Projection.append)
      if (Option.isSome(append)) {
        messages.set(inputId, Either.getOrThrow(canonical(message(append.value.role)(append.value.content))))
      }
    }
    return messages
  })
