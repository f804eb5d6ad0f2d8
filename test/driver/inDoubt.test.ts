import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Session from "../../src/schema/Session.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { inDoubtMillis, shut, test } from "./faulty.js"

describe("a commit in doubt", () => {
  test("I12: when the barrier shows that it was committed, its caller gets its answer", ({ driver, faults }) =>
    Effect.gen(function*() {
      faults.next("committed")
      const { inputId } = yield* F.accept(driver, F.prompt("p"))
      assert.strictEqual(faults.barriers, 1)
      assert.deepStrictEqual(yield* driver.activeInputIds, [inputId])
      assert.strictEqual(yield* driver.takeSignal, "wake_loop")
      yield* F.expectConsistent(driver)
      yield* F.stageOf(driver, ["p"])
    }))

  test("I12: when the barrier shows that it was not, its caller gets WriteFailed, and nothing happened", ({ driver, faults }) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("first"))
      yield* driver.takeSignal
      faults.next("lost")
      const error = yield* F.expectUnchanged(driver, Effect.flip(driver.accept(F.prompt("p", { key: "k" }))))
      assert.strictEqual(error._tag, "WriteFailed")
      assert.strictEqual(yield* driver.takeSignal, "none")
      yield* F.accept(driver, F.prompt("p", { key: "k" }))
      yield* F.expectConsistent(driver)
      yield* F.events(driver)
    }))

  for (const fate of ["committed", "lost"] as const) {
    test(`I12: until the barrier nothing is advanced, rolled back or answered otherwise (${fate})`, ({ driver, faults }) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt("first"))
        const before = yield* F.look(driver)
        const gate = yield* shut
        faults.barrierGate = gate.wait
        faults.next(fate)
        const caller = yield* Effect.fork(Effect.either(driver.accept(F.prompt("p"))))
        yield* F.turns
        assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
        assert.deepStrictEqual((yield* F.look(driver)).heads, before.heads)
        assert.strictEqual((yield* Effect.flip(driver.accept(F.prompt("other"))))._tag, "CommitUnknown")
        assert.strictEqual((yield* Effect.flip(driver.stage()))._tag, "CommitUnknown")
        assert.strictEqual((yield* Effect.flip(driver.recover))._tag, "CommitUnknown")
        assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
        yield* gate.open
        const outcome = yield* Fiber.join(caller)
        assert.strictEqual(
          outcome._tag === "Right" ? outcome.right._tag : outcome.left._tag,
          fate === "committed" ? "accepted" : "WriteFailed"
        )
        yield* F.accept(driver, F.prompt("afterwards"))
        assert.strictEqual((yield* driver.activeInputIds).length, fate === "committed" ? 3 : 2)
        yield* F.expectConsistent(driver)
        yield* F.events(driver)
      }))
  }

  test("I12, I14: commands that were waiting behind it get CommitUnknown at once", ({ driver, faults }) =>
    Effect.gen(function*() {
      const commitGate = yield* shut
      const barrierGate = yield* shut
      faults.gate = commitGate.wait
      faults.barrierGate = barrierGate.wait
      faults.next("committed")
      const caller = yield* Effect.fork(driver.accept(F.prompt("p")))
      yield* F.turns
      const waiting = yield* Effect.fork(Effect.flip(driver.accept(F.prompt("behind"))))
      yield* F.turns
      yield* commitGate.open
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "CommitUnknown")
      assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
      yield* barrierGate.open
      assert.strictEqual((yield* Fiber.join(caller))._tag, "accepted")
    }))

  test("I12: each of several commands in doubt gets its own answer", ({ driver, faults }) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("p", { key: "k" }))
      faults.next("committed")
      const outcomes = yield* Effect.all([
        driver.accept(F.prompt("a")),
        driver.accept(F.prompt("p", { key: "k" })),
        driver.accept(F.prompt("b", { durability: "derived" })),
        Effect.flip(driver.accept(F.prompt("q", { key: "k" })))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), [
        "accepted",
        "deduplicated",
        "rejected",
        "IdempotencyConflict"
      ])
    }))

  for (const fate of ["committed", "lost"] as const) {
    test(`I12: a caller waits inDoubtMillis at most; the same key is safe to repeat (${fate})`, ({ driver, faults }) =>
      Effect.gen(function*() {
        const gate = yield* shut
        faults.barrierGate = gate.wait
        faults.next(fate)
        const caller = yield* Effect.fork(Effect.flip(driver.accept(F.prompt("p", { key: "k" }))))
        yield* F.turns
        yield* TestClock.adjust(inDoubtMillis - 1)
        yield* F.turns
        assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(caller))._tag, "CommitUnknown")
        yield* gate.open
        yield* F.turns
        const outcome = yield* driver.accept(F.prompt("p", { key: "k" }))
        assert.strictEqual(outcome._tag, fate === "committed" ? "deduplicated" : "accepted")
        assert.strictEqual((yield* driver.activeInputIds).length, 1)
        yield* F.expectConsistent(driver)
      }))
  }

  test("I12: a barrier that fails is tried again until one succeeds", ({ driver, faults }) =>
    Effect.gen(function*() {
      faults.next("committed")
      faults.barriersFailing = 5
      const caller = yield* Effect.fork(driver.accept(F.prompt("p")))
      for (let i = 0; i < 40; i++) {
        yield* F.turns
        yield* TestClock.adjust(100)
      }
      assert.strictEqual((yield* Fiber.join(caller))._tag, "accepted")
      assert.strictEqual(faults.barriers, 6)
    }))

  test("I9, I12: a barrier that finds another owner loses the runtime, and the caller is told that nobody knows", ({ driver, faults }) =>
    Effect.gen(function*() {
      faults.next("committed")
      faults.barrierStale = true
      const error = yield* Effect.flip(driver.accept(F.prompt("p")))
      assert.include(["CommitUnknown", "OwnershipLost"], error._tag)
      assert.strictEqual((yield* Effect.flip(driver.accept(F.prompt("q"))))._tag, "OwnershipLost")
      faults.barrierStale = false
      yield* driver.takeOver
      assert.strictEqual((yield* driver.activeInputIds).length, 1, "what the barrier could not show, recovery finds")
    }))

  test("I7, I12: a boundary in doubt is answered with its receipt; its repetition is alreadyApplied", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.steer("s"))
      faults.next("committed")
      const boundary = driver.checkpoint({ runId, after: 0, delta: { append: [1] } })
      const first = yield* boundary
      assert.deepStrictEqual(F.labels(first.steers), ["s"])
      const second = yield* boundary
      assert.isTrue(second.alreadyApplied)
      assert.deepStrictEqual(second.receipt, first.receipt)
      yield* F.expectTranscript(driver, [Session.user("go"), 1])
    }))

  test("I7, I12: a boundary whose caller gave up waiting is alreadyApplied when it is repeated, with its steers", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.steer("s"))
      const gate = yield* shut
      faults.barrierGate = gate.wait
      faults.next("committed")
      const boundary = driver.checkpoint({ runId, after: 0, delta: { append: [1] } })
      const caller = yield* Effect.fork(Effect.flip(boundary))
      yield* F.turns
      yield* TestClock.adjust(inDoubtMillis)
      assert.strictEqual((yield* Fiber.join(caller))._tag, "CommitUnknown")
      yield* gate.open
      yield* F.turns
      const again = yield* boundary
      assert.isTrue(again.alreadyApplied)
      assert.deepStrictEqual(F.labels(again.steers), ["s"])
      const next = yield* driver.complete({ runId })
      assert.strictEqual(next.receipt.consumed.length, 2)
    }))

  for (const fate of ["committed", "lost"] as const) {
    test(`I2, I12: a boundary with an alongside in doubt (${fate}) is what its commit was`, ({ driver, faults }) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        let runs = 0
        const boundary = driver.checkpoint({ runId, after: 0, alongside: Effect.sync(() => void runs++) })
        faults.next(fate)
        assert.strictEqual((yield* Effect.either(boundary))._tag, fate === "committed" ? "Right" : "Left")
        assert.strictEqual((yield* boundary).alreadyApplied, fate === "committed")
        assert.strictEqual(runs, 1)
      }))
  }

  for (const fate of ["committed", "lost"] as const) {
    test(`I12, I13: stage in doubt charges one attempt at most (${fate})`, ({ driver, faults }) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt("p"))
        faults.next(fate)
        const outcome = yield* Effect.either(driver.stage())
        if (fate === "committed") {
          assert.strictEqual(outcome._tag, "Right")
          assert.strictEqual(yield* driver.state, "running")
        } else {
          assert.strictEqual(outcome._tag, "Left")
          assert.strictEqual((yield* F.stageOf(driver, ["p"])).attempt, 1)
        }
        yield* F.expectConsistent(driver)
      }))
  }

  for (const fate of ["committed", "lost"] as const) {
    for (const verb of ["pause", "retire", "stop", "destroy"] as const) {
      test(`I12: ${verb} in doubt (${fate})`, ({ driver, faults }) =>
        Effect.gen(function*() {
          yield* F.running(driver)
          const before = yield* driver.state
          faults.next(fate)
          const outcome = yield* Effect.either<unknown, { readonly _tag: string }, never>(driver[verb])
          assert.strictEqual(outcome._tag, fate === "committed" ? "Right" : "Left")
          if (fate === "lost") assert.strictEqual(yield* driver.state, before)
          yield* F.expectConsistent(driver)
        }))
    }
  }

  test("I4: queries during the doubt answer what was committed before it", ({ driver, faults }) =>
    Effect.gen(function*() {
      const { inputs, runId } = yield* F.running(driver)
      const gate = yield* shut
      faults.barrierGate = gate.wait
      faults.next("committed")
      const caller = yield* Effect.fork(driver.complete({ runId }))
      yield* F.turns
      assert.strictEqual(yield* driver.state, "running")
      yield* F.expectPhase(driver, inputs[0]!.head.id, "staged")
      yield* gate.open
      yield* Fiber.join(caller)
      yield* F.expectPhase(driver, inputs[0]!.head.id, "consumed")
    }))

  test("I17: a runtime in doubt leaves the others alone", ({ driver, drivers, faults }) =>
    Effect.gen(function*() {
      const other = yield* drivers.get(yield* F.freshRuntimeId)
      const gate = yield* shut
      faults.barrierGate = gate.wait
      faults.next("committed")
      const caller = yield* Effect.fork(driver.accept(F.prompt("p")))
      yield* F.turns
      yield* F.accept(other, F.prompt("q"))
      yield* gate.open
      yield* Fiber.join(caller)
    }))

  test("events in doubt are published when the doubt is over", ({ driver, faults }) =>
    Effect.gen(function*() {
      const reader = yield* Effect.fork(F.eventsUntil(driver, ({ _tag }) => _tag === "input.accepted"))
      yield* F.turns
      faults.next("committed")
      yield* F.accept(driver, F.prompt("p"))
      assert.strictEqual((yield* Fiber.join(reader)).length, 1)
    }))
})
