/** Every check of the audit fails for a file that it should fail for: one that cannot would prove nothing. */
import { assert, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import { audit, auditQuiet } from "./audit.js"
import * as script from "./script.js"

const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(`${os.tmpdir()}/burrow-chaos-`)),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const order = `(SELECT input_id FROM burrow_inputs WHERE no = 1)`
const firstRun = `(SELECT run_id FROM burrow_receipts WHERE no = 1)`

/** What is done to a file in which everything is right, and the complaint that must follow. */
const damages: ReadonlyArray<readonly [complaint: string, sql: string]> = [
  [
    "I5: an id is there twice",
    `DROP INDEX burrow_inputs_id; UPDATE burrow_inputs SET input_id = ${order} WHERE no = 2`
  ],
  ["I5: a key is there twice", `DROP INDEX burrow_inputs_key; UPDATE burrow_inputs SET idempotency_key = 'order'`],
  [
    "I6: an input of the queue lane was first staged before",
    `UPDATE burrow_events SET number = number + 100 WHERE no = (
      SELECT min(no) FROM burrow_events WHERE code = 'run.started' AND runtime_no = 2)`
  ],
  [
    "I6: a prompt of the queue lane shares a run",
    `UPDATE burrow_events SET data = json_set(data, '$.inputIds[1]', 'another') WHERE code = 'run.started' AND number = 2`
  ],
  ["I7: the receipts of a run are not dense", "DELETE FROM burrow_receipts WHERE sequence = 2"],
  ["I8: an input was consumed by a receipt and is not", "UPDATE burrow_inputs SET phase = 'abandoned' WHERE no = 1"],
  ["I8: an input was consumed by none or several", "DELETE FROM burrow_receipts WHERE sequence = 5"],
  ["I8: an input that was replaced had been staged", "UPDATE burrow_inputs SET phase = 'superseded' WHERE no = 2"],
  ["I10: an input is staged under a run that is not open", "UPDATE burrow_inputs SET phase = 'staged' WHERE no = 1"],
  [
    "I10: a run has more than one beginning or end",
    `UPDATE burrow_events SET data = json_set(data, '$.boundary', 'final') WHERE code = 'run.boundary'`
  ],
  [
    "I10: two runs were open at once",
    "UPDATE burrow_events SET number = number + 100 WHERE code = 'run.boundary' AND data LIKE '%\"final\"%'"
  ],
  ["I11: the positions of a transcript are not dense", "DELETE FROM burrow_messages WHERE position = 1"],
  ["I11: a session's head is not its last message", "UPDATE burrow_sessions SET revision = 'another'"],
  ["I15: an input has an outcome and is active", "UPDATE burrow_inputs SET phase = 'queued' WHERE no = 1"],
  ["I15: an input was accepted and is not there", "DELETE FROM burrow_inputs WHERE no = 1"],
  ["I18: the numbers of events are not dense", "DELETE FROM burrow_events WHERE number = 2"],
  ["a run is open", `UPDATE burrow_runtimes SET run_id = ${firstRun}`],
  ["an input is neither terminal nor held", "UPDATE burrow_inputs SET phase = 'queued', outcome = NULL WHERE no = 1"],
  ["a deposit waits", "INSERT INTO burrow_deposits (runtime_id, input_id, at, payload) VALUES ('x', 'x', 0, '{}')"],
  [
    "a deposit was refused",
    "INSERT INTO burrow_deposits (runtime_id, input_id, at, payload, failure) VALUES ('x', 'x', 0, '{}', '{}')"
  ]
]

it.scopedLive(
  "each check of the audit complains about the damage that it is for, and none about a whole file",
  () =>
    Effect.gen(function*() {
      const file = `${yield* folder}/whole.db`
      yield* script.perform(() => {}, "the next").pipe(
        Effect.zipRight(script.quiet),
        Effect.scoped,
        Effect.provide(BurrowSqlite.layer({ filename: file }))
      )
      assert.deepStrictEqual(auditQuiet(file), [])
      for (const [complaint, sql] of damages) {
        const copy = `${file}.damaged`
        fs.copyFileSync(file, copy)
        const db = new Database(copy)
        db.exec(sql)
        db.close()
        const found = [...audit(copy), ...auditQuiet(copy)]
        assert.isTrue(found.some((problem) => problem.startsWith(complaint)), `${complaint}: ${found.join("\n")}`)
      }
    }),
  60_000
)
