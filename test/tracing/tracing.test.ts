import { assert, describe, it } from "@effect/vitest"
import { SpanStatusCode } from "@opentelemetry/api"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { Burrow, ControlPlane, Driver, type Executor, Input, Session } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { execFileSync } from "node:child_process"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import { folder } from "../sql/support.js"
import { isChild, linksOf, placeOf, recorded, type Story } from "./recording.js"

const { ControlPlane: Plane } = ControlPlane

class Burnt extends Error {
  readonly _tag = "Burnt"
}

const cook: Executor.Executor<Executor.DeltaError> = {
  apply: (run) =>
    Effect.gen(function*() {
      yield* Effect.void.pipe(Effect.withSpan("look into the fridge"))
      yield* run.checkpoint({ append: [Session.assistant("water")] })
      yield* run.checkpoint({ append: [Session.assistant("rice")] }).pipe(Effect.withSpan("boil"))
      return { append: [Session.assistant("Dinner is ready.")], result: run.attempt }
    })
}

const soon = Schedule.spaced("10 millis")

const sqliteFile = Layer.unwrapScoped(
  Effect.map(folder, (at) => BurrowSqlite.layer({ filename: path.join(at, "burrow.db") }))
)

type Services = Layer.Layer.Success<typeof Burrow.layerMemory>

const backends: ReadonlyArray<readonly [string, Layer.Layer<Services, unknown>]> = [
  ["memory", Burrow.layerMemory],
  ["sqlite", sqliteFile]
]

const assertAttributes = (span: ReadableSpan, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [key, value] of Object.entries(attributes)) assert.strictEqual(span.attributes[key], value, key)
}

const isRoot = (span: ReadableSpan): boolean => span.parentSpanContext === undefined

/** The spans of the boundaries of a run, in their order. */
const boundaries = (story: Story, run: ReadableSpan): ReadonlyArray<ReadableSpan> =>
  story.all("Driver.boundary", { "burrow.run.id": run.attributes["burrow.run.id"] })

/** From the run's side of the story. */
const assertCooked = (story: Story, run: ReadableSpan): void => {
  assert.isTrue(isRoot(run), "a run is nobody's child")
  assertAttributes(run, {
    "burrow.agent.name": "cook",
    "burrow.runtime.id": "cook/ana",
    "burrow.attempt": 1,
    "burrow.input.kind": "prompt",
    "burrow.outcome": "completed"
  })
  assert.strictEqual(run.status.code, SpanStatusCode.OK)
  assert.deepStrictEqual(
    story.childrenOf(run).map(({ attributes, name }) => [name, attributes["burrow.boundary"]]),
    [["look into the fridge", undefined], ["Driver.boundary", "checkpoint"], ["boil", undefined], [
      "Driver.boundary",
      "final"
    ]]
  )
  const [first, second, final] = boundaries(story, run)
  assert.isTrue(isChild(first!, run) && isChild(second!, story.one("boil")) && isChild(final!, run))
  for (const boundary of [first!, second!, final!]) assertAttributes(boundary, { "burrow.outcome": "committed" })
}

