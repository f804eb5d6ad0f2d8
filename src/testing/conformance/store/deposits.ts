/**
 * Inputs that are left for the owners of their runtimes.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Commit from "../../../core/Commit.js"
import { RuntimeId } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import type { StoredDeposit } from "../../../services/RuntimeStore.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardNames, awkwardText } from "./awkward.js"
import {
  accept,
  type Bench,
  boundaryOf,
  claim,
  commit,
  expectRefused,
  freshClaimId,
  freshRuntimeId,
  make,
  newInput,
  NOW,
  openRun,
  own,
  ownerOf,
  published,
  type StoreCase,
  writeSet
} from "./fixtures.js"

/** An input for a runtime, with its deposit. */
const newDeposit = (bench: Bench, runtimeId: RuntimeId, text = "hello") =>
  Effect.gen(function*() {
    const nobody = ownerOf(runtimeId, { epoch: 0, claimId: yield* freshClaimId(bench) }, 0)
    const { input, record } = yield* newInput(bench, nobody, { draft: Input.prompt(text) })
    const deposit: Commit.Deposit = { runtimeId, inputId: input.header.id, at: NOW, payload: record.payload ?? "" }
    return { input, deposit }
  })

const newDeposits = (bench: Bench, runtimeId: RuntimeId, count: number) =>
  Effect.replicateEffect(Effect.map(newDeposit(bench, runtimeId), ({ deposit }) => deposit), count)

/** The deposits for a runtime that has nothing else in the store. */
const depositsFor = ({ store }: Bench, runtimeId: RuntimeId, page: { readonly refused?: boolean } = {}) =>
  Effect.map(
    store.loadDeposits({ limit: 1_000_000, ...page }),
    (all) => all.filter((deposit) => deposit.runtimeId === runtimeId)
  )

const expectWaiting = (bench: Bench, runtimeId: RuntimeId, expected: ReadonlyArray<Commit.Deposit>) =>
  Effect.flatMap(
    depositsFor(bench, runtimeId),
    (waiting) => expectEqual(waiting.map(({ inputId }) => inputId), expected.map(({ inputId }) => inputId))
  )

const numbersOf = (deposits: ReadonlyArray<StoredDeposit>) => deposits.map(({ no }) => no)

const failure = { tag: "Destroyed", message: awkwardText }

/** A deposit for a runtime that nobody has used, and an owner who may write it with a commit. */
const setUp = (bench: Bench) =>
  Effect.gen(function*() {
    const target = yield* freshRuntimeId(bench)
    const owner = yield* own(bench)
    const { deposit } = yield* newDeposit(bench, target)
    return { target, owner, deposit }
  })

/** The same with an open run, whose next boundary has the deposit in its outbox. */
const withBoundary = (bench: Bench) =>
  Effect.gen(function*() {
    const setting = yield* setUp(bench)
    const { head } = yield* accept(bench, setting.owner)
    const opened = yield* openRun(bench, setting.owner, [head])
    return { ...setting, boundary: { ...boundaryOf(bench, setting.owner, opened), outbox: [setting.deposit] } }
  })

const written: ReadonlyArray<StoreCase> = [
  make(
    "I1: a deposit waits for a runtime that may not exist yet, and comes back as it was",
    (bench) =>
      Effect.gen(function*() {
        const target = yield* freshRuntimeId(bench)
        const { deposit, input } = yield* newDeposit(bench, target, awkwardText)
        yield* bench.store.deposit([deposit])
        const [stored, ...more] = yield* depositsFor(bench, target)
        yield* expectEqual(more, [])
        yield* expectEqual<unknown>({ ...stored, no: 0, body: undefined }, {
          no: 0,
          runtimeId: target,
          inputId: input.header.id,
          at: NOW,
          body: undefined,
          failure: null
        })
        const body = stored && Either.getOrNull(stored.body)
        yield* expectEqual<unknown>(body, { _tag: "inline", input })
        yield* expectEqual(yield* bench.store.loadRuntimeState(target), Option.none())
      })
  ),

  make("the targets of deposits are compared as they are", (bench) =>
    Effect.gen(function*() {
      const prefix = yield* bench.next
      const targets = awkwardNames.map((name) => RuntimeId.make(`${prefix} ${name}`))
      const made = yield* Effect.forEach(targets, (target) => newDeposit(bench, target))
      yield* bench.store.deposit(made.map(({ deposit }) => deposit))
      for (const [i, target] of targets.entries()) yield* expectWaiting(bench, target, [made[i]!.deposit])
    })),

  make("I6: deposits are numbered in the order in which they were made", (bench) =>
    Effect.gen(function*() {
      const target = yield* freshRuntimeId(bench)
      const all = yield* newDeposits(bench, target, 7)
      yield* bench.store.deposit(all.slice(0, 4))
      yield* bench.store.deposit([])
      yield* Effect.forEach(all.slice(4), (one) => bench.store.deposit([one]))
      yield* expectWaiting(bench, target, all)
      const numbers = numbersOf(yield* depositsFor(bench, target))
      yield* expectEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b))
    })),

  make(
    "a page of deposits is what is behind its cursor, and not more than its limit",
    (bench) =>
      Effect.gen(function*() {
        const target = yield* freshRuntimeId(bench)
        yield* bench.store.deposit(yield* newDeposits(bench, target, 5))
        const numbers = numbersOf(yield* depositsFor(bench, target))
        const page = yield* bench.store.loadDeposits({ after: numbers[1]!, limit: 2 })
        yield* expectEqual(numbersOf(page), numbers.slice(2, 4))
        yield* expectEqual(yield* bench.store.loadDeposits({ after: numbers[4]! }), [])
      })
  ),

  make(
    "I17: a deposit that cannot be read is RecordCorrupt, and its neighbours are read",
    (bench) =>
      Effect.gen(function*() {
        const target = yield* freshRuntimeId(bench)
        const [one, bad, other] = yield* newDeposits(bench, target, 3)
        yield* bench.store.deposit([one!, { ...bad!, payload: "{\"kind\":" }, other!])
        const read = (yield* depositsFor(bench, target)).map(({ body }) =>
          Either.match(body, {
            onLeft: ({ _tag }) => _tag as string,
            onRight: ({ _tag }) => _tag
          })
        )
        yield* expectEqual(read, ["inline", "RecordCorrupt", "inline"])
      })
  )
]

