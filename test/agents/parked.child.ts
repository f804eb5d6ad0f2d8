/** Parks runs twice, each of a conversation of its own, and says what one costs in bytes of the heap. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as process from "node:process"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as Agent from "../../src/services/Agent.js"
import { Drivers } from "../../src/services/Driver.js"

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
  const times = Number(count)
  const use = (prefix: string) =>
    Effect.gen(function*() {
      const before = yield* heap
      const sent = yield* parked(prefix, times)
      const perRun = ((yield* heap) - before) / times
      const live = (yield* drivers.live).length
      return { perRun, live, sent }
    })
  // What the process itself makes of its code is made some time or other: not in both.
  const [first, second] = [yield* use("first"), yield* use("second")]
  const answered = ({ sent }: typeof first, prefix: string) =>
    Effect.gen(function*() {
      const ids = new Map(sent.map(({ inputId }, i) => [`${prefix}/${i}`, inputId]))
      const results = yield* all(
        prefix,
        times,
        (clerk) => Effect.zipRight(clerk.answer("approval", "1", true), clerk.await(ids.get(clerk.id)!))
      )
      return results.filter((result, i) => result === `${prefix}/${i} true`).length
    })
  return {
    perRun: Math.min(first.perRun, second.perRun),
    live: first.live + second.live,
    done: (yield* answered(first, "first")) + (yield* answered(second, "second"))
  }
}).pipe(
  Effect.provide(Layer.provideMerge(ClerkLive, BurrowSqlite.layer({ filename, limits: { runtimeIdleMillis: 200 } })))
)

void Effect.runPromise(program).then((said) => process.stdout.write(JSON.stringify(said)))
