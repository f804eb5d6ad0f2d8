import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cases, durableCases } from "../../src/testing/DriverConformance.js"
import { doubts, ephemeral, memory, persistent, sqlite } from "./environments.js"

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
