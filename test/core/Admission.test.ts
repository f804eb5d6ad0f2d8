import { assert, describe, it } from "@effect/vitest"
import { validate } from "../../src/core/Admission.js"
import type { Kind, Origin } from "../../src/schema/Input.js"
import { input, kinds } from "./support.js"

const origins: ReadonlyArray<Origin> = [
  { _tag: "operator" },
  { _tag: "peer", peerId: "p" },
  { _tag: "external", sourceName: "s" },
  { _tag: "flow", flowId: "f", stepIndex: 0 },
  { _tag: "system" }
]

/** spec/driver.md §2. Columns: kind, then what a `derived` input of it from each origin is answered. */
const derived = `
                       operator peer external flow      system
prompt                 external external external kind      kind
peer_message           external external external kind      kind
peer_request           external external external kind      kind
peer_response_progress external external external allowed   allowed
peer_response_terminal external external external kind      kind
flow_step              external external external kind      kind
external_event         external external external allowed   allowed
continuation           external external external allowed   allowed
operation              external external external allowed   allowed
`.trim().split("\n").slice(1).map((line) => line.trim().split(/ +/))

const words = (kind: string): { readonly [answer: string]: string | undefined } => ({
  external: "external ingress cannot submit derived inputs",
  kind: `derived durability is forbidden for ${kind}`,
  allowed: undefined
})

describe("Admission", () => {
  for (const [kind, ...answers] of derived) {
    it(`a derived ${kind} is admitted or refused as the table says, by each origin`, () => {
      for (const [i, origin] of origins.entries()) {
        const reason = validate(input(kind as Kind, 1, { durability: "derived", origin }))
        const detail = words(kind!)[answers[i]!]
        assert.deepStrictEqual(reason, detail === undefined ? undefined : { _tag: "durability_violation", detail })
      }
    })
  }

  it("the table above has every kind", () =>
    assert.deepStrictEqual(derived.map(([kind]) => kind).sort(), [...kinds].sort()))

  it("durable and ephemeral are allowed for every kind and origin", () => {
    for (const kind of kinds) {
      for (const durability of ["durable", "ephemeral"] as const) {
        for (const origin of origins) assert.isUndefined(validate(input(kind, 1, { durability, origin })))
      }
    }
  })

  it("D21: the refusal names the kind once", () => {
    for (const kind of kinds) {
      const reason = validate(input(kind, 1, { durability: "derived" }))
      if (reason !== undefined) assert.notMatch(reason.detail, /peer_peer/)
    }
  })

  it("progress of a response takes no handling mode; other peer inputs do", () => {
    assert.strictEqual(
      validate(input("peer_response_progress", 1, { mode: "steer" }))?._tag,
      "peer_handling_mode_invalid"
    )
    for (const kind of ["peer_message", "peer_request", "peer_response_terminal"] as const) {
      assert.isUndefined(validate(input(kind, 1, { mode: "steer" })))
    }
  })

  it("a terminal response does not ride along; all others that take a handling mode do", () => {
    for (const kind of kinds) {
      const reason = validate(input(kind, 1, { mode: "ride_along" }))?._tag
      const response = kind === "peer_response_progress" || kind === "peer_response_terminal"
      assert.strictEqual(reason, response ? "peer_handling_mode_invalid" : undefined, kind)
    }
  })

  it("a terminal response names the request it answers", () => {
    const response = input("peer_response_terminal", 1)
    if (response._tag !== "peer") return assert.fail()
    const convention = { _tag: "response_terminal", requestId: "", status: "completed" } as const
    assert.strictEqual(validate({ ...response, convention })?._tag, "peer_response_terminal_invalid")
  })

  it("durability is judged first", () =>
    assert.strictEqual(
      validate(
        input("peer_response_progress", 1, { mode: "queue", durability: "derived", origin: { _tag: "operator" } })
      )
        ?._tag,
      "durability_violation"
    ))
})
