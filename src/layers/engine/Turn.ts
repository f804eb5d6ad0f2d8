/**
 * One turn of a runtime's loop: stage what is next, have it carried out, and end the run by a commit. A run is ended by
 * its commit, not by its fiber: close, then interrupt.
 *
 *   exited      final boundary | failed | given back (an outage)
 *   timedOut    failed
 *   parked      held
 *   inDoubt     held | settled | failed: whose run was lost, and is not tried again
 *   givenBack   given back
 *   trouble     given back, as soon as the store lets it
 *   closed      it was, by somebody else
 *   lost        nothing: it is another owner's
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Failure } from "../../schema/InputState.js"
import type { Drivers, Service as Driver, StagedRun } from "../../services/Driver.js"
import { CurrentRun, type Failed } from "../../services/Executor.js"
import * as Metrics from "../../services/Metrics.js"
import * as Spans from "../../services/Spans.js"
import * as Backoff from "./Backoff.js"
import { failedOf, type Hosted, timedOut } from "./Hosted.js"
import type { ProgressHub } from "./Progress.js"
import { RunLive, type Verdict } from "./RunLive.js"
import type { Waits } from "./Waits.js"

export interface Needs {
  readonly hosted: Hosted
  readonly drivers: Context.Tag.Service<Drivers>
  readonly driver: Driver
  readonly progress: ProgressHub
  /** Whether an attempt that may end the process may be made now. */
  readonly alone: () => boolean
  readonly onBoundary: () => void
  readonly onWait: Effect.Effect<void>
  readonly waits: Waits
  /** A run is open: it is given notices from now on. */
  readonly began: (run: RunLive) => void
  readonly outage: (pauseMillis: number, now: number) => void
}

export type Turned =
  | { readonly _tag: "ran" }
  | { readonly _tag: "idle"; readonly nextReadyAt: Option.Option<number> }
  /** The run could not be closed: whoever goes on has to, first. */
  | { readonly _tag: "open"; readonly error: unknown }

const ran: Turned = { _tag: "ran" }

export const turn = (needs: Needs) =>
  Effect.gen(function*() {
    const { alone, driver, hosted } = needs
    const { attemptsMax, missingBlob, onFailure } = hosted
    const stage = (mayBeFatal: boolean) =>
      driver.stage({ attemptsMax, missingBlob, onFailure, mayBeFatal, decidesLost: hosted.inDoubt !== undefined })
    // It may have been closed since this turn was given its place.
    if (!hosted.gate.isOpen) return ran
    const first = yield* stage(false)
    const staged = first._tag === "nothing" && first.keptBack && alone() ? yield* stage(true) : first
    if (staged._tag === "nothing") {
      const idle: Turned = { _tag: "idle", nextReadyAt: staged.nextReadyAt }
      return idle
    }
    return yield* perform(needs, staged.run)
  })

const perform = (needs: Needs, staged: StagedRun): Effect.Effect<Turned> => {
  if (!needs.hosted.gate.isOpen) {
    return Effect.map(close(needs.driver.giveBack({ runId: staged.runId })), (closed) => turnedOf(closed))
  }
  const inputs = Either.all(staged.inputs.map(({ input }) => input))
  if (Either.isLeft(inputs)) return setAside(needs, staged)
  return Effect.flatMap(Clock.currentTimeMillis, (startedAt) => {
    const { driver, drivers, hosted, onBoundary, onWait, progress, waits } = needs
    const run = new RunLive({
      agent: hosted.agent,
      gate: hosted.gate,
      driver,
      drivers,
      progress,
      staged,
      inputs: inputs.right,
      messageOf: hosted.messageOf,
      startedAt,
      onBoundary,
      onWait,
      waits
    })
    needs.began(run)
    return carryOut(needs, run).pipe(
      // An application's function that dies, where only its answer was asked for.
      Effect.catchAllCause((error) =>
        ended(hosted, run, { closed: { _tag: "stuck", error }, outcome: "trouble", wrong: error })
      ),
      Effect.ensuring(Effect.sync(() => run.dismiss())),
      Effect.provideService(CurrentRun, run),
      shown(run),
      (performed) => Metrics.running(hosted.agent, performed)
    )
  })
}

