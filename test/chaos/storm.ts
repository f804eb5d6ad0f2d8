/**
 * A hundred runtimes whose executor does everything that an executor can do, and inputs of every sort. What one input
 * meets follows from its name and the seed.
 */
import { ControlPlane, type Executor, Input, Session } from "effect-burrow"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { PCGRandom } from "effect/Utils"
import { textOf } from "./texts.js"
import { quiet } from "./work.js"

export interface Options {
  readonly seed: number
  readonly runtimes: number
  /** Inputs of each runtime, in one life. */
  readonly each: number
  readonly life: number
}

const behaviours = [
  ["works", 40],
  ["checkpoints", 15],
  ["fails once", 8],
  ["fails", 5],
  ["dies once", 6],
  ["dies", 2],
  ["hangs once", 3],
  ["ignores its interruption", 3],
  ["parks once", 5],
  ["parks", 2],
  ["is cancelled", 6]
] as const

type Behaviour = (typeof behaviours)[number][0]

const TOTAL = behaviours.reduce((sum, [, weight]) => sum + weight, 0)

const pick = (random: PCGRandom): Behaviour => {
  let left = random.integer(TOTAL)
  for (const [behaviour, weight] of behaviours) {
    if (left < weight) return behaviour
    left -= weight
  }
  return "works"
}

/** The behaviour is the input's text, behind its name. */
const behaviourOf = (run: Executor.Run): string => textOf(run.inputs[0]!).split(": ")[1]!

class Fails extends Error {
  readonly _tag = "Fails"
}

const executor = {
  apply: (run: Executor.Run) =>
    Effect.gen(function*() {
      const behaviour = behaviourOf(run)
      const isFirst = run.attempt === 1
      const done = { append: [Session.assistant("done")], result: run.attempt }
      switch (behaviour) {
        case "checkpoints":
          for (let i = 0; i < 3; i++) {
            yield* run.checkpoint({ append: [Session.assistant(`${i}`)] })
            yield* Effect.sleep("1 millis")
          }
          return done
        case "fails once":
        case "fails":
          if (isFirst || behaviour === "fails") return yield* Effect.fail(new Fails())
          return done
        case "dies once":
        case "dies":
          if (isFirst || behaviour === "dies") return yield* Effect.dieMessage("a defect")
          return done
        case "hangs once":
          return yield* isFirst ? Effect.never : Effect.succeed(done)
        case "ignores its interruption":
          return yield* isFirst
            ? Effect.uninterruptible(Effect.as(Effect.sleep("400 millis"), done))
            : Effect.succeed(done)
        case "parks once": {
          // An attempt that was parked is not counted; a note is kept.
          if ((yield* run.notes(run.idempotencyKey)).length > 0) return done
          yield* run.note({ notes: [{ scope: run.idempotencyKey, key: "parked", value: true }] })
          return yield* run.park({ until: (yield* Clock.currentTimeMillis) + 20 })
        }
        case "parks":
          return yield* run.park()
        case "is cancelled":
          yield* Effect.sleep("20 millis")
          return done
        default:
          yield* Effect.sleep("1 millis")
          return done
      }
    })
}

const draft = (random: PCGRandom, name: string, now: number): Input.Draft => {
  const kind = random.integer(100)
  const text = `${name}: ${pick(random)}`
  return Input.prompt(text, {
    idempotencyKey: name,
    ...(kind < 8 && { supersessionKey: "latest" }),
    ...(kind >= 8 && kind < 16 && { deliverAt: now + random.integer(100) })
  }, kind >= 90 ? { handlingMode: "steer" } : undefined)
}

/** A wait that began when its input was acknowledged. */
interface Waiting {
  readonly runtimeId: string
  readonly inputId: string
  readonly fiber: Fiber.RuntimeFiber<string>
}

const wait = (runtimeId: string, inputId: string) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    const fiber = yield* plane.await(runtimeId, inputId).pipe(
      Effect.match({ onSuccess: () => "consumed", onFailure: ({ _tag }) => _tag }),
      Effect.forkScoped
    )
    return { runtimeId, inputId, fiber }
  })

