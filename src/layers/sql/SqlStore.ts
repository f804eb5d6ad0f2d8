/**
 * A store in the tables of a SQL database: the `Encoded` contract over any client that has a transactor.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import type * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import { judge } from "../../core/Guard.js"
import type { InputHeadRow, Outcome, Rows, RuntimeColumns, SessionHeadRow } from "../../core/Rows.js"
import { committed } from "../../core/Rows.js"
import { type CommitError, ReadFailed, WriteFailed } from "../../schema/StoreError.js"
import type { Encoded, Loaded, StoredRuntime } from "../../services/RuntimeStoreEncoded.js"
import * as SqlReads from "./SqlReads.js"
import { bytesOf, callsOf, depositCalls, gather, knownOf, perform } from "./SqlWrites.js"
import * as Statements from "./Statements.js"
import { codeOf, commitError, type Transactor } from "./transact.js"

type Connection = SqlConnection.Connection

export interface Options {
  /** For spans: `sqlite` ... */
  readonly name: string
  readonly authorityKey: string | null
}

/** A row that the tables do not take. The transaction around it is still whole. */
class RowFault extends Data.TaggedError("RowFault")<{ readonly error: SqlError.SqlError }> {}

interface Own {
  readonly transactor: Transactor
  readonly statements: Statements.Statements
}

/** Over tables that are there: migrate first. */
export const make = (transactor: Transactor, { authorityKey, name }: Options): Encoded => {
  const statements = Statements.make(transactor.dialect)
  const own: Own = { transactor, statements }
  return {
    name,
    authorityKey,
    insideTransaction: Effect.map(transactor.ambient, (whose) => whose === "mine"),
    isForeign: transactor.isForeign,
    commit: (group) =>
      Effect.catchIf(
        transactor.transact("commit", (connection) => write(own, connection, group)),
        isRowFault,
        () => oneByOne(own, group)
      ),
    commitWith: (rows, alongside) => commitWith(own, rows, alongside),
    recover: (runtimeId, claimId, decide) =>
      transactor.transact("recover", (connection) => recover(own, connection, { runtimeId, claimId }, decide)),
    barrier: (runtimeId, epoch, claimId) =>
      transactor.transact(
        "barrier",
        (connection) =>
          Statements.query(connection, statements.barrier, [runtimeId, epoch, claimId]).pipe(
            Effect.mapBoth({ onFailure: commitError("barrier"), onSuccess: (rows) => rows.length === 1 })
          )
      ),
    updateCell: (cell, f) => updateCell(own, cell, f),
    deposit: (deposits) => perforce(own, "deposit", depositCalls(statements, deposits)),
    settleDeposits: (settled) =>
      perforce(own, "settleDeposits", [
        ...Statements.exactly(
          statements.dropDeposits,
          settled.flatMap(({ failure, no }) => failure === null ? [[no]] : [])
        ),
        ...Statements.exactly(
          statements.refuseDeposits,
          settled.flatMap(({ failure, no }) => failure === null ? [] : [[no, failure]])
        )
      ]),
    ...SqlReads.make(transactor, statements)
  }
}

const isRowFault = (error: unknown): error is RowFault => error instanceof RowFault

/**
 * Whether an error speaks of a row: a constraint, a value that cannot be stored. All others speak of the database, and
 * another try of the same row would meet them too.
 */
const blamesRow = (error: SqlError.SqlError): boolean =>
  error.cause === undefined || error.cause instanceof TypeError || error.cause instanceof RangeError ||
  /^(SQLITE_CONSTRAINT|SQLITE_MISMATCH|SQLITE_TOOBIG|22|23)/.test(codeOf(error))

