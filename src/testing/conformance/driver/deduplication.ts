/**
 * One input per key and per id (I5).
 */
import * as Effect from "effect/Effect"
import type { InputId } from "../../../schema/Ids.js"
import type * as Input from "../../../schema/Input.js"
import type { AcceptOutcome } from "../../../schema/Report.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const expectDuplicate = (outcome: AcceptOutcome, existing: InputId) =>
  Effect.gen(function*() {
    yield* expectEqual<string>(outcome._tag, "deduplicated", "the outcome")
    yield* expectEqual(outcome._tag === "deduplicated" && outcome.existing, existing, "the existing input")
  })

/** Ends an input in each of the ways in which inputs end. */
const endings: ReadonlyArray<readonly [phase: string, end: (driver: Service) => Effect.Effect<unknown, unknown>]> = [
  ["queued", () => Effect.void],
  ["staged", (driver) => F.stage(driver)],
  ["held", (driver) => Effect.flatMap(F.stage(driver), ({ runId }) => driver.hold({ runId, reason: "question" }))],
  ["consumed", (driver) => F.drain(driver)],
  ["superseded", (driver) => F.accept(driver, F.flow("newer", { scope: "s" }))],
  ["abandoned", (driver) => driver.reset]
]

const same = [
  F.make(
    "I5: the same key with the same payload is one input, under another id and at another time too",
    (driver) =>
      Effect.gen(function*() {
        const { inputId, sequence } = yield* F.accept(driver, F.prompt("p", { key: "k" }))
        const id = yield* F.freshInputId
        const outcome = yield* F.expectUnchanged(driver, driver.accept(F.prompt("p", { key: "k", id, at: 5 })))
        yield* expectEqual(outcome, { _tag: "deduplicated", inputId: id, existing: inputId, sequence }, "the outcome")
      })
  ),
  ...endings.map(([phase, end]) =>
    F.make(`I5: a key is known while its input is ${phase}`, (driver) =>
      Effect.gen(function*() {
        const draft = F.flow("f", { key: "k", scope: "s" })
        const { inputId } = yield* F.accept(driver, draft)
        yield* end(driver)
        yield* F.expectPhase(driver, inputId, phase)
        yield* expectDuplicate(yield* driver.accept(draft), inputId)
        yield* F.expectPhase(driver, inputId, phase, "the phase afterwards")
      }))
  ),
  F.make("I5: an operation that was consumed at admission is known by its key", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.operation("o", { key: "k" }))
      yield* expectDuplicate(yield* driver.accept(F.operation("o", { key: "k" })), inputId)
    })),
  F.make(
    "I5: another payload under a known key is IdempotencyConflict, and changes nothing",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt("p", { key: "k" }))
        const error = yield* F.expectUnchanged(
          driver,
          expectFailure(driver.accept(F.prompt("q", { key: "k" })), "IdempotencyConflict")
        )
        yield* expectEqual(error.key, "k", "the key that it names")
      })
  ),
  F.make(
    "I5: another payload under the key of an ended input is IdempotencyConflict",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt("p", { key: "k" }))
        yield* F.drain(driver)
        yield* expectFailure(driver.accept(F.prompt("q", { key: "k" })), "IdempotencyConflict")
      })
  ),
  F.make(
    "I5: kind, source, content and keys are part of the payload; ids, times and traces are not",
    (driver) =>
      Effect.gen(function*() {
        const draft = F.external("e", { key: "k", scope: "s", correlationId: "c" })
        const { inputId } = yield* F.accept(driver, draft)
        const others: ReadonlyArray<Input.Draft> = [
          F.flow("e", { key: "k", scope: "s", correlationId: "c", origin: { _tag: "external", sourceName: "door" } }),
          F.external("e", { key: "k", scope: "s", correlationId: "c", origin: { _tag: "operator" } }),
          F.external("e", { key: "k", scope: "s", correlationId: "c" }, "steer"),
          F.external("e", { key: "k", correlationId: "c" }),
          F.external("e", { key: "k", scope: "s" })
        ]
        for (const other of others) yield* expectFailure(driver.accept(other), "IdempotencyConflict")
        yield* expectDuplicate(yield* driver.accept({ ...draft, header: { ...draft.header, at: 77 } }), inputId)
        const trace = { traceId: "t", spanId: "s", sampled: true }
        yield* expectDuplicate(yield* driver.accept({ ...draft, header: { ...draft.header, trace } }), inputId)
        yield* expectDuplicate(yield* Effect.withSpan(driver.accept(draft), "another caller"), inputId)
      })
  ),
  F.make("I5: keys of other runtimes are other keys", (driver, drivers) =>
    Effect.gen(function*() {
      const other = yield* drivers.get(yield* F.freshRuntimeId)
      yield* F.accept(driver, F.prompt("p", { key: "k" }))
      yield* F.accept(other, F.prompt("q", { key: "k" }))
    })),
  F.make("D6: the same id with the same payload is one input, also without a key", (driver) =>
    Effect.gen(function*() {
      const id = yield* F.freshInputId
      yield* F.accept(driver, F.prompt("p", { id }))
      const run = yield* F.stage(driver)
      yield* expectDuplicate(yield* F.expectUnchanged(driver, driver.accept(F.prompt("p", { id }))), id)
      yield* driver.complete({ runId: run.runId })
      yield* expectDuplicate(yield* driver.accept(F.prompt("p", { id })), id)
      yield* F.expectPhase(driver, id, "consumed")
    })),
  F.make(
    "D6: another payload under a known id is IdempotencyConflict, and the input stays what it is",
    (driver) =>
      Effect.gen(function*() {
        const id = yield* F.freshInputId
        yield* F.accept(driver, F.prompt("p", { id }))
        yield* F.expectUnchanged(driver, expectFailure(driver.accept(F.prompt("q", { id })), "IdempotencyConflict"))
        yield* F.drain(driver)
        yield* expectFailure(driver.accept(F.prompt("q", { id })), "IdempotencyConflict")
        yield* F.expectPhase(driver, id, "consumed")
      })
  ),
  F.make("I5: a key and an id that belong to two inputs are IdempotencyConflict", (driver) =>
    Effect.gen(function*() {
      const id = yield* F.freshInputId
      yield* F.accept(driver, F.prompt("p", { id }))
      yield* F.accept(driver, F.prompt("p", { key: "k" }))
      yield* F.expectUnchanged(
        driver,
        expectFailure(driver.accept(F.prompt("p", { id, key: "k" })), "IdempotencyConflict")
      )
    })),
  F.make("a duplicate is answered by a runtime that takes no new inputs", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p", { key: "k" }))
      yield* driver.retire
      yield* expectDuplicate(yield* driver.accept(F.prompt("p", { key: "k" })), inputId)
      yield* expectFailure(driver.accept(F.prompt("p", { key: "new" })), "NotReady")
    }))
]

