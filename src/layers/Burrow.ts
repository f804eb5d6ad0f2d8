/**
 * Everything at once, in memory.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { BlobStore } from "../services/BlobStore.js"
import type { Digest } from "../services/Digest.js"
import type { Drivers } from "../services/Driver.js"
import type { IdGenerator } from "../services/IdGenerator.js"
import type { RuntimeStore } from "../services/RuntimeStore.js"
import * as BlobStoreMemory from "./BlobStoreMemory.js"
import * as DigestPure from "./DigestPure.js"
import * as DriverPersistent from "./DriverPersistent.js"
import * as IdGeneratorUuid from "./IdGeneratorUuid.js"
import * as RuntimeStoreMemory from "./RuntimeStoreMemory.js"

/**
 * Persistent drivers over stores in memory: what tests of an application take in place of `BurrowSqlite.layer`.
 *
 * @example
 * ```ts
 * import { Burrow, Driver, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const drivers = yield* Driver.Drivers
 *   const ana = yield* drivers.get("ana")
 *   return yield* ana.accept(Input.prompt("Make dinner"))
 * }).pipe(Effect.provide(Burrow.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Drivers | RuntimeStore | BlobStore | Digest | IdGenerator> = DriverPersistent
  .layer
  .pipe(
    Layer.provideMerge(Layer.merge(RuntimeStoreMemory.layer, BlobStoreMemory.layer)),
    Layer.provideMerge(Layer.merge(DigestPure.layer, IdGeneratorUuid.layer))
  )
