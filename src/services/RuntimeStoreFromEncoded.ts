/**
 * The typed `RuntimeStore` over an implementation's rows: schemas, errors, grouping of commits, spans and metrics, once
 * for all implementations.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Commit from "../core/Commit.js"
import * as Lifecycle from "../core/Lifecycle.js"
import type { Outcome, Rows } from "../core/Rows.js"
import type { RuntimeId, SessionId, Stamp } from "../schema/Ids.js"
import type { Receipt } from "../schema/Run.js"
import type { SessionHead } from "../schema/Session.js"
import * as StoreError from "../schema/StoreError.js"
import { Batcher, eventLoopTurn, type Fork, makeFork } from "./Batcher.js"
import * as codecs from "./codecs.js"
import { announce, Doorbell, follow, repeating, ringing } from "./Doorbell.js"
import * as Metrics from "./Metrics.js"
import { type RefusalError, refusalError } from "./refusals.js"
import type { Recovered, RuntimeStore } from "./RuntimeStore.js"
import type { Encoded, Loaded } from "./RuntimeStoreEncoded.js"
import { makeReads, type Reads } from "./RuntimeStoreReads.js"
import * as Spans from "./Spans.js"

type Service = Context.Tag.Service<RuntimeStore>

/**
 * Bounds of one transaction, and so of how long all other commits wait for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Commits in one transaction at most. Default 256. */
  readonly groupCommitsMax?: number
  /** How long an `alongside` may take, in milliseconds. Default 5000. */
  readonly alongsideMillisMax?: number
  /**
   * How often to look for what other processes have deposited, in milliseconds, while somebody is subscribed to
   * deposits. Default: not at all.
   */
  readonly pollMillis?: number
}

/**
 * Makes the service. The scope ends its background worker: commits that were taken finish first, waiting ones fail
 * with `StoreClosed`.
 *
 * @example
 * ```ts
 * import { RuntimeStore, type RuntimeStoreEncoded, RuntimeStoreFromEncoded } from "effect-burrow"
 * import * as Layer from "effect/Layer"
 *
 * const layer = (encoded: RuntimeStoreEncoded.Encoded): Layer.Layer<RuntimeStore.RuntimeStore> =>
 *   Layer.scoped(RuntimeStore.RuntimeStore, RuntimeStoreFromEncoded.make(encoded, { alongsideMillisMax: 1_000 }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (encoded: Encoded, options: Options = {}): Effect.Effect<Service, never, Scope.Scope> =>
  build(encoded, options, "depositors")

/**
 * The same for a process that is not the owner: all who are subscribed are told of another connection's commit, which is
 * looked for every `pollMillis`. Default 100.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeGuest = (encoded: Encoded, options: Options = {}): Effect.Effect<Service, never, Scope.Scope> =>
  build(encoded, { ...options, pollMillis: options.pollMillis ?? 100 }, "everybody")

const build = (
  encoded: Encoded,
  { alongsideMillisMax = 5000, groupCommitsMax = 256, pollMillis }: Options,
  told: "everybody" | "depositors"
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const reads = makeReads(encoded)
    const fork = yield* makeFork
    const doorbell = new Doorbell()
    if (pollMillis !== undefined) {
      yield* follow({ doorbell, fork, version: encoded.readVersion, pollMillis, told })
    }
    const own: Own = { encoded, doorbell, fork, isTraced: yield* Spans.areSeen }
    const commit = makeCommit(own, groupCommitsMax)
    const commitWith = makeCommitWith(own, alongsideMillisMax)
    const recover = makeRecover(own)
    return {
      ...reads,
      ...makeWrites({ commit, commitWith, recover, reads }),
      ...makeDeposits(own),
      ...makeCells(encoded),
      ...makeOAuth(encoded, reads),
      insideTransaction: encoded.insideTransaction,
      isForeign: (services) => encoded.isForeign?.(services) ?? false,
      subscribe: (runtimeId, inputId) => doorbell.subscribe(runtimeId, inputId),
      subscribeDeposits: doorbell.subscribeDeposits,
      barrier: (runtimeId, token) =>
        Effect.flatMap(
          encoded.barrier(runtimeId, token.epoch, token.claimId),
          (held) =>
            held
              // A commit that was in doubt may have happened, whatever it was.
              ? announce(() => {
                doorbell.everybodyOf(runtimeId)
                doorbell.deposited()
              })
              : Effect.flatMap(
                encoded.readRuntime(runtimeId),
                (row) => new StoreError.StaleFence({ runtimeId, epoch: token.epoch, current: row?.epoch ?? null })
              )
        )
    }
  })

/** What the parts of one store share. */
interface Own {
  readonly encoded: Encoded
  readonly doorbell: Doorbell
  readonly fork: Fork
  readonly isTraced: boolean
}

