import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as process from "node:process"
import { temporaryFolder } from "./job.js"
import { crashLoop } from "./loop.js"

const FILES = 2
const KILLS_PER_FILE = 6
const LINES = 300

/** Another one every time; the name of a failed case says which. */
const firstSeed = Number(process.env["CRASH_SEED"] ?? process.hrtime()[1])

describe.concurrent("I1, I6, I7, I8, I10, I11: a job that is killed with SIGKILL at random moments", () => {
  for (const seed of Array.from({ length: FILES }, (_, i) => firstSeed + i)) {
    it.scopedLive(
      `consumes every line once and in order, with one receipt each (seed ${seed})`,
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const { kills, problems, result } = yield* crashLoop({ seed, folder, lines: LINES, kills: KILLS_PER_FILE })
          assert.deepStrictEqual(problems, [])
          assert.strictEqual(result.consumed, LINES)
          assert.strictEqual(kills, KILLS_PER_FILE)
        }),
      120_000
    )
  }
})
