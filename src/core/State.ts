/**
 * What a driver knows of its runtime: heads of active inputs, and indexes over them that are derived from the heads by
 * `put` alone. Immutable; a change shares what it does not touch.
 */
import * as Data from "effect/Data"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as SortedMap from "effect/SortedMap"
import type { BatchId, IdempotencyKey, InputId, RuntimeId, Stamp } from "../schema/Ids.js"
import { type Awaited, type InputHead, isTerminal } from "../schema/InputState.js"
import type { OpenRun } from "../schema/Run.js"
import type { BindingFacts, LifecyclePhase, LifecycleRecord, RuntimeState } from "../schema/Runtime.js"
import type { SessionHead } from "../schema/Session.js"

/**
 * Where ready inputs wait. Members of an interrupted batch have a line of their own, before all others. What rides along
 * has one too, which is never work by itself.
 */
type Line = "interrupted" | "queue" | "steer" | "riding"

interface WaitKey {
  readonly at: number
  readonly sequence: number
}

/** Keys are looked up by `Equal`, not by the order alone: a plain object would never be found again. */
const waitKey = (at: number, sequence: number): WaitKey => Data.struct({ at, sequence })

const byTime: Order.Order<WaitKey> = Order.combine(
  Order.mapInput(Order.number, (key: WaitKey) => key.at),
  Order.mapInput(Order.number, (key: WaitKey) => key.sequence)
)

export interface DriverState {
  readonly runtimeId: RuntimeId
  readonly stamp: Stamp
  readonly phase: LifecyclePhase
  readonly paused: boolean
  /** A fact of this process; not stored. */
  readonly attached: boolean
  readonly binding: BindingFacts
  readonly silentIntents: ReadonlyArray<string>
  readonly session: SessionHead | null
  readonly run: OpenRun | null
  /** The next event's number, and so the next input's place. */
  readonly nextSequence: number
  readonly active: HashMap.HashMap<InputId, InputHead>
  readonly byKey: HashMap.HashMap<IdempotencyKey, InputId>
  /** The active inputs of each supersession scope; the newest is the one that a newer one replaces. */
  readonly byScope: HashMap.HashMap<string, SortedMap.SortedMap<number, InputId>>
  /** The active inputs whose batch waits for an operation, by its name. */
  readonly byOperation: HashMap.HashMap<string, SortedMap.SortedMap<number, InputId>>
  readonly batches: HashMap.HashMap<BatchId, SortedMap.SortedMap<number, InputId>>
  /** Staged under the open run. */
  readonly staged: SortedMap.SortedMap<number, InputId>
  readonly lines: { readonly [L in Line]: SortedMap.SortedMap<number, InputId> }
  /** Not ready before a time: backoff, `deliverAt`, holds with a deadline. `promote` moves them into their line. */
  readonly waiting: SortedMap.SortedMap<WaitKey, InputId>
  /** The same of what rides along. When its time comes there is nothing more to do than before. */
  readonly ridersWaiting: SortedMap.SortedMap<WaitKey, InputId>
}

const emptyLine = SortedMap.empty<number, InputId>(Order.number)
const nobodyWaits = SortedMap.empty<WaitKey, InputId>(byTime)

export const make = (
  runtimeId: RuntimeId,
  stamp: Stamp,
  record: LifecycleRecord,
  phase: LifecyclePhase,
  session: SessionHead | null,
  nextSequence: number
): DriverState => ({
  runtimeId,
  stamp,
  phase,
  paused: record.paused,
  attached: false,
  binding: record.binding,
  silentIntents: record.silentIntents,
  session,
  run: null,
  nextSequence,
  active: HashMap.empty(),
  byKey: HashMap.empty(),
  byScope: HashMap.empty(),
  byOperation: HashMap.empty(),
  batches: HashMap.empty(),
  staged: emptyLine,
  lines: { interrupted: emptyLine, queue: emptyLine, steer: emptyLine, riding: emptyLine },
  waiting: nobodyWaits,
  ridersWaiting: nobodyWaits
})

