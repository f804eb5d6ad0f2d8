/** What runs tell while they work. It is handed to who is there, and never waited for. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { RunId, RuntimeId } from "../../schema/Ids.js"
import type { Json } from "../../schema/Json.js"

export interface Progress {
  readonly _tag: "progress"
  readonly runId: RunId
  readonly value: Json
}

/** What a subscriber has not read is dropped, the oldest first. */
const UNREAD_MAX = 64

export class ProgressHub {
  private readonly readers = new Map<RuntimeId, Set<Queue.Queue<Progress>>>()

  emit(runtimeId: RuntimeId, runId: RunId, value: Json): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(
        this.readers.get(runtimeId) ?? [],
        // Who has gone away since interrupts the offer. Not `unsafeOffer`: of a full queue it drops the newest.
        (reader) => Effect.exit(Queue.offer(reader, { _tag: "progress", runId, value })),
        { discard: true }
      )
    )
  }

  stream(runtimeId: RuntimeId): Stream.Stream<Progress> {
    return Stream.unwrapScoped(
      Effect.map(
        Effect.acquireRelease(
          Effect.tap(Queue.sliding<Progress>(UNREAD_MAX), (queue) =>
            Effect.sync(() => {
              const readers = this.readers.get(runtimeId) ?? new Set()
              this.readers.set(runtimeId, readers.add(queue))
            })),
          (queue) =>
            Effect.zipRight(
              Effect.sync(() => {
                const readers = this.readers.get(runtimeId)
                if (readers?.delete(queue) === true && readers.size === 0) this.readers.delete(runtimeId)
              }),
              Queue.shutdown(queue)
            )
        ),
        (queue) => Stream.fromQueue(queue)
      )
    )
  }
}
