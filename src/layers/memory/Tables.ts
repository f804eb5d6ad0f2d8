/**
 * The rows of a store in memory, and the one way to change them: every change goes into a journal that can take it back
 * and make it again. A transaction that is still open is a journal whose changes are taken back.
 */
import * as Either from "effect/Either"
import { type Facts, judge } from "../../core/Guard.js"
import type {
  BoundaryRow,
  DepositRow,
  EventRow,
  HeadRow,
  InputHeadRow,
  InputRow,
  KnownRow,
  MessageRow,
  NoteRow,
  Outcome,
  Rows,
  RuntimeColumns,
  SessionHeadRow,
  SessionRows
} from "../../core/Rows.js"
import { committed } from "../../core/Rows.js"
import type { Loaded, StoredDepositRow, StoredRuntime } from "../../services/RuntimeStoreEncoded.js"

/** Of the commit that wrote the row last. */
interface Stamp {
  readonly epoch: number
  readonly n: number
}

export interface Stamped<A> {
  readonly row: A
  readonly stamp: Stamp
}

export interface Receipt {
  readonly digest: string
  readonly receipt: string
  readonly result: string | null
}

/** A map whose keys can be walked in order. Cheap where keys mostly grow, as numbers of a runtime do. */
export class Ordered<K extends number | string, V> {
  private readonly keys: Array<K> = []
  private readonly values = new Map<K, V>()

  get last(): K | undefined {
    return this.keys.at(-1)
  }
  get(key: K): V | undefined {
    return this.values.get(key)
  }
  set(key: K, value: V): void {
    if (!this.values.has(key)) {
      const last = this.last
      if (last === undefined || last < key) this.keys.push(key)
      else this.keys.splice(this.behind(key), 0, key)
    }
    this.values.set(key, value)
  }
  delete(key: K): void {
    if (this.values.delete(key)) this.keys.splice(this.behind(key) - 1, 1)
  }
  /** From the first key behind `key`, from the very first for `null`. */
  *after(key: K | null): Generator<readonly [key: K, value: V]> {
    for (let at = key === null ? 0 : this.behind(key); at < this.keys.length; at++) {
      const next = this.keys[at] as K
      yield [next, this.values.get(next) as V]
    }
  }
  /** The position of the first key that is greater. */
  private behind(key: K): number {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.keys[middle] as K) <= key) low = middle + 1
      else high = middle
    }
    return low
  }
}

export class Runtime {
  row: StoredRuntime | null = null
  session: Stamped<SessionHeadRow> | null = null
  snapshot: Uint8Array | null = null
  ops: string | null = null
  readonly inputs = new Map<string, Stamped<InputHeadRow>>()
  /** Apart from the heads: a move leaves them alone, and recovery does not read them. */
  readonly payloads = new Map<string, string>()
  readonly idsByKey = new Map<string, string>()
  /** Ids in admission order: of all inputs, and of those without an outcome. */
  readonly admitted = new Ordered<number, string>()
  readonly active = new Ordered<number, string>()
  readonly receipts = new Map<string, Stamped<Receipt>>()
  readonly messages: Array<MessageRow> = []
  readonly rewrites: Array<string> = []
  readonly notes = new Map<string, Map<string, NoteRow>>()
  readonly events = new Ordered<number, Stamped<EventRow>>()
}

export class Tables {
  readonly runtimes = new Ordered<string, Runtime>()
  readonly cells = new Map<string, Uint8Array>()
  /** Which runtimes have active inputs that get ready at a time, by the inputs' names. */
  readonly ready = new Ordered<number, Map<string, string>>()
  readonly deposits = new Ordered<number, StoredDepositRow>()
  private lastDeposit = 0

  /** Not a part of any transaction: one that is taken back has used up its numbers. */
  nextDeposit(): number {
    return ++this.lastDeposit
  }

  /** An empty one, not yet in the table, when there is none. */
  runtime(runtimeId: string): Runtime {
    return this.runtimes.get(runtimeId) ?? new Runtime()
  }
}

interface Change {
  readonly redo: () => void
  readonly undo: () => void
}
export type Journal = Array<Change>

