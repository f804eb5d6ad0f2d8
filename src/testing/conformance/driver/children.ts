/**
 * Inputs that leave with a boundary and end with its batch: their cancels leave with the commit that ends it, and with no
 * other.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { InputId, RunId, RuntimeId } from "../../../schema/Ids.js"
import type { Draft, Input } from "../../../schema/Input.js"
import type { Drivers, Outgoing, Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { inputOf, waitingFor } from "./deposits.js"
import * as F from "./fixtures.js"

type DriversService = Context.Tag.Service<Drivers>

const childOf = (to: RuntimeId, key = "child"): Outgoing => ({ to, input: F.prompt(key, { key }), endsWithBatch: true })

interface Parent {
  /** The child's runtime. */
  readonly to: RuntimeId
  readonly child: InputId
  readonly runId: RunId
  /** The inputs of the batch. */
  readonly batch: ReadonlyArray<InputId>
}

/** An open run that has sent a child. */
const parent = (driver: Service, drivers: DriversService, drafts: ReadonlyArray<Draft> = [F.flow("a")]) =>
  Effect.gen(function*() {
    const to = yield* F.freshRuntimeId
    const batch = yield* F.acceptAll(driver, drafts)
    const { runId } = yield* F.stage(driver)
    yield* driver.note({ runId, outbox: [childOf(to)] })
    const [sent] = yield* waitingFor(drivers, to)
    return { to, child: sent!.inputId, runId, batch } satisfies Parent
  })

/** As `parent`, with the batch in the queue again. */
const interrupted = (driver: Service, drivers: DriversService, drafts?: ReadonlyArray<Draft>) =>
  Effect.tap(parent(driver, drivers, drafts), ({ runId }) => driver.giveBack({ runId }))

/** The inputs that a runtime is told to cancel, in order. */
const cancels = (drivers: DriversService, to: RuntimeId) =>
  Effect.map(
    Effect.flatMap(waitingFor(drivers, to), (found) => Effect.forEach(found, inputOf)),
    (inputs) => inputs.flatMap((input) => input._tag === "operation" ? [input.operationId] : [])
  )

const cancelOf = (inputId: InputId): Draft => ({
  _tag: "operation",
  header: { origin: { _tag: "peer", peerId: "parent" }, idempotencyKey: `cancel/${inputId}` },
  operationId: inputId,
  event: { _tag: "cancelled" }
})

type Command = (driver: Service, parent: Parent) => Effect.Effect<unknown, unknown>
type Named = readonly [name: string, command: Command]

const cancelInput: Command = (driver, { batch }) => driver.cancelInput({ inputId: batch[0]!, reason: "enough" })
const destroy: Command = (driver) => driver.destroy
const admitted: Command = (driver, { batch }) => driver.accept(cancelOf(batch[0]!))

const endsOfRuns: ReadonlyArray<Named> = [
  ["cancel", (driver, { runId }) => driver.cancel({ runId, reason: "enough" })],
  ["run_cancelled", (driver, { runId }) => driver.onRunEvent({ _tag: "run_cancelled", runId, reason: "enough" })],
  ["cancelInput", cancelInput],
  ["stop", (driver) => driver.stop],
  ["destroy", destroy],
  ["an admitted cancel", admitted]
]

const endsOfBatches: ReadonlyArray<Named> = [
  ["cancelInput", cancelInput],
  ["abandonPending", (driver) => driver.abandonPending({ _tag: "retired" })],
  ["reset", (driver) => driver.reset],
  ["destroy", destroy],
  ["an admitted cancel", admitted]
]