interface Ended {
  readonly turned: Turned
  /** What the attempt went wrong with. */
  readonly wrong: Cause.Cause<unknown> | undefined
}

/** As a span, which fails when the attempt went wrong. The loop goes on with an answer either way. */
const shown = (run: RunLive) => (attempt: Effect.Effect<Ended>): Effect.Effect<Turned> =>
  Effect.suspend(() => {
    let turned: Turned = ran
    return attempt.pipe(
      Effect.flatMap((ended) => {
        turned = ended.turned
        return ended.wrong === undefined ? Effect.void : Effect.failCause(ended.wrong)
      }),
      Effect.withSpan("Agent.run", {
        root: true,
        captureStackTrace: false,
        links: Spans.linksTo(run.inputs),
        attributes: {
          "burrow.agent.name": run.agent,
          "burrow.runtime.id": run.runtimeId,
          "burrow.run.id": run.runId,
          "burrow.attempt": run.attempt,
          "burrow.input.id": Spans.idsOf(run.inputs),
          "burrow.input.kind": Arr.dedupe(run.inputs.map(({ _tag }) => _tag)).join(",")
        }
      }),
      Effect.catchAllCause(() => Effect.void),
      Effect.map(() => turned)
    )
  })

const ended = (hosted: Hosted, run: RunLive, { closed, outcome, wrong }: Settled): Effect.Effect<Ended> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.annotateCurrentSpan("burrow.outcome", outcome).pipe(
      Effect.zipRight(Metrics.ran(hosted.agent, outcome, now - run.startedAt)),
      Effect.as({
        turned: turnedOf(closed),
        wrong: wrong ?? (closed._tag === "stuck" ? Cause.fail(closed.error) : undefined)
      })
    ))

/** Inputs that cannot be read now are given back for a while; those that never can be wait for somebody, by themselves. */
const setAside = ({ driver }: Needs, { inputs, runId }: StagedRun): Effect.Effect<Turned> => {
  const unreadable = inputs.flatMap(({ head, input }) =>
    Either.isLeft(input) ? [{ inputId: head.id, error: input.left }] : []
  )
  const forGood = unreadable.filter(({ error }) => !Backoff.isPassing(error))
  const [first] = forGood
  return Effect.forEach(
    unreadable,
    ({ error, inputId }) => Effect.logError(`input ${inputId} of ${driver.runtimeId} cannot be read`, error),
    { discard: true }
  ).pipe(
    Effect.zipRight(Clock.currentTimeMillis),
    Effect.flatMap((now) =>
      first === undefined
        ? close(driver.giveBack({ runId, visibleAt: now + 5_000 }))
        : close(driver.hold({
          runId,
          reason: "undecodable",
          inputIds: forGood.map(({ inputId }) => inputId),
          failure: { tag: first.error._tag, message: first.error.message }
        }))
    ),
    Effect.map((closed) => turnedOf(closed))
  )
}

const turnedOf = (closed: Closed): Turned => closed._tag === "stuck" ? { _tag: "open", error: closed.error } : ran

const carryOut = (needs: Needs, run: RunLive): Effect.Effect<Ended> => {
  const { hosted } = needs
  return Effect.acquireUseRelease(
    // Not a child of this fiber: it is waited for only so long.
    Effect.tap(
      Effect.forkDaemon(Effect.interruptible(Effect.supervised(work(hosted, run), run.operations.stillness))),
      (fiber) =>
        Effect.sync(() => {
          run.operations.begins(fiber)
          fiber.addObserver((exit) => run.end({ _tag: "exited", exit }))
        })
    ),
    () =>
      Effect.gen(function*() {
        const verdict = yield* hasLimits(hosted)
          ? Effect.raceFirst(Deferred.await(run.verdict), watchdog(hosted, run))
          : Deferred.await(run.verdict)
        run.end(verdict)
        return yield* Effect.flatMap(settle(needs, run, verdict), (settled) => ended(hosted, run, settled))
      }),
    (fiber) =>
      Effect.suspend(() => {
        run.dismiss()
        return interrupt(hosted, run, fiber)
      })
  )
}

