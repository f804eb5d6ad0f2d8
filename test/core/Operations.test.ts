import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Close from "../../src/core/Close.js"
import * as Control from "../../src/core/Control.js"
import * as State from "../../src/core/State.js"
import type { OperationEvent } from "../../src/schema/Input.js"
import type { Awaited, InputHead } from "../../src/schema/InputState.js"
import { fail, failure, input, inputId, news, runId } from "./support.js"
import { ids, World } from "./World.js"

const awaited = (operationId: string, until: number | null = null): Awaited => ({ operationId, until })
const done: typeof OperationEvent.Type = { _tag: "completed", result: "yes" }
const gone: typeof OperationEvent.Type = { _tag: "cancelled" }

/** The open run's batch waits for operations from now on. */
const wait = (world: World, ...names: ReadonlyArray<string | Awaited>) =>
  world.boundary("note", { awaits: names.map((one) => typeof one === "string" ? awaited(one) : one) })

const hold = (world: World, awaits?: ReadonlyArray<string>, until: number | null = null) =>
  world.close({
    _tag: "hold",
    runId: world.state.run!.id,
    reason: "question",
    until,
    ...(awaits !== undefined && { awaits })
  })

/** A batch over some inputs that waits for operations, held until one of them ends. */
const heldBatch = (world: World, numbers: ReadonlyArray<number>, ...names: ReadonlyArray<string>): void => {
  for (const n of numbers) world.admit(input("flow_step", n))
  world.stage()
  wait(world, ...names)
  hold(world, names)
}

const phases = (world: World, ...numbers: ReadonlyArray<number>) => numbers.map((n) => world.head(inputId(n)).phase)
const awaits = (world: World, ...numbers: ReadonlyArray<number>) =>
  numbers.map((n) => world.head(inputId(n)).awaits.map(({ operationId }) => operationId))
const tags = (world: World) => world.lastEvents.map((event) => event._tag)
const outcomeOf = (world: World, n: number): InputHead["outcome"] => world.head(inputId(n)).outcome
const cancelled = (reason: string) => ({ _tag: "abandoned", reason: { _tag: "cancelled", reason } })

describe("operations that a boundary names", () => {
  it("all inputs of the batch wait for them from that commit on, and there is an event for each", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.admit(input("prompt", 3))
    world.stage()
    wait(world, awaited("a", 7), awaited("b"))
    for (const n of [1, 2]) assert.deepStrictEqual(world.head(inputId(n)).awaits, [awaited("a", 7), awaited("b")])
    assert.deepStrictEqual(world.head(inputId(3)).awaits, [])
    assert.deepStrictEqual(world.lastEvents.slice(0, 2), [
      { _tag: "operation.awaited", runId: runId(1), operationId: "a", until: 7 },
      { _tag: "operation.awaited", runId: runId(1), operationId: "b", until: null }
    ])
    assert.deepStrictEqual(ids(State.awaiting(world.state, "a")), [inputId(1), inputId(2)])
  })

  it("those that it waits for already stay as they are, deadline included", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, awaited("a", 7))
    world.boundary("checkpoint", { awaits: [awaited("a", 99), awaited("b")] })
    assert.deepStrictEqual(world.head(inputId(1)).awaits, [awaited("a", 7), awaited("b")])
    assert.deepStrictEqual(tags(world), ["operation.awaited", "run.boundary"])
  })

  it("steers that were handed over wait for nothing: they are in no batch", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.admit(input("continuation", 2))
    world.boundary("checkpoint")
    wait(world, "a")
    assert.deepStrictEqual(awaits(world, 1, 2), [["a"], []])
  })

  it("what has ended is not waited for, since nobody would say it again; who named it is told", () => {
    const world = new World()
    world.accept(news(9, "a", done))
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, "a", "b")
    assert.deepStrictEqual(awaits(world, 1), [["b"]])
    assert.strictEqual(world.signal, "wake_loop")
    assert.deepStrictEqual(hold(world, ["a", "b"]).requeued, [inputId(1)])
  })

  it("I7: they are a part of what the boundary says", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    const { receipt } = wait(world, awaited("a", 7))
    const again = { kind: "note", after: 0, receipt } as const
    assert.isTrue(world.do(world.bounding({ ...again, awaits: [awaited("a", 7)] })).alreadyApplied)
    for (const other of [[], [awaited("a")], [awaited("b", 7)], [awaited("a", 7), awaited("b")]]) {
      assert.strictEqual(world.refused(world.bounding({ ...again, awaits: other }))._tag, "ReceiptConflict")
    }
  })

  it("who ends waits for nothing any more", () => {
    for (const how of ["final", "cancel", "settle"] as const) {
      const world = new World()
      world.admit(input("prompt", 1))
      world.stage()
      wait(world, "a")
      if (how === "final") world.boundary("final")
      else if (how === "settle") world.close({ _tag: how, runId: runId(1) })
      else world.close({ _tag: how, runId: runId(1), reason: "enough" })
      assert.deepStrictEqual(awaits(world, 1), [[]], how)
      assert.deepStrictEqual(State.awaiting(world.state, "a"), [])
      assert.strictEqual(world.refused(world.ending(news(9, "a", done)))._tag, "UnknownOperation")
    }
  })
})

