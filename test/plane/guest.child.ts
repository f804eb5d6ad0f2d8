/** Hands an input over to a/x as a guest, and says its result. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as process from "node:process"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as Input from "../../src/schema/Input.js"
import { Inbox } from "../../src/services/Inbox.js"
import { Observer } from "../../src/services/Observer.js"

const [filename = "", text = "", key = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const inbox = yield* Inbox
  const observer = yield* Observer
  const inputId = yield* inbox.enqueue("a/x", Input.prompt(text, { idempotencyKey: key }))
  const { result } = yield* observer.await("a/x", inputId)
  return { result: Option.getOrNull(result) }
}).pipe(Effect.provide(BurrowSqlite.layerGuest({ filename, pollMillis: 5 })))

void Effect.runPromise(program).then((said) => process.stdout.write(JSON.stringify(said)))
