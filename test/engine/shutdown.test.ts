import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Input from "../../src/schema/Input.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import {
  accepted,
  advance,
  headOf,
  latch,
  logged,
  type Plane,
  settle,
  test,
  testEach,
  testSqlite,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

const range = (length: number) => Array.from({ length }, (_, i) => i)

describe("when the process shuts down", () => {
  testEach(
    "open runs are given back, uncharged, and their fibers are waited for; the next process goes on",
    ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        const log: Array<string> = []
        yield* first.plane.register("a", {
          apply: (run) =>
            Effect.zipRight(run.checkpoint({ append: ["before"] }), Effect.never).pipe(
              Effect.onInterrupt(() => Effect.zipRight(settle, Effect.sync(() => log.push(`cleaned ${run.runtimeId}`))))
            )
        })
        const ids = yield* Effect.forEach(range(3), (i) => accepted(first.plane, `a/${i}`, Input.prompt("go")))
        yield* Effect.forEach(ids, (id, i) => untilPhase(first.plane, `a/${i}`, id, "staged"))
        yield* until(
          "all have committed something",
          Effect.map(
            Effect.forEach(range(3), (i) => first.plane.transcript(`a/${i}`)),
            (pages) => pages.every(({ messages }) => messages.length === 2)
          )
        )
        yield* first.close
        assert.sameMembers(log, ["cleaned a/0", "cleaned a/1", "cleaned a/2"])
        const second = yield* open()
        assert.deepStrictEqual(
          yield* Effect.forEach(
            ids,
            (id, i) => Effect.map(headOf(second.plane, `a/${i}`, id), ({ attempt, phase }) => [phase, attempt])
          ),
          range(3).map(() => ["queued", 0])
        )
        yield* second.plane.register("a", {
          apply: (run) => Effect.succeed({ result: [run.attempt, run.afterLoss, Option.isSome(run.resume)] })
        })
        for (const [i, id] of ids.entries()) {
          assert.deepStrictEqual((yield* second.plane.await(`a/${i}`, id)).result, Option.some([1, false, true]))
        }
      })
  )

  test("an executor that ignores its interruption is waited for no longer than the grace", ({ open }) =>
    logged((lines) =>
      Effect.gen(function*() {
        const process = yield* open()
        yield* process.plane.register("a", { apply: () => Effect.uninterruptible(Effect.never) }, {
          interruptGrace: "10 seconds"
        })
        const id = yield* accepted(process.plane, "a", Input.prompt("go"))
        yield* untilPhase(process.plane, "a", id, "staged")
        const closing = yield* Effect.fork(process.close)
        yield* advance("9 seconds")
        assert.isNull(closing.unsafePoll())
        yield* advance("1 second")
        yield* Fiber.join(closing)
        assert.match(lines.join(), /ignores its interruption/)
        const next = yield* open()
        assert.strictEqual((yield* headOf(next.plane, "a", id)).attempt, 0)
      })
    ))

  testEach(
    "nobody who waits hangs, and everybody can wait again in the next process",
    ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        yield* first.plane.register("a", { apply: () => Effect.never }, { runsMax: 2 })
        const ids = yield* Effect.forEach(range(20), (i) => accepted(first.plane, `a/${i % 5}`, Input.prompt("go")))
        const waiting = yield* Effect.forEach(
          ids,
          (id, i) => Effect.fork(Effect.flip(first.plane.await(`a/${i % 5}`, id)))
        )
        yield* settle
        yield* first.close
        assert.deepStrictEqual(
          (yield* Effect.forEach(waiting, Fiber.join)).map(({ _tag }) => _tag),
          range(20).map(() => "StoreClosed")
        )
        const second = yield* open()
        yield* second.plane.register("a", { apply: (run) => Effect.succeed({ result: textOf(run) }) })
        const done = yield* Effect.forEach(ids, (id, i) => second.plane.await(`a/${i % 5}`, id), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(done.map(({ result }) => result), range(20).map(() => Option.some("go")))
      })
  )

  test("runs that wait for other runtimes end too", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      const { plane } = first
      yield* plane.register("leaf", { apply: () => Effect.never })
      yield* plane.register("a", { apply: () => Effect.as(plane.submit("leaf", Input.prompt("go")), {}) }, {
        runsMax: 1
      })
      const ids = yield* Effect.forEach(range(3), (i) => accepted(plane, `a/${i}`, Input.prompt("go")))
      yield* Effect.forEach(ids, (id, i) => untilPhase(plane, `a/${i}`, id, "staged"))
      yield* settle
      yield* first.close
    }))
})

