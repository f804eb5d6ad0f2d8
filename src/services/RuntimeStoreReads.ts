/**
 * The reads of a `RuntimeStore`: rows decoded one by one, so that a corrupt one takes no other with it.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { InputRow } from "../core/Rows.js"
import type { InputId, RuntimeId } from "../schema/Ids.js"
import { RuntimeState } from "../schema/Runtime.js"
import type { EventRecord } from "../schema/RuntimeEvent.js"
import type { Revision } from "../schema/Session.js"
import {
  EventsPruned,
  type ReadFailed,
  type RecordCorrupt,
  SchemaFromTheFuture,
  TranscriptRevisionConflict
} from "../schema/StoreError.js"
import * as codecs from "./codecs.js"
import type { Page, Row, RuntimeStore, StoredDeposit, StoredInput } from "./RuntimeStore.js"
import type { Encoded, InputPage, StoredDepositRow } from "./RuntimeStoreEncoded.js"

type Service = Context.Tag.Service<RuntimeStore>
type Future = SchemaFromTheFuture

const LIMIT = 100
const isState = Schema.is(RuntimeState)

export const makeReads = (encoded: Encoded) => {
  const loadInputs = (filter: InputPage["filter"]) => (runtimeId: RuntimeId, page: Page = {}) =>
    Effect.flatMap(
      encoded.readInputs(runtimeId, { after: page.after ?? 0, limit: page.limit ?? LIMIT, filter }),
      (rows) => Effect.forEach(rows, (row) => perRow(storedInput(runtimeId, row)))
    )

  const loadMachineLifecycle: Service["loadMachineLifecycle"] = (runtimeId) =>
    Effect.flatMap(
      encoded.readRuntime(runtimeId),
      optionally((row) => codecs.lifecycle(runtimeId, row.record))
    )

  return {
    authAuthorityKey: Option.fromNullable(encoded.authorityKey),
    decodeFlows: optionally(codecs.flows),
    loadInputState: (runtimeId, inputId) =>
      Effect.flatMap(encoded.readInput(runtimeId, inputId), optionally((row) => storedInput(runtimeId, row))),
    loadInputStateByKey: (runtimeId, key) =>
      Effect.flatMap(encoded.readInputByKey(runtimeId, key), optionally((row) => storedInput(runtimeId, row))),
    loadInputStates: loadInputs("all"),
    loadActiveInputStates: loadInputs("active"),
    loadDeadLetters: loadInputs("dead"),
    loadAllDeadLetters: (page = {}) =>
      Effect.flatMap(
        encoded.readAllDead(page.after ?? null, page.limit ?? LIMIT),
        (rows) =>
          Effect.forEach(rows, (row) => {
            const runtimeId = row.runtimeId as RuntimeId
            return Effect.map(
              perRow(storedInput(runtimeId, row)),
              (input) => ({ runtimeId, sequence: row.sequence, input })
            )
          })
      ),
    loadDeposit: (runtimeId, inputId) =>
      Effect.flatMap(
        encoded.readDeposit(runtimeId, inputId),
        (row) => row === null ? Effect.succeedNone : Effect.asSome(storedDeposit(row))
      ),
    loadDeposits: (page = {}) =>
      Effect.flatMap(
        encoded.readDeposits({
          after: page.after ?? 0,
          limit: page.limit ?? LIMIT,
          refused: page.refused ?? false
        }),
        (rows) => Effect.forEach(rows, storedDeposit)
      ),
    loadBodies: (runtimeId, inputIds) =>
      Effect.flatMap(encoded.readPayloads(runtimeId, inputIds), (rows) => {
        const payloads = new Map(rows.map((row) => [row.inputId, row.payload]))
        const present = inputIds.flatMap((inputId) => {
          const payload = payloads.get(inputId)
          return payload === undefined ? [] : [{ inputId, payload }]
        })
        return Effect.forEach(present, ({ inputId, payload }) =>
          Effect.map(perRow(codecs.body(runtimeId, inputId, payload)), (body) => ({ inputId, body })))
      }),
    lookup: encoded.readKnown,
    loadStamp: (runtimeId, witness) => Effect.map(encoded.readStamp(runtimeId, witness), Option.fromNullable),
    loadMachineLifecycleRecord: (runtimeId) =>
      Effect.map(
        encoded.readRuntime(runtimeId),
        (row) => Option.map(Option.fromNullable(row), ({ record }) => new TextEncoder().encode(record))
      ),
    loadMachineLifecycle,
    loadRuntimeState: (runtimeId) =>
      Effect.map(loadMachineLifecycle(runtimeId), Option.map((record) => record.runtimeState)),
    loadRuntimes: (page = {}) =>
      Effect.map(
        encoded.readRuntimes(page.after ?? null, page.limit ?? LIMIT),
        (rows) =>
          rows.map(({ runtimeId, state }) => ({
            runtimeId: runtimeId as RuntimeId,
            state: isState(state) ? state : "idle" as const
          }))
      ),
    loadPendingRuntimes: (page = {}) =>
      Effect.map(
        encoded.readPending(page.after ?? null, page.limit ?? LIMIT),
        (rows) =>
          rows.map((row) => ({ runtimeId: row.runtimeId as RuntimeId, readyAt: Option.fromNullable(row.readyAt) }))
      ),
    loadDue: ({ after, limit, until }) =>
      Effect.map(
        encoded.readDue(after, until, limit ?? LIMIT),
        (rows) => rows.map(({ readyAt, runtimeId }) => ({ runtimeId: runtimeId as RuntimeId, readyAt }))
      ),
    loadNextReadyAt: (after) => Effect.map(encoded.readNextReadyAt(after), Option.fromNullable),
    loadTotals: encoded.readTotals,
    loadBoundaryReceipt: (runtimeId, runId, sequence) =>
      Effect.flatMap(
        encoded.readReceipt(runtimeId, runId, sequence),
        optionally((row) =>
          Either.map(codecs.receiptOf(runtimeId, row.receipt), (receipt) => ({
            receipt,
            result: Option.fromNullable(row.result)
          }))
        )
      ),
    loadSessionSnapshot: (runtimeId) => Effect.map(encoded.readSnapshot(runtimeId), Option.fromNullable),
    loadSession: (runtimeId) =>
      Effect.flatMap(
        encoded.readSession(runtimeId),
        optionally((row) => Either.mapLeft(codecs.sessionHead(row), codecs.corrupt(runtimeId, "the session")))
      ),
    loadTranscript: loadTranscript(encoded),
    loadRevision: (runtimeId, length) =>
      length === 0 ? Effect.succeedNone : Effect.map(
        encoded.readMessages(runtimeId, length - 1, 1),
        (rows) => Option.map(Option.fromNullable(rows[0]), (row) => row.revision as Revision)
      ),
    loadRewrites: (runtimeId) =>
      Effect.flatMap(
        encoded.readRewrites(runtimeId),
        (rows) => Effect.forEach(rows, (row) => perRow(codecs.rewriteOf(runtimeId, row)))
      ),
    loadEvents: loadEvents(encoded),
    loadNotes: (runtimeId, scope, key) =>
      Effect.flatMap(
        encoded.readNotes(runtimeId, scope, key ?? null),
        (rows) =>
          Effect.forEach(rows, (row) =>
            Either.mapBoth(codecs.json.decode(row.value), {
              onLeft: codecs.corrupt(runtimeId, `note ${codecs.excerpt(row.key)}`),
              onRight: (value) => ({ scope: row.scope, key: row.key, value })
            }))
      ),
    loadOpsLifecycle: (runtimeId) =>
      Effect.flatMap(encoded.readOps(runtimeId), optionally((row) => codecs.opsOf(runtimeId, row)))
  } satisfies Partial<Service> & { readonly decodeFlows: unknown }
}

export type Reads = ReturnType<typeof makeReads>

const optionally =
  <A, B, E>(decode: (row: A) => Either.Either<B, E>) => (row: A | null): Effect.Effect<Option.Option<B>, E> =>
    row === null ? Effect.succeedNone : Effect.map(decode(row), Option.some)

/** A corrupt row is a value among its neighbours; a row of a newer library ends the load, which could not judge it. */
const perRow = <A>(decoded: Either.Either<A, RecordCorrupt | Future>): Effect.Effect<Row<A>, Future> =>
  Either.match(decoded, {
    onLeft: (error) => error instanceof SchemaFromTheFuture ? Effect.fail(error) : Effect.succeed(Either.left(error)),
    onRight: (value) => Effect.succeed(Either.right(value))
  })

