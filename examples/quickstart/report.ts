/** What a database holds: the counts, and the transcript in order. */
import { Ids, Message, RuntimeStore, type Session } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { textOf } from "./agent.js"
import * as Output from "./output.js"

export const RUNTIME_ID = Ids.RuntimeId.make("quickstart")

const PAGE_MESSAGES = 100

/** The last line of the job: totals of the file, and how many lines the caller found accepted before. */
export const result = (deduplicated: number) =>
  Effect.gen(function*() {
    const store = yield* RuntimeStore.RuntimeStore
    const { abandoned, accepted, consumed, receipts, runs } = yield* store.loadTotals(RUNTIME_ID)
    const session = yield* store.loadSession(RUNTIME_ID)
    const sessionMessages = Option.match(session, { onNone: () => 0, onSome: ({ length }) => length })
    const json = JSON.stringify({ accepted, deduplicated, consumed, abandoned, runs, receipts, sessionMessages })
    return { json, session }
  })

const decodeMessage = Schema.decodeUnknownOption(Message)

/** Pinned to one revision: what an owner appends meanwhile is in the next report. */
const transcript = (head: Session.SessionHead) =>
  Stream.paginateChunkEffect(0, (start) =>
    Effect.gen(function*() {
      const store = yield* RuntimeStore.RuntimeStore
      const { messages } = yield* store.loadTranscript(RUNTIME_ID, { start, limit: PAGE_MESSAGES, at: head })
      const next = start + messages.length
      return [
        Chunk.fromIterable(messages),
        messages.length > 0 && next < head.length ? Option.some(next) : Option.none()
      ] as const
    }))

/** Runs nothing and writes nothing; the file may have an owner at work. */
export const report = (filename: string) =>
  Effect.gen(function*() {
    const { json, session } = yield* result(0)
    if (Option.isSome(session)) {
      yield* Stream.runForEach(transcript(session.value), (message) =>
        Output.line(Option.match(decodeMessage(message), {
          onNone: () => JSON.stringify(message),
          onSome: ({ content }) => textOf(content)
        })))
    }
    yield* Output.line(json)
  }).pipe(Effect.provide(BurrowSqlite.layerReader({ filename })))
