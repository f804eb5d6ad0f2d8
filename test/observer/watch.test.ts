import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import { EventsPruned, ReadFailed } from "../../src/schema/StoreError.js"
import { eventLoopTurn } from "../../src/services/Batcher.js"
import { Drivers } from "../../src/services/Driver.js"
import type { Watched } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { folder } from "../sql/support.js"
import { environments, observing, settle, withObserver } from "./bench.js"
import { mark, messagesOf, says, story, toMark, transcriptOf } from "./story.js"

const cursors = (seen: ReadonlyArray<Watched>) => seen.map(({ cursor }) => cursor)

const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect)

for (const { name, stores } of environments) {
  describe(`watch, in ${name}`, () => {
    it.effect("gives each committed event, and behind it the messages that it appended, with growing cursors", () =>
      withObserver({ stores }, ({ driver, observer, store }) =>
        Effect.gen(function*() {
          yield* story(driver)
          yield* mark(driver)
          const seen = yield* toMark(observer, driver)
          const events = yield* store.loadEvents(driver.runtimeId, { limit: 1_000 })
          assert.deepStrictEqual(
            seen.flatMap((one) => one._tag === "event" ? [{ number: one.cursor, at: one.at, event: one.event }] : []),
            [...events]
          )
          const transcript = yield* transcriptOf(store, driver)
          assert.deepStrictEqual(messagesOf(seen), [...transcript])
          assert.deepStrictEqual(
            seen.flatMap((one) => one._tag === "message" ? [one.index] : []),
            transcript.map((_, i) => i)
          )
          for (const one of seen) {
            if (one._tag === "event") continue
            const number = Math.floor(one.cursor)
            const event = events[number - 1]!.event
            assert.isTrue("messages" in event)
            const { messages: { end, start } } = event as { readonly messages: { start: number; end: number } }
            assert.isTrue(one.index >= start && one.index < end)
            assert.strictEqual(one.cursor, number + (one.index - start + 1) / 2 ** 20)
          }
          assert.deepStrictEqual(cursors(seen), [...new Set(cursors(seen))].sort((a, b) => a - b))
        })))

    it.effect("is the same for one who was there before, one who comes in the middle, a late one and slow ones", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const slowly = (turns: number) => Effect.repeatN(eventLoopTurn, turns)
          const before = yield* Effect.fork(toMark(observer, driver))
          const slow = yield* Effect.forEach([0, 2, 7], (turns) =>
            Effect.fork(toMark(observer, driver, 0, slowly(turns))))
          yield* settle
          yield* story(driver)
          yield* driver.unpause
          const middle = yield* Effect.fork(toMark(observer, driver))
          yield* story(driver)
          yield* mark(driver)
          const seen = yield* toMark(observer, driver)
          assert.isAbove(seen.length, 50)
          for (const fiber of [before, middle, ...slow]) {
            assert.deepStrictEqual(yield* Fiber.join(fiber), seen)
          }
          assert.strictEqual(spy.open, 0)
        })))

    it.effect("goes on behind every cursor, those in the middle of messages and those that nobody was given included", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          yield* story(driver)
          yield* mark(driver)
          const seen = yield* toMark(observer, driver)
          const behind = (after: number) => seen.filter(({ cursor }) => cursor > after)
          const given = cursors(seen).slice(0, -1)
          const others = given.flatMap((
            cursor
          ) => [cursor + 2 ** -21, cursor + 2 ** -10, Math.floor(cursor) + 1 - 2 ** -20])
          for (const after of [...given, ...others, 0, -1, Number.NaN]) {
            assert.deepStrictEqual(
              yield* toMark(observer, driver, after),
              behind(after > 0 ? after : 0),
              `behind ${after}`
            )
          }
        })))

    it.effect("goes on behind every cursor also while somebody else follows the tail", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const live: Array<Watched> = []
          const follower = yield* Effect.fork(
            Stream.runForEach(observer.watch(driver.runtimeId), (seen) => Effect.sync(() => live.push(seen)))
          )
          yield* settle
          yield* story(driver)
          yield* mark(driver)
          yield* settle
          const { events } = spy
          for (const [i, { cursor }] of live.slice(0, -1).entries()) {
            assert.deepStrictEqual(yield* toMark(observer, driver, cursor), live.slice(i + 1))
          }
          assert.strictEqual(spy.events, events, "the window has it all")
          yield* Fiber.interrupt(follower)
          assert.strictEqual(spy.open, 0)
        })))

    it.effect("pages through long logs and long boundaries", () =>
      withObserver(
        { stores, limits: { appendMessagesMax: 400, appendBytesMax: 1_000_000 } },
        ({ driver, observer, store }) =>
          Effect.gen(function*() {
            yield* times(300, driver.publish("tick", null))
            yield* driver.commitSession({ append: says("many", 250) })
            yield* times(300, driver.publish("tock", null))
            yield* driver.commitSession({ append: says("more", 101) })
            yield* mark(driver)
            const seen = yield* toMark(observer, driver)
            assert.deepStrictEqual(seen.length, 603 + 351)
            assert.deepStrictEqual(messagesOf(seen), [...yield* transcriptOf(store, driver)])
            for (const at of [1, 255, 256, 257, 299, 300, 301, 302, 400, 401, 500, 550, 551, 650, 806, 807, 902, 952]) {
              assert.deepStrictEqual(
                yield* toMark(observer, driver, seen[at]!.cursor),
                seen.slice(at + 1),
                `from ${at}`
              )
            }
          })
      ))

    it.effect("a slow reader that has fallen out of the window reads rows, and misses nothing", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          let isSlow = true
          const slow = yield* Effect.fork(toMark(
            observer,
            driver,
            0,
            Effect.suspend(() => isSlow ? Effect.repeatN(eventLoopTurn, 20) : Effect.void)
          ))
          const quick = yield* Effect.fork(toMark(observer, driver))
          yield* settle
          for (let i = 0; i < 400; i++) {
            yield* driver.publish("tick", i)
            if (i % 50 === 0) yield* driver.commitSession({ append: says(`${i}`, 3) })
          }
          isSlow = false
          yield* mark(driver)
          const seen = yield* Fiber.join(quick)
          assert.strictEqual(seen.length, 400 + 8 * 4 + 1)
          assert.deepStrictEqual(yield* Fiber.join(slow), seen)
        })))

    it.effect("I14: a thousand subscribers cost one read a commit, and each sees everything", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          yield* driver.publish("first", null)
          const counts = Array.from({ length: 1_000 }, () => 0)
          const fibers = yield* Effect.forEach(counts, (_, i) =>
            Effect.fork(Stream.runForEach(observer.watch(driver.runtimeId, { after: 1 }), () =>
              Effect.sync(() =>
                counts[i]!++
              ))))
          yield* settle
          const before = { ...spy }
          assert.strictEqual(before.open, 1)
          for (let commits = 1; commits <= 5; commits++) {
            yield* driver.commitSession({ append: says("one", 2) })
            yield* settle
            assert.deepStrictEqual(spy, {
              ...before,
              events: before.events + commits,
              transcripts: before.transcripts + commits
            })
            assert.deepStrictEqual([...new Set(counts)], [3 * commits])
          }
          yield* Fiber.interruptAll(fibers)
          assert.strictEqual(spy.open, 0)
          yield* driver.publish("unheard", null)
          yield* settle
          assert.strictEqual(spy.events, before.events + 5, "nobody reads any more")
        })))

    it.effect("I14: hears of what is committed between its reads and its subscription", () => {
      const between: Array<Effect.Effect<unknown, unknown>> = []
      return withObserver({
        stores,
        trouble: ({ subscribe }) => ({
          subscribe: (...of) =>
            Effect.zipRight(Effect.suspend(() => Effect.ignore(between.shift() ?? Effect.void)), subscribe(...of))
        })
      }, ({ driver, observer }) =>
        Effect.gen(function*() {
          between.push(driver.publish("one", null), mark(driver))
          const seen = yield* Effect.fork(toMark(observer, driver))
          yield* settle
          yield* driver.publish("two", null)
          assert.deepStrictEqual(cursors(yield* Fiber.join(seen)), [1, 2, 3])
        }))
    })

    it.effect("subscribers that come, go and are interrupted anywhere see no gap, and leave nothing behind", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const seen: Array<ReadonlyArray<number>> = []
          const visitor = (after: number, turns: number) =>
            Effect.gen(function*() {
              const mine: Array<number> = []
              seen.push(mine)
              const fiber = yield* Effect.fork(Stream.runForEach(observer.watch(driver.runtimeId, { after }), (one) =>
                Effect.sync(() => mine.push(one.cursor))))
              yield* Effect.repeatN(eventLoopTurn, turns)
              yield* Fiber.interrupt(fiber)
            })
          const visits = yield* Effect.fork(Effect.forEach(
            Array.from({ length: 200 }, (_, i) =>
              i),
            (i) => Effect.zipRight(Effect.repeatN(eventLoopTurn, i % 40), visitor(0, (i * 7) % 60)),
            { concurrency: 20 }
          ))
          yield* times(8, Effect.zipRight(story(driver), driver.unpause))
          yield* Fiber.join(visits)
          assert.strictEqual(spy.open, 0)
          yield* mark(driver)
          const all = cursors(yield* toMark(observer, driver))
          for (const mine of seen) assert.deepStrictEqual(mine, all.slice(0, mine.length))
          assert.isTrue(seen.some((mine) => mine.length > 50))
          assert.strictEqual(spy.open, 0)
        })))

    it.effect("I2: what was refused or rolled back is never seen", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const live = yield* Effect.fork(toMark(observer, driver))
          yield* settle
          const { runId } = yield* F.running(driver)
          const delta = { append: says("never", 2) }
          yield* Effect.flip(driver.complete({ runId, delta, alongside: Effect.fail("no") }))
          yield* Effect.exit(driver.complete({ runId, delta, alongside: Effect.die("no") }))
          yield* Effect.flip(driver.checkpoint({ runId, delta, after: 7 }))
          yield* settle
          yield* driver.complete({ runId, delta: { append: says("once", 1) } })
          yield* Effect.flip(driver.complete({ runId, delta, after: 0 }))
          yield* mark(driver)
          const seen = yield* Fiber.join(live)
          assert.deepStrictEqual(messagesOf(seen).slice(1), [...says("once", 1)])
          assert.deepStrictEqual(yield* toMark(observer, driver), seen)
        })))

    it.effect("a cursor that lies ahead of the log waits there, costs no other reader anything, and does not turn", () =>
      withObserver({ stores }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          yield* driver.publish("one", null)
          const take = (after: number) =>
            Effect.fork(Effect.map(
              Stream.runCollect(Stream.take(observer.watch(driver.runtimeId, { after }), 1)),
              (seen) => cursors(Chunk.toReadonlyArray(seen))
            ))
          const ahead = yield* take(5)
          const far = yield* take(1e15)
          yield* settle
          const here = yield* take(1)
          yield* settle
          const { events } = spy
          yield* settle
          assert.strictEqual(spy.events, events)
          yield* driver.publish("two", null)
          assert.deepStrictEqual(yield* Fiber.join(here), [2])
          yield* settle
          yield* times(3, driver.publish("more", null))
          yield* settle
          assert.isNull(ahead.unsafePoll())
          yield* driver.publish("six", null)
          assert.deepStrictEqual(yield* Fiber.join(ahead), [6])
          yield* Fiber.interrupt(far)
          assert.strictEqual(spy.open, 0)
        })))

    it.effect("a read that fails is each follower's typed failure, and the next one begins anew", () => {
      const broken = new ReadFailed({ operation: "events", cause: new Error("the disk is on fire") })
      let isBroken = false
      return withObserver({
        stores,
        trouble: ({ loadEvents }) => ({
          loadEvents: (...of) => Effect.suspend(() => isBroken ? Effect.fail(broken) : loadEvents(...of))
        })
      }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          const fibers = yield* times(10, Effect.fork(Effect.flip(toMark(observer, driver))))
          yield* settle
          isBroken = true
          yield* driver.publish("tick", null)
          const errors = yield* Fiber.joinAll(fibers)
          assert.deepStrictEqual(errors.map(({ message }) => message), errors.map(() => broken.message))
          assert.strictEqual(spy.open, 0)
          assert.strictEqual((yield* Effect.flip(toMark(observer, driver)))._tag, "ReadFailed")
          isBroken = false
          const again = yield* Effect.fork(toMark(observer, driver))
          yield* settle
          yield* mark(driver)
          assert.deepStrictEqual(cursors(yield* Fiber.join(again)), [1, 2])
          assert.strictEqual(spy.open, 0)
        }))
    })

    it.effect("a defect of the store is the followers' defect, and hangs nobody", () => {
      let isBroken = false
      return withObserver({
        stores,
        trouble: ({ loadEvents }) => ({
          loadEvents: (...of) => Effect.suspend(() => isBroken ? Effect.die("a bug") : loadEvents(...of))
        })
      }, ({ driver, observer }) =>
        Effect.gen(function*() {
          const fibers = yield* times(3, Effect.fork(toMark(observer, driver)))
          yield* settle
          isBroken = true
          yield* driver.publish("tick", null)
          for (const fiber of fibers) {
            const exit = yield* Fiber.await(fiber)
            assert.isTrue(Exit.isFailure(exit) && Chunk.contains(Cause.defects(exit.cause), "a bug"))
          }
        }))
    })

    it.effect("events that are no longer kept are EventsPruned, and the last of those is a place to go on from", () => {
      const floor = 4
      return withObserver({
        stores,
        trouble: ({ loadEvents }) => ({
          loadEvents: (runtimeId, page = {}) =>
            (page.after ?? 0) < floor
              ? Effect.fail(new EventsPruned({ runtimeId, oldest: floor + 1 }))
              : loadEvents(runtimeId, page)
        })
      }, ({ driver, observer, spy }) =>
        Effect.gen(function*() {
          yield* story(driver)
          const live = yield* Effect.fork(toMark(observer, driver, floor))
          yield* settle
          yield* mark(driver)
          for (const after of [0, 1, floor - 1, floor - 1 + 2 ** -20]) {
            assert.deepInclude(yield* Effect.flip(toMark(observer, driver, after)), { _tag: "EventsPruned", oldest: 5 })
          }
          const seen = yield* toMark(observer, driver, floor)
          assert.strictEqual(seen[0]?.cursor, floor + 1)
          assert.deepStrictEqual(yield* Fiber.join(live), seen)
          for (const after of [floor + 2 ** -20, floor + 1 - 2 ** -20]) {
            assert.deepStrictEqual(yield* toMark(observer, driver, after), seen)
          }
          assert.strictEqual(spy.open, 0)
        }))
    })

    it.effect("who watches when the observer closes gets a typed failure, and nothing is left", () =>
      withObserver({ stores }, ({ driver, store }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const { observer, spy } = yield* Scope.extend(observing(store), scope)
          const fibers = yield* times(3, Effect.fork(Effect.flip(toMark(observer, driver))))
          yield* settle
          assert.strictEqual(spy.open, 1)
          yield* Scope.close(scope, Exit.void)
          for (const error of yield* Fiber.joinAll(fibers)) {
            assert.strictEqual(error._tag, "ReadFailed")
            assert.deepInclude((error as ReadFailed).cause, { _tag: "StoreClosed" })
          }
          assert.strictEqual((yield* Effect.flip(toMark(observer, driver)))._tag, "ReadFailed")
          assert.strictEqual(spy.open, 0)
        })))

    it.effect("runtimes have tails of their own", () =>
      withObserver({ stores }, ({ driver, drivers, observer, spy }) =>
        Effect.gen(function*() {
          const other = yield* drivers.get("other")
          const [ours, theirs] = yield* Effect.forEach([driver, other], (one) => Effect.fork(toMark(observer, one)))
          yield* settle
          assert.strictEqual(spy.open, 2)
          yield* story(driver)
          yield* mark(other)
          assert.strictEqual((yield* Fiber.join(theirs!)).length, 1)
          yield* mark(driver)
          assert.isAbove((yield* Fiber.join(ours!)).length, 20)
        })))
  })
}

describe("watch, over a file", () => {
  it.scopedLive("a reader beside the owner sees what the owner sees", () =>
    Effect.gen(function*() {
      const filename = `${yield* folder}/burrow.db`
      const owner = yield* Layer.build(BurrowSqlite.layer({ filename }))
      const driver = yield* Context.get(owner, Drivers).get("ana")
      const reader = yield* Layer.build(RuntimeStoreSqlite.layerReader({ filename }))
      const { observer, spy } = yield* observing(Context.get(reader, RuntimeStore))
      const watching = yield* Effect.fork(toMark(observer, driver))
      yield* settle
      yield* story(driver)
      yield* mark(driver)
      const ours = yield* observing(Context.get(owner, RuntimeStore))
      assert.deepStrictEqual(yield* Fiber.join(watching), yield* toMark(ours.observer, driver))
      assert.strictEqual(spy.open, 0)
    }))
})
