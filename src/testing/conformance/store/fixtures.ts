/**
 * What the cases of the store's contract are built of: a runtime with an owner, inputs, runs, boundaries and sessions as
 * a driver would write them.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Commit from "../../../core/Commit.js"
import * as Digests from "../../../core/Digests.js"
import * as Lifecycle from "../../../core/Lifecycle.js"
import type { Outcome, Refusal } from "../../../core/Rows.js"
import * as Session from "../../../core/Session.js"
import {
  BatchId,
  ClaimId,
  IdempotencyKey,
  InputId,
  RunId,
  RuntimeId,
  SessionId,
  type Stamp,
  SupersessionKey,
  type Token
} from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import type { InputHead, TerminalOutcome } from "../../../schema/InputState.js"
import { canonical, type Json } from "../../../schema/Json.js"
import type { OpsSnapshot } from "../../../schema/Ops.js"
import type { Note, OpenRun } from "../../../schema/Run.js"
import type { LifecycleRecord } from "../../../schema/Runtime.js"
import type { EventRecord, RuntimeEvent } from "../../../schema/RuntimeEvent.js"
import type { Revision, RewriteDraft, SessionHead, TranscriptRewriteCommit } from "../../../schema/Session.js"
import * as codecs from "../../../services/codecs.js"
import { Digest } from "../../../services/Digest.js"
import { IdGenerator } from "../../../services/IdGenerator.js"
import { type AtomicApply, RuntimeStore, type StoredInput } from "../../../services/RuntimeStore.js"
import { type Case, ConformanceFailure, expectEqual } from "../../Conformance.js"

/**
 * A case of the store's contract. Its name begins with the invariants that it shows: `I5, I9: ...`.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreCase extends Case<RuntimeStore | Digest | IdGenerator> {
  /** Their numbers, as `["I5", "I9"]`. */
  readonly invariants?: ReadonlyArray<string>
}

export interface Bench {
  readonly store: RuntimeStore["Type"]
  readonly sha256: Digests.Sha256
  /** A fresh UUID. */
  readonly next: Effect.Effect<string>
}

const namedInvariants = /^(I\d+(?:, I\d+)*): /

export const make = (name: string, body: (bench: Bench) => Effect.Effect<void, unknown>): StoreCase => {
  const invariants = namedInvariants.exec(name)?.[1]?.split(", ")
  return {
    name,
    ...(invariants && { invariants }),
    run: Effect.flatMap(
      Effect.all([RuntimeStore, Digest, IdGenerator]),
      ([store, digest, ids]) => body({ store, sha256: digest.sha256, next: ids.next })
    )
  }
}

/** An ownership of a runtime, with the counters that a driver keeps. */
export interface Owner {
  readonly runtimeId: RuntimeId
  readonly token: Token
  /** Of the next commit. */
  readonly stamp: () => Stamp
  /** The next admission or event number. */
  readonly number: () => number
}

export const ownerOf = (runtimeId: RuntimeId, token: Token, lastNumber: number): Owner => {
  let n = 0
  let number = lastNumber
  return { runtimeId, token, stamp: () => ({ token, n: ++n }), number: () => ++number }
}

export const freshRuntimeId = ({ next }: Bench) => Effect.map(next, (id) => RuntimeId.make(id))
export const freshRunId = ({ next }: Bench) => Effect.map(next, (id) => RunId.make(id))
export const freshSessionId = ({ next }: Bench) => Effect.map(next, (id) => SessionId.make(id))
export const freshInputId = ({ next }: Bench) => Effect.map(next, (id) => InputId.make(id))
export const freshClaimId = ({ next }: Bench) => Effect.map(next, (id) => ClaimId.make(id))

export const claim = (bench: Bench, runtimeId: RuntimeId) =>
  Effect.flatMap(
    freshClaimId(bench),
    (claimId) =>
      bench.store.recover(runtimeId, claimId, ({ lastSequence }, token) =>
        Either.right([Commit.make(runtimeId, { token, n: 0 }, {}), ownerOf(runtimeId, token, lastSequence)]))
  )

/** A runtime that nobody has used before, and its owner. */
export const own = (bench: Bench) => Effect.flatMap(freshRuntimeId(bench), (runtimeId) => claim(bench, runtimeId))

/** Runtimes whose ids follow each other directly, in this order, and their owners. */
export const family = (bench: Bench, names: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const prefix = yield* bench.next
    const owners = yield* Effect.forEach(names, (name) => claim(bench, RuntimeId.make(`${prefix}/${name}`)))
    return { after: RuntimeId.make(prefix), owners, belongs: (id: string) => id.startsWith(`${prefix}/`) }
  })

export type Parts = Parameters<typeof Commit.make>[2]

