/**
 * Digests in JavaScript alone, for every platform.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js"
import * as Layer from "effect/Layer"
import * as Digest from "../services/Digest.js"

/**
 * The `Digest` of `@noble/hashes`, for browsers and edge runtimes. On Node.js `DigestNode` of `effect-burrow/sqlite` is
 * several times faster.
 *
 * @example
 * ```ts
 * import { BlobStoreMemory, DigestPure } from "effect-burrow"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreMemory.layer.pipe(Layer.provide(DigestPure.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Digest.Digest> = Layer.succeed(Digest.Digest, {
  sha256: (...parts) => {
    const hash = sha256.create()
    for (const part of parts) {
      hash.update(typeof part === "string" ? utf8ToBytes(part) : part)
    }
    return bytesToHex(hash.digest())
  }
})
