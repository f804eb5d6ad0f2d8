/**
 * Blobs in memory: for tests, and for runtimes that need not outlive their process.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { BlobId } from "../schema/Blob.js"
import * as BlobStore from "../services/BlobStore.js"
import * as Digest from "../services/Digest.js"

/**
 * An empty store. Each call makes another one.
 *
 * @example
 * ```ts
 * import { BlobStoreMemory, DigestPure } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const store = BlobStoreMemory.make({ blobBytesMax: 1_000_000 }).pipe(Effect.provide(DigestPure.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: { readonly blobBytesMax?: number | undefined }) {
  const digest = yield* Digest.Digest
  const records = new Map<BlobId, Uint8Array>()
  return BlobStore.make({
    persistent: false,
    read: (id) => Effect.sync(() => Option.map(Option.fromNullable(records.get(id)), (record) => record.slice())),
    write: (id, record) => Effect.sync(() => records.set(id, record)),
    renew: (id) => Effect.sync(() => records.has(id)),
    remove: (id) => Effect.sync(() => records.delete(id))
  }, { digest, blobBytesMax: options.blobBytesMax })
})

/**
 * A store with a limit of its own on the bytes of one blob.
 *
 * @example
 * ```ts
 * import { BlobStoreMemory, DigestPure } from "effect-burrow"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreMemory.layerWith({ blobBytesMax: 1_000_000 }).pipe(Layer.provide(DigestPure.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: {
  readonly blobBytesMax: number
}): Layer.Layer<BlobStore.BlobStore, never, Digest.Digest> => Layer.effect(BlobStore.BlobStore, make(options))

/**
 * A store that takes blobs of up to 64 MiB.
 *
 * @example
 * ```ts
 * import { BlobStoreMemory, DigestPure } from "effect-burrow"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<BlobStore.BlobStore, never, Digest.Digest> = Layer.effect(BlobStore.BlobStore, make({}))
