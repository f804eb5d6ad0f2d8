import { assert, describe } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Input from "../../src/schema/Input.js"
import type { Json } from "../../src/schema/Json.js"
import { Agents } from "../../src/services/Agents.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { Inbox } from "../../src/services/Inbox.js"
import { Observer } from "../../src/services/Observer.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { textOf } from "../engine/support.js"
import { events, hosting, sent, test, testEach } from "./support.js"

const COMMANDS = 60

/** Crashes again and again while the commands are carried out, all at the same time. */
const whileCrashing = <A, E, R>(commands: Iterable<Effect.Effect<A, E, R>>) =>
  Effect.gen(function*() {
    const answers = yield* Effect.fork(Effect.all(commands, { concurrency: "unbounded" }))
    for (let crashes = 0; crashes < 5; crashes++) yield* AgentTest.crash
    return yield* Fiber.join(answers)
  })

const numbered = <A>(make: (number: number) => A): Array<A> =>
  Array.from({ length: COMMANDS }, (_, number) => make(number))

describe("across a crash", () => {
  testEach(
    "everybody who waits goes on waiting",
    Effect.gen(function*() {
      const plane = yield* hosting((run) => Effect.as(Effect.sleep("1 hour"), { result: textOf(run) }))
      const observer = yield* Observer
      const agents = yield* Agents
      const submitted = yield* Effect.fork(plane.submit("a/x", Input.prompt("submitted")))
      const inputId = yield* sent(plane, "a/y", Input.prompt("ingested"))
      const results = (effect: ReturnType<typeof plane.await>) => Effect.map(effect, ({ result }) => result)
      const waiters = yield* Effect.fork(Effect.all([
        results(plane.await("a/y", inputId)),
        results(observer.await("a/y", inputId)),
        agents.await("a/y", inputId)
      ], { concurrency: "unbounded" }))
      yield* TestClock.adjust("30 minutes")
      yield* AgentTest.crash
      yield* TestClock.adjust("59 minutes")
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiters)))
      yield* TestClock.adjust("1 minute")
      const result = Option.some<Json>("ingested")
      assert.deepStrictEqual(yield* Fiber.join(waiters), [result, result, result])
      assert.deepStrictEqual((yield* Fiber.join(submitted)).result, Option.some("submitted"))
    })
  )

  testEach(
    "who watches sees everything once, in order",
    Effect.gen(function*() {
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          yield* run.checkpoint({ append: [`${textOf(run)} in ${run.attempt}`] })
          yield* run.emit("working")
          yield* Effect.sleep("1 hour")
          return { append: [`${textOf(run)} done`] }
        })
      )
      const observer = yield* Observer
      const agents = yield* Agents
      const seen: Array<Array<number>> = [[], [], []]
      const noted = (mine: Array<number>) => (item: object) =>
        Effect.sync(() => "cursor" in item && mine.push(item.cursor as number))
      const watchers = yield* Effect.fork(Effect.all([
        Stream.runForEach(observer.watch("a/x"), noted(seen[0]!)),
        Stream.runForEach(plane.watch("a/x"), noted(seen[1]!)),
        Stream.runForEach(agents.watch("a/x", {}), noted(seen[2]!))
      ], { concurrency: "unbounded" }))
      for (let round = 0; round < 4; round++) {
        yield* sent(plane, "a/x", Input.prompt(`round ${round}`))
        yield* AgentTest.crash
        yield* TestClock.adjust("10 minutes")
        yield* AgentTest.crash
        yield* TestClock.adjust("2 hours")
      }
      const all = Chunk.toArray(
        yield* Stream.runCollect(Stream.takeUntil(observer.watch("a/x"), ({ cursor }) => cursor === seen[0]!.at(-1)))
      )
      assert.isAbove(all.length, 40)
      assert.deepStrictEqual(seen[0], all.map(({ cursor }) => cursor))
      assert.deepStrictEqual(seen[1], seen[0])
      const told = Chunk.toArray(
        yield* Stream.runCollect(Stream.takeUntil(
          agents.watch("a/x", {}),
          (item) => "cursor" in item && item.cursor === seen[2]!.at(-1)
        ))
      )
      assert.deepStrictEqual(seen[2], told.map((item) => "cursor" in item ? item.cursor : -1))
      assert.strictEqual(told.filter(({ _tag }) => _tag === "Done").length, 4)
      yield* Fiber.interrupt(watchers)
    })
  )

  testEach(
    "every input is taken once, and nobody is told that it was known",
    Effect.gen(function*() {
      const plane = yield* hosting((run) => Effect.succeed({ result: textOf(run) }))
      const outcomes = yield* whileCrashing(
        numbered((number) => plane.ingest(`a/${number % 7}`, Input.prompt(`input ${number}`)))
      )
      assert.deepStrictEqual(new Set(outcomes.map(({ _tag }) => _tag)), new Set(["accepted"]))
      for (const [number, { inputId }] of outcomes.entries()) yield* plane.await(`a/${number % 7}`, inputId)
      let accepted = 0
      for (let runtime = 0; runtime < 7; runtime++) accepted += (yield* plane.inputs(`a/${runtime}`)).length
      assert.strictEqual(accepted, COMMANDS)
    })
  )

  testEach(
    "commands that are no inputs are carried out once, too",
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      yield* sent(plane, "a/x", Input.prompt("there is one"))
      yield* whileCrashing(numbered((number) => plane.publishEvent("a/x", "numbered", number)))
      const published = (yield* events("a/x")).flatMap((event) =>
        event._tag === "runtime.published" ? [event.data] : []
      )
      assert.sameMembers(published, numbered<Json>((number) => number))
    })
  )

  testEach(
    "what was committed before it is answered, as what left the process in time",
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      const store = yield* RuntimeStore
      yield* sent(plane, "a/x", Input.prompt("there is one"))
      for (let round = 0; round < 20; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const committed = yield* store.subscribe("a/x" as never)
          const crash = yield* Effect.fork(Effect.zipRight(committed, AgentTest.crash))
          yield* plane.publishEvent("a/x", "numbered", round)
          yield* Fiber.join(crash)
        }))
      }
      const published = (yield* events("a/x")).flatMap((event) =>
        event._tag === "runtime.published" ? [event.data] : []
      )
      assert.deepStrictEqual(published, Array.from({ length: 20 }, (_, round) => round))
    })
  )

  testEach(
    "what is handed over arrives once",
    Effect.gen(function*() {
      const inbox = yield* Inbox
      const plane = yield* hosting((run) => Effect.succeed({ result: textOf(run) }))
      const ids = yield* whileCrashing(
        numbered((number) => inbox.enqueue("a/x", Input.prompt(`input ${number}`)))
      )
      const ends = yield* Effect.forEach(ids, (id) => plane.await("a/x", id))
      assert.deepStrictEqual(
        ends.map(({ result }) => Option.getOrThrow(result)),
        numbered<Json>((number) => `input ${number}`)
      )
      assert.strictEqual((yield* plane.inputs("a/x")).length, COMMANDS)
    })
  )

  testEach(
    "refusals are those of any process",
    Effect.gen(function*() {
      const plane = yield* ControlPlane
      const refused = yield* whileCrashing(
        numbered((number) => Effect.either(plane.cancel(`a/${number}`, { reason: "" })))
      )
      assert.isTrue(refused.every((one) => Either.isLeft(one) && one.left._tag === "RuntimeNotFound"))
    })
  )

  test(
    "dead letters are listed once",
    Effect.gen(function*() {
      const plane = yield* hosting(() => Effect.fail("broken"), { attemptsMax: 1 })
      yield* Effect.all(numbered((number) => Effect.flip(plane.submit(`a/${number}`, Input.prompt("hello")))), {
        concurrency: "unbounded"
      })
      const listed = yield* Stream.runCollect(Stream.tap(plane.deadLetters(), () => AgentTest.crash))
      assert.deepStrictEqual(
        Array.from(listed, ({ runtimeId }) => String(runtimeId)).toSorted(),
        numbered((number) => `a/${number}`).toSorted()
      )
    })
  )

  test(
    "who listens to the store is told to look again",
    Effect.gen(function*() {
      const store = yield* RuntimeStore
      yield* Effect.scoped(Effect.gen(function*() {
        const rung = yield* store.subscribe("a/x" as never)
        const deposited = yield* store.subscribeDeposits
        yield* AgentTest.crash
        yield* rung
        yield* deposited
      }))
    })
  )

  test(
    "an interrupted client is gone: its wait is, and nothing is asked again for it",
    Effect.gen(function*() {
      const plane = yield* hosting(() => Effect.never)
      const waiter = yield* Effect.fork(plane.submit("a/x", Input.prompt("hello")))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.interrupt(waiter)
      yield* AgentTest.crash
      assert.strictEqual((yield* plane.inputs("a/x")).length, 1)
    })
  )

  testEach(
    "runs that wait for other runs are recovered with them",
    Effect.gen(function*() {
      const log: Array<string> = []
      const plane = yield* hosting((run) =>
        Effect.gen(function*() {
          log.push(`${run.id}: attempt ${run.attempt}`)
          if (run.id === "child") {
            yield* Effect.sleep("1 hour")
            return { result: run.attempt }
          }
          const plane = yield* ControlPlane
          const { result } = yield* plane.submit("a/child", Input.prompt("do", { idempotencyKey: run.idempotencyKey }))
          return { result: Option.getOrThrow(result) }
        }), { runsMax: 1 })
      const waiter = yield* Effect.fork(plane.submit("a/parent", Input.prompt("do")))
      yield* TestClock.adjust("30 minutes")
      yield* AgentTest.crash
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* Fiber.join(waiter)).result, Option.some(2))
      assert.sameMembers(log, ["parent", "child"].flatMap((id) => [`${id}: attempt 1`, `${id}: attempt 2`]))
    })
  )

  test(
    "progress is seen behind it",
    Effect.gen(function*() {
      const plane = yield* hosting((run) =>
        Effect.zipRight(Effect.sleep("1 hour"), Effect.zipRight(run.emit(`in ${run.attempt}`), Effect.sleep("1 hour")))
      )
      yield* sent(plane, "a/x", Input.prompt("hello"))
      const progress = yield* Deferred.make<unknown>()
      yield* Effect.fork(Stream.runForEach(
        plane.watch("a/x"),
        (seen) => seen._tag === "progress" ? Deferred.succeed(progress, seen.value) : Effect.void
      ))
      yield* TestClock.adjust("30 minutes")
      yield* AgentTest.crash
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* Deferred.await(progress), "in 2")
    })
  )
})
