/**
 * Who may write: claims, tokens, recovery, the barrier and what tells whether a commit happened.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Commit from "../../../core/Commit.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import {
  accept,
  appended,
  begin,
  type Bench,
  boundaryOf,
  changingNothing,
  claim,
  commit,
  consumedAtOnce,
  emptyTranscript,
  ending,
  expectSame,
  freshClaimId,
  freshInputId,
  freshRuntimeId,
  freshSessionId,
  lifecycleOf,
  make,
  moved,
  newInput,
  noOperations,
  openRun,
  own,
  type Owner,
  ownerOf,
  published,
  rewritten,
  SCOPE,
  stateOf,
  type StoreCase,
  writeSet
} from "./fixtures.js"

/** A runtime with something of everything, and every write that its owner could make. */
const everyWrite = (bench: Bench) =>
  Effect.gen(function*() {
    const owner = yield* own(bench)
    const { runtimeId } = owner
    const { store } = bench
    const staged = yield* accept(bench, owner)
    const queued = yield* accept(bench, owner)
    const transcript = yield* begin(bench, owner, ["a"], { snapshot: Uint8Array.of(1) })
    yield* store.persistOpsLifecycle(runtimeId, owner.stamp(), noOperations)
    const opened = yield* openRun(bench, owner, [staged.head])
    const { record } = yield* newInput(bench, owner)
    const lifecycle = Commit.lifecycle(lifecycleOf(owner, { paused: true }), null)
    const more = appended(bench, transcript, ["b"]).write
    const rewrite = rewritten(bench, transcript, { selection: { start: 0, end: 1 }, reason: "r" }, []).write
    const given = boundaryOf(bench, owner, opened, { boundary: "final", delta: more })
    const at = owner.stamp
    const stale = <A>(outcome: Effect.Effect<A, unknown>) => Effect.flip(outcome)
    const writes: ReadonlyArray<readonly [what: string, write: Effect.Effect<unknown, unknown>]> = [
      ["persistInputState of a new input", stale(store.persistInputState(runtimeId, at(), record))],
      [
        "persistInputState of a changed one",
        stale(store.persistInputState(runtimeId, at(), moved(queued.head, { attempt: 1 })))
      ],
      ["commitMachineLifecycle", stale(store.commitMachineLifecycle(runtimeId, at(), lifecycle, [record]))],
      ["atomicApply", stale(store.atomicApply(runtimeId, given))],
      ["atomicApply with alongside", stale(store.atomicApply(runtimeId, { ...given, alongside: Effect.die("ran") }))],
      ["commitSessionSnapshot", stale(store.commitSessionSnapshot(runtimeId, at(), more))],
      [
        "commitSessionTranscriptRewriteSnapshot",
        stale(store.commitSessionTranscriptRewriteSnapshot(runtimeId, at(), rewrite))
      ],
      ["clearSessionSnapshot", stale(store.clearSessionSnapshot(runtimeId, at()))],
      [
        "replaceSessionSnapshotIfCurrent",
        stale(store.replaceSessionSnapshotIfCurrent(runtimeId, at(), Uint8Array.of(1), Uint8Array.of(2)))
      ],
      [
        "replaceSessionSnapshotIfCurrent of other bytes",
        stale(store.replaceSessionSnapshotIfCurrent(runtimeId, at(), Uint8Array.of(9), Uint8Array.of(2)))
      ],
      [
        "clearSessionSnapshotIfCurrent",
        stale(store.clearSessionSnapshotIfCurrent(runtimeId, at(), Uint8Array.of(1)))
      ],
      ["persistOpsLifecycle", stale(store.persistOpsLifecycle(runtimeId, at(), { ...noOperations, epochId: "f" }))],
      ["deleteOpsLifecycle", stale(store.deleteOpsLifecycle(runtimeId, at()))],
      ["barrier", stale(store.barrier(runtimeId, owner.token))],
      ...([
        ["inputs", { inputs: [record] }],
        ["events", { events: [published(owner)] }],
        ["notes", { notes: [{ scope: SCOPE, key: "k", value: 1 }] }],
        ["operations", { ops: null }],
        ["nothing", {}]
      ] as const).flatMap(([what, parts]) => {
        const write = writeSet(owner, parts)
        const refused = (outcome: Effect.Effect<Effect.Effect.Success<ReturnType<typeof store.commit>>, unknown>) =>
          Effect.map(outcome, (answer) => answer._tag === "Refused" ? answer.by : answer)
        return [
          [`commit of ${what}`, refused(store.commit(write))],
          [`commitWith of ${what}`, refused(store.commitWith(write, Effect.die("ran")))]
        ] as const
      })
    ]
    return { owner, writes }
  })

