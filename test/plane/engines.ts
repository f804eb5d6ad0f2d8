/** An engine that can be looked into. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as control from "../../src/layers/engine/control.js"
import { Engine } from "../../src/layers/engine/Engine.js"
import * as inputs from "../../src/layers/engine/inputs.js"
import * as recurring from "../../src/layers/engine/recurring.js"
import * as views from "../../src/layers/engine/views.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as ObserverLive from "../../src/layers/ObserverLive.js"
import { makeFork } from "../../src/services/Batcher.js"
import type { Service } from "../../src/services/ControlPlane.js"
import { Drivers } from "../../src/services/Driver.js"
import { Observer } from "../../src/services/Observer.js"
import { memory } from "../driver/environments.js"

export interface Opened {
  readonly engine: Engine
  readonly plane: Service
  readonly drivers: Context.Tag.Service<Drivers>
}

/** As `ControlPlaneLive` builds it, in memory. */
export const openEngine = (options: DriverPersistent.Options): Effect.Effect<Opened, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      Layer.merge(ObserverLive.layer, DriverPersistent.layerWith(options)).pipe(
        Layer.provideMerge(memory),
        Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
      )
    )
    const drivers = Context.get(context, Drivers)
    const observer = Context.get(context, Observer)
    const fork = yield* makeFork
    const engine = new Engine(drivers, fork, yield* Clock.currentTimeMillis)
    yield* drivers.listen((notice) => engine.noticed(notice))
    yield* Effect.addFinalizer(() => engine.close)
    fork(engine.timer.run)
    const taking = inputs.make(engine, drivers, observer)
    const plane: Service = {
      cron: (options) => recurring.run(drivers, fork, taking.ingest, options),
      ...taking,
      ...control.make(engine, drivers),
      ...views.make(engine, drivers, observer)
    }
    return { engine, plane, drivers }
  })

const isCollection = (value: unknown): value is ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> =>
  value instanceof Map || value instanceof Set

/** The maps and sets of an object, and of the objects that it is made of, that hold something: by their paths. */
const heldBy = (value: object, path: string, depth: number): ReadonlyArray<string> =>
  Object.entries(value).flatMap(([name, part]: [string, unknown]) => {
    const own = path === "" ? name : `${path}.${name}`
    if (isCollection(part)) {
      const below = depth === 0 ?
        [] :
        [...part.values()].flatMap((entry) =>
          typeof entry === "object" && entry !== null ? heldBy(entry, `${own}[]`, depth - 1) : []
        )
      return part.size > 0 ? [`${own} (${part.size})`, ...below] : []
    }
    return depth > 0 && typeof part === "object" && part !== null ? heldBy(part, own, depth - 1) : []
  })

/** What an engine still holds. Its agents are registered, and each has one entry in two maps. */
export const held = (engine: Engine): ReadonlyArray<string> => {
  const { drivers: _drivers, ...own } = { ...engine }
  return heldBy(own, "", 2).filter((path) => !/^agents \(\d+\)$/.test(path))
}
