/**
 * What can be seen of runtimes: how inputs end, what happens, what is stored. Read from rows alone, so it works in the
 * owner's process and in every other that opens the same store.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { Ended } from "../schema/AwaitError.js"
import type { UnknownInput } from "../schema/DriverError.js"
import type { InputId, RunId, RuntimeId } from "../schema/Ids.js"
import type { Failure } from "../schema/InputState.js"
import type { Json } from "../schema/Json.js"
import type { Receipt } from "../schema/Run.js"
import type { RuntimeState } from "../schema/Runtime.js"
import type { EventRecord, RuntimeEvent } from "../schema/RuntimeEvent.js"
import type { Revision, SessionHead, TranscriptPage } from "../schema/Session.js"
import type {
  EventsPruned,
  LoadError,
  ReadFailed,
  SchemaFromTheFuture,
  StoreClosed,
  TranscriptRevisionConflict
} from "../schema/StoreError.js"
import type { Page, Row, StoredInput } from "./RuntimeStore.js"
import type { Totals } from "./RuntimeStoreEncoded.js"

/**
 * How a consumed input was consumed: by boundary `sequence` of run `runId`, or at admission (both none). `result` is
 * what that boundary stored: a final one may have one, a checkpoint, which consumes steers, has none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Completion {
  readonly inputId: InputId
  readonly runId: Option.Option<RunId>
  readonly sequence: Option.Option<number>
  readonly result: Option.Option<Json>
}

/**
 * An event, or a message that the event before it has appended to the transcript at position `index`. `at` is the
 * event's time, in epoch milliseconds.
 *
 * Cursors grow. An event's is its number n; its i-th message, from 0, has n + (i + 1) / 2^20, which a double holds
 * exactly for n below 2^33. So the integer part of a cursor is an event's number, and the number of an event or of an
 * accept is a cursor.
 *
 * @since 0.1.0
 * @category models
 */
export type Watched =
  | { readonly _tag: "event"; readonly cursor: number; readonly at: number; readonly event: RuntimeEvent }
  | {
    readonly _tag: "message"
    readonly cursor: number
    readonly at: number
    readonly index: number
    readonly message: Json
  }

/**
 * A stored input, and the input that it was redriven as, when it was a dead letter.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputView extends StoredInput {
  readonly redrivenAs: Option.Option<InputId>
}

/**
 * A runtime at a glance. The parts are read one after the other.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inspection {
  readonly runtimeId: RuntimeId
  readonly agent: string
  /** `running` with an open run; whether an executor is attached is known in the owner's process alone. */
  readonly state: RuntimeState
  readonly paused: boolean
  readonly session: Option.Option<SessionHead>
  readonly totals: Totals
}