export const redo = (journal: Journal): void => {
  for (const change of journal) change.redo()
}

export const undo = (journal: Journal): void => {
  for (let at = journal.length - 1; at >= 0; at--) journal[at]?.undo()
}

const make = (journal: Journal, change: Change): void => {
  change.redo()
  journal.push(change)
}

interface Keyed<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): unknown
  delete(key: K): unknown
}

export const put = <K, V>(journal: Journal, table: Keyed<K, V>, key: K, value: V): void => {
  const before = table.get(key)
  make(journal, {
    redo: () => table.set(key, value),
    undo: () => before === undefined ? table.delete(key) : table.set(key, before)
  })
}

export const remove = <K, V>(journal: Journal, table: Keyed<K, V>, key: K): void => {
  const before = table.get(key)
  if (before !== undefined) make(journal, { redo: () => table.delete(key), undo: () => table.set(key, before) })
}

const assign = <T, F extends keyof T>(journal: Journal, target: T, field: F, value: T[F]): void => {
  const before = target[field]
  make(journal, {
    redo: () => {
      target[field] = value
    },
    undo: () => {
      target[field] = before
    }
  })
}

const replaceTail = <A>(journal: Journal, list: Array<A>, keep: number, tail: ReadonlyArray<A>): void => {
  const before = list.slice(keep)
  const start = list.length - before.length
  const end = (items: ReadonlyArray<A>) => {
    list.length = start
    for (const item of items) list.push(item)
  }
  make(journal, { redo: () => end(tail), undo: () => end(before) })
}

/** A `Buffer`'s own `slice` does not copy. */
export const copyBytes = (bytes: Uint8Array | null): Uint8Array | null => bytes && new Uint8Array(bytes)

const boundaryKey = (runId: string, sequence: number): string => `${runId}/${sequence}`

export const receiptAt = (runtime: Runtime, runId: string, sequence: number): Stamped<Receipt> | undefined =>
  runtime.receipts.get(boundaryKey(runId, sequence))

const factsOf = (runtime: Runtime, { boundary, notes }: Rows): Facts => ({
  runtime: runtime.row,
  receiptDigest: boundary && (receiptAt(runtime, boundary.runId, boundary.after + 1)?.row.digest ?? null),
  contributorsStaged: boundary === null ? 0 : stagedOf(runtime, boundary),
  session: runtime.session && runtime.session.row,
  snapshot: runtime.snapshot,
  notes: notes.flatMap(({ key, scope }) => runtime.notes.get(scope)?.get(key) ?? [])
})

/** Inputs, not mentions: one that is named twice is counted once, as rows are. */
const stagedOf = (runtime: Runtime, { contributors, runId }: BoundaryRow): number => {
  let staged = 0
  for (const inputId of new Set(contributors)) {
    const head = runtime.inputs.get(inputId)?.row
    if (head?.phase === "staged" && head.runId === runId) staged += 1
  }
  return staged
}

export const knownOf = (
  runtime: Runtime,
  inputIds: Iterable<string>,
  keys: Iterable<string>
): ReadonlyArray<KnownRow> => {
  const found = new Set(inputIds)
  for (const key of keys) {
    const inputId = runtime.idsByKey.get(key)
    if (inputId !== undefined) found.add(inputId)
  }
  const heads = Array.from(found, (inputId) => runtime.inputs.get(inputId)?.row).filter((head) => head !== undefined)
  return heads.sort((a, b) => a.sequence - b.sequence).map(({ idempotencyKey, inputId, payloadDigest, sequence }) => ({
    inputId,
    idempotencyKey,
    payloadDigest,
    sequence
  }))
}

/**
 * What a unique index or a missing row would make of the write: found before the first change, so that a write set is
 * written whole or not at all.
 */
