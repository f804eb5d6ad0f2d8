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
 * `inline` may become `blob` on its way into the row, above `blockInlineBytesMax`; a staged run has it inline again.
 *
 * @since 0.1.0
 * @category models
 */
export type Source = typeof Source.Type

/**
 * A block of text. Its bytes count towards `inputBytesMax`, and it has no blob of its own.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Text = Schema.TaggedStruct("text", { text: Schema.String })
/**
 * The one block without a media type; `text` makes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Text extends Schema.Schema.Type<typeof Text> {}

const media = { mediaType: Schema.NonEmptyString, source: Source }

/**
 * A picture, by media type such as `image/png`. Nothing here decodes it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Image = Schema.TaggedStruct("image", media)
/**
 * Its media type is the sender's word.
 *
 * @since 0.1.0
 * @category models
 */
export interface Image extends Schema.Schema.Type<typeof Image> {}

/**
 * Sound, by media type such as `audio/wav`. Nothing here decodes it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Audio = Schema.TaggedStruct("audio", media)
/**
 * Its media type is the sender's word.
 *
 * @since 0.1.0
 * @category models
 */
export interface Audio extends Schema.Schema.Type<typeof Audio> {}

/**
 * Any other bytes. `name` is for people and finds nothing: the blob's id does.
 *
 * @since 0.1.0
 * @category schemas
 */
export const File = Schema.TaggedStruct("file", { ...media, name: Schema.optionalWith(Schema.String, { exact: true }) })
/**
 * Its media type is the sender's word.
 *
 * @since 0.1.0
 * @category models
 */
export interface File extends Schema.Schema.Type<typeof File> {}

/**
 * One piece of content, told apart by `_tag`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Block = Schema.Union(Text, Image, Audio, File)
/**
 * Messages of the default shape hold the same blocks, so that an input's content can enter the transcript unchanged.
 *
 * @since 0.1.0
 * @category models
 */
export type Block = Text | Image | Audio | File
/**
 * A block with bytes, inline or in a blob.
 *
 * @since 0.1.0
 * @category models
 */
export type MediaBlock = Exclude<Block, Text>

/**
 * The content of an input or a message: its blocks.
 *
 * @example
 * ```ts
 * import { type Content, Input } from "effect-burrow"
 *
 * const photo = (png: Uint8Array): Content.Content => [
 *   { _tag: "text", text: "What can I cook with this?" },
 *   { _tag: "image", mediaType: "image/png", source: { _tag: "inline", data: png } }
 * ]
 *
 * const input = (png: Uint8Array) => Input.prompt(photo(png))
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Content = Schema.Array(Block)
/**
 * In reading order. It may be empty: such a prompt becomes no message.
 *
 * @since 0.1.0
 * @category models
 */
export type Content = ReadonlyArray<Block>

/**
 * A text block with exactly this text.
 *
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
