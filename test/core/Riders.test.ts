/** Inputs that ride along: they go with others, and begin no run. */
import { assert, describe, it } from "@effect/vitest"
import * as Close from "../../src/core/Close.js"
import * as Control from "../../src/core/Control.js"
import * as State from "../../src/core/State.js"
import { batchId, fail, failure, input, inputId, type InputOptions, runId } from "./support.js"
import { ids, World } from "./World.js"

const rider = (n: number, options: InputOptions = {}) => input("external_event", n, { mode: "ride_along", ...options })

const finish = (world: World): void => void world.boundary("final")

const nothing = { _tag: "nothing", paused: false, nextReadyAt: null, keptBack: false }

const stagesNothing = (world: World): void => assert.deepStrictEqual<unknown>(world.do(world.staging()), nothing)

const stages = (world: World, numbers: ReadonlyArray<number>) => {
  const reply = world.stage()
  assert.deepStrictEqual(ids(reply.inputs), numbers.map(inputId))
  return reply
}

const phases = (world: World, numbers: ReadonlyArray<number>) => numbers.map((n) => world.head(inputId(n)).phase)

describe("an input that rides along", () => {
  it("starts nothing alone, and wakes nobody, whatever happens", () => {
    const world = new World()
    world.admit(rider(1))
    world.admit(rider(2, { deliverAt: world.now + 5 }))
    assert.strictEqual(world.signal, "none")
    stagesNothing(world)
    world.now += 5
    stagesNothing(world)
    for (const command of [Control.attach("a"), Control.detach, Control.retire]) {
      world.do<unknown, unknown>(command)
      assert.strictEqual(world.signal, "none")
      stagesNothing(world)
    }
    world.crash()
    assert.strictEqual(world.signal, "none")
    stagesNothing(world)
    assert.deepStrictEqual(phases(world, [1, 2]), ["queued", "queued"])
  })

  it("I6: goes in front of the next prompt, which is alone but for its riders", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(rider(2))
    world.admit(input("prompt", 3, { mode: "ride_along" }))
    world.admit(input("prompt", 4))
    world.admit(rider(5, { deliverAt: world.now + 10 }))
    const { attempt, batchId, boundary } = stages(world, [2, 3, 1])
    assert.deepStrictEqual([attempt, boundary], [1, "run_start"])
    assert.deepStrictEqual([1, 2, 3].map((n) => world.head(inputId(n)).batch), [batchId, batchId, batchId])
    const { receipt } = world.boundary("final")
    assert.deepStrictEqual(receipt.contributors, [2, 3, 1].map(inputId))
    assert.deepStrictEqual(receipt.consumed, [2, 3, 1].map(inputId))
    stages(world, [4])
  })

  it("I6: goes in front of steers, and of inputs that go together, in admission order", () => {
    const world = new World()
    world.admit(input("flow_step", 1))
    world.admit(input("flow_step", 2))
    world.admit(rider(3))
    world.admit(input("continuation", 4))
    world.admit(rider(5))
    assert.strictEqual(stages(world, [3, 5, 4]).boundary, "run_checkpoint")
    finish(world)
    world.admit(rider(6))
    assert.strictEqual(stages(world, [6, 1, 2]).boundary, "run_start")
  })

  it("I16: leaves room for one that it goes with, in a batch of at most batchInputsMax", () => {
    const world = new World({ batchInputsMax: 3 })
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n))
    for (const n of [4, 5, 6, 7]) world.admit(rider(n))
    stages(world, [4, 5, 1])
    finish(world)
    stages(world, [6, 7, 2])
    finish(world)
    stages(world, [3])
    const single = new World({ batchInputsMax: 1 })
    single.admit(rider(1))
    single.admit(input("prompt", 2))
    stages(single, [2])
    assert.deepStrictEqual(ids(single.boundary("checkpoint").delivered), [inputId(1)])
  })

  it("I6: does not join an interrupted batch, and goes with the same others each time", () => {
    const world = new World({ attemptsMax: 9 })
    world.admit(input("prompt", 1))
    world.admit(rider(2))
    const first = stages(world, [2, 1])
    world.admit(rider(3))
    world.close(fail(first.runId))
    const again = stages(world, [2, 1])
    assert.deepStrictEqual([again.batchId, again.attempt], [first.batchId, 2])
    world.crash()
    assert.strictEqual(stages(world, [2, 1]).attempt, 3)
    finish(world)
    world.admit(input("prompt", 4))
    stages(world, [3, 4])
  })

  it("is handed to an open run at its next checkpoint, and consumed by the boundary behind it", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    stages(world, [1])
    world.admit(rider(2))
    assert.strictEqual(world.signal, "none")
    world.admit(input("continuation", 3))
    world.admit(rider(4, { deliverAt: world.now + 10 }))
    world.boundary("note")
    assert.deepStrictEqual(phases(world, [2, 3, 4]), ["queued", "queued", "queued"])
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2), inputId(3)])
    const { attempt, batch, run, stagings } = world.head(inputId(2))
    assert.deepStrictEqual([attempt, batch, run, stagings], [0, null, runId(1), 1])
    world.now += 10
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(4)])
    assert.deepStrictEqual(phases(world, [2, 3, 4]), ["consumed", "consumed", "staged"])
    finish(world)
    assert.strictEqual(world.head(inputId(4)).phase, "consumed")
  })

  it("does not count as a steer, and takes no steer's place at a checkpoint", () => {
    const world = new World({ batchInputsMax: 2 })
    world.admit(input("prompt", 1))
    stages(world, [1])
    for (const n of [2, 3]) world.admit(rider(n))
    assert.strictEqual(State.steers(world.state, 2).length, 0)
    world.admit(input("continuation", 4))
    assert.deepStrictEqual(ids(State.steers(world.state, 2)), [inputId(4)])
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2), inputId(4)])
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(3)])
  })

  it("that was handed to a run which failed waits with its batch, and is handed to the next attempt", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    stages(world, [1])
    world.admit(rider(2))
    world.boundary("checkpoint")
    world.close(fail(runId(1), { visibleAt: world.now + 10 }))
    world.admit(input("prompt", 3))
    stages(world, [3])
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [])
    finish(world)
    world.now += 10
    stages(world, [1])
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2)])
  })

  it("that a run was not handed goes with the next batch", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    stages(world, [1])
    world.admit(rider(2))
    finish(world)
    assert.strictEqual(world.signal, "none")
    stagesNothing(world)
    world.admit(input("prompt", 3))
    stages(world, [2, 3])
  })

  it("has a message in the transcript, in front of those that it goes with, once", () => {
    const world = new World()
    world.admit(input("prompt", 1, { text: "the prompt" }))
    world.admit(rider(2, { text: "the rider" }))
    stages(world, [2, 1])
    world.boundary("checkpoint")
    world.close(fail(runId(1)))
    stages(world, [2, 1])
    finish(world)
    assert.deepStrictEqual(
      world.db.messages.map(({ message }) => /the \w+/.exec(message)?.[0]),
      ["the rider", "the prompt"]
    )
  })

  it("is superseded by a newer one of its scope", () => {
    const world = new World()
    world.admit(rider(1, { scope: "weather" }))
    world.admit(rider(2, { scope: "weather" }))
    world.admit(input("prompt", 3))
    stages(world, [2, 3])
    assert.strictEqual(world.head(inputId(1)).phase, "superseded")
  })

  it("is held and released like others, and rides then", () => {
    const world = new World()
    world.admit(rider(1))
    world.admit(rider(2))
    world.do(Close.holdInput({ inputId: inputId(1), reason: "operator", until: null }))
    world.do(Close.holdInput({ inputId: inputId(2), reason: "operator", until: world.now + 10 }))
    stagesNothing(world)
    world.admit(input("prompt", 3))
    stages(world, [3])
    world.now += 10
    assert.deepStrictEqual(ids(world.boundary("checkpoint").delivered), [inputId(2)])
    finish(world)
    world.do(Close.release(inputId(1)))
    stagesNothing(world)
    world.admit(input("prompt", 4))
    stages(world, [1, 4])
  })

  it("is left when a runtime is drained: it is counted apart, and no run is begun for it", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    stages(world, [1])
    world.admit(input("prompt", 2))
    world.admit(rider(3))
    assert.deepStrictEqual(world.do(Control.retire), { inputsAbandoned: 0, inputsPendingDrain: 2, inputsRiding: 1 })
    finish(world)
    stages(world, [3, 2])
    assert.deepStrictEqual(world.do(Control.retire), { inputsAbandoned: 0, inputsPendingDrain: 2, inputsRiding: 0 })
    finish(world)
    const left = new World()
    left.admit(rider(1))
    left.admit(rider(2, { deliverAt: left.now + 5 }))
    assert.deepStrictEqual(left.do(Control.retire), { inputsAbandoned: 0, inputsPendingDrain: 0, inputsRiding: 2 })
    left.now += 5
    stagesNothing(left)
    left.do(Control.recycle)
    left.admit(input("prompt", 3))
    stages(left, [1, 2, 3])
  })
})