describe("the end of an operation", () => {
  it("makes the held batch that waits for it ready, whole, in the commit that admits it", () => {
    const world = new World()
    heldBatch(world, [1, 2], "a", "b")
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(phases(world, 1, 2, 9), ["queued", "queued", "consumed"])
    assert.deepStrictEqual(awaits(world, 1, 2), [["b"], ["b"]])
    assert.deepStrictEqual(world.lastEvents, [
      { _tag: "input.consumed", inputId: inputId(9) },
      { _tag: "operation.ended", operationId: "a", how: "completed", inputId: inputId(9) },
      { _tag: "input.released", inputId: inputId(1) },
      { _tag: "input.released", inputId: inputId(2) }
    ])
    assert.strictEqual(world.signal, "wake_loop")
    const again = world.stage()
    assert.deepStrictEqual([ids(again.inputs), again.attempt], [[inputId(1), inputId(2)], 1])
  })

  it("releases the batches that wait for it, and no others", () => {
    const world = new World()
    heldBatch(world, [1], "a")
    heldBatch(world, [2, 3], "b")
    heldBatch(world, [4], "b", "c")
    world.do(world.ending(news(9, "b", done)))
    assert.deepStrictEqual(phases(world, 1, 2, 3, 4), ["held", "queued", "queued", "queued"])
    assert.deepStrictEqual(awaits(world, 1, 2, 3, 4), [["a"], [], [], ["c"]])
    assert.strictEqual(tags(world).filter((tag) => tag === "operation.ended").length, 1)
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(2), inputId(3)])
  })

  it("tells a run that is open, which goes on", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, "a")
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(phases(world, 1), ["staged"])
    assert.deepStrictEqual(awaits(world, 1), [[]])
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("leaves a batch where it is that does not wait for it alone: for a time, an operator, or a decision", () => {
    const world = new World()
    const waiting = (n: number) => {
      world.admit(input("prompt", n))
      world.stage()
      wait(world, "a")
    }
    waiting(1)
    world.close(fail(world.state.run!.id, { visibleAt: world.now + 10 }))
    waiting(2)
    world.close({ _tag: "give_back", runId: world.state.run!.id, visibleAt: world.now + 10 })
    world.do(Close.holdInput({ inputId: inputId(2), reason: "operator", until: null }))
    waiting(3)
    world.crash("hold")
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(phases(world, 1, 2, 3), ["queued", "held", "held"])
    assert.deepStrictEqual(awaits(world, 1, 2, 3), [[], [], []])
    assert.strictEqual(world.head(inputId(1)).readyAt, world.now + 10)
  })

  it("is one under the operation's key: news, and ends under another, end nothing", () => {
    const world = new World()
    heldBatch(world, [1], "a")
    world.accept(news(7, "a", { _tag: "progress", message: "half" }, { key: "progress" }))
    world.accept(news(8, "a", done, { key: "mine" }))
    assert.deepStrictEqual(awaits(world, 1), [["a"]])
    assert.deepStrictEqual([tags(world), world.signal], [["input.consumed"], "none"])
    world.accept(news(9, "a", done))
    assert.deepStrictEqual([awaits(world, 1), phases(world, 1)], [[[]], ["queued"]])
  })

  it("is accepted by a retired runtime, as long as somebody waits for it", () => {
    const world = new World()
    heldBatch(world, [1], "a")
    world.do(Control.retire)
    assert.strictEqual(world.refused(world.accepting(input("prompt", 2)))._tag, "NotReady")
    assert.strictEqual(world.refused(world.accepting(news(3, "b", done)))._tag, "NotReady")
    assert.strictEqual(world.refused(world.ending(news(4, "b", done)))._tag, "UnknownOperation")
    world.do(world.ending(news(5, "a", done)))
    world.stage()
    world.boundary("final")
    assert.strictEqual(State.activeCount(world.state), 0)
    assert.strictEqual(world.refused(world.accepting(news(6, "a", gone, { key: "k" })))._tag, "NotReady")
  })

  it("I16: changes the heads that wait for it, and touches no other", () => {
    const world = new World()
    for (let n = 10; n < 1_000; n++) world.admit(input("prompt", n, { deliverAt: 1e9 }))
    heldBatch(world, [1, 2], "a")
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(world.last.inputs.map(({ head }) => head.id), [9, 1, 2].map(inputId))
  })
})

