/**
 * Fresh names for inputs, runs, batches and claims.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * Makes ids. Tests replace it by one that counts.
 *
 * @example
 * ```ts
 * import { IdGenerator, IdGeneratorUuid } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const ids = yield* IdGenerator.IdGenerator
 *   return yield* ids.next
 * }).pipe(Effect.provide(IdGeneratorUuid.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class IdGenerator extends Context.Tag("effect-burrow/IdGenerator")<IdGenerator, {
  /**
   * A UUID v7 (RFC 9562) in lower case that was not handed out before, its time in milliseconds from `Clock`. The ids
   * of one generator sort in the order in which they were made. Nothing may depend on the order of ids of different
   * generators (I18).
   */
  readonly next: Effect.Effect<string>
}>() {}
