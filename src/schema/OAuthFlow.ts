/**
 * Login flows that have begun and not ended: one record for the whole store.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { EpochMillis } from "./Ids.js"

const optional = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optionalWith(schema, { exact: true })

const Target = Schema.Struct({
  realm: Schema.String,
  binding: Schema.String,
  profile: optional(Schema.String),
  origin: optional(Schema.String)
})

/**
 * A flow through a browser. The verifier is a secret: it is redacted wherever it is printed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const BrowserFlow = Schema.Struct({
  state: Schema.String,
  target: Target,
  provider: Schema.String,
  redirectUri: Schema.String,
  pkceVerifier: Schema.Redacted(Schema.String),
  createdAt: EpochMillis,
  expiresAt: EpochMillis
})

/**
 * A flow through another device. The device code is a secret.
 *
 * @since 0.1.0
 * @category schemas
 */
export const DeviceFlow = Schema.Struct({
  target: Target,
  provider: Schema.String,
  deviceCode: Schema.Redacted(Schema.String),
  createdAt: EpochMillis,
  expiresAt: EpochMillis
})

/**
 * @since 0.1.0
 * @category schemas
 */
export const OAuthFlowSnapshot = Schema.Struct({
  browser: Schema.Array(BrowserFlow),
  device: Schema.Array(DeviceFlow)
})
/**
 * @since 0.1.0
 * @category models
 */
export interface OAuthFlowSnapshot extends Schema.Schema.Type<typeof OAuthFlowSnapshot> {}

/**
 * @since 0.1.0
 * @category constructors
 */
export const empty: OAuthFlowSnapshot = { browser: [], device: [] }
