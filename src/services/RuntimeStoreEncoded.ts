/**
 * What an implementation of `RuntimeStore` has to do: rows in, rows out. `RuntimeStoreFromEncoded.make` makes the typed
 * service of it. Policy is not decided here: the facts that `core/Guard` asks for are read inside the transaction, and
 * its word is carried out.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type {
  DepositRow,
  EventRow,
  InputHeadRow,
  InputRow,
  KnownRow,
  MessageRow,
  NoteRow,
  Outcome,
  Rows,
  RuntimeColumns,
  SessionHeadRow
} from "../core/Rows.js"
import type { CommitError, ReadFailed } from "../schema/StoreError.js"

/**
 * The runtime's row. `epoch` and `claimId` are the token that may write it; `n` is the owner's count of the commit that
 * last did.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredRuntime extends RuntimeColumns {
  readonly epoch: number
  readonly claimId: string
  readonly n: number
}

/**
 * What recovery reads, after its claim and inside its transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loaded {
  /** The row as it was before the claim; `null` for a runtime that never was. */
  readonly runtime: StoredRuntime | null
  readonly session: SessionHeadRow | null
  /** The non-terminal inputs in admission order, without payloads. */
  readonly inputs: ReadonlyArray<InputHeadRow>
  /** The highest number in use: over events, active inputs and the floor that pruning left. 0 if none. */
  readonly lastSequence: number
  /** `run/sequence` of those receipts that a non-terminal input names as its last one and that exist. */
  readonly receipts: ReadonlySet<string>
}

/**
 * A row whose stamp tells whether a commit happened.
 *
 * @since 0.1.0
 * @category models
 */
export type Witness =
  | { readonly _tag: "runtime" }
  | { readonly _tag: "input"; readonly inputId: string }
  | { readonly _tag: "receipt"; readonly runId: string; readonly sequence: number }
  | { readonly _tag: "event"; readonly number: number }
  | { readonly _tag: "session" }

/**
 * Which inputs `readInputs` gives, in admission order.
 *
 * @since 0.1.0
 * @category models
 */
export interface InputPage {
  /** Behind this admission number; 0 for the first page. */
  readonly after: number
  readonly limit: number
  /** `active`: not terminal. `dead`: abandoned as `max_attempts_exhausted` or `failed`. */
  readonly filter: "all" | "active" | "dead"
}

/**
 * A deposit as it is stored. Its number is never used again, so a cursor cannot pass one that comes later.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredDepositRow extends DepositRow {
  readonly no: number
  /** Encoded; why the owner did not admit it. `null` while it waits. */
  readonly failure: string | null
}

/**
 * Which deposits `readDeposits` gives, in the order of their numbers: those that wait, or those that were refused.
 *
 * @since 0.1.0
 * @category models
 */
export interface DepositPage {
  /** Behind this number; 0 for the first page. */
  readonly after: number
  readonly limit: number
  readonly refused: boolean
}

/**
 * Totals of one runtime. `accepted` is the sum of `active` (queued or staged), `held` and the terminal ones (I15).
 *
 * @since 0.1.0
 * @category models
 */
export interface Totals {
  readonly accepted: number
  readonly active: number
  readonly held: number
  readonly consumed: number
  readonly superseded: number
  readonly coalesced: number
  readonly abandoned: number
  readonly receipts: number
  /** Runs that were opened: events `run.started`. */
  readonly runs: number
}

type Read<A> = Effect.Effect<A, ReadFailed>

