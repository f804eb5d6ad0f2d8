/**
 * The examples as they are, killed with SIGKILL right after and right before each of their commits, and started again. At
 * most `CHAOS_SHOTS` times each (default 8; there are 98 of all): first right before what an agent has done outside is
 * committed, then right after every commit, the last one first, then right before the others. The disk is the same after a
 * commit and before the next one; what was done outside is not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as process from "node:process"
import { auditQuiet, withRows } from "../chaos/audit.js"
import type { Shot } from "../chaos/commits.js"
import { bundleOf, lifeOf } from "../chaos/process.js"

const SHOTS = Number(process.env["CHAOS_SHOTS"] ?? 8)

type Rows = (sql: string) => ReadonlyArray<Record<string, unknown>>

const linesOf = (file: string): ReadonlyArray<string> =>
  fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").slice(0, -1) : []

const countOf = <A>(all: ReadonlyArray<A>, one: A): number => all.filter((other) => other === one).length

/** Of what a dead process has left; nothing before there are tables. */
const onDisk = <A>(filename: string, use: (rows: Rows) => ReadonlyArray<A>): ReadonlyArray<A> =>
  fs.existsSync(filename)
    ? withRows(
      filename,
      (rows) => rows("SELECT 1 FROM sqlite_master WHERE name = 'burrow_notes'").length > 0 ? use(rows) : []
    )
    : []

interface Example {
  readonly name: string
  /** Whether a commit records what was done outside. */
  readonly isOfOutside?: (commit: string) => boolean
  /** What was done outside, by key, and the keys whose results are committed. */
  readonly outside?: (rows: Rows) => ReadonlyArray<string>
  /** The arguments of the life after this shot, by what is on the disk. */
  readonly args?: (shot: Shot, filename: string) => ReadonlyArray<string>
  /** What the last life says at the end. */
  readonly says: ReadonlyArray<string>
  readonly check: (rows: Rows, filename: string) => void
}

const keysOf = (filename: string): ReadonlyArray<string> =>
  linesOf(`${filename}.log`).map((line) => line.split(" ")[0]!)

const examples: ReadonlyArray<Example> = [
  {
    name: "tools",
    isOfOutside: (commit) => commit.startsWith("note"),
    outside: (rows) => rows("SELECT scope, key FROM burrow_notes").map(({ key, scope }) => `${scope}/${key}`),
    says: ["Berlin: 12°. Rome: 24°.", "{ cities: [ 'Berlin', 'Rome' ], turns: 2, calls: [] }"],
    check: (_, filename) => {
      // The model names its calls anew each time that it is asked: those that are made are those that were committed.
      assert.strictEqual(new Set(keysOf(filename)).size, 2)
    }
  },
  {
    name: "approval",
    isOfOutside: (commit) => commit === "note 1",
    outside: (rows) => rows("SELECT scope FROM burrow_notes WHERE key = 'pay'").map(({ scope }) => String(scope)),
    args: ({ when }, filename) =>
      // Half of the time nobody repeats the answer that was given.
      when === "after" && onDisk(filename, (rows) => rows("SELECT 1 FROM burrow_events WHERE code = 'operation.ended'"))
            .length > 0
        ? ["away"]
        : [],
    says: ["o-1: paid"],
    check: (rows, filename) => {
      assert.strictEqual(new Set(keysOf(filename)).size, 1)
      assert.lengthOf(rows("SELECT 1 FROM burrow_events WHERE code = 'operation.ended'"), 1)
    }
  },
  {
    name: "own-table",
    says: ["i-1: 995 cents", "i-2: 1200 cents", "i-3: 50 cents"],
    check: (rows) =>
      assert.deepStrictEqual(rows("SELECT * FROM payments"), [
        { invoice: "i-1", cents: 995 },
        { invoice: "i-2", cents: 1200 },
        { invoice: "i-3", cents: 50 }
      ])
  },
  {
    name: "child",
    says: ["moles dig; voles dig"],
    check: (rows) => {
      const perRuntime = rows(`
        SELECT substr(r.runtime_id, 1, instr(r.runtime_id, '/') - 1) AS agent,
          (SELECT count(*) FROM burrow_inputs i WHERE i.runtime_no = r.no) AS inputs,
          (SELECT count(*) FROM burrow_events e WHERE e.runtime_no = r.no AND e.code = 'run.boundary'
            AND json_extract(e.data, '$.boundary') = 'final') AS finals
        FROM burrow_runtimes r ORDER BY agent`)
      const once = (agent: string) => ({ agent, inputs: 1, finals: 1 })
      assert.deepStrictEqual(perRuntime, [once("reporter"), once("research"), once("research")])
    }
  }
]

/** All of them, the most telling ones first. */
const shotsOf = ({ isOfOutside = () => false }: Example, commits: ReadonlyArray<string>): ReadonlyArray<Shot> => {
  const numbers = commits.map((_, i) => i + 1)
  const isOutside = (number: number) => isOfOutside(commits[number - 1]!)
  const before = (at: number): Shot => ({ at, when: "before" })
  return [
    ...numbers.filter((number) => isOutside(number)).map(before),
    ...numbers.toReversed().map((at): Shot => ({ at, when: "after" })),
    ...numbers.toReversed().filter((number) => !isOutside(number)).map(before)
  ]
}

/** What has a result is not done again; what has none is done once more. */
const doneOnce = (before: ReadonlyArray<string>, noted: ReadonlyArray<string>, after: ReadonlyArray<string>): void => {
  for (const key of new Set(after)) {
    const known = countOf(before, key)
    assert.isAtMost(known, 1)
    if (noted.includes(key)) assert.deepStrictEqual([key, known, countOf(after, key)], [key, 1, 1])
    else assert.deepStrictEqual([key, countOf(after, key)], [key, known + 1])
  }
}

describe("killed at a commit and started again, an example ends as if nothing had been:", () => {
  for (const example of examples) {
    const { args = () => [], check, name, outside = () => [], says } = example
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        const child = yield* bundleOf(["test/examples/armed.ts", `examples/${name}.ts`])
        const journal = `${child.folder}/journal`
        yield* lifeOf(child, [`${child.folder}/whole.db`, JSON.stringify({ journal })])
        const shots = shotsOf(example, linesOf(journal)).slice(0, SHOTS)
        yield* Effect.forEach(shots, (shot) =>
          Effect.gen(function*() {
            const filename = `${child.folder}/${shot.when}-${shot.at}.db`
            const { signal } = yield* lifeOf(child, [filename, JSON.stringify({ shot })])
            assert.strictEqual(signal, "SIGKILL")
            const done = keysOf(filename)
            const noted = onDisk(filename, outside)
            const { lines } = yield* lifeOf(child, [filename, "{}", ...args(shot, filename)])
            assert.deepStrictEqual(lines.slice(-says.length), says)
            doneOnce(done, noted, keysOf(filename))
            withRows(filename, (rows) => check(rows, filename))
            assert.deepStrictEqual(auditQuiet(filename), [])
          }).pipe(
            Effect.catchAllDefect((cause) =>
              Effect.die(new Error(`right ${shot.when} commit ${shot.at}: ${String(cause)}`, { cause }))
            )
          ), { concurrency: 2, discard: true })
      }), 180_000)
  }
})