type Told = (runtimeId: string, inputId: string) => void

const produce = (options: Options, runtime: number, told: Told, waits: Array<Waiting>) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    const random = new PCGRandom(options.seed * 1_000_003 + options.life * 1_009 + runtime)
    const runtimeId = `storm/${runtime}`
    for (let i = 0; i < options.each; i++) {
      const input = draft(random, `${runtime}.${options.life}.${i}`, yield* Clock.currentTimeMillis)
      const outcome = yield* plane.ingest(runtimeId, input)
      if (outcome._tag !== "accepted") return yield* Effect.dieMessage(`not accepted but ${outcome._tag}`)
      told(runtimeId, outcome.inputId)
      waits.push(yield* wait(runtimeId, outcome.inputId))
      if (random.integer(6) === 0) {
        const again = yield* plane.ingest(runtimeId, input)
        if (again._tag !== "deduplicated" || again.existing !== outcome.inputId) {
          return yield* Effect.dieMessage(`the second time it was ${again._tag}`)
        }
      }
      if (JSON.stringify(input).includes("is cancelled")) {
        yield* Effect.sleep(random.integer(10))
        yield* Effect.catchTag(
          plane.cancel(runtimeId, { inputId: outcome.inputId, reason: "storm" }),
          "UnknownInput",
          // It has ended before.
          () => Effect.void
        )
      }
      if (random.integer(4) === 0) yield* Effect.sleep(random.integer(5))
    }
  })

/** How an input has ended, or that it is held for somebody; and what those were told who waited for it. */
export interface Ending {
  readonly runtimeId: string
  readonly inputId: string
  readonly phase: string
  readonly told: string
}

const WAIT_SECONDS = 20

const endingOf = ({ fiber, inputId, runtimeId }: Waiting) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    const phase = Option.match(yield* plane.input(runtimeId, inputId), {
      onNone: () => "gone",
      onSome: ({ head }) => head.phase
    })
    const told = phase === "held"
      ? Option.isNone(yield* Fiber.poll(fiber)) ? "nothing" : "something"
      : yield* Effect.timeoutTo(Fiber.join(fiber), {
        duration: `${WAIT_SECONDS} seconds`,
        onSuccess: (word) => word,
        onTimeout: () => "nothing"
      })
    return { runtimeId, inputId, phase, told }
  })

/**
 * Sends everything, works until nothing is left to do but what is parked, and answers how every input has ended, the
 * `earlier` ones included, which others were told of.
 */
export const perform = (
  options: Options,
  told: Told = () => {},
  earlier: ReadonlyArray<readonly [runtimeId: string, inputId: string]> = []
) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    yield* plane.register("storm", executor, {
      attemptsMax: 3,
      retry: Schedule.spaced("5 millis"),
      silenceMax: "250 millis",
      interruptGrace: "20 millis",
      runsMax: 32
    })
    const waits = Array.from(yield* Effect.forEach(earlier, ([runtimeId, inputId]) => wait(runtimeId, inputId)))
    const runtimes = Array.from({ length: options.runtimes }, (_, runtime) => runtime)
    yield* Effect.forEach(runtimes, (runtime) => produce(options, runtime, told, waits), { concurrency: "unbounded" })
    yield* quiet
    return yield* Effect.forEach(waits, endingOf)
  })

/** What those who wait are told, by the phase that the input has. */
const answers: { readonly [phase: string]: ReadonlyArray<string> } = {
  consumed: ["consumed"],
  held: ["nothing"],
  superseded: ["Superseded"],
  coalesced: ["Superseded"],
  abandoned: ["DeadLettered", "Cancelled"]
}

export const wrong = (endings: ReadonlyArray<Ending>): ReadonlyArray<Ending> =>
  endings.filter(({ phase, told }) => answers[phase]?.includes(told) !== true)

export const count = (endings: ReadonlyArray<Ending>): string => {
  const counts = new Map<string, number>()
  for (const { phase, told } of endings) {
    const word = `${phase}/${told}`
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return Array.from(counts, ([word, count]) => `${word} ${count}`).sort().join(", ")
}
