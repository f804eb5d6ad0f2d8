/** What all drivers of a process share. */
import type * as Context from "effect/Context"
import type { InDoubt } from "../../core/Recover.js"
import type { Limits } from "../../schema/Limits.js"
import type { Fork } from "../../services/Batcher.js"
import type { BlobStore } from "../../services/BlobStore.js"
import type { Digest } from "../../services/Digest.js"
import type { Notice } from "../../services/Driver.js"
import type { IdGenerator } from "../../services/IdGenerator.js"
import type { RuntimeStore } from "../../services/RuntimeStore.js"

export interface Env {
  readonly store: Context.Tag.Service<RuntimeStore>
  readonly blobs: Context.Tag.Service<BlobStore>
  readonly sha256: Context.Tag.Service<Digest>["sha256"]
  readonly ids: Context.Tag.Service<IdGenerator>
  readonly limits: Limits
  readonly inDoubt: InDoubt
  readonly fork: Fork
  /** Tells those who listen what a driver has committed or lost. */
  readonly announce: (notice: Notice) => void
}