const write = (
  { statements }: Own,
  connection: Connection,
  group: ReadonlyArray<Rows>
): Effect.Effect<ReadonlyArray<Outcome>, CommitError | RowFault> =>
  Effect.matchEffect(gather(statements, connection, group), {
    onFailure: (error) => Effect.fail(commitError("commit")(error)),
    onSuccess: (candidates) => {
      const said = candidates.map(({ facts, rows }) => judge(rows, facts))
      const free = candidates.filter((_, i) => said[i] === undefined)
      return Effect.mapBoth(perform(connection, callsOf(statements, free)), {
        onFailure: (error) => blamesRow(error) ? new RowFault({ error }) : commitError("commit")(error),
        onSuccess: () => said.map((outcome) => outcome ?? committed)
      })
    }
  })

/**
 * A row of a group was not taken, and the group was rolled back. Each member is written alone, so that it is refused
 * alone. What cannot be explained fails the whole: then nothing is written.
 */
const oneByOne = (
  own: Own,
  group: Arr.NonEmptyReadonlyArray<Rows>
): Effect.Effect<ReadonlyArray<Outcome>, CommitError> =>
  own.transactor.transact("commit", (connection) => Effect.forEach(group, (rows) => alone(own, connection, rows)))

/** In a savepoint of its own: the transaction goes on when the rows are not taken. */
const alone = (own: Own, connection: Connection, rows: Rows): Effect.Effect<Outcome, CommitError> =>
  own.transactor.transact("commit", (savepoint) => write(own, savepoint, [rows])).pipe(
    Effect.map(([outcome]) => outcome ?? committed),
    Effect.catchIf(isRowFault, (fault) => explain(own, connection, rows, fault))
  )

/** The unique index has decided; who was first is read back. */
const explain = (
  { statements }: Own,
  connection: Connection,
  { inserts, runtimeId }: Rows,
  { error }: RowFault
): Effect.Effect<Outcome, CommitError> =>
  Effect.matchEffect(
    knownOf(
      statements,
      connection,
      runtimeId,
      inserts.map(({ inputId }) => inputId),
      inserts.flatMap(({ idempotencyKey }) => idempotencyKey ?? [])
    ),
    {
      onFailure: (error) => Effect.fail(commitError("commit")(error)),
      onSuccess: (known) =>
        known.length > 0
          ? Effect.succeed<Outcome>({ _tag: "Refused", by: { _tag: "KnownInput", known } })
          : Effect.fail(new WriteFailed({ operation: `a commit of runtime ${runtimeId}`, cause: error }))
    }
  )

const commitWith = <E, R>(
  own: Own,
  rows: Rows,
  alongside: Effect.Effect<unknown, E, R>
): Effect.Effect<Outcome, CommitError | E, R> => {
  const { client, transact } = own.transactor
  // Whatever client its caller has: what it takes from the context is the one that this transaction is of.
  const joined = Effect.mapInputContext(
    alongside,
    (context: Context.Context<R>) => Context.add(context, SqlClient.SqlClient, client)
  )
  return transact("commitWith", (connection) =>
    Effect.flatMap(
      alone(own, connection, rows),
      (outcome): Effect.Effect<Outcome, CommitError | E, R> =>
        outcome._tag === "Committed"
          ? Effect.as(transact("alongside", () => joined), outcome)
          : Effect.succeed(outcome)
    ))
}

type LoadedRuntime = StoredRuntime & {
  readonly no: number
  readonly lastEvent: number | null
  readonly floor: number
}

