/**
 * What the next owner does, for every commit of a run (design, section 4). A line is what is on the disk when that commit
 * was the last one: a process that was killed right after it leaves that, and so does one that was killed right before
 * the next one. What the process does is in `script.ts`.
 *
 *   disk         the input's phase and attempts, its steers' phases, the open run's last boundary, how many rows the
 *                `alongside` of the boundaries wrote, messages that the courier has to bring, and has brought
 *   next         the next owner's attempt, the boundary it goes on behind, and at which step it is handed which steers
 *   transcript   at the end: a steer stands behind the boundary after the one that handed it over
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { Shot } from "./commits.js"
import { diskOf, holds, settles, sightOf, takesOver } from "./owner.js"
import { bundle, Child, lifeOf } from "./process.js"
import type * as script from "./script.js"

interface Line {
  readonly commit: string
  readonly disk: string
  readonly next: string
  readonly transcript: string
}

const line = (commit: string, disk: string, next: string, transcript = "order 1 A 2 B 3 4 5"): Line => ({
  commit,
  disk,
  next,
  transcript
})

const first = "attempt 1, behind none, 1[A] 2[B] 4[]"
const again = "attempt 2 after a loss, behind none, 1[A] 2[B] 4[]"
const behind = (boundary: number, handed: string) => `attempt 2 after a loss, behind ${boundary},${handed}`
const ended = "order consumed; A consumed; B consumed; no run; rows 5"

// dprint-ignore
const table: ReadonlyArray<Line> = [
  line("tables",         "nothing",                                                                                       first),
  line("opening",        "nothing",                                                                                       first),
  line("claim work/1",   "no run; rows 0",                                                                                first),
  line("accept order",   "order queued 0; no run; rows 0",                                                                first),
  line("stage",          "order staged 1; run at 0; rows 0",                                                              again),
  line("accept A",       "order staged 1; A queued; run at 0; rows 0",                                                    again),
  line("checkpoint 1",   "order staged 1; A staged; run at 1; rows 1",                             behind(1, " 2[AB] 4[]"), "order 1 2 A B 3 4 5"),
  line("accept B",       "order staged 1; A staged; B queued; run at 1; rows 1",                   behind(1, " 2[AB] 4[]"), "order 1 2 A B 3 4 5"),
  line("checkpoint 2",   "order staged 1; A consumed; B staged; run at 2; rows 2; out: first",     behind(2, " 4[B]"),      "order 1 A 2 3 4 B 5"),
  line("claim sink/1",   "order staged 1; A consumed; B staged; run at 2; rows 2; out: first",     behind(2, " 4[B]"),      "order 1 A 2 3 4 B 5"),
  line("accept first",   "order staged 1; A consumed; B staged; run at 2; rows 2; out: first; sink: first", behind(2, " 4[B]"), "order 1 A 2 3 4 B 5"),
  line("settle first",   "order staged 1; A consumed; B staged; run at 2; rows 2; sink: first",    behind(2, " 4[B]"),      "order 1 A 2 3 4 B 5"),
  line("note 3",         "order staged 1; A consumed; B staged; run at 3; rows 3; sink: first",    behind(3, " 4[B]")),
  line("checkpoint 4",   "order staged 1; A consumed; B consumed; run at 4; rows 4; sink: first",  behind(4, "")),
  line("final 5",        `${ended}; out: second; sink: first`,                                     "nothing"),
  line("accept second",  `${ended}; out: second; sink: first, second`,                             "nothing"),
  line("settle second",  `${ended}; sink: first, second`,                                          "nothing")
]

/** Lives of one file, each killed at its own moment. Answers what the last attempt of each saw. */
const killed = (filename: string, shots: ReadonlyArray<Shot>) =>
  Effect.flatMap(
    Child,
    (child) =>
      Effect.forEach(shots, (shot) =>
        Effect.map(lifeOf(child, ["script", filename, JSON.stringify({ shot })]), ({ lines, signal }) => {
          assert.strictEqual(signal, "SIGKILL", `no commit was ${shot.at}`)
          return lines.map((line): script.Sight =>
            JSON.parse(line)
          ).at(-1)
        }))
  )

/** What holds for every line of every table. */
const finishes = (filename: string, before: ReadonlyArray<script.Sight | undefined>, first?: "release") =>
  Effect.map(takesOver(filename, first), (found) => {
    const { sight } = found
    // Wherever it was: every row, note and message once, and the input consumed once.
    assert.deepStrictEqual(found.problems, [])
    assert.deepStrictEqual(found.steps, [1, 2, 3, 4, 5].map((step) => `step ${step}`))
    assert.deepStrictEqual(found.received, ["first", "second"])
    assert.deepStrictEqual(found.notes, [{ scope: "script", key: "step 3", value: "noted" }])
    assert.strictEqual(found.result, "done")
    if (sight !== undefined) {
      // It sees the session of the boundary that it goes on behind, and what it was not able to record yet.
      assert.deepStrictEqual(sight.history, found.transcript.slice(0, sight.history.length))
      const runs = before.flatMap((earlier) => earlier === undefined ? [] : [earlier])
      for (const { key } of runs) assert.strictEqual(sight.key, key)
      if (sight.resumeRun !== null) assert.include(runs.map(({ runId }) => runId), sight.resumeRun)
    }
    return { next: sightOf(sight), transcript: found.transcript.join(" ").replaceAll("step ", "") }
  })

