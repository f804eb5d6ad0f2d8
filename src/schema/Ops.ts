/**
 * Background operations of a runtime, as they are persisted between processes.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { EpochMillis, Sequence } from "./Ids.js"
import { Json } from "./Json.js"

const optional = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optionalWith(schema, { exact: true })

/**
 * What the operation was begun for. It is kept for its owner; the library decides nothing by it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OperationKind = Schema.Literal("mob_member_child", "background_tool_op", "background_tool_capacity_slot")

/**
 * `provisioning`, `running` and `retiring` are under way; each of the others is also the tag of an `OperationOutcome`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OperationStatus = Schema.Literal(
  "provisioning",
  "running",
  "retiring",
  "completed",
  "failed",
  "aborted",
  "cancelled",
  "retired",
  "terminated"
)

/**
 * How an operation ended.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OperationOutcome = Schema.Union(
  Schema.TaggedStruct("completed", {
    result: Schema.Struct({
      id: Schema.String,
      content: Json,
      isError: Schema.Boolean,
      durationMillis: Schema.NonNegativeInt,
      tokensUsed: Schema.NonNegativeInt
    })
  }),
  Schema.TaggedStruct("failed", { error: Schema.String }),
  Schema.TaggedStruct("aborted", { reason: optional(Schema.String) }),
  Schema.TaggedStruct("cancelled", { reason: optional(Schema.String) }),
  Schema.TaggedStruct("retired", {}),
  Schema.TaggedStruct("terminated", { reason: Schema.String })
)

/**
 * Where an operation runs.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OperationSource = Schema.Union(
  Schema.TaggedStruct("session_child", { sessionId: Schema.String }),
  Schema.TaggedStruct("backend_peer", { peerId: Schema.String, address: Schema.String })
)

/**
 * One operation: what it is, how far it is, how it ended and its place in the completion feed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Operation = Schema.Struct({
  id: Schema.NonEmptyString,
  kind: OperationKind,
  displayName: Schema.String,
  sourceLabel: Schema.String,
  source: Schema.NullOr(OperationSource),
  childSessionId: Schema.NullOr(Schema.String),
  expectPeerChannel: Schema.Boolean,
  status: OperationStatus,
  peerReady: Schema.Boolean,
  progressCount: Schema.NonNegativeInt,
  outcome: Schema.NullOr(OperationOutcome),
  completionSequence: Schema.NullOr(Sequence),
  completedAt: Schema.NullOr(EpochMillis)
})

/**
 * What of a runtime's operations outlives the process. The feed keeps entries of operations that were evicted.
 *
 * @example
 * ```ts
 * import { type Ids, RuntimeStore } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 *
 * const unfinished = (runtimeId: Ids.RuntimeId) =>
 *   Effect.gen(function*() {
 *     const store = yield* RuntimeStore.RuntimeStore
 *     const snapshot = Option.getOrUndefined(yield* store.loadOpsLifecycle(runtimeId))
 *     return snapshot?.operations.filter((operation) => operation.outcome === null) ?? []
 *   })
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const OpsSnapshot = Schema.Struct({
  epochId: Schema.NonEmptyString,
  operations: Schema.Array(Operation),
  feed: Schema.Array(
    Schema.Struct({
      sequence: Sequence,
      operationId: Schema.NonEmptyString,
      kind: OperationKind,
      outcome: OperationOutcome
    })
  ),
  nextCompletionSequence: Sequence,
  concurrentMax: Schema.NullOr(Schema.NonNegativeInt),
  cursors: Schema.Struct({ agentApplied: Sequence, runtimeObserved: Sequence, runtimeInjected: Sequence })
})
/**
 * Written and read as a whole: `persistOpsLifecycle` overwrites the last one and merges nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpsSnapshot extends Schema.Schema.Type<typeof OpsSnapshot> {}