/** A batch whose run was lost is asked about first. One whose attempts are used up is only asked to be held or settled. */
const work = (hosted: Hosted, run: RunLive): ReturnType<Hosted["apply"]> => {
  const { inDoubt } = hosted
  if (!run.afterLoss || inDoubt === undefined) return hosted.apply(run)
  return Effect.flatMap(inDoubt(run), (word) =>
    word === "retry" && run.attempt <= hosted.attemptsMax
      ? hosted.apply(run)
      : Effect.sync(() => run.end({ _tag: "inDoubt", word })))
}

const hasLimits = ({ runMaxMillis, silenceMaxMillis }: Hosted): boolean =>
  Number.isFinite(runMaxMillis) || Number.isFinite(silenceMaxMillis)

/** Ends with the word that a limit was reached. */
const watchdog = (hosted: Hosted, run: RunLive): Effect.Effect<Verdict> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const left = run.startedAt + hosted.runMaxMillis - now
    // Who waits for another runtime cannot give a sign.
    const quiet = (run.isWaiting ? now : run.lastProgressAt) + hosted.silenceMaxMillis - now
    if (left <= 0) return Effect.succeed({ _tag: "timedOut", limit: "runMax" })
    if (quiet <= 0) return Effect.succeed({ _tag: "timedOut", limit: "silenceMax" })
    return Effect.zipRight(Effect.sleep(Math.min(left, quiet, 86_400_000)), watchdog(hosted, run))
  })

type Closed = { readonly _tag: "closed" } | { readonly _tag: "stuck"; readonly error: unknown }

const closed: Closed = { _tag: "closed" }

/** Ends a run. That it is over already is as good; a store that passes is waited out. */
const close = <E extends { readonly _tag: string; readonly retryable?: boolean }>(
  command: Effect.Effect<unknown, E>
): Effect.Effect<Closed> =>
  command.pipe(
    Effect.retry({ schedule: Backoff.patience, times: Backoff.TRIES_MAX, while: Backoff.isPassing }),
    Effect.match({
      onSuccess: () => closed,
      onFailure: (error): Closed =>
        error._tag === "RunNotOpen" || error._tag === "OwnershipLost" ? closed : { _tag: "stuck", error }
    })
  )

interface Settled {
  readonly closed: Closed
  readonly outcome: string
  /** What the attempt itself went wrong with. */
  readonly wrong?: Cause.Cause<unknown>
}

const settledAs = (outcome: string, wrong?: Cause.Cause<unknown>) => (closed: Closed): Settled =>
  wrong === undefined ? { closed, outcome } : { closed, outcome, wrong }

const errorOf = ({ message, tag }: Failure): Error => Object.assign(new Error(message), { name: tag })

/** With the stack of whoever failed, where there is one. */
const causeOf = (failed: Failed<unknown>): Cause.Cause<unknown> => {
  if (failed._tag === "Failed" && failed.error instanceof Error) return Cause.fail(failed.error)
  if (failed._tag === "Died" && !Cause.isInterruptedOnly(failed.cause)) return failed.cause
  return Cause.fail(errorOf(failed.failure))
}

