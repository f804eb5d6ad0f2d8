/**
 * Effects within a commit, and commits that are made at the same time.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
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
  commit,
  expectCommitted,
  freshRuntimeId,
  idsOf,
  lifecycleOf,
  make,
  moved,
  newInput,
  noOperations,
  openRun,
  own,
  type Owner,
  published,
  SCOPE,
  stateOf,
  type StoreCase,
  writeSet
} from "./fixtures.js"

/** A way to commit with an effect: something is written by all of its parts. */
type Within = <A, E>(alongside: Effect.Effect<A, E>) => Effect.Effect<unknown, unknown>

/** Both ways, each over an owner of its own, ready to be run once. */
const ways = (bench: Bench) =>
  Effect.gen(function*() {
    const [one, other] = [yield* own(bench), yield* own(bench)]
    const { record } = yield* newInput(bench, one)
    const write = writeSet(one, {
      lifecycle: Commit.lifecycle(lifecycleOf(one, { paused: true }), null),
      inputs: [record],
      session: appended(bench, yield* begin(bench, one, ["hello"]), ["more"]).write,
      notes: [{ scope: SCOPE, key: "k", value: 1 }],
      events: [published(one)]
    })
    const { head } = yield* accept(bench, other)
    const transcript = yield* begin(bench, other, ["hello"])
    const opened = yield* openRun(bench, other, [head])
    const boundary = boundaryOf(bench, other, opened, {
      boundary: "final",
      delta: appended(bench, transcript, ["more"]).write,
      notes: [{ scope: SCOPE, key: "k", value: 1 }],
      result: "done"
    })
    const within: ReadonlyArray<readonly [Owner, Within]> = [
      [one, (alongside) => bench.store.commitWith(write, alongside)],
      [other, (alongside) => bench.store.atomicApply(other.runtimeId, { ...boundary, alongside })]
    ]
    return within
  })

/** The store goes on: the same write succeeds, and a write of another runtime too. */
const worksOn = (bench: Bench, within: Within) =>
  Effect.gen(function*() {
    yield* within(Effect.void)
    yield* accept(bench, yield* own(bench))
  })

/** A clock on which a time passes as soon as `elapsed` does. */
const hurried = (clock: Clock.Clock, elapsed: Effect.Effect<void>): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
  unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanos: clock.currentTimeNanos,
  sleep: () => elapsed
})

const untouched = (
  what: string,
  alongside: Effect.Effect<unknown, string>,
  says: (exit: Exit.Exit<unknown, unknown>) => boolean
) =>
  make(`I2: an alongside that ${what} writes nothing, and the store goes on`, (bench) =>
    Effect.gen(function*() {
      for (const [owner, within] of yield* ways(bench)) {
        const exit = yield* changingNothing(bench, owner.runtimeId, Effect.exit(within(alongside)))
        yield* check(says(exit), `the answer tells that the alongside ${what}`)
        yield* worksOn(bench, within)
      }
    }))

const isFailure = (exit: Exit.Exit<unknown, unknown>, of: (cause: Cause.Cause<unknown>) => boolean): boolean =>
  Exit.isFailure(exit) && of(exit.cause)

