/**
 * JSON values and their one canonical text (RFC 8785), over which revisions and digests are taken.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * What JSON can say, as far as types can tell: `canonical` finds the rest, non-finite numbers and lone surrogates.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/**
 * Any JSON value. The shape is checked where a canonical text is made of it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Json: Schema.Schema<Json> = Schema.Unknown.annotations({
  identifier: "Json",
  arbitrary: () => (fc) => fc.jsonValue()
}) as unknown as Schema.Schema<Json>

/**
 * A value that has no canonical JSON text: where it is and what kind of value it is, never the value itself.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotCanonical extends Data.TaggedError("NotCanonical")<{ readonly path: string; readonly kind: string }> {
  override get message(): string {
    return `${this.path === "" ? "the value" : this.path} is ${this.kind}, which has no JSON form`
  }
}

const DEPTH_MAX = 512

/**
 * The canonical JSON text of a value: keys sorted by UTF-16 code units, no white space, numbers as ECMAScript prints
 * them. Refused are values outside JSON (`undefined` among array items, bytes, functions, non-finite numbers), lone
 * surrogates, and nesting over 512 levels. Members that are `undefined` are left out, as `JSON.stringify` does.
 *
 * @example
 * ```ts
 * import { Json } from "effect-burrow"
 *
 * const a = Json.canonical({ to: "ana", cents: 1e3 }) // right: {"cents":1000,"to":"ana"}
 * const b = Json.canonical({ cents: Number.NaN }) // left: cents is a non-finite number, which has no JSON form
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const canonical = (value: unknown): Either.Either<string, NotCanonical> => {
  try {
    return Either.right(write(value, "", 0))
  } catch (problem) {
    if (problem instanceof NotCanonical) return Either.left(problem)
    throw problem
  }
}

const text = (value: string, path: string): string => {
  if (!value.isWellFormed()) throw new NotCanonical({ path, kind: "a string with a lone surrogate" })
  return JSON.stringify(value)
}

const write = (value: unknown, path: string, depth: number): string => {
  if (depth > DEPTH_MAX) throw new NotCanonical({ path, kind: `nested over ${DEPTH_MAX} levels` })
  if (value === null || typeof value === "boolean") return String(value)
  if (typeof value === "string") return text(value, path)
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new NotCanonical({ path, kind: "a non-finite number" })
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item, i) => write(item, `${path}[${i}]`, depth + 1)).join(",")}]`
  }
  if (typeof value === "object" && isPlain(value)) {
    const members = Object.keys(value).sort().flatMap((key) => {
      const member = (value as Record<string, unknown>)[key]
      const at = path === "" ? key : `${path}.${key}`
      return member === undefined ? [] : [`${text(key, at)}:${write(member, at, depth + 1)}`]
    })
    return `{${members.join(",")}}`
  }
  throw new NotCanonical({ path, kind: kindOf(value) })
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/**
 * What kind of value it is, in words that betray nothing of its content.
 *
 * @since 0.1.0
 * @category diagnostics
 */
export const kindOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`
  if (typeof value === "undefined") return "missing"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}
