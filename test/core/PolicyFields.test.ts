/** Design §10: every field of a policy decision has an observable effect with a test, or it is not in the schema. */
import { assert, describe, it } from "@effect/vitest"
import * as State from "../../src/core/State.js"
import { PolicyDecision } from "../../src/schema/Policy.js"
import { input, inputId } from "./support.js"
import { ids, World } from "./World.js"

const running = (): World => {
  const world = new World()
  world.admit(input("prompt", 100))
  world.stage()
  return world
}

const tests: { readonly [Field in keyof PolicyDecision]: readonly [sentence: string, test: () => void] } = {
  version: ["is stored with the input, so that a decision names its table", () => {
    const world = new World()
    assert.strictEqual(world.admit(input("prompt", 1)).policy.version, 1)
    assert.strictEqual(world.head(inputId(1)).policy.version, 1)
  }],
  reason: ["is stored with the input and names what decided", () => {
    const world = new World()
    world.admit(input("prompt", 1, { mode: "steer" }))
    assert.strictEqual(world.head(inputId(1)).policy.reason, "handling_mode:steer/idle")
  }],
  apply: [
    "decides whether a steer goes into the running run, begins one of its own or neither, or reaches none",
    () => {
      const world = running()
      world.admit(input("continuation", 1))
      world.admit(input("peer_response_terminal", 2, { mode: "steer" }))
      world.accept(input("operation", 3))
      world.admit(input("external_event", 4, { mode: "ride_along" }))
      assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(1), inputId(4)])
      assert.strictEqual(world.head(inputId(2)).phase, "queued")
      world.admit(input("external_event", 5, { mode: "ride_along" }))
      world.boundary("final")
      assert.deepStrictEqual(ids(world.stage().inputs), [inputId(5), inputId(2)])
      world.boundary("final")
      world.admit(input("external_event", 6, { mode: "ride_along" }))
      assert.strictEqual(world.do(world.staging())._tag, "nothing")
      assert.isNull(world.head(inputId(3)).run)
    }
  ],
  wake: ["is what a loop is told", () => {
    const idle = new World()
    idle.admit(input("prompt", 1))
    assert.strictEqual(idle.signal, "wake_loop")
    idle.admit(input("continuation", 2))
    assert.strictEqual(idle.signal, "request_immediate_processing")
    const busy = running()
    busy.admit(input("prompt", 1))
    assert.strictEqual(busy.signal, "none")
    busy.admit(input("peer_message", 2))
    assert.strictEqual(busy.signal, "interrupt_yielding")
    busy.admit(input("peer_response_progress", 3))
    assert.strictEqual(busy.signal, "none")
  }],
  queue: ["decides whether an older one of its scope stays, is superseded or coalesced", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    world.admit(input("prompt", 3, { scope: "s" }))
    world.admit(input("prompt", 4, { scope: "s" }))
    world.admit(input("peer_response_progress", 5, { scope: "s" }))
    world.admit(input("peer_response_progress", 6, { scope: "s" }))
    assert.deepStrictEqual(
      [1, 2, 3, 4, 5, 6].map((n) => world.head(inputId(n)).phase),
      ["queued", "queued", "superseded", "queued", "coalesced", "queued"]
    )
  }],
  route: ["is the lane: steer goes before queue, drop enters none", () => {
    const world = new World()
    world.admit(input("flow_step", 1))
    world.admit(input("flow_step", 2, { mode: "steer" }))
    world.accept(input("operation", 3))
    assert.isNull(world.head(inputId(3)).lane)
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(2)])
    world.boundary("final")
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(1)])
  }],
  consume: ["decides when it is done: at admission, or with the final boundary", () => {
    const world = new World()
    world.accept(input("operation", 1))
    assert.deepStrictEqual(world.head(inputId(1)).outcome, { _tag: "consumed", runId: null, sequence: null })
    world.admit(input("prompt", 2))
    const { runId } = world.stage()
    assert.strictEqual(world.head(inputId(2)).phase, "staged")
    world.boundary("final")
    assert.deepStrictEqual(world.head(inputId(2)).outcome, { _tag: "consumed", runId, sequence: 1 })
  }],
  recordTranscript: ["decides whether its message enters the session", () => {
    const world = new World()
    world.admit(input("flow_step", 1))
    world.admit(input("flow_step", 2, { transcript: false }))
    world.stage()
    world.boundary("final")
    assert.strictEqual(world.db.messages.length, 1)
    assert.include(world.db.messages[0]!.message, inputId(1))
    assert.deepStrictEqual([1, 2].map((n) => world.head(inputId(n)).recorded), [true, false])
    assert.strictEqual(State.activeCount(world.state), 0)
  }]
}

describe("PolicyDecision", () => {
  for (const [field, [sentence, test]] of Object.entries(tests)) it(`${field} ${sentence}`, test)

  it("has no field without a test", () =>
    assert.deepStrictEqual(Object.keys(PolicyDecision.fields).sort(), Object.keys(tests).sort()))
})
