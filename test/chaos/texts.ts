/** Texts in and out of inputs and messages. */
import { Input } from "effect-burrow"

export const textOf = (input: Input.Input): string =>
  Input.contentOf(input).map((block) => block._tag === "text" ? block.text : block._tag).join("")

export const textOfMessage = (message: unknown): string =>
  (message as { readonly content: ReadonlyArray<{ readonly text: string }> }).content.map(({ text }) => text).join("")
