/**
 * Commands at once: all are answered, in order, each for itself; and what interruption does.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Input from "../../../schema/Input.js"
import type { AcceptOutcome } from "../../../schema/Report.js"
import * as Driver from "../../../services/Driver.js"
import { check, expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

const atOnce = { concurrency: "unbounded" } as const

const sequenceOf = (outcome: AcceptOutcome) => outcome._tag === "accepted" ? outcome.sequence : -1

const order = [
  F.make(
    "I14, I18: 64 inputs at once are all accepted, in the order in which they came, under dense numbers",
    (driver) =>
      Effect.gen(function*() {
        const outcomes = yield* Effect.all(
          Array.from({ length: 64 }, (_, i) => driver.accept(F.prompt(`${i}`))),
          atOnce
        )
        yield* expectEqual(outcomes.map(sequenceOf), Array.from({ length: 64 }, (_, i) => i + 1), "their numbers")
        yield* F.expectConsistent(driver)
        yield* expectEqual(
          (yield* F.drain(driver)).flat(),
          Array.from({ length: 64 }, (_, i) => `${i}`),
          "the order in which they are staged"
        )
      })
  ),
  F.make(
    "I14: commands of every sort at once are all answered, and leave memory and rows as one",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const exits = yield* Effect.all(
          [
            ...Array.from({ length: 20 }, (_, i) => driver.accept(i % 2 === 0 ? F.prompt(`${i}`) : F.steer(`${i}`))),
            driver.checkpoint({ runId }),
            driver.pause,
            driver.publish("n", 1),
            driver.setSilentIntents(["a"]),
            driver.stage(),
            driver.unpause,
            driver.note({ runId, notes: [{ scope: "s", key: "k", value: 1 }] }),
            driver.commitSession({ append: [1] }),
            driver.retire,
            driver.accept(F.prompt("too late")),
            driver.complete({ runId })
          ].map((command) => Effect.exit(command as Effect.Effect<unknown, unknown>)),
          atOnce
        )
        const failed = exits.flatMap((exit, i) => Exit.isFailure(exit) ? [i] : [])
        yield* expectEqual(failed, [24, 27, 29], "the commands that are refused: stage, commitSession, the late accept")
        yield* F.expectConsistent(driver)
        yield* expectEqual(yield* driver.state, "retired", "the state")
        yield* F.events(driver)
      })
  ),
  F.make("I4: what was answered is visible to later reads", (driver) =>
    Effect.all(
      Array.from({ length: 30 }, (_, i) =>
        Effect.flatMap(F.accept(driver, F.prompt(`${i}`)), ({ inputId }) =>
          Effect.gen(function*() {
            yield* check(Option.isSome(yield* driver.inputState(inputId)), "the input is known")
            yield* check((yield* driver.activeInputIds).includes(inputId), "the input is active")
            yield* check(Option.isSome(yield* driver.loadInput(inputId)), "the input is stored")
          }))),
      atOnce
    ))
]

const refusedOnes: ReadonlyArray<readonly [what: string, draft: Input.Draft]> = [
  ["a rejected input", F.prompt("x", { durability: "derived" })],
  ["an invalid input", F.prompt("x", { key: "" })],
  ["an input that is too large", F.prompt("x".repeat(F.limits.inputBytesMax))],
  ["a duplicate", F.prompt("first", { key: "k" })],
  ["another payload under a known key", F.prompt("x", { key: "k" })]
]

const neighbours = [
  ...refusedOnes.map(([what, draft]) =>
    F.make(`I17: ${what} takes no neighbour with it`, (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt("first", { key: "k" }))
        const outcomes = yield* Effect.all(
          ["a", "b", "x", "c", "d"].map((text) => Effect.either(driver.accept(text === "x" ? draft : F.prompt(text)))),
          atOnce
        )
        const accepted = outcomes.map((one) => one._tag === "Right" && one.right._tag === "accepted")
        yield* expectEqual(accepted, [true, true, false, true, true], "who is accepted")
        yield* expectEqual(yield* F.drain(driver), [["first"], ["a"], ["b"], ["c"], ["d"]], "what is staged")
        yield* F.events(driver)
      }))
  ),
  F.make(
    "I17: a command that cannot be stored fails alone, and those that were folded with it are committed",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("held"))
        const before = yield* F.head(driver, inputId)
        const exits = yield* Effect.all([
          Effect.exit(driver.accept(F.prompt("a"))),
          Effect.exit(driver.holdInput({ inputId, reason: "operator", until: Number.NaN })),
          Effect.exit(driver.accept(F.prompt("b"))),
          Effect.exit(driver.publish("n", 1))
        ], atOnce)
        yield* expectEqual(exits.map((exit) => exit._tag === "Success"), [true, false, true, true], "who succeeds")
        yield* expectEqual(yield* F.head(driver, inputId), before, "the head that could not be changed")
        yield* F.expectConsistent(driver)
        yield* expectEqual(yield* F.drain(driver), [["held"], ["a"], ["b"]], "what is staged")
        yield* F.events(driver)
      })
  ),
  F.make(
    "D8, I17: inputs over the queue's depth are refused one by one, and those that fit are accepted",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, Array.from({ length: F.limits.queueDepthMax - 3 }, (_, i) => F.prompt(`${i}`)))
        const outcomes = yield* Effect.all(
          Array.from({ length: 10 }, (_, i) => Effect.either(driver.accept(F.prompt(`n${i}`)))),
          atOnce
        )
        yield* expectEqual(
          outcomes.map((one): string => one._tag === "Right" ? one.right._tag : one.left._tag),
          [...Array.from({ length: 3 }, () => "accepted"), ...Array.from({ length: 7 }, () => "QueueFull")],
          "the outcomes"
        )
      })
  ),
  F.make("I17: a runtime's failed commit changes no result of another's", (driver, drivers) =>
    Effect.gen(function*() {
      const other = yield* drivers.get(yield* F.freshRuntimeId)
      const { runId } = yield* F.running(driver)
      const [failed, ...accepted] = yield* Effect.all([
        Effect.exit(driver.checkpoint({ runId, alongside: Effect.fail("no") })),
        ...Array.from({ length: 5 }, (_, i) => Effect.exit(other.accept(F.prompt(`${i}`))))
      ], atOnce)
      yield* check(Exit.isFailure(failed!), "the one fails")
      yield* check(accepted.every(Exit.isSuccess), "the others succeed")
    }))
]

/** A driver that is committing a boundary until `go`; the boundary's fiber. */
const committing = (driver: Driver.Service) =>
  Effect.gen(function*() {
    const { runId } = yield* F.running(driver)
    const started = yield* Deferred.make<void>()
    const go = yield* Deferred.make<void>()
    const alongside = Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(go))
    const fiber = yield* Effect.fork(driver.checkpoint({ runId, alongside }))
    yield* Deferred.await(started)
    return { runId, fiber, go: Deferred.succeed(go, undefined) }
  })

