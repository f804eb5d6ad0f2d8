/** An agent as an executor of the engine's. */
import type * as Cron from "effect/Cron"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { StoreUnavailable } from "../../schema/AgentError.js"
import type * as Content from "../../schema/Content.js"
import { InvalidInput } from "../../schema/DriverError.js"
import type { Input } from "../../schema/Input.js"
import type { Json } from "../../schema/Json.js"
import * as Session from "../../schema/Session.js"
import type { ForeignSqlClient } from "../../schema/StoreError.js"
import { type AlreadyRegistered, ControlPlane } from "../ControlPlane.js"
import * as Executor from "../Executor.js"
import * as attempt from "./attempt.js"
import * as Codecs from "./codecs.js"
import { idOf, prompt } from "./outside.js"
import type { Output, Run } from "./Run.js"
import type { Any, Definition, Shape } from "./Spec.js"

/**
 * How an agent's runs are carried out. `E` is all that they fail with: the implementation's own errors, and
 * `DeltaError` for a boundary that cannot be.
 *
 * @since 0.1.0
 * @category models
 */
export interface HostOptions<in out T extends Shape, in E, out R = never> {
  /** Runs of this agent at once, in this process. Default 16. */
  readonly runsMax?: number
  /** Conversations that wait are served in turns over this key (a tenant). Default: the conversation. */
  readonly fairBy?: (id: string) => string
  /** Attempts before an input is a dead letter. Default 3. */
  readonly attemptsMax?: number
  /**
   * The delay before the next attempt. It sees each failure; when it is done, the input is a dead letter at once. A defect
   * and a limit that was gone over are no `E`, and have the default: exponential from 1 second to at most 1 minute.
   */
  readonly retry?: Schedule.Schedule<unknown, E>
  /** Whether inputs behind a failed one go on while it waits. Default `pass`. */
  readonly onFailure?: "pass" | "block"
  /** The world's fault, not the input's: costs no attempt, and pauses the agent for as long. */
  readonly outage?: (error: E) => Option.Option<Duration.DurationInput>
  /** What becomes of an attempt that died with its process. Asked before the next one. Default: `retry`. */
  readonly inDoubt?: (run: Run<T>) => Effect.Effect<"retry" | "hold" | "settle", never, R>
  /** The longest time of one attempt. Default: none. */
  readonly runMax?: Duration.DurationInput
  /** The longest time without a boundary, progress or heartbeat. Default: none. */
  readonly silenceMax?: Duration.DurationInput
  /** How long a run that is over is waited for, before the next one starts without it. Default 5 seconds. */
  readonly interruptGrace?: Duration.DurationInput
}

/**
 * Why an agent cannot be hosted here.
 *
 * @since 0.1.0
 * @category models
 */
export type HostError = ForeignSqlClient | AlreadyRegistered | InvalidInput | StoreUnavailable

/**
 * A recurring input: one for each tick, taken once, whichever process is there.
 *
 * @since 0.1.0
 * @category models
 */
export interface CronOptions {
  /** Unique among the agent's. */
  readonly name: string
  readonly cron: Cron.Cron
  /** The conversation. */
  readonly id: string
  readonly input: string | Content.Content
  /** Ticks that passed while no process was there: dropped, one input for all, or one for each. Default `once`. */
  readonly missed?: "skip" | "once" | "all"
}

/** What an input becomes in the transcript. A message that the agent's Schema does not take is a defect of the agent. */
const messageOf = (codecs: Codecs.Codecs) => (input: Input): Option.Option<Json> => {
  if (Option.isNone(codecs.fromInput)) {
    const content = Codecs.contentOf(input)
    return content.length === 0 ? Option.none() : Option.some(Session.user(content))
  }
  // Inputs of a batch that are not what the Schemas read are set aside before; a steer is shown as it is.
  const read = Either.getOrElse(Codecs.inputOf(codecs, input), () => Codecs.other(input))
  return Option.map(
    codecs.fromInput.value(read),
    (message) => Either.getOrThrowWith(codecs.message.encode(message), identity)
  )
}

