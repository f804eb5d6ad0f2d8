/**
 * Boundaries that are refused: each check, their order, and that nothing is left of what was refused.
 */
import * as Effect from "effect/Effect"
import type { SessionWrite } from "../../../core/Commit.js"
import type { InputHead } from "../../../schema/InputState.js"
import type { AtomicApply } from "../../../services/RuntimeStore.js"
import { expectEqual, expectFailure } from "../../Conformance.js"
import {
  accept,
  appended,
  begin,
  type Bench,
  boundaryOf,
  type BoundaryOptions,
  changingNothing,
  claim,
  commit,
  consumedAtOnce,
  emptyTranscript,
  ending,
  freshInputId,
  freshRunId,
  freshSessionId,
  make,
  type Opened,
  openRun,
  own,
  type Owner,
  SCOPE,
  type StoreCase,
  type Transcript
} from "./fixtures.js"

interface Setting {
  readonly bench: Bench
  readonly owner: Owner
  /** Open, with one boundary written, whose note is (`SCOPE`, "taken"). */
  readonly opened: Opened
  readonly transcript: Transcript
  readonly queued: InputHead
}

/** A runtime in which a boundary with `good` can be written. */
const setUp = (bench: Bench) =>
  Effect.gen(function*() {
    const owner = yield* own(bench)
    const staged = yield* accept(bench, owner)
    const queued = yield* accept(bench, owner)
    const transcript = yield* begin(bench, owner, ["hello"], { snapshot: Uint8Array.of(1) })
    const opened = yield* openRun(bench, owner, [staged.head])
    const first = boundaryOf(bench, owner, opened, { notes: [{ scope: SCOPE, key: "taken", value: 1 }] })
    yield* bench.store.atomicApply(owner.runtimeId, first)
    return { bench, owner, opened, transcript, queued: queued.head } satisfies Setting
  })

const good = ({ bench, transcript }: Setting): BoundaryOptions & { readonly delta: SessionWrite } => ({
  after: 1,
  boundary: "final",
  delta: appended(bench, transcript, ["more"], { snapshot: Uint8Array.of(2) }).write,
  result: "done",
  notes: [{ scope: SCOPE, key: "free", value: 2 }],
  record: { paused: true }
})

const otherSession = ({ bench, transcript }: Setting) =>
  Effect.map(freshSessionId(bench), (id): SessionWrite => {
    const empty = emptyTranscript(bench, id)
    const stale = { ...empty, head: { ...empty.head, version: transcript.head.version } }
    return appended(bench, stale, ["more"]).write
  })

const staleParent = ({ bench, transcript }: Setting): SessionWrite => {
  const stale = { ...transcript, head: { ...transcript.head, version: transcript.head.version - 1 } }
  return appended(bench, stale, ["more"]).write
}

const taken = [{ scope: SCOPE, key: "free", value: 2 }, { scope: SCOPE, key: "taken", value: 1 }]

type Tag =
  | "StaleFence"
  | "ReceiptConflict"
  | "RunNotOpen"
  | "SequenceMismatch"
  | "SessionKeyMismatch"
  | "TranscriptRevisionConflict"
  | "ContributorNotStaged"
  | "NoteConflict"

interface Refused {
  readonly tag: Tag
  readonly why: string
  readonly boundary: (setting: Setting) => Effect.Effect<AtomicApply<never, never>, unknown>
}

const differing = (
  tag: Tag,
  why: string,
  options: (setting: Setting) => Effect.Effect<BoundaryOptions, unknown>
): Refused => ({
  tag,
  why,
  boundary: (setting) =>
    Effect.map(
      options(setting),
      (changed) => boundaryOf(setting.bench, setting.owner, setting.opened, { ...good(setting), ...changed })
    )
})

const notStaged = (
  why: string,
  contributor: (setting: Setting) => Effect.Effect<InputHead["id"], unknown>
): Refused =>
  differing("ContributorNotStaged", why, (setting) =>
    Effect.map(contributor(setting), (id) => ({
      contributors: [...setting.opened.staged.map((head) => head.id), id]
    })))