describe("I13: an input that rides along", () => {
  it("leaves a batch that has failed with it before its last attempt, which is made without it", () => {
    const world = new World({ attemptsMax: 3 })
    world.admit(rider(1))
    world.admit(input("prompt", 2))
    const { batchId: batch } = stages(world, [1, 2])
    world.close(fail(runId(1)))
    world.close(fail(stages(world, [1, 2]).runId))
    const last = stages(world, [2])
    assert.deepStrictEqual([last.batchId, last.attempt], [`${batch}/${inputId(2)}`, 3])
    finish(world)
    stagesNothing(world)
    const { attempt, batch: left, phase } = world.head(inputId(1))
    assert.deepStrictEqual([attempt, left, phase], [2, null, "queued"])
  })

  it("that has been tried attemptsMax times, with whomever, is abandoned alone; the others go on", () => {
    const world = new World({ attemptsMax: 3 })
    world.admit(rider(1))
    world.admit(input("prompt", 2))
    for (let i = 0; i < 2; i++) world.close(fail(stages(world, [1, 2]).runId))
    stages(world, [2])
    finish(world)
    world.admit(input("prompt", 3))
    const third = stages(world, [1, 3])
    assert.strictEqual(third.attempt, 1, "the attempt is of those it goes with")
    assert.deepStrictEqual(world.close(fail(third.runId)), { requeued: [inputId(3)], abandoned: [inputId(1)] })
    const { failure: kept, outcome } = world.head(inputId(1))
    assert.deepStrictEqual(outcome, { _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts: 3 } })
    assert.deepStrictEqual(kept, failure)
    const again = stages(world, [3])
    assert.deepStrictEqual([again.batchId, again.attempt], [batchId(5), 2], "a batch of other inputs has another key")
    finish(world)
    assert.strictEqual(world.head(inputId(3)).phase, "consumed")
  })

  it("is abandoned out of a batch that has committed something, and leaves that its key", () => {
    const world = new World({ attemptsMax: 2 })
    world.admit(rider(1))
    world.admit(input("prompt", 2))
    world.close(fail(stages(world, [1, 2]).runId))
    stages(world, [2])
    finish(world)
    world.admit(input("prompt", 3))
    const { batchId: batch, runId: run } = stages(world, [1, 3])
    world.boundary("checkpoint")
    assert.deepStrictEqual(world.close(fail(run)).abandoned, [inputId(1)])
    assert.strictEqual(stages(world, [3]).batchId, batch)
  })

  it("goes with a first attempt that is the last one, too", () => {
    const world = new World({ attemptsMax: 1 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.admit(rider(3))
    const { batchId: batch, runId: run } = stages(world, [3, 1])
    assert.strictEqual(batch, `${batchId(1)}/${inputId(1)}`)
    assert.deepStrictEqual(world.close(fail(run)).abandoned, [inputId(3), inputId(1)])
    stages(world, [2])
  })

  it("does not go with what was tried before: neither its failure nor its last attempt is the rider's", () => {
    const world = new World()
    world.admit(input("flow_step", 1))
    world.admit(input("flow_step", 2, { scope: "s" }))
    world.close(fail(stages(world, [1, 2]).runId))
    world.admit(rider(3))
    // Its batch is dissolved by the successor.
    world.admit(input("flow_step", 4, { scope: "s" }))
    stages(world, [1, 4])
    finish(world)
    world.admit(input("prompt", 5))
    stages(world, [3, 5])
  })

  it("whose run was lost on its last attempt is tried by nobody beside others, and decided about by none", () => {
    const world = new World({ attemptsMax: 2 })
    world.admit(rider(1))
    world.admit(input("prompt", 2, { durability: "ephemeral" }))
    stages(world, [1, 2])
    world.crash()
    assert.strictEqual(world.head(inputId(2)).phase, "abandoned")
    stagesNothing(world)
    world.admit(input("prompt", 3))
    assert.deepStrictEqual<unknown>(world.do(world.staging({ mayBeFatal: false })), { ...nothing, keptBack: true })
    const reply = world.stage({ decidesLost: true })
    assert.deepStrictEqual([ids(reply.inputs), reply.afterLoss], [[inputId(1), inputId(3)], false])
    world.crash()
    const alone = world.stage()
    assert.deepStrictEqual([ids(alone.inputs), alone.afterLoss], [[inputId(3)], true])
    assert.strictEqual(world.head(inputId(1)).phase, "abandoned")
  })

  it("that all others have left waits for the next batch; in a turn that was begun it ends that", () => {
    const world = new World()
    world.admit(rider(1))
    world.admit(input("prompt", 2))
    world.close(fail(stages(world, [1, 2]).runId))
    world.do(Close.cancelInput({ inputId: inputId(2), reason: "no more" }, world.limits))
    stagesNothing(world)
    world.admit(input("prompt", 3))
    const { runId: run } = stages(world, [1, 3])
    world.boundary("checkpoint")
    world.close(fail(run))
    world.do(Close.cancelInput({ inputId: inputId(3), reason: "no more" }, world.limits))
    assert.strictEqual(world.signal, "wake_loop")
    assert.deepStrictEqual(stages(world, [1]).resume, { batchId: batchId(3), runId: run, sequence: 1 })
  })
})
