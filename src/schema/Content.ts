/**
 * What an input or a message says: text, images, audio and files, inline or as a reference to a blob.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BlobId } from "./Blob.js"

/**
 * Where the bytes of a block are: in the block itself, or in the `BlobStore` under their content address.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Source = Schema.Union(
  Schema.TaggedStruct("inline", { data: Schema.Uint8ArrayFromBase64 }),
  Schema.TaggedStruct("blob", { blobId: BlobId })
)
/**
 * @since 0.1.0
 * @category models
 */
export type Source = typeof Source.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const Text = Schema.TaggedStruct("text", { text: Schema.String })
/**
 * @since 0.1.0
 * @category models
 */
export interface Text extends Schema.Schema.Type<typeof Text> {}

const media = { mediaType: Schema.NonEmptyString, source: Source }

/**
 * @since 0.1.0
 * @category schemas
 */
export const Image = Schema.TaggedStruct("image", media)
/**
 * @since 0.1.0
 * @category schemas
 */
export const Audio = Schema.TaggedStruct("audio", media)
/**
 * @since 0.1.0
 * @category schemas
 */
export const File = Schema.TaggedStruct("file", { ...media, name: Schema.optionalWith(Schema.String, { exact: true }) })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Block = Schema.Union(Text, Image, Audio, File)
/**
 * @since 0.1.0
 * @category models
 */
export type Block = typeof Block.Type
/**
 * A block with bytes, inline or in a blob.
 *
 * @since 0.1.0
 * @category models
 */
export type MediaBlock = Exclude<Block, Text>

/**
 * The content of an input: one or more blocks.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Content = Schema.Array(Block)
/**
 * @since 0.1.0
 * @category models
 */
export type Content = typeof Content.Type

/**
 * @since 0.1.0
 * @category constructors
 */
export const text = (value: string): Text => ({ _tag: "text", text: value })

/**
 * The content of what a caller gave: a string is one text block.
 *
 * @since 0.1.0
 * @category constructors
 */
export const from = (given: string | Content): Content => typeof given === "string" ? [text(given)] : given

/**
 * The text of the text blocks, joined by line breaks.
 *
 * @since 0.1.0
 * @category projections
 */
export const toText = (content: Content): string =>
  content.flatMap((block) => block._tag === "text" ? [block.text] : []).join("\n")