const withCommits: ReadonlyArray<StoreCase> = [
  make("I2: a deposit is written with its commit", (bench) =>
    Effect.gen(function*() {
      const { deposit, owner, target } = yield* setUp(bench)
      yield* commit(bench, owner, { events: [published(owner)], deposits: [deposit] })
      const own = (yield* newDeposit(bench, owner.runtimeId)).deposit
      yield* commit(bench, owner, { deposits: [own] })
      yield* expectWaiting(bench, target, [deposit])
      yield* expectWaiting(bench, owner.runtimeId, [own])
    })),

  make("I2: the deposits of a commit that is refused are not written", (bench) =>
    Effect.gen(function*() {
      const { deposit, owner, target } = yield* setUp(bench)
      yield* claim(bench, owner.runtimeId)
      const stale = writeSet(owner, { events: [published(owner)], deposits: [deposit] })
      yield* expectRefused(yield* bench.store.commit(stale), "StaleFence")
      yield* expectRefused(yield* bench.store.commitWith(stale, Effect.void), "StaleFence")
      yield* expectWaiting(bench, target, [])
    })),

  make(
    "I2: the deposits of a commit that cannot be written are not written, and those of its neighbours are",
    (bench) =>
      Effect.gen(function*() {
        const { deposit, owner, target } = yield* setUp(bench)
        const other = yield* own(bench)
        const event = published(owner)
        yield* commit(bench, owner, { events: [event] })
        const [, theirs] = yield* Effect.all([
          expectFailure(
            bench.store.commit(writeSet(owner, { events: [event], deposits: [deposit] })),
            "WriteFailed"
          ),
          Effect.flatMap(
            newDeposit(bench, other.runtimeId),
            ({ deposit }) => Effect.as(commit(bench, other, { deposits: [deposit] }), deposit)
          )
        ], { concurrency: "unbounded" })
        yield* expectWaiting(bench, target, [])
        yield* expectWaiting(bench, other.runtimeId, [theirs])
      })
  ),

  make(
    "I2, I7: the outbox of a boundary is deposited with it, and not again by its exact retry",
    (bench) =>
      Effect.gen(function*() {
        const { boundary, deposit, owner, target } = yield* withBoundary(bench)
        yield* bench.store.atomicApply(owner.runtimeId, boundary)
        const { alreadyApplied } = yield* bench.store.atomicApply(owner.runtimeId, boundary)
        yield* check(alreadyApplied, "the retry is already applied")
        yield* expectWaiting(bench, target, [deposit])
      })
  ),

  make("I2: the outbox of a boundary whose alongside fails is not deposited", (bench) =>
    Effect.gen(function*() {
      const { boundary, deposit, owner, target } = yield* withBoundary(bench)
      const failing = { ...boundary, alongside: Effect.fail({ _tag: "Refused" as const }) }
      yield* expectFailure(bench.store.atomicApply(owner.runtimeId, failing), "Refused")
      yield* expectWaiting(bench, target, [])
      yield* bench.store.atomicApply(owner.runtimeId, { ...boundary, alongside: Effect.void })
      yield* expectWaiting(bench, target, [deposit])
    })),

  make("a recovery's deposits are written with its claim", (bench) =>
    Effect.gen(function*() {
      const { deposit, owner, target } = yield* setUp(bench)
      yield* bench.store.recover(
        owner.runtimeId,
        yield* freshClaimId(bench),
        (_, token) => Either.right([Commit.make(owner.runtimeId, { token, n: 0 }, { deposits: [deposit] }), token])
      )
      yield* expectWaiting(bench, target, [deposit])
    })),

  make("I2: a deposit made inside a transaction that succeeds is there with it", (bench) =>
    Effect.gen(function*() {
      const { deposit, owner, target } = yield* setUp(bench)
      yield* bench.store.commitWith(
        writeSet(owner, { events: [published(owner)] }),
        Effect.zipRight(bench.store.deposit([deposit]), Effect.yieldNow())
      )
      yield* expectWaiting(bench, target, [deposit])
    })),

  make("I2: a deposit made inside a transaction that fails is not there", (bench) =>
    Effect.gen(function*() {
      const { deposit, owner, target } = yield* setUp(bench)
      const exit = yield* Effect.exit(bench.store.commitWith(
        writeSet(owner, { events: [published(owner)] }),
        Effect.zipRight(bench.store.deposit([deposit]), Effect.fail("too late"))
      ))
      yield* check(Exit.isFailure(exit), "the transaction fails")
      yield* expectWaiting(bench, target, [])
    }))
]

