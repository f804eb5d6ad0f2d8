import { assert, describe, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as path from "node:path"
import * as BlobStoreMemory from "../../src/layers/BlobStoreMemory.js"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as RuntimeStoreSqlite from "../../src/layers/RuntimeStoreSqlite.js"
import * as Input from "../../src/schema/Input.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import { Drivers, type Outgoing } from "../../src/services/Driver.js"
import type { Executor, Run } from "../../src/services/Executor.js"
import { folder } from "../sql/support.js"
import {
  accepted,
  advance,
  eventsOf,
  headOf,
  type Plane,
  type Process,
  settle,
  tally,
  test,
  testEach,
  textOf,
  until,
  untilPhase,
  untilTrue
} from "./support.js"

const childOf = (to: string, text = "child"): Outgoing => ({
  to,
  input: Input.prompt(text, { idempotencyKey: text }),
  endsWithBatch: true
})

/** Agents that never end by themselves, and what becomes of their runs. `sends` is what each does first. */
const agents = (sends: { readonly [agent: string]: (run: Run) => ReadonlyArray<Outgoing> }) => {
  const log: Array<string> = []
  const executor = (agent: string): Executor => ({
    apply: (run) =>
      Effect.gen(function*() {
        log.push(`${agent} begins`)
        const outbox = sends[agent]!(run)
        if (outbox.length > 0) yield* Effect.orDie(run.note({ outbox }))
        return yield* Effect.never
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push(`${agent} is interrupted`))))
  })
  const register = (plane: Plane) =>
    Effect.forEach(Object.keys(sends), (agent) => plane.register(agent, executor(agent)), { discard: true })
  return { log, register }
}

const headsOf = (plane: Plane, runtimeId: string) =>
  Effect.map(plane.inputs(runtimeId), (rows) => Arr.getRights(rows).map(({ head }) => head))

const onlyInputOf = (plane: Plane, runtimeId: string) =>
  Effect.map(headsOf(plane, runtimeId), (heads) => {
    assert.strictEqual(heads.length, 1)
    return heads[0]!.id
  })

const nothingWaits = ({ store }: Pick<Process, "store">) =>
  until("nothing waits", Effect.map(store.loadDeposits(), (found) => found.length === 0))

