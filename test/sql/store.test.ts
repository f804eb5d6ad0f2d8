import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as path from "node:path"
import type { Outcome, Rows } from "../../src/core/Rows.js"
import { openOwner } from "../../src/layers/sqlite/open.js"
import type { Encoded } from "../../src/services/RuntimeStoreEncoded.js"
import { boundaryOf, columns, inputOf, moveOf, open, rowsOf, sessionOf } from "./rows.js"
import { failureOf, folder } from "./support.js"

const claim = (encoded: Encoded, runtimeId: string, rows: Partial<Rows> = {}) =>
  encoded.recover(
    runtimeId,
    "claim",
    (loaded, epoch) =>
      Either.right([rowsOf({ runtimeId, epoch, n: 0, ...rows, runtime: rows.runtime ?? columns }), { epoch, loaded }])
  )

const setup = Effect.gen(function*() {
  const filename = path.join(yield* folder, "x.db")
  const { client, encoded, transactor } = yield* openOwner({ filename })
  for (const runtimeId of ["a", "b", "c", "r"]) yield* claim(encoded, runtimeId)
  return { client, encoded, transactor }
})

const commitOne = (encoded: Encoded, rows: Partial<Rows>): Effect.Effect<Outcome, unknown> =>
  Effect.map(encoded.commit([rowsOf(rows)]), ([outcome]) => outcome!)

const refusedBy = (outcome: Outcome | undefined): string =>
  outcome?._tag === "Refused" ? outcome.by._tag : outcome?._tag ?? "none"

const ids = (rows: ReadonlyArray<{ readonly inputId: string }>) => rows.map(({ inputId }) => inputId)

