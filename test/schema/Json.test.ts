import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { canonical, kindOf } from "../../src/schema/Json.js"

const ok = (value: unknown): string => Either.getOrThrow(canonical(value))
const refused = (value: unknown) => Either.getOrThrow(Either.flip(canonical(value)))

const nested = (levels: number): unknown => {
  let value: unknown = []
  for (let i = 1; i < levels; i++) value = [value]
  return value
}

const vectors: ReadonlyArray<readonly [what: string, value: unknown, text: string]> = [
  ["keys sorted, no white space", { b: 1, a: [true, null, {}] }, "{\"a\":[true,null,{}],\"b\":1}"],
  // U+10000 is two units from 0xD800 on, so it sorts before U+FFFF though its code point is higher.
  ["keys by UTF-16 units, not by code points", { "\uffff": 1, "\u{10000}": 2 }, "{\"\u{10000}\":2,\"\uffff\":1}"],
  ["keys that look like numbers by their text", { 10: 1, 9: 2, 1: 3 }, "{\"1\":3,\"10\":1,\"9\":2}"],
  ["an empty key first", { a: 1, "": 2 }, "{\"\":2,\"a\":1}"],
  ["capitals before small letters", { a: 1, B: 2, A: 3 }, "{\"A\":3,\"B\":2,\"a\":1}"],
  ["1e21 with an exponent", 1e21, "1e+21"],
  ["1e20 without", 1e20, "100000000000000000000"],
  ["negative zero as zero", -0, "0"],
  ["1e-7 with an exponent", 1e-7, "1e-7"],
  ["1e-6 without", 1e-6, "0.000001"],
  ["a whole float as an integer", 1.0, "1"],
  ["the shortest text that reads back", 0.1 + 0.2, "0.30000000000000004"],
  ["the largest safe integer", Number.MAX_SAFE_INTEGER, "9007199254740991"],
  ["the smallest positive number", 5e-324, "5e-324"],
  ["the largest number", Number.MAX_VALUE, "1.7976931348623157e+308"],
  ["Unicode as it is", "€ ö \u{1f600}", "\"€ ö \u{1f600}\""],
  [
    "controls escaped, short where there is a short form",
    "\u0000\b\t\n\u000b\f\r\u001f\"\\/",
    "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\""
  ],
  ["delete and line separators as they are", "\u007f\u2028", "\"\u007f\u2028\""],
  ["members that are undefined left out", { a: undefined, b: 1 }, "{\"b\":1}"],
  ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), "{\"a\":1}"],
  ["a key named __proto__", JSON.parse("{\"__proto__\":1}"), "{\"__proto__\":1}"],
  ["nothing inherited", Object.create(Object.prototype, { hidden: { value: 1, enumerable: false } }), "{}"]
]

const refusals: ReadonlyArray<readonly [what: string, value: unknown, path: string, kind: string]> = [
  ["bytes", { a: [new Uint8Array(3)] }, "a[0]", "3 bytes"],
  ["dates", { a: { b: new Date(0) } }, "a.b", "an object"],
  ["maps", [new Map()], "[0]", "an object"],
  ["functions", { f: () => 1 }, "f", "a function"],
  ["bigints", { n: 1n }, "n", "a bigint"],
  ["symbols", { s: Symbol("s") }, "s", "a symbol"],
  ["NaN", { n: NaN }, "n", "a non-finite number"],
  ["infinity", [0, -Infinity], "[1]", "a non-finite number"],
  ["undefined among items", [undefined], "[0]", "missing"],
  // eslint-disable-next-line no-sparse-arrays
  ["holes among items", [1, , 2], "[1]", "missing"],
  ["undefined itself", undefined, "", "missing"],
  ["lone surrogates in values", { a: "x\ud800" }, "a", "a string with a lone surrogate"],
  ["lone surrogates in keys", { "\udc00": 1 }, "\udc00", "a string with a lone surrogate"],
  ["instances of classes", { e: new Error("e") }, "e", "an object"],
  ["boxed values", { e: new String("e") }, "e", "an object"]
]

describe("Json.canonical", () => {
  for (const [what, value, text] of vectors) it(`writes ${what}`, () => assert.strictEqual(ok(value), text))

  for (const [what, value, path, kind] of refusals) {
    it(`refuses ${what}, naming the place and the kind`, () => assert.deepInclude(refused(value), { path, kind }))
  }

  it("refuses nesting over 512 levels, and what contains itself", () => {
    assert.strictEqual(ok(nested(512)).length, 1_024)
    assert.strictEqual(ok(nested(513)).length, 1_026)
    assert.strictEqual(refused(nested(514)).kind, "nested over 512 levels")
    const cycle: Array<unknown> = []
    cycle.push(cycle)
    assert.strictEqual(refused(cycle).kind, "nested over 512 levels")
  })

  it("refusals never contain the value", () => {
    const secret = "hunter2"
    for (
      const value of [{ a: `${secret}\ud800` }, { a: new Map([[secret, secret]]) }, [Symbol(secret)], new Error(secret)]
    ) {
      const problem = refused(value)
      assert.notInclude(`${problem.message} ${problem.path} ${problem.kind} ${JSON.stringify(problem)}`, secret)
    }
  })

  it.prop("canonical(parse(canonical(x))) is canonical(x)", [FastCheck.jsonValue()], ([value]) => {
    assert.strictEqual(ok(JSON.parse(ok(value))), ok(value))
  })

  const shuffled = FastCheck.dictionary(FastCheck.string({ unit: "grapheme" }), FastCheck.jsonValue()).chain((record) =>
    FastCheck.tuple(
      FastCheck.constant(record),
      FastCheck.shuffledSubarray(Object.entries(record), { minLength: Object.keys(record).length })
    )
  )

  it.prop("the order of keys makes no difference", [shuffled], ([[record, entries]]) => {
    assert.strictEqual(ok(Object.fromEntries(entries)), ok(record))
  })

  it.prop(
    "values are equal if and only if their texts are",
    [FastCheck.jsonValue(), FastCheck.jsonValue()],
    ([a, b]) => {
      const alike = (value: unknown) => JSON.parse(ok(value)) as unknown
      let equal = true
      try {
        assert.deepStrictEqual(alike(a), alike(b))
      } catch {
        equal = false
      }
      assert.strictEqual(ok(a) === ok(b), equal)
    }
  )
})

describe("Json.kindOf", () => {
  it("names the kind in words that betray nothing", () =>
    assert.deepStrictEqual(
      [null, [1, 2], new Uint8Array(4), undefined, {}, "s", 1, true, 1n, () => 1].map(kindOf),
      [
        "null",
        "an array of 2",
        "4 bytes",
        "missing",
        "an object",
        "a string",
        "a number",
        "a boolean",
        "a bigint",
        "a function"
      ]
    ))
})
