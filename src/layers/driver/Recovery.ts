/** Taking a runtime: claim, load, decide and write, all in the store's one transaction. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Commit from "../../core/Commit.js"
import * as Control from "../../core/Control.js"
import * as Recover from "../../core/Recover.js"
import * as State from "../../core/State.js"
import type { Transition } from "../../core/Step.js"
import { RunInProgress } from "../../schema/DriverError.js"
import type { ClaimId, RuntimeId, Stamp } from "../../schema/Ids.js"
import { strongest, type WakeSignal } from "../../schema/Policy.js"
import type { RecoveryReport, RecycleReport } from "../../schema/Report.js"
import type { CommitError, LoadError, RecordCorrupt } from "../../schema/StoreError.js"
import type { Recovered as Found } from "../../services/RuntimeStore.js"
import type { Env } from "./Env.js"

export interface Recovered<Report> {
  readonly state: State.DriverState
  readonly signal: WakeSignal
  readonly report: Report
  readonly recovery: RecoveryReport
}

/** `again`: by the driver that has it already, whose process and executor go on. */
export type Taking = "again" | "anew"

const take = <A, E>(
  env: Env,
  runtimeId: RuntimeId,
  decide: (found: Found, stamp: Stamp, now: number) => Either.Either<Transition<A>, E>
): Effect.Effect<Transition<A>, CommitError | LoadError | E> =>
  Effect.gen(function*() {
    const claimId = (yield* env.ids.next) as ClaimId
    const now = yield* Clock.currentTimeMillis
    return yield* env.store.recover(runtimeId, claimId, (found, token) =>
      Either.map(decide(found, { token, n: 0 }, now), (transition) =>
        [transition.commit, transition] as const))
  })

const recovered = (
  env: Env,
  runtimeId: RuntimeId,
  found: Found,
  stamp: Stamp,
  now: number,
  taking: Taking
): Either.Either<Transition<RecoveryReport>, RecordCorrupt> =>
  Recover.recover({ runtimeId, inDoubt: env.inDoubt, sameProcess: taking === "again" }, found, env.limits)(stamp, now)

export const recover = (
  env: Env,
  runtimeId: RuntimeId,
  taking: Taking
): Effect.Effect<Recovered<RecoveryReport>, CommitError | LoadError> =>
  take(env, runtimeId, (found, stamp, now) => recovered(env, runtimeId, found, stamp, now, taking)).pipe(
    Effect.map(({ reply, signal, state }) => ({ state, signal, report: reply, recovery: reply })),
    Effect.withSpan("Driver.recover", {
      // In the driver's worker, or whoever opens it first: it is nobody's part.
      root: true,
      captureStackTrace: false,
      attributes: { "burrow.runtime.id": runtimeId }
    })
  )

/** `recover`, and back to idle, in one commit. */
export const recycle = (
  env: Env,
  runtimeId: RuntimeId,
  taking: Taking
): Effect.Effect<
  Recovered<RecycleReport>,
  CommitError | LoadError | Control.ControlRefusal
> =>
  take(env, runtimeId, (found, stamp, now) => {
    if (found.run !== null) {
      return Either.left(new RunInProgress({ runtimeId, runId: found.run.id, command: "recycle" }))
    }
    return Either.flatMap(
      recovered(env, runtimeId, found, stamp, now, taking),
      (first): Either.Either<Transition<RecoveryReport>, Control.ControlRefusal> =>
        Either.map(Control.recycle(first.state, stamp, now), (second) => ({
          state: second.state,
          signal: strongest(first.signal, second.signal),
          commit: Commit.combine(first.commit, second.commit),
          reply: first.reply
        }))
    )
  }).pipe(
    Effect.map(({ reply, signal, state }) => ({
      state,
      signal,
      recovery: reply,
      report: { inputsTransferred: State.activeCount(state) }
    }))
  )