describe("commit", () => {
  it.scoped("writes a group in one transaction, and gives back what was written", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      const input = inputOf(1, { readyAt: 5, lane: "steer", payload: "é\u{1F600}", policy: "{\"a\":1}" })
      const outcomes = yield* encoded.commit([
        rowsOf({
          runtimeId: "a",
          n: 7,
          inserts: [input, inputOf(2)],
          events: [{ number: 3, at: 1, code: "x", data: "{}" }]
        }),
        rowsOf({ runtimeId: "b", inserts: [inputOf(1)], ops: "ops" })
      ])
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Committed", "Committed"])
      assert.deepStrictEqual(yield* encoded.readInput("a", "input 1"), input)
      assert.deepStrictEqual(yield* encoded.readInputByKey("a", "key 2"), inputOf(2))
      assert.isNull(yield* encoded.readInput("b", "input 2"))
      assert.strictEqual(yield* encoded.readOps("b"), "ops")
      assert.deepStrictEqual(yield* encoded.readStamp("a", { _tag: "input", inputId: "input 1" }), { epoch: 1, n: 7 })
      assert.deepStrictEqual(yield* encoded.readStamp("a", { _tag: "runtime" }), { epoch: 1, n: 0 })
    }))

  it.scoped("leaves a stale member out, its neighbours are written", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* claim(encoded, "b")
      const outcomes = yield* encoded.commit([
        rowsOf({ runtimeId: "a", inserts: [inputOf(1)] }),
        rowsOf({ runtimeId: "b", inserts: [inputOf(1)] }),
        rowsOf({ runtimeId: "nobody", inserts: [inputOf(1)] }),
        rowsOf({ runtimeId: "c", inserts: [inputOf(1)] })
      ])
      assert.deepStrictEqual(outcomes, [
        { _tag: "Committed" },
        { _tag: "Refused", by: { _tag: "StaleFence", current: 2 } },
        { _tag: "Refused", by: { _tag: "StaleFence", current: null } },
        { _tag: "Committed" }
      ])
      assert.isNotNull(yield* encoded.readInput("c", "input 1"))
      assert.isNull(yield* encoded.readInput("b", "input 1"))
    }))

  it.scoped("answers an id or a key that is stored with every such row, and writes the neighbours", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* commitOne(encoded, { runtimeId: "b", inserts: [inputOf(1), inputOf(2)] })
      const taken = [inputOf(3, { inputId: "input 1" }), inputOf(4, { idempotencyKey: "key 2" })]
      const known = [1, 2].map((n) => ({
        inputId: `input ${n}`,
        idempotencyKey: `key ${n}`,
        payloadDigest: `digest ${n}`,
        sequence: n
      }))
      const outcomes = yield* encoded.commit([
        rowsOf({ runtimeId: "a", inserts: [inputOf(1)] }),
        rowsOf({ runtimeId: "b", inserts: taken, events: [{ number: 9, at: 1, code: "x", data: "{}" }] }),
        rowsOf({ runtimeId: "c", inserts: [inputOf(1)] })
      ])
      assert.deepStrictEqual(outcomes, [
        { _tag: "Committed" },
        { _tag: "Refused", by: { _tag: "KnownInput", known } },
        { _tag: "Committed" }
      ])
      assert.isNotNull(yield* encoded.readInput("a", "input 1"))
      assert.isNotNull(yield* encoded.readInput("c", "input 1"))
      assert.strictEqual((yield* encoded.readInputs("b", { after: 0, limit: 9, filter: "all" })).length, 2)
      assert.strictEqual((yield* encoded.readEvents("b", 0, 9)).events.length, 0)
      assert.deepStrictEqual(yield* commitOne(encoded, { runtimeId: "b", inserts: taken }), outcomes[1])
    }))

  it.scoped("of a row that cannot be stored fails, and writes nothing of the group", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      const unstorable = inputOf(1, { payload: {} as string })
      const error = yield* failureOf(encoded.commit([
        rowsOf({ runtimeId: "a", inserts: [inputOf(1)] }),
        rowsOf({ runtimeId: "b", inserts: [unstorable] })
      ]))
      assert.strictEqual(error._tag, "WriteFailed")
      assert.isNull(yield* encoded.readInput("a", "input 1"))
      const missing = yield* failureOf(
        encoded.commit([rowsOf({ runtimeId: "a", moves: [moveOf(5, { phase: "held" })] })])
      )
      assert.strictEqual(missing._tag, "WriteFailed")
    }))

  it.scoped("changes the head of an input and nothing else of it", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* commitOne(encoded, { inserts: [inputOf(1), inputOf(2), inputOf(3)] })
      const outcome = { _tag: "consumed", runId: null, sequence: null }
      const moves = [
        moveOf(2, { phase: "staged", runId: "run", attempt: 1 }),
        moveOf(2, { phase: "staged", runId: "run", attempt: 2 }),
        moveOf(1, { phase: "consumed", outcome: JSON.stringify(outcome) })
      ]
      yield* commitOne(encoded, { n: 9, moves, runtime: open("run", 0) })
      assert.deepStrictEqual(yield* encoded.readInput("r", "input 2"), {
        ...inputOf(2),
        phase: "staged",
        runId: "run",
        attempt: 2,
        updatedAt: 2
      })
      assert.deepStrictEqual(ids(yield* encoded.readInputs("r", { after: 0, limit: 9, filter: "active" })), [
        "input 2",
        "input 3"
      ])
      assert.deepStrictEqual(yield* encoded.readRuntime("r"), { ...open("run", 0), epoch: 1, claimId: "claim", n: 9 })
      assert.deepStrictEqual(yield* encoded.readStamp("r", { _tag: "input", inputId: "input 2" }), { epoch: 1, n: 9 })
      assert.deepStrictEqual(yield* encoded.readStamp("r", { _tag: "input", inputId: "input 3" }), { epoch: 1, n: 1 })
    }))

  it.scoped("of more rows than one statement takes writes them all", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      const numbers = Array.from({ length: 201 }, (_, i) => i + 1)
      yield* commitOne(encoded, { inserts: numbers.map((n) => inputOf(n)) })
      yield* commitOne(encoded, { moves: numbers.map((n) => moveOf(n, { phase: "held", hold: "operator" })) })
      const totals = yield* encoded.readTotals("r")
      assert.deepStrictEqual([totals.accepted, totals.held, totals.active], [201, 201, 0])
      const wanted = numbers.map((n) => `input ${n}`)
      assert.strictEqual((yield* encoded.readPayloads("r", [...wanted, "none", "input 1"])).length, 201)
      assert.strictEqual((yield* encoded.readKnown("r", wanted, numbers.map((n) => `key ${n}`))).length, 201)
    }))
})

