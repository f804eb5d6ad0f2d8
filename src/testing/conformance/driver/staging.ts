/**
 * Which inputs go next, in which order, and how often.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { Service } from "../../../services/Driver.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const batching = [
  F.make(
    "I6: the steer lane goes first, prompts go alone, what is between them goes together",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [
          F.flow("f1"),
          F.flow("f2"),
          F.prompt("p1"),
          F.prompt("p2"),
          F.flow("f3"),
          F.continuation("g")
        ])
        yield* expectEqual(yield* F.drain(driver), [["g"], ["f1", "f2"], ["p1"], ["p2"], ["f3"]], "the batches")
      })
  ),
  F.make(
    "I6: within a lane the lowest admission number goes first, whatever the ids and times",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* Effect.forEach(["1", "2", "3"], () => F.freshInputId)
        yield* F.acceptAll(driver, ids.toReversed().map((id, i) => F.prompt(`${i}`, { id, at: 100 - i })))
        yield* expectEqual(yield* F.drain(driver), [["0"], ["1"], ["2"]], "the batches")
      })
  ),
  F.make("the whole steer lane is one batch, prompts included", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.prompt("p", {}, "steer"), F.steer("s"), F.continuation("c")])
      const run = yield* F.stageOf(driver, ["p", "s", "c"])
      yield* expectEqual(run.primitive.boundary, "run_checkpoint", "where the primitive applies")
    })),
  F.make(
    "I16: a batch takes at most batchInputsMax inputs, and the next batch the rest",
    (driver) =>
      Effect.gen(function*() {
        const count = F.limits.batchInputsMax + 3
        yield* F.acceptAll(driver, Array.from({ length: count }, (_, i) => F.flow(`${i}`)))
        const batches = yield* F.drain(driver)
        yield* expectEqual(batches.map((batch) => batch.length), [F.limits.batchInputsMax, 3], "the sizes")
        yield* expectEqual(batches.flat(), Array.from({ length: count }, (_, i) => `${i}`), "the order")
      })
  ),
  F.make("a run says what was staged: ids, key, attempt, primitive, session", (driver) =>
    Effect.gen(function*() {
      const ids = yield* F.acceptAll(driver, [F.flow("a"), F.message("b"), F.external("c")])
      const run = yield* F.stage(driver)
      yield* expectEqual(F.idsOf(run), ids, "the inputs")
      yield* expectEqual<string>(run.idempotencyKey, run.batchId, "the key")
      yield* expectEqual(run.attempt, 1, "the attempt")
      yield* expectEqual(run.primitive.contributors, ids, "the contributors")
      yield* expectEqual(run.primitive.appends.map(({ inputId }) => inputId), ids, "the inputs of the messages")
      yield* expectEqual(run.primitive.boundary, "run_start", "where the primitive applies")
      yield* expectEqual(run.resume, Option.none(), "what it resumes")
      yield* expectEqual(run.openTurns, [], "the open turns")
      yield* expectEqual(run.session, Option.none(), "the session")
      for (const { head } of run.inputs) {
        yield* expectEqual([head.phase, head.run, head.batch], ["staged", run.runId, run.batchId], "the head")
      }
    })),
  F.make(
    "hints for the turn are merged over the batch, the last writer of each first in line",
    (driver) =>
      Effect.gen(function*() {
        const turn = (model: string, skill: string) => ({ model, skillReferences: [skill] })
        yield* F.acceptAll(driver, [
          { ...F.flow("a"), turn: { ...turn("small", "x"), provider: "p" } } as ReturnType<typeof F.flow>,
          { ...F.flow("b"), turn: turn("large", "y") } as ReturnType<typeof F.flow>
        ])
        const run = yield* F.stage(driver)
        yield* expectEqual(
          run.primitive.turn,
          { model: "large", provider: "p", skillReferences: ["x", "y"] },
          "the hints"
        )
      })
  ),
  F.make("continuations become no message", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.continuation("c"))
      const run = yield* F.stage(driver)
      yield* expectEqual(run.primitive.appends, [], "the messages")
      yield* expectEqual(run.primitive.contributors, F.idsOf(run), "the contributors")
    })),
  F.make("I10: a second run is refused as RunInProgress and names the open one", (driver) =>
    Effect.gen(function*() {
      const { runId } = yield* F.running(driver)
      yield* F.accept(driver, F.prompt("next"))
      const error = yield* F.expectUnchanged(driver, expectFailure(driver.stage(), "RunInProgress"))
      yield* expectEqual<string>(error.runId, runId, "the run that it names")
    })),
  F.make("I10: of many who stage at once one gets the run", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
      const outcomes = yield* Effect.all(Array.from({ length: 10 }, () => Effect.either(driver.stage())), {
        concurrency: "unbounded"
      })
      yield* expectEqual(outcomes.filter(({ _tag }) => _tag === "Right").length, 1, "how many runs are opened")
    })),
  F.make("with nothing ready, nothing is staged and nothing is written", (driver) =>
    Effect.gen(function*() {
      const outcome = yield* F.expectUnchanged(driver, F.nothing(driver))
      yield* expectEqual(outcome, {
        _tag: "nothing",
        paused: false,
        nextReadyAt: Option.none(),
        keptBack: false
      }, "the answer")
      yield* expectEqual(yield* F.events(driver), [], "the events")
    }))
]

const retries = [
  F.make(
    "I6: an interrupted batch comes first and whole, under the same key, and knows its attempt",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const first = yield* F.stageOf(driver, ["a", "b"])
        yield* F.acceptAll(driver, [F.flow("c"), F.steer("s"), F.prompt("p")])
        yield* F.fail(driver, first)
        const second = yield* F.stageOf(driver, ["a", "b"])
        yield* expectEqual(second.idempotencyKey, first.idempotencyKey, "the key")
        yield* expectEqual([first.attempt, second.attempt], [1, 2], "the attempts")
        yield* check(second.runId !== first.runId, "each attempt is a run of its own")
        yield* driver.complete({ runId: second.runId })
        yield* expectEqual(yield* F.drain(driver), [["s"], ["c"], ["p"]], "what follows")
      })
  ),
  F.make("D2: a failed batch goes back in its order", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), F.flow("c"), F.flow("d")])
      yield* F.fail(driver, yield* F.stageOf(driver, ["a", "b", "c", "d"]))
      yield* F.stageOf(driver, ["a", "b", "c", "d"])
    })),
  F.make(
    "D2: a batch that was given back, and a failed batch of steers, go back in their order",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.steer("a"), F.steer("b"), F.steer("c")])
        const first = yield* F.stageOf(driver, ["a", "b", "c"])
        yield* F.fail(driver, first)
        const second = yield* F.stageOf(driver, ["a", "b", "c"])
        yield* driver.giveBack({ runId: second.runId })
        yield* F.stageOf(driver, ["a", "b", "c"])
      })
  ),
  F.make("I13: the attempt is counted durably before execution", (driver) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("p"))
      yield* F.stage(driver)
      const stored = yield* F.some(yield* driver.loadInput(inputId), "the input is stored")
      yield* expectEqual([stored.head.attempt, stored.head.stagings, stored.head.phase], [1, 1, "staged"], "the row")
    })),
  F.make(
    "D1, I13: an input that fails attemptsMax times is abandoned with its last failure, and others go on",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("poison"))
        yield* F.accept(driver, F.prompt("next"))
        const runs = yield* F.failUntilLast(driver, F.limits.attemptsMax)
        yield* expectEqual(runs.map(({ attempt }) => attempt), [1, 2, 3], "the attempts")
        const { failure, outcome } = yield* F.head(driver, inputId)
        yield* expectEqual(
          outcome,
          { _tag: "abandoned", reason: { _tag: "max_attempts_exhausted", attempts: F.limits.attemptsMax } },
          "the outcome"
        )
        yield* expectEqual(failure, F.failure, "the failure that is kept")
        yield* F.stageOf(driver, ["next"])
      })
  ),
  F.make(
    "I13: the last attempt of a batch without a receipt is made by each input alone, under a key of its own",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), F.flow("c")])
        const [first] = yield* F.failUntilLast(driver)
        const a = yield* F.stageOf(driver, ["a"])
        yield* expectEqual(a.attempt, F.limits.attemptsMax, "the attempt")
        yield* expectEqual(a.idempotencyKey, `${first!.batchId}/${ids[0]!}`, "the key")
        yield* driver.complete({ runId: a.runId })
        const b = yield* F.stageOf(driver, ["b"])
        yield* expectEqual(b.idempotencyKey, `${first!.batchId}/${ids[1]!}`, "the next one's key")
        yield* F.fail(driver, b)
        const c = yield* F.stageOf(driver, ["c"])
        yield* driver.complete({ runId: c.runId })
        for (const [i, phase] of ["consumed", "abandoned", "consumed"].entries()) {
          yield* F.expectPhase(driver, ids[i]!, phase)
        }
      })
  ),
  F.make("I13: a batch with a receipt is not split, and ends as a whole", (driver) =>
    Effect.gen(function*() {
      const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
      const first = yield* F.stage(driver)
      yield* driver.checkpoint({ runId: first.runId })
      yield* F.fail(driver, first)
      yield* F.failUntilLast(driver, 1)
      const last = yield* F.stageOf(driver, ["a", "b"])
      yield* expectEqual(last.idempotencyKey, first.idempotencyKey, "the key")
      yield* expectEqual(yield* F.fail(driver, last), { requeued: [], abandoned: ids }, "the reply")
    })),
  F.make("I13: inputs behind a failing batch are not charged for it", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.prompt("poison"))
      const { inputId } = yield* F.accept(driver, F.prompt("next"))
      yield* F.failUntilLast(driver, F.limits.attemptsMax)
      const { attempt, stagings } = yield* F.head(driver, inputId)
      yield* expectEqual([attempt, stagings], [0, 0], "attempts and stagings")
    })),
  F.make(
    "I13: a failure that is not recoverable abandons the batch at its first attempt",
    (driver) =>
      Effect.gen(function*() {
        const ids = yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const { runId } = yield* F.stage(driver)
        const reply = yield* driver.fail({ runId, failure: F.failure, recoverable: false })
        yield* expectEqual(reply, { requeued: [], abandoned: ids }, "the reply")
        yield* F.nothing(driver)
      })
  ),
  F.make(
    "I13: a steer that was handed over stagingsMax times without effect is abandoned",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.prompt("first"))
        const first = yield* F.stage(driver)
        const steer = yield* F.accept(driver, F.steer("steer"))
        yield* driver.checkpoint({ runId: first.runId })
        yield* F.fail(driver, first)
        for (let i = 1; i < F.limits.stagingsMax; i++) {
          // A steer takes no attempt of the batches that it is handed to.
          const { attempt, phase } = yield* F.head(driver, steer.inputId)
          yield* expectEqual<readonly [number, string]>([attempt, phase], [0, "queued"], `attempt and phase after ${i}`)
          yield* oneMore(driver)
        }
        const { outcome } = yield* F.head(driver, steer.inputId)
        yield* expectEqual(outcome?._tag, "abandoned", "the outcome")
        yield* F.expectPhase(driver, inputId, "abandoned")
      })
  )
]

/** Hands the waiting steer to a run of whatever batch is interrupted, or of a new prompt, and fails it. */
const oneMore = (driver: Service) =>
  Effect.gen(function*() {
    const ids = yield* driver.activeInputIds
    // The steer must not begin a run of its own: a batch that was interrupted goes before it.
    if (ids.length === 1) {
      yield* driver.holdInput({ inputId: ids[0]!, reason: "operator" })
      const { inputId } = yield* F.accept(driver, F.prompt("another"))
      const run = yield* F.stageOf(driver, ["another"])
      yield* driver.release(ids[0]!)
      yield* driver.checkpoint({ runId: run.runId })
      yield* F.fail(driver, run)
      yield* F.expectPhase(driver, inputId, "queued")
    } else {
      const run = yield* F.stage(driver)
      yield* driver.checkpoint({ runId: run.runId })
      yield* F.fail(driver, run)
    }
  })

