/** Inputs of the control plane: taken, and waited for. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { WouldDeadlock } from "../../schema/AwaitError.js"
import { InputRejected, TooManyWaiters } from "../../schema/DriverError.js"
import type { RuntimeId } from "../../schema/Ids.js"
import type { Draft } from "../../schema/Input.js"
import type { Service } from "../../services/ControlPlane.js"
import type { Drivers } from "../../services/Driver.js"
import { CurrentRun } from "../../services/Executor.js"
import type { Observer } from "../../services/Observer.js"
import type { Engine } from "./Engine.js"
import type { RunLive } from "./RunLive.js"

export const make = (
  engine: Engine,
  drivers: Context.Tag.Service<Drivers>,
  observer: Context.Tag.Service<Observer>
): Pick<Service, "ingest" | "submit" | "await" | "steer"> => {
  const ingest: Service["ingest"] = (runtimeId, input) =>
    Effect.scoped(Effect.flatMap(drivers.lease(runtimeId), (driver) => driver.accept(input)))

  let waiters = 0
  const { waitersMax } = drivers.limits
  const ended: Service["await"] = (runtimeId, inputId) =>
    Effect.acquireUseRelease(
      Effect.suspend(() =>
        waiters >= waitersMax ? new TooManyWaiters({ runtimeId, waitersMax }) : Effect.sync(() => waiters++)
      ),
      () => Effect.raceFirst(observer.await(runtimeId, inputId), engine.lost(runtimeId as RuntimeId)),
      () => Effect.sync(() => waiters--)
    )

  /** The run that the calling fiber works for, if it goes on. */
  const callersRun = Effect.map(Effect.serviceOption(CurrentRun), (current) => {
    const run = Option.isSome(current) ? engine.runOf(current.value.runtimeId) : undefined
    return Option.isSome(current) && run?.runId === current.value.runId ? run : undefined
  })

  const refuseCircle = (run: RunLive | undefined, runtimeId: string): Effect.Effect<void, WouldDeadlock> =>
    Effect.suspend(() =>
      run !== undefined && engine.waits.wouldDeadlock(run.runtimeId, runtimeId as RuntimeId)
        ? Effect.fail(new WouldDeadlock({ runtimeId, by: run.runtimeId }))
        : Effect.void
    )

  const awaiting: Service["await"] = (runtimeId, inputId) =>
    Effect.flatMap(callersRun, (run) => {
      if (run === undefined) return ended(runtimeId, inputId)
      return run.waitingFor(run.dependingOn(runtimeId, ended(runtimeId, inputId)))
    })

  return {
    ingest,
    await: awaiting,
    steer: (runtimeId, input) => ingest(runtimeId, steering(input)),
    submit: (runtimeId, input) =>
      Effect.flatMap(callersRun, (run) => refuseCircle(run, runtimeId)).pipe(
        // Before anything is sent: an attempt that fails of it is made again.
        Effect.zipRight(ingest(runtimeId, input)),
        Effect.flatMap((outcome): ReturnType<Service["submit"]> => {
          switch (outcome._tag) {
            case "accepted":
              return awaiting(runtimeId, outcome.inputId)
            case "deduplicated":
              return awaiting(runtimeId, outcome.existing)
            case "rejected":
              return Effect.fail(new InputRejected({ runtimeId, reason: outcome.reason }))
          }
        })
      )
  }
}

/** Kinds without a handling mode have a lane of their own, and so have a peer's responses, whatever theirs. */
const steering = (input: Draft): Draft => {
  switch (input._tag) {
    case "prompt":
    case "flow_step":
      return { ...input, turn: { ...input.turn, handlingMode: "steer" } }
    case "peer":
      return input.convention._tag.startsWith("response_") ? input : { ...input, handlingMode: "steer" }
    case "external_event":
    case "continuation":
      return { ...input, handlingMode: "steer" }
    case "operation":
      return input
  }
}
