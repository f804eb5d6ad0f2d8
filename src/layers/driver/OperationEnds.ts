/** How an operation ended: its end is an input, found by its key for ever. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { BlobError } from "../../schema/BlobError.js"
import { operationKey, type RuntimeId } from "../../schema/Ids.js"
import { OperationEnd } from "../../schema/Input.js"
import type { LoadError } from "../../schema/StoreError.js"
import type { Env } from "./Env.js"
import * as Intake from "./Intake.js"

const isEnd = Schema.is(OperationEnd)

export const find = (
  env: Env,
  runtimeId: RuntimeId,
  operationId: string
): Effect.Effect<Option.Option<OperationEnd>, LoadError | BlobError> =>
  Effect.gen(function*() {
    const stored = yield* env.store.loadInputStateByKey(runtimeId, operationKey(operationId))
    if (Option.isNone(stored)) return Option.none()
    const { body, head } = stored.value
    const input = yield* Intake.open(env, runtimeId, head.id, body)
    return Option.some(
      input._tag === "operation" && input.operationId === operationId && isEnd(input.event)
        ? input.event
        // Its key is taken, for ever: who waits for it would wait in vain.
        : { _tag: "failed", error: `the key of its end is that of input ${head.id}` }
    )
  })
