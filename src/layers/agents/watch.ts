/** What happens to a conversation, told from what happens in its runtime: each event is one thing said, or none. */
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { RuntimeId } from "../../schema/Ids.js"
import type { AbandonReason } from "../../schema/InputState.js"
import type { RuntimeEvent } from "../../schema/RuntimeEvent.js"
import type { EventsPruned, LoadError } from "../../schema/StoreError.js"
import type { How, Watched } from "../../services/Agents.js"
import type { Service as ControlPlane, Watched as Committed } from "../../services/ControlPlane.js"
import { nothingKept } from "../observer/await.js"
import * as Cursor from "../observer/Cursor.js"
import type { Store } from "../observer/Store.js"
import { questionOf } from "./questions.js"

type Told = Effect.Effect<Option.Option<Watched>, LoadError>

const tell = (watched: Watched): Told => Effect.succeedSome(watched)
const nothing: Told = Effect.succeedNone

const ended = (cursor: number, inputId: string, how: How): Told => tell({ _tag: "Ended", cursor, inputId, how })

/** How inputs end that were given up, the dead letters aside. */
const endOf: { readonly [R in AbandonReason["_tag"]]: How | "dead" } = {
  max_attempts_exhausted: "dead",
  failed: "dead",
  cancelled: "cancelled",
  retired: "dropped",
  reset: "dropped",
  stopped: "dropped",
  destroyed: "dropped",
  process_ended: "lost",
  outcome_unknown: "lost"
}

const ofEvent = (store: Store, runtimeId: string) => (cursor: number, event: RuntimeEvent): Told => {
  const question = (operationId: string, until: number | null) => questionOf(store, runtimeId, { operationId, until })
  switch (event._tag) {
    case "input.accepted":
      // News of work are no inputs of the agent's; an answer is told by what it ends.
      return event.kind === "operation"
        ? nothing
        : tell({ _tag: "Accepted", cursor, inputId: event.inputId })
    case "input.superseded":
    case "input.coalesced":
      return ended(cursor, event.inputId, "superseded")
    case "input.abandoned": {
      const how = endOf[event.reason._tag]
      return how === "dead"
        ? tell({ _tag: "Dead", cursor, inputId: event.inputId, error: event.failure ?? nothingKept })
        : ended(cursor, event.inputId, how)
    }
    case "input.held":
      return event.reason === "question" ? nothing : ended(cursor, event.inputId, "held")
    case "operation.awaited":
      return Effect.map(
        question(event.operationId, event.until),
        Option.map((question) => ({ _tag: "Asked", cursor, question }))
      )
    case "operation.ended":
      return event.how === "completed"
        ? Effect.map(
          question(event.operationId, null),
          Option.map(({ key, question }) => ({ _tag: "Answered", cursor, question, key }))
        )
        : nothing
    case "run.started":
      return tell({ _tag: "Started", cursor, runId: event.runId, attempt: event.attempt })
    case "run.failed":
      return tell({ _tag: "Failed", cursor, error: event.failure, retryAt: event.retryAt })
    default:
      return nothing
  }
}

type Boundary = Extract<RuntimeEvent, { readonly _tag: "run.boundary" }>

/** The end of a final boundary: it has a place behind all messages that the boundary appended. */
interface Final {
  readonly _tag: "final"
  readonly cursor: number
  /** The cursor of the last of these messages; of the event itself when there is none. */
  readonly last: number
  readonly boundary: Boundary
}

const finalOf = (number: number, event: RuntimeEvent): Final | undefined => {
  if (event._tag !== "run.boundary" || event.boundary !== "final") return undefined
  const count = Math.min(event.messages.end - event.messages.start, Cursor.MESSAGES_MAX)
  return {
    _tag: "final",
    cursor: Cursor.ofMessage(number, count),
    last: Cursor.ofMessage(number, count - 1),
    boundary: event
  }
}

type Seen = Committed | Final

/** Puts ends of final boundaries in their places; `pending` is the one whose place was not reached yet. */
const place = (pending: Final | undefined, seen: Committed): readonly [Final | undefined, ReadonlyArray<Seen>] => {
  if (seen._tag === "progress") return [pending, [seen]]
  // The last messages may be gone. What took them away is an event behind their own.
  const isPast = pending !== undefined && seen.cursor > pending.cursor
  const before = isPast ? [pending, seen] : [seen]
  const next = seen._tag === "event" ? finalOf(seen.cursor, seen.event) : isPast ? undefined : pending
  return next !== undefined && seen.cursor >= next.last ? [undefined, [...before, next]] : [next, before]
}

/** The end of the boundary that a cursor stands within: its event is not seen again. */
const resumed = (store: Store, runtimeId: string, after: number): Effect.Effect<Final | undefined, LoadError> => {
  const number = Cursor.eventOf(after)
  if (number === 0) return Effect.succeed(undefined)
  return store.loadEvents(runtimeId as RuntimeId, { after: number - 1, limit: 1 }).pipe(
    Effect.map(([record]) => {
      const final = record?.number === number ? finalOf(number, record.event) : undefined
      return final !== undefined && final.cursor > after ? final : undefined
    }),
    // Whether enough is kept for going on, the watch itself knows.
    Effect.catchTag("EventsPruned", () => Effect.succeed(undefined))
  )
}

export const watch = (
  plane: ControlPlane,
  store: Store,
  runtimeId: string,
  options: { readonly after?: number }
): Stream.Stream<Watched, LoadError | EventsPruned> => {
  const fromEvent = ofEvent(store, runtimeId)
  const done = ({ boundary: { consumed, runId, sequence }, cursor }: Final): Told =>
    Effect.map(
      plane.loadBoundaryReceipt(runtimeId, runId, sequence),
      (receipt) =>
        Option.some({
          _tag: "Done",
          cursor,
          inputIds: consumed,
          result: Option.flatMap(receipt, ({ result }) => result)
        })
    )
  const told = (seen: Seen): Told => {
    switch (seen._tag) {
      case "event":
        return fromEvent(seen.cursor, seen.event)
      case "final":
        return done(seen)
      case "message":
        return tell({ _tag: "Message", cursor: seen.cursor, index: seen.index, message: seen.message })
      case "progress":
        return tell({ _tag: "Progress", runId: seen.runId, value: seen.value })
    }
  }
  const after = Cursor.from(options.after ?? 0)
  const seen = Effect.map(resumed(store, runtimeId, after), (final) => {
    const isNext = final !== undefined && after >= final.last
    const rest = Stream.mapAccum(plane.watch(runtimeId, options), isNext ? undefined : final, place)
    return Stream.concat(isNext ? Stream.make<[Seen]>(final) : Stream.empty, Stream.mapConcat(rest, Function.identity))
  })
  return Stream.unwrap(seen).pipe(Stream.mapEffect(told), Stream.filterMap(Function.identity))
}
