/**
 * Between what the core decides and what a store keeps: one codec for each record, made once.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Commit } from "../core/Commit.js"
import type { HeadRow, InputHeadRow, InputRow, Rows, RuntimeColumns, SessionHeadRow } from "../core/Rows.js"
import { BlobId } from "../schema/Blob.js"
import * as Envelope from "../schema/Envelope.js"
import { Input } from "../schema/Input.js"
import { Awaited, Failure, InputHead, isTerminal, TerminalOutcome } from "../schema/InputState.js"
import type { Json } from "../schema/Json.js"
import { canonical } from "../schema/Json.js"
import { OAuthFlowSnapshot } from "../schema/OAuthFlow.js"
import { OpsSnapshot } from "../schema/Ops.js"
import { PolicyDecision } from "../schema/Policy.js"
import { OpenRun, Receipt } from "../schema/Run.js"
import { LifecycleRecord } from "../schema/Runtime.js"
import { RuntimeEvent } from "../schema/RuntimeEvent.js"
import { SessionHead, TranscriptRewriteCommit } from "../schema/Session.js"
import { RecordCorrupt, SchemaFromTheFuture } from "../schema/StoreError.js"

/** An input's body: in the row, or in a blob when it is large. */
export const Payload = Schema.Union(
  Schema.TaggedStruct("inline", { input: Input }),
  Schema.TaggedStruct("blob", { blobId: BlobId })
)
export type Payload = typeof Payload.Type

export const payload = Envelope.make({ kind: "input", version: 1, schema: Payload })
export const receipt = Envelope.make({ kind: "receipt", version: 1, schema: Receipt })
export const rewrite = Envelope.make({ kind: "transcript_rewrite", version: 1, schema: TranscriptRewriteCommit })
export const ops = Envelope.make({ kind: "ops", version: 1, schema: OpsSnapshot })

/** Small values inside a row: written by the row's version, so without an envelope of their own. */
const inRow = <A, I>(schema: Schema.Schema<A, I>) => {
  const encode = Schema.encodeSync(schema)
  const decode = Schema.decodeUnknownEither(schema)
  return {
    encode: (value: A): string => JSON.stringify(encode(value)),
    decode: (text: string): Either.Either<A, Envelope.Malformed> =>
      Either.flatMap(parse(text), (value) => Either.mapLeft(decode(value), Envelope.describe))
  }
}

const parse = (text: string): Either.Either<unknown, Envelope.Malformed> =>
  Either.try({
    try: () => JSON.parse(text) as unknown,
    catch: () => new Envelope.Malformed({ field: "$", problem: "expected JSON text" })
  })

export const policy = inRow(PolicyDecision)
/** What is in the text of a policy, and of no other, whose input rides along: so a store knows it without decoding. */
export const RIDES_ALONG = "\"apply\":\"ride_along\""
export const outcome = inRow(TerminalOutcome)
export const failure = inRow(Failure)
export const awaits = inRow(Schema.Array(Awaited))
export const event = inRow(RuntimeEvent)
export const lifecycleRecord = inRow(LifecycleRecord)
const openRun = Schema.decodeUnknownEither(OpenRun)
const head = Schema.decodeUnknownEither(Schema.typeSchema(InputHead))

/** JSON text of a value that a user gave: canonical, so that equal values are equal texts. */
export const json = {
  encode: canonical,
  decode: (text: string): Either.Either<Json, Envelope.Malformed> =>
    parse(text) as Either.Either<Json, Envelope.Malformed>
}

const headRow = (value: InputHead): HeadRow => ({
  inputId: value.id,
  phase: value.phase,
  attempt: value.attempt,
  stagings: value.stagings,
  batchId: value.batch,
  runId: value.run,
  receiptRunId: value.receipt?.runId ?? null,
  receiptSequence: value.receipt?.sequence ?? null,
  readyAt: value.readyAt,
  hold: value.hold,
  recorded: value.recorded ? 1 : 0,
  awaits: value.awaits.length === 0 ? null : awaits.encode(value.awaits),
  outcome: value.outcome && outcome.encode(value.outcome),
  failure: value.failure && failure.encode(value.failure),
  updatedAt: value.updatedAt
})

export const inputRow = (value: InputHead, encodedPayload: string): InputRow => ({
  ...headRow(value),
  sequence: value.sequence,
  acceptedAt: value.acceptedAt,
  deliverAt: value.deliverAt,
  kind: value.kind,
  durability: value.durability,
  lane: value.lane,
  idempotencyKey: value.key,
  supersessionKey: value.supersessionKey,
  payloadDigest: value.payloadDigest,
  policy: policy.encode(value.policy),
  payload: encodedPayload
})

