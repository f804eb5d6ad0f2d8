import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as process from "node:process"
import { fileURLToPath } from "node:url"

const child = fileURLToPath(new URL("./child.ts", import.meta.url))

export interface Started {
  /** What it said first. */
  readonly line: string
  readonly process: ChildProcess
}

/** Starts a child, killed with the scope, and waits for its first line. */
export const start = (
  command: "own" | "open" | "read" | "deposit",
  filename: string,
  options: { readonly uid?: number } = {}
): Effect.Effect<Started, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--import", "tsx", child, command, filename], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, TSX_DISABLE_CACHE: "1" },
        ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid })
      })
    ),
    (started) => Effect.sync(() => started.kill("SIGKILL"))
  ).pipe(
    Effect.flatMap((started) =>
      Effect.async<Started>((resume) => {
        let said = ""
        started.stdout.on("data", (chunk: Buffer) => {
          said += chunk.toString()
          if (said.includes("\n")) resume(Effect.succeed({ process: started, line: said.trim() }))
        })
        started.once(
          "exit",
          (code) => resume(Effect.succeed({ process: started, line: said.trim() || `exit ${code}` }))
        )
      })
    )
  )

/** Kills it as a crash does, and waits until the kernel has cleaned up. */
export const kill = ({ process: started }: Started): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    started.once("exit", () => resume(Effect.void))
    started.kill("SIGKILL")
  })

/** Waits until it has ended by itself: what it says comes before it closes its file. */
export const ended = ({ process: started }: Started): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (started.exitCode !== null) return resume(Effect.void)
    started.once("exit", () => resume(Effect.void))
  })