const stale = (setting: Setting, given: AtomicApply<never, never>) =>
  Effect.as(claim(setting.bench, setting.owner.runtimeId), given)

const inAnotherRun = (setting: Setting, options: BoundaryOptions) =>
  Effect.map(freshRunId(setting.bench), (id) => {
    const opened = { ...setting.opened, run: { ...setting.opened.run, id } }
    return boundaryOf(setting.bench, setting.owner, opened, { ...good(setting), ...options })
  })

const refusals: ReadonlyArray<Refused> = [
  {
    tag: "StaleFence",
    why: "there is a newer owner",
    boundary: (setting) => stale(setting, boundaryOf(setting.bench, setting.owner, setting.opened, good(setting)))
  },
  differing("ReceiptConflict", "another boundary has that place", () => Effect.succeed({ after: 0 })),
  { tag: "RunNotOpen", why: "another run is open", boundary: (setting) => inAnotherRun(setting, {}) },
  differing("SequenceMismatch", "it skips a place", () => Effect.succeed({ after: 2 })),
  differing(
    "SessionKeyMismatch",
    "the runtime has another session",
    (setting) => Effect.map(otherSession(setting), (delta) => ({ delta }))
  ),
  differing(
    "TranscriptRevisionConflict",
    "the parent has an older version",
    (setting) => Effect.succeed({ delta: staleParent(setting) })
  ),
  differing("TranscriptRevisionConflict", "the parent has another revision", (setting) => {
    const { delta } = good(setting)
    return Effect.succeed({ delta: { ...delta, parent: { ...delta.parent, revision: delta.after.revision } } })
  }),
  differing("TranscriptRevisionConflict", "the session has begun since", (setting) => {
    const empty = emptyTranscript(setting.bench, setting.transcript.head.id)
    return Effect.succeed({ delta: appended(setting.bench, empty, ["more"]).write })
  }),
  differing(
    "TranscriptRevisionConflict",
    "it expects another snapshot",
    (setting) => Effect.succeed({ delta: { ...good(setting).delta, expected: Uint8Array.of(7) } })
  ),
  notStaged("a contributor is queued", (setting) => Effect.succeed(setting.queued.id)),
  notStaged("a contributor is not stored", ({ bench }) => freshInputId(bench)),
  notStaged(
    "a contributor is terminal",
    ({ bench, owner, queued }) => Effect.as(commit(bench, owner, ending(queued, consumedAtOnce)), queued.id)
  ),
  notStaged("a contributor is staged under another run", ({ bench, owner }) =>
    Effect.gen(function*() {
      const run = yield* freshRunId(bench)
      return (yield* accept(bench, owner, { head: { phase: "staged", run } })).head.id
    })),
  notStaged("a contributor is another runtime's", ({ bench, opened }) =>
    Effect.gen(function*() {
      const other = yield* own(bench)
      return (yield* accept(bench, other, { head: { phase: "staged", run: opened.run.id } })).head.id
    })),
  differing("NoteConflict", "one of its notes is stored", () => Effect.succeed({ notes: taken }))
]

