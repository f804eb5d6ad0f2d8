/**
 * Boundaries of the open run: `checkpoint`, `note` and `final` are one mechanism.
 *
 *                 batch       steers handed over before   ready steers     run       operations named
 *   note          stays       stay                        stay             open      waited for, unless they have ended
 *   checkpoint    stays       consumed                    handed over      open      waited for, unless they have ended
 *   final         consumed    consumed                    stay             closed    -
 */
import * as Either from "effect/Either"
import type { InputId, RunId, SessionId, Stamp } from "../schema/Ids.js"
import type { Awaited, InputHead } from "../schema/InputState.js"
import { canonical, type Json } from "../schema/Json.js"
import type { Limits } from "../schema/Limits.js"
import type { Note, Receipt } from "../schema/Run.js"
import type { SessionHead } from "../schema/Session.js"
import { ReceiptConflict, RunNotOpen, SequenceMismatch, SessionKeyMismatch } from "../schema/StoreError.js"
import { type Child, notesOf, unrecorded } from "./Children.js"
import type { Deposit } from "./Commit.js"
import { commitDigest, type Sha256 } from "./Digests.js"
import * as Session from "./Session.js"
import * as State from "./State.js"
import { Step, type Transition } from "./Step.js"

export type Kind = "checkpoint" | "note" | "final"

interface Rule {
  readonly consumes: ReadonlyArray<"batch" | "delivered">
  readonly handsOver: boolean
  readonly closes: boolean
}

const rules: { readonly [K in Kind]: Rule } = {
  note: { consumes: [], handsOver: false, closes: false },
  checkpoint: { consumes: ["delivered"], handsOver: true, closes: false },
  final: { consumes: ["batch", "delivered"], handsOver: false, closes: true }
}

export interface BoundaryCommand {
  readonly kind: Kind
  readonly runId: RunId
  /** The last boundary that the caller knows of; the one that the driver knows, if absent. */
  readonly after?: number
  readonly delta: Session.Delta
  /** The session to begin, if there is none. */
  readonly sessionId: SessionId
  readonly result: string | null
  readonly notes: ReadonlyArray<Note>
  /** What leaves with the commit. */
  readonly deposits?: ReadonlyArray<Deposit>
  /** Those of them that end with the batch. */
  readonly children?: ReadonlyArray<Child>
  /** Operations that the batch waits for from now on. */
  readonly awaits?: ReadonlyArray<Awaited>
}

/** What the driver gathered. */
export interface BoundaryFacts {
  /** What inputs become in the transcript, as canonical text; `null` for nothing. */
  readonly messages: ReadonlyMap<InputId, string | null>
  /** The one that an exact retry would find. */
  readonly receipt: Receipt | null
  /** Of the operations that the boundary names, those whose end is stored: it was admitted before anybody waited. */
  readonly ended: ReadonlySet<string>
  /** The children that the batch has sent before. Read when there are new ones. */
  readonly children: ReadonlyArray<Child>
}

export interface BoundaryReply {
  readonly receipt: Receipt
  /** The exact boundary was committed before; nothing was written. */
  readonly alreadyApplied: boolean
  /** The steers handed over: theirs is the time until the next checkpoint. */
  readonly delivered: ReadonlyArray<InputHead>
  readonly session: SessionHead | null
}

export type BoundaryRefusal = RunNotOpen | SequenceMismatch | ReceiptConflict | SessionKeyMismatch

export const boundary =
  (command: BoundaryCommand, facts: BoundaryFacts, env: { readonly sha256: Sha256; readonly limits: Limits }) =>
  (state: State.DriverState, stamp: Stamp, now: number): Either.Either<Transition<BoundaryReply>, BoundaryRefusal> => {
    const { runId } = command
    const { run, runtimeId } = state
    const step = new Step(State.promote(state, now), stamp, now)
    const last = run?.id === runId ? run.sequence : undefined
    const after = command.after ?? last ?? 0
    if (facts.receipt !== null && (last === undefined || after < last)) {
      const again = repeated(step, command, facts.receipt, env.sha256)
      // Who names no predecessor does not speak of the first boundary, but of the run, which is over.
      if (Either.isRight(again) || command.after !== undefined) return again
    }
    if (run === null || last === undefined) return Either.left(new RunNotOpen({ runtimeId, runId }))
    if (after !== last) return Either.left(new SequenceMismatch({ runtimeId, runId, after, last }))
    const { sessionId } = command.delta
    if (sessionId !== undefined && state.session !== null && state.session.id !== sessionId) {
      return Either.left(new SessionKeyMismatch({ runtimeId, expected: sessionId, actual: state.session.id }))
    }
    return Either.right(commit(step, command, facts, env))
  }

/** An exact retry names the same content on the same parent; the stored receipt says what that parent was. */
const repeated = (
  step: Step,
  command: BoundaryCommand,
  receipt: Receipt,
  sha256: Sha256
): Either.Either<Transition<BoundaryReply>, ReceiptConflict> =>
  digestOf(sha256, command, receipt) === receipt.commitDigest && receipt.boundary === command.kind
    ? Either.right(
      step.finish({
        receipt,
        alreadyApplied: true,
        delivered: stillHanded(step.state, receipt),
        session: step.state.session
      })
    )
    : Either.left(
      new ReceiptConflict({ runtimeId: step.state.runtimeId, runId: receipt.runId, sequence: receipt.sequence })
    )

/** Who repeats a checkpoint has not seen its steers, which the next boundary consumes. */
const stillHanded = (state: State.DriverState, receipt: Receipt): ReadonlyArray<InputHead> =>
  receipt.boundary === "checkpoint" && state.run?.id === receipt.runId && state.run.sequence === receipt.sequence
    ? State.delivered(state)
    : []

