import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cases, durableCases } from "../../src/testing/DriverConformance.js"
import { ephemeral, memory, persistent, sqlite } from "./environments.js"

/** What is known not to hold: a held input forgets its `deliverAt`, which only its body has. */
const doubts = new Set(["an input with deliverAt that is held and released does not go before its time"])

const test = (name: string) => doubts.has(name) ? it.effect.fails : it.effect

const stores = [
  ["RuntimeStoreMemory", persistent(memory)],
  ["RuntimeStoreSqlite", persistent(sqlite)]
] as const

describe("DriverEphemeral", () => {
  for (const { name, run } of cases) test(name)(name, () => Effect.provide(run, ephemeral))
})

for (const [name, drivers] of stores) {
  describe(`DriverPersistent over ${name}`, () => {
    for (const { name, run } of [...cases, ...durableCases]) test(name)(name, () => Effect.provide(run, drivers))
  })
}
