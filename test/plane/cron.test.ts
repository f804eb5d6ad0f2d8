import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Cron from "effect/Cron"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as ControlPlaneLive from "../../src/layers/ControlPlaneLive.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import { due } from "../../src/layers/engine/recurring.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as Input from "../../src/schema/Input.js"
import { WriteFailed } from "../../src/schema/StoreError.js"
import { ControlPlane, type Recurring } from "../../src/services/ControlPlane.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import {
  accepted,
  advance,
  logged,
  type Plane,
  type Process,
  settle,
  test,
  testEach,
  textsOf,
  untilTrue
} from "../engine/support.js"

const everyMinute: Recurring = {
  name: "minutely",
  cron: Cron.unsafeParse("* * * * *", "UTC"),
  runtimeId: "a/x",
  input: Input.prompt("tick")
}

const MINUTE = 60_000
const time = (minute: number) => new Date(minute * MINUTE).toISOString()
const keys = (...minutes: ReadonlyArray<number>) => minutes.map((minute) => `cron/minutely/${time(minute)}`)

/** What was taken, in its order. */
const stored = (plane: Plane, runtimeId = "a/x") =>
  Effect.map(plane.inputs(runtimeId, { limit: 1_000 }), (rows) =>
    rows.map((row) => {
      const { body } = Either.getOrThrow(row)
      if (body._tag === "blob") throw new Error("a blob")
      return body.input
    }))

const taken = (plane: Plane, runtimeId?: string): Effect.Effect<ReadonlyArray<string | undefined>, unknown> =>
  Effect.map(stored(plane, runtimeId), (inputs) => inputs.map(({ header }) => header.idempotencyKey))

/** Until a minute of the test's clock. */
const at = (minute: number) => settle.pipe(Effect.zipRight(TestClock.setTime(minute * MINUTE)), Effect.zipRight(settle))

/** A life of a process, from one minute to another, that lets a while go by in between. */
const life = (
  open: Effect.Effect<Process, never, Scope.Scope>,
  recurring: Recurring,
  from: number,
  to: number
) =>
  Effect.gen(function*() {
    yield* at(from)
    const process = yield* open
    yield* process.plane.cron(recurring)
    yield* settle
    const first = yield* taken(process.plane)
    for (let minute = Math.floor(from) + 1; minute <= to; minute++) yield* at(minute)
    yield* at(to)
    const last = yield* taken(process.plane)
    return { first, last }
  }).pipe(Effect.scoped)

describe("a recurring input", () => {
  test("is taken at each tick, under the key of its time, and its runtime runs it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const ran: Array<string> = []
      yield* plane.register("a", { apply: (run) => Effect.sync(() => void ran.push(...textsOf(run.inputs))) })
      yield* plane.cron(everyMinute)
      yield* at(0.99)
      assert.deepStrictEqual(yield* taken(plane), [])
      yield* at(1)
      assert.deepStrictEqual(yield* taken(plane), keys(1))
      for (const minute of [1.5, 2, 3, 4]) yield* at(minute)
      assert.deepStrictEqual(yield* taken(plane), keys(1, 2, 3, 4))
      yield* untilTrue("all have run", () => ran.length === 4)
      assert.deepStrictEqual(ran, ["tick", "tick", "tick", "tick"])
    }))

  for (const [missed, taken] of [["skip", []], ["once", [5]], ["all", [1, 2, 3, 4, 5]]] as const) {
    it(`of ticks that passed while the machine slept takes ${missed}, and each that passes while it works`, () => {
      const { cron } = everyMinute
      for (const [wasAway, expected] of [[true, taken], [false, [1, 2, 3, 4, 5]]] as const) {
        const found: Array<number> = []
        for (let last = 0, next = due({ cron, missed }, last, 5.5 * MINUTE, wasAway); next.last > last;) {
          if (next.take !== null) found.push(next.take / MINUTE)
          last = next.last
          next = due({ cron, missed }, last, 5.5 * MINUTE, wasAway)
        }
        assert.deepStrictEqual(found, [...expected])
      }
    })
  }

  test("keeps its own header, but for the key and the id", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const id = "0190a0b0-c0d0-7000-8000-000000000001"
      yield* plane.cron({
        ...everyMinute,
        input: Input.prompt("tick", {
          id: id as never,
          idempotencyKey: "mine",
          supersessionKey: "latest",
          deliverAt: 90 * MINUTE,
          origin: { _tag: "system" }
        })
      })
      yield* at(1)
      yield* at(2)
      const inputs = yield* stored(plane)
      assert.deepStrictEqual(inputs.map(({ header }) => header.idempotencyKey as string), keys(1, 2))
      for (const { header } of inputs) {
        assert.notStrictEqual(header.id, id)
        assert.strictEqual(header.supersessionKey, "latest")
        assert.strictEqual(header.deliverAt, 90 * MINUTE)
        assert.deepStrictEqual(header.origin, { _tag: "system" })
      }
    }))

  test("ends with its scope, and others go on", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const scope = yield* Scope.make()
      yield* Scope.extend(plane.cron(everyMinute), scope)
      yield* plane.cron({ ...everyMinute, name: "other", runtimeId: "a/other" })
      yield* at(1)
      yield* Scope.close(scope, Exit.void)
      yield* at(2)
      yield* at(3)
      assert.deepStrictEqual(yield* taken(plane), keys(1))
      assert.strictEqual((yield* taken(plane, "a/other")).length, 3)
      // Who starts it again in the process has missed what its policy says.
      yield* plane.cron(everyMinute)
      yield* settle
      assert.deepStrictEqual(yield* taken(plane), keys(1, 3))
    }))

  test("waits with a tick while the queue is full, and loses none", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open({ limits: { queueDepthMax: 2 } })
      yield* plane.cron(everyMinute)
      for (const minute of [1, 2, 3, 4, 5]) yield* at(minute)
      assert.deepStrictEqual(yield* taken(plane), keys(1, 2))
      yield* plane.register("a", { apply: () => Effect.void })
      yield* advance("20 seconds", { steps: 20 })
      assert.deepStrictEqual(yield* taken(plane), keys(1, 2, 3, 4, 5))
    }))

  test("is refused at once when every tick would be: InvalidInput", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const never = Cron.unsafeParse("0 0 30 2 *", "UTC")
      for (
        const [field, wrong] of [
          ["runtimeId", { runtimeId: "" }],
          ["runtimeId", { runtimeId: "a\u0000b" }],
          ["name", { name: "" }],
          ["the key of a tick", { name: "x".repeat(500) }],
          ["cron", { cron: never }]
        ] as const
      ) {
        const error = yield* Effect.flip(plane.cron({ ...everyMinute, ...wrong }))
        assert.strictEqual(error._tag === "InvalidInput" && error.field, field)
      }
    }))

  test("that its runtime does not take is dropped with a word, and the next one is not", ({ open }) =>
    logged((lines) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        yield* accepted(plane, "a/x", Input.prompt("first"))
        yield* plane.stop("a/x")
        yield* plane.cron(everyMinute)
        yield* at(1)
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0]!, `${keys(1)[0]!} is dropped`)
        yield* plane.resume("a/x")
        yield* at(2)
        assert.deepStrictEqual(yield* taken(plane), [undefined, ...keys(2)])
      })
    ))
})

