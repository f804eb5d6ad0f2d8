/** `npm run crash-loop -- --kills 50 --lines 2000`: the test's loop, as long as one likes. */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import * as process from "node:process"
import { parseArgs } from "node:util"
import { temporaryFolder } from "../test/crash/job.js"
import { crashLoop } from "../test/crash/loop.js"

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    lines: { type: "string", default: "2000" },
    files: { type: "string", default: "2" },
    seed: { type: "string" }
  }
})

const number = (name: "kills" | "lines" | "files" | "seed"): number => {
  const value = Number(values[name])
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} needs a positive whole number`)
  return value
}

const firstSeed = values.seed === undefined ? process.hrtime()[1] : number("seed")
const files = number("files")

const loop = (seed: number) =>
  Effect.scoped(Effect.gen(function*() {
    const folder = yield* temporaryFolder
    yield* Console.log(`seed ${seed}`)
    const { kills, problems, result } = yield* crashLoop({
      seed,
      folder,
      lines: number("lines"),
      kills: Math.ceil(number("kills") / files),
      log: Console.log
    })
    yield* Console.log(`seed ${seed}: ${kills} kills, ${JSON.stringify(result)}`)
    for (const problem of problems) yield* Console.error(`seed ${seed}: ${problem}`)
    return { kills, problems: problems.length }
  }))

Effect.gen(function*() {
  const outcomes = yield* Effect.forEach(Array.from({ length: files }, (_, i) => firstSeed + i), loop)
  const sum = (key: "kills" | "problems") => outcomes.reduce((total, outcome) => total + outcome[key], 0)
  yield* Console.log(`${sum("kills")} kills over ${files} files, ${sum("problems")} problems`)
  if (sum("problems") > 0) yield* Effect.fail(new Error("see above"))
}).pipe(NodeRuntime.runMain)
