import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as DigestNode from "../../src/layers/DigestNode.js"
import { BlobId, canonicalMediaType } from "../../src/schema/Blob.js"
import { BlobReadFailed, BlobTooLarge, BlobWriteFailed } from "../../src/schema/BlobError.js"
import * as BlobStore from "../../src/services/BlobStore.js"
import * as Digest from "../../src/services/Digest.js"
import { blobBytesMax, cases, Tamper, tamperCases } from "../../src/testing/BlobStoreConformance.js"

const absent = BlobId.make(`sha256:${"0".repeat(64)}`)

const encodedOver = (records: Map<BlobId, Uint8Array>): BlobStore.BlobStoreEncoded => ({
  persistent: false,
  read: (id, recordBytesMax) =>
    Effect.suspend(() => {
      const record = Option.fromNullable(records.get(id))
      return Option.isSome(record) && record.value.length > recordBytesMax
        ? Effect.fail(new BlobTooLarge({ blobId: id, bytes: record.value.length, blobBytesMax: recordBytesMax }))
        : Effect.succeed(Option.map(record, (bytes) => bytes.slice()))
    }),
  write: (id, record) => Effect.sync(() => records.set(id, record)),
  renew: (id) => Effect.sync(() => records.has(id)),
  remove: (id) => Effect.sync(() => records.delete(id))
})

const make = (change: (encoded: BlobStore.BlobStoreEncoded) => Partial<BlobStore.BlobStoreEncoded> = () => ({})) =>
  Effect.gen(function*() {
    const records = new Map<BlobId, Uint8Array>()
    const encoded = encodedOver(records)
    const blobs = BlobStore.make({ ...encoded, ...change(encoded) }, { digest: yield* Digest.Digest, blobBytesMax })
    return { blobs, records }
  }).pipe(Effect.provide(DigestNode.layer))

const tamperable = Layer.unwrapEffect(Effect.map(make(), ({ blobs, records }) =>
  Layer.merge(
    Layer.succeed(BlobStore.BlobStore, blobs),
    Layer.succeed(Tamper, {
      read: (id) => Effect.fromNullable(records.get(id)),
      overwrite: (id, record) => Effect.sync(() => records.set(id, record))
    })
  )))

