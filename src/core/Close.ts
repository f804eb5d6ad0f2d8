/**
 * The ends of a run without a final boundary. Each gives the run's inputs one of four fates.
 *
 *               batch                                 steers handed over          attempt, staging
 *   fail        queued again, or abandoned            queued again, or abandoned  charged
 *   lost        as fail, by the application's policy  queued again, or abandoned  charged
 *   give back   queued again                          queued again                not charged
 *   hold        held, or in parts: see below          queued again                not charged
 *   settle      abandoned{outcome_unknown}            queued again                -
 *   cancel      abandoned{cancelled}                  abandoned{cancelled}        -
 *
 * A hold that waits for operations of which one has ended is a give back. One of some inputs, of a batch that has
 * committed nothing, holds these alone, and the others are queued again, each without the batch.
 */
import * as Either from "effect/Either"
import { UnknownInput } from "../schema/DriverError.js"
import type { InputId, RunId } from "../schema/Ids.js"
import { type AbandonReason, type Failure, type HoldReason, type InputHead, isLost } from "../schema/InputState.js"
import type { Limits } from "../schema/Limits.js"
import type { CloseReply } from "../schema/Report.js"
import { RunNotOpen } from "../schema/StoreError.js"
import { canApply } from "./InputLifecycle.js"
import { dissolve, hasActed, replace } from "./Replacement.js"
import * as State from "./State.js"
import { type Decide, Step } from "./Step.js"

export type CloseCommand =
  | {
    readonly _tag: "fail"
    readonly runId: RunId
    readonly failure: Failure
    /** Not tried again before this time. */
    readonly visibleAt: number | null
    /** `false`: abandoned at once. */
    readonly recoverable: boolean
  }
  | { readonly _tag: "give_back"; readonly runId: RunId; readonly visibleAt: number | null }
  | HoldCommand
  | { readonly _tag: "settle"; readonly runId: RunId }
  | { readonly _tag: "cancel"; readonly runId: RunId; readonly reason: string }

interface HoldCommand {
  readonly _tag: "hold"
  readonly runId: RunId
  readonly reason: HoldReason
  readonly until: number | null
  /** Operations whose end makes the batch ready. */
  readonly awaits?: ReadonlyArray<string>
  /** These alone, if the batch can still be taken apart. */
  readonly inputIds?: ReadonlyArray<InputId>
  readonly failure?: Failure
}

export const close = (command: CloseCommand, limits: Limits): Decide<CloseReply, RunNotOpen> => (state, stamp, now) => {
  if (state.run?.id !== command.runId) {
    return Either.left(new RunNotOpen({ runtimeId: state.runtimeId, runId: command.runId }))
  }
  const step = new Step(State.promote(state, now), stamp, now)
  const reply = closeRun(step, command, limits)
  if (State.hasReady(step.state)) step.wake("wake_loop")
  return Either.right(step.finish(reply))
}

/** Closes the open run; there is one. */
export const closeRun = (step: Step, asked: CloseCommand, limits: Limits): CloseReply => {
  const { runId } = asked
  const batch = State.batchOfRun(step.state)
  const command = inTime(asked, batch)
  const steers = State.delivered(step.state)
  const receipt = lastReceipt(step)
  const abandoned: Array<InputId> = []
  /** When the batch is tried again. Its steers wait with it, and are handed to that attempt. */
  let readyAt: number | null = null
  switch (command._tag) {
    case "cancel": {
      for (const head of [...batch, ...steers]) {
        abandoned.push(head.id)
        step.abandon(head, { _tag: "cancelled", reason: command.reason })
      }
      step.emit({ _tag: "run.cancelled", runId, reason: command.reason })
      break
    }
    case "fail": {
      const dead = !command.recoverable || exhausted(batch, limits)
      if (!dead) readyAt = command.visibleAt
      const left = batch.filter((head) => dead || exhausted([head], limits))
      for (const head of batch) {
        const failed = { ...head, failure: command.failure }
        if (left.includes(head)) {
          abandoned.push(head.id)
          step.abandon(failed, {
            _tag: command.recoverable ? "max_attempts_exhausted" : "failed",
            attempts: head.attempt
          })
        } else requeue(step, failed, { ...receipt, readyAt })
      }
      partWith(step, batch, left)
      break
    }
    case "give_back": {
      readyAt = command.visibleAt
      for (const head of batch) requeue(step, uncharged(head), { ...receipt, readyAt })
      break
    }
    case "settle": {
      for (const head of batch) {
        abandoned.push(head.id)
        step.abandon(head, { _tag: "outcome_unknown" })
      }
      break
    }
    case "hold":
      holdBatch(step, batch, command)
      break
  }
  if (command._tag !== "cancel") {
    for (const head of steers) {
      if (command._tag === "fail" && head.stagings >= limits.stagingsMax) {
        abandoned.push(head.id)
        step.abandon(head, { _tag: "max_attempts_exhausted", attempts: head.attempt })
      } else requeue(step, command._tag === "fail" ? head : unstaged(head), { readyAt })
    }
  }
  step.lifecycle({ run: null })
  dropReplaced(step, [...batch, ...steers])
  const requeued = [...batch, ...steers].flatMap(({ id }) => State.get(step.state, id)?.phase === "queued" ? [id] : [])
  if (command._tag === "fail") {
    step.emit({ _tag: "run.failed", runId, failure: command.failure, requeued, retryAt: command.visibleAt })
  } else if (command._tag !== "cancel") step.emit({ _tag: "run.given_back", runId })
  return { requeued, abandoned }
}

