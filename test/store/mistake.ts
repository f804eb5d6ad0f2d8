/**
 * How a store is made that makes a mistake, over the rows of the right store.
 */
import * as Effect from "effect/Effect"
import type { Outcome, Rows } from "../../src/core/Rows.js"
import type { Encoded } from "../../src/services/RuntimeStoreEncoded.js"

export type Mistake = (right: Encoded) => Encoded

/** Changes each write set before it is judged. */
export const rewriting = (change: (right: Encoded, rows: Rows) => Effect.Effect<Rows, unknown>): Mistake => (right) => {
  const changed = (rows: Rows) => Effect.orDie(change(right, rows))
  return {
    ...right,
    commit: (group) => Effect.flatMap(Effect.forEach(group, changed), (rows) => right.commit(rows)),
    commitWith: (rows, alongside) => Effect.flatMap(changed(rows), (other) => right.commitWith(other, alongside))
  }
}

/** Answers otherwise than it did. */
export const answering =
  (say: (right: Encoded, outcome: Outcome, rows: Rows) => Effect.Effect<Outcome>): Mistake => (right) => ({
    ...right,
    commit: (group) =>
      Effect.flatMap(
        right.commit(group),
        (outcomes) => Effect.forEach(outcomes, (outcome, i) => say(right, outcome, group[i]!))
      ),
    commitWith: (rows, alongside) =>
      Effect.flatMap(right.commitWith(rows, alongside), (outcome) => say(right, outcome, rows))
  })
