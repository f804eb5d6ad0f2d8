/**
 * A runtime's lifecycle.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ClaimId, Sequence } from "./Ids.js"

/**
 * What a runtime is seen to be. `running` is derived from the open run and `attached` from the process; neither is a
 * fact of its own. `initializing` and `recovering` are read from foreign data only.
 *
 * @example
 * ```ts
 * import { RuntimeStore } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const stopped = Effect.gen(function*() {
 *   const store = yield* RuntimeStore.RuntimeStore
 *   const runtimes = yield* store.loadRuntimes({ limit: 1_000 })
 *   return runtimes.filter(({ state }) => state === "stopped").map(({ runtimeId }) => runtimeId)
 * })
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const RuntimeState = Schema.Literal(
  "initializing",
  "idle",
  "attached",
  "running",
  "recovering",
  "retired",
  "stopped",
  "destroyed"
)
/**
 * What `Driver.state` answers and `NotReady` names. Pausing is beside it: a paused runtime still accepts.
 *
 * @since 0.1.0
 * @category models
 */
export type RuntimeState = typeof RuntimeState.Type

/**
 * What a command can decide about: the states that are facts of their own.
 *
 * @since 0.1.0
 * @category models
 */
export type LifecyclePhase = "idle" | "retired" | "stopped" | "destroyed"

/**
 * Who the runtime is bound to: the executor's name, the owner's epoch and claim, and how often it was rebuilt.
 *
 * @since 0.1.0
 * @category schemas
 */
export const BindingFacts = Schema.Struct({
  agentRuntimeId: Schema.NullOr(Schema.String),
  fenceToken: Schema.NullOr(Sequence),
  runtimeGeneration: Schema.NullOr(Sequence),
  runtimeEpochId: Schema.NullOr(ClaimId)
})
/**
 * `fenceToken` is the epoch and `runtimeEpochId` the claim of the last owner; `runtimeGeneration` counts the times of
 * `recycle`.
 *
 * @since 0.1.0
 * @category models
 */
export interface BindingFacts extends Schema.Schema.Type<typeof BindingFacts> {}

/**
 * The one row of a runtime's lifecycle. A record of another version is never read as if it were this one.
 *
 * @since 0.1.0
 * @category schemas
 */
export const LifecycleRecord = Schema.Struct({
  record_version: Schema.Literal(1),
  runtimeState: RuntimeState,
  paused: Schema.Boolean,
  silentIntents: Schema.Array(Schema.String),
  binding: BindingFacts
})
/**
 * `attached` is never in it: it is stored as `idle`, since executors end with their process.
 *
 * @since 0.1.0
 * @category models
 */
export interface LifecycleRecord extends Schema.Schema.Type<typeof LifecycleRecord> {}
