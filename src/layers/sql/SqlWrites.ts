/**
 * What a group of commits asks of the tables and writes into them: the facts that `core/Guard` judges by, and the rows
 * of those that it lets through, all members together.
 */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Facts } from "../../core/Guard.js"
import type { BoundaryRow, DepositRow, HeadRow, KnownRow, NoteRow, Rows, SessionHeadRow } from "../../core/Rows.js"
import type { Call, Sized, Statements, Tuple } from "./Statements.js"
import { atLeast, exactly, inputColumns, movedColumns, query, queryAll } from "./Statements.js"

type Connection = SqlConnection.Connection

/** A write set and the facts it is judged by. */
export interface Candidate {
  readonly rows: Rows
  readonly facts: Facts
  /** The runtime's row number. A runtime without a row has none, and is never written by a commit. */
  readonly no: number | null
}

interface Fence {
  readonly no: number
  readonly runtimeId: string
  readonly epoch: number
  readonly claimId: string
  readonly runId: string | null
  readonly runSequence: number | null
}

interface Numbered {
  readonly runtimeNo: number
}

type Member<K extends keyof Rows = never> = {
  readonly no: number
  readonly rows: Rows & { readonly [P in K]: NonNullable<Rows[P]> }
}

const having = <K extends "boundary" | "session" | "runtime">(
  members: ReadonlyArray<Member>,
  key: K
): ReadonlyArray<Member<K>> => members.filter((member): member is Member<K> => member.rows[key] !== null)

/** The facts of all members: one statement for the tokens, and one for each kind of fact that a member needs. */
export const gather = (
  statements: Statements,
  connection: Connection,
  group: ReadonlyArray<Rows>
): Effect.Effect<ReadonlyArray<Candidate>, SqlError.SqlError> =>
  Effect.flatMap(
    queryAll<Fence>(connection, atLeast(statements.fence, group.map(({ runtimeId }) => [runtimeId]))),
    (fences) => {
      const byId = new Map(fences.map((fence) => [fence.runtimeId, fence]))
      const more = group.flatMap((rows): ReadonlyArray<Member> => {
        const fence = byId.get(rows.runtimeId)
        return fence === undefined || isPlain(rows) ? [] : [{ no: fence.no, rows }]
      })
      const candidates = (found: Found): ReadonlyArray<Candidate> =>
        group.map((rows) => candidateOf(rows, byId.get(rows.runtimeId) ?? null, found))
      return more.length === 0
        ? Effect.succeed(candidates(nothing))
        : Effect.map(find(statements, connection, more), candidates)
    }
  )

/** An accept is: the token is all that it is judged by. */
const isPlain = ({ boundary, notes, session }: Rows): boolean =>
  boundary === null && session === null && notes.length === 0

interface Found {
  readonly digests: ReadonlyArray<Numbered & { readonly digest: string }>
  readonly staged: ReadonlyArray<Numbered & { readonly runId: string | null }>
  readonly heads: ReadonlyArray<Numbered & SessionHeadRow>
  readonly snapshots: ReadonlyArray<Numbered & { readonly snapshot: unknown }>
  readonly notes: ReadonlyArray<Numbered & NoteRow>
}

const nothing: Found = { digests: [], staged: [], heads: [], snapshots: [], notes: [] }

const find = (
  statements: Statements,
  connection: Connection,
  members: ReadonlyArray<Member>
): Effect.Effect<Found, SqlError.SqlError> => {
  const ask = <A>(statement: Sized, rows: ReadonlyArray<Tuple>) => queryAll<A>(connection, atLeast(statement, rows))
  const boundaries = having(members, "boundary")
  const sessions = having(members, "session")
  return Effect.all({
    digests: ask<Found["digests"][number]>(
      statements.receiptDigests,
      boundaries.map(({ no, rows: { boundary } }) => [no, boundary.runId, boundary.after + 1])
    ),
    staged: ask<Found["staged"][number]>(
      statements.staged,
      boundaries.flatMap(({ no, rows }) => rows.boundary.contributors.map((inputId): Tuple => [no, inputId]))
    ),
    heads: ask<Found["heads"][number]>(statements.sessions, sessions.map(({ no }) => [no])),
    snapshots: ask<Found["snapshots"][number]>(
      statements.snapshots,
      sessions.filter(({ rows }) => rows.session.expected !== undefined).map(({ no }) => [no])
    ),
    notes: ask<Found["notes"][number]>(
      statements.storedNotes,
      members.flatMap(({ no, rows }) => rows.notes.map(({ key, scope }): Tuple => [no, scope, key]))
    )
  })
}

const candidateOf = (rows: Rows, fence: Fence | null, found: Found): Candidate => {
  const mine = ({ runtimeNo }: Numbered): boolean => runtimeNo === fence?.no
  return {
    rows,
    no: fence && fence.no,
    facts: {
      runtime: fence,
      receiptDigest: found.digests.find(mine)?.digest ?? null,
      contributorsStaged: found.staged.filter((row) => mine(row) && row.runId === rows.boundary?.runId).length,
      session: found.heads.find(mine) ?? null,
      snapshot: bytesOf(found.snapshots.find(mine)?.snapshot),
      notes: found.notes.filter(mine)
    }
  }
}

/** Stored bytes; a text that something else has put there is its UTF-8. */
export const bytesOf = (value: unknown): Uint8Array | null =>
  value instanceof Uint8Array
    // Without the methods of `Buffer`, whose `slice` does not copy.
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : typeof value === "string"
    ? new TextEncoder().encode(value)
    : null

const movedOf = (move: HeadRow): Tuple => movedColumns.map((name) => move[name])

