import { assert, describe } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ProgressHub } from "../../src/layers/engine/Progress.js"
import { RunId } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import type { DeltaError, Executor, Options, Run } from "../../src/services/Executor.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  deadLetters,
  headOf,
  latch,
  type Plane,
  settle,
  test,
  textOf,
  until,
  untilPhase,
  untilTrue,
  type World
} from "./support.js"

const range = (length: number) => Array.from({ length }, (_, i) => i)

describe("I13: what an agent's options answer", () => {
  test("a delay without end is none: the input is a dead letter, its run is closed, and who waits is told", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: (run) => textOf(run) === "bad" ? Effect.fail("no") : Effect.void }, {
        retry: Schedule.spaced(Duration.infinity)
      })
      const waiting = yield* Effect.fork(Effect.flip(plane.submit("a", Input.prompt("bad"))))
      yield* untilTrue("who waits is told", () => waiting.unsafePoll() !== null)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "DeadLettered")
      yield* plane.submit("a", Input.prompt("good"))
      assert.strictEqual((yield* deadLetters(plane)).length, 1)
    }))

  const once = (options: Options<string | DeltaError>) => (open: World["open"]) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: (run) => run.attempt === 1 ? Effect.fail("no") : Effect.succeed({ result: run.attempt })
      }, options)
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* until("it has failed", Effect.map(headOf(plane, "a", id), ({ failure }) => failure !== null))
      assert.strictEqual((yield* headOf(plane, "a", id)).readyAt, 1_000)
      yield* advance("1 second")
      assert.deepStrictEqual((yield* plane.await("a", id)).result, Option.some(2))
    })

  test("a schedule whose step throws leaves the standard delays", ({ open }) =>
    once({
      retry: Schedule.makeWithState(0, () => {
        throw new Error("no step")
      })
    })(open))

  test("an outage of no duration is none, and the attempt has failed", ({ open }) =>
    once({ outage: () => Option.some("soon" as "1 second") })(open))

  test("a decision about a lost run that throws holds it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: () => Effect.never }, {
        inDoubt: () => {
          throw new Error("no idea")
        }
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* plane.recover("a")
      yield* untilPhase(plane, "a", id, "held")
      assert.strictEqual((yield* headOf(plane, "a", id)).hold, "in_doubt")
    }))
})

describe("what an executor acquires", () => {
  const counted = () => {
    const count = { acquired: 0, released: 0 }
    const resource = Effect.acquireRelease(
      Effect.sync(() => count.acquired++),
      () => Effect.sync(() => count.released++)
    )
    return { count, resource }
  }

  test("is released with the attempt, however that ends, not with the registration", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { count, resource } = counted()
      yield* plane.register("a", {
        apply: (run): Effect.Effect<void, string, Scope.Scope> =>
          Effect.zipRight(resource, textOf(run) === "fails" ? Effect.fail("no") : Effect.void)
      }, { attemptsMax: 1 })
      for (const i of range(20)) {
        yield* Effect.exit(plane.submit("a", Input.prompt(i % 2 === 0 ? "works" : "fails")))
        yield* untilTrue("it is released", () => count.released === i + 1)
      }
      assert.strictEqual(count.acquired, 20)
    }))

  test("in deciding about a lost run is released with the attempt", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { count, resource } = counted()
      const executor: Executor<never, Scope.Scope> = {
        apply: (run) => run.attempt === 1 ? Effect.never : Effect.void
      }
      yield* plane.register("a", executor, { inDoubt: () => Effect.as(resource, "retry" as const) })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* plane.recover("a")
      yield* plane.await("a", id)
      assert.deepStrictEqual(count, { acquired: 1, released: 1 })
    }))

  test("in the alongside of a final boundary is released with the attempt", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { count, resource } = counted()
      yield* plane.register("a", { apply: () => Effect.succeed({ alongside: resource }) })
      for (const _ of range(3)) yield* plane.submit("a", Input.prompt("go"))
      yield* settle
      assert.deepStrictEqual(count, { acquired: 3, released: 3 })
    }))
})

describe("the functions of a run", () => {
  test("may be taken out of it, and handed on", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: ({ checkpoint, emit, history, note, notes, park, rewrite, transcript }) =>
          Effect.gen(function*() {
            yield* Effect.forEach([1, 2, 3], emit)
            yield* checkpoint({ append: ["one", "two"] })
            yield* note({ notes: [{ scope: "s", key: "k", value: 1 }] })
            yield* rewrite({ selection: { start: 1, end: 3 }, reason: "shorter", actor: "a", replacement: ["short"] })
            const { messages } = yield* transcript()
            const refused = yield* Effect.flip(park({ until: -1 }))
            return { result: [messages.length, (yield* history()).length, (yield* notes("s")).length, refused._tag] }
          })
      })
      const { result } = yield* plane.submit("a", Input.prompt("go"))
      assert.deepStrictEqual(result, Option.some([2, 2, 1, "InvalidInput"]))
    }))
})

