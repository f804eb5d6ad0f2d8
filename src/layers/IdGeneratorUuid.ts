/**
 * Ids from the clock and the platform's cryptographic randomness.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as IdGenerator from "../services/IdGenerator.js"

const COUNTER_MAX = 0xffff_ffff
const POOL_WORDS = 512

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

/**
 * A generator of its own, with a counter of its own.
 *
 * Within one millisecond it counts: the 32 bits after the version start at random below 2^31 and go up by one, the last
 * 42 bits are random each time (RFC 9562, section 6.2, methods 1 and 2). A clock that stands still or goes back does
 * not disturb the order: the last time is used on, and taken one millisecond ahead if the counter is used up.
 *
 * @example
 * ```ts
 * import { IdGeneratorUuid } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const ids = Effect.gen(function*() {
 *   const generator = yield* IdGeneratorUuid.make
 *   return yield* Effect.replicateEffect(generator.next, 3)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<IdGenerator.IdGenerator["Type"]> = Effect.sync(() => {
  // One call for many ids: the call costs three times as much as all the rest of an id.
  const pool = new Uint32Array(POOL_WORDS)
  let poolUsed = POOL_WORDS
  const randomWord = (): number => {
    if (poolUsed === POOL_WORDS) {
      crypto.getRandomValues(pool)
      poolUsed = 0
    }
    return pool[poolUsed++]!
  }
  const seed = () => randomWord() >>> 1
  let lastMillis = -1
  let counter = 0

  // Not the `uuid` package: it counts only when it reads time and randomness by itself, so its v7 would have to be given
  // the time of Clock and a counter kept here, and what would be left to it are the lines that print the parts.
  const next = (nowMillis: number): string => {
    if (nowMillis > lastMillis) {
      lastMillis = nowMillis
      counter = seed()
    } else if (counter === COUNTER_MAX) {
      lastMillis += 1
      counter = seed()
    } else {
      counter += 1
    }
    const time = hex(lastMillis, 12)
    const high = hex(0x7000 + (counter >>> 20), 4)
    const middle = hex(0x8000 + ((counter >>> 6) & 0x3fff), 4)
    const low = hex((counter & 0x3f) * 2 ** 42 + (randomWord() & 0x3ff) * 2 ** 32 + randomWord(), 12)
    return `${time.slice(0, 8)}-${time.slice(8)}-${high}-${middle}-${low}`
  }

  // A clock before 1970 counts as one that stands still.
  return IdGenerator.IdGenerator.of({
    next: Effect.map(Clock.currentTimeMillis, (nowMillis) => next(Math.max(0, Math.floor(nowMillis))))
  })
})

/**
 * UUID v7, on every platform that has `crypto.getRandomValues`.
 *
 * @example
 * ```ts
 * import { IdGenerator, IdGeneratorUuid } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const id = Effect.flatMap(IdGenerator.IdGenerator, (ids) => ids.next).pipe(Effect.provide(IdGeneratorUuid.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<IdGenerator.IdGenerator> = Layer.effect(IdGenerator.IdGenerator, make)
