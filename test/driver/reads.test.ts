import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Digests from "../../src/core/Digests.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import { BlobReadFailed } from "../../src/schema/BlobError.js"
import * as Content from "../../src/schema/Content.js"
import type { InputId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import * as Session from "../../src/schema/Session.js"
import { ReadFailed } from "../../src/schema/StoreError.js"
import { Digest } from "../../src/services/Digest.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { withDriver } from "./bench.js"

const cause = new Error("the disk is on fire")
const { assistant, user } = Session

const long = "x".repeat(F.limits.inlineBytesMax + 1)

describe("bodies that cannot be read just now", () => {
  it.effect("I3: a checkpoint whose steer cannot be read is answered; its repetition has the steer, and nothing twice", () => {
    let unreadable: InputId | undefined
    return withDriver({
      store: ({ loadBodies }) => ({
        loadBodies: (runtimeId, ids) =>
          unreadable !== undefined && ids.includes(unreadable)
            ? Effect.fail(new ReadFailed({ operation: "bodies", cause }))
            : loadBodies(runtimeId, ids)
      })
    }, ({ driver }) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const { inputId } = yield* F.accept(driver, F.prompt("steer", {}, "steer"))
        const boundary = driver.checkpoint({ runId, after: 0, delta: { append: [assistant("half")] } })
        unreadable = inputId
        const first = yield* boundary
        assert.isFalse(first.alreadyApplied)
        assert.strictEqual(first.steers[0]?.head.id, inputId)
        assert.deepStrictEqual(
          first.steers.map(({ input }) => Either.isLeft(input) && input.left._tag),
          ["ReadFailed"]
        )
        unreadable = undefined
        const again = yield* boundary
        assert.isTrue(again.alreadyApplied)
        assert.deepStrictEqual(again.receipt, first.receipt)
        assert.deepStrictEqual(F.labels(again.steers), ["steer"])
        yield* F.expectTranscript(driver, [user("go"), assistant("half")])
        yield* driver.complete({ runId, after: 1, delta: { append: [assistant("done")] } })
        yield* F.expectTranscript(driver, [user("go"), assistant("half"), user("steer"), assistant("done")])
        const found = yield* F.events(driver)
        assert.deepStrictEqual(F.only(found, "run.boundary").map(({ sequence }) => sequence), [1, 2])
      }))
  })

  it.effect("I11: a message in a blob that cannot be read fails its boundary, and is recorded at the next try", () => {
    let isBroken = false
    return withDriver({
      blobs: ({ get }) => ({
        get: (blobId) => isBroken ? Effect.fail(new BlobReadFailed({ blobId, cause })) : get(blobId)
      })
    }, ({ driver }) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.prompt(long))
        const { runId } = yield* F.stage(driver)
        const boundary = driver.complete({ runId, after: 0, delta: { append: [assistant("done")] } })
        isBroken = true
        const error = yield* F.expectUnchanged(driver, Effect.flip(boundary))
        assert.strictEqual(error._tag, "ReadFailed")
        isBroken = false
        assert.isFalse((yield* boundary).alreadyApplied)
        yield* F.expectTranscript(driver, [user(long), assistant("done")])
      }))
  })

  it.effect("I11: an input that becomes what the boundary says is not read for it", () => {
    let isBroken = false
    return withDriver({
      blobs: ({ get }) => ({
        get: (blobId) => isBroken ? Effect.fail(new BlobReadFailed({ blobId, cause })) : get(blobId)
      })
    }, ({ driver }) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt(long))
        const { runId } = yield* F.stage(driver)
        isBroken = true
        yield* driver.complete({ runId, messages: new Map([[inputId, "short"]]) })
        yield* F.expectTranscript(driver, ["short"])
      }))
  })

  for (const what of ["row", "blob"] as const) {
    it.effect(`I8: a stage that is interrupted while it reads a ${what} leaves no run, and charges no attempt`, () => {
      let isStuck = false
      const stuck = <A, E>(read: Effect.Effect<A, E>): Effect.Effect<A, E> =>
        Effect.suspend(() => isStuck ? Effect.never : read)
      return withDriver({
        store: ({ loadBodies }) =>
          what === "row" ? { loadBodies: (runtimeId, ids) => stuck(loadBodies(runtimeId, ids)) } : {},
        blobs: ({ get }) => what === "blob" ? { get: (id) => stuck(get(id)) } : {}
      }, ({ driver }) =>
        Effect.gen(function*() {
          const { inputId } = yield* F.accept(driver, F.prompt(long))
          isStuck = true
          const staging = yield* Effect.fork(Effect.timeoutOption(driver.stage(), "1 second"))
          yield* F.turns
          assert.isTrue(Option.isSome(yield* driver.openRun), "it was opened before it was read")
          yield* TestClock.adjust("1 second")
          assert.isTrue(Option.isNone(yield* Fiber.join(staging)))
          assert.deepStrictEqual(yield* driver.openRun, Option.none())
          isStuck = false
          const run = yield* F.stage(driver)
          assert.deepStrictEqual([F.idsOf(run), run.attempt], [[inputId], 1])
          yield* F.expectConsistent(driver)
        }))
    })
  }

  for (const tag of ["ReadFailed", "BlobReadFailed"] as const) {
    it.effect(`I8: a stage that finds ${tag} fails as ReadFailed or tells of it, and loses no input`, () => {
      let isBroken = false
      return withDriver({
        store: ({ loadBodies }) => ({
          loadBodies: (runtimeId, ids) =>
            isBroken && tag === "ReadFailed"
              ? Effect.fail(new ReadFailed({ operation: "bodies", cause }))
              : loadBodies(runtimeId, ids)
        }),
        blobs: ({ get }) => ({
          get: (blobId) =>
            isBroken && tag === "BlobReadFailed" ? Effect.fail(new BlobReadFailed({ blobId, cause })) : get(blobId)
        })
      }, ({ driver }) =>
        Effect.gen(function*() {
          yield* F.accept(driver, F.prompt(long))
          isBroken = true
          const outcome = yield* Effect.either(driver.stage())
          if (tag === "ReadFailed") {
            assert.strictEqual(Either.isLeft(outcome) && outcome.left._tag, "ReadFailed")
            assert.deepStrictEqual(yield* driver.openRun, Option.none())
          } else {
            const run = Either.isRight(outcome) && outcome.right._tag === "staged" ? outcome.right.run : undefined
            assert.deepStrictEqual(
              run?.inputs.map(({ input }) => Either.isLeft(input) && input.left._tag),
              ["BlobReadFailed"]
            )
            yield* driver.giveBack({ runId: run!.runId })
          }
          isBroken = false
          assert.strictEqual((yield* F.stageOf(driver, [long])).attempt, 1)
        }))
    })
  }
})

