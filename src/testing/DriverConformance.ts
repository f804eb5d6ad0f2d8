/**
 * The contract of `Drivers` as cases. Drivers of your own are right when all of them hold.
 *
 * A case's name is a sentence of the contract. It begins with the numbers of the invariants it shows (`I6`) and of the
 * defects of the original driver that it guards against (`D2`). The cases move `TestClock`, which has to be the clock of
 * the drivers too: build the layer and run the case under one `TestContext`, as `it.effect` does.
 *
 * @since 0.1.0
 */
import type { Drivers } from "../services/Driver.js"
import type { RuntimeStore } from "../services/RuntimeStore.js"
import * as admission from "./conformance/driver/admission.js"
import * as alongside from "./conformance/driver/alongside.js"
import * as blobs from "./conformance/driver/blobs.js"
import * as boundaries from "./conformance/driver/boundaries.js"
import * as children from "./conformance/driver/children.js"
import * as closing from "./conformance/driver/closing.js"
import * as concurrency from "./conformance/driver/concurrency.js"
import type { DriverCase, Restart } from "./conformance/driver/contract.js"
import * as control from "./conformance/driver/control.js"
import * as deduplication from "./conformance/driver/deduplication.js"
import * as defects from "./conformance/driver/defects.js"
import * as events from "./conformance/driver/events.js"
import * as messages from "./conformance/driver/messages.js"
import * as operations from "./conformance/driver/operations.js"
import * as options from "./conformance/driver/options.js"
import * as outbox from "./conformance/driver/outbox.js"
import * as ownership from "./conformance/driver/ownership.js"
import * as policy from "./conformance/driver/policy.js"
import * as recovery from "./conformance/driver/recovery.js"
import * as redrive from "./conformance/driver/redrive.js"
import * as riding from "./conformance/driver/riding.js"
import * as session from "./conformance/driver/session.js"
import * as staging from "./conformance/driver/staging.js"
import * as supersession from "./conformance/driver/supersession.js"

export { type DriverCase, limits, Restart } from "./conformance/driver/contract.js"

/**
 * What every driver promises.
 *
 * @example
 * ```ts
 * import { DriverEphemeral } from "effect-burrow"
 * import { DriverConformance } from "effect-burrow/testing"
 * import * as Effect from "effect/Effect"
 * import * as TestContext from "effect/TestContext"
 *
 * const drivers = DriverEphemeral.layerWith({ limits: DriverConformance.limits })
 *
 * // With @effect/vitest: it.effect(name, () => Effect.provide(run, drivers))
 * const all = Effect.forEach(DriverConformance.cases, ({ run }) =>
 *   run.pipe(Effect.provide(drivers), Effect.provide(TestContext.TestContext)))
 * ```
 *
 * @since 0.1.0
 * @category cases
 */
export const cases: ReadonlyArray<DriverCase<Drivers>> = [
  ...admission.cases,
  ...deduplication.cases,
  ...policy.cases,
  ...supersession.cases,
  ...staging.cases,
  ...riding.cases,
  ...options.cases,
  ...boundaries.cases,
  ...alongside.cases,
  ...outbox.cases,
  ...children.cases,
  ...closing.cases,
  ...operations.cases,
  ...messages.cases,
  ...redrive.cases,
  ...control.cases,
  ...session.cases,
  ...recovery.cases,
  ...events.cases,
  ...concurrency.cases,
  ...ownership.cases,
  ...blobs.cases,
  ...defects.cases
]

/**
 * What persistent drivers promise beside `cases`. The `RuntimeStore` is the one below the drivers.
 *
 * @since 0.1.0
 * @category cases
 */
export const durableCases: ReadonlyArray<DriverCase<Drivers | Restart | RuntimeStore>> = [
  ...deduplication.durableCases,
  ...policy.durableCases,
  ...supersession.durableCases,
  ...staging.durableCases,
  ...riding.durableCases,
  ...boundaries.durableCases,
  ...alongside.durableCases,
  ...outbox.durableCases,
  ...children.durableCases,
  ...closing.durableCases,
  ...operations.durableCases,
  ...redrive.durableCases,
  ...control.durableCases,
  ...session.durableCases,
  ...recovery.durableCases,
  ...events.durableCases,
  ...ownership.durableCases,
  ...blobs.durableCases,
  ...defects.durableCases
]