describe("a boundary", () => {
  const staged = Effect.gen(function*() {
    const all = yield* setup
    yield* commitOne(all.encoded, {
      runtime: open("run", 0),
      inserts: [inputOf(1, { phase: "staged", runId: "run" }), inputOf(2)]
    })
    return all
  })

  it.scoped("is judged by what is stored", () =>
    Effect.gen(function*() {
      const { encoded } = yield* staged
      const apply = (rows: Partial<Rows>) => Effect.map(commitOne(encoded, rows), refusedBy)
      assert.strictEqual(yield* apply({ boundary: boundaryOf("other", 0) }), "RunNotOpen")
      assert.strictEqual(yield* apply({ boundary: boundaryOf("run", 1) }), "SequenceMismatch")
      assert.strictEqual(
        yield* apply({ boundary: boundaryOf("run", 0, { contributors: ["input 1", "input 2"] }) }),
        "ContributorNotStaged"
      )
      const first: Partial<Rows> = {
        boundary: boundaryOf("run", 0, { contributors: ["input 1"], result: "result" }),
        runtime: open("run", 1),
        session: sessionOf({ version: 0, length: 0 }, ["m0", "m1"], { snapshot: Uint8Array.of(0, 1) }),
        notes: [{ scope: "s", key: "k", value: "1" }],
        n: 4
      }
      assert.strictEqual(yield* apply(first), "Committed")
      assert.strictEqual(yield* apply(first), "AlreadyApplied")
      assert.strictEqual(yield* apply({ boundary: boundaryOf("run", 0, { digest: "other" }) }), "ReceiptConflict")
      assert.strictEqual(
        yield* apply({ session: sessionOf({ version: 1, length: 2 }, [], { sessionId: "other" }) }),
        "SessionKeyMismatch"
      )
      assert.strictEqual(
        yield* apply({ session: sessionOf({ version: 0, length: 0 }, []) }),
        "TranscriptRevisionConflict"
      )
      assert.strictEqual(
        yield* apply({ session: sessionOf({ version: 1, length: 2 }, [], { expected: Uint8Array.of(9) }) }),
        "SnapshotChanged"
      )
      assert.strictEqual(yield* apply({ notes: [{ scope: "s", key: "k", value: "2" }] }), "NoteConflict")
      assert.deepStrictEqual(yield* encoded.readReceipt("r", "run", 1), { receipt: "receipt 1", result: "result" })
      assert.deepStrictEqual(yield* encoded.readStamp("r", { _tag: "receipt", runId: "run", sequence: 1 }), {
        epoch: 1,
        n: 4
      })
      assert.deepStrictEqual(yield* encoded.readNotes("r", "s", null), [{ scope: "s", key: "k", value: "1" }])
    }))

  it.scoped("of several runtimes at once is judged each by its own", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      const group = ["a", "b", "c"] as const
      for (const runtimeId of group) {
        yield* commitOne(encoded, {
          runtimeId,
          runtime: open("run", 0),
          inserts: [inputOf(1, { phase: runtimeId === "b" ? "queued" : "staged", runId: "run" })]
        })
      }
      const member = (runtimeId: string) =>
        rowsOf({
          runtimeId,
          runtime: open("run", 1),
          boundary: boundaryOf("run", 0, { contributors: ["input 1"] }),
          session: sessionOf({ version: 0, length: 0 }, [`of ${runtimeId}`]),
          moves: [moveOf(1, { phase: "consumed", outcome: "{}" })]
        })
      const outcomes = yield* encoded.commit([member("a"), member("b"), member("c")])
      assert.deepStrictEqual(outcomes.map(refusedBy), ["Committed", "ContributorNotStaged", "Committed"])
      assert.deepStrictEqual((yield* encoded.readMessages("c", 0, 9)).map(({ message }) => message), ["of c"])
      assert.deepStrictEqual(yield* encoded.readMessages("b", 0, 9), [])
      assert.deepStrictEqual(yield* encoded.readPending(null, 9), [{ runtimeId: "a", readyAt: 0 }, {
        runtimeId: "b",
        readyAt: 0
      }, { runtimeId: "c", readyAt: 0 }])
    }))

  it.scoped("appends to the session, rewrites its tail, and keeps or removes its snapshot", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      const messages = Effect.map(encoded.readMessages("r", 0, 99), (rows) => rows.map(({ message }) => message).join())
      const apply = (session: Rows["session"]) => Effect.map(commitOne(encoded, { session }), refusedBy)
      const bytes = Uint8Array.of(1, 2)
      assert.strictEqual(
        yield* apply(sessionOf({ version: 0, length: 0 }, ["a", "b", "c"], { snapshot: bytes })),
        "Committed"
      )
      assert.strictEqual(yield* apply(sessionOf({ version: 1, length: 3 }, ["d"])), "Committed")
      assert.strictEqual(yield* messages, "a,b,c,d")
      const snapshot = yield* encoded.readSnapshot("r")
      assert.deepStrictEqual(snapshot, bytes)
      assert.strictEqual(Object.getPrototypeOf(snapshot), Uint8Array.prototype)
      const rewrite = sessionOf({ version: 2, length: 1 }, ["e"], {
        keep: 1,
        rewrite: "record",
        snapshot: null,
        expected: bytes
      })
      assert.strictEqual(yield* apply(rewrite), "Committed")
      assert.strictEqual(yield* messages, "a,e")
      assert.isNull(yield* encoded.readSnapshot("r"))
      assert.deepStrictEqual(yield* encoded.readRewrites("r"), ["record"])
      assert.deepStrictEqual(yield* encoded.readSession("r"), {
        sessionId: "session",
        revision: "revision 3",
        version: 3,
        length: 2
      })
      assert.deepStrictEqual((yield* encoded.readMessages("r", 1, 1)).map(({ message }) => message), ["e"])
      assert.deepStrictEqual(yield* encoded.readMessages("r", 0, -1), [])
    }))
})