const failures: ReadonlyArray<StoreCase> = [
  untouched(
    "fails",
    Effect.fail("refused by the application"),
    (exit) => isFailure(exit, (cause) => Option.contains(Cause.failureOption(cause), "refused by the application"))
  ),
  untouched(
    "dies",
    Effect.die("a defect"),
    (exit) => isFailure(exit, (cause) => Chunk.contains(Cause.defects(cause), "a defect"))
  ),
  untouched("interrupts itself", Effect.interrupt, (exit) => isFailure(exit, Cause.isInterrupted)),
  untouched(
    "fails after some time",
    Effect.zipRight(Effect.yieldNow(), Effect.fail("late")),
    (exit) => isFailure(exit, (cause) => Option.contains(Cause.failureOption(cause), "late"))
  ),

  make(
    "I2: an alongside whose caller is interrupted writes nothing, and the store goes on",
    (bench) =>
      Effect.gen(function*() {
        for (const [owner, within] of yield* ways(bench)) {
          const started = yield* Deferred.make<void>()
          const alongside = Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
          const before = yield* stateOf(bench, owner.runtimeId)
          const fiber = yield* Effect.fork(within(alongside))
          yield* Deferred.await(started)
          const exit = yield* Fiber.interrupt(fiber)
          yield* check(Exit.isInterrupted(exit), "the caller is interrupted")
          yield* expectEqual<unknown>(yield* stateOf(bench, owner.runtimeId), before)
          yield* worksOn(bench, within)
        }
      })
  ),

  make(
    "I2: an alongside that takes too long is AlongsideTimeout and writes nothing, and the store goes on",
    (bench) =>
      Effect.gen(function*() {
        const clock = yield* Effect.clock
        for (const [owner, within] of yield* ways(bench)) {
          const started = yield* Deferred.make<void>()
          const alongside = Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
          const late = Effect.withClock(within(alongside), hurried(clock, Deferred.await(started)))
          const error = yield* changingNothing(bench, owner.runtimeId, Effect.flip(late))
          yield* expectEqual(Reflect.get(Object(error), "_tag"), "AlongsideTimeout")
          yield* check(Reflect.get(Object(error), "alongsideMillisMax") > 0, "the error tells the limit")
          yield* worksOn(bench, within)
        }
      })
  ),

  make("I2: what an alongside wrote in the store goes with its failure", (bench) =>
    Effect.gen(function*() {
      for (const [, within] of yield* ways(bench)) {
        const other = yield* own(bench)
        const inside = Effect.gen(function*() {
          yield* accept(bench, other)
          yield* bench.store.persistOpsLifecycle(other.runtimeId, other.stamp(), noOperations)
          return yield* Effect.fail("refused")
        })
        yield* changingNothing(bench, other.runtimeId, Effect.flip(within(inside)))
        yield* worksOn(bench, within)
      }
    }))
]

const joined: ReadonlyArray<StoreCase> = [
  make("an alongside runs last: it sees what its commit wrote", (bench) =>
    Effect.gen(function*() {
      for (const [owner, within] of yield* ways(bench)) {
        const before = yield* stateOf(bench, owner.runtimeId)
        const seen = yield* Deferred.make<Effect.Effect.Success<ReturnType<typeof stateOf>>, unknown>()
        yield* within(Deferred.complete(seen, stateOf(bench, owner.runtimeId)))
        const inside = yield* Deferred.await(seen)
        yield* check(inside.notes.length === before.notes.length + 1, "the alongside sees the commit's note")
        yield* expectEqual<unknown>(inside, yield* stateOf(bench, owner.runtimeId), "as it is after the commit")
      }
    })),

  make("insideTransaction is true within an alongside and false elsewhere", (bench) =>
    Effect.gen(function*() {
      yield* check(!(yield* bench.store.insideTransaction), "false outside")
      for (const [, within] of yield* ways(bench)) {
        let inside = false
        yield* within(Effect.map(bench.store.insideTransaction, (is) => {
          inside = is
        }))
        yield* check(inside, "true inside")
        yield* check(!(yield* bench.store.insideTransaction), "false again")
      }
    })),

  make(
    "a write of the store within an alongside joins its commit, and is visible inside it",
    (bench) =>
      Effect.gen(function*() {
        for (const [, within] of yield* ways(bench)) {
          const other = yield* own(bench)
          const seen: Array<string> = []
          yield* within(Effect.gen(function*() {
            const { head } = yield* accept(bench, other)
            seen.push(head.id, ...yield* idsOf(yield* bench.store.loadInputStates(other.runtimeId)))
          }))
          yield* expectEqual(seen.length, 2)
          yield* expectEqual(seen[0], seen[1])
          const stored = yield* idsOf(yield* bench.store.loadInputStates(other.runtimeId))
          yield* expectEqual<ReadonlyArray<string>>(stored, seen.slice(1))
        }
      })
  ),

  make(
    "a refused write within an alongside changes nothing and leaves the commit to the alongside",
    (bench) =>
      Effect.gen(function*() {
        for (const [, within] of yield* ways(bench)) {
          const other = yield* own(bench)
          const stale = { ...other, stamp: () => ({ token: { ...other.token, epoch: other.token.epoch + 1 }, n: 1 }) }
          const inside = expectFailure(
            Effect.flatMap(
              newInput(bench, other),
              ({ record }) => bench.store.persistInputState(other.runtimeId, stale.stamp(), record)
            ),
            "StaleFence"
          )
          yield* changingNothing(bench, other.runtimeId, within(inside))
        }
      })
  ),

  make(
    "I4: nobody outside sees anything of a commit whose alongside still runs and then fails",
    (bench) =>
      Effect.gen(function*() {
        for (const [owner, within] of yield* ways(bench)) {
          const before = yield* stateOf(bench, owner.runtimeId)
          const started = yield* Deferred.make<void>()
          const reader = yield* Effect.fork(Effect.zipRight(Deferred.await(started), stateOf(bench, owner.runtimeId)))
          const alongside = Deferred.succeed(started, undefined).pipe(
            Effect.zipRight(Effect.replicateEffect(Effect.yieldNow(), 100)),
            Effect.zipRight(Effect.fail("refused"))
          )
          yield* Effect.flip(within(alongside))
          yield* expectEqual<unknown>(yield* Fiber.join(reader), before)
        }
      })
  ),

  make(
    "a commit with an alongside shares its transaction with nobody: others are written though it fails",
    (bench) =>
      Effect.gen(function*() {
        for (const [, within] of yield* ways(bench)) {
          const other = yield* own(bench)
          const started = yield* Deferred.make<void>()
          const neighbour = yield* Effect.fork(Effect.zipRight(Deferred.await(started), accept(bench, other)))
          const alongside = Deferred.succeed(started, undefined).pipe(
            Effect.zipRight(Effect.replicateEffect(Effect.yieldNow(), 100)),
            Effect.zipRight(Effect.fail("refused"))
          )
          yield* Effect.flip(within(alongside))
          const { head } = yield* Fiber.join(neighbour)
          yield* expectEqual(yield* idsOf(yield* bench.store.loadInputStates(other.runtimeId)), [head.id])
        }
      })
  )
]

