/**
 * What is asked of the whole store: which runtimes are due, all dead letters, and the application's cells.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { AbandonReason, InputHead } from "../../../schema/InputState.js"
import { empty } from "../../../schema/OAuthFlow.js"
import { expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardNames } from "./awkward.js"
import {
  accept,
  type Bench,
  commit,
  consumedAtOnce,
  ending,
  family,
  heads,
  make,
  moved,
  newInput,
  openRun,
  own,
  type Owner,
  type StoreCase,
  writeSet
} from "./fixtures.js"

/** A time, long past, around which nothing else of the store gets ready. */
const freshTime = (bench: Bench) =>
  Effect.map(bench.next, (id) => 1_000_000 + Number.parseInt(bench.sha256(id).slice(0, 10), 16))

const readyAt = (bench: Bench, owner: Owner, time: number | null, head: Partial<InputHead> = {}) =>
  Effect.map(accept(bench, owner, { head: { ...head, readyAt: time } }), (accepted) => accepted.head)

const times: ReadonlyArray<StoreCase> = [
  make("I14: due runtimes come earliest first, each once, with its earliest time", (bench) =>
    Effect.gen(function*() {
      const time = yield* freshTime(bench)
      const [one, two, three] = [yield* own(bench), yield* own(bench), yield* own(bench)]
      for (const [owner, offset] of [[one, 30], [two, 20], [one, 10], [three, 25], [two, 40]] as const) {
        yield* readyAt(bench, owner, time + offset)
      }
      yield* expectEqual(yield* bench.store.loadDue({ after: time, until: time + 100 }), [
        { runtimeId: one.runtimeId, readyAt: time + 10 },
        { runtimeId: two.runtimeId, readyAt: time + 20 },
        { runtimeId: three.runtimeId, readyAt: time + 25 }
      ])
      const first = yield* bench.store.loadDue({ after: time, until: time + 100, limit: 2 })
      yield* expectEqual(first.map(({ runtimeId }) => runtimeId), [one.runtimeId, two.runtimeId])
    })),

  make("I14: due is what gets ready behind after and not behind until", (bench) =>
    Effect.gen(function*() {
      const time = yield* freshTime(bench)
      const owners = yield* Effect.replicateEffect(own(bench), 3)
      yield* Effect.forEach(owners, (owner, i) => readyAt(bench, owner, time + i))
      const due = (after: number, until: number) =>
        Effect.map(bench.store.loadDue({ after, until }), (rows) => rows.map((row) => row.readyAt - time))
      yield* expectEqual(yield* due(time, time + 1), [1])
      yield* expectEqual(yield* due(time - 1, time + 2), [0, 1, 2])
      yield* expectEqual(yield* due(time + 2, time + 3), [])
      yield* expectEqual(yield* due(time + 1, time + 1), [])
      // Both of a runtime's times: the earlier one is no longer asked for.
      yield* readyAt(bench, owners[0]!, time + 2)
      const [first, second] = yield* bench.store.loadDue({ after: time + 1, until: time + 2 })
      const expected = [owners[0]!.runtimeId, owners[2]!.runtimeId].sort()
      yield* expectEqual([first?.runtimeId, second?.runtimeId], expected)
    })),

  make("I14: held inputs with a deadline get due; staged and ended ones do not", (bench) =>
    Effect.gen(function*() {
      const time = yield* freshTime(bench)
      const due = Effect.map(
        bench.store.loadDue({ after: time, until: time + 10 }),
        (rows) => rows.map(({ readyAt, runtimeId }) => [runtimeId, readyAt - time] as const)
      )
      const [held, staged, ended, moving] = yield* Effect.replicateEffect(own(bench), 4) as Effect.Effect<
        [Owner, Owner, Owner, Owner],
        unknown
      >
      yield* readyAt(bench, held, time + 1, { phase: "held", hold: "question" })
      const first = yield* readyAt(bench, staged, time + 2)
      const second = yield* readyAt(bench, ended, time + 3)
      const third = yield* readyAt(bench, moving, time + 4)
      yield* openRun(bench, staged, [{ ...first, readyAt: null }])
      yield* commit(bench, ended, ending(second, consumedAtOnce, { readyAt: null }))
      yield* expectEqual(yield* due, [[held.runtimeId, 1], [moving.runtimeId, 4]])
      yield* commit(bench, moving, { inputs: [moved(third, { readyAt: time + 5 })] })
      yield* expectEqual(yield* due, [[held.runtimeId, 1], [moving.runtimeId, 5]])
      yield* commit(bench, moving, { inputs: [moved(third, { readyAt: null })] })
      yield* expectEqual(yield* due, [[held.runtimeId, 1]])
    })),

  make("I2: a commit that fails moves no input in time", (bench) =>
    Effect.gen(function*() {
      const time = yield* freshTime(bench)
      const owner = yield* own(bench)
      const head = yield* readyAt(bench, owner, time + 1)
      const { record } = yield* newInput(bench, owner, { head: { readyAt: time + 2 } })
      const write = writeSet(owner, { inputs: [moved(head, { readyAt: time + 3 }), record] })
      yield* expectFailure(bench.store.commitWith(write, Effect.fail({ _tag: "Refused" as const })), "Refused")
      const due = bench.store.loadDue({ after: time, until: time + 10 })
      yield* expectEqual(yield* due, [{ runtimeId: owner.runtimeId, readyAt: time + 1 }])
      yield* bench.store.commitWith(write, Effect.void)
      yield* expectEqual(yield* due, [{ runtimeId: owner.runtimeId, readyAt: time + 2 }])
      yield* expectEqual(yield* bench.store.loadNextReadyAt(time + 2), Option.some(time + 3))
    })),

  make(
    "I14: the next ready time is the earliest one behind a time, of whatever runtime",
    (bench) =>
      Effect.gen(function*() {
        const time = yield* freshTime(bench)
        const [one, two] = [yield* own(bench), yield* own(bench)]
        yield* readyAt(bench, one, time + 7)
        const head = yield* readyAt(bench, two, time + 3)
        const next = (after: number) => Effect.map(bench.store.loadNextReadyAt(after), Option.map((at) => at - time))
        yield* expectEqual(yield* next(time), Option.some(3))
        yield* expectEqual(yield* next(time + 2), Option.some(3))
        yield* expectEqual(yield* next(time + 3), Option.some(7))
        yield* commit(bench, two, ending(head, consumedAtOnce, { readyAt: null }))
        yield* expectEqual(yield* next(time), Option.some(7))
        yield* expectEqual(yield* bench.store.loadNextReadyAt(8.64e15), Option.none())
      })
  )
]

