import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Agent from "../../src/services/Agent.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { advance, latch, settle, untilTrue } from "../engine/support.js"
import { agentTest, crashTest, headIn, phaseOf, untilIs } from "./bench.js"

class Desk extends Agent.make("desk", {
  result: Schema.String,
  events: { paid: Schema.Struct({ cents: Schema.NonNegativeInt, on: Schema.Date }) },
  questions: { ok: { ask: Schema.Null, answer: Schema.NonEmptyString } }
}) {}

const desk = Desk.of("ana")

type Run = Agent.RunOf<typeof Desk>

const textsOf = ({ inputs }: Run) => inputs.map(({ text }) => text).join("+")

/** Says what it was asked. */
const echo = (log: Array<string> = []) =>
  Desk.toLayer((run) =>
    Effect.sync(() => {
      log.push(textsOf(run))
      return { result: textsOf(run) }
    })
  )

/** Goes on when the latch opens, with a checkpoint, and says what it was steered with. */
const gated = (gate: Effect.Effect<void>, log: Array<string> = []) =>
  Desk.toLayer((run) =>
    Effect.gen(function*() {
      log.push(textsOf(run))
      if (run.inputs[0].text !== "go") return { result: textsOf(run) }
      yield* gate
      const steers = yield* run.checkpoint()
      yield* run.checkpoint()
      return { result: steers.map((steer) => `${steer._tag === "Prompt" && steer.steered} ${steer.text}`).join() }
    })
  )

