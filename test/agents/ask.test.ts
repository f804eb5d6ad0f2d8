import { assert, describe } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Message } from "../../src/schema/Message.js"
import * as Agent from "../../src/services/Agent.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { advance, latch, settle, until, untilTrue } from "../engine/support.js"
import { agentTest, crashTest, headIn, phaseOf, tallyOf, untilIs, untilParked } from "./bench.js"

class Clerk extends Agent.make("clerk", {
  state: Schema.Array(Schema.String),
  initial: [],
  result: Schema.String,
  questions: {
    approval: { ask: Schema.String, answer: Schema.Boolean },
    date: { ask: Schema.Struct({ after: Schema.Date }), answer: Schema.Date }
  }
}) {}

type Run = Agent.RunOf<typeof Clerk>

const clerk = Clerk.of("ana")

/** Asks for one approval under its prompt's text; "plain" does not ask. */
const asksOnce = (log: Array<string> = [], options: { readonly expires?: Duration.DurationInput } = {}) =>
  Clerk.toLayer((run) =>
    Effect.gen(function*() {
      const { text } = run.inputs[0]
      log.push(`${text} ${run.attempt}`)
      if (text === "plain") return { result: "plain" }
      const approved = yield* Effect.onInterrupt(
        run.ask("approval", { key: text, ask: `${text}?`, ...options }),
        () => Effect.sync(() => log.push("interrupted"))
      )
      return { result: approved ? "yes" : "no" }
    }).pipe(Effect.catchTag("QuestionExpired", ({ key }) => Effect.succeed({ result: `${key} expired` })))
  )

