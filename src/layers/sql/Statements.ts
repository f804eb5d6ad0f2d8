/**
 * Every statement of the store, and how it is run. They are written once, with `?`; the dialect's placeholders are put
 * in when they are made. Their texts are constant, so that each is prepared once.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import type * as SqlError from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HeadRow, InputRow } from "../../core/Rows.js"
import { RIDES_ALONG } from "../../services/codecs.js"
import { attempt, type Dialect } from "./Lease.js"

type Param = string | number | Uint8Array | null
export type Tuple = ReadonlyArray<Param>

/** A statement over several rows. There is a text of it for each power of two up to `ROWS_MAX`. */
export type Sized = (rows: number) => string

/** A statement with its parameters, ready to run. */
export interface Call {
  readonly text: string
  readonly params: Tuple
  /** How many rows it must answer: what it changes must be there. */
  readonly answers?: number
}

/**
 * More rows gain nothing more. 64 of the widest row take 1 900 of SQLite's 32 766 parameters, and seven texts of a
 * statement leave room in the client's cache of 200.
 */
const ROWS_MAX = 64

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const columns = (names: ReadonlyArray<string>): string => names.map(snake).join(", ")

const selected = (names: ReadonlyArray<string>, table = ""): string =>
  names.map((name) => `${table}${snake(name)} AS "${name}"`).join(", ")

/** What changes of an input. An UPDATE names these and the stamp only. */
export const movedColumns = [
  "phase",
  "attempt",
  "stagings",
  "batchId",
  "runId",
  "receiptRunId",
  "receiptSequence",
  "readyAt",
  "hold",
  "recorded",
  "awaits",
  "outcome",
  "failure",
  "updatedAt"
] as const satisfies ReadonlyArray<keyof HeadRow>

const headColumns = [
  "inputId",
  ...movedColumns,
  "sequence",
  "acceptedAt",
  "deliverAt",
  "kind",
  "durability",
  "lane",
  "idempotencyKey",
  "supersessionKey",
  "payloadDigest",
  "policy"
] as const satisfies ReadonlyArray<keyof InputRow>

export const inputColumns = [...headColumns, "payload"] as const satisfies ReadonlyArray<keyof InputRow>

const knownColumns = ["inputId", "idempotencyKey", "payloadDigest", "sequence"]
const runtimeColumns = ["state", "record", "runId", "runBatch", "runSequence", "runOpenedAt"]
const depositColumns = ["no", "runtimeId", "inputId", "at", "payload", "failure"]
const sessionColumns = ["sessionId", "revision", "version", "length"]

const integers = new Set([
  "no",
  "runtimeNo",
  "n",
  "epoch",
  "sequence",
  "attempt",
  "stagings",
  "recorded",
  "receiptSequence",
  "readyAt",
  "updatedAt",
  "runSequence",
  "runOpenedAt",
  "at"
])

/** The runtime that a statement is about, by its public name. */
const OF_RUNTIME = "runtime_no = (SELECT no FROM burrow_runtimes WHERE runtime_id = ?)"

/**
 * When an active input is ready; 0 is now. A hold without a deadline is ready when somebody says so, and what rides along
 * when others are.
 */
const READY_AT = "CASE WHEN phase = 'staged' THEN 0 " +
  `WHEN batch_id IS NULL AND policy LIKE '%${RIDES_ALONG}%' THEN NULL ` +
  "WHEN phase = 'held' THEN ready_at ELSE COALESCE(ready_at, 0) END"

const tuple = (width: number): string => `(${Array(width).fill("?").join(", ")})`
const tuples = (rows: number, width: number): string => Array(rows).fill(tuple(width)).join(", ")

export type Statements = ReturnType<typeof make>

