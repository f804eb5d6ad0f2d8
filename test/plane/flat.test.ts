import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import { spawn } from "node:child_process"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import * as Input from "../../src/schema/Input.js"
import type { Run } from "../../src/services/Executor.js"
import { accepted, advance, settle, textOf, until, untilTrue } from "../engine/support.js"
import { folder } from "../sql/support.js"
import { held, type Opened, openEngine } from "./engines.js"

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Every way that a run can go, by what it was sent. */
const verbs = ["done", "fail", "die", "park", "wait", "cancelled", "stuck", "silent", "interrupted", "emit", "stopped"]

const every = ({ plane }: Opened) => {
  const parked = new Set<string>()
  return (run: Run) =>
    Effect.gen(function*() {
      switch (textOf(run)) {
        case "fail":
          return yield* Effect.fail("no")
        case "die":
          return yield* Effect.die(new Error("no"))
        case "park":
          if (parked.has(run.runtimeId)) return {}
          parked.add(run.runtimeId)
          return yield* run.park({ until: (yield* Clock.currentTimeMillis) + 500 })
        case "wait":
          yield* plane.submit(`leaf/${run.runtimeId}`, Input.prompt("done"))
          return {}
        case "emit":
          yield* run.emit("soon")
          yield* run.checkpoint({ append: ["a"] })
          return {}
        case "cancelled":
        case "stopped":
        case "stuck":
        case "silent":
          return yield* Effect.raceFirst(run.steered, Effect.never)
        case "interrupted":
          return yield* Effect.interrupt
        default:
          return { result: 1 }
      }
    })
}

/** Has them all go wrong or well, some with others waiting. */
const useAll = (opened: Opened, from: number, count: number) =>
  Effect.gen(function*() {
    const { plane } = opened
    const runtimes = numbers(count).map((i) => `a/${from + i}`)
    const waiters = yield* Effect.forEach(runtimes, (runtimeId, i) =>
      Effect.gen(function*() {
        const verb = verbs[i % verbs.length]!
        const inputId = yield* accepted(plane, runtimeId, Input.prompt(verb))
        const watcher = yield* Effect.fork(Stream.runDrain(Stream.take(plane.watch(runtimeId), 2)))
        const waiter = yield* Effect.fork(Effect.exit(plane.await(runtimeId, inputId)))
        const left = yield* Effect.fork(plane.await(runtimeId, inputId))
        if (verb === "cancelled" || verb === "stopped") {
          yield* untilTrue(`${runtimeId} runs`, () => opened.engine.runOf(runtimeId as never) !== undefined)
          if (verb === "cancelled") yield* plane.cancel(runtimeId, { reason: "enough" })
          else yield* plane.stop(runtimeId)
        }
        yield* Fiber.interrupt(left)
        return { waiter, watcher }
      }))
    while (
      !(yield* Effect.map(
        Effect.forEach(waiters, ({ waiter }) => Fiber.poll(waiter)),
        (all) => all.every(Option.isSome)
      ))
    ) {
      yield* advance("500 millis")
    }
    const exits = yield* Effect.forEach(waiters, ({ waiter }) => Effect.flatten(Fiber.join(waiter)).pipe(Effect.exit))
    yield* Effect.forEach(waiters, ({ watcher }) => Fiber.interrupt(watcher))
    return exits
  })

const register = (opened: Opened) =>
  Effect.gen(function*() {
    yield* opened.plane.register("a", { apply: every(opened) }, {
      runsMax: 1_000,
      attemptsMax: 2,
      retry: Schedule.spaced("100 millis"),
      silenceMax: "300 millis",
      runMax: "600 millis"
    })
    yield* opened.plane.register("leaf", { apply: () => Effect.succeed({ result: 1 }) })
  })

const limits = { runtimeIdleMillis: 1_000 }

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

describe("behind a thousand runs that went every way", () => {
  it.scoped("I16: nothing is left of a runtime: no driver, no loop, no name, no fiber", () => {
    const supervisor = new Counting()
    return Effect.gen(function*() {
      const opened = yield* openEngine({ limits })
      yield* register(opened)
      yield* useAll(opened, 0, verbs.length)
      const rest = Effect.zipRight(
        advance("10 seconds", { steps: 10 }),
        until("nobody is in memory", Effect.map(opened.drivers.live, (live) => live.length === 0))
      )
      yield* rest
      const fibers = supervisor.count
      const exits = yield* useAll(opened, 100, 1_001)
      assert.isTrue(exits.some(Exit.isSuccess) && exits.some(Exit.isFailure))
      yield* rest
      yield* settle
      assert.deepStrictEqual(held(opened.engine), [])
      assert.strictEqual(supervisor.count, fibers)
    }).pipe(Effect.supervised(supervisor))
  }, 90_000)
})

const child = fileURLToPath(new URL("./flat.child.ts", import.meta.url))

const COUNT = Number(process.env["PLANE_RUNTIMES"] ?? 5_000)

describe("runtimes that were used once", () => {
  it.scopedLive("I16: leave no memory behind", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "burrow.db")
      const said = yield* Effect.async<string>((resume) => {
        const started = spawn(process.execPath, ["--expose-gc", "--import", "tsx", child, filename, String(COUNT)], {
          stdio: ["ignore", "pipe", "inherit"],
          env: { ...process.env, TSX_DISABLE_CACHE: "1" }
        })
        let text = ""
        started.stdout.on("data", (chunk: Buffer) => text += chunk.toString())
        started.once("exit", () => resume(Effect.sync(() => text)))
        return Effect.sync(() => started.kill("SIGKILL"))
      })
      const { after, before, live } = JSON.parse(said) as { before: number; after: number; live: number }
      assert.strictEqual(live, 0)
      // A driver alone is more; what is left is what the process makes of its code.
      assert.isBelow((after - before) / COUNT, 1_500, `${said}: bytes of each runtime`)
    }), Duration.toMillis("5 minutes"))
})
