/** The small functions that come with the words. */
import { assert, describe, it } from "@effect/vitest"
import * as Content from "../../src/schema/Content.js"
import * as Input from "../../src/schema/Input.js"
import { isTerminal, Phase } from "../../src/schema/InputState.js"
import { strongest, type WakeSignal } from "../../src/schema/Policy.js"
import * as Session from "../../src/schema/Session.js"
import * as Turn from "../../src/schema/Turn.js"
import { input, kinds } from "../core/support.js"

const image: Content.Block = {
  _tag: "image",
  mediaType: "image/png",
  source: { _tag: "inline", data: Uint8Array.of(1) }
}

describe("Input", () => {
  it("a peer's convention is part of its kind", () => {
    for (const kind of kinds) assert.strictEqual(Input.kindOf(input(kind, 1)), kind)
    assert.deepStrictEqual([...Input.Kind.literals].sort(), [...kinds].sort())
  })

  it("every kind but operations can ask for a handling mode", () => {
    for (const kind of kinds) {
      assert.isUndefined(Input.handlingModeOf(input(kind, 1)))
      assert.strictEqual(
        Input.handlingModeOf(input(kind, 1, { mode: "steer" })),
        kind === "operation" ? undefined : "steer"
      )
    }
  })

  it("content is read and replaced where a kind has some", () => {
    const without = new Set(["continuation", "operation", "external_event"])
    for (const kind of kinds) {
      const value = input(kind, 1, { text: "a" })
      const changed = Input.withContent(value, [image])
      assert.deepStrictEqual(Input.contentOf(value), without.has(kind) ? [] : [Content.text("a")])
      assert.deepStrictEqual(Input.contentOf(changed), without.has(kind) ? [] : [image])
      if (without.has(kind)) assert.strictEqual(changed, value)
    }
  })

  it("a prompt's string is one text block, its header and hints are left out when absent", () => {
    assert.deepStrictEqual(Input.prompt("hi"), { _tag: "prompt", content: [Content.text("hi")] })
    assert.deepStrictEqual(Input.prompt([image], { at: 1 }, { model: "m" }), {
      _tag: "prompt",
      content: [image],
      header: { at: 1 },
      turn: { model: "m" }
    })
  })
})

describe("Content", () => {
  it("its text is that of the text blocks, one a line", () =>
    assert.strictEqual(Content.toText([Content.text("a"), image, Content.text("b")]), "a\nb"))
})

describe("Phase", () => {
  it("four phases are terminal", () =>
    assert.deepStrictEqual(Phase.literals.filter((phase) => isTerminal({ phase })), [
      "consumed",
      "superseded",
      "coalesced",
      "abandoned"
    ]))
})

describe("WakeSignal", () => {
  it("signals accumulate to the strongest", () => {
    const order: ReadonlyArray<WakeSignal> = ["none", "wake_loop", "interrupt_yielding", "request_immediate_processing"]
    for (const [i, a] of order.entries()) {
      for (const [j, b] of order.entries()) assert.strictEqual(strongest(a, b), order[Math.max(i, j)])
    }
  })
})

describe("Turn", () => {
  it("the hints of a batch: the last writer of a field wins, lists are joined", () =>
    assert.deepStrictEqual(
      Turn.merge(
        { model: "a", provider: "p", skillReferences: ["x"], additionalInstructions: ["1"] },
        { model: "b", skillReferences: ["x", "y"] }
      ),
      { model: "b", provider: "p", skillReferences: ["x", "x", "y"], additionalInstructions: ["1"] }
    ))

  it("merging nothing adds nothing", () => assert.deepStrictEqual(Turn.merge({}, {}), {}))
})

describe("Message", () => {
  it("is the JSON that sessions keep, bytes as base64", () => {
    assert.deepStrictEqual(Session.user("hi"), { role: "user", content: [{ _tag: "text", text: "hi" }] })
    assert.deepStrictEqual(Session.assistant([image]), {
      role: "assistant",
      content: [{ _tag: "image", mediaType: "image/png", source: { _tag: "inline", data: "AQ==" } }]
    })
  })
})