describe("an input", () => {
  agentTest(
    "under a known key is the same input, for ever; another one under it is a conflict",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        yield* bench.open(echo(log))
        const first = yield* desk.send("hello", { key: "1" })
        assert.strictEqual(yield* desk.call("hello", { key: "1" }), "hello")
        yield* bench.open(echo(log))
        assert.deepStrictEqual(yield* desk.send("hello", { key: "1" }), { ...first, duplicate: true })
        assert.strictEqual(yield* desk.call("hello", { key: "1" }), "hello")
        const conflict = yield* Effect.flip(desk.send("other", { key: "1" }))
        assert.deepInclude(conflict, { _tag: "IdempotencyConflict", key: "1", retryable: false })
        assert.deepStrictEqual(log, ["hello"])
        // Keys are of one conversation.
        assert.isFalse((yield* Desk.of("bob").send("other", { key: "1" })).duplicate)
      })
  )

  agentTest(
    "replaces one of the same name that still waits, whose waiters are told",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open()
        const first = yield* desk.send("draft 1", { replaces: "draft" })
        const other = yield* desk.send("other", { replaces: "other" })
        const second = yield* desk.send("draft 2", { replaces: "draft" })
        const superseded = yield* Effect.flip(desk.await(first.inputId))
        assert.deepInclude(superseded, { _tag: "Superseded", by: second.inputId, retryable: false })
        const log: Array<string> = []
        yield* bench.open(echo(log))
        assert.strictEqual(yield* desk.await(second.inputId), "draft 2")
        assert.strictEqual(yield* desk.await(other.inputId), "other")
        // What has begun is not replaced.
        yield* desk.call("draft 3", { replaces: "draft" })
        assert.deepStrictEqual([...log].sort(), ["draft 2", "draft 3", "other"])
      })
  )

  agentTest("that does not wake starts no run, and rides along with the next", (bench) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const process = yield* bench.open(echo(log))
      const rider = yield* desk.send("by the way", { wake: false })
      yield* advance("1 hour", { steps: 3 })
      assert.deepStrictEqual(log, [])
      assert.strictEqual(yield* phaseOf(process, desk, rider.inputId), "queued")
      assert.strictEqual(yield* desk.call("hello"), "by the way+hello")
      assert.strictEqual(yield* desk.await(rider.inputId), "by the way+hello")
    }))

  agentTest("waits for its time, `at` or `after`, also in another process", (bench) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      yield* bench.open(echo(log))
      yield* desk.send("at", { at: DateTime.unsafeMake(3_600_000) })
      const after = yield* desk.send("after", { after: "2 hours", key: "2" })
      yield* desk.event("paid", { cents: 1, on: new Date(0) }, { after: "30 minutes" })
      yield* advance("29 minutes")
      assert.deepStrictEqual(log, [])
      yield* advance("1 minute")
      yield* untilTrue("the event", () => log.length === 1)
      yield* bench.open(echo(log))
      yield* advance("30 minutes")
      yield* untilTrue("the first", () => log.length === 2)
      yield* advance("1 hour")
      assert.strictEqual(yield* desk.await(after.inputId), "after")
      assert.deepStrictEqual(log, ["[event via paid] {\"cents\":1,\"on\":\"1970-01-01T00:00:00.000Z\"}", "at", "after"])
      // In no time at all, and in the past.
      assert.strictEqual(yield* desk.call("now", { after: 0 }), "now")
      assert.strictEqual(yield* desk.call("then", { at: DateTime.unsafeMake(0) }), "then")
    }))

  agentTest(
    "is an event with its payload as its Schema reads it; what it does not take is refused by its field",
    (bench) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        yield* bench.open(Desk.toLayer((run) =>
          Effect.sync(() => {
            seen.push(...run.inputs.map((input) => input._tag === "Event" && [input.type, input.payload]))
            return { result: "" }
          })
        ))
        const { inputId } = yield* desk.event("paid", { cents: 3, on: new Date(5) }, { key: "1" })
        yield* desk.await(inputId)
        assert.deepStrictEqual(seen, [["paid", { cents: 3, on: new Date(5) }]])
        assert.isTrue((yield* desk.event("paid", { cents: 3, on: new Date(5) }, { key: "1" })).duplicate)
        const wrong = yield* Effect.flip(desk.event("paid", { cents: -1, on: new Date(5) }))
        assert.deepInclude(wrong, { _tag: "InvalidInput", field: "events.paid.cents", retryable: false })
        const unknown = yield* Effect.flip(desk.event("gone" as "paid", { cents: 1, on: new Date(5) }))
        assert.deepInclude(unknown, { _tag: "InvalidInput", field: "type" })
        const answer = yield* Effect.flip(desk.answer("ok", "1", ""))
        assert.deepInclude(answer, { _tag: "InvalidInput", field: "questions.ok.answer" })
        const question = yield* Effect.flip(desk.answer("no" as "ok", "1", "yes"))
        assert.deepInclude(question, { _tag: "InvalidInput", field: "question" })
        yield* settle
        assert.strictEqual(seen.length, 1)
      })
  )

  agentTest("has no key as the library makes them, wherever it is sent from", (bench) =>
    Effect.gen(function*() {
      yield* bench.open(Desk.toLayer((run) =>
        Effect.gen(function*() {
          const refused = yield* Effect.flip(
            run.checkpoint({ alongside: Desk.of("bob").post("hello", { key: "child/1" }) })
          )
          return { result: `${refused._tag} ${refused._tag === "InvalidInput" && refused.field}` }
        }).pipe(Effect.orDie)
      ))
      for (const key of ["operation/x", "redrive/x", "cron/x", "cancel/x", "child/x"]) {
        for (const send of [desk.send, desk.steer]) {
          assert.deepInclude(yield* Effect.flip(send("hello", { key })), { _tag: "InvalidInput", field: "key" })
        }
        const event = yield* Effect.flip(desk.event("paid", { cents: 1, on: new Date(0) }, { key }))
        assert.deepInclude(event, { _tag: "InvalidInput", field: "key" })
      }
      assert.strictEqual(yield* desk.call("go"), "InvalidInput key")
    }))

  agentTest(
    "is refused when the queue is full, and what is too large is; both say how much is taken",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.openWith({ limits: { queueDepthMax: 2, inputBytesMax: 1_000 } })
        yield* desk.send("1")
        yield* desk.send("2", { key: "2" })
        const full = yield* Effect.flip(desk.send("3"))
        assert.deepInclude(full, { _tag: "QueueFull", runtimeId: "desk/ana", queueDepthMax: 2, retryable: true })
        assert.isTrue((yield* desk.send("2", { key: "2" })).duplicate)
        const large = yield* Effect.flip(Desk.of("bob").send("x".repeat(2_000)))
        assert.deepInclude(large, { _tag: "InputTooLarge", inputBytesMax: 1_000, retryable: false })
      })
  )

  agentTest("for a conversation that takes nothing is refused as AgentClosed", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(echo())
      yield* desk.call("hello")
      yield* process.plane.stop(desk.runtimeId)
      const closed = yield* Effect.flip(desk.call("hello"))
      assert.deepInclude(closed, { _tag: "AgentClosed", runtimeId: "desk/ana", state: "stopped", retryable: false })
    }))
})