const digestOf = (
  sha256: Sha256,
  command: BoundaryCommand,
  receipt: Pick<Receipt, "runId" | "batchId" | "sequence" | "boundary" | "contributors" | "consumed" | "parent">
): string =>
  commitDigest(sha256, receipt, {
    messages: command.delta.append,
    replacement: command.delta.rewrite === undefined ? null : {
      ...command.delta.rewrite.selection,
      messages: command.delta.rewrite.replacement
    },
    snapshot: command.delta.snapshot,
    result: command.result,
    notes: [...command.notes, ...notesOf(receipt.batchId, command.children ?? [])].map((note) => noteText(note)),
    awaits: command.awaits ?? []
  })

const noteText = ({ key, scope, value }: Note): string =>
  Either.getOrElse(canonical([scope, key, value] as Json), () => `${scope}/${key}`)

const commit = (
  step: Step,
  command: BoundaryCommand,
  facts: BoundaryFacts,
  env: { readonly sha256: Sha256; readonly limits: Limits }
): Transition<BoundaryReply> => {
  const rule = rules[command.kind]
  const run = step.state.run!
  const batch = State.batchOfRun(step.state)
  const handed = State.delivered(step.state)
  const sequence = run.sequence + 1
  const consumed = [
    ...rule.consumes.includes("batch") ? batch : [],
    ...rule.consumes.includes("delivered") ? handed : []
  ]
  const contributors = [...batch, ...handed]

  const parent = step.state.session
  const recorded = contributors.filter((head) => !head.recorded && facts.messages.has(head.id))
  const said = recorded.flatMap((head) => facts.messages.get(head.id) ?? [])
  const start = command.delta.rewrite === undefined
    ? parent?.length ?? 0
    : command.delta.rewrite.selection.start + command.delta.rewrite.replacement.length +
      command.delta.rewrite.tail.length
  if (said.length > 0 || !Session.isEmpty(command.delta)) {
    const write = Session.write({
      sha256: env.sha256,
      parent: Session.parentOf(env.sha256, parent, command.delta.sessionId ?? command.sessionId),
      delta: command.delta,
      recorded: said,
      runId: run.id,
      now: step.now
    })
    step.changeSession(write)
    const event = Session.rewritten(command.delta, write)
    if (event !== undefined) step.emit(event)
  }
  const named = {
    runId: run.id,
    batchId: run.batch,
    boundary: command.kind,
    contributors: contributors.map((head) => head.id),
    consumed: consumed.map((head) => head.id),
    conversationDigest: step.state.session?.revision ?? null,
    messageCount: step.state.session?.length ?? 0,
    parent: parent && { revision: parent.revision, version: parent.version },
    sequence
  }
  const receipt: Receipt = { ...named, commitDigest: digestOf(env.sha256, command, named), at: step.now }
  step.boundary = { after: run.sequence, receipt, result: command.result }
  step.notes = [...command.notes, ...notesOf(run.batch, unrecorded(command.children ?? [], facts.children))]
  step.deposits = command.deposits ?? []

  markRecorded(step, recorded)
  if (!rule.closes) wait(step, command.awaits ?? [], facts.ended)
  for (const { id } of consumed) {
    step.end(State.get(step.state, id)!, "consume", { _tag: "consumed", runId: run.id, sequence })
  }
  const delivered = rule.handsOver ? handOver(step, run.id, env.limits) : []
  step.lifecycle({ run: rule.closes ? null : { ...run, sequence } })
  step.emit({
    _tag: "run.boundary",
    runId: run.id,
    sequence,
    boundary: command.kind,
    consumed: named.consumed,
    delivered: delivered.map((head) => head.id),
    messages: { start, end: Math.max(start, step.state.session?.length ?? 0) },
    revision: step.state.session?.revision ?? null
  })
  if (rule.closes && State.hasReady(step.state)) step.wake("wake_loop")
  return step.finish({ receipt, alreadyApplied: false, delivered, session: step.state.session })
}

/** Also what became no message: it was decided once, for all boundaries and attempts to come. */
const markRecorded = (step: Step, recorded: ReadonlyArray<InputHead>): void => {
  for (const head of recorded) step.amend(head, { recorded: true })
}

/** All members of a batch wait for the same. What has ended is not waited for: nobody would ever say so again. */
const wait = (step: Step, named: ReadonlyArray<Awaited>, ended: ReadonlySet<string>): void => {
  if (named.length === 0) return
  const batch = State.batchOfRun(step.state)
  const before = batch[0]?.awaits ?? []
  const known = new Set(before.map(({ operationId }) => operationId))
  const added = named.filter(({ operationId }) => !known.has(operationId) && !ended.has(operationId))
  // Whoever named it saw no end of it: there is one to look at now.
  if (ended.size > 0) step.wake("wake_loop")
  if (added.length === 0) return
  const awaits = [...before, ...added]
  for (const head of batch) step.amend(head, { awaits })
  for (const { operationId, until } of added) {
    step.emit({ _tag: "operation.awaited", runId: step.state.run!.id, operationId, until })
  }
}

/** Steers and riders that go into a running run. They count a staging, but no attempt: the attempt is the batch's. */
const handOver = (step: Step, runId: RunId, limits: Limits): ReadonlyArray<InputHead> =>
  State.toHandOver(step.state, limits.batchInputsMax).map((head) => {
    if (head.phase === "held") step.emit({ _tag: "input.released", inputId: head.id })
    return step.move(head, "stage", { run: runId, stagings: head.stagings + 1, readyAt: null, hold: null })
  })
