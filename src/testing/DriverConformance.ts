/**
 * The contract of `Drivers` as cases. Drivers of your own are right when all of them hold.
 *
 * @since 0.1.0
 */
import * as admission from "./conformance/driver/admission.js"
import * as alongside from "./conformance/driver/alongside.js"
import * as boundaries from "./conformance/driver/boundaries.js"
import * as closing from "./conformance/driver/closing.js"
import * as deduplication from "./conformance/driver/deduplication.js"
import * as policy from "./conformance/driver/policy.js"
import * as staging from "./conformance/driver/staging.js"
import * as supersession from "./conformance/driver/supersession.js"

export { limits, Restart } from "./conformance/driver/fixtures.js"

export const cases = [...admission.cases, ...alongside.cases, ...boundaries.cases, ...closing.cases, ...deduplication.cases, ...policy.cases, ...staging.cases, ...supersession.cases]
export const durableCases = [...alongside.durableCases, ...boundaries.durableCases, ...closing.durableCases, ...deduplication.durableCases, ...policy.durableCases, ...staging.durableCases, ...supersession.durableCases]