describe("a steer", () => {
  agentTest(
    "goes into the running run, and is awaited as that: without one it is a send",
    (bench) =>
      Effect.gen(function*() {
        const gate = yield* latch
        const log: Array<string> = []
        const process = yield* bench.open(gated(gate.wait, log))
        const { inputId } = yield* desk.send("go")
        yield* untilIs(process, desk, inputId, "staged")
        const steer = yield* desk.steer("left", { key: "1" })
        assert.isTrue((yield* desk.steer("left", { key: "1" })).duplicate)
        const waiter = yield* Effect.fork(desk.await(steer.inputId))
        yield* gate.open
        assert.strictEqual(yield* Fiber.join(waiter), "true left")
        assert.strictEqual(yield* desk.await(inputId), "true left")
        assert.strictEqual(yield* desk.await(steer.inputId), "true left")
        const alone = yield* desk.steer("right")
        assert.strictEqual(yield* desk.await(alone.inputId), "right")
        assert.deepStrictEqual(log, ["go", "right"])
      })
  )

  agentTest("of a run that does not look starts a run behind it", (bench) =>
    Effect.gen(function*() {
      const gate = yield* latch
      const process = yield* bench.open(
        Desk.toLayer((run) =>
          Effect.as(run.inputs[0].text === "go" ? gate.wait : Effect.void, { result: textsOf(run) })
        )
      )
      const { inputId } = yield* desk.send("go")
      yield* untilIs(process, desk, inputId, "staged")
      const steer = yield* desk.steer("left")
      yield* gate.open
      assert.strictEqual(yield* desk.await(inputId), "go")
      assert.strictEqual(yield* desk.await(steer.inputId), "left")
    }))
})

describe("cancel", () => {
  agentTest("ends the run that goes on, with its reason; what is queued goes on", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(gated(Effect.never))
      const { inputId } = yield* desk.send("go")
      yield* untilIs(process, desk, inputId, "staged")
      const queued = yield* desk.send("next")
      yield* desk.cancel("enough")
      const cancelled = yield* Effect.flip(desk.await(inputId))
      assert.deepInclude(cancelled, {
        _tag: "Cancelled",
        runtimeId: "desk/ana",
        inputId,
        reason: "enough",
        retryable: false
      })
      assert.strictEqual(yield* desk.await(queued.inputId), "next")
      yield* desk.cancel()
      yield* Desk.of("nobody").cancel("enough", { inputId: "none" })
    }))

  agentTest("with an input's id ends that one alone, waiting or running", (bench) =>
    Effect.gen(function*() {
      const gate = yield* latch
      const process = yield* bench.open(gated(gate.wait))
      const running = yield* desk.send("go")
      yield* untilIs(process, desk, running.inputId, "staged")
      const [one, two] = [yield* desk.send("one"), yield* desk.send("two")]
      yield* desk.cancel("not this", { inputId: one.inputId })
      assert.deepInclude(yield* Effect.flip(desk.await(one.inputId)), { _tag: "Cancelled", reason: "not this" })
      assert.strictEqual(yield* phaseOf(process, desk, running.inputId), "staged")
      yield* desk.cancel("nor this", { inputId: running.inputId })
      assert.deepInclude(yield* Effect.flip(desk.await(running.inputId)), { _tag: "Cancelled", reason: "nor this" })
      assert.strictEqual(yield* desk.await(two.inputId), "two")
    }))
})

class Down extends Data.TaggedError("Down")<{ readonly minutes: number }> {}
class Bad extends Data.TaggedError("Bad")<{ readonly message: string }> {}

