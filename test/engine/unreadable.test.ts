/** What becomes of inputs that this program cannot read, and of those beside them. */
import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Content from "../../src/schema/Content.js"
import type * as Input from "../../src/schema/Input.js"
import { BlobStore } from "../../src/services/BlobStore.js"
import type { Executor } from "../../src/services/Executor.js"
import { accepted, headOf, logged, type Process, settle, testEach, textOf, until, untilPhase } from "./support.js"

const step = (stepId: string, content: Content.Content = []): Input.Draft => ({ _tag: "flow_step", stepId, content })

const mediaType = "image/png"
const bytes = new Uint8Array(32_768).fill(7)
const image: Content.Block = { _tag: "image", mediaType, source: { _tag: "inline", data: bytes } }

/** Its image goes into a blob, which is then gone. */
const withLostImage = ({ plane, stores }: Process, runtimeId: string, stepId: string) =>
  Effect.gen(function*() {
    const blobs = Context.get(stores, BlobStore)
    const id = yield* accepted(plane, runtimeId, step(stepId, [image]))
    const blobId = yield* blobs.put(bytes, mediaType)
    yield* blobs.delete(blobId)
    return { id, mend: blobs.put(bytes, mediaType) }
  })

const recording = () => {
  const log: Array<string> = []
  const executor: Executor = { apply: (run) => Effect.sync(() => void log.push(textOf(run))) }
  return { log, executor }
}

describe("an input that can never be read", () => {
  testEach(
    "I17: is held alone, with what is wrong, and its neighbours are carried out without it",
    ({ open }) =>
      logged(() =>
        Effect.gen(function*() {
          const process = yield* open()
          const { plane } = process
          const { executor, log } = recording()
          const before = yield* accepted(plane, "a", step("before"))
          const broken = yield* withLostImage(process, "a", "broken")
          const after = yield* accepted(plane, "a", step("after"))
          yield* plane.register("a", executor)
          for (const id of [before, after]) yield* untilPhase(plane, "a", id, "consumed")
          const { attempt, failure, hold, phase } = yield* headOf(plane, "a", broken.id)
          assert.deepStrictEqual([phase, hold, attempt, failure?.tag], ["held", "undecodable", 0, "BlobNotFound"])
          assert.deepStrictEqual(log, ["before+after"])

          yield* plane.release("a", broken.id)
          yield* until("it is held again", Effect.map(headOf(plane, "a", broken.id), ({ phase }) => phase === "held"))
          yield* broken.mend
          yield* plane.release("a", broken.id)
          yield* untilPhase(plane, "a", broken.id, "consumed")
          assert.deepStrictEqual(log, ["before+after", "broken"])
        })
      )
  )

  testEach(
    "I17: keeps nobody else of its runtime or another one waiting",
    ({ open }) =>
      logged(() =>
        Effect.gen(function*() {
          const process = yield* open()
          const { plane } = process
          const { executor, log } = recording()
          const broken = yield* withLostImage(process, "a", "broken")
          yield* plane.register("a", executor)
          yield* untilPhase(plane, "a", broken.id, "held")
          for (const [runtimeId, stepId] of [["a", "next"], ["a/other", "other"]] as const) {
            yield* untilPhase(plane, runtimeId, yield* accepted(plane, runtimeId, step(stepId)), "consumed")
          }
          yield* settle
          assert.deepStrictEqual(log, ["next", "other"])
          assert.strictEqual((yield* headOf(plane, "a", broken.id)).phase, "held")
        })
      )
  )
})
