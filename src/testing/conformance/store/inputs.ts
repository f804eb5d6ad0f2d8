/**
 * Inputs as they are stored and read: bodies, heads, keys.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Commit from "../../../core/Commit.js"
import { BlobId } from "../../../schema/Blob.js"
import type { Content } from "../../../schema/Content.js"
import { BatchId, IdempotencyKey } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import type { AbandonReason, HoldReason, InputHead, TerminalOutcome } from "../../../schema/InputState.js"
import * as codecs from "../../../services/codecs.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardNames, awkwardText } from "./awkward.js"
import {
  accept,
  type Bench,
  changingNothing,
  commit,
  consumedAtOnce,
  ending,
  expectRefused,
  freshInputId,
  freshRunId,
  lifecycleOf,
  loadHead,
  make,
  moved,
  newInput,
  NOW,
  own,
  type Owner,
  stateOf,
  type StoreCase,
  writeSet
} from "./fixtures.js"

const allBytes = Uint8Array.from({ length: 256 }, (_, i) => i)
const blobId = BlobId.make(`sha256:${"0123456789abcdef".repeat(4)}`)

const content: Content = [
  { _tag: "text", text: awkwardText },
  { _tag: "image", mediaType: "image/png", source: { _tag: "inline", data: allBytes } },
  { _tag: "image", mediaType: "image/png", source: { _tag: "blob", blobId } },
  { _tag: "audio", mediaType: "audio/ogg", source: { _tag: "inline", data: new Uint8Array() } },
  { _tag: "file", mediaType: "text/csv", source: { _tag: "blob", blobId }, name: "r\u00e9sum\u00e9.csv" },
  { _tag: "file", mediaType: "text/csv", source: { _tag: "inline", data: allBytes } }
]

const turn: Input.Input & { readonly _tag: "prompt" } extends { readonly turn?: infer T } ? T : never = {
  handlingMode: "steer",
  keepAlive: true,
  skillReferences: ["a", "b"],
  flowToolOverlay: { tools: [null, 1, { on: true }] },
  additionalInstructions: ["be brief"],
  model: "a model",
  provider: "a provider",
  providerParams: { temperature: 0.5 },
  render: { class: "user_prompt", salience: "urgent" }
}

const drafts: { readonly [What in string]: Input.Draft } = {
  "prompt": { _tag: "prompt", content, turn },
  "peer message": { _tag: "peer", content, convention: { _tag: "message" }, handlingMode: "queue" },
  "peer request": { _tag: "peer", content, convention: { _tag: "request", requestId: "r1", intent: "ask" } },
  "peer progress": {
    _tag: "peer",
    content: [],
    convention: { _tag: "response_progress", requestId: "r1", phase: "partial_result" }
  },
  "peer response": {
    _tag: "peer",
    content,
    convention: { _tag: "response_terminal", requestId: "r1", status: "failed" }
  },
  "flow step": { _tag: "flow_step", stepId: "s1", content, turn },
  "external event": {
    _tag: "external_event",
    eventType: "mail",
    payload: { text: awkwardText, nested: [1.5, null, { a: [] }] },
    content,
    handlingMode: "steer",
    render: { salience: "background" }
  },
  "continuation": { _tag: "continuation", reason: "attention", handlingMode: "steer", requestId: "r1" },
  "operation": { _tag: "operation", operationId: "o1", event: { _tag: "completed", result: { ok: [true] } } }
}

const origins: ReadonlyArray<Input.Origin> = [
  { _tag: "operator" },
  { _tag: "peer", peerId: "p1", runtimeId: "another runtime" },
  { _tag: "flow", flowId: "f1", stepIndex: 7 },
  { _tag: "system" },
  { _tag: "external", sourceName: "mail" }
]

const header = (key: string, origin: Input.Origin): Input.HeaderDraft => ({
  origin,
  durability: origin._tag === "system" ? "derived" : origin._tag === "peer" ? "ephemeral" : "durable",
  visibility: { transcript: origin._tag === "operator", operator: origin._tag !== "operator" },
  idempotencyKey: key,
  supersessionKey: `${key} scope`,
  correlationId: "c1",
  deliverAt: NOW + 5_000
})

const keyed = (key: string): { readonly draft: Input.Draft } => ({
  draft: Input.prompt(key, { idempotencyKey: key })
})

const inline = (input: Input.Input) => ({ _tag: "inline", input }) as const

const roundTrips = Object.entries(drafts).map(([what, draft]) =>
  make(`a stored ${what} comes back with its whole header and content`, (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      for (const origin of origins) {
        const given = { ...draft, header: header(`${what} ${origin._tag}`, origin) }
        const { head, input } = yield* accept(bench, owner, { draft: given })
        const stored = yield* Effect.flatten(bench.store.loadInputState(owner.runtimeId, input.header.id))
        yield* expectEqual(stored.body, inline(input))
        yield* expectEqual(stored.head, head)
      }
    }))
)

const reasons: ReadonlyArray<AbandonReason> = [
  { _tag: "retired" },
  { _tag: "reset" },
  { _tag: "stopped" },
  { _tag: "destroyed" },
  { _tag: "cancelled", reason: awkwardText },
  { _tag: "max_attempts_exhausted", attempts: 3 },
  { _tag: "process_ended" },
  { _tag: "outcome_unknown" }
]
const holds: ReadonlyArray<HoldReason> = ["question", "in_doubt", "undecodable", "operator"]

const everyHead = (bench: Bench) =>
  Effect.gen(function*() {
    const runId = yield* freshRunId(bench)
    const other = yield* freshInputId(bench)
    const outcomes: ReadonlyArray<TerminalOutcome> = [
      consumedAtOnce,
      { _tag: "consumed", runId, sequence: 3 },
      { _tag: "superseded", by: other },
      { _tag: "coalesced", into: other },
      ...reasons.map((reason) => ({ _tag: "abandoned", reason }) as const)
    ]
    const batch = BatchId.make(`${yield* bench.next}/${other}`)
    const changes: ReadonlyArray<Partial<InputHead>> = [
      {
        phase: "queued",
        readyAt: NOW + 1,
        attempt: 2,
        stagings: 3,
        batch,
        failure: { tag: "Boom", message: awkwardText }
      },
      { phase: "staged", attempt: 1, stagings: 1, batch, run: runId, receipt: { runId, sequence: 2 }, recorded: true },
      { phase: "staged", batch, awaits: awkwardNames.map((operationId, i) => ({ operationId, until: NOW + i })) },
      { phase: "held", hold: "question", batch, awaits: [{ operationId: awkwardText, until: null }] },
      ...holds.map((hold, i) => ({ phase: "held", hold, readyAt: i === 0 ? null : NOW + i, batch }) as const),
      ...outcomes.map((outcome) => ({ phase: outcome._tag, outcome, run: runId }))
    ]
    return changes
  })

const keys: ReadonlyArray<StoreCase> = [
  make(
    "I5: another input under a stored key is IdempotencyConflict, and nothing is stored",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const first = yield* accept(bench, owner, keyed("monday"))
        const second = yield* newInput(bench, owner, keyed("monday"))
        const error = yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(
            bench.store.persistInputState(owner.runtimeId, owner.stamp(), second.record),
            "IdempotencyConflict"
          )
        )
        yield* expectEqual([error.key, error.inputId], ["monday", first.head.id])
        yield* expectEqual(yield* bench.store.loadInputState(owner.runtimeId, second.head.id), Option.none())
      })
  ),

  make(
    "I5: another input under a stored id is IdempotencyConflict, and nothing is stored",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head } = yield* accept(bench, owner, keyed("monday"))
        const again = yield* newInput(bench, owner, { draft: Input.prompt("other text", { id: head.id }) })
        const error = yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(
            bench.store.persistInputState(owner.runtimeId, owner.stamp(), again.record),
            "IdempotencyConflict"
          )
        )
        yield* expectEqual(error.inputId, head.id)
      })
  ),

  make("I5: the key and the id of a terminal input stay taken, however it ended", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const outcomes: ReadonlyArray<TerminalOutcome> = [
        consumedAtOnce,
        { _tag: "superseded", by: yield* freshInputId(bench) },
        { _tag: "coalesced", into: yield* freshInputId(bench) },
        { _tag: "abandoned", reason: { _tag: "reset" } }
      ]
      for (const outcome of outcomes) {
        const { head } = yield* accept(bench, owner, keyed(outcome._tag))
        yield* commit(bench, owner, ending(head, outcome))
        const byKey = yield* newInput(bench, owner, keyed(outcome._tag))
        const byId = yield* newInput(bench, owner, { draft: Input.prompt("x", { id: head.id }) })
        for (const { record } of [byKey, byId]) {
          const refused = yield* bench.store.commit(writeSet(owner, { inputs: [record] }))
          const { known } = yield* expectRefused(refused, "KnownInput")
          yield* expectEqual(known.map(({ inputId }) => inputId), [head.id])
        }
      }
    })),

  make("I5: a refused insert names every stored input that has its id or its key", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const a = yield* accept(bench, owner, keyed("a"))
      const b = yield* accept(bench, owner, keyed("b"))
      const both = yield* newInput(bench, owner, {
        draft: Input.prompt("x", { id: a.head.id, idempotencyKey: "b" })
      })
      const refused = yield* bench.store.commit(writeSet(owner, { inputs: [both.record] }))
      const { known } = yield* expectRefused(refused, "KnownInput")
      yield* expectEqual(
        [...known].sort((x, y) => x.sequence - y.sequence),
        [a, b].map(({ head }) => ({
          inputId: head.id,
          idempotencyKey: head.key,
          payloadDigest: head.payloadDigest,
          sequence: head.sequence
        }))
      )
    })),

  make("I5: an id or key in one runtime says nothing about another", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      const { head } = yield* accept(bench, one, keyed("monday"))
      const key = IdempotencyKey.make("monday")
      yield* expectEqual(yield* bench.store.loadInputStateByKey(other.runtimeId, key), Option.none())
      yield* expectEqual(yield* bench.store.loadInputState(other.runtimeId, head.id), Option.none())
      yield* expectEqual(yield* bench.store.lookup(other.runtimeId, [head.id], [key]), [])
      yield* accept(bench, other, { draft: Input.prompt("of the other", { id: head.id, idempotencyKey: key }) })
      const stored = yield* Effect.flatten(bench.store.loadInputStateByKey(one.runtimeId, key))
      yield* expectEqual(stored.head, head)
    })),

  make(
    "I5: keys are compared as they are: case, blanks, accents and length make another key",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const accepted = yield* Effect.forEach(awkwardNames, (name) => accept(bench, owner, keyed(name)))
        for (const { head, input } of accepted) {
          const key = yield* Effect.fromNullable(head.key)
          const stored = yield* Effect.flatten(bench.store.loadInputStateByKey(owner.runtimeId, key))
          yield* expectEqual([stored.head.key, stored.head.id], [key, input.header.id])
        }
      })
  ),

  make("I5: an input without a key is known by its id alone", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const unkeyed = [yield* accept(bench, owner), yield* accept(bench, owner)]
      const known = yield* bench.store.lookup(owner.runtimeId, unkeyed.map(({ head }) => head.id), [])
      yield* expectEqual(known.map(({ idempotencyKey }) => idempotencyKey), [null, null])
    })),

  make(
    "lookup answers stored inputs that have one of the ids or keys, once each, terminal ones included",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const a = yield* accept(bench, owner, keyed("a"))
        const b = yield* accept(bench, owner, keyed("b"))
        const c = yield* accept(bench, owner, keyed("c"))
        yield* commit(bench, owner, ending(b.head, consumedAtOnce))
        const absent = yield* freshInputId(bench)
        const found = yield* bench.store.lookup(
          owner.runtimeId,
          [c.head.id, absent, a.head.id],
          [IdempotencyKey.make("a"), IdempotencyKey.make("b"), IdempotencyKey.make("z")]
        )
        yield* expectEqual(
          [...found].sort((x, y) => x.sequence - y.sequence),
          [a, b, c].map(({ head }) => ({
            inputId: head.id,
            idempotencyKey: head.key,
            payloadDigest: head.payloadDigest,
            sequence: head.sequence
          }))
        )
        yield* expectEqual(yield* bench.store.lookup(owner.runtimeId, [], []), [])
      })
  )
]

const moves: ReadonlyArray<StoreCase> = [
  make(
    "I8: every phase, hold, outcome and awaited operation of a head comes back as it was written",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        for (const changes of yield* everyHead(bench)) {
          const { head } = yield* accept(bench, owner)
          const record = moved(head, changes)
          yield* bench.store.persistInputState(owner.runtimeId, owner.stamp(), record)
          yield* expectEqual(yield* loadHead(bench, owner.runtimeId, head.id), record.head)
        }
      })
  ),

  make("an input may be stored in any phase from the start", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      for (const changes of yield* everyHead(bench)) {
        const { head } = yield* accept(bench, owner, { head: changes })
        yield* expectEqual(yield* loadHead(bench, owner.runtimeId, head.id), head)
      }
    })),

  make("a changed head keeps the body and the facts of the admission", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head, input } = yield* accept(bench, owner, {
        draft: { ...Input.prompt("kept"), header: header("kept", { _tag: "operator" }) }
      })
      const changes: Partial<InputHead> = { phase: "held", hold: "operator", attempt: 2, recorded: true }
      const record = moved(head, {
        ...changes,
        sequence: owner.number(),
        acceptedAt: NOW + 99,
        kind: "operation",
        durability: "derived",
        key: IdempotencyKey.make("other"),
        supersessionKey: null,
        payloadDigest: "other",
        lane: "steer"
      })
      yield* bench.store.persistInputState(owner.runtimeId, owner.stamp(), record)
      const stored = yield* Effect.flatten(bench.store.loadInputState(owner.runtimeId, head.id))
      yield* expectEqual(stored.head, { ...head, ...changes, updatedAt: head.updatedAt + 1 })
      yield* expectEqual(stored.body, inline(input))
      const byKey = yield* bench.store.loadInputStateByKey(owner.runtimeId, IdempotencyKey.make("other"))
      yield* expectEqual(byKey, Option.none())
    })),

  make("one input's write leaves its neighbours as they are", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const [a, b] = [yield* accept(bench, owner), yield* accept(bench, owner)]
      yield* bench.store.persistInputState(owner.runtimeId, owner.stamp(), moved(a.head, { attempt: 1 }))
      yield* expectEqual(yield* loadHead(bench, owner.runtimeId, b.head.id), b.head)
    }))
]

/** Bodies that cannot be read, and the error of each. */
const unreadable = (bench: Bench, owner: Owner) =>
  Effect.gen(function*() {
    const { input } = yield* newInput(bench, owner)
    return [
      ["RecordCorrupt", "not JSON"],
      ["RecordCorrupt", ""],
      ["RecordCorrupt", JSON.stringify({ kind: "receipt", version: 1, value: {} })],
      [
        "RecordCorrupt",
        JSON.stringify({ kind: "input", version: 1, value: { _tag: "inline", input: { _tag: "prompt" } } })
      ],
      // The body of another input.
      ["RecordCorrupt", yield* codecs.payload.encode(inline(input))],
      ["SchemaFromTheFuture", JSON.stringify({ kind: "input", version: 99, value: {} })]
    ] as const
  })

