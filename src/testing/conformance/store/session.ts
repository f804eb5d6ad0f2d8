/**
 * The session: transcript, revisions, rewrites, snapshot.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Json } from "../../../schema/Json.js"
import type { RewriteDraft } from "../../../schema/Session.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardText } from "./awkward.js"
import {
  accept,
  appended,
  begin,
  type Bench,
  boundaryOf,
  changingNothing,
  emptyTranscript,
  freshRuntimeId,
  freshSessionId,
  make,
  openRun,
  own,
  type Owner,
  rewritten,
  stateOf,
  type StoreCase,
  type Transcript,
  type Written
} from "./fixtures.js"

const messages: ReadonlyArray<Json> = [
  "text",
  { role: "user", content: [{ _tag: "text", text: awkwardText }] },
  null,
  [],
  [1, -0.5, 1e21, true, { b: 1, a: 2 }],
  JSON.parse("{\"__proto__\":{\"x\":1},\"\":0}") as Json
]

const draft = (start: number, end: number): RewriteDraft => ({
  selection: { start, end },
  reason: awkwardText,
  actor: "an operator"
})

const write = ({ store }: Bench, owner: Owner, { transcript, write }: Written) =>
  Effect.as(store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), write), transcript)

const rewrite = ({ store }: Bench, owner: Owner, { transcript, write }: ReturnType<typeof rewritten>) =>
  Effect.as(store.commitSessionTranscriptRewriteSnapshot(owner.runtimeId, owner.stamp(), write), transcript)

const load = ({ store }: Bench, { runtimeId }: Owner, limit = 1000) => store.loadTranscript(runtimeId, { limit })

const head = ({ store }: Bench, { runtimeId }: Owner) => Effect.flatten(store.loadSession(runtimeId))

const expectTranscript = (bench: Bench, owner: Owner, transcript: Transcript) =>
  Effect.gen(function*() {
    yield* expectEqual(yield* head(bench, owner), transcript.head)
    yield* expectEqual(yield* load(bench, owner), {
      revision: transcript.head.revision,
      length: transcript.head.length,
      start: 0,
      messages: transcript.messages
    })
  })

const appends: ReadonlyArray<StoreCase> = [
  make("I11: the transcript is what was appended, in order and as it was given", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      let transcript = yield* begin(bench, owner, messages)
      yield* expectTranscript(bench, owner, transcript)
      for (const message of messages) {
        transcript = yield* write(bench, owner, appended(bench, transcript, [message]))
        yield* expectTranscript(bench, owner, transcript)
      }
    })),

  make(
    "I11: the transcript grows by boundaries and by writes outside of runs alike",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const first = yield* begin(bench, owner, ["a"])
        const { head: input } = yield* accept(bench, owner)
        const opened = yield* openRun(bench, owner, [input])
        const second = appended(bench, first, ["b", "c"])
        const final = boundaryOf(bench, owner, opened, { boundary: "final", delta: second.write })
        yield* bench.store.atomicApply(owner.runtimeId, final)
        const third = yield* write(bench, owner, appended(bench, second.transcript, ["d"]))
        yield* expectTranscript(bench, owner, third)
        yield* expectEqual(third.messages, ["a", "b", "c", "d"])
      })
  ),

  make(
    "a write of the session that is not a boundary writes neither receipts nor inputs nor lifecycle",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* accept(bench, owner)
        const before = yield* stateOf(bench, owner.runtimeId)
        yield* begin(bench, owner, ["a"], { snapshot: Uint8Array.of(1) })
        const { inputs, lifecycle, stamp, totals } = yield* stateOf(bench, owner.runtimeId)
        yield* expectEqual<unknown>([lifecycle, stamp, inputs, totals], [
          before.lifecycle,
          before.stamp,
          before.inputs,
          before.totals
        ])
      })
  ),

  make(
    "I11: a change of the session on another parent is TranscriptRevisionConflict, and the first stays",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, ["a"])
        const first = yield* write(bench, owner, appended(bench, base, ["b"]))
        const late = appended(bench, base, ["c"])
        const error = yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(
            bench.store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), late.write),
            "TranscriptRevisionConflict"
          )
        )
        yield* expectEqual(error.expected, base.head.revision)
        yield* check(error.actual.includes(first.head.revision), "the error names the stored revision")
        yield* expectTranscript(bench, owner, first)
      })
  ),

  make("I11: of many changes on one parent at the same time one is written", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const base = yield* begin(bench, owner, ["a"])
      const answers = yield* Effect.forEach(Array.from({ length: 10 }, (_, i) => i), (i) =>
        Effect.either(write(bench, owner, appended(bench, base, [i]))), { concurrency: "unbounded" })
      const won = answers.flatMap((answer) =>
        Either.isRight(answer) ? [answer.right] : []
      )
      yield* expectEqual(won.length, 1)
      yield* expectTranscript(bench, owner, won[0]!)
    })),

  make("a session of another id is SessionKeyMismatch, and the first stays", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const first = yield* begin(bench, owner, ["a"])
      const other = appended(bench, emptyTranscript(bench, yield* freshSessionId(bench)), ["b"])
      const error = yield* changingNothing(
        bench,
        owner.runtimeId,
        expectFailure(
          bench.store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), other.write),
          "SessionKeyMismatch"
        )
      )
      yield* expectEqual([error.expected, error.actual], [other.transcript.head.id, first.head.id])
    })),

  make("I17: two runtimes may have sessions of one id, and share nothing", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      const empty = emptyTranscript(bench, yield* freshSessionId(bench))
      const ofOne = yield* write(bench, one, appended(bench, empty, ["a"], { snapshot: Uint8Array.of(1) }))
      yield* expectEqual(yield* bench.store.loadSession(other.runtimeId), Option.none())
      const ofOther = yield* write(bench, other, appended(bench, empty, ["b", "c"]))
      yield* expectTranscript(bench, one, ofOne)
      yield* expectTranscript(bench, other, ofOther)
      yield* expectEqual(yield* bench.store.loadSessionSnapshot(other.runtimeId), Option.none())
    })),

  make(
    "a runtime without a session has no session, no snapshot, no messages and no rewrites",
    (bench) =>
      Effect.gen(function*() {
        for (const runtimeId of [yield* freshRuntimeId(bench), (yield* own(bench)).runtimeId]) {
          yield* expectEqual(yield* bench.store.loadSession(runtimeId), Option.none())
          yield* expectEqual(yield* bench.store.loadSessionSnapshot(runtimeId), Option.none())
          const page = yield* bench.store.loadTranscript(runtimeId)
          yield* expectEqual([page.length, page.messages], [0, []])
          yield* expectEqual(yield* bench.store.loadRewrites(runtimeId), [])
        }
      })
  ),

  make("a message of 1 MiB comes back whole", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const transcript = yield* begin(bench, owner, ["\u00e9\ud83e\udd21\"\\\n".repeat(150_000), "next"])
      yield* expectTranscript(bench, owner, transcript)
    }))
]

const pages: ReadonlyArray<StoreCase> = [
  make("a page of the transcript begins at start and is not longer than its limit", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head: { length, revision } } = yield* begin(bench, owner, [0, 1, 2, 3, 4, 5, 6])
      const expected = [[0, 3, [0, 1, 2]], [3, 3, [3, 4, 5]], [6, 3, [6]], [7, 3, []], [50, 3, []]] as const
      for (const [start, limit, page] of expected) {
        yield* expectEqual(yield* bench.store.loadTranscript(owner.runtimeId, { start, limit }), {
          revision,
          length,
          start,
          messages: page
        })
      }
    })),

  make(
    "a page of the transcript has 100 messages unless it says otherwise, from the start",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const all = Array.from({ length: 101 }, (_, i) => i)
        yield* begin(bench, owner, all)
        const page = yield* bench.store.loadTranscript(owner.runtimeId)
        yield* expectEqual([page.length, page.messages], [101, all.slice(0, 100)])
      })
  ),

  make(
    "I11: a page pinned to a revision is read as of then, whatever was appended since",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, [0, 1, 2])
        const pins = [base]
        for (const message of [3, 4, 5]) pins.push(yield* write(bench, owner, appended(bench, pins.at(-1)!, [message])))
        // A change of the snapshot alone.
        yield* write(bench, owner, appended(bench, pins.at(-1)!, [], { snapshot: Uint8Array.of(1) }))
        for (const { head: { length, revision }, messages } of pins) {
          const page = yield* bench.store.loadTranscript(owner.runtimeId, { at: { revision, length } })
          yield* expectEqual(page, { revision, length, start: 0, messages })
          const tail = yield* bench.store.loadTranscript(owner.runtimeId, {
            start: 2,
            limit: 9,
            at: { revision, length }
          })
          yield* expectEqual(tail.messages, messages.slice(2))
        }
      })
  ),

  make("I11: every message keeps the revision that ends with it", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { revisions } = yield* begin(bench, owner, [0, 1, 2, 3])
      for (const [i, revision] of revisions.entries()) {
        const page = yield* bench.store.loadTranscript(owner.runtimeId, { at: { revision, length: i + 1 } })
        yield* expectEqual(page.messages, [0, 1, 2, 3].slice(0, i + 1))
      }
    })),

  make(
    "I11: loadRevision is the revision of the first messages; none for 0 and beyond the end",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, [0, 1, 2, 3])
        const { revisions } = yield* rewrite(bench, owner, rewritten(bench, base, draft(1, 3), ["summary"]))
        const found = yield* Effect.forEach(
          [0, 1, 2, 3, 4],
          (length) => Effect.map(bench.store.loadRevision(owner.runtimeId, length), Option.getOrNull)
        )
        yield* expectEqual(found, [null, ...revisions, null])
        yield* expectEqual(revisions[0], base.revisions[0])
      })
  ),

  make("a page pinned to a revision that never was is TranscriptRevisionConflict", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { revisions } = yield* begin(bench, owner, [0, 1, 2, 3])
      const wrong = [[revisions[1]!, 1], [revisions[1]!, 3], [revisions[1]!, 9], [revisions[3]!, 3], [
        revisions[3]!,
        9
      ]] as const
      for (const [revision, length] of wrong) {
        const page = bench.store.loadTranscript(owner.runtimeId, { at: { revision, length } })
        yield* expectFailure(page, "TranscriptRevisionConflict")
      }
    })),

  make(
    "I11: a page pinned to a revision is readable after a rewrite behind it, and a conflict after one in it",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, [0, 1, 2, 3, 4])
        const after = yield* rewrite(bench, owner, rewritten(bench, base, draft(2, 4), ["summary"]))
        const pinned = (length: number) =>
          bench.store.loadTranscript(owner.runtimeId, { at: { revision: base.revisions[length - 1]!, length } })
        yield* expectEqual((yield* pinned(2)).messages, [0, 1])
        for (const length of [3, 4, 5]) {
          const error = yield* expectFailure(pinned(length), "TranscriptRevisionConflict")
          yield* expectEqual([error.expected, error.actual], [base.revisions[length - 1]!, after.head.revision])
        }
      })
  )
]

const rewrites: ReadonlyArray<StoreCase> = [
  make("a rewrite replaces messages and keeps those before and behind", (bench) =>
    Effect.gen(function*() {
      const selections = [[0, 2], [1, 3], [3, 5], [0, 5], [2, 2]] as const
      for (const [start, end] of selections) {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, [0, 1, 2, 3, 4])
        const after = yield* rewrite(bench, owner, rewritten(bench, base, draft(start, end), ["summary"]))
        yield* expectTranscript(bench, owner, after)
        yield* expectEqual(after.messages, ([0, 1, 2, 3, 4] as Array<Json>).toSpliced(start, end - start, "summary"))
      }
    })),

  make(
    "a rewrite to nothing empties the transcript, and it can be appended to again",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, [0, 1, 2])
        const empty = yield* rewrite(bench, owner, rewritten(bench, base, draft(0, 3), []))
        yield* expectEqual((yield* load(bench, owner)).messages, [])
        yield* expectTranscript(bench, owner, yield* write(bench, owner, appended(bench, empty, ["again"])))
      })
  ),

  make("the records of all rewrites are kept, oldest first", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const base = yield* begin(bench, owner, [0, 1, 2, 3, 4])
      const first = rewritten(bench, base, draft(0, 2), ["s"])
      const second = rewritten(bench, yield* rewrite(bench, owner, first), draft(1, 4), [])
      const third = rewritten(bench, yield* rewrite(bench, owner, second), { ...draft(0, 0), reason: "r" }, ["t"])
      yield* rewrite(bench, owner, third)
      const records = (yield* bench.store.loadRewrites(owner.runtimeId)).map(Either.getOrNull)
      yield* expectEqual(records, [first, second, third].map((one) => one.write.rewrite))
      yield* expectEqual([records[0]?.messagesBefore, records[0]?.messagesAfter], [5, 4])
    })),

  make(
    "I11: a second rewrite of one parent is TranscriptRevisionConflict, and the first stays with its record",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const base = yield* begin(bench, owner, [0, 1, 2])
        const first = rewritten(bench, base, draft(0, 2), ["first"])
        const second = rewritten(bench, base, draft(0, 2), ["second"])
        yield* rewrite(bench, owner, first)
        const error = yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(
            bench.store.commitSessionTranscriptRewriteSnapshot(owner.runtimeId, owner.stamp(), second.write),
            "TranscriptRevisionConflict"
          )
        )
        yield* expectEqual(error.expected, base.head.revision)
        yield* expectTranscript(bench, owner, first.transcript)
        const records = (yield* bench.store.loadRewrites(owner.runtimeId)).map(Either.getOrNull)
        yield* expectEqual(records, [first.write.rewrite])
      })
  ),

  make("a rewrite may change the snapshot in the same write", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const base = yield* begin(bench, owner, [0, 1], { snapshot: Uint8Array.of(1) })
      yield* rewrite(bench, owner, rewritten(bench, base, draft(0, 1), [], { snapshot: Uint8Array.of(2) }))
      const snapshot = yield* Effect.flatten(bench.store.loadSessionSnapshot(owner.runtimeId))
      yield* expectEqual(snapshot, Uint8Array.of(2))
    }))
]

export const session: ReadonlyArray<StoreCase> = [...appends, ...pages, ...rewrites]
