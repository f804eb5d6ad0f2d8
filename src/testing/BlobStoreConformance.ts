/**
 * The contract of a `BlobStore` as cases. A store of your own is right when all of them hold.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { BlobId } from "../schema/Blob.js"
import { BlobStore } from "../services/BlobStore.js"
import { type Case, check, expectEqual, expectFailure } from "./Conformance.js"

/**
 * The limit, in bytes of one blob, with which the store under test must be made.
 *
 * @since 0.1.0
 * @category limits
 */
export const blobBytesMax = 65_536

/**
 * Changes what is stored behind the back of the store, as a failing disk or a careless tool does. `tamperCases` need
 * one for the store under test.
 *
 * @example
 * ```ts
 * import { BlobStoreConformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const records = new Map<string, Uint8Array>()
 * const tamper = Layer.succeed(BlobStoreConformance.Tamper, {
 *   read: (id) => Effect.sync(() => records.get(id) ?? new Uint8Array()),
 *   overwrite: (id, record) => Effect.sync(() => records.set(id, record))
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Tamper extends Context.Tag("effect-burrow/testing/BlobStoreConformance/Tamper")<Tamper, {
  /** The record under this id: canonical media type, one zero byte, raw bytes. */
  readonly read: (id: BlobId) => Effect.Effect<Uint8Array, unknown>
  /** Puts other bytes in the place of the record, unseen by the store. */
  readonly overwrite: (id: BlobId, record: Uint8Array) => Effect.Effect<unknown, unknown>
}>() {}

const allBytes = Uint8Array.from({ length: 256 }, (_, i) => i)
const ascii = (characters: string): Uint8Array => Uint8Array.from(characters, (character) => character.charCodeAt(0))
const text = ascii("some text")
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

const absent = `sha256:${"0".repeat(64)}`

const vectors: ReadonlyArray<readonly [mediaType: string, bytes: Uint8Array, id: string]> = [
  ["text/plain", ascii("hello"), "sha256:97ef98f924d843749ab0e7f56c8362af9c86e7d214492543f8dbfb6cdf679037"],
  ["image/png", allBytes, "sha256:b39b44cdf1cc3cf04c91ead79d7504a0659d03def5bb4b320deb76459e54ec3c"],
  [
    "application/octet-stream",
    new Uint8Array(),
    "sha256:d00ea5eb2796519f05f64de1e079941ba1f7d527bf7c2362cb8ff7cd9e9e3034"
  ]
]

// Zero bytes of "application/octet-stream", one more than fit.
const tooLargeId = "sha256:e2bce9932bd0996a5c49566e25d72a209f592f31f431b61f70fed48d4d44094d"

const noRecord = ascii("no zero byte")
const noRecordId = "sha256:7312f9b05b0cc466adfb2401b645cd5e1ac40ff9ac66e6ec68fa06301c0c13e3"

const invalidIds: ReadonlyArray<string> = [
  "",
  "sha256:",
  "../../etc/passwd",
  "/etc/passwd",
  "sha256:..%2f..%2fetc%2fpasswd",
  `sha256:${"../".repeat(21)}x`,
  `sha256:../${"0".repeat(61)}`,
  `sha256:${"A".repeat(64)}`,
  `SHA256:${"0".repeat(64)}`,
  `sha256:${"0".repeat(63)}`,
  `sha256:${"0".repeat(65)}`,
  `sha256:${"0".repeat(63)}\u0000`,
  `sha256:${"0".repeat(64)}\u0000.tmp`,
  `sha256:${"0".repeat(64)}\n`,
  ` sha256:${"0".repeat(64)}`,
  `sha512:${"0".repeat(64)}`,
  "0".repeat(64),
  `sha256:${"\uff10".repeat(64)}`,
  "' OR 1=1 --"
]

const invalidMediaTypes: ReadonlyArray<string> = [
  "",
  "; charset=utf-8",
  "text/plain\u0000hidden",
  "text/\nplain",
  "text/pl\u00e4in",
  "text/\ud800",
  "x".repeat(256)
]

const make = (
  name: string,
  body: (blobs: BlobStore["Type"]) => Effect.Effect<void, unknown>
): Case<BlobStore> => ({ name, run: Effect.flatMap(BlobStore, body) })

const makeTampered = (
  name: string,
  body: (blobs: BlobStore["Type"], tamper: Tamper["Type"]) => Effect.Effect<void, unknown>
): Case<BlobStore | Tamper> => ({
  name,
  run: Effect.flatMap(Effect.all([BlobStore, Tamper]), ([blobs, tamper]) => body(blobs, tamper))
})