describe("a question", () => {
  agentTest(
    "ends the attempt, uncharged, by interruption; the runtime leaves memory, and others have their turns",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const process = yield* bench.openWith({ limits: { runtimeIdleMillis: 1_000 } }, asksOnce(log))
        const { inputId } = yield* clerk.send("o-1")
        yield* untilParked(process, clerk, inputId)
        assert.deepStrictEqual(log, ["o-1 1", "interrupted"])
        assert.strictEqual((yield* headIn(process, clerk, inputId)).attempt, 0)
        assert.strictEqual(yield* clerk.call("plain"), "plain")
        yield* advance("10 seconds", { steps: 10 })
        yield* until("it has left memory", Effect.map(process.drivers.live, (live) => live.length === 0))
        const [open] = yield* clerk.questions
        assert.deepInclude(open, { question: "approval", key: "o-1", ask: "o-1?" })
        yield* clerk.answer("approval", "o-1", true)
        assert.strictEqual(yield* clerk.await(inputId), "yes")
        // One attempt that asked, one that had the answer at once.
        assert.deepStrictEqual(log, ["o-1 1", "interrupted", "plain 1", "o-1 1"])
        assert.deepStrictEqual(yield* clerk.questions, [])
      })
  )

  agentTest("is committed as its Schema encodes it, and its answer too", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(Clerk.toLayer((run) =>
        Effect.map(
          run.ask("date", { key: "day", ask: { after: new Date(5) }, expires: "1 day" }),
          (date) => ({ result: date.toISOString() })
        )
      ))
      const { inputId } = yield* clerk.send("when?")
      yield* untilParked(process, clerk, inputId)
      const [open] = yield* clerk.questions
      assert.isTrue(open?.question === "date" && open.ask.after.getTime() === 5)
      assert.deepStrictEqual(Option.map(open!.expiresAt, ({ epochMillis }) => epochMillis), Option.some(86_400_000))
      assert.strictEqual(open?.askedAt.epochMillis, 0)
      yield* clerk.answer("date", "day", new Date(86_400_000))
      assert.strictEqual(yield* clerk.await(inputId), "1970-01-02T00:00:00.000Z")
    }))

  agentTest(
    "takes the same answer again as a duplicate: at once, after the run, and after reopening",
    (bench) =>
      Effect.gen(function*() {
        const process = yield* bench.open(asksOnce())
        const { inputId } = yield* clerk.send("o-1")
        yield* untilParked(process, clerk, inputId)
        const first = yield* clerk.answer("approval", "o-1", true)
        assert.isFalse(first.duplicate)
        const again = { ...first, duplicate: true }
        assert.deepStrictEqual(yield* clerk.answer("approval", "o-1", true), again)
        yield* clerk.await(inputId)
        assert.deepStrictEqual(yield* clerk.answer("approval", "o-1", true), again)
        yield* bench.open(asksOnce())
        assert.deepStrictEqual(yield* clerk.answer("approval", "o-1", true), again)
        // Another one is no correction.
        const conflict = yield* Effect.flip(clerk.answer("approval", "o-1", false))
        assert.deepInclude(conflict, { _tag: "IdempotencyConflict", retryable: false })
        assert.strictEqual(yield* clerk.await(inputId), "yes")
      })
  )

  agentTest("takes no second answer while the first one waits to be read", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(asksOnce())
      const { inputId } = yield* clerk.send("o-1")
      yield* untilParked(process, clerk, inputId)
      const answers = yield* Effect.all(
        [true, false, true, false].map((answer) => Effect.either(clerk.answer("approval", "o-1", answer))),
        { concurrency: "unbounded" }
      )
      const taken = answers.flatMap((answer) => Either.isRight(answer) ? [answer.right.duplicate] : [])
      assert.deepStrictEqual(taken, [false, true])
      assert.isTrue(answers.every((answer) => Either.isRight(answer) || answer.left._tag === "IdempotencyConflict"))
      assert.strictEqual(yield* clerk.await(inputId), Either.isRight(answers[0]!) ? "yes" : "no")
    }))

  agentTest("that was never asked, has expired, or was cancelled is unknown", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(asksOnce([], { expires: "1 hour" }))
      const unknown = (key: string) =>
        Effect.map(Effect.flip(clerk.answer("approval", key, true)), (error) =>
          assert.deepInclude(error, { _tag: "UnknownQuestion", runtimeId: "clerk/ana", question: "approval", key }))
      yield* unknown("never")
      const expiring = yield* clerk.send("o-1")
      const cancelled = yield* clerk.send("o-2")
      yield* untilParked(process, clerk, expiring.inputId)
      yield* untilParked(process, clerk, cancelled.inputId)
      yield* unknown("never")
      yield* clerk.cancel("enough", { inputId: cancelled.inputId })
      yield* unknown("o-2")
      assert.deepInclude(yield* Effect.flip(clerk.await(cancelled.inputId)), { _tag: "Cancelled", reason: "enough" })
      yield* advance("1 hour")
      assert.strictEqual(yield* clerk.await(expiring.inputId), "o-1 expired")
      yield* unknown("o-1")
      yield* bench.open(asksOnce())
      yield* unknown("o-1")
      yield* unknown("o-2")
    }))

  agentTest(
    "that is over its deadline stays expired: no answer can come, whatever becomes of the run",
    (bench) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const agent = Clerk.toLayer((run) =>
          Effect.gen(function*() {
            const answer = yield* Effect.either(run.ask("approval", { key: "o-1", ask: "?", expires: "1 hour" }))
            seen.push(`${run.attempt}: ${Either.isLeft(answer) ? answer.left._tag : answer.right}`)
            if (run.attempt === 1) return yield* Effect.dieMessage("no")
            return { result: "done" }
          }), { retry: Schedule.spaced("1 hour") })
        const process = yield* bench.open(agent)
        const { inputId } = yield* clerk.send("go")
        yield* untilParked(process, clerk, inputId)
        // Closed on both sides of it: nobody is there when the deadline passes.
        yield* bench.close
        yield* TestClock.adjust("59 minutes")
        yield* bench.open(agent)
        yield* advance("30 seconds")
        assert.deepStrictEqual(seen, [])
        yield* bench.close
        yield* TestClock.adjust("1 minute")
        const late = yield* bench.open(agent)
        yield* untilTrue("it is told", () => seen.length === 1)
        assert.strictEqual((yield* Effect.flip(clerk.answer("approval", "o-1", true)))._tag, "UnknownQuestion")
        yield* settle
        assert.strictEqual((yield* headIn(late, clerk, inputId)).attempt, 1)
        yield* advance("1 hour")
        assert.strictEqual(yield* clerk.await(inputId), "done")
        assert.deepStrictEqual(seen, ["1: QuestionExpired", "2: QuestionExpired"])
      })
  )

  agentTest("that was answered in time has its answer, however late it is read", (bench) =>
    Effect.gen(function*() {
      const agent = asksOnce([], { expires: "1 hour" })
      const process = yield* bench.open(agent)
      const { inputId } = yield* clerk.send("o-1")
      yield* untilParked(process, clerk, inputId)
      // Nobody hosts the agent.
      yield* bench.open()
      yield* clerk.answer("approval", "o-1", true)
      yield* TestClock.adjust("2 hours")
      yield* bench.open(agent)
      assert.strictEqual(yield* clerk.await(inputId), "yes")
    }))

  agentTest("waits through restarts, and for months", (bench) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const agent = asksOnce(log)
      const process = yield* bench.open(agent)
      const { inputId } = yield* clerk.send("o-1")
      yield* untilParked(process, clerk, inputId)
      for (let i = 0; i < 3; i++) {
        const again = yield* bench.open(agent)
        yield* advance("31 days", { steps: 3 })
        assert.strictEqual(yield* phaseOf(again, clerk, inputId), "held: question")
        assert.deepStrictEqual((yield* clerk.questions).map(({ key }) => key), ["o-1"])
      }
      assert.deepStrictEqual(log, ["o-1 1", "interrupted"])
      yield* clerk.answer("approval", "o-1", false)
      assert.strictEqual(yield* clerk.await(inputId), "no")
      assert.deepStrictEqual(log, ["o-1 1", "interrupted", "o-1 1"])
    }))

  agentTest(
    "of one conversation is answered once: whoever asks it there again has the same answer",
    (bench) =>
      Effect.gen(function*() {
        const process = yield* bench.open(Clerk.toLayer((run) =>
          Effect.gen(function*() {
            const answer = yield* run.ask("approval", {
              key: "the",
              ask: run.inputs[0].text,
              commit: { append: [Message.assistant(run.inputs[0].text)] }
            })
            return { result: `${run.inputs[0].text}: ${answer}` }
          }).pipe(Effect.orDie)
        ))
        const first = yield* clerk.send("first")
        const second = yield* clerk.send("second")
        yield* untilParked(process, clerk, first.inputId)
        yield* untilParked(process, clerk, second.inputId)
        assert.deepStrictEqual((yield* clerk.questions).map(({ ask }) => ask), ["first"])
        yield* clerk.answer("approval", "the", true)
        assert.strictEqual(yield* clerk.await(first.inputId), "first: true")
        assert.strictEqual(yield* clerk.await(second.inputId), "second: true")
        assert.strictEqual(yield* clerk.call("third"), "third: true")
        // Elsewhere it is another question.
        const elsewhere = yield* Clerk.of("bob").send("first")
        yield* untilParked(process, Clerk.of("bob"), elsewhere.inputId)
      })
  )
})

