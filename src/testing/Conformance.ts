/**
 * Contracts as data: a case is one sentence of a contract and an effect that fails if the sentence does not hold. The
 * cases need no test framework; `BlobStoreConformance` shows how to run them.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * One sentence of a contract. `run` needs an implementation of the contract, `R`, and fails if the sentence does not
 * hold for it. Cases are independent of each other and of their order; each may have an implementation of its own.
 *
 * @example
 * ```ts
 * import { IdGenerator } from "effect-burrow"
 * import { Conformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 *
 * const neverTwice: Conformance.Case<IdGenerator.IdGenerator> = {
 *   name: "an id is not handed out twice",
 *   run: Effect.gen(function*() {
 *     const ids = yield* IdGenerator.IdGenerator
 *     yield* Conformance.check((yield* ids.next) !== (yield* ids.next), "the second id differs from the first")
 *   })
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Case<R> {
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R>
}

/**
 * An implementation did otherwise than its contract says.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConformanceFailure
  extends Schema.TaggedError<ConformanceFailure>("effect-burrow/ConformanceFailure")("ConformanceFailure", {
    /** What should have happened. */
    expectation: Schema.String,
    /** What happened instead, where it can be shown. */
    actual: Schema.optionalWith(Schema.String, { exact: true })
  })
{
  override get message(): string {
    return this.actual === undefined
      ? `Expected: ${this.expectation}`
      : `Expected: ${this.expectation}, got ${this.actual}`
  }
}

const SHOWN_LENGTH_MAX = 500

const show = (value: unknown): string => {
  const text = value instanceof Uint8Array
    ? `${value.length} bytes [${value.subarray(0, 32).join(", ")}${value.length > 32 ? ", ..." : ""}]`
    : Inspectable.toStringUnknown(value, 0)
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}...` : text
}

const isIterable = (value: object): value is Iterable<unknown> => Symbol.iterator in value

/**
 * Whether two values are alike: by `Equal`, or of one class with contents that are alike. Contents are the items of what
 * can be iterated (arrays, bytes, maps, sets, chunks), in order, and the own enumerable members of everything else.
 * Values that contain themselves are not supported.
 *
 * @example
 * ```ts
 * import { Conformance } from "effect-burrow/testing"
 *
 * Conformance.isAlike({ bytes: Uint8Array.of(1, 2) }, { bytes: Uint8Array.of(1, 2) }) // true
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAlike = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b) || Equal.equals(a, b)) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (a instanceof Date || a instanceof URL) return false
  // An effect, as `Option` and `Either` are, iterates over nothing but itself.
  if (isIterable(a) && isIterable(b) && !Effect.isEffect(a)) {
    const [itemsA, itemsB] = [Array.from(a), Array.from(b)]
    return itemsA.length === itemsB.length && itemsA.every((item, i) => isAlike(item, itemsB[i]))
  }
  if (a instanceof Error && b instanceof Error && a.message !== b.message) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isAlike(Reflect.get(a, key), Reflect.get(b, key)))
}

/**
 * Fails with `ConformanceFailure` unless the condition holds. The sentence says what should hold.
 *
 * @example
 * ```ts
 * import { Conformance } from "effect-burrow/testing"
 *
 * const checked = Conformance.check(1 + 1 === 2, "one and one are two")
 * ```
 *
 * @since 0.1.0
 * @category assertions
 */
export const check = (condition: boolean, sentence: string): Effect.Effect<void, ConformanceFailure> =>
  condition ? Effect.void : new ConformanceFailure({ expectation: sentence })

/**
 * Fails with `ConformanceFailure`, which shows both, unless the values are alike (see `isAlike`).
 *
 * @example
 * ```ts
 * import { Conformance } from "effect-burrow/testing"
 *
 * const checked = Conformance.expectEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 2), "the bytes that were put")
 * ```
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectEqual = <A>(
  actual: A,
  expected: NoInfer<A>,
  sentence?: string
): Effect.Effect<void, ConformanceFailure> =>
  isAlike(actual, expected)
    ? Effect.void
    : new ConformanceFailure({
      expectation: sentence === undefined ? show(expected) : `${sentence}: ${show(expected)}`,
      actual: show(actual)
    })

/**
 * Runs an effect that should fail with the error of this tag, and answers that error. Success, another error or a
 * defect is a `ConformanceFailure`.
 *
 * @example
 * ```ts
 * import { BlobStore } from "effect-burrow"
 * import { Conformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 *
 * const refused = Effect.gen(function*() {
 *   const blobs = yield* BlobStore.BlobStore
 *   const error = yield* Conformance.expectFailure(blobs.get("no id"), "BlobInvalidId")
 *   return error.blobId // "no id"
 * })
 * ```
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectFailure = <A, E extends { readonly _tag: string }, R, const Tag extends E["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, ConformanceFailure, R> =>
  Effect.flatMap(Effect.exit(effect), (exit) => {
    const expectation = `a failure with ${tag}`
    if (Exit.isSuccess(exit)) {
      return new ConformanceFailure({ expectation, actual: `success with ${show(exit.value)}` })
    }
    const error = Option.filter(Cause.failureOption(exit.cause), Predicate.isTagged(tag))
    return Option.isSome(error)
      ? Effect.succeed(error.value as Extract<E, { readonly _tag: Tag }>)
      : new ConformanceFailure({ expectation, actual: show(Cause.pretty(exit.cause)) })
  })
