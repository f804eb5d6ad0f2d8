/** What is read and written for the children of batches: what they sent before, and the cancels that leave with them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Known } from "../../core/Accept.js"
import * as Children from "../../core/Children.js"
import type { Deposit } from "../../core/Commit.js"
import type * as State from "../../core/State.js"
import type { Decide } from "../../core/Step.js"
import type { BatchId, RunId, RuntimeId } from "../../schema/Ids.js"
import type { LoadError, ReadFailed } from "../../schema/StoreError.js"
import * as codecs from "../../services/codecs.js"
import type { CommandError } from "../../services/Driver.js"
import type { Ask, Cell } from "./Cell.js"
import type { Env } from "./Env.js"

/** A command that is all in its decision. */
export type Deciding<A, E> = Pick<Ask<A, E>, "name" | "lookup"> & {
  readonly decide: (known: ReadonlyArray<Known>) => Decide<A, E>
}

/**
 * Submits a command that may end batches. It waits in line, and is folded, like any other; only when its decision turns
 * out to end a batch that has committed something is it made again, alone, with what the batch has sent.
 */
export const submit = <A, E>(
  env: Env,
  cell: Cell,
  ask: Deciding<A, E>
): Effect.Effect<A, E | ReadFailed | CommandError> => {
  const folded: Ask<A, E | Children.MayHaveChildren> = {
    ...ask,
    decide: (known) => Children.unlessParent(ask.decide(known))
  }
  const alone: Ask<A, E | ReadFailed> = {
    name: ask.name,
    ...(ask.lookup && { lookup: ask.lookup }),
    prepare: (state, known) =>
      Effect.gen(function*() {
        const decide = ask.decide(known)
        const now = yield* Clock.currentTimeMillis
        const decided = decide(state, state.stamp, now)
        const ended = Either.isLeft(decided) ? [] : Children.endedBy(state, decided.right)
        const children = yield* Effect.forEach(ended, (batchId) => load(env, state.runtimeId, batchId))
        return Children.carrying(decide, children.flat().map((child) => cancel(env, state.runtimeId, child, now)))
      })
  }
  return Effect.catchIf(
    cell.submit(folded),
    (error): error is Children.MayHaveChildren => error instanceof Children.MayHaveChildren,
    () => cell.submit(alone)
  ) as Effect.Effect<A, E | ReadFailed | CommandError>
}

/** What cannot be read keeps nobody from ending the batch: a run that must be stopped is stopped. */
const load = (
  env: Env,
  runtimeId: RuntimeId,
  batchId: BatchId
): Effect.Effect<ReadonlyArray<Children.Child>, ReadFailed> =>
  sent(env, runtimeId, batchId).pipe(
    Effect.catchAll((error) =>
      error._tag === "ReadFailed"
        ? Effect.fail(error)
        : Effect.as(
          Effect.logError(`batch ${batchId} of ${runtimeId} ends, and its children go on: they cannot be read`, error),
          []
        )
    )
  )

const sent = (
  env: Env,
  runtimeId: RuntimeId,
  batchId: BatchId
): Effect.Effect<ReadonlyArray<Children.Child>, LoadError> =>
  Effect.map(env.store.loadNotes(runtimeId, Children.scopeOf(batchId)), Children.childrenOf)

/** Ours in every field, and small: there is nothing to check, and nothing of it that goes into a blob. */
const cancel = (env: Env, parent: RuntimeId, child: Children.Child, at: number): Deposit => {
  const input = Children.cancelOf(env.sha256, parent, child, at)
  return {
    runtimeId: child.runtimeId,
    inputId: input.header.id,
    at,
    payload: Either.getOrThrow(codecs.payload.encode({ _tag: "inline", input }))
  }
}

/** What the open run's batch has sent to end with it, by whichever attempt. Of interest to one that sends more. */
export const sentBefore = (
  env: Env,
  state: State.DriverState,
  runId: RunId,
  children: ReadonlyArray<Children.Child>
): Effect.Effect<ReadonlyArray<Children.Child>, LoadError> =>
  children.length > 0 && state.run?.id === runId && Children.hasCommitted(state, state.run.batch)
    ? sent(env, state.runtimeId, state.run.batch)
    : Effect.succeed([])
