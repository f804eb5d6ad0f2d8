/** The stored form of every record, pinned: a changed tag or field name fails here before it meets anyone's file. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { readdirSync, readFileSync } from "node:fs"
import { RunEvent } from "../../src/schema/Run.js"
import * as codecs from "../../src/services/codecs.js"
import { DEVICE_CODE, PKCE_VERIFIER, records } from "../fixtures/records/values.js"

interface Codec<A> {
  readonly encode: (value: A) => Either.Either<string, unknown> | string
  readonly decode: (text: string) => Either.Either<A, unknown>
}

const payload = codecs.payload
const utf8 = new TextEncoder()
const decoder = new TextDecoder()

const codec: { readonly [K in keyof typeof records]: Codec<(typeof records)[K][number]> } = {
  "input.prompt": payload,
  "input.peer": payload,
  "input.flow_step": payload,
  "input.external_event": payload,
  "input.continuation": payload,
  "input.operation": payload,
  "input.in_blob": payload,
  receipt: codecs.receipt,
  rewrite: codecs.rewrite,
  ops: codecs.ops,
  oauth: {
    encode: (value) => Either.map(codecs.oauth(value), (bytes) => decoder.decode(bytes)),
    decode: (text) => codecs.flows(utf8.encode(text))
  },
  lifecycle: codecs.lifecycleRecord,
  event: codecs.event,
  run_event: {
    encode: (value) => JSON.stringify(Schema.encodeSync(RunEvent)(value)),
    decode: (text) => Schema.decodeUnknownEither(RunEvent)(JSON.parse(text))
  },
  outcome: codecs.outcome,
  failure: codecs.failure,
  awaits: codecs.awaits,
  policy: codecs.policy
}

const folder = new URL("../fixtures/records/", import.meta.url)
const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`${name}.v1.json`, folder), "utf8")) as ReadonlyArray<unknown>

/** Redacted values look alike to a deep comparison: they are opened first. */
const opened = (value: unknown): unknown =>
  Redacted.isRedacted(value)
    ? { opened: Redacted.value(value) }
    : Array.isArray(value)
    ? value.map(opened)
    : typeof value === "object" && value !== null && !(value instanceof Uint8Array)
    ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, opened(member)]))
    : value

const names = Object.keys(records) as ReadonlyArray<keyof typeof records>

describe("Stored records of version 1", () => {
  for (const name of names) {
    const { decode, encode } = codec[name] as Codec<unknown>
    const values: ReadonlyArray<unknown> = records[name]

    it(`${name}: the stored text decodes to the value it always had`, () => {
      const decoded = read(name).map((record) => Either.getOrThrow(decode(JSON.stringify(record))))
      assert.deepStrictEqual(decoded.map(opened), values.map(opened))
    })

    it(`${name}: the value encodes to the text it always had`, () => {
      const encoded = values.map((value) => {
        const text = encode(value)
        return JSON.parse(typeof text === "string" ? text : Either.getOrThrow(text)) as unknown
      })
      assert.deepStrictEqual(encoded, read(name))
    })
  }

  it("every file is under test", () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"))
    assert.deepStrictEqual(files.sort(), names.map((name) => `${name}.v1.json`).sort())
  })

  it("envelopes name their kinds", () =>
    assert.deepStrictEqual(
      names.flatMap((name) => {
        const record = read(name)[0] as { readonly kind?: string; readonly version?: number; readonly value?: unknown }
        return record.value === undefined ? [] : [record.kind]
      }),
      [...Array(7).fill("input"), "receipt", "transcript_rewrite", "ops", "oauth_flows"]
    ))

  it("secrets of login flows are stored as they are, and printed by nobody", () => {
    const text = JSON.stringify(read("oauth"))
    assert.include(text, PKCE_VERIFIER)
    for (
      const flows of [records.oauth[0]!, Either.getOrThrow(codecs.flows(utf8.encode(JSON.stringify(read("oauth")[0]))))]
    ) {
      for (
        const printed of [
          JSON.stringify(flows),
          String(flows.browser[0]!.pkceVerifier),
          `${flows.device[0]!.deviceCode}`
        ]
      ) {
        assert.notInclude(printed, PKCE_VERIFIER)
        assert.notInclude(printed, DEVICE_CODE)
        assert.include(printed, "<redacted>")
      }
    }
  })
})