export const get = (state: DriverState, id: InputId): InputHead | undefined =>
  Option.getOrUndefined(HashMap.get(state.active, id))

/** What the world is told the state is. */
export const runtimeState = (state: DriverState): RuntimeState =>
  state.phase !== "idle" ? state.phase : state.run !== null ? "running" : state.attached ? "attached" : "idle"

/** `attached` is a fact of the process and stored as idle. */
export const storedState = (state: DriverState): RuntimeState => {
  const seen = runtimeState(state)
  return seen === "attached" ? "idle" : seen
}

export const record = (state: DriverState): LifecycleRecord => ({
  record_version: 1,
  runtimeState: storedState(state),
  paused: state.paused,
  silentIntents: state.silentIntents,
  binding: state.binding
})

/** Inputs replace each other within (kind, supersession key); a runtime's state is one runtime already. */
export const scopeOf = (head: Pick<InputHead, "kind" | "supersessionKey">): string | undefined =>
  head.supersessionKey === null ? undefined : `${head.kind}\u0000${head.supersessionKey}`

/** It goes with others, and begins no run. */
const isRider = (head: InputHead): boolean => head.policy.apply === "ride_along"

const lineOf = (head: InputHead): Line =>
  head.batch !== null ? "interrupted" : isRider(head) ? "riding" : head.lane ?? "queue"

const waitingFor = (line: Line): "waiting" | "ridersWaiting" => line === "riding" ? "ridersWaiting" : "waiting"

/** The place that a head has by what it says of itself; ready places are taken as soon as `readyAt` is past. */
type Place =
  | { readonly _tag: "none" }
  | { readonly _tag: "staged" }
  | { readonly _tag: "line"; readonly line: Line }
  | { readonly _tag: "waiting"; readonly at: number }

const none: Place = { _tag: "none" }

const placeOf = (head: InputHead): Place => {
  switch (head.phase) {
    case "staged":
      return { _tag: "staged" }
    case "queued":
      return head.readyAt === null ? { _tag: "line", line: lineOf(head) } : { _tag: "waiting", at: head.readyAt }
    case "held":
      return head.readyAt === null ? none : { _tag: "waiting", at: head.readyAt }
    default:
      return none
  }
}

const inLine = (
  state: DriverState,
  line: Line,
  change: (lane: SortedMap.SortedMap<number, InputId>) => SortedMap.SortedMap<number, InputId>
): DriverState => ({ ...state, lines: { ...state.lines, [line]: change(state.lines[line]) } })

const leave = (state: DriverState, head: InputHead): DriverState => {
  const place = placeOf(head)
  switch (place._tag) {
    case "none":
      return state
    case "staged":
      return { ...state, staged: SortedMap.remove(state.staged, head.sequence) }
    case "line":
      return inLine(state, place.line, SortedMap.remove(head.sequence))
    case "waiting": {
      // It may have been promoted since: it is in one of the two.
      const line = lineOf(head)
      const waiting = waitingFor(line)
      return inLine(
        { ...state, [waiting]: SortedMap.remove(state[waiting], waitKey(place.at, head.sequence)) },
        line,
        SortedMap.remove(head.sequence)
      )
    }
  }
}

const enter = (state: DriverState, head: InputHead): DriverState => {
  const place = placeOf(head)
  switch (place._tag) {
    case "none":
      return state
    case "staged":
      return { ...state, staged: SortedMap.set(state.staged, head.sequence, head.id) }
    case "line":
      return inLine(state, place.line, SortedMap.set(head.sequence, head.id))
    case "waiting": {
      const waiting = waitingFor(lineOf(head))
      return { ...state, [waiting]: SortedMap.set(state[waiting], waitKey(place.at, head.sequence), head.id) }
    }
  }
}

type Members<K> = HashMap.HashMap<K, SortedMap.SortedMap<number, InputId>>

