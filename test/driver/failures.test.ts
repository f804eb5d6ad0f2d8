import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { IdempotencyKey } from "../../src/schema/Ids.js"
import * as Session from "../../src/schema/Session.js"
import { Drivers, type Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { Control, type Fate, layer, shut, test } from "./faulty.js"

/** Commands that write, each on a runtime with an open run, a prompt that waits and a session. */
const prepared = (driver: Service) =>
  Effect.gen(function*() {
    yield* driver.commitSession({ append: [Session.user("before")] })
    const { runId } = yield* F.running(driver)
    const { inputId } = yield* F.accept(driver, F.flow("waiting", { scope: "s" }))
    return { runId, inputId }
  })

type Prepared = Effect.Effect.Success<ReturnType<typeof prepared>>
type Command = (driver: Service, prepared: Prepared) => Effect.Effect<unknown, { readonly _tag: string }>

const commands: ReadonlyArray<readonly [name: string, command: Command]> = [
  ["accept", (driver) => driver.accept(F.prompt("p", { key: "k" }))],
  ["accept with a successor", (driver) => driver.accept(F.flow("new", { scope: "s" }))],
  ["checkpoint", (driver, { runId }) => driver.checkpoint({ runId, delta: { append: [1] } })],
  ["note", (driver, { runId }) => driver.note({ runId, notes: [{ scope: "s", key: "k", value: 1 }] })],
  ["complete", (driver, { runId }) => driver.complete({ runId, result: 1 })],
  ["fail", (driver, { runId }) => driver.fail({ runId, failure: F.failure })],
  ["cancel", (driver, { runId }) => driver.cancel({ runId, reason: "x" })],
  ["giveBack", (driver, { runId }) => driver.giveBack({ runId })],
  ["hold", (driver, { runId }) => driver.hold({ runId, reason: "question" })],
  ["holdInput", (driver, { inputId }) => driver.holdInput({ inputId, reason: "operator" })],
  ["abandonPending", (driver) => driver.abandonPending({ _tag: "reset" })],
  ["pause", (driver) => driver.pause],
  ["retire", (driver) => driver.retire],
  ["stop", (driver) => driver.stop],
  ["destroy", (driver) => driver.destroy],
  ["setSilentIntents", (driver) => driver.setSilentIntents(["x"])],
  ["publish", (driver) => driver.publish("n", 1)],
  ["attach", (driver) => driver.attach("agent")]
]

const fates: ReadonlyArray<readonly [fate: Fate, error: string]> = [
  ["fail", "WriteFailed"],
  ["busy", "StoreBusy"],
  ["die", "the disk is on fire"]
]

describe("a commit that fails", () => {
  for (const [name, command] of commands) {
    for (const [fate, error] of fates) {
      test(`I3: ${name}, when its commit ${fate === "busy" ? "finds the store busy" : `${fate}s`}, leaves everything as it was, and can be repeated`, ({ driver, faults }) =>
        Effect.gen(function*() {
          const found = yield* prepared(driver)
          yield* driver.takeSignal
          faults.next(fate)
          const exit = yield* F.expectUnchanged(driver, Effect.exit(command(driver, found)))
          assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) + JSON.stringify(exit) : "success", error)
          assert.strictEqual(yield* driver.takeSignal, "none")
          yield* command(driver, found)
          yield* F.expectConsistent(driver)
        }))
    }
  }

  test("I3: stage, when its commit fails, opens no run and charges no attempt", ({ driver, faults }) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      faults.next("fail")
      const error = yield* F.expectUnchanged(driver, Effect.flip(driver.stage()))
      assert.strictEqual(error._tag, "WriteFailed")
      assert.strictEqual((yield* F.stage(driver)).attempt, 1)
    }))

  test("I3, I5: an input whose commit failed uses up no key, and is not found", ({ driver, faults }) =>
    Effect.gen(function*() {
      faults.next("fail")
      yield* Effect.flip(driver.accept(F.prompt("p", { key: "k" })))
      assert.deepStrictEqual(yield* driver.inputByKey("k" as IdempotencyKey), Option.none())
      yield* F.accept(driver, F.prompt("other", { key: "k" }))
    }))

  test("I7: a boundary whose commit failed can be repeated with the same output", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const boundary = driver.checkpoint({ runId, after: 0, delta: { append: [1] } })
      faults.next("fail", "busy")
      yield* Effect.flip(boundary)
      yield* Effect.flip(boundary)
      const { alreadyApplied, receipt } = yield* boundary
      assert.deepStrictEqual([alreadyApplied, receipt.sequence], [false, 1])
      yield* F.expectTranscript(driver, [Session.user("go"), 1])
    }))
})

