/**
 * The read side over a `RuntimeStore`.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { RuntimeId } from "../schema/Ids.js"
import { StoreClosed } from "../schema/StoreError.js"
import { makeFork } from "../services/Batcher.js"
import { Observer } from "../services/Observer.js"
import { RuntimeStore } from "../services/RuntimeStore.js"
import { awaitEnd, receipt } from "./observer/await.js"
import { Tails } from "./observer/Tail.js"
import * as views from "./observer/views.js"
import { watch } from "./observer/watch.js"

/**
 * Needs no driver, so it is the same in the owner's process and in one that only reads the file. Who waits when the layer
 * closes is told: `StoreClosed` from `await`, `ReadFailed` with it as its cause from `watch`.
 *
 * @example
 * ```ts
 * import { Observer, ObserverLive } from "effect-burrow"
 * import { RuntimeStoreSqlite } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * // Beside the process that owns the file.
 * const observer = ObserverLive.layer.pipe(Layer.provide(RuntimeStoreSqlite.layerReader({ filename: "burrow.db" })))
 *
 * const result = Effect.flatMap(
 *   Observer.Observer,
 *   (observer) => observer.await("concierge/ana", "0198c2a4-5a2e-7c31-9d0c-3f2b8a6e1d47")
 * ).pipe(Effect.provide(observer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Observer, never, RuntimeStore> = Layer.scoped(
  Observer,
  Effect.gen(function*() {
    const store = yield* RuntimeStore
    const closed = yield* Deferred.make<never, StoreClosed>()
    yield* Effect.addFinalizer(() => Deferred.fail(closed, new StoreClosed({ operation: "await" })))
    const watched = watch(store, new Tails(store, yield* makeFork))
    const id = (runtimeId: string) => runtimeId as RuntimeId
    return {
      await: awaitEnd(store, Deferred.await(closed)),
      watch: (runtimeId, { after = 0 } = {}) => watched(id(runtimeId), after),
      events: (runtimeId, page) => store.loadEvents(id(runtimeId), page),
      runtimes: ({ after, ...page } = {}) =>
        store.loadRuntimes({ ...page, ...(after !== undefined && { after: id(after) }) }),
      inspect: views.inspect(store),
      inputs: (runtimeId, { only, ...page } = {}) => {
        const load = only === undefined
          ? store.loadInputStates
          : only === "active"
          ? store.loadActiveInputStates
          : store.loadDeadLetters
        return load(id(runtimeId), page)
      },
      input: views.input(store),
      deadLetters: views.deadLetters(store),
      transcript: (runtimeId, page) => store.loadTranscript(id(runtimeId), page),
      receipt: receipt(store)
    }
  })
)
