/**
 * Inputs handed over as rows, which the owner of the store admits exactly once: from within a transaction of the
 * caller's own, or from a process that is not the owner.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { BlobError } from "../schema/BlobError.js"
import type { InputTooLarge, InvalidInput } from "../schema/DriverError.js"
import type { InputId, RuntimeId } from "../schema/Ids.js"
import type { Draft } from "../schema/Input.js"
import type { CommitError, StoreClosed } from "../schema/StoreError.js"

/**
 * Why an input was not handed over. Nothing was written; after `CommitUnknown` alone it may have been: hand it over
 * again with the same id or key.
 *
 * @since 0.1.0
 * @category models
 */
export type EnqueueError = InvalidInput | InputTooLarge | BlobError | CommitError | StoreClosed

/**
 * In a transaction of the store's own client the input is part of it, and gone with it if it fails. Elsewhere it is
 * durable when it is answered. What its runtime then refuses for good is kept with the reason:
 * `RuntimeStore.loadDeposits({ refused: true })`.
 *
 * @example
 * ```ts
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import { Inbox, Input } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * // The order and the agent's work for it are there together, or not at all.
 * const order = (id: string) =>
 *   Effect.gen(function*() {
 *     const sql = yield* SqlClient.SqlClient
 *     const inbox = yield* Inbox.Inbox
 *     yield* sql.withTransaction(
 *       Effect.zipRight(
 *         sql`INSERT INTO orders (id) VALUES (${id})`,
 *         inbox.enqueue("shipping/eu", Input.prompt(`Ship order ${id}`, { idempotencyKey: id }))
 *       )
 *     )
 *   })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Inbox extends Context.Tag("effect-burrow/Inbox")<Inbox, {
  /** Answers the id that the input will have. */
  readonly enqueue: (runtimeId: RuntimeId | string, input: Draft) => Effect.Effect<InputId, EnqueueError>
}>() {}
