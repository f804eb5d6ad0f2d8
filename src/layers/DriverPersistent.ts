/**
 * Drivers over the `RuntimeStore` and `BlobStore` of the application.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { BlobStore } from "../services/BlobStore.js"
import type { Digest } from "../services/Digest.js"
import { Drivers } from "../services/Driver.js"
import type { IdGenerator } from "../services/IdGenerator.js"
import type { RuntimeStore } from "../services/RuntimeStore.js"
import * as drivers from "./driver/drivers.js"

/**
 * How the drivers of a process behave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends drivers.Options {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options: Options
): Layer.Layer<Drivers, never, RuntimeStore | BlobStore | Digest | IdGenerator> =>
  Layer.scoped(Drivers, drivers.make(options))

/**
 * Drivers with default limits. When the scope closes, commands that are being committed finish first; those that wait
 * fail with `StoreClosed`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Drivers, never, RuntimeStore | BlobStore | Digest | IdGenerator> = layerWith({})
