/**
 * Hints of an input for the turn that it becomes part of.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Json } from "./Json.js"

const optional = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optionalWith(schema, { exact: true })

/**
 * `queue`: with the next turn. `steer`: into the running run, at its next boundary. `ride_along`: into the running run
 * too, or with the next batch; it starts no run of its own.
 *
 * @since 0.1.0
 * @category schemas
 */
export const HandlingMode = Schema.Literal("queue", "steer", "ride_along")
/**
 * A sender's wish. It outranks the policy table's lane for the input's kind; operations, and progress of a response,
 * cannot have one, and a terminal response cannot ride along.
 *
 * @since 0.1.0
 * @category models
 */
export type HandlingMode = typeof HandlingMode.Type

/**
 * How a message wants to be shown.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RenderMetadata = Schema.Struct({
  class: optional(
    Schema.Literal(
      "user_prompt",
      "peer_message",
      "peer_request",
      "peer_response",
      "external_event",
      "flow_step",
      "continuation",
      "system_notice",
      "tool_scope_notice",
      "ops_progress"
    )
  ),
  salience: optional(Schema.Literal("background", "normal", "important", "urgent"))
})
/**
 * Stored and handed on; nothing in the library decides by it.
 *
 * @since 0.1.0
 * @category models
 */
export interface RenderMetadata extends Schema.Schema.Type<typeof RenderMetadata> {}

/**
 * The driver acts on `handlingMode` alone. The rest is the executor's, who gets the merged hints of a batch as
 * `RunPrimitive.turn`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TurnMetadata = Schema.Struct({
  handlingMode: optional(HandlingMode),
  keepAlive: optional(Schema.Boolean),
  skillReferences: optional(Schema.Array(Schema.String)),
  flowToolOverlay: optional(Json),
  additionalInstructions: optional(Schema.Array(Schema.String)),
  model: optional(Schema.String),
  provider: optional(Schema.String),
  providerParams: optional(Json),
  render: optional(RenderMetadata)
})
/**
 * A field that is absent leaves the matter to the executor, or to the other inputs of the batch.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnMetadata extends Schema.Schema.Type<typeof TurnMetadata> {}

/**
 * The hints of a batch: in order, the last writer of a field wins, lists are joined.
 *
 * @example
 * ```ts
 * import { Turn } from "effect-burrow"
 *
 * const turn = Turn.merge(
 *   { model: "small", provider: "p", skillReferences: ["cook"] },
 *   { model: "large", skillReferences: ["shop"] }
 * ) // { model: "large", provider: "p", skillReferences: ["cook", "shop"] }
 * ```
 *
 * @since 0.1.0
 * @category combining
 */
export const merge = (a: TurnMetadata, b: TurnMetadata): TurnMetadata => ({
  ...a,
  ...b,
  ...joined("skillReferences", a, b),
  ...joined("additionalInstructions", a, b)
})

const joined = (field: "skillReferences" | "additionalInstructions", a: TurnMetadata, b: TurnMetadata) =>
  a[field] || b[field] ? { [field]: [...a[field] ?? [], ...b[field] ?? []] } : {}
