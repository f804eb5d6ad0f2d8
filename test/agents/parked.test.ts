import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Supervisor from "effect/Supervisor"
import { spawn } from "node:child_process"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import * as Agent from "../../src/services/Agent.js"
import { Agents } from "../../src/services/Agents.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { advance, settle, until, untilTrue } from "../engine/support.js"
import { held, openEngine } from "../plane/engines.js"
import { folder } from "../sql/support.js"
import { agentsOf } from "./support.js"

class Clerk extends Agent.make("clerk", {
  result: Schema.String,
  questions: { approval: { ask: Schema.String, answer: Schema.Boolean } }
}) {}

/** Two questions at once, in fibers of their own, and a sign of life beside them. */
const ClerkLive = Clerk.toLayer((run) =>
  Effect.gen(function*() {
    const ask = (key: string) => run.ask("approval", { key, ask: run.id })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(run.heartbeat, Effect.sleep("1 second"))))
    const answers = yield* Effect.all([ask("1"), ask("2")], { concurrency: "unbounded" })
    return { result: `${run.id} ${answers.join()}` }
  }).pipe(Effect.orDie), { runsMax: 64 })

class Counting extends Supervisor.AbstractSupervisor<number> {
  count = 0
  override readonly value = Effect.sync(() => this.count)
  override onStart() {
    this.count++
  }
  override onEnd() {
    this.count--
  }
}

const COUNT = 1_000

const IN_FILE = Number(process.env["PARKED_RUNS"] ?? COUNT)

const clerks = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => Clerk.of(`${prefix}/${i}`))

describe("a thousand runs that wait for answers", () => {
  it.scoped("cost nothing: no driver, no loop, no name, no fiber; and are all done when they are answered", () => {
    const supervisor = new Counting()
    return Effect.gen(function*() {
      const opened = yield* openEngine({ limits: { runtimeIdleMillis: 1_000 } })
      yield* Effect.provideService(Layer.build(ClerkLive), ControlPlane, opened.plane)
      const agents = yield* agentsOf(opened)
      const rest = Effect.gen(function*() {
        yield* untilTrue("nobody runs", () => held(opened.engine).length === 0)
        yield* advance("2 seconds", { steps: 4 })
        yield* until("nobody is in memory", Effect.map(opened.drivers.live, (live) => live.length === 0))
        yield* settle
      })
      const open = (prefix: string, count: number) =>
        Effect.map(Effect.forEach(clerks(prefix, count), ({ questions }) => questions), (all) => all.flat().length)
      const parked = (prefix: string, count: number) =>
        Effect.gen(function*() {
          const sent = yield* Effect.forEach(clerks(prefix, count), (clerk) => clerk.send("go"))
          yield* rest
          assert.strictEqual(yield* open(prefix, count), 2 * count)
          return sent
        })
      const answered = (prefix: string, count: number, key: string) =>
        Effect.forEach(clerks(prefix, count), (clerk) => clerk.answer("approval", key, true), { discard: true })

      yield* Effect.gen(function*() {
        yield* parked("warm", 1)
        const fibers = supervisor.count
        const sent = yield* parked("used", COUNT)
        assert.deepStrictEqual(held(opened.engine), [])
        assert.strictEqual(supervisor.count, fibers)
        yield* answered("used", COUNT, "2")
        yield* answered("used", COUNT, "1")
        const results = yield* Effect.forEach(clerks("used", COUNT), (clerk, i) => clerk.await(sent[i]!.inputId))
        assert.deepStrictEqual(results, clerks("used", COUNT).map(({ id }) => `${id} true,true`))
      }).pipe(Effect.provideService(Agents, agents))
    }).pipe(Effect.supervised(supervisor))
  }, 120_000)

  it.scopedLive("cost no memory, over a SQLite file", () =>
    Effect.gen(function*() {
      const child = fileURLToPath(new URL("./parked.child.ts", import.meta.url))
      const filename = path.join(yield* folder, "burrow.db")
      const said = yield* Effect.async<string>((resume) => {
        const started = spawn(process.execPath, ["--expose-gc", "--import", "tsx", child, filename, String(IN_FILE)], {
          stdio: ["ignore", "pipe", "inherit"],
          env: { ...process.env, TSX_DISABLE_CACHE: "1" }
        })
        let text = ""
        started.stdout.on("data", (chunk: Buffer) => text += chunk.toString())
        started.once("exit", () => resume(Effect.sync(() => text)))
        return Effect.sync(() => started.kill("SIGKILL"))
      })
      const { done, live, perRun } = JSON.parse(said) as Record<"perRun" | "live" | "done", number>
      assert.deepStrictEqual([live, done], [0, IN_FILE])
      // A driver alone is more; what is left is what the process makes of its code.
      assert.isBelow(perRun, 1_500, `${said}: bytes of each parked run`)
    }), Duration.toMillis("5 minutes"))
})
