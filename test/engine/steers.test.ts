import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Input from "../../src/schema/Input.js"
import type { Json } from "../../src/schema/Json.js"
import { Message } from "../../src/schema/Message.js"
import type { DeltaError, Executor, Run } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { accepted, advance, headOf, latch, test, testEach, textOf, textsOf, untilPhase, untilTrue } from "./support.js"

describe("a steer", () => {
  testEach(
    "is handed to the running run at its next checkpoint, and consumed by the boundary after that",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const steps = yield* Effect.all([latch, latch, latch])
        const handed: Array<ReadonlyArray<string>> = []
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              for (const { wait } of steps) {
                yield* wait
                handed.push(textsOf(yield* run.checkpoint()))
              }
              return { result: "done" }
            })
        })
        const first = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", first, "staged")
        const steer = yield* accepted(plane, "a", F.steer("left"))
        yield* steps[0].open
        yield* untilTrue("the first checkpoint is there", () => handed.length === 1)
        assert.deepStrictEqual(handed, [["left"]])
        assert.strictEqual((yield* headOf(plane, "a", steer)).phase, "staged")
        yield* steps[1].open
        yield* untilTrue("the second checkpoint is there", () => handed.length === 2)
        assert.deepStrictEqual(handed, [["left"], []])
        assert.strictEqual((yield* headOf(plane, "a", steer)).phase, "consumed")
        assert.strictEqual((yield* headOf(plane, "a", first)).phase, "staged")
        yield* steps[2].open
        assert.deepStrictEqual((yield* plane.await("a", first)).result, Option.some("done"))
        const { sequence, runId } = yield* plane.await("a", steer)
        assert.deepStrictEqual([sequence, Option.isSome(runId)], [Option.some(2), true])
      })
  )

  for (const messageOf of [undefined, (input: Input.Input) => Option.some(`said: ${textsOf([input])[0]}`)]) {
    test(`is in the history from then on, once${messageOf ? ", as the message it becomes" : ""}`, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const histories: Array<unknown> = []
        const texts = (messages: ReadonlyArray<Json>) =>
          messages.map((said) =>
            typeof said === "string" ? said : Message.text(Schema.decodeUnknownSync(Message)(said))
          )
        yield* plane.register("a", {
          ...(messageOf && { messageOf }),
          apply: (run) =>
            Effect.gen(function*() {
              yield* run.checkpoint({ append: ["one"] })
              yield* run.steered
              const see = Effect.map(run.history(), (messages) => histories.push(texts(messages)))
              yield* see
              yield* run.checkpoint({ append: ["two"] })
              yield* see
              histories.push(texts(yield* run.history({ last: 2 })))
              yield* run.note({ append: ["three"] })
              yield* see
              yield* run.checkpoint()
              yield* see
            })
        })
        const first = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", first, "staged")
        yield* plane.steer("a", Input.prompt("left"))
        yield* plane.await("a", first)
        const [go, left] = messageOf ? ["said: go", "said: left"] : ["go", "left"]
        assert.deepStrictEqual(histories, [
          [go, "one"],
          [go, "one", "two", left],
          ["two", left],
          [go, "one", "two", left, "three"],
          [go, "one", "two", left, "three"]
        ])
      }))
  }

  test("of plane.steer goes into the running run, whatever its kind", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const handed: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            while (handed.length < 4) {
              yield* run.steered
              handed.push(...textsOf(yield* run.checkpoint()))
            }
          })
      })
      const first = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", first, "staged")
      for (const draft of [Input.prompt("prompt"), F.flow("flow"), F.external("external"), F.message("message")]) {
        yield* plane.steer("a", draft)
      }
      yield* plane.await("a", first)
      assert.deepStrictEqual(handed, ["prompt", "flow", "external", "message"])
    }))

  test("completes `steered`, which nothing else completes", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      let woken = 0
      yield* plane.register("a", {
        apply: (run) =>
          textOf(run) !== "go" ?
            Effect.void :
            Effect.flatMap(
              run.steered,
              () => Effect.zipRight(Effect.sync(() => woken++), Effect.asVoid(run.checkpoint()))
            )
      })
      const first = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", first, "staged")
      yield* accepted(plane, "a", Input.prompt("next"))
      yield* accepted(plane, "a", Input.prompt("later", { deliverAt: 1_000 }))
      yield* plane.publishEvent("a", "hello", null)
      yield* advance("2 seconds")
      assert.strictEqual(woken, 0)
      yield* accepted(plane, "a", F.steer("left"))
      yield* plane.await("a", first)
      assert.strictEqual(woken, 1)
    }))

  test("completes `steered` when it was there before", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", {
        apply: (run) => Effect.zipRight(gate.wait, Effect.zipRight(run.steered, Effect.asVoid(run.checkpoint())))
      })
      const first = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", first, "staged")
      yield* accepted(plane, "a", F.steer("left"))
      yield* gate.open
      yield* plane.await("a", first)
    }))

  test("that is delayed is handed over in its time, also to a run that only waits for it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const handed: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            handed.push(...textsOf(yield* run.checkpoint()))
            yield* run.steered
            handed.push(...textsOf(yield* run.checkpoint()))
          })
      })
      const first = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", first, "staged")
      yield* accepted(plane, "a", F.steer("later", { deliverAt: 60_000 }))
      yield* advance("59 seconds")
      assert.deepStrictEqual(handed, [])
      yield* advance("1 second")
      yield* untilTrue("it is handed over", () => handed.length === 1)
      yield* plane.await("a", first)
    }))

  testEach("with no run open starts one of its own", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: (run) => Effect.succeed({ result: run.boundary }) })
      assert.deepStrictEqual((yield* plane.submit("a", F.steer("s"))).result, Option.some("run_checkpoint"))
    }))

  testEach(
    "whose run dies before it is consumed is handed over again at the first checkpoint of the next attempt",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const handed: Array<string> = []
        const executor: Executor<DeltaError | string> = {
          apply: (run: Run) =>
            Effect.gen(function*() {
              if (run.attempt === 1) yield* run.steered
              const steers = yield* run.checkpoint()
              handed.push(`${run.attempt}: ${textsOf(steers).join()}`)
              if (run.attempt === 1) return yield* Effect.fail("no")
              return { result: "done" }
            })
        }
        yield* plane.register("a", executor)
        const first = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", first, "staged")
        const steer = yield* accepted(plane, "a", F.steer("left"))
        const waiting = yield* Effect.fork(plane.await("a", first))
        yield* untilTrue("it is handed over", () => handed.length === 1)
        yield* untilPhase(plane, "a", steer, "queued")
        yield* advance("2 seconds", { steps: 2 })
        yield* Fiber.join(waiting)
        assert.deepStrictEqual(handed, ["1: left", "2: left"])
        assert.deepStrictEqual((yield* plane.await("a", steer)).sequence, Option.some(2))
      })
  )

  testEach(
    "whose run is given back is handed over again at the first checkpoint of the next attempt",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const handed: Array<string> = []
        yield* plane.register("a", {
          apply: (run) =>
            Effect.gen(function*() {
              if (handed.length === 0) yield* run.steered
              handed.push(textsOf(yield* run.checkpoint()).join())
              if (handed.length === 1) yield* Effect.never
              return { result: "done" }
            })
        })
        const first = yield* accepted(plane, "a", Input.prompt("go"))
        yield* untilPhase(plane, "a", first, "staged")
        const steer = yield* accepted(plane, "a", F.steer("left"))
        yield* untilTrue("it is handed over", () => handed.length === 1)
        yield* plane.interrupt("a")
        yield* plane.await("a", first)
        assert.deepStrictEqual(handed, ["left", "left"])
        assert.deepStrictEqual((yield* plane.await("a", steer)).sequence, Option.some(2))
      })
  )

  test("is left where it is by a note and by a rewrite", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const handed: Array<string> = []
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            yield* run.checkpoint({ append: ["one", "two"] })
            yield* run.steered
            yield* run.note({ notes: [{ scope: "s", key: "k", value: 1 }] })
            yield* run.rewrite({
              selection: { start: 0, end: 1 },
              reason: "shorter",
              actor: "a",
              replacement: ["short"]
            })
            handed.push(...textsOf(yield* run.checkpoint()))
          })
      })
      const first = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", first, "staged")
      yield* accepted(plane, "a", F.steer("left"))
      yield* plane.await("a", first)
      assert.deepStrictEqual(handed, ["left"])
    }))
})