describe("commitWith", () => {
  const mine = Effect.gen(function*() {
    const all = yield* setup
    yield* all.client`CREATE TABLE mine (a INTEGER UNIQUE)`
    const stored = Effect.map(all.client<{ readonly a: number }>`SELECT a FROM mine`, (rows) => rows.map(({ a }) => a))
    const isAccepted = Effect.map(all.encoded.readInput("r", "input 1"), (row) => row !== null)
    return { ...all, stored, isAccepted, rows: rowsOf({ inserts: [inputOf(1)] }) }
  })

  it.scoped("commits the application's rows with its own", () =>
    Effect.gen(function*() {
      const { client, encoded, isAccepted, rows, stored } = yield* mine
      const outcome = yield* encoded.commitWith(
        rows,
        Effect.gen(function*() {
          yield* client`INSERT INTO mine VALUES (1)`
          assert.isTrue(yield* encoded.insideTransaction)
          assert.isTrue(yield* isAccepted, "it sees what it goes with")
        })
      )
      assert.strictEqual(outcome._tag, "Committed")
      assert.isFalse(yield* encoded.insideTransaction)
      assert.deepStrictEqual([yield* stored, yield* isAccepted], [[1], true])
    }))

  it.scoped("writes nothing when the effect fails, dies, or ends the transaction unnoticed", () =>
    Effect.gen(function*() {
      const { client, encoded, isAccepted, rows, stored } = yield* mine
      yield* client`INSERT INTO mine VALUES (7)`
      const first = client`INSERT INTO mine VALUES (1)`
      assert.strictEqual(yield* failureOf(encoded.commitWith(rows, Effect.zipRight(first, Effect.fail("no")))), "no")
      yield* Effect.exit(encoded.commitWith(rows, Effect.zipRight(first, Effect.die("bug"))))
      const swallowed = Effect.zipRight(
        Effect.ignore(client`INSERT OR ROLLBACK INTO mine VALUES (7)`),
        Effect.ignore(client`INSERT INTO mine VALUES (8)`)
      )
      const error = yield* failureOf(encoded.commitWith(rows, swallowed))
      assert.strictEqual(error._tag, "WriteFailed")
      yield* failureOf(encoded.commitWith(rows, Effect.asVoid(client`COMMIT`)))
      assert.deepStrictEqual([yield* stored, yield* isAccepted], [[7], false])
    }))

  it.scoped("does not run the effect for what is refused or applied already", () =>
    Effect.gen(function*() {
      const { encoded, rows } = yield* mine
      yield* encoded.commit([rows])
      const known = yield* encoded.commitWith(rows, Effect.die("not run"))
      assert.strictEqual(refusedBy(known), "KnownInput")
      const stale = yield* encoded.commitWith(rowsOf({ epoch: 9, inserts: [inputOf(2)] }), Effect.die("not run"))
      assert.strictEqual(refusedBy(stale), "StaleFence")
    }))

  it.scoped("takes a commit inside it along, and undoes it too", () =>
    Effect.gen(function*() {
      const { encoded, rows } = yield* mine
      const inner = encoded.commit([rowsOf({ runtimeId: "a", inserts: [inputOf(1)] })])
      yield* failureOf(encoded.commitWith(rows, Effect.zipRight(inner, Effect.fail("no"))))
      assert.isNull(yield* encoded.readInput("a", "input 1"))
      yield* encoded.commitWith(rows, inner)
      assert.isNotNull(yield* encoded.readInput("a", "input 1"))
    }))
})

