/**
 * The contract of a `RuntimeStore` as cases. A store of your own is right when all of them hold; that its writes outlive
 * the process (I1) is shown by killing one, which no case does.
 *
 * @since 0.1.0
 */
import { boundary } from "./conformance/store/boundary.js"
import { deposits } from "./conformance/store/deposits.js"
import { events } from "./conformance/store/events.js"
import type { StoreCase } from "./conformance/store/fixtures.js"
import { inputs } from "./conformance/store/inputs.js"
import { lifecycle } from "./conformance/store/lifecycle.js"
import { loads } from "./conformance/store/loads.js"
import { ops } from "./conformance/store/ops.js"
import { ownership } from "./conformance/store/ownership.js"
import { refused } from "./conformance/store/refusals.js"
import { session } from "./conformance/store/session.js"
import { snapshot } from "./conformance/store/snapshot.js"
import { storewide } from "./conformance/store/storewide.js"
import { subscriptions } from "./conformance/store/subscriptions.js"
import { transactions } from "./conformance/store/transactions.js"

export type { StoreCase }

/**
 * What every store promises. Each case makes runtimes of its own, so one store can serve all of them, one after another
 * (the login flows are the store's), and may hold other runtimes. Real time and test time are both fine.
 *
 * @example
 * ```ts
 * import { DigestPure, IdGeneratorUuid, RuntimeStoreMemory } from "effect-burrow"
 * import { RuntimeStoreConformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const store = Layer.mergeAll(RuntimeStoreMemory.layer, DigestPure.layer, IdGeneratorUuid.layer)
 * // With a test framework: one test for each case, named by the case.
 * const all = Effect.forEach(RuntimeStoreConformance.cases, ({ run }) => Effect.provide(run, store))
 * ```
 *
 * @since 0.1.0
 * @category cases
 */
export const cases: ReadonlyArray<StoreCase> = [
  ...inputs,
  ...loads,
  ...boundary,
  ...refused,
  ...session,
  ...snapshot,
  ...ownership,
  ...lifecycle,
  ...events,
  ...ops,
  ...transactions,
  ...deposits,
  ...storewide,
  ...subscriptions
]
