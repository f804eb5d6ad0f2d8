/** What has left with commits, and waits for its runtimes. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Drivers } from "../../../services/Driver.js"
import type { StoredDeposit } from "../../../services/RuntimeStore.js"

/** What waits for a runtime, in order; other cases may have left something for others. */
export const waitingFor = (drivers: Context.Tag.Service<Drivers>, runtimeId: string) =>
  Effect.gen(function*() {
    const found: Array<StoredDeposit> = []
    let after = 0
    while (true) {
      const page = yield* drivers.store.loadDeposits({ after, limit: 100 })
      if (page.length === 0) return found
      after = page[page.length - 1]!.no
      found.push(...page.filter((deposit) => deposit.runtimeId === runtimeId))
    }
  })

export const inputOf = ({ body }: StoredDeposit) =>
  Effect.flatMap(
    body,
    (stored) => stored._tag === "inline" ? Effect.succeed(stored.input) : Effect.fail(new Error("the body is a blob"))
  )