describe("recover", () => {
  it.scoped("claims a runtime that never was, and every claim counts up", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      const first = yield* claim(encoded, "new")
      assert.strictEqual(first.epoch, 1)
      assert.deepStrictEqual(first.loaded, {
        runtime: null,
        session: null,
        inputs: [],
        lastSequence: 0,
        receipts: new Set<string>()
      })
      const second = yield* claim(encoded, "new")
      assert.strictEqual(second.epoch, 2)
      assert.deepStrictEqual(second.loaded.runtime, { ...columns, epoch: 1, claimId: "claim", n: 0 })
      assert.strictEqual(refusedBy(yield* commitOne(encoded, { runtimeId: "new", epoch: 1 })), "StaleFence")
    }))

  it.scoped("loads the active heads in order, the session, the last number and the receipts that they name", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* commitOne(encoded, {
        runtime: open("run", 0),
        session: sessionOf({ version: 0, length: 0 }, ["m"]),
        inserts: [
          inputOf(30, { receiptRunId: "run", receiptSequence: 2 }),
          inputOf(10, { phase: "staged", runId: "run", receiptRunId: "run", receiptSequence: 1 }),
          inputOf(20, { phase: "consumed", outcome: "{}", receiptRunId: "run", receiptSequence: 1 })
        ],
        events: [{ number: 41, at: 1, code: "x", data: "{}" }]
      })
      yield* commitOne(encoded, { boundary: boundaryOf("run", 0), runtime: open("run", 1) })
      const { loaded } = yield* claim(encoded, "r")
      assert.deepStrictEqual(ids(loaded.inputs), ["input 10", "input 30"])
      const { payload: _, ...head } = inputOf(30, { receiptRunId: "run", receiptSequence: 2 })
      assert.deepStrictEqual(loaded.inputs[1], head)
      assert.deepStrictEqual(loaded.receipts, new Set(["run/1"]))
      assert.strictEqual(loaded.session?.length, 1)
      assert.strictEqual(loaded.lastSequence, 41)
      yield* commitOne(encoded, { runtimeId: "a", inserts: [inputOf(50)] })
      assert.strictEqual((yield* claim(encoded, "a")).loaded.lastSequence, 50)
    }))

  it.scoped("writes what was decided, with the claim, or nothing at all", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* commitOne(encoded, { inserts: [inputOf(1)] })
      const left = yield* failureOf(encoded.recover("r", "other", () => Either.left("no")))
      assert.strictEqual(left, "no")
      const broken = yield* failureOf(encoded.recover("r", "other", (_, epoch) =>
        Either.right([rowsOf({ epoch, claimId: "other", runtime: columns, moves: [moveOf(9, {})] }), 0])))
      assert.strictEqual(broken._tag, "WriteFailed")
      const wrong = yield* failureOf(encoded.recover("r", "other", () =>
        Either.right([rowsOf({ epoch: 77, claimId: "other", runtime: columns }), 0])))
      assert.strictEqual(wrong._tag, "WriteFailed")
      assert.strictEqual((yield* encoded.readRuntime("r"))?.epoch, 1)
      yield* claim(encoded, "r", {
        moves: [moveOf(1, { phase: "held", hold: "in_doubt" })],
        events: [{ number: 2, at: 1, code: "x", data: "{}" }],
        n: 3
      })
      assert.strictEqual((yield* encoded.readInput("r", "input 1"))?.phase, "held")
      assert.deepStrictEqual(yield* encoded.readStamp("r", { _tag: "event", number: 2 }), { epoch: 2, n: 3 })
    }))

  it.scoped("is not stopped by a row of another type", () =>
    Effect.gen(function*() {
      const { client, encoded } = yield* setup
      yield* commitOne(encoded, { inserts: [inputOf(1), inputOf(2)] })
      yield* client`UPDATE burrow_inputs SET sequence = 'what', policy = x'00' WHERE input_id = 'input 1'`
      const { loaded } = yield* claim(encoded, "r")
      assert.deepStrictEqual(ids(loaded.inputs), ["input 2", "input 1"])
      assert.strictEqual(loaded.lastSequence, 2)
      assert.strictEqual((yield* encoded.readInputs("r", { after: 0, limit: 9, filter: "active" })).length, 2)
    }))
})

