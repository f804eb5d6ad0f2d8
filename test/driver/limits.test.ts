import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver } from "./bench.js"

const limits = {
  resultBytesMax: 16,
  notesMax: 2,
  valueBytesMax: 64,
  silentIntentsMax: 2,
  failureLengthMax: 20,
  keyLengthMax: 32
}

/** A runtime with an open run, and an input that waits. */
const prepared = (driver: Service) =>
  Effect.gen(function*() {
    const { runId } = yield* F.running(driver)
    const { inputId } = yield* F.accept(driver, F.flow("waiting"))
    return { runId, inputId }
  })

type Prepared = Effect.Effect.Success<ReturnType<typeof prepared>>
type Refused = Effect.Effect<unknown, { readonly _tag: string }>

const refused = (driver: Service, command: Refused, field: string) =>
  Effect.gen(function*() {
    const error = yield* F.expectUnchanged(driver, Effect.flip(command))
    assert.strictEqual(error._tag, "InvalidInput")
    assert.strictEqual("field" in error && error.field, field)
  })

type Timed = readonly [
  name: string,
  field: string,
  command: (driver: Service, prepared: Prepared, time: number) => Refused
]

const timed: ReadonlyArray<Timed> = [
  ["fail", "visibleAt", (driver, { runId }, visibleAt) => driver.fail({ runId, failure: F.failure, visibleAt })],
  ["giveBack", "visibleAt", (driver, { runId }, visibleAt) => driver.giveBack({ runId, visibleAt })],
  ["hold", "until", (driver, { runId }, until) => driver.hold({ runId, reason: "question", until })],
  ["holdInput", "until", (driver, { inputId }, until) => driver.holdInput({ inputId, reason: "operator", until })]
]

describe("times", () => {
  for (const [name, field, command] of timed) {
    for (const time of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1]) {
      it.effect(`I17: ${name} with ${time} as its time is InvalidInput, and changes nothing`, () =>
        withDriver({}, ({ driver }) =>
          Effect.gen(function*() {
            const found = yield* prepared(driver)
            yield* refused(driver, command(driver, found, time), field)
            yield* F.accept(driver, F.prompt("still there"))
            yield* command(driver, found, 60_000)
            yield* F.expectConsistent(driver)
          })))
    }
  }

  it.effect("I17: holdInput with a deadline wakes the loop, which has to know the new time", () =>
    withDriver({}, ({ driver }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        yield* driver.takeSignal
        yield* driver.holdInput({ inputId, reason: "operator" })
        assert.strictEqual(yield* driver.takeSignal, "none")
        yield* driver.release(inputId)
        yield* driver.takeSignal
        yield* driver.holdInput({ inputId, reason: "operator", until: 5_000 })
        assert.strictEqual(yield* driver.takeSignal, "wake_loop")
        assert.deepStrictEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(5_000))
      })))
})

const note = (key: string, value: string | number = 1, scope = "s") => ({ scope, key, value })
const tooLong = "x".repeat(65)
const longName = "n".repeat(limits.keyLengthMax + 1)

const boundaries: ReadonlyArray<readonly [what: string, field: string, command: (d: Service, p: Prepared) => Refused]> =
  [
    ["a result that is too large", "result", (driver, { runId }) => driver.complete({ runId, result: tooLong })],
    [
      "too many notes",
      "notes",
      (driver, { runId }) => driver.note({ runId, notes: [note("a"), note("b"), note("c")] })
    ],
    [
      "too many notes, with those of children",
      "notes",
      (driver, { runId }) =>
        driver.note({
          runId,
          notes: [note("a")],
          outbox: ["b", "c"].map((key) => ({ to: "child", input: F.prompt(key, { key }), endsWithBatch: true }))
        })
    ],
    [
      "a note with a value that is too large",
      "notes[1].value",
      (driver, { runId }) => driver.checkpoint({ runId, notes: [note("a"), note("b", tooLong)] })
    ],
    [
      "a note with a scope that is too long",
      "notes[0].scope",
      (driver, { runId }) => driver.checkpoint({ runId, notes: [note("a", 1, longName)] })
    ],
    [
      "a note with a key that is too long",
      "notes[0].key",
      (driver, { runId }) => driver.complete({ runId, notes: [note(longName)] })
    ],
    [
      "two notes of one name",
      "notes[1]",
      (driver, { runId }) => driver.checkpoint({ runId, notes: [note("a", 1), note("a", 2)] })
    ],
    ["published data that is too large", "data", (driver) => driver.publish("code", tooLong)],
    ["too many silent intents", "intents", (driver) => driver.setSilentIntents(["a", "b", "c"])],
    ["a silent intent that is too long", "intents[1]", (driver) => driver.setSilentIntents(["a", longName])]
  ]

