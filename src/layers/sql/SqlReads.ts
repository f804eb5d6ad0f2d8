/**
 * What the reads of a store answer, from tables. Columns are answered as they are: whoever decodes them can tell one
 * bad row from its neighbours.
 */
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { EventRow, InputRow, MessageRow, NoteRow, SessionHeadRow } from "../../core/Rows.js"
import type { ReadFailed } from "../../schema/StoreError.js"
import type {
  Encoded,
  InputPage,
  StoredDepositRow,
  StoredRuntime,
  Totals,
  Witness
} from "../../services/RuntimeStoreEncoded.js"
import { bytesOf, knownOf } from "./SqlWrites.js"
import type { Statements, Tuple } from "./Statements.js"
import { atLeast, query, queryAll } from "./Statements.js"
import type { Transactor } from "./transact.js"

type Connection = SqlConnection.Connection

type Reads = Pick<
  Encoded,
  {
    [M in keyof Encoded]-?: M extends `read${string}` ? M : never
  }[keyof Encoded]
>

type Accept = Effect.Effect.Success<ReturnType<Encoded["readEvents"]>>["accepts"][number]

/** SQLite takes a negative limit for none. */
const limitOf = (limit: number): number => Math.max(0, Math.trunc(limit))

export const make = (transactor: Transactor, statements: Statements): Reads => {
  const rows =
    <A>(operation: string, text: string) => (...params: Tuple): Effect.Effect<ReadonlyArray<A>, ReadFailed> =>
      transactor.read(operation, (connection) => query<A>(connection, text, params))
  const row = <A>(operation: string, text: string) => {
    const read = rows<A>(operation, text)
    return (...params: Tuple): Effect.Effect<A | null, ReadFailed> =>
      Effect.map(read(...params), ([row]) => row ?? null)
  }
  const bytes = (operation: string, text: string, column: string) => {
    const read = row<Record<string, unknown>>(operation, text)
    return (...params: Tuple): Effect.Effect<Uint8Array | null, ReadFailed> =>
      Effect.map(read(...params), (row) => bytesOf(row?.[column]))
  }
  const runtimes = rows<{ readonly runtimeId: string; readonly state: string }>("readRuntimes", statements.runtimes)
  const pending = rows<{ readonly runtimeId: string; readonly readyAt: number | null }>(
    "readPending",
    statements.pending
  )
  const due = rows<{ readonly runtimeId: string; readonly readyAt: number }>("readDue", statements.due)
  const nextReadyAt = row<{ readonly readyAt: number }>("readNextReadyAt", statements.nextReadyAt)
  const version = row<{ readonly data_version: number }>("readVersion", statements.version)
  const deposits = {
    waiting: rows<StoredDepositRow>("readDeposits", statements.waitingDeposits),
    refused: rows<StoredDepositRow>("readDeposits", statements.refusedDeposits)
  }
  const allDead = rows<InputRow & { readonly runtimeId: string }>("readAllDead", statements.allDead)
  const messages = rows<MessageRow>("readMessages", statements.messages)
  const notes = rows<NoteRow>("readNotes", statements.notes)
  const note = rows<NoteRow>("readNotes", statements.note)
  const ops = row<{ readonly snapshot: string }>("readOps", statements.ops)
  const rewrites = rows<{ readonly record: string }>("readRewrites", statements.rewrites)
  const inputs = {
    all: rows<InputRow>("readInputs", statements.allInputs),
    active: rows<InputRow>("readInputs", statements.activeInputs),
    dead: rows<InputRow>("readInputs", statements.deadInputs)
  } satisfies Record<InputPage["filter"], unknown>

  return {
    readCell: bytes("readCell", statements.cell, "value"),
    readRuntime: row<StoredRuntime>("readRuntime", statements.runtime),
    readRuntimes: (after, limit) => runtimes(after ?? "", limitOf(limit)),
    readPending: (after, limit) => pending(after ?? "", limitOf(limit)),
    readDue: (after, until, limit) => due(after, until, limitOf(limit)),
    readNextReadyAt: (after) => Effect.map(nextReadyAt(after), (row) => row && row.readyAt),
    readVersion: Effect.map(version(), (row) => row?.data_version ?? 0),
    readDeposit: row<StoredDepositRow>("readDeposit", statements.deposit),
    readDeposits: ({ after, limit, refused }) => (refused ? deposits.refused : deposits.waiting)(after, limitOf(limit)),
    readAllDead: (after, limit) => allDead(after?.runtimeId ?? "", after?.sequence ?? 0, limitOf(limit)),
    readInput: row<InputRow>("readInput", statements.input),
    readInputByKey: row<InputRow>("readInputByKey", statements.inputByKey),
    readInputs: (runtimeId, { after, filter, limit }) => inputs[filter](runtimeId, after, limitOf(limit)),
    readKnown: (runtimeId, inputIds, keys) =>
      transactor.read("readKnown", (connection) => knownOf(statements, connection, runtimeId, inputIds, keys)),
    readPayloads: (runtimeId, inputIds) =>
      transactor.read(
        "readPayloads",
        (connection) =>
          queryAll(connection, atLeast(statements.payloads, Array.from(new Set(inputIds), (id) => [id]), [runtimeId]))
      ),
    readReceipt: row("readReceipt", statements.receipt),
    readSession: row<SessionHeadRow>("readSession", statements.session),
    readSnapshot: bytes("readSnapshot", statements.snapshot, "snapshot"),
    readMessages: (runtimeId, start, limit) => messages(runtimeId, start, limitOf(limit)),
    readRewrites: (runtimeId) => Effect.map(rewrites(runtimeId), (rows) => rows.map(({ record }) => record)),
    readNotes: (runtimeId, scope, key) => key === null ? notes(runtimeId, scope) : note(runtimeId, scope, key),
    readEvents: (runtimeId, after, limit) =>
      transactor.read(
        "readEvents",
        (connection) => eventsOf(statements, connection, [runtimeId, after, limitOf(limit)])
      ),
    readOps: (runtimeId) => Effect.map(ops(runtimeId), (row) => row && row.snapshot),
    readTotals: (runtimeId) =>
      transactor.read("readTotals", (connection) => totalsOf(statements, connection, runtimeId)),
    readStamp: (runtimeId, witness) =>
      transactor.read("readStamp", (connection) =>
        Effect.map(
          query<{ readonly epoch: number; readonly n: number }>(
            connection,
            statements.stamps[witness._tag],
            [runtimeId, ...nameOf(witness)]
          ),
          ([stamp]) => stamp ?? null
        ))
  }
}

