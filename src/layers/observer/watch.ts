/** A runtime's log as a stream that goes on: rows until they are used up, the shared tail from then on. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { RuntimeId } from "../../schema/Ids.js"
import type { Watched } from "../../services/Observer.js"
import * as Cursor from "./Cursor.js"
import { Reader, type ReadError } from "./Reader.js"
import type { Store } from "./Store.js"
import type { Tail, Tails } from "./Tail.js"

class Follower {
  private tail: Tail | undefined
  private reader: Reader | undefined

  constructor(
    private readonly store: Store,
    private readonly tails: Tails,
    private readonly runtimeId: RuntimeId,
    private cursor: number
  ) {}

  get next(): Effect.Effect<Chunk.Chunk<Watched>, ReadError> {
    return Effect.suspend(() => {
      this.tail ??= this.tails.join(this.runtimeId)
      if (this.tail === undefined || !this.tail.covers(this.cursor)) return this.fromRows
      this.reader = undefined
      const items = this.tail.behind(this.cursor)
      return items.length > 0
        ? Effect.succeed(this.taken(items))
        : Effect.flatMap(this.tail.next, () => this.next)
    })
  }

  private taken(items: ReadonlyArray<Watched>): Chunk.Chunk<Watched> {
    this.cursor = items[items.length - 1]!.cursor
    return Chunk.unsafeFromArray(items)
  }

  private get fromRows(): Effect.Effect<Chunk.Chunk<Watched>, ReadError> {
    const reader = this.reader ??= new Reader(this.store, this.runtimeId, this.cursor)
    return Effect.flatMap(reader.next, ({ items, more }) => {
      const chunk = items.length > 0 ? this.taken(items) : Chunk.empty<Watched>()
      if (!more) {
        this.cursor = reader.end
        // A tail that began elsewhere and does not cover this is ahead: then there are rows to read.
        this.tail ??= this.tails.join(this.runtimeId) ?? this.tails.begin(this.runtimeId, reader)
        this.reader = undefined
      }
      return items.length > 0 ? Effect.succeed(chunk) : this.next
    })
  }

  get leave(): Effect.Effect<void> {
    return Effect.suspend(() => this.tail === undefined ? Effect.void : this.tails.leave(this.tail))
  }
}

export const watch =
  (store: Store, tails: Tails) => (runtimeId: RuntimeId, after: number): Stream.Stream<Watched, ReadError> =>
    Stream.unwrapScoped(Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Follower(store, tails, runtimeId, Cursor.from(after))),
        (follower) => follower.leave
      ),
      (follower) => Stream.repeatEffectChunk(follower.next)
    ))
