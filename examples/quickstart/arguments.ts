/** What the command line asks for. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { parseArgs } from "node:util"

export const usage = "npm run quickstart -- [--db FILE] [--crash-after N] [--report] [TEXTFILE]"

export class WrongArguments extends Schema.TaggedError<WrongArguments>()("WrongArguments", {
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.problem}. Usage: ${usage}`
  }
}

export type Arguments =
  | { readonly _tag: "help" }
  | { readonly _tag: "report"; readonly db: string }
  | {
    readonly _tag: "run"
    readonly db: Option.Option<string>
    /** The process kills itself in the middle of this boundary of its own; the first one is 1. */
    readonly crashAfter: Option.Option<number>
    readonly textFile: Option.Option<string>
    /** Nothing at all was given. */
    readonly bare: boolean
  }

const config = {
  allowPositionals: true,
  tokens: true,
  options: {
    "db": { type: "string" },
    "crash-after": { type: "string" },
    "report": { type: "boolean" },
    "help": { type: "boolean", short: "h" }
  }
} as const

const split = (args: ReadonlyArray<string>) =>
  Effect.try({
    try: () => parseArgs({ ...config, args: [...args] }),
    // Its messages go on with advice after the first sentence.
    catch: (cause) => new WrongArguments({ problem: (cause as Error).message.split(/\.\s|\n/, 1)[0]! })
  })

export const parse = (args: ReadonlyArray<string>): Effect.Effect<Arguments, WrongArguments> =>
  Effect.gen(function*() {
    const wrong = (problem: string) => new WrongArguments({ problem })
    const { positionals, tokens, values } = yield* split(args)
    if (values.help === true) return { _tag: "help" }

    const names = tokens.flatMap((token) => token.kind === "option" ? [token.name] : [])
    const repeated = names.find((name, i) => names.indexOf(name) !== i)
    if (repeated !== undefined) return yield* wrong(`--${repeated} is given more than once`)
    if (values.db === "") return yield* wrong("--db needs the name of a file")
    if (positionals.length > 1) return yield* wrong(`one text at a time, not ${positionals.length}`)
    const [textFile] = positionals
    if (textFile === "") return yield* wrong("the name of the text is empty")
    const crashAfter = values["crash-after"]

    if (values.report === true) {
      if (values.db === undefined) return yield* wrong("--report needs --db FILE")
      if (textFile !== undefined) return yield* wrong("--report runs nothing, so it takes no text")
      if (crashAfter !== undefined) return yield* wrong("--report runs nothing, so it takes no --crash-after")
      return { _tag: "report", db: values.db }
    }
    if (crashAfter !== undefined && !isPositiveInteger(crashAfter)) {
      return yield* wrong(`--crash-after needs a positive whole number, not ${JSON.stringify(crashAfter)}`)
    }
    return {
      _tag: "run",
      db: Option.fromNullable(values.db),
      crashAfter: Option.map(Option.fromNullable(crashAfter), Number),
      textFile: Option.fromNullable(textFile),
      bare: args.length === 0
    }
  })

const isPositiveInteger = (text: string): boolean =>
  /^\d+$/.test(text) && Number(text) > 0 && Number.isSafeInteger(Number(text))