describe("barrier", () => {
  it.scoped("writes under the token, and tells another owner so", () =>
    Effect.gen(function*() {
      const { client, encoded } = yield* setup
      assert.isTrue(yield* encoded.barrier("r", 1, "claim"))
      assert.deepStrictEqual(yield* client`SELECT barrier FROM burrow_runtimes WHERE runtime_id = 'r'`, [{
        barrier: 1
      }])
      assert.isFalse(yield* encoded.barrier("r", 1, "other"))
      assert.isFalse(yield* encoded.barrier("r", 2, "claim"))
      assert.isFalse(yield* encoded.barrier("nobody", 1, "claim"))
    }))
})

describe("updateCell", () => {
  it.scoped("reads, computes and writes in one transaction", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* encoded.updateCell("cell", (now) => Effect.succeed(now === null ? Uint8Array.of(1) : now))
      yield* encoded.updateCell("cell", (now) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(now, Uint8Array.of(1))
          assert.isTrue(yield* encoded.insideTransaction)
          yield* encoded.commit([rowsOf({ inserts: [inputOf(1)] })])
          return Uint8Array.of(2)
        }))
      assert.deepStrictEqual(yield* encoded.readCell("cell"), Uint8Array.of(2))
      assert.isNotNull(yield* encoded.readInput("r", "input 1"))
      assert.strictEqual(yield* failureOf(encoded.updateCell("cell", () => Effect.fail("no"))), "no")
      assert.deepStrictEqual(yield* encoded.readCell("cell"), Uint8Array.of(2))
      yield* encoded.updateCell("cell", () => Effect.succeed(null))
      assert.isNull(yield* encoded.readCell("cell"))
    }))
})

