import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as path from "node:path"
import * as AgentsLive from "../../src/layers/AgentsLive.js"
import * as BurrowSqlite from "../../src/layers/BurrowSqlite.js"
import * as ControlPlaneLive from "../../src/layers/ControlPlaneLive.js"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import { StoreUnavailable } from "../../src/schema/AgentError.js"
import { BlobWriteFailed } from "../../src/schema/BlobError.js"
import * as Input from "../../src/schema/Input.js"
import { EventsPruned, ReadFailed, RecordCorrupt } from "../../src/schema/StoreError.js"
import { Agents, type Service } from "../../src/services/Agents.js"
import { BlobStore } from "../../src/services/BlobStore.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { memory } from "../driver/environments.js"
import { advance, latch, settle, test, testEach, testFaulty, untilPhase } from "../engine/support.js"
import { folder } from "../sql/support.js"
import { agentsOf, waiting } from "./support.js"

const reasonOf = <A, E>(effect: Effect.Effect<A, E | StoreUnavailable>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, StoreUnavailable)
    const { message, reason, retryable } = error as StoreUnavailable
    assert.deepStrictEqual([message, retryable], [reason.message, reason.retryable])
    return reason
  })

const hello = Input.prompt("hello")

describe("send says what the caller can mend", () => {
  testEach("AgentClosed: the runtime takes nothing now, or never again", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open()
      const { plane } = process
      const agents = yield* agentsOf(process)
      const closed = Effect.flip(agents.send("a/x", hello))
      yield* agents.send("a/x", hello)
      yield* plane.stop("a/x")
      assert.deepInclude(yield* closed, { _tag: "AgentClosed", runtimeId: "a/x", state: "stopped" })
      yield* plane.resume("a/x")
      yield* plane.retire("a/x")
      assert.deepInclude(yield* closed, { _tag: "AgentClosed", state: "retired" })
      yield* plane.destroy("a/x")
      assert.deepInclude(yield* closed, { _tag: "AgentClosed", state: "destroyed" })
    }))

  testEach("QueueFull, InputTooLarge, InvalidInput, IdempotencyConflict", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits: { queueDepthMax: 1, inputBytesMax: 1_000, keyLengthMax: 10 } })
      const agents = yield* agentsOf(process)
      const refused = (input: Input.Draft, runtimeId = "a/x") => Effect.flip(agents.send(runtimeId, input))
      yield* agents.send("a/x", Input.prompt("hello", { idempotencyKey: "1" }))
      assert.deepInclude(yield* refused(hello), { _tag: "QueueFull", queueDepthMax: 1 })
      assert.deepInclude(yield* refused(Input.prompt("x".repeat(1_000))), {
        _tag: "InputTooLarge",
        inputBytesMax: 1_000
      })
      assert.deepInclude(yield* refused(Input.prompt("x", { idempotencyKey: "x".repeat(11) })), {
        _tag: "InvalidInput",
        field: "header.idempotencyKey"
      })
      assert.deepInclude(yield* refused(hello, ""), { _tag: "InvalidInput", field: "runtimeId" })
      assert.deepInclude(yield* refused(Input.prompt("other", { idempotencyKey: "1" })), {
        _tag: "IdempotencyConflict",
        key: "1"
      })
      // What the engine answers as a rejection: the draft is a mistake in itself.
      const derived = yield* refused(Input.prompt("x", { durability: "derived" }))
      assert.deepInclude(derived, { _tag: "InvalidInput", field: "input" })
    }))

  test("TooManyRuntimes, while all that are in memory have runs", ({ open }) =>
    Effect.gen(function*() {
      const process = yield* open({ limits: { runtimesLiveMax: 1 } })
      const agents = yield* agentsOf(process)
      const gate = yield* latch
      yield* process.plane.register("a", { apply: () => gate.wait })
      const { inputId } = yield* agents.send("a/1", hello)
      yield* untilPhase(process.plane, "a/1", inputId, "staged")
      assert.strictEqual((yield* Effect.flip(agents.send("a/2", hello)))._tag, "TooManyRuntimes")
      yield* gate.open
    }))

  it.scoped("InsideTransaction, of the store's own client: also for what is no sending, as a reason", () =>
    Effect.gen(function*() {
      const layer = BurrowSqlite.layer({ filename: path.join(yield* folder, "burrow.db") })
      const context = yield* Layer.build(layer)
      const agents = Context.get(context, Agents)
      const sql = Context.get(context, SqlClient.SqlClient)
      const { inputId } = yield* agents.send("a/x", hello)
      const sent = yield* sql.withTransaction(Effect.flip(agents.send("a/x", hello)))
      assert.strictEqual(sent._tag, "InsideTransaction")
      const reason = yield* sql.withTransaction(reasonOf(agents.cancel("a/x", { reason: "", inputId })))
      assert.strictEqual(reason._tag, "InsideTransaction")
    }))
})