describe("a group of commands that cannot be committed together", () => {
  const poisonous = (text: string) => F.prompt(text, { key: "poison" })

  for (const fate of ["fail", "die"] as const) {
    test(`I17: one whose commit ${fate}s takes no neighbour with it, and order and numbers stay dense`, ({ driver, faults }) =>
      Effect.gen(function*() {
        faults.byCommit = (commit) => commit.inputs.some(({ head }) => head.key === "poison") ? fate : "write"
        const exits = yield* Effect.all(
          ["a", "b", "poison", "c", "d"].map((text) =>
            Effect.exit(driver.accept(text === "poison" ? poisonous(text) : F.prompt(text)))
          ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(exits.map((exit) => exit._tag), ["Success", "Success", "Failure", "Success", "Success"])
        yield* F.expectConsistent(driver)
        yield* F.events(driver)
        assert.deepStrictEqual(yield* F.drain(driver), [["a"], ["b"], ["c"], ["d"]])
      }))
  }

  test("I17: what depends on the one that failed is decided again without it", ({ driver, faults }) =>
    Effect.gen(function*() {
      faults.byCommit = (commit) =>
        commit.inputs.some(({ head, payload }) => head.key === "poison" && payload !== null) ? "fail" : "write"
      const [poison, duplicate, successor] = yield* Effect.all([
        Effect.exit(driver.accept(F.flow("x", { key: "poison", scope: "s" }))),
        Effect.exit(driver.accept(F.flow("x", { key: "poison", scope: "s" }))),
        Effect.exit(driver.accept(F.flow("new", { scope: "s" })))
      ], { concurrency: "unbounded" })
      assert.isTrue(Exit.isFailure(poison))
      // It was answered "deduplicated" on a state that never became durable.
      assert.isTrue(Exit.isFailure(duplicate))
      assert.isTrue(Exit.isSuccess(successor))
      assert.notInclude(F.tags(yield* F.events(driver)), "input.superseded")
    }))

  test("I1, I5: nothing decided on a state that is not durable is answered before it is", ({ driver, faults }) =>
    Effect.gen(function*() {
      const gate = yield* shut
      faults.gate = gate.wait
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(driver.accept(F.prompt("p", { key: "k" }))))
      yield* F.turns
      const polled = yield* Effect.forEach(fibers, (fiber) => Fiber.poll(fiber))
      assert.isTrue(polled.every(Option.isNone))
      assert.deepStrictEqual(yield* driver.activeInputIds, [])
      yield* gate.open
      const outcomes = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["accepted", "deduplicated", "deduplicated"])
    }))

  test("commands that wait together are committed together", ({ driver, faults }) =>
    Effect.gen(function*() {
      const before = faults.commits
      yield* Effect.all(Array.from({ length: 16 }, (_, i) => driver.accept(F.prompt(`${i}`))), {
        concurrency: "unbounded"
      })
      assert.isAtMost(faults.commits - before, 2)
    }))

  test("I5: look-ups are hints: the unique index decides, and what it knows is answered", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p", { key: "k" }))
      yield* F.drain(driver)
      faults.blind = true
      const outcomes = yield* Effect.all([
        driver.accept(F.prompt("a")),
        driver.accept(F.prompt("p", { key: "k" })),
        Effect.flip(driver.accept(F.prompt("q", { key: "k" }))),
        driver.accept(F.prompt("b"))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), [
        "accepted",
        "deduplicated",
        "IdempotencyConflict",
        "accepted"
      ])
      assert.strictEqual("existing" in outcomes[1] && outcomes[1].existing, inputId)
    }))
})

describe("ownership that is lost in a commit", () => {
  test("I9, I14: everybody who waits is told OwnershipLost, with the epoch, and nothing happened", ({ driver, faults }) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p"))
      faults.next("stale")
      const errors = yield* F.expectUnchanged(
        driver,
        Effect.all(Array.from({ length: 20 }, (_, i) => Effect.flip(driver.accept(F.prompt(`${i}`)))), {
          concurrency: "unbounded"
        })
      )
      for (const error of errors) {
        assert.strictEqual(error._tag, "OwnershipLost")
        assert.strictEqual("by" in error && error.by, 77)
      }
      const { commits } = faults
      assert.strictEqual((yield* Effect.flip(driver.pause))._tag, "OwnershipLost")
      assert.strictEqual(faults.commits, commits, "it does not ask the store again")
    }))
})

describe("a scope that closes", () => {
  const open = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layer, scope)
    const driver = yield* Context.get(context, Drivers).get(yield* F.freshRuntimeId)
    return { scope, driver, faults: Context.get(context, Control), drivers: Context.get(context, Drivers) }
  })

  it.effect("I14: the command that is being committed finishes, those that wait fail with StoreClosed", () =>
    Effect.gen(function*() {
      const { driver, faults, scope } = yield* open
      const gate = yield* shut
      faults.gate = gate.wait
      const taken = yield* Effect.fork(driver.accept(F.prompt("taken")))
      yield* F.turns
      const waiting = yield* Effect.forEach([1, 2], (i) => Effect.fork(Effect.flip(driver.accept(F.prompt(`${i}`)))))
      yield* F.turns
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* F.turns
      yield* gate.open
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Fiber.join(taken))._tag, "accepted")
      for (const fiber of waiting) assert.strictEqual((yield* Fiber.join(fiber))._tag, "StoreClosed")
    }))

  it.effect("commands and openings afterwards are StoreClosed", () =>
    Effect.gen(function*() {
      const { driver, drivers, scope } = yield* open
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(driver.accept(F.prompt("p"))))._tag, "StoreClosed")
      const opening = drivers.get(yield* F.freshRuntimeId)
      assert.strictEqual((yield* Effect.flip(opening))._tag, "StoreClosed")
    }))
})