const RUNTIMES = 32

const group: ReadonlyArray<StoreCase> = [
  make("commits of many runtimes at the same time are all written", (bench) =>
    Effect.gen(function*() {
      const owners = yield* Effect.replicateEffect(own(bench), RUNTIMES)
      const accepted = yield* Effect.forEach(owners, (owner) => accept(bench, owner), { concurrency: "unbounded" })
      for (const [i, owner] of owners.entries()) {
        const stored = yield* idsOf(yield* bench.store.loadInputStates(owner.runtimeId))
        yield* expectEqual(stored, [accepted[i]!.head.id])
      }
    })),

  make("I9: a stale one among commits made at the same time is refused alone", (bench) =>
    Effect.gen(function*() {
      const owners = yield* Effect.replicateEffect(own(bench), RUNTIMES)
      const outcomes = yield* Effect.forEach(owners, (owner, i) =>
        Effect.flatMap(newInput(bench, owner), ({ record }) => {
          const stamp = i % 16 === 7 ? { token: { ...owner.token, epoch: owner.token.epoch + 1 }, n: 1 } : owner.stamp()
          return bench.store.commit(Commit.make(owner.runtimeId, stamp, { inputs: [record] }))
        }), { concurrency: "unbounded" })
      for (const [i, owner] of owners.entries()) {
        const { length } = yield* bench.store.loadInputStates(owner.runtimeId)
        yield* expectEqual([outcomes[i]!._tag, length], i % 16 === 7 ? ["Refused", 0] : ["Committed", 1])
      }
    })),

  make(
    "I17: one that cannot be written among commits made at the same time fails alone, with WriteFailed",
    (bench) =>
      Effect.gen(function*() {
        const owners = yield* Effect.replicateEffect(own(bench), RUNTIMES)
        const exits = yield* Effect.forEach(owners, (owner, i) =>
          Effect.gen(function*() {
            const { record } = yield* newInput(bench, owner)
            const event = published(owner)
            // Two events of one number.
            const events = i % 16 === 7 ? [event, event] : [event]
            return yield* Effect.either(bench.store.commit(writeSet(owner, { inputs: [record], events })))
          }), { concurrency: "unbounded" })
        for (const [i, owner] of owners.entries()) {
          const failed = Option.map(Option.getLeft(exits[i]!), ({ _tag }) => _tag)
          const { length } = yield* bench.store.loadInputStates(owner.runtimeId)
          yield* expectEqual([Option.getOrNull(failed), length], i % 16 === 7 ? ["WriteFailed", 0] : [null, 1])
        }
      })
  ),

  make(
    "many commits of one runtime at the same time are all written, in the order in which they were made",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const inputs = yield* Effect.replicateEffect(newInput(bench, owner), 50)
        yield* Effect.forEach(inputs, ({ head, record }, i) =>
          Effect.flatMap(
            bench.store.commit(writeSet(owner, {
              inputs: [record],
              ops: { ...noOperations, epochId: `${i}` }
            })),
            expectCommitted
          ).pipe(Effect.as(head)), { concurrency: "unbounded" })
        const stored = yield* idsOf(yield* bench.store.loadInputStates(owner.runtimeId))
        yield* expectEqual(stored, inputs.map(({ head }) => head.id))
        yield* expectEqual((yield* Effect.flatten(bench.store.loadOpsLifecycle(owner.runtimeId))).epochId, "49")
      })
  ),

  make(
    "I5: of many inserts of one key at the same time one is written, the others are refused",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head } = yield* newInput(bench, owner)
        const records = yield* Effect.replicateEffect(
          newInput(bench, owner, { draft: { _tag: "prompt", content: [], header: { id: head.id } } }),
          20
        )
        const outcomes = yield* Effect.forEach(
          records,
          ({ record }) => bench.store.commit(writeSet(owner, { inputs: [record] })),
          { concurrency: "unbounded" }
        )
        yield* expectEqual(outcomes.filter(({ _tag }) => _tag === "Committed").length, 1)
        yield* expectEqual((yield* bench.store.loadInputStates(owner.runtimeId)).length, 1)
      })
  ),

  make("I2: a commit whose caller is interrupted is wholly written or not at all", (bench) =>
    Effect.gen(function*() {
      for (let yields = 0; yields < 12; yields++) {
        const owner = yield* own(bench)
        const { record } = yield* newInput(bench, owner)
        const write = writeSet(owner, { inputs: [record], ops: noOperations })
        const fiber = yield* Effect.fork(bench.store.commit(write))
        yield* Effect.replicateEffect(Effect.yieldNow(), yields)
        yield* Fiber.interrupt(fiber)
        // A commit that was taken runs on without its caller: this one is behind it.
        yield* commit(bench, owner, { notes: [{ scope: SCOPE, key: "behind", value: null }] })
        const { length } = yield* bench.store.loadInputStates(owner.runtimeId)
        const ops = yield* bench.store.loadOpsLifecycle(owner.runtimeId)
        yield* expectEqual(Option.isSome(ops), length === 1, "both or none")
      }
    }))
]

