import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Json } from "../../src/schema/Json.js"
import * as Session from "../../src/schema/Session.js"
import type { Service } from "../../src/services/Driver.js"
import type { Observer, Watched } from "../../src/services/Observer.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import type { Store } from "./bench.js"

const { assistant, user } = Session

export const says = (from: string, count: number): ReadonlyArray<Json> =>
  Array.from({ length: count }, (_, i) => assistant(`${from} ${i}`))

/** A runtime's life with everything that can bring messages, but no rewrite. */
export const story = (driver: Service) =>
  Effect.gen(function*() {
    yield* driver.publish("opened", null)
    yield* driver.commitSession({ append: [user("before"), assistant("hello")] })
    const { runId } = yield* F.running(driver)
    yield* F.accept(driver, F.steer("steer"))
    yield* driver.checkpoint({ runId, delta: { append: says("checkpoint", 3) } })
    yield* driver.note({ runId })
    yield* driver.complete({ runId, delta: { append: says("final", 5) }, result: "done" })
    yield* F.accept(driver, F.prompt("again"))
    yield* F.fail(driver, yield* F.stage(driver))
    yield* driver.complete({ ...(yield* F.stage(driver)), delta: { append: says("second", 1) } })
    yield* driver.commitSession({ snapshot: new Uint8Array([1]) })
    yield* driver.pause
  })

export const mark = (driver: Service) => driver.publish("the end", null)

const isMark = (seen: Watched) =>
  seen._tag === "event" && seen.event._tag === "runtime.published" && seen.event.code === "the end"

type Observing = Context.Tag.Service<Observer>

/** Everything behind a cursor, up to a mark that is or will be committed. */
export const toMark = (
  observer: Observing,
  { runtimeId }: Pick<Service, "runtimeId">,
  after?: number,
  between: Effect.Effect<void> = Effect.void
) =>
  observer.watch(runtimeId, after === undefined ? {} : { after }).pipe(
    Stream.mapEffect((seen) => Effect.as(between, seen)),
    Stream.takeUntil(isMark),
    Stream.runCollect,
    Effect.map(Chunk.toReadonlyArray)
  )

export const messagesOf = (seen: ReadonlyArray<Watched>) =>
  seen.flatMap((one) => one._tag === "message" ? [one.message] : [])

export const transcriptOf = (store: Store, { runtimeId }: Pick<Service, "runtimeId">) =>
  Effect.map(store.loadTranscript(runtimeId, { limit: 10_000 }), ({ messages }) => messages)

/** What a reader that keeps the transcript by what it is told has in the end. Absent: it was never told. */
export const kept = (seen: ReadonlyArray<Watched>): ReadonlyArray<Json | undefined> => {
  let messages: Array<Json | undefined> = []
  for (const one of seen) {
    if (one._tag === "message") messages[one.index] = one.message
    else if (one.event._tag === "session.cleared") messages = []
    else if (one.event._tag === "session.rewritten") {
      const { messages: { end, start }, selection } = one.event
      messages.length = Math.max(messages.length, selection.end)
      messages.splice(
        selection.start,
        selection.end - selection.start,
        ...Array.from({ length: end - start }, () => undefined)
      )
    }
  }
  return Array.from(messages)
}
