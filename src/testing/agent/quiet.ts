/**
 * Has `TestClock.adjust` wait until the engine does nothing more by itself. Without that a test would move the clock
 * while a run, which it has just asked for, is still on its way to where it will sleep.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as MutableRef from "effect/MutableRef"
import * as Option from "effect/Option"
import * as SortedSet from "effect/SortedSet"
import * as Supervisor from "effect/Supervisor"
import * as TestAnnotation from "effect/TestAnnotation"
import { TestAnnotations } from "effect/TestAnnotations"

/** Those whom it supervises are fibers of the test, if there is one. */
export const supervisor: Effect.Effect<Supervisor.Supervisor<unknown>> = Effect.gen(function*() {
  const fibers = MutableRef.make(SortedSet.empty<Fiber.RuntimeFiber<unknown, unknown>>(Fiber.Order))
  // The clock's own, which are in the context, and not those of `TestServices.annotations`.
  const annotations = yield* Effect.serviceOption(TestAnnotations)
  if (Option.isSome(annotations)) {
    yield* annotations.value.annotate(TestAnnotation.fibers, Either.right(Chunk.of(fibers)))
  }
  return yield* Supervisor.fibersIn(fibers)
})