const expectStale = (
  bench: Bench,
  owner: Owner,
  writes: Effect.Effect.Success<ReturnType<typeof everyWrite>>["writes"]
) =>
  Effect.forEach(writes, ([what, write]) =>
    Effect.gen(function*() {
      const answer = yield* changingNothing(bench, owner.runtimeId, write)
      yield* expectEqual(Reflect.get(Object(answer), "_tag"), "StaleFence", what)
    }), { discard: true })

const fences: ReadonlyArray<StoreCase> = [
  make(
    "I9: every kind of write under an older token is StaleFence and changes nothing, after a recovery",
    (bench) =>
      Effect.gen(function*() {
        const { owner, writes } = yield* everyWrite(bench)
        yield* claim(bench, owner.runtimeId)
        yield* expectStale(bench, owner, writes)
      })
  ),

  make(
    "I9: every kind of write under an older token is StaleFence and changes nothing, after a claim",
    (bench) =>
      Effect.gen(function*() {
        const { owner, writes } = yield* everyWrite(bench)
        yield* bench.store.claim(owner.runtimeId, yield* freshClaimId(bench))
        yield* expectStale(bench, owner, writes)
      })
  ),

  make(
    "I9: a token is its epoch and its claim: with one of them wrong a write is StaleFence",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { claimId, epoch } = owner.token
        const tokens = [
          { epoch, claimId: yield* freshClaimId(bench) },
          { epoch: epoch - 1, claimId },
          { epoch: epoch + 1, claimId }
        ]
        for (const token of tokens) {
          const other = ownerOf(owner.runtimeId, token, 10)
          const { record } = yield* newInput(bench, other)
          const error = yield* changingNothing(
            bench,
            owner.runtimeId,
            expectFailure(bench.store.persistInputState(owner.runtimeId, other.stamp(), record), "StaleFence")
          )
          yield* expectEqual([error.runtimeId, error.epoch, error.current], [owner.runtimeId, token.epoch, epoch])
          yield* expectFailure(bench.store.barrier(owner.runtimeId, token), "StaleFence")
        }
      })
  ),

  make("I9: nobody writes a runtime that was never claimed", (bench) =>
    Effect.gen(function*() {
      const runtimeId = yield* freshRuntimeId(bench)
      const nobody = ownerOf(runtimeId, { epoch: 1, claimId: yield* freshClaimId(bench) }, 0)
      const { record } = yield* newInput(bench, nobody)
      const persist = bench.store.persistInputState(runtimeId, nobody.stamp(), record)
      const error = yield* changingNothing(bench, runtimeId, expectFailure(persist, "StaleFence"))
      yield* expectEqual(error.current, null)
      yield* expectFailure(bench.store.barrier(runtimeId, nobody.token), "StaleFence")
    })),

  make("I9: a stale token is StaleFence also where there is no session to change", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* claim(bench, owner.runtimeId)
      const { runtimeId, stamp } = owner
      const one = Uint8Array.of(1)
      yield* expectFailure(bench.store.clearSessionSnapshot(runtimeId, stamp()), "StaleFence")
      yield* expectFailure(bench.store.replaceSessionSnapshotIfCurrent(runtimeId, stamp(), one, one), "StaleFence")
      yield* expectFailure(bench.store.clearSessionSnapshotIfCurrent(runtimeId, stamp(), one), "StaleFence")
      const empty = emptyTranscript(bench, yield* freshSessionId(bench))
      const first = bench.store.commitSessionSnapshot(runtimeId, stamp(), appended(bench, empty, ["a"]).write)
      yield* changingNothing(bench, runtimeId, expectFailure(first, "StaleFence"))
    })),

  make("I17: a claim of one runtime leaves the tokens of others", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      yield* claim(bench, one.runtimeId)
      yield* accept(bench, other)
      yield* bench.store.barrier(other.runtimeId, other.token)
    }))
]

