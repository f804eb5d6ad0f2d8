/** Uses many runtimes once, waits until all are forgotten, and says what the heap was before and is now, in bytes. */
import * as Effect from "effect/Effect"
import * as process from "node:process"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { Drivers } from "../../src/services/Driver.js"

const [filename = "", count = "0"] = process.argv.slice(2)

const heap = Effect.promise(async () => {
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().heapUsed
})

const program = Effect.gen(function*() {
  const plane = yield* ControlPlane
  const drivers = yield* Drivers
  yield* plane.register("a", { apply: () => Effect.succeed({ append: ["done"], result: 1 }) }, { runsMax: 64 })
  const use = (prefix: string, times: number) =>
    Effect.forEach(
      Array.from({ length: times }, (_, i) => i),
      (i) => plane.submit(`a/${prefix}/${i}`, Input.prompt("go", { idempotencyKey: `key ${i}` })),
      { concurrency: 64, discard: true }
    ).pipe(Effect.zipRight(
      Effect.repeat(Effect.sleep("50 millis"), {
        until: () => Effect.map(drivers.live, (live) => live.length === 0)
      })
    ))
  // What the process itself makes of its code is made by then.
  yield* use("warm", 600)
  const before = yield* heap
  yield* use("used", Number(count))
  const after = yield* heap
  return { before, after, live: (yield* drivers.live).length }
}).pipe(
  Effect.scoped,
  Effect.provide(BurrowSqlite.layer({ filename, limits: { runtimeIdleMillis: 200 } }))
)

void Effect.runPromise(program).then((said) => process.stdout.write(JSON.stringify(said)))
