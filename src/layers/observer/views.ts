/** What operators look at: inputs, runtimes, dead letters. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type InputId, redriveKey, type RuntimeId } from "../../schema/Ids.js"
import type { InputHead } from "../../schema/InputState.js"
import type { ReadFailed } from "../../schema/StoreError.js"
import { agentOf, type DeadLetter, type DeadLetterFilter, type Service } from "../../services/Observer.js"
import type { Store } from "./Store.js"

/** What dead letters of one runtime were redriven as, by their ids. */
const redriven = (
  store: Store,
  runtimeId: RuntimeId,
  dead: ReadonlyArray<InputId>
): Effect.Effect<(inputId: InputId) => Option.Option<InputId>, ReadFailed> =>
  Effect.map(dead.length === 0 ? Effect.succeed([]) : store.lookup(runtimeId, [], dead.map(redriveKey)), (known) => {
    const byKey = new Map<string | null, string>(known.map((row) => [row.idempotencyKey, row.inputId]))
    return (inputId) => Option.fromNullable(byKey.get(redriveKey(inputId)) as InputId | undefined)
  })

export const input = (store: Store): Service["input"] => (runtime, id) =>
  Effect.gen(function*() {
    const runtimeId = runtime as RuntimeId
    const stored = yield* store.loadInputState(runtimeId, id as InputId)
    if (Option.isNone(stored)) return Option.none()
    const isDead = stored.value.head.outcome?._tag === "abandoned"
    const find = yield* redriven(store, runtimeId, isDead ? [stored.value.head.id] : [])
    return Option.some({ ...stored.value, redrivenAs: find(stored.value.head.id) })
  })

export const inspect = (store: Store): Service["inspect"] => (runtime) =>
  Effect.gen(function*() {
    const runtimeId = runtime as RuntimeId
    const lifecycle = yield* store.loadMachineLifecycle(runtimeId)
    if (Option.isNone(lifecycle)) return Option.none()
    const { paused, runtimeState: state } = lifecycle.value
    const session = yield* store.loadSession(runtimeId)
    const totals = yield* store.loadTotals(runtimeId)
    return Option.some({ runtimeId, agent: agentOf(runtimeId), state, paused, session, totals })
  })

const DEAD_PAGE = 100

interface Dead {
  readonly runtimeId: RuntimeId
  readonly head: InputHead
}

const matches = ({ agent, errorTag, since }: DeadLetterFilter) => ({ head, runtimeId }: Dead): boolean =>
  (agent === undefined || agentOf(runtimeId) === agent) &&
  (since === undefined || head.updatedAt >= since) &&
  (errorTag === undefined || head.failure?.tag === errorTag)

const describe = (store: Store, dead: ReadonlyArray<Dead>): Effect.Effect<ReadonlyArray<DeadLetter>, ReadFailed> =>
  Effect.gen(function*() {
    const found = new Map<RuntimeId, (inputId: InputId) => Option.Option<InputId>>()
    for (const runtimeId of new Set(dead.map((one) => one.runtimeId))) {
      const ids = dead.filter((one) => one.runtimeId === runtimeId).map(({ head }) => head.id)
      found.set(runtimeId, yield* redriven(store, runtimeId, ids))
    }
    return dead.map(({ head, runtimeId }) => ({
      runtimeId,
      agent: agentOf(runtimeId),
      inputId: head.id,
      attempts: head.attempt,
      error: Option.fromNullable(head.failure),
      // The last change of a head is its end (I8).
      diedAt: head.updatedAt,
      redrivenAs: found.get(runtimeId)!(head.id)
    }))
  })

export const deadLetters = (store: Store): Service["deadLetters"] => (filter = {}) =>
  Stream.paginateChunkEffect(
    Option.none<{ readonly runtimeId: RuntimeId; readonly sequence: number }>(),
    (after) =>
      Effect.gen(function*() {
        const page = yield* store.loadAllDeadLetters({
          limit: DEAD_PAGE,
          ...(Option.isSome(after) && { after: after.value })
        })
        const dead = page.flatMap(({ input, runtimeId }) =>
          Either.isRight(input) ? [{ runtimeId, head: input.right.head }] : []
        )
        const letters = yield* describe(store, dead.filter(matches(filter)))
        const last = page.length === DEAD_PAGE ? Option.fromNullable(page.at(-1)) : Option.none()
        return [Chunk.unsafeFromArray(letters), Option.map(last, Option.some)] as const
      })
  )
