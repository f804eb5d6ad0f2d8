import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { parse } from "../../examples/quickstart/arguments.js"

const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
  [["--unknown"], /unknown/i],
  [["-x"], /unknown/i],
  [["--db"], /--db/],
  [["--db", ""], /--db needs the name of a file/],
  [["--db="], /--db needs the name of a file/],
  [["--db", "--report"], /--db/],
  [["--db", "a.db", "--db", "b.db"], /--db is given more than once/],
  [["--crash-after"], /--crash-after/],
  ...["0", "-1", "1.5", "x", "", "1e3", "99999999999999999999"].map((n) =>
    [[`--crash-after=${n}`], /--crash-after needs a positive whole number/] as const
  ),
  [["--crash-after", "-1"], /--crash-after/],
  [["a.txt", "b.txt"], /one text at a time/],
  [[""], /empty/],
  [["--report"], /--report needs --db/],
  [["--report=yes", "--db", "a.db"], /--report/],
  [["--report", "--db", "a.db", "a.txt"], /takes no text/],
  [["--report", "--db", "a.db", "--crash-after", "1"], /takes no --crash-after/]
]

describe("the arguments", () => {
  for (const [args, message] of wrong) {
    it.effect(`${JSON.stringify(args.join(" "))} is refused in one line that tells the usage`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(parse(args))
        assert.match(error.message, message)
        assert.match(error.message, /Usage: npm run quickstart/)
        assert.notInclude(error.message, "\n")
      }))
  }

  it.effect("are a database, a boundary to die in, and a text, all optional and in any order", () =>
    Effect.gen(function*() {
      const none = { _tag: "run", db: Option.none(), crashAfter: Option.none(), textFile: Option.none() } as const
      assert.deepStrictEqual(yield* parse([]), { ...none, bare: true })
      const all = {
        ...none,
        db: Option.some("a.db"),
        crashAfter: Option.some(7),
        textFile: Option.some("a.txt"),
        bare: false
      }
      assert.deepStrictEqual(yield* parse(["--db", "a.db", "--crash-after", "7", "a.txt"]), all)
      assert.deepStrictEqual(yield* parse(["a.txt", "--crash-after=7", "--db=a.db"]), all)
      assert.deepStrictEqual(yield* parse(["--", "--odd-name"]), {
        ...none,
        textFile: Option.some("--odd-name"),
        bare: false
      })
      assert.deepStrictEqual(yield* parse(["--report", "--db", "a.db"]), { _tag: "report", db: "a.db" })
    }))
})
