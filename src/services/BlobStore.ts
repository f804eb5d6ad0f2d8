/**
 * Where bytes live that are too large for a row: images, audio, files, the bodies of large inputs.
 *
 * A blob's id is the digest of its content, so bytes under an id can never change their meaning, two writers of the
 * same content need no lock, and a reader can tell by itself whether what it got is what was put.
 *
 * A store implements `BlobStoreEncoded`, which keeps opaque records; `make` adds ids, limits, verification and spans,
 * once for all stores.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { BlobId, canonicalMediaType } from "../schema/Blob.js"
import {
  BlobCorrupt,
  BlobInvalidId,
  BlobInvalidMediaType,
  BlobNotFound,
  type BlobReadFailed,
  BlobTooLarge,
  type BlobWriteFailed
} from "../schema/BlobError.js"
import type * as Digest from "./Digest.js"

/**
 * A blob as it was put.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredBlob {
  /** Canonical: without parameters, in lower case. */
  readonly mediaType: string
  readonly bytes: Uint8Array
}

/**
 * A content-addressed store of bytes. `BlobStoreConformance` of `effect-burrow/testing` holds its contract as cases.
 *
 * @example
 * ```ts
 * import { BlobStore, BlobStoreMemory, DigestPure } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const program = Effect.gen(function*() {
 *   const blobs = yield* BlobStore.BlobStore
 *   const id = yield* blobs.put(new TextEncoder().encode("hello"), "text/plain; charset=utf-8")
 *   const { bytes, mediaType } = yield* blobs.get(id)
 *   return `${mediaType}, ${bytes.length} bytes` // "text/plain, 5 bytes"
 * }).pipe(
 *   Effect.provide(BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer)))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class BlobStore extends Context.Tag("effect-burrow/BlobStore")<BlobStore, {
  /** Whether a blob outlives the process: what `put` answered is then synced to the medium. */
  readonly persistent: boolean
  /**
   * Stores the bytes and answers their id; the id of the same bytes under the same canonical media type is the same.
   * Idempotent: a blob that is there already is verified, made durable again, renewed in age, and repaired if it is
   * corrupt. The bytes are copied when it begins, then the caller may reuse them. If it is interrupted or fails, the blob is there
   * whole or not at all.
   */
  readonly put: (
    bytes: Uint8Array,
    mediaType: string
  ) => Effect.Effect<BlobId, BlobInvalidMediaType | BlobTooLarge | BlobWriteFailed>
  /**
   * The blob's bytes, verified against the id, in an array that is the caller's own.
   */
  readonly get: (
    id: string
  ) => Effect.Effect<StoredBlob, BlobInvalidId | BlobNotFound | BlobCorrupt | BlobTooLarge | BlobReadFailed>
  /**
   * Whether `get` would answer the blob. It reads and verifies it, and fails as `get` does if it is there but cannot
   * be answered: `false` says that there is none.
   */
  readonly exists: (
    id: string
  ) => Effect.Effect<boolean, BlobInvalidId | BlobCorrupt | BlobTooLarge | BlobReadFailed>
  /**
   * Deletes the blob. Idempotent: deleting one that is not there succeeds.
   */
  readonly delete: (id: string) => Effect.Effect<void, BlobInvalidId | BlobWriteFailed>
}>() {}

/**
 * What a store implements: records of opaque bytes under valid ids. A record is the text that the id is the digest of,
 * canonical media type, one zero byte, raw bytes; only `make` looks into it. No method may answer success before its
 * effect is as durable as the store can make it.
 *
 * @example
 * ```ts
 * import { BlobStore } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 *
 * const records = new Map<string, Uint8Array>()
 *
 * const encoded: BlobStore.BlobStoreEncoded = {
 *   persistent: false,
 *   read: (id) => Effect.sync(() => Option.map(Option.fromNullable(records.get(id)), (record) => record.slice())),
 *   write: (id, record) => Effect.sync(() => records.set(id, record)),
 *   renew: (id) => Effect.sync(() => records.has(id)),
 *   remove: (id) => Effect.sync(() => records.delete(id))
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface BlobStoreEncoded {
  readonly persistent: boolean
  /**
   * The record, unverified, in an array that nobody else holds; `none` if there is none. A record of more than
   * `recordBytesMax` bytes is not read but fails with `BlobTooLarge`.
   */
  readonly read: (
    id: BlobId,
    recordBytesMax: number
  ) => Effect.Effect<Option.Option<Uint8Array>, BlobTooLarge | BlobReadFailed>
  /**
   * Stores the record, whole or not at all, in place of whatever is there. The array is the store's to keep.
   */
  readonly write: (id: BlobId, record: Uint8Array) => Effect.Effect<unknown, BlobWriteFailed>
  /**
   * Makes a record that was just read intact durable and as young as if it were written now. `false` if it is gone.
   */
  readonly renew: (id: BlobId) => Effect.Effect<boolean, BlobWriteFailed>
  /** Removes the record, if there is one. */
  readonly remove: (id: BlobId) => Effect.Effect<unknown, BlobWriteFailed>
}

/**
 * The most bytes of one blob unless a layer is told otherwise: 64 MiB.
 *
 * @since 0.1.0
 * @category limits
 */
export const blobBytesMaxDefault = 64 * 1024 * 1024

const MEDIA_TYPE_BYTES_MAX = 255
const SEPARATOR = 0

const isBlobId = Schema.is(BlobId)

// Printable ASCII only: a zero byte would let two blobs share one record, and what has no UTF-8 would not come back.
const isStorableMediaType = (mediaType: string): boolean =>
  mediaType.length <= MEDIA_TYPE_BYTES_MAX && /^[\x20-\x7e]+$/.test(mediaType)

