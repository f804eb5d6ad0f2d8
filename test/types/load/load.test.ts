/**
 * Programs of many agents, written against the package as it is published: the compiler's work grows with their number
 * and no faster, and their declarations carry everything.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { sources } from "./program.js"

const AGENTS = 20

/** What was measured, and a third more. */
const bounds = { source: 560_000, sourceEach: 25_000, declarations: 25_000, declarationsEach: 1_000 }

type Files = ReadonlyMap<string, string>

const root = fileURLToPath(new URL("../../../", import.meta.url))
/** Nothing of it is ever written. */
const directory = fileURLToPath(new URL("generated", import.meta.url))
const library = path.join(directory, "node_modules/effect-burrow")

const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile)
const { options: { paths: _paths, noEmit: _noEmit, ...options } } = ts.parseJsonConfigFileContent(config, ts.sys, root)

/** Files on the disk are parsed once. */
const parsed = new Map<string, ts.SourceFile | undefined>()

const programOf = (entries: ReadonlyArray<string>, files: Files, more: ts.CompilerOptions) => {
  const emitted = new Map<string, string>()
  const compilerOptions = { ...options, declaration: true, emitDeclarationOnly: true, ...more }
  const disk = ts.createCompilerHost(compilerOptions)
  const program = ts.createProgram(entries, compilerOptions, {
    ...disk,
    fileExists: (file) => files.has(file) || disk.fileExists(file),
    readFile: (file) => files.get(file) ?? disk.readFile(file),
    directoryExists: (name) =>
      ts.sys.directoryExists(name) || [...files.keys()].some((file) => file.startsWith(`${name}/`)),
    realpath: (name) => files.has(name) ? name : ts.sys.realpath?.(name) ?? name,
    getSourceFile: (file, language) => {
      const text = files.get(file)
      if (text !== undefined) return ts.createSourceFile(file, text, language)
      if (!parsed.has(file)) parsed.set(file, disk.getSourceFile(file, language))
      return parsed.get(file)
    },
    writeFile: (file, text) => emitted.set(file, text)
  })
  return { program, emitted }
}

/** The library's `package.json` and declarations, and a package that uses it. */
const published = (() => {
  const entries = ["index.ts", "sqlite.ts", "testing.ts"].map((file) => path.join(root, "src", file))
  const { emitted, program } = programOf(entries, new Map(), {
    rootDir: path.join(root, "src"),
    outDir: path.join(library, "dist"),
    noCheck: true
  })
  program.emit()
  return new Map([
    ...emitted,
    [path.join(library, "package.json"), fs.readFileSync(path.join(root, "package.json"), "utf8")],
    [path.join(directory, "package.json"), JSON.stringify({ name: "program", type: "module" })]
  ])
})()

const compile = (files: Files) => {
  // In declarations nothing would be checked without `skipLibCheck: false`.
  const { emitted, program } = programOf([...files.keys()], new Map([...published, ...files]), {
    rootDir: directory,
    skipLibCheck: false
  })
  const errors = [...files.keys()].flatMap((file) => {
    const source = program.getSourceFile(file)
    const declared = file.endsWith(".d.ts") ? [] : program.emit(source).diagnostics
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source), ...declared].map((
      { code, messageText }
    ) => `${path.basename(file)}: TS${code} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`)
  })
  return { errors, emitted, instantiations: program.getInstantiationCount() }
}

const fromSource = (agents: number) =>
  compile(new Map(Object.entries(sources(agents)).map(([name, text]) => [path.join(directory, name), text])))

/** What one more agent costs, without what the first ones load. */
const each = (few: number, many: number) => Math.round((many - few) / (AGENTS / 2))

describe(`a program of ${AGENTS} agents`, () => {
  it("compiles, and so do its declarations, within bounds", () => {
    const few = fromSource(AGENTS / 2)
    const many = fromSource(AGENTS)
    assert.deepStrictEqual(few.errors, [])
    assert.deepStrictEqual(many.errors, [])
    assert.strictEqual(many.emitted.size, AGENTS + 1)

    const fewDeclared = compile(few.emitted)
    const declared = compile(many.emitted)
    assert.deepStrictEqual(declared.errors, [])

    const measured = {
      source: many.instantiations,
      sourceEach: each(few.instantiations, many.instantiations),
      declarations: declared.instantiations,
      declarationsEach: each(fewDeclared.instantiations, declared.instantiations)
    }
    process.stdout.write(`instantiations: ${JSON.stringify(measured)}\n`)
    assert.isBelow(measured.source, bounds.source)
    assert.isBelow(measured.sourceEach, bounds.sourceEach)
    assert.isBelow(measured.declarations, bounds.declarations)
    assert.isBelow(measured.declarationsEach, bounds.declarationsEach)
  }, 300_000)

  it("has declarations without Schemas where handles and layers are", () => {
    const text = fromSource(1).emitted.get(path.join(directory, "agent0.d.ts")) ?? ""
    const declarationOf = (name: string) =>
      text.split("export declare ").find((part) => part.startsWith(`const ${name}:`))?.trim()
    const live = declarationOf("Agent0Live") ?? ""
    const head = "const Agent0Live: import(\"effect/Layer\").Layer<never, Agent.HostError, "
    assert.strictEqual(live.slice(0, head.length), head)
    assert.sameMembers(live.slice(head.length).replace(">;", "").split(" | "), [
      "import(\"effect-burrow/types/services/ControlPlane\").ControlPlane",
      "Model0",
      "Table0"
    ])
    for (const name of ["handle0", "watched0"]) {
      assert.isDefined(declarationOf(name))
      assert.notMatch(String(declarationOf(name)), /\bSchema\b|\bextends\b|\binfer\b/)
    }
  }, 300_000)
})
