/**
 * Operations that a batch waits for: named by a boundary, ended once and for ever, by whoever knows the end.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { type IdempotencyKey, operationKey } from "../../../schema/Ids.js"
import type { Draft, OperationEnd, OperationEvent } from "../../../schema/Input.js"
import type { Awaited } from "../../../schema/InputState.js"
import type { Json } from "../../../schema/Json.js"
import type { Service, StagedRun } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const completed = (result: Json): OperationEnd => ({ _tag: "completed", result })
const yes = completed("yes")
const gone: OperationEnd = { _tag: "cancelled" }

const awaited = (operationId: string, until: number | null = null): Awaited => ({ operationId, until })

/** The run's batch waits for operations from now on. */
const wait = (driver: Service, { runId }: StagedRun, names: ReadonlyArray<string | Awaited>) =>
  driver.note({ runId, awaits: names.map((one) => typeof one === "string" ? awaited(one) : one) })

const hold = (driver: Service, { runId }: StagedRun, awaits: ReadonlyArray<string>, until?: number) =>
  driver.hold({ runId, reason: "question", awaits, ...(until !== undefined && { until }) })

/** A prompt that is held until one of the operations ends. */
const held = (driver: Service, text: string, names: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { inputId } = yield* F.accept(driver, F.prompt(text))
    const run = yield* F.stageOf(driver, [text])
    yield* wait(driver, run, names)
    yield* hold(driver, run, names)
    return { inputId, run }
  })

const accepted = (driver: Service, operationId: string, end: OperationEnd) =>
  Effect.flatMap(
    driver.endOperation(operationId, end),
    (outcome) =>
      F.some(outcome._tag === "accepted" ? Option.some(outcome) : Option.none(), `the end is accepted: ${outcome._tag}`)
  )

/** News of an operation as any input, under a key or none. */
const news = (operationId: string, event: typeof OperationEvent.Type, options: F.HeaderOptions = {}): Draft => ({
  ...F.operation(operationId, options),
  event
} as Draft)

/** What the inputs of a runtime wait for. */
const waits = (driver: Service) =>
  Effect.flatMap(
    driver.activeInputIds,
    (ids) =>
      Effect.forEach(ids, (id) =>
        Effect.map(F.head(driver, id), ({ awaits }) => awaits.map(({ operationId }) => operationId)))
  )

