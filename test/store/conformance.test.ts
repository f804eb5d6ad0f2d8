import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as DigestNode from "../../src/layers/DigestNode.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as RuntimeStoreMemory from "../../src/layers/RuntimeStoreMemory.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import { empty } from "../../src/schema/OAuthFlow.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { cases } from "../../src/testing/RuntimeStoreConformance.js"

const sqlite = Layer.unwrapScoped(
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) =>
      Effect.map(
        fs.makeTempDirectoryScoped(),
        (directory) => RuntimeStoreSqlite.layer({ filename: `${directory}/burrow.db` })
      )
  )
).pipe(Layer.provide(NodeFileSystem.layer))

const stores: ReadonlyArray<readonly [name: string, layer: Layer.Layer<RuntimeStore, unknown>]> = [
  ["RuntimeStoreMemory", RuntimeStoreMemory.layer],
  ["RuntimeStoreSqlite", sqlite]
]

const tools = Layer.merge(DigestNode.layer, IdGeneratorUuid.layer)

for (const [name, layer] of stores) {
  describe(`${name}, a store for each case`, () => {
    for (const { name: sentence, run } of cases) {
      it.effect(sentence, () => Effect.provide(run, Layer.merge(layer, tools)))
    }
  })

  it.layer(Layer.merge(layer, tools))(`${name}, one store for all cases`, (it) => {
    for (const { name: sentence, run } of cases) it.effect(sentence, () => run)

    it.effect("the next store of the layer is a fresh one: it has no login flows, and an update sees that", () =>
      Effect.gen(function*() {
        const store = yield* RuntimeStore
        assert.isTrue(Option.isNone(yield* store.loadAuthOAuthFlowSnapshot))
        yield* store.updateAuthOAuthFlowSnapshot((now) => {
          assert.isTrue(Option.isNone(now))
          return Effect.succeed(empty)
        })
        assert.isTrue(Option.isSome(yield* store.loadAuthOAuthFlowSnapshot))
      }).pipe(Effect.provide(Layer.fresh(layer))))
  })

  it.live(
    `${name} holds to its contract in real time too`,
    () => Effect.provide(Effect.forEach(cases, ({ run }) => run, { discard: true }), Layer.merge(layer, tools)),
    120_000
  )
}

describe("the cases", () => {
  it("have names of their own, which begin with their invariants", () => {
    assert.strictEqual(new Set(cases.map(({ name }) => name)).size, cases.length)
    for (const { invariants, name } of cases) {
      assert.strictEqual(/^I\d/.test(name), invariants !== undefined)
      if (invariants) assert.isTrue(name.startsWith(`${invariants.join(", ")}: `))
    }
  })
})