const ended = [
  ...endsOfRuns.map(([name, end]) =>
    F.make(
      `I2: when ${name} ends a run, the cancel of its batch's child leaves with that commit, behind the child`,
      (driver, drivers) =>
        Effect.gen(function*() {
          const family = yield* parent(driver, drivers)
          yield* expectEqual(yield* cancels(drivers, family.to), [], "what is cancelled before")
          yield* end(driver, family)
          const [sent, cancel, ...more] = yield* waitingFor(drivers, family.to)
          yield* expectEqual([sent!.inputId, more.length], [family.child, 0], "what waits besides")
          const input = yield* inputOf(cancel!)
          yield* check(input._tag === "operation", "the other one is an operation")
          const { event, operationId } = input as Extract<Input, { readonly _tag: "operation" }>
          yield* expectEqual<unknown>([operationId, event], [family.child, { _tag: "cancelled" }], "the operation")
          const { durability, id, idempotencyKey, origin, visibility } = input.header
          yield* expectEqual<unknown>(
            { durability, id, idempotencyKey, origin, visibility },
            {
              durability: "durable",
              id: cancel!.inputId,
              idempotencyKey: `cancel/${family.child}`,
              origin: { _tag: "peer", peerId: driver.runtimeId, runtimeId: driver.runtimeId },
              visibility: { transcript: false, operator: false }
            },
            "its header"
          )
        })
    )
  ),
  ...endsOfBatches.flatMap(([name, end]) => [
    F.make(
      `I2: ${name} of a batch that waits for its next attempt cancels its child`,
      (driver, drivers) =>
        Effect.gen(function*() {
          const family = yield* interrupted(driver, drivers)
          yield* end(driver, family)
          yield* expectEqual(yield* cancels(drivers, family.to), [family.child], "what is cancelled")
        })
    ),
    F.make(`I2: ${name} of a batch that is held cancels its child`, (driver, drivers) =>
      Effect.gen(function*() {
        const family = yield* parent(driver, drivers)
        yield* driver.hold({ runId: family.runId, reason: "operator" })
        yield* end(driver, family)
        yield* expectEqual(yield* cancels(drivers, family.to), [family.child], "what is cancelled")
      }))
  ]),
  F.make(
    "children of all attempts, boundaries and runtimes are cancelled, each once",
    (driver, drivers) =>
      Effect.gen(function*() {
        const { child, to } = yield* interrupted(driver, drivers)
        const other = yield* F.freshRuntimeId
        const { runId } = yield* F.stage(driver)
        yield* driver.checkpoint({ runId, outbox: [childOf(other, "1"), { to: other, input: F.prompt("apart") }] })
        yield* driver.note({ runId, outbox: [childOf(other, "2"), childOf(to), childOf(driver.runtimeId, "own")] })
        yield* driver.cancel({ runId, reason: "enough" })
        const [one, , two] = yield* waitingFor(drivers, other)
        const [own] = yield* waitingFor(drivers, driver.runtimeId)
        yield* expectEqual(yield* cancels(drivers, to), [child], "the first attempt's")
        yield* expectEqual<unknown>(yield* cancels(drivers, other), [one!.inputId, two!.inputId], "the second's")
        yield* expectEqual<unknown>(yield* cancels(drivers, driver.runtimeId), [own!.inputId], "in its own runtime")
      })
  ),
  F.make("a child is cancelled with the last member of its batch", (driver, drivers) =>
    Effect.gen(function*() {
      const { batch, child, to } = yield* interrupted(driver, drivers, [F.flow("a"), F.flow("b")])
      yield* driver.cancelInput({ inputId: batch[0]!, reason: "enough" })
      yield* expectEqual(yield* cancels(drivers, to), [], "what is cancelled with the first")
      yield* driver.accept(cancelOf(batch[1]!))
      yield* expectEqual(yield* cancels(drivers, to), [child], "what is cancelled with the last")
    })),
  F.make("the end of one batch cancels no other's child", (driver, drivers) =>
    Effect.gen(function*() {
      const { to } = yield* interrupted(driver, drivers)
      const [waiting] = yield* F.acceptAll(driver, [F.flow("b")])
      yield* driver.cancelInput({ inputId: waiting!, reason: "enough" })
      const { runId } = yield* F.stageOf(driver, ["a"])
      yield* driver.hold({ runId, reason: "operator" })
      const second = yield* parent(driver, drivers, [F.flow("c")])
      yield* driver.cancel({ runId: second.runId, reason: "enough" })
      yield* expectEqual(yield* cancels(drivers, second.to), [second.child], "what is cancelled of the one")
      yield* expectEqual(yield* cancels(drivers, to), [], "what is cancelled of the other")
    }))
]

const goOn: ReadonlyArray<Named> = [
  ["is completed", (driver, { runId }) => driver.complete({ runId })],
  ["fails, and is tried again", (driver, { runId }) => driver.fail({ runId, failure: F.failure })],
  ["is a dead letter", (driver, { runId }) => driver.fail({ runId, failure: F.failure, recoverable: false })],
  ["is given back", (driver, { runId }) => driver.giveBack({ runId })],
  ["is held", (driver, { runId }) => driver.hold({ runId, reason: "question" })],
  ["is settled", (driver, { runId }) => driver.settle({ runId })],
  ["is lost", (driver) => driver.recover]
]

