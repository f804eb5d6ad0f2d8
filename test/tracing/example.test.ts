import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as process from "node:process"
import { root } from "../crash/job.js"

it("prints the story of examples/tracing.ts as a tree, and ends by itself", () => {
  const printed = execFileSync(process.execPath, ["--import", "tsx", "examples/tracing.ts"], {
    cwd: root,
    encoding: "utf8",
    timeout: 20_000
  })
  const lines = printed.trimEnd().split("\n").map((line) => {
    const [, indent = "", number = "", name = "", rest = ""] = /^( *)#(\d+) (.+?) +[\d.]+ ms(.*)$/.exec(line) ?? []
    return { depth: indent.length / 2, number, name, rest: rest.trim() }
  })
  const under = (name: string) => {
    const at = lines.findIndex((line) => line.name === name)
    const end = lines.findIndex((line, i) => i > at && line.depth <= lines[at]!.depth)
    return lines.slice(at + 1, end < 0 ? undefined : end).map(({ depth, name }) =>
      `${"  ".repeat(depth - lines[at]!.depth - 1)}${name}`
    )
  }
  const commit = "  RuntimeStore.commit"
  assert.deepStrictEqual(under("POST /dinner"), ["Driver.accept", commit, "Observer.await"])
  assert.deepStrictEqual(under("Agent.run"), [
    "boil water",
    "Driver.boundary",
    commit,
    "cook rice",
    "Driver.boundary",
    commit,
    "Driver.boundary",
    commit
  ])
  const run = lines.find(({ name }) => name === "Agent.run")
  const accept = lines.find(({ name }) => name === "Driver.accept")
  assert.strictEqual(run?.depth, 0)
  assert.strictEqual(run?.rest, `runtime.id=cook/ana  attempt=1  outcome=completed  <- #${accept?.number}`)
})