const ends = [
  F.make(
    "the end of an operation makes the batch that waits for it ready, uncharged, and it goes first",
    (driver) =>
      Effect.gen(function*() {
        const { inputId, run } = yield* held(driver, "asks", ["a", "b"])
        yield* F.accept(driver, F.prompt("next"))
        yield* driver.takeSignal
        const { inputId: end, state } = yield* accepted(driver, "a", yes)
        yield* expectEqual([state.phase, state.key], ["consumed", operationKey("a")], "the end")
        yield* F.expectPhase(driver, inputId, "queued")
        yield* expectEqual(yield* waits(driver), [["b"], []], "what is waited for")
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
        yield* F.expectConsistent(driver)
        const again = yield* F.stageOf(driver, ["asks"])
        yield* expectEqual([again.attempt, again.batchId], [1, run.batchId], "attempt and batch")
        const found = yield* F.events(driver)
        yield* expectEqual(F.only(found, "operation.awaited"), [
          { _tag: "operation.awaited", runId: run.runId, operationId: "a", until: null },
          { _tag: "operation.awaited", runId: run.runId, operationId: "b", until: null }
        ], "what was named")
        yield* expectEqual(F.only(found, "operation.ended"), [
          { _tag: "operation.ended", operationId: "a", how: "completed", inputId: end }
        ], "what has ended")
        yield* expectEqual(F.only(found, "input.released").length, 1, "the releases")
      })
  ),
  F.make(
    "an end releases the batches that wait for the operation, whole, and no others",
    (driver) =>
      Effect.gen(function*() {
        const one = yield* held(driver, "one", ["a"])
        const ids = yield* F.acceptAll(driver, [F.flow("two"), F.flow("three")])
        const run = yield* F.stageOf(driver, ["two", "three"])
        yield* wait(driver, run, ["b"])
        yield* hold(driver, run, ["b"])
        const four = yield* held(driver, "four", ["b", "c"])
        yield* accepted(driver, "b", yes)
        yield* F.expectPhase(driver, one.inputId, "held")
        for (const id of [...ids, four.inputId]) yield* F.expectPhase(driver, id, "queued")
        yield* expectEqual(yield* F.drain(driver), [["two", "three"], ["four"]], "what goes on")
        yield* expectFailure(driver.endOperation("c", yes), "UnknownOperation")
      })
  ),
  F.make(
    "a run that is open is told of the end of what its batch waits for, and goes on",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* wait(driver, run, ["a"])
        yield* driver.takeSignal
        yield* accepted(driver, "a", yes)
        yield* check((yield* driver.takeSignal) !== "none", "there is a signal")
        yield* expectEqual(yield* waits(driver), [[]], "what is waited for")
        yield* driver.complete({ runId: run.runId })
      })
  ),
  F.make(
    "an end that is handed in like any input does the same under the operation's key, and under no other",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* held(driver, "asks", ["a"])
        yield* F.accept(driver, news("a", yes))
        yield* F.accept(driver, news("a", yes, { key: "mine" }))
        yield* F.accept(driver, news("a", { _tag: "progress", message: "half" }))
        yield* F.expectPhase(driver, inputId, "held")
        yield* F.accept(driver, news("a", yes, { key: operationKey("a") }))
        yield* F.expectPhase(driver, inputId, "queued")
      })
  ),
  F.make("what is held for another reason is not released by an end", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p"))
      const run = yield* F.stage(driver)
      yield* wait(driver, run, ["a"])
      yield* driver.hold({ runId: run.runId, reason: "operator" })
      yield* accepted(driver, "a", yes)
      yield* F.expectPhase(driver, inputId, "held")
      yield* expectEqual(yield* waits(driver), [[]], "what is waited for")
    })),
  F.make(
    "a retired runtime takes the end of what it waits for, and drains; it takes no other",
    (driver) =>
      Effect.gen(function*() {
        yield* held(driver, "asks", ["a"])
        yield* driver.retire
        yield* expectFailure(driver.accept(F.prompt("late")), "NotReady")
        yield* expectFailure(driver.accept(news("b", yes, { key: operationKey("b") })), "NotReady")
        yield* expectFailure(driver.endOperation("b", yes), "UnknownOperation")
        yield* accepted(driver, "a", yes)
        yield* expectEqual(yield* F.drain(driver), [["asks"]], "what is drained")
      })
  ),
  F.make("a runtime that is stopped takes no end until it resumes", (driver) =>
    Effect.gen(function*() {
      yield* held(driver, "asks", ["a"])
      yield* driver.stop
      yield* F.expectUnchanged(driver, expectFailure(driver.endOperation("a", yes), "NotReady"))
      yield* driver.resume
      yield* accepted(driver, "a", yes)
      yield* expectEqual(yield* F.drain(driver), [["asks"]], "what goes on")
      yield* driver.destroy
      yield* expectFailure(driver.endOperation("b", yes), "Destroyed")
    })),
  F.make(
    "an input that is redriven waits for nothing that the dead one waited for",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        const run = yield* F.stage(driver)
        yield* wait(driver, run, ["a"])
        yield* driver.fail({ runId: run.runId, failure: F.failure, recoverable: false })
        yield* expectEqual((yield* F.head(driver, inputId)).awaits, [], "what the dead one waits for")
        yield* driver.redrive(inputId)
        yield* expectEqual(yield* waits(driver), [[]], "what the new one waits for")
        yield* expectFailure(driver.endOperation("a", yes), "UnknownOperation")
      })
  )
]