export const writeSet = (owner: Owner, parts: Parts): Commit.Commit =>
  Commit.make(owner.runtimeId, owner.stamp(), parts)

export const expectCommitted = (outcome: Outcome) =>
  expectEqual<string>(outcome._tag, "Committed", "the outcome of the commit")

export const expectRefused = <const Tag extends Refusal["_tag"]>(
  outcome: Outcome,
  tag: Tag
): Effect.Effect<Extract<Refusal, { readonly _tag: Tag }>, ConformanceFailure> => {
  const refusal = outcome._tag === "Refused" ? outcome.by : undefined
  return refusal !== undefined && Predicate.isTagged(refusal, tag)
    ? Effect.succeed(refusal as Extract<Refusal, { readonly _tag: Tag }>)
    : new ConformanceFailure({ expectation: `a refusal as ${tag}`, actual: refusal?._tag ?? outcome._tag })
}

export const commit = ({ store }: Bench, owner: Owner, parts: Parts) =>
  Effect.flatMap(store.commit(writeSet(owner, parts)), expectCommitted)

/** 14 November 2023. */
export const NOW = 1_700_000_000_000

export const policy: InputHead["policy"] = {
  version: 1,
  reason: "prompt",
  apply: "stage_run_start",
  wake: "wake_if_idle",
  queue: "fifo",
  route: "queue",
  consume: "on_final",
  recordTranscript: true
}

/** An input that is to be stored: queued, with the next admission number, unless `head` says otherwise. */
export const newInput = (
  bench: Bench,
  owner: Owner,
  options: { readonly draft?: Input.Draft; readonly head?: Partial<InputHead>; readonly payload?: string } = {}
) =>
  Effect.gen(function*() {
    const draft = options.draft ?? Input.prompt("hello")
    const { id = yield* bench.next, idempotencyKey, supersessionKey, ...rest } = draft.header ?? {}
    const header: Input.Header = {
      id: InputId.make(id),
      at: NOW,
      origin: { _tag: "operator" },
      durability: "durable",
      visibility: { transcript: true, operator: true },
      ...(idempotencyKey !== undefined && { idempotencyKey: IdempotencyKey.make(idempotencyKey) }),
      ...(supersessionKey !== undefined && { supersessionKey: SupersessionKey.make(supersessionKey) }),
      ...rest
    }
    const input = { ...draft, header } as Input.Input
    const head: InputHead = {
      id: header.id,
      sequence: options.head?.sequence ?? owner.number(),
      acceptedAt: NOW,
      kind: Input.kindOf(input),
      durability: header.durability,
      key: header.idempotencyKey ?? null,
      supersessionKey: header.supersessionKey ?? null,
      payloadDigest: yield* Digests.payloadDigest(bench.sha256, input),
      policy,
      lane: "queue",
      phase: "queued",
      attempt: 0,
      stagings: 0,
      batch: null,
      run: null,
      receipt: null,
      readyAt: header.deliverAt ?? null,
      hold: null,
      deliverAt: null,
      recorded: false,
      awaits: [],
      outcome: null,
      failure: null,
      updatedAt: NOW,
      ...options.head
    }
    const payload = options.payload ?? (yield* codecs.payload.encode({ _tag: "inline", input }))
    return { input, head, record: Commit.inputRecord(head, payload) }
  })

/** The same, stored. */
export const accept = (bench: Bench, owner: Owner, options: Parameters<typeof newInput>[2] = {}) =>
  Effect.tap(
    newInput(bench, owner, options),
    ({ record }) => bench.store.persistInputState(owner.runtimeId, owner.stamp(), record)
  )

/** The changed head of a stored input. */
export const moved = (head: InputHead, changes: Partial<InputHead>): Commit.InputStateRecord =>
  Commit.inputRecord({ ...head, updatedAt: head.updatedAt + 1, ...changes }, null)

export const eventOf = (owner: Owner, event: RuntimeEvent): EventRecord => ({ number: owner.number(), at: NOW, event })

export const published = (owner: Owner, data: Json = null): EventRecord =>
  eventOf(owner, { _tag: "runtime.published", code: "tick", data })

/** The event of an accept. Whoever ends an input moves it to the log. */
export const acceptEvent = (head: InputHead): EventRecord => ({
  number: head.sequence,
  at: head.acceptedAt,
  event: { _tag: "input.accepted", inputId: head.id, kind: head.kind, lane: head.lane }
})

export const consumedAtOnce: TerminalOutcome = { _tag: "consumed", runId: null, sequence: null }

export const ending = (head: InputHead, outcome: TerminalOutcome, changes: Partial<InputHead> = {}): Parts => ({
  inputs: [moved(head, { phase: outcome._tag, outcome, ...changes })],
  events: [acceptEvent(head)]
})