/** Policies repeat over thousands of rows; their texts are decoded once. Bounded by the policy table's size. */
const policies = new Map<string, PolicyDecision>()
const POLICIES_MAX = 256
const decodePolicy = (text: string): Either.Either<PolicyDecision, Envelope.Malformed> => {
  const known = policies.get(text)
  if (known !== undefined) return Either.right(known)
  return Either.map(policy.decode(text), (decoded) => {
    if (policies.size < POLICIES_MAX) policies.set(text, decoded)
    return decoded
  })
}

const named = (field: string) => (problem: Envelope.Malformed) =>
  new Envelope.Malformed({ field, problem: `${problem.field}: ${problem.problem}` })

export const inputHead = (row: InputHeadRow): Either.Either<InputHead, Envelope.Malformed> =>
  Either.gen(function*() {
    const decision = yield* Either.mapLeft(decodePolicy(row.policy), named("policy"))
    const ended = row.outcome === null ? null : yield* Either.mapLeft(outcome.decode(row.outcome), named("outcome"))
    const failed = row.failure === null ? null : yield* Either.mapLeft(failure.decode(row.failure), named("failure"))
    const awaited = row.awaits === null ? [] : yield* Either.mapLeft(awaits.decode(row.awaits), named("awaits"))
    const decoded = yield* Either.mapLeft(
      head({
        id: row.inputId,
        sequence: row.sequence,
        acceptedAt: row.acceptedAt,
        kind: row.kind,
        durability: row.durability,
        key: row.idempotencyKey,
        supersessionKey: row.supersessionKey,
        payloadDigest: row.payloadDigest,
        policy: decision,
        lane: row.lane,
        phase: row.phase,
        attempt: row.attempt,
        stagings: row.stagings,
        batch: row.batchId,
        run: row.runId,
        receipt: row.receiptRunId === null && row.receiptSequence === null
          ? null
          : { runId: row.receiptRunId, sequence: row.receiptSequence },
        readyAt: row.readyAt,
        deliverAt: row.deliverAt,
        hold: row.hold,
        // Anything else is for the schema to refuse: SQLite columns take any value.
        recorded: isFlag(row.recorded) ? row.recorded === 1 : row.recorded,
        awaits: awaited,
        outcome: ended,
        failure: failed,
        updatedAt: row.updatedAt
      }),
      Envelope.describe
    )
    if ((decoded.outcome?._tag ?? null) !== (isTerminal(decoded) ? decoded.phase : null)) {
      return yield* Either.left(
        new Envelope.Malformed({ field: "outcome", problem: `does not agree with phase ${decoded.phase}` })
      )
    }
    return decoded
  })

const isFlag = (column: unknown): boolean => column === 0 || column === 1

export const runtimeColumns = (commit: NonNullable<Commit["lifecycle"]>): RuntimeColumns => ({
  state: commit.record.runtimeState,
  record: lifecycleRecord.encode(commit.record),
  runId: commit.run?.id ?? null,
  runBatch: commit.run?.batch ?? null,
  runSequence: commit.run?.sequence ?? null,
  runOpenedAt: commit.run?.openedAt ?? null
})

export const runOf = (columns: RuntimeColumns): Either.Either<OpenRun | null, Envelope.Malformed> =>
  columns.runId === null ? Either.right(null) : Either.mapLeft(
    openRun({
      id: columns.runId,
      batch: columns.runBatch,
      sequence: columns.runSequence,
      openedAt: columns.runOpenedAt
    }),
    Envelope.describe
  )

/** What a record is called in an error: enough to find it, bounded. */
export const excerpt = (name: string): string => JSON.stringify(String(name).slice(0, 64))

/** The error of a record that cannot be read. */
export const corrupt = (runtimeId: string, record: string) => ({ field, problem }: Envelope.Malformed): RecordCorrupt =>
  new RecordCorrupt({ runtimeId, record, field, problem })

const inEnvelope = <A>(envelope: Envelope.Envelope<A>, runtimeId: string, record: string, text: string) =>
  Either.mapLeft(envelope.decode(text), (error) =>
    error._tag === "FromTheFuture"
      ? new SchemaFromTheFuture({ record: `${record} of ${runtimeId}`, version: error.version, known: error.known })
      : corrupt(runtimeId, record)(error))

export const body = (runtimeId: string, inputId: string, text: string): Either.Either<Payload, LoadProblem> =>
  Either.flatMap(
    inEnvelope(payload, runtimeId, `input ${inputId}`, text),
    (decoded) =>
      decoded._tag === "inline" && decoded.input.header.id !== inputId
        ? Either.left(
          corrupt(runtimeId, `input ${inputId}`)(
            new Envelope.Malformed({ field: "payload.header.id", problem: "names another input" })
          )
        )
        : Either.right(decoded)
  )