const expectOne = (driver: Service, outcomes: ReadonlyArray<AcceptOutcome>) =>
  Effect.gen(function*() {
    const accepted = outcomes.filter(({ _tag }) => _tag === "accepted")
    yield* expectEqual(accepted.length, 1, "how many were accepted")
    const existing = new Set(outcomes.map((one) => one._tag === "deduplicated" ? one.existing : one.inputId))
    yield* expectEqual(existing.size, 1, "how many inputs they are")
    yield* expectEqual(
      F.only(yield* F.events(driver), "input.accepted").length,
      1,
      "how many inputs the log tells of"
    )
  })

const atOnce = [
  F.make(
    "I5: the same key from 50 callers at once is one input, and 49 are told of it",
    (driver) =>
      Effect.gen(function*() {
        const outcomes = yield* Effect.all(
          Array.from({ length: 50 }, () => driver.accept(F.prompt("p", { key: "k" }))),
          { concurrency: "unbounded" }
        )
        yield* expectOne(driver, outcomes)
        yield* expectEqual((yield* driver.activeInputIds).length, 1, "the active inputs")
      })
  ),
  F.make("I5: the same key of an operation from 50 callers at once is one input", (driver) =>
    Effect.flatMap(
      Effect.all(Array.from({ length: 50 }, () => driver.accept(F.operation("o", { key: "k" }))), {
        concurrency: "unbounded"
      }),
      (outcomes) => expectOne(driver, outcomes)
    )),
  F.make("D6: the same id of an operation from 20 callers at once is one input", (driver) =>
    Effect.gen(function*() {
      const id = yield* F.freshInputId
      const outcomes = yield* Effect.all(Array.from({ length: 20 }, () => driver.accept(F.operation("o", { id }))), {
        concurrency: "unbounded"
      })
      yield* expectOne(driver, outcomes)
    })),
  F.make(
    "I5, I8: an input that was superseded a moment ago is known, by key and by id",
    (driver) =>
      Effect.gen(function*() {
        const id = yield* F.freshInputId
        const old = F.flow("old", { id, scope: "s" })
        const keyed = F.flow("old", { key: "k", scope: "t" })
        const outcomes = yield* Effect.all(
          [old, F.flow("new", { scope: "s" }), old, keyed, F.flow("new", { scope: "t" }), keyed].map((draft) =>
            driver.accept(draft)
          ),
          { concurrency: "unbounded" }
        )
        yield* expectEqual(
          outcomes.map(({ _tag }) => _tag),
          ["accepted", "accepted", "deduplicated", "accepted", "accepted", "deduplicated"],
          "the outcomes"
        )
        yield* F.expectPhase(driver, id, "superseded")
        yield* expectEqual((yield* F.drain(driver)).flat(), ["new", "new"], "what is staged")
      })
  ),
  F.make(
    "I5, I17: of two payloads under one key at once the first wins, and the other is IdempotencyConflict",
    (driver) =>
      Effect.gen(function*() {
        const outcomes = yield* Effect.all(
          ["a", "b"].map((text) => Effect.either(driver.accept(F.prompt(text, { key: "k" })))),
          { concurrency: "unbounded" }
        )
        yield* expectEqual(
          outcomes.map((one) => one._tag === "Left" ? one.left._tag : one.right._tag),
          ["accepted", "IdempotencyConflict"],
          "the outcomes"
        )
        yield* check((yield* driver.activeInputIds).length === 1, "one input is active")
      })
  )
]

