import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as BlobError from "../../src/schema/BlobError.js"

const blobId = `sha256:${"0".repeat(64)}`
const cause = new Error("the cause")

const errors: ReadonlyArray<readonly [error: BlobError.BlobError, retryable: boolean]> = [
  [new BlobError.BlobNotFound({ blobId }), false],
  [new BlobError.BlobCorrupt({ blobId, detail: "its record is shorter" }), false],
  [new BlobError.BlobTooLarge({ blobId, bytes: 11, blobBytesMax: 10 }), false],
  [new BlobError.BlobInvalidId({ blobId }), false],
  [new BlobError.BlobInvalidMediaType({ mediaType: blobId }), false],
  [new BlobError.BlobReadFailed({ blobId, cause }), true],
  [new BlobError.BlobWriteFailed({ blobId, cause }), true]
]

describe("BlobError", () => {
  for (const [error, retryable] of errors) {
    it(`${error._tag} names the blob, advises, tells whether a retry can help, and survives JSON`, () => {
      assert.include(error.message, blobId)
      assert.isAbove(error.message.split(/[.:;] /).length, 1)
      assert.strictEqual(error.retryable, retryable)
      const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(BlobError.BlobError)(error)))
      const decoded = Schema.decodeUnknownSync(BlobError.BlobError)(json)
      assert.strictEqual(decoded._tag, error._tag)
      assert.strictEqual(decoded.message, error.message)
    })
  }

  it("BlobTooLarge of a put has sizes and no id", () => {
    const { message } = new BlobError.BlobTooLarge({ bytes: 11, blobBytesMax: 10 })
    assert.include(message, "11 bytes")
    assert.include(message, "10 bytes")
  })

  it("BlobStoreOpenFailed can be retried unless the place itself is wrong", () => {
    const retryable = (reason: BlobError.BlobStoreOpenFailed["reason"]) =>
      new BlobError.BlobStoreOpenFailed({ directory: "/data", reason, cause }).retryable
    assert.deepStrictEqual((["NotADirectory", "PermissionDenied", "Unavailable"] as const).map(retryable), [
      false,
      false,
      true
    ])
  })
})
