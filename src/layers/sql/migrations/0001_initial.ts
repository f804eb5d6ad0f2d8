/**
 * The tables of version 1. A migration that was released never changes: the next one does.
 */
import type { Dialect } from "../Lease.js"

const types = {
  sqlite: {
    no: "INTEGER PRIMARY KEY",
    once: "INTEGER PRIMARY KEY AUTOINCREMENT",
    id: "TEXT",
    int: "INTEGER",
    bytes: "BLOB"
  },
  // Runtimes are listed in the order of their ids' bytes, whatever the database's locale.
  pg: {
    no: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    once: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    id: "TEXT COLLATE \"C\"",
    int: "BIGINT",
    bytes: "BYTEA"
  }
}

// Rows are appended: tables clustered by runtime cost a third of what grouping gains.
export const statements = (dialect: Dialect): ReadonlyArray<string> => {
  const { bytes, id, int, no, once } = types[dialect]
  return [
    `CREATE TABLE burrow_runtimes (
  no ${no},
  runtime_id ${id} NOT NULL UNIQUE,
  epoch ${int} NOT NULL,
  claim_id TEXT NOT NULL,
  n ${int} NOT NULL,
  barrier ${int} NOT NULL DEFAULT 0,
  sequence_floor ${int} NOT NULL DEFAULT 0,
  events_floor ${int} NOT NULL DEFAULT 0,
  state TEXT NOT NULL,
  run_id TEXT,
  run_batch TEXT,
  run_sequence ${int},
  run_opened_at ${int},
  record TEXT NOT NULL
)`,
    `CREATE INDEX burrow_runtimes_open ON burrow_runtimes (no) WHERE run_id IS NOT NULL`,
    // The payload is last: what reads heads does not walk through it.
    `CREATE TABLE burrow_inputs (
  no ${no},
  runtime_no ${int} NOT NULL,
  input_id TEXT NOT NULL,
  sequence ${int} NOT NULL,
  epoch ${int} NOT NULL,
  n ${int} NOT NULL,
  phase TEXT NOT NULL,
  attempt ${int} NOT NULL,
  stagings ${int} NOT NULL,
  batch_id TEXT,
  run_id TEXT,
  receipt_run_id TEXT,
  receipt_sequence ${int},
  ready_at ${int},
  hold TEXT,
  recorded ${int} NOT NULL,
  awaits TEXT,
  outcome TEXT,
  failure TEXT,
  updated_at ${int} NOT NULL,
  accepted_at ${int} NOT NULL,
  deliver_at ${int},
  kind TEXT NOT NULL,
  durability TEXT NOT NULL,
  lane TEXT,
  idempotency_key TEXT,
  supersession_key TEXT,
  payload_digest TEXT NOT NULL,
  policy TEXT NOT NULL,
  payload TEXT NOT NULL
)`,
    `CREATE UNIQUE INDEX burrow_inputs_id ON burrow_inputs (runtime_no, input_id)`,
    `CREATE UNIQUE INDEX burrow_inputs_key ON burrow_inputs (runtime_no, idempotency_key)
  WHERE idempotency_key IS NOT NULL`,
    // Unique: two active inputs in one place would have no order. Nothing else is in it, so that moving an input from
    // phase to phase does not touch it.
    `CREATE UNIQUE INDEX burrow_inputs_active ON burrow_inputs (runtime_no, sequence) WHERE outcome IS NULL`,
    // For the timer. An ordinary accept has no time, and an input that is staged or ended has none any more: only what
    // waits for one touches it.
    `CREATE INDEX burrow_inputs_ready ON burrow_inputs (ready_at) WHERE ready_at IS NOT NULL`,
    // For dead letters. Touched when an input is abandoned, and never again.
    `CREATE INDEX burrow_inputs_abandoned ON burrow_inputs (runtime_no, sequence) WHERE phase = 'abandoned'`,
    `CREATE TABLE burrow_receipts (
  no ${no},
  runtime_no ${int} NOT NULL,
  run_id TEXT NOT NULL,
  sequence ${int} NOT NULL,
  epoch ${int} NOT NULL,
  n ${int} NOT NULL,
  batch_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  receipt TEXT NOT NULL,
  result TEXT
)`,
    `CREATE UNIQUE INDEX burrow_receipts_boundary ON burrow_receipts (runtime_no, run_id, sequence)`,
    `CREATE TABLE burrow_sessions (
  runtime_no ${int} PRIMARY KEY,
  session_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  version ${int} NOT NULL,
  length ${int} NOT NULL,
  epoch ${int} NOT NULL,
  n ${int} NOT NULL
)`,
    `CREATE TABLE burrow_messages (
  no ${no},
  runtime_no ${int} NOT NULL,
  position ${int} NOT NULL,
  revision TEXT NOT NULL,
  message TEXT NOT NULL
)`,
    `CREATE UNIQUE INDEX burrow_messages_position ON burrow_messages (runtime_no, position)`,
    `CREATE TABLE burrow_snapshots (
  runtime_no ${int} PRIMARY KEY,
  snapshot ${bytes} NOT NULL
)`,
    `CREATE TABLE burrow_rewrites (
  no ${no},
  runtime_no ${int} NOT NULL,
  record TEXT NOT NULL
)`,
    `CREATE INDEX burrow_rewrites_runtime ON burrow_rewrites (runtime_no)`,
    `CREATE TABLE burrow_notes (
  no ${no},
  runtime_no ${int} NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL
)`,
    `CREATE UNIQUE INDEX burrow_notes_key ON burrow_notes (runtime_no, scope, key)`,
    `CREATE TABLE burrow_events (
  no ${no},
  runtime_no ${int} NOT NULL,
  number ${int} NOT NULL,
  epoch ${int} NOT NULL,
  n ${int} NOT NULL,
  at ${int} NOT NULL,
  code TEXT NOT NULL,
  data TEXT NOT NULL
)`,
    `CREATE UNIQUE INDEX burrow_events_number ON burrow_events (runtime_no, number)`,
    `CREATE TABLE burrow_ops (
  runtime_no ${int} PRIMARY KEY,
  snapshot TEXT NOT NULL
)`,
    // By the target's name, which may be no runtime yet. A number is never used again, not even that of a deleted last
    // row: readers go on behind it, and who settles it twice must not meet another one.
    `CREATE TABLE burrow_deposits (
  no ${once},
  runtime_id ${id} NOT NULL,
  input_id TEXT NOT NULL,
  at ${int} NOT NULL,
  failure TEXT,
  payload TEXT NOT NULL
)`,
    // Those that wait are few and soon gone; those that were refused stay, and would have to be walked through.
    `CREATE INDEX burrow_deposits_waiting ON burrow_deposits (no) WHERE failure IS NULL`,
    `CREATE INDEX burrow_deposits_input ON burrow_deposits (runtime_id, input_id)`,
    `CREATE TABLE burrow_cells (
  name TEXT PRIMARY KEY,
  value ${bytes} NOT NULL
)`,
    `CREATE TABLE burrow_blobs (
  id TEXT PRIMARY KEY,
  put_at ${int} NOT NULL,
  record ${bytes} NOT NULL
)`,
    `CREATE TABLE burrow_meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
)`
  ]
}