describe("sizes", () => {
  for (const [what, field, command] of boundaries) {
    it.effect(`I16: ${what} is InvalidInput that names the field, and changes nothing`, () =>
      withDriver({ limits }, ({ driver }) =>
        Effect.gen(function*() {
          yield* refused(driver, command(driver, yield* prepared(driver)), field)
          assert.notInclude(F.tags(yield* F.events(driver)), "run.boundary")
        })))
  }

  it.effect("I16: what is just within the limits is taken", () =>
    withDriver({ limits }, ({ driver, store }) =>
      Effect.gen(function*() {
        const { runId } = yield* prepared(driver)
        // Two bytes are the quotes of the canonical text.
        const result = "x".repeat(limits.resultBytesMax - 2)
        const fits = "x".repeat(limits.valueBytesMax - 2)
        const name = "n".repeat(limits.keyLengthMax)
        yield* driver.publish(name, fits)
        yield* driver.setSilentIntents(["a", name])
        const notes = [note(name, fits, name), note("b", 1, name)]
        yield* driver.complete({ runId, notes, result })
        assert.strictEqual((yield* store.loadNotes(driver.runtimeId, name)).length, 2)
        const receipt = yield* F.some(yield* store.loadBoundaryReceipt(driver.runtimeId, runId, 1), "a receipt")
        assert.deepStrictEqual(receipt.result, Option.some(JSON.stringify(result)))
      })))
})

describe("failures", () => {
  it.effect("I16: a failure's message that is too long is cut, not refused", () =>
    withDriver({ limits }, ({ driver }) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        const id = run.inputs[0]!.head.id
        yield* driver.fail({ runId: run.runId, failure: { tag: "Boom", message: "y".repeat(1_000) } })
        const { failure } = yield* F.head(driver, id)
        assert.deepStrictEqual(failure, { tag: "Boom", message: `${"y".repeat(20)}...` })
        yield* F.expectConsistent(driver)
      })))

  it.effect("I16: a failure that no store could keep as it is, is kept without what cannot be kept", () =>
    withDriver({}, ({ driver }) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* driver.fail({ runId: run.runId, failure: { tag: "Boom", message: "a\u0000b\ud800" } })
        const { failure } = yield* F.head(driver, run.inputs[0]!.head.id)
        assert.strictEqual(failure?.message, "a\ufffdb\ufffd")
      })))

  it.effect("I16: what fails for good ends as abandoned{failed}, and is a dead letter", () =>
    withDriver({}, ({ driver, store }) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        const id = run.inputs[0]!.head.id
        const reply = yield* driver.fail({ runId: run.runId, failure: F.failure, recoverable: false })
        assert.deepStrictEqual(reply, { requeued: [], abandoned: [id] })
        const letters = yield* Effect.all(yield* store.loadDeadLetters(driver.runtimeId))
        assert.deepStrictEqual(letters.map(({ head }) => [head.id, head.outcome, head.failure]), [
          [id, { _tag: "abandoned", reason: { _tag: "failed", attempts: 1 } }, F.failure]
        ])
      })))
})