const claims: ReadonlyArray<StoreCase> = [
  make(
    "I9: a claim makes a new token, its epoch one more than the last; the first is 1",
    (bench) =>
      Effect.gen(function*() {
        const runtimeId = yield* freshRuntimeId(bench)
        for (const epoch of [1, 2, 3]) {
          const claimId = yield* freshClaimId(bench)
          yield* expectEqual(yield* bench.store.claim(runtimeId, claimId), { epoch, claimId })
        }
      })
  ),

  make("a claim changes nothing of the runtime but its owner", (bench) =>
    Effect.gen(function*() {
      const { owner } = yield* everyWrite(bench)
      const record = yield* Effect.flatten(bench.store.loadMachineLifecycle(owner.runtimeId))
      const { lifecycle: _, stamp: __, ...before } = yield* stateOf(bench, owner.runtimeId)
      const token = yield* bench.store.claim(owner.runtimeId, yield* freshClaimId(bench))
      const { lifecycle: ___, stamp, ...after } = yield* stateOf(bench, owner.runtimeId)
      yield* expectEqual<unknown>(after, before)
      yield* expectEqual(stamp?.epoch, token.epoch)
      const claimed = yield* Effect.flatten(bench.store.loadMachineLifecycle(owner.runtimeId))
      yield* expectEqual(claimed, {
        ...record,
        binding: { ...record.binding, fenceToken: token.epoch, runtimeEpochId: token.claimId }
      })
    })),

  make(
    "I9: of many claims at the same time all succeed with epochs of their own, and the highest one holds",
    (bench) =>
      Effect.gen(function*() {
        const runtimeId = yield* freshRuntimeId(bench)
        const owners = yield* Effect.replicateEffect(claim(bench, runtimeId), 10, { concurrency: "unbounded" })
        const epochs = owners.map(({ token }) => token.epoch)
        yield* expectEqual([...epochs].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        for (const owner of owners) {
          const exit = yield* Effect.either(bench.store.barrier(runtimeId, owner.token))
          yield* expectEqual(Either.isRight(exit), owner.token.epoch === 10)
        }
      })
  )
]

const recoveries: ReadonlyArray<StoreCase> = [
  make("recovery of a runtime that nobody has used finds nothing", (bench) =>
    Effect.gen(function*() {
      const runtimeId = yield* freshRuntimeId(bench)
      const found = yield* bench.store.recover(runtimeId, yield* freshClaimId(bench), (recovered, token) =>
        Either.right([Commit.make(runtimeId, { token, n: 0 }, {}), recovered]))
      const { hasReceipt: _, ...rest } = found
      yield* expectEqual(rest, { lifecycle: null, run: null, session: null, inputs: [], corrupt: [], lastSequence: 0 })
    })),

  make(
    "recovery finds lifecycle, open run, session, the active heads in order of admission, and the last number",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { runtimeId } = owner
        const late = yield* accept(bench, owner, { head: { sequence: 9 } })
        const ended = yield* accept(bench, owner, { head: { sequence: 2 } })
        const early = yield* accept(bench, owner, { head: { sequence: 3 } })
        const held = yield* accept(bench, owner, {
          head: {
            sequence: 4,
            phase: "held",
            hold: "question",
            readyAt: null,
            awaits: [{ operationId: "op", until: 7 }]
          }
        })
        const numbered = ownerOf(runtimeId, owner.token, 20)
        yield* commit(bench, numbered, ending(ended.head, consumedAtOnce))
        const { head: session } = yield* begin(bench, numbered, ["a"])
        const opened = yield* openRun(bench, numbered, [early.head])
        const first = boundaryOf(bench, numbered, opened, { contributors: [] })
        yield* bench.store.atomicApply(runtimeId, first)
        const receipt = { runId: opened.run.id, sequence: 1 }
        const known = moved(opened.staged[0]!, { receipt })
        const unknown = moved(late.head, { receipt: { runId: opened.run.id, sequence: 7 } })
        yield* commit(bench, numbered, { inputs: [known, unknown] })
        const lifecycle = yield* Effect.flatten(bench.store.loadMachineLifecycle(runtimeId))
        const found = yield* bench.store.recover(
          runtimeId,
          yield* freshClaimId(bench),
          (recovered, token) => Either.right([Commit.make(runtimeId, { token, n: 0 }, {}), recovered])
        )
        yield* expectEqual(found.lifecycle, lifecycle)
        yield* expectEqual(found.run, { ...opened.run, sequence: 1 })
        yield* expectEqual(found.session, session)
        yield* expectEqual(found.inputs, [known.head, held.head, unknown.head])
        yield* expectEqual<number | undefined>(found.lastSequence, first.events?.at(-1)?.number)
        yield* expectEqual([found.hasReceipt(opened.run.id, 1), found.hasReceipt(opened.run.id, 7)], [true, false])
      })
  ),

  make(
    "I18: the last number is that of an active input or of an event, whichever is higher",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const last = () => Effect.map(claim(bench, owner.runtimeId), (later) => later.number() - 1)
        yield* accept(bench, owner, { head: { sequence: 5 } })
        yield* expectEqual(yield* last(), 5)
        const second = yield* claim(bench, owner.runtimeId)
        const event = { ...published(second), number: 8 }
        yield* commit(bench, second, { events: [event] })
        yield* expectEqual(yield* last(), 8)
        const third = yield* claim(bench, owner.runtimeId)
        const { head } = yield* accept(bench, third, { head: { sequence: 11 } })
        yield* expectEqual(yield* last(), 11)
        const fourth = yield* claim(bench, owner.runtimeId)
        yield* commit(bench, fourth, ending(head, consumedAtOnce))
        yield* expectEqual(yield* last(), 11, "after the input ended")
      })
  ),

  make(
    "I9: on the left of decide nothing is written, not even the claim, and the error comes unchanged",
    (bench) =>
      Effect.gen(function*() {
        const { owner } = yield* everyWrite(bench)
        const refuse = (runtimeId: typeof owner.runtimeId) =>
          Effect.flatMap(freshClaimId(bench), (claimId) =>
            expectFailure(
              bench.store.recover(runtimeId, claimId, (_, token) => Either.left({ _tag: "NotNow", token } as const)),
              "NotNow"
            ))
        const error = yield* changingNothing(bench, owner.runtimeId, refuse(owner.runtimeId))
        yield* expectEqual(error.token.epoch, owner.token.epoch + 1)
        yield* bench.store.barrier(owner.runtimeId, owner.token)
        const unused = yield* freshRuntimeId(bench)
        yield* changingNothing(bench, unused, refuse(unused))
        yield* expectEqual(yield* bench.store.loadMachineLifecycle(unused), Option.none())
      })
  ),

  make(
    "I9: claim and the write of recovery are one: what decide answers is written under the new token",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head } = yield* accept(bench, owner)
        yield* openRun(bench, owner, [head])
        const later = yield* bench.store.recover(owner.runtimeId, yield* freshClaimId(bench), (recovered, token) => {
          const next = ownerOf(owner.runtimeId, token, recovered.lastSequence)
          const write = Commit.make(owner.runtimeId, next.stamp(), {
            lifecycle: Commit.lifecycle(lifecycleOf(next, { paused: true }), null),
            inputs: recovered.inputs.map((one) => moved(one, { phase: "queued", run: null })),
            events: [published(next, "recovered")]
          })
          return Either.right([write, next])
        })
        const stored = yield* bench.store.loadActiveInputStates(owner.runtimeId)
        const [requeued] = stored.flatMap((row) => Either.isRight(row) ? [row.right.head] : [])
        yield* expectEqual([requeued?.phase, requeued?.run, requeued?.attempt], ["queued", null, 1])
        yield* expectEqual((yield* Effect.flatten(bench.store.loadMachineLifecycle(owner.runtimeId))).paused, true)
        const stamps = yield* Effect.forEach(
          [{ _tag: "runtime" }, { _tag: "input", inputId: head.id }] as const,
          (witness) => Effect.flatten(bench.store.loadStamp(owner.runtimeId, witness))
        )
        yield* expectEqual(stamps, [{ epoch: later.token.epoch, n: 1 }, { epoch: later.token.epoch, n: 1 }])
        yield* bench.store.barrier(owner.runtimeId, later.token)
      })
  ),

  make(
    "I9: nothing that was read before the claim is used: a recovery sees every write of the former owner",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const accepting = Effect.forEach(
          Array.from({ length: 30 }),
          () => Effect.either(accept(bench, owner)),
          { concurrency: 5 }
        )
        const recovering = Effect.gen(function*() {
          yield* Effect.replicateEffect(Effect.yieldNow(), 3)
          return yield* bench.store.recover(owner.runtimeId, yield* freshClaimId(bench), ({ inputs }, token) =>
            Either.right([
              Commit.make(owner.runtimeId, { token, n: 0 }, {}),
              inputs.map(({ id }) =>
                id
              )
            ]))
        })
        const [answers, recovered] = yield* Effect.all([accepting, recovering], { concurrency: 2 })
        const accepted = answers.flatMap((answer) =>
          Either.isRight(answer) ? [answer.right.head.id] : []
        )
        yield* expectEqual([...recovered].sort(), accepted.sort())
      })
  ),

  make("I17: recovery reports a corrupt head and goes on with the others", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const good = [yield* accept(bench, owner)]
      const bad = yield* accept(bench, owner, { head: { updatedAt: -1 } })
      good.push(yield* accept(bench, owner))
      const found = yield* bench.store.recover(owner.runtimeId, yield* freshClaimId(bench), (recovered, token) =>
        Either.right([Commit.make(owner.runtimeId, { token, n: 0 }, {}), recovered]))
      yield* expectEqual(
        found.inputs,
        good.map(({ head }) =>
          head
        )
      )
      yield* expectEqual(found.corrupt.map(({ runtimeId }) => runtimeId), [owner.runtimeId])
      yield* check(found.corrupt[0]!.record.includes(bad.head.id), "the report names the record")
    })),

  make("I16: recovery decodes no body", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head } = yield* accept(bench, owner, { payload: "not JSON" })
      const found = yield* bench.store.recover(owner.runtimeId, yield* freshClaimId(bench), (recovered, token) =>
        Either.right([Commit.make(owner.runtimeId, { token, n: 0 }, {}), recovered]))
      yield* expectEqual([found.inputs, found.corrupt], [[head], []])
    }))
]

