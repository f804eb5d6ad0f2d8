import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { readFileSync } from "node:fs"
import { createRequire, isBuiltin } from "node:module"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))
const packageJson = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

/** Every module of the bundle a browser would get, and everything these modules import. */
const bundledModules = async (entryPoint: string): Promise<ReadonlyArray<string>> => {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entryPoint],
    bundle: true,
    platform: "browser",
    format: "esm",
    write: false,
    metafile: true,
    logLevel: "silent"
  })
  return Object.entries(result.metafile.inputs).flatMap(([path, input]) => [
    path,
    ...input.imports.map((imported) => imported.original ?? imported.path)
  ])
}

describe("the package", () => {
  it("the root entry point imports nothing of Node", async () => {
    const modules = await bundledModules("src/index.ts")
    assert.include(modules, "src/index.ts")
    assert.deepStrictEqual(modules.filter((path) => isBuiltin(path) || path.includes("@effect/platform-node")), [])
  })

  it("the root entry point imports nothing of SQL", async () => {
    const modules = await bundledModules("src/index.ts")
    assert.deepStrictEqual(
      modules.filter((path) => path.includes("@effect/sql") || path.includes("src/layers/sql/")),
      []
    )
  })

  it("it exports the root, ./sqlite, ./testing and ./package.json, and names for declarations", () => {
    assert.deepStrictEqual(packageJson.exports, {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./sqlite": { types: "./dist/sqlite.d.ts", default: "./dist/sqlite.js" },
      "./testing": { types: "./dist/testing.d.ts", default: "./dist/testing.js" },
      // No code: without it the compiler could not name what a program's exports are inferred to be (TS2742).
      "./types/*": { types: "./dist/*.d.ts" },
      "./package.json": "./package.json"
    })
  })

  it("no other path of the package can be imported", () => {
    const { resolve } = createRequire(import.meta.url)
    assert.strictEqual(resolve("effect-burrow/package.json"), `${root}package.json`)
    for (const path of ["index", "index.js", "dist/index.js", "src/index.ts", "core", "schema/Input", "layers/sql"]) {
      assert.throws(() => resolve(`effect-burrow/${path}`), /is not defined by "exports"/)
    }
    assert.throws(() => resolve("effect-burrow/types/schema/Input"), /is not defined by "exports"/)
  })
})
