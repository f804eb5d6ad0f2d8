/**
 * Admits what was handed over as rows. An input is admitted under the id that it was handed over with, and its row goes
 * after that: whatever happens in between, the second admission answers that it is known.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { isTheEnd } from "../../core/Operations.js"
import type { Failure } from "../../schema/InputState.js"
import type { AcceptOutcome } from "../../schema/Report.js"
import type { CommitError, ReadFailed, SchemaFromTheFuture, StoreClosed } from "../../schema/StoreError.js"
import type { AcceptError, Drivers, OpenError } from "../../services/Driver.js"
import { DEDUPLICATED, type StoredDeposit } from "../../services/RuntimeStore.js"
import * as Backoff from "./Backoff.js"

const PAGE = 256

const NUDGE_MILLIS = 50

/** Runtimes that are handed their deposits at the same time. */
const TARGETS_AT_ONCE = 16

/** What is not about the input: its runtime takes it later. */
const later: ReadonlySet<string> = new Set([
  "QueueFull",
  "NotReady",
  "OwnershipLost",
  "TooManyRuntimes",
  "StoreClosed",
  "StoreReplaced",
  "SchemaFromTheFuture",
  "RunInProgress"
])

type Settled = "later" | { readonly no: number; readonly failure: Failure | null }

const admit = (drivers: Context.Tag.Service<Drivers>, deposit: StoredDeposit): Effect.Effect<Settled> => {
  const { body, no, runtimeId } = deposit
  if (Either.isLeft(body)) return Effect.succeed({ no, failure: failureOf(body.left) })
  return Effect.scoped(Effect.flatMap(drivers.lease(runtimeId), (driver) => driver.admit(deposit))).pipe(
    Effect.match({
      onSuccess: (outcome): Settled => ({ no, failure: refusalOf(deposit, outcome) }),
      onFailure: (error: AcceptError | OpenError): Settled =>
        later.has(error._tag) || error.retryable ? "later" : { no, failure: failureOf(error) }
    })
  )
}

/**
 * What a runtime waits for comes before what it does not take: one that is retired could not be drained otherwise. The
 * end of an operation has nothing before it that it could overtake.
 */
const passes = ({ body }: StoredDeposit): boolean =>
  Either.isRight(body) && body.right._tag === "inline" && isTheEnd(body.right.input)

/** A key that another input has leads to that one: the row is kept for those who wait under the id they were given. */
const refusalOf = ({ inputId }: StoredDeposit, outcome: AcceptOutcome): Failure | null => {
  switch (outcome._tag) {
    case "accepted":
      return null
    case "deduplicated":
      return outcome.existing === inputId ? null : { tag: DEDUPLICATED, message: outcome.existing }
    case "rejected":
      return { tag: outcome.reason._tag, message: outcome.reason.detail }
  }
}

const failureOf = (error: { readonly _tag: string; readonly message: string }): Failure => ({
  tag: error._tag,
  message: error.message
})

const byTarget = (deposits: ReadonlyArray<StoredDeposit>): ReadonlyArray<ReadonlyArray<StoredDeposit>> => {
  const targets = new Map<string, Array<StoredDeposit>>()
  for (const deposit of deposits) {
    const own = targets.get(deposit.runtimeId)
    if (own === undefined) targets.set(deposit.runtimeId, [deposit])
    else own.push(deposit)
  }
  return Array.from(targets.values())
}

/**
 * Sweeps when something was deposited, when a runtime that had to wait for its deposits has committed something, and
 * after a while to be sure.
 */
export class Courier {
  /** Runtimes that did not take what was handed over to them: then what is behind it waits, too, in order. */
  private waiting = new Set<string>()
  private nudge: () => void = () => {}

  constructor(private readonly drivers: Context.Tag.Service<Drivers>) {}

  /** A commit may have made room, or have resumed it. */
  noticed(runtimeId: string): void {
    if (this.waiting.has(runtimeId)) this.nudge()
  }

  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    let inARow = 0
    const round = Effect.scoped(
      Effect.gen(this, function*() {
        const arrived = yield* this.drivers.store.subscribeDeposits
        const nudged = yield* Deferred.make<void>()
        this.nudge = () => Deferred.unsafeDone(nudged, Effect.void)
        this.waiting = new Set()
        const swept = yield* Effect.exit(this.sweep)
        if (Exit.isFailure(swept)) {
          yield* Effect.logWarning("deposits could not be admitted; trying again", swept.cause)
        }
        const some = Exit.isFailure(swept) || this.waiting.size > 0
        inARow = some ? inARow + 1 : 0
        // A full runtime commits often: not a look through all deposits for each time.
        const again = Effect.raceFirst(arrived, Effect.zipLeft(Deferred.await(nudged), Effect.sleep(NUDGE_MILLIS)))
        yield* some ? Effect.raceFirst(again, Effect.sleep(Backoff.troubleMillis(inARow))) : again
      })
    )
    return Effect.forever(round)
  })

  /** Every deposit once. */
  private get sweep(): Effect.Effect<void, ReadFailed | SchemaFromTheFuture | CommitError | StoreClosed> {
    const { drivers, waiting } = this
    return Effect.gen(function*() {
      for (let after = 0;;) {
        const page = yield* drivers.store.loadDeposits({ after, limit: PAGE })
        const last = page[page.length - 1]
        if (last === undefined) return
        after = last.no
        const settled = yield* Effect.forEach(byTarget(page), (deposits) =>
          Effect.gen(function*() {
            const done: Array<Exclude<Settled, "later">> = []
            for (const deposit of deposits) {
              if (waiting.has(deposit.runtimeId) && !passes(deposit)) continue
              // A fault of one runtime's is not the others'.
              const one = yield* Effect.catchAllDefect(admit(drivers, deposit), (defect) =>
                Effect.as(Effect.logError(`admitting deposit ${deposit.no} has died`, defect), "later" as const))
              if (one === "later") {
                waiting.add(deposit.runtimeId)
              } else done.push(one)
            }
            return done
          }), { concurrency: TARGETS_AT_ONCE })
        const done = settled.flat()
        for (const { failure, no } of done) {
          if (failure !== null && failure.tag !== DEDUPLICATED) {
            yield* Effect.logError(`deposit ${no} was refused: ${failure.tag}: ${failure.message}`)
          }
        }
        if (done.length > 0) yield* drivers.store.settleDeposits(done)
      }
    })
  }
}
