/**
 * Bytes of inputs that are too large for a row: put into the `BlobStore` before the row is written, and fetched back
 * when a run is staged.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { BlobError } from "../schema/BlobError.js"
import * as Content from "../schema/Content.js"
import { contentOf, type Input, withContent } from "../schema/Input.js"
import { BlobStore } from "./BlobStore.js"

/**
 * A block whose bytes are in it and are too many for a row.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLarge =
  (blockInlineBytesMax: number) =>
  (block: Content.Block): block is Content.MediaBlock & { readonly source: { readonly _tag: "inline" } } =>
    block._tag !== "text" && block.source._tag === "inline" && block.source.data.byteLength > blockInlineBytesMax

/**
 * The input with every inline block above `blockInlineBytesMax` replaced by a reference. The bytes are durable before
 * it answers; a row that is not written afterwards leaves an unreferenced blob, which is harmless.
 *
 * @since 0.1.0
 * @category blobs
 */
export const externalize = (
  input: Input,
  options: { readonly blockInlineBytesMax: number }
): Effect.Effect<Input, BlobError, BlobStore> => {
  const content = contentOf(input)
  const large = isLarge(options.blockInlineBytesMax)
  if (!content.some(large)) return Effect.succeed(input)
  return Effect.flatMap(BlobStore, (blobs) =>
    Effect.map(
      Effect.forEach(content, (block): Effect.Effect<Content.Block, BlobError> =>
        !large(block)
          ? Effect.succeed(block)
          : Effect.map(
            blobs.put(block.source.data, block.mediaType),
            (blobId) => ({ ...block, source: { _tag: "blob", blobId } })
          )),
      (blocks) => withContent(input, blocks)
    ))
}

/**
 * The input with its blobs' bytes inline again. A blob that is gone is an error, or the text `[image unavailable: id]`
 * in its place, as `missing` says; there is no default.
 *
 * @example
 * ```ts
 * import { type Input, InputBlobs, type RuntimeStore } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 *
 * // An input as a person may look at it. A large body is one blob as a whole, and has no blocks to fill in.
 * const show = ({ body }: RuntimeStore.StoredInput) =>
 *   body._tag === "blob"
 *     ? Effect.succeed(Option.none<Input.Input>())
 *     : Effect.asSome(InputBlobs.hydrate(body.input, { missing: "placeholder" }))
 * ```
 *
 * @since 0.1.0
 * @category blobs
 */
export const hydrate = (
  input: Input,
  options: { readonly missing: "fail" | "placeholder" }
): Effect.Effect<Input, BlobError, BlobStore> => {
  const content = contentOf(input)
  if (!content.some((block) => block._tag !== "text" && block.source._tag === "blob")) return Effect.succeed(input)
  return Effect.flatMap(BlobStore, (blobs) =>
    Effect.map(
      Effect.forEach(content, (block): Effect.Effect<Content.Block, BlobError> => {
        if (block._tag === "text" || block.source._tag === "inline") return Effect.succeed(block)
        const { blobId } = block.source
        const inline = Effect.map(
          blobs.get(blobId),
          ({ bytes }): Content.Block => ({ ...block, source: { _tag: "inline", data: bytes } })
        )
        return options.missing === "fail"
          ? inline
          : Effect.catchTag(inline, "BlobNotFound", () =>
            Effect.succeed(Content.text(`[${block._tag} unavailable: ${blobId}]`)))
      }),
      (blocks) =>
        withContent(input, blocks)
    ))
}
