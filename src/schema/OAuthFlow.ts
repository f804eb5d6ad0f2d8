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
 * All flows that are under way, for all runtimes and providers. Expired ones stay until somebody writes without them.
 *
 * @example
 * ```ts
 * import { OAuthFlow, RuntimeStore } from "effect-burrow"
 * import * as Clock from "effect/Clock"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 *
 * const dropExpired = Effect.gen(function*() {
 *   const store = yield* RuntimeStore.RuntimeStore
 *   const now = yield* Clock.currentTimeMillis
 *   const isLive = (flow: { readonly expiresAt: number }) => flow.expiresAt > now
 *   yield* store.updateAuthOAuthFlowSnapshot((found) => {
 *     const { browser, device } = Option.getOrElse(found, () => OAuthFlow.empty)
 *     return Effect.succeed({ browser: browser.filter(isLive), device: device.filter(isLive) })
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const OAuthFlowSnapshot = Schema.Struct({
  browser: Schema.Array(BrowserFlow),
  device: Schema.Array(DeviceFlow)
})
/**
 * Its secrets are `Redacted` in memory and plain text in the store: who can read the file can read them.
 *
 * @since 0.1.0
 * @category models
 */
export interface OAuthFlowSnapshot extends Schema.Schema.Type<typeof OAuthFlowSnapshot> {}

/**
 * No flow under way: what an update begins with while nothing is stored.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: OAuthFlowSnapshot = { browser: [], device: [] }