describe("StoreUnavailable has the store's own error as its reason", () => {
  testFaulty("of a commit that fails, or of which nobody knows", ({ faults, ...process }) =>
    Effect.gen(function*() {
      const agents = yield* agentsOf(process)
      yield* agents.send("a/x", hello)
      for (const [fate, tag] of [["busy", "StoreBusy"], ["fail", "WriteFailed"]] as const) {
        faults.byCommit = () => fate
        assert.strictEqual((yield* reasonOf(agents.send("a/x", hello)))._tag, tag)
        // Nothing to write.
        yield* agents.cancel("a/x", { reason: "", inputId: "x" })
      }
      faults.byCommit = () => "write"
      const { inputId } = yield* agents.send("a/x", hello)
      faults.byCommit = () => "busy"
      assert.strictEqual((yield* reasonOf(agents.cancel("a/x", { reason: "", inputId })))._tag, "StoreBusy")
      faults.byCommit = () => "write"
      yield* waiting(process, "a/y", [hello], [{ question: "q", key: "1" }])
      faults.byCommit = () => "busy"
      const answer = { question: "q", key: "1", answer: "yes" }
      assert.strictEqual((yield* reasonOf(agents.answer("a/y", answer)))._tag, "StoreBusy")
      faults.byCommit = () => "lost"
      faults.barriersFailing = 1_000_000
      const unknown = yield* Effect.fork(reasonOf(agents.send("a/y", hello)))
      yield* advance("10 seconds", { steps: 10 })
      assert.strictEqual((yield* Fiber.join(unknown))._tag, "CommitUnknown")
    }))

  testFaulty(
    "when another owner has the runtime: also for those who wait",
    ({ faults, ...process }) =>
      Effect.gen(function*() {
        const agents = yield* agentsOf(process)
        const { inputId } = yield* agents.send("a/x", hello)
        const waiter = yield* Effect.fork(reasonOf(agents.await("a/x", inputId)))
        yield* settle
        faults.byCommit = () => "stale"
        assert.strictEqual((yield* reasonOf(agents.send("a/x", hello)))._tag, "OwnershipLost")
        assert.strictEqual((yield* Fiber.join(waiter))._tag, "OwnershipLost")
        assert.strictEqual((yield* reasonOf(agents.cancel("a/x", { reason: "" })).pipe(Effect.option))._tag, "None")
      })
  )

  testEach("when the store has closed", ({ open }) =>
    Effect.gen(function*() {
      const { close, ...process } = yield* open()
      const agents = yield* agentsOf(process)
      const { inputId } = yield* agents.send("a/x", hello)
      const waiter = yield* Effect.fork(reasonOf(agents.await("a/x", inputId)))
      const watcher = yield* Effect.fork(reasonOf(Stream.runDrain(agents.watch("a/x", {}))))
      yield* settle
      yield* close
      assert.strictEqual((yield* Fiber.join(waiter))._tag, "StoreClosed")
      assert.strictEqual((yield* Fiber.join(watcher))._tag, "ReadFailed")
      assert.strictEqual((yield* reasonOf(agents.send("a/x", hello)))._tag, "StoreClosed")
    }))

  it.scoped("of blobs that cannot be written, and of reads", () =>
    Effect.gen(function*() {
      const stores = yield* Layer.build(memory)
      const blobs = Context.get(stores, BlobStore)
      const store = Context.get(stores, RuntimeStore)
      const cause = new Error("the disk is on fire")
      const blind = () => Effect.fail(new ReadFailed({ operation: "a read", cause }))
      const reading = {
        ...store,
        loadSessionSnapshot: blind,
        loadActiveInputStates: blind,
        loadNotes: blind,
        loadTranscript: () =>
          Effect.fail(new RecordCorrupt({ runtimeId: "a/x", record: "message 1", field: "", problem: "is no JSON" })),
        loadEvents: () => Effect.fail(new EventsPruned({ runtimeId: "a/x", oldest: 7 }))
      }
      const agents: Service = yield* Effect.map(
        Layer.build(
          AgentsLive.layer.pipe(
            Layer.provide(ControlPlaneLive.layer),
            Layer.provide(DriverPersistent.layer),
            Layer.provide(Layer.succeed(RuntimeStore, reading)),
            Layer.provide(Layer.succeed(BlobStore, {
              ...blobs,
              put: () => Effect.fail(new BlobWriteFailed({ blobId: "sha256:0", cause }))
            })),
            Layer.provide([DigestPure.layer, IdGeneratorUuid.layer])
          )
        ),
        Context.get(Agents)
      )
      const picture = {
        _tag: "image" as const,
        mediaType: "image/png",
        source: { _tag: "inline" as const, data: new Uint8Array(100_000) }
      }
      assert.strictEqual((yield* reasonOf(agents.send("a/x", Input.prompt([picture]))))._tag, "BlobWriteFailed")
      assert.strictEqual((yield* reasonOf(agents.state("a/x")))._tag, "ReadFailed")
      assert.strictEqual((yield* reasonOf(agents.questions("a/x")))._tag, "ReadFailed")
      assert.strictEqual((yield* reasonOf(agents.cancel("a/x", { reason: "" })))._tag, "ReadFailed")
      const answer = { question: "q", key: "1", answer: null }
      assert.strictEqual((yield* reasonOf(agents.answer("a/x", answer)))._tag, "ReadFailed")
      assert.strictEqual((yield* reasonOf(agents.messages("a/x", {})))._tag, "RecordCorrupt")
      assert.strictEqual((yield* reasonOf(Stream.runDrain(agents.watch("a/x", {}))))._tag, "EventsPruned")
      assert.isTrue(Option.isNone(yield* store.loadRuntimeState(yield* F.freshRuntimeId)))
    }))
})
