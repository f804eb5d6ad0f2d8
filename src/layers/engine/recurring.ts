/** Recurring inputs. Which tick was the last is a cell of the store; a tick is an input under the key of its time. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Cron from "effect/Cron"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { InputRejected, InvalidInput } from "../../schema/DriverError.js"
import type { CommitError, ReadFailed } from "../../schema/StoreError.js"
import type { Fork } from "../../services/Batcher.js"
import type { IngestError, Recurring, Service } from "../../services/ControlPlane.js"
import type { Drivers } from "../../services/Driver.js"
import type { RuntimeStore } from "../../services/RuntimeStore.js"
import { Arguments, runtimeIdOf } from "../driver/Arguments.js"
import * as Backoff from "./Backoff.js"

type Store = Context.Tag.Service<RuntimeStore>

const cellOf = (name: string): string => `cron/${name}`

const encode = (at: number): Uint8Array => new TextEncoder().encode(String(at))
const decode = (bytes: Uint8Array): number => Number(new TextDecoder().decode(bytes))

const remember = (store: Store, name: string, at: number): Effect.Effect<void, CommitError | ReadFailed> =>
  store.updateCell(cellOf(name), () => Effect.succeedSome(encode(at)))

const nextTick = (cron: Cron.Cron, after: number): number => Cron.next(cron, new Date(after)).getTime()

/** The key of a tick: under it is known that it was taken. */
const keyOf = (name: string, tick: number): string => `cron/${name}/${new Date(tick).toISOString()}`

/** What is the world's, or the runtime's for now: the tick waits. */
const patient = (error: IngestError | InputRejected): boolean => error.retryable

/** Takes a tick, however long that is refused for a while. What is refused for good is dropped, and said. */
const take = (ingest: Service["ingest"], { input, name, runtimeId }: Recurring, tick: number): Effect.Effect<void> => {
  const { id: _id, ...header } = input.header ?? {}
  const idempotencyKey = keyOf(name, tick)
  return ingest(runtimeId, { ...input, header: { ...header, idempotencyKey } }).pipe(
    Effect.flatMap((outcome) =>
      outcome._tag === "rejected" ? new InputRejected({ runtimeId, reason: outcome.reason }) : Effect.void
    ),
    Effect.retry({ schedule: Backoff.patience, while: patient }),
    // Whoever starts it again goes on behind the last tick that was taken.
    Effect.catchTag("StoreClosed", () => Effect.never),
    Effect.catchAll((error) => Effect.logError(`the recurring input ${idempotencyKey} is dropped`, error))
  )
}

/** The last tick behind `last` and until `now`. Looked for from the end: years of seconds may have passed. */
const latestTick = (cron: Cron.Cron, last: number, now: number): number => {
  for (let back = 1_000;; back *= 2) {
    const from = Math.max(last, now - back)
    let latest = last
    for (let tick = nextTick(cron, from); tick <= now; tick = nextTick(cron, tick)) latest = tick
    if (latest > last || from === last) return latest
  }
}

/** What would be wrong with every tick is said now. */
const check = (limits: Context.Tag.Service<Drivers>["limits"], { cron, name, runtimeId }: Recurring, now: number) =>
  Effect.gen(function*() {
    const args = new Arguments(yield* runtimeIdOf(limits, runtimeId), limits)
    yield* args.name("name", name)
    yield* args.name("the key of a tick", keyOf(name, now))
    yield* Effect.try({
      try: () => nextTick(cron, now),
      catch: (error) => new InvalidInput({ runtimeId, field: "cron", problem: String(error) })
    })
  })

/**
 * Which of the ticks behind `last` and until `now` is taken next, and where to go on behind it. Ticks that pass while
 * another one is taken are not missed: somebody was there.
 */
export const due = (
  { cron, missed = "once" }: Pick<Recurring, "cron" | "missed">,
  last: number,
  now: number,
  wasAway: boolean
): { readonly take: number | null; readonly last: number } => {
  const first = nextTick(cron, last)
  if (first > now) return { take: null, last }
  if (!wasAway || missed === "all") return { take: first, last: first }
  const latest = latestTick(cron, last, now)
  return { take: missed === "once" ? latest : null, last: latest }
}

export const run = (
  { limits, store }: Context.Tag.Service<Drivers>,
  fork: Fork,
  ingest: Service["ingest"],
  recurring: Recurring
) =>
  Effect.gen(function*() {
    const { cron, name } = recurring
    const start = yield* Clock.currentTimeMillis
    yield* check(limits, recurring, start)
    const known = yield* store.loadCell(cellOf(name))
    // Before its first start nothing was missed.
    if (Option.isNone(known)) yield* remember(store, name, start)
    let last = Option.match(known, { onNone: () => start, onSome: decode })
    let wasAway = Option.isSome(known)
    const round = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const next = due(recurring, last, now, wasAway)
      if (next.last === last) {
        const first = nextTick(cron, last)
        yield* Effect.sleep(Math.min(first - now, 3_600_000))
        // A machine that has slept on.
        wasAway = nextTick(cron, first) <= (yield* Clock.currentTimeMillis)
        return
      }
      wasAway = wasAway && recurring.missed === "all"
      if (next.take !== null) yield* take(ingest, recurring, next.take)
      last = next.last
      yield* remember(store, name, last).pipe(
        Effect.retry({ schedule: Backoff.patience, while: (error) => error.retryable }),
        // The key of the tick keeps it from being taken twice all the same.
        Effect.catchAll((error) => Effect.logError(`the last tick of ${name} could not be remembered`, error))
      )
    })
    yield* until(fork, Effect.forever(round))
  })

/** In the engine's own fibers, whose context is nobody's, for as long as the caller's scope is open. */
const until = (fork: Fork, background: Effect.Effect<never>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const stop = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<void>()
    const effect = Effect.ensuring(
      Effect.raceFirst(background, Deferred.await(stop)),
      Deferred.succeed(ended, undefined)
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => fork(effect)),
      (isForked) => isForked ? Effect.zipRight(Deferred.succeed(stop, undefined), Deferred.await(ended)) : Effect.void
    )
  })
