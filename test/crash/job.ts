/** Starts the main job as a process of its own. */
import { Ids, Message, RuntimeStore } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as process from "node:process"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../../", import.meta.url))

export const shippedText = path.join(root, "examples/quickstart/text.txt")

export const command: ReadonlyArray<string> = [process.execPath, "--import", "tsx", "examples/quickstart/main.ts"]

export interface Start {
  /** Text: through a pipe that ends after it. `open`: a pipe that never ends. Default: none, as under CI. */
  readonly stdin?: "none" | "open" | { readonly text: string | Uint8Array } | { readonly file: string }
  /** Another program in front of the job's command. */
  readonly wrap?: ReadonlyArray<string>
  /** Who runs it; the test must be root. */
  readonly uid?: number
  readonly env?: Readonly<Record<string, string>>
  /** What to do when a line has come out. */
  readonly onLine?: (line: string, job: Running) => void
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** More of an open standard input. */
  readonly write: (text: string) => void
  readonly endInput: () => void
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Effect.Effect<Ended>
}

/** The process does not outlive the scope. */
export const start = (args: ReadonlyArray<string>, options: Start = {}): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const { env = {}, onLine, stdin = "none", uid, wrap = [] } = options
      const [program, ...rest] = [...wrap, ...command, ...args]
      const file = typeof stdin === "object" && "file" in stdin ? fs.openSync(stdin.file, "r") : undefined
      const child = spawn(program!, rest, {
        cwd: root,
        env: { ...process.env, ...env },
        stdio: [stdin === "none" ? "ignore" : file ?? "pipe", "pipe", "pipe"],
        ...(uid !== undefined && { uid, gid: uid })
      })
      if (file !== undefined) fs.closeSync(file)
      // The job may end before it has read everything.
      child.stdin?.on("error", () => {})
      if (typeof stdin === "object" && "text" in stdin) child.stdin!.end(stdin.text)
      const ended = yield* Deferred.make<Ended>()
      let stdout = ""
      let stderr = ""
      let unfinished = ""
      const running: Running = {
        write: (text) => child.stdin!.write(text),
        endInput: () => child.stdin!.end(),
        kill: (signal) => child.kill(signal),
        ended: Deferred.await(ended)
      }
      child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
        stdout += chunk
        if (onLine === undefined) return
        const lines = (unfinished + chunk).split("\n")
        unfinished = lines.pop()!
        for (const line of lines) onLine(line, running)
      })
      child.stderr!.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
      child.on("close", (code, signal) => Deferred.unsafeDone(ended, Effect.succeed({ code, signal, stdout, stderr })))
      return running
    }),
    ({ ended, kill }) => Effect.zipRight(Effect.sync(() => kill("SIGKILL")), ended)
  )

export const run = (args: ReadonlyArray<string>, options?: Start): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))

export interface Result {
  readonly accepted: number
  readonly deduplicated: number
  readonly consumed: number
  readonly abandoned: number
  readonly runs: number
  readonly receipts: number
  readonly sessionMessages: number
}

export const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").slice(0, -1)

/** The last line of the output. */
export const resultOf = ({ stdout }: Pick<Ended, "stdout">): Result => JSON.parse(linesOf(stdout).at(-1) ?? "")

const RUNTIME_ID = Ids.RuntimeId.make("quickstart")

/** What is in the file, read without the job: the texts of the transcript, and the totals. */
export const contentsOf = (
  db: string
): Effect.Effect<{ readonly lines: ReadonlyArray<string>; readonly result: Result }, Error> =>
  Effect.gen(function*() {
    const store = yield* RuntimeStore.RuntimeStore
    const { abandoned, accepted, consumed, receipts, runs } = yield* store.loadTotals(RUNTIME_ID)
    const { messages } = yield* store.loadTranscript(RUNTIME_ID, { limit: 1_000_000 })
    const lines = messages.map((message) => {
      const { content } = Schema.decodeUnknownSync(Message)(message)
      return content.map((block) => block._tag === "text" ? block.text : block._tag).join("")
    })
    const result = { accepted, deduplicated: 0, consumed, abandoned, runs, receipts, sessionMessages: messages.length }
    return { lines, result }
  }).pipe(Effect.provide(BurrowSqlite.layerReader({ filename: db })))

export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "burrow-test-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)
