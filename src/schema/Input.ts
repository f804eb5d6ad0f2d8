/**
 * The six kinds of inputs and their header. `Input` is what is stored; `Draft` is what a caller hands in: the driver
 * fills in what is missing (id, time, defaults).
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Content from "./Content.js"
import { EpochMillis, IdempotencyKey, InputId, SupersessionKey } from "./Ids.js"
import { Json } from "./Json.js"
import { HandlingMode, RenderMetadata, TurnMetadata } from "./Turn.js"

const optional = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optionalWith(schema, { exact: true })

/**
 * Who speaks. `operator`, `peer` and `external` are outside the runtime's own process.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Origin = Schema.Union(
  Schema.TaggedStruct("operator", {}),
  Schema.TaggedStruct("peer", { peerId: Schema.NonEmptyString, runtimeId: optional(Schema.NonEmptyString) }),
  Schema.TaggedStruct("flow", { flowId: Schema.NonEmptyString, stepIndex: Schema.NonNegativeInt }),
  Schema.TaggedStruct("system", {}),
  Schema.TaggedStruct("external", { sourceName: Schema.NonEmptyString })
)
/**
 * Who speaks; `operator` unless the caller says otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export type Origin = typeof Origin.Type

/**
 * `durable` and `derived` survive the process; `ephemeral` ends as `abandoned{process_ended}` when it does (I1).
 * `derived` is for inputs the runtime makes of its own facts; outsiders cannot submit it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Durability = Schema.Literal("durable", "ephemeral", "derived")
/**
 * How long an input is kept for its run; `durable` unless the caller says otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export type Durability = typeof Durability.Type

/**
 * `transcript`: its message goes into the session with the first boundary that covers it. `operator`: operators may be
 * shown its content.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Visibility = Schema.Struct({ transcript: Schema.Boolean, operator: Schema.Boolean })
/**
 * Both `true` unless the caller says otherwise; a continuation is for neither.
 *
 * @since 0.1.0
 * @category models
 */
export interface Visibility extends Schema.Schema.Type<typeof Visibility> {}

/**
 * Where in a trace the input was handed in; the run that takes it links to it, in whatever process.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TraceContext = Schema.Struct({
  traceId: Schema.NonEmptyString,
  spanId: Schema.NonEmptyString,
  sampled: Schema.Boolean
})
/**
 * The span of `Driver.accept`, unless the caller says otherwise. It is no part of what the input says: a repetition from
 * another trace is the same input.
 *
 * @since 0.1.0
 * @category models
 */
export interface TraceContext extends Schema.Schema.Type<typeof TraceContext> {}

const headerFields = {
  origin: Origin,
  durability: Durability,
  visibility: Visibility,
  idempotencyKey: optional(IdempotencyKey),
  supersessionKey: optional(SupersessionKey),
  correlationId: optional(Schema.NonEmptyString),
  /** Not before this time. */
  deliverAt: optional(EpochMillis),
  trace: optional(TraceContext)
}

/**
 * What every input carries besides its kind. `at` and `deliverAt` are in epoch milliseconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Header = Schema.Struct({ id: InputId, at: EpochMillis, ...headerFields })
/**
 * A complete header, as the driver has filled it in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Header extends Schema.Schema.Type<typeof Header> {}

/**
 * Any part of a header; names are plain text here and checked when the driver takes the input.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeaderDraft extends Partial<Omit<Header, "id" | "idempotencyKey" | "supersessionKey">> {
  readonly id?: string
  readonly idempotencyKey?: string
  readonly supersessionKey?: string
}

/**
 * What a peer's message means.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Convention = Schema.Union(
  Schema.TaggedStruct("message", {}),
  Schema.TaggedStruct("request", { requestId: Schema.String, intent: Schema.String }),
  Schema.TaggedStruct("response_progress", {
    requestId: Schema.String,
    phase: Schema.Literal("accepted", "in_progress", "partial_result")
  }),
  Schema.TaggedStruct("response_terminal", {
    requestId: Schema.String,
    status: Schema.Literal("completed", "failed", "cancelled")
  })
)
/**
 * A peer's convention decides its kind: see `kindOf`.
 *
 * @since 0.1.0
 * @category models
 */
export type Convention = typeof Convention.Type

/**
 * How background work ended. A question to a person is such work; the answer is its result.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OperationEnd = Schema.Union(
  Schema.TaggedStruct("completed", { result: Json }),
  Schema.TaggedStruct("failed", { error: Schema.String }),
  Schema.TaggedStruct("cancelled", {})
)
/**
 * `cancelled` also of what a batch has waited for until its deadline was over.
 *
 * @since 0.1.0
 * @category models
 */
export type OperationEnd = typeof OperationEnd.Type