/**
 * What every store promises. Each case wants a store that was made with `blobBytesMax`; it may hold other blobs.
 *
 * @example
 * ```ts
 * import { BlobStoreMemory, DigestPure } from "effect-burrow"
 * import { BlobStoreConformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const store = BlobStoreMemory.layerWith({ blobBytesMax: BlobStoreConformance.blobBytesMax }).pipe(
 *   Layer.provide(DigestPure.layer)
 * )
 * // With a test framework: one test for each case, named by the case.
 * const all = Effect.forEach(BlobStoreConformance.cases, ({ run }) => Effect.provide(run, store))
 * ```
 *
 * @since 0.1.0
 * @category cases
 */
export const cases: ReadonlyArray<Case<BlobStore>> = [
  make(
    "put answers sha256: and the SHA-256 of canonical media type, one zero byte and raw bytes",
    (blobs) =>
      Effect.forEach(
        vectors,
        ([mediaType, bytes, id]) =>
          Effect.flatMap(blobs.put(bytes, mediaType), (actual) => expectEqual<string>(actual, id)),
        { discard: true }
      )
  ),

  make("get answers the bytes that were put, all 256 values of a byte included", (blobs) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(allBytes, "application/octet-stream")
      yield* expectEqual(yield* blobs.get(id), { mediaType: "application/octet-stream", bytes: allBytes })
    })),

  make("empty bytes are a blob like others", (blobs) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(new Uint8Array(), "text/plain")
      yield* expectEqual(yield* blobs.get(id), { mediaType: "text/plain", bytes: new Uint8Array() })
      yield* check(yield* blobs.exists(id), "an empty blob exists")
    })),

  make("bytes that begin with zero bytes come back whole", (blobs) =>
    Effect.gen(function*() {
      const bytes = Uint8Array.of(0, 0, 1, 0)
      const id = yield* blobs.put(bytes, "text/plain")
      yield* expectEqual((yield* blobs.get(id)).bytes, bytes)
    })),

  make(
    "media types that differ in case, blanks or parameters only name one blob, kept in canonical form",
    (blobs) =>
      Effect.gen(function*() {
        const id = yield* blobs.put(text, "image/png")
        for (const mediaType of ["IMAGE/PNG", "  image/png\t", "Image/Png ; q=1; x=\"a;b\""]) {
          yield* expectEqual(yield* blobs.put(text, mediaType), id, `the id under ${mediaType}`)
        }
        yield* expectEqual((yield* blobs.get(id)).mediaType, "image/png")
      })
  ),

  make("the same bytes under two media types are two blobs", (blobs) =>
    Effect.gen(function*() {
      const png = yield* blobs.put(text, "image/png")
      const jpeg = yield* blobs.put(text, "image/jpeg")
      yield* check(png !== jpeg, "two ids")
      yield* blobs.delete(png)
      yield* expectEqual(yield* blobs.get(jpeg), { mediaType: "image/jpeg", bytes: text })
    })),

  make("putting the same content again answers the same id and keeps one blob", (blobs) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(text, "image/png")
      yield* expectEqual(yield* blobs.put(text, "image/png"), id)
      yield* expectEqual((yield* blobs.get(id)).bytes, text)
      yield* blobs.delete(id)
      yield* check(!(yield* blobs.exists(id)), "one deletion deletes it")
    })),

  make("concurrent puts of one content all succeed with one id", (blobs) =>
    Effect.gen(function*() {
      const bytes = filled(4_096, 7)
      const ids = yield* Effect.replicateEffect(blobs.put(bytes, "image/png"), 32, { concurrency: "unbounded" })
      yield* expectEqual(new Set(ids).size, 1, "the number of ids")
      yield* expectEqual((yield* blobs.get(ids[0]!)).bytes, bytes)
    })),

  make(
    "concurrent puts of several contents keep each of them whole",
    (blobs) =>
      Effect.forEach(Array.from({ length: 32 }, (_, i) => i), (i) =>
        Effect.gen(function*() {
          const bytes = filled(1_000 + i, i + 1)
          const id = yield* blobs.put(bytes, "image/png")
          yield* expectEqual((yield* blobs.get(id)).bytes, bytes)
        }), { concurrency: "unbounded", discard: true })
  ),

  make(
    "a blob is a copy, taken when put begins: neither the array that was put nor one that was answered is shared",
    (blobs) =>
      Effect.gen(function*() {
        const bytes = Uint8Array.of(1, 2, 3)
        const fiber = yield* Effect.fork(blobs.put(bytes, "text/plain"))
        yield* Effect.yieldNow()
        bytes.fill(9)
        const id = yield* Fiber.join(fiber)
        const answered = (yield* blobs.get(id)).bytes
        yield* expectEqual(answered, Uint8Array.of(1, 2, 3))
        answered.fill(9)
        yield* expectEqual((yield* blobs.get(id)).bytes, Uint8Array.of(1, 2, 3))
      })
  ),

  make(
    "a put that is interrupted leaves the blob whole or not there at all",
    (blobs) =>
      Effect.forEach(Array.from({ length: 16 }, (_, i) => i), (yields) =>
        Effect.gen(function*() {
          const bytes = filled(30_000, yields + 1)
          const id = yield* blobs.put(bytes, "image/png")
          yield* blobs.delete(id)
          const fiber = yield* Effect.fork(blobs.put(bytes, "image/png"))
          yield* Effect.repeatN(Effect.yieldNow(), yields)
          yield* Fiber.interrupt(fiber)
          if (yield* blobs.exists(id)) yield* expectEqual((yield* blobs.get(id)).bytes, bytes)
        }), { discard: true })
  ),

  make("get of a blob that is not there fails with BlobNotFound and its id", (blobs) =>
    Effect.gen(function*() {
      const error = yield* expectFailure(blobs.get(absent), "BlobNotFound")
      yield* expectEqual(error.blobId, absent)
    })),

  make("exists tells whether a blob is there", (blobs) =>
    Effect.gen(function*() {
      yield* check(!(yield* blobs.exists(absent)), "an id that was never put does not exist")
      const id = yield* blobs.put(text, "image/png")
      yield* check(yield* blobs.exists(id), "a blob that was put exists")
    })),

  make("a deleted blob is gone, and deleting it again succeeds", (blobs) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(text, "image/png")
      yield* blobs.delete(id)
      yield* expectFailure(blobs.get(id), "BlobNotFound")
      yield* check(!(yield* blobs.exists(id)), "a deleted blob does not exist")
      yield* blobs.delete(id)
      yield* blobs.delete(absent)
    })),

  make("a deleted blob can be put again", (blobs) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(text, "image/png")
      yield* blobs.delete(id)
      yield* expectEqual(yield* blobs.put(text, "image/png"), id)
      yield* expectEqual((yield* blobs.get(id)).bytes, text)
    })),

  make(
    "get, exists and delete refuse what is no blob id with BlobInvalidId",
    (blobs) =>
      Effect.forEach(invalidIds, (id) =>
        Effect.all([
          expectFailure(blobs.get(id), "BlobInvalidId"),
          expectFailure(blobs.exists(id), "BlobInvalidId"),
          expectFailure(blobs.delete(id), "BlobInvalidId")
        ]), { discard: true })
  ),

  make("a refused id is shown in part and in printable ASCII only", (blobs) =>
    Effect.gen(function*() {
      const error = yield* expectFailure(blobs.get(`\u001b[2J\r\n\u202e${"x".repeat(1_000_000)}`), "BlobInvalidId")
      for (const shown of [error.blobId, error.message]) {
        yield* check(/^[\x20-\x7e]{1,300}$/.test(shown), "at most 300 printable characters")
      }
    })),

  make("a blob of blobBytesMax bytes is accepted and answered", (blobs) =>
    Effect.gen(function*() {
      const bytes = filled(blobBytesMax, 1)
      const id = yield* blobs.put(bytes, "x".repeat(255))
      yield* expectEqual(yield* blobs.get(id), { mediaType: "x".repeat(255), bytes })
    })),

  make(
    "a larger blob is refused with BlobTooLarge, which tells both sizes, and is not stored",
    (blobs) =>
      Effect.gen(function*() {
        const put = blobs.put(new Uint8Array(blobBytesMax + 1), "application/octet-stream")
        const error = yield* expectFailure(put, "BlobTooLarge")
        yield* expectEqual([error.bytes, error.blobBytesMax], [blobBytesMax + 1, blobBytesMax])
        yield* check(!(yield* blobs.exists(tooLargeId)), "what was refused does not exist")
      })
  ),

  make(
    "a media type that is not 1 to 255 printable ASCII characters is refused with BlobInvalidMediaType",
    (blobs) =>
      Effect.forEach(
        invalidMediaTypes,
        (mediaType) => expectFailure(blobs.put(text, mediaType), "BlobInvalidMediaType"),
        { discard: true }
      )
  )
]

