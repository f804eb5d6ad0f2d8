/** I16: what a command does not touch is the same object afterwards, and its commit has only what it changed. */
import { assert, describe, it } from "@effect/vitest"
import * as HashMap from "effect/HashMap"
import * as Control from "../../src/core/Control.js"
import * as State from "../../src/core/State.js"
import { emptyState, fail, input, inputId } from "./support.js"
import { World } from "./World.js"

const COUNT = 10_000

/** Half of the inputs wait in the queue, a quarter as steers, a quarter for their time. */
const crowded = (): World => {
  const world = new World({ queueDepthMax: 2 * COUNT })
  const template = world.admit(input("prompt", 1))
  let state = emptyState()
  for (let n = 1; n <= COUNT; n++) {
    const steer = n % 4 === 0
    state = State.put(state, {
      ...template,
      id: inputId(n),
      sequence: n,
      lane: steer ? "steer" : "queue",
      readyAt: n % 4 === 1 ? 1e9 + n : null
    })
  }
  world.db.heads.clear()
  for (const head of HashMap.values(state.active)) world.db.heads.set(head.id, head)
  world.state = { ...state, nextSequence: COUNT + 1 }
  return world
}

const counted = (world: World) => ({ inputs: world.last.inputs.length, events: world.last.events.length })
const parts = ["batches", "byKey", "byScope", "staged", "waiting", "ridersWaiting", "session", "silentIntents"] as const

describe("DriverState with 10 000 inputs", () => {
  it("an accept touches its own lane and the map of heads, nothing else", () => {
    const world = crowded()
    const before = world.state
    world.admit(input("prompt", COUNT + 1))
    for (const part of parts) assert.strictEqual(world.state[part], before[part], part)
    assert.strictEqual(world.state.lines.steer, before.lines.steer)
    assert.strictEqual(world.state.lines.interrupted, before.lines.interrupted)
    assert.notStrictEqual(world.state.lines.queue, before.lines.queue)
    assert.deepStrictEqual(counted(world), { inputs: 1, events: 0 })
  })

  it("heads that a command does not touch are the same objects", () => {
    const world = crowded()
    const before = world.state
    const touched = new Set<string>()
    world.onCommit = (commit) => commit.inputs.forEach(({ head }) => touched.add(head.id))
    const { runId } = world.stage()
    world.boundary("note")
    world.close(fail(runId))
    assert.strictEqual(touched.size, world.limits.batchInputsMax)
    for (const head of HashMap.values(before.active)) {
      assert.strictEqual(State.get(world.state, head.id) === head, !touched.has(head.id))
    }
    assert.strictEqual(world.state.lines.queue, before.lines.queue)
    assert.strictEqual(world.state.waiting, before.waiting)
  })

  it("lifecycle commands touch no input", () => {
    const world = crowded()
    const before = world.state
    world.do(Control.pause(true))
    world.do(Control.setSilentIntents(["a"]))
    world.do(Control.publish("code", null))
    for (const part of ["active", "lines", "waiting", "batches", "byKey"] as const) {
      assert.strictEqual(world.state[part], before[part], part)
    }
    assert.deepStrictEqual(counted(world), { inputs: 0, events: 1 })
  })

  it("a refused command, and promoting when nothing is due, leave the state itself", () => {
    const world = crowded()
    assert.strictEqual(State.promote(world.state, 1), world.state)
    world.refused(world.bounding())
  })
})
