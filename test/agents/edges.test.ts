import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as DigestPure from "../../src/layers/DigestPure.js"
import * as DriverPersistent from "../../src/layers/DriverPersistent.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import * as Input from "../../src/schema/Input.js"
import { Message } from "../../src/schema/Message.js"
import * as Agent from "../../src/services/Agent.js"
import { Agents, operationOf } from "../../src/services/Agents.js"
import { eventLoopTurn } from "../../src/services/Batcher.js"
import { Drivers } from "../../src/services/Driver.js"
import { advance, latch, type Process, settle, until } from "../engine/support.js"
import { agentTest, headIn, phaseOf, untilIs, untilParked } from "./bench.js"

class Clerk extends Agent.make("clerk", {
  result: Schema.String,
  questions: { approval: { ask: Schema.String, answer: Schema.Boolean } }
}) {}

type Run = Agent.RunOf<typeof Clerk>

const clerk = Clerk.of("ana")

/** A run whose work is a program around `ask`. */
const working = (program: (run: Run) => Effect.Effect<string, unknown, Agent.Provided>) =>
  Clerk.toLayer((run) => Effect.map(Effect.orDie(program(run)), (result) => ({ result })), { attemptsMax: 1 })

const asks = (run: Run, key: string) => run.ask("approval", { key, ask: key })

const textsOf = (messages: ReadonlyArray<Message>) => messages.map(Message.text)

/** Some way into whatever else goes on: further with each number. */
const after = (steps: number) =>
  Effect.zipRight(
    Effect.forEach(Array.from({ length: steps % 4 }), () => Effect.yieldNow(), { discard: true }),
    Effect.forEach(Array.from({ length: Math.floor(steps / 4) }), () => eventLoopTurn, { discard: true })
  )