/** Boundaries against which two checks speak: the earlier one of the contract's order decides. */
const order: ReadonlyArray<Refused> = [
  {
    tag: "StaleFence",
    why: "the token comes before the receipt",
    boundary: (setting) =>
      stale(setting, boundaryOf(setting.bench, setting.owner, setting.opened, { ...good(setting), after: 0 }))
  },
  {
    tag: "ReceiptConflict",
    why: "the receipt comes before the open run",
    boundary: (setting) => {
      const { bench, opened, owner } = setting
      const final = boundaryOf(bench, owner, opened, good(setting))
      return Effect.as(
        bench.store.atomicApply(owner.runtimeId, final),
        boundaryOf(bench, owner, opened, { ...good(setting), result: "other" })
      )
    }
  },
  {
    tag: "RunNotOpen",
    why: "the open run comes before the last sequence",
    boundary: (setting) => inAnotherRun(setting, { after: 5 })
  },
  differing(
    "SequenceMismatch",
    "the last sequence comes before the session key",
    (setting) => Effect.map(otherSession(setting), (delta) => ({ delta, after: 5 }))
  ),
  differing(
    "SessionKeyMismatch",
    "the session key comes before the session parent",
    (setting) =>
      Effect.map(otherSession(setting), (delta) => ({
        delta: { ...delta, parent: { ...delta.parent, version: delta.parent.version + 7 } }
      }))
  ),
  differing(
    "TranscriptRevisionConflict",
    "the session parent comes before the contributors",
    (setting) => Effect.succeed({ delta: staleParent(setting), contributors: [setting.queued.id] })
  ),
  differing(
    "ContributorNotStaged",
    "the contributors come before the notes",
    (setting) => Effect.succeed({ contributors: [setting.queued.id], notes: taken })
  )
]

/** Also: the alongside of a refused boundary is not run. */
const refuse = ({ boundary, tag }: Refused) => (bench: Bench) =>
  Effect.gen(function*() {
    const setting = yield* setUp(bench)
    const { runtimeId } = setting.owner
    const given = yield* boundary(setting)
    let runs = 0
    const alongside = Effect.sync(() => {
      runs += 1
    })
    for (const attempt of [given, { ...given, alongside }]) {
      yield* changingNothing(bench, runtimeId, expectFailure(bench.store.atomicApply(runtimeId, attempt), tag))
    }
    yield* expectEqual(runs, 0)
  })

export const refused: ReadonlyArray<StoreCase> = [
  make("the boundary from which the refused ones differ is written", (bench) =>
    Effect.gen(function*() {
      const setting = yield* setUp(bench)
      const { opened, owner } = setting
      const given = boundaryOf(bench, owner, opened, good(setting))
      yield* expectEqual((yield* bench.store.atomicApply(owner.runtimeId, given)).alreadyApplied, false)
    })),

  ...refusals.map((one) =>
    make(`I2: ${one.tag} when ${one.why}: nothing of the boundary is written, and no alongside is run`, refuse(one))
  ),
  ...order.map((one) => make(`of two refusals of a boundary the first is answered: ${one.why}`, refuse(one))),

  make("SequenceMismatch tells the last sequence", (bench) =>
    Effect.gen(function*() {
      const setting = yield* setUp(bench)
      const { opened, owner } = setting
      const given = boundaryOf(bench, owner, opened, { ...good(setting), after: 4 })
      const error = yield* expectFailure(bench.store.atomicApply(owner.runtimeId, given), "SequenceMismatch")
      yield* expectEqual([error.after, error.last], [4, 1])
    })),

  make("NoteConflict names the note", (bench) =>
    Effect.gen(function*() {
      const setting = yield* setUp(bench)
      const { opened, owner } = setting
      const given = boundaryOf(bench, owner, opened, { ...good(setting), notes: taken })
      const error = yield* expectFailure(bench.store.atomicApply(owner.runtimeId, given), "NoteConflict")
      yield* expectEqual([error.scope, error.key], [SCOPE, "taken"])
    })),

  make("a note's key is taken in its scope and runtime only", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* setUp(bench), yield* setUp(bench)]
      const notes = [{ scope: "another", key: "taken", value: 2 }, { scope: `${SCOPE}/taken`, key: "x", value: 3 }]
      const given = boundaryOf(bench, one.owner, one.opened, { after: 1, notes })
      yield* bench.store.atomicApply(one.owner.runtimeId, given)
      yield* expectEqual(yield* bench.store.loadNotes(one.owner.runtimeId, "another"), [notes[0]!])
      yield* expectEqual(yield* bench.store.loadNotes(other.owner.runtimeId, "another"), [])
    }))
]
