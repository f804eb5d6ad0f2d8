/**
 * Dead letters that are asked again: a new input for an old one, once.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Content from "../../../schema/Content.js"
import { type InputId, redriveKey } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

type Death = (driver: Service, draft: Input.Draft) => Effect.Effect<InputId, unknown>

/** The ends that are worth another try, and how an input comes to them. */
const deaths: { readonly [reason: string]: Death } = {
  failed: (driver, draft) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, draft)
      const { runId } = yield* F.stage(driver)
      yield* driver.fail({ runId, failure: F.failure, recoverable: false })
      return inputId
    }),
  max_attempts_exhausted: (driver, draft) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, draft)
      yield* F.failUntilLast(driver, F.limits.attemptsMax)
      return inputId
    }),
  outcome_unknown: (driver, draft) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, draft)
      const { runId } = yield* F.stage(driver)
      yield* driver.settle({ runId })
      return inputId
    })
}

const die: Death = (driver, draft) => deaths.failed!(driver, draft)

const redriven = (driver: Service, inputId: InputId) =>
  Effect.flatMap(
    driver.redrive(inputId),
    (outcome) =>
      F.some(outcome._tag === "accepted" ? Option.some(outcome) : Option.none(), `it is accepted, not ${outcome._tag}`)
  )

const once = [
  ...Object.entries(deaths).map(([reason, end]) =>
    F.make(
      `I13: an input that ended as ${reason} is redriven as a new one, which is fresh`,
      (driver) =>
        Effect.gen(function*() {
          const dead = yield* end(driver, F.prompt("again", { key: "k" }))
          const before = yield* F.head(driver, dead)
          const { inputId, state } = yield* redriven(driver, dead)
          yield* check(inputId !== dead, "it is a new input")
          yield* expectEqual([state.attempt, state.stagings, state.failure], [0, 0, null], "what it is charged with")
          yield* expectEqual(state.key, redriveKey(dead), "its key, which leads from the dead one to it")
          yield* expectEqual(yield* F.head(driver, dead), before, "the dead one")
          yield* F.stageOf(driver, ["again"])
        })
    )
  ),
  F.make(
    "I5: a dead letter is redriven once, and whoever asks again is told of the same input",
    (driver) =>
      Effect.gen(function*() {
        const dead = yield* die(driver, F.prompt("again"))
        const { inputId, sequence } = yield* redriven(driver, dead)
        const told = { _tag: "deduplicated", existing: inputId, sequence } as const
        const expectTold = Effect.gen(function*() {
          const { inputId: _id, ...again } = (yield* F.expectUnchanged(driver, driver.redrive(dead))) as typeof told & {
            readonly inputId: InputId
          }
          yield* expectEqual(again, told, "the answer")
        })
        yield* expectTold
        const { runId } = yield* F.stageOf(driver, ["again"])
        yield* expectTold
        yield* driver.fail({ runId, failure: F.failure, recoverable: false })
        yield* expectTold
      })
  ),
  F.make("I5: a redrive from 20 callers at once is one input", (driver) =>
    Effect.gen(function*() {
      const dead = yield* die(driver, F.prompt("again"))
      const outcomes = yield* Effect.all(Array.from({ length: 20 }, () => driver.redrive(dead)), {
        concurrency: "unbounded"
      })
      yield* expectEqual(outcomes.filter(({ _tag }) => _tag === "accepted").length, 1, "how many are accepted")
      yield* expectEqual(yield* F.drain(driver), [["again"]], "what is staged")
    })),
  F.make("I13: a redriven input that dies as well is redriven by its own id", (driver) =>
    Effect.gen(function*() {
      const dead = yield* die(driver, F.prompt("again"))
      const second = yield* redriven(driver, dead)
      const { runId } = yield* F.stage(driver)
      yield* driver.fail({ runId, failure: F.failure, recoverable: false })
      const third = yield* redriven(driver, second.inputId)
      yield* expectEqual(third.state.key, redriveKey(second.inputId), "its key")
      yield* expectEqual(yield* F.drain(driver), [["again"]], "what is staged")
    }))
]

type Life = readonly [what: string, live: (driver: Service) => Effect.Effect<InputId, unknown>, phase: string | null]

const lives: ReadonlyArray<Life> = [
  ["that never was", () => F.freshInputId, null],
  ["that is queued", (driver) => Effect.map(F.accept(driver, F.prompt("p")), ({ inputId }) => inputId), "queued"],
  ["that is staged", (driver) => Effect.map(F.running(driver), (run) => F.idsOf(run)[0]!), "staged"],
  [
    "that is held",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        yield* driver.holdInput({ inputId, reason: "operator" })
        return inputId
      }),
    "held"
  ],
  [
    "that was consumed",
    (driver) =>
      Effect.gen(function*() {
        const run = yield* F.running(driver)
        yield* driver.complete({ runId: run.runId })
        return F.idsOf(run)[0]!
      }),
    "consumed"
  ],
  [
    "that was superseded",
    (driver) =>
      Effect.map(F.acceptAll(driver, [F.flow("a", { scope: "s" }), F.flow("b", { scope: "s" })]), ([a]) => a!),
    "superseded"
  ],
  [
    "that was cancelled",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        yield* driver.cancelInput({ inputId, reason: "no more" })
        return inputId
      }),
    "abandoned"
  ],
  [
    "that went with a reset",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p"))
        yield* driver.reset
        return inputId
      }),
    "abandoned"
  ]
]