describe("a question at the edges", () => {
  agentTest(
    "does not park a run whose first fiber works uninterruptibly beside it, until that is done; nor is it charged",
    (bench) =>
      Effect.gen(function*() {
        const did: Array<string> = []
        const gate = yield* latch
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            const beside = yield* Effect.fork(asks(run, "beside"))
            yield* Effect.acquireRelease(
              Effect.zipRight(gate.wait, Effect.sync(() => did.push("worked"))),
              () => Effect.void
            )
            const answers = yield* Effect.forEach(["a", "b", "c", "d"], (key) => asks(run, key), { concurrency: 2 })
            return [...answers, yield* Fiber.join(beside)].join()
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
        yield* settle
        assert.strictEqual(yield* phaseOf(process, clerk, inputId), "staged")
        assert.deepStrictEqual(did, [])
        yield* gate.open
        // Two of four, and the one beside them.
        yield* untilParked(process, clerk, inputId)
        assert.deepStrictEqual(did, ["worked"])
        assert.strictEqual((yield* headIn(process, clerk, inputId)).attempt, 0)
        assert.deepStrictEqual((yield* clerk.questions).map(({ key }) => key).sort(), ["a", "b", "beside"])
        for (const keys of [["beside", "a"], ["b", "c"], ["d"]]) {
          for (const key of keys) {
            yield* until(
              `${key} is asked`,
              Effect.map(clerk.questions, (open) => open.some((asked) => asked.key === key))
            )
            yield* clerk.answer("approval", key, true)
          }
        }
        assert.strictEqual(yield* clerk.await(inputId), "true,true,true,true,true")
      })
  )

  agentTest(
    "is committed once with what goes with it, also by who is interrupted in the middle of that and asks again",
    (bench) =>
      Effect.gen(function*() {
        const keys = Array.from({ length: 32 }, (_, i) => `k${i}`)
        const alongside: Array<string> = []
        let cut = 0
        const asking = (run: Run, key: string) =>
          run.ask("approval", {
            key,
            ask: key,
            commit: { append: [Message.assistant(key)], alongside: Effect.sync(() => alongside.push(key)) }
          })
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            for (const [i, key] of keys.entries()) {
              const ask = asking(run, key)
              const interrupted = Effect.onInterrupt(ask, () => Effect.sync(() => cut++))
              // Whose end is waited for, and whose is not.
              yield* Effect.race(i % 2 === 0 ? interrupted : Effect.disconnect(interrupted), after(i >> 1))
              yield* Effect.race(ask, after(1))
              yield* Effect.race(ask, Effect.void)
            }
            const answers = yield* Effect.forEach(keys, (key) => asking(run, key), { concurrency: "unbounded" })
            return `${answers.every((answer) => answer)} ${textsOf(yield* run.history()).join()}`
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* untilParked(process, clerk, inputId)
        assert.isAbove(cut, 0)
        assert.deepStrictEqual([...alongside].sort(), [...keys].sort())
        const { items } = yield* clerk.messages()
        assert.deepStrictEqual(textsOf(items).sort(), ["go", ...keys].sort())
        for (const key of keys) yield* clerk.answer("approval", key, true)
        assert.strictEqual(yield* clerk.await(inputId), `true ${textsOf(items).join()}`)
        assert.strictEqual(alongside.length, keys.length)
      })
  )

  agentTest(
    "within an uninterruptible region parks the run, and its fiber ends",
    (bench) =>
      Effect.gen(function*() {
        const counts = { begun: 0, ended: 0 }
        const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.zipRight(
            Effect.sync(() => counts.begun++),
            Effect.onExit(effect, () => Effect.sync(() => counts.ended++))
          )
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            const first = yield* Effect.acquireRelease(counted(asks(run, "a")), () => Effect.void)
            const second = yield* Effect.uninterruptible(counted(asks(run, "b")))
            return [first, second].join()
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* untilParked(process, clerk, inputId)
        assert.deepStrictEqual(counts, { begun: 1, ended: 1 })
        yield* clerk.answer("approval", "a", true)
        yield* until("the other is asked", Effect.map(clerk.questions, (open) => open[0]?.key === "b"))
        yield* untilParked(process, clerk, inputId)
        assert.deepStrictEqual(counts, { begun: 3, ended: 3 })
        yield* clerk.answer("approval", "b", false)
        assert.strictEqual(yield* clerk.await(inputId), "true,false")
        assert.strictEqual(counts.begun, counts.ended)
      })
  )

  agentTest(
    "that expires after an infinite time never does, and one that does after part of a millisecond does after the whole",
    (bench) =>
      Effect.gen(function*() {
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            const [first, second, third] = yield* Effect.all([
              run.ask("approval", { key: "a", ask: "?", expires: Infinity }),
              run.ask("approval", { key: "b", ask: "?", expires: Duration.infinity }),
              Effect.either(run.ask("approval", { key: "c", ask: "?", expires: Duration.millis(1000.5) }))
            ], { concurrency: "unbounded" })
            return [first, second, third._tag].join()
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* untilParked(process, clerk, inputId)
        const deadlines = (yield* clerk.questions).map(({ expiresAt, key }) => [
          key,
          Option.getOrNull(Option.map(expiresAt, ({ epochMillis }) => epochMillis))
        ])
        assert.deepStrictEqual(
          new Map(deadlines as Array<[string, unknown]>),
          new Map([["a", null], ["b", null], ["c", 1001]] as const)
        )
        yield* advance("1000 millis")
        assert.strictEqual((yield* clerk.questions).length, 3)
        yield* advance("1 millis")
        yield* until("it has expired", Effect.map(clerk.questions, (open) => open.length === 2))
        yield* advance("7 days", { steps: 2 })
        assert.strictEqual((yield* clerk.questions).length, 2)
        yield* clerk.answer("approval", "a", true)
        yield* clerk.answer("approval", "b", false)
        assert.strictEqual(yield* clerk.await(inputId), "true,false,Left")
      })
  )

  agentTest("is left out of the questions when the agent has it no more", (bench) =>
    Effect.gen(function*() {
      class Both extends Agent.make("clerk", {
        questions: {
          approval: { ask: Schema.String, answer: Schema.Boolean },
          old: { ask: Schema.String, answer: Schema.String }
        }
      }) {}
      const process = yield* bench.open(Both.toLayer((run) =>
        Effect.asVoid(Effect.orDie(Effect.all([
          run.ask("old", { key: "1", ask: "?" }),
          run.ask("approval", { key: "2", ask: "?" })
        ], { concurrency: "unbounded" })))
      ))
      const { inputId } = yield* Both.of("ana").send("go")
      yield* untilParked(process, clerk, inputId)
      assert.strictEqual((yield* Both.of("ana").questions).length, 2)
      assert.deepStrictEqual((yield* clerk.questions).map(({ key, question }) => [question, key]), [["approval", "2"]])
    }))

  agentTest(
    "whose operation was ended as failed is no expiry: the run fails with what was said",
    (bench) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const process = yield* bench.open(working((run) =>
          Effect.catchAllCause(asks(run, "a"), (cause) => {
            seen.push(cause._tag)
            return Effect.failCause(cause)
          }).pipe(Effect.catchAll(() => Effect.succeed(true)), Effect.map(String))
        ))
        const { inputId } = yield* clerk.send("go")
        yield* untilParked(process, clerk, inputId)
        yield* process.plane.endOperation(clerk.runtimeId, operationOf("approval", "a"), {
          _tag: "failed",
          error: "the desk has burned down"
        })
        const dead = yield* Effect.flip(clerk.await(inputId))
        assert.isTrue(dead._tag === "DeadLettered" && /the desk has burned down/.test(dead.error.message))
        assert.isFalse(seen.includes("Fail"))
        assert.deepStrictEqual(yield* clerk.questions, [])
      })
  )
})

