/**
 * Inputs that leave with a boundary: there with its commit, or not at all.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Content from "../../../schema/Content.js"
import type { IdempotencyKey, RuntimeId } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import * as Session from "../../../schema/Session.js"
import type { BoundaryOptions, Drivers, Outgoing, Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { inputOf, waitingFor } from "./deposits.js"
import * as F from "./fixtures.js"

type Kind = "checkpoint" | "note" | "complete"
const kinds: ReadonlyArray<Kind> = ["checkpoint", "note", "complete"]

const texts = (drivers: Context.Tag.Service<Drivers>, runtimeId: string) =>
  Effect.flatMap(
    waitingFor(drivers, runtimeId),
    (found) =>
      Effect.forEach(
        found,
        (deposit) => Effect.map(inputOf(deposit), (input) => Content.toText(Input.contentOf(input)))
      )
  )

const committed = [
  ...kinds.map((kind) =>
    F.make(
      `I2: what leaves with a ${kind} waits for its runtime once the boundary is committed, in order`,
      (driver, drivers) =>
        Effect.gen(function*() {
          const to = yield* F.freshRuntimeId
          const { runId } = yield* F.running(driver)
          const outbox = ["a", "b"].map((text): Outgoing => ({ to, input: F.prompt(text) }))
          yield* driver[kind]({ runId, outbox: [...outbox, { to: driver.runtimeId, input: F.prompt("me") }] })
          yield* expectEqual(yield* texts(drivers, to), ["a", "b"], "what waits for the other")
          yield* expectEqual(yield* texts(drivers, driver.runtimeId), ["me"], "what waits for itself")
          yield* check(!(yield* drivers.live).includes(to), "the other is not opened for it")
        })
    )
  ),
  F.make(
    "what leaves keeps the id and the header that it was given, and gets what it was not",
    (driver, drivers) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const id = yield* F.freshInputId
        const { runId } = yield* F.running(driver)
        const given = { id, idempotencyKey: "k" as IdempotencyKey, deliverAt: 9_000 }
        yield* driver.note({
          runId,
          outbox: [{ to, input: Input.prompt("given", given) }, { to, input: F.prompt("b") }]
        })
        const [a, b] = yield* waitingFor(drivers, to)
        yield* expectEqual(a!.inputId, id, "the id of the deposit")
        const { at, deliverAt, idempotencyKey } = (yield* inputOf(a!)).header
        yield* expectEqual<unknown>([at, deliverAt, idempotencyKey], [0, 9_000, "k"], "the header")
        yield* expectEqual((yield* inputOf(b!)).header.id, b!.inputId, "the id that was made")
      })
  ),
  F.make("what is too large for a row leaves as a blob", (driver, drivers) =>
    Effect.gen(function*() {
      const to = yield* F.freshRuntimeId
      const { runId } = yield* F.running(driver)
      yield* driver.note({ runId, outbox: [{ to, input: F.prompt("x".repeat(F.limits.inlineBytesMax + 1)) }] })
      const [deposit] = yield* waitingFor(drivers, to)
      yield* expectEqual(Either.isRight(deposit!.body) && deposit!.body.right._tag, "blob", "the body")
    })),
  ...kinds.map((kind) =>
    F.make(`I7: the exact repetition of a ${kind} sends nothing again`, (driver, drivers) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const { runId } = yield* F.running(driver)
        const boundary = driver[kind]({ runId, after: 0, outbox: [{ to, input: F.prompt("once") }] })
        yield* boundary
        yield* expectEqual((yield* boundary).alreadyApplied, true, "alreadyApplied")
        yield* expectEqual(yield* texts(drivers, to), ["once"], "what waits")
      }))
  ),
  F.make(`I16: as many as outboxMax leave with one boundary`, (driver, drivers) =>
    Effect.gen(function*() {
      const to = yield* F.freshRuntimeId
      const { runId } = yield* F.running(driver)
      const outbox = Array.from({ length: F.limits.outboxMax }, (_, i): Outgoing => ({ to, input: F.prompt(`${i}`) }))
      yield* driver.note({ runId, outbox })
      yield* expectEqual((yield* waitingFor(drivers, to)).length, F.limits.outboxMax, "how many wait")
    }))
]

type Trouble = readonly [
  what: string,
  tag: string,
  commit: (driver: Service, boundary: BoundaryOptions) => Effect.Effect<unknown, { readonly _tag: string }>
]

class Refusal {
  readonly _tag = "Refusal"
}

const troubles: ReadonlyArray<Trouble> = [
  ...kinds.map((kind): Trouble => [
    `a ${kind} whose alongside failed`,
    "Refusal",
    (driver, boundary) => driver[kind]({ ...boundary, alongside: Effect.fail(new Refusal()) })
  ]),
  ["another predecessor", "SequenceMismatch", (driver, boundary) => driver.checkpoint({ ...boundary, after: 9 })],
  [
    "a run that is not open",
    "RunNotOpen",
    (driver, boundary) =>
      Effect.zipRight(driver.cancel({ runId: boundary.runId, reason: "enough" }), driver.checkpoint(boundary))
  ],
  [
    "messages that are no JSON",
    "InvalidInput",
    (driver, boundary) => driver.checkpoint({ ...boundary, delta: { append: [Number.NaN] } })
  ],
  [
    "another content than before",
    "ReceiptConflict",
    (driver, { runId, outbox }) =>
      Effect.zipRight(
        driver.checkpoint({ runId, after: 0 }),
        driver.checkpoint({ runId, after: 0, outbox: outbox!, delta: { append: [Session.user("other")] } })
      )
  ]
]

const refused = troubles.map(([what, tag, commit]) =>
  F.make(`I2: nothing leaves with ${what}`, (driver, drivers) =>
    Effect.gen(function*() {
      const to = yield* F.freshRuntimeId
      const { runId } = yield* F.running(driver)
      const error = yield* Effect.flip(commit(driver, { runId, outbox: [{ to, input: F.prompt("p") }] }))
      yield* expectEqual(error._tag, tag, "the error")
      yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
    }))
)

const targets: ReadonlyArray<readonly [what: string, to: string]> = [
  ["an empty name", ""],
  ["a name that is too long", "n".repeat(F.limits.idLengthMax + 1)],
  ["a name with NUL", "a\u0000"],
  ["a name with a lone surrogate", "\ud800"]
]

const good = F.prompt("good")

const invalid: ReadonlyArray<readonly [what: string, field: string, outgoing: (to: RuntimeId) => Outgoing]> = [
  ...targets.map(([what, to]) => [what, "runtimeId", () => ({ to, input: good })] as const),
  ["an input that its target could only reject", "input", (to) => ({
    to,
    input: F.prompt("p", { durability: "derived" })
  })],
  [
    "an id that is no UUID v7",
    "header.id",
    (to) => ({ to, input: F.prompt("p", { id: "1" as RuntimeId & "1" } as never) })
  ],
  ["an empty key", "header.idempotencyKey", (to) => ({ to, input: F.prompt("p", { key: "" }) })]
]

const checked = [
  ...invalid.map(([what, field, outgoing]) =>
    F.make(
      `I17: ${what} in an outbox is InvalidInput{${field}}, and nothing of the boundary is there`,
      (driver, drivers) =>
        Effect.gen(function*() {
          const to = yield* F.freshRuntimeId
          const { runId } = yield* F.running(driver)
          const boundary = driver.complete({ runId, outbox: [{ to, input: good }, outgoing(to)] })
          const error = yield* F.expectUnchanged(driver, expectFailure(boundary, "InvalidInput"))
          yield* expectEqual(error.field, field, "the field")
          yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
          yield* driver.complete({ runId })
        })
    )
  ),
  F.make(
    "I16: more than outboxMax inputs are InvalidInput{outbox}, and none of them leaves",
    (driver, drivers) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const { runId } = yield* F.running(driver)
        const outbox = Array.from({ length: F.limits.outboxMax + 1 }, (): Outgoing => ({ to, input: good }))
        const error = yield* F.expectUnchanged(driver, expectFailure(driver.note({ runId, outbox }), "InvalidInput"))
        yield* expectEqual(error.field, "outbox", "the field")
        yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
      })
  ),
  F.make(
    "I16: an input that is too large for its target is InputTooLarge, and nothing leaves",
    (driver, drivers) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const { runId } = yield* F.running(driver)
        const outbox = [{ to, input: good }, { to, input: F.prompt("x".repeat(F.limits.inputBytesMax)) }]
        yield* F.expectUnchanged(driver, expectFailure(driver.checkpoint({ runId, outbox }), "InputTooLarge"))
        yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
      })
  )
]

export const cases = [...committed, ...refused, ...checked]

export const durableCases = [
  F.makeDurable(
    "I1, I2: what left with a boundary is there after a crash, in its order",
    (driver, { drivers, restart }) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const { runId } = yield* F.running(driver)
        yield* driver.checkpoint({ runId, outbox: [{ to, input: F.prompt("a") }] })
        yield* driver.checkpoint({ runId, outbox: [{ to, input: F.prompt("b") }, { to, input: F.prompt("c") }] })
        yield* restart()
        yield* expectEqual(yield* texts(drivers, to), ["a", "b", "c"], "what waits")
      })
  ),
  F.makeDurable("I9: a loser's boundary sends nothing", (driver, { drivers, restart }) =>
    Effect.gen(function*() {
      const to = yield* F.freshRuntimeId
      const { runId } = yield* F.running(driver)
      yield* restart()
      const boundary = driver.checkpoint({ runId, outbox: [{ to, input: F.prompt("a") }] })
      yield* expectFailure(boundary, "OwnershipLost")
      yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
    }))
]
