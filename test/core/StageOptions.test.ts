import { assert, describe, it } from "@effect/vitest"
import * as Close from "../../src/core/Close.js"
import type { Limits } from "../../src/schema/Limits.js"
import { fail, failure, input, inputId, limits } from "./support.js"
import { ids, World } from "./World.js"

const cancelling = (n: number) => Close.cancelInput({ inputId: inputId(n), reason: "no more" }, limits)
const phases = (world: World, ...numbers: ReadonlyArray<number>) => numbers.map((n) => world.head(inputId(n)).phase)

/** Stages what is next and loses it with its process. */
const lose = (world: World, times = 1): void => {
  for (let i = 0; i < times; i++) {
    world.stage()
    world.crash()
  }
}

const nothing = (world: World, options: Parameters<World["staging"]>[0] = {}) => {
  const reply = world.do(world.staging(options))
  return reply._tag === "nothing" ? reply : assert.fail("something was staged")
}

const exhausted = (attempts: number) =>
  ({ _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts } }) as const

describe("stage: onFailure", () => {
  const failed = (): World => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("prompt", n))
    world.admit(input("continuation", 3, { deliverAt: world.now + 5 }))
    world.close(fail(world.stage().runId, { visibleAt: world.now + 10 }))
    return world
  }

  it("block: while a failed batch waits for its next attempt nothing else goes, and its time is told", () => {
    const world = failed()
    world.now += 5
    const until = world.now + 5
    assert.deepStrictEqual(nothing(world, { onFailure: "block" }), {
      _tag: "nothing",
      paused: false,
      nextReadyAt: until,
      keptBack: false
    })
    world.now = until
    assert.deepStrictEqual(ids(world.stage({ onFailure: "block" }).inputs), [inputId(1)])
  })

  for (const onFailure of ["pass", undefined] as const) {
    it(`I17: ${onFailure ?? "by default"} the others pass a failed batch that waits`, () => {
      const world = failed()
      assert.deepStrictEqual(ids(world.stage(onFailure && { onFailure }).inputs), [inputId(2)])
    })
  }

  it("block: a failed batch that is held blocks nobody", () => {
    const world = failed()
    world.do(Close.holdInput({ inputId: inputId(1), reason: "operator", until: null }))
    assert.deepStrictEqual(ids(world.stage({ onFailure: "block" }).inputs), [inputId(2)])
  })

  it("block: what waits for another reason than a failure blocks nobody", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    world.close({ _tag: "give_back", runId: world.stage().runId, visibleAt: world.now + 10 })
    assert.deepStrictEqual(ids(world.stage({ onFailure: "block" }).inputs), [inputId(2)])
  })

  it("block: of several that wait the earliest time is told, and all have to be over", () => {
    const world = failed()
    world.close(fail(world.stage().runId, { visibleAt: world.now + 20 }))
    assert.strictEqual(nothing(world, { onFailure: "block" }).nextReadyAt, world.now + 10)
    world.now += 10
    assert.strictEqual(nothing(world, { onFailure: "block" }).nextReadyAt, world.now + 10)
    world.now += 10
    assert.deepStrictEqual(ids(world.stage({ onFailure: "block" }).inputs), [inputId(1)])
  })

  it("block: a batch that was split before its last attempt does not block itself", () => {
    const world = new World({ attemptsMax: 2 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.close(fail(world.stage().runId))
    const { runId } = world.stage({ onFailure: "block" })
    world.close({ _tag: "give_back", runId, visibleAt: world.now + 10 })
    assert.strictEqual(nothing(world, { onFailure: "block" }).nextReadyAt, world.now + 10)
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(2)], "the other part passes")
  })
})

