import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as BlobStoreMemory from "../../src/layers/BlobStoreMemory.js"
import * as DigestNode from "../../src/layers/DigestNode.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as BlobStore from "../../src/services/BlobStore.js"
import { blobBytesMax, cases } from "../../src/testing/BlobStoreConformance.js"

describe("BlobStoreMemory", () => {
  const store = BlobStoreMemory.layerWith({ blobBytesMax })
  for (const digest of [DigestPure, DigestNode]) {
    describe(digest === DigestPure ? "on DigestPure" : "on DigestNode", () => {
      for (const { name, run } of cases) {
        it.effect(name, () => Effect.provide(run, store.pipe(Layer.provide(digest.layer))))
      }
    })
  }

  it.effect("a store is not persistent, and two of them share nothing", () =>
    Effect.gen(function*() {
      const make = Effect.provide(BlobStoreMemory.make({}), DigestPure.layer)
      const [one, other] = yield* Effect.all([make, make])
      const id = yield* one.put(Uint8Array.of(1), "text/plain")
      assert.isFalse(one.persistent)
      assert.isFalse(yield* other.exists(id))
    }))

  it.effect("the limit is 64 MiB unless another is given", () =>
    Effect.gen(function*() {
      const blobs = yield* BlobStore.BlobStore
      const error = yield* Effect.flip(blobs.put(new Uint8Array(64 * 1024 * 1024 + 1), "image/png"))
      assert.strictEqual(error._tag, "BlobTooLarge")
      assert.strictEqual(BlobStore.blobBytesMaxDefault, 64 * 1024 * 1024)
    }).pipe(Effect.provide(BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer)))))
})
