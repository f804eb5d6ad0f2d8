/**
 * What the next owner makes of the rows it finds.
 *
 *   queued, held                    stay
 *   staged                          the run is lost: by the application's policy queued again, held, or settled
 *   ephemeral                       abandoned{process_ended}
 *   accepted                        queued                             (foreign data)
 *   applied, ..pending_consumption  consumed with a receipt, else queued  (foreign data)
 */
import * as Either from "effect/Either"
import type { RuntimeId, Stamp } from "../schema/Ids.js"
import { type InputHead, lost as lostFailure } from "../schema/InputState.js"
import type { Limits } from "../schema/Limits.js"
import type { RecoveryReport } from "../schema/Report.js"
import type { OpenRun } from "../schema/Run.js"
import type { LifecycleRecord } from "../schema/Runtime.js"
import type { SessionHead } from "../schema/Session.js"
import { RecordCorrupt } from "../schema/StoreError.js"
import { dropReplaced, lastReceipt, requeue } from "./Close.js"
import * as Lifecycle from "./Lifecycle.js"
import { dissolve } from "./Replacement.js"
import * as State from "./State.js"
import { Step, type Transition } from "./Step.js"

/** What is done with a batch whose run was lost in the middle. */
export type InDoubt = "retry" | "hold" | "settle"

export interface Found {
  readonly lifecycle: LifecycleRecord | null
  readonly run: OpenRun | null
  readonly session: SessionHead | null
  readonly inputs: ReadonlyArray<InputHead>
  readonly corrupt: ReadonlyArray<RecordCorrupt>
  readonly lastSequence: number
  readonly hasReceipt: (runId: NonNullable<InputHead["run"]>, sequence: number) => boolean
}

export interface RecoverCommand {
  readonly runtimeId: RuntimeId
  readonly inDoubt: InDoubt
  /** The process goes on, and with it ephemeral inputs and the executor. */
  readonly sameProcess?: boolean
}

export const recover =
  (command: RecoverCommand, found: Found, limits: Limits) =>
  (stamp: Stamp, now: number): Either.Either<Transition<RecoveryReport>, RecordCorrupt> => {
    const { inDoubt, runtimeId, sameProcess = false } = command
    const record = Lifecycle.rebind(found.lifecycle ?? Lifecycle.fresh, stamp.token, sameProcess)
    const phase = Lifecycle.phaseOf(record.runtimeState)
    if (phase === "destroyed" && found.inputs.length > 0) {
      return Either.left(
        new RecordCorrupt({
          runtimeId,
          record: "the lifecycle record",
          field: "runtimeState",
          problem: `destroyed, with ${found.inputs.length} active inputs`
        })
      )
    }
    let state = State.make(runtimeId, stamp, record, phase, found.session, found.lastSequence + 1)
    for (const head of found.inputs) state = State.put(state, head)
    state = { ...state, run: found.run }

    const step = new Step(State.promote(state, now), stamp, now)
    const tally = { requeued: 0, consumed: 0, abandoned: 0 }
    const lost = lastReceipt(step)
    const judgement = { found, inDoubt, sameProcess, limits, lost, broken: new Set<InputHead["batch"]>(), tally }
    for (const head of found.inputs) normalize(step, head, judgement)
    if (found.run !== null) step.emit({ _tag: "run.lost", runId: found.run.id })
    step.lifecycle({ run: null })
    for (const batch of judgement.broken) {
      // The lost run's last boundary is its members' receipt only now.
      if (batch !== null && State.firstOf(step.state, batch)?.receipt === null) dissolve(step, batch)
    }
    dropReplaced(step, State.activeHeads(step.state))
    if (State.hasReady(step.state)) step.wake("wake_loop")
    return Either.right(step.finish({
      active: State.activeCount(step.state),
      ...tally,
      lostRun: found.run !== null,
      corrupt: found.corrupt.map(({ field, record }) => ({ record, field }))
    }))
  }

interface Judgement {
  readonly found: Found
  readonly inDoubt: InDoubt
  readonly sameProcess: boolean
  readonly limits: Limits
  readonly lost: Partial<Pick<InputHead, "receipt">>
  /** Batches that lost a member. */
  readonly broken: Set<InputHead["batch"]>
  readonly tally: { requeued: number; consumed: number; abandoned: number }
}

const normalize = (step: Step, head: InputHead, judgement: Judgement): void => {
  const { broken, found, sameProcess, tally } = judgement
  if (head.durability === "ephemeral" && !sameProcess) {
    tally.abandoned++
    step.abandon(head, { _tag: "process_ended" })
    broken.add(head.batch)
    return
  }
  switch (head.phase) {
    case "staged":
      return settleStaged(step, head, judgement)
    case "applied":
    case "applied_pending_consumption": {
      const at = head.receipt
      if (at !== null && found.hasReceipt(at.runId, at.sequence)) {
        tally.consumed++
        return step.end(head, "consume", { _tag: "consumed", ...at }, { _tag: "input.consumed", inputId: head.id })
      }
      return recovered(step, head, judgement)
    }
    case "accepted":
      return recovered(step, head, judgement)
    default:
      return
  }
}

const recovered = (step: Step, head: InputHead, { tally }: Judgement): void => {
  tally.requeued++
  requeue(step, head, { lane: head.lane ?? "queue", readyAt: null })
  step.emit({ _tag: "input.recovered", inputId: head.id })
}

/** A steer that was handed over is in no batch: it goes back to its lane, and to the next attempt's first checkpoint. */
const settleStaged = (step: Step, head: InputHead, judgement: Judgement): void => {
  const { inDoubt, limits, lost, tally } = judgement
  const inBatch = head.batch !== null
  const failed: InputHead = { ...head, failure: lostFailure(judgement.sameProcess ? "owner" : "process") }
  // A batch whose attempts are used up ends where they are counted: when it would be staged again.
  if (!inBatch && head.stagings >= limits.stagingsMax) {
    tally.abandoned++
    return step.abandon(failed, { _tag: "max_attempts_exhausted", attempts: head.attempt })
  }
  if (!inBatch || inDoubt === "retry") {
    tally.requeued++
    if (inBatch) requeue(step, failed, lost)
    // It was not the steer that was tried: nothing about it is in doubt.
    else requeue(step, head, {})
    return
  }
  if (inDoubt === "settle") {
    tally.abandoned++
    return step.abandon(failed, { _tag: "outcome_unknown" })
  }
  step.move(failed, "hold", { ...lost, run: null, hold: "in_doubt", readyAt: null })
  step.emit({ _tag: "input.held", inputId: head.id, reason: "in_doubt", until: null })
}