describe("a child that leaves with a boundary", () => {
  testEach("is cancelled with its parent, and its own child with it", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      const { log, register } = agents({
        parent: () => [childOf("child/1")],
        child: () => [childOf("grandchild/1")],
        grandchild: () => []
      })
      yield* register(plane)
      const id = yield* accepted(plane, "parent/1", Input.prompt("go"))
      yield* untilTrue("all run", () => log.length === 3)
      const [child, grandchild] = [yield* onlyInputOf(plane, "child/1"), yield* onlyInputOf(plane, "grandchild/1")]
      const reply = yield* plane.cancel("parent/1", { reason: "enough" })
      assert.deepStrictEqual(reply.abandoned, [id])
      yield* untilPhase(plane, "child/1", child, "abandoned")
      yield* untilPhase(plane, "grandchild/1", grandchild, "abandoned")
      yield* untilTrue("all are interrupted", () => log.length === 6)
      assert.deepStrictEqual(log.slice(3), [
        "parent is interrupted",
        "child is interrupted",
        "grandchild is interrupted"
      ])
      assert.deepStrictEqual((yield* headOf(plane, "child/1", child)).outcome, {
        _tag: "abandoned",
        reason: { _tag: "cancelled", reason: "cancelled by parent/1" }
      })
      yield* nothingWaits(process)
    }))

  testEach("goes on when its parent is a dead letter", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      const { log, register } = agents({ child: () => [] })
      yield* register(plane)
      yield* plane.register("parent", {
        apply: (run) => Effect.zipRight(Effect.orDie(run.note({ outbox: [childOf("child")] })), Effect.fail("no"))
      }, { attemptsMax: 1 })
      yield* Effect.flip(plane.submit("parent", Input.prompt("go")))
      yield* untilTrue("it runs", () => log.length === 1)
      yield* nothingWaits(process)
      yield* settle
      assert.deepStrictEqual(log, ["child begins"])
      assert.strictEqual(tally(yield* eventsOf(process, "child"))["input.accepted"], 1)
    }))

  test("is cancelled behind itself, when its runtime was full", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits: { queueDepthMax: 1 } })
      const { plane, store } = process
      const { log, register } = agents({ parent: () => [childOf("child")], child: () => [] })
      yield* register(plane)
      const blocker = yield* accepted(plane, "child", Input.prompt("blocker"))
      yield* accepted(plane, "parent", Input.prompt("go"))
      yield* untilTrue("both run", () => log.length === 2)
      yield* settle
      yield* plane.cancel("parent", { reason: "enough" })
      yield* advance("1 minute", { steps: 10 })
      const [child, cancel] = yield* store.loadDeposits()
      assert.deepStrictEqual([child?.runtimeId, cancel?.runtimeId] as ReadonlyArray<unknown>, ["child", "child"])
      yield* plane.cancel("child", { inputId: blocker, reason: "room" })
      yield* advance("1 minute", { steps: 10 })
      yield* nothingWaits(process)
      yield* untilPhase(plane, "child", child!.inputId, "abandoned")
      const order = (yield* headsOf(plane, "child")).map(({ id }) => id)
      assert.deepStrictEqual(order, [blocker, child!.inputId, cancel!.inputId])
    }))

  test("is cancelled behind itself, when its runtime was stopped, and over a restart", ({ open }) =>
    Effect.gen(function*() {
      const first = yield* open()
      const agency = agents({ parent: () => [childOf("child")], child: () => [] })
      yield* agency.register(first.plane)
      const zero = yield* accepted(first.plane, "child", Input.prompt("0"))
      yield* untilPhase(first.plane, "child", zero, "staged")
      yield* first.plane.stop("child")
      yield* accepted(first.plane, "parent", Input.prompt("go"))
      yield* untilTrue("the parent runs", () => agency.log.includes("parent begins"))
      yield* settle
      yield* first.plane.cancel("parent", { reason: "enough" })
      yield* advance("1 minute", { steps: 10 })
      assert.strictEqual((yield* first.store.loadDeposits()).length, 2)
      yield* first.close
      const second = yield* open()
      yield* agency.register(second.plane)
      const [child] = yield* second.store.loadDeposits()
      yield* second.plane.resume("child")
      yield* advance("1 minute", { steps: 10 })
      yield* nothingWaits(second)
      yield* untilPhase(second.plane, "child", child!.inputId, "abandoned")
    }))

  it.scoped(
    "is cancelled by the next process, when its parent's cancel was the last thing that one did",
    () =>
      Effect.gen(function*() {
        const filename = path.join(yield* folder, "burrow.db")
        const sends = { parent: (run: Run) => [childOf("child", textOf(run))], child: () => [] }
        const plane = Effect.map(
          Layer.build(BurrowSqlite.layer({ filename })),
          (context) => Context.get(context, ControlPlane)
        )
        const first = agents(sends)
        const [parent, child] = yield* Effect.scoped(Effect.gen(function*() {
          const process = yield* plane
          yield* first.register(process)
          const parent = yield* accepted(process, "parent", Input.prompt("go"))
          yield* untilTrue("both run", () => first.log.length === 2)
          return [parent, yield* onlyInputOf(process, "child")] as const
        }))
        // Nobody delivers anything here: what the commit has left behind is all there is.
        const drivers = DriverPersistent.layer.pipe(
          Layer.provide(Layer.merge(RuntimeStoreSqlite.layer({ filename }), BlobStoreMemory.layer)),
          Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
        )
        yield* Effect.scoped(Effect.gen(function*() {
          const driver = yield* Context.get(yield* Layer.build(drivers), Drivers).get("parent")
          yield* driver.cancelInput({ inputId: parent, reason: "enough" })
        }))
        const second = agents(sends)
        const process = yield* plane
        yield* untilPhase(process, "child", child, "abandoned")
        yield* second.register(process)
        yield* settle
        assert.deepStrictEqual(second.log, [])
        assert.deepStrictEqual(Option.getOrThrow(yield* process.input("parent", parent)).head.phase, "abandoned")
      }),
    20_000
  )
})
