import { assert, describe, it } from "@effect/vitest"
import * as Close from "../../src/core/Close.js"
import * as Control from "../../src/core/Control.js"
import * as State from "../../src/core/State.js"
import { batchId, fail, input, inputId, limits, runId } from "./support.js"
import { ids, World } from "./World.js"

const finish = (world: World): void => void world.boundary("final")

/** Stages and finishes until nothing is ready; answers the numbers of the inputs, batch by batch. */
const drain = (world: World): ReadonlyArray<readonly [string, ...ReadonlyArray<number>]> => {
  const batches: Array<readonly [string, ...ReadonlyArray<number>]> = []
  for (;;) {
    const reply = world.do(world.staging())
    if (reply._tag === "nothing") return batches
    batches.push([reply.boundary, ...reply.inputs.map((head) => Number.parseInt(head.id.slice(-12), 16))])
    finish(world)
  }
}

describe("stage", () => {
  it("I6: steers as one batch first, prompts alone, others together (the example of spec/driver.md §6.4)", () => {
    const world = new World()
    world.admit(input("flow_step", 1))
    world.admit(input("flow_step", 2))
    world.admit(input("prompt", 3))
    world.admit(input("prompt", 4))
    world.admit(input("flow_step", 5))
    world.admit(input("flow_step", 6, { mode: "steer" }))
    assert.deepStrictEqual(drain(world), [
      ["run_checkpoint", 6],
      ["run_start", 1, 2],
      ["run_start", 3],
      ["run_start", 4],
      ["run_start", 5]
    ])
  })

  it("I6, D18: prompts run alone also after recovery", () => {
    const world = new World()
    for (const n of [1, 2, 3]) world.admit(input(n === 3 ? "flow_step" : "prompt", n))
    world.crash()
    assert.deepStrictEqual(drain(world), [["run_start", 1], ["run_start", 2], ["run_start", 3]])
  })

  it("a steer prompt goes with the other steers", () => {
    const world = new World()
    world.admit(input("prompt", 1, { mode: "steer" }))
    world.admit(input("continuation", 2))
    assert.deepStrictEqual(drain(world), [["run_checkpoint", 1, 2]])
  })

  it("a batch has at most batchInputsMax inputs", () => {
    const world = new World({ batchInputsMax: 2 })
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n))
    for (const n of [4, 5, 6]) world.admit(input("continuation", n))
    assert.deepStrictEqual(drain(world).map(([, ...numbers]) => numbers), [[4, 5], [6], [1, 2], [3]])
  })

  it("I13: the attempt is counted and the run opened by the commit of staging", () => {
    const world = new World()
    world.admit(input("flow_step", 1))
    world.admit(input("flow_step", 2))
    const reply = world.stage()
    assert.deepInclude(reply, {
      runId: runId(1),
      batchId: batchId(1),
      attempt: 1,
      afterLoss: false,
      resume: null,
      openTurns: []
    })
    for (const head of world.db.active) {
      assert.deepInclude(head, {
        phase: "staged",
        attempt: 1,
        stagings: 1,
        run: runId(1),
        batch: batchId(1),
        updatedAt: world.now
      })
    }
    assert.deepStrictEqual(world.db.run, { id: runId(1), batch: batchId(1), sequence: 0, openedAt: world.now })
    assert.deepStrictEqual(world.lastEvents, [
      { _tag: "run.started", runId: runId(1), batchId: batchId(1), attempt: 1, inputIds: [inputId(1), inputId(2)] }
    ])
    assert.strictEqual(world.db.lifecycle.runtimeState, "running")
  })

  it("I10: one run is open at a time", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    world.stage()
    assert.strictEqual(world.refused(world.staging())._tag, "RunInProgress")
  })

  it("stopped and destroyed runtimes stage nothing, a retired one drains", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("prompt", n))
    world.do(Control.retire)
    assert.deepStrictEqual(drain(world), [["run_start", 1], ["run_start", 2]])
    assert.strictEqual(world.db.lifecycle.runtimeState, "retired")
    const stopped = new World()
    stopped.do(Control.stop(limits))
    assert.strictEqual(stopped.refused(stopped.staging())._tag, "NotReady")
    stopped.do(Control.destroy(limits))
    assert.strictEqual(stopped.refused(stopped.staging())._tag, "Destroyed")
  })

  it("D18: a retired runtime still drains after a restart", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.do(Control.retire)
    world.crash()
    assert.deepStrictEqual(drain(world), [["run_start", 1]])
  })

  it("a paused runtime stages nothing and says so; the open run goes on", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    world.stage()
    world.do(Control.pause(true))
    finish(world)
    assert.deepStrictEqual(world.do(world.staging()), {
      _tag: "nothing",
      paused: true,
      nextReadyAt: null,
      keptBack: false
    })
    world.do(Control.pause(false))
    assert.strictEqual(world.signal, "wake_loop")
    assert.deepStrictEqual(drain(world), [["run_start", 2]])
  })

  it("nothing ready names the time of the earliest that waits", () => {
    const world = new World()
    world.admit(input("prompt", 1, { deliverAt: world.now + 30 }))
    world.admit(input("prompt", 2, { deliverAt: world.now + 20 }))
    assert.deepStrictEqual(world.do(world.staging()), {
      _tag: "nothing",
      paused: false,
      nextReadyAt: world.now + 20,
      keptBack: false
    })
  })

  it("I6, D2: an interrupted batch goes first, whole, in order, under its own id", () => {
    const world = new World()
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n))
    const first = world.stage()
    world.admit(input("continuation", 4))
    world.close(fail(first.runId))
    const again = world.stage()
    assert.deepStrictEqual(ids(again.inputs), ids(first.inputs))
    assert.strictEqual(again.batchId, first.batchId)
    assert.strictEqual(again.attempt, 2)
    assert.notStrictEqual(again.runId, first.runId)
  })

  it("I6: a batch in backoff lets others go, and keeps its place", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    world.admit(input("prompt", 3))
    world.close(fail(world.stage().runId, { visibleAt: world.now + 10 }))
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(2)])
    finish(world)
    world.now += 10
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(1)])
  })

  it("a held batch waits for release, or its deadline, and then goes first", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    const held = world.stage()
    world.close({ _tag: "hold", runId: held.runId, reason: "question", until: world.now + 10 })
    world.admit(input("prompt", 3))
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(3)])
    finish(world)
    world.now += 10
    const again = world.stage()
    assert.deepStrictEqual(ids(again.inputs), ids(held.inputs))
    assert.strictEqual(again.attempt, 1, "a hold costs no attempt")
    assert.deepStrictEqual(world.lastEvents.map((event) => event._tag), [
      "input.released",
      "input.released",
      "run.started"
    ])
    for (const head of again.inputs) assert.isNull(head.hold)
  })

  it("a hold without deadline waits for release alone", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.do(Close.holdInput({ inputId: inputId(1), reason: "operator", until: null }))
    world.now += 1e9
    assert.deepStrictEqual(world.do(world.staging()), {
      _tag: "nothing",
      paused: false,
      nextReadyAt: null,
      keptBack: false
    })
    world.do(Close.release(inputId(1)))
    assert.deepStrictEqual(drain(world), [["run_start", 1]])
  })

  it("I13: the last attempt of a batch is made by each input alone", () => {
    const world = new World({ attemptsMax: 3 })
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n))
    const { batchId: batch, runId: first } = world.stage()
    world.close(fail(first))
    world.close(fail(world.stage().runId))
    const alone = world.stage()
    assert.deepStrictEqual(ids(alone.inputs), [inputId(1)])
    assert.strictEqual(alone.batchId, `${batch}/${inputId(1)}`)
    assert.strictEqual(alone.attempt, 3)
    assert.deepStrictEqual(world.close(fail(alone.runId)).abandoned, [inputId(1)])
    const next = world.stage()
    assert.deepStrictEqual([ids(next.inputs), next.batchId], [[inputId(2)], `${batch}/${inputId(2)}`])
    finish(world)
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(3)])
    finish(world)
    assert.deepStrictEqual([1, 2, 3].map((n) => world.head(inputId(n)).phase), ["abandoned", "consumed", "consumed"])
  })

  it("with a receipt a batch is never split", () => {
    const world = new World({ attemptsMax: 2 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    const { runId: first } = world.stage()
    world.boundary("note")
    world.close(fail(first))
    assert.strictEqual(world.stage().inputs.length, 2)
  })

  it("I13: stagings are limited over all, not only attempts", () => {
    const world = new World({ attemptsMax: 100, stagingsMax: 2 })
    world.admit(input("prompt", 1))
    world.close(fail(world.stage().runId))
    assert.deepStrictEqual(world.close(fail(world.stage().runId)).abandoned, [inputId(1)])
  })

  it("I11: a later attempt is told the last boundary of its batch, others that a turn is open", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    const first = world.stage()
    world.boundary("checkpoint")
    world.boundary("note")
    world.close(fail(first.runId, { visibleAt: world.now + 10 }))
    const turn = { batchId: first.batchId, runId: first.runId, sequence: 2 }
    const other = world.stage()
    assert.isNull(other.resume)
    assert.deepStrictEqual(other.openTurns, [turn])
    finish(world)
    world.now += 10
    const again = world.stage()
    assert.deepStrictEqual(again.resume, turn)
    assert.deepStrictEqual(again.openTurns, [])
    world.close(fail(again.runId))
    assert.deepStrictEqual(world.stage().resume, turn, "a run without a boundary of its own keeps the older receipt")
  })

  it("what became ready is in its line once, whatever moved it since", () => {
    const world = new World()
    world.admit(input("prompt", 1, { deliverAt: world.now + 5 }))
    world.now += 5
    world.stage()
    assert.strictEqual(State.nextReadyAt(world.state), null)
    world.now += 5
    finish(world)
    assert.deepStrictEqual(world.do(world.staging()), {
      _tag: "nothing",
      paused: false,
      nextReadyAt: null,
      keptBack: false
    })
  })
})
