import { assert, describe, it } from "@effect/vitest"
import * as Projection from "../../src/core/Projection.js"
import * as Content from "../../src/schema/Content.js"
import type { Input } from "../../src/schema/Input.js"
import { input, inputId } from "./support.js"

const said = (value: Input) => Projection.append(value)?.content
const event = (parts: object): Input => ({ ...input("external_event", 1), ...parts }) as Input
const image: Content.Block = {
  _tag: "image",
  mediaType: "image/png",
  source: { _tag: "inline", data: Uint8Array.of(1) }
}

describe("Projection", () => {
  it("prompts, steps and peers say their content as the user", () => {
    for (const kind of ["prompt", "flow_step", "peer_message", "peer_request"] as const) {
      assert.deepStrictEqual(Projection.append(input(kind, 1, { text: "hi" })), {
        inputId: inputId(1),
        role: "user",
        content: [Content.text("hi")]
      })
    }
  })

  it("continuations and operations say nothing", () => {
    assert.isUndefined(Projection.append(input("continuation", 1)))
    assert.isUndefined(Projection.append(input("operation", 1)))
  })

  it("an external event names its source, else its type, and says the payload's body", () => {
    const external = { _tag: "external", sourceName: "inbox" } as const
    assert.deepStrictEqual(said(input("external_event", 1, { text: " hi ", origin: external })), [
      Content.text("[event via inbox] hi")
    ])
    assert.deepStrictEqual(said(event({ payload: { body: " " } })), [Content.text("[event via mail]")])
    assert.deepStrictEqual(said(event({ payload: null })), [Content.text("[event via mail]")])
    assert.deepStrictEqual(said(event({ payload: [1], content: [Content.text("more")] })), [
      Content.text("[event via mail]"),
      Content.text("more")
    ])
  })

  it("a peer's media are introduced by its name", () => {
    const peer = input("peer_message", 1, { origin: { _tag: "peer", peerId: "bob" } })
    assert.deepStrictEqual(said({ ...peer, content: [image] } as Input), [Content.text("[message from bob]"), image])
  })

  it("a batch is one primitive: messages in order, contributors all of them, hints merged", () => {
    const first = { ...input("prompt", 1), turn: { model: "a", skillReferences: ["x"] } } as Input
    const last = { ...input("flow_step", 3), turn: { model: "b", skillReferences: ["y"] } } as Input
    const primitive = Projection.primitive("run_start", [first, input("continuation", 2, { mode: "steer" }), last])
    assert.deepStrictEqual(primitive.contributors, [1, 2, 3].map(inputId))
    assert.deepStrictEqual(primitive.appends.map((append) => append.inputId), [inputId(1), inputId(3)])
    assert.deepStrictEqual(primitive.turn, { model: "b", skillReferences: ["x", "y"], handlingMode: "steer" })
    assert.strictEqual(primitive.boundary, "run_start")
  })
})