export const transactions: ReadonlyArray<StoreCase> = [
  make("commit answers refusals as values", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      const { record } = yield* newInput(bench, owner)
      const write = writeSet(owner, { inputs: [record] })
      yield* Effect.flatMap(bench.store.commit(write), expectCommitted)
      const again = yield* changingNothing(bench, owner.runtimeId, bench.store.commit(write))
      yield* expectEqual<string>(again._tag, "Refused")
      const unowned = { ...owner, runtimeId: yield* freshRuntimeId(bench) }
      yield* expectEqual<unknown>(yield* bench.store.commit(writeSet(unowned, {})), {
        _tag: "Refused",
        by: { _tag: "StaleFence", current: null }
      })
    })),

  make("an empty commit is committed and changes nothing", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* changingNothing(bench, owner.runtimeId, commit(bench, owner, {}))
    })),

  make(
    "commitWith answers as commit does, and runs no alongside for what is refused",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { record } = yield* newInput(bench, owner)
        const write = writeSet(owner, { inputs: [record] })
        let runs = 0
        const alongside = Effect.sync(() => {
          runs += 1
        })
        yield* Effect.flatMap(bench.store.commitWith(write, alongside), expectCommitted)
        const again = yield* bench.store.commitWith(write, alongside)
        yield* expectEqual([again._tag, runs], ["Refused", 1])
      })
  ),

  make(
    "I2: a commit that cannot be written fails with WriteFailed, and nothing of it is stored",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { record } = yield* newInput(bench, owner)
        const taken = published(owner)
        yield* commit(bench, owner, { events: [taken] })
        const transcript = yield* begin(bench, owner, ["hello"])
        const write = writeSet(owner, {
          inputs: [record],
          session: appended(bench, transcript, ["more"]).write,
          lifecycle: Commit.lifecycle(lifecycleOf(owner, { paused: true }), null),
          notes: [{ scope: SCOPE, key: "k", value: 1 }],
          ops: noOperations,
          events: [published(owner), taken]
        })
        const { store } = bench
        yield* changingNothing(bench, owner.runtimeId, expectFailure(store.commit(write), "WriteFailed"))
        yield* changingNothing(
          bench,
          owner.runtimeId,
          expectFailure(store.commitWith(write, Effect.void), "WriteFailed")
        )
      })
  ),

  make(
    "I2: the change of an input that is not stored is WriteFailed, and nothing of its commit is stored",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const { head } = yield* newInput(bench, owner)
        const write = writeSet(owner, { inputs: [moved(head, { attempt: 1 })], events: [published(owner)] })
        yield* changingNothing(bench, owner.runtimeId, expectFailure(bench.store.commit(write), "WriteFailed"))
      })
  ),

  ...failures,
  ...joined,
  ...group
]