const once = [
  F.make(
    "I5: an operation ends once, for ever: the same end is deduplicated, another one is IdempotencyConflict",
    (driver) =>
      Effect.gen(function*() {
        yield* held(driver, "asks", ["a"])
        const first = yield* accepted(driver, "a", completed({ x: 1, y: [2] }))
        const again = Effect.gen(function*() {
          const same = yield* driver.endOperation("a", completed({ y: [2], x: 1 }))
          yield* expectEqual(
            same._tag === "deduplicated" ? Option.some(same.existing) : Option.none(),
            Option.some(first.inputId),
            "who it was"
          )
          for (const other of [completed(null), gone, { _tag: "failed", error: "no" } as const]) {
            yield* F.expectUnchanged(driver, expectFailure(driver.endOperation("a", other), "IdempotencyConflict"))
          }
        })
        yield* again
        yield* F.drain(driver)
        yield* again
        yield* driver.retire
        yield* again
        yield* driver.destroy
        yield* expectEqual(
          (yield* driver.endOperation("a", completed({ x: 1, y: [2] })))._tag,
          "deduplicated",
          "at last"
        )
      })
  ),
  F.make(
    "I5: the same end from 20 callers at once is one, and of two others the first wins",
    (driver) =>
      Effect.gen(function*() {
        yield* held(driver, "asks", ["a", "b"])
        const same = yield* Effect.all(Array.from({ length: 20 }, () => driver.endOperation("a", yes)), {
          concurrency: "unbounded"
        })
        yield* expectEqual(same.filter(({ _tag }) => _tag === "accepted").length, 1, "how many were accepted")
        const [first, second] = yield* Effect.all(
          [Effect.either(driver.endOperation("b", yes)), Effect.either(driver.endOperation("b", gone))],
          { concurrency: "unbounded" }
        )
        yield* check(Either.isRight(first), "the first is accepted")
        yield* expectEqual(Either.isLeft(second) && second.left._tag, "IdempotencyConflict", "the second")
        yield* expectEqual(F.only(yield* F.events(driver), "operation.ended").length, 2, "the ends")
      })
  ),
  F.make("how an operation ended is found under its key, for ever", (driver) =>
    Effect.gen(function*() {
      yield* held(driver, "asks", ["a"])
      yield* accepted(driver, "a", { _tag: "failed", error: "no answer" })
      yield* F.drain(driver)
      const stored = yield* F.some(yield* driver.inputByKey(operationKey("a") as IdempotencyKey), "the end is stored")
      const input = stored.body._tag === "inline" ? stored.body.input : undefined
      yield* expectEqual<unknown>(
        input?._tag === "operation" && [input.operationId, input.event, input.header.origin],
        ["a", { _tag: "failed", error: "no answer" }, { _tag: "system" }],
        "the end"
      )
    })),
  F.make(
    "what nobody waits for is UnknownOperation: nothing is written, and its key is not used up",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* wait(driver, run, ["a"])
        const error = yield* F.expectUnchanged(driver, expectFailure(driver.endOperation("b", yes), "UnknownOperation"))
        yield* expectEqual([error.runtimeId, error.operationId], [driver.runtimeId, "b"], "what it names")
        yield* expectEqual(yield* driver.inputByKey(operationKey("b")), Option.none(), "what is under its key")
        yield* wait(driver, run, ["b"])
        yield* accepted(driver, "b", completed("another"))
        yield* driver.complete({ runId: run.runId })
        yield* expectFailure(driver.endOperation("a", yes), "UnknownOperation")
      })
  ),
  F.make("at its deadline an operation takes no end but the cancel", (driver) =>
    Effect.gen(function*() {
      const run = yield* F.running(driver)
      yield* wait(driver, run, [awaited("a", 1_000)])
      yield* TestClock.adjust(1_000)
      yield* F.expectUnchanged(driver, expectFailure(driver.endOperation("a", yes), "UnknownOperation"))
      yield* accepted(driver, "a", gone)
      yield* expectFailure(driver.endOperation("a", yes), "IdempotencyConflict")
      yield* expectEqual(F.only(yield* F.events(driver), "operation.ended").map(({ how }) => how), ["cancelled"], "how")
    })),
  ...([
    ["an empty text", "", "operationId"],
    ["a text that is too long for its key", "x".repeat(F.limits.keyLengthMax - "operation/".length + 1), "operationId"],
    ["a text with NUL", "a\u0000", "operationId"],
    ["a text with a lone surrogate", "\ud800", "operationId"]
  ] as const).map(([what, operationId, field]) =>
    F.make(
      `${what} as an operation's name is InvalidInput, and nothing is written`,
      (driver) =>
        Effect.gen(function*() {
          const { runId } = yield* F.running(driver)
          const refused = (effect: Effect.Effect<unknown, { readonly _tag: string }>, where: string) =>
            Effect.flatMap(
              F.expectUnchanged(driver, expectFailure(effect, "InvalidInput")),
              (error) => expectEqual((error as { readonly field?: string }).field, where, "the field")
            )
          yield* refused(driver.endOperation(operationId, yes), field)
          yield* refused(driver.note({ runId, awaits: [awaited("a"), awaited(operationId)] }), `awaits[1].${field}`)
        })
    )
  ),
  F.make(
    "an end that is none, or has no JSON form, is InvalidInput, and nothing is written",
    (driver) =>
      Effect.gen(function*() {
        yield* held(driver, "asks", ["a"])
        for (const end of [{ _tag: "started", kind: "k" } as never, completed({ list: [Number.NaN] })]) {
          yield* F.expectUnchanged(driver, expectFailure(driver.endOperation("a", end), "InvalidInput"))
        }
      })
  )
]