describe("progress", () => {
  test("is told to whoever watches when it is told, not when the telling was made", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", {
        apply: (run) => {
          const tell = run.emit("x")
          return Effect.zipRight(tell, Effect.zipRight(gate.wait, Effect.repeatN(tell, 1)))
        }
      })
      const id = yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilPhase(plane, "a", id, "staged")
      yield* settle
      const seen: Array<unknown> = []
      yield* Effect.forkScoped(Stream.runForEach(plane.watch("a"), (one) =>
        Effect.sync(() => {
          if (one._tag === "progress") seen.push(one.value)
        })))
      yield* settle
      yield* gate.open
      yield* plane.await("a", id)
      yield* untilTrue("both are seen", () => seen.length === 2)
      assert.deepStrictEqual(seen, ["x", "x"])
    }))

  test("that a watcher has not read goes with the oldest first", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: (run) => Effect.forEach(range(200), run.emit, { discard: true }) })
      const seen: Array<unknown> = []
      const gate = yield* latch
      yield* Effect.forkScoped(Stream.runForEach(plane.watch("a"), (one) =>
        Effect.zipRight(
          gate.wait,
          Effect.sync(() => {
            if (one._tag === "progress") seen.push(one.value)
          })
        )))
      yield* settle
      yield* plane.submit("a", Input.prompt("go"))
      yield* gate.open
      yield* untilTrue("the last is seen", () => seen.includes(199))
      assert.isBelow(seen.length, 200)
      assert.deepStrictEqual(seen.slice(-50), range(200).slice(-50))
    }))

  test("goes on, and its run with it, when a watcher goes away in the middle of it", () =>
    Effect.gen(function*() {
      const hub = new ProgressHub()
      const [a, run] = [yield* F.freshRuntimeId, RunId.make(yield* F.freshInputId)]
      const seen: Array<unknown> = []
      const watch = Stream.runForEach(hub.stream(a), ({ value }) => Effect.sync(() => void seen.push(value)))
      yield* Effect.replicateEffect(Effect.forkScoped(watch), 2)
      yield* settle
      // One is gone, and has not said so yet.
      const { readers } = hub as unknown as { readonly readers: Map<string, Set<Queue.Queue<unknown>>> }
      const [gone] = readers.get(a)!
      yield* Queue.shutdown(gone!)
      const telling = yield* Effect.exit(hub.emit(a, run, "x"))
      assert.isTrue(Exit.isSuccess(telling))
      yield* untilTrue("the other one sees it", () => seen.length === 1)
    }))
})

describe("silenceMax", () => {
  const parent = (plane: Plane): Executor<unknown> => ({
    apply: (run) =>
      Effect.gen(function*() {
        yield* plane.submit("child", Input.prompt("go"))
        yield* Effect.sleep(textOf(run) === "silent" ? "10 seconds" : "900 millis")
        return { result: run.attempt }
      })
  })

  test("does not count the time that a run waits for another runtime, and counts again behind it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("child", { apply: () => Effect.sleep("10500 millis") })
      yield* plane.register("a", parent(plane), { silenceMax: "1 second", attemptsMax: 1 })
      const id = yield* accepted(plane, "a/1", Input.prompt("go"))
      yield* advance("12 seconds", { steps: 48 })
      assert.deepStrictEqual((yield* plane.await("a/1", id)).result, Option.some(1))
      const silent = yield* accepted(plane, "a/2", Input.prompt("silent"))
      yield* advance("13 seconds", { steps: 52 })
      const error = yield* Effect.flip(plane.await("a/2", silent))
      assert.strictEqual(error._tag === "DeadLettered" && error.error.tag, "RunSilent")
    }))
})

describe("park", () => {
  test("until a time that has come is InvalidInput, and the attempt has failed: it does not spin", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* advance("10 seconds")
      let attempts = 0
      yield* plane.register("a", {
        apply: (run) => {
          attempts++
          return run.park({ until: Number(textOf(run)) })
        }
      }, { attemptsMax: 1 })
      for (const [i, time] of ["10000", "9999", "1"].entries()) {
        const submitting = yield* Effect.fork(Effect.flip(plane.submit("a", Input.prompt(time))))
        yield* settle
        assert.strictEqual(attempts, i + 1)
        const error = yield* Fiber.join(submitting)
        assert.strictEqual(error._tag === "DeadLettered" && error.error.tag, "InvalidInput")
      }
    }))
})

describe("I13: a run of a last attempt that waits for another runtime", () => {
  const ending = (how: "its process is gone" | "it is recovered") =>
    test(`is not charged: when ${how} then, it is no dead letter`, ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        const { plane } = first
        const log: Array<string> = []
        const apply = (run: Run): Effect.Effect<{ readonly result: number }, unknown> =>
          Effect.suspend(() => {
            log.push(`${run.attempt}`)
            if (log.length <= 2) return Effect.never
            return log.length === 3
              ? Effect.as(plane.submit("leaf", Input.prompt("go")), { result: 0 })
              : Effect.succeed({ result: run.attempt })
          })
        yield* plane.register("leaf", { apply: () => Effect.never })
        yield* plane.register("a", { apply })
        const id = yield* accepted(plane, "a", Input.prompt("go"))
        for (const lost of [1, 2]) {
          yield* untilTrue(`attempt ${lost} has begun`, () => log.length === lost)
          yield* plane.recover("a")
        }
        yield* untilTrue("the last attempt has begun", () => log.length === 3)
        yield* until(
          "the leaf runs",
          Effect.map(plane.inspect("leaf"), (found) => Option.exists(found, ({ run }) => Option.isSome(run)))
        )
        assert.deepStrictEqual(log, ["1", "2", "3"])
        let after: Plane = plane
        if (how === "it is recovered") yield* plane.recover("a")
        else {
          // It opens, and thereby claims: what the first one has open is lost.
          after = (yield* open()).plane
          yield* after.register("a", { apply })
        }
        assert.deepStrictEqual((yield* after.await("a", id)).result, Option.some(3))
        assert.deepStrictEqual(yield* deadLetters(after), [])
      }))

  ending("it is recovered")
  ending("its process is gone")
})
