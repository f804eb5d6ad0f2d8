import * as Either from "effect/Either"
import type { HeadRow, InputRow, Rows, RuntimeColumns, SessionRows } from "../../src/core/Rows.js"
import type { Encoded } from "../../src/services/RuntimeStoreEncoded.js"

export const columns: RuntimeColumns = {
  state: "idle",
  record: "{}",
  runId: null,
  runBatch: null,
  runSequence: null,
  runOpenedAt: null
}

export const openRun: RuntimeColumns = { ...columns, runId: "run", runBatch: "batch", runSequence: 0, runOpenedAt: 1 }

/** A write set of the first owner; `n` stamps it. */
export const rows = (runtimeId: string, n: number, parts: Partial<Rows> = {}): Rows => ({
  runtimeId,
  epoch: 1,
  claimId: "owner",
  n,
  runtime: null,
  inserts: [],
  moves: [],
  session: null,
  boundary: null,
  notes: [],
  events: [],
  ops: undefined,
  deposits: [],
  ...parts
})

export const input = (sequence: number, parts: Partial<InputRow> = {}): InputRow => ({
  inputId: `input-${sequence}`,
  phase: "queued",
  attempt: 0,
  stagings: 0,
  batchId: null,
  runId: null,
  receiptRunId: null,
  receiptSequence: null,
  deliverAt: null,
  readyAt: null,
  hold: null,
  recorded: 0,
  awaits: null,
  outcome: null,
  failure: null,
  updatedAt: sequence,
  sequence,
  acceptedAt: sequence,
  kind: "prompt",
  durability: "durable",
  lane: "queue",
  idempotencyKey: `key-${sequence}`,
  supersessionKey: null,
  payloadDigest: `digest-${sequence}`,
  policy: "{}",
  payload: `payload-${sequence}`,
  ...parts
})

export const move = (sequence: number, parts: Partial<HeadRow> = {}): HeadRow => input(sequence, parts)

export const session = (parts: Partial<SessionRows> = {}): SessionRows => ({
  sessionId: "session",
  parent: { revision: "r0", version: 0 },
  after: { revision: "r1", version: 1, length: 1 },
  keep: 0,
  append: [{ revision: "r1", message: "hello" }],
  snapshot: undefined,
  expected: undefined,
  rewrite: null,
  ...parts
})

/** The first claim of a runtime, or a later one under another epoch. */
export const claim = (store: Encoded, runtimeId: string, claimId = "owner") =>
  store.recover(runtimeId, claimId, (loaded, epoch) =>
    Either.right(
      [{ ...rows(runtimeId, 0, { epoch, claimId }), runtime: loaded.runtime ?? columns }, { loaded, epoch }] as const
    ))