export const lifecycleOf = (owner: Owner, changes: Partial<LifecycleRecord> = {}): LifecycleRecord => ({
  ...Lifecycle.rebind(Lifecycle.fresh, owner.token),
  ...changes
})

export interface Opened {
  readonly run: OpenRun
  readonly staged: ReadonlyArray<InputHead>
}

/** Stages inputs into a new run. */
export const openRun = (bench: Bench, owner: Owner, heads: ReadonlyArray<InputHead>) =>
  Effect.gen(function*() {
    const run: OpenRun = {
      id: yield* freshRunId(bench),
      batch: BatchId.make(yield* bench.next),
      sequence: 0,
      openedAt: NOW
    }
    const staging = { phase: "staged", run: run.id, batch: run.batch, attempt: 1, stagings: 1 } as const
    const records = heads.map((head) => moved(head, staging))
    yield* commit(bench, owner, {
      lifecycle: Commit.lifecycle(lifecycleOf(owner), run),
      inputs: records,
      events: [
        eventOf(owner, {
          _tag: "run.started",
          runId: run.id,
          batchId: run.batch,
          attempt: 1,
          inputIds: heads.map(({ id }) => id)
        })
      ]
    })
    return { run, staged: records.map(({ head }) => head) } satisfies Opened
  })

export interface BoundaryOptions {
  readonly after?: number
  readonly boundary?: "checkpoint" | "note" | "final"
  readonly contributors?: ReadonlyArray<InputId>
  readonly delta?: Commit.SessionWrite
  readonly result?: string
  readonly notes?: ReadonlyArray<Note>
  readonly record?: Partial<LifecycleRecord>
}

/** A boundary of an open run. A final one consumes what was staged and moves the accept events. */
export const boundaryOf = (
  bench: Bench,
  owner: Owner,
  opened: Opened,
  options: BoundaryOptions = {}
): AtomicApply<never, never> => {
  const { after = opened.run.sequence, boundary = "checkpoint", delta, notes = [], result } = options
  const sequence = after + 1
  const contributors = options.contributors ?? opened.staged.map(({ id }) => id)
  const ended = boundary === "final" ? opened.staged : []
  const consumed = ended.map(({ id }) => id)
  const parent = delta ? { revision: delta.parent.revision, version: delta.parent.version } : null
  const receiptDraft = {
    runId: opened.run.id,
    batchId: opened.run.batch,
    boundary,
    contributors,
    consumed,
    conversationDigest: delta?.after.revision ?? null,
    messageCount: delta?.after.length ?? 0,
    parent
  }
  return {
    stamp: owner.stamp(),
    after,
    receiptDraft,
    commitDigest: Digests.commitDigest(bench.sha256, { ...receiptDraft, sequence }, {
      messages: (delta?.append ?? []).map(({ message }) => message),
      replacement: null,
      snapshot: delta?.snapshot,
      result: result ?? null,
      notes: notes.map((note) => JSON.stringify(note)),
      awaits: []
    }),
    at: NOW,
    lifecycle: Commit.lifecycle(lifecycleOf(owner, options.record), opened.run),
    inputUpdates: ended.map((head) =>
      moved(head, {
        phase: "consumed",
        outcome: { _tag: "consumed", runId: opened.run.id, sequence },
        receipt: { runId: opened.run.id, sequence }
      })
    ),
    notes,
    events: [
      ...ended.map(acceptEvent),
      eventOf(owner, {
        _tag: "run.boundary",
        runId: opened.run.id,
        sequence,
        boundary,
        consumed,
        delivered: [],
        messages: { start: 0, end: 0 },
        revision: delta?.after.revision ?? null
      })
    ],
    ...(delta && { delta }),
    ...(result !== undefined && { result })
  }
}

/** A transcript with the revision after each of its messages. */
export interface Transcript {
  readonly head: SessionHead
  readonly messages: ReadonlyArray<Json>
  readonly revisions: ReadonlyArray<Revision>
}

export const emptyTranscript = (bench: Bench, sessionId: SessionId): Transcript => ({
  head: Digests.emptySession(bench.sha256, sessionId),
  messages: [],
  revisions: []
})

export interface Written {
  readonly write: Commit.SessionWrite
  readonly transcript: Transcript
}

type Snapshots = Pick<Session.Delta, "snapshot" | "expected">

const written = (bench: Bench, before: Transcript, delta: Session.Delta): Written => {
  const write = Session.write({
    sha256: bench.sha256,
    parent: before.head,
    delta,
    recorded: [],
    runId: null,
    now: NOW
  })
  return {
    write,
    transcript: {
      head: write.after,
      messages: [
        ...before.messages.slice(0, write.keep),
        ...write.append.map(({ message }) => JSON.parse(message) as Json)
      ],
      revisions: [
        ...before.revisions.slice(0, write.keep),
        ...write.append.map(({ revision }) => revision as Revision)
      ]
    }
  }
}

