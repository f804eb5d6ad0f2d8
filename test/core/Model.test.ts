import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Commit from "../../src/core/Commit.js"
import { type Command, command, execute, invariants, terminalOf } from "./Model.js"
import { Database, World } from "./World.js"

const commands = FastCheck.array(command, { minLength: 1, maxLength: 60, size: "max" })
const small = { attemptsMax: 3, stagingsMax: 5, batchInputsMax: 4, queueDepthMax: 12 }

/** fast-check prints the seed and the shrunk commands when one fails. */
const check = (numRuns: number, holds: (sequence: ReadonlyArray<Command>) => void) =>
  FastCheck.assert(FastCheck.property(commands, holds), {
    numRuns,
    interruptAfterTimeLimit: 10_000,
    markInterruptAsFailure: false
  })

describe("The core under random commands", () => {
  it("I5, I6, I7, I8, I10, I13, I15, I18: every invariant holds in every state", () => {
    let [runs, terminal, receipts] = [0, 0, 0]
    check(600, (sequence) => {
      const world = new World(small)
      for (const each of sequence) {
        execute(world, each)
        invariants(world)
      }
      runs++
      terminal += terminalOf(world).length
      receipts += world.db.receipts.length
    })
    assert.isAbove(terminal, runs / 2, "the commands reach the ends of inputs")
    assert.isAbove(receipts, runs / 20, "and boundaries")
  })

  it("I3: commits folded into one leave the same rows as one after another", () => {
    check(300, (sequence) => {
      const world = new World(small)
      const folded = new Database()
      let pending: Commit.Commit | undefined
      const flush = () => {
        if (pending !== undefined) folded.apply(pending)
        pending = undefined
      }
      world.onCommit = (commit) => {
        if (commit.boundary !== null || commit.session !== null) flush()
        if (pending === undefined) pending = commit
        else pending = Commit.combine(pending, commit)
        if (commit.boundary !== null || commit.session !== null) flush()
      }
      for (const each of sequence) execute(world, each)
      flush()
      const rows = (db: Database) => ({
        heads: [...db.heads.values()].sort((a, b) => a.sequence - b.sequence),
        payloads: [...db.payloads].sort(),
        events: [...db.events.values()].sort((a, b) => a.number - b.number),
        receipts: db.receipts,
        lifecycle: db.lifecycle,
        run: db.run,
        session: db.session
      })
      assert.deepStrictEqual(rows(folded), rows(world.db))
    })
  })
})
