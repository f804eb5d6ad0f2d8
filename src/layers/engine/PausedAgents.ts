/** Which agents an operator has paused: a cell of the store, so that a restart starts none of them. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CommitError, ReadFailed } from "../../schema/StoreError.js"
import type { RuntimeStore } from "../../services/RuntimeStore.js"

type Store = Context.Tag.Service<RuntimeStore>

const CELL = "paused_agents"

const Names = Schema.parseJson(Schema.Array(Schema.String))
const encode = Schema.encodeSync(Names)
const decode = Schema.decodeUnknownOption(Names)

/** A cell that cannot be read pauses nobody: an operator sees that, and pauses again. */
const namesOf = (cell: Option.Option<Uint8Array>): ReadonlyArray<string> =>
  Option.getOrElse(Option.flatMap(cell, (bytes) => decode(new TextDecoder().decode(bytes))), () => [])

export const has = (store: Store, agent: string): Effect.Effect<boolean, ReadFailed> =>
  Effect.map(store.loadCell(CELL), (cell) => namesOf(cell).includes(agent))

export const set = (store: Store, agent: string, paused: boolean): Effect.Effect<void, CommitError | ReadFailed> =>
  store.updateCell(CELL, (cell) => {
    const names = new Set(namesOf(cell))
    if (paused) names.add(agent)
    else names.delete(agent)
    return Effect.succeedSome(new TextEncoder().encode(encode(Array.from(names).sort())))
  })
