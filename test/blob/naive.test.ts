import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as DigestNode from "../../src/layers/DigestNode.js"
import { BlobId } from "../../src/schema/Blob.js"
import { BlobNotFound } from "../../src/schema/BlobError.js"
import * as BlobStore from "../../src/services/BlobStore.js"
import * as Digest from "../../src/services/Digest.js"
import { cases, Tamper, tamperCases } from "../../src/testing/BlobStoreConformance.js"

/** Trusts ids, media types, sizes, callers and its medium, and keeps bytes as a C program keeps text. */
const naive = Layer.unwrapEffect(Effect.gen(function*() {
  const digest = yield* Digest.Digest
  const records = new Map<string, { mediaType: string; bytes: Uint8Array }>()
  const cut = (bytes: Uint8Array) => bytes.includes(0) ? bytes.subarray(0, bytes.indexOf(0)) : bytes
  return Layer.merge(
    Layer.succeed(BlobStore.BlobStore, {
      persistent: false,
      put: (bytes, mediaType) =>
        Effect.sync(() => {
          const id = BlobId.make(`sha256:${digest.sha256(mediaType, Uint8Array.of(0), bytes)}`)
          if (!records.has(id)) records.set(id, { mediaType, bytes: cut(bytes) })
          return id
        }),
      get: (id) =>
        Effect.suspend(() => {
          const blob = records.get(id)
          return blob === undefined ? Effect.fail(new BlobNotFound({ blobId: id })) : Effect.succeed(blob)
        }),
      exists: (id) => Effect.sync(() => records.has(id)),
      delete: (id) => Effect.sync(() => records.delete(id))
    }),
    Layer.succeed(Tamper, {
      read: (id) => Effect.map(Effect.fromNullable(records.get(id)), ({ bytes }) => bytes),
      overwrite: (id, bytes) => Effect.sync(() => records.set(id, { mediaType: "image/png", bytes }))
    })
  )
})).pipe(Layer.provide(DigestNode.layer))

describe("a naive blob store", () => {
  it.effect("fails exactly the cases of the promises it breaks", () =>
    Effect.gen(function*() {
      const failed: Array<string> = []
      for (const { name, run } of [...cases, ...tamperCases]) {
        if (Exit.isFailure(yield* Effect.exit(Effect.provide(run, naive)))) failed.push(name)
      }
      assert.deepStrictEqual(failed, [
        "get answers the bytes that were put, all 256 values of a byte included",
        "bytes that begin with zero bytes come back whole",
        "media types that differ in case, blanks or parameters only name one blob, kept in canonical form",
        "a blob is a copy, taken when put begins: neither the array that was put nor one that was answered is shared",
        "get, exists and delete refuse what is no blob id with BlobInvalidId",
        "a refused id is shown in part and in printable ASCII only",
        "a larger blob is refused with BlobTooLarge, which tells both sizes, and is not stored",
        "a media type that is not 1 to 255 printable ASCII characters is refused with BlobInvalidMediaType",
        "a record is canonical media type, one zero byte and raw bytes",
        "a record with one bit changed in its bytes is BlobCorrupt to get and exists, and put repairs it",
        "a record with one bit changed in its media type is BlobCorrupt to get and exists, and put repairs it",
        "a record that was cut off is BlobCorrupt to get and exists, and put repairs it",
        "an emptied record is BlobCorrupt to get and exists, and put repairs it",
        "a record that was made longer is BlobCorrupt to get and exists, and put repairs it",
        "a record full of zero bytes is BlobCorrupt to get and exists, and put repairs it",
        "the record of another blob is BlobCorrupt",
        "a record too large to be read is BlobTooLarge to get and exists, and put repairs it",
        "bytes that hash to their id but are no record are BlobCorrupt"
      ])
    }))
})
