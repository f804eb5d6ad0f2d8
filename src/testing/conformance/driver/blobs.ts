/**
 * Bytes that are too large for a row, and bytes that are gone.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { BlobId } from "../../../schema/Blob.js"
import * as Content from "../../../schema/Content.js"
import * as Input from "../../../schema/Input.js"
import * as Session from "../../../schema/Session.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual } from "../../Conformance.js"
import * as F from "./fixtures.js"

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => i * 7)

const image = (data: Uint8Array): Content.Block => ({
  _tag: "image",
  mediaType: "image/png",
  source: { _tag: "inline", data }
})

const gone: Content.Block = {
  _tag: "image",
  mediaType: "image/png",
  source: { _tag: "blob", blobId: BlobId.make(`sha256:${"0".repeat(64)}`) }
}

const large = "x".repeat(F.limits.inlineBytesMax + 1)
const picture = bytes(F.limits.blockInlineBytesMax + 1)

/** Content that is batched. */
const flow = (content: Content.Content, options: F.HeaderOptions = {}) =>
  ({ ...F.flow("f", options), content }) as Extract<Input.Draft, { readonly _tag: "flow_step" }>

const contents = (driver: Service) =>
  Effect.gen(function*() {
    const run = yield* F.stage(driver)
    const inputs = yield* Effect.forEach(run.inputs, ({ input }) => input)
    return { run, contents: inputs.map(Input.contentOf) }
  })

const storedContent = (driver: Service, draft: Input.Draft) =>
  Effect.gen(function*() {
    const { inputId } = yield* F.accept(driver, draft)
    const { body } = yield* F.some(yield* driver.loadInput(inputId), "the input is stored")
    return body._tag === "inline" ? Input.contentOf(body.input) : undefined
  })

export const cases = [
  F.make(
    "I16: a body over inlineBytesMax is a blob in its row, and whole in a run and in the transcript",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt(large))
        const stored = yield* F.some(yield* driver.loadInput(inputId), "the input is stored")
        yield* expectEqual(stored.body._tag, "blob", "the stored body")
        const staged = yield* contents(driver)
        yield* expectEqual(staged.contents, [Content.from(large)], "the content in the run")
        yield* driver.complete({ runId: staged.run.runId })
        yield* F.expectTranscript(driver, [Session.user(large)])
      })
  ),
  F.make(
    "I16: a block over blockInlineBytesMax is a blob in its row, and inline again in a run",
    (driver) =>
      Effect.gen(function*() {
        const content = [Content.text("look"), image(picture), image(bytes(3))]
        const found = yield* storedContent(driver, Input.prompt(content))
        yield* expectEqual(
          found?.map((block) => block._tag === "text" ? "text" : block.source._tag),
          ["text", "blob", "inline"],
          "where the stored bytes are"
        )
        const { contents: [staged] } = yield* contents(driver)
        yield* expectEqual(staged, content, "the content in the run")
      })
  ),
  F.make("in the transcript a large block stays a reference", (driver) =>
    Effect.gen(function*() {
      const found = yield* storedContent(driver, Input.prompt([image(picture)]))
      const { runId } = yield* F.stage(driver)
      yield* driver.complete({ runId })
      yield* F.expectTranscript(driver, [Session.user(found ?? [])])
    })),
  F.make("media do not count for the size of an input", (driver) =>
    Effect.gen(function*() {
      const data = bytes(F.limits.inputBytesMax * 2)
      yield* F.accept(driver, Input.prompt([image(data)]))
      yield* expectEqual((yield* contents(driver)).contents, [[image(data)]], "the content in the run")
    })),
  F.make("I5: inline bytes and a reference to the same bytes are one payload", (driver) =>
    Effect.gen(function*() {
      const header = { idempotencyKey: "k" } as Input.HeaderDraft
      const stored = yield* storedContent(driver, Input.prompt([image(picture)], header))
      yield* check(stored?.[0]?._tag === "image" && stored[0].source._tag === "blob", "the stored block is a reference")
      const outcome = yield* driver.accept(Input.prompt(stored ?? [], header))
      yield* expectEqual<string>(outcome._tag, "deduplicated", "the outcome")
    })),
  F.make(
    "a blob that is gone fails its input alone; the others can be read, and the run is staged",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), flow([gone]), F.flow("c")])
        const run = yield* F.stage(driver)
        yield* expectEqual(
          run.inputs.map(({ input }) => Either.isRight(input)),
          [true, false, true],
          "which can be read"
        )
        const error = run.inputs[1]!.input
        yield* check(Either.isLeft(error) && error.left._tag === "BlobNotFound", "the error is BlobNotFound")
        yield* expectEqual(run.primitive.contributors.length, 2, "the contributors of the primitive")
        yield* driver.hold({ runId: run.runId, reason: "undecodable" })
      })
  ),
  F.make(
    "with placeholders, a text that names the blob stands for one that is gone",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, Input.prompt([Content.text("see"), gone]))
        const outcome = yield* driver.stage({ missingBlob: "placeholder" })
        yield* check(outcome._tag === "staged", "a run is staged")
        if (outcome._tag !== "staged") return
        const input = yield* outcome.run.inputs[0]!.input
        const [see, placeholder] = Input.contentOf(input)
        yield* expectEqual(see, Content.text("see"), "the first block")
        yield* check(
          placeholder?._tag === "text" && placeholder.text.includes("unavailable") &&
            placeholder.text.includes("sha256:"),
          "the placeholder says which blob is unavailable"
        )
      })
  ),
  F.make("a steer's blobs are inline when it is handed over", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, Input.prompt([image(picture)], {}, { handlingMode: "steer" }))
      const { steers } = yield* driver.checkpoint({ runId })
      yield* expectEqual(Input.contentOf(yield* steers[0]!.input), [image(picture)], "the content")
    }))
]

export const durableCases = [
  F.makeDurable(
    "I1: large bodies and blocks are whole after a restart",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [flow(Content.from(large)), flow([image(picture)])])
        const again = yield* restart()
        yield* expectEqual((yield* contents(again)).contents, [Content.from(large), [image(picture)]], "the contents")
      })
  )
]