describe("register", () => {
  const echo = (word: string) => ({ apply: () => Effect.succeed({ result: word }) })

  test("twice for one agent is AlreadyRegistered, and changes nothing", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", echo("first"))
      const error = yield* Effect.flip(plane.register("a", echo("second")))
      assert.deepStrictEqual([error._tag, error._tag === "AlreadyRegistered" && error.agent], [
        "AlreadyRegistered",
        "a"
      ])
      assert.deepStrictEqual((yield* plane.submit("a", Input.prompt("go"))).result, Option.some("first"))
    }))

  test("ends with its scope: its runs are given back, the others are left alone, and the next registration resumes", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const scope = yield* Scope.make()
      let interrupted = 0
      yield* plane.register("a", {
        apply: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      }).pipe(Scope.extend(scope))
      const gate = yield* latch
      yield* plane.register("b", { apply: () => Effect.as(gate.wait, { result: "b" }) })
      const a = yield* accepted(plane, "a/1", Input.prompt("go"))
      const b = yield* accepted(plane, "b/1", Input.prompt("go"))
      yield* untilPhase(plane, "a/1", a, "staged")
      yield* untilPhase(plane, "b/1", b, "staged")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(interrupted, 1)
      assert.deepStrictEqual(
        [(yield* headOf(plane, "a/1", a)).phase, (yield* headOf(plane, "a/1", a)).attempt],
        ["queued", 0]
      )
      assert.strictEqual((yield* headOf(plane, "b/1", b)).phase, "staged")
      const more = yield* accepted(plane, "a/1", Input.prompt("more"))
      yield* settle
      yield* plane.register("a", echo("again"))
      assert.deepStrictEqual((yield* plane.await("a/1", a)).result, Option.some("again"))
      assert.deepStrictEqual((yield* plane.await("a/1", more)).result, Option.some("again"))
      yield* gate.open
      assert.deepStrictEqual((yield* plane.await("b/1", b)).result, Option.some("b"))
    }))

  test("again and again, while inputs come, loses none of them", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const ids: Array<readonly [string, string]> = []
      for (let round = 0; round < 30; round++) {
        const scope = yield* Scope.make()
        yield* plane.register("a", { apply: () => Effect.zipRight(Effect.yieldNow(), Effect.void) }, { runsMax: 3 })
          .pipe(
            Scope.extend(scope)
          )
        for (let i = 0; i < 5; i++) ids.push([`a/${i}`, yield* accepted(plane, `a/${i}`, Input.prompt(`${round}`))])
        yield* Effect.repeatN(Effect.yieldNow(), round * 3)
        yield* Scope.close(scope, Exit.void)
      }
      yield* plane.register("a", { apply: () => Effect.void })
      yield* Effect.forEach(ids, ([runtimeId, id]) => plane.await(runtimeId, id), { concurrency: "unbounded" })
      assert.strictEqual((yield* headOf(plane, "a/0", ids[0]![1])).attempt, 1)
    }))

  test("comes late: what has waited goes at once, what is delayed in its time", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const now = yield* accepted(plane, "a/now", Input.prompt("now"))
      const later = yield* accepted(plane, "a/later", Input.prompt("later", { deliverAt: 600_000 }))
      yield* advance("1 minute")
      yield* plane.register("a", echo("done"))
      yield* plane.await("a/now", now)
      yield* advance("8 minutes")
      assert.strictEqual((yield* headOf(plane, "a/later", later)).phase, "queued")
      yield* advance("1 minute")
      yield* plane.await("a/later", later)
    }))

  test("goes on with runtimes that stopped for trouble, although it is another registration", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { runtimesLiveMax: 2 } })
      const scope = yield* Scope.make()
      const gate = yield* latch
      yield* plane.register("b", { apply: () => Effect.as(gate.wait, {}) })
      const ids = yield* Effect.forEach(range(2), (i) => accepted(plane, `b/${i}`, Input.prompt("go")))
      yield* Effect.forEach(ids, (id, i) => untilPhase(plane, `b/${i}`, id, "staged"))
      const refused = yield* Effect.either(plane.ingest("a/1", Input.prompt("go")))
      assert.isTrue(Either.isLeft(refused))
      yield* plane.register("a", echo("first")).pipe(Scope.extend(scope))
      yield* Scope.close(scope, Exit.void)
      yield* plane.register("a", echo("second"))
      yield* gate.open
      yield* Effect.forEach(ids, (id, i) => plane.await(`b/${i}`, id))
      assert.deepStrictEqual((yield* plane.submit("a/1", Input.prompt("go"))).result, Option.some("second"))
    }))
})

