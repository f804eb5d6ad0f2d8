/** A process of its own: `child.mjs <command> <filename> <options as JSON>`. It says lines; one that owns says `open`. */
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as process from "node:process"
import { arm, type Shot } from "./commits.js"
import * as guest from "./guest.js"
import * as poison from "./poison.js"
import * as script from "./script.js"
import * as storm from "./storm.js"
import * as work from "./work.js"

/** Synchronous: what was said was said, whatever comes next. */
const say = (line: string): void => {
  fs.writeSync(1, `${line}\n`)
}

const commands: { readonly [command: string]: (filename: string, options: string) => Effect.Effect<unknown, unknown> } =
  {
    script: (filename, options) => {
      const { journal, shot }: { readonly journal?: string; readonly shot?: Shot } = JSON.parse(options)
      arm(journal, shot)
      return script.perform((sight) => say(JSON.stringify(sight)), "the first").pipe(
        Effect.scoped,
        Effect.provide(BurrowSqlite.layer({ filename }))
      )
    },
    work: (filename, options) => {
      const { shot, ...settings }: work.Options & { readonly shot?: Shot } = JSON.parse(options)
      arm(undefined, shot)
      return work.perform(settings, say).pipe(
        Effect.scoped,
        Effect.provide(BurrowSqlite.layer({ filename, limits: { stagingsMax: 10_000 } }))
      )
    },
    poison: (filename, options) => {
      const settings: poison.Options = JSON.parse(options)
      return poison.perform(settings).pipe(Effect.scoped, Effect.provide(BurrowSqlite.layer({ filename })))
    },
    guest: (filename, options) =>
      guest.perform(JSON.parse(options), say).pipe(Effect.provide(BurrowSqlite.layerGuest({ filename }))),
    storm: (filename, options) => {
      const { isLast, journal, ...settings }: storm.Options & { readonly journal: string; readonly isLast: boolean } =
        JSON.parse(options)
      const told = (runtimeId: string, inputId: string) => fs.appendFileSync(journal, `${runtimeId} ${inputId}\n`)
      const earlier = fs.existsSync(journal) ? fs.readFileSync(journal, "utf8").split("\n").slice(0, -1) : []
      return Effect.gen(function*() {
        say("open")
        const endings = yield* storm.perform(
          settings,
          told,
          isLast ? earlier.map((line) => line.split(" ") as [string, string]) : []
        )
        if (!isLast) return yield* Effect.never
        say(storm.count(endings))
        for (const ending of storm.wrong(endings)) say(`wrong: ${JSON.stringify(ending)}`)
      }).pipe(Effect.scoped, Effect.provide(BurrowSqlite.layer({ filename })))
    }
  }

const [command = "", filename = "", options = "{}"] = process.argv.slice(2)

Effect.runPromise(commands[command]!(filename, options)).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n${error instanceof Error ? error.stack : ""}\n`)
    process.exit(1)
  }
)
