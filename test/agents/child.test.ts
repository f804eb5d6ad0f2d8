import { assert, describe } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Agent from "../../src/services/Agent.js"
import { ControlPlane } from "../../src/services/ControlPlane.js"
import * as AgentTest from "../../src/testing/AgentTest.js"
import { advance, latch, type Plane, settle, until, untilTrue } from "../engine/support.js"
import { agentTest, crashTest, phaseOf, untilIs, untilParked } from "./bench.js"

class Leaf extends Agent.make("leaf", {
  result: Schema.Struct({ day: Schema.Date }),
  questions: { go: { ask: Schema.Null, answer: Schema.Boolean } }
}) {}

class Root extends Agent.make("root", { result: Schema.Unknown }) {}

const root = Root.of("ana")

type Run = Agent.RunOf<typeof Root>

const rooted = (
  program: (run: Run) => Effect.Effect<unknown, unknown, Agent.Provided>,
  options: { readonly attemptsMax?: number; readonly runsMax?: number } = {}
) => Root.toLayer((run) => Effect.map(program(run), (result) => ({ result })), options)

const day = { day: new Date(5) }

/** Says what it was asked. */
const leaves = (log: Array<string>, more: Effect.Effect<void> = Effect.void) =>
  Leaf.toLayer((run) =>
    Effect.suspend(() => {
      log.push(`${run.inputs[0].text} ${run.attempt}`)
      return Effect.as(more, { result: day })
    })
  )

/** The inputs of all conversations of an agent. */
const inputsOf = ({ plane }: { readonly plane: Plane }, agent: string) =>
  Effect.gen(function*() {
    const all = yield* plane.runtimes({ limit: 1_000 })
    const own = all.filter(({ runtimeId }) => runtimeId.startsWith(`${agent}/`))
    return yield* Effect.forEach(own, ({ runtimeId }) =>
      Effect.map(plane.inputs(runtimeId), (rows) =>
        Arr.getRights(rows).filter(({ head }) =>
          head.kind === "prompt"
        ).map(({ head }) => ({ runtimeId: runtimeId as string, inputId: head.id as string }))))
  }).pipe(
    Effect.map((inputs) =>
      inputs.flat()
    ),
    Effect.orDie
  )

/** When the agent has an input, and only one. */
const untilAsked = (process: { readonly plane: Plane }, agent = "leaf") =>
  Effect.zipRight(
    until(`${agent} is asked`, Effect.map(inputsOf(process, agent), (inputs) => inputs.length === 1)),
    Effect.map(inputsOf(process, agent), ([input]) => input!)
  )

