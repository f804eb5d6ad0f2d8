/**
 * What an executor sees of inputs: the messages they become, and the hints for the turn.
 */
import * as Content from "../schema/Content.js"
import type { Input } from "../schema/Input.js"
import type { ConversationAppend, RunPrimitive } from "../schema/Run.js"
import * as Turn from "../schema/Turn.js"

/** The message that an input becomes; continuations and operations become none. */
export const append = (input: Input): ConversationAppend | undefined => {
  const content = contentOf(input)
  return content.length === 0 ? undefined : { inputId: input.header.id, role: "user", content }
}

const contentOf = (input: Input): Content.Content => {
  switch (input._tag) {
    case "prompt":
    case "flow_step":
      return input.content
    case "peer": {
      // Content with media names its sender, since no text of the peer introduces it.
      const media = input.content.some((block) => block._tag !== "text")
      const { origin } = input.header
      return media && input.convention._tag === "message" && origin._tag === "peer"
        ? [Content.text(`[message from ${origin.peerId}]`), ...input.content]
        : input.content
    }
    case "external_event":
      return [Content.text(eventText(input)), ...input.content ?? []]
    case "continuation":
    case "operation":
      return []
  }
}

const eventText = (input: Extract<Input, { readonly _tag: "external_event" }>): string => {
  const { origin } = input.header
  const name = origin._tag === "external" && origin.sourceName.trim() !== "" ? origin.sourceName : input.eventType
  const { payload } = input
  const body = typeof payload === "object" && payload !== null && "body" in payload ? payload.body : undefined
  return typeof body === "string" && body.trim() !== "" ? `[event via ${name}] ${body.trim()}` : `[event via ${name}]`
}

const turnOf = (input: Input): Turn.TurnMetadata => {
  switch (input._tag) {
    case "prompt":
    case "flow_step":
      return input.turn ?? {}
    case "external_event":
      return {
        ...(input.handlingMode && { handlingMode: input.handlingMode }),
        ...(input.render && { render: input.render })
      }
    case "continuation":
      return input.handlingMode ? { handlingMode: input.handlingMode } : {}
    case "peer":
    case "operation":
      return {}
  }
}

/** A batch in the form that an executor takes. */
export const primitive = (
  boundary: RunPrimitive["boundary"],
  inputs: ReadonlyArray<Input>
): RunPrimitive => ({
  boundary,
  appends: inputs.flatMap((input) => append(input) ?? []),
  contextAppends: [],
  contributors: inputs.map((input) => input.header.id),
  turn: inputs.map(turnOf).reduce(Turn.merge, {})
})
