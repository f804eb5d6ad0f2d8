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
 * Drivers with limits of the application's. A limit that is not named keeps its default; none of them is checked here.
 *
 * @example
 * ```ts
 * import { DriverPersistent, IdGeneratorUuid } from "effect-burrow"
 * import { BlobStoreSql, DigestNode, RuntimeStoreSqlite } from "effect-burrow/sqlite"
 * import * as Layer from "effect/Layer"
 *
 * // A run that dies in the middle waits for a person, instead of being tried again.
 * const drivers = DriverPersistent.layerWith({ inDoubt: "hold", limits: { queueDepthMax: 500 } }).pipe(
 *   Layer.provide(BlobStoreSql.layer()),
 *   Layer.provide(RuntimeStoreSqlite.layer({ filename: "burrow.db" })),
 *   Layer.provide([DigestNode.layer, IdGeneratorUuid.layer])
 * )
 * ```
 *
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