const texts = (messages: ReadonlyArray<Json>): ReadonlyArray<string> =>
  messages.map((message) => Either.getOrThrow(canonical(message)))

export const appended = (
  bench: Bench,
  before: Transcript,
  messages: ReadonlyArray<Json>,
  snapshots: Snapshots = {}
): Written => written(bench, before, { append: texts(messages), ...snapshots })

export const rewritten = (
  bench: Bench,
  before: Transcript,
  draft: RewriteDraft,
  replacement: ReadonlyArray<Json>,
  snapshots: Snapshots = {}
): Written & { readonly write: { readonly rewrite: TranscriptRewriteCommit } } => {
  const { end, start } = draft.selection
  const keepRevision = start === 0
    ? Digests.firstRevision(bench.sha256, before.head.id)
    : Option.getOrThrow(Option.fromNullable(before.revisions[start - 1]))
  const { transcript, write } = written(bench, before, {
    append: [],
    rewrite: { ...draft, replacement: texts(replacement), keepRevision, tail: texts(before.messages.slice(end)) },
    ...snapshots
  })
  const rewrite = Option.getOrThrow(Option.fromNullable(write.rewrite))
  return { transcript, write: { ...write, rewrite } }
}

/** A session with these messages, stored. */
export const begin = (bench: Bench, owner: Owner, messages: ReadonlyArray<Json>, snapshots: Snapshots = {}) =>
  Effect.gen(function*() {
    const empty = emptyTranscript(bench, yield* freshSessionId(bench))
    const { transcript, write } = appended(bench, empty, messages, snapshots)
    yield* bench.store.commitSessionSnapshot(owner.runtimeId, owner.stamp(), write)
    return transcript
  })

export const noOperations: OpsSnapshot = {
  epochId: "e",
  operations: [],
  feed: [],
  nextCompletionSequence: 0,
  concurrentMax: null,
  cursors: { agentApplied: 0, runtimeObserved: 0, runtimeInjected: 0 }
}

/** The scope whose notes `stateOf` looks at. */
export const SCOPE = "the scope"

/** All that can be read of a runtime. */
export const stateOf = ({ store }: Bench, runtimeId: RuntimeId) =>
  Effect.all({
    lifecycle: Effect.map(store.loadMachineLifecycleRecord(runtimeId), Option.getOrNull),
    stamp: Effect.map(store.loadStamp(runtimeId, { _tag: "runtime" }), Option.getOrNull),
    inputs: Effect.map(store.loadInputStates(runtimeId, { limit: 1000 }), (rows) => rows.map(Either.merge)),
    session: Effect.map(store.loadSession(runtimeId), Option.getOrNull),
    snapshot: Effect.map(store.loadSessionSnapshot(runtimeId), Option.getOrNull),
    transcript: store.loadTranscript(runtimeId, { limit: 1000 }),
    rewrites: Effect.map(store.loadRewrites(runtimeId), (rows) => rows.map(Either.merge)),
    events: store.loadEvents(runtimeId, { limit: 1000 }),
    notes: store.loadNotes(runtimeId, SCOPE),
    ops: Effect.map(store.loadOpsLifecycle(runtimeId), Option.getOrNull),
    totals: store.loadTotals(runtimeId)
  })

type State = Effect.Effect.Success<ReturnType<typeof stateOf>>

/** Fails if two states differ, and names the part that does. */
export const expectSame = (actual: State, expected: State, when: string) =>
  Effect.forEach(
    Object.keys(expected) as ReadonlyArray<keyof State>,
    (part) => expectEqual<unknown>(actual[part], expected[part], `${part} ${when}`),
    { discard: true }
  )

/** Runs a write that should leave everything of a runtime as it is. */
export const changingNothing = <A, E, R>(bench: Bench, runtimeId: RuntimeId, write: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* stateOf(bench, runtimeId)
    const answer = yield* write
    yield* expectSame(yield* stateOf(bench, runtimeId), before, "as before the write")
    return answer
  })

export const loadHead = ({ store }: Bench, runtimeId: RuntimeId, inputId: InputId) =>
  Effect.map(Effect.flatten(store.loadInputState(runtimeId, inputId)), ({ head }) => head)

/** The rows of a load, none of which may be corrupt. */
export const heads = (rows: ReadonlyArray<Either.Either<StoredInput, unknown>>) =>
  Effect.forEach(rows, (row) => Either.map(row, ({ head }) => head))

export const idsOf = (rows: ReadonlyArray<Either.Either<StoredInput, unknown>>) =>
  Effect.map(heads(rows), (all) => all.map(({ id }) => id))
