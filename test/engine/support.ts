/** What the tests of the engine are built of: processes over a store that can be closed and reopened, and a script. */
import { assert, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as path from "node:path"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as ControlPlaneLive from "../../src/layers/ControlPlaneLive.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as InboxLive from "../../src/layers/InboxLive.js"
import * as Content from "../../src/schema/Content.js"
import * as Input from "../../src/schema/Input.js"
import type { RuntimeEvent } from "../../src/schema/RuntimeEvent.js"
import { eventLoopTurn } from "../../src/services/Batcher.js"
import type { BlobStore } from "../../src/services/BlobStore.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { Drivers } from "../../src/services/Driver.js"
import type { Run } from "../../src/services/Executor.js"
import { Inbox } from "../../src/services/Inbox.js"
import { Observer } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { memory } from "../driver/environments.js"
import { Control, layer as faultyDrivers } from "../driver/faulty.js"
import { folder } from "../sql/support.js"

export type Plane = Context.Tag.Service<ControlPlane>

/** One process: what an application has of the engine. */
export interface Process {
  readonly plane: Plane
  readonly observer: Context.Tag.Service<Observer>
  readonly drivers: Context.Tag.Service<Drivers>
  readonly inbox: Context.Tag.Service<Inbox>
  readonly store: Context.Tag.Service<RuntimeStore>
  /** What its drivers are built on. */
  readonly stores: Context.Context<RuntimeStore | BlobStore>
  /** Closes its layers, as a clean shutdown does. */
  readonly close: Effect.Effect<void>
}

/** A store, and the processes that are opened over it, one after the other. What is open at the end is closed. */
export interface World {
  readonly open: (options?: DriverPersistent.Options) => Effect.Effect<Process, never, Scope.Scope>
}

type Services = ControlPlane | Observer | Inbox | Drivers | RuntimeStore | BlobStore

const processOf = <E>(layer: Layer.Layer<Services, E>): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const context = yield* Effect.orDie(Layer.buildWithScope(layer, scope))
    return {
      plane: Context.get(context, ControlPlane),
      observer: Context.get(context, Observer),
      drivers: Context.get(context, Drivers),
      inbox: Context.get(context, Inbox),
      store: Context.get(context, RuntimeStore),
      stores: context,
      close: Scope.close(scope, Exit.void)
    }
  })

export const memoryWorld: Effect.Effect<World, never, Scope.Scope> = Effect.map(
  Layer.build(memory),
  (stores) => ({
    open: (options = {}) =>
      processOf(
        Layer.merge(ControlPlaneLive.layer, InboxLive.layerWith(options)).pipe(
          Layer.provideMerge(DriverPersistent.layerWith(options)),
          Layer.provideMerge(Layer.succeedContext(stores)),
          Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
        )
      )
  })
)

const sqliteWorld: Effect.Effect<World, never, Scope.Scope> = Effect.map(folder, (folder) => ({
  open: (options = {}) => processOf(BurrowSqlite.layer({ ...options, filename: path.join(folder, "burrow.db") }))
}))

const worlds = [
  { name: "memory", world: memoryWorld },
  { name: "a SQLite file", world: sqliteWorld }
]

type Body = (world: World) => Effect.Effect<void, unknown, Scope.Scope>

const TIMEOUT_MILLIS = 20_000

/** In memory, where the test's clock rules. */
export const test = (name: string, body: Body) =>
  it.scoped(name, () => Effect.flatMap(memoryWorld, body), TIMEOUT_MILLIS)

/** In memory and in a SQLite file: for what the store has a part in. */
export const testEach = (name: string, body: Body) => {
  for (const { name: where, world } of worlds) {
    it.scoped(`${name}, in ${where}`, () => Effect.flatMap(world, body), TIMEOUT_MILLIS)
  }
}

export const testSqlite = (name: string, body: Body) =>
  it.scoped(name, () => Effect.flatMap(sqliteWorld, body), TIMEOUT_MILLIS)

export type Faults = Context.Tag.Service<Control>

