/**
 * Messages of the default shape: what an agent remembers of a conversation, unless it brings a Schema of its own.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Content from "./Content.js"

/**
 * One message of a transcript.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly role: "user" | "assistant" | "tool" | "system"
  readonly content: Content.Content
}

const schema = Schema.Struct({
  role: Schema.Literal("user", "assistant", "tool", "system"),
  content: Content.Content
})

const of = (role: Message["role"]) => (content: string | Content.Content): Message => ({
  role,
  content: Content.from(content)
})

/**
 * The Schema of such messages, and how to make and read them. In memory media are bytes; encoded they are base64.
 *
 * @example
 * ```ts
 * import { Message } from "effect-burrow"
 *
 * const answer = Message.assistant("Dinner is ready.")
 * const text = Message.text(answer) // "Dinner is ready."
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Message: Schema.Schema<Message, typeof schema.Encoded> & {
  readonly user: (content: string | Content.Content) => Message
  readonly assistant: (content: string | Content.Content) => Message
  readonly tool: (content: string | Content.Content) => Message
  readonly system: (content: string | Content.Content) => Message
  readonly text: (message: Message) => string
} = Object.assign(schema, {
  /** What a person or program says. Inputs become such messages by themselves. */
  user: of("user"),
  /** What the agent says. */
  assistant: of("assistant"),
  /** The result of a tool. */
  tool: of("tool"),
  /** What the application tells the model. */
  system: of("system"),
  /** The text blocks, joined by line breaks. */
  text: (message: Message): string => Content.toText(message.content)
})
