/**
 * Ids that a test can foretell.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as IdGenerator from "../services/IdGenerator.js"

const hex = (value: number) => value.toString(16).padStart(12, "0")

/**
 * Valid UUIDs v7 that count up from one: `prefixSeed`, an integer from 0 to 2^48 - 1, stands where the time is, the
 * count in the last 12 digits. Two generators in one test get two seeds, or they hand out the same ids.
 *
 * @example
 * ```ts
 * import { IdGenerator } from "effect-burrow"
 * import { IdGeneratorSequence } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 *
 * // "00000000-0007-7000-8000-000000000001"
 * const first = Effect.flatMap(IdGenerator.IdGenerator, (ids) => ids.next).pipe(
 *   Effect.provide(IdGeneratorSequence.layerSequence(7))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSequence = (prefixSeed: number): Layer.Layer<IdGenerator.IdGenerator> =>
  Layer.sync(IdGenerator.IdGenerator, () => {
    const prefix = hex(prefixSeed)
    let count = 0
    return {
      next: Effect.sync(() => {
        count += 1
        return `${prefix.slice(0, 8)}-${prefix.slice(8)}-7000-8000-${hex(count)}`
      })
    }
  })
