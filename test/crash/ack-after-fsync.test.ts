import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as process from "node:process"
import { linesOf, resultOf, run, temporaryFolder } from "./job.js"
import { judge, straceOf } from "./strace.js"

/** It may be there and not be allowed to look into processes. */
const [tracer, ...options] = straceOf("/dev/null")
const hasStrace = spawnSync(tracer!, [...options, process.execPath, "-e", ""]).status === 0

const LINES = 200

/** One line accepted as it should be; the names are those of a real log. */
const write = `7 pwrite64(21</d/job.db-wal>, "..."..., 4096, 32) = 4096`
const sync = `7 fdatasync(21</d/job.db-wal>) = 0`
const ack = (line: number) => `7 write(1<pipe:[1]>, "accepted line ${line}\\n", 16) = 16`
const verdict = (...lines: ReadonlyArray<string>) => judge(lines.join("\n"), "/d/job.db")

describe("I1: no acknowledgement is printed before the fsync of its commit", () => {
  describe.skipIf(!hasStrace)(
    hasStrace ? "seen by strace" : "seen by strace (skipped: it is not here, or may not look into processes)",
    () => {
      it.scopedLive("for every line of a text", () =>
        Effect.gen(function*() {
          const folder = fs.realpathSync(yield* temporaryFolder)
          const db = `${folder}/job.db`
          const text = Array.from({ length: LINES }, (_, i) => `line ${i + 1} of the text\n`).join("")
          fs.writeFileSync(`${folder}/text.txt`, text)
          const job = yield* run(["--db", db, `${folder}/text.txt`], { wrap: straceOf(`${folder}/strace.log`) })
          assert.strictEqual(job.code, 0, job.stderr)
          assert.strictEqual(resultOf(job).consumed, LINES)

          const trace = fs.readFileSync(`${folder}/strace.log`, "utf8")
          const { acknowledged, complaints, syncs } = judge(trace, db)
          const printed = linesOf(job.stdout).flatMap((line) => /^accepted line (\d+)$/.exec(line)?.[1] ?? [])
          assert.deepStrictEqual(complaints, [])
          assert.deepStrictEqual(acknowledged, printed.map(Number))
          assert.strictEqual(acknowledged.length, LINES)
          // Accept, stage and final of every line: one commit each, as the lines come one after another.
          assert.isAtLeast(syncs, 2 * LINES)

          // The same log with its syncs taken out, or with one acknowledgement before its sync.
          const lines = trace.split("\n")
          const withoutSyncs = lines.filter((line) => !/ (fsync|fdatasync)\(/.test(line)).join("\n")
          assert.isAtLeast(judge(withoutSyncs, db).complaints.length, LINES)
          const at = lines.findIndex((line) => line.includes(`"accepted line ${LINES / 2}\\n`))
          const sync = lines.slice(0, at).findLastIndex((line) =>
            /fdatasync\(|fsync\(/.test(line) && line.includes("-wal>")
          )
          const early = [...lines.slice(0, sync), lines[at]!, ...lines.slice(sync, at), ...lines.slice(at + 1)].join(
            "\n"
          )
          assert.isAbove(judge(early, db).complaints.length, 0)
        }), 120_000)
    }
  )

  it("the check passes what is right", () => {
    assert.deepStrictEqual(verdict(write, sync, ack(1), write, sync, ack(2)), {
      acknowledged: [1, 2],
      syncs: 2,
      complaints: []
    })
  })

  it("the check fails an acknowledgement before the fsync", () => {
    assert.lengthOf(verdict(write, ack(1), sync).complaints, 2)
    assert.lengthOf(verdict(write, sync, write, ack(1), sync).complaints, 1)
  })

  it("the check fails an acknowledgement without any commit since the one before", () => {
    assert.deepStrictEqual(verdict(write, sync, ack(1), ack(2)).complaints, [
      "line 2 is acknowledged without a commit that was synced"
    ])
  })

  it("the check fails a sync that failed, one of another file, and one that has only begun", () => {
    const pass = verdict(
      write,
      `7 fdatasync(21</d/job.db-wal> <unfinished ...>`,
      `7 <... fdatasync resumed>) = 0`,
      ack(1)
    )
    assert.deepStrictEqual(pass.complaints, [])
    assert.isAbove(verdict(write, `7 fdatasync(21</d/job.db-wal>) = -1 EIO (I/O error)`, ack(1)).complaints.length, 0)
    assert.isAbove(verdict(write, `7 fdatasync(22</d/other.db-wal>) = 0`, ack(1)).complaints.length, 0)
    assert.isAbove(
      verdict(write, `7 fdatasync(21</d/job.db-wal> <unfinished ...>`, ack(1), `7 <... fdatasync resumed>) = 0`)
        .complaints.length,
      0
    )
  })
})
