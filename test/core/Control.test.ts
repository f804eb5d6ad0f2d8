import { assert, describe, it } from "@effect/vitest"
import * as Commit from "../../src/core/Commit.js"
import * as Control from "../../src/core/Control.js"
import * as State from "../../src/core/State.js"
import type { SessionId } from "../../src/schema/Ids.js"
import { fail, input, inputId, limits, runId, sessionId, sha256 } from "./support.js"
import { World } from "./World.js"

/** Prompt 1 is running with steer 2 handed over; prompts 3 and 4 wait, 4 held. */
const busy = (): World => {
  const world = new World()
  world.admit(input("prompt", 1))
  world.stage()
  world.admit(input("continuation", 2))
  world.boundary("checkpoint")
  world.admit(input("prompt", 3))
  world.admit(input("prompt", 4, { deliverAt: world.now + 1_000 }))
  return world
}

const phases = (world: World) => [1, 2, 3, 4].map((n) => world.head(inputId(n)).phase)
const reasons = (world: World) =>
  [1, 2, 3, 4].map((n) => {
    const { outcome } = world.head(inputId(n))
    return outcome?._tag === "abandoned" ? outcome.reason._tag : outcome?._tag ?? null
  })

describe("Control", () => {
  it("retire lets the open run finish, keeps the queue for draining, and says how much it is", () => {
    const world = busy()
    assert.deepStrictEqual(world.do(Control.retire), { inputsAbandoned: 0, inputsPendingDrain: 4, inputsRiding: 0 })
    assert.deepStrictEqual(phases(world), ["staged", "staged", "queued", "queued"])
    assert.strictEqual(world.signal, "wake_loop")
    world.boundary("final")
    assert.strictEqual(world.db.lifecycle.runtimeState, "retired")
    world.stage()
  })

  it("D14: stop cancels the open run and keeps the queue, which goes on after resume", () => {
    const world = busy()
    assert.deepStrictEqual(world.do(Control.stop(limits)), { inputsAbandoned: 2 })
    assert.deepStrictEqual(phases(world), ["abandoned", "abandoned", "queued", "queued"])
    assert.isNull(world.db.run)
    world.crash()
    assert.strictEqual(world.db.lifecycle.runtimeState, "stopped")
    world.do(Control.resume)
    assert.strictEqual(world.signal, "wake_loop")
    assert.strictEqual(world.stage().inputs[0]?.id, inputId(3))
  })

  it("D9, D10: reset looks at the phase and the run first, and changes nothing when refused", () => {
    const world = busy()
    assert.strictEqual(world.refused(Control.reset)._tag, "RunInProgress")
    world.do(Control.retire)
    assert.strictEqual(world.refused(Control.reset)._tag, "RunInProgress")
    assert.deepStrictEqual(phases(world), ["staged", "staged", "queued", "queued"])
    world.boundary("final")
    assert.deepStrictEqual(world.do(Control.reset), { inputsAbandoned: 2 })
    assert.deepStrictEqual(reasons(world), ["consumed", "consumed", "reset", "reset"])
    assert.strictEqual(world.accept(input("prompt", 5))._tag, "accepted")
  })

  it("reset keeps the session and forgets the silent intents", () => {
    const world = busy()
    world.do(Control.setSilentIntents(["a"]))
    world.boundary("final")
    const { session } = world.db
    world.do(Control.reset)
    assert.strictEqual(world.db.session, session)
    assert.deepStrictEqual(world.db.lifecycle.silentIntents, [])
  })

  it("destroy cancels the open run and abandons the rest, for ever", () => {
    const world = busy()
    assert.deepStrictEqual(world.do(Control.destroy(limits)), { inputsAbandoned: 4 })
    assert.deepStrictEqual(reasons(world), ["cancelled", "cancelled", "destroyed", "destroyed"])
    assert.strictEqual(State.activeCount(world.state), 0)
    world.crash()
    assert.strictEqual(world.refused(world.accepting(input("prompt", 5)))._tag, "Destroyed")
    for (const decide of [Control.pause(true), Control.publish("c", 1), Control.setSilentIntents([])]) {
      assert.strictEqual(world.refused(decide)._tag, "Destroyed")
    }
  })

  it("D7: recycle of a retired runtime brings it back to service, with what waits", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.do(Control.retire)
    world.do(Control.recycle)
    assert.strictEqual(world.db.lifecycle.binding.runtimeGeneration, 1)
    assert.strictEqual(world.accept(input("prompt", 2))._tag, "accepted")
    assert.strictEqual(world.stage().inputs[0]?.id, inputId(1))
  })

  it("D11: abandon-pending ends everything that waits, leaves the run its own, and empties the lanes", () => {
    const world = busy()
    assert.deepStrictEqual(world.do(Control.abandonPending({ _tag: "cancelled", reason: "cleared" })), {
      inputsAbandoned: 2
    })
    assert.deepStrictEqual(phases(world), ["staged", "staged", "abandoned", "abandoned"])
    world.boundary("final")
    assert.isFalse(State.hasReady(world.state))
    assert.isNull(State.nextReadyAt(world.state))
  })

  it("pause is stored, is an event, and says nothing twice", () => {
    const world = new World()
    world.do(Control.pause(true))
    assert.deepStrictEqual(world.lastEvents, [{ _tag: "runtime.paused", paused: true }])
    world.do(Control.pause(true))
    assert.isTrue(Commit.isEmpty(world.last))
    world.crash()
    assert.isTrue(world.state.paused)
  })

  it("silent intents are stored sorted and once each, and survive a restart", () => {
    const world = new World()
    world.do(Control.setSilentIntents(["b", "a", "b"]))
    world.crash()
    assert.deepStrictEqual(world.state.silentIntents, ["a", "b"])
  })

  it("publish appends an event of the application's", () => {
    const world = new World()
    world.do(Control.publish("my.code", { n: 1 }))
    assert.deepStrictEqual(world.lastEvents, [{ _tag: "runtime.published", code: "my.code", data: { n: 1 } }])
  })

  it("attach is a fact of the process: only the executor's name is stored", () => {
    const world = new World()
    world.do(Control.attach("executor"))
    assert.strictEqual(State.runtimeState(world.state), "attached")
    assert.deepInclude(world.db.lifecycle, { runtimeState: "idle" })
    assert.strictEqual(world.db.lifecycle.binding.agentRuntimeId, "executor")
    assert.deepInclude(world.refused(Control.attach("other")), { _tag: "NotReady", state: "attached" })
    assert.isTrue(world.do(Control.detach))
    assert.isFalse(world.do(Control.detach))
    assert.isTrue(Commit.isEmpty(world.last))
    world.crash()
    assert.isFalse(world.state.attached)
  })

  it("I14: attach wakes a loop when there is or will be something to do", () => {
    const waiting = new World()
    waiting.admit(input("prompt", 1, { deliverAt: waiting.now + 10 }))
    waiting.do(Control.attach(null))
    assert.strictEqual(waiting.signal, "wake_loop")
    const empty = new World()
    empty.do(Control.attach(null))
    assert.strictEqual(empty.signal, "none")
  })

  it("D18: a retired runtime can be attached for draining; a stopped one cannot", () => {
    const world = new World()
    world.do(Control.retire)
    world.do(Control.attach("executor"))
    assert.strictEqual(State.runtimeState(world.state), "retired")
    const stopped = new World()
    stopped.do(Control.stop(limits))
    assert.strictEqual(stopped.refused(Control.attach("executor"))._tag, "NotReady")
  })
})

