/**
 * Who may start a run of an agent, and when: `runsMax` at once, in turns over a key. Who waits is a name in a queue: its
 * runtime is not loaded.
 */
import type { RuntimeId } from "../../schema/Ids.js"

export interface Options {
  readonly runsMax: number
  readonly fairBy: (runtimeId: RuntimeId) => string
  /** Starts the turn of a runtime, which has a place from then on. */
  readonly start: (runtimeId: RuntimeId) => void
}

export class Gate {
  /** Keys in the order of their turns, each with its runtimes in the order of their coming. */
  private readonly waiting = new Map<string, Set<RuntimeId>>()
  /** Runs that have lent their place and want one again, by whom to tell: they go before all others. */
  private readonly returning = new Set<() => void>()
  private taken = 0
  private count = 0
  private isClosed = false
  /** While an outage is on, one may try beside those that have been there before: so many places at most. */
  private probeMax: number | undefined

  constructor(private readonly options: Options) {}

  get waitingCount(): number {
    return this.count
  }

  get isOpen(): boolean {
    return !this.isClosed
  }

  enqueue(runtimeId: RuntimeId): void {
    const key = this.options.fairBy(runtimeId)
    const ids = this.waiting.get(key)
    if (ids === undefined) this.waiting.set(key, new Set([runtimeId]))
    else ids.add(runtimeId)
    this.count++
    this.pump()
  }

  /** Gives a place back. */
  release(): void {
    this.taken--
    this.pump()
  }

  /** A place again, for a run that has released its own. It has one from the moment that it is told. */
  regain(tell: () => void): void {
    this.returning.add(tell)
    this.pump()
  }

  /** It wants none any more. */
  withdraw(tell: () => void): void {
    this.returning.delete(tell)
  }

  /** No new run starts. What has a place goes on. */
  close(): void {
    this.isClosed = true
  }

  open(how: "wide" | "for one"): void {
    this.isClosed = false
    this.probeMax = how === "for one" ? this.taken + 1 : undefined
    this.pump()
  }

  /** The world is well again. */
  widen(): void {
    if (this.probeMax === undefined) return
    this.probeMax = undefined
    this.pump()
  }

  private pump(): void {
    for (const tell of this.returning) {
      if (this.taken >= this.options.runsMax) return
      this.returning.delete(tell)
      this.taken++
      tell()
    }
    while (!this.isClosed && this.taken < Math.min(this.probeMax ?? Infinity, this.options.runsMax)) {
      const next = this.next()
      if (next === undefined) return
      this.taken++
      this.options.start(next)
    }
  }

  /** The first of the key whose turn it is; the key goes to the end. */
  private next(): RuntimeId | undefined {
    for (const [key, ids] of this.waiting) {
      this.waiting.delete(key)
      for (const runtimeId of ids) {
        ids.delete(runtimeId)
        this.count--
        if (ids.size > 0) this.waiting.set(key, ids)
        return runtimeId
      }
    }
    return undefined
  }
}
