/**
 * Inputs on their last attempt, whose run was lost before, start one at a time in a process: one of them may be what
 * ends it, and takes no other's last attempt with it.
 */
import type { RuntimeId } from "../../schema/Ids.js"

export class Solo {
  private holder: RuntimeId | undefined
  private readonly waiting = new Set<RuntimeId>()

  constructor(
    /** `false`: it cannot have its turn now. */
    private readonly wake: (runtimeId: RuntimeId) => boolean
  ) {}

  /** For the turn that asks; otherwise it is woken when it may ask again. */
  take(runtimeId: RuntimeId): boolean {
    if (this.holder === undefined) {
      this.holder = runtimeId
      this.waiting.delete(runtimeId)
      return true
    }
    this.waiting.add(runtimeId)
    return false
  }

  isHeldBy(runtimeId: RuntimeId): boolean {
    return this.holder === runtimeId
  }

  /** Its attempt has ended: it was not that. Or it waits, maybe for one of the others. */
  release(runtimeId: RuntimeId): void {
    if (this.holder !== runtimeId) return
    this.holder = undefined
    this.next()
  }

  /** Behind every turn: whoever was woken may have found nothing, and the next one must not wait for that. */
  next(): void {
    if (this.holder !== undefined) return
    for (const runtimeId of this.waiting) {
      this.waiting.delete(runtimeId)
      if (this.wake(runtimeId)) return
    }
  }
}
