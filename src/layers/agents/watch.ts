/** What happens to a conversation, told from what happens in its runtime: each event is one thing said, or none. */
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { AbandonReason } from "../../schema/InputState.js"
import type { RuntimeEvent } from "../../schema/RuntimeEvent.js"
import type { EventsPruned, LoadError } from "../../schema/StoreError.js"
import type { How, Watched } from "../../services/Agents.js"
import type { Service as ControlPlane, Watched as Committed } from "../../services/ControlPlane.js"
import { nothingKept } from "../observer/await.js"
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

const ofEvent =
  (plane: ControlPlane, store: Store, runtimeId: string) => (cursor: number, event: RuntimeEvent): Told => {
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
      case "run.boundary":
        return event.boundary === "final"
          ? Effect.map(plane.loadBoundaryReceipt(runtimeId, event.runId, event.sequence), (receipt) =>
            Option.some({
              _tag: "Done",
              cursor,
              inputIds: event.consumed,
              result: Option.flatMap(receipt, ({ result }) => result)
            }))
          : nothing
      default:
        return nothing
    }
  }

export const watch = (
  plane: ControlPlane,
  store: Store,
  runtimeId: string,
  options: { readonly after?: number }
): Stream.Stream<Watched, LoadError | EventsPruned> => {
  const fromEvent = ofEvent(plane, store, runtimeId)
  const told = (seen: Committed): Told => {
    switch (seen._tag) {
      case "event":
        return fromEvent(seen.cursor, seen.event)
      case "message":
        return tell({ _tag: "Message", cursor: seen.cursor, index: seen.index, message: seen.message })
      case "progress":
        return tell({ _tag: "Progress", runId: seen.runId, value: seen.value })
    }
  }
  return plane.watch(runtimeId, options).pipe(Stream.mapEffect(told), Stream.filterMap(Function.identity))
}