const member = <K>(groups: Members<K>, group: K, head: InputHead, present: boolean): Members<K> => {
  const ids = Option.getOrElse(HashMap.get(groups, group), () => emptyLine)
  const next = present ? SortedMap.set(ids, head.sequence, head.id) : SortedMap.remove(ids, head.sequence)
  return SortedMap.size(next) === 0 ? HashMap.remove(groups, group) : HashMap.set(groups, group, next)
}

const inBatch = (state: DriverState, head: InputHead, present: boolean): DriverState =>
  head.batch === null ? state : { ...state, batches: member(state.batches, head.batch, head, present) }

const inScope = (state: DriverState, head: InputHead): DriverState => {
  const scope = scopeOf(head)
  return scope === undefined ? state : { ...state, byScope: member(state.byScope, scope, head, !isTerminal(head)) }
}

const nothing: ReadonlyArray<Awaited> = []

/** A head that is moved keeps its list: only one that waits for something else is looked into. */
const inOperations = (state: DriverState, before: InputHead | undefined, head: InputHead): DriverState => {
  const left = before?.awaits ?? nothing
  const entered = isTerminal(head) ? nothing : head.awaits
  if (left === entered || left.length + entered.length === 0) return state
  const stays = new Set(entered.map(({ operationId }) => operationId))
  const was = new Set(left.map(({ operationId }) => operationId))
  let { byOperation } = state
  for (const name of was) if (!stays.has(name)) byOperation = member(byOperation, name, head, false)
  for (const name of stays) if (!was.has(name)) byOperation = member(byOperation, name, head, true)
  return { ...state, byOperation }
}

/** The newest active input of a scope. */
export const newestOf = (state: DriverState, scope: string): InputHead | undefined =>
  Option.getOrUndefined(
    HashMap.get(state.byScope, scope).pipe(
      Option.flatMap(SortedMap.lastOption),
      Option.flatMap(([, id]) => HashMap.get(state.active, id))
    )
  )

/** The one place where a head enters, changes or leaves the state. Terminal heads leave it. */
export const put = (state: DriverState, head: InputHead): DriverState => {
  const before = get(state, head.id)
  const cleared = before === undefined ? state : inBatch(leave(state, before), before, false)
  const scoped = inScope(inOperations(cleared, before, head), head)
  if (isTerminal(head)) {
    return {
      ...scoped,
      active: HashMap.remove(scoped.active, head.id),
      byKey: head.key === null ? scoped.byKey : HashMap.remove(scoped.byKey, head.key)
    }
  }
  return inBatch(
    enter({
      ...scoped,
      active: HashMap.set(scoped.active, head.id, head),
      byKey: head.key === null ? scoped.byKey : HashMap.set(scoped.byKey, head.key, head.id)
    }, head),
    head,
    true
  )
}

/** Moves what has become ready into its line. Derived from the clock alone: no row changes. */
export const promote = (state: DriverState, now: number): DriverState => {
  let next = state
  for (const waiting of ["waiting", "ridersWaiting"] as const) {
    for (const [key, id] of state[waiting]) {
      if (key.at > now) break
      const head = get(next, id)
      next = { ...next, [waiting]: SortedMap.remove(next[waiting], key) }
      if (head !== undefined) next = inLine(next, lineOf(head), SortedMap.set(head.sequence, id))
    }
  }
  return next
}

/** The time at which there is more to do: the earliest waiting input is ready; `null` if none waits for a time. */
export const nextReadyAt = (state: DriverState): number | null =>
  Option.match(SortedMap.headOption(state.waiting), { onNone: () => null, onSome: ([key]) => key.at })

/** Not ready before a time that has not come, as far as `promote` has been told. */
export const isWaiting = (state: DriverState, head: InputHead): boolean =>
  head.readyAt !== null && SortedMap.has(state[waitingFor(lineOf(head))], waitKey(head.readyAt, head.sequence))

/** Whether there is something to do. Riders alone are nothing. */
export const hasReady = (state: DriverState): boolean =>
  SortedMap.size(state.lines.interrupted) + SortedMap.size(state.lines.steer) + SortedMap.size(state.lines.queue) > 0

