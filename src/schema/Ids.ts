/**
 * Names of the things that are stored. All are plain JSON strings or numbers on the wire.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * No lone surrogate and no NUL: what every store can keep and give back unchanged.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes("\u0000")

const storable = (name: string) =>
  Schema.NonEmptyString.pipe(
    Schema.filter(isStorable, { message: () => `${name} must be well-formed Unicode without NUL` })
  )

const uuidV7 = Schema.String.pipe(
  Schema.pattern(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, {
    message: () => "expected a UUID v7 in lower case"
  })
)

/**
 * The name of one agent's durable inbox; it survives restarts. Any non-empty text.
 *
 * @example
 * ```ts
 * import { Ids } from "effect-burrow"
 * import * as Schema from "effect/Schema"
 *
 * const ana = Ids.RuntimeId.make("ana") // throws when the text cannot be one
 * const parse = Schema.decodeUnknownEither(Ids.RuntimeId) // for text from outside
 * ```
 *
 * @since 0.1.0
 * @category ids
 */
export const RuntimeId = storable("a runtime id").pipe(Schema.brand("effect-burrow/RuntimeId"))
/**
 * Branded, so that no other text passes for one. `Drivers.get` takes plain text too, and answers `InvalidInput` when it
 * is empty, not storable, or longer than `idLengthMax` UTF-16 code units.
 *
 * @since 0.1.0
 * @category ids
 */
export type RuntimeId = typeof RuntimeId.Type

/**
 * One input, unique in its runtime. UUID v7; its order carries no meaning (I18).
 *
 * @since 0.1.0
 * @category ids
 */
export const InputId = uuidV7.pipe(Schema.brand("effect-burrow/InputId"))
/**
 * What `accept` answers. A plain `id` in a draft's header becomes one when the driver has checked it.
 *
 * @since 0.1.0
 * @category ids
 */
export type InputId = typeof InputId.Type

/**
 * One attempt at a batch. A retry has a new one.
 *
 * @since 0.1.0
 * @category ids
 */
export const RunId = uuidV7.pipe(Schema.brand("effect-burrow/RunId"))
/**
 * What `stage` answers. Every command on a run names it, so that the executor of a run that was lost cannot touch the
 * next attempt: it gets `RunNotOpen`.
 *
 * @since 0.1.0
 * @category ids
 */
export type RunId = typeof RunId.Type

/**
 * The inputs staged together. It is the idempotency key of every attempt at them: a UUID v7, or
 * `<batch>/<input id>` for the part of a batch that was split before its last attempt.
 *
 * @since 0.1.0
 * @category ids
 */
export const BatchId = Schema.NonEmptyString.pipe(Schema.brand("effect-burrow/BatchId"))
/**
 * The same over all attempts, so it is what calls to the outside take as their idempotency key.
 *
 * @since 0.1.0
 * @category ids
 */
export type BatchId = typeof BatchId.Type

/**
 * One ownership of a runtime; every claim makes a new one.
 *
 * @since 0.1.0
 * @category ids
 */
export const ClaimId = uuidV7.pipe(Schema.brand("effect-burrow/ClaimId"))
/**
 * Compared together with the epoch by every write of a runtime's rows.
 *
 * @since 0.1.0
 * @category ids
 */
export type ClaimId = typeof ClaimId.Type

/**
 * What an agent remembers; one at a time in a runtime.
 *
 * @since 0.1.0
 * @category ids
 */
export const SessionId = storable("a session id").pipe(Schema.brand("effect-burrow/SessionId"))
/**
 * The driver makes one for the first change that names none, and keeps it from then on.
 *
 * @since 0.1.0
 * @category ids
 */
export type SessionId = typeof SessionId.Type

/**
 * The caller's name for an input: the same key in a runtime is the same input, for ever (I5).
 *
 * @since 0.1.0
 * @category ids
 */
export const IdempotencyKey = storable("an idempotency key").pipe(Schema.brand("effect-burrow/IdempotencyKey"))
/**
 * At most `keyLengthMax` UTF-16 code units, which the driver checks and the schema does not.
 *
 * @since 0.1.0
 * @category ids
 */
export type IdempotencyKey = typeof IdempotencyKey.Type

/**
 * A newer input of the same kind and supersession key replaces one that is still queued.
 *
 * @since 0.1.0
 * @category ids
 */
export const SupersessionKey = storable("a supersession key").pipe(Schema.brand("effect-burrow/SupersessionKey"))
/**
 * At most `keyLengthMax` UTF-16 code units. An input that a run has staged or acted on is not replaced.
 *
 * @since 0.1.0
 * @category ids
 */
export type SupersessionKey = typeof SupersessionKey.Type

/**
 * A number that only grows within a runtime: the admission of an input, an event, a boundary. At most 2^53 - 1.
 *
 * @since 0.1.0
 * @category ids
 */
export const Sequence = Schema.Int.pipe(Schema.between(0, Number.MAX_SAFE_INTEGER))

/**
 * Milliseconds since the Unix epoch.
 *
 * @since 0.1.0
 * @category time
 */
export const EpochMillis = Schema.Number.pipe(Schema.finite(), Schema.between(0, 8.64e15))

/**
 * The right to write a runtime's rows. A claim bumps the epoch; another token's write is `StaleFence` (I9).
 *
 * @since 0.1.0
 * @category ids
 */
export const Token = Schema.Struct({ epoch: Sequence, claimId: ClaimId })
/**
 * Held by the driver that claimed the runtime, and part of every stamp.
 *
 * @since 0.1.0
 * @category ids
 */
export interface Token extends Schema.Schema.Type<typeof Token> {}

/**
 * Names one commit: the owner's token and the owner's count of commits. Every row carries the stamp of its last
 * commit, so that one row can witness whether a commit happened (I12).
 *
 * @since 0.1.0
 * @category ids
 */
export interface Stamp {
  readonly token: Token
  readonly n: number
}

/**
 * The idempotency key of the input that ends an operation: so an operation ends once, and how is found by its name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const operationKey = (operationId: string): IdempotencyKey => IdempotencyKey.make(`operation/${operationId}`)

/**
 * The idempotency key of a dead letter's redrive: there is one, and it leads from the dead input to the new one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const redriveKey = (inputId: InputId): IdempotencyKey => IdempotencyKey.make(`redrive/${inputId}`)

const RESERVED = ["operation/", "redrive/", "cron/", "cancel/", "child/"]

/**
 * Whether a key begins as the library's own do: an operation's end, a redrive, a tick, a cancel, a child agent's input. An
 * application's key of that form could be taken for one, so `Agents.send` refuses it; the engine takes any.
 *
 * @example
 * ```ts
 * import { Ids } from "effect-burrow"
 *
 * const theirs = Ids.isReservedKey("operation/approval/o-1") // true
 * const ours = Ids.isReservedKey("order/1") // false
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const isReservedKey = (key: string): boolean => RESERVED.some((prefix) => key.startsWith(prefix))