/** Whoever waits for what has ended meanwhile would wait for ever. */
const inTime = (command: CloseCommand, batch: ReadonlyArray<InputHead>): CloseCommand => {
  if (command._tag !== "hold" || command.awaits === undefined) return command
  const waits = new Set(batch[0]?.awaits.map(({ operationId }) => operationId))
  return command.awaits.every((operationId) => waits.has(operationId))
    ? command
    : { _tag: "give_back", runId: command.runId, visibleAt: null }
}

const holdBatch = (step: Step, batch: ReadonlyArray<InputHead>, command: HoldCommand): void => {
  const { failure, reason, until } = command
  const apart = heldApart(step, batch, command)
  const receipt = lastReceipt(step)
  for (const head of batch) {
    if (apart !== undefined && !apart.has(head.id)) {
      requeue(step, uncharged(head), { batch: null })
      continue
    }
    // That its run before was lost is still to be decided about, by whoever can read it.
    const kept = failure === undefined || isLost(head.failure) ? head : { ...head, failure }
    step.move(uncharged(kept), "hold", {
      ...receipt,
      ...(apart !== undefined && { batch: null }),
      run: null,
      hold: reason,
      readyAt: until
    })
    step.emit({ _tag: "input.held", inputId: head.id, reason, until })
  }
}

/** Which inputs are taken out of a batch to be held; none when it stays whole: it has acted, or nobody would be left. */
const heldApart = (
  step: Step,
  batch: ReadonlyArray<InputHead>,
  { inputIds }: HoldCommand
): ReadonlySet<InputId> | undefined => {
  if (inputIds === undefined || step.state.run!.sequence > 0 || batch.some(hasActed)) return undefined
  const named = new Set(batch.flatMap(({ id }) => inputIds.includes(id) ? [id] : []))
  return named.size > 0 && named.size < batch.length ? named : undefined
}

/**
 * A batch goes and ends as a whole, when one of those is used up that it was formed of. A rider may have been tried with
 * others before: it ends alone, and they go on.
 */
export const exhausted = (batch: ReadonlyArray<InputHead>, limits: Limits): boolean =>
  State.starters(batch).some((head) => head.attempt >= limits.attemptsMax || head.stagings >= limits.stagingsMax)

/** Some of a batch have ended before the others. */
export const partWith = (
  step: Step,
  batch: ReadonlyArray<InputHead>,
  ended: ReadonlyArray<InputHead>
): void => {
  const id = batch[0]?.batch ?? null
  if (ended.length === 0 || id === null) return
  if (State.firstOf(step.state, id)?.receipt === null) dissolve(step, id)
}

/** The boundary that a later attempt resumes from: this run's last one, or that of an earlier attempt. */
export const lastReceipt = (step: Step): Partial<Pick<InputHead, "receipt">> => {
  const run = step.state.run
  return run !== null && run.sequence > 0 ? { receipt: { runId: run.id, sequence: run.sequence } } : {}
}

const unstaged = (head: InputHead): InputHead => ({ ...head, stagings: Math.max(0, head.stagings - 1) })

const uncharged = (head: InputHead): InputHead => ({ ...unstaged(head), attempt: Math.max(0, head.attempt - 1) })

export const requeue = (step: Step, head: InputHead, change: Partial<InputHead>): InputHead =>
  step.move(head, "requeue", { run: null, hold: null, ...change })

/** What went back to the queue and has a newer queued input of its scope is superseded in the same commit. */
export const dropReplaced = (step: Step, heads: ReadonlyArray<InputHead>): void => {
  for (const { id } of heads) {
    const head = State.get(step.state, id)
    const scope = head && State.scopeOf(head)
    if (head === undefined || scope === undefined || hasActed(head) || !canApply(head.phase, "supersede")) {
      continue
    }
    const newer = State.newestOf(step.state, scope)
    if (newer !== undefined && newer.sequence > head.sequence && newer.policy.queue !== "fifo") {
      replace(step, head, newer, newer.policy.queue === "coalesce" ? "coalesce" : "supersede")
    }
  }
}

