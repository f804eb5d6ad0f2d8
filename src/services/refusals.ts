/** What a store's refusal of a commit is to those who asked for it. */
import type * as Commit from "../core/Commit.js"
import type { Refusal } from "../core/Rows.js"
import * as StoreError from "../schema/StoreError.js"

export const refusalError = (commit: Commit.Commit, refusal: Refusal) => {
  const { runtimeId } = commit
  const runId = commit.boundary?.receipt.runId ?? ""
  const after = commit.boundary?.after ?? 0
  switch (refusal._tag) {
    case "StaleFence":
      return new StoreError.StaleFence({ runtimeId, epoch: commit.stamp.token.epoch, current: refusal.current })
    case "ReceiptConflict":
      return new StoreError.ReceiptConflict({ runtimeId, runId, sequence: after + 1 })
    case "RunNotOpen":
      return new StoreError.RunNotOpen({ runtimeId, runId })
    case "SequenceMismatch":
      return new StoreError.SequenceMismatch({ runtimeId, runId, after, last: refusal.last })
    case "SessionKeyMismatch":
      return new StoreError.SessionKeyMismatch({
        runtimeId,
        expected: commit.session?.after.id ?? "",
        actual: refusal.actual
      })
    case "TranscriptRevisionConflict":
    case "SnapshotChanged":
      return new StoreError.TranscriptRevisionConflict({
        runtimeId,
        expected: commit.session?.parent.revision ?? "",
        actual: refusal._tag === "SnapshotChanged" ? "another snapshot" : refusal.actual
      })
    case "ContributorNotStaged":
      return new StoreError.ContributorNotStaged({ runtimeId, runId })
    case "NoteConflict":
      return new StoreError.NoteConflict({ runtimeId, scope: refusal.scope, key: refusal.key })
    case "KnownInput":
      return new StoreError.IdempotencyConflict({
        runtimeId,
        key: refusal.known[0]?.idempotencyKey ?? null,
        inputId: refusal.known[0]?.inputId ?? ""
      })
  }
}

export type RefusalError = ReturnType<typeof refusalError>
