import { assert, describe, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ClaimId } from "../../src/schema/Ids.js"
import { CommitUnknown } from "../../src/schema/StoreError.js"
import { Drivers, type Service } from "../../src/services/Driver.js"
import type { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver } from "./bench.js"
import { memory, sqlite } from "./environments.js"
import { Control, layer as faulty } from "./faulty.js"

const cause = new Error("the disk is on fire")

const lost = (driver: Service) =>
  Effect.gen(function*() {
    for (const command of [driver.accept(F.prompt("q")), driver.recover, driver.recycle, driver.pause]) {
      const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(command)
      assert.strictEqual(error._tag, "OwnershipLost")
      assert.strictEqual("by" in error && error.by, null)
    }
  })

describe("a driver that does not know what it holds", () => {
  it.effect("I12: a barrier that dies leaves it lost, to nobody, and takeOver leads out", () =>
    Effect.gen(function*() {
      const driver = yield* (yield* Drivers).get(yield* F.freshRuntimeId)
      const faults = yield* Control
      faults.next("committed")
      faults.barrierGate = Effect.die(cause)
      assert.strictEqual((yield* Effect.flip(driver.accept(F.prompt("p"))))._tag, "CommitUnknown")
      yield* lost(driver)
      assert.strictEqual((yield* driver.takeOver).active, 1)
      yield* F.stageOf(driver, ["p"])
      yield* F.expectConsistent(driver)
    }).pipe(Effect.provide(faulty)))

  for (const fate of ["committed", "lost"] as const) {
    for (const verb of ["recover", "recycle"] as const) {
      it.effect(`I12: a claim in doubt of ${verb} leaves it lost, to nobody, and takeOver leads out (${fate})`, () => {
        let isUnknown = false
        return withDriver({
          store: ({ recover }) => ({
            recover: (runtimeId, claimId, decide) =>
              isUnknown
                ? Effect.zipRight(
                  fate === "committed" ? recover(runtimeId, claimId, decide) : Effect.void,
                  Effect.fail(new CommitUnknown({ operation: "a claim", cause }))
                )
                : recover(runtimeId, claimId, decide)
          })
        }, ({ driver }) =>
          Effect.gen(function*() {
            yield* F.accept(driver, F.prompt("p"))
            isUnknown = true
            const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(driver[verb])
            assert.strictEqual(error._tag, "CommitUnknown")
            yield* lost(driver)
            isUnknown = false
            assert.strictEqual((yield* driver.takeOver).active, 1)
            yield* F.stageOf(driver, ["p"])
            yield* F.expectConsistent(driver)
          }))
      })
    }
  }

  for (const [name, stores] of [["memory", memory], ["SQLite", sqlite]] as const) {
    it.effect(`I9: a barrier under a stale token names the epoch of the owner (${name})`, () =>
      withDriver({ stores }, ({ store }) =>
        Effect.gen(function*() {
          const runtimeId = yield* F.freshRuntimeId
          const ours = yield* store.claim(runtimeId, (yield* F.freshInputId) as string as ClaimId)
          const theirs = yield* store.claim(runtimeId, (yield* F.freshInputId) as string as ClaimId)
          const error = yield* Effect.flip(store.barrier(runtimeId, ours))
          assert.strictEqual(error._tag, "StaleFence")
          assert.deepStrictEqual(
            "epoch" in error && [error.epoch, error.current],
            [ours.epoch, theirs.epoch]
          )
          yield* store.barrier(runtimeId, theirs)
        })))
  }
})

describe("an executor that is attached", () => {
  const nameOf = (store: Context.Tag.Service<RuntimeStore>, { runtimeId }: Service) =>
    Effect.map(
      store.loadMachineLifecycle(runtimeId),
      Option.map(({ binding }) => binding.agentRuntimeId)
    )

  it.effect("I9: recycle and recover keep it, and its name", () =>
    withDriver({}, ({ driver, store }) =>
      Effect.gen(function*() {
        yield* driver.attach("agent")
        for (const command of [driver.recycle, driver.recover, driver.takeOver]) {
          yield* Effect.asVoid<unknown, unknown, never>(command)
          assert.strictEqual(yield* driver.state, "attached")
          assert.deepStrictEqual(yield* nameOf(store, driver), Option.some("agent"))
        }
      })))

  it.effect("I9: takeOver after a loss detaches it", () =>
    withDriver({}, ({ driver, restart, store }) =>
      Effect.gen(function*() {
        yield* driver.attach("agent")
        yield* restart()
        assert.strictEqual((yield* Effect.flip(driver.pause))._tag, "OwnershipLost")
        yield* driver.takeOver
        assert.strictEqual(yield* driver.state, "idle")
        assert.deepStrictEqual(yield* nameOf(store, driver), Option.some(null))
      })))
})
