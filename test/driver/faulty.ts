import { it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Commit } from "../../src/core/Commit.js"
import type { Outcome } from "../../src/core/Rows.js"
import * as BlobStoreMemory from "../../src/layers/BlobStoreMemory.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as RuntimeStoreMemory from "../../src/layers/RuntimeStoreMemory.js"
import {
  type CommitError,
  CommitUnknown,
  type LoadError,
  StaleFence,
  StoreBusy,
  WriteFailed
} from "../../src/schema/StoreError.js"
import { Drivers } from "../../src/services/Driver.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import { freshRuntimeId } from "../../src/testing/conformance/driver/fixtures.js"
import { limits } from "../../src/testing/DriverConformance.js"

type Store = Context.Tag.Service<RuntimeStore>

/** What happens to a commit: `committed` and `lost` both answer CommitUnknown. */
export type Fate = "write" | "fail" | "busy" | "die" | "committed" | "lost" | "stale"

/** Turns the faults of a store on and off; by default it works. */
export interface Faults {
  /** Of the commits to come, one after another; then all are written. */
  readonly next: (...fates: ReadonlyArray<Fate>) => void
  /** Of every commit, when the plan is empty. */
  byCommit: (commit: Commit) => Fate
  /** Commits wait for it. */
  gate: Effect.Effect<void>
  /** Barriers wait for it. */
  barrierGate: Effect.Effect<void>
  /** How many barriers fail before one succeeds. */
  barriersFailing: number
  /** Every barrier finds another owner. */
  barrierStale: boolean
  /** Look-ups find nothing. */
  blind: boolean
  /** What a look at notes fails with. */
  notesFail: LoadError | undefined
  notesLoads: number
  commits: number
  barriers: number
}

export class Control extends Context.Tag("test/driver/faulty/Control")<Control, Faults>() {}

const cause = new Error("the disk is on fire")
const operation = "a commit"

const fated = <E, R>(fate: Fate, write: Effect.Effect<Outcome, E, R>): Effect.Effect<Outcome, E | CommitError, R> => {
  switch (fate) {
    case "write":
      return write
    case "fail":
      return Effect.fail(new WriteFailed({ operation, cause }))
    case "busy":
      return Effect.fail(new StoreBusy({ operation }))
    case "die":
      return Effect.die(cause)
    case "committed":
      return Effect.zipRight(write, Effect.fail(new CommitUnknown({ operation, cause })))
    case "lost":
      return Effect.fail(new CommitUnknown({ operation, cause }))
    case "stale":
      return Effect.succeed({ _tag: "Refused", by: { _tag: "StaleFence", current: 77 } })
  }
}

const faulty = (store: Store, faults: Faults, plan: Array<Fate>): Store => ({
  ...store,
  commit: (commit) =>
    Effect.suspend(() => {
      faults.commits++
      return Effect.zipRight(faults.gate, fated(plan.shift() ?? faults.byCommit(commit), store.commit(commit)))
    }),
  commitWith: (commit, alongside) =>
    Effect.suspend(() => fated(plan.shift() ?? faults.byCommit(commit), store.commitWith(commit, alongside))),
  barrier: (runtimeId, token) =>
    Effect.suspend(() => {
      faults.barriers++
      if (faults.barrierStale) {
        return Effect.fail(new StaleFence({ runtimeId, epoch: token.epoch, current: 77 }))
      }
      if (faults.barriersFailing > 0) {
        faults.barriersFailing--
        return Effect.zipRight(faults.barrierGate, Effect.fail(new WriteFailed({ operation: "barrier", cause })))
      }
      return Effect.zipRight(faults.barrierGate, store.barrier(runtimeId, token))
    }),
  loadNotes: (runtimeId, scope, key) =>
    Effect.suspend(() => {
      faults.notesLoads++
      return faults.notesFail === undefined
        ? store.loadNotes(runtimeId, scope, key)
        : Effect.fail(faults.notesFail)
    }),
  lookup: (runtimeId, ids, keys) => faults.blind ? Effect.succeed([]) : store.lookup(runtimeId, ids, keys)
})

const store = Layer.effectContext(Effect.gen(function*() {
  const plan: Array<Fate> = []
  const faults: Faults = {
    next: (...fates) => void plan.push(...fates),
    byCommit: () => "write",
    gate: Effect.void,
    barrierGate: Effect.void,
    barriersFailing: 0,
    barrierStale: false,
    blind: false,
    notesFail: undefined,
    notesLoads: 0,
    commits: 0,
    barriers: 0
  }
  const sound = yield* RuntimeStore
  return Context.make(RuntimeStore, faulty(sound, faults, plan)).pipe(Context.add(Control, faults))
})).pipe(Layer.provide(RuntimeStoreMemory.layer))

const services = Layer.mergeAll(
  BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer)),
  DigestPure.layer,
  IdGeneratorUuid.layer
)

export const inDoubtMillis = 5_000

/** Persistent drivers over a memory store with faults. */
export const layer: Layer.Layer<Drivers | RuntimeStore | Control> = DriverPersistent.layerWith({
  limits: { ...limits, inDoubtMillis }
}).pipe(Layer.provideMerge(store), Layer.provide(services))

/** A gate that is shut until it is opened. */
export const shut = Effect.map(Deferred.make<void>(), (gate) => ({
  wait: Deferred.await(gate),
  open: Deferred.succeed(gate, undefined)
}))

/** A driver of its own runtime over the faulty store, and the faults. */
const bench = Effect.gen(function*() {
  const drivers = yield* Drivers
  const driver = yield* drivers.get(yield* freshRuntimeId)
  return { driver, drivers, faults: yield* Control }
})

type Bench = Effect.Effect.Success<typeof bench>

export const test = (name: string, body: (bench: Bench) => Effect.Effect<void, unknown>) =>
  it.effect(name, () => Effect.provide(Effect.flatMap(bench, body), layer))
