import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Envelope from "../../src/schema/Envelope.js"
import { Input } from "../../src/schema/Input.js"
import { Json } from "../../src/schema/Json.js"

interface V1 {
  readonly name: string
}

/** Version 1 had a name, version 2 split it, version 3 counts its readings. */
const versions: { readonly [version: number]: (value: Json) => Json } = {
  1: (value) => {
    const [first = "", last = ""] = (value as unknown as V1).name.split(" ")
    return { first, last }
  },
  2: (value) => ({ ...(value as object), read: 0 })
}
const schema = Schema.Struct({ first: Schema.String, last: Schema.String, read: Schema.NonNegativeInt })
const person = Envelope.make({ kind: "person", version: 3, schema, upcasters: versions })
const stored = (version: unknown, value: unknown, kind: unknown = "person") => JSON.stringify({ kind, version, value })

const problem = (text: string) => Either.getOrThrow(Either.flip(person.decode(text)))
const malformed = (text: string) => {
  const found = problem(text)
  return found._tag === "Malformed" ? [found.field, found.problem] : assert.fail("not malformed")
}

describe("Envelope", () => {
  it("writes kind and version, and reads what it wrote", () => {
    const value = { first: "Ada", last: "Lovelace", read: 2 }
    const text = Either.getOrThrow(person.encode(value))
    assert.deepStrictEqual(JSON.parse(text), { kind: "person", version: 3, value })
    assert.deepStrictEqual(Either.getOrThrow(person.decode(text)), value)
  })

  it("upcasts an older record step by step", () => {
    const ada = { first: "Ada", last: "Lovelace", read: 0 }
    assert.deepStrictEqual(Either.getOrThrow(person.decode(stored(1, { name: "Ada Lovelace" }))), ada)
    assert.deepStrictEqual(Either.getOrThrow(person.decode(stored(2, { first: "Ada", last: "Lovelace" }))), ada)
  })

  it("an upcast record is checked like any other", () =>
    assert.deepStrictEqual(malformed(stored(2, { first: 1, last: "L" })), ["first", "expected string, found a number"]))

  it("a record that an upcaster cannot take is malformed, not a defect", () =>
    assert.deepStrictEqual(malformed(stored(1, { name: 5 })), ["$", "is no record of version 1"]))

  it("a newer record is from the future, whatever it holds", () =>
    assert.deepInclude(problem(stored(4, { anything: true })), {
      _tag: "FromTheFuture",
      kind: "person",
      version: 4,
      known: 3
    }))

  it("a record whose upcaster is gone can no longer be read", () => {
    const partial = Envelope.make({ kind: "person", version: 3, schema, upcasters: { 2: versions[2]! } })
    assert.isTrue(Either.isRight(partial.decode(stored(2, { first: "Ada", last: "L" }))))
    const left = Either.getOrThrow(Either.flip(partial.decode(stored(1, { name: "Ada L" }))))
    assert.deepInclude(left, { _tag: "Malformed", field: "version", problem: "version 1 can no longer be read" })
    for (const version of [0, -1]) {
      assert.deepStrictEqual(malformed(stored(version, {})), ["version", `version ${version} can no longer be read`])
    }
  })

  it("another kind, or none, is not read", () => {
    for (const kind of ["animal", null, 5]) {
      assert.deepStrictEqual(malformed(stored(3, {}, kind)), ["kind", "expected a record of kind person"])
    }
    assert.deepStrictEqual(malformed("{}")[0], "kind")
  })

  it("a missing version, or one that is no whole number, is named by its kind", () => {
    const words: ReadonlyArray<readonly [unknown, string]> = [
      [undefined, "missing"],
      ["3", "a string"],
      [null, "null"],
      [1.5, "a number"],
      [{}, "an object"]
    ]
    for (const [version, found] of words) {
      assert.deepStrictEqual(malformed(stored(version, {})), ["version", `expected a number, found ${found}`])
    }
  })

  it("what is no JSON, or no record, is malformed at the root", () => {
    for (const text of ["", "{", "nonsense", "null", "[]", "5", "\"text\"", "{\"kind\":\"person\""]) {
      assert.deepStrictEqual(malformed(text), ["$", "expected a JSON record"])
    }
  })

  it("a missing value is named", () =>
    assert.deepStrictEqual(malformed(stored(3, undefined)), [
      "$",
      "expected { readonly first: string; readonly last: string; readonly read: NonNegativeInt }, found missing"
    ]))

  it("the field's path and the value's kind are named", () => {
    const cases: ReadonlyArray<readonly [value: unknown, field: string, problem: string]> = [
      [{ first: "a", last: "b" }, "read", "is missing"],
      [{ first: "a", last: ["b"], read: 0 }, "last", "expected string, found an array of 1"],
      [{ first: "a", last: "b", read: -1 }, "read", "expected NonNegative, found a number that is not"],
      [{ first: "a", last: null, read: 0 }, "last", "expected string, found null"]
    ]
    for (const [value, field, problem] of cases) assert.deepStrictEqual(malformed(stored(3, value)), [field, problem])
  })

  it("in a union the member whose tag matches says what is wrong", () => {
    const inputs = Envelope.make({ kind: "input", version: 1, schema: Input })
    const header = { id: "x" }
    const text = JSON.stringify({ kind: "input", version: 1, value: { _tag: "prompt", header, content: [] } })
    assert.deepInclude(Either.getOrThrow(Either.flip(inputs.decode(text))), { field: "header.id" })
  })

  it("a value that does not fit its schema, or has no JSON form, is not written", () => {
    const left = Either.getOrThrow(Either.flip(person.encode({ first: "a", last: "b", read: -1 })))
    assert.deepInclude(left, { _tag: "Malformed", field: "read" })
    const anything = Envelope.make({ kind: "any", version: 1, schema: Schema.Struct({ data: Json }) })
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (const data of [1n, cycle]) {
      const refused = Either.getOrThrow(Either.flip(anything.encode({ data: data as never })))
      assert.deepInclude(refused, { _tag: "Malformed", problem: "has no JSON form" })
    }
  })
})