const times = [
  F.make(
    "I6: an input with deliverAt is not ready before, keeps its place, and stage says when it will be",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.prompt("later", { deliverAt: 1_000 }), F.prompt("a")])
        yield* expectEqual(yield* F.drain(driver), [["a"]], "what is staged before")
        yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(1_000), "nextReadyAt")
        yield* F.accept(driver, F.prompt("b"))
        yield* TestClock.adjust(999)
        yield* F.accept(driver, F.prompt("c"))
        yield* TestClock.adjust(1)
        yield* expectEqual(yield* F.drain(driver), [["later"], ["b"], ["c"]], "what is staged then")
      })
  ),
  F.make("a deliverAt that is past is ready at once", (driver) =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1_000)
      const { state } = yield* F.accept(driver, F.prompt("p", { deliverAt: 500 }))
      yield* expectEqual(state.readyAt, null, "readyAt")
      yield* F.stageOf(driver, ["p"])
    })),
  F.make(
    "I6: a batch in backoff is not ready, stays whole, and comes first when it is",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b")])
        const { runId } = yield* F.stage(driver)
        yield* F.acceptAll(driver, [F.prompt("c"), F.prompt("d")])
        yield* driver.fail({ runId, failure: F.failure, visibleAt: 5_000 })
        const c = yield* F.stageOf(driver, ["c"])
        yield* TestClock.adjust(5_000)
        yield* driver.complete({ runId: c.runId })
        yield* expectEqual(yield* F.drain(driver), [["a", "b"], ["d"]], "what follows")
      })
  ),
  F.make("I14: of several times the earliest is told", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, [3_000, 1_000, 2_000].map((deliverAt) => F.prompt(`${deliverAt}`, { deliverAt })))
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(1_000), "nextReadyAt")
      yield* TestClock.adjust(1_000)
      yield* expectEqual(yield* F.drain(driver), [["1000"]], "what is staged")
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(2_000), "nextReadyAt")
      yield* TestClock.adjust(2_000)
      yield* expectEqual(yield* F.drain(driver), [["3000"], ["2000"]], "what is staged in admission order")
      yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.none(), "nextReadyAt")
    })),
  F.make(
    "inputs that wait for a time are no obstacle for a batch: it goes around them",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("late", { deliverAt: 10 }), F.flow("b")])
        yield* F.stageOf(driver, ["a", "b"])
      })
  ),
  F.make(
    "what a waiting input is replaced by, or abandoned for, is told no time any more",
    (driver) =>
      Effect.gen(function*() {
        yield* F.accept(driver, F.flow("late", { deliverAt: 10, scope: "s" }))
        yield* F.accept(driver, F.flow("later", { deliverAt: 20, scope: "s" }))
        yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.some(20), "nextReadyAt")
        yield* driver.abandonPending({ _tag: "reset" })
        yield* expectEqual((yield* F.nothing(driver)).nextReadyAt, Option.none(), "nextReadyAt")
      })
  )
]

