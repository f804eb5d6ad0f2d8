/**
 * Digests by the native code of Node.js.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Crypto from "node:crypto"
import * as Digest from "../services/Digest.js"

/**
 * The `Digest` of `node:crypto`.
 *
 * @example
 * ```ts
 * import { BlobStoreMemory } from "effect-burrow"
 * import { DigestNode } from "effect-burrow/sqlite"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreMemory.layer.pipe(Layer.provide(DigestNode.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Digest.Digest> = Layer.succeed(Digest.Digest, {
  sha256: (...parts) => {
    const hash = Crypto.createHash("sha256")
    for (const part of parts) {
      hash.update(part)
    }
    return hash.digest("hex")
  }
})