const isCommitted = (outcome: Outcome): boolean => outcome._tag === "Committed"

/** A commit that waits for its transaction. */
interface Member extends Spans.Asked {
  readonly write: Commit.Commit
  readonly rows: Rows
}

const makeCommit = (own: Own, groupCommitsMax: number): Service["commit"] => {
  const { doorbell, encoded, fork } = own
  const group = new Batcher<Member, Outcome, StoreError.CommitError>({
    operation: "RuntimeStore.commit",
    fork,
    pause: eventLoopTurn,
    take: (pending) => distinctRuntimes(pending, groupCommitsMax),
    run: (batch) =>
      Effect.tap(commitGroup(own, batch), (exits) =>
        Effect.sync(() => {
          for (const [i, exit] of exits.entries()) {
            if (!Exit.isSuccess(exit) || !isCommitted(exit.value)) continue
            const { rows, write } = batch[i]!
            doorbell.committed(rows)
            Metrics.died(encoded.name, Metrics.deadLettersOf(write))
          }
        }))
  })
  return (write, askedBy) =>
    Effect.flatMap(encode(write), (rows) =>
      Effect.flatMap(encoded.insideTransaction, (inside) =>
        // A caller's own transaction holds the connection: its write joins it instead of waiting for it.
        inside
          ? ringing(
            Effect.map(encoded.commit([rows]), (outcomes) => outcomes[0]!),
            () => doorbell.committed(rows),
            isCommitted
          )
          : Effect.flatMap(
            askedBy === undefined ? Spans.ofCaller : Effect.succeed(askedBy),
            (askedBy) => group.submit({ write, rows, askedBy })
          )))
}

const makeCommitWith =
  ({ doorbell, encoded }: Own, alongsideMillisMax: number): Service["commitWith"] => (write, alongside) =>
    Effect.flatMap(encode(write), (rows) =>
      ringing(
        repeating((enclose) =>
          encoded.commitWith(
            rows,
            // A driver's worker is not interrupted; what it runs for others must be, or there would be no limit. Nor is an
            // effect waited for that will not end.
            Effect.timeoutFail(Effect.interruptible(Effect.disconnect(enclose(alongside))), {
              duration: alongsideMillisMax,
              onTimeout: () => new StoreError.AlongsideTimeout({ runtimeId: write.runtimeId, alongsideMillisMax })
            })
          )
        ),
        () => doorbell.committed(rows),
        isCommitted
      ))

const makeRecover = ({ doorbell, encoded }: Own): Service["recover"] => (runtimeId, claimId, decide) => {
  let dead = 0
  return ringing(
    encoded.recover(
      runtimeId,
      claimId,
      (loaded, epoch) =>
        Either.flatMap(
          decodeLoaded(runtimeId, loaded),
          (recovered) =>
            Either.flatMap(decide(recovered, { epoch, claimId }), ([write, reply]) =>
              Either.gen(function*() {
                dead = Metrics.deadLettersOf(write)
                const rows = yield* Either.mapLeft(codecs.rows(write), (cause) => writeFailed(write, cause))
                const runtime = rows.runtime ?? codecs.runtimeColumns(Commit.lifecycle(
                  Lifecycle.rebind(recovered.lifecycle ?? Lifecycle.fresh, { epoch, claimId }),
                  recovered.run
                ))
                return [{ ...rows, runtime }, reply] as const
              }))
        )
    ),
    // A new owner is of concern to everybody, and rare.
    () => {
      doorbell.everybodyOf(runtimeId)
      doorbell.deposited()
    }
  ).pipe(
    Effect.tap(() => Effect.sync(() => Metrics.died(encoded.name, dead))),
    Effect.withSpan("RuntimeStore.recover", {
      captureStackTrace: false,
      attributes: attributes(encoded, runtimeId)
    })
  )
}

