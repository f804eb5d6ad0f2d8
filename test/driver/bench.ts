import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import type { Limits } from "../../src/schema/Limits.js"
import { BlobStore } from "../../src/services/BlobStore.js"
import { Drivers, type InDoubtPolicy } from "../../src/services/Driver.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { memory } from "./environments.js"

type Store = Context.Tag.Service<RuntimeStore>
type Blobs = Context.Tag.Service<BlobStore>

export interface Options {
  readonly stores?: Layer.Layer<RuntimeStore | BlobStore, unknown>
  /** What the drivers' store does otherwise than the sound one. */
  readonly store?: (sound: Store) => Partial<Store>
  readonly blobs?: (sound: Blobs) => Partial<Blobs>
  readonly limits?: Partial<Limits>
}

const unopened = (options: Options) =>
  Effect.gen(function*() {
    const sound = yield* Layer.build(options.stores ?? memory)
    const store = Context.get(sound, RuntimeStore)
    const blobs = Context.get(sound, BlobStore)
    const stores = Context.make(RuntimeStore, { ...store, ...options.store?.(store) }).pipe(
      Context.add(BlobStore, { ...blobs, ...options.blobs?.(blobs) })
    )
    /** The table of drivers of another process, or of one whose end is the scope's. */
    const table = (
      inDoubt: InDoubtPolicy = "retry"
    ): Effect.Effect<Context.Tag.Service<Drivers>, never, Scope.Scope> =>
      Layer.build(DriverPersistent.layerWith({ limits: { ...F.limits, ...options.limits }, inDoubt })).pipe(
        Effect.map(Context.get(Drivers)),
        Effect.provide([DigestPure.layer, IdGeneratorUuid.layer]),
        Effect.provide(stores)
      )
    return { store, blobs, table }
  })

/** The parts, with no driver opened yet. */
export const withTable = <E>(
  options: Options,
  body: (bench: Effect.Effect.Success<ReturnType<typeof unopened>>) => Effect.Effect<void, E, Scope.Scope>
) => Effect.scoped(Effect.flatMap(unopened(options), body))

const opened = (options: Options) =>
  Effect.gen(function*() {
    const { blobs, store, table } = yield* unopened(options)
    const drivers = yield* table()
    const driver = yield* drivers.get(yield* F.freshRuntimeId)
    const restart = (inDoubt?: InDoubtPolicy) =>
      Effect.flatMap(table(inDoubt), (another) => another.get(driver.runtimeId))
    return { blobs, driver, drivers, restart, store }
  })

/** One driver, over a store and blobs that may have their troubles. */
export const withDriver = <E>(
  options: Options,
  body: (bench: Effect.Effect.Success<ReturnType<typeof opened>>) => Effect.Effect<void, E, Scope.Scope>
) => Effect.scoped(Effect.flatMap(opened(options), body))
