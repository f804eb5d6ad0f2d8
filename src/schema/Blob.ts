/**
 * Names of blobs: a blob is bytes with a media type, and its id is the digest of both.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The content address of a blob: `sha256:` and 64 lower-case hex digits, the SHA-256 of its canonical media type, one
 * zero byte and its raw bytes. Nothing else is a blob id, so an id is always a safe file name and a safe SQL value.
 *
 * @example
 * ```ts
 * import { Blob } from "effect-burrow"
 * import * as Schema from "effect/Schema"
 *
 * const isBlobId = Schema.is(Blob.BlobId)
 * isBlobId("../../etc/passwd") // false
 * ```
 *
 * @since 0.1.0
 * @category ids
 */
export const BlobId = Schema.String.pipe(
  Schema.pattern(/^sha256:[0-9a-f]{64}$/, { message: () => "expected sha256: and 64 lower-case hex digits" }),
  Schema.brand("effect-burrow/BlobId")
)
/**
 * A blob's content address; the digest covers the canonical media type and the bytes.
 *
 * @since 0.1.0
 * @category ids
 */
export type BlobId = typeof BlobId.Type

/**
 * The part of a media type that takes part in a blob's id: what is before the first `;`, trimmed, with A to Z in lower
 * case. Idempotent. It does not say whether the result is a media type; `BlobStore.put` refuses one that cannot be
 * stored.
 *
 * @example
 * ```ts
 * import { Blob } from "effect-burrow"
 *
 * Blob.canonicalMediaType(" Text/HTML; charset=utf-8") // "text/html"
 * ```
 *
 * @since 0.1.0
 * @category media types
 */
export const canonicalMediaType = (raw: string): string => {
  const semicolon = raw.indexOf(";")
  const essence = semicolon === -1 ? raw : raw.slice(0, semicolon)
  return essence.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