/**
 * What happened to background work.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OperationEvent = Schema.Union(
  Schema.TaggedStruct("started", { kind: Schema.String }),
  Schema.TaggedStruct("progress", { message: Schema.String, percent: optional(Schema.Finite) }),
  ...OperationEnd.members
)

const bodies = {
  prompt: { content: Content.Content, turn: optional(TurnMetadata) },
  peer: { convention: Convention, content: Content.Content, handlingMode: optional(HandlingMode) },
  flow_step: { stepId: Schema.NonEmptyString, content: Content.Content, turn: optional(TurnMetadata) },
  external_event: {
    eventType: Schema.NonEmptyString,
    payload: Json,
    content: optional(Content.Content),
    handlingMode: optional(HandlingMode),
    render: optional(RenderMetadata)
  },
  continuation: {
    reason: Schema.NonEmptyString,
    handlingMode: optional(HandlingMode),
    requestId: optional(Schema.String)
  },
  operation: { operationId: Schema.NonEmptyString, event: OperationEvent }
} as const

/**
 * A person or program asks. In the queue lane it has a run of its own, but for what rides along.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Prompt = Schema.TaggedStruct("prompt", { header: Header, ...bodies.prompt })
/**
 * Another agent speaks. Progress of a response takes no handling mode; a terminal response names its request, and does
 * not ride along.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Peer = Schema.TaggedStruct("peer", { header: Header, ...bodies.peer })
/**
 * A step of a flow that something outside the runtime drives.
 *
 * @since 0.1.0
 * @category schemas
 */
export const FlowStep = Schema.TaggedStruct("flow_step", { header: Header, ...bodies.flow_step })
/**
 * Something happened outside. `payload` is any JSON value.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ExternalEvent = Schema.TaggedStruct("external_event", { header: Header, ...bodies.external_event })
/**
 * The runtime goes on with itself; it becomes no message.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Continuation = Schema.TaggedStruct("continuation", { header: Header, ...bodies.continuation })
/**
 * News of background work. It is consumed at admission and never reaches a run.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Operation = Schema.TaggedStruct("operation", { header: Header, ...bodies.operation })

/**
 * An input as it is stored: one of six kinds, told apart by `_tag`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Input = Schema.Union(Prompt, Peer, FlowStep, ExternalEvent, Continuation, Operation)
/**
 * See the schema.
 *
 * @since 0.1.0
 * @category models
 */
export type Input = typeof Input.Type

type DraftOf<I> = I extends { readonly header: Header } ? Omit<I, "header"> & { readonly header?: HeaderDraft } : never
/**
 * An input before the driver has seen it: any part of the header may be missing.
 *
 * @since 0.1.0
 * @category models
 */
export type Draft = DraftOf<Input>

/**
 * The kind by which policy decides and supersession is scoped: a peer's convention is part of it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Kind = Schema.Literal(
  "prompt",
  "peer_message",
  "peer_request",
  "peer_response_progress",
  "peer_response_terminal",
  "flow_step",
  "external_event",
  "continuation",
  "operation"
)
/**
 * Nine kinds: a peer's message, request, progress and final response are four of them.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = typeof Kind.Type

/**
 * The kind of an input or draft.
 *
 * @since 0.1.0
 * @category projections
 */
export const kindOf = (input: Draft | Input): Kind =>
  input._tag === "peer" ? `peer_${input.convention._tag}` : input._tag

/**
 * How the sender wants it handled, if it says so.
 *
 * @since 0.1.0
 * @category projections
 */
export const handlingModeOf = (input: Draft | Input): HandlingMode | undefined => {
  switch (input._tag) {
    case "prompt":
    case "flow_step":
      return input.turn?.handlingMode
    case "peer":
    case "external_event":
    case "continuation":
      return input.handlingMode
    case "operation":
      return undefined
  }
}

/**
 * The content blocks of an input; kinds without content have none.
 *
 * @since 0.1.0
 * @category projections
 */
export const contentOf = (input: Draft | Input): Content.Content =>
  input._tag === "continuation" || input._tag === "operation" ? [] : input.content ?? []

/**
 * The same input with other content blocks. Kinds without content stay as they are.
 *
 * @since 0.1.0
 * @category projections
 */
export const withContent = (input: Input, content: Content.Content): Input =>
  input._tag === "continuation" || input._tag === "operation" ||
    (input._tag === "external_event" && input.content === undefined) ?
    input :
    { ...input, content }

/**
 * What a person or program asks of the agent. A string is one text block.
 *
 * @example
 * ```ts
 * import { Input } from "effect-burrow"
 *
 * const input = Input.prompt("Make dinner", { idempotencyKey: "monday" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const prompt = (content: string | Content.Content, header?: HeaderDraft, turn?: TurnMetadata): Draft => ({
  _tag: "prompt",
  content: Content.from(content),
  ...(header && { header }),
  ...(turn && { turn })
})
