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
 * @since 0.1.0
 * @category models
 */
export interface LifecycleRecord extends Schema.Schema.Type<typeof LifecycleRecord> {}
