/** Questions: operations that a batch waits for, each with a note that says what was asked. */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { EpochMillis, type RuntimeId } from "../../schema/Ids.js"
import type { Awaited, InputHead } from "../../schema/InputState.js"
import { Json } from "../../schema/Json.js"
import type { LoadError, ReadFailed, SchemaFromTheFuture } from "../../schema/StoreError.js"
import { type Question, scopeOf } from "../../services/Agents.js"
import type { Service as ControlPlane } from "../../services/ControlPlane.js"
import type { Store } from "../observer/Store.js"

const decodeNote = Schema.decodeUnknownOption(Schema.Struct({ ask: Json, askedAt: EpochMillis }))

/** What was asked under a name, ever: the note is there for good. A Schema of any JSON lets the field be missing. */
const noteOf = (store: Store, runtimeId: string, question: string, key: string) =>
  Effect.map(
    store.loadNotes(runtimeId as RuntimeId, scopeOf(question), key),
    ([note]) =>
      note === undefined ? Option.none() : Option.filter(decodeNote(note.value), ({ ask }) => ask !== undefined)
  )

/** The names that an operation would have as a question: the question's has no slash. */
const namesOf = (operationId: string): Option.Option<{ readonly question: string; readonly key: string }> => {
  const slash = operationId.indexOf("/")
  return slash < 0
    ? Option.none()
    : Option.some({ question: operationId.slice(0, slash), key: operationId.slice(slash + 1) })
}

/** The question that an operation stands for; none for other work. */
export const questionOf = (
  store: Store,
  runtimeId: string,
  { operationId, until }: Awaited
): Effect.Effect<Option.Option<Question>, LoadError> =>
  Option.match(namesOf(operationId), {
    onNone: () => Effect.succeedNone,
    onSome: ({ key, question }) =>
      Effect.map(
        noteOf(store, runtimeId, question, key),
        Option.map(({ ask, askedAt }) => ({ question, key, ask, askedAt, expiresAt: until }))
      )
  })

/** Whether it was ever asked. What has a slash in its name would be read as another question's key. */
export const wasAsked = (
  store: Store,
  runtimeId: string,
  { key, question }: { readonly question: string; readonly key: string }
): Effect.Effect<boolean, LoadError> =>
  question.includes("/")
    ? Effect.succeed(false)
    : Effect.map(noteOf(store, runtimeId, question, key), Option.isSome)

const PAGE = 256

/** The heads of all inputs that have not ended, in admission order. Rows that cannot be read are left out. */
export const activeHeads = (
  plane: ControlPlane,
  runtimeId: string
): Effect.Effect<ReadonlyArray<InputHead>, ReadFailed | SchemaFromTheFuture> =>
  Effect.gen(function*() {
    const heads: Array<InputHead> = []
    for (let after = 0;;) {
      const rows = yield* plane.inputs(runtimeId, { only: "active", after, limit: PAGE })
      const page = Arr.getRights(rows).map(({ head }) => head)
      heads.push(...page)
      const last = page.at(-1)
      // A corrupt row has no number to go on behind.
      if (rows.length < PAGE || last === undefined) return heads
      after = last.sequence
    }
  })

/** In admission order of those who ask. What several wait for is one question. */
export const openQuestions = (
  plane: ControlPlane,
  store: Store,
  runtimeId: string
): Effect.Effect<ReadonlyArray<Question>, LoadError> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const open = new Map<string, Awaited>()
    for (const { awaits } of yield* activeHeads(plane, runtimeId)) {
      for (const awaited of awaits) {
        const isOpen = awaited.until === null || awaited.until > now
        if (isOpen && !open.has(awaited.operationId)) open.set(awaited.operationId, awaited)
      }
    }
    return Arr.getSomes(yield* Effect.forEach(open.values(), (awaited) => questionOf(store, runtimeId, awaited)))
  })
