import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { DeadLettered } from "../../src/schema/AwaitError.js"
import * as Agent from "../../src/services/Agent.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { advance, latch, settle, untilTrue } from "../engine/support.js"
import { agentTest, crashTest, headIn, untilIs } from "./bench.js"

class Till extends Agent.make("till", { result: Schema.Unknown }) {}

type Run = Agent.RunOf<typeof Till>

const till = Till.of("ana")

const running = (program: (run: Run) => Effect.Effect<unknown, unknown, Agent.Provided>, attemptsMax = 5) =>
  Till.toLayer((run) => Effect.map(program(run), (result) => ({ result })), { attemptsMax })

/** A number that tells the calls of an effect. */
class Calls {
  count = 0
  readonly next = Effect.sync(() => ++this.count)
}
const counter = () => new Calls()

describe("what was done once", () => {
  agentTest(
    "is committed under its key, and handed back to the attempt after a failure",
    (bench) =>
      Effect.gen(function*() {
        const calls = counter()
        yield* bench.open(running((run) =>
          Effect.gen(function*() {
            const first = yield* run.once("pay", Schema.Number, calls.next)
            const again = yield* run.once("pay", Schema.Number, calls.next)
            if (run.attempt < 3) return yield* Effect.fail("not yet")
            return [first, again, run.attempt]
          })
        ))
        const waiter = yield* Effect.fork(till.call("go"))
        yield* advance("10 seconds", { steps: 4 })
        assert.deepStrictEqual(yield* Fiber.join(waiter), [1, 1, 3])
        assert.strictEqual(calls.count, 1)
      })
  )

  agentTest("belongs to its inputs: the next ones do it again", (bench) =>
    Effect.gen(function*() {
      const calls = counter()
      yield* bench.open(running((run) => run.once("pay", Schema.Number, calls.next)))
      assert.strictEqual(yield* till.call("go"), 1)
      assert.strictEqual(yield* till.call("go"), 2)
      assert.strictEqual(yield* Till.of("bob").call("go"), 3)
    }))

  agentTest("is there after a clean shutdown", (bench) =>
    Effect.gen(function*() {
      const calls = counter()
      const gate = yield* latch
      const agent = running((run) => Effect.zipLeft(run.once("pay", Schema.Number, calls.next), gate.wait))
      yield* bench.open(agent)
      const { inputId } = yield* till.send("go")
      yield* untilTrue("it is done", () => calls.count === 1)
      yield* settle
      const process = yield* bench.open(agent)
      assert.isBelow((yield* headIn(process, till, inputId)).attempt, 2)
      yield* gate.open
      assert.strictEqual(yield* till.await(inputId), 1)
      assert.strictEqual(calls.count, 1)
    }))

  crashTest(
    "is there after a crash, which came before anybody was told of its commit",
    (host) =>
      Effect.gen(function*() {
        const calls = counter()
        yield* host(
          running((run) => Effect.map(run.once("pay", Schema.Number, calls.next), (paid) => [paid, run.attempt]))
        )
        yield* AgentTest.crashAfterCommit(1)
        assert.deepStrictEqual(yield* till.call("go"), [1, 2])
        assert.strictEqual(calls.count, 1)
      })
  )

  crashTest("is done again when the process dies before its commit", (host) =>
    Effect.gen(function*() {
      const calls = counter()
      yield* host(running((run) =>
        run.once("pay", Schema.Number, Effect.tap(calls.next, (call) => call === 1 ? Effect.never : Effect.void))
      ))
      const { inputId } = yield* till.send("go")
      yield* untilTrue("it has begun", () =>
        calls.count === 1)
      yield* AgentTest.crash
      assert.strictEqual(yield* till.await(inputId), 2)
    }))

  agentTest("is not recorded when it fails, is interrupted or dies", (bench) =>
    Effect.gen(function*() {
      const calls = counter()
      const call = (end: Effect.Effect<number, string>) => Effect.zipRight(calls.next, end)
      yield* bench.open(running((run) =>
        Effect.gen(function*() {
          const failed = yield* Effect.either(run.once("pay", Schema.Number, call(Effect.fail("no money"))))
          const died = yield* Effect.exit(run.once("pay", Schema.Number, call(Effect.die("no"))))
          const late = yield* Effect.timeoutOption(run.once("pay", Schema.Number, call(Effect.never)), "1 second")
          const paid = yield* run.once("pay", Schema.Number, call(Effect.succeed(7)))
          return [Either.isLeft(failed) && failed.left, died._tag, Option.isNone(late), paid, calls.count]
        })
      ))
      const waiter = yield* Effect.fork(till.call("go"))
      yield* advance("1 second")
      assert.deepStrictEqual(yield* Fiber.join(waiter), ["no money", "Failure", true, 7, 4])
    }))

  agentTest(
    "goes through its Schema: dates, nothing at all, and what has no JSON form of its own",
    (bench) =>
      Effect.gen(function*() {
        const calls = counter()
        const schemas = (run: Run) =>
          Effect.all([
            run.once("date", Schema.Date, Effect.as(calls.next, new Date(5))),
            run.once("void", Schema.Void, Effect.asVoid(calls.next)),
            run.once("undefined", Schema.UndefinedOr(Schema.Number), Effect.as(calls.next, undefined)),
            run.once("null", Schema.Null, Effect.as(calls.next, null)),
            run.once(
              "map",
              Schema.Map({ key: Schema.String, value: Schema.BigInt }),
              Effect.as(calls.next, new Map([["a", 1n]]))
            ),
            run.once("option", Schema.Option(Schema.Date), Effect.as(calls.next, Option.some(new Date(6))))
          ])
        const seen: Array<unknown> = []
        yield* bench.open(running((run) =>
          Effect.gen(function*() {
            seen.push(yield* schemas(run))
            return run.attempt === 1 ? yield* Effect.fail("no") : "done"
          })
        ))
        const waiter = yield* Effect.fork(till.call("go"))
        yield* advance("2 seconds")
        assert.strictEqual(yield* Fiber.join(waiter), "done")
        assert.deepStrictEqual(seen[0], [
          new Date(5),
          undefined,
          undefined,
          null,
          new Map([["a", 1n]]),
          Option.some(new Date(6))
        ])
        assert.deepStrictEqual(seen[1], seen[0])
        assert.strictEqual(calls.count, 6)
      })
  )

  agentTest("is done by one of those who ask for it at the same time", (bench) =>
    Effect.gen(function*() {
      const calls = counter()
      const gate = yield* latch
      yield* bench.open(running((run) =>
        Effect.all([
          run.once("pay", Schema.Number, Effect.zipRight(gate.wait, calls.next)),
          run.once("pay", Schema.Number, Effect.zipRight(gate.wait, calls.next)),
          run.once("other", Schema.Number, Effect.zipRight(gate.open, calls.next))
        ], { concurrency: "unbounded" })
      ))
      const [first, second, other] = (yield* till.call("go")) as ReadonlyArray<number>
      assert.strictEqual(first, second)
      assert.notStrictEqual(first, other)
      assert.strictEqual(calls.count, 2)
    }))

  agentTest(
    "goes by names: an attempt may ask in another order, for more, and for less",
    (bench) =>
      Effect.gen(function*() {
        const did: Array<string> = []
        const orders = [["a", "b", "c"], ["c", "a"], ["d", "b", "a/b"]]
        yield* bench.open(running((run) =>
          Effect.gen(function*() {
            const results = yield* Effect.forEach(orders[run.attempt - 1]!, (key) =>
              run.once(
                key,
                Schema.String,
                Effect.sync(() => {
                  did.push(key)
                  return `${key} in ${run.attempt}`
                })
              ))
            return run.attempt < 3 ? yield* Effect.fail("no") : results
          })
        ))
        const waiter = yield* Effect.fork(till.call("go"))
        yield* advance("10 seconds", { steps: 4 })
        assert.deepStrictEqual(yield* Fiber.join(waiter), ["d in 3", "b in 1", "a/b in 3"])
        assert.deepStrictEqual(did, ["a", "b", "c", "d", "a/b"])
      })
  )

  agentTest(
    "holds the input, uncharged, when its result is no more what the Schema reads; released, it goes on",
    (bench) =>
      Effect.gen(function*() {
        const calls = counter()
        const first = running((run) => Effect.zipRight(run.once("pay", Schema.Number, calls.next), Effect.never))
        yield* bench.open(first)
        const { inputId } = yield* till.send("go")
        yield* untilTrue("it is done", () => calls.count === 1)
        yield* settle
        const struct = Schema.Struct({ cents: Schema.Number })
        const second = running((run) => run.once("pay", struct, Effect.map(calls.next, (cents) => ({ cents }))))
        let process = yield* bench.open(second)
        yield* untilIs(process, till, inputId, "held: undecodable")
        const { attempt, failure } = yield* headIn(process, till, inputId)
        assert.strictEqual(attempt, 0)
        assert.strictEqual(failure?.tag, "Undecodable")
        assert.match(failure?.message ?? "", /^once\.pay: /)
        // Not for this one: others have their turns.
        assert.deepStrictEqual(yield* till.call("next"), { cents: 2 })
        // As often as it is released.
        yield* process.plane.release(till.runtimeId, inputId)
        yield* untilIs(process, till, inputId, "held: undecodable")
        assert.strictEqual((yield* headIn(process, till, inputId)).attempt, 0)
        process = yield* bench.open(running((run) => run.once("pay", Schema.Union(struct, Schema.Number), calls.next)))
        yield* settle
        yield* process.plane.release(till.runtimeId, inputId)
        assert.strictEqual(yield* till.await(inputId), 1)
        assert.strictEqual(calls.count, 2)
      })
  )

  const refused: Record<string, (run: Run) => Effect.Effect<unknown>> = {
    "a result that is too large": (run) => run.once("large", Schema.String, Effect.succeed("x".repeat(300_000))),
    "a key that is too long": (run) => run.once("k".repeat(600), Schema.String, Effect.succeed("x")),
    "no key": (run) => run.once("", Schema.String, Effect.succeed("x"))
  }
  for (const [name, program] of Object.entries(refused)) {
    agentTest(
      `ends the run with a typed failure that no handler of the run sees: ${name}`,
      (bench) =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          yield* bench.open(
            running((run) =>
              Effect.catchAllDefect(
                Effect.catchAll(program(run), () => Effect.void),
                () => Effect.void
              ).pipe(Effect.map(() => seen.push("went on"))), 1)
          )
          const dead = (yield* Effect.flip(till.call("go"))) as DeadLettered
          assert.strictEqual(dead._tag, "DeadLettered")
          assert.strictEqual(dead.error.tag, "InvalidInput")
          assert.match(dead.error.message, /notes\[0\]\.(value|key)/)
          yield* settle
          assert.deepStrictEqual(seen, [])
        })
    )
  }

  agentTest("is a defect of the agent when it is not what its own Schema takes", (bench) =>
    Effect.gen(function*() {
      yield* bench.open(running((run) => run.once("n", Schema.NonEmptyString, Effect.succeed("")), 1))
      const dead = (yield* Effect.flip(till.call("go"))) as DeadLettered
      assert.strictEqual(dead._tag, "DeadLettered")
      assert.match(dead.error.message, /once\.n/)
    }))
})