for (const [backend, layer] of backends) {
  describe(backend, () => {
    it.live("tells one story: caller, accept, a link, run, checkpoint, boundary", () =>
      Effect.gen(function*() {
        const [story, { inputId }] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            yield* plane.register("cook", cook)
            return yield* plane.submit("cook/ana", Input.prompt("Make dinner")).pipe(Effect.withSpan("caller"))
          }).pipe(Effect.scoped),
          layer
        )
        const accept = story.one("Driver.accept")
        const run = story.one("Agent.run")
        assert.isTrue(isChild(accept, story.one("caller")))
        assertAttributes(accept, {
          "burrow.runtime.id": "cook/ana",
          "burrow.input.kind": "prompt",
          "burrow.input.id": inputId,
          "burrow.outcome": "accepted"
        })
        assert.deepStrictEqual(linksOf(run), [placeOf(accept)])
        assertAttributes(run, { "burrow.input.id": inputId })
        assert.notStrictEqual(run.spanContext().traceId, accept.spanContext().traceId)
        assertCooked(story, run)
        const staged = story.one("Driver.stage", { "burrow.outcome": "staged" })
        assertAttributes(staged, { "burrow.run.id": run.attributes["burrow.run.id"], "burrow.attempt": 1 })
      }))

    it.live("names the stored input in the span of a repetition", () =>
      Effect.gen(function*() {
        const draft = Input.prompt("Make dinner", { idempotencyKey: "monday" })
        const [story] = yield* recorded(
          Effect.flatMap(Plane, (plane) =>
            Effect.zipRight(plane.ingest("cook/ana", draft), plane.ingest("cook/ana", draft))),
          layer
        )
        const first = story.one("Driver.accept", { "burrow.outcome": "accepted" })
        const again = story.one("Driver.accept", { "burrow.outcome": "deduplicated" })
        assertAttributes(again, { "burrow.input.id": first.attributes["burrow.input.id"] })
      }))

    it.live("shows a failed attempt as an error, and links every attempt to the accept", () =>
      Effect.gen(function*() {
        const [story] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            yield* plane.register("cook", {
              apply: (run): Effect.Effect<Executor.Output | void, Burnt | Executor.DeltaError> =>
                run.attempt === 1 ? Effect.fail(new Burnt("the rice is black")) : cook.apply(run)
            }, { retry: soon })
            yield* plane.submit("cook/ana", Input.prompt("Make dinner"))
          }).pipe(Effect.scoped),
          layer
        )
        const failed = story.one("Agent.run", { "burrow.outcome": "failed" })
        assertAttributes(failed, { "burrow.attempt": 1 })
        assert.deepStrictEqual(failed.status, { code: SpanStatusCode.ERROR, message: "the rice is black" })
        const exception = failed.events.find(({ name }) => name === "exception")
        assert.include(String(exception?.attributes?.["exception.stacktrace"]), "tracing.test.ts")
        assert.isTrue(isChild(story.one("Driver.close"), failed))
        const completed = story.one("Agent.run", { "burrow.outcome": "completed", "burrow.attempt": 2 })
        const accept = placeOf(story.one("Driver.accept"))
        assert.deepStrictEqual([linksOf(failed), linksOf(completed)], [[accept], [accept]])
      }))

    it.live("shows a defect as an error, and an attempt that was parked as none", () =>
      Effect.gen(function*() {
        const [story] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            const parked = yield* Deferred.make<void>()
            yield* plane.register("cook", {
              apply: (run) =>
                run.attempt > 1
                  ? Effect.zipRight(Deferred.succeed(parked, undefined), run.park())
                  : Effect.die(new Burnt("no kitchen"))
            }, { retry: soon })
            yield* plane.ingest("cook/ana", Input.prompt("Make dinner"))
            yield* Deferred.await(parked)
          }).pipe(Effect.scoped),
          layer
        )
        assert.deepStrictEqual(
          story.all("Agent.run").map(({ attributes, status }) => [attributes["burrow.outcome"], status]),
          [["failed", { code: SpanStatusCode.ERROR, message: "no kitchen" }], ["parked", { code: SpanStatusCode.OK }]]
        )
      }))

    it.live("links a run to all its inputs, and a checkpoint to the steers that it hands over", () =>
      Effect.gen(function*() {
        const [story, ids] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            const a = yield* plane.steer("cook/ana", Input.prompt("Make dinner"))
            const b = yield* plane.steer("cook/ana", Input.prompt("For two"))
            const begun = yield* Deferred.make<void>()
            const steered = yield* Deferred.make<void>()
            yield* plane.register("cook", {
              apply: (run) =>
                Deferred.succeed(begun, undefined).pipe(
                  Effect.zipRight(Deferred.await(steered)),
                  Effect.zipRight(Effect.asVoid(run.checkpoint()))
                )
            })
            yield* Deferred.await(begun)
            const c = yield* plane.steer("cook/ana", Input.prompt("No salt"))
            yield* Deferred.succeed(steered, undefined)
            yield* plane.await("cook/ana", c.inputId)
            return [a.inputId, b.inputId, c.inputId] as const
          }).pipe(Effect.scoped),
          layer
        )
        const accepts = ids.map((id) => placeOf(story.one("Driver.accept", { "burrow.input.id": id })))
        const run = story.one("Agent.run")
        assertAttributes(run, { "burrow.input.id": `${ids[0]},${ids[1]}` })
        assert.deepStrictEqual(linksOf(run), accepts.slice(0, 2))
        assert.deepStrictEqual(run.links.map(({ attributes }) => attributes?.["burrow.input.id"]), ids.slice(0, 2))
        const checkpoint = story.one("Driver.boundary", { "burrow.boundary": "checkpoint" })
        assertAttributes(checkpoint, { "burrow.input.id": ids[2] })
        assert.deepStrictEqual(linksOf(checkpoint), accepts.slice(2))
      }))

    it.live("makes a transaction of one command its child, and one of several a root that links to them", () =>
      Effect.gen(function*() {
        const names = ["a", "b", "c", "d"].map((name) => `cook/${name}`)
        const [story] = yield* recorded(
          Effect.gen(function*() {
            const drivers = yield* Driver.Drivers
            const all = yield* Effect.forEach(names, (name) => drivers.get(name))
            yield* Effect.forEach(all, (driver) => driver.accept(Input.prompt("Make dinner")), {
              concurrency: "unbounded"
            })
            // Of one runtime: folded into one commit, by a worker that has no caller's span.
            yield* Effect.all([all[0]!.accept(Input.prompt("x")), all[0]!.accept(Input.prompt("y"))], {
              concurrency: "unbounded"
            })
            yield* all[1]!.accept(Input.prompt("alone"))
          }),
          layer
        )
        const accepts = story.all("Driver.accept")
        const [shared, folded, own] = story.all("RuntimeStore.commit")
        assertAttributes(shared!, { "burrow.store": backend, "burrow.commit.members": 4 })
        assert.isTrue(isRoot(shared!) && isRoot(folded!))
        assert.sameMembers([...linksOf(shared!)], accepts.slice(0, 4).map(placeOf))
        assert.sameMembers(shared!.links.map(({ attributes }) => attributes?.["burrow.runtime.id"]), names)
        assertAttributes(folded!, { "burrow.commit.members": 1 })
        assert.sameMembers([...linksOf(folded!)], accepts.slice(4, 6).map(placeOf))
        assert.isTrue(isChild(own!, accepts[6]!))
        assert.strictEqual(own!.links.length, 0)
        assert.strictEqual(story.all("RuntimeStore.commit").length, 3)
      }))

    it.live("links the run of what was sent to the boundary that sent it", () =>
      Effect.gen(function*() {
        const [story] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            const served = yield* Deferred.make<void>()
            yield* plane.register("cook", {
              apply: () => Effect.succeed({ outbox: [{ to: "waiter/bo", input: Input.prompt("Serve it") }] })
            })
            yield* plane.register("waiter", { apply: () => Effect.asVoid(Deferred.succeed(served, undefined)) })
            yield* plane.ingest("cook/ana", Input.prompt("Make dinner"))
            yield* Deferred.await(served)
          }).pipe(Effect.scoped),
          layer
        )
        const sent = placeOf(story.one("Driver.boundary", { "burrow.runtime.id": "cook/ana" }))
        assert.deepStrictEqual(linksOf(story.one("Agent.run", { "burrow.agent.name": "waiter" })), [sent])
        const admitted = story.one("Driver.accept", { "burrow.runtime.id": "waiter/bo" })
        assert.deepStrictEqual([isRoot(admitted), linksOf(admitted)], [true, [sent]])
      }))

    it.live("keeps what is done in the background out of the span of whoever built the layer", () =>
      Effect.gen(function*() {
        const [story] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            yield* plane.register("cook", cook)
            yield* plane.submit("cook/ana", Input.prompt("Make dinner"))
          }).pipe(Effect.scoped, Effect.provide(layer), Effect.withSpan("main")),
          Layer.empty
        )
        const main = story.one("main")
        assert.deepStrictEqual(story.childrenOf(main).map(({ name }) => name), ["Driver.accept", "Observer.await"])
        assert.sameMembers(
          [...new Set(story.spans.filter(isRoot).map(({ name }) => name))],
          ["main", "Driver.recover", "Driver.stage", "Agent.run"]
        )
      }))

    it.live("says nothing of callers that are not traced, and takes their inputs", () =>
      Effect.gen(function*() {
        const [story, result] = yield* recorded(
          Effect.gen(function*() {
            const plane = yield* Plane
            yield* plane.register("cook", cook)
            const done = yield* plane.submit("cook/ana", Input.prompt("Make dinner")).pipe(
              Effect.withTracerEnabled(false)
            )
            return done.result
          }).pipe(Effect.scoped),
          layer
        )
        assert.deepStrictEqual(result, Option.some(1))
        assert.strictEqual(story.all("Driver.accept").length, 0)
        assert.deepStrictEqual(linksOf(story.one("Agent.run")), [])
        for (const commit of story.all("RuntimeStore.commit")) assert.isFalse(isRoot(commit))
      }))
  })
}