const makeDeposits = ({ doorbell, encoded, fork }: Own) => {
  const unlessClosed = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | StoreError.StoreClosed> =>
      fork.closed ? Effect.fail(new StoreError.StoreClosed({ operation })) : effect
    )
  const ring = () => doorbell.deposited()
  return {
    deposit: (deposits) =>
      deposits.length === 0
        ? Effect.void
        : unlessClosed(
          "RuntimeStore.deposit",
          Effect.tapErrorTag(ringing(encoded.deposit(deposits), ring), "CommitUnknown", () => announce(ring))
        ),
    settleDeposits: (settled) =>
      settled.length === 0
        ? Effect.void
        : unlessClosed(
          "RuntimeStore.settleDeposits",
          ringing(
            encoded.settleDeposits(settled.map(({ failure, no }) => ({
              no,
              failure: failure && codecs.failure.encode(failure)
            }))),
            // Who waits for the input of a deposit that was refused would wait for ever.
            () => settled.some(({ failure }) => failure !== null) && ring()
          )
        )
  } satisfies Partial<Service>
}

/** Beside the cells of the library itself, whatever an application calls its own. */
const cellOf = (name: string): string => `cell/${name}`

const makeCells = (encoded: Encoded) => ({
  loadCell: (name) => Effect.map(encoded.readCell(cellOf(name)), Option.fromNullable),
  updateCell: (name, f) =>
    repeating((enclose) =>
      encoded.updateCell(
        cellOf(name),
        (now) => Effect.map(enclose(f(Option.fromNullable(now))), Option.getOrNull)
      )
    )
} satisfies Partial<Service>)

/** From the front, one commit of each runtime: two of one runtime have an order, which a group has not. */
const distinctRuntimes = (pending: ReadonlyArray<Member>, max: number): number => {
  const seen = new Set<string>()
  for (const { rows } of pending) {
    if (seen.size === max || seen.has(rows.runtimeId)) break
    seen.add(rows.runtimeId)
  }
  return seen.size
}

const commitGroup = (
  { encoded, isTraced }: Own,
  batch: Arr.NonEmptyReadonlyArray<Member>
): Effect.Effect<ReadonlyArray<Exit.Exit<Outcome, StoreError.CommitError>>> => {
  const together = (members: typeof batch) => {
    const commit = encoded.commit(Arr.map(members, ({ rows }) => rows))
    return isTraced ? Spans.transaction(encoded.name, members, commit) : commit
  }
  return together(batch).pipe(
    Effect.tap(() => Metrics.committed(encoded.name, batch.length)),
    Effect.map(Arr.map((outcome) => Exit.succeed(outcome))),
    // What could not be written together is tried alone, so that one member's trouble stays its own (I17). A store that
    // is busy, replaced or in doubt is so for all.
    Effect.catchAll((error) =>
      batch.length === 1 || error._tag !== "WriteFailed"
        ? Effect.succeed(Arr.map(batch, () => Exit.fail(error)))
        : Effect.forEach(batch, (member) => Effect.exit(Effect.map(together([member]), (outcomes) => outcomes[0]!)))
    )
  )
}

const writeFailed = (commit: Commit.Commit, cause: unknown) =>
  new StoreError.WriteFailed({ operation: `a commit of runtime ${commit.runtimeId}`, cause })

const encode = (commit: Commit.Commit): Effect.Effect<Rows, StoreError.WriteFailed> =>
  Either.mapLeft(codecs.rows(commit), (cause) => writeFailed(commit, cause))

const attributes = (encoded: Encoded, runtimeId: RuntimeId) => ({
  "burrow.runtime.id": runtimeId,
  "burrow.store": encoded.name
})

const decodeLoaded = (
  runtimeId: RuntimeId,
  loaded: Loaded
): Either.Either<Recovered, StoreError.RecordCorrupt | StoreError.SchemaFromTheFuture> =>
  Either.gen(function*() {
    const corrupt = (record: string) => codecs.corrupt(runtimeId, record)
    const lifecycle = loaded.runtime === null
      ? null
      : yield* codecs.lifecycle(runtimeId, loaded.runtime.record)
    const run = loaded.runtime === null
      ? null
      : yield* Either.mapLeft(codecs.runOf(loaded.runtime), corrupt("the open run"))
    const session = loaded.session === null
      ? null
      : yield* Either.mapLeft(codecs.sessionHead(loaded.session), corrupt("the session"))
    const heads = loaded.inputs.map((row) =>
      Either.mapLeft(codecs.inputHead(row), corrupt(`input ${codecs.excerpt(row.inputId)}`))
    )
    return {
      lifecycle,
      run,
      session,
      inputs: Arr.getRights(heads),
      corrupt: Arr.getLefts(heads),
      lastSequence: loaded.lastSequence,
      hasReceipt: (runId: string, sequence: number) => loaded.receipts.has(`${runId}/${sequence}`)
    }
  })

