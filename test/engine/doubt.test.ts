import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as Input from "../../src/schema/Input.js"
import { Drivers } from "../../src/services/Driver.js"
import type { Run } from "../../src/services/Executor.js"
import {
  accepted,
  advance,
  headOf,
  latch,
  type Process,
  settle,
  test,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

/** Processes that take inputs, begin their runs, and are gone: one after the other, each with one attempt. */
const crashed = ({ stores }: Process, runtimeIds: ReadonlyArray<string>, { attempts = 1 } = {}) =>
  Effect.gen(function*() {
    for (let i = 0; i < attempts; i++) {
      const drivers = Context.get(yield* Layer.build(DriverPersistent.layer), Drivers)
      for (const runtimeId of runtimeIds) {
        const driver = yield* drivers.get(runtimeId)
        if (i === 0) yield* driver.accept(Input.prompt(runtimeId))
        const staged = yield* driver.stage()
        assert.strictEqual(staged._tag, "staged")
        if (staged._tag === "staged") yield* driver.checkpoint({ runId: staged.run.runId, after: 0 })
      }
    }
  }).pipe(Effect.provide(stores), Effect.provide([DigestPure.layer, IdGeneratorUuid.layer]))

const inputOf = ({ plane }: Process, runtimeId: string) =>
  Effect.map(plane.inputs(runtimeId), ([row]) => Either.getOrThrow(row!).head.id)

describe("a batch whose run was lost", () => {
  test("is tried again, told so, behind its last boundary, when nobody says otherwise", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      yield* crashed(process, ["a"])
      yield* process.plane.register("a", {
        apply: (run) => Effect.succeed({ result: [run.attempt, run.afterLoss, Option.isSome(run.resume)] })
      })
      const id = yield* inputOf(process, "a")
      assert.deepStrictEqual((yield* process.plane.await("a", id)).result, Option.some([2, true, true]))
    }))

  for (const word of ["retry", "hold", "settle"] as const) {
    test(`is asked about before its next attempt: ${word}`, ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const { plane } = process
        yield* crashed(process, ["a"])
        const asked: Array<number> = []
        const applied: Array<number> = []
        yield* plane.register("a", {
          apply: (run) =>
            Effect.sync(() => {
              applied.push(run.attempt)
              return { result: "done" }
            })
        }, {
          inDoubt: (run) =>
            Effect.sync(() => {
              asked.push(run.attempt)
              return word
            })
        })
        const id = yield* inputOf(process, "a")
        yield* untilTrue("it is asked about", () => asked.length === 1)
        yield* untilPhase(plane, "a", id, word === "retry" ? "consumed" : word === "hold" ? "held" : "abandoned")
        if (word === "settle") {
          const error = yield* Effect.flip(plane.await("a", id))
          assert.deepStrictEqual([error._tag, error._tag === "Lost" && error.reason], ["Lost", "outcome_unknown"])
        }
        if (word === "hold") {
          assert.strictEqual((yield* headOf(plane, "a", id)).hold, "in_doubt")
          yield* settle
          assert.deepStrictEqual(applied, [])
          yield* plane.release("a", id)
          assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some("done"))
        }
        assert.deepStrictEqual(asked, [2])
        assert.strictEqual(applied.length, word === "settle" ? 0 : 1)
      }))
  }

  test("with its attempts used up is asked about still; with retry it is a dead letter", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      yield* crashed(process, ["a/retry", "a/hold", "a/settle"], { attempts: 3 })
      const asked: Array<number> = []
      let applied = 0
      yield* plane.register("a", { apply: () => Effect.sync(() => void applied++) }, {
        inDoubt: (run) =>
          Effect.sync(() => {
            asked.push(run.attempt)
            return run.runtimeId.split("/")[1] as "retry"
          })
      })
      const ids = yield* Effect.forEach(["a/retry", "a/hold", "a/settle"], (name) => inputOf(process, name))
      yield* untilPhase(plane, "a/retry", ids[0]!, "abandoned")
      yield* untilPhase(plane, "a/hold", ids[1]!, "held")
      yield* untilPhase(plane, "a/settle", ids[2]!, "abandoned")
      assert.deepStrictEqual([asked.length, applied], [3, 0])
      assert.strictEqual((yield* Effect.flip(plane.await("a/retry", ids[0]!)))._tag, "DeadLettered")
      assert.strictEqual((yield* Effect.flip(plane.await("a/settle", ids[2]!)))._tag, "Lost")
    }))

  test("is held when the one who is asked dies", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      yield* crashed(process, ["a"])
      yield* process.plane.register("a", { apply: () => Effect.void }, { inDoubt: () => Effect.die("no idea") })
      yield* untilPhase(process.plane, "a", yield* inputOf(process, "a"), "held")
    }))

  test("can be cancelled, and does not hold up the shutdown, while the one who is asked ponders", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      yield* crashed(process, ["a/1", "a/2"])
      let asked = 0
      yield* plane.register("a", { apply: () => Effect.void }, {
        inDoubt: () => Effect.zipRight(Effect.sync(() => asked++), Effect.never)
      })
      yield* untilTrue("they are asked about", () => asked === 2)
      const first = yield* inputOf(process, "a/1")
      yield* plane.cancel("a/1", { reason: "no" })
      yield* untilPhase(plane, "a/1", first, "abandoned")
      yield* plane.submit("a/1", Input.prompt("next"))
      const second = yield* inputOf(process, "a/2")
      yield* process.close
      const next = yield* open()
      assert.deepStrictEqual(
        [(yield* headOf(next.plane, "a/2", second)).phase, (yield* headOf(next.plane, "a/2", second)).attempt],
        ["queued", 1]
      )
    }))

  test("by recover() in the middle is interrupted and tried again", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const log: Array<string> = []
      yield* plane.register("a", {
        apply: (run: Run) =>
          run.attempt === 1
            ? Effect.onInterrupt(
              Effect.zipRight(Effect.sync(() => log.push("begins")), Effect.never),
              () => Effect.sync(() => log.push("interrupted"))
            )
            : Effect.succeed({ result: [run.attempt, run.afterLoss] })
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilTrue("it runs", () => log.length === 1)
      assert.isTrue((yield* plane.recover("a")).lostRun)
      assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some([2, true]))
      assert.deepStrictEqual(log, ["begins", "interrupted"])
    }))
})

