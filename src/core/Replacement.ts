/**
 * How an input makes way for a newer one of its scope, and what becomes of the batch that it was in.
 */
import type { BatchId } from "../schema/Ids.js"
import type { InputHead } from "../schema/InputState.js"
import { canApply } from "./InputLifecycle.js"
import * as State from "./State.js"
import type { Step } from "./Step.js"

/** Its batch has committed something, or a run has had it: it can no longer be as if it had never been. */
export const hasActed = (head: InputHead): boolean => head.receipt !== null || head.recorded

/** The older input of the same scope, when it can still be replaced. */
export const replaceable = (state: State.DriverState, head: InputHead): InputHead | undefined => {
  const scope = State.scopeOf(head)
  if (scope === undefined) return undefined
  const older = State.newestOf(state, scope)
  return older !== undefined && canApply(older.phase, "supersede") && !hasActed(older) ? older : undefined
}

/** Ends an input in favour of a newer one. */
export const replace = (step: Step, older: InputHead, newer: InputHead, how: "coalesce" | "supersede"): void => {
  const batch = older.batch
  if (how === "coalesce") {
    step.end(older, "coalesce", { _tag: "coalesced", into: newer.id }, {
      _tag: "input.coalesced",
      inputId: older.id,
      into: newer.id
    })
  } else {
    step.end(older, "supersede", { _tag: "superseded", by: newer.id }, {
      _tag: "input.superseded",
      inputId: older.id,
      by: newer.id
    })
  }
  dissolve(step, batch)
}

/** A batch that has lost a member and committed nothing: no key may stand for two different sets of inputs. */
export const dissolve = (step: Step, batch: BatchId | null): void => {
  if (batch === null) return
  for (const member of State.members(step.state, batch)) step.amend(member, { batch: null })
}