describe("a child", () => {
  agentTest(
    "answers its result, as its Schema decodes it, from a conversation of its own",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const process = yield* bench.open(
          leaves(log),
          rooted((run) =>
            Effect.gen(function*() {
              const first = yield* run.child(Leaf, { key: "a", input: "facts" })
              const again = yield* run.child(Leaf, { key: "a", input: "facts" })
              const other = yield* run.child(Leaf, { key: "b", input: "more" })
              return [first.day instanceof Date && first.day.getTime(), again.day.getTime(), other.day.getTime()]
            })
          )
        )
        assert.deepStrictEqual(yield* root.call("go"), [5, 5, 5])
        assert.deepStrictEqual(log, ["facts 1", "more 1"])
        const inputs = yield* inputsOf(process, "leaf")
        assert.strictEqual(new Set(inputs.map(({ runtimeId }) => runtimeId)).size, 2)
        // The next input asks anew.
        yield* root.call("go")
        assert.strictEqual(log.length, 4)
      })
  )

  agentTest("is asked once over all attempts, and also after reopening", (bench) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const gate = yield* latch
      const parent = rooted((run) =>
        Effect.gen(function*() {
          const { day } = yield* run.child(Leaf, { key: "a", input: "facts" })
          if (run.attempt === 1) return yield* Effect.fail("no")
          yield* gate.wait
          return [day.getTime(), run.attempt]
        }), { attemptsMax: 5 })
      const process = yield* bench.open(leaves(log), parent)
      const { inputId } = yield* root.send("go")
      yield* untilTrue("the child is done", () => log.length === 1)
      yield* settle
      yield* advance("2 seconds")
      yield* untilIs(process, root, inputId, "staged")
      // While it waits, and when it has its result.
      yield* bench.open(parent)
      yield* settle
      yield* bench.open(parent)
      yield* gate.open
      assert.deepStrictEqual(yield* root.await(inputId), [5, 2])
      assert.deepStrictEqual(log, ["facts 1"])
    }))

  for (const when of ["with the commit that asks", "while its parent waits", "when it is done"] as const) {
    crashTest(`is asked once, though the process dies: ${when}`, (host) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const gate = yield* latch
        let attempts = 0
        yield* host(leaves(log, when === "while its parent waits" ? gate.wait : Effect.void))
        yield* host(rooted((run) =>
          Effect.gen(function*() {
            attempts++
            const { day } = yield* run.child(Leaf, { key: "a", input: "facts" })
            if (when === "when it is done") yield* gate.wait
            return day.getTime()
          }), { attemptsMax: 5 }))
        const plane = yield* ControlPlane
        if (when === "with the commit that asks") yield* AgentTest.crashAfterCommit(1)
        const { inputId } = yield* root.send("go")
        if (when !== "with the commit that asks") {
          yield* untilTrue("the child has begun", () => log.length === 1)
          yield* settle
          yield* AgentTest.crash
        }
        yield* untilTrue("the parent is back", () => attempts === 2)
        yield* gate.open
        assert.strictEqual(yield* root.await(inputId), 5)
        assert.strictEqual((yield* inputsOf({ plane }, "leaf")).length, 1)
        // Its own attempt may be lost; it is the same input.
        assert.deepStrictEqual(log, when === "while its parent waits" ? ["facts 1", "facts 2"] : ["facts 1"])
      }))
  }

  agentTest("may be one of many at once, though each agent has one place", (bench) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      yield* bench.open(
        Leaf.toLayer((run) => Effect.sync(() => (log.push(run.inputs[0].text), { result: day })), { runsMax: 1 }),
        rooted((run) =>
          Effect.map(
            Effect.forEach(Arr.range(1, 5), (n) => run.child(Leaf, { key: `${n}`, input: `${n}` }), {
              concurrency: "unbounded"
            }),
            (found) => found.length
          ), { runsMax: 1 })
      )
      const both = yield* Effect.all([root.call("go"), Root.of("bob").call("go")], { concurrency: "unbounded" })
      assert.deepStrictEqual(both, [5, 5])
      assert.strictEqual(log.length, 10)
    }))

  agentTest("may be of the same agent", (bench) =>
    Effect.gen(function*() {
      const factorial = Root.toLayer((run) =>
        Effect.gen(function*() {
          const n = Number(run.inputs[0].text)
          const before = n <= 1 ? 1 : yield* run.child(Root, { key: "before", input: `${n - 1}` })
          return { result: n * (before as number) }
        }), { runsMax: 1 })
      yield* bench.open(factorial)
      assert.strictEqual(yield* root.call("5"), 120)
    }))

  agentTest(
    "may be a conversation that others have too: each call is an input of its own there",
    (bench) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const process = yield* bench.open(
          Leaf.toLayer((run) => Effect.sync(() => (log.push(run.inputs[0].text), { result: day }))),
          rooted((run) =>
            Effect.gen(function*() {
              yield* run.child(Leaf, { key: "a", input: `${run.id} a`, id: "shared" })
              yield* run.child(Leaf, { key: "b", input: `${run.id} b`, id: "shared" })
              yield* run.child(Leaf, { key: "a", input: `${run.id} a`, id: "other" })
              return "done"
            })
          )
        )
        yield* root.call("go")
        yield* Root.of("bob").call("go")
        assert.deepStrictEqual(log, ["ana a", "ana b", "ana a", "bob a", "bob b", "bob a"])
        const inputs = yield* inputsOf(process, "leaf")
        assert.deepStrictEqual(inputs.map(({ runtimeId }) => runtimeId).sort(), [
          "leaf/other",
          "leaf/other",
          "leaf/shared",
          "leaf/shared",
          "leaf/shared",
          "leaf/shared"
        ])
      })
  )

  agentTest("that is given up is a typed error of its parent's", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(
        Leaf.toLayer(() => Effect.fail({ _tag: "Tired", message: "no more" }), { attemptsMax: 1 }),
        rooted((run) =>
          run.child(Leaf, { key: "a", input: "facts" }).pipe(
            Effect.map(String),
            Effect.catchTag("DeadLettered", ({ attempts, error }) => Effect.succeed([attempts, error]))
          )
        )
      )
      assert.deepStrictEqual(yield* root.call("go"), [1, { tag: "Tired", message: "no more" }])
      assert.strictEqual((yield* inputsOf(process, "leaf")).length, 1)
    }))

  agentTest(
    "whose result the parent's definition does not read is Undecodable, and names the field",
    (bench) =>
      Effect.gen(function*() {
        class Older
          extends Agent.make("leaf", { result: Schema.Struct({ day: Schema.String, hour: Schema.Number }) })
        {}
        yield* bench.open(
          leaves([]),
          rooted((run) =>
            run.child(Older, { key: "a", input: "facts" }).pipe(
              Effect.map(String),
              Effect.catchTag("Undecodable", ({ field, retryable }) => Effect.succeed([field, retryable]))
            )
          )
        )
        assert.deepStrictEqual(yield* root.call("go"), ["result.hour", false])
      })
  )

  agentTest("that asks a person parks, while its parent waits for it", (bench) =>
    Effect.gen(function*() {
      const parent = rooted((run) =>
        Effect.map(run.child(Leaf, { key: "a", input: "facts" }), ({ day }) => day.getTime())
      )
      const asking = Leaf.toLayer((run) =>
        Effect.as(Effect.orDie(run.ask("go", { key: "1", ask: null })), { result: day })
      )
      const process = yield* bench.open(parent, asking)
      const { inputId } = yield* root.send("go")
      const child = yield* untilAsked(process)
      yield* untilParked(process, child, child.inputId)
      const again = yield* bench.open(parent, asking)
      yield* untilIs(again, root, inputId, "staged")
      const [open] = yield* Leaf.of(child.runtimeId.slice("leaf/".length)).questions
      assert.strictEqual(open?.key, "1")
      yield* Leaf.of(child.runtimeId.slice("leaf/".length)).answer("go", "1", true)
      assert.strictEqual(yield* root.await(inputId), 5)
    }))
})

