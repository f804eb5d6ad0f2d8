import { assert, describe, it } from "@effect/vitest"
import { laneOf, POLICY_VERSION, resolve, signalOf } from "../../src/core/PolicyTable.js"
import { type Kind } from "../../src/schema/Input.js"
import type { HandlingMode } from "../../src/schema/Turn.js"
import { input, type InputOptions, kinds } from "./support.js"

const resolved = (
  kind: Kind,
  runOpen: boolean,
  options: InputOptions = {},
  silentIntents: ReadonlyArray<string> = []
) => resolve(input(kind, 1, options), { runOpen, silentIntents })

/**
 * Written by hand from spec/driver.md §3.3 and §3.4 and design.md §10; a line that differs from the seed says why.
 * Columns: when, handling mode, kind, apply, wake, queue, route, consume, transcript.
 */
const table = `
idle    -     prompt                 stage_run_start    wake_if_idle       fifo     queue on_final  yes
running -     prompt                 stage_run_start    none               fifo     queue on_final  yes
idle    -     peer_message           stage_run_start    wake_if_idle       fifo     queue on_final  yes
running -     peer_message           stage_run_start    interrupt_yielding fifo     queue on_final  yes
idle    -     peer_request           stage_run_start    wake_if_idle       fifo     queue on_final  yes
running -     peer_request           stage_run_start    interrupt_yielding fifo     queue on_final  yes
idle    -     peer_response_progress stage_run_boundary wake_if_idle       coalesce steer on_final  yes  I14: it wakes
running -     peer_response_progress stage_run_boundary none               coalesce steer on_final  yes
idle    -     peer_response_terminal stage_run_start    wake_if_idle       fifo     queue on_final  yes
running -     peer_response_terminal stage_run_boundary wake_if_idle       fifo     steer on_final  yes  §10: boundary
idle    -     flow_step              stage_run_start    wake_if_idle       fifo     queue on_final  yes
running -     flow_step              stage_run_start    none               fifo     queue on_final  yes
idle    -     external_event         stage_run_start    wake_if_idle       fifo     queue on_final  yes
running -     external_event         stage_run_start    none               fifo     queue on_final  yes
idle    -     continuation           stage_run_boundary wake_if_idle       fifo     steer on_final  no
running -     continuation           stage_run_boundary interrupt_yielding fifo     steer on_final  no
idle    -     operation              ignore             none               fifo     drop  on_accept no
running -     operation              ignore             none               fifo     drop  on_accept no
idle    queue prompt                 stage_run_start    wake_if_idle       fifo     queue on_final  yes
running queue prompt                 stage_run_start    none               fifo     queue on_final  yes
idle    steer prompt                 stage_run_boundary wake_if_idle       fifo     steer on_final  yes
running steer prompt                 stage_run_boundary interrupt_yielding fifo     steer on_final  yes
idle    queue peer_message           stage_run_start    wake_if_idle       fifo     queue on_final  yes
running queue peer_message           stage_run_start    none               fifo     queue on_final  yes
idle    steer peer_message           stage_run_boundary wake_if_idle       fifo     steer on_final  yes
running steer peer_message           stage_run_boundary interrupt_yielding fifo     steer on_final  yes
idle    queue peer_request           stage_run_start    wake_if_idle       fifo     queue on_final  yes
running queue peer_request           stage_run_start    none               fifo     queue on_final  yes
idle    steer peer_request           stage_run_boundary wake_if_idle       fifo     steer on_final  yes
running steer peer_request           stage_run_boundary interrupt_yielding fifo     steer on_final  yes
idle    queue peer_response_terminal stage_run_start    wake_if_idle       fifo     queue on_final  yes
running queue peer_response_terminal stage_run_start    none               fifo     queue on_final  yes
idle    steer peer_response_terminal stage_run_start    wake_if_idle       fifo     steer on_final  yes  store §2.5
running steer peer_response_terminal stage_run_start    interrupt_yielding fifo     steer on_final  yes  store §2.5
idle    queue flow_step              stage_run_start    wake_if_idle       fifo     queue on_final  yes
running queue flow_step              stage_run_start    none               fifo     queue on_final  yes
idle    steer flow_step              stage_run_boundary wake_if_idle       fifo     steer on_final  yes
running steer flow_step              stage_run_boundary interrupt_yielding fifo     steer on_final  yes
idle    queue external_event         stage_run_start    wake_if_idle       fifo     queue on_final  yes
running queue external_event         stage_run_start    none               fifo     queue on_final  yes
idle    steer external_event         stage_run_boundary wake_if_idle       fifo     steer on_final  yes
running steer external_event         stage_run_boundary interrupt_yielding fifo     steer on_final  yes
idle    queue continuation           stage_run_start    wake_if_idle       fifo     queue on_final  no
running queue continuation           stage_run_start    none               fifo     queue on_final  no
idle    steer continuation           stage_run_boundary wake_if_idle       fifo     steer on_final  no
running steer continuation           stage_run_boundary interrupt_yielding fifo     steer on_final  no
idle    ride_along prompt            ride_along         none               fifo     steer on_final  yes
running ride_along prompt            ride_along         none               fifo     steer on_final  yes
idle    ride_along peer_message      ride_along         none               fifo     steer on_final  yes
running ride_along peer_message      ride_along         none               fifo     steer on_final  yes
idle    ride_along peer_request      ride_along         none               fifo     steer on_final  yes
running ride_along peer_request      ride_along         none               fifo     steer on_final  yes
idle    ride_along flow_step         ride_along         none               fifo     steer on_final  yes
running ride_along flow_step         ride_along         none               fifo     steer on_final  yes
idle    ride_along external_event    ride_along         none               fifo     steer on_final  yes
running ride_along external_event    ride_along         none               fifo     steer on_final  yes
idle    ride_along continuation      ride_along         none               fifo     steer on_final  no
running ride_along continuation      ride_along         none               fifo     steer on_final  no
`