/** The runtime's row number, and what recovery decides on. */
const load = Effect.fnUntraced(function*({ statements }: Own, connection: Connection, runtimeId: string) {
  const [row] = yield* Statements.query<LoadedRuntime>(connection, statements.loadRuntime, [runtimeId])
  if (row === undefined) {
    const nothing: Loaded = { runtime: null, session: null, inputs: [], lastSequence: 0, receipts: new Set() }
    return nothing
  }
  const { floor, lastEvent, no, ...runtime } = row
  const inputs = yield* Statements.query<InputHeadRow>(connection, statements.loadHeads, [no])
  const [session] = yield* Statements.queryAll<SessionHeadRow>(
    connection,
    Statements.atLeast(statements.sessions, [[no]])
  )
  const named = new Map<string, Statements.Tuple>()
  let lastSequence = Math.max(floor, lastEvent ?? 0)
  for (const { receiptRunId, receiptSequence, sequence } of inputs) {
    // Not `Math.max`: a column that holds something else belongs to one bad row.
    if (sequence > lastSequence) lastSequence = sequence
    if (receiptRunId !== null && receiptSequence !== null) {
      named.set(`${receiptRunId}/${receiptSequence}`, [no, receiptRunId, receiptSequence])
    }
  }
  const stored = yield* Statements.queryAll<{ readonly runId: string; readonly sequence: number }>(
    connection,
    Statements.atLeast(statements.storedReceipts, Array.from(named.values()))
  )
  const receipts = new Set(stored.map(({ runId, sequence }) => `${runId}/${sequence}`))
  const loaded: Loaded = { runtime, session: session ?? null, inputs, lastSequence, receipts }
  return loaded
})

const recover = <A, E>(
  own: Own,
  connection: Connection,
  { claimId, runtimeId }: { readonly runtimeId: string; readonly claimId: string },
  decide: (
    loaded: Loaded,
    epoch: number
  ) => Either.Either<readonly [rows: Rows & { readonly runtime: RuntimeColumns }, reply: A], E>
): Effect.Effect<A, CommitError | ReadFailed | E> =>
  Effect.gen(function*() {
    const loaded = yield* Effect.mapError(
      load(own, connection, runtimeId),
      (cause) => new ReadFailed({ operation: "recover", cause })
    )
    const epoch = (loaded.runtime?.epoch ?? 0) + 1
    const [rows, reply] = yield* decide(loaded, epoch)
    const { record, runBatch, runId, runOpenedAt, runSequence, state } = rows.runtime
    yield* Effect.mapError(
      Statements.query(
        connection,
        own.statements.claim,
        [runtimeId, epoch, claimId, rows.n, state, record, runId, runBatch, runSequence, runOpenedAt]
      ),
      commitError("recover")
    )
    // The columns are written, the rest goes the way of every commit, judged under the new token.
    const [outcome] = yield* Effect.catchIf(
      write(own, connection, [{ ...rows, runtime: null }]),
      isRowFault,
      ({ error }) => Effect.fail(new WriteFailed({ operation: "recover", cause: error }))
    )
    if (outcome?._tag !== "Committed") {
      const cause = new Error(
        `what recovery decided was answered ${outcome?._tag === "Refused" ? outcome.by._tag : outcome?._tag}`
      )
      return yield* new WriteFailed({ operation: "recover", cause })
    }
    return reply
  })

/** Statements that ask nothing first, in one transaction. */
const perforce = (
  { transactor }: Own,
  operation: string,
  calls: ReadonlyArray<Statements.Call>
): Effect.Effect<void, CommitError> =>
  transactor.transact(
    operation,
    (connection) => Effect.mapError(perform(connection, calls), commitError(operation))
  )

const updateCell = <E, R>(
  { statements, transactor }: Own,
  cell: string,
  f: (now: Uint8Array | null) => Effect.Effect<Uint8Array | null, E, R>
): Effect.Effect<void, CommitError | ReadFailed | E, R> =>
  transactor.transact("updateCell", (connection) =>
    Effect.gen(function*() {
      const [row] = yield* Effect.mapError(
        Statements.query<{ readonly value: unknown }>(connection, statements.cell, [cell]),
        (cause) => new ReadFailed({ operation: "updateCell", cause })
      )
      // In a savepoint, which is there afterwards only if the transaction is.
      const next = yield* transactor.transact("updateCell", () => f(bytesOf(row?.value)))
      yield* Effect.mapError(
        next === null
          ? Statements.query(connection, statements.dropCell, [cell])
          : Statements.query(connection, statements.putCell, [cell, next]),
        commitError("updateCell")
      )
    }))
