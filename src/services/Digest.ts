/**
 * SHA-256, as a service: the fastest implementation of the platform, handed to pure code as a function.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * Computes digests. Synchronous and pure, so that the core, which runs no effects, can be given it as a fact. All
 * layers answer the same for the same bytes.
 *
 * @example
 * ```ts
 * import { Digest, DigestPure } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const digest = yield* Digest.Digest
 *   return digest.sha256("text/plain", Uint8Array.of(0), "hello")
 * }).pipe(Effect.provide(DigestPure.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Digest extends Context.Tag("effect-burrow/Digest")<Digest, {
  /**
   * The SHA-256 of the parts' bytes one after another, as 64 lower-case hex digits. Strings are taken as UTF-8, a lone
   * surrogate as U+FFFD. Where one part ends and the next begins is no part of the digest: `("a", "b")` and `("ab")`
   * have the same one, so a caller that frames its parts puts the frame in.
   */
  readonly sha256: (...parts: ReadonlyArray<Uint8Array | string>) => string
}>() {}