/** A group's rows as statements. Inserts go before moves, which may be of the same inputs. */
export const callsOf = (statements: Statements, written: ReadonlyArray<Candidate>): ReadonlyArray<Call> => {
  const members = written.flatMap(({ no, rows }): ReadonlyArray<Member> => no === null ? [] : [{ no, rows }])
  return [
    ...exactly(
      statements.updateRuntimes,
      having(members, "runtime").map(({ no, rows: { n, runtime } }) => [
        no,
        n,
        runtime.state,
        runtime.record,
        runtime.runId,
        runtime.runBatch,
        runtime.runSequence,
        runtime.runOpenedAt
      ])
    ),
    ...exactly(
      statements.insertInputs,
      members.flatMap(({ no, rows: { epoch, inserts, n } }) =>
        inserts.map((input): Tuple => [no, epoch, n, ...inputColumns.map((name) => input[name])])
      )
    ),
    ...exactly(
      statements.moveInputs,
      members.flatMap(({ no, rows: { epoch, moves, n } }) =>
        lastOfEach(moves).map((move): Tuple => [no, move.inputId, epoch, n, ...movedOf(move)])
      ),
      { answers: true }
    ),
    ...sessionCalls(statements, written),
    ...exactly(
      statements.insertReceipts,
      having(members, "boundary").map(({ no, rows }) => receiptOf(no, rows, rows.boundary))
    ),
    ...exactly(
      statements.insertNotes,
      members.flatMap(({ no, rows }) => rows.notes.map(({ key, scope, value }): Tuple => [no, scope, key, value]))
    ),
    ...exactly(
      statements.insertEvents,
      members.flatMap(({ no, rows: { epoch, events, n } }) =>
        events.map(({ at, code, data, number }): Tuple => [no, number, epoch, n, at, code, data])
      )
    ),
    ...exactly(
      statements.putOps,
      members.flatMap(({ no, rows: { ops } }) => typeof ops === "string" ? [[no, ops] as const] : [])
    ),
    ...exactly(statements.dropOps, members.flatMap(({ no, rows: { ops } }) => ops === null ? [[no]] : [])),
    ...depositCalls(statements, members.flatMap(({ rows }) => rows.deposits))
  ]
}

export const depositCalls = (statements: Statements, deposits: ReadonlyArray<DepositRow>): ReadonlyArray<Call> =>
  exactly(
    statements.insertDeposits,
    deposits.map(({ at, inputId, payload, runtimeId }) => [runtimeId, inputId, at, payload])
  )

/** An UPDATE of several rows would take any of two that name the same one. */
const lastOfEach = (moves: ReadonlyArray<HeadRow>): ReadonlyArray<HeadRow> =>
  moves.length < 2 ? moves : Array.from(new Map(moves.map((move) => [move.inputId, move])).values())

const receiptOf = (no: number, { epoch, n }: Rows, boundary: BoundaryRow): Tuple => [
  no,
  boundary.runId,
  boundary.after + 1,
  epoch,
  n,
  boundary.batchId,
  boundary.digest,
  boundary.receipt,
  boundary.result
]

const sessionCalls = (statements: Statements, written: ReadonlyArray<Candidate>): ReadonlyArray<Call> => {
  const members = written.flatMap(({ facts, no, rows: { epoch, n, session } }) =>
    no === null || session === null ? [] : [{ no, epoch, n, session, stored: facts.session?.length ?? 0 }]
  )
  if (members.length === 0) return []
  return [
    ...exactly(
      statements.putSessions,
      members.map(({ epoch, n, no, session: { after, sessionId } }) => [
        no,
        sessionId,
        after.revision,
        after.version,
        after.length,
        epoch,
        n
      ])
    ),
    ...members.filter(({ session, stored }) => session.keep < stored)
      .map(({ no, session }): Call => ({ text: statements.cutMessages, params: [no, session.keep] })),
    ...exactly(
      statements.insertMessages,
      members.flatMap(({ no, session: { append, keep } }) =>
        append.map(({ message, revision }, i): Tuple => [no, keep + i, revision, message])
      )
    ),
    ...exactly(
      statements.putSnapshots,
      members.flatMap(({ no, session: { snapshot } }) =>
        snapshot === null || snapshot === undefined ? [] : [[no, snapshot] as const]
      )
    ),
    ...exactly(
      statements.dropSnapshots,
      members.flatMap(({ no, session }) => session.snapshot === null ? [[no]] : [])
    ),
    ...exactly(
      statements.insertRewrites,
      members.flatMap(({ no, session: { rewrite } }) => rewrite === null ? [] : [[no, rewrite] as const])
    )
  ]
}

/** Runs statements that write, one after another. */
export const perform = (connection: Connection, calls: ReadonlyArray<Call>): Effect.Effect<void, SqlError.SqlError> =>
  Effect.forEach(
    calls,
    ({ answers, params, text }) =>
      Effect.flatMap(query(connection, text, params), (rows) =>
        answers === undefined || rows.length === answers
          ? Effect.void
          : Effect.fail(new SqlError.SqlError({ message: "An input that was to be changed is not stored" }))),
    {
      discard: true
    }
  )

/** The stored inputs that have one of the ids or keys, in admission order. */
export const knownOf = (
  statements: Statements,
  connection: Connection,
  runtimeId: string,
  inputIds: ReadonlyArray<string>,
  keys: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<KnownRow>, SqlError.SqlError> =>
  Effect.map(
    queryAll<KnownRow>(connection, [
      ...atLeast(statements.knownById, inputIds.map((inputId) => [inputId]), [runtimeId]),
      ...atLeast(statements.knownByKey, keys.map((key) => [key]), [runtimeId])
    ]),
    (rows) =>
      Array.from(new Map(rows.map((row) => [row.inputId, row])).values()).sort((a, b) => a.sequence - b.sequence)
  )
