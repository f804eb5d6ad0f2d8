import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { BoundaryRow, Outcome } from "../../src/core/Rows.js"
import { make } from "../../src/layers/memory/MemoryStore.js"
import { Ordered } from "../../src/layers/memory/Tables.js"
import { claim, columns, input, move, openRun, rows, session } from "./rows.js"

const committed: Outcome = { _tag: "Committed" }
const known = (...sequences: ReadonlyArray<number>): Outcome => ({
  _tag: "Refused",
  by: {
    _tag: "KnownInput",
    known: sequences.map((sequence) => ({
      inputId: `input-${sequence}`,
      idempotencyKey: `key-${sequence}`,
      payloadDigest: `digest-${sequence}`,
      sequence
    }))
  }
})
const consumed = JSON.stringify({ _tag: "consumed", runId: null, sequence: null })

const boundary = (parts: Partial<BoundaryRow> = {}): BoundaryRow => ({
  runId: "run",
  batchId: "batch",
  after: 0,
  digest: "d1",
  contributors: [],
  receipt: "receipt",
  result: null,
  ...parts
})

describe("memory store", () => {
  it.effect("the neighbours of a refused member are written, and outcomes are in the group's order", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* Effect.forEach(["a", "b", "c", "d"], (runtimeId) => claim(store, runtimeId))
      yield* store.commit([rows("b", 1, { inserts: [input(1), input(2)] })])
      const outcomes = yield* store.commit([
        rows("a", 1, { inserts: [input(1)] }),
        rows("b", 2, {
          inserts: [input(3), input(4, { inputId: "input-2" }), input(5, { idempotencyKey: "key-1" })]
        }),
        rows("c", 1, { epoch: 7, inserts: [input(1)] }),
        rows("never", 1),
        rows("d", 1, { inserts: [input(1)] })
      ])
      assert.deepStrictEqual(outcomes, [
        committed,
        known(1, 2),
        { _tag: "Refused", by: { _tag: "StaleFence", current: 1 } },
        { _tag: "Refused", by: { _tag: "StaleFence", current: null } },
        committed
      ])
      const counts = yield* Effect.forEach(["a", "b", "c", "d"], (id) => store.readTotals(id))
      assert.deepStrictEqual(counts.map(({ accepted }) => accepted), [1, 2, 0, 1])
      assert.isNull(yield* store.readInputByKey("b", "key-3"))
    }))

  it.effect("a terminal input keeps its id and its key", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      yield* store.commit([rows("a", 1, { inserts: [input(1)] })])
      yield* store.commit([rows("a", 2, { moves: [move(1, { phase: "consumed", outcome: consumed })] })])
      assert.deepStrictEqual(
        yield* store.commit([rows("a", 3, { inserts: [input(2, { idempotencyKey: "key-1" })] })]),
        [known(1)]
      )
    }))

  it.effect("rows that collide among themselves, or with a number in use, are WriteFailed and write nothing", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      const event = { number: 1, at: 1, code: "code", data: "{}" }
      const note = { scope: "scope", key: "key", value: "1" }
      yield* store.commit([rows("a", 1, { inserts: [input(1)], events: [event] })])
      const bad = [
        { inserts: [input(2), input(3, { inputId: "input-2" })] },
        { inserts: [input(2), input(3, { idempotencyKey: "key-2" })] },
        { inserts: [input(2), input(2, { inputId: "other", idempotencyKey: null })] },
        { inserts: [input(1, { inputId: "other", idempotencyKey: null })] },
        { inserts: [input(2)], events: [event] },
        { inserts: [input(2)], notes: [note, note] },
        { inserts: [input(2)], moves: [move(3)] }
      ]
      for (const parts of bad) {
        assert.strictEqual((yield* Effect.flip(store.commit([rows("a", 2, parts)])))._tag, "WriteFailed")
        assert.strictEqual(
          (yield* Effect.flip(store.commitWith(rows("a", 2, parts), Effect.die("was run"))))._tag,
          "WriteFailed"
        )
      }
      assert.strictEqual((yield* store.readTotals("a")).accepted, 1)
      assert.deepStrictEqual(yield* store.readNotes("a", "scope", null), [])
    }))

  it.effect("a member that cannot be written fails its group, of which nothing is written", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      yield* claim(store, "b")
      const group = [
        rows("a", 1, { inserts: [input(1)] }),
        rows("b", 1, { inserts: [input(1), input(1)] })
      ] as const
      assert.strictEqual((yield* Effect.flip(store.commit(group)))._tag, "WriteFailed")
      assert.isNull(yield* store.readInput("a", "input-1"))
      assert.deepStrictEqual(yield* store.commit([group[0]]), [committed])
    }))

  it.effect("bytes are copied on the way in and on the way out", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      const given = Buffer.from([1, 2, 3])
      yield* store.commit([rows("a", 1, { session: session({ snapshot: given }) })])
      yield* store.updateCell("cell", () => Effect.succeed(given))
      given.fill(9)
      for (const read of [store.readSnapshot("a"), store.readCell("cell")]) {
        const taken = yield* read
        assert.deepStrictEqual(taken, Uint8Array.of(1, 2, 3))
        taken?.fill(8)
        assert.deepStrictEqual(yield* read, Uint8Array.of(1, 2, 3))
      }
      const failed = store.updateCell("cell", (now) => Effect.fail(now?.fill(7)))
      yield* Effect.flip(failed)
      assert.deepStrictEqual(yield* store.readCell("cell"), Uint8Array.of(1, 2, 3))
      yield* store.updateCell("cell", () => Effect.succeed(null))
      assert.isNull(yield* store.readCell("cell"))
    }))

  it.effect("each make is an empty store of its own", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([make, make])
      yield* claim(one, "a")
      assert.isNull(yield* other.readRuntime("a"))
    }))

  it.effect("a claim follows the stored epoch and loads what is active", () =>
    Effect.gen(function*() {
      const store = yield* make
      const first = yield* claim(store, "a")
      assert.deepStrictEqual([first.epoch, first.loaded.runtime, first.loaded.lastSequence], [1, null, 0])
      yield* store.commit([rows("a", 1, { runtime: openRun, inserts: [input(1), input(2), input(3)] })])
      yield* store.commit([rows("a", 2, { boundary: boundary() })])
      yield* store.commit([rows("a", 3, {
        moves: [
          move(3, { phase: "consumed", outcome: consumed, receiptRunId: "run", receiptSequence: 1 }),
          move(2, { receiptRunId: "run", receiptSequence: 1 }),
          move(1, { receiptRunId: "lost", receiptSequence: 1 })
        ]
      })])
      const second = yield* claim(store, "a", "next")
      assert.strictEqual(second.epoch, 2)
      assert.deepStrictEqual(second.loaded.runtime, { ...openRun, epoch: 1, claimId: "owner", n: 1 })
      assert.deepStrictEqual(second.loaded.inputs.map(({ inputId }) => inputId), ["input-1", "input-2"])
      assert.notProperty(second.loaded.inputs[0], "payload")
      assert.deepStrictEqual(second.loaded.receipts, new Set(["run/1"]))
      assert.strictEqual(second.loaded.lastSequence, 2)
      assert.isFalse(yield* store.barrier("a", 1, "owner"))
      assert.isTrue(yield* store.barrier("a", 2, "next"))
      const late = { number: 9, at: 1, code: "code", data: "{}" }
      yield* store.commit([rows("a", 4, { epoch: 2, claimId: "next", events: [late] })])
      assert.strictEqual((yield* claim(store, "a")).loaded.lastSequence, 9)
    }))

  it.effect("an accept is in accepts while active, and among the events afterwards", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      const event = (number: number) => ({ number, at: number, code: "code", data: "{}" })
      const accept = (sequence: number) => ({
        inputId: `input-${sequence}`,
        sequence,
        acceptedAt: sequence,
        kind: "prompt",
        lane: "queue"
      })
      yield* store.commit([rows("a", 1, { inserts: [input(1), input(2), input(4)], events: [event(3)] })])
      assert.deepStrictEqual(yield* store.readEvents("a", 1, 1), { floor: 0, events: [event(3)], accepts: [accept(2)] })
      yield* store.commit([rows("a", 2, {
        moves: [move(2, { phase: "consumed", outcome: consumed })],
        events: [event(5), event(2)]
      })])
      assert.deepStrictEqual(yield* store.readEvents("a", 0, 10), {
        floor: 0,
        events: [event(2), event(3), event(5)],
        accepts: [accept(1), accept(4)]
      })
      assert.deepStrictEqual((yield* store.readEvents("a", 3, 10)).events, [event(5)])
    }))

  it.effect("a move changes the head's columns and stamps the row", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      yield* store.commit([rows("a", 1, { inserts: [input(1), input(2)] })])
      const wide = input(1, { phase: "held", hold: "question", payload: "changed", kind: "changed" })
      yield* store.commit([rows("a", 2, { moves: [wide] })])
      assert.deepStrictEqual(yield* store.readInput("a", "input-1"), input(1, { phase: "held", hold: "question" }))
      const stamp = (inputId: string) => store.readStamp("a", { _tag: "input", inputId })
      assert.deepStrictEqual(yield* stamp("input-1"), { epoch: 1, n: 2 })
      assert.deepStrictEqual(yield* stamp("input-2"), { epoch: 1, n: 1 })
      assert.isNull(yield* stamp("input-3"))
      assert.deepStrictEqual(yield* store.readStamp("a", { _tag: "runtime" }), { epoch: 1, n: 0 })
    }))

  it.effect("a boundary counts staged inputs, and an exact retry runs nothing", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      const staged = input(1, { phase: "staged", runId: "run" })
      yield* store.commit([rows("a", 1, { runtime: openRun, inserts: [staged] })])
      const twice = boundary({ contributors: ["input-1", "input-1"] })
      assert.deepStrictEqual(yield* store.commit([rows("a", 2, { boundary: twice })]), [
        { _tag: "Refused", by: { _tag: "ContributorNotStaged" } }
      ])
      const once = rows("a", 3, {
        runtime: { ...openRun, runSequence: 1 },
        boundary: boundary({ contributors: ["input-1"] })
      })
      assert.deepStrictEqual(yield* store.commit([once]), [committed])
      assert.deepStrictEqual(yield* store.commitWith(once, Effect.die("was run")), { _tag: "AlreadyApplied" })
      assert.deepStrictEqual(yield* store.readReceipt("a", "run", 1), { receipt: "receipt", result: null })
      assert.deepStrictEqual(yield* store.readStamp("a", { _tag: "receipt", runId: "run", sequence: 1 }), {
        epoch: 1,
        n: 3
      })
    }))

  it.effect("a session keeps its front, drops what is behind, and is taken back whole", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      const message = (revision: string) => ({ revision, message: revision })
      const append = ["r1", "r2", "r3"].map(message)
      const first = session({ after: { revision: "r3", version: 1, length: 3 }, append })
      yield* store.commit([rows("a", 1, { session: first })])
      const rewrite = session({
        parent: { revision: "r3", version: 1 },
        after: { revision: "s2", version: 2, length: 2 },
        keep: 1,
        append: [message("s2")],
        snapshot: Uint8Array.of(1),
        rewrite: "rewrite"
      })
      yield* Effect.flip(store.commitWith(rows("a", 2, { session: rewrite }), Effect.fail("no")))
      assert.deepStrictEqual(yield* store.readMessages("a", 0, 10), append)
      assert.deepStrictEqual(yield* store.readRewrites("a"), [])
      assert.isNull(yield* store.readSnapshot("a"))
      yield* store.commitWith(rows("a", 2, { session: rewrite }), Effect.void)
      assert.deepStrictEqual(yield* store.readMessages("a", 0, 10), ["r1", "s2"].map(message))
      assert.deepStrictEqual(yield* store.readMessages("a", 1, 1), [message("s2")])
      assert.deepStrictEqual(yield* store.readRewrites("a"), ["rewrite"])
      assert.deepStrictEqual(yield* store.readSession("a"), {
        sessionId: "session",
        revision: "s2",
        version: 2,
        length: 2
      })
      assert.deepStrictEqual(yield* store.readStamp("a", { _tag: "session" }), { epoch: 1, n: 2 })
    }))

  it.effect("pending runtimes are those with an open run or active inputs", () =>
    Effect.gen(function*() {
      const store = yield* make
      const held = (sequence: number, readyAt: number | null) => input(sequence, { phase: "held", readyAt })
      const cases = {
        idle: {},
        terminal: { inserts: [input(1, { phase: "consumed", outcome: consumed })] },
        open: { runtime: openRun },
        staged: { inserts: [input(1, { readyAt: 50 }), input(2, { phase: "staged", readyAt: 70 })] },
        now: { inserts: [input(1, { readyAt: 50 }), input(2)] },
        later: { inserts: [held(1, null), input(2, { readyAt: 50 }), held(3, 40)] },
        waiting: { inserts: [held(1, null)] }
      }
      for (const [runtimeId, parts] of Object.entries(cases)) {
        yield* claim(store, runtimeId)
        yield* store.commit([rows(runtimeId, 1, parts)])
      }
      assert.deepStrictEqual(yield* store.readPending(null, 10), [
        { runtimeId: "later", readyAt: 40 },
        { runtimeId: "now", readyAt: 0 },
        { runtimeId: "open", readyAt: 0 },
        { runtimeId: "staged", readyAt: 0 },
        { runtimeId: "waiting", readyAt: null }
      ])
      assert.deepStrictEqual(yield* store.readPending("now", 1), [{ runtimeId: "open", readyAt: 0 }])
      assert.deepStrictEqual(yield* store.readRuntimes("terminal", 10), [{
        runtimeId: "waiting",
        state: columns.state
      }])
    }))

  it.effect("dead letters are inputs whose outcome says that their attempts were used up", () =>
    Effect.gen(function*() {
      const store = yield* make
      yield* claim(store, "a")
      const abandoned = (reason: object) => JSON.stringify({ _tag: "abandoned", reason })
      const outcomes = [
        null,
        consumed,
        abandoned({ _tag: "max_attempts_exhausted", attempts: 3 }),
        abandoned({ _tag: "cancelled", reason: "max_attempts_exhausted" }),
        "{max_attempts_exhausted",
        "null",
        abandoned({ _tag: "max_attempts_exhausted", attempts: 3 })
      ]
      const inserts = outcomes.map((outcome, at) => input(at + 1, { outcome, phase: outcome ? "abandoned" : "queued" }))
      yield* store.commit([rows("a", 1, { inserts })])
      const page = (after: number, limit: number, filter: "all" | "active" | "dead") =>
        Effect.map(store.readInputs("a", { after, limit, filter }), (all) => all.map(({ sequence }) => sequence))
      assert.deepStrictEqual(yield* page(0, 10, "dead"), [3, 7])
      assert.deepStrictEqual(yield* page(3, 1, "dead"), [7])
      assert.deepStrictEqual(yield* page(0, 10, "active"), [1])
      assert.deepStrictEqual(yield* page(2, 3, "all"), [3, 4, 5])
      assert.deepStrictEqual(yield* page(0, 0, "all"), [])
    }))

  it("keys are walked in order, whatever order they came and went in", () => {
    const table = new Ordered<number, string>()
    for (const key of [5, 1, 9, 3, 7]) table.set(key, `${key}`)
    table.set(3, "three")
    table.delete(9)
    table.delete(1)
    table.delete(4)
    assert.deepStrictEqual([...table.after(null)], [[3, "three"], [5, "5"], [7, "7"]])
    assert.deepStrictEqual([...table.after(3)], [[5, "5"], [7, "7"]])
    assert.deepStrictEqual([...table.after(4)], [[5, "5"], [7, "7"]])
    assert.deepStrictEqual([...table.after(7)], [])
    assert.strictEqual(table.last, 7)
  })
})