describe("what is committed with a question", () => {
  agentTest("is committed once, and seen by every attempt", (bench) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      let alongside = 0
      const agent = Clerk.toLayer((run) =>
        Effect.gen(function*() {
          seen.push((yield* run.state).join())
          yield* run.ask("approval", {
            key: "o-1",
            ask: "?",
            commit: {
              state: [...(yield* run.state), "asked"],
              append: [Message.assistant("May I?")],
              alongside: Effect.sync(() => alongside++)
            }
          })
          const history = yield* run.history()
          return { result: history.map(Message.text).join("|") }
        }).pipe(Effect.orDie)
      )
      const process = yield* bench.open(agent)
      const { inputId } = yield* clerk.send("go")
      yield* untilParked(process, clerk, inputId)
      assert.deepStrictEqual(yield* clerk.state, ["asked"])
      const { items } = yield* clerk.messages()
      assert.deepStrictEqual(items.map(Message.text), ["go", "May I?"])
      yield* bench.open(agent)
      yield* clerk.answer("approval", "o-1", true)
      assert.strictEqual(yield* clerk.await(inputId), "go|May I?")
      assert.deepStrictEqual(seen, ["", "asked"])
      assert.deepStrictEqual(yield* clerk.state, ["asked"])
      assert.strictEqual(alongside, 1)
    }))

  agentTest("fails with its own error, and then nothing was asked", (bench) =>
    Effect.gen(function*() {
      yield* bench.open(Clerk.toLayer((run) =>
        Effect.gen(function*() {
          const failed = yield* Effect.flip(
            run.ask("approval", { key: "o-1", ask: "?", commit: { alongside: Effect.fail("no room" as const) } })
          )
          return { result: String(failed) }
        }).pipe(Effect.orDie)
      ))
      assert.strictEqual(yield* clerk.call("go"), "no room")
      assert.deepStrictEqual(yield* clerk.questions, [])
      assert.strictEqual((yield* Effect.flip(clerk.answer("approval", "o-1", true)))._tag, "UnknownQuestion")
    }))
})