describe("blobs of inputs that are not taken", () => {
  const picture = Uint8Array.from({ length: F.limits.blockInlineBytesMax + 1 }, (_, i) => i * 3)
  const image: Content.Block = {
    _tag: "image",
    mediaType: "image/png",
    source: { _tag: "inline", data: picture }
  }
  const pictureId = Effect.map(Digest, ({ sha256 }) => Digests.blobId(sha256, picture, "image/png")).pipe(
    Effect.provide(DigestPure.layer)
  )

  it.effect("I16: an input that is accepted has its image in the blob store", () =>
    withDriver({}, ({ blobs, driver }) =>
      Effect.gen(function*() {
        yield* F.accept(driver, Input.prompt([image]))
        assert.isTrue(yield* blobs.exists(yield* pictureId))
      })))

  it.effect("I16: an input that is rejected leaves no blob", () =>
    withDriver({}, ({ blobs, driver }) =>
      Effect.gen(function*() {
        yield* F.rejected(driver, Input.prompt([image], { durability: "derived" }))
        assert.isFalse(yield* blobs.exists(yield* pictureId))
      })))

  it.effect("I16: an input that is too large leaves no blob", () =>
    withDriver({}, ({ blobs, driver }) =>
      Effect.gen(function*() {
        const draft = Input.prompt([image, Content.text("x".repeat(F.limits.inputBytesMax))])
        const error = yield* Effect.flip(driver.accept(draft))
        assert.strictEqual(error._tag, "InputTooLarge")
        assert.isFalse(yield* blobs.exists(yield* pictureId))
      })))
})
