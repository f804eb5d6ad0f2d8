import type * as Context from "effect/Context"
import type { RuntimeStore } from "../../services/RuntimeStore.js"

export type Store = Context.Tag.Service<RuntimeStore>
