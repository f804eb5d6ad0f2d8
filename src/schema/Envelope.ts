/**
 * How records are stored: with their kind and version, so that a later library can read them and an older one knows
 * that it cannot.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { type Json, kindOf } from "./Json.js"

/**
 * A record that is not what it should be: the field, and what was expected and found there in words. Never the value.
 *
 * @since 0.1.0
 * @category errors
 */
export class Malformed extends Data.TaggedError("Malformed")<{ readonly field: string; readonly problem: string }> {
  override get message(): string {
    return `${this.field}: ${this.problem}`
  }
}

/**
 * A record written by a newer library.
 *
 * @since 0.1.0
 * @category errors
 */
export class FromTheFuture
  extends Data.TaggedError("FromTheFuture")<{ readonly kind: string; readonly version: number; readonly known: number }>
{}

/**
 * Reads and writes one kind of record as text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Envelope<A> {
  readonly kind: string
  readonly version: number
  readonly encode: (value: A) => Either.Either<string, Malformed>
  readonly decode: (text: string) => Either.Either<A, Malformed | FromTheFuture>
}

/**
 * An envelope for records of `kind`, written in `version`. `upcasters[v]` turns the JSON value of version `v` into that
 * of version `v + 1`; there is one for every older version that can still be read, and it is pure and total on records
 * of its version.
 *
 * @example
 * ```ts
 * import { Envelope } from "effect-burrow"
 * import * as Schema from "effect/Schema"
 *
 * const recipe = Envelope.make({
 *   kind: "recipe",
 *   version: 2,
 *   schema: Schema.Struct({ name: Schema.String, minutes: Schema.NullOr(Schema.Number) }),
 *   upcasters: { 1: (value) => ({ name: value as string, minutes: null }) } // version 1 was the name alone
 * })
 *
 * const old = recipe.decode(`{"kind":"recipe","version":1,"value":"Omelette"}`)
 * // right: { name: "Omelette", minutes: null }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, I>(options: {
  readonly kind: string
  readonly version: number
  readonly schema: Schema.Schema<A, I>
  readonly upcasters?: { readonly [version: number]: (value: Json) => Json }
}): Envelope<A> => {
  const { kind, schema, upcasters = {}, version } = options
  const encodeValue = Schema.encodeEither(schema)
  const decodeValue = Schema.decodeUnknownEither(schema)
  return {
    kind,
    version,
    encode: (value) =>
      encodeValue(value).pipe(
        Either.mapLeft(describe),
        Either.flatMap((encoded) =>
          Either.try({
            try: () => JSON.stringify({ kind, version, value: encoded }),
            // `Json` fields are not checked by their schema: a bigint or a cycle is met here first.
            catch: () => new Malformed({ field: "$", problem: "has no JSON form" })
          })
        )
      ),
    decode: (text) => {
      const record = parse(text)
      if (!isRecord(record)) return Either.left(new Malformed({ field: "$", problem: "expected a JSON record" }))
      if (record.kind !== kind) {
        return Either.left(new Malformed({ field: "kind", problem: `expected a record of kind ${kind}` }))
      }
      if (!Number.isSafeInteger(record.version)) {
        return Either.left(
          new Malformed({ field: "version", problem: `expected a number, found ${kindOf(record.version)}` })
        )
      }
      const found = record.version as number
      if (found > version) return Either.left(new FromTheFuture({ kind, version: found, known: version }))
      let value = record.value as Json
      for (let v = found; v < version; v++) {
        const upcast = upcasters[v]
        if (upcast === undefined) {
          return Either.left(new Malformed({ field: "version", problem: `version ${found} can no longer be read` }))
        }
        try {
          value = upcast(value)
        } catch {
          // Total on records of its version: this is none.
          return Either.left(new Malformed({ field: "$", problem: `is no record of version ${v}` }))
        }
      }
      return Either.mapLeft(decodeValue(value), describe)
    }
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is { kind?: unknown; version?: unknown; value?: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * The first problem of a parse error as field, expectation and kind of value. Schema's own messages print the value,
 * which may be a secret or a megabyte.
 *
 * @since 0.1.0
 * @category diagnostics
 */
export const describe = (error: ParseResult.ParseError): Malformed => {
  const walk = (issue: ParseResult.ParseIssue, path: ReadonlyArray<PropertyKey>): Malformed => {
    switch (issue._tag) {
      case "Pointer":
        return walk(issue.issue, path.concat(issue.path))
      case "Composite":
        return walk(deepest(issue.issues), path)
      case "Refinement":
      case "Transformation":
        return issue._tag === "Refinement" && issue.kind === "Predicate"
          ? found(path, `expected ${expectation(issue.ast)}, found ${kindOf(issue.actual)} that is not`)
          : walk(issue.issue, path)
      case "Missing":
        return found(path, "is missing")
      case "Unexpected":
        return found(path, "is not expected here")
      case "Type":
      case "Forbidden":
        return found(path, `expected ${expectation(issue.ast)}, found ${kindOf(issue.actual)}`)
    }
  }
  return walk(error.issue, [])
}

/** Among the members of a union the one that got furthest says most: its tag matched. */
const deepest = (issues: ParseResult.SingleOrNonEmpty<ParseResult.ParseIssue>): ParseResult.ParseIssue => {
  if (!Array.isArray(issues)) return issues as ParseResult.ParseIssue
  const all = issues as ReadonlyArray<ParseResult.ParseIssue>
  return all.reduce((a, b) => depth(b) > depth(a) ? b : a)
}

const depth = (issue: ParseResult.ParseIssue): number => {
  switch (issue._tag) {
    case "Pointer":
      return 1 + (issue.path === "_tag" ? 0 : 2) + depth(issue.issue)
    case "Composite":
      return depth(deepest(issue.issues))
    case "Refinement":
    case "Transformation":
      return depth(issue.issue)
    default:
      return 0
  }
}

const found = (path: ReadonlyArray<PropertyKey>, problem: string): Malformed =>
  new Malformed({ field: path.length === 0 ? "$" : path.map(String).join("."), problem })

/** The schema's name for itself, cut short: large unions describe themselves at length. */
const expectation = (ast: { toString(): string }): string => {
  const text = String(ast)
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