const afterRestart = [
  ...endings.filter(([phase]) => phase !== "staged").map(([phase, end]) =>
    F.makeDurable(
      `I1, I5: after a restart a key is known of an input that was ${phase}`,
      (driver, { restart }) =>
        Effect.gen(function*() {
          const draft = F.flow("f", { key: "k", scope: "s" })
          const { inputId } = yield* F.accept(driver, draft)
          yield* end(driver)
          const again = yield* restart()
          yield* F.expectPhase(again, inputId, phase)
          yield* expectDuplicate(yield* again.accept(draft), inputId)
          yield* expectFailure(again.accept(F.flow("g", { key: "k", scope: "s" })), "IdempotencyConflict")
        })
    )
  ),
  F.makeDurable(
    "I5: after a restart an id is known, of active and of ended inputs",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const [ended, active] = [yield* F.freshInputId, yield* F.freshInputId]
        yield* F.accept(driver, F.prompt("p", { id: ended }))
        yield* F.drain(driver)
        yield* F.accept(driver, F.prompt("q", { id: active }))
        const again = yield* restart()
        yield* expectDuplicate(yield* again.accept(F.prompt("p", { id: ended })), ended)
        yield* expectDuplicate(yield* again.accept(F.prompt("q", { id: active })), active)
      })
  )
]

export const cases = [...same, ...atOnce]
export const durableCases = afterRestart