describe("a run that fails", () => {
  agentTest(
    "is tried again as its schedule says, which sees the typed failures; when that is done it ends at once",
    (bench) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const process = yield* bench.open(Desk.toLayer((run) =>
          Effect.gen(function*() {
            seen.push(`${run.inputs[0].text} ${run.attempt}`)
            return yield* (run.inputs[0].text === "bad" ? new Bad({ message: "no use" }) : new Down({ minutes: 1 }))
          }), {
          attemptsMax: 3,
          retry: Schedule.spaced("1 minute").pipe(
            Schedule.whileInput((error: { readonly _tag: string }) => error._tag !== "Bad")
          )
        }))
        const dead = yield* Effect.flip(desk.call("bad"))
        assert.deepInclude(dead, { _tag: "DeadLettered", attempts: 1, retryable: false })
        assert.deepStrictEqual(dead._tag === "DeadLettered" && { ...dead.error }, { tag: "Bad", message: "no use" })
        const { inputId } = yield* desk.send("down")
        yield* untilTrue("it was tried", () => seen.length === 2)
        yield* advance("59 seconds")
        assert.strictEqual(seen.length, 2)
        yield* advance("1 second")
        yield* untilTrue("it was tried again", () => seen.length === 3)
        yield* advance("1 minute")
        const last = yield* Effect.flip(desk.await(inputId))
        assert.deepInclude(last, { _tag: "DeadLettered", attempts: 3 })
        assert.deepStrictEqual(seen, ["bad 1", "down 1", "down 2", "down 3"])
        assert.strictEqual((yield* headIn(process, desk, inputId)).attempt, 3)
      })
  )

  agentTest(
    "of a defect has the default delays, and is not asked about in the typed schedule",
    (bench) =>
      Effect.gen(function*() {
        let attempts = 0
        yield* bench.open(Desk.toLayer(() =>
          Effect.suspend(() =>
            ++attempts < 3
              ? Effect.die(new Error("no"))
              : attempts === 3
              ? new Bad({ message: "no" })
              : Effect.succeed({ result: "" })
          ), { attemptsMax: 9, retry: Schedule.stop }))
        const { inputId } = yield* desk.send("go")
        yield* untilTrue("it was tried", () => attempts === 1)
        yield* advance("1 second")
        yield* untilTrue("it was tried again", () => attempts === 2)
        yield* advance("2 seconds")
        assert.deepInclude(yield* Effect.flip(desk.await(inputId)), { _tag: "DeadLettered", attempts: 3 })
      })
  )

  agentTest("of an outage costs no attempt, and pauses the agent", (bench) =>
    Effect.gen(function*() {
      let isDown = true
      const seen: Array<string> = []
      const process = yield* bench.open(Desk.toLayer((run) =>
        Effect.suspend(() => {
          seen.push(`${run.inputs[0].text} ${run.attempt}`)
          return isDown ? new Down({ minutes: 5 }) : Effect.succeed({ result: "up" })
        }), {
        attemptsMax: 1,
        outage: (error) => error._tag === "Down" ? Option.some(Duration.minutes(error.minutes)) : Option.none()
      }))
      const { inputId } = yield* desk.send("one")
      yield* untilTrue("it was tried", () => seen.length === 1)
      yield* settle
      const other = yield* Desk.of("bob").send("two")
      yield* advance("4 minutes")
      assert.deepStrictEqual(seen, ["one 1"])
      assert.strictEqual((yield* headIn(process, desk, inputId)).attempt, 0)
      isDown = false
      yield* advance("1 minute")
      assert.strictEqual(yield* desk.await(inputId), "up")
      assert.strictEqual(yield* Desk.of("bob").await(other.inputId), "up")
      assert.deepStrictEqual([...seen].sort(), ["one 1", "one 1", "two 1"])
    }))

  crashTest(
    "with its process is asked about, as a run with its types, where the agent says so",
    (host) =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        let runs = 0
        yield* host(Desk.toLayer((run) =>
          Effect.gen(function*() {
            runs++
            yield* run.once("paid", Schema.Date, Effect.succeed(new Date(5)))
            return yield* Effect.never
          }), {
          inDoubt: (run) =>
            Effect.gen(function*() {
              const paid = yield* run.once("paid", Schema.Date, Effect.succeed(new Date(6)))
              const [input] = run.inputs
              asked.push(`${input._tag === "Event" && input.payload.cents} ${paid.getTime()} ${run.attempt}`)
              return "settle" as const
            })
        }))
        const { inputId } = yield* desk.event("paid", { cents: 3, on: new Date(5) })
        yield* untilTrue("it runs", () => runs === 1)
        yield* settle
        yield* AgentTest.crash
        assert.deepInclude(yield* Effect.flip(desk.await(inputId)), { _tag: "Lost", reason: "outcome_unknown" })
        assert.deepStrictEqual(asked, ["3 5 2"])
        assert.strictEqual(runs, 1)
      })
  )
})

