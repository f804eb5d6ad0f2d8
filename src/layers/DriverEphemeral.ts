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
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: DriverPersistent.Options): Layer.Layer<Drivers> =>
  DriverPersistent.layerWith(options).pipe(
    Layer.provide([RuntimeStoreMemory.layer, BlobStoreMemory.layer]),
    Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
  )

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Drivers> = layerWith({})
