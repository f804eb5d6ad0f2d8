import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import type { Service } from "../../src/services/Driver.js"
import type { Watched } from "../../src/services/Observer.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { environments, settle, withObserver } from "./bench.js"
import { kept, mark, messagesOf, says, toMark, transcriptOf } from "./story.js"

const rewrite = (driver: Service, start: number, end: number, name: string, count: number) =>
  driver.rewrite({ selection: { start, end }, reason: "compaction", replacement: says(name, count) })

/** The messages, by the event that brought them. */
const byEvent = (seen: ReadonlyArray<Watched>) =>
  seen.flatMap((one) => one._tag === "event" ? [{ tag: one.event._tag, messages: [] as Array<unknown>, one }] : [])
    .map(({ one, tag }) => [
      tag,
      seen.flatMap((message) =>
        message._tag === "message" && Math.floor(message.cursor) === one.cursor
          ? [`${message.index}: ${JSON.stringify(message.message).replace(/.*"text":"([^"]*)".*/, "$1")}`]
          : []
      )
    ])
    .filter(([, messages]) => messages!.length > 0)

type Step =
  | { readonly _tag: "append"; readonly count: number }
  | { readonly _tag: "clear" }
  | { readonly _tag: "rewrite"; readonly at: number; readonly length: number; readonly count: number }
  | { readonly _tag: "run"; readonly at: number; readonly length: number; readonly count: number }

const count = FastCheck.nat({ max: 3 })
const range = { at: FastCheck.nat({ max: 100 }), length: FastCheck.nat({ max: 6 }), count }
const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.record({ _tag: FastCheck.constant("append" as const), count }) },
  { weight: 4, arbitrary: FastCheck.record({ _tag: FastCheck.constant("rewrite" as const), ...range }) },
  { weight: 4, arbitrary: FastCheck.record({ _tag: FastCheck.constant("run" as const), ...range }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constant("clear" as const) }) }
)

const take = (driver: Service, one: Step, i: number) =>
  Effect.gen(function*() {
    const session = yield* driver.session
    const length = session._tag === "Some" ? session.value.length : 0
    const selection = (at: number, size: number) => {
      const start = at % (length + 1)
      return { start, end: Math.min(length, start + size) }
    }
    switch (one._tag) {
      case "append":
        return yield* driver.commitSession({ append: says(`append ${i}`, one.count) })
      case "clear":
        return yield* driver.clearSession
      case "rewrite": {
        const { end, start } = selection(one.at, one.length)
        return length === 0 ? undefined : yield* rewrite(driver, start, end, `rewrite ${i}`, one.count)
      }
      case "run": {
        const { runId } = yield* F.running(driver)
        const delta = { append: says(`run ${i}`, one.count) }
        if (length === 0) return yield* driver.complete({ runId, delta })
        const replacement = says(`replaced ${i}`, one.count)
        yield* driver.checkpoint({ runId, delta })
        return yield* driver.complete({
          runId,
          delta: { ...delta, rewrite: { selection: selection(one.at, one.length), reason: "compaction", replacement } }
        })
      }
    }
  })

