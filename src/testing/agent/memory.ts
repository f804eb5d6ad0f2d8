/** A disk in memory: rows and blobs stand for what a process leaves behind. */
import * as Effect from "effect/Effect"
import * as BlobStoreMemory from "../../layers/BlobStoreMemory.js"
import * as MemoryStore from "../../layers/memory/MemoryStore.js"
import { Tables } from "../../layers/memory/Tables.js"
import type { Digest } from "../../services/Digest.js"
import type { Disk } from "./Lives.js"

export const disk: Effect.Effect<Disk, never, Digest> = Effect.map(BlobStoreMemory.make({}), (blobs) => {
  const tables = new Tables()
  return {
    open: (life) => Effect.map(MemoryStore.over(tables, () => life.isOver), (encoded) => ({ encoded, blobs }))
  }
})