const corrupt: ReadonlyArray<StoreCase> = [
  make(
    "an input whose body cannot be read is RecordCorrupt or SchemaFromTheFuture, and names itself",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        for (const [tag, payload] of yield* unreadable(bench, owner)) {
          const { head } = yield* accept(bench, owner, { payload })
          const error = yield* expectFailure(bench.store.loadInputState(owner.runtimeId, head.id), tag)
          yield* check(error.record.includes(head.id), "the error names the record")
        }
      })
  ),

  make("I17: in a load of rows and bodies a corrupt one takes no other with it", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const good = [yield* accept(bench, owner)]
      const bad = yield* accept(bench, owner, { payload: "not JSON" })
      const badHead = yield* accept(bench, owner, { head: { updatedAt: -1 } })
      good.push(yield* accept(bench, owner))
      for (const load of [bench.store.loadInputStates, bench.store.loadActiveInputStates]) {
        const rows = yield* load(owner.runtimeId)
        yield* expectEqual(rows.map((row) => row._tag), ["Right", "Left", "Left", "Right"])
        yield* expectEqual(
          rows.flatMap((row) => Either.isRight(row) ? [row.right.head.id] : []),
          good.map(({ head }) => head.id)
        )
        yield* expectEqual(
          rows.flatMap((row) => Either.isLeft(row) ? [row.left.runtimeId] : []),
          [owner.runtimeId, owner.runtimeId]
        )
      }
      const ids = [good[0]!, bad, badHead, good[1]!].map(({ head }) => head.id)
      const bodies = yield* bench.store.loadBodies(owner.runtimeId, ids)
      yield* expectEqual(bodies.map(({ body }) => body._tag), ["Right", "Left", "Right", "Right"])
    })),

  make("I17: a corrupt row of one runtime changes nothing for another", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      yield* accept(bench, other)
      const before = yield* stateOf(bench, other.runtimeId)
      yield* accept(bench, one, { payload: "not JSON" })
      yield* expectEqual<unknown>((yield* stateOf(bench, other.runtimeId)).totals, before.totals)
    }))
]

