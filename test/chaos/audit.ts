/** What is wrong with a file, by SQL over its rows alone: each check answers the rows that should not be there. */
import Database from "better-sqlite3"
import * as fs from "node:fs"

type Row = Record<string, unknown>

/** Receipts are in an envelope; events and outcomes are not. */
const checks: { readonly [check: string]: string } = {
  "I5: an id is there twice": `
    SELECT runtime_no, input_id FROM burrow_inputs NOT INDEXED GROUP BY 1, 2 HAVING count(*) > 1`,
  "I5: a key is there twice": `
    SELECT runtime_no, idempotency_key FROM burrow_inputs NOT INDEXED
    WHERE idempotency_key IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1`,
  // The first staging of what never had to wait: by `run.started`, in which inputs are named in their order.
  "I6: an input of the queue lane was first staged before one that was admitted earlier and was ready": `
    WITH staged AS (
      SELECT e.runtime_no, j.value AS input_id, min(e.number * 1000 + j.key) AS place
      FROM burrow_events e, json_each(e.data, '$.inputIds') j WHERE e.code = 'run.started' GROUP BY 1, 2
    ), waited AS (
      SELECT e.runtime_no, json_extract(e.data, '$.inputId') AS input_id
      FROM burrow_events e WHERE e.code = 'input.held'
    ), ready AS (
      SELECT s.*, i.sequence, i.accepted_at FROM staged s JOIN burrow_inputs i USING (runtime_no, input_id)
      WHERE i.lane = 'queue' AND i.deliver_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM waited w WHERE w.runtime_no = s.runtime_no AND w.input_id = s.input_id)
    )
    SELECT * FROM (
      SELECT *, lag(sequence) OVER (PARTITION BY runtime_no ORDER BY place) AS earlier FROM ready
    ) WHERE sequence < earlier`,
  "I6: a prompt of the queue lane shares a run": `
    SELECT e.runtime_no, e.data FROM burrow_events e WHERE e.code = 'run.started'
      AND json_array_length(e.data, '$.inputIds') > 1
      AND EXISTS (
        SELECT 1 FROM json_each(e.data, '$.inputIds') j
        JOIN burrow_inputs i ON i.runtime_no = e.runtime_no AND i.input_id = j.value
        WHERE i.kind = 'prompt' AND i.lane = 'queue'
      )`,
  "I7: the receipts of a run are not dense": `
    SELECT runtime_no, run_id FROM burrow_receipts GROUP BY 1, 2
    HAVING min(sequence) <> 1 OR max(sequence) <> count(*) OR count(DISTINCT sequence) <> count(*)`,
  "I8: an input was consumed by a receipt and is not consumed by that one": `
    SELECT r.runtime_no, j.value FROM burrow_receipts r, json_each(r.receipt, '$.value.consumed') j
    LEFT JOIN burrow_inputs i ON i.runtime_no = r.runtime_no AND i.input_id = j.value
    WHERE i.phase IS NOT 'consumed' OR i.run_id IS NOT r.run_id OR json_extract(i.outcome, '$.sequence') <> r.sequence`,
  "I8: an input was consumed by none or several receipts": `
    SELECT i.runtime_no, i.input_id, (
      SELECT count(*) FROM burrow_receipts r, json_each(r.receipt, '$.value.consumed') j
      WHERE r.runtime_no = i.runtime_no AND j.value = i.input_id
    ) AS times FROM burrow_inputs i WHERE i.phase = 'consumed' AND i.lane IS NOT NULL AND times <> 1`,
  "I8: an input that was replaced had been staged under a receipt": `
    SELECT i.runtime_no, i.input_id FROM burrow_inputs i JOIN burrow_receipts r USING (runtime_no)
    WHERE i.phase IN ('superseded', 'coalesced')
      AND EXISTS (SELECT 1 FROM json_each(r.receipt, '$.value.contributors') j WHERE j.value = i.input_id)`,
  "I10: an input is staged under a run that is not open": `
    SELECT i.runtime_no, i.input_id FROM burrow_inputs i JOIN burrow_runtimes r ON r.no = i.runtime_no
    WHERE i.phase = 'staged' AND i.run_id IS NOT r.run_id`,
  "I10: a run has more than one beginning or end": `
    SELECT runtime_no, json_extract(data, '$.runId') AS run,
      sum(code = 'run.started') AS begun,
      sum(code IN ('run.failed', 'run.cancelled', 'run.given_back', 'run.lost')
        OR (code = 'run.boundary' AND json_extract(data, '$.boundary') = 'final')) AS ended
    FROM burrow_events WHERE code LIKE 'run.%' GROUP BY 1, 2 HAVING begun <> 1 OR ended > 1`,
  "I10: two runs were open at once": `
    SELECT * FROM (
      SELECT runtime_no, number, sum(
        CASE WHEN code = 'run.started' THEN 1
          WHEN code IN ('run.failed', 'run.cancelled', 'run.given_back', 'run.lost') THEN -1
          WHEN code = 'run.boundary' AND json_extract(data, '$.boundary') = 'final' THEN -1
          ELSE 0 END
      ) OVER (PARTITION BY runtime_no ORDER BY number) AS open FROM burrow_events
    ) WHERE open NOT IN (0, 1)`,
  "I11: the positions of a transcript are not dense": `
    SELECT runtime_no FROM burrow_messages GROUP BY 1 HAVING min(position) <> 0 OR max(position) <> count(*) - 1`,
  "I11: a session's head is not its last message": `
    SELECT s.runtime_no, s.length FROM burrow_sessions s
    WHERE s.length <> (SELECT count(*) FROM burrow_messages m WHERE m.runtime_no = s.runtime_no)
      OR (s.length > 0 AND s.revision IS NOT (
        SELECT m.revision FROM burrow_messages m WHERE m.runtime_no = s.runtime_no AND m.position = s.length - 1))`,
  "I15: an input has an outcome and is active, or has none and is terminal": `
    SELECT runtime_no, input_id, phase FROM burrow_inputs
    WHERE (outcome IS NOT NULL) <> (phase IN ('consumed', 'superseded', 'coalesced', 'abandoned'))`,
  "I15: an input was accepted and is not there, or is there and was not accepted": `
    SELECT t.runtime_no, t.input_id FROM (
      SELECT runtime_no, json_extract(data, '$.inputId') AS input_id, 1 AS told, 0 AS kept FROM burrow_events
      WHERE code = 'input.accepted'
      UNION ALL SELECT runtime_no, input_id, outcome IS NULL, 1 FROM burrow_inputs
    ) t GROUP BY 1, 2 HAVING sum(told) <> 1 OR sum(kept) <> 1`,
  "I18: the numbers of events are not dense": `
    SELECT runtime_no, min(number) AS first, max(number) AS last, count(*) AS count FROM (
      SELECT runtime_no, number FROM burrow_events
      UNION ALL SELECT runtime_no, sequence FROM burrow_inputs WHERE outcome IS NULL
    ) GROUP BY 1 HAVING first <> 1 OR last <> count`
}

