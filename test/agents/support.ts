/** What the tests of the everyday service are built of: the service over a process, and batches that ask. */
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AgentsLive from "../../src/layers/AgentsLive.js"
import type { InputId } from "../../src/schema/Ids.js"
import type * as Input from "../../src/schema/Input.js"
import type { Json } from "../../src/schema/Json.js"
import { Agents, operationOf, scopeOf, type Service, type Watched } from "../../src/services/Agents.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { Drivers } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import type { Process } from "../engine/support.js"

export const agentsOf = (
  { drivers, plane }: Pick<Process, "drivers" | "plane">
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.map(Layer.build(AgentsLive.layer), Context.get(Agents)).pipe(
    Effect.provideService(ControlPlane, plane),
    Effect.provideService(Drivers, drivers)
  )

export interface Asks {
  readonly question: string
  readonly key: string
  readonly ask?: Json
  readonly until?: number
}

const awaitedOf = (
  { key, question, until = null }: Pick<Asks, "question" | "key"> & { readonly until?: number | null }
) => ({
  operationId: operationOf(question, key),
  until
})

/** What a run's boundary carries that asks. */
export const asking = (asks: ReadonlyArray<Asks>, askedAt = 0) => ({
  awaits: asks.map(awaitedOf),
  notes: asks.map(({ ask = null, key, question }) => ({ scope: scopeOf(question), key, value: { ask, askedAt } }))
})

/**
 * A batch of these inputs that has asked and waits, in a runtime without an executor. It is taken by the drivers, so that
 * each step is what the test says.
 */
export const waiting = (
  { drivers }: Pick<Process, "drivers">,
  runtimeId: string,
  drafts: ReadonlyArray<Input.Draft>,
  asks: ReadonlyArray<Asks>
): Effect.Effect<ReadonlyArray<InputId>, unknown> =>
  Effect.gen(function*() {
    const driver = yield* drivers.get(runtimeId)
    const ids = yield* F.acceptAll(driver, drafts)
    const { runId } = yield* F.stage(driver)
    yield* driver.note({ runId, ...asking(asks) })
    const untils = asks.flatMap(({ until }) => until === undefined ? [] : [until])
    yield* driver.hold({
      runId,
      reason: "question",
      awaits: asks.map(({ key, question }) => operationOf(question, key)),
      ...(untils.length > 0 && { until: Math.min(...untils) })
    })
    return ids
  })

/** What is told behind a cursor, up to something that is or will be told. */
export const toldUntil = (
  agents: Service,
  runtimeId: string,
  isLast: (seen: Watched) => boolean,
  options: { readonly after?: number } = {}
) =>
  agents.watch(runtimeId, options).pipe(
    Stream.takeUntil(isLast),
    Stream.runCollect,
    Effect.map(Chunk.toReadonlyArray)
  )
