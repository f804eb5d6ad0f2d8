import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as path from "node:path"
import * as Burrow from "../../src/layers/Burrow.js"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import { isReservedKey } from "../../src/schema/Ids.js"
import * as Input from "../../src/schema/Input.js"
import type { Json } from "../../src/schema/Json.js"
import { Agents } from "../../src/services/Agents.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { accepted, headOf, test, testEach } from "../engine/support.js"
import { folder } from "../sql/support.js"
import { agentsOf, waiting } from "./support.js"

const reserved = ["operation/x", "redrive/x", "cron/x", "cancel/x", "child/x"]

describe("send", () => {
  testEach(
    "answers the input's id and place; under a key that is known those of the first one",
    ({ open }) =>
      Effect.gen(function*() {
        const { close, ...process } = yield* open()
        const agents = yield* agentsOf(process)
        const hello = Input.prompt("hello", { idempotencyKey: "1" })
        const first = yield* agents.send("a/x", hello)
        assert.isFalse(first.duplicate)
        const head = yield* headOf(process.plane, "a/x", first.inputId)
        assert.deepStrictEqual([head.sequence, head.phase], [first.sequence, "queued"])
        assert.deepStrictEqual(yield* agents.send("a/x", hello), { ...first, duplicate: true })
        const second = yield* agents.send("a/x", Input.prompt("hello"))
        assert.isFalse(second.duplicate)
        assert.isAbove(second.sequence, first.sequence)
        yield* close
        const again = yield* agentsOf(yield* open())
        assert.deepStrictEqual(yield* again.send("a/x", hello), { ...first, duplicate: true })
      })
  )

  test("refuses keys that begin as the library's own, and writes nothing", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      for (const idempotencyKey of reserved) {
        const refused = yield* Effect.flip(agents.send("a/x", Input.prompt("hello", { idempotencyKey })))
        assert.strictEqual(refused._tag, "InvalidInput")
        if (refused._tag === "InvalidInput") assert.strictEqual(refused.field, "key")
      }
      assert.deepStrictEqual(yield* process.plane.runtimeState("a/x"), Option.none())
      for (const idempotencyKey of ["operation", "cronos", "my/operation/x", "Child/x"]) {
        yield* agents.send("a/x", Input.prompt("hello", { idempotencyKey }))
      }
      // Who works below the everyday service knows what they do.
      for (const idempotencyKey of reserved) {
        yield* accepted(process.plane, "a/x", Input.prompt("hi", { idempotencyKey }))
      }
    }))

  it("knows the keys that the library makes", () => {
    assert.isTrue(reserved.every(isReservedKey))
    assert.isFalse(["", "/", "operation", " operation/x"].some(isReservedKey))
  })
})

describe("state", () => {
  testEach(
    "is the snapshot's bytes; none before the first, and of a runtime that nobody has used",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        assert.deepStrictEqual(yield* agents.state("a/x"), Option.none())
        const driver = yield* process.drivers.get("a/x")
        const { runId } = yield* F.running(driver)
        assert.deepStrictEqual(yield* agents.state("a/x"), Option.none())
        yield* driver.complete({ runId, delta: { snapshot: Uint8Array.of(1, 2) } })
        assert.deepStrictEqual(Option.map(yield* agents.state("a/x"), (bytes) => [...bytes]), Option.some([1, 2]))
      })
  )
})

describe("messages", () => {
  const says = (count: number) => Array.from({ length: count }, (_, i): Json => `message ${i}`)

  testEach(
    "are pages of the transcript, each with where the next one begins, until there is none",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const none = { items: [], next: Option.none() }
        assert.deepStrictEqual(yield* agents.messages("a/x", {}), none)
        const driver = yield* process.drivers.get("a/x")
        yield* driver.commitSession({ append: says(203) })
        const first = yield* agents.messages("a/x", {})
        assert.deepStrictEqual(first, { items: says(100), next: Option.some(100) })
        const all: Array<Json> = []
        for (let after = Option.some(0); Option.isSome(after);) {
          const page = yield* agents.messages("a/x", { after: after.value, limit: 7 })
          assert.isAtMost(page.items.length, 7)
          all.push(...page.items)
          after = page.next
        }
        assert.deepStrictEqual(all, says(203))
        assert.deepStrictEqual(yield* agents.messages("a/x", { after: 196, limit: 7 }), {
          items: says(203).slice(196),
          next: Option.none()
        })
        assert.deepStrictEqual(yield* agents.messages("a/x", { after: 203 }), none)
        assert.deepStrictEqual(yield* agents.messages("a/x", { after: 1e300 }), none)
      })
  )

  testEach(
    "come at least one and at most a thousand at a time, and from the beginning at the earliest",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const driver = yield* process.drivers.get("a/x")
        yield* driver.commitSession({ append: says(600) })
        yield* driver.commitSession({ append: says(600) })
        const count = (page: { readonly after?: number; readonly limit?: number }) =>
          Effect.map(agents.messages("a/x", page), ({ items, next }) => [items.length, Option.getOrNull(next)])
        assert.deepStrictEqual(yield* count({ limit: Infinity }), [1_000, 1_000])
        assert.deepStrictEqual(yield* count({ limit: 0 }), [1, 1])
        assert.deepStrictEqual(yield* count({ limit: -3, after: 5 }), [1, 6])
        assert.deepStrictEqual(yield* count({ limit: Number.NaN }), [1, 1])
        assert.deepStrictEqual(yield* count({ after: -5, limit: 2 }), [2, 2])
        assert.deepStrictEqual(yield* count({ after: Number.NaN, limit: 2 }), [2, 2])
      })
  )
})