describe("endOperation", () => {
  it("refuses what nobody waits for, and writes nothing: the key is not used up", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    assert.deepInclude(world.refused(world.ending(news(9, "a", done))), {
      _tag: "UnknownOperation",
      operationId: "a"
    })
    world.stage()
    wait(world, "a")
    assert.strictEqual(world.do(world.ending(news(8, "a", done)))._tag, "accepted")
  })

  it("an operation ends once, for ever: the same end is deduplicated, another one is a conflict", () => {
    const world = new World()
    heldBatch(world, [1], "a")
    world.do(world.ending(news(9, "a", done)))
    const repeated = () => world.do(world.ending(news(8, "a", done)))
    assert.deepInclude(repeated(), { _tag: "deduplicated", existing: inputId(9) })
    world.stage()
    world.boundary("final")
    assert.deepInclude(repeated(), { _tag: "deduplicated", existing: inputId(9) })
    for (const other of [gone, { _tag: "completed", result: "no" } as const]) {
      assert.strictEqual(world.refused(world.ending(news(7, "a", other)))._tag, "IdempotencyConflict")
    }
    world.do(Control.destroy(world.limits))
    assert.strictEqual(repeated()._tag, "deduplicated")
  })

  it("at its deadline it is too late for any end but the cancel", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, awaited("a", world.now + 10))
    world.now += 10
    assert.strictEqual(world.refused(world.ending(news(8, "a", done)))._tag, "UnknownOperation")
    world.do(world.ending(news(9, "a", gone)))
    assert.deepInclude(world.lastEvents[1], { _tag: "operation.ended", how: "cancelled" })
  })

  it("the latest deadline of those that wait counts", () => {
    const world = new World()
    for (const [n, until] of [[1, 10], [2, null]] as const) {
      world.admit(input("prompt", n))
      world.stage()
      wait(world, awaited("a", until === null ? null : world.now + until))
      hold(world, ["a"])
    }
    world.now += 20
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(phases(world, 1, 2), ["queued", "queued"])
  })

  it("a runtime that is stopped or destroyed takes none", () => {
    const world = new World()
    heldBatch(world, [1], "a")
    world.do(Control.stop(world.limits))
    assert.strictEqual(world.refused(world.ending(news(9, "a", done)))._tag, "NotReady")
    world.do(Control.destroy(world.limits))
    assert.strictEqual(world.refused(world.ending(news(9, "a", done)))._tag, "Destroyed")
  })
})