/** Over a store in memory that fails as it is told. */
export const testFaulty = (
  name: string,
  body: (bench: {
    readonly plane: Plane
    readonly drivers: Context.Tag.Service<Drivers>
    readonly faults: Faults
  }) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.scoped(name, () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Layer.provideMerge(ControlPlaneLive.layer, faultyDrivers))
      yield* body({
        plane: Context.get(context, ControlPlane),
        drivers: Context.get(context, Drivers),
        faults: Context.get(context, Control)
      })
    }), TIMEOUT_MILLIS)

/** Long enough for everything that waits for nothing to get where it can. */
export const settle: Effect.Effect<void> = Effect.repeatN(eventLoopTurn, 80)

/** Waits, in real time, until it is so. */
export const until = <E, R>(what: string, isSo: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const start = performance.now()
    while (!(yield* isSo)) {
      if (performance.now() - start > 8_000) return assert.fail(`it never came to this: ${what}`)
      yield* eventLoopTurn
    }
  })

export const untilTrue = (what: string, isSo: () => boolean) => until(what, Effect.sync(isSo))

/** Lets time go by, in steps between which everybody gets where they can. */
export const advance = (
  duration: Duration.DurationInput,
  { steps = 1 }: { readonly steps?: number } = {}
): Effect.Effect<void> =>
  Effect.zipRight(
    settle,
    Effect.repeatN(Effect.zipRight(TestClock.adjust(fraction(duration, steps)), settle), steps - 1)
  )

/** Whole: the clock of a process has no others. */
const fraction = (duration: Duration.DurationInput, steps: number) => Math.ceil(Duration.toMillis(duration) / steps)

export interface Latch {
  readonly wait: Effect.Effect<void>
  readonly open: Effect.Effect<boolean>
  readonly isOpen: Effect.Effect<boolean>
}

export const latch: Effect.Effect<Latch> = Effect.map(Deferred.make<void>(), (opened) => ({
  wait: Deferred.await(opened),
  open: Deferred.succeed(opened, undefined),
  isOpen: Deferred.isDone(opened)
}))

/** The texts of inputs. */
export const textsOf = (inputs: ReadonlyArray<Input.Input>): ReadonlyArray<string> =>
  inputs.map((input) =>
    input._tag === "external_event"
      ? input.eventType
      : input._tag === "flow_step"
      ? input.stepId
      : Content.toText(Input.contentOf(input))
  )

export const textOf = ({ inputs }: Run): string => textsOf(inputs).join("+")

/** What has to be accepted. */
export const accepted = (plane: Plane, runtimeId: string, draft: Input.Draft) =>
  Effect.flatMap(plane.ingest(runtimeId, draft), (outcome) => {
    assert.strictEqual(outcome._tag, "accepted")
    return outcome._tag === "accepted" ? Effect.succeed(outcome.inputId) : Effect.die(outcome)
  })

export const headOf = (plane: Plane, runtimeId: string, inputId: string) =>
  Effect.map(plane.input(runtimeId, inputId), (found) => Option.getOrThrow(found).head)

export const untilPhase = (plane: Plane, runtimeId: string, inputId: string, phase: string) =>
  until(
    `input of ${runtimeId} is ${phase}`,
    Effect.map(headOf(plane, runtimeId, inputId), (head) => head.phase === phase)
  )

export const deadLetters = (plane: Plane) => Effect.map(Stream.runCollect(plane.deadLetters()), Chunk.toReadonlyArray)

export const eventsOf = (
  { observer }: Pick<Process, "observer">,
  runtimeId: string
): Effect.Effect<ReadonlyArray<RuntimeEvent>, unknown> =>
  Effect.map(observer.events(runtimeId, { limit: 10_000 }), (records) => records.map(({ event }) => event))

/** How often each kind of event has happened. */
export const tally = (events: ReadonlyArray<RuntimeEvent>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { _tag } of events) counts[_tag] = (counts[_tag] ?? 0) + 1
  return counts
}

/** What is logged at or above a level by what is built within. */
export const logged = <A, E, R>(
  body: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>,
  level: LogLevel.LogLevel = LogLevel.Warning
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      if (LogLevel.greaterThanEqual(logLevel, level)) {
        lines.push(`${String(message)} ${HashMap.size(annotations) === 0 ? "" : JSON.stringify([...annotations])}`)
      }
    })
    return Effect.provide(body(lines), Logger.add(logger))
  })