const problemOf = (runtime: Runtime, { events, inserts, moves, notes }: Rows): string | undefined => {
  const inserted = new Set<string>()
  const unique = new Set<string>()
  const taken = (kind: string, ...name: ReadonlyArray<string | number>): boolean => {
    const key = JSON.stringify([kind, ...name])
    return unique.size === unique.add(key).size
  }
  for (const { idempotencyKey, inputId, sequence } of inserts) {
    inserted.add(inputId)
    if (taken("id", inputId)) return `input ${inputId} is inserted twice`
    if (idempotencyKey !== null && taken("key", idempotencyKey)) return `key ${idempotencyKey} is inserted twice`
    if (taken("sequence", sequence) || runtime.admitted.get(sequence) !== undefined) {
      return `admission number ${sequence} is in use`
    }
  }
  for (const { inputId } of moves) {
    if (!runtime.inputs.has(inputId) && !inserted.has(inputId)) return `there is no input ${inputId} to move`
  }
  for (const { number } of events) {
    if (taken("event", number) || runtime.events.get(number) !== undefined) return `event number ${number} is in use`
  }
  for (const { key, scope } of notes) {
    if (taken("note", scope, key)) return `note ${key} of ${scope} is inserted twice`
  }
  return undefined
}

/** Puts an input where the timer finds it, or takes it away. */
const schedule = (
  journal: Journal,
  { ready }: Tables,
  runtimeId: string,
  before: InputHeadRow | undefined,
  now: InputHeadRow
): void => {
  const name = `${now.sequence}/${runtimeId}`
  const from = before?.readyAt ?? null
  const to = now.outcome === null ? now.readyAt : null
  if (from === to) return
  const left = from === null ? undefined : ready.get(from)
  if (from !== null && left !== undefined) {
    remove(journal, left, name)
    if (left.size === 0) remove(journal, ready, from)
  }
  if (to === null) return
  const joined = ready.get(to) ?? new Map<string, string>()
  if (joined.size === 0) put(journal, ready, to, joined)
  put(journal, joined, name, runtimeId)
}

const insertInput = (journal: Journal, runtime: Runtime, { payload, ...row }: InputRow, stamp: Stamp): void => {
  put(journal, runtime.inputs, row.inputId, { row, stamp })
  put(journal, runtime.payloads, row.inputId, payload)
  if (row.idempotencyKey !== null) put(journal, runtime.idsByKey, row.idempotencyKey, row.inputId)
  put(journal, runtime.admitted, row.sequence, row.inputId)
  if (row.outcome === null) put(journal, runtime.active, row.sequence, row.inputId)
}

const moveInput = (journal: Journal, runtime: Runtime, move: HeadRow, stamp: Stamp): void => {
  const before = runtime.inputs.get(move.inputId)?.row
  if (before === undefined) return
  const row: InputHeadRow = {
    ...before,
    phase: move.phase,
    attempt: move.attempt,
    stagings: move.stagings,
    batchId: move.batchId,
    runId: move.runId,
    receiptRunId: move.receiptRunId,
    receiptSequence: move.receiptSequence,
    readyAt: move.readyAt,
    hold: move.hold,
    recorded: move.recorded,
    awaits: move.awaits,
    outcome: move.outcome,
    failure: move.failure,
    updatedAt: move.updatedAt
  }
  put(journal, runtime.inputs, row.inputId, { row, stamp })
  if (row.outcome !== null) remove(journal, runtime.active, row.sequence)
  else put(journal, runtime.active, row.sequence, row.inputId)
}

const writeSession = (journal: Journal, runtime: Runtime, session: SessionRows, stamp: Stamp): void => {
  const { length, revision, version } = session.after
  assign(journal, runtime, "session", { row: { sessionId: session.sessionId, revision, version, length }, stamp })
  replaceTail(journal, runtime.messages, session.keep, session.append)
  if (session.snapshot !== undefined) assign(journal, runtime, "snapshot", copyBytes(session.snapshot))
  if (session.rewrite !== null) replaceTail(journal, runtime.rewrites, runtime.rewrites.length, [session.rewrite])
}

export const putDeposits = (journal: Journal, tables: Tables, deposits: ReadonlyArray<DepositRow>): void => {
  for (const { at, inputId, payload, runtimeId } of deposits) {
    const no = tables.nextDeposit()
    put(journal, tables.deposits, no, { no, runtimeId, inputId, at, payload, failure: null })
  }
}

