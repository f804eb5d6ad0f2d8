import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import { IdGenerator } from "../../src/services/IdGenerator.js"
import * as IdGeneratorSequence from "../../src/testing/IdGeneratorSequence.js"

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const next = Effect.flatMap(IdGenerator, (ids) => ids.next)
const millisOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
const isAscending = (ids: ReadonlyArray<string>) => ids.every((id, i) => i === 0 || ids[i - 1]! < id)

/** The 32 bits that count within a millisecond: 12 after the version, 20 after the variant. */
const counterOf = (id: string) => {
  const digits = id.replaceAll("-", "")
  const bits = BigInt(`0x${digits}`)
  return Number((((bits >> 64n) & 0xfffn) << 20n) | ((bits >> 42n) & 0xfffffn))
}

describe("IdGeneratorUuid", () => {
  it.effect("makes UUIDs of version 7 with the clock's time", () =>
    Effect.gen(function*() {
      for (const millis of [0, 1, 1_700_000_000_123, 2 ** 48 - 1]) {
        yield* TestClock.setTime(millis)
        const id = yield* next
        assert.match(id, uuidV7)
        assert.strictEqual(millisOf(id), millis)
      }
    }).pipe(Effect.provide(IdGeneratorUuid.layer)))

  it.effect("10 000 ids of one millisecond differ and ascend", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.replicateEffect(next, 10_000)
      assert.strictEqual(new Set(ids).size, 10_000)
      assert.isTrue(isAscending(ids))
      assert.isTrue(ids.every((id) => uuidV7.test(id) && millisOf(id) === 0))
    }).pipe(Effect.provide(IdGeneratorUuid.layer)))

  it.effect("10 000 ids of concurrent fibers differ", () =>
    Effect.gen(function*() {
      const fiber = Effect.replicateEffect(Effect.zipLeft(next, Effect.yieldNow()), 100)
      const ids = yield* Effect.replicateEffect(fiber, 100, { concurrency: "unbounded" })
      assert.strictEqual(new Set(ids.flat()).size, 10_000)
    }).pipe(Effect.provide(IdGeneratorUuid.layer)))

  it.effect("ids ascend with the clock, and also while it goes back", () =>
    Effect.gen(function*() {
      const ids: Array<string> = []
      for (const millis of [5, 6, 6, 1_000, 999, 0, -7, 1_000, 1_001]) {
        yield* TestClock.setTime(millis)
        ids.push(yield* next)
      }
      assert.isTrue(isAscending(ids))
      assert.deepStrictEqual(ids.map(millisOf), [5, 6, 6, 1_000, 1_000, 1_000, 1_000, 1_000, 1_001])
    }).pipe(Effect.provide(IdGeneratorUuid.layer)))

  it.effect("a clock before 1970 or between two milliseconds makes valid ids", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(-1)
      assert.strictEqual(millisOf(yield* next), 0)
      yield* TestClock.setTime(12.9)
      assert.strictEqual(millisOf(yield* next), 12)
    }).pipe(Effect.provide(IdGeneratorUuid.layer)))

  it.effect("the counter starts in its lower half and is carried by the bits of both fields", () =>
    Effect.gen(function*() {
      for (let millis = 1; millis <= 200; millis++) {
        yield* TestClock.setTime(millis)
        const [first, second] = yield* Effect.replicateEffect(next, 2)
        assert.isBelow(counterOf(first!), 2 ** 31)
        assert.strictEqual(counterOf(second!), counterOf(first!) + 1)
      }
    }).pipe(Effect.provide(IdGeneratorUuid.layer)))

  it.effect("two generators at the same time do not agree on an id", () =>
    Effect.gen(function*() {
      const generators = yield* Effect.replicateEffect(IdGeneratorUuid.make, 1_000)
      const ids = yield* Effect.forEach(generators, (ids) => ids.next)
      assert.strictEqual(new Set(ids).size, 1_000)
    }))
})

describe("IdGeneratorSequence", () => {
  it.effect("counts up from one in valid UUIDs of version 7", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.replicateEffect(next, 300)
      assert.deepStrictEqual(ids.slice(0, 2), [
        "00000000-002a-7000-8000-000000000001",
        "00000000-002a-7000-8000-000000000002"
      ])
      assert.isTrue(isAscending(ids))
      assert.isTrue(ids.every((id) => uuidV7.test(id)))
    }).pipe(Effect.provide(IdGeneratorSequence.layerSequence(42))))

  it.effect("two seeds have no id in common, one seed repeats", () =>
    Effect.gen(function*() {
      const of = (seed: number) => Effect.provide(next, IdGeneratorSequence.layerSequence(seed))
      assert.notStrictEqual(yield* of(1), yield* of(2))
      assert.strictEqual(yield* of(1), yield* of(1))
      assert.match(yield* of(2 ** 48 - 1), uuidV7)
    }))
})
