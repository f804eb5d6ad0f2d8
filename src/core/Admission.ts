/**
 * Which inputs are valid at all. A refusal is an answer, writes nothing and uses up no key.
 */
import { type Input, type Kind, kindOf, type Origin } from "../schema/Input.js"
import type { RejectReason } from "../schema/Report.js"

type Rule = (input: Input) => RejectReason | undefined

/** Outsiders cannot say that something was derived from the runtime's own facts. */
const outside: ReadonlySet<Origin["_tag"]> = new Set(["operator", "peer", "external"])

/** What is said to the agent is never derived. */
const derivable: ReadonlySet<Kind> = new Set(["external_event", "continuation", "operation", "peer_response_progress"])

const durability: Rule = (input) => {
  if (input.header.durability !== "derived") return undefined
  if (outside.has(input.header.origin._tag)) {
    return { _tag: "durability_violation", detail: "external ingress cannot submit derived inputs" }
  }
  const kind = kindOf(input)
  return derivable.has(kind)
    ? undefined
    : { _tag: "durability_violation", detail: `derived durability is forbidden for ${kind}` }
}

const handlingMode: Rule = (input) => {
  if (input._tag !== "peer" || input.handlingMode === undefined) return undefined
  if (input.convention._tag === "response_progress") {
    return { _tag: "peer_handling_mode_invalid", detail: "progress of a response takes no handling mode" }
  }
  // Somebody has asked, and may wait for nothing else.
  return input.convention._tag === "response_terminal" && input.handlingMode === "ride_along"
    ? { _tag: "peer_handling_mode_invalid", detail: "a terminal response does not ride along" }
    : undefined
}

const terminalResponse: Rule = (input) =>
  input._tag === "peer" && input.convention._tag === "response_terminal" && input.convention.requestId === ""
    ? { _tag: "peer_response_terminal_invalid", detail: "a terminal response names the request it answers" }
    : undefined

const rules: ReadonlyArray<Rule> = [durability, handlingMode, terminalResponse]

export const validate = (input: Input): RejectReason | undefined => {
  for (const rule of rules) {
    const reason = rule(input)
    if (reason !== undefined) return reason
  }
  return undefined
}