const unharmed = [
  ...goOn.map(([what, close]) =>
    F.make(`a child goes on when its batch ${what}`, (driver, drivers) =>
      Effect.gen(function*() {
        const family = yield* parent(driver, drivers)
        yield* close(driver, family)
        yield* expectEqual((yield* waitingFor(drivers, family.to)).length, 1, "how many wait")
      }))
  ),
  F.make("what leaves without endsWithBatch is cancelled by nobody", (driver, drivers) =>
    Effect.gen(function*() {
      const to = yield* F.freshRuntimeId
      const { runId } = yield* F.running(driver)
      yield* driver.note({ runId, outbox: [{ to, input: F.prompt("free", { key: "free" }) }] })
      yield* driver.cancel({ runId, reason: "enough" })
      yield* expectEqual((yield* waitingFor(drivers, to)).length, 1, "how many wait")
    }))
]

/** Admits what waits for a runtime, as its owner does. */
const admitAll = (drivers: DriversService, to: RuntimeId) =>
  Effect.gen(function*() {
    const driver = yield* drivers.get(to)
    const found = yield* waitingFor(drivers, to)
    yield* Effect.forEach(found, (deposit) => driver.admit(deposit))
    yield* drivers.store.settleDeposits(found.map(({ no }) => ({ no, failure: null })))
    return driver
  })

const admitting = [
  F.make(
    "the cancel ends the child wherever it is, and its own children with it, in the commit that admits it",
    (driver, drivers) =>
      Effect.gen(function*() {
        const family = yield* parent(driver, drivers)
        const middle = yield* admitAll(drivers, family.to)
        const { runId } = yield* F.stageOf(middle, ["child"])
        const to = yield* F.freshRuntimeId
        yield* middle.note({ runId, outbox: [childOf(to, "grandchild")] })
        yield* driver.cancel({ runId: family.runId, reason: "enough" })
        yield* expectEqual(yield* cancels(drivers, to), [], "what is cancelled before")
        yield* admitAll(drivers, family.to)
        yield* F.expectPhase(middle, family.child, "abandoned")
        const last = yield* admitAll(drivers, to)
        yield* expectEqual(yield* last.activeInputIds, [], "what the last one has to do")
        yield* expectEqual(yield* F.drain(last), [], "what it does")
      })
  ),
  F.make("the cancel that is admitted again cancels nothing again", (driver, drivers) =>
    Effect.gen(function*() {
      const family = yield* parent(driver, drivers)
      yield* admitted(driver, family)
      const again = yield* driver.accept(cancelOf(family.batch[0]!))
      yield* expectEqual(again._tag, "deduplicated", "the answer")
      yield* expectEqual(yield* cancels(drivers, family.to), [family.child], "what is cancelled")
    })),
  F.make("a child that has ended stays what it is", (driver, drivers) =>
    Effect.gen(function*() {
      const family = yield* parent(driver, drivers)
      const child = yield* admitAll(drivers, family.to)
      yield* F.drain(child)
      yield* driver.cancel({ runId: family.runId, reason: "enough" })
      const before = yield* F.head(child, family.child)
      yield* admitAll(drivers, family.to)
      yield* expectEqual(yield* F.head(child, family.child), before, "its head")
    }))
]

