import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Input from "../../src/schema/Input.js"
import type { Executor } from "../../src/services/Executor.js"
import { accepted, headOf, latch, type Plane, settle, test, testEach, textOf, untilPhase } from "../engine/support.js"

const echo: Executor = { apply: (run) => Effect.succeed({ result: textOf(run) }) }

const result = (plane: Plane, runtimeId: string, inputId: string) =>
  Effect.map(plane.await(runtimeId, inputId), ({ result }) => Option.getOrNull(result))

/** What commands there are to one runtime. */
const commands = (plane: Plane, runtimeId: string) => {
  const inputId = "0190a0b0-c0d0-7000-8000-000000000001"
  return {
    publishEvent: plane.publishEvent(runtimeId, "code", 1),
    cancel: plane.cancel(runtimeId, { reason: "enough" }),
    "cancel of an input": plane.cancel(runtimeId, { reason: "enough", inputId }),
    interrupt: plane.interrupt(runtimeId),
    stop: plane.stop(runtimeId),
    resume: plane.resume(runtimeId),
    pause: plane.pause({ runtimeId }),
    unpause: plane.unpause({ runtimeId }),
    retire: plane.retire(runtimeId),
    reset: plane.reset(runtimeId),
    recycle: plane.recycle(runtimeId),
    recover: plane.recover(runtimeId),
    destroy: plane.destroy(runtimeId),
    takeOver: plane.takeOver(runtimeId),
    redrive: plane.redrive(runtimeId, inputId),
    hold: plane.hold(runtimeId, inputId),
    release: plane.release(runtimeId, inputId),
    rewrite: plane.rewrite(runtimeId, { selection: { start: 0, end: 0 }, reason: "why not", replacement: [] }),
    clearSession: plane.clearSession(runtimeId)
  }
}

describe("a paused agent", () => {
  testEach(
    "starts nothing, also after a restart, and goes on when it is unpaused",
    ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        const gate = yield* latch
        yield* first.plane.register("a", {
          apply: () => Effect.zipRight(gate.wait, Effect.succeed({ result: "slow" }))
        })
        const running = yield* accepted(first.plane, "a/1", Input.prompt("slow"))
        yield* untilPhase(first.plane, "a/1", running, "staged")
        yield* first.plane.pause({ agent: "a" })
        // What runs goes on, and inputs are taken.
        const behind = yield* accepted(first.plane, "a/1", Input.prompt("behind"))
        const other = yield* accepted(first.plane, "a/2", Input.prompt("other"))
        yield* gate.open
        assert.strictEqual(yield* result(first.plane, "a/1", running), "slow")
        yield* settle
        assert.strictEqual((yield* headOf(first.plane, "a/1", behind)).phase, "queued")
        yield* first.close

        const second = yield* open()
        const { plane } = second
        yield* plane.register("a", echo)
        yield* plane.register("b", echo)
        const late = yield* accepted(plane, "a/3", Input.prompt("late"))
        yield* settle
        for (const [runtimeId, inputId] of [["a/1", behind], ["a/2", other], ["a/3", late]] as const) {
          assert.strictEqual((yield* headOf(plane, runtimeId, inputId)).phase, "queued")
        }
        // Others are not paused, and pausing twice is pausing once.
        yield* plane.submit("b/1", Input.prompt("go"))
        yield* plane.pause({ agent: "a" })
        yield* plane.unpause({ agent: "a" })
        assert.strictEqual(yield* result(plane, "a/1", behind), "behind")
        assert.strictEqual(yield* result(plane, "a/2", other), "other")
        assert.strictEqual(yield* result(plane, "a/3", late), "late")
        yield* second.close

        const third = yield* open()
        yield* third.plane.register("a", echo)
        yield* third.plane.submit("a/1", Input.prompt("go"))
      }).pipe(Effect.asVoid)
  )

  test("is paused before it is registered, and whoever pauses while it is registered has the last word", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.pause({ agent: "a" })
      const inputId = yield* accepted(plane, "a/1", Input.prompt("go"))
      for (let i = 0; i < 10; i++) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Effect.all([plane.register("a", echo), plane.pause({ agent: "a" })], { concurrency: 2 })
          yield* settle
          assert.strictEqual((yield* headOf(plane, "a/1", inputId)).phase, "queued")
        }))
      }
      yield* Effect.all([plane.unpause({ agent: "a" }), plane.pause({ agent: "a" }), plane.unpause({ agent: "a" })], {
        concurrency: "unbounded"
      })
      yield* plane.register("a", echo)
      yield* plane.await("a/1", inputId)
    }))
})