class Chat extends Agent.make("chat", { result: Schema.Array(Schema.String) }) {}

const chat = Chat.of("ana")

describe("a steer at the edges", () => {
  agentTest(
    "is told of once, by the next checkpoint when the caller of one was interrupted behind its commit",
    (bench) =>
      Effect.gen(function*() {
        const agents = yield* Agents
        const steers = Array.from({ length: 40 }, (_, i) => `s${i}`)
        let cut = 0
        yield* bench.open(Chat.toLayer((run) =>
          Effect.gen(function*() {
            const seen: Array<string> = []
            for (const [i, text] of steers.entries()) {
              yield* Effect.orDie(Effect.provideService(chat.steer(text), Agents, agents))
              const checkpoint = yield* Effect.fork(run.checkpoint())
              yield* after(i)
              const exit = yield* Fiber.interrupt(checkpoint)
              if (Exit.isSuccess(exit)) seen.push(...exit.value.map(({ text }) => text))
              else cut++
              seen.push(...(yield* run.checkpoint()).map(({ text }) => text))
            }
            return { result: seen }
          })
        ))
        assert.deepStrictEqual(yield* chat.call("go"), steers)
        assert.isAbove(cut, 0)
        assert.deepStrictEqual(textsOf((yield* chat.messages()).items), ["go", ...steers])
      })
  )

  class Own extends Agent.make("own", {
    message: { schema: Schema.String, fromInput: (input) => Option.some(input.text) },
    result: Schema.Number
  }) {}

  agentTest(
    "is one of more, over the life of a run, than one boundary may append, of an agent with messages of its own",
    (bench) =>
      Effect.gen(function*() {
        const agents = yield* Agents
        const own = Own.of("ana")
        yield* bench.openWith(
          { limits: { appendMessagesMax: 4 } },
          Own.toLayer((run) =>
            Effect.gen(function*() {
              for (let round = 0; round < 5; round++) {
                for (let i = 0; i < 3; i++) {
                  yield* Effect.orDie(Effect.provideService(own.steer(`${round}.${i}`), Agents, agents))
                }
                assert.strictEqual((yield* run.checkpoint({ append: ["yes"] })).length, 3)
              }
              return { result: (yield* run.history()).length }
            }), { attemptsMax: 1 })
        )
        assert.strictEqual(yield* own.call("go"), 21)
        const { items } = yield* own.messages()
        assert.deepStrictEqual([items.length, items[0], items.at(-1)], [21, "go", "4.2"])
      })
  )
})

class Meter extends Agent.make("meter", { state: Schema.Number, initial: 0, result: Schema.Number }) {}

const meter = Meter.of("ana")

