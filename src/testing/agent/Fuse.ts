/** Ends a life right behind one boundary of a run, at the store: before anybody hears that it was committed. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Commit } from "../../core/Commit.js"
import type { Outcome, Rows } from "../../core/Rows.js"
import type { RuntimeStore } from "../../services/RuntimeStore.js"
import type { Encoded } from "../../services/RuntimeStoreEncoded.js"
import type { Life } from "./Life.js"

type Store = Context.Tag.Service<RuntimeStore>

interface Armed {
  readonly boundaries: number
  /** The run that is counted: the first one to open. */
  run: { readonly runtimeId: string; readonly runId: string } | undefined
}

export class Fuse {
  private armed: Armed | undefined

  arm(boundaries: number): void {
    this.armed = { boundaries, run: undefined }
  }

  /** To be laid into each life, whose runs are its own. */
  lay(life: Life): { readonly watched: (encoded: Encoded) => Encoded; readonly untold: (store: Store) => Store } {
    let fatal: string | undefined
    if (this.armed?.run !== undefined) this.armed = undefined
    const see = (rows: Rows, outcome: Outcome | undefined): void => {
      if (outcome?._tag !== "Committed" || fatal !== undefined) return
      fatal = this.blownBy(rows)
      if (fatal !== undefined) life.end()
    }
    /** Others that were committed with it are told what is true; only who made the boundary never hears of it. */
    const tell = <E, R>({ boundary }: Commit, outcome: Effect.Effect<Outcome, E, R>): Effect.Effect<Outcome, E, R> =>
      boundary === null ? outcome : Effect.flatMap(
        outcome,
        (outcome) =>
          nameOf(boundary.receipt.runId, boundary.receipt.sequence) === fatal
            ? Effect.interrupt
            : Effect.succeed(outcome)
      )
    return {
      watched: (encoded) => ({
        ...encoded,
        commit: (group) =>
          Effect.tap(
            encoded.commit(group),
            (outcomes) => Effect.sync(() => group.forEach((rows, i) => see(rows, outcomes[i])))
          ),
        commitWith: (rows, alongside) =>
          Effect.tap(encoded.commitWith(rows, alongside), (outcome) => Effect.sync(() => see(rows, outcome))),
        recover: (runtimeId, claimId, decide) =>
          Effect.tap(encoded.recover(runtimeId, claimId, decide), () =>
            Effect.sync(() => {
              // Whoever takes a runtime anew ends the run that is open there.
              if (this.armed?.run?.runtimeId === runtimeId) this.armed = undefined
            }))
      }),
      untold: (store) => ({
        ...store,
        commit: (commit, askedBy) => tell(commit, store.commit(commit, askedBy)),
        commitWith: (commit, alongside) => tell(commit, store.commitWith(commit, alongside))
      })
    }
  }

  /** The name of the boundary that these rows are, when it is the last one of the life. */
  private blownBy({ boundary, events, runtime, runtimeId }: Rows): string | undefined {
    const { armed } = this
    if (armed === undefined) return undefined
    const { run } = armed
    if (run === undefined) {
      const runId = events.some(({ code }) => code === "run.started") ? runtime?.runId : undefined
      if (runId !== undefined && runId !== null) armed.run = { runtimeId, runId }
      return undefined
    }
    if (runtimeId !== run.runtimeId) return undefined
    const isBlown = boundary?.runId === run.runId && boundary.after + 1 === armed.boundaries
    const isOver = runtime !== null && runtime.runId !== run.runId
    if (isBlown || isOver) this.armed = undefined
    return isBlown ? nameOf(run.runId, armed.boundaries) : undefined
  }
}

const nameOf = (runId: string, sequence: number): string => `${runId}/${sequence}`
