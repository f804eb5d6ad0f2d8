import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cases, durableCases } from "../../src/testing/DriverConformance.js"
import { ephemeral, memory, persistent, sqlite } from "./environments.js"

const stores = [
  ["RuntimeStoreMemory", persistent(memory)],
  ["RuntimeStoreSqlite", persistent(sqlite)]
] as const

describe("DriverEphemeral", () => {
  for (const { name, run } of cases) it.effect(name, () => Effect.provide(run, ephemeral))
})

for (const [name, drivers] of stores) {
  describe(`DriverPersistent over ${name}`, () => {
    for (const { name, run } of [...cases, ...durableCases]) it.effect(name, () => Effect.provide(run, drivers))
  })
}
