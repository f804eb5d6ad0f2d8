/**
 * The life of an input as a table.
 *
 *   accept ──> queued <──> held
 *     │         │  ^         ^
 *     │   stage │  │ requeue │ hold
 *     │         v  │         │
 *     │        staged ───────┘
 *     │         │ consume        queued, held ──> superseded | coalesced
 *     v         v                any of the three ──> abandoned
 *   consumed  consumed           held ──> staged, when its deadline is past
 *
 * The phases `accepted`, `applied` and `applied_pending_consumption` come from foreign data and leave at recovery.
 */
import type { Phase } from "../schema/InputState.js"

export type Trigger = "stage" | "requeue" | "hold" | "consume" | "supersede" | "coalesce" | "abandon"

const foreign = ["accepted", "applied", "applied_pending_consumption"] as const

const transitions: { readonly [T in Trigger]: { readonly from: ReadonlyArray<Phase>; readonly to: Phase } } = {
  stage: { from: ["queued", "held"], to: "staged" },
  requeue: { from: ["staged", "held", ...foreign], to: "queued" },
  hold: { from: ["staged", "queued"], to: "held" },
  consume: { from: ["staged", ...foreign], to: "consumed" },
  supersede: { from: ["queued", "held"], to: "superseded" },
  coalesce: { from: ["queued", "held"], to: "coalesced" },
  abandon: { from: ["queued", "held", "staged", ...foreign], to: "abandoned" }
}

export const canApply = (phase: Phase, trigger: Trigger): boolean => transitions[trigger].from.includes(phase)

/** The next phase. Commands ask before they move; a refusal here is a fault of the core, not of its caller. */
export const next = (phase: Phase, trigger: Trigger): Phase => {
  if (!canApply(phase, trigger)) throw new Error(`an input that is ${phase} cannot ${trigger}`)
  return transitions[trigger].to
}
