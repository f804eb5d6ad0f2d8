/** The examples as their readers run them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as process from "node:process"
import { promisify } from "node:util"
import { linesOf, root, temporaryFolder } from "../crash/job.js"

const start = promisify(execFile)

const run = (name: string, db: string, ...args: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const { stderr, stdout } = await start(process.execPath, ["--import", "tsx", `examples/${name}.ts`, ...args], {
      cwd: root,
      env: { ...process.env, DB: db },
      timeout: 60_000
    })
    assert.strictEqual(stderr, "")
    return linesOf(stdout)
  })

const printed: { readonly [name: string]: ReadonlyArray<string> } = {
  "tools": [
    "... Let me look.",
    "... Berlin: 12°. Rome: 24°.",
    "Berlin: 12°. Rome: 24°.",
    "{ cities: [ 'Berlin', 'Rome' ], turns: 2, calls: [] }"
  ],
  "approval": ["o-1: may I refund 995 cents?", "o-1: yes", "o-1: paid"],
  "own-table": ["i-1: 995 cents", "i-2: 1200 cents", "i-3: 50 cents"],
  "child": ["looking for moles", "looking for voles", "moles dig; voles dig"]
}

describe("run to its end, it prints what it should:", () => {
  for (const [name, lines] of Object.entries(printed)) {
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* run(name, `${yield* temporaryFolder}/a.db`), lines)
      }), 120_000)
  }

  it.scopedLive("minimal, for each line, and for one that it has answered at once", () =>
    Effect.gen(function*() {
      const db = `${yield* temporaryFolder}/a.db`
      for (const [line, message] of [["a", 1], ["b", 3], ["a", 1]] as const) {
        assert.deepStrictEqual(yield* run("minimal", db, line), [`You said "${line}", message ${message}.`])
      }
    }), 120_000)

  it.scopedLive("steering", () =>
    Effect.gen(function*() {
      const lines = yield* run("steering", `${yield* temporaryFolder}/a.db`)
      const chapters = lines.filter((line) => line.startsWith("assistant: "))
      const said = lines.indexOf("user: shorter sentences")
      assert.isAbove(said, 0)
      // How many there are is up to the clock; what they are is up to what was said before them.
      const long = "assistant: Moles, as we shall see, dig."
      assert.include(lines.slice(0, said), long)
      assert.notInclude(lines.slice(said), long)
      assert.isBelow(chapters.length, 10)
      // What was written last may not have been told when it ends.
      assert.include([0, 1], Number(/^(\d+) chapters$/.exec(lines.at(-1)!)?.[1]) - chapters.length)
    }), 120_000)
})