const fileOf = (name: string) => Effect.map(Child, ({ folder }) => `${folder}/${name.replace(/\W+/g, "-")}.db`)

const title = ({ next }: Line): string =>
  next === "nothing" ? "there is nothing to do again" : `the next owner makes ${next.replace(/, /, " ")}`

layer(bundle, { excludeTestServices: true })("I1, I2, I7, I8, I10, I11: a process killed with SIGKILL", (it) => {
  it.scoped("the table has every commit of the script", () =>
    Effect.gen(function*() {
      const child = yield* Child
      const journal = `${child.folder}/journal`
      yield* lifeOf(child, ["script", `${child.folder}/whole.db`, JSON.stringify({ journal })])
      assert.deepStrictEqual(fs.readFileSync(journal, "utf8").trim().split("\n"), table.map(({ commit }) => commit))
    }), 60_000)

  table.forEach((after, i) => {
    const cases: ReadonlyArray<readonly [Shot, Line]> = [
      [{ at: after.commit, when: "after" }, after],
      // Before the first one there is no file yet.
      ...i === 0 ? [] : [[{ at: after.commit, when: "before" }, table[i - 1]!] as const]
    ]
    for (const [shot, expected] of cases) {
      it.scoped(`right ${shot.when} its commit "${shot.at}": ${title(expected)}`, () =>
        Effect.gen(function*() {
          const filename = yield* fileOf(`${shot.when} ${shot.at}`)
          const before = yield* killed(filename, [shot])
          assert.strictEqual(diskOf(filename), expected.disk)
          assert.deepStrictEqual(yield* finishes(filename, before), {
            next: expected.next,
            transcript: expected.transcript
          })
        }), 60_000)
    }
  })

  // The boundaries of different attempts have numbers of their own.
  const relays: ReadonlyArray<readonly [name: string, shots: ReadonlyArray<Shot>, next: string, transcript: string]> = [
    [
      "before it could claim, then at its claim, then at its stage: the fourth one goes on where the first one was",
      [
        { at: "checkpoint 1", when: "after" },
        { at: "claim work/1, run.lost", when: "before" },
        { at: "claim work/1, run.lost", when: "after" },
        { at: "stage", when: "after" }
      ],
      "attempt 3 after a loss, behind 1, 2[AB] 4[]",
      "order 1 2 A B 3 4 5"
    ],
    [
      "after each boundary in turn: the steers go with it, and behind the last checkpoint get a run of their own",
      [
        { at: "checkpoint 1", when: "after" },
        { at: "checkpoint 1", when: "after" },
        { at: "note 1", when: "after" },
        { at: "checkpoint 1", when: "after" }
      ],
      "attempt 5 after a loss, behind 1,",
      "order 1 2 3 4 5 A B"
    ],
    [
      "before the first boundary, three times: every attempt begins anew, and counts",
      [
        { at: "checkpoint 1", when: "before" },
        { at: "checkpoint 1", when: "before" },
        { at: "checkpoint 1", when: "before" }
      ],
      "attempt 4 after a loss, behind none, 1[A] 2[B] 4[]",
      "order 1 A 2 B 3 4 5"
    ]
  ]
  for (const [name, shots, next, transcript] of relays) {
    it.scoped(`${name}`, () =>
      Effect.gen(function*() {
        const filename = yield* fileOf(name)
        const before = yield* killed(filename, shots)
        assert.deepStrictEqual(yield* finishes(filename, before), { next, transcript })
      }), 60_000)
  }

  it.scoped(
    "right after a checkpoint, with inDoubt: hold: the batch waits for its release, then goes on behind it",
    () =>
      Effect.gen(function*() {
        const filename = yield* fileOf("hold")
        const before = yield* killed(filename, [{ at: "checkpoint 1", when: "after" }])
        const found = yield* holds(filename)
        assert.deepStrictEqual(found, { phase: "held", hold: "in_doubt", runs: 0, steps: ["step 1"] })
        // Whoever releases it has decided the doubt: it is no attempt more, and no loss any more.
        assert.deepStrictEqual(yield* finishes(filename, before, "release"), {
          next: "attempt 1, behind 1, 2[B] 4[]",
          transcript: "order 1 A 2 B 3 4 5"
        })
      }),
    60_000
  )

  it.scoped(
    "right after a checkpoint, with inDoubt: settle: the input ends as lost, and what was committed stays",
    () =>
      Effect.gen(function*() {
        const filename = yield* fileOf("settle")
        yield* killed(filename, [{ at: "checkpoint 2", when: "after" }])
        assert.deepStrictEqual(yield* settles(filename), {
          error: "Lost",
          transcript: ["order", "step 1", "A", "step 2", "B"],
          steps: ["step 1", "step 2"],
          received: ["first"],
          problems: []
        })
      }),
    60_000
  )
})
