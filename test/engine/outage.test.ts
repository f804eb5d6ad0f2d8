import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Input from "../../src/schema/Input.js"
import type { DeltaError, Executor, Failed } from "../../src/services/Executor.js"
import { accepted, advance, deadLetters, headOf, latch, settle, test, textOf, until, untilPhase } from "./support.js"

class Down extends Data.TaggedError("Down")<{}> {}

const MINUTE = 60_000

/** A world that is down until a time. */
const world = (upAt: number) => {
  const load = { now: 0, max: 0 }
  const tries: Array<number> = []
  const executor: Executor<Down | string> = {
    apply: (run) =>
      Effect.gen(function*() {
        load.max = Math.max(load.max, ++load.now)
        const now = yield* Clock.currentTimeMillis
        tries.push(now)
        yield* Effect.sleep(10)
        load.now--
        if (textOf(run) === "poison") return yield* Effect.fail("yuck")
        if (now < upAt) return yield* new Down()
        return { result: run.attempt }
      })
  }
  const outage = (failed: Failed<Down | string | DeltaError>) =>
    failed._tag === "Failed" && failed.error instanceof Down ? Option.some(30_000) : Option.none<number>()
  return { executor, load, tries, options: { outage } }
}

describe("an outage", () => {
  test("of ten minutes costs no attempt, whatever waits: one tries at a time, at growing distances, and then all is done", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, load, options, tries } = world(10 * MINUTE)
      yield* plane.register("a", executor, { ...options, runsMax: 8 })
      const ids = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, i) => i),
        (i) => Effect.map(accepted(plane, `a/${i % 20}`, Input.prompt(`${i}`)), (id) => [`a/${i % 20}`, id] as const)
      )
      yield* advance("20 millis", { steps: 2 })
      assert.strictEqual(tries.length, 8)
      load.max = 0
      yield* advance("10 minutes", { steps: 120 })
      const probes = tries.slice(8).filter((at) => at < 10 * MINUTE)
      const pauses = probes.map((at, i) => Math.round((at - (i === 0 ? 0 : probes[i - 1]!)) / 1_000))
      assert.strictEqual(load.max, 1)
      for (const [i, seconds] of [30, 60, 120, 240].entries()) {
        assert.approximately(pauses[i] ?? seconds, seconds, 6, `pause ${i}`)
      }
      yield* advance("5 minutes", { steps: 60 })
      for (const [runtimeId, id] of ids) {
        assert.deepStrictEqual((yield* plane.await(runtimeId, id)).result, Option.some(1))
      }
      assert.isAbove(load.max, 1, "the gate is wide again")
      assert.deepStrictEqual(yield* deadLetters(plane), [])
    }))

  test("does not pass for one because a poison input fails meanwhile for another reason, nor is that one uncharged", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, options } = world(MINUTE)
      yield* plane.register("a", executor, { ...options, attemptsMax: 1, runsMax: 1 })
      const good = yield* accepted(plane, "a/good", Input.prompt("good"))
      yield* advance("1 second", { steps: 3 })
      const poison = yield* accepted(plane, "a/poison", Input.prompt("poison"))
      yield* advance("5 minutes", { steps: 60 })
      yield* untilPhase(plane, "a/poison", poison, "abandoned")
      assert.deepStrictEqual((yield* plane.await("a/good", good)).result, Option.some(1))
      assert.strictEqual((yield* deadLetters(plane)).length, 1)
    }))

  test("leaves other agents alone, and inputs are taken all the time", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, options } = world(MINUTE)
      yield* plane.register("a", executor, options)
      yield* plane.register("b", { apply: () => Effect.succeed({ result: "b" }) })
      yield* accepted(plane, "a", Input.prompt("go"))
      yield* advance("1 second", { steps: 2 })
      const id = yield* accepted(plane, "a", Input.prompt("more"))
      assert.deepStrictEqual((yield* plane.submit("b", Input.prompt("go"))).result, Option.some("b"))
      assert.strictEqual((yield* headOf(plane, "a", id)).phase, "queued")
    }))

  test("is over when its probe commits something, however long that one goes on", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      let isDown = true
      let begun = 0
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            if (isDown) return yield* Effect.fail("down")
            yield* Effect.orDie(run.checkpoint())
            begun++
            yield* gate.wait
            return {}
          })
      }, { outage: () => Option.some("10 seconds") })
      for (let i = 0; i < 4; i++) yield* accepted(plane, `a/${i}`, Input.prompt("go"))
      yield* settle
      isDown = false
      yield* advance("10 seconds")
      yield* until("all have begun", Effect.sync(() => begun === 4))
    }))

  test("does not unpause an agent that was paused meanwhile; unpaused, one tries first", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { executor, load, options, tries } = world(MINUTE)
      yield* plane.register("a", executor, options)
      for (let i = 0; i < 4; i++) yield* accepted(plane, `a/${i}`, Input.prompt("go"))
      yield* advance("1 second", { steps: 2 })
      yield* plane.pause({ agent: "a" })
      yield* advance("40 seconds", { steps: 4 })
      assert.strictEqual(tries.length, 4)
      load.max = 0
      yield* plane.unpause({ agent: "a" })
      yield* advance("1 second", { steps: 2 })
      assert.deepStrictEqual([tries.length, load.max], [5, 1])
      yield* advance("3 minutes", { steps: 20 })
      assert.isAtLeast(tries.length, 9)
    }))
})
