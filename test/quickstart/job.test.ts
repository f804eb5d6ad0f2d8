import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import {
  contentsOf,
  type Ended,
  linesOf,
  resultOf,
  run,
  type Running,
  shippedText,
  start,
  temporaryFolder
} from "../crash/job.js"
import { transcriptOf } from "../crash/text.js"

const numbered = (text: string) =>
  text.split("\n").map((line, i) => ({ number: i + 1, text: line })).filter((line) => line.text !== "")

const shipped = numbered(fs.readFileSync(shippedText, "utf8"))

const all = (lines: number, more: object = {}) => ({
  accepted: lines,
  deduplicated: 0,
  consumed: lines,
  abandoned: 0,
  runs: lines,
  receipts: lines,
  sessionMessages: 2 * lines,
  ...more
})

const matching = (ended: Ended, pattern: RegExp): ReadonlyArray<string> =>
  linesOf(ended.stdout).filter((line) => pattern.test(line))

/** Starts the job and waits until it has said something. */
const startUntil = (said: RegExp, args: ReadonlyArray<string>, stdin: "none" | "open", input = "") =>
  Effect.gen(function*() {
    const heard = yield* Deferred.make<void>()
    const job: Running = yield* start(args, {
      stdin,
      onLine: (line) => said.test(line) && Deferred.unsafeDone(heard, Effect.void)
    })
    if (input !== "") job.write(input)
    yield* Effect.raceFirst(
      Deferred.await(heard),
      Effect.flatMap(job.ended, ({ stderr }) => Effect.fail(new Error(`it ended too early: ${stderr}`)))
    )
    return job
  })

/** Enough to be in the middle of when a signal comes. */
const LINES = 200

/** Runs a program on a terminal of its own. */
const hasScript = spawnSync("bash", ["-c", "script -qec true /dev/null"], { stdio: "ignore" }).status === 0

const fails = (ended: Ended, message: RegExp): void => {
  assert.strictEqual(ended.code, 1)
  assert.match(ended.stderr, message)
  assert.lengthOf(linesOf(ended.stderr), 1, ended.stderr)
}