describe("a restart between accept and run", () => {
  /** The other half: another SDK, on the same file. */
  const cookedBy = (filename: string) =>
    recorded(
      Effect.gen(function*() {
        const plane = yield* Plane
        yield* plane.register("cook", cook)
        const input = yield* (yield* plane.inputs("cook/ana"))[0]!
        yield* plane.await("cook/ana", input.head.id)
      }).pipe(Effect.scoped),
      BurrowSqlite.layer({ filename })
    )

  it.scopedLive("keeps the link when the layer was closed in between", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "burrow.db")
      const [before] = yield* recorded(
        Effect.flatMap(Plane, (plane) => plane.ingest("cook/ana", Input.prompt("Make dinner"))).pipe(
          Effect.withSpan("caller")
        ),
        BurrowSqlite.layer({ filename })
      )
      assert.strictEqual(before.all("Agent.run").length, 0)
      const [after] = yield* cookedBy(filename)
      assert.strictEqual(after.all("Driver.accept").length, 0)
      const accept = before.one("Driver.accept")
      assert.isTrue(isChild(accept, before.one("caller")))
      const run = after.one("Agent.run")
      assert.deepStrictEqual(linksOf(run), [placeOf(accept)])
      assertCooked(after, run)
    }))

  it.scopedLive("keeps the link when another process has accepted", () =>
    Effect.gen(function*() {
      const filename = path.join(yield* folder, "burrow.db")
      const child = fileURLToPath(new URL("./child.ts", import.meta.url))
      const said = yield* Effect.sync(() =>
        execFileSync(process.execPath, ["--import", "tsx", child, filename, "cook/ana"], {
          encoding: "utf8",
          env: { ...process.env, TSX_DISABLE_CACHE: "1" }
        })
      )
      const [after] = yield* cookedBy(filename)
      const run = after.one("Agent.run")
      assert.match(said.trim(), /^[0-9a-f]{32}\/[0-9a-f]{16}$/)
      assert.deepStrictEqual(linksOf(run), [said.trim()])
      assertCooked(after, run)
    }))
})
