/** Commands of the control plane to one runtime. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { RuntimeNotFound } from "../../schema/DriverError.js"
import type { InputId, RuntimeId } from "../../schema/Ids.js"
import type { CloseReply } from "../../schema/Report.js"
import type { LoadError } from "../../schema/StoreError.js"
import type { Service } from "../../services/ControlPlane.js"
import type { Drivers, OpenError, Service as Driver } from "../../services/Driver.js"
import { runtimeIdOf } from "../driver/Arguments.js"
import type { Engine } from "./Engine.js"

type Commands =
  | "register"
  | "publishEvent"
  | "endOperation"
  | "cancel"
  | "interrupt"
  | "stop"
  | "resume"
  | "retire"
  | "reset"
  | "recycle"
  | "recover"
  | "destroy"
  | "takeOver"
  | "redrive"
  | "hold"
  | "release"
  | "rewrite"
  | "clearSession"
  | "pause"
  | "unpause"

/** The driver of a runtime that exists: a mistyped name makes none. */
const existing = (drivers: Context.Tag.Service<Drivers>) =>
<A, E>(
  name: RuntimeId | string,
  command: (driver: Driver) => Effect.Effect<A, E>
): Effect.Effect<A, E | OpenError | LoadError | RuntimeNotFound> =>
  Effect.gen(function*() {
    const runtimeId = yield* runtimeIdOf(drivers.limits, name)
    if (!(yield* drivers.isLive(runtimeId))) {
      const state = yield* drivers.store.loadRuntimeState(runtimeId)
      if (Option.isNone(state)) return yield* new RuntimeNotFound({ runtimeId })
    }
    return yield* Effect.scoped(Effect.flatMap(drivers.lease(runtimeId), command))
  })

const nothing: CloseReply = { requeued: [], abandoned: [] }

export const make = (engine: Engine, drivers: Context.Tag.Service<Drivers>): Pick<Service, Commands> => {
  const to = existing(drivers)
  const setPaused = (paused: boolean): Service["pause"] => (target) =>
    "runtimeId" in target
      ? to(target.runtimeId, (driver) => paused ? driver.pause : driver.unpause)
      : engine.setPaused(target.agent, paused)
  return {
    register: (agent, executor, options = {}) => engine.register(agent, executor, options),
    endOperation: (runtimeId, operationId, end) => to(runtimeId, (driver) => driver.endOperation(operationId, end)),
    publishEvent: (runtimeId, code, data) => to(runtimeId, (driver) => driver.publish(code, data)),
    cancel: (runtimeId, { inputId, reason }) =>
      to(runtimeId, (driver) =>
        inputId === undefined
          ? Effect.flatMap(driver.openRun, (run) =>
            Option.isNone(run)
              ? Effect.succeed(nothing)
              // It may have ended meanwhile.
              : Effect.catchTag(
                driver.cancel({ runId: run.value.id, reason }),
                "RunNotOpen",
                () => Effect.succeed(nothing)
              ))
          : driver.cancelInput({ inputId: inputId as InputId, reason })),
    interrupt: (runtimeId) =>
      to(runtimeId, (driver) =>
        Effect.flatMap(driver.openRun, (open) => {
          const run = engine.runOf(driver.runtimeId)
          if (Option.isNone(open)) return Effect.succeed(false)
          if (run?.runId === open.value.id) run.end({ _tag: "givenBack" })
          return Effect.as(
            Effect.catchTag(driver.giveBack({ runId: open.value.id }), "RunNotOpen", () => Effect.void),
            true
          )
        })),
    pause: setPaused(true),
    unpause: setPaused(false),
    stop: (runtimeId) => to(runtimeId, (driver) => driver.stop),
    resume: (runtimeId) => to(runtimeId, (driver) => driver.resume),
    retire: (runtimeId) => to(runtimeId, (driver) => driver.retire),
    reset: (runtimeId) => to(runtimeId, (driver) => driver.reset),
    recycle: (runtimeId) => to(runtimeId, (driver) => driver.recycle),
    recover: (runtimeId) =>
      Effect.flatMap(drivers.isLive(runtimeId as RuntimeId), (wasLive) =>
        // Who is not in memory is recovered by being mentioned.
        to(runtimeId, (driver) => wasLive ? driver.recover : driver.recovery)),
    destroy: (runtimeId) => to(runtimeId, (driver) => driver.destroy),
    takeOver: (runtimeId) => to(runtimeId, (driver) => driver.takeOver),
    redrive: (runtimeId, inputId) => to(runtimeId, (driver) => driver.redrive(inputId as InputId)),
    hold: (runtimeId, inputId, options = {}) =>
      to(runtimeId, (driver) => driver.holdInput({ ...options, inputId: inputId as InputId, reason: "operator" })),
    release: (runtimeId, inputId) => to(runtimeId, (driver) => driver.release(inputId as InputId)),
    rewrite: (runtimeId, rewrite) => to(runtimeId, (driver) => driver.rewrite(rewrite)),
    clearSession: (runtimeId) => to(runtimeId, (driver) => driver.clearSession)
  }
}
