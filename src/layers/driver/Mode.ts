/**
 * A driver's memory and the one combinator that moves it.
 *
 *   Ready ── commit ──> Ready
 *     │ ── CommitUnknown ──> InDoubt ── barrier, then the witness's row ──> Ready (before or after)
 *     └─── StaleFence, or a claim in doubt ────> Lost ── takeOver ──> Ready
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Ref from "effect/Ref"
import * as Commit from "../../core/Commit.js"
import type { Outcome, Refusal } from "../../core/Rows.js"
import type { DriverState } from "../../core/State.js"
import type { Stamp } from "../../schema/Ids.js"
import type { CommitUnknown } from "../../schema/StoreError.js"
import type { Witness } from "../../services/RuntimeStoreEncoded.js"

/** How a commit in doubt turned out. */
export type Resolution = "committed" | "absent" | "lost"

export interface InDoubt {
  readonly _tag: "InDoubt"
  readonly before: DriverState
  readonly after: DriverState
  readonly witness: Witness
  readonly resolution: Deferred.Deferred<Resolution>
}

export type Mode =
  | { readonly _tag: "Ready"; readonly state: DriverState }
  | InDoubt
  | { readonly _tag: "Lost"; readonly state: DriverState; readonly by: number | null }

/** The state that readers see: committed, if old. */
export const seen = (mode: Mode): DriverState => mode._tag === "InDoubt" ? mode.before : mode.state

/** Several commands as one step: where they lead, and what has to be written for it. */
export interface Folded {
  readonly state: DriverState
  readonly commit: Commit.Commit
}

export type Settled<E> =
  | { readonly _tag: "Committed" }
  | { readonly _tag: "Refused"; readonly by: Refusal }
  | { readonly _tag: "InDoubt"; readonly doubt: InDoubt; readonly error: CommitUnknown }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<E> }

/**
 * Decide, persist, and only then remember. When persisting fails, dies or is interrupted, memory keeps the reference it
 * had, which is the rollback (I3). When nobody knows, memory keeps both until somebody does (I12).
 *
 * It runs in the driver's worker, which is not interrupted while a commit is in flight.
 */
export const withCheckpoint = <E>(
  mode: Ref.Ref<Mode>,
  before: DriverState,
  fold: (stamp: Stamp) => Folded,
  persist: (commit: Commit.Commit) => Effect.Effect<Outcome, E | CommitUnknown>
): Effect.Effect<Settled<E>> =>
  Effect.suspend(() => {
    const { commit, state: after } = fold({ token: before.stamp.token, n: before.stamp.n + 1 })
    const remember = Effect.as(Ref.set(mode, { _tag: "Ready", state: after }), { _tag: "Committed" } as const)
    if (Commit.isEmpty(commit)) return remember
    return Effect.flatMap(Effect.exit(persist(commit)), (exit): Effect.Effect<Settled<E>> => {
      if (Exit.isSuccess(exit)) {
        const outcome = exit.value
        if (outcome._tag !== "Refused") return remember
        if (outcome.by._tag !== "StaleFence") return Effect.succeed({ _tag: "Refused", by: outcome.by })
        return Effect.as(Ref.set(mode, { _tag: "Lost", state: before, by: outcome.by.current }), {
          _tag: "Refused",
          by: outcome.by
        })
      }
      const unknown = unknownOf(exit.cause)
      if (unknown === undefined) return Effect.succeed({ _tag: "Failed", cause: exit.cause as Cause.Cause<E> })
      const doubt: InDoubt = {
        _tag: "InDoubt",
        before,
        after,
        witness: witnessOf(commit),
        resolution: Deferred.unsafeMake(FiberId.none)
      }
      return Effect.as(Ref.set(mode, doubt), { _tag: "InDoubt", doubt, error: unknown })
    })
  })

const unknownOf = <E>(cause: Cause.Cause<E | CommitUnknown>): CommitUnknown | undefined => {
  for (const failure of Cause.failures(cause)) {
    if (typeof failure === "object" && failure !== null && "_tag" in failure && failure._tag === "CommitUnknown") {
      return failure as CommitUnknown
    }
  }
  return undefined
}

/** Any row of the commit would do: all carry its stamp, and nobody writes until the doubt is resolved. */
const witnessOf = (commit: Commit.Commit): Witness => {
  const input = commit.inputs[0]
  const event = commit.events[0]
  if (commit.boundary !== null) {
    const { runId, sequence } = commit.boundary.receipt
    return { _tag: "receipt", runId, sequence }
  }
  if (input !== undefined) return { _tag: "input", inputId: input.head.id }
  if (commit.lifecycle !== null) return { _tag: "runtime" }
  if (commit.session !== null) return { _tag: "session" }
  return { _tag: "event", number: event?.number ?? 0 }
}
