/** What an editor says where people point: the types of agents are short, and name no Schema. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const program = fileURLToPath(new URL("kitchen.ts", import.meta.url))
const text = fs.readFileSync(program, "utf8")

const service = (): ts.LanguageService => {
  const { config } = ts.readConfigFile(`${root}/tsconfig.json`, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  return ts.createLanguageService({
    ...ts.sys,
    getCompilationSettings: () => options,
    getCurrentDirectory: () => root,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    getScriptFileNames: () => [program],
    getScriptSnapshot: (file) => {
      const found = ts.sys.readFile(file)
      return found === undefined ? undefined : ts.ScriptSnapshot.fromString(found)
    },
    getScriptVersion: () => "1",
    useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames
  })
}

const editor = service()
// First of all, since the order of unions is that of what was checked.
const problems = editor.getSemanticDiagnostics(program).map(({ messageText }) =>
  ts.flattenDiagnosticMessageText(messageText, "\n")
)

/** On one line, as far as it is one type. */
const hover = (mark: string): string => {
  const start = text.indexOf(`/*${mark}*/`)
  assert.isAtLeast(start, 0, `no mark ${mark}`)
  const after = start + mark.length + 4
  const at = after + text.slice(after).search(/\w/)
  return ts.displayPartsToString(editor.getQuickInfoAtPosition(program, at)?.displayParts).replaceAll(/\s+/g, " ")
}

const SHAPE = "{ state: { readonly step: number; }; result: string; }"

const expected = {
  "layer": "const CookLive: Layer<never, Agent.HostError, ControlPlane>",
  "run": `(parameter) run: Agent.Run<${SHAPE}>`,
  "run.state": `(property) Run<${SHAPE}>.state: Effect.Effect<{ readonly step: number; }, never, never>`,
  "run.inputs": `(property) Run<${SHAPE}>.inputs: readonly [Agent.Input<{}>, ...Agent.Input<{}>[]]`,
  "run.checkpoint": `(property) Run<${SHAPE}>.checkpoint: <never, never>(` +
    "delta?: Agent.Delta<{ readonly step: number; }, Message, never, never> | undefined" +
    ") => Effect.Effect<readonly Agent.Input<{}>[], never, never>",
  "input": "const input: Agent.Input<{}>",
  "refund": "const refund: Agent.Input<{ requested: { readonly order: string; readonly cents: number; }; }>",
  "approved": "const approved: boolean",
  "dinner": "const dinner: string",
  "outage": "(parameter) error: Agent.DeltaError | QuestionExpired | AwaitError",
  "handle": `const chat: Agent.Handle<${SHAPE}>`,
  "called": "const called: Effect.Effect<string, CallError, Agents>",
  "chat.call": `(property) Handle<${SHAPE}>.call: (` +
    "input: string | Content, options?: Agent.SendOptions) => Effect.Effect<string, CallError, Agents>",
  "awaited": "const awaited: Effect.Effect<string, AwaitError, Agents>",
  "chat.state":
    `(property) Handle<${SHAPE}>.state: Effect.Effect<{ readonly step: number; }, StoreUnavailable | Undecodable, Agents>`,
  "chat.watch": `(property) Handle<${SHAPE}>.watch: (options?: { readonly after?: number; }) => ` +
    `Stream<Agent.Watched<${SHAPE}>, StoreUnavailable | Undecodable, Agents>`,
  "refunds": "const refunds: Agent.Handle<{ result: \"paid\" | \"refused\"; " +
    "events: { requested: { readonly order: string; readonly cents: number; }; }; " +
    "questions: { approval: { ask: string; answer: boolean; }; }; }>"
}

describe("an editor says of", () => {
  it("a program that compiles", () => assert.deepStrictEqual(problems, []))

  for (const [mark, quick] of Object.entries(expected)) {
    it(mark, () => assert.strictEqual(hover(mark), quick))
  }
})
