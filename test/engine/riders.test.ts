import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Input from "../../src/schema/Input.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  headOf,
  latch,
  type Plane,
  settle,
  test,
  testEach,
  textOf,
  textsOf,
  untilPhase
} from "./support.js"

/** Writes down what each run begins with. */
const recording = (plane: Plane, runs: Array<string>, options: { readonly runsMax?: number } = {}) =>
  plane.register("a", { apply: (run) => Effect.sync(() => void runs.push(textOf(run))) }, options)

describe("an input that rides along", () => {
  testEach(
    "starts nothing alone, also after a restart; the next prompt's run has both",
    ({ open }) =>
      Effect.gen(function*() {
        const runs: Array<string> = []
        const first = yield* open()
        yield* recording(first.plane, runs)
        const rider = yield* accepted(first.plane, "a/x", F.rider("news"))
        yield* settle
        yield* first.close
        const second = yield* open()
        yield* recording(second.plane, runs)
        yield* settle
        assert.deepStrictEqual(runs, [])
        assert.strictEqual((yield* headOf(second.plane, "a/x", rider)).phase, "queued")
        const done = yield* second.plane.submit("a/x", Input.prompt("go"))
        assert.deepStrictEqual(runs, ["news+go"])
        assert.deepStrictEqual((yield* second.plane.await("a/x", rider)).runId, done.runId)
      })
  )

  testEach(
    "goes into the open run at its next checkpoint, whose boundary behind consumes it",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const gate = yield* latch
        const handed: Array<string> = []
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              yield* gate.wait
              handed.push(...textsOf(yield* run.checkpoint()))
            })
        })
        const prompt = yield* accepted(plane, "a/x", Input.prompt("go"))
        yield* untilPhase(plane, "a/x", prompt, "staged")
        const rider = yield* accepted(plane, "a/x", F.rider("news"))
        yield* gate.open
        const done = yield* plane.await("a/x", prompt)
        assert.deepStrictEqual(handed, ["news"])
        assert.deepStrictEqual((yield* plane.await("a/x", rider)).runId, done.runId)
      })
  )

  test("does not complete `steered`; a steer does, and takes it along", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const handed: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            yield* run.steered
            handed.push(...textsOf(yield* run.checkpoint()))
          })
      })
      const prompt = yield* accepted(plane, "a/x", Input.prompt("go"))
      yield* untilPhase(plane, "a/x", prompt, "staged")
      yield* accepted(plane, "a/x", F.rider("news"))
      yield* accepted(plane, "a/x", F.rider("later", { deliverAt: 1_000 }))
      yield* advance("10 seconds", { steps: 5 })
      assert.strictEqual((yield* headOf(plane, "a/x", prompt)).phase, "staged")
      assert.deepStrictEqual(handed, [])
      yield* accepted(plane, "a/x", F.steer("left"))
      yield* plane.await("a/x", prompt)
      assert.deepStrictEqual(handed, ["news", "later", "left"])
    }))

  test("keeps no runtime in memory, and no loop going, whatever its time", ({ open }) =>
    Effect.gen(function*() {
      const { drivers, plane } = yield* open({ limits: { runtimeIdleMillis: 1_000 } })
      const runs: Array<string> = []
      yield* recording(plane, runs)
      yield* accepted(plane, "a/x", F.rider("news"))
      yield* accepted(plane, "a/x", F.rider("later", { deliverAt: 60_000 }))
      yield* advance("30 seconds", { steps: 6 })
      assert.deepStrictEqual(yield* drivers.live, [])
      yield* advance("90 seconds", { steps: 9 })
      assert.deepStrictEqual(yield* drivers.live, [])
      assert.deepStrictEqual(runs, [])
      yield* plane.submit("a/x", Input.prompt("go"))
      assert.deepStrictEqual(runs, ["news+later+go"])
    }))

  test("does not keep from their turn runtimes that have found no place in the queue", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      for (let i = 0; i < 6; i++) yield* accepted(first.plane, `a/${i}`, F.rider("news"))
      const last = yield* accepted(first.plane, "a/z", Input.prompt("go"))
      yield* first.close
      const { plane } = yield* open({ limits: { runtimesWaitingMax: 2 } })
      const runs: Array<string> = []
      yield* recording(plane, runs, { runsMax: 1 })
      yield* plane.await("a/z", last)
      assert.deepStrictEqual(runs, ["go"])
    }))

  test("is left by a runtime that is drained", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      const runs: Array<string> = []
      yield* plane.register("a", {
        apply: (run) => Effect.zipRight(gate.wait, Effect.sync(() => void runs.push(textOf(run))))
      })
      const prompt = yield* accepted(plane, "a/x", Input.prompt("go"))
      yield* untilPhase(plane, "a/x", prompt, "staged")
      const rider = yield* accepted(plane, "a/x", F.rider("news"))
      assert.deepStrictEqual(
        yield* plane.retire("a/x"),
        { inputsAbandoned: 0, inputsPendingDrain: 1, inputsRiding: 1 }
      )
      yield* gate.open
      yield* plane.await("a/x", prompt)
      yield* settle
      assert.deepStrictEqual(runs, ["go"])
      assert.strictEqual((yield* headOf(plane, "a/x", rider)).phase, "queued")
      yield* plane.recycle("a/x")
      yield* plane.submit("a/x", Input.prompt("again"))
      assert.deepStrictEqual(runs, ["go", "news+again"])
    }))
})
