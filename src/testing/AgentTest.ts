/**
 * Agents in a process that a test crashes: everything of `Burrow` and `BurrowSqlite` over a disk that survives, on the
 * test's clock.
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

export class Crash extends Context.Tag("effect-burrow/testing/Crash")<Crash, {
  readonly now: Effect.Effect<void>
  readonly afterCommit: (boundaries: number) => Effect.Effect<void>
}>() {}

export interface Options extends DriverPersistent.Options {}

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

export const layerWith = (options: Options): Layer.Layer<Services> =>
  Layer.scopedContext(Effect.flatMap(memory.disk, (disk) => over(disk, options))).pipe(Layer.provideMerge(machine))

export const layer: Layer.Layer<Services> = layerWith({})

export const layerSqlWith = (options: Options): Layer.Layer<Services | SqlClient.SqlClient> =>
  Layer.scopedContext(
    // Not imported where nobody wants it: SQLite may not be installed.
    Effect.flatMap(Effect.promise(() => import("./agent/sqlite.js")), ({ make }) =>
      Effect.flatMap(make, ({ context, disk }) =>
        Effect.map(over(disk, options), (services) =>
          Context.merge(services, context))))
  ).pipe(Layer.provideMerge(machine))

export const layerSql: Layer.Layer<Services | SqlClient.SqlClient> = layerSqlWith({})

export const crash: Effect.Effect<void, never, Crash> = Effect.flatMap(Crash, ({ now }) => now)

export const crashAfterCommit = (n: number): Effect.Effect<void, never, Crash> =>
  Effect.flatMap(Crash, ({ afterCommit }) => afterCommit(n))
