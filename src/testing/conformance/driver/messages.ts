/**
 * What inputs become in the transcript when a boundary says so, and inputs that are set aside out of a batch.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { InputId } from "../../../schema/Ids.js"
import type { Json } from "../../../schema/Json.js"
import * as Session from "../../../schema/Session.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const three = (driver: Service) =>
  Effect.gen(function*() {
    const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), F.flow("c")])
    return { ids, run: yield* F.stageOf(driver, ["a", "b", "c"]) }
  })

const saying = (entries: Iterable<readonly [InputId, Json | null]>): ReadonlyMap<InputId, Json | null> =>
  new Map(entries)

const messages = [
  F.make(
    "I11: an input becomes the message that its first boundary gives it, or none, once over all attempts",
    (driver) =>
      Effect.gen(function*() {
        const { ids: [a, b], run } = yield* three(driver)
        yield* driver.note({ runId: run.runId, messages: saying([[a!, { said: ["a"] }], [b!, null]]) })
        const expected = [{ said: ["a"] }, Session.user("c")]
        yield* F.expectTranscript(driver, expected)
        yield* driver.note({ runId: run.runId, messages: saying([[a!, "again"], [b!, "late"]]) })
        yield* F.fail(driver, run)
        const second = yield* F.stage(driver)
        yield* driver.complete({ runId: second.runId, messages: saying([[a!, "again"]]), delta: { append: ["done"] } })
        yield* F.expectTranscript(driver, [...expected, "done"])
      })
  ),
  F.make("the message of a steer is decided by the boundary that covers it", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const { inputId } = yield* F.accept(driver, F.steer("s"))
      yield* driver.checkpoint({ runId })
      yield* driver.complete({ runId, messages: saying([[inputId, "steered"]]) })
      yield* F.expectTranscript(driver, [Session.user("go"), "steered"])
    })),
  F.make(
    "an input that is not for the transcript stays out of it, whatever it would become",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(
          driver,
          F.prompt("p", { visibility: { transcript: false, operator: true } })
        )
        const { runId } = yield* F.stage(driver)
        yield* driver.complete({ runId, messages: saying([[inputId, "said"]]) })
        yield* expectEqual(yield* driver.session, Option.none(), "the session")
      })
  ),
  F.make(
    "a message that is no JSON, and more than a delta may append, are InvalidInput, and nothing is written",
    (driver) =>
      Effect.gen(function*() {
        const { ids: [a, b], run: { runId } } = yield* three(driver)
        const half = "x".repeat(F.limits.appendBytesMax / 2)
        const many = yield* Effect.forEach(
          Array.from({ length: F.limits.appendMessagesMax + 1 }),
          () => Effect.map(F.freshInputId, (id) => [id, 1] as const)
        )
        for (
          const [field, given] of [
            [`messages.${b!}.list[0]`, saying([[a!, 1], [b!, { list: [Number.NaN] }]])],
            [`messages.${b!}`, saying([[a!, half], [b!, half]])],
            ["messages", saying(many)]
          ] as const
        ) {
          const error = yield* F.expectUnchanged(
            driver,
            expectFailure(driver.note({ runId, messages: given }), "InvalidInput")
          )
          yield* expectEqual(error.field, field, "the field")
        }
      })
  )
]

const aside = (driver: Service, runId: Parameters<Service["hold"]>[0]["runId"], inputIds: ReadonlyArray<InputId>) =>
  driver.hold({ runId, reason: "undecodable", inputIds, failure: F.failure })

const apart = [
  F.make(
    "I17: inputs that are set aside out of a batch without a receipt are held alone, and the others go again uncharged",
    (driver) =>
      Effect.gen(function*() {
        const { ids: [a, b, c], run } = yield* three(driver)
        yield* expectEqual(yield* aside(driver, run.runId, [b!]), { requeued: [a!, c!], abandoned: [] }, "the reply")
        const { attempt, batch, failure, hold, phase } = yield* F.head(driver, b!)
        yield* expectEqual<ReadonlyArray<unknown>>(
          [phase, hold, failure, attempt, batch],
          ["held", "undecodable", F.failure, 0, null],
          "what is set aside"
        )
        const again = yield* F.stageOf(driver, ["a", "c"])
        yield* expectEqual([again.attempt, again.batchId !== run.batchId], [1, true], "attempt, and another batch")
        yield* driver.complete({ runId: again.runId })
        yield* F.nothing(driver)
        yield* driver.release(b!)
        yield* F.stageOf(driver, ["b"])
        yield* expectEqual(
          F.only(yield* F.events(driver), "input.held"),
          [{ _tag: "input.held", inputId: b!, reason: "undecodable", until: null }],
          "the events"
        )
      })
  ),
  F.make(
    "a batch that has committed something is set aside whole, and keeps its key",
    (driver) =>
      Effect.gen(function*() {
        const { ids, run } = yield* three(driver)
        yield* driver.note({ runId: run.runId })
        yield* aside(driver, run.runId, [ids[1]!])
        for (const id of ids) yield* F.expectPhase(driver, id, "held")
        yield* driver.release(ids[0]!)
        const again = yield* F.stageOf(driver, ["a", "b", "c"])
        yield* check(again.idempotencyKey === run.idempotencyKey, "the key is the same")
      })
  ),
  F.make("a batch of which all or none are named is set aside whole", (driver) =>
    Effect.gen(function*() {
      const { ids, run } = yield* three(driver)
      yield* aside(driver, run.runId, ids)
      yield* driver.release(ids[2]!)
      const again = yield* F.stageOf(driver, ["a", "b", "c"])
      yield* aside(driver, again.runId, [yield* F.freshInputId])
      for (const id of ids) yield* F.expectPhase(driver, id, "held")
    }))
]

export const cases = [...messages, ...apart]
