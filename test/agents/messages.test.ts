import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Message } from "../../src/schema/Message.js"
import * as Agent from "../../src/services/Agent.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { advance, latch, settle, untilTrue } from "../engine/support.js"
import { agentTest, crashTest, headIn, untilIs } from "./bench.js"

class Chat extends Agent.make("chat", { result: Schema.Array(Schema.String) }) {}

const chat = Chat.of("ana")

const texts = (messages: ReadonlyArray<Message>) =>
  messages.map((message) => `${message.role}: ${Message.text(message)}`)

const { assistant } = Message

const stored = Effect.map(chat.messages(), ({ items }) => texts(items))

describe("what an input says", () => {
  agentTest(
    "enters the transcript once, over all attempts, with the first boundary",
    (bench) =>
      Effect.gen(function*() {
        const seen: Array<ReadonlyArray<string>> = []
        yield* bench.open(Chat.toLayer((run) =>
          Effect.gen(function*() {
            seen.push(texts(yield* run.history()))
            if (run.attempt === 1) return yield* Effect.fail("before any boundary")
            yield* run.checkpoint({ append: [assistant(`thought ${run.attempt}`)] })
            seen.push(texts(yield* run.history()))
            if (run.attempt === 2) return yield* Effect.fail("behind one")
            return { append: [assistant("done")], result: texts(yield* run.history()) }
          }), { attemptsMax: 5 }))
        const waiter = yield* Effect.fork(chat.call("go"))
        yield* advance("10 seconds", { steps: 4 })
        const third = ["user: go", "assistant: thought 2", "assistant: thought 3"]
        assert.deepStrictEqual(yield* Fiber.join(waiter), third)
        assert.deepStrictEqual(seen, [
          ["user: go"],
          ["user: go"],
          ["user: go", "assistant: thought 2"],
          ["user: go", "assistant: thought 2"],
          third
        ])
        assert.deepStrictEqual(yield* stored, [...third, "assistant: done"])
      })
  )

  crashTest("enters it once, though the process dies at any boundary", (host) =>
    Effect.gen(function*() {
      yield* host(Chat.toLayer((run) =>
        Effect.gen(function*() {
          for (let i = (yield* run.history()).length; i < 4; i++) yield* run.checkpoint({ append: [assistant(`${i}`)] })
          return { append: [assistant("done")], result: [] }
        }), { attemptsMax: 20 }))
      for (const n of [1, 2, 3]) {
        yield* AgentTest.crashAfterCommit(n)
        yield* chat.call(`call ${n}`)
      }
      const messages = yield* stored
      assert.deepStrictEqual(messages.filter((text) => text.startsWith("user")), [
        "user: call 1",
        "user: call 2",
        "user: call 3"
      ])
      assert.deepStrictEqual(messages.slice(0, 5), [
        "user: call 1",
        "assistant: 1",
        "assistant: 2",
        "assistant: 3",
        "assistant: done"
      ])
    }))

  agentTest(
    "is committed by the run's end alone, too, and by no attempt that fails without a boundary",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open(
          Chat.toLayer((run) => run.inputs[0].text === "fail" ? Effect.fail("no") : Effect.succeed({ result: [] }), {
            attemptsMax: 1
          })
        )
        yield* chat.call("one")
        yield* Effect.flip(chat.call("fail"))
        yield* chat.call("two")
        assert.deepStrictEqual(yield* stored, ["user: one", "user: two"])
      })
  )

  agentTest("is the end of the history, of which `last` takes the latest", (bench) =>
    Effect.gen(function*() {
      yield* bench.open(Chat.toLayer((run) =>
        Effect.gen(function*() {
          const last = Number(run.inputs[0].text)
          const history = yield* (Number.isNaN(last) ? run.history() : run.history({ last }))
          return { append: [assistant("yes")], result: texts(history) }
        })
      ))
      assert.deepStrictEqual(yield* chat.call("all"), ["user: all"])
      assert.deepStrictEqual(yield* chat.call("0"), [])
      assert.deepStrictEqual(yield* chat.call("1"), ["user: 1"])
      assert.deepStrictEqual(yield* chat.call("3"), ["user: 1", "assistant: yes", "user: 3"])
      assert.strictEqual((yield* chat.call("1000")).length, 9)
      assert.strictEqual((yield* chat.call("all")).length, 11)
    }))

  agentTest(
    "of a steer is in the history behind the checkpoint that hands it over, and stored with the next one",
    (bench) =>
      Effect.gen(function*() {
        const seen: Array<ReadonlyArray<string>> = []
        const gate = yield* latch
        const process = yield* bench.open(Chat.toLayer((run) =>
          Effect.gen(function*() {
            yield* gate.wait
            const steers = yield* run.checkpoint({ append: [assistant("first")] })
            assert.deepStrictEqual(steers.map(({ text }) => text), ["left"])
            seen.push(texts(yield* run.history()))
            yield* run.checkpoint({ append: [assistant("second")] })
            seen.push(texts(yield* run.history()))
            return { result: [] }
          })
        ))
        const { inputId } = yield* chat.send("go")
        yield* untilIs(process, chat, inputId, "staged")
        const steer = yield* chat.steer("left")
        yield* gate.open
        yield* chat.await(inputId)
        yield* chat.await(steer.inputId)
        assert.deepStrictEqual(yield* stored, ["user: go", "assistant: first", "user: left", "assistant: second"])
        assert.deepStrictEqual(seen[1], ["user: go", "assistant: first", "user: left", "assistant: second"])
        assert.deepStrictEqual(seen[0], ["user: go", "assistant: first", "user: left"])
      })
  )

  agentTest("and all else is replaced by a rewrite, from a position to the end", (bench) =>
    Effect.gen(function*() {
      yield* bench.open(Chat.toLayer((run) =>
        Effect.gen(function*() {
          if (run.inputs[0].text === "compact") {
            yield* run.rewrite({ from: 1, with: [Message.system("they talked")], reason: "compaction" })
            // The new input is behind what it replaces.
            return { append: [assistant("ok")], result: texts(yield* run.history()) }
          }
          return { append: [assistant("yes")], result: [] }
        })
      ))
      yield* chat.call("one")
      yield* chat.call("two")
      const history = yield* chat.call("compact")
      assert.deepStrictEqual(history.slice(0, 2), ["user: one", "system: they talked"])
      assert.deepStrictEqual(yield* stored, [...history, "assistant: ok"])
      assert.strictEqual(history.filter((text) => text === "user: compact").length, 1)
    }))
})

