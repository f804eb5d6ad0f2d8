/**
 * The one timer of a process. It keeps one number: everything that is ready by then was announced. What comes next it
 * asks the store.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { RuntimeId } from "../../schema/Ids.js"
import type { ReadFailed } from "../../schema/StoreError.js"
import type { RuntimeStore } from "../../services/RuntimeStore.js"
import { troubleMillis } from "./Backoff.js"

/** Timers of the platform overflow after 24 days, and a machine may sleep: so it looks at least this often. */
const LOOK_MILLIS_MAX = 3_600_000

const DUE_PAGE = 1_024

export class Timer {
  private announced: number
  private target = Infinity
  /** Somebody has something for the turn that is going on. */
  private nudged = Deferred.unsafeMake<void>(FiberId.none)

  constructor(
    private readonly store: Context.Tag.Service<RuntimeStore>,
    private readonly wake: (runtimeId: RuntimeId) => void,
    now: number
  ) {
    this.announced = now
  }

  /** Something is ready at `at` that the timer may not know of. */
  notice(at: number): void {
    // A clock that was set back: what was announced is so no more.
    if (at <= this.announced) this.announced = at - 1
    if (at < this.target) Deferred.unsafeDone(this.nudged, Effect.void)
  }

  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    let troubles = 0
    return Effect.forever(
      Effect.matchCauseEffect(Effect.suspend(() => this.turn()), {
        onSuccess: () => Effect.sync(() => troubles = 0),
        // Whatever it is: without a timer nothing that is delayed would ever come.
        onFailure: (cause) =>
          Cause.isInterruptedOnly(cause)
            ? Effect.interrupt
            : Effect.zipRight(
              Effect.logWarning("the timer could not see what is due; it tries again", cause),
              Effect.sleep(troubleMillis(++troubles))
            )
      })
    )
  })

  private turn(): Effect.Effect<void, ReadFailed> {
    return Effect.gen(this, function*() {
      // Who nudges while the store is read is heard.
      this.nudged = Deferred.unsafeMake<void>(FiberId.none)
      this.target = Infinity
      const next = yield* this.store.loadNextReadyAt(this.announced)
      const now = yield* Clock.currentTimeMillis
      this.target = Option.getOrElse(next, () => Infinity)
      if (this.target > now) {
        const sleep = Effect.sleep(Math.min(this.target - now, LOOK_MILLIS_MAX))
        yield* Effect.raceFirst(sleep, Deferred.await(this.nudged))
      }
      yield* this.announce()
    })
  }

  private announce(): Effect.Effect<void, ReadFailed> {
    return Effect.gen(this, function*() {
      const until = yield* Clock.currentTimeMillis
      let limit = DUE_PAGE
      for (let after = this.announced; after < until; after = this.announced) {
        const due = yield* this.store.loadDue({ after, until, limit })
        for (const { runtimeId } of due) this.wake(runtimeId)
        const last = due[due.length - 1]
        // A full page may end within a moment: the rest of that moment is on the next one, or on a larger one.
        const reached = last === undefined || due.length < limit ? until : last.readyAt - 1
        if (reached <= after) limit *= 4
        // Somebody may have set it back meanwhile.
        else if (this.announced === after) this.announced = reached
      }
    })
  }
}
