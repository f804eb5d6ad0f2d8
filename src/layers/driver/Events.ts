/** The event log of a runtime as a stream that goes on: read from rows, so that a slow reader slows nobody. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { RuntimeId } from "../../schema/Ids.js"
import type { EventRecord } from "../../schema/RuntimeEvent.js"
import type { EventsPruned, LoadError } from "../../schema/StoreError.js"
import type { Env } from "./Env.js"

const EVENTS_PAGE = 256

export const events = (
  { store }: Pick<Env, "store">,
  runtimeId: RuntimeId,
  after: number
): Stream.Stream<EventRecord, LoadError | EventsPruned> => {
  const read = (cursor: number) => store.loadEvents(runtimeId, { after: cursor, limit: EVENTS_PAGE })
  // Subscribe first, then look again: what is committed in between is heard.
  const wait = (cursor: number) =>
    Effect.scoped(
      Effect.flatMap(store.subscribe(runtimeId), (changed) =>
        Effect.flatMap(read(cursor), (page) =>
          page.length > 0 ? Effect.succeed(page) : Effect.as(changed, [])))
    )
  const next = (cursor: number): ReturnType<typeof read> =>
    Effect.flatMap(
      read(cursor),
      (page) =>
        page.length > 0 ? Effect.succeed(page) : Effect.flatMap(wait(cursor), (page) =>
          page.length > 0
            ? Effect.succeed(page)
            : Effect.suspend(() => next(cursor)))
    )
  return Stream.unfoldChunkEffect(
    after,
    (cursor) =>
      Effect.map(
        next(cursor),
        (page) => Option.some([Chunk.unsafeFromArray(page), page[page.length - 1]!.number] as const)
      )
  )
}