/** Only when nothing is left to do. */
const quietChecks: { readonly [check: string]: string } = {
  "a run is open": "SELECT no AS runtime_no, run_id FROM burrow_runtimes WHERE run_id IS NOT NULL",
  "an input is neither terminal nor held": `
    SELECT runtime_no, input_id, phase FROM burrow_inputs WHERE outcome IS NULL AND phase <> 'held'`,
  "a deposit waits": "SELECT 0 AS runtime_no, no FROM burrow_deposits WHERE failure IS NULL",
  "a deposit was refused": "SELECT 0 AS runtime_no, no, failure FROM burrow_deposits WHERE failure IS NOT NULL"
}

/** Looks at what a dead process has left, in a copy: to open the file itself would be to mend it before its next owner. */
export const withRows = <A>(filename: string, use: (rows: (sql: string) => ReadonlyArray<Row>) => A): A => {
  const copy = `${filename}.copy`
  for (const end of ["", "-wal"]) {
    if (fs.existsSync(`${filename}${end}`)) fs.copyFileSync(`${filename}${end}`, `${copy}${end}`)
  }
  const db = new Database(copy)
  try {
    return use((sql) => db.prepare(sql).all() as ReadonlyArray<Row>)
  } finally {
    db.close()
    for (const end of ["", "-wal", "-shm"]) fs.rmSync(`${copy}${end}`, { force: true })
  }
}

const problemsOf = (filename: string, all: { readonly [check: string]: string }): ReadonlyArray<string> =>
  withRows(filename, (rows) => {
    const integrity = rows("PRAGMA integrity_check").map((row) => String(row["integrity_check"]))
    return [
      ...integrity.filter((word) => word !== "ok").map((word) => `integrity_check: ${word}`),
      ...Object.entries(all).flatMap(([check, sql]) =>
        rows(sql).slice(0, 3).map((row) => `${check}: ${JSON.stringify(row)}`)
      )
    ]
  })

/** I5 to I8, I10, I11, I15 and I18, at any moment. */
export const audit = (filename: string): ReadonlyArray<string> => problemsOf(filename, checks)

/** And that everything was done. */
export const auditQuiet = (filename: string): ReadonlyArray<string> =>
  problemsOf(filename, { ...checks, ...quietChecks })
