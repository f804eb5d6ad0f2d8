/**
 * Who is told to look again.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Commit from "../../../core/Commit.js"
import type { InputId, RuntimeId } from "../../../schema/Ids.js"
import { eventLoopTurn } from "../../../services/Batcher.js"
import { check } from "../../Conformance.js"
import {
  accept,
  type Bench,
  boundaryOf,
  claim,
  commit,
  consumedAtOnce,
  ending,
  loadHead,
  make,
  newInput,
  openRun,
  own,
  published,
  type StoreCase,
  writeSet
} from "./fixtures.js"

/** Whether a subscription has completed. A commit tells before it answers. */
const isTold = (told: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(told)
    yield* Effect.replicateEffect(eventLoopTurn, 3, { discard: true })
    const exit = yield* Fiber.poll(fiber)
    yield* Fiber.interrupt(fiber)
    return exit._tag === "Some"
  })

/** Subscribes, acts, and has been told. */
const expectTold = (
  { store }: Bench,
  of: readonly [runtimeId: RuntimeId, inputId?: InputId] | "deposits",
  act: Effect.Effect<unknown, unknown>,
  what: string
) =>
  Effect.scoped(Effect.gen(function*() {
    const told = yield* of === "deposits" ? store.subscribeDeposits : store.subscribe(...of)
    yield* act
    yield* check(yield* isTold(told), `subscribers are told ${what}`)
    yield* check(yield* isTold(told), "and stay told")
  }))

/** Looks, and waits for as long as there is nothing to see, as an observer does. */
const until = (
  told: ReturnType<Bench["store"]["subscribe"]>,
  look: Effect.Effect<boolean, unknown>
): Effect.Effect<void, unknown> =>
  Effect.flatMap(
    Effect.scoped(Effect.flatMap(told, (wait) => Effect.tap(look, (seen) => seen ? Effect.void : wait))),
    (seen) => seen ? Effect.void : until(told, look)
  )

const ends: ReadonlyArray<StoreCase> = [
  make("I14: subscribers of a runtime are told of each commit, by whatever write", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { runtimeId } = owner
      const all = [runtimeId] as const
      yield* expectTold(bench, all, accept(bench, owner), "of an accept")
      const alongside = bench.store.commitWith(writeSet(owner, { events: [published(owner)] }), Effect.void)
      yield* expectTold(bench, all, alongside, "of a commit with an alongside")
      const opened = yield* openRun(bench, owner, [(yield* accept(bench, owner)).head])
      const boundary = bench.store.atomicApply(runtimeId, boundaryOf(bench, owner, opened))
      yield* expectTold(bench, all, boundary, "of a boundary")
      yield* expectTold(bench, all, claim(bench, runtimeId), "of a claim")
    })),

  make("I14: subscribers of an input are told of its end, whichever it is", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { runtimeId } = owner
      const { head } = yield* accept(bench, owner)
      const opened = yield* openRun(bench, owner, [head])
      const final = boundaryOf(bench, owner, opened, { boundary: "final" })
      yield* expectTold(
        bench,
        [runtimeId, head.id],
        bench.store.atomicApply(runtimeId, final),
        "of a final boundary that consumes it"
      )
      const other = (yield* accept(bench, owner)).head
      const superseding = commit(bench, owner, ending(other, { _tag: "superseded", by: head.id }))
      yield* expectTold(bench, [runtimeId, other.id], superseding, "of its being superseded")
      const { head: late, record } = yield* newInput(bench, owner, {
        head: { phase: "consumed", outcome: consumedAtOnce }
      })
      const atOnce = bench.store.persistInputState(runtimeId, owner.stamp(), record)
      yield* expectTold(bench, [runtimeId, late.id], atOnce, "of an end at its admission")
      const third = (yield* accept(bench, owner)).head
      const abandoned = ending(third, { _tag: "abandoned", reason: { _tag: "process_ended" } })
      const recovery = bench.store.recover(
        runtimeId,
        owner.token.claimId,
        (_, token) => Either.right([Commit.make(runtimeId, { token, n: 0 }, abandoned), undefined])
      )
      yield* expectTold(bench, [runtimeId, third.id], recovery, "of a recovery that abandons it")
    })),

  make(
    "I12, I14: a barrier tells everybody of its runtime: a commit in doubt may have happened",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head } = yield* accept(bench, owner)
        const barrier = bench.store.barrier(owner.runtimeId, owner.token)
        yield* expectTold(bench, [owner.runtimeId], barrier, "of a barrier")
        yield* expectTold(bench, [owner.runtimeId, head.id], barrier, "of a barrier, waiting for an input")
      })
  ),

  make("subscribers of deposits are told of one, however it was made", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { head, record } = yield* newInput(bench, owner)
      const deposit = { runtimeId: owner.runtimeId, inputId: head.id, at: 1, payload: record.payload ?? "" }
      yield* expectTold(bench, "deposits", bench.store.deposit([deposit]), "of a deposit")
      yield* expectTold(bench, "deposits", commit(bench, owner, { deposits: [deposit] }), "of a commit's")
    }))
]

const inTransactions: ReadonlyArray<StoreCase> = [
  make(
    "I4, I14: who looks and waits sees at last what was committed inside another's transaction",
    (bench) =>
      Effect.gen(function*() {
        const [outer, inner] = [yield* own(bench), yield* own(bench)]
        const { head } = yield* accept(bench, inner)
        const written = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const observer = yield* Effect.fork(until(
          bench.store.subscribe(inner.runtimeId, head.id),
          Effect.map(loadHead(bench, inner.runtimeId, head.id), ({ phase }) => phase === "consumed")
        ))
        const writer = yield* Effect.fork(bench.store.commitWith(
          writeSet(outer, { events: [published(outer)] }),
          commit(bench, inner, ending(head, consumedAtOnce)).pipe(
            Effect.zipRight(Deferred.succeed(written, undefined)),
            Effect.zipRight(Deferred.await(goOn))
          )
        ))
        yield* Deferred.await(written)
        yield* Effect.replicateEffect(eventLoopTurn, 5, { discard: true })
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(writer)
        yield* check(yield* isTold(Effect.ignore(Fiber.join(observer))), "the observer has seen it")
      })
  ),

  make(
    "I4, I14: who looks and waits sees at last what was deposited by an update of a cell",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head, record } = yield* newInput(bench, owner)
        const deposit = { runtimeId: owner.runtimeId, inputId: head.id, at: 1, payload: record.payload ?? "" }
        const observer = yield* Effect.fork(until(
          bench.store.subscribeDeposits,
          Effect.map(
            bench.store.loadDeposits({ limit: 1_000_000 }),
            (all) => all.some(({ inputId }) => inputId === head.id)
          )
        ))
        yield* bench.store.updateCell(yield* bench.next, (now) =>
          bench.store.deposit([deposit]).pipe(
            Effect.zipRight(Effect.replicateEffect(eventLoopTurn, 5, { discard: true })),
            Effect.as(now)
          ))
        yield* check(yield* isTold(Effect.ignore(Fiber.join(observer))), "the observer has seen it")
      })
  )
]

export const subscriptions: ReadonlyArray<StoreCase> = [...ends, ...inTransactions]
