/**
 * A guest that hands inputs over and is killed at random, an owner that is killed at random or not there at all, and a
 * guest in the test's process that waits and watches through all of it. `CHAOS_SEED` repeats one.
 */
import { assert, layer } from "@effect/vitest"
import { Observer, RuntimeStore } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { PCGRandom } from "effect/Utils"
import * as process from "node:process"
import { audit, auditQuiet, withRows } from "./audit.js"
import * as guest from "./guest.js"
import { bundle, Child, lifeOf } from "./process.js"
import * as work from "./work.js"

const seed = Number(process.env["CHAOS_SEED"] ?? process.hrtime()[1])

const ROUNDS = 12

const column = (filename: string, sql: string): ReadonlyArray<string> =>
  withRows(filename, (rows) => rows(sql).map(({ name }) => String(name)))

const inputs = (runtime: number) => `
  SELECT json_extract(i.payload, '$.value.input.content[0].text') AS name FROM burrow_inputs i
  JOIN burrow_runtimes r ON r.no = i.runtime_no WHERE r.runtime_id = 'work/${runtime}' ORDER BY i.sequence`

/** A guest's life, beside an owner's, which may be over before, or may not be at all. */
const round = (filename: string, journal: string, life: number, random: PCGRandom) =>
  Effect.gen(function*() {
    const child = yield* Child
    const moment = () => ({ after: "open", millis: random.integer(600) }) as const
    const guestDies = moment()
    const owner = random.integer(3) === 0
      ? Effect.void
      : Effect.asVoid(lifeOf(child, ["work", filename, JSON.stringify({ isLast: false })], moment()))
    const guests = lifeOf(child, ["guest", filename, JSON.stringify({ journal, life })], guestDies)
    yield* Effect.all([owner, guests], { concurrency: "unbounded" })
    assert.deepStrictEqual(audit(filename), [], `round ${life}`)
  })

layer(bundle, { excludeTestServices: true })(`guests of a file (seed ${seed})`, (it) => {
  it.scoped(
    "I1, I5, I6, I14: what they hand over is admitted once and in order, and told to who waits outside",
    () =>
      Effect.gen(function*() {
        const child = yield* Child
        const filename = `${child.folder}/guests.db`
        const journal = `${child.folder}/answered`
        const random = new PCGRandom(seed)
        const last = ["work", filename, JSON.stringify({ isLast: true })]
        // The file is made by its owner.
        yield* lifeOf(child, last)
        yield* Effect.gen(function*() {
          const observer = yield* Observer.Observer
          const watched: Array<number> = []
          const watching = yield* Effect.forkScoped(
            Stream.runForEach(
              observer.watch("work/0"),
              (seen) => Effect.sync(() => seen._tag === "event" && watched.push(seen.cursor))
            )
          )
          for (let life = 0; life < ROUNDS; life++) yield* round(filename, journal, life, random)
          const answered = guest.answered(journal)
          const unkeyed = answered.filter(({ runtime }) => !guest.isKeyed(runtime))
          // Before anybody is there to work on what is left.
          const waits = yield* Effect.forEach(unkeyed, ({ inputId, name, runtime }) =>
            Effect.map(
              Effect.forkScoped(Effect.retry(observer.await(`work/${runtime}`, inputId), {
                // It waits to be admitted.
                while: (error) => error._tag === "UnknownInput" ? Effect.as(Effect.sleep("100 millis"), true) : false
              })),
              (fiber) => [name, fiber] as const
            ))
          yield* lifeOf(child, last)

          for (const [name, fiber] of waits) {
            const { result } = yield* Fiber.join(fiber)
            assert.deepStrictEqual(result, Option.some([name]))
          }
          const store = yield* RuntimeStore.RuntimeStore
          const events = yield* observer.events("work/0", { limit: 100_000 })
          while (watched.length < events.length) yield* Effect.sleep("10 millis")
          assert.deepStrictEqual(watched, events.map(({ number }) => Number(number)))
          yield* Fiber.interrupt(watching)
          assert.deepStrictEqual(yield* store.loadDeposits({ refused: true }), [])

          for (let runtime = 0; runtime < work.RUNTIMES; runtime++) {
            const names = column(filename, inputs(runtime))
            assert.deepStrictEqual([...new Set(names)], names, "once")
            const answers = answered.filter((answer) => answer.runtime === runtime).map(({ name }) => name)
            // One at most of each life was admitted and not answered.
            const unanswered = names.filter((name) => !answers.includes(name))
            assert.isAtMost(unanswered.length, ROUNDS)
            assert.deepStrictEqual(names.filter((name) => answers.includes(name)), [...new Set(answers)], "in order")
            const done = column(filename, `SELECT name FROM done WHERE name LIKE '${runtime}/%' ORDER BY rowid`)
            assert.deepStrictEqual(done, names, "consumed in order")
          }
          yield* Effect.log(`${ROUNDS} rounds, ${answered.length} handed over, ${events.length} events watched`)
        }).pipe(Effect.scoped, Effect.provide(BurrowSqlite.layerGuest({ filename })))
        assert.deepStrictEqual(auditQuiet(filename), [])
      }),
    180_000
  )
})