describe("a cancel by the name of an input", () => {
  const cancel = (world: World, n: number, from: Parameters<typeof news>[3] = {}) =>
    world.do(world.accepting(news(90, inputId(n), gone, from)))

  it("ends one that waits, and says who asked", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    cancel(world, 1, { origin: { _tag: "peer", peerId: "boss" } })
    assert.deepStrictEqual(outcomeOf(world, 1), cancelled("cancelled by boss") as never)
    assert.deepStrictEqual(phases(world, 90), ["consumed"])
  })

  it("ends one that is held, and dissolves a batch that has committed nothing", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.stage()
    world.close({ _tag: "hold", runId: runId(1), reason: "operator", until: null })
    cancel(world, 1)
    assert.deepStrictEqual(outcomeOf(world, 1), cancelled("cancelled") as never)
    assert.isNull(world.head(inputId(2)).batch)
  })

  it("ends the whole run with one that is staged, and wakes the loop for the others", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.stage()
    world.admit(input("prompt", 3))
    cancel(world, 2)
    for (const n of [1, 2]) assert.deepStrictEqual(outcomeOf(world, n), cancelled("cancelled") as never)
    assert.isNull(world.db.run)
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("I8: what has ended, and what never was, is news and no more", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.boundary("final")
    for (const n of [1, 77]) {
      world.accept(news(90 + n, inputId(n), gone))
      assert.deepStrictEqual(tags(world), ["input.consumed"])
    }
    assert.strictEqual(outcomeOf(world, 1)?._tag, "consumed")
  })

  it("no other end does that, and none under the name of the news itself", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    for (const [n, event] of [[8, done], [9, { _tag: "failed", error: "no" }]] as const) {
      world.accept(news(n, inputId(1), event, { key: `key ${n}` }))
    }
    cancel(world, 90)
    assert.deepStrictEqual(phases(world, 1, 90), ["queued", "consumed"])
  })

  it("is taken by a retired runtime: who drains it has less to do", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.do(Control.retire)
    cancel(world, 1)
    assert.strictEqual(State.activeCount(world.state), 0)
  })

  it("a name without end is cut to what a reason may be", () => {
    const world = new World({ failureLengthMax: 20 })
    world.admit(input("prompt", 1))
    cancel(world, 1, { origin: { _tag: "peer", peerId: "x".repeat(99) } })
    assert.deepStrictEqual(outcomeOf(world, 1), cancelled("cancelled by xxxxxxx") as never)
  })
})

describe("a hold that waits for operations", () => {
  it("is one as long as none of them has ended, uncharged, and goes first at its deadline", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, "a", "b")
    world.admit(input("prompt", 2))
    hold(world, ["a", "b"], world.now + 10)
    assert.deepInclude(world.head(inputId(1)), { phase: "held", attempt: 0, stagings: 0, readyAt: world.now + 10 })
    world.now += 10
    const again = world.stage()
    assert.deepStrictEqual([ids(again.inputs), again.attempt], [[inputId(1)], 1])
    assert.deepStrictEqual(awaits(world, 1), [["a", "b"]])
  })

  it("gives the batch back when one has ended meanwhile: who waited on would wait for ever", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, "a", "b")
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(hold(world, ["a", "b"], world.now + 10), { requeued: [inputId(1)], abandoned: [] })
    assert.deepInclude(world.head(inputId(1)), { phase: "queued", attempt: 0, stagings: 0, readyAt: null })
    assert.deepStrictEqual(tags(world), ["run.given_back"])
    assert.strictEqual(world.signal, "wake_loop")
  })

  it("without any it is a hold like others, which an end of what the batch waits for releases too", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, "a", "b")
    world.do(world.ending(news(8, "a", done)))
    hold(world)
    assert.deepStrictEqual(phases(world, 1), ["held"])
    world.do(world.ending(news(9, "b", done)))
    assert.deepStrictEqual(phases(world, 1), ["queued"])
  })

  it("the failure stays with what is held", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    world.close({ _tag: "hold", runId: runId(1), reason: "undecodable", until: null, failure })
    assert.deepStrictEqual(world.head(inputId(1)).failure, failure)
  })
})

