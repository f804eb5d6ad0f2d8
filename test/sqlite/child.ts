/** A process of its own: `node --import tsx child.ts <own|open|read|deposit> <filename>`. It says one line, then waits or ends. */
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import * as process from "node:process"
import { openGuest, openOwner, openReader } from "../../src/layers/sqlite/open.js"

const [command, filename = ""] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const deposited = Effect.flatMap(
  openGuest({ filename }),
  ({ encoded }) => encoded.deposit([{ runtimeId: "ana", inputId: "input", at: 1, payload: "{}" }])
)

const commands: { readonly [command: string]: Effect.Effect<unknown, { _tag: string; message: string }, Scope> } = {
  own: openOwner({ filename }),
  open: openOwner({ filename }),
  read: openReader({ filename }),
  deposit: deposited
}

const program = (commands[command ?? ""] ?? Effect.die(`no command ${command}`)).pipe(
  Effect.zipRight(say("open")),
  Effect.zipRight(command === "own" ? Effect.never : Effect.void),
  Effect.catchAll((error) => say(`${error._tag}: ${error.message}`)),
  Effect.scoped
)

void Effect.runPromise(program)
// Without it a process with nothing to do but own would end.
if (command === "own") setInterval(() => {}, 1000)