const rows = table.trim().split("\n").map((line) => line.split(/ +/))

describe("PolicyTable", () => {
  for (const [when, mode, kind, apply, wake, queue, route, consume, transcript] of rows) {
    it(`${kind} is decided as the table says while ${when}, handling mode ${mode}`, () => {
      const options = mode === "-" ? {} : { mode: mode as HandlingMode }
      const { reason, version, ...decision } = resolved(kind as Kind, when === "running", options)
      assert.deepStrictEqual(decision as object, {
        apply,
        wake,
        queue,
        route,
        consume,
        recordTranscript: transcript === "yes"
      })
      assert.strictEqual(version, POLICY_VERSION)
      assert.strictEqual(reason, mode === "-" ? `table:${kind}/${when}` : `handling_mode:${mode}/${when}`)
    })
  }

  it("the table above has every kind, and every mode a kind can ask for", () => {
    const seen = new Set(rows.map(([when, mode, kind]) => `${when} ${mode} ${kind}`))
    for (const kind of kinds) {
      const modes = kind === "operation" || kind === "peer_response_progress"
        ? ["-"]
        : kind === "peer_response_terminal"
        ? ["-", "queue", "steer"]
        : ["-", "queue", "steer", "ride_along"]
      for (const mode of modes) {
        for (const when of ["idle", "running"]) assert.isTrue(seen.delete(`${when} ${mode} ${kind}`))
      }
    }
    assert.strictEqual(seen.size, 0)
  })

  it("a matching silent intent only takes away the wake and the boundary", () => {
    const loud = resolved("peer_request", true, { intent: "ping" })
    assert.deepStrictEqual(resolved("peer_request", true, { intent: "ping" }, ["other", "ping"]), {
      ...loud,
      apply: "stage_run_start",
      wake: "none",
      reason: "table:peer_request/running, silent_intent"
    })
    assert.deepStrictEqual(
      resolved("peer_request", true, { intent: "ping", mode: "steer" }, ["ping"]),
      {
        ...resolved("peer_request", true, { mode: "steer" }),
        apply: "stage_run_start",
        wake: "none",
        reason: "handling_mode:steer/running, silent_intent"
      }
    )
  })

  it("a silent intent does not have a request begin a run that was to ride along", () =>
    assert.deepStrictEqual(
      resolved("peer_request", true, { intent: "ping", mode: "ride_along" }, ["ping"]),
      resolved("peer_request", true, { mode: "ride_along" })
    ))

  it("a silent intent is compared with equality, and with requests alone", () => {
    assert.strictEqual(resolved("peer_request", false, { intent: "pin" }, ["ping"]).wake, "wake_if_idle")
    for (const kind of kinds) {
      if (kind === "peer_request") continue
      assert.deepStrictEqual(resolved(kind, false, {}, ["ping", ""]), resolved(kind, false))
    }
  })

  it("D5: a supersession key is honoured by every kind that waits", () => {
    for (const kind of kinds) {
      for (const runOpen of [false, true]) {
        const { queue, reason } = resolved(kind, runOpen, { scope: "s" })
        const expected = kind === "operation" ? "fifo" : kind === "peer_response_progress" ? "coalesce" : "supersede"
        assert.strictEqual(queue, expected, kind)
        assert.strictEqual(reason.includes("supersession_key"), expected === "supersede")
      }
    }
  })

  it("what is not for the transcript is not recorded, and the reason says so once", () => {
    for (const kind of kinds) {
      const decision = resolved(kind, false, { transcript: false })
      assert.isFalse(decision.recordTranscript)
      assert.strictEqual(
        decision.reason.includes("not_for_transcript"),
        kind !== "continuation" && kind !== "operation",
        kind
      )
    }
  })

  it("reasons are joined in the order in which they applied", () =>
    assert.strictEqual(
      resolved("peer_request", false, { intent: "ping", scope: "s", transcript: false }, ["ping"]).reason,
      "table:peer_request/idle, supersession_key, silent_intent, not_for_transcript"
    ))

  const signals = [
    ["wake_if_idle", "queue", false, "wake_loop"],
    ["wake_if_idle", "queue", true, "wake_loop"],
    ["wake_if_idle", "steer", false, "request_immediate_processing"],
    ["wake_if_idle", "steer", true, "request_immediate_processing"],
    ["interrupt_yielding", "queue", false, "wake_loop"],
    ["interrupt_yielding", "queue", true, "interrupt_yielding"],
    ["interrupt_yielding", "steer", true, "request_immediate_processing"],
    ["none", "queue", false, "none"],
    ["none", "steer", true, "none"],
    ["wake_if_idle", "drop", false, "none"]
  ] as const

  for (const [wake, route, runOpen, expected] of signals) {
    it(`${wake} on route ${route} signals ${expected} while ${runOpen ? "running" : "idle"}`, () => {
      assert.strictEqual(signalOf({ ...resolved("prompt", false), wake, route }, runOpen), expected)
    })
  }

  it("the route is the lane, and drop is none", () => {
    const decision = resolved("prompt", false)
    assert.strictEqual(laneOf(decision), "queue")
    assert.strictEqual(laneOf({ ...decision, route: "steer" }), "steer")
    assert.isNull(laneOf({ ...decision, route: "drop" }))
  })
})
