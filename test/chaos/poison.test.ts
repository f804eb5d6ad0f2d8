/**
 * Inputs that kill the process they run in, in the midst of twenty runtimes that work. The process is started again
 * until it ends by itself, with nothing left to do.
 */
import { assert, layer } from "@effect/vitest"
import { Observer, ObserverLive } from "effect-burrow"
import { RuntimeStoreSqlite } from "effect-burrow/sqlite"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { auditQuiet, withRows } from "./audit.js"
import * as poison from "./poison.js"
import { bundle, Child, lifeOf } from "./process.js"

const LIVES_MAX = 20

/** Starts it until it ends by itself. Answers how often it died. */
const untilQuiet = (filename: string, options: Omit<poison.Options, "life">) =>
  Effect.gen(function*() {
    const child = yield* Child
    for (let life = 0; life < LIVES_MAX; life++) {
      const { signal } = yield* lifeOf(child, ["poison", filename, JSON.stringify({ ...options, life })])
      if (signal === null) return life
    }
    return assert.fail(`not quiet after ${LIVES_MAX} lives`)
  })

const deadLetters = (filename: string) =>
  Effect.flatMap(Observer.Observer, (observer) => Stream.runCollect(observer.deadLetters())).pipe(
    Effect.map((dead) =>
      Chunk.toReadonlyArray(dead).map(({ attempts, error, runtimeId }) => ({
        runtimeId: String(runtimeId),
        attempts,
        error: Option.getOrNull(Option.map(error, ({ tag }) => tag))
      }))
    ),
    Effect.provide(ObserverLive.layer.pipe(Layer.provide(RuntimeStoreSqlite.layerReader({ filename }))))
  )

/** How many inputs of the healthy have come to which end. */
const healthy = (filename: string) =>
  withRows(filename, (rows) =>
    Object.fromEntries(
      rows(`SELECT phase, count(*) AS inputs FROM burrow_inputs WHERE payload NOT LIKE '%poison"%' GROUP BY 1`)
        .map(({ inputs, phase }) => [phase, inputs])
    ))

const phasesOfPoisons = (filename: string) =>
  withRows(filename, (rows) => rows(`SELECT phase, hold FROM burrow_inputs WHERE payload LIKE '%poison"%' ORDER BY no`))

const quick = (runtime: string, fromLife = 0): poison.Poison => ({ runtime, fromLife, checkpoints: false })

const BREAD = poison.HEALTHY * poison.EACH

interface Case {
  readonly name: string
  readonly poisons: ReadonlyArray<poison.Poison>
  readonly runsMax?: number
  readonly deaths: number
}

const cases: ReadonlyArray<Case> = [
  { name: "a poison is a dead letter after three deaths", poisons: [quick("agent/p")], deaths: 3 },
  { name: "a poison that starts when others have gone on is, too", poisons: [quick("agent/p")], runsMax: 2, deaths: 3 },
  {
    name: "two poisons that are in flight together are dead letters, each after a last attempt of its own",
    poisons: [quick("agent/p"), quick("agent/q")],
    runsMax: 100,
    deaths: 4
  },
  {
    name: "a poison that commits a checkpoint before it kills takes no last attempt of another with it",
    poisons: [{ runtime: "agent/1p", fromLife: 0, checkpoints: true }],
    deaths: 3
  }
]

layer(bundle, { excludeTestServices: true })("I13, I17: among twenty runtimes that work", (it) => {
  for (const { deaths, name, poisons, runsMax = 16 } of cases) {
    it.scoped(`${name}, and every other input is consumed`, () =>
      Effect.gen(function*() {
        const filename = `${(yield* Child).folder}/${cases.findIndex((one) => one.name === name)}.db`
        const died = yield* untilQuiet(filename, { poisons, parents: 0, runsMax, inDoubt: "retry", release: false })
        assert.deepStrictEqual(auditQuiet(filename), [])
        assert.deepStrictEqual(
          yield* deadLetters(filename),
          poisons.map(({ runtime }) => ({ runtimeId: runtime, attempts: 3, error: "ProcessEnded" }))
        )
        // Those behind a poison, too.
        assert.deepStrictEqual(healthy(filename), { consumed: BREAD + poisons.length })
        assert.strictEqual(died, deaths)
      }), 120_000)
  }

  // A parent gives up its turn when it waits, and is uncharged: what kills it then is another's doing.
  it.scoped(
    "runs on their last attempt that wait for others on theirs do not stall, and take nobody with them",
    () =>
      Effect.gen(function*() {
        const filename = `${(yield* Child).folder}/parents.db`
        const options = {
          poisons: [quick("agent/p")],
          parents: 5,
          runsMax: 100,
          inDoubt: "retry",
          release: false
        } as const
        assert.strictEqual(yield* untilQuiet(filename, options), 3)
        assert.deepStrictEqual(auditQuiet(filename), [])
        assert.deepStrictEqual(yield* deadLetters(filename), [{
          runtimeId: "agent/p",
          attempts: 3,
          error: "ProcessEnded"
        }])
      }),
    120_000
  )

  it.scoped(
    "with inDoubt: hold nothing that was lost is tried again before it is released, and nothing is given up",
    () =>
      Effect.gen(function*() {
        const filename = `${(yield* Child).folder}/hold.db`
        const options = { poisons: [quick("agent/p")], parents: 0, runsMax: 16, inDoubt: "hold" } as const
        assert.strictEqual(yield* untilQuiet(filename, { ...options, release: false }), 1)
        assert.deepStrictEqual(phasesOfPoisons(filename), [{ phase: "held", hold: "in_doubt" }])
        const { consumed, held, ...others } = healthy(filename)
        assert.deepStrictEqual(others, {})
        assert.isAtLeast(Number(held), 1)
        assert.strictEqual(Number(consumed) + Number(held), BREAD + 1)

        assert.strictEqual(yield* untilQuiet(filename, { ...options, release: true }), 0)
        assert.deepStrictEqual(healthy(filename), { consumed: BREAD + 1 })
        assert.deepStrictEqual(phasesOfPoisons(filename), [{ phase: "held", hold: "in_doubt" }])
        assert.deepStrictEqual(yield* deadLetters(filename), [])
        assert.deepStrictEqual(auditQuiet(filename), [])
      }),
    120_000
  )
})