const interruption = [
  F.make(
    "a command that waits is withdrawn when its caller is interrupted, and others go on",
    (driver) =>
      Effect.gen(function*() {
        const { fiber, go } = yield* committing(driver)
        const withdrawn = yield* Effect.fork(driver.accept(F.prompt("withdrawn", { key: "k" })))
        const kept = yield* Effect.fork(driver.accept(F.prompt("kept")))
        yield* F.turns
        yield* Fiber.interrupt(withdrawn)
        yield* go
        yield* Fiber.join(fiber)
        yield* Fiber.join(kept)
        yield* expectEqual((yield* driver.activeInputIds).length, 2, "the active inputs")
        // Its key is not used up.
        yield* F.accept(driver, F.prompt("other", { key: "k" }))
        yield* F.events(driver)
      })
  ),
  F.make(
    "I3: a command that is being committed runs to its outcome without its caller",
    (driver) =>
      Effect.gen(function*() {
        const { fiber, go } = yield* committing(driver)
        yield* Fiber.interruptFork(fiber)
        yield* F.turns
        yield* go
        yield* Fiber.await(fiber)
        // The next command is answered behind it.
        yield* driver.publish("n", 1)
        const open = yield* F.some(yield* driver.openRun, "the run is open")
        yield* expectEqual(open.sequence, 1, "its last boundary")
        yield* F.expectConsistent(driver)
      })
  ),
  F.make(
    "I14: commands that came while one was committed are answered behind it, in their order",
    (driver) =>
      Effect.gen(function*() {
        const { fiber, go } = yield* committing(driver)
        const waiting = yield* Effect.forEach(["a", "b", "c"], (text) => Effect.fork(driver.accept(F.prompt(text))))
        yield* F.turns
        yield* expectEqual((yield* driver.activeInputIds).length, 1, "the active inputs meanwhile")
        yield* go
        yield* Fiber.join(fiber)
        const outcomes = yield* Effect.forEach(waiting, (one) => Fiber.join(one))
        const numbers = outcomes.map(sequenceOf)
        yield* expectEqual(numbers, [...numbers].sort((a, b) => a - b), "their numbers")
      })
  ),
  F.make(
    "I3: many callers that are interrupted at any moment leave memory and rows as one",
    (driver) =>
      Effect.gen(function*() {
        for (let i = 0; i < 30; i++) {
          const fiber = yield* Effect.fork(driver.accept(F.prompt(`${i}`, { key: `${i}` })))
          yield* Effect.repeatN(Effect.yieldNow(), i % 7)
          yield* Fiber.interrupt(fiber)
        }
        yield* driver.publish("n", 1)
        yield* F.expectConsistent(driver)
        const ids = yield* driver.activeInputIds
        yield* F.acceptAll(driver, [F.prompt("last")])
        yield* expectEqual((yield* F.drain(driver)).length, ids.length + 1, "how many are staged")
        yield* F.events(driver)
      })
  )
]

const table = [
  F.make("two who ask for a runtime get the same driver, also at once", (_, drivers) =>
    Effect.gen(function*() {
      const id = yield* F.freshRuntimeId
      const found = yield* Effect.all(Array.from({ length: 20 }, () => drivers.get(id)), atOnce)
      yield* check(found.every((one) => one === found[0]), "all are the same")
      yield* check((yield* drivers.get(id)) === found[0], "and later ones")
    })),
  F.make("two mentions of a runtime's layer are the same driver", (driver, drivers) =>
    Effect.gen(function*() {
      const mention = Effect.provide(Driver.Driver, Driver.layer(driver.runtimeId))
      const found = yield* Effect.provideService(Effect.all([mention, mention]), Driver.Drivers, drivers)
      yield* check(found.every((one) => one === driver), "both are the driver that is there")
    })),
  F.make(
    "a caller that is interrupted while a runtime is opened takes no other's driver with it",
    (_, drivers) =>
      Effect.gen(function*() {
        const id = yield* F.freshRuntimeId
        const one = yield* Effect.fork(drivers.get(id))
        const other = yield* Effect.fork(drivers.get(id))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(one)
        const driver = yield* Fiber.join(other)
        yield* F.accept(driver, F.prompt("p"))
      })
  )
]

export const cases = [...order, ...neighbours, ...interruption, ...table]
