import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type { InputHeadRow } from "../../src/core/Rows.js"
import { InputHead, isTerminal, TerminalOutcome } from "../../src/schema/InputState.js"
import * as codecs from "../../src/services/codecs.js"
import { batchId, failure, input, runId } from "../core/support.js"
import { World } from "../core/World.js"
import { records } from "../fixtures/records/values.js"

/** Heads as the core makes them: an outcome exactly when the phase is terminal, and of the same name. */
const heads = FastCheck.tuple(Arbitrary.make(InputHead), Arbitrary.make(TerminalOutcome)).map(
  ([head, outcome]): InputHead =>
    isTerminal(head) ? { ...head, phase: outcome._tag, outcome } : { ...head, outcome: null }
)

const positive = (head: InputHead): InputHead => JSON.parse(JSON.stringify(head)) as InputHead
/** A head with something in every column. */
const sample: InputHead = {
  ...new World().admit(input("prompt", 1, { key: "k", scope: "s" })),
  phase: "abandoned",
  outcome: { _tag: "abandoned", reason: { _tag: "reset" } },
  attempt: 2,
  stagings: 3,
  batch: batchId(1),
  run: runId(1),
  receipt: { runId: runId(1), sequence: 1 },
  readyAt: 5,
  hold: "operator",
  recorded: true,
  awaits: [{ operationId: "op", until: 7 }],
  failure
}

describe("codecs of input heads", () => {
  it.prop("a head comes back from its row as it was", [heads], ([head]) => {
    const row = codecs.inputRow(head, "payload")
    assert.deepStrictEqual(positive(Either.getOrThrow(codecs.inputHead(row))), positive(head))
    assert.strictEqual(row.payload, "payload")
  })

  it("rows are text and numbers only", () => {
    for (const column of Object.values(codecs.inputRow(sample, "payload"))) {
      assert.isTrue(column === null || typeof column === "string" || typeof column === "number")
    }
  })

  const secret = "hunter2-hunter2"
  const garbage: ReadonlyArray<unknown> = [
    undefined,
    null,
    "",
    secret,
    `{"${secret}":`,
    `{"_tag":"${secret}"}`,
    "\ud800",
    -1,
    0.5,
    NaN,
    Infinity,
    2 ** 60,
    7n,
    true,
    new Uint8Array(3),
    { secret },
    [secret],
    Symbol(secret),
    () => secret,
    new Date(0)
  ]
  /** What of the garbage a column may hold: it is free text, or a number, or can be absent. */
  const fine: { readonly [column in keyof InputHeadRow]?: (value: unknown) => boolean } = {
    idempotencyKey: (value) =>
      value === null || value === secret || (typeof value === "string" && value.startsWith("{")),
    supersessionKey: (value) =>
      value === null || value === secret || (typeof value === "string" && value.startsWith("{")),
    payloadDigest: (value) => typeof value === "string",
    batchId: (value) => value === null || (typeof value === "string" && value !== ""),
    acceptedAt: (value) => value === 0.5 || value === 2 ** 60,
    updatedAt: (value) => value === 0.5 || value === 2 ** 60,
    readyAt: (value) => value === null || value === 0.5 || value === 2 ** 60,
    deliverAt: (value) => value === null || value === 0.5 || value === 2 ** 60,
    lane: (value) => value === null,
    runId: (value) => value === null,
    hold: (value) => value === null,
    failure: (value) => value === null,
    awaits: (value) => value === null,
    recorded: (value) => value === true
  }
  /** Columns whose field has another name. */
  const names: { readonly [column: string]: string } = {
    inputId: "id",
    batchId: "batch",
    runId: "run",
    receiptRunId: "receipt",
    receiptSequence: "receipt",
    idempotencyKey: "key"
  }

  for (
    const column of Object.keys(codecs.inputRow(sample, "payload")) as ReadonlyArray<keyof InputHeadRow | "payload">
  ) {
    if (column === "payload") continue
    it(`I17: garbage in ${column} is a refusal that names the field, and never a defect`, () => {
      for (const value of garbage) {
        const decoded = codecs.inputHead({ ...codecs.inputRow(sample, "payload"), [column]: value } as never)
        const allowed = fine[column]?.(value) ?? false
        const what = typeof value === "symbol" ? "a symbol" : `${value as string}`
        if (value === 2 ** 60 && Either.isLeft(decoded)) continue
        assert.strictEqual(Either.isRight(decoded), allowed, what)
        if (Either.isRight(decoded)) continue
        assert.match(decoded.left.field, new RegExp(`^${names[column] ?? column}(\\.|$)`), what)
        assert.notInclude(decoded.left.message, secret)
      }
    })
  }

  it("an outcome that does not agree with the phase is refused", () => {
    const row = codecs.inputRow(sample, "payload")
    for (const phase of ["queued", "consumed"]) {
      const left = Either.getOrThrow(Either.flip(codecs.inputHead({ ...row, phase })))
      assert.deepInclude(left, { field: "outcome", problem: `does not agree with phase ${phase}` })
    }
  })
})

describe("codecs of records", () => {
  it("a body that names another input is refused", () => {
    const text = Either.getOrThrow(codecs.payload.encode(records["input.prompt"][0]!))
    const id = "0190a0b0-c0d0-7000-8000-000000000001"
    assert.isTrue(Either.isRight(codecs.body("agent", id, text)))
    const left = Either.getOrThrow(Either.flip(codecs.body("agent", "other", text)))
    assert.deepInclude(left, { _tag: "RecordCorrupt", runtimeId: "agent", field: "payload.header.id" })
  })

  it("a newer record is SchemaFromTheFuture, a broken one RecordCorrupt", () => {
    const text = (version: number) => JSON.stringify({ kind: "receipt", version, value: {} })
    assert.deepInclude(Either.getOrThrow(Either.flip(codecs.receiptOf("agent", text(2)))), {
      _tag: "SchemaFromTheFuture",
      version: 2,
      known: 1
    })
    assert.deepInclude(Either.getOrThrow(Either.flip(codecs.receiptOf("agent", text(1)))), { _tag: "RecordCorrupt" })
  })

  it("a lifecycle record's version is looked at before anything else", () => {
    const left = (text: string) => Either.getOrThrow(Either.flip(codecs.lifecycle("agent", text)))
    assert.deepInclude(left("{\"record_version\":2}"), { _tag: "SchemaFromTheFuture", version: 2, known: 1 })
    for (const text of ["{\"record_version\":1}", "{\"record_version\":0}", "{}", "null", "", "[]"]) {
      assert.strictEqual(left(text)._tag, "RecordCorrupt", text)
    }
  })

  it("an open run is all of its columns or none", () => {
    const columns = {
      state: "running",
      record: "{}",
      runId: null,
      runBatch: null,
      runSequence: null,
      runOpenedAt: null
    }
    assert.isNull(Either.getOrThrow(codecs.runOf(columns)))
    const open = {
      ...columns,
      runId: "0190a0b0-c0d0-7000-8000-000000000001",
      runBatch: "b",
      runSequence: 0,
      runOpenedAt: 1
    }
    const run = { id: open.runId, batch: "b", sequence: 0, openedAt: 1 }
    assert.deepStrictEqual(Either.getOrThrow(codecs.runOf(open)) as object, run)
    for (const column of ["runBatch", "runSequence", "runOpenedAt"] as const) {
      const left = codecs.runOf({ ...open, [column]: null })
      assert.isTrue(Either.isLeft(left), column)
    }
  })
})
