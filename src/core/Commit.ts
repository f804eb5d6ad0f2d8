/**
 * The write set of one runtime, sealed: only the core makes one, and no entry point exports this file. What is checked
 * here before a write is checked again by the codecs after the read.
 */
import type { InputId, RuntimeId, Stamp } from "../schema/Ids.js"
import type { InputHead } from "../schema/InputState.js"
import { isTerminal } from "../schema/InputState.js"
import type { OpsSnapshot } from "../schema/Ops.js"
import type { Note, OpenRun, Receipt } from "../schema/Run.js"
import type { LifecycleRecord } from "../schema/Runtime.js"
import type { EventRecord } from "../schema/RuntimeEvent.js"
import type { SessionHead, TranscriptRewriteCommit } from "../schema/Session.js"
import type { MessageRow } from "./Rows.js"

declare const sealed: unique symbol

/** One input as it is to be stored: with its encoded payload when it is new, the head alone afterwards. */
export interface InputStateRecord {
  readonly [sealed]: "InputStateRecord"
  readonly head: InputHead
  readonly payload: string | null
}

/** A runtime's lifecycle as it is to be stored, the open run included. */
export interface MachineLifecycleCommit {
  readonly [sealed]: "MachineLifecycleCommit"
  readonly record: LifecycleRecord
  readonly run: OpenRun | null
}

/** A change of the session, with the digests that the core has taken. */
export interface SessionWrite {
  readonly parent: SessionHead
  readonly after: SessionHead
  readonly keep: number
  readonly append: ReadonlyArray<MessageRow>
  readonly snapshot: Uint8Array | null | undefined
  readonly expected: Uint8Array | null | undefined
  readonly rewrite: TranscriptRewriteCommit | null
}

export interface BoundaryWrite {
  readonly after: number
  readonly receipt: Receipt
  /** The typed result, encoded by whoever knows its schema. */
  readonly result: string | null
}

/** An input for the owner of `runtimeId` to admit: what waits was written with a commit, and is admitted after it. */
export interface Deposit {
  /** The target, which may not exist yet. */
  readonly runtimeId: RuntimeId
  readonly inputId: InputId
  readonly at: number
  /** The input's body, encoded. */
  readonly payload: string
}

export interface Commit {
  readonly [sealed]: "Commit"
  readonly runtimeId: RuntimeId
  readonly stamp: Stamp
  readonly lifecycle: MachineLifecycleCommit | null
  readonly inputs: ReadonlyArray<InputStateRecord>
  readonly session: SessionWrite | null
  readonly boundary: BoundaryWrite | null
  readonly notes: ReadonlyArray<Note>
  readonly events: ReadonlyArray<EventRecord>
  readonly ops: OpsSnapshot | null | undefined
  readonly deposits: ReadonlyArray<Deposit>
}

type Parts = Omit<Commit, typeof sealed | "runtimeId" | "stamp">

const nothing: Parts = {
  lifecycle: null,
  inputs: [],
  session: null,
  boundary: null,
  notes: [],
  events: [],
  ops: undefined,
  deposits: []
}

export const make = (runtimeId: RuntimeId, stamp: Stamp, parts: Partial<Parts>): Commit =>
  ({ ...nothing, ...parts, runtimeId, stamp }) as Commit

export const inputRecord = (head: InputHead, payload: string | null): InputStateRecord => {
  if (isTerminal(head) !== (head.outcome !== null) || (head.outcome !== null && head.outcome._tag !== head.phase)) {
    throw new Error(`input ${head.id}: phase ${head.phase} does not agree with outcome ${head.outcome?._tag ?? "none"}`)
  }
  return { head, payload } as InputStateRecord
}

export const lifecycle = (record: LifecycleRecord, run: OpenRun | null): MachineLifecycleCommit =>
  ({ record, run }) as MachineLifecycleCommit

export const isEmpty = (commit: Commit): boolean =>
  commit.lifecycle === null && commit.inputs.length === 0 && commit.session === null && commit.boundary === null &&
  commit.notes.length === 0 && commit.events.length === 0 && commit.ops === undefined &&
  commit.deposits.length === 0

/**
 * Two commits of one driver as one: the later state of an input wins, and keeps the payload of its insert. Boundaries
 * and session writes are committed alone, so they never meet here.
 */
export const combine = (a: Commit, b: Commit): Commit => {
  const inputs = new Map(a.inputs.map((record) => [record.head.id, record]))
  for (const record of b.inputs) {
    inputs.set(record.head.id, { ...record, payload: record.payload ?? inputs.get(record.head.id)?.payload ?? null })
  }
  return make(a.runtimeId, b.stamp, {
    lifecycle: b.lifecycle ?? a.lifecycle,
    inputs: [...inputs.values()],
    session: b.session ?? a.session,
    boundary: b.boundary ?? a.boundary,
    notes: a.notes.length === 0 ? b.notes : [...a.notes, ...b.notes],
    events: [...a.events, ...b.events],
    ops: b.ops === undefined ? a.ops : b.ops,
    deposits: b.deposits.length === 0 ? a.deposits : [...a.deposits, ...b.deposits]
  })
}
