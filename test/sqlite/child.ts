/** A process of its own: `node --import tsx child.ts <own|open|read> <filename>`. It says one line, then waits or ends. */
import * as Effect from "effect/Effect"
import * as process from "node:process"
import { openOwner, openReader } from "../../src/layers/sqlite/open.js"

const [command, filename = ""] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const opened = command === "read" ? openReader({ filename }) : openOwner({ filename })

const program = opened.pipe(
  Effect.zipRight(say("open")),
  Effect.zipRight(command === "own" ? Effect.never : Effect.void),
  Effect.catchAll((error) => say(`${error._tag}: ${error.message}`)),
  Effect.scoped
)

void Effect.runPromise(program)
// Without it a process with nothing to do but own would end.
if (command === "own") setInterval(() => {}, 1000)
