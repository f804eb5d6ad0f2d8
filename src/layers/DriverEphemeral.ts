/**
 * Drivers that forget with their process: the same driver, over a memory store of its own.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { Drivers } from "../services/Driver.js"
import * as BlobStoreMemory from "./BlobStoreMemory.js"
import * as DigestPure from "./DigestPure.js"
import * as DriverPersistent from "./DriverPersistent.js"
import * as IdGeneratorUuid from "./IdGeneratorUuid.js"
import * as RuntimeStoreMemory from "./RuntimeStoreMemory.js"

/**
 * As `layer`, with limits of the application's; one that is not named keeps its default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: DriverPersistent.Options): Layer.Layer<Drivers> =>
  DriverPersistent.layerWith(options).pipe(
    Layer.provide([RuntimeStoreMemory.layer, BlobStoreMemory.layer]),
    Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
  )

/**
 * Drivers with default limits. What they have accepted ends with the scope, and the store is nobody else's to read.
 *
 * @example
 * ```ts
 * import { Driver, DriverEphemeral, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const drivers = yield* Driver.Drivers
 *   const scratch = yield* drivers.get("scratch")
 *   yield* scratch.accept(Input.prompt("Summarize this page"))
 *   return yield* scratch.stage()
 * }).pipe(Effect.provide(DriverEphemeral.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Drivers> = layerWith({})
