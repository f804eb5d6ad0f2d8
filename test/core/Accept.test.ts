import { assert, describe, it } from "@effect/vitest"
import * as Commit from "../../src/core/Commit.js"
import * as Control from "../../src/core/Control.js"
import * as State from "../../src/core/State.js"
import { fail, input, inputId, limits } from "./support.js"
import { ids, World } from "./World.js"

describe("accept", () => {
  it("I16: an ordinary accept writes one row, which is also its event", () => {
    const world = new World()
    const head = world.admit(input("prompt", 1))
    const { boundary, events, inputs, lifecycle, session } = world.last
    assert.deepStrictEqual({ boundary, lifecycle, session, events }, {
      boundary: null,
      lifecycle: null,
      session: null,
      events: []
    })
    assert.deepStrictEqual(inputs.map((record) => [record.head, record.payload]), [[head, `payload of ${inputId(1)}`]])
    assert.strictEqual(world.admit(input("prompt", 2)).sequence, head.sequence + 1)
  })

  it("I5: the same key or id with the same payload is deduplicated and writes nothing", () => {
    const world = new World()
    const first = world.admit(input("prompt", 1, { key: "k", text: "a" }))
    const existing = { _tag: "deduplicated", existing: first.id, sequence: first.sequence }
    for (const again of [input("prompt", 2, { key: "k", text: "a" }), input("prompt", 1, { key: "k", text: "a" })]) {
      const outcome = world.accept(again)
      assert.deepStrictEqual(outcome as object, { ...existing, inputId: again.header.id })
      assert.isTrue(Commit.isEmpty(world.last))
    }
    assert.strictEqual(State.activeCount(world.state), 1)
  })

  it("I5: another payload under the same key or id is a conflict", () => {
    const world = new World()
    world.admit(input("prompt", 1, { key: "k", text: "a" }))
    world.admit(input("prompt", 2, { text: "a" }))
    const conflicting = [
      input("prompt", 3, { key: "k", text: "b" }),
      input("flow_step", 3, { key: "k", text: "a" }),
      input("prompt", 2, { text: "b" }),
      // The key names one input, the id another.
      input("prompt", 2, { key: "k", text: "a" })
    ]
    for (const each of conflicting) {
      assert.strictEqual(world.refused(world.accepting(each, world.known(each)))._tag, "IdempotencyConflict")
    }
  })

  it("I5: memory alone knows active inputs, the store's look-up the terminal ones", () => {
    const world = new World()
    world.admit(input("prompt", 1, { key: "k", text: "a" }))
    world.stage()
    assert.strictEqual(world.do(world.accepting(input("prompt", 2, { key: "k", text: "a" })))._tag, "deduplicated")
    world.boundary("final")
    const again = input("prompt", 3, { key: "k", text: "a" })
    assert.strictEqual(world.do(world.accepting(again, world.known(again)))._tag, "deduplicated")
  })

  it("D6: a resubmitted id changes nothing of the input it has", () => {
    const world = new World()
    const head = world.admit(input("prompt", 1, { text: "a" }))
    world.accept(input("prompt", 1, { text: "a" }))
    assert.strictEqual(State.get(world.state, head.id), head)
  })

  it("a refusal uses up no key and no number", () => {
    const world = new World()
    const derived = input("prompt", 1, { key: "k", durability: "derived" })
    assert.strictEqual(world.accept(derived)._tag, "rejected")
    assert.isTrue(Commit.isEmpty(world.last))
    assert.strictEqual(world.admit(input("prompt", 2, { key: "k" })).sequence, 1)
  })

  it("D8: what the runtime's state refuses is a typed refusal", () => {
    const retired = new World()
    retired.do(Control.retire)
    assert.deepInclude(retired.refused(retired.accepting(input("prompt", 1))), { _tag: "NotReady", state: "retired" })
    const stopped = new World()
    stopped.do(Control.stop(limits))
    assert.deepInclude(stopped.refused(stopped.accepting(input("prompt", 1))), { _tag: "NotReady", state: "stopped" })
    const destroyed = new World()
    destroyed.do(Control.destroy(limits))
    assert.strictEqual(destroyed.refused(destroyed.accepting(input("prompt", 1)))._tag, "Destroyed")
  })

  it("a paused runtime accepts", () => {
    const world = new World()
    world.do(Control.pause(true))
    assert.strictEqual(world.accept(input("prompt", 1))._tag, "accepted")
  })

  it("D3: a superseded input leaves its lane and ends in the commit of its successor, with its event", () => {
    const world = new World()
    const older = world.admit(input("external_event", 1, { scope: "s" }))
    const newer = world.admit(input("external_event", 2, { scope: "s" }))
    assert.deepStrictEqual(world.head(older.id).outcome, { _tag: "superseded", by: newer.id })
    assert.deepStrictEqual(world.lastEvents, [{ _tag: "input.superseded", inputId: older.id, by: newer.id }])
    assert.strictEqual(world.db.events.get(older.sequence)?.event._tag, "input.accepted")
    assert.deepStrictEqual(ids(world.stage().inputs), [newer.id])
  })

  it("D4: progress with a key coalesces into the newest; without one it queues", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("peer_response_progress", n))
    for (const n of [3, 4]) world.admit(input("peer_response_progress", n, { scope: "s" }))
    assert.deepStrictEqual(world.head(inputId(3)).outcome, { _tag: "coalesced", into: inputId(4) })
    assert.deepStrictEqual(world.lastEvents, [{ _tag: "input.coalesced", inputId: inputId(3), into: inputId(4) }])
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(1), inputId(2), inputId(4)])
  })

  it("a scope is a kind and a key: another kind, another key or no key replaces nothing", () => {
    const world = new World()
    world.admit(input("external_event", 1, { scope: "s" }))
    world.admit(input("prompt", 2, { scope: "s" }))
    world.admit(input("external_event", 3, { scope: "t" }))
    world.admit(input("external_event", 4))
    world.admit(input("peer_message", 5, { scope: "s" }))
    world.admit(input("peer_request", 6, { scope: "s" }))
    assert.strictEqual(State.activeCount(world.state), 6)
  })

  it("what a run has staged, or what has a receipt, is not superseded", () => {
    const world = new World()
    const older = world.admit(input("prompt", 1, { scope: "s" }))
    const { runId } = world.stage()
    const second = world.admit(input("prompt", 2, { scope: "s" }))
    assert.strictEqual(world.head(older.id).phase, "staged")
    world.boundary("checkpoint")
    world.close(fail(runId))
    assert.strictEqual(world.head(older.id).phase, "queued")
    const third = world.admit(input("prompt", 3, { scope: "s" }))
    assert.strictEqual(world.head(older.id).phase, "queued")
    assert.deepStrictEqual(world.head(second.id).outcome, { _tag: "superseded", by: third.id })
  })

  it("the older of a scope is found again when the newest has ended first", () => {
    const world = new World()
    const older = world.admit(input("prompt", 1, { scope: "s" }))
    const { runId } = world.stage()
    world.admit(input("prompt", 2, { scope: "s" }))
    world.do(Control.abandonPending({ _tag: "reset" }))
    assert.strictEqual(State.newestOf(world.state, State.scopeOf(older)!)?.id, older.id)
    world.close({ _tag: "give_back", runId, visibleAt: null })
    const third = world.admit(input("prompt", 3, { scope: "s" }))
    assert.deepStrictEqual(world.head(older.id).outcome, { _tag: "superseded", by: third.id })
  })

  it("a held input is superseded; a batch that loses a member without a receipt is dissolved", () => {
    const world = new World()
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n, n === 2 ? { scope: "s" } : {}))
    const { batchId, runId } = world.stage()
    world.close({ _tag: "hold", runId, reason: "question", until: null })
    world.admit(input("flow_step", 4, { scope: "s" }))
    assert.strictEqual(world.head(inputId(2)).phase, "superseded")
    for (const n of [1, 3]) {
      assert.isNull(world.head(inputId(n)).batch)
      assert.strictEqual(world.head(inputId(n)).phase, "held")
    }
    assert.strictEqual(State.members(world.state, batchId).length, 0)
  })

  it("I6: deliverAt makes an input not ready and keeps its place", () => {
    const world = new World()
    world.admit(input("prompt", 1, { deliverAt: world.now + 10 }))
    world.admit(input("prompt", 2))
    world.admit(input("prompt", 3, { deliverAt: world.now }))
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(2)])
    world.now += 10
    world.boundary("final")
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(1)])
  })

  it("the queue's depth is limited, and what an input replaces makes room for it", () => {
    const world = new World({ queueDepthMax: 2 })
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2, { scope: "s" }))
    assert.deepInclude(world.refused(world.accepting(input("prompt", 3))), { _tag: "QueueFull", queueDepthMax: 2 })
    assert.strictEqual(world.accept(input("prompt", 4, { scope: "s" }))._tag, "accepted")
    assert.strictEqual(world.accept(input("operation", 5))._tag, "accepted")
  })

  it("an operation is consumed at admission, with both of its events, and enters no index", () => {
    const world = new World()
    const outcome = world.accept(input("operation", 1, { key: "k" }))
    assert.deepInclude(outcome, { _tag: "accepted", sequence: 1 })
    assert.deepStrictEqual([...world.db.events.values()].map(({ event, number }) => [number, event._tag]), [
      [1, "input.accepted"],
      [2, "input.consumed"]
    ])
    assert.strictEqual(State.activeCount(world.state), 0)
    assert.strictEqual(world.signal, "none")
  })
})