describe("stage: attemptsMax", () => {
  it("I13: attempts are counted against what whoever stages allows", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    lose(world, 2)
    assert.strictEqual(world.stage({ attemptsMax: 5 }).attempt, 3)
    world.crash()
    assert.strictEqual(nothing(world, { attemptsMax: 3 }).keptBack, false)
    assert.deepStrictEqual(world.head(inputId(1)).outcome, exhausted(3))
  })

  it("I13: fail counts against what its caller allows", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    const { runId } = world.stage()
    const reply = world.do(Close.close(fail(runId), { ...world.limits, attemptsMax: 1 }))
    assert.deepStrictEqual(reply.abandoned, [inputId(1)])
  })

  it("I13: with one attempt each input has it alone", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    const first = world.stage({ attemptsMax: 1 })
    assert.deepStrictEqual(ids(first.inputs), [inputId(1)])
  })
})

describe("stage: batches whose attempts are used up by runs that were lost", () => {
  it("I13: they end when they would be staged, all of them, in one commit, and the next ready one goes", () => {
    const world = new World({ attemptsMax: 5 })
    for (const n of [1, 2, 3]) world.admit(input("prompt", n))
    lose(world, 2)
    world.do(Close.holdInput({ inputId: inputId(1), reason: "operator", until: null }))
    lose(world, 2)
    world.do(Close.release(inputId(1)))
    assert.deepStrictEqual(phases(world, 1, 2, 3), ["queued", "queued", "queued"])
    const { commits } = world
    assert.deepStrictEqual(ids(world.stage({ attemptsMax: 2 }).inputs), [inputId(3)])
    assert.strictEqual(world.commits, commits + 1)
    for (const n of [1, 2]) assert.deepStrictEqual(world.head(inputId(n)).outcome, exhausted(2))
    assert.deepStrictEqual(world.lastEvents.map(({ _tag }) => _tag), [
      "input.abandoned",
      "input.abandoned",
      "run.started"
    ])
  })

  it("I13: the failure that is kept is the loss", () => {
    const world = new World({ attemptsMax: 1 })
    world.admit(input("prompt", 1))
    lose(world)
    nothing(world)
    const { failure } = world.head(inputId(1))
    assert.strictEqual(failure?.tag, "ProcessEnded")
    assert.deepInclude(world.lastEvents[0], { _tag: "input.abandoned", inputId: inputId(1), failure })
  })

  it("I13: a batch with a receipt ends as a whole", () => {
    const world = new World({ attemptsMax: 2 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.stage()
    world.boundary("checkpoint")
    world.crash()
    lose(world)
    nothing(world)
    assert.deepStrictEqual(phases(world, 1, 2), ["abandoned", "abandoned"])
  })

  it("I13, I17: an input that was never tried does not end with one that happens to go with it", () => {
    const world = new World({ attemptsMax: 5 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    lose(world, 2)
    world.do(cancelling(2))
    world.admit(input("flow_step", 3))
    assert.isNull(world.head(inputId(1)).batch, "it lost a member, so it is no batch any more")
    assert.deepStrictEqual(ids(world.stage({ attemptsMax: 2 }).inputs), [inputId(3)])
    assert.deepStrictEqual(world.head(inputId(1)).outcome, exhausted(2))
    assert.strictEqual(world.head(inputId(3)).attempt, 1)
  })

  it("I13, I17: nor with one that failed, under another limit", () => {
    const world = new World({ attemptsMax: 5 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    for (const _ of [1, 2]) world.close(fail(world.stage().runId))
    world.do(cancelling(2))
    world.admit(input("flow_step", 3))
    assert.deepStrictEqual(ids(world.stage({ attemptsMax: 2 }).inputs), [inputId(3)])
    assert.deepInclude(world.head(inputId(1)), { outcome: exhausted(2), failure })
  })

  it("I13: stagings are used up as attempts are", () => {
    const world = new World({ attemptsMax: 100, stagingsMax: 2 })
    world.admit(input("prompt", 1))
    lose(world, 2)
    nothing(world)
    assert.deepStrictEqual(world.head(inputId(1)).outcome, exhausted(2))
  })

  it("I13: a paused runtime decides about nobody", () => {
    const world = new World({ attemptsMax: 1 })
    world.admit(input("prompt", 1))
    lose(world)
    world.state = { ...world.state, paused: true }
    assert.isTrue(nothing(world).paused)
    assert.deepStrictEqual(phases(world, 1), ["queued"])
  })
})

describe("stage: mayBeFatal", () => {
  const suspects = (options: Partial<Limits> = {}): World => {
    const world = new World({ attemptsMax: 2, ...options })
    world.admit(input("prompt", 1))
    world.admit(input("prompt", 2))
    lose(world)
    return world
  }

  it("I13: the last attempt after a loss is kept back, with nothing written, until it may be made", () => {
    const world = suspects()
    const { commits } = world
    const reply = nothing(world, { mayBeFatal: false })
    assert.deepStrictEqual(reply, { _tag: "nothing", paused: false, nextReadyAt: null, keptBack: true })
    assert.isTrue(world.last.inputs.length === 0 && world.last.events.length === 0)
    assert.strictEqual(world.commits, commits + 1)
    for (const options of [{ mayBeFatal: true }, {}]) {
      const { attempt, inputs, runId } = world.stage(options)
      assert.deepStrictEqual([ids(inputs), attempt], [[inputId(1)], 2])
      world.close({ _tag: "give_back", runId, visibleAt: null })
    }
  })

  it("I13: an earlier attempt after a loss may be made", () => {
    const world = suspects({ attemptsMax: 3 })
    assert.deepInclude(world.stage({ mayBeFatal: false }), { attempt: 2, afterLoss: true })
  })

  it("I13: the last attempt after a failure may be made, and that of what was never tried", () => {
    const world = new World({ attemptsMax: 2 })
    world.admit(input("prompt", 1))
    world.close(fail(world.stage().runId))
    assert.deepInclude(world.stage({ mayBeFatal: false }), { attempt: 2, afterLoss: false })
    const fresh = new World({ attemptsMax: 1 })
    fresh.admit(input("prompt", 1))
    assert.strictEqual(fresh.stage({ mayBeFatal: false }).attempt, 1)
  })

  it("I13: what is used up ends all the same", () => {
    const world = suspects({ attemptsMax: 1 })
    assert.deepStrictEqual(ids(world.stage({ mayBeFatal: false }).inputs), [inputId(2)])
    assert.deepStrictEqual(world.head(inputId(1)).outcome, exhausted(1))
  })

  it("I13: a batch of several is kept back before it is split", () => {
    const world = new World({ attemptsMax: 2 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    lose(world)
    const before = [1, 2].map((n) => world.head(inputId(n)))
    assert.isTrue(nothing(world, { mayBeFatal: false }).keptBack)
    assert.deepStrictEqual([1, 2].map((n) => world.head(inputId(n))), before)
  })

  it("I13, I17: what was never lost is not kept back, though it came with one that was", () => {
    const world = new World({ attemptsMax: 3 })
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.admit(input("flow_step", 3, { deliverAt: world.now + 5 }))
    lose(world, 1)
    world.do(cancelling(1))
    world.now += 5
    // 2 is first in line, and has two attempts to go; 3 does not share its fate.
    assert.deepStrictEqual(ids(world.stage({ mayBeFatal: false }).inputs), [inputId(2)])
    world.crash()
    assert.isTrue(nothing(world, { mayBeFatal: false }).keptBack)
    world.do(Close.holdInput({ inputId: inputId(2), reason: "operator", until: null }))
    assert.deepInclude(world.stage({ mayBeFatal: false }), { attempt: 1, afterLoss: false })
  })
})

describe("stage: decidesLost", () => {
  it("I13: who decides gets what was lost, also with its attempts used up, and is told", () => {
    const world = new World({ attemptsMax: 1 })
    world.admit(input("prompt", 1))
    lose(world)
    const staged = world.stage({ decidesLost: true })
    assert.deepInclude(staged, { attempt: 2, afterLoss: true })
    assert.deepStrictEqual(world.close({ _tag: "settle", runId: staged.runId }).abandoned, [inputId(1)])
  })

  it("I13: what failed too often ends all the same", () => {
    const world = new World({ attemptsMax: 5 })
    world.admit(input("prompt", 1))
    world.close(fail(world.stage().runId))
    nothing(world, { decidesLost: true, attemptsMax: 1 })
    assert.deepStrictEqual(world.head(inputId(1)).outcome, exhausted(1))
  })

  it("I13: who decides about the last attempt is kept from it as long as it may not be fatal", () => {
    const world = new World({ attemptsMax: 2 })
    world.admit(input("prompt", 1))
    lose(world)
    assert.isTrue(nothing(world, { decidesLost: true, mayBeFatal: false }).keptBack)
  })

  it("I17: what was lost goes apart from what was not: nothing is settled that was never tried", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    lose(world)
    world.do(cancelling(2))
    world.admit(input("flow_step", 3))
    const lost = world.stage({ decidesLost: true })
    assert.deepStrictEqual([ids(lost.inputs), lost.afterLoss], [[inputId(1)], true])
    world.close({ _tag: "settle", runId: lost.runId })
    const fresh = world.stage({ decidesLost: true })
    assert.deepStrictEqual([ids(fresh.inputs), fresh.afterLoss], [[inputId(3)], false])
  })

  it("I17: a steer that was handed to a lost run was not tried itself, and is not in doubt", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.admit(input("continuation", 2))
    world.boundary("checkpoint")
    world.crash()
    assert.isNull(world.head(inputId(2)).failure)
    world.close({ _tag: "settle", runId: world.stage({ decidesLost: true }).runId })
    assert.isFalse(world.stage({ decidesLost: true }).afterLoss)
  })
})

describe("stage: afterLoss", () => {
  it("the next attempt after a process, or an owner, that went with the run is told of it; another is not", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    assert.isFalse(world.stage().afterLoss)
    world.crash()
    const second = world.stage()
    assert.isTrue(second.afterLoss)
    world.close(fail(second.runId))
    assert.isFalse(world.stage().afterLoss)
    world.crash("retry", { sameProcess: true })
    assert.strictEqual(world.head(inputId(1)).failure?.tag, "RuntimeRecovered")
    assert.isTrue(world.stage({ attemptsMax: 9 }).afterLoss)
  })

  it("an attempt that was given back changes nothing about the one before", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    lose(world)
    world.close({ _tag: "give_back", runId: world.stage().runId, visibleAt: null })
    assert.deepInclude(world.stage(), { attempt: 2, afterLoss: true })
  })

  it("I13: what an operator released from doubt is tried again, uncharged, and is in doubt no more", () => {
    const world = new World({ attemptsMax: 1 })
    world.admit(input("prompt", 1))
    world.stage()
    world.crash("hold")
    world.do(Close.release(inputId(1)))
    assert.deepInclude(world.stage({ decidesLost: true }), { attempt: 1, afterLoss: false })
    world.close({ _tag: "hold", runId: world.state.run!.id, reason: "question", until: null })
    world.do(Close.release(inputId(1)))
    assert.strictEqual(world.stage().attempt, 1)
  })

  it("I13: so is what whoever decides has held in doubt", () => {
    const world = new World({ attemptsMax: 1 })
    world.admit(input("prompt", 1))
    lose(world)
    const { runId } = world.stage({ decidesLost: true })
    world.close({ _tag: "hold", runId, reason: "in_doubt", until: null })
    world.do(Close.release(inputId(1)))
    const again = world.stage({ decidesLost: true })
    assert.deepInclude(again, { attempt: 1, afterLoss: false })
    assert.deepStrictEqual(world.close(fail(again.runId)).abandoned, [inputId(1)])
  })
})
