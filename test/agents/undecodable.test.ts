import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Agent from "../../src/services/Agent.js"
import { latch, type Process, settle } from "../engine/support.js"
import { agentTest, headIn, untilIs, untilParked } from "./bench.js"

/** The same agent, as one deploy after the other defines it. */
class First extends Agent.make("shop", {
  state: Schema.Struct({ orders: Schema.Number }),
  initial: { orders: 0 },
  events: { paid: Schema.Struct({ cents: Schema.Number }), gone: Schema.String, ping: Schema.Null },
  questions: { date: { ask: Schema.Struct({ by: Schema.String }), answer: Schema.String } },
  result: Schema.Unknown
}) {}

const events = { paid: Schema.Struct({ cents: Schema.String }), ping: Schema.Null }

class Second extends Agent.make("shop", {
  state: Schema.Struct({ orders: Schema.Number }),
  initial: { orders: 0 },
  events,
  questions: { date: { ask: Schema.Struct({ by: Schema.Number }), answer: Schema.Number } },
  result: Schema.String
}) {}

class Third extends Agent.make("shop", {
  state: Schema.Struct({ orders: Schema.Number }),
  initial: { orders: 0 },
  events: { ...events, paid: Schema.Struct({ cents: Schema.Unknown }), gone: Schema.Unknown },
  questions: { date: { ask: Schema.Unknown, answer: Schema.Unknown } },
  result: Schema.Unknown
}) {}

const first = First.of("ana")

interface Input {
  readonly text: string
}

const results =
  <I extends Input>(log: Array<string>) => (run: { readonly inputs: ReadonlyArray<I>; readonly attempt: number }) =>
    Effect.sync(() => {
      const result = run.inputs.map((input) => "type" in input ? String(input.type) : input.text).join("+")
      log.push(`${result} ${run.attempt}`)
      return { result }
    })

/** Held, uncharged, with the field that cannot be read. */
const isAside = (process: Process, inputId: string, field: RegExp) =>
  Effect.gen(function*() {
    yield* untilIs(process, first, inputId, "held: undecodable")
    const { attempt, failure } = yield* headIn(process, first, inputId)
    assert.deepStrictEqual([attempt, failure?.tag], [0, "Undecodable"])
    assert.match(failure?.message ?? "", field)
  })