const naming = [
  F.make(
    "those that a batch waits for already stay as they are, deadline included",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* wait(driver, run, [awaited("a", 500)])
        yield* driver.checkpoint({ runId: run.runId, awaits: [awaited("a", 9_000), awaited("b", 0)] })
        const [inputId] = F.idsOf(run)
        yield* expectEqual(
          (yield* F.head(driver, inputId!)).awaits,
          [awaited("a", 500), awaited("b", 0)],
          "what it waits for"
        )
        yield* expectEqual(F.only(yield* F.events(driver), "operation.awaited").length, 2, "the events")
      })
  ),
  F.make(
    "what has ended before a batch names it is not waited for, and whoever runs it is told",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, news("a", yes, { key: operationKey("a") }))
        const run = yield* F.running(driver)
        yield* driver.takeSignal
        yield* wait(driver, run, ["a", "b"])
        yield* check((yield* driver.takeSignal) !== "none", "there is a signal")
        yield* expectEqual(yield* waits(driver), [["b"]], "what is waited for")
        yield* hold(driver, run, ["a", "b"])
        yield* F.stageOf(driver, ["go"])
      })
  ),
  F.make(
    "I7: the exact repetition of a boundary that names operations is alreadyApplied; other ones are ReceiptConflict",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const options = { runId, after: 0, awaits: [awaited("a", 7)] }
        yield* driver.note(options)
        const { alreadyApplied } = yield* F.expectUnchanged(driver, driver.note(options))
        yield* check(alreadyApplied, "it was applied before")
        for (const awaits of [[], [awaited("a")], [awaited("b", 7)]]) {
          yield* F.expectUnchanged(driver, expectFailure(driver.note({ ...options, awaits }), "ReceiptConflict"))
        }
      })
  ),
  F.make(
    "a boundary that names operations that cannot be is InvalidInput, and nothing is written",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const many = Array.from({ length: 101 }, (_, i) => awaited(`op ${i}`))
        const refused: ReadonlyArray<readonly [field: string, awaits: ReadonlyArray<Awaited>]> = [
          ["awaits[0].until", [awaited("a", Number.NaN)]],
          ["awaits[0].until", [awaited("a", 0.5)]],
          ["awaits[1].until", [awaited("a", 1), awaited("b", -1)]],
          ["awaits[1]", [awaited("a", 1), awaited("a", 2)]],
          ["awaits", many]
        ]
        for (const [field, awaits] of refused) {
          const error = yield* F.expectUnchanged(driver, expectFailure(driver.note({ runId, awaits }), "InvalidInput"))
          yield* expectEqual(error.field, field, "the field")
        }
        yield* F.expectUnchanged(
          driver,
          expectFailure(driver.complete({ runId, awaits: [awaited("a")] }), "InvalidInput")
        )
        yield* driver.note({ runId, awaits: many.slice(1) })
      })
  )
]

const holds = [
  F.make(
    "I13: a hold until an operation ends charges nothing, and ends at its deadline: then the batch goes first",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* wait(driver, run, [awaited("a", 1_000)])
        yield* F.accept(driver, F.prompt("next"))
        yield* hold(driver, run, ["a"], 1_000)
        const [inputId] = F.idsOf(run)
        const { attempt, phase, stagings } = yield* F.head(driver, inputId!)
        yield* expectEqual<ReadonlyArray<unknown>>([phase, attempt, stagings], ["held", 0, 0], "the head")
        yield* driver.complete({ runId: (yield* F.stageOf(driver, ["next"])).runId })
        yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(1_000), "nextReadyAt")
        yield* TestClock.adjust(1_000)
        yield* F.accept(driver, F.steer("steer"))
        const again = yield* F.stageOf(driver, ["go"])
        yield* expectEqual([again.attempt, again.batchId], [1, run.batchId], "attempt and batch")
        yield* expectEqual(yield* waits(driver), [["a"], []], "what is waited for")
      })
  ),
  F.make(
    "I14: a hold for an operation that has ended meanwhile queues the batch again, ready at once and uncharged",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* wait(driver, run, ["a", "b"])
        yield* accepted(driver, "a", yes)
        yield* driver.takeSignal
        const [inputId] = F.idsOf(run)
        const reply = yield* hold(driver, run, ["a", "b"], 60_000)
        yield* expectEqual(reply, { requeued: [inputId!], abandoned: [] }, "the reply")
        const { attempt, readyAt, stagings } = yield* F.head(driver, inputId!)
        yield* expectEqual<ReadonlyArray<unknown>>([readyAt, attempt, stagings], [null, 0, 0], "the head")
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
        yield* F.stageOf(driver, ["go"])
      })
  ),
  ...(["the hold", "the end"] as const).map((first) =>
    F.make(
      `I14: of a hold and an end at the same time, ${first} first, nothing stays held`,
      (driver) =>
        Effect.gen(function*() {
          const run = yield* F.running(driver)
          yield* wait(driver, run, ["a"])
          const both = [hold(driver, run, ["a"]), driver.endOperation("a", yes)]
          yield* Effect.all(first === "the hold" ? both : both.toReversed(), { concurrency: "unbounded" })
          yield* F.stageOf(driver, ["go"])
        })
    )
  )
]

