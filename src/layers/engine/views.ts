/** What the control plane shows: what the store has, and what only this process knows. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { RuntimeId } from "../../schema/Ids.js"
import type { Service } from "../../services/ControlPlane.js"
import type { Drivers } from "../../services/Driver.js"
import type { Observer } from "../../services/Observer.js"
import type { Engine } from "./Engine.js"

type Views =
  | "runtimeState"
  | "inspect"
  | "loadBoundaryReceipt"
  | "runtimes"
  | "inputs"
  | "input"
  | "deadLetters"
  | "transcript"
  | "watch"

export const make = (
  engine: Engine,
  drivers: Context.Tag.Service<Drivers>,
  observer: Context.Tag.Service<Observer>
): Pick<Service, Views> => ({
  runtimeState: (runtimeId) => drivers.store.loadRuntimeState(runtimeId as RuntimeId),
  inspect: (runtimeId) =>
    Effect.flatMap(
      observer.inspect(runtimeId),
      (inspected) =>
        Effect.map(drivers.isLive(runtimeId as RuntimeId), (live) =>
          Option.map(inspected, (inspection) => {
            const run = engine.runOf(inspection.runtimeId)
            return {
              ...inspection,
              live,
              run: Option.map(Option.fromNullable(run), ({ attempt, lastProgressAt, runId, startedAt }) => ({
                runId,
                attempt,
                startedAt,
                lastProgressAt
              }))
            }
          }))
    ),
  loadBoundaryReceipt: observer.receipt,
  runtimes: observer.runtimes,
  inputs: observer.inputs,
  input: observer.input,
  deadLetters: observer.deadLetters,
  transcript: observer.transcript,
  watch: (runtimeId, options) =>
    Stream.merge(observer.watch(runtimeId, options), engine.progress.stream(runtimeId as RuntimeId), {
      haltStrategy: "left"
    })
})
