import { assert, describe, it } from "@effect/vitest"
import { cases, durableCases } from "../../src/testing/DriverConformance.js"

/** The defects of the original driver (spec/driver.md, section 12.1) and the cases that would find them here. */
const table: { readonly [defect: string]: ReadonlyArray<string> } = {
  D1: ["D1, I13: an input that fails attemptsMax times is abandoned with its last failure, and others go on"],
  D2: [
    "D2: a failed batch goes back in its order",
    "D2: a batch that was given back, and a failed batch of steers, go back in their order"
  ],
  D3: [
    "D3: the superseded input leaves its lane, ends in its successor's commit, and the log names the successor",
    "D3, I8: what was superseded stays so after a restart, and its successor is staged alone"
  ],
  D4: [
    "D4: newer progress of the same key takes the older with it, as coalesced into it",
    "D4: progress without a key is kept, each of it"
  ],
  D5: [
    "D5: a newer prompt of the same key supersedes one that is queued",
    "D5: a newer external event of the same key supersedes one that is queued"
  ],
  D6: [
    "D6: the same id with the same payload is one input, also without a key",
    "D6: another payload under a known id is IdempotencyConflict, and the input stays what it is",
    "D6: the same id of an operation from 20 callers at once is one input"
  ],
  D7: ["D7: recycle keeps the work of an idle and of a retired runtime, and answers how much"],
  D8: [
    "D8: a rejected input writes nothing and uses up no key",
    "D8, I16: an input over the queue's depth is QueueFull, uses up no key, and fits when one is done",
    "D8, I17: inputs over the queue's depth are refused one by one, and those that fit are accepted"
  ],
  D9: [
    "D9: reset while a run is open abandons nothing",
    "D9: reset from running is RunInProgress, and changes nothing"
  ],
  D10: [
    "D10: reset of a retired runtime that still has a run is refused, and the run completes",
    "D10: reset from draining is RunInProgress, and changes nothing"
  ],
  D11: [
    "D11: abandonPending ends everything that waits, held and delayed inputs included; the run keeps its own"
  ],
  // Waiters are the control plane's. What the driver owes them: an answer, and a runtime that can go on.
  D12: [
    "D12: a boundary that failed leaves a runtime that can go on: its run fails, and is tried again",
    "D12, I2: a boundary that failed is no part of what the next owner finds"
  ],
  D13: [
    "D13: a run whose executor died is failed like any other, with the defect as its failure",
    "D13, D17: an executor that is gone can be replaced: detach, recover, attach, and its work runs"
  ],
  D14: [
    "D14: stop cancels the open run, keeps the queue, and resume goes on with it",
    "D14: destroy cancels the open run, and abandons what waits"
  ],
  D15: ["D15: a failed run's answer and event tell what will be tried again, and what is over"],
  // There is no `apply_input`; a boundary is the only way from staged to consumed.
  D16: ["D16: an input goes from staged to consumed with its run's final boundary: there is nothing in between"],
  D17: [
    "D17, I10: recover on a live driver closes the open run as lost, and its executor's boundaries are RunNotOpen"
  ],
  D18: [
    "D18, I6: after a restart prompts still go alone, and lanes and order are kept",
    "D18: a retired runtime with work can be drained after a restart"
  ],
  D19: ["D19: a run that fails after a boundary is tried again, and its input is consumed in the end"],
  D20: ["D20, I16: an input that has ended is active no more; its state is read from its row"],
  D21: [
    "D21: a derived peer_message is rejected as a value, by the name of its kind",
    "D21: a derived prompt is rejected as a value, by the name of its kind"
  ],
  // The original's registry of operations, whose `wait_all` could hang, is no part of this library: operations are a
  // snapshot that is stored for whoever keeps such a registry. What it needs in order not to hang is that the outcome of
  // an evicted operation can still be found.
  D22: ["D22: the feed keeps the outcome of an operation that was evicted, for whoever waited for it"],
  D23: ["D23: there is one copy of each input's state: after every command memory and rows are one"]
}

describe("the defects of the original driver", () => {
  const suite = [...cases, ...durableCases]

  it("each has a case", () => {
    assert.deepStrictEqual(Object.keys(table), Array.from({ length: 23 }, (_, i) => `D${i + 1}`))
    for (const [defect, names] of Object.entries(table)) assert.isNotEmpty(names, defect)
  })

  for (const [defect, names] of Object.entries(table)) {
    it(`${defect}: its cases are in the suite, under its number`, () => {
      for (const name of names) {
        const found = suite.find((one) => one.name === name)
        assert.isDefined(found, name)
        assert.include(found?.defects ?? [], defect)
      }
    })
  }

  it("every number that a case carries is a defect or an invariant", () => {
    const invariants = new Set(Array.from({ length: 18 }, (_, i) => `I${i + 1}`))
    for (const one of suite) {
      for (const defect of one.defects ?? []) assert.property(table, defect)
      for (const invariant of one.invariants ?? []) assert.isTrue(invariants.has(invariant), invariant)
    }
  })

  it("no two cases have one name", () => {
    const names = suite.map(({ name }) => name)
    assert.deepStrictEqual(names.filter((name, i) => names.indexOf(name) !== i), [])
  })
})