const eventsOf = Effect.fnUntraced(function*(
  statements: Statements,
  connection: Connection,
  params: readonly [runtimeId: string, after: number, limit: number]
) {
  const [row] = yield* query<{ readonly floor: number }>(connection, statements.eventsFloor, [params[0]])
  const events = yield* query<EventRow>(connection, statements.events, params)
  const accepts = yield* query<Accept>(connection, statements.accepts, params)
  return { floor: row?.floor ?? 0, events, accepts }
})

const totalsOf = (
  statements: Statements,
  connection: Connection,
  runtimeId: string
): Effect.Effect<Totals, SqlError.SqlError> =>
  Effect.gen(function*() {
    const phases = yield* query<{ readonly phase: string; readonly active: number; readonly count: number }>(
      connection,
      statements.phases,
      [runtimeId]
    )
    const [boundaries] = yield* query<{ readonly receipts: number; readonly runs: number }>(
      connection,
      statements.boundaries,
      [runtimeId, runtimeId]
    )
    const sum = (of: (row: typeof phases[number]) => boolean): number =>
      phases.filter(of).reduce((sum, { count }) => sum + count, 0)
    const settled = ["held", "consumed", "superseded", "coalesced", "abandoned"] as const
    const inPhase = (name: typeof settled[number]): number => sum(({ phase }) => phase === name)
    return {
      accepted: sum(() => true),
      active: sum(({ active, phase }) => Boolean(active) && !settled.some((name) => name === phase)),
      held: inPhase("held"),
      consumed: inPhase("consumed"),
      superseded: inPhase("superseded"),
      coalesced: inPhase("coalesced"),
      abandoned: inPhase("abandoned"),
      receipts: boundaries?.receipts ?? 0,
      runs: boundaries?.runs ?? 0
    }
  })

const nameOf = (witness: Witness): Tuple => {
  switch (witness._tag) {
    case "input":
      return [witness.inputId]
    case "receipt":
      return [witness.runId, witness.sequence]
    case "event":
      return [witness.number]
    case "runtime":
    case "session":
      return []
  }
}
