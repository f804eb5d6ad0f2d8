/**
 * What is hashed, and over which bytes. The hash function itself is given: the core computes with it, and knows none.
 */
import * as Either from "effect/Either"
import { BlobId, canonicalMediaType } from "../schema/Blob.js"
import type { Block } from "../schema/Content.js"
import type { InputId, RuntimeId, SessionId } from "../schema/Ids.js"
import type { Input } from "../schema/Input.js"
import type { Awaited } from "../schema/InputState.js"
import { canonical, type NotCanonical } from "../schema/Json.js"
import type { Receipt } from "../schema/Run.js"
import type { Revision, SessionHead } from "../schema/Session.js"

/** Lower-case hexadecimal SHA-256 of the parts' bytes, strings as UTF-8. */
export type Sha256 = (...parts: ReadonlyArray<Uint8Array | string>) => string

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16))

export const firstRevision = (sha256: Sha256, sessionId: SessionId): Revision =>
  sha256("burrow/session/1", Uint8Array.of(0), sessionId) as Revision

export const nextRevision = (sha256: Sha256, revision: Revision, message: string): Revision =>
  sha256(bytesOf(revision), message) as Revision

export const blobId = (sha256: Sha256, bytes: Uint8Array, mediaType: string): BlobId =>
  BlobId.make(`sha256:${sha256(canonicalMediaType(mediaType), Uint8Array.of(0), bytes)}`)

/** Inline bytes count as the blob they would be, so that it makes no difference who externalised them. */
const addressed = (sha256: Sha256) => (block: Block): unknown =>
  block._tag === "text" ? block : {
    ...block,
    mediaType: canonicalMediaType(block.mediaType),
    source: block.source._tag === "blob" ? block.source.blobId : blobId(sha256, block.source.data, block.mediaType)
  }

/**
 * Names what was asked: kind, source, content with its hints, keys, durability and visibility. Ids and times are not
 * part of it, so a caller may try again with another id, or later.
 */
export const payloadDigest = (sha256: Sha256, input: Input): Either.Either<string, NotCanonical> => {
  const { at: _at, deliverAt: _deliverAt, id: _id, trace: _trace, ...header } = input.header
  const content = "content" in input && input.content !== undefined ? input.content.map(addressed(sha256)) : undefined
  return Either.map(canonical({ ...input, header, content }), (text) => sha256(text))
}

/** Names what a boundary commits. No times and no epoch: the exact retry by a later owner has the same. */
export const commitDigest = (
  sha256: Sha256,
  receipt: Pick<Receipt, "runId" | "sequence" | "boundary" | "contributors" | "consumed" | "parent">,
  content: {
    readonly messages: ReadonlyArray<string>
    readonly replacement:
      | { readonly start: number; readonly end: number; readonly messages: ReadonlyArray<string> }
      | null
    readonly snapshot: Uint8Array | null | undefined
    readonly result: string | null
    readonly notes: ReadonlyArray<string>
    readonly awaits: ReadonlyArray<Awaited>
  }
): string => {
  const { boundary, consumed, contributors, parent, runId, sequence } = receipt
  return sha256(JSON.stringify([
    runId,
    sequence,
    boundary,
    contributors,
    consumed,
    parent && [parent.revision, parent.version],
    content.messages.map((message) => sha256(message)),
    content.replacement &&
    [content.replacement.start, content.replacement.end, content.replacement.messages.map((text) => sha256(text))],
    content.snapshot === undefined ? "kept" : content.snapshot && sha256(content.snapshot),
    content.result && sha256(content.result),
    content.notes.map((note) => sha256(note)),
    content.awaits.map(({ operationId, until }) => [operationId, until])
  ]))
}

export const emptySession = (sha256: Sha256, id: SessionId): SessionHead => ({
  id,
  revision: firstRevision(sha256, id),
  version: 0,
  length: 0
})

/**
 * The id of an input that was handed over under a key: the same for every time it is, in the form of a UUID v7, so that
 * who repeats it waits for the same input.
 */
export const idOfKey = (sha256: Sha256, runtimeId: RuntimeId, key: string): InputId => {
  const hex = sha256(`burrow/deposit/1\u0000${runtimeId}\u0000${key}`)
  const part = (from: number, to: number) => hex.slice(from, to)
  const variant = (8 + (parseInt(part(16, 17), 16) & 3)).toString(16)
  return `${part(0, 8)}-${part(8, 12)}-7${part(13, 16)}-${variant}${part(17, 20)}-${part(20, 32)}` as InputId
}