const original = filled(1_000, 5)

const damages: ReadonlyArray<readonly [what: string, damage: (record: Uint8Array) => Uint8Array]> = [
  ["a record with one bit changed in its bytes", (record) => record.with(record.length - 1, record.at(-1)! ^ 1)],
  ["a record with one bit changed in its media type", (record) => record.with(0, record[0]! ^ 1)],
  ["a record that was cut off", (record) => record.slice(0, -1)],
  ["an emptied record", () => new Uint8Array()],
  ["a record that was made longer", (record) => Uint8Array.from([...record, 0])],
  ["a record full of zero bytes", (record) => new Uint8Array(record.length)]
]

/**
 * What a store promises whose records others can reach: a disk, a database. These cases change records through `Tamper`.
 *
 * @example
 * ```ts
 * import type { BlobStore } from "effect-burrow"
 * import { BlobStoreConformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 * import type * as Layer from "effect/Layer"
 *
 * const all = (store: Layer.Layer<BlobStore.BlobStore | BlobStoreConformance.Tamper>) =>
 *   Effect.forEach(BlobStoreConformance.tamperCases, ({ run }) => Effect.provide(run, store))
 * ```
 *
 * @since 0.1.0
 * @category cases
 */
export const tamperCases: ReadonlyArray<Case<BlobStore | Tamper>> = [
  makeTampered(
    "a record is canonical media type, one zero byte and raw bytes",
    (blobs, tamper) =>
      Effect.gen(function*() {
        const id = yield* blobs.put(Uint8Array.of(0, 255), "Text/Plain; charset=utf-8")
        yield* expectEqual(Uint8Array.from(yield* tamper.read(id)), Uint8Array.of(...ascii("text/plain"), 0, 0, 255))
      })
  ),

  ...damages.map(([what, damage]) =>
    makeTampered(
      `${what} is BlobCorrupt to get and exists, and put repairs it`,
      (blobs, tamper) =>
        Effect.gen(function*() {
          const id = yield* blobs.put(original, "image/png")
          const record = Uint8Array.from(yield* tamper.read(id))
          yield* tamper.overwrite(id, damage(record))
          const error = yield* expectFailure(blobs.get(id), "BlobCorrupt")
          yield* expectEqual(error.blobId, id)
          yield* expectFailure(blobs.exists(id), "BlobCorrupt")
          yield* expectEqual(yield* blobs.put(original, "image/png"), id)
          yield* expectEqual(yield* blobs.get(id), { mediaType: "image/png", bytes: original })
          yield* expectEqual(Uint8Array.from(yield* tamper.read(id)), record, "the record after the repair")
        })
    )
  ),

  makeTampered("the record of another blob is BlobCorrupt", (blobs, tamper) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(original, "image/png")
      const other = yield* blobs.put(text, "image/png")
      yield* tamper.overwrite(id, Uint8Array.from(yield* tamper.read(other)))
      yield* expectFailure(blobs.get(id), "BlobCorrupt")
    })),

  makeTampered("a corrupt blob can be deleted", (blobs, tamper) =>
    Effect.gen(function*() {
      const id = yield* blobs.put(original, "image/png")
      yield* tamper.overwrite(id, ascii("no record"))
      yield* blobs.delete(id)
      yield* expectFailure(blobs.get(id), "BlobNotFound")
    })),

  makeTampered(
    "a record too large to be read is BlobTooLarge to get and exists, and put repairs it",
    (blobs, tamper) =>
      Effect.gen(function*() {
        const id = yield* blobs.put(original, "image/png")
        yield* tamper.overwrite(id, new Uint8Array(blobBytesMax + 1_000))
        const error = yield* expectFailure(blobs.get(id), "BlobTooLarge")
        yield* expectEqual([error.blobId, error.bytes, error.blobBytesMax], [id, blobBytesMax + 1_000, blobBytesMax])
        yield* expectFailure(blobs.exists(id), "BlobTooLarge")
        yield* blobs.put(original, "image/png")
        yield* expectEqual((yield* blobs.get(id)).bytes, original)
      })
  ),

  makeTampered(
    "bytes that hash to their id but are no record are BlobCorrupt",
    (blobs, tamper) =>
      Effect.gen(function*() {
        yield* tamper.overwrite(BlobId.make(noRecordId), noRecord)
        yield* expectFailure(blobs.get(noRecordId), "BlobCorrupt")
      })
  )
]