/** The open run's attempt is not counted: whatever ends it from now on was not its inputs' last. */
export const uncharge = (runId: RunId): Decide<void, RunNotOpen> => (state, stamp, now) => {
  if (state.run?.id !== runId) return Either.left(new RunNotOpen({ runtimeId: state.runtimeId, runId }))
  const step = new Step(state, stamp, now)
  for (const head of State.batchOfRun(state)) step.amend(head, { attempt: Math.max(0, head.attempt - 1) })
  return Either.right(step.finish(undefined))
}

/** Ends one input: what a run has staged ends with the whole run, an input that waits ends alone. */
export const cancelInput =
  (command: { readonly inputId: InputId; readonly reason: string }, limits: Limits): Decide<CloseReply, UnknownInput> =>
  (state, stamp, now) => {
    const { inputId, reason } = command
    const head = State.get(state, inputId)
    if (head === undefined) {
      return Either.left(new UnknownInput({ runtimeId: state.runtimeId, inputId, phase: null }))
    }
    const step = new Step(state, stamp, now)
    return Either.right(step.finish(cancelOne(step, head, reason, limits)))
  }

export const cancelOne = (step: Step, head: InputHead, reason: string, limits: Limits): CloseReply => {
  step.state = State.promote(step.state, step.now)
  const { run } = step.state
  const reply = head.phase === "staged" && run !== null
    ? closeRun(step, { _tag: "cancel", runId: run.id, reason }, limits)
    : cancelWaiting(step, head, reason)
  if (State.hasReady(step.state)) step.wake("wake_loop")
  return reply
}

const cancelWaiting = (step: Step, head: InputHead, reason: string): CloseReply => {
  step.abandon(head, { _tag: "cancelled", reason })
  if (head.receipt === null) dissolve(step, head.batch)
  return { requeued: [], abandoned: [head.id] }
}

/** An operator holds an input that waits; its whole batch waits with it. */
export const holdInput =
  (command: { readonly inputId: InputId; readonly reason: HoldReason; readonly until: number | null }): Decide<
    void,
    UnknownInput
  > =>
  (state, stamp, now) => {
    const step = new Step(state, stamp, now)
    const found = whole(state, command.inputId, (head) => head.phase === "queued")
    if (Either.isLeft(found)) return Either.left(found.left)
    for (const head of found.right) {
      step.move(head, "hold", { hold: command.reason, readyAt: command.until })
      step.emit({ _tag: "input.held", inputId: head.id, reason: command.reason, until: command.until })
    }
    // The earliest time at which something is ready may have changed.
    if (command.until !== null) step.wake("wake_loop")
    return Either.right(step.finish(undefined))
  }

/** Makes a held input ready, with its batch. */
export const release = (inputId: InputId): Decide<void, UnknownInput> => (state, stamp, now) => {
  const step = new Step(state, stamp, now)
  const found = whole(state, inputId, (head) => head.phase === "held")
  if (Either.isLeft(found)) return Either.left(found.left)
  releaseAll(step, found.right)
  return Either.right(step.finish(undefined))
}

/** A whole batch that is held, or an input without one. */
export const releaseAll = (step: Step, held: ReadonlyArray<InputHead>): void => {
  for (const head of held) {
    // A delay that the sender asked for outlasts the hold.
    const delayed = head.deliverAt !== null && head.deliverAt > step.now
    requeue(step, head.hold === "in_doubt" ? decided(head) : head, { readyAt: delayed ? head.deliverAt : null })
    step.emit({ _tag: "input.released", inputId: head.id })
  }
  dropReplaced(step, held)
  step.wake("wake_loop")
}

/** Who releases it has decided the doubt: it is tried again as if the lost run had not been, and asked about no more. */
const decided = (head: InputHead): InputHead =>
  isLost(head.failure) ? { ...head, failure: null, attempt: Math.max(0, head.attempt - 1) } : head

const whole = (
  state: State.DriverState,
  inputId: InputId,
  fits: (head: InputHead) => boolean
): Either.Either<ReadonlyArray<InputHead>, UnknownInput> => {
  const head = State.get(state, inputId)
  if (head === undefined || !fits(head)) {
    return Either.left(new UnknownInput({ runtimeId: state.runtimeId, inputId, phase: head?.phase ?? null }))
  }
  return Either.right(head.batch === null ? [head] : State.members(state, head.batch))
}

/** Ends every input that waits. What a run has staged is the run's. */
export const abandonWaiting = (step: Step, reason: AbandonReason): number => {
  const waiting = State.activeHeads(step.state).filter((head) => head.phase !== "staged")
  for (const head of waiting) step.abandon(head, reason)
  return waiting.length
}
