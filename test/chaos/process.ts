/**
 * Children that die. The child program is bundled once: it is there in a sixth of the time that tsx takes, and all lives
 * of one file run the same code, whoever edits the sources meanwhile.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "burrow-chaos-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** The bundled program. */
export class Child extends Context.Tag("test/chaos/Child")<Child, {
  readonly file: string
  /** For databases and journals. */
  readonly folder: string
}>() {}

type Bundle = Context.Tag.Service<Child>

const banner = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)`

/** What these modules do, imported one after the other, as one file, in a folder that goes with the scope. */
export const bundleOf = (modules: ReadonlyArray<string>): Effect.Effect<Bundle, never, Scope.Scope> =>
  Effect.flatMap(
    temporaryFolder,
    (folder) =>
      Effect.promise(async () => {
        const file = path.join(folder, "child.mjs")
        fs.symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"))
        await build({
          stdin: { contents: modules.map((module) => `import "run:${module}"\n`).join(""), resolveDir: root },
          plugins: [{
            name: "run",
            // The package has no side effects, so that none of its modules would be kept that nothing is taken from.
            setup: ({ onResolve }) =>
              onResolve({ filter: /^run:/ }, ({ path: module }) => ({
                path: path.join(root, module.slice("run:".length)),
                sideEffects: true
              }))
          }],
          outfile: file,
          bundle: true,
          platform: "node",
          format: "esm",
          external: ["better-sqlite3"],
          banner: { js: banner },
          logLevel: "error"
        })
        return { file, folder }
      })
  )

export const bundle: Layer.Layer<Child> = Layer.scoped(Child, bundleOf(["test/chaos/child.ts"]))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly lines: ReadonlyArray<string>
  readonly stderr: string
}

interface Life {
  readonly kill: Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
}

/** One life of a child, which does not outlive the scope. */
const live = (
  { file }: Bundle,
  args: ReadonlyArray<string>,
  onLine: (line: string, kill: () => void) => void = () => {}
): Effect.Effect<Life, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const child = spawn(process.execPath, ["--enable-source-maps", file, ...args], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      const ended = yield* Deferred.make<Ended>()
      const lines: Array<string> = []
      let rest = ""
      let stderr = ""
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        const parts = (rest + chunk).split("\n")
        rest = parts.pop()!
        for (const line of parts) {
          lines.push(line)
          onLine(line, () => child.kill("SIGKILL"))
        }
      })
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
      child.on("close", (code, signal) => Deferred.unsafeDone(ended, Effect.succeed({ code, signal, lines, stderr })))
      return { kill: Effect.sync(() => child.kill("SIGKILL")), ended: Deferred.await(ended) }
    }),
    ({ ended, kill }) => Effect.zipRight(kill, ended)
  )

/** When a life ends, if it does not end by itself: so long after its start, or after a line that it says. */
export interface Killed {
  readonly after: "start" | "open" | "quiet"
  readonly millis: number
}

/** A whole life: until it ends, or has been killed. One that ends otherwise is a failure of the test. */
export const lifeOf = (child: Bundle, args: ReadonlyArray<string>, killed?: Killed): Effect.Effect<Ended> =>
  Effect.scoped(
    Effect.gen(function*() {
      const { ended, kill } = yield* live(child, args, (line, kill) => {
        if (line === killed?.after) setTimeout(kill, killed.millis)
      })
      if (killed?.after !== "start") return yield* ended
      return yield* Effect.raceFirst(
        ended,
        Effect.zipRight(Effect.sleep(killed.millis), Effect.zipRight(kill, Effect.never))
      )
    })
  ).pipe(
    Effect.filterOrDie(
      ({ code, signal }) => code === 0 || signal === "SIGKILL",
      ({ code, lines, signal, stderr }) =>
        new Error(`the child ended with ${code ?? signal}: ${stderr}\n${lines.slice(-20).join("\n")}`)
    )
  )