describe("two agents", () => {
  testEach("I17: do not disturb each other: one stalls, with one run at once", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("stalled", { apply: () => Effect.never }, { runsMax: 1 })
      yield* plane.register("well", echo, { runsMax: 1 })
      const stalled = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (i) => accepted(plane, `stalled/${i}`, Input.prompt("go"))
      )
      for (let i = 0; i < 20; i++) yield* plane.submit(`well/${i}`, Input.prompt("go"))
      const phases = yield* Effect.forEach(stalled, (inputId, i) => headOf(plane, `stalled/${i}`, inputId))
      assert.strictEqual(phases.filter(({ phase }) => phase === "staged").length, 1)
    }))
})

describe("an executor", () => {
  testEach(
    "is one for each agent: AlreadyRegistered, until its scope has closed",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const scope = yield* Scope.make()
        const began = yield* latch
        yield* Scope.extend(
          plane.register("a", { apply: () => Effect.zipRight(began.open, Effect.never) }),
          scope
        )
        const inputId = yield* accepted(plane, "a/1", Input.prompt("go"))
        yield* began.wait
        const twice = yield* Effect.flip(plane.register("a", echo))
        assert.strictEqual(twice._tag, "AlreadyRegistered")
        yield* Scope.close(scope, Exit.void)
        // Its run was given back, uncharged, and nothing runs.
        const head = yield* headOf(plane, "a/1", inputId)
        assert.deepStrictEqual([head.phase, head.attempt], ["queued", 0])
        const late = yield* accepted(plane, "a/2", Input.prompt("late"))
        yield* settle
        assert.strictEqual((yield* headOf(plane, "a/2", late)).phase, "queued")
        yield* Effect.scoped(Effect.gen(function*() {
          yield* plane.register("a", echo)
          assert.strictEqual(yield* result(plane, "a/1", inputId), "go")
          assert.strictEqual(yield* result(plane, "a/2", late), "late")
        }))
        // And once more, the refused one included.
        yield* plane.register("a", echo)
        yield* plane.submit("a/3", Input.prompt("go"))
      })
  )

  test("of two that come at the same time, one is taken", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const both = yield* Effect.forEach([1, 2], () => Effect.exit(plane.register("a", echo)), {
        concurrency: "unbounded"
      })
      assert.strictEqual(both.filter(Exit.isSuccess).length, 1)
      yield* plane.submit("a", Input.prompt("go"))
    }))

  test("I14: whose scope closes twice at the same time is waited for by both", ({ open }) =>
    Effect.gen(function*() {
      const { close, plane } = yield* open()
      const scope = yield* Scope.make()
      const began = yield* latch
      const gate = yield* latch
      yield* Scope.extend(
        plane.register("a", {
          apply: () => Effect.uninterruptible(Effect.zipRight(began.open, gate.wait)).pipe(Effect.as({}))
        }),
        scope
      )
      yield* accepted(plane, "a/1", Input.prompt("go"))
      yield* began.wait
      const one = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      const two = yield* Effect.fork(close)
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(one)))
      assert.isTrue(Option.isNone(yield* Fiber.poll(two)))
      yield* gate.open
      yield* Fiber.join(one)
      yield* Fiber.join(two)
    }))
})

describe("a name that nobody has used", () => {
  testEach("is RuntimeNotFound for every command, and nothing is made by it", ({ open }) =>
    Effect.gen(function*() {
      const { drivers, plane } = yield* open()
      yield* plane.register("a", echo)
      for (const [name, command] of Object.entries(commands(plane, "a/typo"))) {
        const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(command)
        assert.strictEqual(error._tag, "RuntimeNotFound", name)
      }
      assert.deepStrictEqual(yield* plane.runtimeState("a/typo"), Option.none())
      assert.deepStrictEqual(yield* plane.inspect("a/typo"), Option.none())
      assert.deepStrictEqual(yield* plane.inputs("a/typo"), [])
      assert.deepStrictEqual(yield* plane.runtimes(), [])
      assert.deepStrictEqual(yield* drivers.live, [])
      assert.strictEqual((yield* Effect.flip(plane.await("a/typo", "x")))._tag, "UnknownInput")
    }))

  test("that cannot be a name is InvalidInput for every command", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      for (const bad of ["", "a\u0000b", "\ud800", "x".repeat(513)]) {
        const all = { ...commands(plane, bad), ingest: plane.ingest(bad, Input.prompt("x")) }
        for (const [name, command] of Object.entries(all)) {
          const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(command)
          assert.strictEqual(error._tag, "InvalidInput", `${name} of ${JSON.stringify(bad)}`)
        }
      }
      assert.deepStrictEqual(yield* plane.runtimes(), [])
    }))
})
