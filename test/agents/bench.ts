/** What the tests of typed agents are built of: processes, one after the other over one store, that host agents. */
import { assert, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import type { InputHead } from "../../src/schema/InputState.js"
import type { HostError } from "../../src/services/Agent.js"
import { Agents, type Service } from "../../src/services/Agents.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import type { Observer } from "../../src/services/Observer.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { eventsOf, headOf, type Process, tally, testEach, until } from "../engine/support.js"
import { agentsOf } from "./support.js"

export type Hosting = Layer.Layer<never, HostError, ControlPlane>

export interface Bench {
  /** Closes the process before, as a clean shutdown does, and hosts the agents in a new one. */
  readonly open: (...agents: ReadonlyArray<Hosting>) => Effect.Effect<Process>
  readonly openWith: (options: DriverPersistent.Options, ...agents: ReadonlyArray<Hosting>) => Effect.Effect<Process>
  readonly close: Effect.Effect<void>
}

/** No guests: nobody has to look for what they hand over four times a second, through months of a test's clock. */
const ALONE = { pollMillis: 86_400_000 }

/** Handles are of whichever process it is. */
const agentsNow = (current: () => Service): Service => ({
  send: (...call) => Effect.suspend(() => current().send(...call)),
  await: (...call) => Effect.suspend(() => current().await(...call)),
  answer: (...call) => Effect.suspend(() => current().answer(...call)),
  questions: (...call) => Effect.suspend(() => current().questions(...call)),
  cancel: (...call) => Effect.suspend(() => current().cancel(...call)),
  state: (...call) => Effect.suspend(() => current().state(...call)),
  messages: (...call) => Effect.suspend(() => current().messages(...call)),
  watch: (...call) => Stream.suspend(() => current().watch(...call))
})

/** In memory and in a SQLite file. */
export const agentTest = (
  name: string,
  body: (bench: Bench) => Effect.Effect<void, unknown, Scope.Scope | Agents>
): void =>
  testEach(name, (world) =>
    Effect.gen(function*() {
      let now: { readonly agents: Service; readonly scope: Scope.CloseableScope } | undefined
      const test = yield* Effect.scope
      const close = Effect.suspend(() => {
        const before = now
        now = undefined
        return before === undefined ? Effect.void : Scope.close(before.scope, Exit.void)
      })
      yield* Effect.addFinalizer(() => close)
      const openWith: Bench["openWith"] = (options, ...agents) =>
        Effect.gen(function*() {
          yield* close
          const process = yield* Scope.extend(world.open({ ...ALONE, ...options }), test)
          const scope = yield* Scope.make()
          yield* Scope.addFinalizer(scope, process.close)
          now = { agents: yield* Scope.extend(agentsOf(process), scope), scope }
          yield* Effect.forEach(agents, (agent) =>
            Effect.orDie(Layer.buildWithScope(Layer.provide(agent, Layer.succeed(ControlPlane, process.plane)), scope)))
          return process
        })
      const current = (): Service =>
        now === undefined ? assert.fail("there is no process") : now.agents
      yield* Effect.provideService(
        body({
          open: (...agents) =>
            openWith({}, ...agents),
          openWith,
          close
        }),
        Agents,
        agentsNow(current)
      )
    }))

/** In processes that crash, over a disk in memory and over a SQLite file. */
export const crashTest = (
  name: string,
  body: (
    host: (agent: Hosting) => Effect.Effect<void, never, ControlPlane | Scope.Scope>
  ) => Effect.Effect<void, unknown, Agents | ControlPlane | Observer | AgentTest.Crash | Scope.Scope>
): void => {
  for (const [where, layer] of [["memory", AgentTest.layer], ["a SQLite file", AgentTest.layerSql]] as const) {
    it.scoped(`${name}, in ${where}`, () =>
      Effect.flatMap(Layer.build(layer), (services) =>
        Effect.provide(
          body((agent) => Effect.orDie(Effect.asVoid(Layer.build(agent)))),
          services as Context.Context<AgentTest.Services>
        )), 20_000)
  }
}

interface Conversation {
  readonly runtimeId: string
}

export const phaseOf = ({ plane }: Process, { runtimeId }: Conversation, inputId: string): Effect.Effect<string> =>
  Effect.orDie(
    Effect.map(
      headOf(plane, runtimeId, inputId),
      (head) => head.hold === null ? head.phase : `${head.phase}: ${head.hold}`
    )
  )

export const untilIs = (process: Process, conversation: Conversation, inputId: string, phase: string) =>
  until(
    `${inputId} of ${conversation.runtimeId} is ${phase}`,
    Effect.map(phaseOf(process, conversation, inputId), (now) => now === phase)
  )

/** It waits for an answer, and its attempt is over. */
export const untilParked = (process: Process, conversation: Conversation, inputId: string) =>
  untilIs(process, conversation, inputId, "held: question")

export const headIn = (
  { plane }: Process,
  { runtimeId }: Conversation,
  inputId: string
): Effect.Effect<InputHead> => Effect.orDie(headOf(plane, runtimeId, inputId))

/** How often each kind of event has happened in the conversation. */
export const tallyOf = (process: Process, { runtimeId }: Conversation) =>
  Effect.map(Effect.orDie(eventsOf(process, runtimeId)), tally)