const toRecord = (mediaType: string, bytes: Uint8Array): Uint8Array => {
  const record = new Uint8Array(mediaType.length + 1 + bytes.length)
  for (let i = 0; i < mediaType.length; i++) {
    record[i] = mediaType.charCodeAt(i)
  }
  record[mediaType.length] = SEPARATOR
  record.set(bytes, mediaType.length + 1)
  return record
}

const fromRecord = (record: Uint8Array): Option.Option<StoredBlob> => {
  const separator = record.indexOf(SEPARATOR)
  if (separator < 1 || separator > MEDIA_TYPE_BYTES_MAX) return Option.none()
  const mediaType = String.fromCharCode(...record.subarray(0, separator))
  if (!isStorableMediaType(mediaType)) return Option.none()
  // A view of the plain class, since a store may have read into a Buffer.
  const start = record.byteOffset + separator + 1
  return Option.some({ mediaType, bytes: new Uint8Array(record.buffer, start, record.length - separator - 1) })
}

/**
 * A `BlobStore` over the records of `encoded`. `blobBytesMax` counts the raw bytes of a blob, without its media type;
 * a larger one is neither written nor read.
 *
 * @example
 * ```ts
 * import { BlobStore, Digest } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const fromRecords = (encoded: BlobStore.BlobStoreEncoded): Layer.Layer<BlobStore.BlobStore, never, Digest.Digest> =>
 *   Layer.effect(
 *     BlobStore.BlobStore,
 *     Effect.map(Digest.Digest, (digest) => BlobStore.make(encoded, { digest, blobBytesMax: 1_000_000 }))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (encoded: BlobStoreEncoded, options: {
  readonly digest: Digest.Digest["Type"]
  readonly blobBytesMax?: number | undefined
}): BlobStore["Type"] => {
  const blobBytesMax = options.blobBytesMax ?? blobBytesMaxDefault
  const recordBytesMax = MEDIA_TYPE_BYTES_MAX + 1 + blobBytesMax

  const idOf = (record: Uint8Array): BlobId => BlobId.make(`sha256:${options.digest.sha256(record)}`)

  const withValidId = <A, E>(
    id: string,
    use: (id: BlobId) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | BlobInvalidId> =>
    isBlobId(id)
      ? Effect.zipRight(Effect.annotateCurrentSpan("burrow.blob.id", id), use(id))
      : Effect.fail(BlobInvalidId.fromText(id))

  const find = Effect.fnUntraced(function*(id: BlobId) {
    const found = yield* encoded.read(id, recordBytesMax).pipe(
      Effect.catchTag("BlobTooLarge", ({ bytes }) => new BlobTooLarge({ blobId: id, bytes, blobBytesMax }))
    )
    if (Option.isNone(found)) return Option.none<StoredBlob>()
    const record = found.value
    const actual = idOf(record)
    if (actual !== id) {
      return yield* new BlobCorrupt({ blobId: id, detail: `its record of ${record.length} bytes hashes to ${actual}` })
    }
    const blob = fromRecord(record)
    if (Option.isNone(blob)) {
      return yield* new BlobCorrupt({ blobId: id, detail: `its record of ${record.length} bytes has no media type` })
    }
    const bytes = blob.value.bytes.length
    if (bytes > blobBytesMax) return yield* new BlobTooLarge({ blobId: id, bytes, blobBytesMax })
    return blob
  })

  const getValid = (id: BlobId) =>
    Effect.flatMap(
      find(id),
      Option.match({ onNone: () => new BlobNotFound({ blobId: id }), onSome: (blob) => Effect.succeed(blob) })
    )

  const isIntact = (id: BlobId, recordBytes: number): Effect.Effect<boolean> =>
    encoded.read(id, recordBytes).pipe(
      Effect.map(Option.exists((record) => idOf(record) === id)),
      // What cannot be read is not vouched for but replaced; if that cannot be done either, the write says why.
      Effect.catchAll(() => Effect.succeed(false))
    )

  const put = Effect.fnUntraced(function*(bytes: Uint8Array, rawMediaType: string) {
    // Not `bytes.length > blobBytesMax`: a limit that is not a number must refuse everything, not nothing.
    if (!(bytes.length <= blobBytesMax)) return yield* new BlobTooLarge({ bytes: bytes.length, blobBytesMax })
    const mediaType = canonicalMediaType(rawMediaType)
    if (!isStorableMediaType(mediaType)) return yield* BlobInvalidMediaType.fromText(rawMediaType)
    const record = toRecord(mediaType, bytes)
    const id = idOf(record)
    yield* Effect.annotateCurrentSpan("burrow.blob.id", id)
    const kept = (yield* isIntact(id, record.length)) && (yield* encoded.renew(id))
    if (!kept) yield* encoded.write(id, record)
    return id
  })

  const span = (name: string, attributes: Record<string, unknown> = {}) =>
    Effect.withSpan(name, { attributes, captureStackTrace: false })

  return BlobStore.of({
    persistent: encoded.persistent,
    put: (bytes, mediaType) => put(bytes, mediaType).pipe(span("BlobStore.put", { "burrow.blob.bytes": bytes.length })),
    get: (id) => withValidId(id, getValid).pipe(span("BlobStore.get")),
    exists: (id) => withValidId(id, (id) => Effect.map(find(id), Option.isSome)).pipe(span("BlobStore.exists")),
    delete: (id) => withValidId(id, (id) => Effect.asVoid(encoded.remove(id))).pipe(span("BlobStore.delete"))
  })
}
