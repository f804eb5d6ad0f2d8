import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { BlobId, canonicalMediaType } from "../../src/schema/Blob.js"
import * as Ids from "../../src/schema/Ids.js"
import { Revision } from "../../src/schema/Session.js"

const texts: { readonly [name: string]: Schema.Schema.AnyNoContext } = {
  RuntimeId: Ids.RuntimeId,
  SessionId: Ids.SessionId,
  IdempotencyKey: Ids.IdempotencyKey,
  SupersessionKey: Ids.SupersessionKey
}
const uuids: { readonly [name: string]: Schema.Schema.AnyNoContext } = {
  InputId: Ids.InputId,
  RunId: Ids.RunId,
  ClaimId: Ids.ClaimId
}
const uuid = "0190a0b0-c0d0-7000-8000-000000000001"

describe("Ids", () => {
  for (const [name, schema] of Object.entries(texts)) {
    it(`a ${name} is any text that every store gives back unchanged`, () => {
      const is = Schema.is(schema)
      for (const good of ["a", " ", "größe", "\u{1f600}", "a/b", "\n", "'; drop table", "x".repeat(10_000)]) {
        assert.isTrue(is(good), good.slice(0, 20))
      }
      for (const bad of ["", "\u0000", "a\u0000b", "\ud800", "a\udc00", "\udc00\ud800", 1, null, undefined, ["a"]]) {
        assert.isFalse(is(bad))
      }
    })
  }

  for (const [name, schema] of Object.entries(uuids)) {
    it(`a ${name} is a UUID of version 7 in lower case`, () => {
      const is = Schema.is(schema)
      for (const variant of ["8", "9", "a", "b"]) assert.isTrue(is(`0190a0b0-c0d0-7000-${variant}000-000000000001`))
      const bad = [
        "",
        uuid.toUpperCase(),
        uuid.replace("-7", "-4"),
        uuid.replace("-8", "-7"),
        uuid.replace("-8", "-c"),
        uuid.replaceAll("-", ""),
        `${uuid}0`,
        `${uuid}\n`,
        ` ${uuid}`,
        `{${uuid}}`,
        uuid.replace("1", "g")
      ]
      for (const each of bad) assert.isFalse(is(each), each)
    })
  }

  it("a batch's id is a UUID, or that of its batch with the input's", () => {
    assert.isTrue(Schema.is(Ids.BatchId)(`${uuid}/${uuid}`))
    assert.isFalse(Schema.is(Ids.BatchId)(""))
  })

  it("sequences are safe integers from 0", () => {
    const is = Schema.is(Ids.Sequence)
    for (const good of [0, 1, Number.MAX_SAFE_INTEGER]) assert.isTrue(is(good))
    for (const bad of [-1, 0.5, Number.MAX_SAFE_INTEGER + 1, NaN, Infinity, "1", 1n]) assert.isFalse(is(bad))
  })

  it("times are epoch milliseconds that a Date can hold", () => {
    const is = Schema.is(Ids.EpochMillis)
    for (const good of [0, 0.5, 8.64e15]) assert.isTrue(is(good))
    for (const bad of [-1, 8.64e15 + 1, NaN, Infinity, "0", null]) assert.isFalse(is(bad))
  })

  it("a revision is 64 hexadecimal digits, a blob's id those of its digest", () => {
    assert.isTrue(Schema.is(Revision)("0f".repeat(32)))
    for (const bad of ["", "0F".repeat(32), "0f".repeat(31), "0f".repeat(33), "0g".repeat(32)]) {
      assert.isFalse(Schema.is(Revision)(bad))
      assert.isFalse(Schema.is(BlobId)(`sha256:${bad}`))
    }
    for (const bad of ["../../etc/passwd", "sha256:", `sha256:${"0f".repeat(32)}/..`, `md5:${"0f".repeat(32)}`]) {
      assert.isFalse(Schema.is(BlobId)(bad))
    }
    assert.isTrue(Schema.is(BlobId)(`sha256:${"0f".repeat(32)}`))
  })

  it("a media type's canonical form is its essence in lower case", () => {
    for (const raw of ["Text/HTML", " text/html ", "text/html; charset=utf-8", "text/html;"]) {
      assert.strictEqual(canonicalMediaType(raw), "text/html")
    }
  })
})
