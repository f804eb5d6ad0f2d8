/**
 * Reads what is committed behind a cursor, a page at a time: events, and after each the messages that it brought. Memory
 * holds one page of either.
 */
import * as Effect from "effect/Effect"
import type { RuntimeId } from "../../schema/Ids.js"
import type { EventRecord } from "../../schema/RuntimeEvent.js"
import type { EventsPruned, LoadError } from "../../schema/StoreError.js"
import type { Watched } from "../../services/Observer.js"
import * as Cursor from "./Cursor.js"
import type { Store } from "./Store.js"
import { type Brought, broughtBy, Survivors } from "./Survivors.js"

const EVENTS_PAGE = 256
const MESSAGES_PAGE = 100

export type ReadError = LoadError | EventsPruned

export interface Read {
  readonly items: ReadonlyArray<Watched>
  /** `false`: when the events were read there was nothing behind these. */
  readonly more: boolean
}

export class Reader {
  /** The last event that was passed, or that the cursor names. */
  private event: number
  /** Messages of `event` that were passed already, as long as it is not known what messages it has. */
  private passed: number | undefined
  private page: ReadonlyArray<EventRecord> = []
  private more = true
  private brought: Brought | undefined
  private position = 0
  private readonly survivors: Survivors
  private exists: boolean

  constructor(private readonly store: Store, private readonly runtimeId: RuntimeId, cursor: number) {
    this.event = Cursor.eventOf(cursor)
    // Messages come behind their event: who has it may lack them. There is no event 0.
    this.passed = this.event === 0 ? undefined : Cursor.messagesBefore(cursor)
    this.survivors = new Survivors(store, runtimeId)
    this.exists = this.event === 0
  }

  /** Whether the log is known to reach to where this reader is. */
  get isInLog(): boolean {
    return this.exists
  }

  /** Behind everything that was read so far; of use when there is no more. */
  get end(): number {
    return Cursor.endOf(this.event)
  }

  get next(): Effect.Effect<Read, ReadError> {
    return Effect.suspend(() => {
      if (this.brought !== undefined) return this.messages(this.brought)
      return this.page.length > 0 ? Effect.succeed(this.events()) : this.load
    })
  }

  private get load(): Effect.Effect<Read, ReadError> {
    return Effect.flatMap(this.passed === undefined ? this.behind(this.event) : this.resumed(this.passed), (page) => {
      this.more = page.length === EVENTS_PAGE
      // The page of a reader that goes on begins with the event that it stands at.
      this.page = page[0]?.number === this.event ? page.slice(1) : page
      return this.hasMore ? this.next : Effect.succeed({ items: [], more: false })
    })
  }

  private behind(number: number) {
    return this.store.loadEvents(this.runtimeId, { after: number, limit: EVENTS_PAGE })
  }

  private resumed(passed: number): Effect.Effect<ReadonlyArray<EventRecord>, ReadError> {
    return this.behind(this.event - 1).pipe(
      // It may be the last one that was pruned: what it brought is in the transcript alone.
      Effect.catchTag("EventsPruned", () =>
        Effect.tap(this.behind(this.event), () => {
          this.exists = true
        })),
      Effect.tap(([first]) => {
        this.passed = undefined
        if (first?.number !== this.event) return
        this.exists = true
        this.open(first, passed)
      })
    )
  }

  private open(record: EventRecord, passed: number): void {
    const brought = broughtBy(record)
    if (brought === undefined || passed >= brought.end - brought.start) return
    this.brought = { ...brought, end: Math.min(brought.end, brought.start + Cursor.MESSAGES_MAX) }
    this.position = brought.start + passed
  }

  /** Events up to the first that brought messages. */
  private events(): Read {
    const items: Array<Watched> = []
    for (const record of this.page) {
      const { at, event, number } = record
      this.event = number
      this.exists = true
      items.push({ _tag: "event", cursor: number, at, event })
      this.open(record, 0)
      if (this.brought !== undefined) break
    }
    this.page = this.page.slice(items.length)
    return { items, more: this.hasMore }
  }

  private get hasMore(): boolean {
    return this.more || this.page.length > 0 || this.brought !== undefined
  }

  private messages(brought: Brought): Effect.Effect<Read, ReadError> {
    const now = this.survivors.next(brought, this.position, MESSAGES_PAGE)
    if (now === undefined) {
      this.brought = undefined
      return this.hasMore ? this.next : Effect.succeed({ items: [], more: false })
    }
    const { count, first, pin, start } = now
    const page = this.store.loadTranscript(this.runtimeId, { start, limit: count, at: pin })
    return Effect.matchEffect(page, {
      onSuccess: ({ messages }) => {
        this.position = first + count
        if (this.position >= brought.end) this.brought = undefined
        const { at, number } = brought
        const items = messages.map((message, i): Watched => {
          const index = first + i
          return { _tag: "message", cursor: Cursor.ofMessage(number, index - brought.start), at, index, message }
        })
        return items.length > 0 || !this.hasMore ? Effect.succeed({ items, more: this.hasMore }) : this.next
      },
      onFailure: (error) => {
        if (error._tag !== "TranscriptRevisionConflict") return Effect.fail(error)
        return Effect.flatMap(this.survivors.lookBehind(brought.number), (found) => {
          // No event tells where they are: they are gone.
          if (!found) this.brought = undefined
          return this.hasMore ? this.next : Effect.succeed({ items: [], more: false })
        })
      }
    })
  }
}
