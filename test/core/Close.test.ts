import { assert, describe, it } from "@effect/vitest"
import * as Close from "../../src/core/Close.js"
import type { InputHead } from "../../src/schema/InputState.js"
import type { Limits } from "../../src/schema/Limits.js"
import { fail, failure, input, inputId, limits, runId } from "./support.js"
import { ids, World } from "./World.js"

/** A run over flow steps 1 and 2, with steer 3 handed over by a checkpoint, which gives the batch a receipt. */
const running = (options: Partial<Limits> = {}): World => {
  const world = new World(options)
  world.admit(input("flow_step", 1))
  world.admit(input("flow_step", 2))
  world.stage()
  world.admit(input("continuation", 3))
  world.boundary("checkpoint")
  return world
}

const heads = (world: World, fields: ReadonlyArray<keyof InputHead>) =>
  [1, 2, 3].map((n) => fields.map((field) => world.head(inputId(n))[field]))

const tags = (world: World) => world.lastEvents.map((event) => event._tag)
const receipt = { runId: runId(1), sequence: 1 }

describe("close", () => {
  it("fail queues the batch again, whole, charged, with the failure and the last receipt; its steers wait with it", () => {
    const world = running()
    const reply = world.close(fail(runId(1), { visibleAt: world.now + 10 }))
    assert.deepStrictEqual(reply, { requeued: [1, 2, 3].map(inputId), abandoned: [] })
    assert.deepStrictEqual(heads(world, ["phase", "attempt", "stagings", "readyAt", "run"]), [
      ["queued", 1, 1, world.now + 10, null],
      ["queued", 1, 1, world.now + 10, null],
      ["queued", 0, 1, world.now + 10, null]
    ])
    assert.deepStrictEqual(heads(world, ["failure", "receipt"]), [[failure, receipt], [failure, receipt], [null, null]])
    assert.isNull(world.db.run)
    assert.deepStrictEqual(world.lastEvents, [
      { _tag: "run.failed", runId: runId(1), failure, requeued: [1, 2, 3].map(inputId), retryAt: world.now + 10 }
    ])
  })

  it("fail without recovery abandons the batch at once; steers handed over go back", () => {
    const world = running()
    assert.deepStrictEqual(world.close(fail(runId(1), { recoverable: false })), {
      requeued: [inputId(3)],
      abandoned: [inputId(1), inputId(2)]
    })
    const reason = { _tag: "failed", attempts: 1 } as const
    assert.deepStrictEqual(heads(world, ["outcome"]).slice(0, 2).flat(), [
      { _tag: "abandoned", reason },
      { _tag: "abandoned", reason }
    ])
    assert.deepInclude(world.lastEvents, { _tag: "input.abandoned", inputId: inputId(1), reason, failure })
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("I13, D1: a failing input is abandoned after attemptsMax attempts, with its last failure", () => {
    const world = new World({ attemptsMax: 3 })
    world.admit(input("prompt", 1))
    for (let attempt = 1; attempt <= 3; attempt++) {
      const { runId: run } = world.stage()
      assert.strictEqual(world.head(inputId(1)).attempt, attempt)
      world.close(fail(run))
    }
    assert.deepInclude(world.head(inputId(1)), {
      phase: "abandoned",
      outcome: { _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts: 3 } },
      failure
    })
  })

  it("give back queues everything again and charges nobody", () => {
    const world = running()
    world.close({ _tag: "give_back", runId: runId(1), visibleAt: null })
    assert.deepStrictEqual(heads(world, ["phase", "attempt", "stagings", "receipt"]), [
      ["queued", 0, 0, receipt],
      ["queued", 0, 0, receipt],
      ["queued", 0, 0, null]
    ])
    assert.deepStrictEqual(tags(world), ["run.given_back"])
  })

  it("I13: clean shutdowns cost nothing, however many", () => {
    const world = new World({ attemptsMax: 2, stagingsMax: 2 })
    world.admit(input("prompt", 1))
    for (let i = 0; i < 5; i++) {
      const { runId: run } = world.stage()
      if (i === 0) world.admit(input("continuation", 2))
      if (i === 0) world.boundary("checkpoint")
      else world.boundary("note")
      world.close({ _tag: "give_back", runId: run, visibleAt: null })
    }
    assert.deepStrictEqual([1, 2].map((n) => world.head(inputId(n)).phase), ["queued", "queued"])
  })

  it("I13: a steer that was handed to failed runs too often is abandoned", () => {
    const world = new World({ attemptsMax: 100, stagingsMax: 2 })
    world.admit(input("prompt", 1))
    world.stage()
    world.admit(input("continuation", 2))
    world.boundary("checkpoint")
    world.close({ _tag: "give_back", runId: world.state.run!.id, visibleAt: null })
    for (const expected of [[], [inputId(2)]]) {
      world.stage()
      world.boundary("checkpoint")
      const steers = world.close(fail(world.state.run!.id)).abandoned.filter((id) => id === inputId(2))
      assert.deepStrictEqual(steers, expected)
    }
  })

  it("hold parks the batch with its reason and deadline, uncounted; steers go back", () => {
    const world = running()
    world.close({ _tag: "hold", runId: runId(1), reason: "question", until: 9_000 })
    assert.deepStrictEqual(heads(world, ["phase", "hold", "readyAt", "attempt", "stagings"]), [
      ["held", "question", 9_000, 0, 0],
      ["held", "question", 9_000, 0, 0],
      ["queued", null, null, 0, 0]
    ])
    assert.deepStrictEqual(tags(world), ["input.held", "input.held", "run.given_back"])
  })

  it("settle abandons the batch with its outcome unknown; steers handed over go back, uncharged", () => {
    const world = running()
    world.admit(input("prompt", 4))
    const reply = world.close({ _tag: "settle", runId: runId(1) })
    assert.deepStrictEqual(reply, { requeued: [inputId(3)], abandoned: [inputId(1), inputId(2)] })
    const outcome = { _tag: "abandoned", reason: { _tag: "outcome_unknown" } } as const
    assert.deepStrictEqual(heads(world, ["outcome"]), [[outcome], [outcome], [null]])
    assert.deepInclude(world.head(inputId(3)), { phase: "queued", stagings: 0, run: null })
    assert.isNull(world.db.run)
    assert.deepStrictEqual(tags(world), ["input.abandoned", "input.abandoned", "run.given_back"])
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("cancel abandons what is staged, steers handed over included; others stay", () => {
    const world = running()
    world.admit(input("continuation", 4))
    const reply = world.close({ _tag: "cancel", runId: runId(1), reason: "enough" })
    assert.deepStrictEqual(reply, { requeued: [], abandoned: [1, 2, 3].map(inputId) })
    const outcome = { _tag: "abandoned", reason: { _tag: "cancelled", reason: "enough" } } as const
    assert.deepStrictEqual(heads(world, ["outcome"]), [[outcome], [outcome], [outcome]])
    assert.strictEqual(world.head(inputId(4)).phase, "queued")
    assert.deepStrictEqual(tags(world).at(-1), "run.cancelled")
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("I10: closing another run than the open one is refused", () => {
    const world = running()
    for (const run of [runId(9)]) assert.strictEqual(world.refused(world.closing(fail(run)))._tag, "RunNotOpen")
    world.close(fail(runId(1)))
    assert.strictEqual(world.refused(world.closing(fail(runId(1))))._tag, "RunNotOpen")
  })

  it("D5: a re-queued input with a newer queued successor of its scope is superseded in that commit", () => {
    const world = new World()
    world.admit(input("prompt", 1, { scope: "s" }))
    const { runId: run } = world.stage()
    world.admit(input("prompt", 2, { scope: "s" }))
    const reply = world.close(fail(run))
    assert.deepStrictEqual(reply, { requeued: [], abandoned: [] })
    assert.deepStrictEqual(world.head(inputId(1)).outcome, { _tag: "superseded", by: inputId(2) })
    assert.deepInclude(world.lastEvents, { _tag: "input.superseded", inputId: inputId(1), by: inputId(2) })
  })

  it("with a receipt it is not superseded: it has begun to act", () => {
    const world = new World()
    world.admit(input("prompt", 1, { scope: "s" }))
    const { runId: run } = world.stage()
    world.boundary("note")
    world.admit(input("prompt", 2, { scope: "s" }))
    world.close(fail(run))
    assert.strictEqual(world.head(inputId(1)).phase, "queued")
  })

  it("D19: nothing is stuck after a failed run: what it had is queued or terminal", () => {
    for (const recoverable of [true, false]) {
      const world = running()
      world.close(fail(runId(1), { recoverable }))
      for (const head of world.db.heads.values()) assert.include(["queued", "abandoned"], head.phase)
    }
  })
})

describe("holdInput and release", () => {
  it("an operator's hold takes the whole batch, and release gives it back", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.close(fail(world.stage().runId))
    world.do(Close.holdInput({ inputId: inputId(2), reason: "operator", until: null }))
    assert.deepStrictEqual([1, 2].map((n) => world.head(inputId(n)).hold), ["operator", "operator"])
    assert.deepStrictEqual(tags(world), ["input.held", "input.held"])
    world.do(Close.release(inputId(1)))
    assert.deepStrictEqual([1, 2].map((n) => world.head(inputId(n)).phase), ["queued", "queued"])
    assert.deepStrictEqual(tags(world), ["input.released", "input.released"])
    assert.strictEqual(world.signal, "wake_loop")
    assert.strictEqual(world.stage().inputs.length, 2)
  })

  it("what is staged is not held, what is queued not released, and what ended is unknown", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    world.stage()
    const hold = (n: number) => Close.holdInput({ inputId: inputId(n), reason: "operator", until: null })
    assert.deepInclude(world.refused(hold(1)), { _tag: "UnknownInput", phase: "staged" })
    assert.deepInclude(world.refused(Close.release(inputId(2))), { _tag: "UnknownInput", phase: "queued" })
    world.boundary("final")
    assert.deepInclude(world.refused(hold(1)), { _tag: "UnknownInput", phase: null })
  })
})

describe("cancelInput", () => {
  const cancelling = (n: number) => Close.cancelInput({ inputId: inputId(n), reason: "no more" }, limits)
  const cancelled = { _tag: "abandoned", reason: { _tag: "cancelled", reason: "no more" } } as const
  const outcomes = (world: World, ...numbers: ReadonlyArray<number>) =>
    numbers.map((n) => world.head(inputId(n)).outcome)

  it("an input that is queued, or waits for a time, ends alone", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2, { deliverAt: world.now + 10 }))
    world.admit(input("prompt", 3))
    for (const n of [1, 2]) {
      assert.deepStrictEqual(world.do(cancelling(n)), { requeued: [], abandoned: [inputId(n)] })
      assert.deepStrictEqual(tags(world), ["input.abandoned"])
    }
    assert.deepStrictEqual(outcomes(world, 1, 2, 3), [cancelled, cancelled, null])
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(3)])
  })

  it("an input that is held ends alone", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.do(Close.holdInput({ inputId: inputId(1), reason: "question", until: null }))
    world.do(cancelling(1))
    assert.deepInclude(world.head(inputId(1)), { outcome: cancelled, hold: null })
  })

  for (const n of [1, 2, 3]) {
    it(`I14: with one that is staged its whole run ends, and the loop is woken for the others (${n})`, () => {
      const world = running()
      world.admit(input("prompt", 4))
      assert.deepStrictEqual(world.do(cancelling(n)), { requeued: [], abandoned: [1, 2, 3].map(inputId) })
      assert.deepStrictEqual(outcomes(world, 1, 2, 3, 4), [cancelled, cancelled, cancelled, null])
      assert.strictEqual(tags(world).at(-1), "run.cancelled")
      assert.isNull(world.db.run)
      assert.strictEqual(world.signal, "wake_loop")
    })
  }

  it("a batch without a receipt that loses a member is dissolved: no key stands for two sets of inputs", () => {
    const world = new World()
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n))
    const first = world.stage()
    world.close(fail(first.runId, { visibleAt: world.now + 10 }))
    world.do(cancelling(2))
    assert.deepStrictEqual([1, 3].map((n) => world.head(inputId(n)).batch), [null, null])
    world.now += 10
    const again = world.stage()
    assert.deepStrictEqual(ids(again.inputs), [inputId(1), inputId(3)])
    assert.notStrictEqual(again.batchId, first.batchId)
    assert.strictEqual(again.attempt, 2)
  })

  it("a batch with a receipt has begun to act: it keeps its key without the member", () => {
    const world = running()
    world.close(fail(runId(1)))
    world.do(cancelling(1))
    const again = world.stage()
    assert.deepStrictEqual(ids(again.inputs), [inputId(2)])
    assert.deepStrictEqual(again.resume, { batchId: again.batchId, ...receipt })
  })

  it("the last member of a batch takes its open turn with it", () => {
    const world = running()
    world.close(fail(runId(1)))
    for (const n of [1, 2]) world.do(cancelling(n))
    assert.deepStrictEqual(world.stage().openTurns, [])
  })

  it("I8: what has ended, and what never was, is unknown", () => {
    const world = running()
    world.boundary("final")
    for (const n of [1, 99]) assert.deepInclude(world.refused(cancelling(n)), { _tag: "UnknownInput", phase: null })
  })
})
