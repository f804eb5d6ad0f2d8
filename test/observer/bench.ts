import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ObserverLive from "../../src/layers/ObserverLive.js"
import type { Limits } from "../../src/schema/Limits.js"
import type { BlobStore } from "../../src/services/BlobStore.js"
import { Observer } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver } from "../driver/bench.js"
import { memory, sqlite } from "../driver/environments.js"

export type Store = Context.Tag.Service<RuntimeStore>

/** What an observer asked of its store. */
export interface Spy {
  events: number
  inputs: number
  transcripts: number
  /** Subscriptions that are open now. */
  open: number
}

const spied = (sound: Store): readonly [Spy, Store] => {
  const spy: Spy = { events: 0, inputs: 0, transcripts: 0, open: 0 }
  const counted = <A, E>(of: "events" | "inputs" | "transcripts", read: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      spy[of]++
      return read
    })
  return [spy, {
    ...sound,
    loadEvents: (...of) => counted("events", sound.loadEvents(...of)),
    loadInputState: (...of) => counted("inputs", sound.loadInputState(...of)),
    loadTranscript: (...of) => counted("transcripts", sound.loadTranscript(...of)),
    subscribe: (runtimeId, inputId) =>
      Effect.zipRight(
        Effect.acquireRelease(Effect.sync(() => spy.open++), () => Effect.sync(() => spy.open--)),
        sound.subscribe(runtimeId, inputId)
      )
  }]
}

/** An observer over a store that may have its troubles. */
export const observing = (
  sound: Store,
  trouble: (sound: Store) => Partial<Store> = () => ({})
): Effect.Effect<
  { readonly observer: Context.Tag.Service<Observer>; readonly spy: Spy },
  never,
  Scope.Scope
> => {
  const [spy, store] = spied({ ...sound, ...trouble(sound) })
  return Layer.build(ObserverLive.layer).pipe(
    Effect.map((context) => ({ observer: Context.get(context, Observer), spy })),
    Effect.provideService(RuntimeStore, store)
  )
}

type Stores = Layer.Layer<RuntimeStore | BlobStore, unknown>

export const environments: ReadonlyArray<{ readonly name: string; readonly stores: Stores }> = [
  { name: "memory", stores: memory },
  { name: "sqlite", stores: sqlite }
]

/** A driver, and an observer over its store that knows nothing of it. */
export const withObserver = <E>(
  { limits, stores, trouble }: {
    readonly stores?: Stores
    readonly limits?: Partial<Limits>
    readonly trouble?: (sound: Store) => Partial<Store>
  },
  body: (
    bench:
      & Effect.Effect.Success<ReturnType<typeof observing>>
      & Parameters<Parameters<typeof withDriver>[1]>[0]
  ) => Effect.Effect<void, E, Scope.Scope>
) =>
  withDriver(
    { ...(stores && { stores }), ...(limits && { limits }) },
    (bench) => Effect.flatMap(observing(bench.store, trouble), (observed) => body({ ...bench, ...observed }))
  )

/** Long enough for what was forked to get as far as it can. */
export const settle = F.turns