const repeated = [
  F.make(
    "I7: the exact repetition of a boundary with a child is recognised, also when its run is over",
    (driver, drivers) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const { runId } = yield* F.running(driver)
        const boundary = driver.note({ runId, after: 0, outbox: [childOf(to)] })
        yield* boundary
        yield* expectEqual((yield* boundary).alreadyApplied, true, "alreadyApplied")
        yield* driver.cancel({ runId, reason: "enough" })
        yield* expectEqual((yield* boundary).alreadyApplied, true, "alreadyApplied afterwards")
        const found = yield* waitingFor(drivers, to)
        yield* expectEqual<unknown>(yield* cancels(drivers, to), [found[0]!.inputId], "what is cancelled")
        yield* expectEqual(found.length, 2, "how many wait")
      })
  ),
  F.make("I7: children are part of what a boundary says", (driver) =>
    Effect.gen(function*() {
      const to = yield* F.freshRuntimeId
      const { runId } = yield* F.running(driver)
      const outboxes = [[childOf(to, "other")], [childOf(yield* F.freshRuntimeId)], []]
      yield* driver.note({ runId, after: 0, outbox: [childOf(to)] })
      for (const outbox of outboxes) {
        yield* expectFailure(driver.note({ runId, after: 0, outbox }), "ReceiptConflict")
      }
    })),
  F.make(
    "a child that was sent before by the same batch may be sent again",
    (driver, drivers) =>
      Effect.gen(function*() {
        const { child, to } = yield* interrupted(driver, drivers)
        const { runId } = yield* F.stage(driver)
        yield* driver.note({ runId, outbox: [childOf(to)] })
        yield* driver.note({ runId, outbox: [childOf(to)] })
        yield* driver.cancel({ runId, reason: "enough" })
        yield* expectEqual(yield* cancels(drivers, to), [child], "what is cancelled")
      })
  )
]

const invalid: ReadonlyArray<
  readonly [what: string, field: string, outbox: (to: RuntimeId) => ReadonlyArray<Outgoing>]
> = [
  ["a child with neither an id nor a key", "outbox", (to) => [{ to, input: F.prompt("p"), endsWithBatch: true }]],
  ["two children of one id", "outbox", (to) => [childOf(to), childOf(to)]]
]

const checked = [
  ...invalid.map(([what, field, outbox]) =>
    F.make(
      `${what} is InvalidInput{${field}}, and nothing of the boundary is there`,
      (driver, drivers) =>
        Effect.gen(function*() {
          const to = yield* F.freshRuntimeId
          const { runId } = yield* F.running(driver)
          const boundary = driver.note({ runId, outbox: outbox(to) })
          const error = yield* F.expectUnchanged(driver, expectFailure(boundary, "InvalidInput"))
          yield* expectEqual(error.field, field, "the field")
          yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
        })
    )
  ),
  F.make(
    "a child that is handed over by itself is InvalidInput{outbox}, and is not handed over",
    (_, drivers) =>
      Effect.gen(function*() {
        const to = yield* F.freshRuntimeId
        const error = yield* expectFailure(drivers.post(childOf(to)), "InvalidInput")
        yield* expectEqual(error.field, "outbox", "the field")
        yield* expectEqual(yield* waitingFor(drivers, to), [], "what waits")
      })
  ),
  F.make("a note under a name that children have is InvalidInput{notes[0].scope}", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      const boundary = driver.note({ runId, notes: [{ scope: "children/b", key: "k", value: null }] })
      const error = yield* F.expectUnchanged(driver, expectFailure(boundary, "InvalidInput"))
      yield* expectEqual(error.field, "notes[0].scope", "the field")
    }))
]

export const cases = [...ended, ...unharmed, ...admitting, ...repeated, ...checked]

export const durableCases = [
  F.makeDurable(
    "I2: a child is cancelled with its batch by the next owner, too",
    (driver, { drivers, restart }) =>
      Effect.gen(function*() {
        const { batch, child, to } = yield* parent(driver, drivers)
        const next = yield* restart()
        yield* expectEqual(yield* cancels(drivers, to), [], "what is cancelled by the crash")
        yield* next.cancelInput({ inputId: batch[0]!, reason: "enough" })
        yield* expectEqual(yield* cancels(drivers, to), [child], "what is cancelled")
      })
  ),
  F.makeDurable(
    "I1, I2: the cancel of a child is there after a crash",
    (driver, { drivers, restart }) =>
      Effect.gen(function*() {
        const { child, runId, to } = yield* parent(driver, drivers)
        yield* driver.cancel({ runId, reason: "enough" })
        yield* restart()
        yield* expectEqual(yield* cancels(drivers, to), [child], "what is cancelled")
      })
  ),
  F.makeDurable("I9: a loser cancels no child", (driver, { drivers, restart }) =>
    Effect.gen(function*() {
      const { runId, to } = yield* parent(driver, drivers)
      yield* restart()
      yield* expectFailure(driver.cancel({ runId, reason: "enough" }), "OwnershipLost")
      yield* expectEqual(yield* cancels(drivers, to), [], "what is cancelled")
    }))
]