describe("the main job", () => {
  it.scopedLive(
    "alone, with nothing given, runs on the text that the project ships, in a file that it removes",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const job = yield* run([], { env: { TMPDIR: folder } })
        assert.strictEqual(job.code, 0, job.stderr)
        assert.strictEqual(job.stderr, "")
        assert.deepStrictEqual(resultOf(job), all(shipped.length))
        assert.match(linesOf(job.stdout)[0]!, new RegExp(`^database: ${folder}/burrow-quickstart-.*/quickstart.db `))
        assert.deepStrictEqual(fs.readdirSync(folder).filter((name) => name.startsWith("burrow")), [])
      }),
    120_000
  )

  it.scopedLive("a bare start on a pipe that is silent does not wait for ever", () =>
    Effect.gen(function*() {
      const { ended } = yield* start([], { stdin: "open" })
      const job = yield* ended
      assert.deepStrictEqual(resultOf(job), all(shipped.length))
      assert.match(job.stderr, /nothing has come from standard input/)
    }), 120_000)

  it.scopedLive(
    "prints its acknowledgements and its progress, line by line and in order, where no terminal is",
    () =>
      Effect.gen(function*() {
        const job = yield* run([])
        for (const kind of ["accepted", "consumed"]) {
          assert.deepStrictEqual(
            matching(job, new RegExp(`^${kind} `)),
            shipped.map(({ number }) => `${kind} line ${number}`)
          )
        }
        // Reading does not run away from the agent.
        let ahead = 0
        let aheadMost = 0
        for (const line of linesOf(job.stdout)) {
          if (line.startsWith("accepted ")) ahead++
          if (line.startsWith("consumed ")) ahead--
          aheadMost = Math.max(ahead, aheadMost)
        }
        assert.isAtMost(aheadMost, 66)
      }),
    120_000
  )

  it.scopedLive.skipIf(!hasScript)(
    "on a terminal one line changes, and stays at the end",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        const job = yield* run(["--db", db], { wrap: ["bash", "-c", `script -qec "$*" /dev/null`, "bash"] })
        assert.strictEqual(job.code, 0, job.stdout)
        const shown = job.stdout.split("\r\u001b[K")
        assert.include(shown, "1 accepted, 0 consumed: accepted line 1")
        assert.include(shown, "56 accepted, 55 consumed: consumed line 61")
        assert.strictEqual(
          shown.at(-1),
          `56 accepted, 56 consumed: consumed line 62\r\n${JSON.stringify(all(shipped.length))}\r\n`
        )
      }),
    120_000
  )

  it.scopedLive(
    "reads standard input when no file is named, and takes its non-empty lines only",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        const job = yield* run(["--db", db], { stdin: { text: "\ufeffone\r\n\r\n\ntwo two\r\nlast" } })
        assert.deepStrictEqual(resultOf(job), all(3), job.stderr)
        assert.deepStrictEqual((yield* contentsOf(db)).lines, [
          "one",
          "-> line 1: 1 word, 3 characters",
          "two two",
          "-> line 4: 2 words, 7 characters",
          "last",
          "-> line 5: 1 word, 4 characters"
        ])
      }),
    120_000
  )

  it.scopedLive("an empty text gives zeros, named or redirected", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      fs.writeFileSync(`${folder}/empty.txt`, "")
      const named = yield* run(["--db", `${folder}/a.db`, `${folder}/empty.txt`])
      const redirected = yield* run(["--db", `${folder}/b.db`], { stdin: { file: `${folder}/empty.txt` } })
      for (const job of [named, redirected]) {
        assert.strictEqual(job.code, 0, job.stderr)
        assert.deepStrictEqual(resultOf(job), all(0))
      }
      assert.strictEqual((yield* run(["--db", `${folder}/a.db`, "--report"])).stdout, `${JSON.stringify(all(0))}\n`)
    }), 120_000)

  it.scopedLive(
    "started again with the same text it finds every line accepted, and changes nothing",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        yield* run(["--db", db])
        const before = yield* contentsOf(db)
        const again = yield* run(["--db", db])
        assert.deepStrictEqual(resultOf(again), all(shipped.length, { deduplicated: shipped.length }))
        assert.lengthOf(matching(again, /^recovered: 56 accepted before, 56 consumed, 0 waiting$/), 1)
        assert.lengthOf(matching(again, /^deduplicated line /), shipped.length)
        assert.lengthOf(matching(again, /^(accepted|consumed) /), 0)
        assert.deepStrictEqual(yield* contentsOf(db), before)
      }),
    120_000
  )

  it.scopedLive(
    "--crash-after N dies of SIGKILL in the N-th boundary of its process, of which nothing is left",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        const first = yield* run(["--db", db, "--crash-after", "5"])
        assert.strictEqual(first.signal, "SIGKILL")
        assert.lengthOf(matching(first, /^consumed /), 4)
        const { lines, result } = yield* contentsOf(db)
        assert.deepStrictEqual(lines, transcriptOf(shipped.slice(0, 4)))
        assert.include(result, { consumed: 4, receipts: 4, runs: 5, sessionMessages: 8, deduplicated: 0 })
        assert.isAtLeast(result.accepted, matching(first, /^accepted /).length)

        const second = yield* run(["--db", db, "--crash-after", "5"])
        assert.strictEqual(second.signal, "SIGKILL")
        assert.lengthOf(matching(second, /, 1 of them requeued from a run that was lost$/), 1)
        assert.lengthOf(matching(second, /^consumed line \d+ \(attempt 2\)$/), 1)

        const last = yield* run(["--db", db])
        assert.deepStrictEqual(resultOf(last), {
          ...all(shipped.length, { runs: shipped.length + 2 }),
          deduplicated: matching(last, /^deduplicated /).length
        })
        const report = yield* run(["--db", db, "--report"])
        assert.deepStrictEqual(linesOf(report.stdout).slice(0, -1), transcriptOf(shipped))
        assert.deepStrictEqual(resultOf(report), { ...resultOf(last), deduplicated: 0 })
      }),
    120_000
  )

  it.scopedLive(
    "without a text it goes on with what the database holds, if that began with another text",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        yield* run(["--db", db, "--crash-after", "1"], { stdin: { text: "one\ntwo\nthree\n" } })
        const job = yield* run(["--db", db])
        assert.strictEqual(job.code, 0, job.stderr)
        const result = resultOf(job)
        assert.isAtLeast(result.accepted, 1)
        assert.deepStrictEqual(result, all(result.accepted, { runs: result.accepted + 1 }))
      }),
    120_000
  )

  it.scopedLive(
    "another text under a used line number is one clear line, and changes nothing",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        yield* run(["--db", db], { stdin: { text: "one\ntwo\nthree\n" } })
        const before = yield* contentsOf(db)
        const job = yield* run(["--db", db], { stdin: { text: "one\nzwei\nthree\nfour\n" } })
        fails(job, /^quickstart: line 2 is refused: another text was accepted under this number before\n$/)
        assert.deepStrictEqual(yield* contentsOf(db), before)
      }),
    120_000
  )

  it.scopedLive(
    "a line that is no UTF-8 or too long is named; those before it are consumed",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const texts = [
          ["utf8", Buffer.from([0x61, 0x0a, 0x62, 0x0a, 0xff, 0x0a]), /^quickstart: line 3 is not valid UTF-8\n$/],
          [
            "long",
            Buffer.concat([Buffer.from("a\nb\n"), Buffer.alloc(2_000_000, "x")]),
            /line 3 has more than \d+ bytes/
          ]
        ] as const
        for (const [name, bytes, message] of texts) {
          const db = `${folder}/${name}.db`
          fs.writeFileSync(`${folder}/${name}.txt`, bytes)
          fails(yield* run(["--db", db, `${folder}/${name}.txt`]), message)
          assert.deepStrictEqual((yield* contentsOf(db)).result, all(2))
        }
      }),
    120_000
  )

  it.scopedLive(
    "--report shows a file that another process is working on, which nobody else can own",
    () =>
      Effect.gen(function*() {
        const db = `${yield* temporaryFolder}/a.db`
        const owner = yield* startUntil(/^consumed line 2/, ["--db", db], "open", "one\ntwo\n")
        const report = yield* run(["--db", db, "--report"])
        assert.deepStrictEqual(linesOf(report.stdout), [
          ...transcriptOf(numbered("one\ntwo")),
          JSON.stringify(all(2))
        ])
        assert.strictEqual(report.code, 0)
        fails(yield* run(["--db", db]), /is owned by process \d+/)

        owner.write("three\n")
        owner.endInput()
        assert.deepStrictEqual(resultOf(yield* owner.ended), all(3))
      }),
    120_000
  )

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(
      `${signal} gives the open run back and ends cleanly; the next start goes on`,
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const db = `${folder}/a.db`
          const text = numbered(Array.from({ length: LINES }, (_, i) => `line ${i}`).join("\n"))
          const bytes = text.map((line) => `${line.text}\n`).join("")
          fs.writeFileSync(`${folder}/text.txt`, bytes)
          // Its input does not end, so it is still at work when the signal comes.
          const job = yield* startUntil(/^consumed line 10$/, ["--db", db], "open", bytes)
          job.kill(signal)
          const ended = yield* job.ended
          assert.strictEqual(ended.code, 130)
          assert.strictEqual(ended.stderr, `quickstart: interrupted; --db ${db} goes on from here\n`)
          assert.isBelow((yield* contentsOf(db)).result.consumed, LINES)

          const next = yield* run(["--db", db, `${folder}/text.txt`])
          assert.strictEqual(next.code, 0, next.stderr)
          assert.lengthOf(matching(next, /^recovered: /), 1)
          assert.lengthOf(matching(next, /lost|attempt/), 0)
          assert.include(resultOf(next), {
            accepted: LINES,
            consumed: LINES,
            receipts: LINES,
            sessionMessages: 2 * LINES
          })
          assert.deepStrictEqual((yield* contentsOf(db)).lines, transcriptOf(text))
        }),
      120_000
    )
  }

  it.scopedLive("ends in one line when the reader of its output goes away", () =>
    Effect.gen(function*() {
      const db = `${yield* temporaryFolder}/a.db`
      const job = yield* run(["--db", db], { wrap: ["bash", "-c", `"$@" | head -n 2; exit \${PIPESTATUS[0]}`, "bash"] })
      fails(job, /^quickstart: nothing more can be printed: the reader has gone\n$/)
      const next = yield* run(["--db", db])
      assert.include(resultOf(next), { accepted: shipped.length, consumed: shipped.length })
    }), 120_000)
})