const cancelledBy = (reason: string) => ({ _tag: "abandoned", reason: { _tag: "cancelled", reason } })

const cancels = [
  F.make(
    "a cancel under the name of an input that waits ends it, and says who asked",
    (driver) =>
      Effect.gen(function*() {
        const queued = yield* F.accept(driver, F.prompt("queued"))
        const aside = yield* F.accept(driver, F.prompt("held"))
        yield* driver.holdInput({ inputId: aside.inputId, reason: "operator" })
        yield* F.accept(driver, news(queued.inputId, gone, { origin: { _tag: "peer", peerId: "boss" } }))
        yield* F.accept(driver, news(aside.inputId, gone))
        yield* expectEqual<unknown>(
          (yield* F.head(driver, queued.inputId)).outcome,
          cancelledBy("cancelled by boss"),
          "one"
        )
        yield* expectEqual<unknown>(
          (yield* F.head(driver, aside.inputId)).outcome,
          cancelledBy("cancelled"),
          "the other"
        )
        yield* F.nothing(driver)
      })
  ),
  F.make(
    "a cancel under the name of a staged input ends its whole run, and others go on",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const { runId } = yield* F.stageOf(driver, ["a", "b"])
        yield* F.accept(driver, F.prompt("next"))
        yield* driver.takeSignal
        yield* F.accept(driver, news(ids[1]!, gone))
        for (const id of ids) {
          yield* expectEqual<unknown>((yield* F.head(driver, id)).outcome, cancelledBy("cancelled"), "the outcome")
        }
        yield* expectFailure(driver.complete({ runId }), "RunNotOpen")
        yield* expectEqual(yield* driver.takeSignal, "wake_loop", "the signal")
        yield* F.stageOf(driver, ["next"])
      })
  ),
  F.make(
    "I8: a cancel under the name of an input that has ended, or of none, is news and no more",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        yield* F.drain(driver)
        for (const name of [inputId, yield* F.freshInputId, "nobody"]) {
          yield* F.accept(driver, news(name, gone))
        }
        yield* F.expectPhase(driver, inputId, "consumed")
        const waiting = yield* F.accept(driver, F.prompt("q"))
        yield* F.accept(driver, news(waiting.inputId, yes))
        yield* F.expectPhase(driver, waiting.inputId, "queued", "another end cancels nothing")
      })
  ),
  F.make("a retired runtime takes a cancel of what it drains", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p"))
      yield* driver.retire
      yield* F.accept(driver, news(inputId, gone))
      yield* expectEqual(yield* driver.activeInputIds, [], "what is active")
    }))
]

export const cases = [...ends, ...once, ...naming, ...holds, ...cancels]

export const durableCases = [
  F.makeDurable(
    "I3: what batches wait for is there after a crash, and their ends release them",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const asks = yield* held(driver, "asks", ["a"])
        const run = yield* F.running(driver)
        yield* wait(driver, run, [awaited("b", 5_000)])
        const again = yield* restart()
        yield* expectEqual(yield* waits(again), [["a"], ["b"]], "what is waited for")
        yield* expectEqual((yield* F.head(again, F.idsOf(run)[0]!)).awaits, [awaited("b", 5_000)], "the deadline")
        yield* accepted(again, "a", yes)
        yield* F.expectPhase(again, asks.inputId, "queued")
        const lost = yield* F.stage(again)
        yield* driver.endOperation("b", yes).pipe(Effect.flip)
        yield* accepted(again, "b", yes)
        yield* hold(again, lost, ["a"])
        yield* F.expectConsistent(again)
        yield* expectEqual(yield* F.drain(again), [["asks"], ["go"]], "what goes on")
      })
  ),
  F.makeDurable(
    "I5: an operation that has ended is known after a crash",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* held(driver, "asks", ["a"])
        const { inputId } = yield* accepted(driver, "a", yes)
        const again = yield* restart()
        const same = yield* again.endOperation("a", yes)
        yield* expectEqual(same._tag === "deduplicated" && same.existing, inputId, "who it was")
        yield* expectFailure(again.endOperation("a", gone), "IdempotencyConflict")
        yield* F.stageOf(again, ["asks"])
      })
  )
]
