/**
 * The contract of `Drivers` as cases. Drivers of your own are right when all of them hold.
 *
 * @since 0.1.0
 */
import * as admission from "./conformance/driver/admission.js"
import * as alongside from "./conformance/driver/alongside.js"
import * as blobs from "./conformance/driver/blobs.js"
import * as boundaries from "./conformance/driver/boundaries.js"
import * as closing from "./conformance/driver/closing.js"
import * as concurrency from "./conformance/driver/concurrency.js"
import * as control from "./conformance/driver/control.js"
import * as deduplication from "./conformance/driver/deduplication.js"
import * as events from "./conformance/driver/events.js"
import * as ownership from "./conformance/driver/ownership.js"
import * as policy from "./conformance/driver/policy.js"
import * as recovery from "./conformance/driver/recovery.js"
import * as session from "./conformance/driver/session.js"
import * as staging from "./conformance/driver/staging.js"
import * as supersession from "./conformance/driver/supersession.js"

export { limits, Restart } from "./conformance/driver/fixtures.js"

export const cases = [...admission.cases, ...alongside.cases, ...blobs.cases, ...boundaries.cases, ...closing.cases, ...concurrency.cases, ...control.cases, ...deduplication.cases, ...events.cases, ...ownership.cases, ...policy.cases, ...recovery.cases, ...session.cases, ...staging.cases, ...supersession.cases]
export const durableCases = [...alongside.durableCases, ...blobs.durableCases, ...boundaries.durableCases, ...closing.durableCases, ...control.durableCases, ...deduplication.durableCases, ...events.durableCases, ...ownership.durableCases, ...policy.durableCases, ...recovery.durableCases, ...session.durableCases, ...staging.durableCases, ...supersession.durableCases]
