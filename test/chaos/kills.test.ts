/**
 * A worker that is killed again and again, at random moments: `CHAOS_KILLS` times (default 100), with
 * `CHAOS_SEED` as before. The name of a failed case has the seed.
 */
import { assert, layer } from "@effect/vitest"
import { Ids, RuntimeStore } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import { PCGRandom } from "effect/Utils"
import * as process from "node:process"
import { audit, auditQuiet, withRows } from "./audit.js"
import type { Shot } from "./commits.js"
import { bundle, Child, type Killed, lifeOf } from "./process.js"
import { textOfMessage } from "./texts.js"
import * as work from "./work.js"

const KILLS = Number(process.env["CHAOS_KILLS"] ?? 100)
const seed = Number(process.env["CHAOS_SEED"] ?? process.hrtime()[1])

interface Moment {
  readonly killed: Killed
  readonly shot?: Shot
}

const nextMoment = (random: PCGRandom): Moment => {
  const kind = random.integer(10)
  if (kind < 2) return { killed: { after: "start", millis: random.integer(500) } }
  if (kind < 6) return { killed: { after: "open", millis: random.integer(250) } }
  const shot: Shot = { at: 1 + random.integer(100), when: random.integer(2) === 0 ? "before" : "after" }
  return { shot, killed: { after: "quiet", millis: 0 } }
}

const namesOf = (filename: string, sql: string): ReadonlyArray<string> =>
  withRows(filename, (rows) => rows(sql).map(({ name }) => String(name)))

const inputs = `
  SELECT json_extract(i.payload, '$.value.input.content[0].text') AS name FROM burrow_inputs i
  JOIN burrow_runtimes r ON r.no = i.runtime_no WHERE r.runtime_id LIKE 'work/%' ORDER BY i.no`

const sorted = (names: ReadonlyArray<string>) => [...names].sort()

/** Acknowledged and not there, or found twice where nothing may be twice. */
const damage = (filename: string, journal: string): ReadonlyArray<string> => {
  const told = work.acknowledged(journal)
  const tables = namesOf(filename, "SELECT name FROM sqlite_master")
  if (!tables.includes("done")) return told.length === 0 ? [] : ["the tables are gone"]
  const there = new Set(namesOf(filename, inputs))
  const twice = (table: string) =>
    namesOf(filename, `SELECT name FROM ${table} GROUP BY name HAVING count(*) > 1`).map((name) =>
      `${name} is in ${table} twice`
    )
  return [
    ...audit(filename),
    ...told.filter((name) => !there.has(name)).map((name) => `${name} was acknowledged and is gone`),
    ...twice("done"),
    ...twice("received")
  ]
}

const lives = (filename: string, journal: string) =>
  Effect.gen(function*() {
    const child = yield* Child
    const random = new PCGRandom(seed)
    for (let kills = 0; kills < KILLS; kills++) {
      const { killed, shot } = nextMoment(random)
      const options = JSON.stringify({ journal, isLast: false, ...(shot && { shot }) })
      const { signal } = yield* lifeOf(child, ["work", filename, options], killed)
      assert.strictEqual(signal, "SIGKILL")
      assert.deepStrictEqual(damage(filename, journal), [], `kill ${kills + 1}`)
    }
    yield* lifeOf(child, ["work", filename, JSON.stringify({ journal, isLast: true })])
  })

const transcriptOf = (filename: string, runtime: number) =>
  Effect.flatMap(
    RuntimeStore.RuntimeStore,
    (store) => store.loadTranscript(Ids.RuntimeId.make(`work/${runtime}`), { limit: 100_000 })
  ).pipe(
    Effect.map(({ messages }) => messages.map(textOfMessage)),
    Effect.provide(BurrowSqlite.layerReader({ filename }))
  )

const queued = (names: ReadonlyArray<string>) => names.filter((name) => !work.isSteer(work.indexOf(name)))

layer(bundle, { excludeTestServices: true })(`a worker killed ${KILLS} times at random (seed ${seed})`, (it) => {
  it.scoped(
    "I1, I2, I6, I8, I11: what was acknowledged is consumed once, with one row and one message each, and in order",
    () =>
      Effect.gen(function*() {
        const { folder } = yield* Child
        const filename = `${folder}/work.db`
        const journal = `${folder}/acknowledged`
        yield* lives(filename, journal)

        assert.deepStrictEqual(damage(filename, journal), [])
        assert.deepStrictEqual(auditQuiet(filename), [])
        const accepted = namesOf(filename, inputs)
        const done = namesOf(filename, "SELECT name FROM done ORDER BY rowid")
        const received = namesOf(filename, "SELECT name FROM received ORDER BY rowid")
        assert.isAtLeast(accepted.length, KILLS * 4)
        assert.deepStrictEqual(sorted(done), sorted(accepted))
        assert.deepStrictEqual(sorted(received), sorted(accepted))
        assert.deepStrictEqual(
          namesOf(filename, "SELECT input_id AS name FROM burrow_inputs WHERE phase <> 'consumed'"),
          []
        )
        yield* Effect.log(
          `${KILLS} kills, ${accepted.length} inputs, ${work.acknowledged(journal).length} acknowledged`
        )

        for (let runtime = 0; runtime < work.RUNTIMES; runtime++) {
          const own = accepted.filter((name) => name.startsWith(`${runtime}/`))
          const isOwn = (name: string) => name.startsWith(`${runtime}/`)
          assert.deepStrictEqual(queued(done.filter(isOwn)), queued(own), "consumed in the order of admission")
          const transcript = yield* transcriptOf(filename, runtime)
          const messages = own.flatMap((name) => [name, work.reply(name)])
          const told = transcript.filter((text) => !text.startsWith("began "))
          assert.deepStrictEqual(sorted(told), sorted(messages), "every message once")
          const expected = queued(own).flatMap((name) => work.messagesOf(name))
          assert.deepStrictEqual(
            transcript.filter((text) => !work.isSteer(work.indexOf(text.replace(/^\w+ /, "")))),
            expected,
            "the queue lane's messages in order"
          )
        }
      }),
    600_000
  )
})