const writeAll = (journal: Journal, tables: Tables, runtime: Runtime, rows: Rows): void => {
  const stamp: Stamp = { epoch: rows.epoch, n: rows.n }
  if (rows.runtime !== null) assign(journal, runtime, "row", rowOf(rows.runtime, rows))
  for (const insert of rows.inserts) {
    insertInput(journal, runtime, insert, stamp)
    schedule(journal, tables, rows.runtimeId, undefined, insert)
  }
  for (const move of rows.moves) {
    const before = runtime.inputs.get(move.inputId)?.row
    moveInput(journal, runtime, move, stamp)
    const now = runtime.inputs.get(move.inputId)?.row
    if (now !== undefined) schedule(journal, tables, rows.runtimeId, before, now)
  }
  if (rows.session !== null) writeSession(journal, runtime, rows.session, stamp)
  if (rows.boundary !== null) {
    const { after, digest, receipt, result, runId } = rows.boundary
    put(journal, runtime.receipts, boundaryKey(runId, after + 1), { row: { digest, receipt, result }, stamp })
  }
  for (const note of rows.notes) {
    if (!runtime.notes.has(note.scope)) put(journal, runtime.notes, note.scope, new Map())
    const scope = runtime.notes.get(note.scope)
    if (scope !== undefined) put(journal, scope, note.key, note)
  }
  for (const row of rows.events) put(journal, runtime.events, row.number, { row, stamp })
  if (rows.ops !== undefined) assign(journal, runtime, "ops", rows.ops)
  putDeposits(journal, tables, rows.deposits)
}

const rowOf = (
  columns: RuntimeColumns,
  { claimId, epoch, n }: Pick<Rows, "claimId" | "epoch" | "n">
): StoredRuntime => ({
  state: columns.state,
  record: columns.record,
  runId: columns.runId,
  runBatch: columns.runBatch,
  runSequence: columns.runSequence,
  runOpenedAt: columns.runOpenedAt,
  epoch,
  claimId,
  n
})

/** Judges, then writes. On the left, and for every outcome but `Committed`, nothing was written. */
export const write = (tables: Tables, rows: Rows, journal: Journal): Either.Either<Outcome, Error> => {
  const runtime = tables.runtime(rows.runtimeId)
  const said = judge(rows, factsOf(runtime, rows))
  if (said !== undefined) return Either.right(said)
  const known = knownOf(
    runtime,
    rows.inserts.map(({ inputId }) => inputId),
    rows.inserts.flatMap(({ idempotencyKey }) => idempotencyKey ?? [])
  )
  if (known.length > 0) return Either.right({ _tag: "Refused", by: { _tag: "KnownInput", known } })
  const problem = problemOf(runtime, rows)
  if (problem !== undefined) return Either.left(new Error(`runtime ${rows.runtimeId}: ${problem}`))
  writeAll(journal, tables, runtime, rows)
  return Either.right(committed)
}

export const load = (runtime: Runtime): Loaded => {
  const inputs: Array<InputHeadRow> = []
  const receipts = new Set<string>()
  for (const [, inputId] of runtime.active.after(null)) {
    const head = runtime.inputs.get(inputId)?.row
    if (head === undefined) continue
    inputs.push(head)
    if (head.receiptRunId === null || head.receiptSequence === null) continue
    const key = boundaryKey(head.receiptRunId, head.receiptSequence)
    if (runtime.receipts.has(key)) receipts.add(key)
  }
  return {
    runtime: runtime.row,
    session: runtime.session && runtime.session.row,
    inputs,
    lastSequence: Math.max(runtime.events.last ?? 0, runtime.active.last ?? 0),
    receipts
  }
}

/** The token of a runtime's new owner. The row is created with `columns` when there is none. */
export const claim = (
  tables: Tables,
  rows: Rows & { readonly runtime: RuntimeColumns },
  token: { readonly runtimeId: string; readonly epoch: number; readonly claimId: string },
  journal: Journal
): void => {
  const runtime = tables.runtime(token.runtimeId)
  put(journal, tables.runtimes, token.runtimeId, runtime)
  assign(journal, runtime, "row", rowOf(runtime.row ?? rows.runtime, { ...token, n: rows.n }))
}
