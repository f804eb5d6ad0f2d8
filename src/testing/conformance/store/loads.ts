/**
 * Loads of many inputs: order, pages, filters.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { RuntimeId } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import type { AbandonReason, InputHead } from "../../../schema/InputState.js"
import { expectEqual } from "../../Conformance.js"
import { awkwardNames, awkwardText } from "./awkward.js"
import {
  accept,
  type Bench,
  claim,
  commit,
  consumedAtOnce,
  ending,
  freshInputId,
  freshRuntimeId,
  heads,
  idsOf,
  loadHead,
  make,
  moved,
  newInput,
  NOW,
  own,
  type Owner,
  type StoreCase
} from "./fixtures.js"

const acceptMany = (bench: Bench, owner: Owner, count: number) =>
  Effect.gen(function*() {
    const inputs = yield* Effect.replicateEffect(newInput(bench, owner), count)
    yield* commit(bench, owner, { inputs: inputs.map(({ record }) => record) })
    return inputs.map(({ head }) => head)
  })

/** One input queued, staged and held, and one for each way to end. */
const oneOfEach = (bench: Bench, owner: Owner) =>
  Effect.gen(function*() {
    const [queued, staged, held, ...ended] = yield* acceptMany(bench, owner, 7)
    const other = yield* freshInputId(bench)
    const [consumed, superseded, coalesced, abandoned] = ended as [InputHead, InputHead, InputHead, InputHead]
    yield* commit(bench, owner, {
      inputs: [moved(staged!, { phase: "staged" }), moved(held!, { phase: "held", hold: "operator" })]
    })
    yield* commit(bench, owner, ending(consumed, consumedAtOnce))
    yield* commit(bench, owner, ending(superseded, { _tag: "superseded", by: other }))
    yield* commit(bench, owner, ending(coalesced, { _tag: "coalesced", into: other }))
    yield* commit(bench, owner, ending(abandoned, { _tag: "abandoned", reason: { _tag: "stopped" } }))
    return { active: [queued!.id, staged!.id, held!.id], ended: ended.map(({ id }) => id) }
  })

