/** Parks runs in several rounds, each of a conversation of its own, and says what one costs in bytes of the heap. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as process from "node:process"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as Agent from "../../src/services/Agent.js"
import { Drivers } from "../../src/services/Driver.js"

const ROUNDS = 4

const [filename = "", count = "0"] = process.argv.slice(2)

class Clerk extends Agent.make("clerk", {
  result: Schema.String,
  questions: { approval: { ask: Schema.String, answer: Schema.Boolean } }
}) {}

const ClerkLive = Clerk.toLayer((run) =>
  Effect.map(run.ask("approval", { key: "1", ask: run.id }), (answer) => ({ result: `${run.id} ${answer}` })).pipe(
    Effect.orDie
  )
)

const heap = Effect.promise(async () => {
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().heapUsed
})

const program = Effect.gen(function*() {
  const drivers = yield* Drivers
  const isEmpty = Effect.map(drivers.live, (live) => live.length === 0)
  const forgotten = Effect.repeat(Effect.sleep("50 millis"), { until: () => isEmpty })
  const all = <A, E, R>(
    prefix: string,
    times: number,
    use: (clerk: Agent.HandleOf<typeof Clerk>) => Effect.Effect<A, E, R>
  ) => Effect.forEach(Array.from({ length: times }, (_, i) => Clerk.of(`${prefix}/${i}`)), use, { concurrency: 64 })
  const parked = (prefix: string, times: number) =>
    Effect.gen(function*() {
      const sent = yield* all(prefix, times, (clerk) => clerk.send("go"))
      yield* forgotten
      return sent
    })
  const times = Number(count) / ROUNDS
  const rounds = yield* Effect.forEach(
    Array.from({ length: ROUNDS }, (_, i) => `round ${i}`),
    (prefix) =>
      Effect.gen(function*() {
        const before = yield* heap
        const sent = yield* parked(prefix, times)
        return { prefix, inputIds: sent.map(({ inputId }) => inputId), perRun: ((yield* heap) - before) / times }
      })
  )
  const live = (yield* drivers.live).length
  const results = yield* Effect.forEach(
    rounds,
    ({ inputIds, prefix }) =>
      all(
        prefix,
        times,
        (clerk) =>
          Effect.zipRight(clerk.answer("approval", "1", true), clerk.await(inputIds[Number(clerk.id.split("/")[1])]!))
      )
  )
  return {
    // What the process makes of its code it makes in some of them.
    perRun: Math.min(...rounds.map(({ perRun }) => perRun)),
    live,
    done: results.flat().filter((result) => result.endsWith(" true")).length
  }
}).pipe(
  Effect.provide(Layer.provideMerge(ClerkLive, BurrowSqlite.layer({ filename, limits: { runtimeIdleMillis: 200 } })))
)

void Effect.runPromise(program).then((said) => process.stdout.write(JSON.stringify(said)))