const settled: ReadonlyArray<StoreCase> = [
  make(
    "I15: a deposit that was admitted is gone, and one that was refused is kept with the failure",
    (bench) =>
      Effect.gen(function*() {
        const target = yield* freshRuntimeId(bench)
        const all = yield* newDeposits(bench, target, 3)
        yield* bench.store.deposit(all)
        const [admitted, refused] = numbersOf(yield* depositsFor(bench, target)) as [number, number, number]
        const settle = bench.store.settleDeposits([{ no: admitted, failure: null }, { no: refused, failure }])
        for (const times of ["once", "twice"]) {
          yield* settle
          yield* expectWaiting(bench, target, [all[2]!])
          const kept = yield* depositsFor(bench, target, { refused: true })
          yield* expectEqual(
            kept.map((deposit) => [deposit.no, deposit.inputId, deposit.failure]),
            [[refused, all[1]!.inputId, failure]],
            `what was refused, settled ${times}`
          )
          yield* expectEqual(kept.map(({ body }) => Either.isRight(body)), [true])
        }
        yield* bench.store.settleDeposits([])
      })
  ),

  make(
    "a page of refused deposits is what is behind its cursor, and not more than its limit",
    (bench) =>
      Effect.gen(function*() {
        const target = yield* freshRuntimeId(bench)
        yield* bench.store.deposit(yield* newDeposits(bench, target, 4))
        const numbers = numbersOf(yield* depositsFor(bench, target))
        yield* bench.store.settleDeposits(numbers.filter((_, i) => i !== 2).map((no) => ({ no, failure })))
        const page = yield* bench.store.loadDeposits({ after: numbers[0]!, limit: 1, refused: true })
        yield* expectEqual(numbersOf(page), numbers.slice(1, 2))
        const next = yield* bench.store.loadDeposits({ after: numbers[1]!, limit: 1, refused: true })
        yield* expectEqual(numbersOf(next), numbers.slice(3))
      })
  ),

  make("a refused deposit that is admitted after all is gone", (bench) =>
    Effect.gen(function*() {
      const target = yield* freshRuntimeId(bench)
      yield* bench.store.deposit(yield* newDeposits(bench, target, 1))
      const no = numbersOf(yield* depositsFor(bench, target))[0]!
      yield* bench.store.settleDeposits([{ no, failure }])
      yield* bench.store.settleDeposits([{ no, failure: null }])
      yield* expectEqual(yield* depositsFor(bench, target, { refused: true }), [])
    })),

  make(
    "the number of a deposit is not used again, so who settles it twice meets no other",
    (bench) =>
      Effect.gen(function*() {
        const target = yield* freshRuntimeId(bench)
        const [first, second] = yield* newDeposits(bench, target, 2)
        yield* bench.store.deposit([first!])
        const no = numbersOf(yield* depositsFor(bench, target))[0]!
        yield* bench.store.settleDeposits([{ no, failure: null }])
        yield* bench.store.deposit([second!])
        yield* bench.store.settleDeposits([{ no, failure: null }])
        yield* expectWaiting(bench, target, [second!])
        const behind = yield* bench.store.loadDeposits({ after: no, limit: 1_000_000 })
        yield* expectEqual(behind.some(({ inputId }) => inputId === second!.inputId), true)
      })
  ),

  make("many deposits are written and settled together", (bench) =>
    Effect.gen(function*() {
      const target = yield* freshRuntimeId(bench)
      const all = yield* newDeposits(bench, target, 150)
      yield* bench.store.deposit(all)
      yield* expectWaiting(bench, target, all)
      const numbers = numbersOf(yield* depositsFor(bench, target))
      yield* bench.store.settleDeposits(numbers.map((no, i) => ({ no, failure: i < 75 ? failure : null })))
      yield* expectWaiting(bench, target, [])
      yield* expectEqual((yield* depositsFor(bench, target, { refused: true })).length, 75)
    }))
]

export const deposits: ReadonlyArray<StoreCase> = [...written, ...withCommits, ...settled]