const refusals = [
  ...lives.map(([what, live, phase]) =>
    F.make(`I8: an input ${what} is not redriven: UnknownInput with its phase`, (driver) =>
      Effect.gen(function*() {
        const inputId = yield* live(driver)
        const error = yield* F.expectUnchanged(driver, expectFailure(driver.redrive(inputId), "UnknownInput"))
        yield* expectEqual<string | null>(error.phase, phase, "the phase that it names")
      }))
  ),
  F.make("a runtime that takes no new inputs redrives none, and may later", (driver) =>
    Effect.gen(function*() {
      const dead = yield* die(driver, F.prompt("again"))
      yield* driver.stop
      yield* F.expectUnchanged(driver, expectFailure(driver.redrive(dead), "NotReady"))
      yield* driver.resume
      yield* redriven(driver, dead)
    }))
]

const bytes = Uint8Array.from({ length: F.limits.blockInlineBytesMax + 1 }, (_, i) => i * 3)

const bodies: ReadonlyArray<readonly [what: string, content: Content.Content]> = [
  ["a body in its row", Content.from("small")],
  ["a body in a blob", Content.from("x".repeat(F.limits.inlineBytesMax + 1))],
  ["a block in a blob", [
    Content.text("see"),
    { _tag: "image", mediaType: "image/png", source: { _tag: "inline", data: bytes } }
  ]],
  ["both in blobs", [
    Content.text("x".repeat(F.limits.inlineBytesMax + 1)),
    { _tag: "image", mediaType: "image/png", source: { _tag: "inline", data: bytes } }
  ]]
]

const payloads = [
  ...bodies.map(([what, content]) =>
    F.make(`a dead letter with ${what} is redriven with what it said, to the byte`, (driver) =>
      Effect.gen(function*() {
        const dead = yield* die(driver, { ...F.flow("f"), content } as Input.Draft)
        const { state } = yield* redriven(driver, dead)
        const run = yield* F.stage(driver)
        const [input] = yield* Effect.forEach(run.inputs, ({ input }) => input)
        yield* expectEqual(Input.contentOf(input!), content, "the content")
        yield* expectEqual(state.kind, "flow_step", "its kind")
      }))
  ),
  F.make(
    "a redriven input has origin, durability, visibility and correlation of the dead one",
    (driver) =>
      Effect.gen(function*() {
        const header = {
          origin: { _tag: "system" },
          durability: "derived",
          visibility: { transcript: false, operator: false },
          correlationId: "c"
        } as const
        const dead = yield* die(driver, F.continuation("go on", { ...header, key: "k", deliverAt: 0 }))
        const { inputId } = yield* redriven(driver, dead)
        const { body } = yield* F.some(yield* driver.loadInput(inputId), "it is stored")
        if (body._tag !== "inline") return yield* check(false, "its body is inline")
        const { correlationId, durability, origin, visibility } = body.input.header
        yield* expectEqual<unknown>({ correlationId, durability, origin, visibility }, header, "the header")
      })
  ),
  F.make(
    "I6: a redriven input goes to the tail, and waits for nothing that the dead one waited for",
    (driver) =>
      Effect.gen(function*() {
        const dead = yield* die(driver, F.prompt("dead", { deliverAt: 0 }))
        yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
        const { state } = yield* redriven(driver, dead)
        yield* expectEqual([state.deliverAt, state.readyAt], [null, null], "what it waits for")
        yield* F.accept(driver, F.prompt("c"))
        yield* expectEqual(yield* F.drain(driver), [["a"], ["b"], ["dead"], ["c"]], "the order")
      })
  ),
  F.make(
    "I8: a redriven input replaces nothing that came after the dead one, and is replaced by nothing",
    (driver) =>
      Effect.gen(function*() {
        const dead = yield* die(driver, F.flow("old", { scope: "s" }))
        const newer = yield* F.accept(driver, F.flow("new", { scope: "s" }))
        const { inputId, state } = yield* redriven(driver, dead)
        yield* expectEqual(state.supersessionKey, null, "its supersession key")
        yield* F.expectPhase(driver, newer.inputId, "queued")
        yield* F.accept(driver, F.flow("newest", { scope: "s" }))
        yield* F.expectPhase(driver, inputId, "queued")
        yield* expectEqual(yield* F.drain(driver), [["old", "newest"]], "what is staged")
      })
  )
]

export const cases = [...once, ...refusals, ...payloads]

export const durableCases = [
  F.makeDurable(
    "I1, I13: an input that ended with its process can be redriven",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("e", { durability: "ephemeral" }))
        const again = yield* restart()
        yield* redriven(again, inputId)
        yield* expectEqual(yield* F.drain(again), [["e"]], "what is staged")
      })
  ),
  F.makeDurable(
    "I1, I5: after a restart a dead letter is redriven, and only once",
    (driver, { restart }) =>
      Effect.gen(function*() {
        const [first, second] = [yield* die(driver, F.prompt("first")), yield* die(driver, F.prompt("second"))]
        const { inputId } = yield* redriven(driver, first)
        const again = yield* restart()
        const told = yield* again.redrive(first)
        yield* expectEqual(told._tag === "deduplicated" && told.existing, inputId, "what the first is told")
        yield* redriven(again, second)
        yield* expectEqual(yield* F.drain(again), [["first"], ["second"]], "what is staged")
      })
  )
]