export const loads: ReadonlyArray<StoreCase> = [
  make(
    "inputs are loaded in order of admission, whatever their ids and the order of their writes",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const sequences = [5, 1, 4, 2, 3, 11, 10, 100]
        const made = yield* Effect.forEach(sequences, (sequence) => newInput(bench, owner, { head: { sequence } }))
        for (const { record } of made.slice(0, 3)) {
          yield* bench.store.persistInputState(owner.runtimeId, owner.stamp(), record)
        }
        yield* commit(bench, owner, { inputs: made.slice(3).map(({ record }) => record) })
        const first = made[0]!.head
        yield* bench.store.persistInputState(owner.runtimeId, owner.stamp(), moved(first, { attempt: 1 }))
        const expected = [...sequences].sort((a, b) => a - b)
        for (const load of [bench.store.loadInputStates, bench.store.loadActiveInputStates]) {
          const stored = yield* heads(yield* load(owner.runtimeId))
          yield* expectEqual(stored.map(({ sequence }) => sequence), expected)
        }
      })
  ),

  make("a page of inputs is what is behind its cursor, and not more than its limit", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const all = yield* acceptMany(bench, owner, 7)
      const ids = all.map(({ id }) => id)
      for (const load of [bench.store.loadInputStates, bench.store.loadActiveInputStates]) {
        const page = (after: number, limit: number) => Effect.flatMap(load(owner.runtimeId, { after, limit }), idsOf)
        yield* expectEqual(yield* page(0, 3), ids.slice(0, 3))
        yield* expectEqual(yield* page(all[2]!.sequence, 3), ids.slice(3, 6))
        yield* expectEqual(yield* page(all[5]!.sequence, 3), ids.slice(6))
        yield* expectEqual(yield* page(all[6]!.sequence, 3), [])
        yield* expectEqual(yield* page(all[6]!.sequence + 1000, 3), [])
      }
    })),

  make("a page has 100 inputs unless it says otherwise, from the start", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const all = yield* acceptMany(bench, owner, 101)
      const ids = yield* idsOf(yield* bench.store.loadInputStates(owner.runtimeId))
      yield* expectEqual(ids, all.slice(0, 100).map(({ id }) => id))
      const more = yield* idsOf(yield* bench.store.loadInputStates(owner.runtimeId, { limit: 1000 }))
      yield* expectEqual(more.length, 101)
    })),

  make(
    "active inputs are those that are not terminal, staged and held ones included",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { active, ended } = yield* oneOfEach(bench, owner)
        yield* expectEqual(yield* idsOf(yield* bench.store.loadActiveInputStates(owner.runtimeId)), active)
        yield* expectEqual(yield* idsOf(yield* bench.store.loadInputStates(owner.runtimeId)), [...active, ...ended])
      })
  ),

  make(
    "dead letters are the inputs whose attempts were used up, with their last failure",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        yield* oneOfEach(bench, owner)
        const failure = { tag: "Boom", message: awkwardText }
        const dead = yield* Effect.forEach([3, 4, 5], (attempts) =>
          Effect.gen(function*() {
            const { head } = yield* accept(bench, owner)
            const reason: AbandonReason = { _tag: "max_attempts_exhausted", attempts }
            yield* commit(bench, owner, ending(head, { _tag: "abandoned", reason }, { attempt: attempts, failure }))
            return head
          }))
        const letters = yield* heads(yield* bench.store.loadDeadLetters(owner.runtimeId))
        yield* expectEqual(letters.map(({ id }) => id), dead.map(({ id }) => id))
        yield* expectEqual(letters.map((letter) => letter.failure), [failure, failure, failure])
        const second = yield* bench.store.loadDeadLetters(owner.runtimeId, { after: dead[0]!.sequence, limit: 1 })
        yield* expectEqual(yield* idsOf(second), [dead[1]!.id])
      })
  ),

  make(
    "the bodies of named inputs come in the order of the names, and absent ones are left out",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const inputs = yield* Effect.forEach(
          ["a", "b", "c"],
          (key) => accept(bench, owner, { draft: Input.prompt(key) })
        )
        const [a, b, c] = inputs.map(({ input }) => input) as [Input.Input, Input.Input, Input.Input]
        yield* commit(bench, owner, ending(inputs[1]!.head, consumedAtOnce))
        const absent = yield* freshInputId(bench)
        const ids = [c.header.id, absent, a.header.id, b.header.id]
        const bodies = yield* bench.store.loadBodies(owner.runtimeId, ids)
        yield* expectEqual(bodies.map(({ inputId }) => inputId), [c, a, b].map(({ header }) => header.id))
        yield* expectEqual(
          bodies.map(({ body }) => Either.getOrNull(body)),
          [c, a, b].map((input) => ({ _tag: "inline", input }) as const)
        )
        yield* expectEqual(yield* bench.store.loadBodies(owner.runtimeId, []), [])
      })
  ),

  make("I17: a runtime's inputs are its own", (bench) =>
    Effect.gen(function*() {
      const [one, other] = [yield* own(bench), yield* own(bench)]
      const [ofOne, ofOther] = [yield* acceptMany(bench, one, 2), yield* acceptMany(bench, other, 3)]
      yield* expectEqual(
        yield* idsOf(yield* bench.store.loadInputStates(one.runtimeId)),
        ofOne.map(({ id }) => id)
      )
      yield* expectEqual(
        yield* idsOf(yield* bench.store.loadInputStates(other.runtimeId)),
        ofOther.map(({ id }) => id)
      )
      yield* commit(bench, one, ending(ofOne[0]!, consumedAtOnce))
      yield* expectEqual((yield* bench.store.loadActiveInputStates(other.runtimeId)).length, 3)
      yield* expectEqual(yield* bench.store.loadBodies(other.runtimeId, [ofOne[0]!.id]), [])
    })),

  make("a runtime that never was has no inputs", (bench) =>
    Effect.gen(function*() {
      const runtimeId = yield* freshRuntimeId(bench)
      yield* expectEqual(yield* bench.store.loadInputStates(runtimeId), [])
      yield* expectEqual(yield* bench.store.loadActiveInputStates(runtimeId), [])
      yield* expectEqual(yield* bench.store.loadDeadLetters(runtimeId), [])
    })),

  make("I17: runtime ids are compared as they are, and none of them is special", (bench) =>
    Effect.gen(function*() {
      const owners = yield* Effect.forEach(awkwardNames, (name) => claim(bench, RuntimeId.make(name)))
      const accepted = yield* Effect.forEach(owners, (owner) => accept(bench, owner))
      for (const [i, owner] of owners.entries()) {
        const { head } = accepted[i]!
        yield* expectEqual(yield* loadHead(bench, owner.runtimeId, head.id), head)
        yield* bench.store.barrier(owner.runtimeId, owner.token)
        const others = yield* bench.store.lookup(owner.runtimeId, accepted.map((one) => one.head.id), [])
        yield* expectEqual(others.map(({ inputId }) => inputId), [head.id])
        yield* commit(bench, owner, ending(head, consumedAtOnce))
      }
    })),

  make("a body of 1 MiB comes back whole", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const text = "\u00e9\ud83e\udd21\"\\\n".repeat(150_000)
      const { head, input } = yield* accept(bench, owner, { draft: Input.prompt(text) })
      const stored = yield* Effect.flatten(bench.store.loadInputState(owner.runtimeId, head.id))
      yield* expectEqual(stored.body, { _tag: "inline", input })
    })),

  make("admission numbers and times up to the largest come back exactly", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const times = { acceptedAt: 8.64e15, readyAt: 8.64e15, updatedAt: 8.64e15 }
      const numbers = { attempt: 2 ** 31, stagings: 2 ** 40 }
      const largest = [Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]
      for (const sequence of largest) {
        const { head } = yield* accept(bench, owner, { head: { sequence, ...times, ...numbers } })
        yield* expectEqual(yield* loadHead(bench, owner.runtimeId, head.id), head)
      }
      const page = yield* bench.store.loadInputStates(owner.runtimeId, { after: Number.MAX_SAFE_INTEGER - 1 })
      yield* expectEqual((yield* heads(page)).map(({ sequence }) => sequence), [Number.MAX_SAFE_INTEGER])
    })),

  make("a time in the past is a time", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head } = yield* accept(bench, owner, { head: { acceptedAt: 0, readyAt: 0, updatedAt: 0 } })
      const stored = yield* loadHead(bench, owner.runtimeId, head.id)
      yield* expectEqual([stored.acceptedAt, stored.readyAt, stored.updatedAt, NOW > 0], [0, 0, 0, true])
    }))
]