const exhausted: AbandonReason = { _tag: "max_attempts_exhausted", attempts: 3 }

const abandon = (bench: Bench, owner: Owner, reason: AbandonReason) =>
  Effect.gen(function*() {
    const { head } = yield* accept(bench, owner)
    yield* commit(bench, owner, ending(head, { _tag: "abandoned", reason }))
    return head
  })

const letters: ReadonlyArray<StoreCase> = [
  make(
    "I13: the dead letters of all runtimes are listed by runtime and admission, in pages",
    (bench) =>
      Effect.gen(function*() {
        const { after, belongs, owners } = yield* family(bench, ["b", "a", "c"])
        const [b, a, c] = owners as [Owner, Owner, Owner]
        const first = yield* abandon(bench, b, exhausted)
        yield* abandon(bench, a, { _tag: "cancelled", reason: "enough" })
        const second = yield* abandon(bench, a, { _tag: "failed", attempts: 1 })
        yield* accept(bench, a)
        const third = yield* abandon(bench, b, exhausted)
        const fourth = yield* abandon(bench, c, exhausted)
        const expected = [[a, second], [b, first], [b, third], [c, fourth]] as const
        const start = { runtimeId: after, sequence: 0 }
        const all = (yield* bench.store.loadAllDeadLetters({ after: start, limit: 1_000_000 }))
          .filter(({ runtimeId }) => belongs(runtimeId))
        yield* expectEqual(
          all.map(({ runtimeId, sequence }) => [runtimeId, sequence] as const),
          expected.map(([owner, head]) => [owner.runtimeId, head.sequence] as const)
        )
        yield* expectEqual(
          (yield* heads(all.map(({ input }) => input))).map(({ id }) => id),
          expected.map(([, head]) => head.id)
        )
        const page = yield* bench.store.loadAllDeadLetters({
          after: { runtimeId: b.runtimeId, sequence: first.sequence },
          limit: 2
        })
        yield* expectEqual(page.map(({ sequence }) => sequence), [third.sequence, fourth.sequence])
        const one = yield* bench.store.loadAllDeadLetters({ after: start, limit: 1 })
        yield* expectEqual(one.map(({ runtimeId }) => runtimeId), [a.runtimeId])
      })
  ),

  make(
    "I17: a dead letter that cannot be read is RecordCorrupt, and its neighbours are read",
    (bench) =>
      Effect.gen(function*() {
        const { after, owners } = yield* family(bench, ["a", "b"])
        const [a, b] = owners as [Owner, Owner]
        const { head } = yield* accept(bench, a, { payload: "{\"kind\":" })
        yield* commit(bench, a, ending(head, { _tag: "abandoned", reason: exhausted }))
        yield* abandon(bench, b, exhausted)
        const page = yield* bench.store.loadAllDeadLetters({ after: { runtimeId: after, sequence: 0 }, limit: 2 })
        yield* expectEqual(page.map(({ input }) => Either.isRight(input)), [false, true])
        yield* expectEqual(page.map(({ runtimeId }) => runtimeId), [a.runtimeId, b.runtimeId])
      })
  )
]

