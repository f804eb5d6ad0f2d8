/**
 * What can go wrong with a blob. Each error says what happened, to which blob, what to do, and whether the same call
 * can succeed later (`retryable`).
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const EXCERPT_LENGTH_MAX = 80

// Refused text comes from outside: a line break, an escape sequence or a megabyte must not reach a log through it.
const excerpt = (raw: string): string => {
  const shown = raw.slice(0, EXCERPT_LENGTH_MAX).replace(/[^\x20-\x7e]/g, "?")
  return raw.length > EXCERPT_LENGTH_MAX ? `${shown}... (${raw.length} characters)` : shown
}

/**
 * No blob has this id: it was never put, or it was deleted.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobNotFound extends Schema.TaggedError<BlobNotFound>("effect-burrow/BlobNotFound")("BlobNotFound", {
  blobId: Schema.String
}) {
  override get message(): string {
    return `No blob ${this.blobId} in this store: it was never put, or it was deleted. Put the same bytes again, ` +
      "or go on without them."
  }

  get retryable(): boolean {
    return false
  }
}

/**
 * What is stored under this id does not hash to it: it was changed, cut off or replaced after it was put.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobCorrupt extends Schema.TaggedError<BlobCorrupt>("effect-burrow/BlobCorrupt")("BlobCorrupt", {
  blobId: Schema.String,
  /** How the content differs from what the id promises, without any of the content. */
  detail: Schema.String
}) {
  override get message(): string {
    return `Blob ${this.blobId} is corrupt: ${this.detail}. Put the original bytes again, which repairs it, or delete it.`
  }

  get retryable(): boolean {
    return false
  }
}

/**
 * A blob larger than this store takes or gives. Nothing was written, nothing was read into memory.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobTooLarge extends Schema.TaggedError<BlobTooLarge>("effect-burrow/BlobTooLarge")("BlobTooLarge", {
  /** Set when a stored blob is too large to be read, which happens after the limit was lowered. */
  blobId: Schema.optionalWith(Schema.String, { exact: true }),
  /** What was put, in bytes; of a stored blob the size of its record, which holds its media type too. */
  bytes: Schema.Number,
  blobBytesMax: Schema.Number
}) {
  override get message(): string {
    const what = this.blobId === undefined ? "A blob" : `The stored blob ${this.blobId}`
    return `${what} of ${this.bytes} bytes is over the limit of ${this.blobBytesMax} bytes. Make it smaller, or give ` +
      "the store's layer a larger blobBytesMax."
  }

  get retryable(): boolean {
    return false
  }
}

/**
 * A text that is no blob id. Refused before the store was touched.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobInvalidId extends Schema.TaggedError<BlobInvalidId>("effect-burrow/BlobInvalidId")("BlobInvalidId", {
  /** The beginning of the refused text, only printable ASCII of it: safe to log, not safe to compare. */
  blobId: Schema.String
}) {
  /**
   * The error for a text of any length and content.
   *
   * @since 0.1.0
   */
  static readonly fromText = (text: string): BlobInvalidId => new BlobInvalidId({ blobId: excerpt(text) })

  override get message(): string {
    return `"${this.blobId}" is no blob id. Use an id that BlobStore.put answered: sha256: and 64 lower-case hex digits.`
  }

  get retryable(): boolean {
    return false
  }
}

/**
 * A media type that cannot be part of a blob's id: without its parameters it is not 1 to 255 characters of printable
 * ASCII. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobInvalidMediaType
  extends Schema.TaggedError<BlobInvalidMediaType>("effect-burrow/BlobInvalidMediaType")("BlobInvalidMediaType", {
    /** The beginning of the refused text, only printable ASCII of it. */
    mediaType: Schema.String
  })
{
  /**
   * The error for a text of any length and content.
   *
   * @since 0.1.0
   */
  static readonly fromText = (text: string): BlobInvalidMediaType =>
    new BlobInvalidMediaType({ mediaType: excerpt(text) })

  override get message(): string {
    return `"${this.mediaType}" is no media type. Give 1 to 255 characters of printable ASCII before the first ";", ` +
      "such as image/png, or application/octet-stream if it is not known."
  }

  get retryable(): boolean {
    return false
  }
}

/**
 * The medium failed while a blob was read. The blob may be there and whole.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobReadFailed extends Schema.TaggedError<BlobReadFailed>("effect-burrow/BlobReadFailed")(
  "BlobReadFailed",
  {
    blobId: Schema.String,
    cause: Schema.Defect
  }
) {
  override get message(): string {
    return `Blob ${this.blobId} could not be read. Look at the cause, mend the medium, and try again.`
  }

  get retryable(): boolean {
    return true
  }
}

/**
 * The medium failed while a blob was put or deleted. Whether the blob is there is not known; the same call again is
 * safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobWriteFailed extends Schema.TaggedError<BlobWriteFailed>("effect-burrow/BlobWriteFailed")(
  "BlobWriteFailed",
  {
    blobId: Schema.String,
    cause: Schema.Defect
  }
) {
  override get message(): string {
    return `Blob ${this.blobId} could not be written or deleted. Look at the cause, mend the medium, and try again: ` +
      "putting and deleting are idempotent."
  }

  get retryable(): boolean {
    return true
  }
}

/**
 * Every error of the operations of a `BlobStore`.
 *
 * @example
 * ```ts
 * import { BlobStore } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const load = (id: string) =>
 *   Effect.flatMap(BlobStore.BlobStore, (blobs) => blobs.get(id)).pipe(
 *     Effect.retry({ times: 2, while: (error) => error.retryable }),
 *     Effect.asSome,
 *     Effect.catchTag("BlobNotFound", () => Effect.succeedNone)
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export const BlobError = Schema.Union(
  BlobNotFound,
  BlobCorrupt,
  BlobTooLarge,
  BlobInvalidId,
  BlobInvalidMediaType,
  BlobReadFailed,
  BlobWriteFailed
)
/**
 * Every error of a blob store that is open.
 *
 * @since 0.1.0
 * @category errors
 */
export type BlobError = typeof BlobError.Type

/**
 * A blob store could not be opened at this directory. It is the error of a layer, not of an operation.
 *
 * @example
 * ```ts
 * import { BlobStoreFileSystem, BlobStoreMemory } from "effect-burrow"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreFileSystem.layer({ directory: "/data/blobs" }).pipe(
 *   Layer.catchAll((error) => error.reason === "NotADirectory" ? BlobStoreMemory.layer : Layer.fail(error))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class BlobStoreOpenFailed
  extends Schema.TaggedError<BlobStoreOpenFailed>("effect-burrow/BlobStoreOpenFailed")("BlobStoreOpenFailed", {
    directory: Schema.String,
    /** `Unavailable` is everything that is neither of the others: a full or read-only disk, an I/O error. */
    reason: Schema.Literal("NotADirectory", "PermissionDenied", "Unavailable"),
    cause: Schema.Defect
  })
{
  override get message(): string {
    return `No blob store could be opened at ${this.directory} (${this.reason}). ${ADVICE[this.reason]}`
  }

  get retryable(): boolean {
    return this.reason === "Unavailable"
  }
}

const ADVICE: { readonly [Reason in BlobStoreOpenFailed["reason"]]: string } = {
  NotADirectory: "Something else than a directory is in the way: choose another path, or move it away.",
  PermissionDenied: "Give this process the right to read, write and enter the directory.",
  Unavailable: "Look at the cause, mend the disk, and open it again."
}
