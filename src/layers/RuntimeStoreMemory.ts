/**
 * A `RuntimeStore` in memory: every contract but durability. For tests, and for runtimes that may end with the process.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RuntimeStore } from "../services/RuntimeStore.js"
import * as FromEncoded from "../services/RuntimeStoreFromEncoded.js"
import * as MemoryStore from "./memory/MemoryStore.js"

/**
 * A fresh store for each time the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: FromEncoded.Options): Layer.Layer<RuntimeStore> =>
  Layer.scoped(RuntimeStore, Effect.flatMap(MemoryStore.make, (encoded) => FromEncoded.make(encoded, options)))

/**
 * A fresh store for each time the layer is built, with the default bounds of a transaction.
 *
 * @example
 * ```ts
 * import { RuntimeStore, RuntimeStoreMemory } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const runtimes = Effect.flatMap(RuntimeStore.RuntimeStore, (store) => store.loadRuntimes()).pipe(
 *   Effect.provide(RuntimeStoreMemory.layer)
 * ) // []
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<RuntimeStore> = layerWith({})
