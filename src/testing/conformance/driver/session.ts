/**
 * What an agent remembers: the transcript over boundaries, attempts and restarts, and the commands between runs.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Content from "../../../schema/Content.js"
import type { SessionId } from "../../../schema/Ids.js"
import type { Json } from "../../../schema/Json.js"
import * as Session from "../../../schema/Session.js"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const say = (text: string) => ({ append: [Session.assistant(text)] })
const user = Session.user
const assistant = Session.assistant

const transcript = [
  F.make(
    "I11: the messages of a batch's inputs, then those of the agent, are appended with the first boundary",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.message("b")])
        const { runId } = yield* F.stage(driver)
        yield* driver.checkpoint({ runId, delta: say("one") })
        yield* F.expectTranscript(driver, [user("a"), user("b"), assistant("one")])
        yield* driver.complete({ runId, delta: say("two") })
        yield* F.expectTranscript(driver, [user("a"), user("b"), assistant("one"), assistant("two")])
      })
  ),
  F.make("I11: they are appended once over all attempts", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.checkpoint({ runId: first.runId, delta: say("try") })
      yield* F.fail(driver, first)
      const second = yield* F.stage(driver)
      yield* expectEqual(second.inputs[0]!.head.recorded, true, "whether the message is recorded")
      yield* driver.checkpoint({ runId: second.runId, delta: say("again") })
      yield* driver.complete({ runId: second.runId })
      yield* F.expectTranscript(driver, [user("go"), assistant("try"), assistant("again")])
    })),
  F.make("I11: an attempt without a boundary leaves nothing in the transcript", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* F.fail(driver, first)
      yield* expectEqual(yield* driver.session, Option.none(), "the session")
      const second = yield* F.stage(driver)
      yield* driver.complete({ runId: second.runId, delta: say("done") })
      yield* F.expectTranscript(driver, [user("go"), assistant("done")])
    })),
  F.make(
    "the messages of steers are appended by the boundary after the one that handed them over",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* F.accept(driver, F.prompt("s", {}, "steer"))
        yield* driver.checkpoint({ runId, delta: say("one") })
        yield* F.expectTranscript(driver, [user("go"), assistant("one")])
        yield* driver.checkpoint({ runId, delta: say("two") })
        yield* F.expectTranscript(driver, [user("go"), assistant("one"), user("s"), assistant("two")])
      })
  ),
  F.make(
    "a steer's message is appended once, also when a note comes before the boundary that consumes it",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* F.accept(driver, F.prompt("s", {}, "steer"))
        yield* driver.checkpoint({ runId })
        yield* driver.note({ runId, notes: [{ scope: "s", key: "k", value: 1 }] })
        yield* driver.complete({ runId, delta: say("done") })
        yield* F.expectTranscript(driver, [user("go"), user("s"), assistant("done")])
      })
  ),
  F.make(
    "inputs that are not for the transcript leave no message: continuations, and what says so",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [
          F.continuation("c", {}, "queue"),
          F.flow("hidden", { visibility: { transcript: false, operator: true } }),
          F.flow("seen")
        ])
        const { runId } = yield* F.stageOf(driver, ["c", "hidden", "seen"])
        yield* driver.complete({ runId })
        yield* F.expectTranscript(driver, [user("seen")])
      })
  ),
  F.make(
    "an external event's message names its source, and has its text or its payload's body",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, {
          _tag: "external_event",
          eventType: "rang",
          payload: { body: " ding " },
          content: Content.from("louder"),
          header: { origin: { _tag: "external", sourceName: "bell" } }
        })
        const { runId } = yield* F.stage(driver)
        yield* driver.complete({ runId })
        yield* F.expectTranscript(driver, [user([Content.text("[event via bell] ding"), Content.text("louder")])])
      })
  ),
  F.make("an empty boundary of inputs without messages leaves no session", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.continuation("c"))
      const { runId } = yield* F.stage(driver)
      const { session } = yield* driver.complete({ runId })
      yield* expectEqual(session, Option.none(), "the session")
    })),
  F.make("I11: a run sees the session of the last committed boundary", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.running(driver)
      yield* driver.checkpoint({ runId: first.runId, delta: say("one") })
      const { session } = yield* driver.checkpoint({ runId: first.runId, delta: say("two") })
      yield* F.fail(driver, first)
      yield* expectEqual((yield* F.stage(driver)).session, session, "the session that the next attempt sees")
    })),
  F.make("the boundary's event says which messages it appended", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.checkpoint({ runId, delta: { append: [1, 2, 3] } })
      yield* driver.checkpoint({ runId })
      yield* driver.complete({ runId, delta: { append: [4] } })
      yield* expectEqual(
        F.only(yield* F.events(driver), "run.boundary").map(({ messages }) => messages),
        [{ start: 0, end: 4 }, { start: 4, end: 4 }, { start: 4, end: 5 }],
        "the ranges"
      )
    })),
  F.make(
    "the version grows by one with every change of transcript or snapshot, and with nothing else",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        const versions: Array<number> = []
        const boundaries: ReadonlyArray<Session.SessionDelta> = [say("a"), {}, { snapshot: Uint8Array.of(1) }, {}, {
          snapshot: null
        }]
        for (const delta of boundaries) {
          const { session } = yield* driver.checkpoint({ runId, delta })
          versions.push(Option.match(session, { onNone: () => 0, onSome: ({ version }) => version }))
        }
        yield* expectEqual(versions, [1, 1, 2, 2, 3], "the versions")
      })
  ),
  F.make("a boundary can rewrite a range of the transcript, and append behind it", (driver) =>
    Effect.gen(function*() {
      yield* driver.commitSession({ append: ["0", "1", "2", "3"] })
      const { runId } = yield* F.running(driver)
      const rewrite = { selection: { start: 1, end: 3 }, reason: "compaction", replacement: ["sum"] }
      yield* driver.checkpoint({ runId, delta: { rewrite, append: ["new"] } })
      yield* F.expectTranscript(driver, ["0", "sum", "3", user("go"), "new"])
    })),
  F.make("a delta that names another session is SessionKeyMismatch", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* driver.checkpoint({ runId, delta: { ...say("a"), sessionId: "mine" as SessionId } })
      const error = yield* F.expectUnchanged(
        driver,
        expectFailure(
          driver.checkpoint({ runId, delta: { ...say("b"), sessionId: "yours" as SessionId } }),
          "SessionKeyMismatch"
        )
      )
      yield* expectEqual([error.expected, error.actual], ["yours", "mine"], "what it names")
      yield* driver.checkpoint({ runId, delta: { ...say("b"), sessionId: "mine" as SessionId } })
    })),
  F.make(
    "a session id that cannot be stored is InvalidInput",
    (driver) =>
      Effect.forEach(["", "a\u0000", "\ud800"], (id) =>
        Effect.gen(function*() {
          const delta = { append: [1], sessionId: id as SessionId }
          const error = yield* F.expectUnchanged(driver, expectFailure(driver.commitSession(delta), "InvalidInput"))
          yield* expectEqual(error.field, "sessionId", "the field")
        }))
  ),
  F.make("a delta without a session begins one, and its id stays", (driver) =>
    Effect.gen(function*() {
      const first = yield* F.some(yield* driver.commitSession({ append: [1] }), "there is a session")
      const second = yield* F.some(yield* driver.commitSession({ append: [2] }), "there is a session")
      yield* expectEqual(second.id, first.id, "the session's id")
    }))
]

const refusedWhileRunning: ReadonlyArray<
  readonly [name: string, command: (driver: Service) => Effect.Effect<unknown, { readonly _tag: string }>]
> = [
  ["rewrite", (driver) => driver.rewrite({ selection: { start: 0, end: 1 }, reason: "r", replacement: [] })],
  ["commitSession", (driver) => driver.commitSession({ append: [1] })],
  ["replaceSnapshotIfCurrent", (driver) => driver.replaceSnapshotIfCurrent(null, Uint8Array.of(1))],
  ["clearSession", (driver) => driver.clearSession]
]

const selections: ReadonlyArray<readonly [number, number]> = [[2, 1], [0, 4], [4, 4], [-1, 1], [0.5, 1]]

const between = [
  ...refusedWhileRunning.map(([name, command]) =>
    F.make(`${name} while a run is open is RunInProgress, and changes nothing`, (driver) =>
      Effect.gen(function*() {
        yield* driver.commitSession({ append: [0], snapshot: Uint8Array.of(9) })
        const { runId } = yield* F.running(driver)
        const error = yield* F.expectUnchanged(driver, expectFailure(command(driver), "RunInProgress"))
        yield* expectEqual<unknown>((error as { runId?: unknown }).runId, runId, "the run that it names")
        yield* driver.complete({ runId })
        yield* command(driver)
      }))
  ),
  F.make(
    "rewrite replaces a half-open range: in the middle, at both ends, of nothing, and of everything",
    (driver) =>
      Effect.gen(function*() {
        yield* driver.commitSession({ append: ["a", "b", "c", "d"] })
        const steps: ReadonlyArray<
          readonly [start: number, end: number, by: ReadonlyArray<Json>, after: ReadonlyArray<Json>]
        > = [
          [1, 3, ["x"], ["a", "x", "d"]],
          [0, 1, [], ["x", "d"]],
          [2, 2, ["e", "f"], ["x", "d", "e", "f"]],
          [3, 4, ["g"], ["x", "d", "e", "g"]],
          [0, 4, ["all"], ["all"]],
          [0, 1, [], []]
        ]
        for (const [start, end, replacement, after] of steps) {
          const session = yield* driver.rewrite({ selection: { start, end }, reason: "compaction", replacement })
          yield* F.expectTranscript(driver, after)
          yield* expectEqual(yield* driver.session, Option.some(session), "the session that it answers")
        }
      })
  ),
  F.make(
    "a rewritten transcript is told by the log, with its reason and its revision",
    (driver) =>
      Effect.gen(function*() {
        yield* driver.commitSession({ append: ["a", "b"] })
        const { revision } = yield* driver.rewrite({
          selection: { start: 0, end: 2 },
          reason: "why",
          replacement: ["c"]
        })
        yield* expectEqual(
          F.only(yield* F.events(driver), "session.rewritten"),
          [{
            _tag: "session.rewritten",
            reason: "why",
            selection: { start: 0, end: 2 },
            messages: { start: 0, end: 1 },
            revision,
            length: 1
          }],
          "the events"
        )
      })
  ),
  ...selections.map(([start, end]) =>
    F.make(
      `a rewrite of ${start} to ${end} in a transcript of three is InvalidInput, and changes nothing`,
      (driver) =>
        Effect.gen(function*() {
          yield* driver.commitSession({ append: [0, 1, 2] })
          const rewrite = driver.rewrite({ selection: { start, end }, reason: "r", replacement: [] })
          const error = yield* F.expectUnchanged(driver, expectFailure(rewrite, "InvalidInput"))
          yield* check(error.field.startsWith("rewrite"), "the field is the rewrite")
        })
    )
  ),
  F.make("a rewrite needs a session, and a reason", (driver) =>
    Effect.gen(function*() {
      const selection = { start: 0, end: 0 }
      yield* expectFailure(driver.rewrite({ selection, reason: "r", replacement: [] }), "InvalidInput")
      yield* driver.commitSession({ append: [0] })
      yield* F.expectUnchanged(
        driver,
        expectFailure(driver.rewrite({ selection, reason: "", replacement: [] }), "InvalidInput")
      )
    })),
  F.make(
    "replaceSnapshotIfCurrent replaces exactly the expected bytes, and answers false otherwise",
    (driver) =>
      Effect.gen(function*() {
        const [one, two] = [Uint8Array.of(1, 0, 255), Uint8Array.of(2)]
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(one, two), false, "with none there")
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(null, one), true, "none, as expected")
        const before = yield* driver.session
        for (const wrong of [null, two, Uint8Array.of(1, 0), Uint8Array.of(1, 0, 255, 0), new Uint8Array()]) {
          yield* expectEqual(
            yield* F.expectUnchanged(driver, driver.replaceSnapshotIfCurrent(wrong, two)),
            false,
            "with other bytes"
          )
        }
        yield* expectEqual(yield* driver.session, before, "the session after refusals")
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(one, two), true, "with the same bytes")
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(two, null), true, "removal")
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(null, new Uint8Array()), true, "none after removal")
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(null, one), false, "empty is not none")
      })
  ),
  F.make("of two compare-and-sets at once one wins", (driver) =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.all(
        [1, 2, 3].map((byte) => driver.replaceSnapshotIfCurrent(null, Uint8Array.of(byte))),
        { concurrency: "unbounded" }
      )
      yield* expectEqual(outcomes, [true, false, false], "the answers")
    })),
  F.make(
    "clearSession removes transcript and snapshot, and leaves inputs and the session's id",
    (driver) =>
      Effect.gen(function*() {
        const { runId } = yield* F.running(driver)
        yield* driver.complete({ runId, delta: { ...say("a"), snapshot: Uint8Array.of(1) } })
        yield* F.accept(driver, F.prompt("next"))
        const before = yield* F.some(yield* driver.session, "there is a session")
        yield* driver.clearSession
        const after = yield* F.some(yield* driver.session, "there is a session")
        yield* expectEqual([after.id, after.length], [before.id, 0], "id and length")
        yield* check(after.version > before.version, "the version grows")
        yield* F.expectTranscript(driver, [])
        yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(null, null), true, "the snapshot is gone")
        yield* F.stageOf(driver, ["next"])
      })
  ),
  F.make(
    "clearSession without a session, and an empty commitSession, change nothing",
    (driver) =>
      Effect.gen(function*() {
        yield* F.expectUnchanged(driver, driver.clearSession)
        yield* expectEqual(yield* F.expectUnchanged(driver, driver.commitSession({})), Option.none(), "the answer")
        yield* expectEqual(yield* F.events(driver), [], "the events")
      })
  ),
  F.make("commitSession appends and sets the snapshot between runs", (driver) =>
    Effect.gen(function*() {
      yield* driver.commitSession({ append: ["a"], snapshot: Uint8Array.of(1) })
      yield* driver.commitSession({ append: ["b"] })
      yield* F.expectTranscript(driver, ["a", "b"])
      yield* expectEqual(yield* driver.replaceSnapshotIfCurrent(Uint8Array.of(1), null), true, "the snapshot was kept")
    }))
]

export const cases = [...transcript, ...between]

const messagesOf = (driver: Service, { store }: Pick<F.DurableBench, "store">) =>
  Effect.map(store.loadTranscript(driver.runtimeId, { limit: 100 }), ({ messages }) => messages)

export const durableCases = [
  F.makeDurable(
    "I11: the stored transcript is the concatenation of committed deltas, over failures and restarts",
    (driver, bench) =>
      Effect.gen(function*() {
        const first = yield* F.running(driver)
        yield* driver.checkpoint({ runId: first.runId, delta: say("one") })
        const second = yield* Effect.tap(bench.restart(), F.stage)
        const open = yield* F.some(yield* second.openRun, "a run is open")
        yield* second.complete({ runId: open.id, delta: say("two") })
        const expected = [user("go"), assistant("one"), assistant("two")]
        yield* expectEqual(yield* messagesOf(second, bench), expected, "the stored messages")
        yield* F.expectTranscript(second, expected)
      })
  ),
  F.makeDurable(
    "the snapshot is stored byte for byte, and survives a restart",
    (driver, { restart, store }) =>
      Effect.gen(function*() {
        const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
        const { runId } = yield* F.running(driver)
        yield* driver.complete({ runId, delta: { snapshot: bytes } })
        const again = yield* restart()
        yield* expectEqual(yield* store.loadSessionSnapshot(again.runtimeId), Option.some(bytes), "the stored bytes")
        yield* expectEqual(yield* again.replaceSnapshotIfCurrent(bytes, null), true, "what a later owner finds")
      })
  ),
  F.makeDurable(
    "a rewrite is recorded with selection, reason, actor and digests",
    (driver, { store }) =>
      Effect.gen(function*() {
        yield* driver.commitSession({ append: ["a", "b", "c"] })
        const before = yield* F.some(yield* driver.session, "there is a session")
        const after = yield* driver.rewrite({
          selection: { start: 0, end: 2 },
          reason: "redaction",
          actor: "operator",
          replacement: ["x"]
        })
        const rewrites = yield* store.loadRewrites(driver.runtimeId)
        yield* expectEqual(rewrites.length, 1, "how many rewrites are recorded")
        const { replacementDigest, ...record } = yield* rewrites[0]!
        yield* check(replacementDigest.length > 0, "the replacement has a digest")
        yield* expectEqual(record, {
          selection: { start: 0, end: 2 },
          reason: "redaction",
          actor: "operator",
          parentRevision: before.revision,
          revision: after.revision,
          messagesBefore: 3,
          messagesAfter: 2,
          at: 0,
          runId: null
        }, "the record")
      })
  )
]
