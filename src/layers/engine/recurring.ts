/** Recurring inputs. Which tick was the last is a cell of the store; a tick is an input under the key of its time. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Cron from "effect/Cron"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InputRejected, InvalidInput } from "../../schema/DriverError.js"
import type { CommitError, ReadFailed } from "../../schema/StoreError.js"
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

const take = (ingest: Service["ingest"], { input, name, runtimeId }: Recurring, tick: number): Effect.Effect<void> => {
  const { id: _id, ...header } = input.header ?? {}
  const idempotencyKey = keyOf(name, tick)
  return ingest(runtimeId, { ...input, header: { ...header, idempotencyKey } }).pipe(
    Effect.flatMap((outcome) =>
      outcome._tag === "rejected" ? new InputRejected({ runtimeId, reason: outcome.reason }) : Effect.void
    ),
    Effect.retry({ schedule: Backoff.patience, while: patient }),
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

export const run = (
  { limits, store }: Context.Tag.Service<Drivers>,
  ingest: Service["ingest"],
  recurring: Recurring
) =>
  Effect.gen(function*() {
    const { cron, missed = "once", name } = recurring
    const start = yield* Clock.currentTimeMillis
    yield* check(limits, recurring, start)
    const known = yield* store.loadCell(cellOf(name))
    // Before its first start nothing was missed.
    let last = Option.match(known, { onNone: () => start, onSome: decode })
    if (Option.isNone(known)) yield* remember(store, name, start)
    const missedOne = (tick: number) => Effect.zipRight(take(ingest, recurring, tick), remember(store, name, tick))
    if (missed === "all") {
      for (let tick = nextTick(cron, last); tick <= start; tick = nextTick(cron, tick)) {
        yield* missedOne(tick)
        last = tick
      }
    } else {
      const latest = latestTick(cron, last, start)
      if (missed === "once" && latest > last) yield* missedOne(latest)
      last = latest
    }
    const wait: Effect.Effect<void> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = nextTick(cron, last) - now
      return left <= 0 ? Effect.void : Effect.zipRight(Effect.sleep(Math.min(left, 3_600_000)), wait)
    })
    const tick = Effect.gen(function*() {
      yield* wait
      last = nextTick(cron, last)
      yield* take(ingest, recurring, last)
      yield* remember(store, name, last).pipe(
        Effect.retry({ schedule: Backoff.patience, while: (error) => error.retryable }),
        // The key of the tick keeps it from being taken twice all the same.
        Effect.catchAll((error) => Effect.logError(`the last tick of ${name} could not be remembered`, error))
      )
    })
    yield* Effect.forkScoped(Effect.forever(Effect.suspend(() => tick)))
  })
