/** The two state machines, every pair of state and command. */
import { assert, describe, it } from "@effect/vitest"
import * as Control from "../../src/core/Control.js"
import * as InputLifecycle from "../../src/core/InputLifecycle.js"
import * as Lifecycle from "../../src/core/Lifecycle.js"
import type { Decide } from "../../src/core/Step.js"
import { Phase } from "../../src/schema/InputState.js"
import { RuntimeState } from "../../src/schema/Runtime.js"
import { input, limits } from "./support.js"
import { World } from "./World.js"

/** Where each trigger leads from each phase; `-`: refused. The last three phases are of foreign data. */
const inputTable = `
                            stage  requeue hold consume  supersede  coalesce  abandon
queued                      staged -       held -        superseded coalesced abandoned
staged                      -      queued  held consumed -          -         abandoned
held                        staged queued  -    -        superseded coalesced abandoned
consumed                    -      -       -    -        -          -         -
superseded                  -      -       -    -        -          -         -
coalesced                   -      -       -    -        -          -         -
abandoned                   -      -       -    -        -          -         -
accepted                    -      queued  -    consumed -          -         abandoned
applied                     -      queued  -    consumed -          -         abandoned
applied_pending_consumption -      queued  -    consumed -          -         abandoned
`

const parse = (table: string) => {
  const [header, ...lines] = table.trim().split("\n").map((line) => line.trim().split(/ +/))
  return lines.flatMap(([from, ...cells]) => cells.map((to, i) => [from!, header![i]!, to] as const))
}

describe("InputLifecycle", () => {
  const pairs = parse(inputTable) as ReadonlyArray<readonly [Phase, InputLifecycle.Trigger, string]>

  it("I8: the table holds for every phase and trigger, and terminal phases are closed", () => {
    assert.deepStrictEqual([...new Set(pairs.map(([from]) => from))].sort(), [...Phase.literals].sort())
    for (const [from, trigger, to] of pairs) {
      assert.strictEqual(InputLifecycle.canApply(from, trigger), to !== "-", `${from} ${trigger}`)
      if (to === "-") {
        assert.throws(() => InputLifecycle.next(from, trigger), `an input that is ${from} cannot ${trigger}`)
      } else assert.strictEqual(InputLifecycle.next(from, trigger), to)
    }
  })
})

/** What each command makes of a runtime; `run`: refused while a run is open. */
const control = {
  retire: Control.retire,
  reset: Control.reset,
  stop: Control.stop(limits),
  resume: Control.resume,
  recycle: Control.recycle,
  destroy: Control.destroy(limits)
}

const runtimeTable = `
              retire   reset         stop       resume    recycle       destroy
idle          retired  idle          stopped    idle      idle          destroyed
attached      retired  attached      stopped    attached  attached      destroyed
running       retired  RunInProgress stopped    running   RunInProgress destroyed
retired       retired  idle          NotReady   NotReady  idle          destroyed
draining      retired  RunInProgress NotReady   NotReady  RunInProgress destroyed
stopped       NotReady NotReady      stopped    idle      NotReady      destroyed
destroyed     Destroyed Destroyed    Destroyed  Destroyed Destroyed     Destroyed
`

const worldIn = (situation: string): World => {
  const world = new World()
  if (situation === "attached") world.do(Control.attach("executor"))
  if (situation === "running" || situation === "draining") {
    world.admit(input("prompt", 1))
    world.stage()
  }
  if (situation === "retired" || situation === "draining") world.do(Control.retire)
  if (situation === "stopped") world.do(Control.stop(limits))
  if (situation === "destroyed") world.do(Control.destroy(limits))
  return world
}

describe("Lifecycle", () => {
  for (const [situation, command, to] of parse(runtimeTable)) {
    it(`${command} of a runtime that is ${situation} ${/^[A-Z]/.test(to) ? `is refused as ${to}` : `makes it ${to}`}`, () => {
      const world = worldIn(situation)
      const decide: Decide<unknown, Control.ControlRefusal> = control[command as keyof typeof control]
      if (/^[A-Z]/.test(to)) {
        const commits = world.commits
        assert.strictEqual(world.refused(decide)._tag, to)
        assert.strictEqual(world.commits, commits)
        return
      }
      const from = world.db.lifecycle.runtimeState
      world.do(decide)
      const stored = to === "attached" ? "idle" : to
      assert.strictEqual(world.db.lifecycle.runtimeState, stored)
      const changed = world.lastEvents.filter((event) => event._tag === "runtime.state_changed")
      // Being attached is a fact of the process: the log has what is stored.
      assert.deepStrictEqual(
        changed,
        from === stored ? [] : [{ _tag: "runtime.state_changed", from, to: stored as RuntimeState }],
        "a change of state is an event, also while a run is open"
      )
    })
  }

  it("accepts inputs while idle, and stages runs while idle or retired", () => {
    assert.deepStrictEqual(Lifecycle.acceptsInput, { idle: true, retired: false, stopped: false, destroyed: false })
    assert.deepStrictEqual(Lifecycle.stagesRuns, { idle: true, retired: true, stopped: false, destroyed: false })
  })

  it("a durable `running`, and transient states of foreign data, are idle for the next owner", () => {
    assert.deepStrictEqual(RuntimeState.literals.map((state) => [state, Lifecycle.phaseOf(state)]), [
      ["initializing", "idle"],
      ["idle", "idle"],
      ["attached", "idle"],
      ["running", "idle"],
      ["recovering", "idle"],
      ["retired", "retired"],
      ["stopped", "stopped"],
      ["destroyed", "destroyed"]
    ])
  })

  it("a new owner's token is bound, and the executor's name goes with the old owner", () => {
    const record = { ...Lifecycle.fresh, binding: { ...Lifecycle.unbound, agentRuntimeId: "a", runtimeGeneration: 4 } }
    const token = { epoch: 7, claimId: "c" as never }
    assert.deepStrictEqual(Lifecycle.rebind(record, token).binding, {
      agentRuntimeId: null,
      fenceToken: 7,
      runtimeGeneration: 4,
      runtimeEpochId: token.claimId
    })
  })
})
