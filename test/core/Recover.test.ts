import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Control from "../../src/core/Control.js"
import * as Lifecycle from "../../src/core/Lifecycle.js"
import { type Found, recover } from "../../src/core/Recover.js"
import * as State from "../../src/core/State.js"
import type { InputHead } from "../../src/schema/InputState.js"
import { fail, input, inputId, limits, runId, runtimeId, stamp } from "./support.js"
import { ids, World } from "./World.js"

/** Flow steps 1 and 2 are running, steer 3 was handed over, prompt 4 waits. */
const lost = (options: { readonly checkpoint?: boolean } = {}): World => {
  const world = new World()
  for (const n of [1, 2]) world.admit(input("flow_step", n))
  world.stage()
  if (options.checkpoint === true) {
    world.admit(input("continuation", 3))
    world.boundary("checkpoint")
  }
  world.admit(input("prompt", 4))
  return world
}

const phase = (world: World, ...numbers: ReadonlyArray<number>) => numbers.map((n) => world.head(inputId(n)).phase)

const found = (parts: Partial<Found>): Found => ({
  lifecycle: null,
  run: null,
  session: null,
  inputs: [],
  corrupt: [],
  lastSequence: 10,
  hasReceipt: () => false,
  ...parts
})

describe("recover", () => {
  it("a runtime that nobody used yet is idle, bound to its owner", () => {
    const { commit, reply, state } = Either.getOrThrow(
      recover({ runtimeId, inDoubt: "retry" }, found({}), limits)(stamp(0, 3), 5)
    )
    assert.deepStrictEqual(reply, { active: 0, requeued: 0, consumed: 0, abandoned: 0, lostRun: false, corrupt: [] })
    assert.deepInclude(state.binding, { fenceToken: 3, runtimeEpochId: stamp(0, 3).token.claimId })
    assert.strictEqual(state.nextSequence, 11)
    assert.isNotNull(commit.lifecycle)
    assert.deepStrictEqual(commit.inputs, [])
  })

  it("D17: by default the batch of a lost run is queued again, whole and charged, and its steers too", () => {
    const world = lost({ checkpoint: true })
    assert.deepStrictEqual(world.crash(), {
      active: 4,
      requeued: 3,
      consumed: 0,
      abandoned: 0,
      lostRun: true,
      corrupt: []
    })
    assert.deepInclude(world.head(inputId(1)), {
      phase: "queued",
      attempt: 1,
      receipt: { runId: runId(1), sequence: 1 },
      failure: { tag: "ProcessEnded", message: "the process ended while the run was open" }
    })
    assert.deepStrictEqual(world.lastEvents, [{ _tag: "run.lost", runId: runId(1) }])
    assert.strictEqual(world.signal, "wake_loop")
    const again = world.stage()
    assert.deepStrictEqual(ids(again.inputs), [inputId(1), inputId(2)])
    assert.deepInclude(again, { attempt: 2 })
    assert.deepStrictEqual(again.resume, { batchId: again.batchId, runId: runId(1), sequence: 1 })
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(3)])
  })

  it("by the policy `hold` the batch waits in doubt for an operator; its steers do not", () => {
    const world = lost({ checkpoint: true })
    assert.deepInclude(world.crash("hold"), { active: 4, requeued: 1, abandoned: 0 })
    assert.deepStrictEqual(phase(world, 1, 2, 3), ["held", "held", "queued"])
    assert.deepInclude(world.head(inputId(1)), { hold: "in_doubt", readyAt: null })
  })

  it("by the policy `settle` the batch is abandoned with its outcome unknown", () => {
    const world = lost({ checkpoint: true })
    assert.deepInclude(world.crash("settle"), { active: 2, requeued: 1, abandoned: 2 })
    assert.deepStrictEqual(world.head(inputId(1)).outcome, { _tag: "abandoned", reason: { _tag: "outcome_unknown" } })
  })

  it("I13: a lost last attempt was the last, and ends where attempts are counted: when it would be staged", () => {
    const world = new World({ attemptsMax: 2 })
    world.admit(input("prompt", 1))
    world.stage()
    world.crash()
    world.stage()
    assert.deepInclude(world.crash(), { active: 1, requeued: 1, abandoned: 0 })
    assert.strictEqual(world.signal, "wake_loop", "somebody has to look")
    assert.strictEqual(world.do(world.staging())._tag, "nothing")
    assert.deepStrictEqual(world.head(inputId(1)).outcome, {
      _tag: "abandoned",
      reason: { _tag: "max_attempts_exhausted", attempts: 2 }
    })
  })

  it("I13: a steer that was handed to too many lost runs ends at once", () => {
    const world = new World({ stagingsMax: 2, attemptsMax: 100 })
    world.admit(input("prompt", 1))
    for (const abandoned of [0, 1]) {
      world.stage()
      if (abandoned === 0) world.admit(input("continuation", 2))
      world.boundary("checkpoint")
      assert.deepInclude(world.crash(), { abandoned, requeued: 2 - abandoned })
    }
    assert.deepInclude(world.head(inputId(2)), {
      phase: "abandoned",
      failure: { tag: "ProcessEnded", message: "the process ended while the run was open" }
    })
  })

  it("I1: ephemeral inputs end with the process, in whatever phase; durable and derived ones stay", () => {
    const world = new World()
    world.admit(input("prompt", 1, { durability: "ephemeral" }))
    world.stage()
    world.admit(input("prompt", 2, { durability: "ephemeral" }))
    world.admit(input("external_event", 3, { durability: "derived" }))
    world.admit(input("prompt", 4))
    assert.deepInclude(world.crash(), { active: 2, abandoned: 2 })
    assert.deepStrictEqual(phase(world, 1, 2, 3, 4), ["abandoned", "abandoned", "queued", "queued"])
    assert.deepStrictEqual(world.head(inputId(2)).outcome, { _tag: "abandoned", reason: { _tag: "process_ended" } })
  })

  it("I11: what a boundary consumed stays consumed", () => {
    const world = lost({ checkpoint: true })
    world.boundary("final")
    world.crash()
    assert.deepStrictEqual(phase(world, 1, 2, 3, 4), ["consumed", "consumed", "consumed", "queued"])
  })

  it("a lost input with a newer queued successor of its scope is superseded", () => {
    const world = new World()
    world.admit(input("prompt", 1, { scope: "s" }))
    world.stage()
    world.admit(input("prompt", 2, { scope: "s" }))
    world.crash()
    assert.deepStrictEqual(world.head(inputId(1)).outcome, { _tag: "superseded", by: inputId(2) })
  })

  it("I14: what became ready while no process lived wakes the next owner", () => {
    const world = new World()
    world.admit(input("prompt", 1, { deliverAt: world.now + 10 }))
    world.now += 20
    world.crash()
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("a second recovery after the first finds nothing to do", () => {
    const world = lost()
    world.crash()
    const rows = [...world.db.heads.values()]
    assert.deepInclude(world.crash(), { active: 3, requeued: 0, lostRun: false })
    assert.deepStrictEqual([...world.db.heads.values()], rows)
    assert.deepStrictEqual(world.lastEvents, [])
  })

  const foreign = (phase: InputHead["phase"], receipt: InputHead["receipt"]): InputHead => {
    const world = new World()
    return { ...world.admit(input("flow_step", 1)), phase, receipt, lane: null }
  }
  const at = { runId: runId(5), sequence: 1 }

  for (
    const [phase, receipt, expected, events] of [
      ["accepted", null, "queued", ["input.recovered"]],
      ["applied", null, "queued", ["input.recovered"]],
      ["applied", at, "consumed", ["input.accepted", "input.consumed"]],
      ["applied_pending_consumption", at, "consumed", ["input.accepted", "input.consumed"]],
      ["applied_pending_consumption", { ...at, sequence: 2 }, "queued", ["input.recovered"]]
    ] as const
  ) {
    const which = receipt === null
      ? "no receipt"
      : receipt.sequence === 1
      ? "a stored receipt"
      : "a receipt that is not there"
    it(`foreign data: ${phase} with ${which} becomes ${expected}`, () => {
      const { commit, reply, state } = Either.getOrThrow(
        recover(
          { runtimeId, inDoubt: "retry" },
          found({
            inputs: [foreign(phase, receipt)],
            hasReceipt: (run, sequence) => run === at.runId && sequence === at.sequence
          }),
          limits
        )(stamp(0, 2), 5)
      )
      assert.strictEqual(commit.inputs[0]!.head.phase, expected)
      assert.deepStrictEqual(commit.events.map(({ event }) => event._tag), [...events])
      assert.deepInclude(reply, expected === "queued" ? { requeued: 1, active: 1 } : { consumed: 1, active: 0 })
      if (expected === "queued") assert.strictEqual(State.get(state, inputId(1))?.lane, "queue")
    })
  }

  it("I17: corrupt rows are reported and count as nothing", () => {
    const corrupt = { runtimeId, record: "input x", field: "policy", problem: "is missing" }
    const { reply } = Either.getOrThrow(
      recover({ runtimeId, inDoubt: "retry" }, found({ corrupt: [corrupt as never] }), limits)(stamp(0, 2), 5)
    )
    assert.deepStrictEqual(reply.corrupt, [{ record: "input x", field: "policy" }])
    assert.strictEqual(reply.active, 0)
  })

  it("I17: a destroyed runtime with active inputs is corrupt", () => {
    const world = new World()
    const decided = recover(
      { runtimeId, inDoubt: "retry" },
      found({
        inputs: [world.admit(input("prompt", 1))],
        lifecycle: { ...Lifecycle.fresh, runtimeState: "destroyed" }
      }),
      limits
    )(stamp(0, 2), 5)
    assert.deepInclude(Either.getOrThrow(Either.flip(decided)), { _tag: "RecordCorrupt", field: "runtimeState" })
  })

  it("pause, retirement and the session survive; attachment does not", () => {
    const world = new World()
    world.do(Control.pause(true))
    world.do(Control.attach("executor"))
    world.admit(input("prompt", 1))
    world.do(Control.pause(false))
    world.stage()
    world.boundary("checkpoint", { delta: { append: ["1"] } })
    world.close(fail(runId(1)))
    world.do(Control.retire)
    const { session } = world.state
    world.crash()
    assert.deepInclude(world.state, { phase: "retired", paused: false, attached: false, session })
    assert.isNull(world.state.binding.agentRuntimeId)
  })
})
