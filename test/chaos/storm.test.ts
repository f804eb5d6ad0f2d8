/** Everything at once, by a seed: `CHAOS_SEED` repeats one. The name of a failed case has it. */
import { assert, it, layer } from "@effect/vitest"
import { Burrow } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import * as process from "node:process"
import { audit, auditQuiet, withRows } from "./audit.js"
import { bundle, Child, lifeOf } from "./process.js"
import * as storm from "./storm.js"

const seed = Number(process.env["CHAOS_SEED"] ?? process.hrtime()[1])

const RUNTIMES = 100
const EACH = 20
const LIVES = 5
const EACH_IN_A_LIFE = 6

it.scopedLive(
  `I13, I14, I15: every input ends once, whoever waits for it is told, and no fiber is left (seed ${seed})`,
  () =>
    Effect.gen(function*() {
      const before = Fiber.unsafeRoots().length
      const endings = yield* storm.perform({ seed, runtimes: RUNTIMES, each: EACH, life: 0 }).pipe(
        Effect.scoped,
        Effect.provide(Layer.fresh(Burrow.layerMemory)),
        // Of runs that ignore their interruption.
        Logger.withMinimumLogLevel(LogLevel.Error)
      )
      yield* Effect.log(storm.count(endings))
      assert.deepStrictEqual(storm.wrong(endings), [])
      assert.strictEqual(endings.length, RUNTIMES * EACH)
      // An executor that ignores its interruption ends when it likes.
      for (let i = 0; i < 500 && Fiber.unsafeRoots().length > before; i++) yield* Effect.sleep("10 millis")
      assert.deepStrictEqual(yield* Fiber.dumpAll(Fiber.unsafeRoots().slice(before)), [])
    }),
  120_000
)

layer(bundle, { excludeTestServices: true })("a process that is killed in the midst of everything", (it) => {
  it.scoped(
    `I1, I5, I6, I8, I13, I14, I15: after ${
      LIVES - 1
    } kills all of that holds for all inputs of all lives (seed ${seed})`,
    () =>
      Effect.gen(function*() {
        const child = yield* Child
        const filename = `${child.folder}/storm.db`
        const journal = `${child.folder}/acknowledged`
        const random = new PCGRandom(seed)
        for (let life = 0; life < LIVES; life++) {
          const isLast = life === LIVES - 1
          const options = { seed, runtimes: RUNTIMES, each: EACH_IN_A_LIFE, life, journal, isLast }
          const killed = isLast ? undefined : { after: "open", millis: 200 + random.integer(1_800) } as const
          const { lines, signal } = yield* lifeOf(child, ["storm", filename, JSON.stringify(options)], killed)
          assert.strictEqual(signal, isLast ? null : "SIGKILL")
          assert.deepStrictEqual(audit(filename), [], `life ${life}`)
          assert.deepStrictEqual(lines.filter((line) => line.startsWith("wrong")), [])
          if (isLast) yield* Effect.log(lines.filter((line) => line.includes("consumed/")).join())
        }
        assert.deepStrictEqual(auditQuiet(filename), [])
        const ids = fs.readFileSync(journal, "utf8").split("\n").slice(0, -1).map((line) => line.split(" ")[1]!)
        const there = withRows(filename, (rows) => rows("SELECT input_id AS id FROM burrow_inputs").map(({ id }) => id))
        assert.deepStrictEqual(ids.filter((id) => !new Set(there).has(id)), [])
        yield* Effect.log(`${LIVES - 1} kills, ${there.length} inputs, ${ids.length} acknowledged`)
      }),
    180_000
  )
})
