/**
 * Says "look again" to those who read a runtime's rows. It carries nothing, so it can lose nothing, never waits, and
 * costs nothing for runtimes that nobody watches.
 */
import * as Effect from "effect/Effect"
import type { RuntimeId } from "../../schema/Ids.js"

export class Doorbell {
  private readonly waiting = new Map<RuntimeId, Set<() => void>>()

  ring(runtimeId: RuntimeId): void {
    const waiting = this.waiting.get(runtimeId)
    if (waiting === undefined) return
    this.waiting.delete(runtimeId)
    for (const wake of waiting) wake()
  }

  /** Registers at once; the effect inside completes with the next ring. */
  readonly subscribe = (runtimeId: RuntimeId): Effect.Effect<Effect.Effect<void>> =>
    Effect.sync(() => {
      let rung = false
      let resume: (() => void) | undefined
      const wake = () => {
        rung = true
        resume?.()
      }
      const forRuntime = this.waiting.get(runtimeId) ?? new Set()
      this.waiting.set(runtimeId, forRuntime.add(wake))
      return Effect.async<void>((callback) => {
        if (rung) return callback(Effect.void)
        resume = () => callback(Effect.void)
        return Effect.sync(() => {
          forRuntime.delete(wake)
          if (forRuntime.size === 0 && this.waiting.get(runtimeId) === forRuntime) this.waiting.delete(runtimeId)
        })
      })
    })
}