const settle = (needs: Needs, run: RunLive, verdict: Verdict): Effect.Effect<Settled> => {
  const { driver, hosted } = needs
  const { runId } = run
  switch (verdict._tag) {
    case "exited":
      return Exit.isFailure(verdict.exit)
        ? failed(needs, run, failedOf(verdict.exit))
        : complete(needs, run, verdict.exit)
    case "timedOut": {
      const millis = verdict.limit === "runMax" ? hosted.runMaxMillis : hosted.silenceMaxMillis
      return failed(needs, run, timedOut(verdict.limit, millis))
    }
    case "parked": {
      const { _tag, until, ...hold } = verdict
      return Effect.map(close(driver.hold({ ...hold, runId, ...(until !== null && { until }) })), settledAs(_tag))
    }
    case "givenBack":
      return Effect.map(close(driver.giveBack({ runId })), settledAs("given_back"))
    case "trouble":
      return Effect.logError(`run ${runId} of ${driver.runtimeId} ends: the store failed`, verdict.error).pipe(
        Effect.zipRight(close(driver.giveBack({ runId }))),
        Effect.map(settledAs("trouble", Cause.fail(verdict.error)))
      )
    case "inDoubt": {
      if (verdict.word === "hold") {
        return Effect.map(close(driver.hold({ runId, reason: "in_doubt" })), settledAs("held"))
      }
      if (verdict.word === "settle") return Effect.map(close(driver.settle({ runId })), settledAs("settled"))
      const failure = { tag: "ProcessEnded", message: "the run of the last attempt was lost" }
      return Effect.map(
        close(driver.fail({ runId, failure, attemptsMax: hosted.attemptsMax })),
        settledAs("failed", Cause.fail(errorOf(failure)))
      )
    }
    case "closed":
      return Effect.succeed({ closed, outcome: "closed" })
    case "lost":
      return Effect.succeed({ closed, outcome: "lost" })
  }
}

const complete = (
  needs: Needs,
  run: RunLive,
  exit: Extract<Verdict, { readonly _tag: "exited" }>["exit"] & { readonly _tag: "Success" }
): Effect.Effect<Settled> =>
  Effect.flatMap(
    Effect.exit(needs.hosted.provide(Effect.scoped(run.complete(exit.value ?? {})))),
    (committed): Effect.Effect<Settled> => {
      if (Exit.isSuccess(committed)) {
        needs.hosted.outages = 0
        needs.hosted.gate.widen()
        return Effect.succeed({ closed, outcome: "completed" })
      }
      // Ended from outside: it had been closed, or the store failed.
      const { trouble } = run
      if (trouble !== undefined) {
        if (Predicate.isTagged(trouble, "RunNotOpen")) return Effect.succeed({ closed, outcome: "closed" })
        if (Predicate.isTagged(trouble, "OwnershipLost")) return Effect.succeed({ closed, outcome: "lost" })
        return Effect.map(close(needs.driver.giveBack({ runId: run.runId })), settledAs("trouble", Cause.fail(trouble)))
      }
      return failed(needs, run, failedOf(committed))
    }
  )

const failed = ({ driver, hosted, outage }: Needs, run: RunLive, failed: Failed<unknown>): Effect.Effect<Settled> =>
  Effect.gen(function*() {
    const { attempt, runId } = run
    const { failure } = failed
    const now = yield* Clock.currentTimeMillis
    const pause = yield* hosted.outage(failed)
    if (Option.isSome(pause)) {
      outage(pause.value, now)
      return settledAs("outage", causeOf(failed))(yield* close(driver.giveBack({ runId })))
    }
    // Whatever it failed of, the world is there.
    hosted.outages = 0
    hosted.gate.widen()
    const visibleAt = yield* hosted.retryAt(failed, attempt, now)
    const { attemptsMax } = hosted
    const ended = yield* close(
      visibleAt === null
        ? driver.fail({ runId, failure, attemptsMax, recoverable: false })
        : driver.fail({ runId, failure, attemptsMax, visibleAt })
    )
    yield* Effect.logDebug(`attempt ${attempt} of run ${runId} failed`, failed._tag === "Died" ? failed.cause : failure)
    return settledAs("failed", causeOf(failed))(ended)
  })

/** The next run waits for the end of this one's fiber, but not for ever. */
const interrupt = (hosted: Hosted, run: RunLive, fiber: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.zipRight(
    Fiber.interruptFork(fiber),
    Effect.timeoutTo(Effect.interruptible(Fiber.await(fiber)), {
      duration: hosted.graceMillis,
      onSuccess: () => true,
      onTimeout: () => false
    })
  ).pipe(
    Effect.flatMap((hasEnded) =>
      hasEnded
        ? Effect.void
        : Effect.logWarning(
          `run ${run.runId} of ${run.runtimeId} ignores its interruption for ${hosted.graceMillis} ms. The next run ` +
            "starts without waiting for it; what it still commits is refused."
        )
    )
  )