describe("a state at the edges", () => {
  agentTest(
    "that has no JSON form is refused before it is stored: the input fails, and the next one finds the old state",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open(Meter.toLayer((run) =>
          Effect.gen(function*() {
            const before = yield* run.state
            const [{ text }] = run.inputs
            if (text === "checkpoint") yield* run.checkpoint({ state: Infinity })
            return { state: text === "end" ? NaN : before + 1, result: before }
          }), { attemptsMax: 1 }))
        assert.strictEqual(yield* meter.call("one"), 0)
        for (const text of ["end", "checkpoint"]) {
          const dead = yield* Effect.flip(meter.call(text))
          assert.isTrue(dead._tag === "DeadLettered" && /state/.test(dead.error.message))
          assert.strictEqual(yield* meter.state, 1)
        }
        assert.strictEqual(yield* meter.call("two"), 1)
        assert.strictEqual(yield* meter.state, 2)
      })
  )

  /** A process that begins an input's run, and is gone. */
  const lost = ({ stores }: Process) =>
    Effect.gen(function*() {
      const driver = yield* Context.get(yield* Layer.build(DriverPersistent.layer), Drivers).get(meter.runtimeId)
      const taken = yield* driver.accept(Input.prompt("two"))
      const staged = yield* driver.stage()
      if (taken._tag !== "accepted" || staged._tag !== "staged") return assert.fail("it did not begin")
      yield* driver.checkpoint({ runId: staged.run.runId, after: 0 })
      return taken.inputId
    }).pipe(Effect.provide(stores), Effect.provide([DigestPure.layer, IdGeneratorUuid.layer]))

  agentTest(
    "that a deploy does not read keeps the doubt: who is released after it is asked about, and then tried again",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const counting = Meter.toLayer((run) =>
          Effect.gen(function*() {
            const before = yield* run.state
            log.push(`runs ${run.attempt}`)
            return { state: before + 1, result: before }
          }), {
          inDoubt: (run) =>
            Effect.sync(() => {
              log.push(`doubts ${run.attempt}`)
              return "retry" as const
            })
        })
        yield* bench.open(counting)
        assert.strictEqual(yield* meter.call("one"), 0)
        const inputId = yield* lost(yield* bench.open())
        class Broken extends Agent.make("meter", { state: Schema.String, initial: "" }) {}
        const broken = Broken.toLayer(() => Effect.sync(() => void log.push("broken runs")), {
          inDoubt: () => Effect.succeed("settle")
        })
        let process = yield* bench.open(broken)
        yield* untilIs(process, meter, inputId, "held: undecodable")
        // As often as it is released too early.
        yield* process.plane.release(meter.runtimeId, inputId)
        yield* settle
        yield* untilIs(process, meter, inputId, "held: undecodable")
        process = yield* bench.open(counting)
        yield* settle
        assert.deepStrictEqual(log, ["runs 1"])
        yield* process.plane.release(meter.runtimeId, inputId)
        assert.strictEqual(yield* meter.await(inputId), 1)
        assert.deepStrictEqual(log, ["runs 1", "doubts 2", "runs 2"])
      })
  )
})

describe("what is done once, at the edges", () => {
  const nested: Record<string, (run: Agent.RunOf<typeof Meter>) => Effect.Effect<number>> = {
    "at once": (run) => run.once("pay", Schema.Number, run.once("pay", Schema.Number, Effect.succeed(1))),
    "around a corner, and in another fiber": (run) =>
      run.once(
        "pay",
        Schema.Number,
        run.once(
          "other",
          Schema.Number,
          Effect.flatMap(Effect.fork(run.once("pay", Schema.Number, Effect.succeed(1))), Fiber.join)
        )
      )
  }
  for (const [name, program] of Object.entries(nested)) {
    agentTest(
      `within itself dies with its key, and does not wait for ever: ${name}`,
      (bench) =>
        Effect.gen(function*() {
          yield* bench.open(
            Meter.toLayer((run) => Effect.map(program(run), (result) => ({ result })), { attemptsMax: 1 })
          )
          const dead = yield* Effect.flip(meter.call("go"))
          assert.isTrue(dead._tag === "DeadLettered" && /once\("pay"\)/.test(dead.error.message))
        })
    )
  }
})

class Shop extends Agent.make("shop", {
  events: { paid: Schema.Unknown },
  result: Schema.Array(Schema.String)
}) {}

describe("an input at the edges", () => {
  agentTest("of a conversation without an id is refused, whichever way it is sent", (bench) =>
    Effect.gen(function*() {
      yield* bench.open()
      const nobody = Shop.of("")
      const sends = [nobody.send("go"), nobody.call("go"), nobody.steer("go"), nobody.event("paid", null)]
      for (const sent of sends) {
        assert.deepInclude(yield* Effect.flip(sent as Effect.Effect<unknown, unknown, Agents>), {
          _tag: "InvalidInput",
          field: "id"
        })
      }
    }))

  agentTest(
    "that is an event says in the transcript what it carries, or its body alone",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open(
          Shop.toLayer((run) =>
            Effect.map(run.history({ last: 1 }), (history) => ({ result: [run.inputs[0].text, ...textsOf(history)] }))
          )
        )
        const shop = Shop.of("ana")
        const payloads: ReadonlyArray<[unknown, string]> = [
          [{ cents: 3 }, "[event via paid] {\"cents\":3}"],
          [{ body: "three cents", cents: 3 }, "[event via paid] three cents"],
          [{ body: 3 }, "[event via paid] {\"body\":3}"],
          ["now", "[event via paid] \"now\""],
          [null, "[event via paid]"]
        ]
        for (const [payload, text] of payloads) {
          const { inputId } = yield* shop.event("paid", payload)
          assert.deepStrictEqual(yield* shop.await(inputId), [text, text])
        }
        assert.deepStrictEqual(textsOf((yield* shop.messages()).items), payloads.map(([, text]) => text))
      })
  )
})