/** A run whose work is a program around `ask`. */
const working = (program: (run: Run) => Effect.Effect<string, unknown, Agent.Provided>) =>
  Clerk.toLayer((run) => Effect.map(Effect.orDie(program(run)), (result) => ({ result })))

const asks = (run: Run, key: string) => run.ask("approval", { key, ask: key })

describe("a run that does several things at once", () => {
  agentTest(
    "parks when its last tool is done: one model call, each tool's work once, none of it interrupted",
    (bench) =>
      Effect.gen(function*() {
        const did: Array<string> = []
        const gate = yield* latch
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            const calls = yield* run.once(
              "model",
              Schema.Array(Schema.String),
              Effect.sync(() => {
                did.push("model")
                return ["a", "slow", "b"]
              })
            )
            const results = yield* Effect.forEach(calls, (call) =>
              run.once(
                call,
                Schema.String,
                call === "slow"
                  ? Effect.onInterrupt(
                    Effect.as(Effect.tap(gate.wait, () => did.push("slow")), "slow"),
                    () => Effect.sync(() => did.push("slow was interrupted"))
                  )
                  : Effect.tap(Effect.map(asks(run, call), String), () => did.push(call))
              ), { concurrency: "unbounded" })
            return results.join()
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* until("both are asked", Effect.map(clerk.questions, (open) => open.length === 2))
        yield* settle
        assert.strictEqual(yield* phaseOf(process, clerk, inputId), "staged")
        yield* gate.open
        yield* untilParked(process, clerk, inputId)
        assert.deepStrictEqual(did, ["model", "slow"])
        yield* clerk.answer("approval", "b", false)
        yield* until("b is done", Effect.sync(() => did.includes("b")))
        yield* untilParked(process, clerk, inputId)
        yield* clerk.answer("approval", "a", true)
        assert.strictEqual(yield* clerk.await(inputId), "true,slow,false")
        assert.deepStrictEqual(did, ["model", "slow", "b", "a"])
        assert.deepInclude(yield* tallyOf(process, clerk), { "run.started": 3, "run.boundary": 7 })
      })
  )

  const shapes: Record<string, (run: Run) => Effect.Effect<string, unknown, Agent.Provided>> = {
    "a loop of bounded concurrency": (run) =>
      Effect.map(
        Effect.forEach(["a", "b", "c", "d"], (key) => asks(run, key), { concurrency: 2 }),
        (answers) => answers.join()
      ),
    "a loop of bounded concurrency whose first members have something else to do": (run) =>
      Effect.map(
        Effect.forEach(["x", "a", "y", "b", "z", "c", "d"], (key) =>
          key >= "x" ? Effect.as(Effect.yieldNow(), []) : Effect.map(asks(run, key), (answer) => [answer]), {
          concurrency: 3
        }),
        (answers) =>
          answers.flat().join()
      ),
    "one after the other": (run) =>
      Effect.map(Effect.forEach(["a", "b", "c", "d"], (key) => asks(run, key)), (answers) => answers.join()),
    "Effect.all, nested": (run) =>
      Effect.map(
        Effect.all([
          Effect.all([asks(run, "a"), asks(run, "b")], { concurrency: "unbounded" }),
          Effect.all([asks(run, "c"), asks(run, "d")], { concurrency: 1 })
        ], { concurrency: 2 }),
        (answers) => answers.flat().join()
      ),
    "zipped fibers": (run) =>
      Effect.gen(function*() {
        const fibers = yield* Effect.forEach(["a", "b", "c", "d"], (key) => Effect.fork(asks(run, key)))
        return (yield* Effect.forEach(fibers, Fiber.join)).join()
      }),
    "in once": (run) =>
      Effect.map(
        Effect.forEach(["a", "b", "c", "d"], (key) => run.once(key, Schema.Boolean, asks(run, key)), {
          concurrency: "unbounded"
        }),
        (answers) => answers.join()
      ),
    "raced against each other": (run) =>
      Effect.gen(function*() {
        const first = yield* Effect.race(asks(run, "a"), Effect.zipRight(asks(run, "d"), Effect.never))
        return [first, yield* asks(run, "b"), yield* asks(run, "c"), yield* asks(run, "d")].join()
      }),
    "disconnected, with finalizers and spans": (run) =>
      Effect.scoped(Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.void)
        const one = (key: string) => Effect.withSpan(Effect.disconnect(asks(run, key)), key)
        return (yield* Effect.all(["a", "b", "c", "d"].map(one), { concurrency: "inherit" })).join()
      }))
  }
  for (const [name, program] of Object.entries(shapes)) {
    agentTest(`parks, uncharged, whichever way it waits: ${name}`, (bench) =>
      Effect.gen(function*() {
        const process = yield* bench.open(working(program))
        const { inputId } = yield* clerk.send("go")
        const answers: Record<string, boolean> = { a: true, b: false, c: true, d: false }
        for (let left = 4; left > 0;) {
          yield* untilParked(process, clerk, inputId)
          assert.strictEqual((yield* headIn(process, clerk, inputId)).attempt, 0)
          const open = yield* clerk.questions
          assert.isAbove(open.length, 0)
          for (const { key } of open) {
            yield* clerk.answer("approval", key, answers[key]!)
            left--
          }
        }
        assert.strictEqual(yield* clerk.await(inputId), "true,false,true,false")
      }))
  }

  agentTest(
    "parks though a fiber in the background goes on, which nobody waits for",
    (bench) =>
      Effect.gen(function*() {
        let beats = 0
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            yield* Effect.forkScoped(
              Effect.repeat(Effect.zipRight(run.heartbeat, Effect.sync(() => beats++)), Schedule.spaced("1 second"))
            )
            yield* Effect.forkDaemon(Effect.void)
            return String(yield* asks(run, "a"))
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* untilParked(process, clerk, inputId)
        // It is over with its attempt.
        yield* settle
        const before = beats
        yield* advance("10 seconds", { steps: 10 })
        assert.strictEqual(beats, before)
        yield* clerk.answer("approval", "a", true)
        assert.strictEqual(yield* clerk.await(inputId), "true")
      })
  )

  agentTest(
    "keeps its attempt while another branch sleeps, and parks when that has ended",
    (bench) =>
      Effect.gen(function*() {
        const did: Array<string> = []
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            const [answer] = yield* Effect.all([
              asks(run, "a"),
              Effect.zipRight(Effect.sleep("1 hour"), Effect.sync(() => did.push("slept")))
            ], { concurrency: "unbounded" })
            return String(answer)
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
        yield* advance("59 minutes")
        assert.strictEqual(yield* phaseOf(process, clerk, inputId), "staged")
        yield* advance("1 minute")
        yield* untilParked(process, clerk, inputId)
        assert.deepStrictEqual(did, ["slept"])
      })
  )

  agentTest(
    "keeps its attempt for a time limit of its own around the question, which holds",
    (bench) =>
      Effect.gen(function*() {
        const process = yield* bench.open(working((run) =>
          Effect.map(
            Effect.timeoutOption(asks(run, "a"), "1 hour"),
            Option.match({ onNone: () => "went on", onSome: String })
          )
        ))
        const { inputId } = yield* clerk.send("go")
        yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
        yield* settle
        assert.strictEqual(yield* phaseOf(process, clerk, inputId), "staged")
        yield* advance("1 hour")
        assert.strictEqual(yield* clerk.await(inputId), "went on")
        const second = yield* clerk.send("go")
        yield* untilIs(process, clerk, second.inputId, "staged")
        yield* until("it is asked again", Effect.map(clerk.questions, (open) => open.length === 1))
        yield* clerk.answer("approval", "a", true)
        assert.strictEqual(yield* clerk.await(second.inputId), "true")
        assert.deepInclude(yield* tallyOf(process, clerk), { "run.started": 2 })
      })
  )

  agentTest(
    "goes on in the same attempt when the answer comes while it is still in memory",
    (bench) =>
      Effect.gen(function*() {
        const gate = yield* latch
        const attempts: Array<number> = []
        const process = yield* bench.open(working((run) =>
          Effect.gen(function*() {
            attempts.push(run.attempt)
            const [answer] = yield* Effect.all([asks(run, "a"), gate.wait], { concurrency: "unbounded" })
            return String(answer)
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
        yield* clerk.answer("approval", "a", true)
        yield* until("it is answered", Effect.map(clerk.questions, (open) => open.length === 0))
        yield* settle
        yield* gate.open
        assert.strictEqual(yield* clerk.await(inputId), "true")
        assert.deepStrictEqual(attempts, [1])
        assert.deepInclude(yield* tallyOf(process, clerk), { "run.started": 1 })
      })
  )

  agentTest("is told of a deadline while it is still in memory", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(working((run) =>
        Effect.gen(function*() {
          const [answer] = yield* Effect.all([
            Effect.flip(run.ask("approval", { key: "a", ask: "?", expires: "1 hour" })),
            Effect.sleep("2 hours")
          ], { concurrency: "unbounded" })
          return String(answer._tag)
        })
      ))
      const { inputId } = yield* clerk.send("go")
      yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
      yield* advance("1 hour")
      assert.deepStrictEqual(yield* clerk.questions, [])
      assert.strictEqual((yield* Effect.flip(clerk.answer("approval", "a", true)))._tag, "UnknownQuestion")
      yield* advance("1 hour")
      assert.strictEqual(yield* clerk.await(inputId), "QuestionExpired")
      assert.deepInclude(yield* tallyOf(process, clerk), { "run.started": 1 })
    }))
})