const makeWrites = (over: Pick<Service, "commit" | "commitWith" | "recover"> & { readonly reads: Reads }) => {
  const { commit, commitWith, reads, recover } = over

  /** Writes, and fails with those refusals that this write can meet; any other would be a fault of the guard. */
  const write = <const Tag extends RefusalError["_tag"]>(tags: ReadonlyArray<Tag>, commitment: Commit.Commit) =>
    Effect.flatMap(commit(commitment), settle(tags, commitment))

  const changeSnapshot = (
    runtimeId: RuntimeId,
    stamp: Stamp,
    change: Pick<Commit.SessionWrite, "snapshot" | "expected">
  ): Effect.Effect<
    boolean,
    StoreError.CommitError | StoreError.StoreClosed | StoreError.StaleFence | StoreError.LoadError
  > =>
    Effect.flatMap(reads.loadSession(runtimeId), (session) =>
      Option.match(session, {
        // Nothing to change, but the token counts all the same.
        onNone: () => Effect.as(write(["StaleFence"], Commit.make(runtimeId, stamp, {})), false),
        onSome: (parent) => {
          const commitment = Commit.make(runtimeId, stamp, { session: sameTranscript(parent, change) })
          return Effect.flatMap(commit(commitment), (outcome) =>
            outcome._tag !== "Refused"
              ? Effect.succeed(true)
              : outcome.by._tag === "SnapshotChanged"
              ? Effect.succeed(false)
              : outcome.by._tag === "StaleFence"
              ? Effect.fail(refusalError(commitment, outcome.by) as StoreError.StaleFence)
              // The session moved between the read and the write: compare with what it is now.
              : changeSnapshot(runtimeId, stamp, change))
        }
      }))

  const commitSession = (runtimeId: RuntimeId, stamp: Stamp, session: Commit.SessionWrite) =>
    Effect.asVoid(write(
      ["StaleFence", "SessionKeyMismatch", "TranscriptRevisionConflict"],
      Commit.make(runtimeId, stamp, { session })
    ))

  const commitWithin = <E, R>(
    commitment: Commit.Commit,
    alongside: Effect.Effect<unknown, E, R> | undefined
  ): Effect.Effect<
    Outcome,
    StoreError.CommitError | StoreError.StoreClosed | StoreError.AlongsideTimeout | E,
    R
  > => alongside === undefined ? commit(commitment) : commitWith(commitment, alongside)

  const atomicApply: Service["atomicApply"] = (runtimeId, boundary) => {
    const receipt: Receipt = {
      ...boundary.receiptDraft,
      sequence: boundary.after + 1,
      commitDigest: boundary.commitDigest,
      at: boundary.at
    }
    const { delta, sessionStoreKey } = boundary
    if (delta && sessionStoreKey !== undefined && delta.after.id !== sessionStoreKey) {
      return Effect.fail(mismatch(runtimeId, sessionStoreKey, delta.after))
    }
    const commitment = Commit.make(runtimeId, boundary.stamp, {
      lifecycle: Commit.lifecycle(
        boundary.lifecycle.record,
        receipt.boundary === "final"
          ? null
          : boundary.lifecycle.run && { ...boundary.lifecycle.run, sequence: receipt.sequence }
      ),
      inputs: boundary.inputUpdates ?? [],
      session: delta ?? null,
      boundary: { after: boundary.after, receipt, result: boundary.result ?? null },
      notes: boundary.notes ?? [],
      events: boundary.events ?? [],
      deposits: boundary.outbox ?? []
    })
    return commitWithin(commitment, boundary.alongside).pipe(
      Effect.flatMap(settle(
        [
          "StaleFence",
          "ReceiptConflict",
          "RunNotOpen",
          "SequenceMismatch",
          "SessionKeyMismatch",
          "TranscriptRevisionConflict",
          "ContributorNotStaged",
          "NoteConflict",
          "IdempotencyConflict"
        ],
        commitment
      )),
      Effect.map((alreadyApplied) => ({ receipt, alreadyApplied })),
      Effect.withSpan("RuntimeStore.atomicApply", {
        captureStackTrace: false,
        attributes: { "burrow.runtime.id": runtimeId, "burrow.run.id": receipt.runId }
      })
    )
  }

  return {
    commit,
    commitWith,
    recover,
    atomicApply,
    claim: (runtimeId, claimId) =>
      recover(runtimeId, claimId, (_, token) => Either.right([Commit.make(runtimeId, { token, n: 0 }, {}), token])),
    persistInputState: (runtimeId, stamp, record) =>
      Effect.asVoid(write(["StaleFence", "IdempotencyConflict"], Commit.make(runtimeId, stamp, { inputs: [record] }))),
    commitMachineLifecycle: (runtimeId, stamp, lifecycle, inputs) =>
      Effect.asVoid(write(["StaleFence", "IdempotencyConflict"], Commit.make(runtimeId, stamp, { lifecycle, inputs }))),
    commitSessionSnapshot: commitSession,
    commitSessionTranscriptRewriteSnapshot: commitSession,
    clearSessionSnapshot: (runtimeId, stamp) =>
      Effect.asVoid(changeSnapshot(runtimeId, stamp, { snapshot: null, expected: undefined })),
    replaceSessionSnapshotIfCurrent: (runtimeId, stamp, expected, snapshot) =>
      changeSnapshot(runtimeId, stamp, { snapshot, expected }),
    clearSessionSnapshotIfCurrent: (runtimeId, stamp, expected) =>
      changeSnapshot(runtimeId, stamp, { snapshot: null, expected }),
    persistOpsLifecycle: (runtimeId, stamp, ops) =>
      Effect.asVoid(write(["StaleFence"], Commit.make(runtimeId, stamp, { ops }))),
    deleteOpsLifecycle: (runtimeId, stamp) =>
      Effect.asVoid(write(["StaleFence"], Commit.make(runtimeId, stamp, { ops: null })))
  } satisfies Partial<Service>
}

