/** Texts for jobs that are killed: every line is unique, and some lines are empty, long, or of other alphabets. */

const words = "mole burrow earth root worm Erde Hügel тоннель 土 corridor larder night rain stone".split(" ")

export interface NumberedLine {
  readonly number: number
  readonly text: string
}

/** Long enough for the body to become a blob. */
const LONG_CHARACTERS = 70_000

export const makeText = (
  lines: number,
  next: (max: number) => number
): { readonly text: string; readonly lines: ReadonlyArray<NumberedLine> } => {
  const made: Array<NumberedLine> = []
  let text = ""
  let number = 0
  while (made.length < lines) {
    number++
    const end = next(4) === 0 ? "\r\n" : "\n"
    if (next(10) === 0) {
      text += end
      continue
    }
    const body = Array.from({ length: 1 + next(12) }, () => words[next(words.length)]).join(" ")
    const line = next(200) === 0 ? `${number}: ${body.padEnd(LONG_CHARACTERS, ".")}` : `${number}: ${body}`
    made.push({ number, text: line })
    text += line + end
  }
  return { text, lines: made }
}

/** What the agent answers. */
export const replyTo = ({ number, text }: NumberedLine): string => {
  const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? "" : "s"}`
  return `-> line ${number}: ${count(text.split(/\s+/u).length, "word")}, ${count([...text].length, "character")}`
}

export const transcriptOf = (lines: ReadonlyArray<NumberedLine>): ReadonlyArray<string> =>
  lines.flatMap((line) => [line.text, replyTo(line)])