describe("cancel", () => {
  testEach(
    "ends the open run, and what waits for answers, with its whole batches; what has not begun stays",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const driver = yield* process.drivers.get("a/x")
        const [asker = ""] = yield* waiting(process, "a/x", [Input.prompt("asks")], [{ question: "q", key: "1" }])
        const batch = yield* waiting(process, "a/x", [F.flow("1"), F.flow("2"), F.flow("3")], [{
          question: "q",
          key: "2"
        }])
        const held = yield* accepted(process.plane, "a/x", Input.prompt("held"))
        yield* process.plane.hold("a/x", held)
        const running = yield* accepted(process.plane, "a/x", Input.prompt("runs"))
        yield* F.stageOf(driver, ["runs"])
        const queued = yield* accepted(process.plane, "a/x", Input.prompt("queued"))
        yield* agents.cancel("a/x", { reason: "enough" })
        for (const id of [asker, ...batch, running]) {
          assert.deepStrictEqual((yield* headOf(process.plane, "a/x", id)).outcome, {
            _tag: "abandoned",
            reason: { _tag: "cancelled", reason: "enough" }
          })
        }
        assert.strictEqual((yield* headOf(process.plane, "a/x", held)).phase, "held")
        assert.strictEqual((yield* headOf(process.plane, "a/x", queued)).phase, "queued")
        assert.deepStrictEqual(yield* agents.questions("a/x"), [])
        assert.deepStrictEqual(yield* driver.openRun, Option.none())
        yield* agents.cancel("a/x", { reason: "again" })
      })
  )

  testEach(
    "with an input's id ends that alone; what has ended, or is not there, stays as it is",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        const phases = (ids: ReadonlyArray<string>) =>
          Effect.forEach(ids, (id) => Effect.map(headOf(process.plane, "a/x", id), ({ phase }) => phase))
        const [asker = ""] = yield* waiting(process, "a/x", [Input.prompt("asks")], [{ question: "q", key: "1" }])
        const [other = ""] = yield* waiting(process, "a/x", [Input.prompt("asks, too")], [{ question: "q", key: "2" }])
        const queued = yield* accepted(process.plane, "a/x", Input.prompt("queued"))
        const next = yield* accepted(process.plane, "a/x", Input.prompt("next"))
        yield* agents.cancel("a/x", { reason: "", inputId: other })
        yield* agents.cancel("a/x", { reason: "", inputId: queued })
        assert.deepStrictEqual(yield* phases([asker, other, queued, next]), [
          "held",
          "abandoned",
          "abandoned",
          "queued"
        ])
        yield* agents.cancel("a/x", { reason: "", inputId: other })
        yield* agents.cancel("a/x", { reason: "", inputId: "nobody" })
        assert.deepStrictEqual(yield* phases([asker, other, queued, next]), [
          "held",
          "abandoned",
          "abandoned",
          "queued"
        ])
        yield* F.stageOf(yield* process.drivers.get("a/x"), ["next"])
        yield* agents.cancel("a/x", { reason: "", inputId: next })
        assert.deepStrictEqual(yield* phases([asker, next]), ["held", "abandoned"])
        assert.deepStrictEqual((yield* agents.questions("a/x")).map(({ key }) => key), ["1"])
      })
  )

  testEach(
    "finds nothing under a name that nobody has used or can use, and in what was destroyed",
    ({ open }) =>
      Effect.gen(function*() {
        const process = yield* open()
        const agents = yield* agentsOf(process)
        yield* accepted(process.plane, "a/gone", Input.prompt("hello"))
        yield* process.plane.destroy("a/gone")
        for (const runtimeId of ["a/nobody", "a/gone", "", "\ud800", "x".repeat(10_000)]) {
          yield* agents.cancel(runtimeId, { reason: "" })
          yield* agents.cancel(runtimeId, { reason: "", inputId: "nobody" })
        }
        assert.deepStrictEqual(yield* process.plane.runtimeState("a/nobody"), Option.none())
      })
  )

  test("reaches all that wait, however many inputs there are", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const agents = yield* agentsOf(process)
      yield* Effect.forEach(
        Array.from({ length: 300 }, (_, i) => i),
        (i) => accepted(process.plane, "a/x", Input.prompt(`${i}`, { deliverAt: 1_000_000 }))
      )
      yield* waiting(process, "a/x", [F.prompt("last")], [{ question: "q", key: "1" }])
      assert.strictEqual((yield* agents.questions("a/x")).length, 1)
      yield* agents.cancel("a/x", { reason: "enough" })
      assert.deepStrictEqual(yield* agents.questions("a/x"), [])
    }))
})

describe("the layers of a whole", () => {
  const roundTrip = Effect.gen(function*() {
    const agents = yield* Agents
    return yield* agents.send("a/x", Input.prompt("hello"))
  })

  it.effect("in memory have it", () =>
    Effect.gen(function*() {
      assert.isFalse((yield* Effect.provide(roundTrip, Burrow.layerMemory)).duplicate)
      const limited = Burrow.layerMemoryWith({ limits: { queueDepthMax: 0 } })
      assert.strictEqual((yield* Effect.flip(Effect.provide(roundTrip, limited)))._tag, "QueueFull")
    }))

  it.scoped("in a file have it", () =>
    Effect.gen(function*() {
      const layer = BurrowSqlite.layer({ filename: path.join(yield* folder, "burrow.db") })
      assert.isFalse((yield* Effect.provide(roundTrip, layer)).duplicate)
      const client = SqliteClient.layer({ filename: path.join(yield* folder, "app.db") })
      const over = Layer.provide(BurrowSqlite.layerFromClient(), client)
      assert.isFalse((yield* Effect.provide(roundTrip, over)).duplicate)
    }))
})