const settle =
  <const Tag extends RefusalError["_tag"]>(tags: ReadonlyArray<Tag>, commitment: Commit.Commit) =>
  (outcome: Outcome): Effect.Effect<boolean, Extract<RefusalError, { readonly _tag: Tag }>> => {
    if (outcome._tag !== "Refused") return Effect.succeed(outcome._tag === "AlreadyApplied")
    const error = refusalError(commitment, outcome.by)
    return (tags as ReadonlyArray<string>).includes(error._tag)
      ? Effect.fail(error as Extract<RefusalError, { readonly _tag: Tag }>)
      : Effect.die(error)
  }

const sameTranscript = (
  parent: SessionHead,
  change: Pick<Commit.SessionWrite, "snapshot" | "expected">
): Commit.SessionWrite => ({
  parent,
  after: { ...parent, version: parent.version + 1 },
  keep: parent.length,
  append: [],
  rewrite: null,
  ...change
})

const mismatch = (runtimeId: RuntimeId, expected: SessionId, actual: SessionHead) =>
  new StoreError.SessionKeyMismatch({ runtimeId, expected, actual: actual.id })

const OAUTH_CELL = "auth_oauth_flow"

const makeOAuth = (encoded: Encoded, reads: Reads) => {
  const encodeFlows = (flows: Parameters<Service["persistAuthOAuthFlowSnapshot"]>[0]) =>
    Either.mapLeft(
      codecs.oauth(flows),
      (cause) => new StoreError.WriteFailed({ operation: "the login flow snapshot", cause })
    )
  return {
    persistAuthOAuthFlowSnapshot: (flows) => encoded.updateCell(OAUTH_CELL, () => encodeFlows(flows)),
    loadAuthOAuthFlowSnapshot: Effect.flatMap(encoded.readCell(OAUTH_CELL), reads.decodeFlows),
    updateAuthOAuthFlowSnapshot: (f) =>
      repeating((enclose) =>
        encoded.updateCell(
          OAUTH_CELL,
          (bytes) => enclose(reads.decodeFlows(bytes).pipe(Effect.flatMap(f), Effect.flatMap(encodeFlows)))
        )
      )
  } satisfies Partial<Service>
}
