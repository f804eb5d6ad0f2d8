import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { InputId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import * as Session from "../../src/schema/Session.js"
import type { Service, Watched } from "../../src/services/Agents.js"
import type { Executor } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { accepted, eventsOf, headOf, type Process, settle, testEach, untilTrue } from "../engine/support.js"
import { agentsOf, asking, toldUntil, waiting } from "./support.js"

type Committed = Exclude<Watched, { readonly _tag: "Progress" }>
type Told = Committed extends infer W ? W extends Committed ? Omit<W, "cursor"> : never : never

const isCommitted = (seen: Watched): seen is Committed => seen._tag !== "Progress"

const committed = (seen: ReadonlyArray<Watched>): ReadonlyArray<Committed> => seen.filter(isCommitted)

const withoutCursors = (seen: ReadonlyArray<Watched>): ReadonlyArray<Told> =>
  committed(seen).map(({ cursor: _, ...told }) => told)

const ascend = (seen: ReadonlyArray<Watched>) => {
  const cursors = committed(seen).map(({ cursor }) => cursor)
  assert.deepStrictEqual(cursors, [...new Set(cursors)].sort((a, b) => a - b))
}

const { assistant, user } = Session
const isDone = (seen: Watched) => seen._tag === "Done"

/** What was told of: places of messages, and results. */
const outline = (seen: ReadonlyArray<Watched>) =>
  seen.flatMap((one) =>
    one._tag === "Message"
      ? [one.index]
      : one._tag === "Done"
      ? [Option.getOrElse(one.result, () => "none")]
      : []
  )
const approval = (key: string) => ({ question: "approval", key })

/** A life in which everything happens that is told, and some of what is not: and what should be told of it, in order. */
const life = (process: Process, agents: Service) =>
  Effect.gen(function*() {
    const { plane } = process
    const driver = yield* process.drivers.get("a/x")
    const told: Array<Told> = []
    const send = (draft: Input.Draft): Effect.Effect<InputId, unknown> =>
      Effect.tap(accepted(plane, "a/x", draft), (inputId) => told.push({ _tag: "Accepted", inputId }))
    const stage = Effect.map(F.stage(driver), ({ attempt, runId }) => {
      told.push({ _tag: "Started", runId, attempt })
      return { runId }
    })

    // A run that is steered, asks, waits, fails once, and ends.
    const first = yield* send(Input.prompt("go"))
    let run = yield* stage
    yield* driver.publish("not told", null)
    const steer = yield* send(F.steer("left"))
    yield* driver.checkpoint({ ...run, delta: { append: [assistant("one"), assistant("two")] } })
    told.push(
      { _tag: "Message", index: 0, message: user("go") },
      { _tag: "Message", index: 1, message: assistant("one") },
      { _tag: "Message", index: 2, message: assistant("two") }
    )
    const { awaits, notes } = asking([{ ...approval("o/1"), ask: { cents: 1 }, until: 5_000 }], 7)
    yield* driver.note({ ...run, notes, awaits: [...awaits, { operationId: "job/1", until: null }] })
    told.push(
      { _tag: "Asked", question: { ...approval("o/1"), ask: { cents: 1 }, askedAt: 7, expiresAt: 5_000 } },
      { _tag: "Message", index: 3, message: user("[event via door]") }
    )
    yield* driver.hold({ ...run, reason: "question", awaits: ["approval/o/1"] })
    yield* driver.accept(F.operation("job/2"))
    yield* plane.endOperation("a/x", "job/1", { _tag: "completed", result: 1 })
    yield* agents.answer("a/x", { ...approval("o/1"), answer: "yes" })
    told.push({ _tag: "Answered", ...approval("o/1") })
    run = yield* stage
    yield* driver.fail({ ...run, failure: F.failure, visibleAt: 1_000 })
    told.push({ _tag: "Failed", error: F.failure, retryAt: 1_000 })
    yield* TestClock.adjust(1_000)
    run = yield* stage
    yield* driver.complete({ ...run, delta: { append: [assistant("three")] }, result: { paid: true } })
    told.push(
      { _tag: "Message", index: 4, message: assistant("three") },
      { _tag: "Done", inputIds: [first], result: Option.some({ paid: true }) }
    )
    // The steer was given back with the run that it was handed to. It has a run of its own, without a result.
    run = yield* stage
    yield* driver.complete(run)
    told.push({ _tag: "Done", inputIds: [steer], result: Option.none() })

    // A question that has expired.
    const asker = yield* send(Input.prompt("asks"))
    run = yield* stage
    yield* driver.note({ ...run, ...asking([{ ...approval("late"), until: 2_000 }]) })
    told.push(
      { _tag: "Asked", question: { ...approval("late"), ask: null, askedAt: 0, expiresAt: 2_000 } },
      { _tag: "Message", index: 5, message: user("asks") }
    )
    yield* plane.endOperation("a/x", "approval/late", { _tag: "cancelled" })
    yield* driver.complete(run)
    told.push({ _tag: "Done", inputIds: [asker], result: Option.none() })

    // How inputs end otherwise.
    const dead = yield* send(Input.prompt("dies"))
    run = yield* stage
    yield* driver.fail({ ...run, failure: F.failure, recoverable: false })
    told.push({ _tag: "Dead", inputId: dead, error: F.failure }, { _tag: "Failed", error: F.failure, retryAt: null })
    const old = yield* send(F.prompt("old", { scope: "s" }))
    const newer = yield* send(F.prompt("newer", { scope: "s" }))
    told.push({ _tag: "Ended", inputId: old, how: "superseded" })
    yield* plane.hold("a/x", newer)
    told.push({ _tag: "Ended", inputId: newer, how: "held" })
    yield* agents.cancel("a/x", { reason: "enough", inputId: newer })
    told.push({ _tag: "Ended", inputId: newer, how: "cancelled" })
    const some = yield* send(F.progress("10 %", { scope: "p" }))
    const more = yield* send(F.progress("20 %", { scope: "p" }))
    told.push({ _tag: "Ended", inputId: some, how: "superseded" })
    run = yield* stage
    yield* driver.settle(run)
    told.push({ _tag: "Ended", inputId: more, how: "lost" })
    const dropped = yield* send(Input.prompt("comes too late"))
    yield* plane.reset("a/x")
    told.push({ _tag: "Ended", inputId: dropped, how: "dropped" })
    const last = yield* send(Input.prompt("the end"))
    return { told, isLast: (seen: Watched) => seen._tag === "Accepted" && seen.inputId === last }
  })

describe("watch", () => {
  testEach(
    "tells what happens to a conversation, under growing cursors, and nothing else",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        const live: Array<Watched> = []
        yield* Effect.forkScoped(
          Effect.ignore(Stream.runForEach(agents.watch("a/x", {}), (seen) => Effect.sync(() => live.push(seen))))
        )
        yield* settle
        const { isLast, told } = yield* life({ ...process, close }, agents)
        yield* untilTrue("the end is told", () => live.some(isLast))
        assert.deepStrictEqual(withoutCursors(live), told)
        ascend(live)
        assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isLast), live)
        yield* close
        const again = yield* agentsOf(yield* open())
        assert.deepStrictEqual(yield* toldUntil(again, "a/x", isLast), live)
      })
  )

  testEach("goes on behind every cursor with exactly the rest", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      const { isLast } = yield* life(process, agents)
      const all = committed(yield* toldUntil(agents, "a/x", isLast))
      assert.isAbove(all.length, 30)
      for (const [i, { cursor }] of all.slice(0, -1).entries()) {
        assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isLast, { after: cursor }), all.slice(i + 1))
      }
      // The place of an input is a cursor, too.
      for (const seen of all.slice(0, -1)) {
        if (seen._tag !== "Accepted") continue
        const { sequence } = yield* headOf(process.plane, "a/x", seen.inputId)
        assert.strictEqual(sequence, seen.cursor)
      }
    }))

  testEach("tells an answer behind the place that it was given", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* waiting(process, "a/x", [Input.prompt("asks")], [approval("1")])
      const { sequence } = yield* agents.answer("a/x", { ...approval("1"), answer: "yes" })
      const [next] = yield* toldUntil(agents, "a/x", () => true, { after: sequence })
      assert.deepInclude(next, { _tag: "Answered", ...approval("1") })
    }))

  testEach(
    "tells progress to those who are there, without a cursor, in between what is committed",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const talking: Executor<unknown> = {
          apply: (run) =>
            Effect.gen(function*() {
              yield* run.emit({ percent: 10 })
              yield* settle
              yield* run.checkpoint({ append: ["so far"] })
              yield* settle
              yield* run.emit({ percent: 90 })
              yield* settle
              return { append: ["done"] }
            })
        }
        yield* process.plane.register("a", talking)
        const watcher = yield* Effect.fork(toldUntil(agents, "a/x", isDone))
        yield* settle
        const { inputId } = yield* agents.send("a/x", Input.prompt("go"))
        const seen = yield* Fiber.join(watcher)
        const runId = seen.find((one) => one._tag === "Started")!.runId
        assert.deepStrictEqual(seen.map(({ _tag }) => _tag), [
          "Accepted",
          "Started",
          "Progress",
          "Message",
          "Message",
          "Progress",
          "Message",
          "Done"
        ])
        assert.deepStrictEqual(seen.filter(({ _tag }) => _tag === "Progress"), [
          { _tag: "Progress", runId, value: { percent: 10 } },
          { _tag: "Progress", runId, value: { percent: 90 } }
        ])
        assert.deepInclude(seen[7], { _tag: "Done", inputIds: [inputId], result: Option.none() })
        // Who comes later has missed it.
        assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isDone), committed(seen))
      })
  )

  testEach(
    "tells that a run is done behind its last messages, and waits for nothing else to happen",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const driver = yield* process.drivers.get("a/x")
        const watcher = yield* Effect.fork(toldUntil(agents, "a/x", isDone))
        yield* settle
        const { runId } = yield* F.running(driver)
        const append = Array.from({ length: 130 }, (_, i) => assistant(`${i}`))
        yield* driver.complete({ runId, delta: { append }, result: "result" })
        const events = yield* eventsOf(process, "a/x")
        assert.strictEqual(events.at(-1)?._tag, "run.boundary")
        const seen = yield* Fiber.join(watcher)
        assert.deepStrictEqual(outline(seen), [...Array.from({ length: 131 }, (_, i) => i), "result"])
        assert.deepStrictEqual(seen.flatMap((one) => one._tag === "Message" ? [one.message] : []).slice(1), append)
        ascend(seen)
        // It has the next place behind the last message, which is all that the rest of this boundary is counted from.
        const [before, done] = committed(seen).slice(-2)
        const number = events.length
        assert.deepStrictEqual([before?.cursor, done?.cursor], [number + 131 / 2 ** 20, number + 132 / 2 ** 20])
        assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isDone, { after: before!.cursor }), [done!])
        assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isDone, { after: number }), seen.slice(2))
        const next = yield* Effect.fork(toldUntil(agents, "a/x", () => true, { after: done!.cursor }))
        yield* settle
        const inputId = yield* accepted(process.plane, "a/x", Input.prompt("next"))
        assert.deepStrictEqual(yield* Fiber.join(next), [{ _tag: "Accepted", cursor: number + 1, inputId }])
      })
  )

  testEach("tells at once that a run is done which had nothing to say", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      const driver = yield* process.drivers.get("a/x")
      const watcher = yield* Effect.fork(toldUntil(agents, "a/x", isDone))
      yield* settle
      const { runId } = yield* F.running(driver)
      yield* driver.checkpoint({ runId })
      yield* driver.complete({ runId, result: "result" })
      const seen = yield* Fiber.join(watcher)
      assert.deepStrictEqual(outline(seen), [0, "result"])
      assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isDone), seen)
      const { length } = yield* eventsOf(process, "a/x")
      for (const after of [length - 1 + 2 ** -20, length]) {
        assert.deepStrictEqual(yield* toldUntil(agents, "a/x", isDone, { after }), seen.slice(-1))
      }
    }))

  testEach(
    "tells progress between the messages of a run that is done, and that it is done behind them",
    ({ open }) =>
      Effect.gen(function*() {
        const { drivers, plane } = yield* open()
        const driver = yield* drivers.get("a/x")
        const { runId } = yield* F.running(driver)
        yield* driver.complete({ runId, delta: { append: [assistant("one")] }, result: "result" })
        const progress = { _tag: "progress", runId, value: 1 } as const
        const busy: Process["plane"]["watch"] = (...of) =>
          Stream.mapConcat(plane.watch(...of), (seen) => [progress, seen, progress])
        const agents = yield* agentsOf({ drivers, plane: { ...plane, watch: busy } })
        const seen = yield* toldUntil(agents, "a/x", isDone)
        assert.deepStrictEqual(seen.slice(-7).map(({ _tag }) => _tag), [
          "Progress",
          "Progress",
          "Message",
          "Progress",
          "Progress",
          "Message",
          "Done"
        ])
      })
  )

  testEach(
    "tells that runs are done whose messages are gone, in the same places",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const driver = yield* process.drivers.get("a/x")
        const live: Array<Watched> = []
        const watcher = yield* Effect.forkScoped(
          Effect.ignore(Stream.runForEach(agents.watch("a/x", {}), (seen) => Effect.sync(() => live.push(seen))))
        )
        yield* settle
        const run = (name: string) =>
          Effect.gen(function*() {
            const { runId } = yield* F.running(driver, name)
            const append = [assistant(`${name} 1`), assistant(`${name} 2`)]
            yield* driver.complete({ runId, delta: { append }, result: name })
            yield* untilTrue(`${name} is told`, () => outline(live).includes(name))
          })
        const rewrite = (start: number, end: number) =>
          driver.rewrite({ selection: { start, end }, reason: "redaction", replacement: [user("redacted")] })
        const behind = (after: number) => toldUntil(agents, "a/x", (seen) => outline([seen])[0] === "e", { after })
        const sameBehind = (late: ReadonlyArray<Watched>) =>
          Effect.forEach(committed(live).slice(0, -1), ({ cursor }) =>
            Effect.map(behind(cursor), (rest) =>
              assert.deepStrictEqual(
                rest,
                committed(late).filter((seen) =>
                  seen.cursor > cursor
                ),
                `behind ${cursor}`
              )))

        yield* run("a")
        yield* run("b")
        yield* run("c")
        // The last message of the first, all of the second, and the first of the third.
        yield* rewrite(2, 7)
        yield* run("d")
        yield* run("e")
        assert.deepStrictEqual(outline(live), [
          0,
          1,
          2,
          "a",
          3,
          4,
          5,
          "b",
          6,
          7,
          8,
          "c",
          2,
          5,
          6,
          7,
          "d",
          8,
          9,
          10,
          "e"
        ])
        ascend(live)
        // What is still in its window would be told of to others.
        yield* Fiber.interrupt(watcher)
        const rewritten = yield* behind(0)
        assert.deepStrictEqual(outline(rewritten), [0, 1, "a", "b", 7, 8, "c", 2, 5, 6, 7, "d", 8, 9, 10, "e"])
        yield* sameBehind(rewritten)
        // Of the last one nothing is left, and then nothing of any.
        yield* rewrite(8, 11)
        const shortened = yield* behind(0)
        assert.deepStrictEqual(outline(shortened), [0, 1, "a", "b", 7, 8, "c", 2, 5, 6, 7, "d", "e"])
        yield* sameBehind(shortened)
        yield* driver.clearSession
        const cleared = yield* behind(0)
        assert.deepStrictEqual(outline(cleared), ["a", "b", "c", "d", "e"])
        yield* sameBehind(cleared)
        for (const late of [rewritten, shortened, cleared]) {
          assert.deepStrictEqual(late.filter(isDone), live.filter(isDone))
        }
      })
  )
})
