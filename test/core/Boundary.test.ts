import { assert, describe, it } from "@effect/vitest"
import * as Close from "../../src/core/Close.js"
import * as Commit from "../../src/core/Commit.js"
import * as Digests from "../../src/core/Digests.js"
import * as State from "../../src/core/State.js"
import type { RuntimeId, SessionId } from "../../src/schema/Ids.js"
import { fail, input, inputId, runId, runtimeId, sessionId, sha256 } from "./support.js"
import { type Boundary, ids, World } from "./World.js"

/** A run over prompt 1, with steer 2 handed over by a first checkpoint and steer 3 waiting. */
const steered = (): World => {
  const world = new World()
  world.admit(input("prompt", 1))
  world.stage()
  world.admit(input("continuation", 2))
  world.boundary("checkpoint")
  world.admit(input("continuation", 3))
  return world
}

const phases = (world: World) => [1, 2, 3].map((n) => world.head(inputId(n)).phase)

/** Columns: boundary, the batch, the steer handed over before, the ready steer, whether the run stays open. */
const table = [
  ["note", "staged", "staged", "queued", true],
  ["checkpoint", "staged", "consumed", "staged", true],
  ["final", "consumed", "consumed", "queued", false]
] as const

describe("boundary", () => {
  for (const [kind, batch, handed, ready, open] of table) {
    it(`I8: ${kind} leaves the batch ${batch}, steers handed over before ${handed}, ready steers ${ready}`, () => {
      const world = steered()
      const { delivered, receipt } = world.boundary(kind)
      assert.deepStrictEqual(phases(world), [batch, handed, ready])
      assert.strictEqual(world.db.run !== null, open)
      assert.deepStrictEqual(receipt.contributors, [inputId(1), inputId(2)])
      const consumed = [1, 2].filter((n) => world.head(inputId(n)).phase === "consumed").map(inputId)
      assert.deepStrictEqual(receipt.consumed, consumed)
      assert.deepStrictEqual(ids(delivered), kind === "checkpoint" ? [inputId(3)] : [])
      assert.deepInclude(world.lastEvents, {
        _tag: "run.boundary",
        runId: receipt.runId,
        sequence: 2,
        boundary: kind,
        consumed,
        delivered: ids(delivered),
        messages: { start: 1, end: 1 },
        revision: world.db.session!.revision
      })
    })
  }

  it("a final with ready work left wakes the loop; without, it does not", () => {
    const world = steered()
    world.boundary("final")
    assert.strictEqual(world.signal, "wake_loop")
    world.stage()
    world.boundary("final")
    assert.strictEqual(world.signal, "none")
  })

  it("a steer costs a staging and no attempt; the attempt is the batch's", () => {
    const world = steered()
    assert.deepInclude(world.head(inputId(2)), { attempt: 0, stagings: 1, batch: null, run: runId(1) })
  })

  it("at most batchInputsMax steers are handed over at once", () => {
    const world = new World({ batchInputsMax: 2 })
    world.admit(input("prompt", 1))
    world.stage()
    for (const n of [2, 3, 4]) world.admit(input("continuation", n))
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2), inputId(3)])
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(4)])
  })

  it("a held steer whose deadline is past is handed over, released and no longer held", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("continuation", 2))
    world.do(Close.holdInput({ inputId: inputId(2), reason: "operator", until: world.now + 5 }))
    world.stage()
    world.now += 5
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2)])
    assert.deepInclude(world.head(inputId(2)), { phase: "staged", hold: null, readyAt: null })
    assert.deepInclude(world.lastEvents, { _tag: "input.released", inputId: inputId(2) })
  })

  it("response_terminal is applied at the next boundary while a run is open", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.admit(input("peer_response_terminal", 2))
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2)])
  })

  it("I7: receipts are dense from 1, and name run, batch, parent and the session after", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    const { batchId, runId: run } = world.stage()
    const first = world.boundary("note", { delta: { append: ["\"a\"", "\"b\""] } }).receipt
    assert.deepInclude(first, { runId: run, batchId, boundary: "note", sequence: 1, parent: null, messageCount: 3 })
    assert.strictEqual(first.conversationDigest, world.db.session!.revision)
    const second = world.boundary("checkpoint").receipt
    assert.deepStrictEqual(second.parent, { revision: world.db.session!.revision, version: 1 })
    assert.strictEqual(second.sequence, 2)
    assert.strictEqual(world.boundary("final").receipt.sequence, 3)
    assert.strictEqual(world.db.session!.version, 1, "a boundary that says nothing leaves the session")
  })

  it("I11: the messages of inputs come first, once over all attempts", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    const first = world.stage()
    world.boundary("checkpoint", { delta: { append: ["\"reply\""] } })
    world.close(fail(first.runId))
    world.stage()
    world.boundary("final", { delta: { append: ["\"done\""] } })
    assert.deepStrictEqual(
      world.db.messages.map(({ message }) => message.includes("text 1") || message.includes("text 2") || message),
      [true, true, "\"reply\"", "\"done\""]
    )
  })

  it("I11: a steer's message enters with the first boundary after it was handed over", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.admit(input("prompt", 2, { mode: "steer" }))
    world.boundary("checkpoint")
    assert.isFalse(world.head(inputId(2)).recorded)
    world.boundary("note")
    assert.isTrue(world.head(inputId(2)).recorded)
    assert.strictEqual(world.db.messages.length, 2)
  })

  it("I10: only the open run can commit", () => {
    const world = steered()
    assert.strictEqual(world.refused(world.bounding({ runId: runId(9) }))._tag, "RunNotOpen")
    world.close({ _tag: "cancel", runId: runId(1), reason: "enough" })
    assert.strictEqual(world.refused(world.bounding({ runId: runId(1), kind: "checkpoint" }))._tag, "RunNotOpen")
  })

  it("I7: another predecessor than the last boundary is a SequenceMismatch", () => {
    const world = steered()
    assert.deepInclude(world.refused(world.bounding({ after: 2 })), { _tag: "SequenceMismatch", after: 2, last: 1 })
    assert.deepInclude(world.refused(world.bounding({ after: 0 })), { _tag: "SequenceMismatch", after: 0, last: 1 })
  })

  it("another session's id is a SessionKeyMismatch; the first boundary takes the one it is given", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.boundary("note", { delta: { append: ["1"], sessionId: "mine" as SessionId } })
    assert.strictEqual(world.db.session!.id, "mine")
    const other = world.bounding({ delta: { append: ["2"], sessionId: "yours" as SessionId } })
    assert.deepInclude(world.refused(other), { _tag: "SessionKeyMismatch", expected: "yours", actual: "mine" })
  })

  const said: Boundary = {
    kind: "final",
    runId: runId(1),
    after: 0,
    delta: { append: ["\"a\""], snapshot: Uint8Array.of(1) },
    result: "42",
    notes: [{ scope: "s", key: "k", value: { a: 1 } }]
  }
  const others: { readonly [what: string]: Boundary } = {
    messages: { delta: { ...said.delta, append: ["\"b\""] } },
    snapshot: { delta: { append: ["\"a\""], snapshot: Uint8Array.of(2) } },
    "no snapshot": { delta: { append: ["\"a\""] } },
    result: { result: "43" },
    "no result": { result: null },
    notes: { notes: [{ scope: "s", key: "k", value: { a: 2 } }] },
    "no notes": { notes: [] },
    boundary: { kind: "checkpoint" }
  }

  it("I7: the exact retry, even after the run was closed and by a later owner, writes nothing", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    const { receipt } = world.do(world.bounding(said))
    world.crash()
    world.now += 100
    const reply = world.do(world.bounding({ ...said, receipt }))
    assert.deepInclude(reply, { alreadyApplied: true, receipt, delivered: [] })
    assert.isTrue(Commit.isEmpty(world.last))
  })

  for (const [what, other] of Object.entries(others)) {
    it(`I7: the same boundary with other content (${what}) is a ReceiptConflict`, () => {
      const world = new World()
      world.admit(input("prompt", 1))
      world.stage()
      const { receipt } = world.do(world.bounding(said))
      assert.strictEqual(world.refused(world.bounding({ ...said, ...other, receipt }))._tag, "ReceiptConflict")
    })
  }

  it("a retry of an earlier boundary of the open run is recognised too", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    const { receipt } = world.boundary("checkpoint", { delta: { append: ["1"] } })
    world.boundary("note")
    const again = world.bounding({ kind: "checkpoint", after: 0, delta: { append: ["1"] }, receipt })
    assert.isTrue(world.do(again).alreadyApplied)
  })

  it("a rewrite replaces its range, and the messages of inputs follow", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.boundary("final", { delta: { append: ["1", "2", "3"] } })
    world.admit(input("prompt", 2))
    world.stage()
    const [first] = world.db.messages
    world.boundary("checkpoint", {
      delta: {
        append: ["4"],
        rewrite: {
          selection: { start: 1, end: 3 },
          reason: "shorter",
          replacement: ["\"1 and 2\""],
          keepRevision: first!.revision as never,
          tail: ["3"]
        }
      }
    })
    const texts = world.db.messages.map(({ message }) => message)
    assert.deepStrictEqual(texts.filter((text) => !text.includes("inputId")), ["\"1 and 2\"", "3", "4"])
    assert.strictEqual(texts.length, 5)
    const [event] = world.lastEvents.filter(({ _tag }) => _tag === "run.boundary")
    assert.deepInclude(event, { messages: { start: 3, end: 5 }, revision: world.db.session!.revision })
    assert.deepStrictEqual(world.lastEvents[0], {
      _tag: "session.rewritten",
      reason: "shorter",
      selection: { start: 1, end: 3 },
      messages: { start: 1, end: 2 },
      revision: world.db.session!.revision,
      length: 5
    })
    let revision = Digests.firstRevision(sha256, sessionId)
    for (const text of texts) revision = Digests.nextRevision(sha256, revision, text)
    assert.strictEqual(world.db.session!.revision, revision)
  })
  it("a boundary of a run without a session tells of no revision", () => {
    const world = new World()
    world.admit(input("continuation", 1))
    world.stage()
    world.boundary("note")
    assert.deepInclude(world.lastEvents[0], { messages: { start: 0, end: 0 }, revision: null })
  })

  it("what leaves with a boundary is in its commit, and not in that of its repetition", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    const deposits = [{ runtimeId: "other" as RuntimeId, inputId: inputId(9), at: 5, payload: "{}" }]
    const { receipt } = world.boundary("checkpoint", { after: 0, deposits })
    assert.deepStrictEqual(world.last.deposits, deposits)
    assert.isFalse(
      Commit.isEmpty(Commit.make(runtimeId, world.last.stamp, { deposits })),
      "deposits are worth a commit"
    )
    const again = world.do(world.bounding({ kind: "checkpoint", after: 0, deposits, receipt }))
    assert.isTrue(again.alreadyApplied)
    assert.isTrue(Commit.isEmpty(world.last))
  })

  it("only steers that are meant for an open run are counted as its next ones, at most a batch of them", () => {
    const world = new World({ batchInputsMax: 2 })
    const count = () => State.steers(world.state, world.limits.batchInputsMax).length
    for (const n of [1, 2, 3]) world.admit(input("continuation", n))
    assert.strictEqual(count(), 0, "without a run nothing is handed over")
    world.stage()
    assert.strictEqual(count(), 1)
    // It is of the steer lane, and begins a run of its own.
    world.admit(input("peer_response_terminal", 4, { mode: "steer" }))
    assert.strictEqual(count(), 1)
    for (const n of [5, 6]) world.admit(input("continuation", n))
    assert.strictEqual(count(), 2)
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(3), inputId(5)])
    assert.strictEqual(count(), 1)
  })
})