export const make = (dialect: Dialect) => {
  const text = (sql: string): string => {
    let number = 0
    return dialect === "pg" ? sql.replace(/\?/g, () => `$${++number}`) : sql
  }
  const sized = (sql: (rows: number) => string): Sized => {
    const texts = new Map<number, string>()
    return (rows) => {
      const known = texts.get(rows)
      if (known !== undefined) return known
      const made = text(sql(rows))
      texts.set(rows, made)
      return made
    }
  }
  // PostgreSQL takes the parameters of a VALUES list for text, and SQLite knows no list of rows.
  const among = (names: ReadonlyArray<string>, rows: number): string =>
    `(${columns(names)}) IN ${
      dialect === "pg" ? `(${tuples(rows, names.length)})` : `(VALUES ${tuples(rows, names.length)})`
    }`
  const rowsOf = (names: ReadonlyArray<string>, rows: number): string => {
    const one = names.map((name) => dialect !== "pg" ? "?" : `CAST(? AS ${integers.has(name) ? "BIGINT" : "TEXT"})`)
    return `(VALUES ${Array(rows).fill(`(${one.join(", ")})`).join(", ")})`
  }
  const insert = (table: string, names: ReadonlyArray<string>, more = ""): Sized =>
    sized((rows) => `INSERT INTO ${table} (${columns(names)}) VALUES ${tuples(rows, names.length)}${more}`)
  /** The first columns are the key. */
  const update = (
    table: string,
    key: ReadonlyArray<string>,
    set: ReadonlyArray<string>,
    more = ""
  ): Sized =>
    sized((rows) =>
      `UPDATE ${table} SET ${set.map((name, i) => `${snake(name)} = v.column${key.length + i + 1}`).join(", ")} ` +
      `FROM ${rowsOf([...key, ...set], rows)} AS v ` +
      `WHERE ${key.map((name, i) => `${table}.${snake(name)} = v.column${i + 1}`).join(" AND ")}${more}`
    )
  const isDead = dialect === "pg"
    ? "outcome::json ->> '_tag' = 'abandoned' AND outcome::json -> 'reason' ->> '_tag' IN ('max_attempts_exhausted', 'failed')"
    // A row that is no JSON is not dead, and takes no other with it.
    : "CASE WHEN json_valid(outcome) THEN json_extract(outcome, '$._tag') = 'abandoned' " +
      "AND json_extract(outcome, '$.reason._tag') IN ('max_attempts_exhausted', 'failed') END"
  const inputs = (where: string): string => `SELECT ${selected(inputColumns)} FROM burrow_inputs WHERE ${where}`
  // Found by their index first, whose rows have the numbers: what is walked is what is answered.
  const deposits = (where: string): string =>
    `SELECT ${selected(depositColumns)} FROM burrow_deposits ` +
    `WHERE no IN (SELECT no FROM burrow_deposits WHERE failure ${where} AND no > ? ORDER BY no LIMIT ?) ORDER BY no`
  // Terminal rows are in no index by number. What is sorted is the numbers of this runtime's rows, not the rows.
  const numbered = (where: string): string =>
    inputs(
      `no IN (SELECT no FROM burrow_inputs WHERE ${OF_RUNTIME} AND sequence > ?${where} ` +
        "ORDER BY sequence LIMIT ?) ORDER BY sequence"
    )

  return {
    // What a commit asks first.
    fence: sized((rows) =>
      `SELECT ${selected(["no", "runtimeId", "epoch", "claimId", "runId", "runSequence"])} ` +
      `FROM burrow_runtimes WHERE runtime_id IN ${tuple(rows)}`
    ),
    receiptDigests: sized((rows) =>
      `SELECT ${selected(["runtimeNo", "digest"])} FROM burrow_receipts ` +
      `WHERE ${among(["runtimeNo", "runId", "sequence"], rows)}`
    ),
    staged: sized((rows) =>
      `SELECT ${selected(["runtimeNo", "runId"])} FROM burrow_inputs ` +
      `WHERE ${among(["runtimeNo", "inputId"], rows)} AND phase = 'staged'`
    ),
    sessions: sized((rows) =>
      `SELECT ${selected(["runtimeNo", ...sessionColumns])} FROM burrow_sessions WHERE runtime_no IN ${tuple(rows)}`
    ),
    snapshots: sized((rows) =>
      `SELECT ${selected(["runtimeNo", "snapshot"])} FROM burrow_snapshots WHERE runtime_no IN ${tuple(rows)}`
    ),
    storedNotes: sized((rows) =>
      `SELECT ${selected(["runtimeNo", "scope", "key", "value"])} FROM burrow_notes ` +
      `WHERE ${among(["runtimeNo", "scope", "key"], rows)}`
    ),

    // What a commit writes.
    updateRuntimes: update("burrow_runtimes", ["no"], ["n", ...runtimeColumns]),
    insertInputs: insert("burrow_inputs", ["runtimeNo", "epoch", "n", ...inputColumns]),
    moveInputs: update(
      "burrow_inputs",
      ["runtimeNo", "inputId"],
      ["epoch", "n", ...movedColumns],
      " RETURNING burrow_inputs.no"
    ),
    putSessions: insert(
      "burrow_sessions",
      ["runtimeNo", ...sessionColumns, "epoch", "n"],
      " ON CONFLICT (runtime_no) DO UPDATE SET " +
        [...sessionColumns, "epoch", "n"].map((name) => `${snake(name)} = excluded.${snake(name)}`).join(", ")
    ),
    cutMessages: text("DELETE FROM burrow_messages WHERE runtime_no = ? AND position >= ?"),
    insertMessages: insert("burrow_messages", ["runtimeNo", "position", "revision", "message"]),
    putSnapshots: insert(
      "burrow_snapshots",
      ["runtimeNo", "snapshot"],
      " ON CONFLICT (runtime_no) DO UPDATE SET snapshot = excluded.snapshot"
    ),
    dropSnapshots: sized((rows) => `DELETE FROM burrow_snapshots WHERE runtime_no IN ${tuple(rows)}`),
    insertRewrites: insert("burrow_rewrites", ["runtimeNo", "record"]),
    insertReceipts: insert(
      "burrow_receipts",
      ["runtimeNo", "runId", "sequence", "epoch", "n", "batchId", "digest", "receipt", "result"]
    ),
    insertNotes: insert("burrow_notes", ["runtimeNo", "scope", "key", "value"]),
    insertEvents: insert("burrow_events", ["runtimeNo", "number", "epoch", "n", "at", "code", "data"]),
    putOps: insert(
      "burrow_ops",
      ["runtimeNo", "snapshot"],
      " ON CONFLICT (runtime_no) DO UPDATE SET snapshot = excluded.snapshot"
    ),
    dropOps: sized((rows) => `DELETE FROM burrow_ops WHERE runtime_no IN ${tuple(rows)}`),

    insertDeposits: insert("burrow_deposits", ["runtimeId", "inputId", "at", "payload"]),
    dropDeposits: sized((rows) => `DELETE FROM burrow_deposits WHERE no IN ${tuple(rows)}`),
    refuseDeposits: update("burrow_deposits", ["no"], ["failure"]),

    // Recovery.
    claim: text(
      `INSERT INTO burrow_runtimes (${columns(["runtimeId", "epoch", "claimId", "n", ...runtimeColumns])}) ` +
        `VALUES ${tuple(4 + runtimeColumns.length)} ON CONFLICT (runtime_id) DO UPDATE SET ` +
        ["epoch", "claimId", "n", ...runtimeColumns].map((name) => `${snake(name)} = excluded.${snake(name)}`)
          .join(", ")
    ),
    loadRuntime: text(
      `SELECT ${selected(["no", ...runtimeColumns, "epoch", "claimId", "n"])}, ` +
        "(SELECT MAX(number) FROM burrow_events e WHERE e.runtime_no = r.no) AS \"lastEvent\", " +
        "sequence_floor AS \"floor\" FROM burrow_runtimes r WHERE runtime_id = ?"
    ),
    loadHeads: text(
      `SELECT ${selected(headColumns)} FROM burrow_inputs WHERE runtime_no = ? AND outcome IS NULL ORDER BY sequence`
    ),
    storedReceipts: sized((rows) =>
      `SELECT ${selected(["runId", "sequence"])} FROM burrow_receipts ` +
      `WHERE ${among(["runtimeNo", "runId", "sequence"], rows)}`
    ),
    barrier: text(
      "UPDATE burrow_runtimes SET barrier = barrier + 1 WHERE runtime_id = ? AND epoch = ? AND claim_id = ? " +
        "RETURNING no AS \"no\""
    ),

    // Cells of the whole store.
    cell: text("SELECT value AS \"value\" FROM burrow_cells WHERE name = ?"),
    putCell: text(
      "INSERT INTO burrow_cells (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    ),
    dropCell: text("DELETE FROM burrow_cells WHERE name = ?"),

    // Reads.
    runtime: text(
      `SELECT ${selected([...runtimeColumns, "epoch", "claimId", "n"])} FROM burrow_runtimes WHERE runtime_id = ?`
    ),
    runtimes: text(
      `SELECT ${selected(["runtimeId", "state"])} FROM burrow_runtimes WHERE runtime_id > ? ORDER BY runtime_id LIMIT ?`
    ),
    // Walks what is active, not the runtimes: most of them sleep.
    pending: text(
      `SELECT r.runtime_id AS "runtimeId", MIN(p.ready_at) AS "readyAt" FROM (` +
        `SELECT runtime_no, ${READY_AT} AS ready_at FROM burrow_inputs WHERE outcome IS NULL ` +
        "UNION ALL SELECT no, 0 FROM burrow_runtimes WHERE run_id IS NOT NULL) p " +
        "CROSS JOIN burrow_runtimes r WHERE r.no = p.runtime_no AND r.runtime_id > ? " +
        "GROUP BY r.runtime_id ORDER BY r.runtime_id LIMIT ?"
    ),
    due: text(
      "SELECT r.runtime_id AS \"runtimeId\", MIN(i.ready_at) AS \"readyAt\" FROM burrow_inputs i " +
        "CROSS JOIN burrow_runtimes r WHERE r.no = i.runtime_no AND i.ready_at > ? AND i.ready_at <= ? " +
        "AND i.outcome IS NULL GROUP BY r.runtime_id ORDER BY 2, 1 LIMIT ?"
    ),
    nextReadyAt: text(
      "SELECT ready_at AS \"readyAt\" FROM burrow_inputs WHERE ready_at > ? AND outcome IS NULL " +
        "ORDER BY ready_at LIMIT 1"
    ),
    deposit: text(
      `SELECT ${selected(depositColumns)} FROM burrow_deposits ` +
        "WHERE runtime_id = ? AND input_id = ? ORDER BY no DESC LIMIT 1"
    ),
    waitingDeposits: text(deposits("IS NULL")),
    refusedDeposits: text(deposits("IS NOT NULL")),
    input: text(inputs(`${OF_RUNTIME} AND input_id = ?`)),
    inputByKey: text(inputs(`${OF_RUNTIME} AND idempotency_key = ?`)),
    activeInputs: text(inputs(`${OF_RUNTIME} AND outcome IS NULL AND sequence > ? ORDER BY sequence LIMIT ?`)),
    allInputs: text(numbered("")),
    deadInputs: text(numbered(` AND phase = 'abandoned' AND ${isDead}`)),
    // Walks what was abandoned, not the runtimes: most of them have lost nothing.
    allDead: text(
      `SELECT d.runtime_id AS "runtimeId", ${selected(inputColumns, "i.")} FROM (` +
        "SELECT a.no, r.runtime_id FROM burrow_inputs a CROSS JOIN burrow_runtimes r WHERE r.no = a.runtime_no " +
        `AND a.phase = 'abandoned' AND ${isDead} AND (r.runtime_id, a.sequence) > (?, ?) ` +
        "ORDER BY r.runtime_id, a.sequence LIMIT ?) d " +
        "CROSS JOIN burrow_inputs i WHERE i.no = d.no ORDER BY d.runtime_id, i.sequence"
    ),
    knownById: sized((rows) =>
      `SELECT ${selected(knownColumns)} FROM burrow_inputs WHERE ${OF_RUNTIME} AND input_id IN ${tuple(rows)}`
    ),
    knownByKey: sized((rows) =>
      `SELECT ${selected(knownColumns)} FROM burrow_inputs WHERE ${OF_RUNTIME} AND idempotency_key IN ${tuple(rows)}`
    ),
    payloads: sized((rows) =>
      `SELECT ${selected(["inputId", "payload"])} FROM burrow_inputs ` +
      `WHERE ${OF_RUNTIME} AND input_id IN ${tuple(rows)}`
    ),
    receipt: text(
      `SELECT ${
        selected(["receipt", "result"])
      } FROM burrow_receipts WHERE ${OF_RUNTIME} AND run_id = ? AND sequence = ?`
    ),
    session: text(`SELECT ${selected(sessionColumns)} FROM burrow_sessions WHERE ${OF_RUNTIME}`),
    snapshot: text(`SELECT snapshot AS "snapshot" FROM burrow_snapshots WHERE ${OF_RUNTIME}`),
    messages: text(
      `SELECT ${selected(["revision", "message"])} FROM burrow_messages WHERE ${OF_RUNTIME} AND position >= ? ` +
        "ORDER BY position LIMIT ?"
    ),
    rewrites: text(`SELECT record AS "record" FROM burrow_rewrites WHERE ${OF_RUNTIME} ORDER BY no`),
    notes: text(
      `SELECT ${selected(["scope", "key", "value"])} FROM burrow_notes WHERE ${OF_RUNTIME} AND scope = ? ORDER BY no`
    ),
    note: text(
      `SELECT ${selected(["scope", "key", "value"])} FROM burrow_notes WHERE ${OF_RUNTIME} AND scope = ? AND key = ?`
    ),
    eventsFloor: text("SELECT events_floor AS \"floor\" FROM burrow_runtimes WHERE runtime_id = ?"),
    events: text(
      `SELECT ${selected(["number", "at", "code", "data"])} FROM burrow_events ` +
        `WHERE ${OF_RUNTIME} AND number > ? ORDER BY number LIMIT ?`
    ),
    accepts: text(
      `SELECT ${selected(["inputId", "sequence", "acceptedAt", "kind", "lane"])} FROM burrow_inputs ` +
        `WHERE ${OF_RUNTIME} AND outcome IS NULL AND sequence > ? ORDER BY sequence LIMIT ?`
    ),
    ops: text(`SELECT snapshot AS "snapshot" FROM burrow_ops WHERE ${OF_RUNTIME}`),
    phases: text(
      "SELECT phase AS \"phase\", outcome IS NULL AS \"active\", COUNT(*) AS \"count\" FROM burrow_inputs " +
        `WHERE ${OF_RUNTIME} GROUP BY 1, 2`
    ),
    boundaries: text(
      `SELECT (SELECT COUNT(*) FROM burrow_receipts WHERE ${OF_RUNTIME}) AS "receipts", ` +
        `(SELECT COUNT(*) FROM burrow_events WHERE ${OF_RUNTIME} AND code = 'run.started') AS "runs"`
    ),
    stamps: {
      runtime: text("SELECT epoch AS \"epoch\", n AS \"n\" FROM burrow_runtimes WHERE runtime_id = ?"),
      input: text(`SELECT epoch AS "epoch", n AS "n" FROM burrow_inputs WHERE ${OF_RUNTIME} AND input_id = ?`),
      receipt: text(
        `SELECT epoch AS "epoch", n AS "n" FROM burrow_receipts WHERE ${OF_RUNTIME} AND run_id = ? AND sequence = ?`
      ),
      event: text(`SELECT epoch AS "epoch", n AS "n" FROM burrow_events WHERE ${OF_RUNTIME} AND number = ?`),
      session: text(`SELECT epoch AS "epoch", n AS "n" FROM burrow_sessions WHERE ${OF_RUNTIME}`)
    },

    // Blobs.
    blobBytes: text("SELECT OCTET_LENGTH(record) AS \"bytes\" FROM burrow_blobs WHERE id = ?"),
    blob: text("SELECT record AS \"record\" FROM burrow_blobs WHERE id = ?"),
    putBlob: text(
      "INSERT INTO burrow_blobs (id, put_at, record) VALUES (?, ?, ?) " +
        "ON CONFLICT (id) DO UPDATE SET put_at = excluded.put_at, record = excluded.record"
    ),
    renewBlob: text("UPDATE burrow_blobs SET put_at = ? WHERE id = ? RETURNING id AS \"id\""),
    dropBlob: text("DELETE FROM burrow_blobs WHERE id = ?"),

    // The file itself.
    version: dialect === "pg" ? "SELECT 0 AS \"data_version\"" : "PRAGMA data_version",
    putMeta: text(
      "INSERT INTO burrow_meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    ),
    // SQLite writes, and syncs, nothing for a row that stays the same.
    countOpening: text(
      "INSERT INTO burrow_meta (name, value) VALUES ('openings', '1') ON CONFLICT (name) DO UPDATE SET " +
        "value = CAST(CAST(burrow_meta.value AS BIGINT) + 1 AS TEXT)"
    )
  }
}

/** For each power of two in the number of rows, from the largest: no row is written twice. */
export const exactly = (
  statement: Sized,
  rows: ReadonlyArray<Tuple>,
  options: { readonly answers?: boolean } = {}
): ReadonlyArray<Call> => {
  const calls: Array<Call> = []
  for (let at = 0, size = ROWS_MAX; at < rows.length; at += size) {
    while (size > rows.length - at) size /= 2
    const params = rows.slice(at, at + size).flat()
    calls.push(
      options.answers === true ? { text: statement(size), params, answers: size } : { text: statement(size), params }
    )
  }
  return calls
}

/** For a question the last row is asked again until a power of two is full. `first` are parameters before the rows. */
export const atLeast = (statement: Sized, rows: ReadonlyArray<Tuple>, first: Tuple = []): ReadonlyArray<Call> => {
  const calls: Array<Call> = []
  for (let at = 0; at < rows.length; at += ROWS_MAX) {
    const some = rows.slice(at, at + ROWS_MAX)
    let size = 1
    while (size < some.length) size *= 2
    while (some.length < size) some.push(some[0]!)
    calls.push({ text: statement(size), params: [...first, ...some.flat()] })
  }
  return calls
}

/** The rows of a statement of ours, `A` as its text selects them. Columns are what the database holds, unchecked. */
export const query = <A = unknown>(
  connection: SqlConnection.Connection,
  text: string,
  params: Tuple
): Effect.Effect<ReadonlyArray<A>, SqlError.SqlError> =>
  Effect.withFiberRuntime((fiber) => {
    const statement = Effect.catchAll(connection.execute(text, params, undefined), (error) =>
      isUnprepared(error)
        // The client remembers for minutes that it could not prepare a text, a passing lock included.
        ? attempt(() => connection.executeUnprepared(text, params, undefined))
        : Effect.fail(error))
    // A caller's `SafeIntegers` would stick to the prepared statement, and make bigints of all numbers from then on.
    return Context.get(fiber.currentContext, SqlClient.SafeIntegers)
      ? Effect.provideService(statement, SqlClient.SafeIntegers, false)
      : statement
  })

const isUnprepared = (error: SqlError.SqlError): boolean => error.message.startsWith("Failed to prepare statement")

/** The rows of all calls together. */
export const queryAll = <A = unknown>(
  connection: SqlConnection.Connection,
  calls: ReadonlyArray<Call>
): Effect.Effect<ReadonlyArray<A>, SqlError.SqlError> =>
  calls.length === 0
    ? Effect.succeed([])
    : calls.length === 1
    ? query<A>(connection, calls[0]!.text, calls[0]!.params)
    : Effect.map(Effect.forEach(calls, ({ params, text }) => query<A>(connection, text, params)), (rows) => rows.flat())
