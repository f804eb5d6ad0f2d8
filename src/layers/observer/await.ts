/** Waiting for the end of an input. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Cancelled, DeadLettered, Dropped, type Ended, Lost, Refused, Superseded } from "../../schema/AwaitError.js"
import { UnknownInput } from "../../schema/DriverError.js"
import type { InputId, RuntimeId } from "../../schema/Ids.js"
import type { AbandonReason, Failure, InputHead, TerminalOutcome } from "../../schema/InputState.js"
import { type LoadError, RecordCorrupt, type StoreClosed } from "../../schema/StoreError.js"
import * as codecs from "../../services/codecs.js"
import type { Completion, Service } from "../../services/Observer.js"
import { DEDUPLICATED, type StoredInput } from "../../services/RuntimeStore.js"
import type { Store } from "./Store.js"

/** A receipt with its result, which is kept as text. */
export const receipt = (store: Store): Service["receipt"] => (runtimeId, runId, sequence) =>
  Effect.flatMap(
    store.loadBoundaryReceipt(runtimeId as RuntimeId, runId as Parameters<Store["loadBoundaryReceipt"]>[1], sequence),
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: ({ receipt, result }) =>
        Option.match(result, {
          onNone: () => Effect.succeedSome({ receipt, result: Option.none() }),
          onSome: (text) =>
            Either.mapBoth(codecs.json.decode(text), {
              onLeft: codecs.corrupt(runtimeId, `the result of run ${runId}`),
              onRight: (value) => Option.some({ receipt, result: Option.some(value) })
            })
        })
    })
  )

export const nothingKept: Failure = { tag: "Unknown", message: "no failure was kept with it" }

const abandoned = (
  names: { readonly runtimeId: RuntimeId; readonly inputId: InputId },
  reason: AbandonReason,
  failure: Failure | null
): Ended => {
  switch (reason._tag) {
    case "max_attempts_exhausted":
    case "failed":
      return new DeadLettered({ ...names, attempts: reason.attempts, error: failure ?? nothingKept })
    case "cancelled":
      return new Cancelled({ ...names, reason: reason.reason })
    case "outcome_unknown":
    case "process_ended":
      return new Lost({ ...names, reason: reason._tag })
    case "reset":
    case "destroyed":
    case "retired":
    case "stopped":
      return new Dropped({ ...names, reason: reason._tag })
  }
}

const ended = (
  store: Store,
  runtimeId: RuntimeId,
  { failure, id: inputId }: InputHead,
  outcome: TerminalOutcome
): Effect.Effect<Completion, Ended | LoadError> => {
  const names = { runtimeId, inputId }
  switch (outcome._tag) {
    case "superseded":
      return new Superseded({ ...names, by: outcome.by })
    case "coalesced":
      return new Superseded({ ...names, by: outcome.into })
    case "abandoned":
      return abandoned(names, outcome.reason, failure)
    case "consumed": {
      const { runId, sequence } = outcome
      const completion = { inputId, runId: Option.fromNullable(runId), sequence: Option.fromNullable(sequence) }
      return runId === null || sequence === null
        ? Effect.succeed({ ...completion, result: Option.none() })
        : Effect.flatMap(
          receipt(store)(runtimeId, runId, sequence),
          Option.match({
            // They are written together: an input without its receipt tells nothing that could be believed.
            onNone: () =>
              new RecordCorrupt({
                runtimeId,
                record: `input ${inputId}`,
                field: "outcome",
                problem: `names boundary ${sequence} of run ${runId}, which has no receipt`
              }),
            onSome: ({ result }) => Effect.succeed({ ...completion, result })
          })
        )
    }
  }
}

/** What a look shows: how it ended, or what to wait for. */
type Seen = { readonly _tag: "ended"; readonly completion: Completion } | { readonly _tag: "active" | "deposited" }

export const awaitEnd =
  (store: Store, closed: Effect.Effect<never, StoreClosed>): Service["await"] => (runtime, input) => {
    const runtimeId = runtime as RuntimeId
    const inputId = input as InputId
    type Failed = Effect.Effect.Error<ReturnType<Service["await"]>>
    type Found = Effect.Effect<Seen, Failed>
    const end = (ended: Effect.Effect<Completion, Failed>): Found =>
      Effect.map(ended, (completion) => ({ _tag: "ended", completion }))
    /** Not an input yet, or not under this id: what was handed over as a row. */
    const lookAside: Found = Effect.flatMap(store.loadDeposit(runtimeId, inputId), (deposit): Found => {
      if (Option.isNone(deposit)) return new UnknownInput({ runtimeId, inputId, phase: null })
      const { failure } = deposit.value
      if (failure === null) return Effect.succeed({ _tag: "deposited" })
      return failure.tag === DEDUPLICATED
        ? end(awaitEnd(store, closed)(runtimeId, failure.message))
        : new Refused({ runtimeId, inputId, error: failure })
    })
    const look = (inputs: Effect.Effect<Option.Option<StoredInput>, LoadError>, absent: Found): Found =>
      Effect.flatMap(inputs, (stored): Found => {
        if (Option.isNone(stored)) return absent
        const { head } = stored.value
        return head.outcome === null
          ? Effect.succeed({ _tag: "active" })
          : end(ended(store, runtimeId, head, head.outcome))
      })
    const inputs = store.loadInputState(runtimeId, inputId)
    // Twice: a deposit that was there before the first look may be an input, and no deposit any more, behind it.
    const now = look(inputs, Effect.catchTag(lookAside, "UnknownInput", (unknown) => look(inputs, unknown)))
    // Subscribe first, then look: what happens in between is heard. A ring may be for nothing, so there is a look behind.
    const once = (seen: "active" | "deposited"): Found =>
      Effect.scoped(Effect.gen(function*() {
        const rung = yield* store.subscribe(runtimeId, inputId)
        const settled = seen === "deposited" ? yield* store.subscribeDeposits : Effect.never
        const found = yield* now
        if (found._tag === seen) yield* Effect.raceFirst(Effect.raceFirst(rung, settled), closed)
        return found
      }))
    const until = (seen: Seen): Effect.Effect<Completion, Failed> =>
      seen._tag === "ended" ? Effect.succeed(seen.completion) : Effect.flatMap(once(seen._tag), until)
    return Effect.flatMap(now, until).pipe(
      Effect.withSpan("Observer.await", {
        captureStackTrace: false,
        attributes: { "burrow.runtime.id": runtimeId, "burrow.input.id": inputId }
      })
    )
  }