export const receiptOf = (runtimeId: string, text: string) => inEnvelope(receipt, runtimeId, "a receipt", text)
export const rewriteOf = (runtimeId: string, text: string) => inEnvelope(rewrite, runtimeId, "a rewrite", text)
export const opsOf = (runtimeId: string, text: string) => inEnvelope(ops, runtimeId, "the operations", text)

/** The version is looked at first: a newer record is not corrupt, and no other version is read as this one. */
export const lifecycle = (runtimeId: string, text: string): Either.Either<LifecycleRecord, LoadProblem> => {
  const version = Either.getOrUndefined(parse(text)) as { readonly record_version?: unknown } | undefined
  const found = version?.record_version
  return typeof found === "number" && found > 1
    ? Either.left(
      new SchemaFromTheFuture({ record: `the lifecycle record of ${runtimeId}`, version: found, known: 1 })
    )
    : Either.mapLeft(lifecycleRecord.decode(text), corrupt(runtimeId, "the lifecycle record"))
}

const decodeSession = Schema.decodeUnknownEither(SessionHead)
export const sessionHead = (row: SessionHeadRow): Either.Either<SessionHead, Envelope.Malformed> =>
  Either.mapLeft(
    decodeSession({ id: row.sessionId, revision: row.revision, version: row.version, length: row.length }),
    Envelope.describe
  )

const oauthFlows = Envelope.make({ kind: "oauth_flows", version: 1, schema: OAuthFlowSnapshot })
export const oauth = (value: OAuthFlowSnapshot): Either.Either<Uint8Array, Envelope.Malformed> =>
  Either.map(oauthFlows.encode(value), (text) => new TextEncoder().encode(text))
export const flows = (bytes: Uint8Array): Either.Either<OAuthFlowSnapshot, LoadProblem> =>
  inEnvelope(oauthFlows, "the store", "the login flow snapshot", new TextDecoder().decode(bytes))

type LoadProblem = RecordCorrupt | SchemaFromTheFuture

/** The rows of a commit. What a driver commits was checked before; a value made by hand may still have no JSON. */
export const rows = (commit: Commit): Either.Either<Rows, Envelope.Malformed> =>
  Either.flatMap(
    Either.try({
      try: () => encodeRows(commit),
      catch: (cause) =>
        ParseResult.isParseError(cause)
          ? Envelope.describe(cause)
          : new Envelope.Malformed({ field: "$", problem: "has a value that JSON cannot hold" })
    }),
    (encoded) => encoded
  )

const encodeRows = (commit: Commit): Either.Either<Rows, Envelope.Malformed> =>
  Either.gen(function*() {
    const { boundary, lifecycle, session } = commit
    const notes = []
    for (const note of commit.notes) {
      const value = yield* Either.mapLeft(
        json.encode(note.value),
        (problem) => new Envelope.Malformed({ field: `notes.${note.key}`, problem: problem.message })
      )
      notes.push({ scope: note.scope, key: note.key, value })
    }
    return {
      runtimeId: commit.runtimeId,
      epoch: commit.stamp.token.epoch,
      claimId: commit.stamp.token.claimId,
      n: commit.stamp.n,
      runtime: lifecycle && runtimeColumns(lifecycle),
      inserts: commit.inputs.flatMap(({ head, payload }) => payload === null ? [] : [inputRow(head, payload)]),
      moves: commit.inputs.flatMap(({ head, payload }) => payload === null ? [headRow(head)] : []),
      session: session && {
        sessionId: session.after.id,
        parent: { revision: session.parent.revision, version: session.parent.version },
        after: session.after,
        keep: session.keep,
        append: session.append,
        snapshot: session.snapshot,
        expected: session.expected,
        rewrite: session.rewrite && (yield* rewrite.encode(session.rewrite))
      },
      boundary: boundary && {
        runId: boundary.receipt.runId,
        batchId: boundary.receipt.batchId,
        after: boundary.after,
        digest: boundary.receipt.commitDigest,
        contributors: boundary.receipt.contributors,
        receipt: yield* receipt.encode(boundary.receipt),
        result: boundary.result
      },
      notes,
      events: commit.events.map(({ at, event: value, number }) => ({
        number,
        at,
        code: value._tag,
        data: event.encode(value)
      })),
      ops: commit.ops === undefined || commit.ops === null ? commit.ops : yield* ops.encode(commit.ops),
      deposits: commit.deposits
    }
  })