describe("waiters", () => {
  testEach("a thousand at once are each told of their own", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", { apply: (run) => Effect.succeed({ result: textOf(run) }) })
      const done = yield* Effect.forEach(range(1_000), (i) => plane.submit(`a/${i % 50}`, Input.prompt(`${i}`)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(done.map(({ result }) => Option.getOrNull(result)), range(1_000).map(String))
    }))

  const ends: ReadonlyArray<
    readonly [name: string, tag: string, end: (plane: Plane, id: string) => Effect.Effect<unknown, unknown>]
  > = [
    ["superseded", "Superseded", (plane) => plane.ingest("a", F.progress("newer", { scope: "s" }))],
    ["cancelled", "Cancelled", (plane, inputId) => plane.cancel("a", { reason: "no", inputId })],
    ["reset", "Dropped", (plane) => plane.reset("a")],
    ["destroyed", "Dropped", (plane) => plane.destroy("a")]
  ]
  for (const [name, tag, end] of ends) {
    testEach(`of an input that is ${name} are told so`, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        const id = yield* accepted(plane, "a", F.progress("older", { scope: "s" }))
        const waiting = yield* Effect.fork(Effect.flip(plane.await("a", id)))
        yield* settle
        yield* end(plane, id)
        assert.strictEqual((yield* Fiber.join(waiting))._tag, tag)
        assert.strictEqual((yield* Effect.flip(plane.await("a", id)))._tag, tag)
      }))
  }

  testEach("of an input that nobody has sent are told at once", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      assert.strictEqual((yield* Effect.flip(plane.await("a", "nothing")))._tag, "UnknownInput")
    }))

  testSqlite(
    "of an ephemeral input are told after the restart that it ended with its process",
    ({ open }) =>
      Effect.gen(function*() {
        const first = yield* open()
        const id = yield* accepted(first.plane, "a", Input.prompt("go", { durability: "ephemeral" }))
        yield* first.close
        const second = yield* open()
        const waiting = yield* Effect.fork(Effect.flip(second.plane.await("a", id)))
        yield* second.plane.register("a", { apply: () => Effect.void })
        assert.strictEqual((yield* Fiber.join(waiting))._tag, "Lost")
      })
  )

  testEach(
    "a submit that is a repetition is told of the first one's end, also after it",
    ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        let runs = 0
        yield* plane.register("a", { apply: () => Effect.sync(() => ({ result: ++runs })) })
        const draft = Input.prompt("go", { idempotencyKey: "k" })
        const both = yield* Effect.all([plane.submit("a", draft), plane.submit("a", draft)], {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual([...both, yield* plane.submit("a", draft)].map(({ result }) => result), [
          Option.some(1),
          Option.some(1),
          Option.some(1)
        ])
      })
  )

  test("who gives up waiting changes nothing", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", { apply: () => Effect.as(gate.wait, { result: 1 }) })
      const waiting = yield* Effect.fork(plane.submit("a", Input.prompt("go", { idempotencyKey: "k" })))
      yield* untilTrue("it is there", () => true)
      yield* settle
      yield* Fiber.interrupt(waiting)
      yield* gate.open
      assert.deepStrictEqual(
        (yield* plane.submit("a", Input.prompt("go", { idempotencyKey: "k" }))).result,
        Option.some(1)
      )
    }))
})
