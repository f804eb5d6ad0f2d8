import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as BlobStoreMemory from "../../src/layers/BlobStoreMemory.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as RuntimeStoreMemory from "../../src/layers/RuntimeStoreMemory.js"
import * as Session from "../../src/schema/Session.js"
import { StoreBusy } from "../../src/schema/StoreError.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver } from "./bench.js"
import { shut } from "./faulty.js"

const { assistant, user } = Session

describe("repetitions", () => {
  for (const kind of ["checkpoint", "note", "complete"] as const) {
    it.effect(`I7: the exact repetition of a ${kind} with a rewrite is alreadyApplied`, () =>
      withDriver({}, ({ driver, store }) =>
        Effect.gen(function*() {
          yield* driver.commitSession({ append: ["a", "b", "c", "d", "e"] })
          const { runId } = yield* F.running(driver)
          // What is replaced is gone afterwards, and with it the range that the repetition names.
          const rewrite = { selection: { start: 0, end: 5 }, reason: "compaction", replacement: ["sum"] }
          const boundary = driver[kind]({ runId, after: 0, delta: { rewrite, append: ["new"] } })
          const first = yield* boundary
          const again = yield* F.expectUnchanged(driver, boundary)
          assert.deepStrictEqual([first.alreadyApplied, again.alreadyApplied], [false, true])
          assert.deepStrictEqual(again.receipt, first.receipt)
          yield* F.expectTranscript(driver, ["sum", user("go"), "new"])
          assert.strictEqual((yield* store.loadRewrites(driver.runtimeId)).length, 1)
          const other = { ...rewrite, replacement: ["another sum"] }
          const error = yield* Effect.flip(
            driver[kind]({ runId, after: 0, delta: { rewrite: other, append: ["new"] } })
          )
          assert.strictEqual(error._tag, "ReceiptConflict")
        })))
  }

  it.effect("I5: the same key and text, to be delivered at another time, is deduplicated", () =>
    withDriver({}, ({ driver }) =>
      Effect.gen(function*() {
        const first = yield* F.accept(driver, F.prompt("p", { key: "k", deliverAt: 5_000 }))
        for (const later of [{ deliverAt: 9_000 }, {}]) {
          const outcome = yield* driver.accept(F.prompt("p", { key: "k", ...later }))
          assert.strictEqual(outcome._tag, "deduplicated")
          assert.strictEqual("existing" in outcome && outcome.existing, first.inputId)
        }
        assert.strictEqual((yield* F.head(driver, first.inputId)).readyAt, 5_000, "the first one's time stays")
      })))

  it.effect("I5: IdempotencyConflict names the input that has the key", () =>
    withDriver({}, ({ driver }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("p", { key: "k" }))
        const conflict = Effect.flip(driver.accept(F.prompt("q", { key: "k" })))
        const waiting = yield* conflict
        yield* F.drain(driver)
        const ended = yield* conflict
        for (const error of [waiting, ended]) {
          assert.strictEqual(error._tag, "IdempotencyConflict")
          assert.deepStrictEqual("inputId" in error && [error.key, error.inputId], ["k", inputId])
        }
      })))
})

describe("what the transcript holds", () => {
  it.effect("I11: a prompt whose message was cleared away goes in again with its retry", () =>
    withDriver({}, ({ driver }) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* driver.checkpoint({ runId: first.runId, delta: { append: [assistant("half")] } })
        yield* F.fail(driver, first)
        yield* driver.clearSession
        yield* F.expectConsistent(driver)
        const second = yield* F.stage(driver)
        yield* driver.complete({ runId: second.runId, delta: { append: [assistant("done")] } })
        yield* F.expectTranscript(driver, [user("go"), assistant("done")])
      })))

  for (const when of ["while the run is open", "afterwards"] as const) {
    it.effect(`I8: a steer whose message is in it is not superseded by a newer one of its key, which comes ${when}`, () =>
      withDriver({}, ({ driver }) =>
        Effect.gen(function*() {
          const { runId } = yield* F.running(driver)
          const { inputId } = yield* F.accept(driver, F.prompt("old", { scope: "s" }, "steer"))
          yield* driver.checkpoint({ runId })
          yield* driver.note({ runId })
          yield* F.expectTranscript(driver, [user("go"), user("old")])
          const newer = F.accept(driver, F.prompt("new", { scope: "s" }, "steer"))
          if (when === "afterwards") {
            yield* driver.giveBack({ runId })
            yield* newer
          } else {
            yield* newer
            yield* driver.giveBack({ runId })
          }
          yield* F.expectPhase(driver, inputId, "queued")
          yield* F.expectConsistent(driver)
          yield* F.drain(driver)
          yield* F.expectPhase(driver, inputId, "consumed")
          yield* F.expectTranscript(driver, [user("go"), user("old"), user("new")])
        })))
  }
})

describe("commits that wait for others", () => {
  it.effect("I17: a busy store is asked once for a fold of 20, and all 20 are told", () => {
    let commits = 0
    let gate = Effect.void
    let isBusy = false
    return withDriver({
      limits: { foldCommandsMax: 64 },
      store: ({ commit }) => ({
        commit: (one) =>
          Effect.suspend(() => {
            commits++
            return isBusy ? Effect.fail(new StoreBusy({ operation: "a commit" })) : Effect.zipRight(gate, commit(one))
          })
      })
    }, ({ driver }) =>
      Effect.gen(function*() {
        const { open, wait } = yield* shut
        gate = wait
        const first = yield* Effect.fork(driver.accept(F.prompt("first")))
        yield* F.turns
        const fibers = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, i) => i),
          (i) => Effect.fork(Effect.flip(driver.accept(F.prompt(`${i}`))))
        )
        yield* F.turns
        isBusy = true
        const before = commits
        yield* open
        yield* Fiber.join(first)
        const errors = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
        assert.deepStrictEqual([...new Set(errors.map(({ _tag }) => _tag))], ["StoreBusy"])
        assert.strictEqual(commits - before, 1)
        assert.strictEqual((yield* driver.activeInputIds).length, 1)
      }))
  })

  it.live(
    "I17: an alongside that nothing can interrupt is answered when its time is up, and its boundary is not there",
    () => {
      const stores = Layer.merge(
        RuntimeStoreMemory.layerWith({ alongsideMillisMax: 50 }),
        BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer))
      )
      return withDriver({ stores }, ({ driver, store }) =>
        Effect.gen(function*() {
          const { runId } = yield* F.running(driver)
          const boundary = driver.checkpoint({
            runId,
            after: 0,
            delta: { append: [1] },
            alongside: Effect.uninterruptible(Effect.sleep("20 seconds"))
          })
          const error = yield* F.expectUnchanged(driver, Effect.flip(boundary))
          assert.strictEqual(error._tag, "AlongsideTimeout")
          assert.strictEqual((yield* store.loadBoundaryReceipt(driver.runtimeId, runId, 1))._tag, "None")
          const { alreadyApplied } = yield* driver.checkpoint({ runId, after: 0, delta: { append: [1] } })
          assert.isFalse(alreadyApplied)
        }))
    },
    5_000
  )
})
