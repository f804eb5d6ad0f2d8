/** Values for tests of the core: ids by number, inputs by kind, and a hash. */
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import type * as Close from "../../src/core/Close.js"
import { payloadDigest, type Sha256 } from "../../src/core/Digests.js"
import * as Lifecycle from "../../src/core/Lifecycle.js"
import * as State from "../../src/core/State.js"
import * as Content from "../../src/schema/Content.js"
import {
  type BatchId,
  type ClaimId,
  type IdempotencyKey,
  type InputId,
  operationKey,
  type RunId,
  type RuntimeId,
  type SessionId,
  type Stamp,
  type SupersessionKey,
  type Token
} from "../../src/schema/Ids.js"
import type { Header, Input, Kind, OperationEvent } from "../../src/schema/Input.js"
import type { Failure } from "../../src/schema/InputState.js"
import * as Limits from "../../src/schema/Limits.js"
import type { HandlingMode } from "../../src/schema/Turn.js"

export const sha256: Sha256 = (...parts) => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}

const uuid = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`
export const inputId = (n: number): InputId => uuid(n) as InputId
export const runId = (n: number): RunId => uuid(0x1000000 + n) as RunId
export const batchId = (n: number): BatchId => uuid(0x2000000 + n) as BatchId
const claimId = (n: number): ClaimId => uuid(0x3000000 + n) as ClaimId
export const runtimeId = "agent" as RuntimeId
export const sessionId = "session" as SessionId

const token = (epoch: number): Token => ({ epoch, claimId: claimId(epoch) })
export const stamp = (n: number, epoch = 1): Stamp => ({ token: token(epoch), n })

export const limits: Limits.Limits = Limits.defaults

export const emptyState = (): State.DriverState =>
  State.make(runtimeId, stamp(0), Lifecycle.rebind(Lifecycle.fresh, token(1)), "idle", null, 1)

interface HeaderOptions {
  readonly key?: string
  readonly scope?: string
  readonly durability?: Header["durability"]
  readonly origin?: Header["origin"]
  readonly deliverAt?: number
  readonly transcript?: boolean
}

const header = (id: number, options: HeaderOptions = {}): Header => ({
  id: inputId(id),
  at: 1,
  origin: options.origin ?? { _tag: "system" },
  durability: options.durability ?? "durable",
  visibility: { transcript: options.transcript ?? true, operator: true },
  ...(options.key !== undefined && { idempotencyKey: options.key as IdempotencyKey }),
  ...(options.scope !== undefined && { supersessionKey: options.scope as SupersessionKey }),
  ...(options.deliverAt !== undefined && { deliverAt: options.deliverAt })
})

export interface InputOptions extends HeaderOptions {
  readonly mode?: HandlingMode
  readonly text?: string
  readonly intent?: string
}

const bodies: {
  readonly [K in Kind]: (header: Header, options: InputOptions, text: string) => Input
} = {
  prompt: (header, { mode }, text) => ({
    _tag: "prompt",
    header,
    content: [Content.text(text)],
    ...(mode && { turn: { handlingMode: mode } })
  }),
  peer_message: (header, { mode }, text) => ({
    _tag: "peer",
    header,
    convention: { _tag: "message" },
    content: [Content.text(text)],
    ...(mode && { handlingMode: mode })
  }),
  peer_request: (header, { intent = "ask", mode }, text) => ({
    _tag: "peer",
    header,
    convention: { _tag: "request", requestId: "r", intent },
    content: [Content.text(text)],
    ...(mode && { handlingMode: mode })
  }),
  peer_response_progress: (header, { mode }, text) => ({
    _tag: "peer",
    header,
    convention: { _tag: "response_progress", requestId: "r", phase: "in_progress" },
    content: [Content.text(text)],
    ...(mode && { handlingMode: mode })
  }),
  peer_response_terminal: (header, { mode }, text) => ({
    _tag: "peer",
    header,
    convention: { _tag: "response_terminal", requestId: "r", status: "completed" },
    content: [Content.text(text)],
    ...(mode && { handlingMode: mode })
  }),
  flow_step: (header, { mode }, text) => ({
    _tag: "flow_step",
    header,
    stepId: "step",
    content: [Content.text(text)],
    ...(mode && { turn: { handlingMode: mode } })
  }),
  external_event: (header, { mode }, text) => ({
    _tag: "external_event",
    header,
    eventType: "mail",
    payload: { body: text },
    ...(mode && { handlingMode: mode })
  }),
  continuation: (header, { mode }, text) => ({
    _tag: "continuation",
    header,
    reason: text,
    ...(mode && { handlingMode: mode })
  }),
  operation: (header, _options, text) => ({
    _tag: "operation",
    header,
    operationId: "op",
    event: { _tag: "completed", result: text }
  })
}

export const kinds = Object.keys(bodies) as ReadonlyArray<Kind>

/** An input of a kind; its text is its number unless another is given. */
export const input = (kind: Kind, id: number, options: InputOptions = {}): Input =>
  bodies[kind](header(id, options), options, options.text ?? `text ${id}`)

/** News of an operation. An end is under the operation's key, unless another one is given. */
export const news = (
  id: number,
  operationId: string,
  event: typeof OperationEvent.Type,
  { key = operationKey(operationId), ...options }: HeaderOptions = {}
): Input => ({ _tag: "operation", header: header(id, { key, ...options }), operationId, event })

export const digestOf = (value: Input): string => Either.getOrThrow(payloadDigest(sha256, value))

export const failure: Failure = { tag: "Boom", message: "it broke" }

export const fail = (
  run: RunId,
  options: { readonly visibleAt?: number; readonly recoverable?: boolean } = {}
): Close.CloseCommand => ({
  _tag: "fail",
  runId: run,
  failure,
  visibleAt: options.visibleAt ?? null,
  recoverable: options.recoverable ?? true
})
