import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Input from "../../src/schema/Input.js"
import * as Driver from "../../src/services/Driver.js"
import { BurrowSqlite } from "../../src/sqlite.js"

it.effect("I17: a driver that is busy on a synchronous database lets timers and sockets have their turns", () =>
  Effect.gen(function*() {
    const drivers = yield* Driver.Drivers
    const driver = yield* drivers.get("busy")
    let turns = 0
    let counting = true
    const count = () => {
      turns++
      if (counting) setImmediate(count)
    }
    setImmediate(count)
    for (let i = 0; i < 50; i++) yield* driver.accept(Input.prompt(`line ${i}`))
    counting = false
    assert.isAtLeast(turns, 50)
  }).pipe(Effect.provide(BurrowSqlite.layer({ filename: ":memory:" }))))