describe("ticks that passed while no process was there", () => {
  const cases = [
    { missed: "skip", first: keys(1, 2), last: keys(1, 2, 11) },
    { missed: "once", first: keys(1, 2, 10), last: keys(1, 2, 10, 11) },
    { missed: "all", first: keys(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), last: keys(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) },
    { missed: undefined, first: keys(1, 2, 10), last: keys(1, 2, 10, 11) }
  ] as const
  for (const { first, last, missed } of cases) {
    testEach(`are taken as its policy says: ${missed ?? "once, by default"}`, ({ open }) =>
      Effect.gen(function*() {
        const recurring = { ...everyMinute, ...(missed !== undefined && { missed }) }
        // Before its first start nothing was missed.
        assert.deepStrictEqual(yield* life(open(), recurring, 0.5, 2), { first: [], last: keys(1, 2) })
        assert.deepStrictEqual(yield* life(open(), recurring, 10.5, 11), { first, last })
        // The same again: nothing was missed, nothing is taken twice.
        assert.deepStrictEqual(yield* life(open(), recurring, 11.5, 11.5), { first: last, last })
      }))
  }

  test("are found without a walk over all of them: a year of seconds", ({ open }) =>
    Effect.gen(function*() {
      const secondly = { ...everyMinute, cron: Cron.unsafeParse("* * * * * *", "UTC") }
      yield* life(open(), secondly, 0, 0)
      const start = performance.now()
      const { first } = yield* life(open(), secondly, 525_600, 525_600)
      assert.deepStrictEqual(first, keys(525_600))
      assert.isBelow(performance.now() - start, 5_000)
    }))
})

describe("a process that ends between the taking of a tick and its remembering", () => {
  /** A store whose cells are never written again once it is told, and who waits for that. */
  const deaf = (store: Context.Tag.Service<RuntimeStore>) => {
    const state = { isDeaf: false, asked: 0, failing: 0 }
    const wrapped: Context.Tag.Service<RuntimeStore> = {
      ...store,
      updateCell: (name, update) =>
        Effect.suspend(() => {
          state.asked++
          if (state.isDeaf) return Effect.never
          if (state.failing > 0) {
            state.failing--
            return Effect.fail(new WriteFailed({ operation: name, cause: new Error("the disk is on fire") }))
          }
          return store.updateCell(name, update)
        })
    }
    return { state, wrapped }
  }

  const over = (process: Process) =>
    Effect.gen(function*() {
      const { state, wrapped } = deaf(process.store)
      const context = yield* Layer.build(
        ControlPlaneLive.layer.pipe(
          Layer.provide(DriverPersistent.layer),
          Layer.provide(Layer.succeedContext(Context.add(process.stores, RuntimeStore, wrapped))),
          Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
        )
      )
      return { state, plane: Context.get(context, ControlPlane) }
    })

  for (const missed of ["once", "all", "skip"] as const) {
    testEach(`I5: takes no tick twice (${missed})`, ({ open }) =>
      Effect.gen(function*() {
        const recurring = { ...everyMinute, missed }
        yield* Effect.scoped(Effect.gen(function*() {
          const process = yield* open()
          const { plane, state } = yield* over(process)
          yield* plane.cron(recurring)
          yield* at(1)
          state.isDeaf = true
          yield* at(2)
          assert.strictEqual(state.asked, 3)
          assert.deepStrictEqual(yield* taken(plane), keys(1, 2))
        }))
        const { last } = yield* life(open(), recurring, 2.5, 3)
        assert.deepStrictEqual(last, keys(1, 2, 3))
      }))
  }

  test("I5: nor does one that goes on, when the store fails once", ({ open }) =>
    logged(() =>
      Effect.gen(function*() {
        const process = yield* open()
        const { plane, state } = yield* over(process)
        yield* plane.cron(everyMinute)
        state.failing = 1
        yield* at(1)
        yield* advance("10 seconds", { steps: 10 })
        yield* at(2)
        assert.deepStrictEqual(yield* taken(plane), keys(1, 2))
      })
    ))
})
