import { assert, describe } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Input from "../../src/schema/Input.js"
import type { Watched } from "../../src/services/ControlPlane.js"
import type { Executor } from "../../src/services/Executor.js"
import { accepted, latch, settle, test, testEach, untilTrue } from "../engine/support.js"

/** Emits two values, then commits, then emits one, then ends. */
const talking: Executor<unknown> = {
  apply: (run) =>
    Effect.gen(function*() {
      yield* run.emit("one")
      yield* run.emit("two")
      yield* settle
      yield* run.checkpoint({ append: ["so far"] })
      yield* settle
      yield* run.emit("three")
      yield* settle
      return { append: ["done"] }
    })
}

describe("progress", () => {
  testEach(
    "reaches those who watch, in between what is committed, and has no cursor",
    ({ open }) =>
      Effect.gen(function*() {
        const { observer, plane } = yield* open()
        yield* plane.register("a", talking)
        const seen: Array<string> = []
        const watcher = yield* Effect.fork(Stream.runForEach(plane.watch("a/x"), (item) =>
          Effect.sync(() => {
            if (item._tag === "progress") {
              assert.notProperty(item, "cursor")
              seen.push(String(item.value))
            } else seen.push(item._tag === "event" ? item.event._tag : "message")
          })))
        yield* settle
        yield* plane.submit("a/x", Input.prompt("go"))
        yield* untilTrue("the end is seen", () => seen.filter((tag) => tag === "message").length === 3)
        assert.deepStrictEqual(seen.filter((tag) => ["one", "two", "three", "message"].includes(tag)), [
          "one",
          "two",
          "message",
          "message",
          "three",
          "message"
        ])
        yield* Fiber.interrupt(watcher)
        // It is not stored: who comes later sees what was committed alone.
        const committed = seen.filter((tag) => !["one", "two", "three"].includes(tag))
        for (const watch of [plane.watch, observer.watch]) {
          const later = yield* Stream.runCollect(Stream.take(watch("a/x"), committed.length))
          const tags = Chunk.toReadonlyArray(later).map((item) => item._tag === "event" ? item.event._tag : item._tag)
          assert.deepStrictEqual(tags, committed as never)
        }
        assert.notInclude(JSON.stringify(yield* observer.events("a/x")), "three")
      })
  )

  testEach("is all that a slow watcher loses, and nobody waits for it", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      const gate = yield* latch
      yield* plane.register("a", {
        apply: (run) =>
          Effect.gen(function*() {
            for (let i = 0; i < 2_000; i++) yield* run.emit(i)
            for (let i = 0; i < 5; i++) yield* run.checkpoint({ append: [`message ${i}`] })
            return { append: ["last"] }
          })
      })
      const items: Array<unknown> = []
      const values: Array<unknown> = []
      const watcher = yield* Effect.fork(Stream.runForEach(plane.watch("a/x"), (item) =>
        Effect.zipRight(
          gate.wait,
          Effect.sync(() => {
            if (item._tag === "message") items.push(item.message)
            if (item._tag === "progress") values.push(item.value)
          })
        )))
      yield* settle
      // The run ends while the watcher has taken nothing.
      yield* plane.submit("a/x", Input.prompt("go"))
      yield* gate.open
      yield* untilTrue("all messages are seen", () => items.includes("last"))
      yield* settle
      assert.deepStrictEqual(items.slice(1), [0, 1, 2, 3, 4].map((i) => `message ${i}`).concat("last"))
      assert.isBelow(values.length, 200)
      assert.strictEqual(values[values.length - 1], 1_999)
      yield* Fiber.interrupt(watcher)
    }))
})

describe("watch", () => {
  test("I4: a thousand watchers of one runtime see the same", ({ open }) =>
    Effect.gen(function*() {
      const { plane } = yield* open()
      yield* plane.register("a", talking)
      const inputId = yield* accepted(plane, "a/x", Input.prompt("go"))
      yield* plane.await("a/x", inputId)
      const isDone = (item: Watched) => item._tag === "message" && JSON.stringify(item.message) === "\"done\""
      const past = yield* Stream.runCollect(Stream.takeUntil(plane.watch("a/x"), isDone))
      const last = Chunk.unsafeLast(past)
      const after = last._tag === "progress" ? 0 : last.cursor
      const progress: Array<unknown> = []
      const watchers = yield* Effect.forEach(Array.from({ length: 1_000 }), () =>
        Effect.fork(Stream.runCollect(Stream.takeUntil(
          Stream.tap(plane.watch("a/x", { after }), (item) =>
            Effect.sync(() =>
              item._tag === "progress" && progress.push(item.value)
            )),
          isDone
        ))))
      yield* settle
      yield* plane.submit("a/x", Input.prompt("again"))
      const all = yield* Effect.forEach(watchers, Fiber.join)
      const texts = new Set(
        all.map((items) =>
          JSON.stringify(
            Chunk.toReadonlyArray(items).filter(({ _tag }) =>
              _tag !== "progress"
            )
          )
        )
      )
      assert.strictEqual(texts.size, 1)
      assert.strictEqual(progress.length, 3_000)
    }))
})
