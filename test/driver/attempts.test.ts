import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { InputId } from "../../src/schema/Ids.js"
import type { Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver } from "./bench.js"

const attempts = (driver: Service, ids: ReadonlyArray<InputId>) =>
  Effect.forEach(ids, (id) => Effect.map(F.head(driver, id), ({ attempt }) => attempt))

describe("batches that lost a member", () => {
  it.effect("I13: a fresh input that goes with what has been tried before is charged for itself alone", () =>
    withDriver({}, ({ driver }) =>
      Effect.gen(function*() {
        const [a] = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b", { scope: "s" })])
        yield* F.fail(driver, yield* F.stageOf(driver, ["a", "b"]))
        const [fresh] = yield* F.acceptAll(driver, [F.flow("B", { scope: "s" })])
        const ids = [a!, fresh!]
        assert.deepStrictEqual(yield* attempts(driver, ids), [1, 0])
        const { runId } = yield* F.stageOf(driver, ["a", "B"])
        assert.deepStrictEqual(yield* attempts(driver, ids), [2, 1])
        yield* driver.giveBack({ runId })
        assert.deepStrictEqual(yield* attempts(driver, ids), [1, 0])
        yield* F.expectConsistent(driver)
      })))

  it.effect("I13: recovery dissolves a batch without a receipt that lost an ephemeral member", () =>
    withDriver({}, ({ driver, restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("e", { durability: "ephemeral" })])
        const first = yield* F.stageOf(driver, ["a", "e"])
        const again = yield* restart()
        const second = yield* F.stageOf(again, ["a"])
        assert.notStrictEqual(second.idempotencyKey, first.idempotencyKey)
        assert.strictEqual(second.attempt, 2)
        yield* F.expectConsistent(again)
      })))

  it.effect("I13: recovery keeps a batch with a receipt that lost an ephemeral member", () =>
    withDriver({}, ({ driver, restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("e", { durability: "ephemeral" })])
        const first = yield* F.stageOf(driver, ["a", "e"])
        yield* driver.checkpoint({ runId: first.runId })
        const second = yield* F.stageOf(yield* restart(), ["a"])
        assert.strictEqual(second.idempotencyKey, first.idempotencyKey)
      })))
})

describe("the last attempt of a run that its process took with it", () => {
  const limits = { attemptsMax: 1 }

  it.effect("I13: policy hold holds it as in_doubt", () =>
    withDriver({ limits }, ({ driver, restart }) =>
      Effect.gen(function*() {
        const { inputs } = yield* F.running(driver)
        const again = yield* restart("hold")
        const { hold, phase } = yield* F.head(again, inputs[0]!.head.id)
        assert.deepStrictEqual([phase, hold], ["held", "in_doubt"])
        yield* F.expectConsistent(again)
      })))

  it.effect("I13: policy settle ends it as outcome_unknown", () =>
    withDriver({ limits }, ({ driver, restart }) =>
      Effect.gen(function*() {
        const { inputs } = yield* F.running(driver)
        const again = yield* restart("settle")
        const { outcome } = yield* F.head(again, inputs[0]!.head.id)
        assert.deepStrictEqual(outcome, { _tag: "abandoned", reason: { _tag: "outcome_unknown" } })
      })))

  it.effect("I13: policy hold gives it one more attempt when an operator releases it", () =>
    withDriver({ limits }, ({ driver, restart }) =>
      Effect.gen(function*() {
        const { inputs } = yield* F.running(driver)
        const again = yield* restart("hold")
        yield* again.release(inputs[0]!.head.id)
        const { afterLoss, attempt } = yield* F.stageOf(again, ["go"])
        assert.deepStrictEqual([attempt, afterLoss], [1, false])
      })))

  it.effect("I13: policy retry ends it as max_attempts_exhausted when it would be staged", () =>
    withDriver({ limits }, ({ driver, restart }) =>
      Effect.gen(function*() {
        const { inputs } = yield* F.running(driver)
        const again = yield* restart("retry")
        yield* F.nothing(again)
        const { outcome } = yield* F.head(again, inputs[0]!.head.id)
        assert.deepStrictEqual(outcome, {
          _tag: "abandoned",
          reason: { _tag: "max_attempts_exhausted", attempts: 1 }
        })
      })))
})
