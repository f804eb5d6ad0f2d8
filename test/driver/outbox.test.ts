import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { test } from "./faulty.js"

const to = "other"

const kinds = ["checkpoint", "note", "complete"] as const

const boundaryOf = (driver: Service, kind: typeof kinds[number]) =>
  Effect.map(
    F.running(driver),
    ({ runId }) => driver[kind]({ runId, after: 0, outbox: [{ to, input: F.prompt("out", { key: "k" }) }] })
  )

describe("what leaves with a boundary that the store has trouble with", () => {
  for (const kind of kinds) {
    for (const fate of ["fail", "busy", "die", "stale"] as const) {
      test(`I2: nothing leaves when a ${kind} is not written (${fate})`, ({ driver, drivers, faults }) =>
        Effect.gen(function*() {
          const boundary = yield* boundaryOf(driver, kind)
          faults.next(fate)
          yield* Effect.exit(boundary)
          assert.deepStrictEqual(yield* drivers.store.loadDeposits(), [])
        }))
    }

    test(`I2, I12: it leaves once when a ${kind} in doubt turns out committed`, ({ driver, drivers, faults }) =>
      Effect.gen(function*() {
        const boundary = yield* boundaryOf(driver, kind)
        faults.next("committed")
        assert.isFalse((yield* boundary).alreadyApplied)
        assert.isTrue((yield* boundary).alreadyApplied)
        const found = yield* drivers.store.loadDeposits()
        assert.deepStrictEqual(found.map(({ runtimeId }) => runtimeId as string), [to])
      }))

    test(`I2, I12: it leaves with the repetition when a ${kind} in doubt turns out absent`, ({ driver, drivers, faults }) =>
      Effect.gen(function*() {
        const boundary = yield* boundaryOf(driver, kind)
        faults.next("lost")
        assert.strictEqual((yield* Effect.flip(boundary))._tag, "WriteFailed")
        assert.deepStrictEqual(yield* drivers.store.loadDeposits(), [])
        assert.isFalse((yield* boundary).alreadyApplied)
        assert.strictEqual((yield* drivers.store.loadDeposits()).length, 1)
      }))
  }
})