const paused = [
  F.make(
    "a paused runtime accepts, stages nothing and says so; unpaused it goes on in order",
    (driver) =>
      Effect.gen(function*() {
        yield* driver.pause
        yield* F.acceptAll(driver, [F.prompt("a"), F.prompt("b")])
        yield* expectEqual(
          yield* F.nothing(driver),
          { _tag: "nothing", paused: true, nextReadyAt: Option.none(), keptBack: false },
          "the answer"
        )
        yield* driver.unpause
        yield* expectEqual(yield* F.drain(driver), [["a"], ["b"]], "what is staged")
      })
  )
]

export const cases = [...batching, ...retries, ...times, ...paused]

export const durableCases = [
  F.makeDurable(
    "D18, I6: after a restart prompts still go alone, and lanes and order are kept",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [
          F.prompt("p1"),
          F.prompt("p2"),
          F.flow("f1"),
          F.flow("f2"),
          F.prompt("p3"),
          F.steer("s")
        ])
        yield* expectEqual(
          yield* F.drain(yield* restart()),
          [["s"], ["p1"], ["p2"], ["f1", "f2"], ["p3"]],
          "the batches"
        )
      })
  ),
  F.makeDurable(
    "I6, I13: times, attempts and batches are kept over a restart",
    (driver, { restart }) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, [F.flow("a"), F.flow("b"), F.prompt("late", { deliverAt: 9_000 }), F.prompt("c")])
        const first = yield* F.stage(driver)
        yield* driver.fail({ runId: first.runId, failure: F.failure, visibleAt: 5_000 })
        const again = yield* restart()
        yield* expectEqual(yield* F.drain(again), [["c"]], "what is ready")
        yield* expectEqual((yield* F.nothing(again)).nextReadyAt, Option.some(5_000), "nextReadyAt")
        yield* TestClock.adjust(9_000)
        const second = yield* F.stageOf(again, ["a", "b"])
        yield* expectEqual([second.attempt, second.idempotencyKey], [2, first.idempotencyKey], "attempt and key")
        yield* again.complete({ runId: second.runId })
        yield* F.stageOf(again, ["late"])
      })
  ),
  F.makeDurable("I13: dead letters are listed with their last error", (driver, { store }) =>
    Effect.gen(function*() {
      const { inputId } = yield* F.accept(driver, F.prompt("poison"))
      yield* F.failUntilLast(driver, F.limits.attemptsMax)
      const dead = yield* store.loadDeadLetters(driver.runtimeId)
      yield* expectEqual(dead.length, 1, "how many there are")
      const letter = yield* dead[0]!
      yield* expectEqual(letter.head.id, inputId, "the input")
      yield* expectEqual(letter.head.failure, F.failure, "its failure")
    }))
]
