import type { BoundaryRow, HeadRow, InputRow, Rows, RuntimeColumns, SessionRows } from "../../src/core/Rows.js"

export const columns: RuntimeColumns = {
  state: "idle",
  record: "{}",
  runId: null,
  runBatch: null,
  runSequence: null,
  runOpenedAt: null
}

export const open = (runId: string, runSequence: number): RuntimeColumns => ({
  ...columns,
  state: "running",
  runId,
  runBatch: `batch of ${runId}`,
  runSequence,
  runOpenedAt: 1
})

const nothing: Rows = {
  runtimeId: "r",
  epoch: 1,
  claimId: "claim",
  n: 1,
  runtime: null,
  inserts: [],
  moves: [],
  session: null,
  boundary: null,
  notes: [],
  events: [],
  ops: undefined,
  deposits: []
}

export const rowsOf = <A extends Partial<Rows>>(rows: A): Rows & A => ({ ...nothing, ...rows })

export const inputOf = (sequence: number, row: Partial<InputRow> = {}): InputRow => ({
  inputId: `input ${sequence}`,
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
  updatedAt: 1,
  sequence,
  acceptedAt: 1,
  kind: "prompt",
  durability: "durable",
  lane: "queue",
  idempotencyKey: `key ${sequence}`,
  supersessionKey: null,
  payloadDigest: `digest ${sequence}`,
  policy: "{}",
  payload: `payload ${sequence}`,
  ...row
})

export const moveOf = (sequence: number, row: Partial<HeadRow>): HeadRow => {
  const { inputId, ...rest } = inputOf(sequence)
  const head = {
    phase: rest.phase,
    attempt: rest.attempt,
    stagings: rest.stagings,
    batchId: rest.batchId,
    runId: rest.runId,
    receiptRunId: rest.receiptRunId,
    receiptSequence: rest.receiptSequence,
    readyAt: rest.readyAt,
    hold: rest.hold,
    recorded: rest.recorded,
    awaits: rest.awaits,
    outcome: rest.outcome,
    failure: rest.failure,
    updatedAt: 2
  }
  return { inputId, ...head, ...row }
}

export const boundaryOf = (runId: string, after: number, row: Partial<BoundaryRow> = {}): BoundaryRow => ({
  runId,
  batchId: `batch of ${runId}`,
  after,
  digest: `digest ${after + 1}`,
  contributors: [],
  receipt: `receipt ${after + 1}`,
  result: null,
  ...row
})

export const sessionOf = (
  parent: { readonly version: number; readonly length: number },
  messages: ReadonlyArray<string>,
  row: Partial<SessionRows> = {}
): SessionRows => ({
  sessionId: "session",
  parent: { revision: `revision ${parent.version}`, version: parent.version },
  after: {
    revision: `revision ${parent.version + 1}`,
    version: parent.version + 1,
    length: parent.length + messages.length
  },
  keep: parent.length,
  append: messages.map((message) => ({ revision: `of ${message}`, message })),
  snapshot: undefined,
  expected: undefined,
  rewrite: null,
  ...row
})