/**
 * An input that was given up. `diedAt` is in epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter {
  readonly runtimeId: RuntimeId
  readonly agent: string
  readonly inputId: InputId
  readonly attempts: number
  readonly error: Option.Option<Failure>
  readonly diedAt: number
  readonly redrivenAs: Option.Option<InputId>
}

/**
 * Which dead letters: of one agent, that died at `since` (epoch milliseconds) or later, with a failure of one tag.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetterFilter {
  readonly agent?: string
  readonly since?: number
  readonly errorTag?: string
}

/**
 * Which inputs, in admission order: all, those that are not terminal, or the dead letters.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputsPage extends Page {
  readonly only?: "active" | "dead"
}

/**
 * The agent that a runtime belongs to: the part of its id before the first slash, or the whole id.
 *
 * @example
 * ```ts
 * import { Observer } from "effect-burrow"
 *
 * const agent = Observer.agentOf("concierge/ana") // "concierge"
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const agentOf = (runtimeId: RuntimeId | string): string => {
  const slash = runtimeId.indexOf("/")
  return slash < 0 ? runtimeId : runtimeId.slice(0, slash)
}

/**
 * Reads and writes nothing; what it answers was committed. It needs a `RuntimeStore` and no driver.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Waits until the input has ended, and answers at once when it has: also after a restart, also in another process. An
   * input that is held or tried again goes on being waited for. `StoreClosed` when the observer closes first. From within
   * a run use `ControlPlane.await`, which knows of runs.
   */
  readonly await: (
    runtimeId: RuntimeId | string,
    inputId: InputId | string
  ) => Effect.Effect<Completion, Ended | UnknownInput | LoadError | StoreClosed>
  /**
   * What is committed behind the cursor `after` (default 0: everything), in order and without end: each event, and
   * behind it the messages that it appended. Any cursor that was handed out goes on behind it, with no gap and no
   * repetition. A slow reader reads rows and slows nobody.
   *
   * Messages that were replaced or cleared since are left out; what took their place comes with its own event,
   * `session.rewritten`. `EventsPruned` when events behind `after` are no longer kept.
   */
  readonly watch: (
    runtimeId: RuntimeId | string,
    options?: { readonly after?: number }
  ) => Stream.Stream<Watched, LoadError | EventsPruned>
  /** A page of committed events behind `after`, an event's number. */
  readonly events: (
    runtimeId: RuntimeId | string,
    page?: Page
  ) => Effect.Effect<ReadonlyArray<EventRecord>, LoadError | EventsPruned>
  /** Runtimes in order of their ids, `after` an id; 100 when no limit is given. */
  readonly runtimes: (page?: {
    readonly after?: RuntimeId | string
    readonly limit?: number
  }) => Effect.Effect<ReadonlyArray<{ readonly runtimeId: RuntimeId; readonly state: RuntimeState }>, ReadFailed>
  /** None for a runtime that nobody has used. */
  readonly inspect: (runtimeId: RuntimeId | string) => Effect.Effect<Option.Option<Inspection>, LoadError>
  /** Inputs in admission order, `after` an admission number. */
  readonly inputs: (
    runtimeId: RuntimeId | string,
    page?: InputsPage
  ) => Effect.Effect<ReadonlyArray<Row<StoredInput>>, ReadFailed | SchemaFromTheFuture>
  readonly input: (
    runtimeId: RuntimeId | string,
    inputId: InputId | string
  ) => Effect.Effect<Option.Option<InputView>, LoadError>
  /** The dead letters of all runtimes, in order of (runtime id, admission). Rows that cannot be read are left out. */
  readonly deadLetters: (
    filter?: DeadLetterFilter
  ) => Stream.Stream<DeadLetter, ReadFailed | SchemaFromTheFuture>
  /** A page of messages from position `start`; `at` pins it to the transcript that an earlier page was of. */
  readonly transcript: (
    runtimeId: RuntimeId | string,
    page?: {
      readonly start?: number
      readonly limit?: number
      readonly at?: { readonly revision: Revision; readonly length: number }
    }
  ) => Effect.Effect<TranscriptPage, LoadError | TranscriptRevisionConflict>
  /** The proof of one boundary, and the result that it stored. */
  readonly receipt: (
    runtimeId: RuntimeId | string,
    runId: RunId | string,
    sequence: number
  ) => Effect.Effect<
    Option.Option<{ readonly receipt: Receipt; readonly result: Option.Option<Json> }>,
    LoadError
  >
}

/**
 * The read side of the engine.
 *
 * @example
 * ```ts
 * import { Observer } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * const answer = (inputId: string) =>
 *   Effect.flatMap(Observer.Observer, (observer) => observer.await("concierge/ana", inputId)).pipe(
 *     Effect.map(({ result }) => result),
 *     Effect.catchTag("DeadLettered", (dead) => Effect.logError(dead.message))
 *   )
 *
 * const follow = (after: number) =>
 *   Stream.unwrap(Effect.map(Observer.Observer, (observer) => observer.watch("concierge/ana", { after }))).pipe(
 *     Stream.runForEach((seen) => Effect.log(seen.cursor, seen._tag === "event" ? seen.event._tag : seen.message))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Observer extends Context.Tag("effect-burrow/Observer")<Observer, Service>() {}