describe("the end of what waits for an answer", () => {
  agentTest("is a cancel of the conversation: what is queued goes on", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(asksOnce())
      const { inputId } = yield* clerk.send("o-1")
      yield* untilParked(process, clerk, inputId)
      const waiter = yield* Effect.fork(Effect.flip(clerk.await(inputId)))
      yield* clerk.cancel("enough")
      assert.deepInclude(yield* Fiber.join(waiter), { _tag: "Cancelled", reason: "enough" })
      assert.deepStrictEqual(yield* clerk.questions, [])
      assert.strictEqual(yield* clerk.call("plain"), "plain")
      yield* bench.open(asksOnce())
      assert.strictEqual(yield* phaseOf(yield* bench.open(), clerk, inputId), "abandoned")
    }))

  agentTest("is a cancel while it is still in memory", (bench) =>
    Effect.gen(function*() {
      const ends: Array<string> = []
      yield* bench.open(working((run) =>
        Effect.all([asks(run, "a"), Effect.never], { concurrency: "unbounded" }).pipe(
          Effect.as(""),
          Effect.onExit((exit) => Effect.sync(() => ends.push(Exit.isInterrupted(exit) ? "interrupted" : exit._tag)))
        )
      ))
      const { inputId } = yield* clerk.send("go")
      yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
      yield* clerk.cancel("enough")
      assert.deepInclude(yield* Effect.flip(clerk.await(inputId)), { _tag: "Cancelled" })
      yield* untilTrue("its fiber is interrupted", () => ends.length === 1)
      assert.deepStrictEqual(ends, ["interrupted"])
      assert.strictEqual((yield* Effect.flip(clerk.answer("approval", "a", true)))._tag, "UnknownQuestion")
    }))

  agentTest(
    "is not a clean shutdown, parked or in memory: neither costs an attempt",
    (bench) =>
      Effect.gen(function*() {
        const attempts: Array<string> = []
        const agent = working((run) =>
          Effect.gen(function*() {
            attempts.push(`${run.inputs[0].text} ${run.attempt}`)
            if (run.inputs[0].text === "busy" && attempts.length < 7) {
              yield* Effect.all([asks(run, "a"), Effect.never], { concurrency: "unbounded" })
            }
            return String(yield* asks(run, run.inputs[0].text === "busy" ? "a" : "b"))
          })
        )
        const other = Clerk.of("bob")
        let process = yield* bench.open(agent)
        const parked = yield* clerk.send("parks")
        yield* untilParked(process, clerk, parked.inputId)
        const busy = yield* other.send("busy")
        for (let i = 0; i < 5; i++) {
          yield* untilTrue("it runs", () => attempts.length === i + 2)
          yield* until("it is asked", Effect.map(other.questions, (open) => open.length === 1))
          process = yield* bench.open(agent)
        }
        yield* untilParked(process, other, busy.inputId)
        assert.strictEqual((yield* headIn(process, other, busy.inputId)).attempt, 0)
        assert.strictEqual((yield* headIn(process, clerk, parked.inputId)).attempt, 0)
        yield* clerk.answer("approval", "b", true)
        yield* other.answer("approval", "a", false)
        assert.strictEqual(yield* clerk.await(parked.inputId), "true")
        assert.strictEqual(yield* other.await(busy.inputId), "false")
        assert.deepStrictEqual(attempts.filter((attempt) => !attempt.endsWith(" 1")), [])
      })
  )

  crashTest(
    "is not a crash while it is still in memory: the question is there, and is asked once",
    (host) =>
      Effect.gen(function*() {
        const attempts: Array<number> = []
        yield* host(working((run) =>
          Effect.gen(function*() {
            attempts.push(run.attempt)
            const [answer] = yield* Effect.all(
              [asks(run, "a"), run.attempt === 1 ? Effect.never : Effect.void],
              { concurrency: "unbounded" }
            )
            return String(answer)
          })
        ))
        const { inputId } = yield* clerk.send("go")
        yield* until("it is asked", Effect.map(clerk.questions, (open) => open.length === 1))
        yield* AgentTest.crash
        yield* untilTrue("it runs again", () => attempts.length === 2)
        assert.deepStrictEqual((yield* clerk.questions).map(({ key }) => key), ["a"])
        yield* settle
        yield* AgentTest.crash
        yield* clerk.answer("approval", "a", true)
        assert.strictEqual(yield* clerk.await(inputId), "true")
        // The first one was lost; those that were parked are not counted.
        assert.deepStrictEqual(attempts, [1, 2, 2])
      })
  )
})
