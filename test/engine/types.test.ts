/** What the compiler has to say of `register`. Nothing here is carried out: the cases are checked by `tsc`. */
import { describe, expectTypeOf, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Input from "../../src/schema/Input.js"
import { CurrentRun, type DeltaError, type Failed, Outbox, type Run } from "../../src/services/Executor.js"
import type { Plane } from "./support.js"

class Kitchen extends Context.Tag("test/engine/types/Kitchen")<Kitchen, { readonly cook: Effect.Effect<string> }>() {}

/** All that a test has to give. */
const runnable = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> => effect

const needs = <R>(_effect: Effect.Effect<unknown, unknown, R>) => expectTypeOf<R>()

const hand = Effect.flatMap(Outbox, ({ send }) => send("b", Input.prompt("x")))
const cook = Effect.flatMap(Kitchen, (kitchen) => kitchen.cook)
const resource = Effect.acquireRelease(Effect.succeed(1), () => Effect.void)

/** Typed, and never run. */
const sentence = (name: string, _checked: (plane: Plane) => unknown) => it(name, () => {})

describe("register asks for", () => {
  sentence("an Outbox when one is used outside of an alongside, where nobody has one", (plane) => {
    const registering = plane.register("a", {
      apply: () =>
        Effect.gen(function*() {
          const { send } = yield* Outbox
          yield* Effect.ignore(send("b", Input.prompt("x")))
        })
    })
    needs(registering).toEqualTypeOf<Scope.Scope | Outbox>()
    // @ts-expect-error nobody has an Outbox there
    return runnable(registering)
  })

  sentence("an Outbox when a decision about a lost run uses one", (plane) => {
    const registering = plane.register("a", { apply: () => Effect.as(Effect.ignore(hand), {}) }, {
      inDoubt: () => Effect.as(Effect.ignore(hand), "retry" as const)
    })
    // @ts-expect-error nobody has an Outbox there
    return runnable(registering)
  })

  sentence("no Outbox within an alongside, of whichever boundary", (plane) => {
    const registering = plane.register("a", {
      apply: (run) =>
        Effect.gen(function*() {
          yield* run.checkpoint({ alongside: hand })
          yield* run.note({ alongside: hand })
          return { alongside: hand, result: 1 }
        })
    })
    needs(registering).toEqualTypeOf<Scope.Scope>()
    return runnable(registering)
  })

  sentence("no scope but its own, though attempts acquire", (plane) => {
    const registering = plane.register("a", { apply: () => Effect.map(resource, (result) => ({ result })) })
    needs(registering).toEqualTypeOf<Scope.Scope>()
    return runnable(registering)
  })

  sentence("no run, which attempts and what they send alongside have", (plane) => {
    const registering = plane.register("a", {
      apply: () => Effect.map(CurrentRun, ({ runId }) => ({ result: runId, alongside: CurrentRun }))
    })
    needs(registering).toEqualTypeOf<Scope.Scope>()
    return runnable(registering)
  })

  sentence("every service of the application, of attempts and of what they commit alongside", (plane) => {
    const within = plane.register("a", { apply: () => Effect.map(cook, (result) => ({ result })) })
    const beside = plane.register("a", { apply: () => Effect.succeed({ alongside: cook }) })
    const boundary = plane.register("a", { apply: (run) => Effect.asVoid(run.checkpoint({ alongside: cook })) })
    needs(within).toEqualTypeOf<Scope.Scope | Kitchen>()
    needs(beside).toEqualTypeOf<Scope.Scope | Kitchen>()
    needs(boundary).toEqualTypeOf<Scope.Scope | Kitchen>()
    // @ts-expect-error nobody has given a Kitchen
    runnable(within)
    // @ts-expect-error nor to the boundary at the end
    runnable(beside)
    // @ts-expect-error nor to one before
    runnable(boundary)
    return runnable(
      Effect.provideService(Effect.all([within, beside, boundary]), Kitchen, { cook: Effect.succeed("") })
    )
  })
})

describe("the options of register", () => {
  const failing = { apply: (_run: Run) => Effect.fail("no" as const) }

  sentence("see what a final boundary can be refused with, beside what the executor fails with", (plane) => {
    const outage = (failed: Failed<"no" | DeltaError>) =>
      failed._tag === "Failed" && failed.error !== "no" && failed.error._tag === "BlobWriteFailed"
        ? Option.some("1 second" as const)
        : Option.none()
    const retry = Schedule.spaced("1 second").pipe(
      Schedule.whileInput((failed: Failed<"no" | DeltaError>) => failed._tag !== "TimedOut")
    )
    return runnable(plane.register("a", failing, { outage, retry }))
  })

  sentence("see it in an outage whose parameter is inferred", (plane) =>
    runnable(plane.register("a", failing, {
      outage: (failed) => {
        if (failed._tag !== "Failed") return Option.none()
        expectTypeOf(failed.error).toEqualTypeOf<"no" | DeltaError>()
        return failed.error === "no" ? Option.none() : Option.some("1 second")
      }
    })))

  sentence("are refused when an outage leaves it out", (plane) => {
    const outage = (failed: Failed<"no">) => failed._tag === "Failed" ? Option.some("1 second" as const) : Option.none()
    // @ts-expect-error a DeltaError comes too
    return runnable(plane.register("a", failing, { outage }))
  })

  sentence("are refused when a schedule leaves it out", (plane) => {
    const retry = Schedule.spaced("1 second").pipe(
      Schedule.whileInput((failed: Failed<"no">) => failed._tag === "Failed")
    )
    // @ts-expect-error a DeltaError comes too
    return runnable(plane.register("a", failing, { retry }))
  })

  sentence(
    "see the failure of an alongside at the end",
    (plane) =>
      runnable(plane.register("a", { apply: () => Effect.succeed({ alongside: Effect.fail("row" as const) }) }, {
        outage: (failed) => {
          if (failed._tag === "Failed") expectTypeOf(failed.error).toEqualTypeOf<"row" | DeltaError>()
          return Option.none()
        }
      }))
  )
})

describe("an executor", () => {
  sentence("is inferred where it is written", (plane) =>
    runnable(plane.register("a", {
      apply: (run) =>
        Effect.gen(function*() {
          expectTypeOf(run).toEqualTypeOf<Run>()
          if (run.attempt > 2) return yield* Effect.fail("tired" as const)
          const steers = yield* run.checkpoint({ append: ["so far"] })
          expectTypeOf(steers).toEqualTypeOf<ReadonlyArray<Input.Input>>()
          return { append: ["done"], result: steers.length }
        })
    }, { outage: () => Option.none() })))

  sentence("may answer nothing", (plane) =>
    runnable(plane.register("a", {
      apply: (run) =>
        Effect.gen(function*() {
          yield* run.heartbeat
        })
    })))

  sentence("answers what is JSON as its result, and nothing else", (plane) => {
    // @ts-expect-error a date is no JSON
    return runnable(plane.register("a", { apply: () => Effect.succeed({ result: new Date(0) }) }))
  })
})