/**
 * What an implementation provides. Its own failures are `CommitError` and `ReadFailed`; refusals are values. Its
 * contract is held as cases by `RuntimeStoreConformance` of `effect-burrow/testing`.
 *
 * @example
 * ```ts
 * import { type RuntimeStoreEncoded, StoreError } from "effect-burrow"
 * import * as Effect from "effect/Effect"
 *
 * // For tests of an application: a store that is busy while `isBusy` answers so.
 * const sometimesBusy = (
 *   store: RuntimeStoreEncoded.Encoded,
 *   isBusy: () => boolean
 * ): RuntimeStoreEncoded.Encoded => ({
 *   ...store,
 *   commit: (group) =>
 *     Effect.suspend(() =>
 *       isBusy() ? Effect.fail(new StoreError.StoreBusy({ operation: "commit" })) : store.commit(group)
 *     )
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Encoded {
  /** For spans: `memory`, `sqlite` ... */
  readonly name: string
  /** Names the durable authority behind the store; two handles on one database have the same. `null` for none. */
  readonly authorityKey: string | null
  /** Whether the calling fiber is inside a transaction of this store's own client. */
  readonly insideTransaction: Effect.Effect<boolean>
  /** Whether the SQL client among these services is another than the store's own. Absent where there is no SQL: never. */
  readonly isForeign?: (services: Context.Context<never>) => boolean

  /**
   * Commits what may be committed of a group in ONE transaction; the outcomes are in the group's order. Guards of all
   * members are read after the transaction began; refused members are left out, their neighbours are written all the
   * same. A member that cannot be written at all fails the group, and nothing of it is written: `fromEncoded` then
   * tries each alone. Members are of different runtimes.
   *
   * An insert whose id or key is stored is `Refused{KnownInput}` with every such stored row.
   */
  readonly commit: (group: Arr.NonEmptyReadonlyArray<Rows>) => Effect.Effect<ReadonlyArray<Outcome>, CommitError>
  /**
   * Commits one write set with an effect in the same transaction: guards, rows, then the effect in a savepoint of its
   * own. A failure of the effect writes nothing. It is not run for `AlreadyApplied` or `Refused`.
   */
  readonly commitWith: <E, R>(
    rows: Rows,
    alongside: Effect.Effect<unknown, E, R>
  ) => Effect.Effect<Outcome, CommitError | E, R>
  /**
   * Claim, load, decide, write in one transaction, never grouped. The epoch given to `decide` is the stored one plus 1
   * (1 for a new runtime); the runtime's row is written with it, and created when absent, whatever `decide` answers on
   * the right. On the left nothing is written.
   */
  readonly recover: <A, E>(
    runtimeId: string,
    claimId: string,
    decide: (
      loaded: Loaded,
      epoch: number
    ) => Either.Either<readonly [rows: Rows & { runtime: RuntimeColumns }, reply: A], E>
  ) => Effect.Effect<A, CommitError | ReadFailed | E>
  /**
   * One durable write to the runtime's row under the token. After it, what a read shows is what every later process
   * will see. `false`: the token is no longer the runtime's.
   */
  readonly barrier: (runtimeId: string, epoch: number, claimId: string) => Effect.Effect<boolean, CommitError>
  /** Read, compute, write a store-wide cell in one transaction. `null` deletes it. A failure of `f` writes nothing. */
  readonly updateCell: <E, R>(
    cell: string,
    f: (now: Uint8Array | null) => Effect.Effect<Uint8Array | null, E, R>
  ) => Effect.Effect<void, CommitError | ReadFailed | E, R>
  /**
   * Writes deposits, all or none, in one transaction of their own, or in the calling fiber's. They are numbered in the
   * order in which they are committed.
   */
  readonly deposit: (deposits: ReadonlyArray<DepositRow>) => Effect.Effect<void, CommitError>
  /** Removes those without a failure and notes it with the others, all in one transaction. Absent ones are left out. */
  readonly settleDeposits: (
    settled: ReadonlyArray<{ readonly no: number; readonly failure: string | null }>
  ) => Effect.Effect<void, CommitError>

  /** Changes when another connection commits, and not with this one's commits. Constant where there can be no other. */
  readonly readVersion: Read<number>
  readonly readCell: (cell: string) => Read<Uint8Array | null>
  readonly readRuntime: (runtimeId: string) => Read<StoredRuntime | null>
  /** In order of runtime id. */
  readonly readRuntimes: (
    after: string | null,
    limit: number
  ) => Read<ReadonlyArray<{ readonly runtimeId: string; readonly state: string }>>
  /**
   * Runtimes with an open run or active inputs, and the earliest time at which one of these is ready (0: now). Held
   * inputs without a deadline have none, nor has what rides along (`codecs.RIDES_ALONG`) and is neither staged nor in a
   * batch.
   */
  readonly readPending: (
    after: string | null,
    limit: number
  ) => Read<ReadonlyArray<{ readonly runtimeId: string; readonly readyAt: number | null }>>
  /**
   * Runtimes with an active input that is ready in (after, until], with its earliest such time: in the order of (time,
   * runtime id).
   */
  readonly readDue: (
    after: number,
    until: number,
    limit: number
  ) => Read<ReadonlyArray<{ readonly runtimeId: string; readonly readyAt: number }>>
  /** The earliest ready time of an active input behind `after`; `null` for none. */
  readonly readNextReadyAt: (after: number) => Read<number | null>
  /** The deposit of an input, waiting or refused; the last one, if it was deposited more than once. */
  readonly readDeposit: (runtimeId: string, inputId: string) => Read<StoredDepositRow | null>
  readonly readDeposits: (page: DepositPage) => Read<ReadonlyArray<StoredDepositRow>>
  readonly readInput: (runtimeId: string, inputId: string) => Read<InputRow | null>
  readonly readInputByKey: (runtimeId: string, key: string) => Read<InputRow | null>
  /** In admission order. */
  readonly readInputs: (runtimeId: string, page: InputPage) => Read<ReadonlyArray<InputRow>>
  /** The dead inputs of all runtimes, in the order of (runtime id, admission number). */
  readonly readAllDead: (
    after: { readonly runtimeId: string; readonly sequence: number } | null,
    limit: number
  ) => Read<ReadonlyArray<InputRow & { readonly runtimeId: string }>>
  readonly readKnown: (
    runtimeId: string,
    inputIds: ReadonlyArray<string>,
    keys: ReadonlyArray<string>
  ) => Read<ReadonlyArray<KnownRow>>
  readonly readPayloads: (
    runtimeId: string,
    inputIds: ReadonlyArray<string>
  ) => Read<ReadonlyArray<{ readonly inputId: string; readonly payload: string }>>
  readonly readReceipt: (
    runtimeId: string,
    runId: string,
    sequence: number
  ) => Read<{ readonly receipt: string; readonly result: string | null } | null>
  readonly readSession: (runtimeId: string) => Read<SessionHeadRow | null>
  readonly readSnapshot: (runtimeId: string) => Read<Uint8Array | null>
  /** From position `start` (0 is the first message). */
  readonly readMessages: (runtimeId: string, start: number, limit: number) => Read<ReadonlyArray<MessageRow>>
  /** Encoded rewrite records, oldest first. */
  readonly readRewrites: (runtimeId: string) => Read<ReadonlyArray<string>>
  /** Of a scope, or with `key` that one alone. */
  readonly readNotes: (runtimeId: string, scope: string, key: string | null) => Read<ReadonlyArray<NoteRow>>
  /**
   * Behind number `after`, in order, at most `limit` of each. The event of an accept is its input's row for as long as
   * the input is active: those are in `accepts`; all others, and the accepts of terminal inputs, are in `events`.
   * `floor`: numbers up to it were pruned.
   */
  readonly readEvents: (
    runtimeId: string,
    after: number,
    limit: number
  ) => Read<{
    readonly floor: number
    readonly events: ReadonlyArray<EventRow>
    readonly accepts: ReadonlyArray<Pick<InputHeadRow, "inputId" | "sequence" | "acceptedAt" | "kind" | "lane">>
  }>
  readonly readOps: (runtimeId: string) => Read<string | null>
  readonly readTotals: (runtimeId: string) => Read<Totals>
  /** The stamp of the witness's row; `null` when it is absent. */
  readonly readStamp: (
    runtimeId: string,
    witness: Witness
  ) => Read<{ readonly epoch: number; readonly n: number } | null>
}