describe("what a deploy does not read", () => {
  agentTest(
    "is an event without its type or with another payload: held alone, and its neighbours go on together",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        yield* bench.open()
        const before = yield* first.event("ping", null)
        const paid = yield* first.event("paid", { cents: 3 })
        const gone = yield* first.event("gone", "away")
        const after = yield* first.event("ping", null)
        const process = yield* bench.open(Second.toLayer(results(log)))
        yield* isAside(process, paid.inputId, /^events\.paid\.cents: /)
        yield* isAside(process, gone.inputId, /^events\.(gone|paid\.cents): /)
        assert.strictEqual(yield* first.await(before.inputId), "ping+ping")
        assert.strictEqual(yield* first.await(after.inputId), "ping+ping")
        assert.deepStrictEqual(log, ["ping+ping 1"])
        // Too early.
        yield* process.plane.release(first.runtimeId, gone.inputId)
        yield* isAside(process, gone.inputId, /^events\.gone: is no event of the agent/)
        const again = yield* bench.open(Third.toLayer(results(log)))
        yield* settle
        assert.strictEqual(log.length, 1)
        yield* again.plane.release(first.runtimeId, paid.inputId)
        yield* again.plane.release(first.runtimeId, gone.inputId)
        assert.match(String(yield* first.await(paid.inputId)), /paid/)
        assert.match(String(yield* first.await(gone.inputId)), /gone/)
        assert.isTrue(log.every((line) => line.endsWith(" 1")))
      })
  )

  agentTest(
    "is the state: no run begins, the inputs are held, and the handle says which field",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open(
          First.toLayer((run) =>
            Effect.map(run.state, ({ orders }) => ({ state: { orders: orders + 1 }, result: null }))
          )
        )
        yield* first.call("one")
        assert.deepStrictEqual(yield* first.state, { orders: 1 })
        class Broken extends Agent.make("shop", {
          state: Schema.Struct({ orders: Schema.Array(Schema.String) }),
          initial: { orders: [] },
          result: Schema.Unknown
        }) {}
        const log: Array<string> = []
        const process = yield* bench.open(Broken.toLayer(results(log)))
        const { inputId } = yield* first.send("two")
        yield* isAside(process, inputId, /^state\.orders: /)
        const read = yield* Effect.flip(Broken.of("ana").state)
        assert.deepInclude(read, {
          _tag: "Undecodable",
          runtimeId: "shop/ana",
          inputId: null,
          field: "state.orders",
          retryable: false
        })
        // Another conversation has none, or one that it reads.
        assert.strictEqual(yield* Broken.of("bob").call("hello"), "hello")
        assert.deepStrictEqual(log, ["hello 1"])
        const again = yield* bench.open(
          First.toLayer((run) =>
            Effect.map(run.state, ({ orders }) => ({ state: { orders: orders + 1 }, result: orders }))
          )
        )
        yield* again.plane.release(first.runtimeId, inputId)
        assert.strictEqual(yield* first.await(inputId), 1)
        assert.deepStrictEqual(yield* first.state, { orders: 2 })
      })
  )

  agentTest(
    "is an answer, or the question: the run is held, and the answer is there for the deploy that reads it",
    (bench) =>
      Effect.gen(function*() {
        let process = yield* bench.open(
          First.toLayer((run) =>
            Effect.map(Effect.orDie(run.ask("date", { key: "1", ask: { by: "monday" } })), (result) => ({ result }))
          )
        )
        const { inputId } = yield* first.send("go")
        yield* untilParked(process, first, inputId)
        yield* bench.open()
        const questions = yield* Effect.flip(Second.of("ana").questions)
        assert.deepInclude(questions, { _tag: "Undecodable", field: "questions.date.ask.by" })
        class Silent extends Agent.make("shop") {}
        assert.deepStrictEqual((yield* first.questions).map(({ key }) => key), ["1"])
        // What the agent asks no more, nobody can answer through it.
        assert.deepStrictEqual(yield* Silent.of("ana").questions, [])
        yield* first.answer("date", "1", "tuesday")
        process = yield* bench.open(
          Second.toLayer((run) =>
            Effect.map(Effect.orDie(run.ask("date", { key: "1", ask: { by: 1 } })), (day) => ({ result: String(day) }))
          )
        )
        yield* isAside(process, inputId, /^questions\.date\.answer: /)
        // It is no question any more; nor is it lost.
        assert.deepStrictEqual(yield* first.questions, [])
        assert.isTrue((yield* first.answer("date", "1", "tuesday")).duplicate)
        const again = yield* bench.open(
          Third.toLayer((run) =>
            Effect.map(Effect.orDie(run.ask("date", { key: "1", ask: null })), (result) => ({ result }))
          )
        )
        yield* settle
        yield* again.plane.release(first.runtimeId, inputId)
        assert.strictEqual(yield* first.await(inputId), "tuesday")
      })
  )

  agentTest(
    "is a result that is stored: who waits is told, and the input has ended all the same",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.open(First.toLayer(() => Effect.succeed({ result: { cents: 3 } })))
        const { inputId } = yield* first.send("go")
        assert.deepStrictEqual(yield* first.await(inputId), { cents: 3 })
        const read = yield* Effect.flip(Second.of("ana").await(inputId))
        assert.deepInclude(read, { _tag: "Undecodable", field: "result", inputId, retryable: false })
        assert.deepStrictEqual(yield* Third.of("ana").await(inputId), { cents: 3 })
      })
  )

  agentTest("is a steer: it has been handed over, and is shown as it is", (bench) =>
    Effect.gen(function*() {
      const gate = yield* latch
      const process = yield* bench.open(Second.toLayer((run) =>
        Effect.gen(function*() {
          yield* gate.wait
          const steers = yield* run.checkpoint()
          return { result: steers.map((steer) => `${steer._tag} ${steer.text}`).join() }
        })
      ))
      const { inputId } = yield* first.send("go")
      yield* untilIs(process, first, inputId, "staged")
      const steer = yield* process.plane.steer(first.runtimeId, {
        _tag: "external_event",
        eventType: "gone",
        payload: { body: "away" }
      })
      assert.strictEqual(steer._tag, "accepted")
      yield* gate.open
      assert.strictEqual(yield* first.await(inputId), "Other [event via gone] away")
    }))
})