const Line = Schema.Struct({ who: Schema.String, at: Schema.Date, says: Schema.String })

class Log extends Agent.make("log", {
  events: { paid: Schema.Struct({ cents: Schema.Number }), noise: Schema.Null },
  message: {
    schema: Line,
    fromInput: (input) =>
      input._tag === "Event" && input.type === "noise"
        ? Option.none()
        : Option.some({
          who: input._tag,
          at: new Date(5),
          says: input._tag === "Event" ? `${(input.payload as { readonly cents: number }).cents} cents` : input.text
        })
  },
  result: Schema.Array(Schema.String)
}) {}

const log = Log.of("ana")

const lines = (messages: ReadonlyArray<typeof Line.Type>) =>
  messages.map(({ at, says, who }) => `${at.getTime()} ${who}: ${says}`)

describe("an agent's own form of messages", () => {
  agentTest(
    "is what history, messages and watch have, of prompts, events and steers; none where it says so",
    (bench) =>
      Effect.gen(function*() {
        const gate = yield* latch
        const process = yield* bench.open(Log.toLayer((run) =>
          Effect.gen(function*() {
            if (run.inputs[0].text === "wait") {
              yield* gate.wait
              yield* run.checkpoint()
            }
            const history = yield* run.history()
            return { append: [{ who: "agent", at: new Date(6), says: "yes" }], result: lines(history) }
          })
        ))
        assert.deepStrictEqual(yield* log.call("hello"), ["5 Prompt: hello"])
        const paid = yield* log.event("paid", { cents: 3 })
        const first = ["5 Prompt: hello", "6 agent: yes", "5 Event: 3 cents"]
        assert.deepStrictEqual(yield* log.await(paid.inputId), first)
        const noise = yield* log.event("noise", null)
        assert.deepStrictEqual(yield* log.await(noise.inputId), [...first, "6 agent: yes"])
        const { inputId } = yield* log.send("wait")
        yield* untilIs(process, log, inputId, "staged")
        yield* log.steer("left")
        yield* gate.open
        const last = [...first, "6 agent: yes", "6 agent: yes", "5 Prompt: wait", "5 Prompt: left"]
        assert.deepStrictEqual(yield* log.await(inputId), last)
        const all = [...last, "6 agent: yes"]
        const page = yield* log.messages()
        assert.deepStrictEqual(lines(page.items), all)
        assert.isTrue(page.items.every(({ at }) => at instanceof Date))
        const next = yield* log.messages({ after: 1, limit: 2 })
        assert.deepStrictEqual([lines(next.items), next.next], [all.slice(1, 3), Option.some(3)])
        yield* bench.open()
        const watched = yield* log.watch().pipe(
          Stream.filterMap((seen) => seen._tag === "Message" ? Option.some(seen) : Option.none()),
          Stream.take(all.length),
          Stream.runCollect
        )
        assert.deepStrictEqual(lines([...watched].map(({ message }) => message)), all)
        assert.deepStrictEqual([...watched].map(({ index }) => index), all.map((_, i) => i))
      })
  )

  agentTest("stays as it was made by an earlier attempt, once it is committed", (bench) =>
    Effect.gen(function*() {
      let made = 0
      class Counting extends Agent.make("log", {
        message: { schema: Schema.String, fromInput: () => Option.some(`made ${++made}`) }
      }) {}
      const histories: Array<ReadonlyArray<string>> = []
      yield* bench.open(Counting.toLayer((run) =>
        Effect.gen(function*() {
          histories.push(yield* run.history(), yield* run.history())
          yield* run.checkpoint()
          histories.push(yield* run.history())
          if (run.attempt === 1) return yield* Effect.fail("no")
        })
      ))
      const waiter = yield* Effect.fork(Counting.of("ana").call("go"))
      yield* advance("2 seconds")
      yield* Fiber.join(waiter)
      assert.deepStrictEqual(histories, Array.from({ length: 6 }, () => ["made 1"]))
    }))

  agentTest(
    "that no more reads what is stored holds the run, uncharged, and is Undecodable from outside",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open(Log.toLayer(() => Effect.succeed({ result: [] })))
        yield* log.call("hello")
        class Newer extends Agent.make("log", {
          message: {
            schema: Schema.Struct({ text: Schema.String }),
            fromInput: (input) => Option.some({ text: input.text })
          },
          result: Schema.Array(Schema.String)
        }) {}
        const seen: Array<string> = []
        const newer = Newer.of("ana")
        const process = yield* bench.open(Newer.toLayer((run) =>
          Effect.gen(function*() {
            seen.push(`begins ${run.attempt}`)
            const history = yield* run.history()
            seen.push("went on")
            return { result: history.map(({ text }) => text) }
          })
        ))
        const { inputId } = yield* newer.send("again")
        yield* untilIs(process, newer, inputId, "held: undecodable")
        const { attempt, failure } = yield* headIn(process, newer, inputId)
        assert.deepStrictEqual([attempt, failure?.tag], [0, "Undecodable"])
        assert.match(failure?.message ?? "", /^message\.text: /)
        const read = yield* Effect.flip(newer.messages())
        assert.deepInclude(read, { _tag: "Undecodable", runtimeId: "log/ana", field: "message.text", retryable: false })
        const watched = yield* Effect.flip(Stream.runDrain(newer.watch()))
        assert.deepInclude(watched, { _tag: "Undecodable", field: "message.text" })
        assert.deepStrictEqual(seen, ["begins 1"])
        // The next deploy reads both.
        class Both extends Agent.make("log", {
          message: {
            schema: Schema.Union(Line, Schema.Struct({ text: Schema.String })),
            fromInput: (input) => Option.some({ text: input.text })
          },
          result: Schema.Number
        }) {}
        const again = yield* bench.open(
          Both.toLayer((run) => Effect.map(run.history(), (history) => ({ result: history.length })))
        )
        yield* settle
        yield* again.plane.release(newer.runtimeId, inputId)
        assert.strictEqual(yield* Both.of("ana").await(inputId), 2)
      })
  )

  agentTest("that its own Schema does not take fails the run, and names the field", (bench) =>
    Effect.gen(function*() {
      class Wrong extends Agent.make("log", {
        message: { schema: Schema.NonEmptyString, fromInput: () => Option.some("") }
      }) {}
      const began: Array<number> = []
      yield* bench.open(
        Wrong.toLayer((run) => Effect.asVoid(Effect.zipRight(Effect.sync(() => began.push(1)), run.history())), {
          attemptsMax: 1
        })
      )
      const dead = yield* Effect.flip(Wrong.of("ana").call("go"))
      assert.isTrue(dead._tag === "DeadLettered" && /message/.test(dead.error.message))
      yield* untilTrue("it began", () => began.length === 1)
    }))
})
