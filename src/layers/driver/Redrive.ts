/** What a dead letter asks again, as a new input. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { BlobError } from "../../schema/BlobError.js"
import { UnknownInput } from "../../schema/DriverError.js"
import { type InputId, redriveKey, type RuntimeId } from "../../schema/Ids.js"
import type { Draft, HeaderDraft } from "../../schema/Input.js"
import type { AbandonReason, InputHead } from "../../schema/InputState.js"
import type { LoadError } from "../../schema/StoreError.js"
import type { Env } from "./Env.js"
import * as Intake from "./Intake.js"

/** What was given up without having been refused or replaced by anybody. */
const redrivable: ReadonlySet<AbandonReason["_tag"]> = new Set([
  "max_attempts_exhausted",
  "failed",
  "outcome_unknown",
  "process_ended"
])

const isRedrivable = ({ outcome }: InputHead): boolean =>
  outcome?._tag === "abandoned" && redrivable.has(outcome.reason._tag)

/** The same payload under a key of its own. It waits for nothing, and replaces nothing that came after the dead one. */
export const draft = (
  env: Env,
  runtimeId: RuntimeId,
  inputId: InputId
): Effect.Effect<Draft, UnknownInput | LoadError | BlobError> =>
  Effect.gen(function*() {
    const stored = yield* env.store.loadInputState(runtimeId, inputId)
    if (Option.isNone(stored)) return yield* new UnknownInput({ runtimeId, inputId, phase: null })
    const { body, head } = stored.value
    if (!isRedrivable(head)) return yield* new UnknownInput({ runtimeId, inputId, phase: head.phase })
    const input = yield* Intake.open(env, runtimeId, inputId, body)
    const { correlationId, durability, origin, visibility } = input.header
    const header: HeaderDraft = {
      origin,
      durability,
      visibility,
      idempotencyKey: redriveKey(inputId),
      ...(correlationId !== undefined && { correlationId })
    }
    return { ...input, header }
  })