for (const { name, stores } of environments) {
  describe(`watch of a transcript that is rewritten, in ${name}`, () => {
    it.effect("leaves out what is gone, keeps what is not, and gives the replacement with its own event", () =>
      withObserver({ stores }, ({ driver, observer, store }) =>
        Effect.gen(function*() {
          const live = yield* Effect.fork(toMark(observer, driver))
          yield* settle
          yield* driver.commitSession({ append: says("first", 3) })
          yield* settle
          yield* driver.commitSession({ append: says("second", 2) })
          yield* settle
          yield* rewrite(driver, 1, 4, "summary", 1)
          yield* settle
          yield* driver.commitSession({ append: says("third", 1) })
          yield* mark(driver)
          const now = ["session.changed", ["3: third 0"]]
          assert.deepStrictEqual(byEvent(yield* Fiber.join(live)), [
            ["session.changed", ["0: first 0", "1: first 1", "2: first 2"]],
            ["session.changed", ["3: second 0", "4: second 1"]],
            ["session.rewritten", ["1: summary 0"]],
            now
          ])
          const late = yield* toMark(observer, driver)
          assert.deepStrictEqual(byEvent(late), [
            ["session.changed", ["0: first 0"]],
            ["session.changed", ["4: second 1"]],
            ["session.rewritten", ["1: summary 0"]],
            now
          ])
          assert.deepStrictEqual(kept(late), [...yield* transcriptOf(store, driver)])
          for (const [i, { cursor }] of late.slice(0, -1).entries()) {
            assert.deepStrictEqual(yield* toMark(observer, driver, cursor), late.slice(i + 1))
          }
        })))

    it.effect("sees a rewrite inside a run, and what the same boundary appended", () =>
      withObserver({ stores }, ({ driver, observer, store }) =>
        Effect.gen(function*() {
          const { runId } = yield* F.running(driver)
          yield* driver.checkpoint({ runId, delta: { append: says("draft", 2) } })
          yield* driver.complete({
            runId,
            delta: {
              rewrite: { selection: { start: 1, end: 3 }, reason: "redaction", replacement: says("redacted", 1) },
              append: says("final", 1)
            }
          })
          yield* mark(driver)
          const seen = yield* toMark(observer, driver)
          assert.deepStrictEqual(byEvent(seen), [
            ["run.boundary", ["0: go"]],
            ["session.rewritten", ["1: redacted 0"]],
            ["run.boundary", ["2: final 0"]]
          ])
          assert.deepStrictEqual(kept(seen), [...yield* transcriptOf(store, driver)])
        })))

    it.effect("brings nothing of a transcript that was cleared, and all of the one after it", () =>
      withObserver({ stores }, ({ driver, observer }) =>
        Effect.gen(function*() {
          yield* driver.commitSession({ append: says("old", 3) })
          yield* driver.clearSession
          yield* driver.commitSession({ append: says("new", 2) })
          yield* mark(driver)
          assert.deepStrictEqual(messagesOf(yield* toMark(observer, driver)), [...says("new", 2)])
        })))

    it.effect("rewrites that come while messages are read take away those that were not read yet", () => {
      const onRead: Array<Effect.Effect<unknown, unknown>> = []
      return withObserver({
        stores,
        limits: { appendMessagesMax: 400, appendBytesMax: 1_000_000 },
        trouble: ({ loadTranscript }) => ({
          loadTranscript: (...of) =>
            Effect.zipLeft(loadTranscript(...of), Effect.suspend(() => Effect.ignore(onRead.shift() ?? Effect.void)))
        })
      }, ({ driver, observer, store }) =>
        Effect.gen(function*() {
          yield* driver.commitSession({ append: says("old", 350) })
          onRead.push(
            rewrite(driver, 50, 120, "first", 1),
            // Its positions are those of now: 250 to 299 of then are 181 to 230.
            Effect.zipRight(rewrite(driver, 181, 231, "second", 3), mark(driver))
          )
          const seen = yield* toMark(observer, driver)
          const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
          assert.deepStrictEqual(
            seen.flatMap((one) => one._tag === "message" && one.cursor < 2 ? [one.index] : []),
            [...numbers(0, 100), ...numbers(120, 250), ...numbers(300, 350)]
          )
          assert.deepStrictEqual(kept(seen), [...yield* transcriptOf(store, driver)])
        }))
    })

    it.effect("I11: whoever comes whenever, and reconnects anywhere, ends with the transcript", () =>
      Effect.forEach(
        FastCheck.sample(FastCheck.array(step, { minLength: 3, maxLength: 12 }), { numRuns: 15, seed: 20_261_123 }),
        (steps) =>
          withObserver({ stores }, ({ driver, observer, store }) =>
            Effect.gen(function*() {
              const early = yield* Effect.fork(toMark(observer, driver))
              yield* settle
              for (const [i, one] of steps.entries()) {
                yield* take(driver, one, i)
                if (i % 3 === 0) yield* settle
              }
              yield* mark(driver)
              const live = yield* Fiber.join(early)
              const late = yield* toMark(observer, driver)
              const transcript = yield* transcriptOf(store, driver)
              assert.deepStrictEqual(kept(live), [...transcript], "live")
              assert.deepStrictEqual(kept(late), [...transcript], "late")
              for (const [i, { cursor }] of live.slice(0, -1).entries()) {
                const again = yield* toMark(observer, driver, cursor)
                assert.deepStrictEqual(again, late.filter((one) => one.cursor > cursor), `behind ${cursor}`)
                assert.deepStrictEqual(kept([...live.slice(0, i + 1), ...again]), [...transcript], `from ${cursor}`)
              }
            })),
        { discard: true }
      ), 60_000)
  })
}