const heads = (state: DriverState, ids: Iterable<InputId>): ReadonlyArray<InputHead> => {
  const found: Array<InputHead> = []
  for (const id of ids) {
    const head = get(state, id)
    if (head !== undefined) found.push(head)
  }
  return found
}

/** In admission order. */
export const inLineOrder = (state: DriverState, line: Line): Iterable<InputHead> => {
  const iterate = function*() {
    for (const [, id] of state.lines[line]) {
      const head = get(state, id)
      if (head !== undefined) yield head
    }
  }
  return { [Symbol.iterator]: iterate }
}

/** Those that a batch was formed of; its riders, if they are all that is left. */
export const starters = (batch: ReadonlyArray<InputHead>): ReadonlyArray<InputHead> => {
  const found = batch.filter((head) => !isRider(head))
  return found.length === 0 ? batch : found
}

/** Riders in front, each part in admission order: so they were put together, and so they are each time. */
export const members = (state: DriverState, batch: BatchId): ReadonlyArray<InputHead> =>
  Option.match(HashMap.get(state.batches, batch), {
    onNone: () => [],
    onSome: (ids) => {
      const found = heads(state, SortedMap.values(ids))
      return found.some(isRider) ? [...found.filter(isRider), ...found.filter((head) => !isRider(head))] : found
    }
  })

/** The inputs whose batches wait for an operation, in admission order. */
export const awaiting = (state: DriverState, operationId: string): ReadonlyArray<InputHead> =>
  Option.match(HashMap.get(state.byOperation, operationId), {
    onNone: () => [],
    onSome: (ids) => heads(state, SortedMap.values(ids))
  })

/** What a batch's members have in common can be read off the first of those that it was formed of. */
export const firstOf = (state: DriverState, batch: BatchId): InputHead | undefined => {
  const ids = Option.getOrUndefined(HashMap.get(state.batches, batch))
  let first: InputHead | undefined
  for (const id of ids === undefined ? [] : SortedMap.values(ids)) {
    const head = get(state, id)
    if (head !== undefined && !isRider(head)) return head
    first ??= head
  }
  return first
}

/** The open run's batch, in order. */
export const batchOfRun = (state: DriverState): ReadonlyArray<InputHead> =>
  state.run === null ? [] : members(state, state.run.batch)

/** Steers and riders that were handed to the open run, in order: staged, and in no batch. */
export const delivered = (state: DriverState): ReadonlyArray<InputHead> =>
  heads(state, SortedMap.values(state.staged)).filter((head) => head.batch === null)

/** All active inputs in admission order. */
export const activeHeads = (state: DriverState): ReadonlyArray<InputHead> =>
  [...HashMap.values(state.active)].sort((a, b) => a.sequence - b.sequence)

export const activeCount = (state: DriverState): number => HashMap.size(state.active)

/** Steers that the open run's next checkpoint hands over, in order. Some of the lane only go with a run of their own. */
export const steers = (state: DriverState, max: number): ReadonlyArray<InputHead> => {
  const found: Array<InputHead> = []
  if (state.run === null) return found
  for (const head of inLineOrder(state, "steer")) {
    if (found.length === max) break
    if (head.policy.apply === "stage_run_boundary") found.push(head)
  }
  return found
}

/** What the open run's next checkpoint hands over, in order: its steers, and riders as far as there is room. */
export const toHandOver = (state: DriverState, max: number): ReadonlyArray<InputHead> => {
  const found = [...steers(state, max)]
  if (state.run === null) return found
  for (const head of inLineOrder(state, "riding")) {
    if (found.length >= max) break
    found.push(head)
  }
  return found.sort((a, b) => a.sequence - b.sequence)
}

/** Riders that nobody has taken along yet. Looks at all inputs. */
export const ridersLeft = (state: DriverState): number =>
  activeHeads(state).filter((head) => isRider(head) && head.batch === null && head.phase !== "staged").length

/** Whether an active input ends with the process. */
export const hasEphemeral = (state: DriverState): boolean =>
  HashMap.some(state.active, (head) => head.durability === "ephemeral")
