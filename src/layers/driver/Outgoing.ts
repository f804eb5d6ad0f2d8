/** Inputs that leave with a commit: checked in the caller's fiber as if they were accepted, and stored as deposits. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { validate } from "../../core/Admission.js"
import type { Deposit } from "../../core/Commit.js"
import { idOfKey } from "../../core/Digests.js"
import type { BlobError } from "../../schema/BlobError.js"
import { type InputTooLarge, InvalidInput } from "../../schema/DriverError.js"
import type { InputId, RuntimeId } from "../../schema/Ids.js"
import type { Draft } from "../../schema/Input.js"
import type { Outgoing } from "../../services/Driver.js"
import type { EnqueueError } from "../../services/Inbox.js"
import { runtimeIdOf } from "./Arguments.js"
import type { Env } from "./Env.js"
import * as Intake from "./Intake.js"

/** A deposit that its target could only ever reject is refused here, where somebody can still mend it. */
const take = (
  env: Intake.Needs,
  { input: draft, to }: Outgoing
): Effect.Effect<Deposit, InvalidInput | InputTooLarge | BlobError> =>
  Effect.gen(function*() {
    const runtimeId = yield* runtimeIdOf(env.limits, to)
    const { input, payload } = yield* Intake.take(env, runtimeId, named(env, runtimeId, draft))
    const reason = validate(input)
    if (reason !== undefined) return yield* new InvalidInput({ runtimeId, field: "input", problem: reason.detail })
    return { runtimeId, inputId: input.header.id, at: yield* Clock.currentTimeMillis, payload }
  })

const named = ({ sha256 }: Intake.Needs, runtimeId: RuntimeId, draft: Draft): Draft => {
  const { id, idempotencyKey } = draft.header ?? {}
  return id !== undefined || typeof idempotencyKey !== "string"
    ? draft
    : { ...draft, header: { ...draft.header, id: idOfKey(sha256, runtimeId, idempotencyKey) } }
}

/** Handed over by itself: in the caller's transaction, if it has one of the store's own client. */
export const post = (
  env: Intake.Needs & Pick<Env, "store">,
  outgoing: Outgoing
): Effect.Effect<InputId, EnqueueError> =>
  outgoing.endsWithBatch === true
    // No batch is known here that it could end with.
    ? Effect.fail(invalid(outgoing.to, "endsWithBatch is for the outbox of a boundary"))
    : Effect.flatMap(take(env, outgoing), (deposit) => Effect.as(env.store.deposit([deposit]), deposit.inputId))

export interface Taken {
  readonly deposits: ReadonlyArray<Deposit>
  /** Those of them that end with the batch. */
  readonly children: ReadonlyArray<Deposit>
}

export const takeAll = (
  env: Env,
  runtimeId: RuntimeId,
  outbox: ReadonlyArray<Outgoing>
): Effect.Effect<Taken, InvalidInput | InputTooLarge | BlobError> =>
  Effect.gen(function*() {
    const { outboxMax } = env.limits
    if (outbox.length > outboxMax) {
      return yield* invalid(runtimeId, `has ${outbox.length} inputs; at most ${outboxMax} leave with one boundary`)
    }
    const deposits = yield* Effect.forEach(outbox, (outgoing) => take(env, outgoing))
    const children = deposits.filter((_, i) => outbox[i]!.endsWithBatch === true)
    const seen = new Set<InputId>()
    for (const [i, { endsWithBatch, input: { header } }] of outbox.entries()) {
      if (endsWithBatch !== true) continue
      // An id that is new each time would be another child for each repetition of the boundary.
      if (header?.id === undefined && header?.idempotencyKey === undefined) {
        return yield* invalid(runtimeId, "has an input that ends with the batch, and has neither an id nor a key")
      }
      const { inputId } = deposits[i]!
      if (seen.has(inputId)) {
        return yield* invalid(runtimeId, "has two inputs that end with the batch, and have one id")
      }
      seen.add(inputId)
    }
    return { deposits, children }
  })

const invalid = (runtimeId: string, problem: string): InvalidInput =>
  new InvalidInput({ runtimeId, field: "outbox", problem })
