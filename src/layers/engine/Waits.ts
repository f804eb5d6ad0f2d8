/** Which runtimes' runs wait for which runtimes, so that no circle of them is closed. */
import * as Effect from "effect/Effect"
import { WouldDeadlock } from "../../schema/AwaitError.js"
import type { RuntimeId } from "../../schema/Ids.js"

export class Waits {
  private readonly waits = new Map<RuntimeId, Map<RuntimeId, number>>()

  /** Whether `target` cannot go on before a run of `by` ends. */
  wouldDeadlock(by: RuntimeId, target: RuntimeId): boolean {
    const seen = new Set<RuntimeId>()
    const open = [target]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === by) return true
      if (seen.has(next)) continue
      seen.add(next)
      open.push(...this.waits.get(next)?.keys() ?? [])
    }
    return false
  }

  /** Looks and begins in one step: `false`, and nothing has begun, when that would close a circle. */
  begin(by: RuntimeId, target: RuntimeId): boolean {
    if (this.wouldDeadlock(by, target)) return false
    const targets = this.waits.get(by) ?? new Map<RuntimeId, number>()
    targets.set(target, (targets.get(target) ?? 0) + 1)
    this.waits.set(by, targets)
    return true
  }

  end(by: RuntimeId, target: RuntimeId): void {
    const targets = this.waits.get(by)
    if (targets === undefined) return
    const left = (targets.get(target) ?? 1) - 1
    if (left > 0) targets.set(target, left)
    else targets.delete(target)
    if (targets.size === 0) this.waits.delete(by)
  }

  /** A run of `by` waits for `target` from the effect's beginning to its end. */
  during<A, E, R>(
    by: RuntimeId,
    target: RuntimeId,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | WouldDeadlock, R> {
    return Effect.acquireUseRelease(
      Effect.suspend(() =>
        this.begin(by, target) ? Effect.void : Effect.fail(new WouldDeadlock({ runtimeId: target, by }))
      ),
      () => effect,
      () => Effect.sync(() => this.end(by, target))
    )
  }
}