const witnesses: ReadonlyArray<StoreCase> = [
  make(
    "I12: the barrier succeeds under the token and changes nothing that can be read",
    (bench) =>
      Effect.gen(function*() {
        const { owner } = yield* everyWrite(bench)
        const before = yield* stateOf(bench, owner.runtimeId)
        yield* Effect.replicateEffect(bench.store.barrier(owner.runtimeId, owner.token), 3)
        yield* expectSame(yield* stateOf(bench, owner.runtimeId), before, "after the barrier")
        yield* accept(bench, owner)
      })
  ),

  make("I12: loadStamp tells the commit that last wrote the witness's row", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { epoch } = owner.token
      const { head } = yield* newInput(bench, owner)
      const stamp = (n: number) => ({ token: owner.token, n })
      const write = (n: number, parts: Parameters<typeof Commit.make>[2]) =>
        bench.store.commit(Commit.make(owner.runtimeId, stamp(n), parts))
      const payload = yield* newInput(bench, owner, { draft: { _tag: "prompt", content: [], header: { id: head.id } } })
      yield* write(10, { inputs: [payload.record] })
      const event = published(owner)
      yield* write(11, { events: [event] })
      const opened = yield* openRun(bench, ownerOf(owner.runtimeId, owner.token, 20), [])
      const given = boundaryOf(bench, owner, opened)
      yield* bench.store.atomicApply(owner.runtimeId, { ...given, stamp: stamp(12) })
      const empty = emptyTranscript(bench, yield* freshSessionId(bench))
      yield* write(13, { session: appended(bench, empty, ["a"]).write })
      const look = (witness: Parameters<typeof bench.store.loadStamp>[1]) =>
        Effect.flatten(bench.store.loadStamp(owner.runtimeId, witness))
      yield* expectEqual(yield* look({ _tag: "input", inputId: head.id }), { epoch, n: 10 })
      yield* expectEqual(yield* look({ _tag: "event", number: event.number }), { epoch, n: 11 })
      yield* expectEqual(yield* look({ _tag: "receipt", runId: opened.run.id, sequence: 1 }), { epoch, n: 12 })
      yield* expectEqual(yield* look({ _tag: "runtime" }), { epoch, n: 12 })
      yield* expectEqual(yield* look({ _tag: "session" }), { epoch, n: 13 })
      yield* write(Number.MAX_SAFE_INTEGER, { inputs: [moved(payload.head, { attempt: 1 })] })
      yield* expectEqual(yield* look({ _tag: "input", inputId: head.id }), { epoch, n: Number.MAX_SAFE_INTEGER })
    })),

  make("I12: an absent witness has no stamp, nor has one whose commit was refused", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const unused = yield* freshRuntimeId(bench)
      const refused = yield* newInput(bench, owner)
      const stale = { token: { ...owner.token, epoch: owner.token.epoch + 1 }, n: 1 }
      yield* Effect.flip(bench.store.persistInputState(owner.runtimeId, stale, refused.record))
      const absent = [
        { _tag: "input", inputId: refused.head.id },
        { _tag: "input", inputId: yield* freshInputId(bench) },
        { _tag: "receipt", runId: yield* bench.next, sequence: 1 },
        { _tag: "event", number: 77 },
        { _tag: "session" }
      ] as const
      for (const witness of absent) {
        yield* expectEqual(yield* bench.store.loadStamp(owner.runtimeId, witness), Option.none())
      }
      yield* expectEqual(yield* bench.store.loadStamp(unused, { _tag: "runtime" }), Option.none())
    }))
]

export const ownership: ReadonlyArray<StoreCase> = [...claims, ...fences, ...recoveries, ...witnesses]