describe("the reads", () => {
  it.scoped("page inputs in admission order, of one runtime, by what became of them", () =>
    Effect.gen(function*() {
      const { client, encoded } = yield* setup
      const dead = { _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts: 3 } }
      const inserts = [
        inputOf(4),
        inputOf(3, { phase: "abandoned", outcome: JSON.stringify(dead) }),
        inputOf(2, { phase: "abandoned", outcome: JSON.stringify({ _tag: "abandoned", reason: { _tag: "reset" } }) }),
        inputOf(1, { phase: "consumed", outcome: "{not json" })
      ]
      yield* commitOne(encoded, { inserts })
      yield* commitOne(encoded, { runtimeId: "a", inserts: [inputOf(9)] })
      const page = (filter: "all" | "active" | "dead", after = 0, limit = 9) =>
        Effect.map(encoded.readInputs("r", { after, limit, filter }), ids)
      assert.deepStrictEqual(yield* page("all"), ["input 1", "input 2", "input 3", "input 4"])
      assert.deepStrictEqual(yield* page("all", 1, 2), ["input 2", "input 3"])
      assert.deepStrictEqual(yield* page("active"), ["input 4"])
      assert.deepStrictEqual(yield* page("dead"), ["input 3"])
      assert.deepStrictEqual(yield* page("all", 0, -1), [])
      yield* client`UPDATE burrow_inputs SET outcome = 'broken' WHERE sequence = 2`
      assert.deepStrictEqual(yield* page("dead"), ["input 3"])
    }))

  it.scoped("answer which runtimes have work, and when", () =>
    Effect.gen(function*() {
      const { encoded } = yield* setup
      yield* commitOne(encoded, { runtimeId: "a", inserts: [inputOf(1, { readyAt: 50 }), inputOf(2, { readyAt: 40 })] })
      yield* commitOne(encoded, {
        runtimeId: "b",
        inserts: [inputOf(1, { phase: "held", hold: "question" }), inputOf(2, { phase: "held", readyAt: 60 })]
      })
      yield* commitOne(encoded, { runtimeId: "c", inserts: [inputOf(1, { phase: "held", hold: "operator" })] })
      yield* claim(encoded, "d", { runtime: open("run", 0) })
      yield* claim(encoded, "e", { runtime: columns })
      yield* commitOne(encoded, { runtimeId: "e", inserts: [inputOf(1, { phase: "staged", readyAt: 70 })] })
      const pending = [
        { runtimeId: "a", readyAt: 40 },
        { runtimeId: "b", readyAt: 60 },
        { runtimeId: "c", readyAt: null },
        { runtimeId: "d", readyAt: 0 },
        { runtimeId: "e", readyAt: 0 }
      ]
      assert.deepStrictEqual(yield* encoded.readPending(null, 9), pending)
      assert.deepStrictEqual(yield* encoded.readPending("b", 2), pending.slice(2, 4))
      assert.deepStrictEqual(
        (yield* encoded.readRuntimes("b", 9)).map(({ runtimeId }) => runtimeId),
        ["c", "d", "e", "r"]
      )
    }))

  it.scoped("answer events, and the accepts of active inputs beside them", () =>
    Effect.gen(function*() {
      const { client, encoded } = yield* setup
      const event = (number: number) => ({ number, at: 1, code: "run.started", data: "{}" })
      yield* commitOne(encoded, {
        inserts: [inputOf(1, { phase: "consumed", outcome: "{}" }), inputOf(2), inputOf(5)],
        events: [event(1), event(3), event(4)]
      })
      const { accepts, events, floor } = yield* encoded.readEvents("r", 1, 9)
      assert.strictEqual(floor, 0)
      assert.deepStrictEqual(events, [event(3), event(4)])
      assert.deepStrictEqual(
        accepts,
        [2, 5].map((sequence) => ({
          inputId: `input ${sequence}`,
          sequence,
          acceptedAt: 1,
          kind: "prompt",
          lane: "queue"
        }))
      )
      yield* client`UPDATE burrow_runtimes SET events_floor = 3, sequence_floor = 90 WHERE runtime_id = 'r'`
      assert.strictEqual((yield* encoded.readEvents("r", 3, 1)).floor, 3)
      assert.deepStrictEqual(yield* encoded.readEvents("nobody", 0, 9), { floor: 0, events: [], accepts: [] })
      assert.strictEqual((yield* encoded.readTotals("r")).runs, 3)
      assert.strictEqual((yield* claim(encoded, "r")).loaded.lastSequence, 90)
    }))
})