describe("when a parent is cancelled", () => {
  agentTest(
    "its child is, in the same commit: also one that nobody carries out, in a process that closes at once",
    (bench) =>
      Effect.gen(function*() {
        const parent = rooted((run) => run.child(Leaf, { key: "a", input: "facts" }))
        const process = yield* bench.open(parent)
        const { inputId } = yield* root.send("go")
        const child = yield* untilAsked(process)
        assert.strictEqual(yield* phaseOf(process, child, child.inputId), "queued")
        yield* root.cancel("enough")
        const log: Array<string> = []
        const again = yield* bench.open(parent, leaves(log))
        yield* untilIs(again, child, child.inputId, "abandoned")
        assert.deepInclude(yield* Effect.flip(root.await(inputId)), { _tag: "Cancelled", reason: "enough" })
        yield* settle
        assert.deepStrictEqual(log, [])
      })
  )

  agentTest("its children's children are, and all their runs are interrupted", (bench) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      class Middle extends Agent.make("middle") {}
      const noting = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
        Effect.onInterrupt(effect, () => Effect.sync(() => log.push(name)))
      const process = yield* bench.open(
        rooted((run) => noting("root", run.child(Middle, { key: "a", input: "go" }))),
        Middle.toLayer((run) => noting("middle", Effect.asVoid(run.child(Leaf, { key: "a", input: "go" })))),
        Leaf.toLayer(() => noting("leaf", Effect.never))
      )
      const { inputId } = yield* root.send("go")
      const [middle, leaf] = [yield* untilAsked(process, "middle"), yield* untilAsked(process)]
      yield* untilIs(process, leaf, leaf.inputId, "staged")
      yield* root.cancel("enough", { inputId })
      yield* untilTrue("all are interrupted", () => log.length === 3)
      yield* untilIs(process, middle, middle.inputId, "abandoned")
      yield* untilIs(process, leaf, leaf.inputId, "abandoned")
    }))

  agentTest("a child is not that has ended before, or that is of an earlier input", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(
        leaves([]),
        rooted((run) =>
          Effect.zipRight(
            run.child(Leaf, { key: "a", input: run.inputs[0].text }),
            run.inputs[0].text === "first" ? Effect.void : Effect.never
          )
        )
      )
      yield* root.call("first")
      yield* root.send("second")
      yield* until(
        "both are asked, and done",
        Effect.map(
          Effect.flatMap(
            inputsOf(process, "leaf"),
            Effect.forEach((input) => phaseOf(process, input, input.inputId))
          ),
          (phases) => phases.length === 2 && phases.every((phase) => phase === "consumed")
        )
      )
      yield* root.cancel("enough")
      yield* settle
      const inputs = yield* inputsOf(process, "leaf")
      assert.deepStrictEqual(
        yield* Effect.forEach(inputs, (input) => phaseOf(process, input, input.inputId)),
        ["consumed", "consumed"]
      )
    }))
})

describe("a child that its parent could never wait for", () => {
  agentTest("is told at once, and nothing is sent: its own conversation", (bench) =>
    Effect.gen(function*() {
      const process = yield* bench.open(rooted((run) =>
        Effect.map(
          Effect.flip(run.child(Root, { key: "a", input: "again", id: run.id })),
          (error) =>
            error._tag === "WouldDeadlock" ? [error._tag, error.runtimeId, error.by, error.retryable] : error._tag
        )
      ))
      assert.deepStrictEqual(yield* root.call("go"), ["WouldDeadlock", "root/ana", "root/ana", false])
      yield* settle
      assert.strictEqual((yield* inputsOf(process, "root")).length, 1)
    }))

  agentTest("is told at once, and nothing is sent: one that waits for it", (bench) =>
    Effect.gen(function*() {
      class Middle extends Agent.make("middle", { result: Schema.String }) {}
      const process = yield* bench.open(
        rooted((run) => run.child(Middle, { key: "a", input: "go" })),
        Middle.toLayer((run) =>
          Effect.map(
            Effect.flip(run.child(Root, { key: "a", input: "again", id: "ana" })),
            ({ _tag }) => ({ result: _tag })
          )
        )
      )
      assert.strictEqual(yield* root.call("go"), "WouldDeadlock")
      yield* settle
      assert.strictEqual((yield* inputsOf(process, "root")).length, 1)
    }))
})
