import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Input from "../../src/schema/Input.js"
import { accepted, testEach, untilTrue } from "../engine/support.js"

const COUNT = 150

describe("while the engine works through a backlog", () => {
  for (const runtimes of [1, 30]) {
    testEach(`timers and promises of the process go on (${runtimes} runtimes)`, ({ open }) =>
      Effect.gen(function*() {
        const { plane } = yield* open()
        for (let i = 0; i < COUNT; i++) yield* accepted(plane, `a/${i % runtimes}`, Input.prompt(`${i}`))
        let done = 0
        let timers = 0
        let promises = 0
        let longest = 0
        let last = performance.now()
        const tick = () => {
          if (done === COUNT) return
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
          timers++
          setTimeout(tick, 1)
        }
        const work = async () => {
          while (done < COUNT) {
            await new Promise((resolve) => setImmediate(resolve))
            promises++
          }
        }
        last = performance.now()
        setTimeout(tick, 1)
        void work()
        yield* plane.register("a", {
          apply: (run) => Effect.map(run.checkpoint({ append: ["x"] }), () => void done++)
        })
        yield* untilTrue("all is done", () => done === COUNT)
        assert.isAbove(promises, 10)
        assert.isAbove(timers, 10)
        assert.isBelow(longest, 500, "milliseconds without a timer")
      }))
  }
})
