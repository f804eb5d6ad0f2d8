/**
 * Where messages of the past are now. A rewrite deletes what it replaces and moves what is behind it; a reader that comes
 * later finds the others by what later events say of it.
 */
import * as Effect from "effect/Effect"
import type { RuntimeId } from "../../schema/Ids.js"
import type { EventRecord } from "../../schema/RuntimeEvent.js"
import type { Revision } from "../../schema/Session.js"
import type { EventsPruned, LoadError } from "../../schema/StoreError.js"
import type { Store } from "./Store.js"

/** A transcript that was: as long as it is a prefix of the present one, it can be read by its name. */
export interface Pin {
  readonly revision: Revision
  readonly length: number
}

/** Messages that an event brought: positions in the transcript that it made. */
export interface Brought {
  readonly number: number
  readonly at: number
  readonly start: number
  readonly end: number
  readonly pin: Pin
}

export const broughtBy = ({ at, event, number }: EventRecord): Brought | undefined => {
  switch (event._tag) {
    case "run.boundary":
    case "session.changed": {
      const { messages: { end, start }, revision } = event
      return revision === null || start === end
        ? undefined
        : { number, at, start, end, pin: { revision, length: end } }
    }
    case "session.rewritten": {
      const { length, messages: { end, start }, revision } = event
      return start === end ? undefined : { number, at, start, end, pin: { revision, length } }
    }
    default:
      return undefined
  }
}

interface Change {
  readonly number: number
  /** Absent: everything was cleared. */
  readonly rewrite?: {
    readonly start: number
    readonly end: number
    /** How far what is behind the selection was moved. */
    readonly by: number
    readonly pin: Pin
  }
}

const changeOf = ({ event, number }: EventRecord): Change | undefined => {
  if (event._tag === "session.cleared") return { number }
  if (event._tag !== "session.rewritten") return undefined
  const { length, messages, revision, selection: { end, start } } = event
  return { number, rewrite: { start, end, by: messages.end - end, pin: { revision, length } } }
}

const PAGE = 256

/** What is known of changes behind an event. It is only looked for when a transcript is found to be no prefix any more. */
export class Survivors {
  private changes: ReadonlyArray<Change> = []
  /** All changes up to this event are known. */
  private upTo = 0

  constructor(private readonly store: Store, private readonly runtimeId: RuntimeId) {}

  /** A position's place behind the changes that are known; undefined when its message is gone. */
  private now(position: number): number | undefined {
    let at = position
    for (const { rewrite } of this.changes) {
      if (rewrite === undefined || (at >= rewrite.start && at < rewrite.end)) return undefined
      if (at >= rewrite.end) at += rewrite.by
    }
    return at
  }

  /** The first messages from `from` on that stand side by side now, at most `limit`; undefined when none is left. */
  next(
    brought: Brought,
    from: number,
    limit: number
  ): { readonly first: number; readonly start: number; readonly count: number; readonly pin: Pin } | undefined {
    if (this.changes.some(({ number }) => number <= brought.number)) {
      this.changes = this.changes.filter(({ number }) => number > brought.number)
    }
    const pin = this.changes.at(-1)?.rewrite?.pin ?? brought.pin
    for (let first = from; first < brought.end; first++) {
      const start = this.now(first)
      if (start === undefined) continue
      let count = 1
      while (count < limit && first + count < brought.end && this.now(first + count) === start + count) count++
      return { first, start, count, pin }
    }
    return undefined
  }

  /** Looks for changes behind the event that are not known yet; answers whether there are. */
  lookBehind(number: number): Effect.Effect<boolean, LoadError | EventsPruned> {
    return Effect.flatMap(
      this.store.loadEvents(this.runtimeId, { after: Math.max(this.upTo, number), limit: PAGE }),
      (page) => {
        const found = page.flatMap((record) => changeOf(record) ?? [])
        this.changes = [...this.changes, ...found]
        this.upTo = page.at(-1)?.number ?? Math.max(this.upTo, number)
        return page.length < PAGE
          ? Effect.succeed(found.length > 0)
          : Effect.map(this.lookBehind(number), (more) => more || found.length > 0)
      }
    )
  }
}