describe("BlobStore.make", () => {
  for (const { name, run } of [...cases, ...tamperCases]) {
    it.effect(name, () => Effect.provide(run, tamperable))
  }

  it.effect("put renews an intact record and does not write it again", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const { blobs } = yield* make((encoded) => ({
        write: (id, record) => Effect.zipRight(Effect.sync(() => calls.push("write")), encoded.write(id, record)),
        renew: (id) => Effect.zipRight(Effect.sync(() => calls.push("renew")), encoded.renew(id))
      }))
      yield* blobs.put(Uint8Array.of(1), "text/plain")
      yield* blobs.put(Uint8Array.of(1), "text/plain")
      assert.deepStrictEqual(calls, ["write", "renew"])
    }))

  it.effect("put writes a record that was deleted between its verification and its renewal", () =>
    Effect.gen(function*() {
      const { blobs } = yield* make((encoded) => ({
        renew: (id) => Effect.zipRight(encoded.remove(id), encoded.renew(id))
      }))
      yield* blobs.put(Uint8Array.of(1), "text/plain")
      const id = yield* blobs.put(Uint8Array.of(1), "text/plain")
      assert.isTrue(yield* blobs.exists(id))
    }))

  it.effect("put writes a record that cannot be read, and other operations fail as the medium does", () =>
    Effect.gen(function*() {
      const cause = new Error("bad sector")
      let written = 0
      const { blobs } = yield* make(() => ({
        read: (id) => Effect.fail(new BlobReadFailed({ blobId: id, cause })),
        write: () => Effect.sync(() => written++),
        remove: (id) => Effect.fail(new BlobWriteFailed({ blobId: id, cause }))
      }))
      yield* blobs.put(Uint8Array.of(1), "text/plain")
      assert.strictEqual(written, 1)
      assert.strictEqual((yield* Effect.flip(blobs.get(absent)))._tag, "BlobReadFailed")
      assert.strictEqual((yield* Effect.flip(blobs.exists(absent)))._tag, "BlobReadFailed")
      assert.strictEqual((yield* Effect.flip(blobs.delete(absent)))._tag, "BlobWriteFailed")
    }))

  it.effect("a failed write or renewal is the failure of put", () =>
    Effect.gen(function*() {
      const failed = (blobId: BlobId) => Effect.fail(new BlobWriteFailed({ blobId, cause: new Error("disk full") }))
      const { blobs } = yield* make(() => ({ write: failed }))
      assert.strictEqual((yield* Effect.flip(blobs.put(Uint8Array.of(1), "text/plain")))._tag, "BlobWriteFailed")
      const { blobs: others } = yield* make(() => ({ renew: failed }))
      yield* others.put(Uint8Array.of(1), "text/plain")
      assert.strictEqual((yield* Effect.flip(others.put(Uint8Array.of(1), "text/plain")))._tag, "BlobWriteFailed")
    }))

  it.effect("a limit that is not a number refuses everything", () =>
    Effect.gen(function*() {
      const digest = yield* Digest.Digest
      const blobs = BlobStore.make(encodedOver(new Map()), { digest, blobBytesMax: Number.NaN })
      assert.strictEqual((yield* Effect.flip(blobs.put(new Uint8Array(), "text/plain")))._tag, "BlobTooLarge")
    }).pipe(Effect.provide(DigestNode.layer)))

  it.effect("a blob over a limit that was lowered is not read", () =>
    Effect.gen(function*() {
      const { blobs, records } = yield* make()
      const id = yield* blobs.put(new Uint8Array(100), "text/plain")
      const lowered = BlobStore.make(encodedOver(records), { digest: yield* Digest.Digest, blobBytesMax: 99 })
      const error = yield* Effect.flip(lowered.get(id))
      assert.deepInclude(error, { _tag: "BlobTooLarge", blobId: id, bytes: 100, blobBytesMax: 99 })
    }).pipe(Effect.provide(DigestNode.layer)))

  it.effect("each operation has one span of its own, with id and size but nothing that was not validated", () =>
    Effect.gen(function*() {
      const { blobs } = yield* make()
      const spans: Array<Tracer.Span> = []
      const spying = Effect.tracerWith((tracer) =>
        Effect.succeed(
          {
            ...tracer,
            span: (...args: Parameters<Tracer.Tracer["span"]>) => {
              const span = tracer.span(...args)
              spans.push(span)
              return span
            }
          } satisfies Tracer.Tracer
        )
      )
      const id = yield* Effect.flatMap(spying, (tracer) =>
        Effect.gen(function*() {
          const id = yield* blobs.put(Uint8Array.of(1, 2), "text/plain")
          yield* blobs.get(id)
          yield* blobs.exists(id)
          yield* blobs.delete(id)
          yield* Effect.flip(blobs.get("no id"))
          return id
        }).pipe(Effect.withTracer(tracer)))
      assert.deepStrictEqual(
        spans.map((span) => [span.name, Object.fromEntries(span.attributes)]),
        [
          ["BlobStore.put", { "burrow.blob.bytes": 2, "burrow.blob.id": id }],
          ["BlobStore.get", { "burrow.blob.id": id }],
          ["BlobStore.exists", { "burrow.blob.id": id }],
          ["BlobStore.delete", { "burrow.blob.id": id }],
          ["BlobStore.get", {}]
        ]
      )
    }))
})

describe("canonicalMediaType", () => {
  const expected: ReadonlyArray<readonly [raw: string, canonical: string]> = [
    ["image/png", "image/png"],
    [" Text/HTML ; charset=UTF-8", "text/html"],
    [";", ""],
    ["", ""],
    ["\u0130/\u00c4", "\u0130/\u00c4"],
    ["\u212a", "\u212a"]
  ]
  for (const [raw, canonical] of expected) {
    it(`of ${JSON.stringify(raw)} is ${JSON.stringify(canonical)}, also when it is taken twice`, () => {
      assert.strictEqual(canonicalMediaType(raw), canonical)
      assert.strictEqual(canonicalMediaType(canonical), canonical)
    })
  }
})
