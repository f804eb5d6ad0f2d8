import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Input from "../../src/schema/Input.js"
import type { Executor, Run } from "../../src/services/Executor.js"
import {
  accepted,
  advance,
  latch,
  type Plane,
  settle,
  test,
  testEach,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

/** Counts who works at the same time; waiting for others is not work. */
const counted = () => {
  const load = { now: 0, max: 0 }
  const work = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => load.max = Math.max(load.max, ++load.now)),
      () => effect,
      () => Effect.sync(() => load.now--)
    )
  return { load, work }
}

const pause = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))

type Error = Effect.Effect.Error<ReturnType<Plane["submit"]>>

/** `submit x y`: submits to x and y at the same time, and answers what they answered. */
const delegating = (plane: Plane): Executor<Error> => ({
  apply: (run) => {
    const [verb, ...targets] = textOf(run).split(" ")
    return verb === "submit"
      ? Effect.map(
        Effect.forEach(targets, (target) => plane.submit(target, Input.prompt("leaf")), { concurrency: "unbounded" }),
        (done) => ({ result: done.flatMap(({ result }) => Option.toArray(result)) })
      )
      : Effect.succeed({ result: run.runtimeId })
  }
})

describe("runsMax", () => {
  testEach("is never exceeded, and all get done", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { load, work } = counted()
      yield* plane.register("a", { apply: () => Effect.as(work(pause), {}) }, { runsMax: 3 })
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => i),
        (i) => plane.submit(`a/${i % 20}`, Input.prompt(`${i}`)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(load.max, 3)
    }))

  test("is shared in turns over a key: a tenant with a hundred runtimes delays another by one run", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const order: Array<string> = []
      const tenantOf = (runtimeId: string) => runtimeId.split("/")[1]!
      yield* plane.register("a", {
        apply: (run) => Effect.map(pause, () => void order.push(tenantOf(run.runtimeId)))
      }, { runsMax: 1, fairBy: tenantOf })
      yield* plane.pause({ agent: "a" })
      for (let i = 0; i < 100; i++) yield* accepted(plane, `a/big/${i}`, Input.prompt("go"))
      for (let i = 0; i < 5; i++) yield* accepted(plane, `a/small/${i}`, Input.prompt("go"))
      yield* plane.unpause({ agent: "a" })
      yield* untilTrue("all have run", () => order.length === 105)
      assert.isAtMost(order.lastIndexOf("small"), 10)
    }))

  test("is not harmed by a key function that throws", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: () => Effect.succeed({ result: 1 }) }, {
        fairBy: () => {
          throw new Error("no tenant")
        }
      })
      assert.deepStrictEqual((yield* plane.submit("a", Input.prompt("go"))).result, Option.some(1))
    }))
})