const cells: ReadonlyArray<StoreCase> = [
  make("a cell's bytes come back under its name alone, until it is emptied", (bench) =>
    Effect.gen(function*() {
      const prefix = yield* bench.next
      const names = awkwardNames.map((name) => prefix + name)
      for (const [i, name] of names.entries()) {
        yield* bench.store.updateCell(name, (now) =>
          Effect.succeed(
            Option.as(now, Uint8Array.of()).pipe(
              Option.orElseSome(() => Uint8Array.of(i, 0, 255))
            )
          ))
      }
      for (const [i, name] of names.entries()) {
        yield* expectEqual(yield* bench.store.loadCell(name), Option.some(Uint8Array.of(i, 0, 255)))
        yield* bench.store.updateCell(name, () => Effect.succeedNone)
        yield* expectEqual(yield* bench.store.loadCell(name), Option.none())
      }
    })),

  make(
    "I2: an update of a cell that fails writes nothing, and its error comes unchanged",
    (bench) =>
      Effect.gen(function*() {
        const name = yield* bench.next
        yield* bench.store.updateCell(name, () => Effect.succeedSome(Uint8Array.of(1)))
        yield* expectFailure(bench.store.updateCell(name, () => Effect.fail({ _tag: "NoRoom" as const })), "NoRoom")
        yield* expectEqual(yield* bench.store.loadCell(name), Option.some(Uint8Array.of(1)))
      })
  ),

  make("updates of a cell at the same time follow each other: none is lost", (bench) =>
    Effect.gen(function*() {
      const name = yield* bench.next
      const add = bench.store.updateCell(name, (now) => {
        const count = Option.match(now, { onNone: () => 0, onSome: ([count = 0]) => count })
        return Effect.as(Effect.yieldNow(), Option.some(Uint8Array.of(count + 1)))
      })
      yield* Effect.replicateEffect(add, 25, { concurrency: "unbounded", discard: true })
      yield* expectEqual(yield* bench.store.loadCell(name), Option.some(Uint8Array.of(25)))
    })),

  make("a cell of the application is none of the library's", (bench) =>
    Effect.gen(function*() {
      yield* bench.store.persistAuthOAuthFlowSnapshot(empty)
      for (const name of ["auth_oauth_flow", "cell/auth_oauth_flow", "../auth_oauth_flow"]) {
        yield* bench.store.updateCell(name, (now) => {
          const fresh: Effect.Effect<Option.Option<Uint8Array>> = Effect.succeedSome(Uint8Array.of(1))
          return Effect.zipRight(expectEqual(now, Option.none()), fresh)
        })
        yield* bench.store.updateCell(name, () => Effect.succeedNone)
      }
      yield* expectEqual(yield* Effect.flatten(bench.store.loadAuthOAuthFlowSnapshot), empty)
    }))
]

export const storewide: ReadonlyArray<StoreCase> = [...times, ...letters, ...cells]