describe("changeSession", () => {
  const change = (delta: Control.SessionCommand["delta"], clear = false) =>
    Control.changeSession({ name: "say", delta, sessionId, clear }, sha256)

  it("appends between runs, and is refused while one is open or after destroy", () => {
    const world = new World()
    world.do(change({ append: ["1"] }))
    assert.deepInclude(world.db.session, { id: sessionId, version: 1, length: 1 })
    world.admit(input("prompt", 1))
    world.stage()
    assert.deepInclude(world.refused(change({ append: ["2"] })), { _tag: "RunInProgress", command: "say" })
    world.close(fail(runId(1)))
    world.do(Control.destroy(limits))
    assert.strictEqual(world.refused(change({ append: ["2"] }))._tag, "Destroyed")
  })

  it("another session's id is refused", () => {
    const world = new World()
    world.do(change({ append: ["1"] }))
    const other = change({ append: ["1"], sessionId: "other" as SessionId })
    assert.deepInclude(world.refused(other), { _tag: "SessionKeyMismatch", expected: "other", actual: sessionId })
  })

  it("an empty delta writes nothing", () => {
    const world = new World()
    assert.isNull(world.do(change({ append: [] })))
    assert.isTrue(Commit.isEmpty(world.last))
  })

  it("clearing empties the transcript and the snapshot under a new version, once there is a session", () => {
    const world = new World()
    world.do(change({ append: [] }, true))
    assert.isTrue(Commit.isEmpty(world.last))
    world.do(change({ append: ["1"], snapshot: Uint8Array.of(1) }))
    world.do(change({ append: [] }, true))
    assert.deepInclude(world.db.session, { version: 2, length: 0 })
    assert.deepInclude(world.last.session, { keep: 0, snapshot: null })
    assert.deepStrictEqual(world.lastEvents, [{ _tag: "session.cleared" }])
    assert.strictEqual(world.db.messages.length, 0)
  })
})