describe("a hold of some inputs", () => {
  const three = () => {
    const world = new World()
    for (const n of [1, 2, 3]) world.admit(input("flow_step", n))
    world.stage()
    return world
  }
  const aside = (world: World, ...numbers: ReadonlyArray<number>) =>
    world.close({
      _tag: "hold",
      runId: world.state.run!.id,
      reason: "undecodable",
      until: null,
      inputIds: numbers.map(inputId),
      failure
    })
  const fields = (world: World, ...names: ReadonlyArray<keyof InputHead>) =>
    [1, 2, 3].map((n) => names.map((name) => world.head(inputId(n))[name]))

  it("of a batch that has committed nothing holds these alone, and tries the others again without them, uncharged", () => {
    const world = three()
    assert.deepStrictEqual(aside(world, 2), { requeued: [inputId(1), inputId(3)], abandoned: [] })
    assert.deepStrictEqual(fields(world, "phase", "batch", "attempt", "stagings", "failure"), [
      ["queued", null, 0, 0, null],
      ["held", null, 0, 0, failure],
      ["queued", null, 0, 0, null]
    ])
    assert.deepStrictEqual(tags(world), ["input.held", "run.given_back"])
    assert.strictEqual(world.signal, "wake_loop")
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(1), inputId(3)])
    world.boundary("final")
    world.do(Close.release(inputId(2)))
    assert.deepStrictEqual(ids(world.stage().inputs), [inputId(2)])
  })

  it("holds the whole batch when it has committed something, in this run or an earlier one", () => {
    for (const earlier of [false, true]) {
      const world = three()
      world.boundary("note")
      if (earlier) {
        world.close(fail(runId(1)))
        world.stage()
      }
      aside(world, 2)
      assert.deepStrictEqual(phases(world, 1, 2, 3), ["held", "held", "held"])
      assert.strictEqual(new Set(fields(world, "batch").flat()).size, 1)
      assert.isNotNull(world.head(inputId(1)).batch)
    }
  })

  it("holds it whole when nobody would be left, or none of it is named", () => {
    for (const numbers of [[1, 2, 3], [], [9]]) {
      const world = three()
      aside(world, ...numbers)
      assert.deepStrictEqual(phases(world, 1, 2, 3), ["held", "held", "held"])
      assert.isNotNull(world.head(inputId(1)).batch)
    }
  })

  it("a newer input of its scope replaces one that is queued again", () => {
    const world = new World()
    world.admit(input("flow_step", 1, { scope: "s" }))
    world.admit(input("flow_step", 2))
    world.stage()
    world.admit(input("flow_step", 3, { scope: "s" }))
    aside(world, 2)
    assert.deepStrictEqual(phases(world, 1, 2, 3), ["superseded", "held", "queued"])
  })
})

describe("recovery", () => {
  it("I3: keeps what batches wait for, running, queued or held", () => {
    const world = new World()
    heldBatch(world, [1, 2], "a")
    world.admit(input("prompt", 3))
    world.stage()
    wait(world, awaited("b", 7))
    world.crash()
    assert.deepStrictEqual(awaits(world, 1, 2, 3), [["a"], ["a"], ["b"]])
    assert.deepStrictEqual(ids(State.awaiting(world.state, "b")), [inputId(3)])
    world.do(world.ending(news(9, "a", done)))
    assert.deepStrictEqual(phases(world, 1, 2, 3), ["queued", "queued", "queued"])
  })

  it("a batch that is settled waits for nothing any more", () => {
    const world = new World()
    world.admit(input("prompt", 1))
    world.stage()
    wait(world, "a")
    world.crash("settle")
    assert.deepStrictEqual(awaits(world, 1), [[]])
    assert.isTrue(Either.isLeft(world.run(world.ending(news(9, "a", done)))))
  })
})

describe("what inputs become", () => {
  const said = new Map([[inputId(1), "\"mine\""], [inputId(2), null]])
  const texts = (world: World) => world.db.messages.map(({ message }) => message)

  it("is decided with the first boundary that covers them, once over all attempts", () => {
    const world = new World()
    for (const n of [1, 2]) world.admit(input("flow_step", n))
    world.stage()
    world.boundary("note", { said })
    assert.deepStrictEqual(texts(world), ["\"mine\""])
    world.close(fail(runId(1)))
    world.stage()
    world.boundary("final")
    assert.deepStrictEqual(texts(world), ["\"mine\""])
  })

  it("a boundary that has nothing to say changes no session", () => {
    const world = new World()
    for (const n of [2]) world.admit(input("flow_step", n))
    world.stage()
    assert.isNull(world.boundary("note", { said }).session)
    assert.isTrue(world.head(inputId(2)).recorded)
  })
})
