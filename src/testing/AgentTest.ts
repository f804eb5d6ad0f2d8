/**
 * Agents in a process that a test crashes: what `Burrow` and `BurrowSqlite` have, but for the `Drivers`, over a disk that
 * survives, on the test's clock. `TestClock.adjust` waits until runs are where they wait for time.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as DigestPure from "../layers/DigestPure.js"
import type * as DriverPersistent from "../layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../layers/IdGeneratorUuid.js"
import type { Agents } from "../services/Agents.js"
import type { BlobStore } from "../services/BlobStore.js"
import type { ControlPlane } from "../services/ControlPlane.js"
import type { Digest } from "../services/Digest.js"
import { IdGenerator } from "../services/IdGenerator.js"
import type { Inbox } from "../services/Inbox.js"
import type { Observer } from "../services/Observer.js"
import type { RuntimeStore } from "../services/RuntimeStore.js"
import * as client from "./agent/client.js"
import * as Lives from "./agent/Lives.js"
import * as memory from "./agent/memory.js"

/**
 * The power switch of a test's process.
 *
 * @since 0.1.0
 * @category services
 */
export class Crash extends Context.Tag("effect-burrow/testing/Crash")<Crash, {
  /** See `crash`. */
  readonly now: Effect.Effect<void>
  /** See `crashAfterCommit`. */
  readonly afterCommit: (boundaries: number) => Effect.Effect<void>
}>() {}

/**
 * Limits, and what becomes of lost runs, as in `Burrow.layerMemoryWith`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends DriverPersistent.Options {}

/**
 * What the layers provide. The services stay the same over crashes; those who wait on them go on waiting.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Agents
  | BlobStore
  | ControlPlane
  | Crash
  | Digest
  | IdGenerator
  | Inbox
  | Observer
  | RuntimeStore

const machine = Layer.merge(DigestPure.layer, IdGeneratorUuid.layer)

const over = (disk: Lives.Disk, options: Options): Effect.Effect<
  Context.Context<client.Client | Crash>,
  never,
  Scope.Scope | Digest | IdGenerator
> =>
  Effect.gen(function*() {
    const lives = yield* Lives.make(disk, options)
    return Context.add(yield* client.make(lives, yield* IdGenerator), Crash, {
      now: lives.crash,
      afterCommit: (boundaries) =>
        Number.isSafeInteger(boundaries) && boundaries >= 1
          ? lives.arm(boundaries)
          : Effect.dieMessage(`a run has no boundary number ${boundaries}: it must be a whole number, at least 1`)
    })
  })

/**
 * As `layer`, with limits of the test's; one that is not named keeps its default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<Services> =>
  Layer.scopedContext(Effect.flatMap(memory.disk, (disk) => over(disk, options))).pipe(Layer.provideMerge(machine))

/**
 * In place of a Burrow layer, in memory: whatever was committed survives a crash, and nothing else does.
 *
 * @example
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Agent } from "effect-burrow"
 * import { AgentTest } from "effect-burrow/testing"
 * import { Effect, Layer, Schema, TestClock } from "effect"
 *
 * class Slow extends Agent.make("slow", { result: Schema.Number }) {}
 * const SlowLive = Slow.toLayer((run) => Effect.as(Effect.sleep("1 hour"), { result: run.attempt }))
 *
 * it.layer(SlowLive.pipe(Layer.provideMerge(AgentTest.layer)))("slow", (it) => {
 *   it.effect("goes on after a crash", () =>
 *     Effect.gen(function*() {
 *       const { inputId } = yield* Slow.of("ana").send("go")
 *       yield* TestClock.adjust("30 minutes")
 *       yield* AgentTest.crash
 *       yield* TestClock.adjust("1 hour")
 *       assert.strictEqual(yield* Slow.of("ana").await(inputId), 2)
 *     }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Services> = layerWith({})

/**
 * As `layerSql`, with limits of the test's.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSqlWith = (options: Options): Layer.Layer<Services | SqlClient.SqlClient> =>
  Layer.scopedContext(
    // Not imported where nobody wants it: SQLite may not be installed.
    Effect.flatMap(Effect.promise(() => import("./agent/sqlite.js")), ({ make }) =>
      Effect.flatMap(make, ({ context, disk }) =>
        Effect.map(over(disk, options), (services) =>
          Context.merge(services, context))))
  ).pipe(Layer.provideMerge(machine))

/**
 * As `layer`, over a real SQLite file in a temporary folder, with the file's `SqlClient`, which stays open over crashes: so
 * rows of an `alongside` are committed with their boundary, or gone with it. It needs `@effect/sql-sqlite-node`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSql: Layer.Layer<Services | SqlClient.SqlClient> = layerSqlWith({})

/**
 * As `kill -9` and a restart: nothing of the old process is committed any more, memory is gone, and a new one recovers
 * and goes on, with the agents that were hosted. A run that was under way is lost, and counted. It answers when the new
 * process takes commands.
 *
 * Unlike in a real kill the finalizers of what was running may run; what they tell the store is not heard.
 *
 * @since 0.1.0
 * @category crashes
 */
export const crash: Effect.Effect<void, never, Crash> = Effect.flatMap(Crash, ({ now }) => now)

/**
 * Crashes right behind the n-th boundary (of `once`, `ask`, `child`, a checkpoint, or the end) of the next run that begins,
 * before anybody is told of it. The restart is by itself: wait for what the run is to lead to. A run with fewer boundaries
 * is not crashed, nor is one after it; said again, it is about the next run again.
 *
 * @since 0.1.0
 * @category crashes
 */
export const crashAfterCommit = (n: number): Effect.Effect<void, never, Crash> =>
  Effect.flatMap(Crash, ({ afterCommit }) => afterCommit(n))
