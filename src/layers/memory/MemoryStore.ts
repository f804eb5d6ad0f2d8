/**
 * A store in memory that keeps every promise of the contract but durability: what it committed ends with the process.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Outcome, Rows } from "../../core/Rows.js"
import { ReadFailed, WriteFailed } from "../../schema/StoreError.js"
import type { Encoded } from "../../services/RuntimeStoreEncoded.js"
import { reads } from "./Reading.js"
import { claim, copyBytes, load, put, putDeposits, remove, Tables, write } from "./Tables.js"
import * as Transactions from "./Transactions.js"

const writeFailed = (operation: string) => (cause: Error): WriteFailed => new WriteFailed({ operation, cause })

const unexpected = (outcome: Outcome): Error =>
  new Error(`the store answered ${outcome._tag === "Refused" ? outcome.by._tag : outcome._tag}`)

type Writes = Pick<
  Encoded,
  "commit" | "commitWith" | "recover" | "barrier" | "updateCell" | "deposit" | "settleDeposits"
>

const writes = (transactions: Transactions.Transactions): Writes => ({
  commit: (group) =>
    transactions.write(
      "commit",
      (tables, journal) =>
        Either.mapLeft(Either.all(group.map((rows) => write(tables, rows, journal))), writeFailed("commit"))
    ),
  commitWith: <E, R>(rows: Rows, alongside: Effect.Effect<unknown, E, R>) =>
    transactions.around(
      "commitWith",
      Effect.flatMap(
        transactions.write("commitWith", (tables, journal) =>
          Either.mapLeft(write(tables, rows, journal), writeFailed("commitWith"))),
        (outcome): Effect.Effect<Outcome, E, R> =>
          outcome._tag === "Committed" ? Effect.as(alongside, outcome) : Effect.succeed(outcome)
      )
    ),
  recover: (runtimeId, claimId, decide) =>
    transactions.write("recover", (tables, journal) =>
      Either.gen(function*() {
        const loaded = load(tables.runtime(runtimeId))
        const epoch = (loaded.runtime?.epoch ?? 0) + 1
        const [rows, reply] = yield* decide(loaded, epoch)
        claim(tables, rows, { runtimeId, epoch, claimId }, journal)
        const written = yield* Either.mapLeft(write(tables, rows, journal), writeFailed("recover"))
        return written._tag === "Committed" ? reply : yield* Either.left(writeFailed("recover")(unexpected(written)))
      })),
  barrier: (runtimeId, epoch, claimId) =>
    transactions.write("barrier", (tables) => {
      const { row } = tables.runtime(runtimeId)
      return Either.right(row !== null && row.epoch === epoch && row.claimId === claimId)
    }),
  updateCell: (cell, f) =>
    transactions.around(
      "updateCell",
      transactions.read("updateCell", (tables) => copyBytes(tables.cells.get(cell) ?? null)).pipe(
        Effect.flatMap(f),
        Effect.flatMap((next) =>
          transactions.write("updateCell", (tables, journal) => {
            const bytes = copyBytes(next)
            if (bytes === null) remove(journal, tables.cells, cell)
            else put(journal, tables.cells, cell, bytes)
            return Either.right(undefined)
          })
        )
      )
    ),
  deposit: (deposits) =>
    transactions.write("deposit", (tables, journal) => Either.right(putDeposits(journal, tables, deposits))),
  settleDeposits: (settled) =>
    transactions.write("settleDeposits", (tables, journal) => {
      for (const { failure, no } of settled) {
        const stored = tables.deposits.get(no)
        if (stored === undefined) continue
        if (failure === null) remove(journal, tables.deposits, no)
        else put(journal, tables.deposits, no, { ...stored, failure })
      }
      return Either.right(undefined)
    })
})

/** A fresh, empty store. Handles that share it share the value. */
export const make: Effect.Effect<Encoded> = Effect.suspend(() => over(new Tables()))

/** A store over tables that others have had before it. From when `isOver` says so, it writes nothing any more. */
export const over = Effect.fnUntraced(function*(tables: Tables, isOver?: () => boolean) {
  const transactions = yield* Transactions.make(tables, isOver)
  const read = <Args extends ReadonlyArray<unknown>, A>(
    operation: string,
    answer: (tables: Tables, ...args: Args) => A
  ) =>
  (...args: Args): Effect.Effect<A, ReadFailed> =>
    Effect.mapError(
      transactions.read(operation, (tables) => answer(tables, ...args)),
      (cause) => new ReadFailed({ operation, cause })
    )
  const encoded: Encoded = {
    name: "memory",
    authorityKey: null,
    insideTransaction: transactions.inside,
    ...writes(transactions),
    readVersion: Effect.succeed(0),
    readDue: read("readDue", reads.readDue),
    readNextReadyAt: read("readNextReadyAt", reads.readNextReadyAt),
    readDeposit: read("readDeposit", reads.readDeposit),
    readDeposits: read("readDeposits", reads.readDeposits),
    readAllDead: read("readAllDead", reads.readAllDead),
    readCell: read("readCell", reads.readCell),
    readRuntime: read("readRuntime", reads.readRuntime),
    readRuntimes: read("readRuntimes", reads.readRuntimes),
    readPending: read("readPending", reads.readPending),
    readInput: read("readInput", reads.readInput),
    readInputByKey: read("readInputByKey", reads.readInputByKey),
    readInputs: read("readInputs", reads.readInputs),
    readKnown: read("readKnown", reads.readKnown),
    readPayloads: read("readPayloads", reads.readPayloads),
    readReceipt: read("readReceipt", reads.readReceipt),
    readSession: read("readSession", reads.readSession),
    readSnapshot: read("readSnapshot", reads.readSnapshot),
    readMessages: read("readMessages", reads.readMessages),
    readRewrites: read("readRewrites", reads.readRewrites),
    readNotes: read("readNotes", reads.readNotes),
    readEvents: read("readEvents", reads.readEvents),
    readOps: read("readOps", reads.readOps),
    readTotals: read("readTotals", reads.readTotals),
    readStamp: read("readStamp", reads.readStamp)
  }
  return encoded
})
