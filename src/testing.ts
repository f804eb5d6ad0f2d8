/**
 * @since 0.1.0
 */
export * as AgentTest from "./testing/AgentTest.js"
export * as BlobStoreConformance from "./testing/BlobStoreConformance.js"
export * as Conformance from "./testing/Conformance.js"
export * as DriverConformance from "./testing/DriverConformance.js"
export * as IdGeneratorSequence from "./testing/IdGeneratorSequence.js"
export * as RuntimeStoreConformance from "./testing/RuntimeStoreConformance.js"
