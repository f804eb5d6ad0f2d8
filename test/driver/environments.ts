import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as BlobStoreMemory from "../../src/layers/BlobStoreMemory.js"
import * as BlobStoreSql from "../../src/layers/BlobStoreSql.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverEphemeral from "../../src/layers/DriverEphemeral.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as RuntimeStoreMemory from "../../src/layers/RuntimeStoreMemory.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import type * as BlobStore from "../../src/services/BlobStore.js"
import { Drivers } from "../../src/services/Driver.js"
import type { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { limits, Restart } from "../../src/testing/DriverConformance.js"

/** Another process is another table of drivers over the same store; the old one releases nothing. */
const restart = Layer.scoped(
  Restart,
  Effect.gen(function*() {
    const context = yield* Effect.context<Layer.Layer.Context<typeof DriverPersistent.layer>>()
    const scope = yield* Effect.scope
    return {
      next: (inDoubt) =>
        Layer.buildWithScope(DriverPersistent.layerWith({ limits, ...(inDoubt && { inDoubt }) }), scope).pipe(
          Effect.provide(context),
          Effect.map(Context.get(Drivers))
        )
    }
  })
)

type Stores = RuntimeStore | BlobStore.BlobStore

/** Persistent drivers over a store, with the means to restart them. */
export const persistent = <E>(
  stores: Layer.Layer<Stores, E>
): Layer.Layer<Drivers | Restart | Stores, E> =>
  Layer.merge(DriverPersistent.layerWith({ limits }), restart).pipe(
    Layer.provideMerge(stores),
    Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
  )

export const ephemeral: Layer.Layer<Drivers> = DriverEphemeral.layerWith({ limits })

export const memory: Layer.Layer<Stores> = Layer.merge(
  RuntimeStoreMemory.layer,
  BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer))
)

const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "burrow-driver-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => join(folder, "burrow.db")
)

/** A file of its own for each time it is built. */
export const sqlite = Layer.unwrapScoped(Effect.map(temporaryFile, (filename) =>
  BlobStoreSql.layer().pipe(
    Layer.provideMerge(RuntimeStoreSqlite.layer({ filename })),
    Layer.provide(DigestPure.layer)
  )))