describe("what an agent needs", () => {
  class Bell extends Context.Tag("Bell")<Bell, { readonly ring: string }>() {}

  agentTest(
    "is what its layer needs: services in its program, its output and its options; a scope ends with each attempt",
    (bench) =>
      Effect.gen(function*() {
        const ends: Array<string> = []
        let rung = ""
        const agent = Desk.toLayer((run) =>
          Effect.gen(function*() {
            const { ring } = yield* Bell
            yield* Effect.addFinalizer((exit) => Effect.sync(() => ends.push(`${run.attempt} ${exit._tag}`)))
            const { agent, attempt, id, runtimeId } = yield* Agent.CurrentRun
            if (run.attempt === 1) return yield* new Bad({ message: "no" })
            const alongside = Effect.map(Bell, ({ ring }) => rung = ring)
            return { alongside, result: [ring, agent, id, runtimeId, attempt].join() }
          }), { attemptsMax: 2 })
        yield* bench.open(Layer.provide(agent, Layer.succeed(Bell, { ring: "ding" })))
        const waiter = yield* Effect.fork(desk.call("go"))
        yield* untilTrue("the first attempt has ended", () => ends.length === 1)
        yield* advance("2 seconds")
        assert.strictEqual(yield* Fiber.join(waiter), "ding,desk,ana,desk/ana,2")
        assert.deepStrictEqual(ends, ["1 Failure", "2 Success"])
        assert.strictEqual(rung, "ding")
      })
  )
})

describe("what is posted in an alongside", () => {
  class Mail extends Agent.make("mail", { result: Schema.String }) {}

  agentTest(
    "leaves with the boundary's commit, once over all attempts, and not without it",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const ids: Array<string> = []
        const process = yield* bench.open(
          Mail.toLayer((run) => Effect.sync(() => (log.push(run.inputs[0].text), { result: run.inputs[0].text }))),
          Desk.toLayer((run) =>
            Effect.gen(function*() {
              const post = (text: string, key: string) =>
                Effect.tap(Mail.of("bob").post(text, { key: `${run.idempotencyKey}/${key}` }), (id) => ids.push(id))
              const failed = yield* Effect.either(
                run.checkpoint({ alongside: Effect.zipRight(post("never", "0"), Effect.fail("no" as const)) })
              )
              assert.strictEqual(failed._tag, "Left")
              yield* run.checkpoint({ alongside: post("one", "1") })
              if (run.attempt === 1) return yield* Effect.fail("no" as const)
              return { alongside: Effect.zipRight(post("two", "2"), post("later", "3")), result: "done" }
            }), { attemptsMax: 2 })
        )
        const waiter = yield* Effect.fork(desk.call("go"))
        yield* advance("2 seconds")
        assert.strictEqual(yield* Fiber.join(waiter), "done")
        yield* untilTrue("all have arrived", () => log.length === 3)
        yield* settle
        assert.deepStrictEqual([...log].sort(), ["later", "one", "two"])
        assert.strictEqual(yield* Mail.of("bob").await(ids.at(-1)!), "later")
        assert.strictEqual((yield* process.plane.inputs("mail/bob")).length, 3)
      })
  )

  agentTest("is there though nobody hosts the other agent, and may have a time", (bench) =>
    Effect.gen(function*() {
      let id = ""
      const post = Mail.of("bob").post("later", { key: "1", after: "1 hour" })
      yield* bench.open(
        Desk.toLayer(() => Effect.succeed({ alongside: Effect.map(post, (sent) => id = sent), result: "" }))
      )
      yield* desk.call("go")
      const log: Array<string> = []
      yield* bench.open(Mail.toLayer(() => Effect.sync(() => (log.push("mail"), { result: "arrived" }))))
      yield* advance("59 minutes")
      assert.deepStrictEqual(log, [])
      yield* advance("1 minute")
      assert.strictEqual(yield* Mail.of("bob").await(id), "arrived")
    }))
})
