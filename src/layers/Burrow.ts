/**
 * Everything at once, in memory.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { Agents } from "../services/Agents.js"
import type { BlobStore } from "../services/BlobStore.js"
import type { ControlPlane } from "../services/ControlPlane.js"
import type { Digest } from "../services/Digest.js"
import type { Drivers } from "../services/Driver.js"
import type { IdGenerator } from "../services/IdGenerator.js"
import type { Inbox } from "../services/Inbox.js"
import type { Observer } from "../services/Observer.js"
import type { RuntimeStore } from "../services/RuntimeStore.js"
import * as AgentsLive from "./AgentsLive.js"
import * as BlobStoreMemory from "./BlobStoreMemory.js"
import * as ControlPlaneLive from "./ControlPlaneLive.js"
import * as DigestPure from "./DigestPure.js"
import * as DriverPersistent from "./DriverPersistent.js"
import * as IdGeneratorUuid from "./IdGeneratorUuid.js"
import * as InboxLive from "./InboxLive.js"
import * as RuntimeStoreMemory from "./RuntimeStoreMemory.js"

/**
 * As `layerMemory`, with limits of the application's; one that is not named keeps its default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemoryWith = (
  options: DriverPersistent.Options
): Layer.Layer<Agents | ControlPlane | Observer | Inbox | Drivers | RuntimeStore | BlobStore | Digest | IdGenerator> =>
  Layer.merge(AgentsLive.layer, InboxLive.layerWith(options)).pipe(
    Layer.provideMerge(ControlPlaneLive.layer),
    Layer.provideMerge(DriverPersistent.layerWith(options)),
    Layer.provideMerge(Layer.merge(RuntimeStoreMemory.layer, BlobStoreMemory.layer)),
    Layer.provideMerge(Layer.merge(DigestPure.layer, IdGeneratorUuid.layer))
  )

/**
 * The engine, and persistent drivers, over stores in memory: what tests of an application take in place of `BurrowSqlite.layer`.
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
export const layerMemory: Layer.Layer<
  Agents | ControlPlane | Observer | Inbox | Drivers | RuntimeStore | BlobStore | Digest | IdGenerator
> = layerMemoryWith({})
