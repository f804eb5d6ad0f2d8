/** Session deltas as the core takes them: messages as canonical text, and what of the stored transcript it needs. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { firstRevision } from "../../core/Digests.js"
import type * as Session from "../../core/Session.js"
import type { DriverState } from "../../core/State.js"
import { InvalidInput } from "../../schema/DriverError.js"
import { type RuntimeId, SessionId } from "../../schema/Ids.js"
import { canonical, type Json } from "../../schema/Json.js"
import { RewriteDraft, type SessionDelta } from "../../schema/Session.js"
import type { LoadError, TranscriptRevisionConflict } from "../../schema/StoreError.js"
import type { Env } from "./Env.js"

const isRewriteDraft = Schema.is(RewriteDraft)
const isSessionId = Schema.is(SessionId)

export interface Taken {
  readonly delta: Session.Delta
  readonly rewrite: (RewriteDraft & { readonly replacement: ReadonlyArray<string> }) | undefined
}

/** In the caller's fiber: the messages' texts, within the limits. */
export const take = (
  env: Env,
  runtimeId: RuntimeId,
  given: SessionDelta = {}
): Effect.Effect<Taken, InvalidInput> =>
  Effect.gen(function*() {
    const { limits } = env
    if (given.rewrite !== undefined && !isRewriteDraft(given.rewrite)) {
      return yield* invalid(
        runtimeId,
        "rewrite",
        "needs whole numbers from 0 for its range, a reason, and a named actor if any"
      )
    }
    if (given.sessionId !== undefined && !isSessionId(given.sessionId)) {
      return yield* invalid(runtimeId, "sessionId", "must be non-empty, well-formed Unicode without NUL")
    }
    const append = yield* texts(runtimeId, "append", given.append ?? [])
    const replacement = yield* texts(runtimeId, "rewrite.replacement", given.rewrite?.replacement ?? [])
    const count = append.length + replacement.length
    if (count > limits.appendMessagesMax) {
      return yield* invalid(runtimeId, "append", `has ${count} messages; at most ${limits.appendMessagesMax} are taken`)
    }
    const bytes = [...append, ...replacement].reduce((sum, text) => sum + new TextEncoder().encode(text).byteLength, 0)
    if (bytes > limits.appendBytesMax) {
      return yield* invalid(runtimeId, "append", `has ${bytes} bytes; at most ${limits.appendBytesMax} are taken`)
    }
    const { snapshot } = given
    if (snapshot && snapshot.byteLength > limits.snapshotBytesMax) {
      return yield* invalid(
        runtimeId,
        "snapshot",
        `has ${snapshot.byteLength} bytes; at most ${limits.snapshotBytesMax} are taken`
      )
    }
    return {
      delta: {
        append,
        ...(snapshot !== undefined && { snapshot }),
        ...(given.sessionId !== undefined && { sessionId: given.sessionId })
      },
      rewrite: given.rewrite && { ...given.rewrite, replacement }
    }
  })

/** In the driver's turn: a rewrite needs the revision in front of its selection and the messages behind it. */
export const gather = (
  env: Env,
  state: DriverState,
  { delta, rewrite }: Taken
): Effect.Effect<Session.Delta, InvalidInput | LoadError | TranscriptRevisionConflict> =>
  Effect.gen(function*() {
    if (rewrite === undefined) return delta
    const { runtimeId, session } = state
    const { end, start } = rewrite.selection
    const length = session?.length ?? 0
    if (session === null || start > end || end > length) {
      return yield* invalid(
        runtimeId,
        "rewrite.selection",
        `${start} to ${end} is not a range of a transcript of ${length} messages`
      )
    }
    const before = start === 0
      ? Option.some(firstRevision(env.sha256, session.id))
      : yield* env.store.loadRevision(runtimeId, start)
    const behind = yield* env.store.loadTranscript(runtimeId, { start: end, limit: length - end, at: session })
    const tail = yield* texts(runtimeId, "the transcript", behind.messages)
    if (Option.isNone(before)) return yield* invalid(runtimeId, "rewrite.selection", "begins behind the transcript")
    return { ...delta, rewrite: { ...rewrite, keepRevision: before.value, tail } }
  })

/** A delta as its caller said it, without what the stored transcript adds: enough to recognise a repetition. */
export const asSaid = ({ delta, rewrite }: Taken): Session.Delta =>
  rewrite === undefined ? delta : { ...delta, rewrite: { ...rewrite, keepRevision: null, tail: [] } }

const invalid = (runtimeId: RuntimeId, field: string, problem: string) =>
  new InvalidInput({ runtimeId, field, problem })

const texts = (
  runtimeId: RuntimeId,
  field: string,
  messages: ReadonlyArray<Json>
): Effect.Effect<ReadonlyArray<string>, InvalidInput> =>
  Effect.forEach(
    messages,
    (message, i) =>
      Either.mapLeft(canonical(message), ({ kind, path }) =>
        invalid(runtimeId, `${field}[${i}]${path === "" ? "" : `.${path}`}`, `is ${kind}, which has no JSON form`))
  )