describe("a run that waits for another runtime", () => {
  testEach(
    "lends its place: parent and child of one agent with runsMax 1 do not deadlock",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        yield* plane.register("a", delegating(plane), { runsMax: 1 })
        const { result } = yield* plane.submit("a/parent", Input.prompt("submit a/child"))
        assert.deepStrictEqual(result, Option.some(["a/child"]))
      })
  )

  test("may wait for several at once, and goes on with one place when it has them all", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { load, work } = counted()
      const inner = delegating(plane)
      yield* plane.register("a", {
        apply: (run) =>
          textOf(run) === "leaf" ? work(Effect.zipRight(pause, inner.apply(run))) : Effect.flatMap(
            inner.apply(run),
            (output) => work(Effect.as(pause, output))
          )
      }, { runsMax: 2 })
      const many = yield* Effect.forEach(
        Array.from({ length: 6 }, (_, p) => p),
        (p) => plane.submit(`a/parent${p}`, Input.prompt(`submit a/${p}/1 a/${p}/2 a/${p}/3`)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(many[5]?.result, Option.some(["a/5/1", "a/5/2", "a/5/3"]))
      assert.isAtMost(load.max, 2)
    }))

  test("has its place again when it gives up waiting: runsMax holds for what it does then", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { load, work } = counted()
      const gate = yield* latch
      yield* plane.register("never", { apply: () => Effect.never })
      yield* plane.register("a", {
        apply: (run) =>
          textOf(run) === "impatient"
            ? Effect.zipRight(
              Effect.timeoutOption(Effect.orDie(plane.submit("never", Input.prompt("go"))), "1 second"),
              Effect.as(work(gate.wait), {})
            )
            : Effect.as(work(gate.wait), {})
      }, { runsMax: 1 })
      const first = yield* accepted(plane, "a/1", Input.prompt("impatient"))
      yield* settle
      yield* advance("1 second")
      yield* untilTrue("it works", () => load.now === 1)
      const others = yield* Effect.forEach([2, 3], (i) => accepted(plane, `a/${i}`, Input.prompt("patient")))
      yield* settle
      assert.strictEqual(load.now, 1)
      yield* gate.open
      yield* plane.await("a/1", first)
      yield* Effect.forEach(others, (id, i) => plane.await(`a/${i + 2}`, id))
      assert.strictEqual(load.max, 1)
    }))

  test("gives no place away twice, however its waits end", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const { load, work } = counted()
      const gate = yield* latch
      yield* plane.register("never", { apply: () => Effect.never })
      yield* plane.register("a", {
        apply: (run) => {
          const wait = (i: number, millis: number) =>
            Effect.timeoutOption(Effect.orDie(plane.submit(`never/${run.runtimeId}${i}`, Input.prompt("go"))), millis)
          return textOf(run) === "many"
            ? Effect.zipRight(
              Effect.all([wait(1, 100), wait(2, 200), Effect.raceFirst(wait(3, 1_000), Effect.sleep(300))], {
                concurrency: "unbounded"
              }),
              Effect.as(work(Effect.zipRight(settle, gate.wait)), {})
            )
            : Effect.as(work(gate.wait), {})
        }
      }, { runsMax: 2 })
      const ids = yield* Effect.forEach([1, 2, 3, 4], (i) => accepted(plane, `a/${i}`, Input.prompt("many")))
      yield* advance("1 second", { steps: 10 })
      yield* until("two work", Effect.sync(() => load.now === 2))
      yield* settle
      assert.strictEqual(load.max, 2)
      yield* gate.open
      yield* Effect.forEach(ids, (id, i) => plane.await(`a/${i + 1}`, id))
      assert.strictEqual(load.max, 2)
    }))

  test("is cancelled while it stands in line for its place", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      const child = yield* latch
      yield* plane.register("child", { apply: () => Effect.as(child.wait, {}) })
      yield* plane.register("a", {
        apply: (run) =>
          textOf(run) === "parent"
            ? Effect.as(plane.submit("child", Input.prompt("go")), {})
            : Effect.as(gate.wait, { result: textOf(run) })
      }, { runsMax: 1 })
      const parent = yield* accepted(plane, "a/parent", Input.prompt("parent"))
      yield* untilPhase(plane, "a/parent", parent, "staged")
      const other = yield* accepted(plane, "a/other", Input.prompt("other"))
      yield* untilPhase(plane, "a/other", other, "staged")
      yield* child.open
      yield* settle
      yield* plane.cancel("a/parent", { reason: "no" })
      yield* settle
      yield* gate.open
      yield* plane.await("a/other", other)
      const more = yield* plane.submit("a/parent", Input.prompt("more"))
      assert.deepStrictEqual(more.result, Option.some("more"))
    }))
})

describe("WouldDeadlock", () => {
  const asking = (plane: Plane): Executor => ({
    apply: (run: Run) => {
      const [target, ...rest] = textOf(run).split(" ")
      return target === "" || target === undefined
        ? Effect.succeed({ result: "end" })
        : plane.submit(target, Input.prompt(rest.join(" "))).pipe(
          Effect.match({
            onFailure: (error) => ({ result: `${error._tag} in ${run.runtimeId}` }),
            onSuccess: ({ result }) => ({ result: Option.getOrElse(result, () => null) })
          })
        )
    }
  })

  for (const circle of [["a/1"], ["a/1", "a/2"], ["a/1", "a/2", "a/3"]]) {
    test(`is told around a circle of ${circle.length}`, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        yield* plane.register("a", asking(plane))
        const [first, ...rest] = circle
        const { result } = yield* plane.submit(first!, Input.prompt([...rest, first].join(" ")))
        assert.deepStrictEqual(result, Option.some(`WouldDeadlock in ${circle[circle.length - 1]}`))
      }))
  }

  test("sends nothing", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", asking(plane))
      yield* plane.submit("a", Input.prompt("a"))
      yield* settle
      assert.strictEqual((yield* plane.inputs("a")).length, 1)
    }))

  test("is no more when a wait has ended: two runtimes may wait for each other in turn", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", asking(plane))
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual((yield* plane.submit("a/1", Input.prompt("a/2"))).result, Option.some("end"))
        assert.deepStrictEqual((yield* plane.submit("a/2", Input.prompt("a/1"))).result, Option.some("end"))
      }
    }))

  test("is not told to who sends to itself and does not wait", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      let rounds = 0
      yield* plane.register("a", {
        apply: () =>
          Effect.gen(function*() {
            if (++rounds < 5) yield* plane.ingest("a", Input.prompt("again"))
          })
      })
      yield* accepted(plane, "a", Input.prompt("go"))
      yield* untilTrue("five rounds", () => rounds === 5)
    }))

  test("is told to who waits in a fiber of its own", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(Effect.flip(plane.submit(run.runtimeId, Input.prompt("self"))))
            return { result: (yield* Fiber.join(fiber))._tag }
          })
      })
      const waiting = yield* Effect.fork(plane.submit("a", Input.prompt("go")))
      assert.deepStrictEqual((yield* Fiber.join(waiting)).result, Option.some("WouldDeadlock"))
    }))
})
