import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import { type Line, LINE_BYTES_MAX, nonEmptyLines } from "../../examples/quickstart/lines.js"

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const read = (...pieces: ReadonlyArray<Uint8Array>) =>
  Effect.map(Stream.runCollect(nonEmptyLines(Stream.fromIterable(pieces))), Chunk.toReadonlyArray)

const numbered = (text: string): ReadonlyArray<Line> =>
  text.split("\n").map((line, i) => ({ number: i + 1, text: line.replace(/\r$/, "") })).filter(({ text }) =>
    text !== ""
  )

describe("the lines of a text", () => {
  it.effect("are numbered from 1, empty ones included, and end with LF or CRLF or the text", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read(encode("one\n\n\r\nfour\r\n  \nsix")), [
        { number: 1, text: "one" },
        { number: 4, text: "four" },
        { number: 5, text: "  " },
        { number: 6, text: "six" }
      ])
    }))

  it.effect("of an empty text are none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read(), [])
      assert.deepStrictEqual(yield* read(encode("\n\r\n\n")), [])
    }))

  it.effect("a byte order mark in front of them is no text, and one inside them is", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read(encode("\ufeffone\n\ufefftwo\n")), [
        { number: 1, text: "one" },
        { number: 2, text: "\ufefftwo" }
      ])
    }))

  it.prop(
    "are the same however the text comes in pieces",
    {
      text: FastCheck.array(FastCheck.constantFrom("a", "é", "土", "🐾", "\n", "\r\n", " ")).map((parts) =>
        parts.join("")
      ),
      size: FastCheck.integer({ min: 1, max: 5 })
    },
    ({ size, text }) => {
      const bytes = encode(text)
      const pieces = Array.from(
        { length: Math.ceil(bytes.length / size) },
        (_, i) => bytes.subarray(i * size, (i + 1) * size)
      )
      assert.deepStrictEqual(Effect.runSync(read(...pieces)), numbered(text))
    }
  )

  it.effect("can be read twice from one stream", () =>
    Effect.gen(function*() {
      const lines = nonEmptyLines(Stream.make(encode("one\ntw"), encode("o")))
      assert.deepStrictEqual(yield* Stream.runCollect(lines), yield* Stream.runCollect(lines))
    }))

  it.effect("one with a wrong byte is named, and those before it are read", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const bytes = Uint8Array.from([...encode("one\ntwo\n"), 0xc3, 0x28, 0x0a])
      const error = yield* Effect.flip(
        Stream.runForEach(nonEmptyLines(Stream.make(bytes.subarray(0, 5), bytes.subarray(5))), ({ text }) =>
          Effect.sync(() => seen.push(text)))
      )
      assert.strictEqual(error.message, "line 3 is not valid UTF-8")
      assert.deepStrictEqual(seen, ["one", "two"])
    }))

  it.effect("one cut off in the middle of a character is named", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read(Uint8Array.from([0x61, 0xe5, 0x9c])))
      assert.strictEqual(error.message, "line 1 is not valid UTF-8")
    }))

  it.effect("one that is too long is refused before it is all in memory", () =>
    Effect.gen(function*() {
      const longest = new Uint8Array(LINE_BYTES_MAX).fill(0x61)
      assert.strictEqual((yield* read(longest, encode("\nb\n"))).length, 2)
      const endless = Stream.concat(
        Stream.make(encode("one\n")),
        Stream.forever(Stream.succeed(new Uint8Array(65_536).fill(0x61)))
      )
      const error = yield* Effect.flip(Stream.runDrain(nonEmptyLines(endless)))
      assert.strictEqual(error.message, `line 2 has more than ${LINE_BYTES_MAX} bytes`)
    }))
})
