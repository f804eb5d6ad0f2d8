/**
 * What is needed to run the cases of the driver's contract.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Limits } from "../../../schema/Limits.js"
import type { Drivers, InDoubtPolicy } from "../../../services/Driver.js"
import type { Case } from "../../Conformance.js"

/**
 * A case that says which invariants of the design it shows, and which defects of the original driver it guards against.
 *
 * @since 0.1.0
 * @category models
 */
export interface DriverCase<R> extends Case<R> {
  readonly invariants?: ReadonlyArray<string>
  readonly defects?: ReadonlyArray<string>
}

/**
 * The limits with which the drivers under test must be made: small enough for a case to reach them.
 *
 * @since 0.1.0
 * @category limits
 */
export const limits = {
  queueDepthMax: 100,
  inputBytesMax: 65_536,
  inlineBytesMax: 8_192,
  blockInlineBytesMax: 1_024,
  keyLengthMax: 64,
  idLengthMax: 64,
  batchInputsMax: 8,
  attemptsMax: 3,
  stagingsMax: 6,
  appendMessagesMax: 16,
  appendBytesMax: 16_384,
  snapshotBytesMax: 16_384,
  outboxMax: 8,
  foldCommandsMax: 16
} as const satisfies Partial<Limits>

/**
 * How a case ends the process. `durableCases` need one that belongs to the drivers under test.
 *
 * @since 0.1.0
 * @category services
 */
export class Restart extends Context.Tag("effect-burrow/testing/DriverConformance/Restart")<Restart, {
  /**
   * The drivers of a new process over the same durable state: a fresh table, and nothing that the old one would have
   * released. The old drivers stay as they are, since a process that was killed does nothing either. `inDoubt` is the
   * policy of the new drivers.
   */
  readonly next: (inDoubt?: InDoubtPolicy) => Effect.Effect<Context.Tag.Service<Drivers>, unknown>
}>() {}
