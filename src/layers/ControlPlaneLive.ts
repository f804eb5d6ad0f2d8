/**
 * The engine over the drivers of a process.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeFork } from "../services/Batcher.js"
import { ControlPlane, type Service } from "../services/ControlPlane.js"
import { Drivers } from "../services/Driver.js"
import { Observer } from "../services/Observer.js"
import { RuntimeStore } from "../services/RuntimeStore.js"
import * as control from "./engine/control.js"
import { Courier } from "./engine/Courier.js"
import { Engine } from "./engine/Engine.js"
import * as inputs from "./engine/inputs.js"
import * as recurring from "./engine/recurring.js"
import * as views from "./engine/views.js"
import * as ObserverLive from "./ObserverLive.js"

const make = (
  drivers: Context.Tag.Service<Drivers>,
  observer: Context.Tag.Service<Observer>
) =>
  Effect.gen(function*() {
    const fork = yield* makeFork
    const engine = new Engine(drivers, fork, yield* Clock.currentTimeMillis)
    const courier = new Courier(drivers)
    yield* drivers.listen((notice) => {
      engine.noticed(notice)
      courier.noticed(notice.runtimeId)
    })
    // Before what was forked ends: runs are given back while there is somebody to do it.
    yield* Effect.addFinalizer(() => engine.close)
    fork(engine.timer.run)
    fork(courier.run)
    const taking = inputs.make(engine, drivers, observer)
    const plane: Service = {
      ...taking,
      ...control.make(engine, drivers),
      ...views.make(engine, drivers, observer),
      cron: (options) => recurring.run(drivers, fork, taking.ingest, options)
    }
    return plane
  })

/**
 * One engine for each time the layer is built, with the `Observer` of its store. When the scope closes, no run is begun
 * any more, open ones are given back, uncharged, and their executors are interrupted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ControlPlane | Observer, never, Drivers> = Layer.scoped(
  ControlPlane,
  Effect.flatMap(Drivers, (drivers) => Effect.flatMap(Observer, (observer) => make(drivers, observer)))
).pipe(
  Layer.provideMerge(
    Layer.unwrapEffect(
      Effect.map(Drivers, ({ store }) => Layer.provide(ObserverLive.layer, Layer.succeed(RuntimeStore, store)))
    )
  )
)