describe("I13: inputs on their last attempt after a loss", () => {
  const names = ["a/1", "a/2", "a/3", "b/1", "b/2"]

  test("start one at a time over all runtimes and agents, each when the one before has ended", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      yield* crashed(process, names, { attempts: 2 })
      const gates = yield* Effect.forEach(names, () => latch)
      const started: Array<string> = []
      const apply = (run: Run) =>
        Effect.suspend(() => {
          started.push(textOf(run))
          return Effect.as(gates[started.length - 1]!.wait, {})
        })
      yield* plane.register("a", { apply })
      yield* plane.register("b", { apply })
      for (const [i, gate] of gates.entries()) {
        yield* untilTrue(`${i + 1} have started`, () => started.length === i + 1)
        yield* settle
        assert.strictEqual(started.length, i + 1)
        yield* gate.open
      }
      assert.sameMembers(started, names)
    }))

  test("have their turn to its end, behind boundaries too, and others do not wait for them", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      yield* crashed(process, names, { attempts: 2 })
      const first = yield* latch
      const last = yield* latch
      const started: Array<string> = []
      const apply = (run: Run) =>
        Effect.gen(function*() {
          started.push(textOf(run))
          if (run.attempt === 1) return
          yield* first.wait
          yield* run.checkpoint()
          yield* last.wait
        })
      yield* plane.register("a", { apply })
      yield* plane.register("b", { apply })
      yield* untilTrue("one has started", () => started.length === 1)
      yield* plane.submit("a/fresh", Input.prompt("fresh"))
      assert.strictEqual(started.length, 2)
      yield* first.open
      yield* settle
      assert.strictEqual(started.length, 2)
      yield* last.open
      yield* untilTrue("all have started", () => started.length === names.length + 1)
    }))

  test("do not stall when the agent of the next one is paused meanwhile, and come when it is not", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      yield* crashed(process, names, { attempts: 2 })
      const first = yield* latch
      const started: Array<string> = []
      const apply = (run: Run) =>
        Effect.suspend(() => {
          started.push(run.agent)
          return Effect.as(first.wait, {})
        })
      yield* plane.register("a", { apply })
      yield* untilTrue("one has started", () => started.length === 1)
      yield* plane.register("b", { apply })
      yield* settle
      yield* plane.pause({ agent: "a" })
      yield* first.open
      yield* untilTrue("those of b have run", () => started.filter((agent) => agent === "b").length === 2)
      assert.strictEqual(started.filter((agent) => agent === "a").length, 1)
      yield* plane.unpause({ agent: "a" })
      yield* until("all have run", Effect.sync(() => started.length === names.length))
      yield* advance("1 second")
    }))
})