/** The application's schedule for its own failures, the engine's for everything else, each stepped for itself. */
const retryOf = <E>(own: Schedule.Schedule<unknown, E>): Schedule.Schedule<unknown, Executor.Failed<E>> =>
  Schedule.makeWithState(
    [own.initial, Executor.defaultRetry.initial] as const,
    (now, failed: Executor.Failed<E>, [ours, standard]) =>
      failed._tag === "Failed"
        ? Effect.map(own.step(now, failed.error, ours), ([next, out, decision]) => [[next, standard], out, decision])
        : Effect.map(
          Executor.defaultRetry.step(now, failed, standard),
          ([next, out, decision]) => [[ours, next], out, decision]
        )
  )

const optionsOf = <T extends Shape, E, R>(
  agent: Definition<string, T>,
  plane: ControlPlane["Type"],
  { fairBy, inDoubt, outage, retry, ...options }: HostOptions<T, E, R>
): Executor.Options<E, R> => ({
  ...options,
  ...(fairBy !== undefined && { fairBy: (runtimeId) => fairBy(runtimeId.slice(agent.agentName.length + 1)) }),
  ...(retry !== undefined && { retry: retryOf(retry) }),
  ...(outage !== undefined && {
    outage: (failed) => failed._tag === "Failed" ? outage(failed.error) : Option.none()
  }),
  ...(inDoubt !== undefined && {
    inDoubt: (run) => Effect.flatMap(attempt.make(agent, plane, run), (run) => inDoubt(run))
  })
})

/** What would be found only when it is used. */
const check = ({ agentName, spec }: Any): Effect.Effect<void, InvalidInput> => {
  const broken = Object.keys(spec.questions ?? {}).find((name) => name === "" || name.includes("/"))
  return broken === undefined ? Effect.void : new InvalidInput({
    runtimeId: `${agentName}/...`,
    field: `questions.${broken}`,
    problem: "the name of a question is not empty and has no slash"
  })
}

export const host = <T extends Shape, E, R, AE, AR, OR>(
  agent: Definition<string, T>,
  execute: (run: Run<T>) => Effect.Effect<Output<unknown, unknown, unknown, AE, AR> | void, E, R>,
  options: HostOptions<T, E | AE | Executor.DeltaError, OR> = {}
) =>
  Layer.scopedDiscard(Effect.gen(function*() {
    yield* check(agent)
    const plane = yield* ControlPlane
    const codecs = Codecs.of(agent)
    const executor: Executor.Executor<E, R | OR, AE, AR> = {
      apply: (run) =>
        attempt.make(agent, plane, run).pipe(
          Effect.flatMap((run) => execute(run)),
          Effect.flatMap((output) => attempt.engineOutput(codecs, output))
        ),
      messageOf: messageOf(codecs)
    }
    yield* Effect.mapError(
      plane.register(agent.agentName, executor, optionsOf(agent, plane, options)),
      (error) =>
        error._tag === "ReadFailed" || error._tag === "StoreClosed"
          ? new StoreUnavailable({ reason: error })
          : error
    ) satisfies Effect.Effect<void, HostError, unknown>
  }))

export const cron = (
  agent: Any,
  { cron, id, input, missed, name }: CronOptions
): Layer.Layer<never, InvalidInput | StoreUnavailable, ControlPlane> =>
  Layer.scopedDiscard(Effect.flatMap(ControlPlane, (plane) =>
    Effect.mapError(
      plane.cron({
        name: `${agent.agentName}/${name}`,
        cron,
        runtimeId: idOf(agent, id),
        input: prompt(input, {}, undefined),
        ...(missed !== undefined && { missed })
      }),
      (error) => error._tag === "InvalidInput" ? error : new StoreUnavailable({ reason: error })
    )))
