/**
 * The `Inbox` over a store, its owner's or a guest's.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Limits from "../schema/Limits.js"
import { BlobStore } from "../services/BlobStore.js"
import { Digest } from "../services/Digest.js"
import { IdGenerator } from "../services/IdGenerator.js"
import { Inbox } from "../services/Inbox.js"
import { RuntimeStore } from "../services/RuntimeStore.js"
import * as Outgoing from "./driver/Outgoing.js"

/**
 * With limits of the application's, which should be those of the drivers; one that is not named keeps its default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options: { readonly limits?: Partial<Limits.Limits> }
): Layer.Layer<Inbox, never, RuntimeStore | BlobStore | Digest | IdGenerator> =>
  Layer.effect(
    Inbox,
    Effect.gen(function*() {
      const needs = {
        store: yield* RuntimeStore,
        blobs: yield* BlobStore,
        sha256: (yield* Digest).sha256,
        ids: yield* IdGenerator,
        limits: { ...Limits.defaults, ...options.limits }
      }
      return { enqueue: (to, input) => Outgoing.post(needs, { to, input }) }
    })
  )

/**
 * With default limits.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Inbox, never, RuntimeStore | BlobStore | Digest | IdGenerator> = layerWith({})