export const inputs: ReadonlyArray<StoreCase> = [
  ...roundTrips,

  make("a body in a blob comes back as the blob's id", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const payload = yield* codecs.payload.encode({ _tag: "blob", blobId })
      const { head } = yield* accept(bench, owner, { payload })
      const stored = yield* Effect.flatten(bench.store.loadInputState(owner.runtimeId, head.id))
      yield* expectEqual(stored.body, { _tag: "blob", blobId })
    })),

  make("an input that is not stored is none, by its id and by its key", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* accept(bench, owner)
      const absent = yield* freshInputId(bench)
      yield* expectEqual(yield* bench.store.loadInputState(owner.runtimeId, absent), Option.none())
      const byKey = yield* bench.store.loadInputStateByKey(owner.runtimeId, IdempotencyKey.make("absent"))
      yield* expectEqual(byKey, Option.none())
    })),

  make("an input is found by its key, terminal or not", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head, input } = yield* accept(bench, owner, keyed("monday"))
      const load = Effect.flatten(bench.store.loadInputStateByKey(owner.runtimeId, IdempotencyKey.make("monday")))
      yield* expectEqual(yield* load, { head, body: inline(input) })
      yield* commit(bench, owner, ending(head, consumedAtOnce))
      yield* expectEqual((yield* load).head.phase, "consumed")
    })),

  ...moves,
  ...keys,

  make(
    "the lifecycle row and the listed inputs are written together; one known input takes them all out",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* accept(bench, owner, keyed("monday"))
        const fresh = yield* newInput(bench, owner)
        const known = yield* newInput(bench, owner, keyed("monday"))
        const lifecycle = Commit.lifecycle(lifecycleOf(owner, { paused: true }), null)
        yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(
            bench.store.commitMachineLifecycle(owner.runtimeId, owner.stamp(), lifecycle, [fresh.record, known.record]),
            "IdempotencyConflict"
          )
        )
      })
  ),

  ...corrupt
]
