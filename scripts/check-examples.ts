/**
 * Compiles every example of the documentation: the `ts` blocks of README.md and docs/*.md, and those in the doc comments
 * of src. Each is a module of its own that imports the package by its name, as a user's would. There is no opt-out.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

interface Example {
  readonly document: string
  /** The line of the document, from 1, that holds the first line of the code. */
  readonly line: number
  readonly code: string
}

interface Problem {
  readonly document: string
  readonly line: number
  readonly message: string
}

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const outputDirectory = path.join(root, ".examples")

const examples: Array<Example> = []
const problems: Array<Problem> = []

const fence = /^\s*(`{3,}|~{3,})\s*([^`]*)$/
const typescriptLanguages = new Set(["ts", "mts", "cts", "tsx", "typescript"])

/** Collects the TypeScript blocks of some lines, the first of which is line `firstLine` of the document. */
const collectBlocks = (document: string, lines: ReadonlyArray<string>, firstLine: number): void => {
  let open: { readonly marker: string; readonly info: string; readonly start: number } | undefined
  lines.forEach((text, index) => {
    const match = fence.exec(text)
    if (open === undefined) {
      if (match !== null) open = { marker: match[1]!, info: match[2]!.trim(), start: index }
      return
    }
    const closes = match !== null && match[2]!.trim() === "" && match[1]!.startsWith(open.marker)
    if (!closes) return
    collectBlock(document, open.info, lines.slice(open.start + 1, index), firstLine + open.start + 1)
    open = undefined
  })
  if (open !== undefined) {
    problems.push({ document, line: firstLine + open.start, message: "this code block is not closed" })
  }
}

const collectBlock = (document: string, info: string, code: ReadonlyArray<string>, line: number): void => {
  const [language = "", ...rest] = info.split(/[\s,{:]+/)
  if (!typescriptLanguages.has(language.toLowerCase())) return
  if (info !== "ts") {
    const message = rest.length === 0
      ? `write \`\`\`ts instead of \`\`\`${info}`
      : `\`\`\`${info}: an example has no options, and cannot opt out of being compiled`
    problems.push({ document, line: line - 1, message })
    return
  }
  examples.push({ document, line, code: code.join("\n") })
}

const collectMarkdown = (file: string): void =>
  collectBlocks(path.relative(root, file), fs.readFileSync(file, "utf8").split(/\r?\n/), 1)

const collectDocComments = (file: string): void => {
  const document = path.relative(root, file)
  const text = fs.readFileSync(file, "utf8")
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const seen = new Set<number>()
  const visit = (node: ts.Node): void => {
    for (const range of ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []) {
      if (seen.has(range.pos) || !text.startsWith("/**", range.pos)) continue
      seen.add(range.pos)
      const firstLine = source.getLineAndCharacterOfPosition(range.pos).line + 1
      collectDocComment(document, text.slice(range.pos + 3, range.end - 2), firstLine)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  visit(source.endOfFileToken)
}

const collectDocComment = (document: string, comment: string, firstLine: number): void => {
  const lines = comment.split(/\r?\n/).map((line) => line.replace(/^\s*\* ?/, ""))
  collectBlocks(document, lines, firstLine)
  lines.forEach((line, index) => {
    if (!/^\s*@example\b/.test(line)) return
    const rest = lines.slice(index + 1)
    const nextTag = rest.findIndex((other) => /^\s*@(since|category|example|see|param|returns|internal)\b/.test(other))
    const body = nextTag === -1 ? rest : rest.slice(0, nextTag)
    if (body.some((other) => fence.test(other))) return
    problems.push({ document, line: firstLine + index, message: "@example without a code block (```ts)" })
  })
}

const filesBelow = (directory: string, extension: string): ReadonlyArray<string> => {
  const absolute = path.join(root, directory)
  if (!fs.existsSync(absolute)) return []
  return fs.readdirSync(absolute, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(extension))
    .map((name) => path.join(absolute, name))
    .sort()
}

const readCompilerOptions = (): ts.CompilerOptions => {
  const file = path.join(root, "tsconfig.json")
  const { config, error } = ts.readConfigFile(file, ts.sys.readFile)
  if (error !== undefined) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, "\n"))
  return {
    ...ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root).options,
    noEmit: true,
    // An example shows a value without using it.
    noUnusedLocals: false,
    noUnusedParameters: false
  }
}

const writeExamples = (): ReadonlyMap<string, Example> => {
  fs.rmSync(outputDirectory, { recursive: true, force: true })
  fs.mkdirSync(outputDirectory, { recursive: true })
  return new Map(examples.map((example) => {
    const name = `${example.document.replace(/[^A-Za-z0-9]+/g, "-")}-${example.line}.ts`
    const file = path.join(outputDirectory, name)
    fs.writeFileSync(file, `${example.code}\n`)
    return [file, example] as const
  }))
}

const compile = (files: ReadonlyMap<string, Example>): void => {
  const program = ts.createProgram([...files.keys()], readCompilerOptions())
  for (const [file, example] of files) {
    const source = program.getSourceFile(file)
    if (source === undefined) throw new Error(`${file} is not part of the program`)
    for (const statement of source.statements) {
      if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue
      const specifier = statement.moduleSpecifier
      if (specifier === undefined || !ts.isStringLiteral(specifier) || !specifier.text.startsWith(".")) continue
      report(example, source, specifier.getStart(), "an example imports the package by its name")
    }
    for (const diagnostic of ts.getPreEmitDiagnostics(program, source)) {
      const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")
      report(example, source, diagnostic.start ?? 0, `${message} (TS${diagnostic.code})`)
    }
  }
}

const report = (example: Example, source: ts.SourceFile, position: number, message: string): void => {
  const { line } = source.getLineAndCharacterOfPosition(position)
  problems.push({ document: example.document, line: example.line + line, message })
}

const readme = path.join(root, "README.md")
if (fs.existsSync(readme)) collectMarkdown(readme)
filesBelow("docs", ".md").forEach(collectMarkdown)
filesBelow("src", ".ts").forEach(collectDocComments)
const written = writeExamples()
if (written.size > 0) compile(written)

for (const { document, line, message } of problems) console.error(`${document}:${line}: ${message}`)
console.log(`${examples.length} examples compiled, ${problems.length} problems`)
if (problems.length === 0) fs.rmSync(outputDirectory, { recursive: true, force: true })
process.exitCode = problems.length === 0 ? 0 : 1