const storedInput = (
  runtimeId: RuntimeId,
  row: InputRow
): Either.Either<StoredInput, RecordCorrupt | Future> =>
  Either.gen(function*() {
    const head = yield* Either.mapLeft(
      codecs.inputHead(row),
      codecs.corrupt(runtimeId, `input ${codecs.excerpt(row.inputId)}`)
    )
    const body = yield* codecs.body(runtimeId, head.id, row.payload)
    return { head, body }
  })

const storedDeposit = (row: StoredDepositRow): Effect.Effect<StoredDeposit, Future> => {
  const failure = row.failure === null ? Either.right(null) : codecs.failure.decode(row.failure)
  const problem = codecs.corrupt(row.runtimeId, `deposit ${row.no}`)
  return Effect.map(
    perRow(Either.flatMap(
      Either.mapLeft(failure, problem),
      () => codecs.body(row.runtimeId, row.inputId, row.payload)
    )),
    (body) => ({
      no: row.no,
      runtimeId: row.runtimeId as RuntimeId,
      inputId: row.inputId as InputId,
      at: row.at,
      body,
      failure: Either.getOrElse(failure, () => null)
    })
  )
}

const loadTranscript = (encoded: Encoded): Service["loadTranscript"] => (runtimeId, page = {}) =>
  Effect.gen(function*() {
    const session = yield* encoded.readSession(runtimeId)
    const head = { revision: (session?.revision ?? "") as Revision, length: session?.length ?? 0 }
    const pin = page.at ?? head
    const start = page.start ?? 0
    const rows = yield* encoded.readMessages(
      runtimeId,
      start,
      Math.min(page.limit ?? LIMIT, Math.max(0, pin.length - start))
    )
    // The revision of the pinned transcript's last message covers all before it: looked at behind the messages, it tells
    // whether they are of that transcript.
    const last = pin.length === 0 || (rows.length > 0 && start + rows.length === pin.length)
      ? rows.at(-1)
      : (yield* encoded.readMessages(runtimeId, pin.length - 1, 1))[0]
    if (pin.length > 0 && last?.revision !== pin.revision) {
      const actual = (yield* encoded.readSession(runtimeId))?.revision ?? ""
      // Rewritten between the reads: what was asked for is the transcript as it is.
      if (page.at === undefined && actual !== head.revision) return yield* loadTranscript(encoded)(runtimeId, page)
      return yield* new TranscriptRevisionConflict({ runtimeId, expected: pin.revision, actual })
    }
    const messages = yield* Effect.forEach(
      rows,
      (row, i) => Either.mapLeft(codecs.json.decode(row.message), codecs.corrupt(runtimeId, `message ${start + i}`))
    )
    return { revision: pin.revision, length: pin.length, start, messages }
  })

const loadEvents =
  (encoded: Encoded): Service["loadEvents"] =>
  (runtimeId, page = {}): Effect.Effect<ReadonlyArray<EventRecord>, ReadFailed | RecordCorrupt | EventsPruned> =>
    Effect.gen(function*() {
      const after = page.after ?? 0
      const limit = page.limit ?? LIMIT
      const { accepts, events, floor } = yield* encoded.readEvents(runtimeId, after, limit)
      if (after < floor) return yield* new EventsPruned({ runtimeId, oldest: floor + 1 })
      const rows = [
        ...events,
        ...accepts.map((row) => ({
          number: row.sequence,
          at: row.acceptedAt,
          code: "input.accepted",
          data: JSON.stringify({ _tag: "input.accepted", inputId: row.inputId, kind: row.kind, lane: row.lane })
        }))
      ].sort((a, b) => a.number - b.number).slice(0, limit)
      return yield* Effect.forEach(rows, (row) =>
        Either.mapBoth(codecs.event.decode(row.data), {
          onLeft: codecs.corrupt(runtimeId, `event ${row.number}`),
          onRight: (event) => ({ number: row.number, at: row.at, event })
        }))
    })
