/**
 * Stores that make one classic mistake each, over the rows of the right store. They show which cases notice it.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { Outcome, Rows } from "../../src/core/Rows.js"
import { committed } from "../../src/core/Rows.js"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.js"
import { eventLoopTurn } from "../../src/services/Batcher.js"
import { RuntimeStore } from "../../src/services/RuntimeStore.js"
import type { Encoded } from "../../src/services/RuntimeStoreEncoded.js"
import * as FromEncoded from "../../src/services/RuntimeStoreFromEncoded.js"
import { answering, type Mistake, rewriting } from "./mistake.js"
import { storewide } from "./naiveStorewide.js"

const insertOrIgnore = (right: Encoded, rows: Rows, known: ReadonlySet<string>): Effect.Effect<Outcome> =>
  Effect.orDie(Effect.map(
    right.commit([{
      ...rows,
      inserts: rows.inserts.filter(({ idempotencyKey, inputId }) =>
        !known.has(inputId) && !known.has(`${idempotencyKey}`)
      )
    }]),
    ([outcome]) => outcome!
  ))

const isTerminal = (right: Encoded, runtimeId: string, inputId: string) =>
  Effect.map(Effect.orDie(right.readInput(runtimeId, inputId)), (row) => row !== null && row.outcome !== null)

const takesRuntime = (name: string) =>
  name.startsWith("read") && !/Cell|Runtimes|Pending|Due|ReadyAt|Deposits|AllDead|Version/.test(name)

const lowerCased = (right: Encoded): Encoded => ({
  ...right,
  ...Object.fromEntries(
    Object.entries(right).filter(([name]) => takesRuntime(name)).map(
      ([name, read]) => [
        name,
        (runtimeId: string, ...rest: ReadonlyArray<unknown>) =>
          Reflect.apply(read as (...args: ReadonlyArray<unknown>) => unknown, right, [runtimeId.toLowerCase(), ...rest])
      ]
    )
  ),
  commit: (group) => right.commit(Arr.map(group, (rows) => ({ ...rows, runtimeId: rows.runtimeId.toLowerCase() }))),
  commitWith: (rows, alongside) => right.commitWith({ ...rows, runtimeId: rows.runtimeId.toLowerCase() }, alongside),
  recover: (runtimeId, claimId, decide) =>
    right.recover(
      runtimeId.toLowerCase(),
      claimId,
      (loaded, epoch) =>
        Either.map(
          decide(loaded, epoch),
          ([rows, reply]) => [{ ...rows, runtimeId: rows.runtimeId.toLowerCase() }, reply] as const
        )
    ),
  barrier: (runtimeId, epoch, claimId) => right.barrier(runtimeId.toLowerCase(), epoch, claimId)
})

/** A group that is written whole or not at all. */
const allOrNone = (right: Encoded): Encoded => ({
  ...right,
  commit: (group) =>
    right.updateCell(
      "group",
      (now) =>
        Effect.flatMap(right.commit(group), (outcomes) =>
          outcomes.some(({ _tag }) => _tag === "Refused")
            ? Effect.fail({ outcomes })
            : Effect.as(Effect.succeed(outcomes), now))
    )
      .pipe(
        Effect.as(Arr.map(group, () => committed)),
        Effect.catchAll((problem) => {
          if (!("outcomes" in problem)) return Effect.die(problem)
          const refused = problem.outcomes.find(({ _tag }) => _tag === "Refused")!
          return Effect.succeed(Arr.map(group, () => refused))
        })
      )
})

export const mistakes = {
  "checks no token": (right) => ({
    ...rewriting((store, rows) =>
      Effect.map(
        store.readRuntime(rows.runtimeId),
        (row) => row === null ? rows : { ...rows, epoch: row.epoch, claimId: row.claimId }
      )
    )(right),
    barrier: () => Effect.succeed(true)
  }),

  "takes any receipt at the place for the same one": answering((_, outcome) =>
    Effect.succeed(
      outcome._tag === "Refused" && outcome.by._tag === "ReceiptConflict" ? { _tag: "AlreadyApplied" } : outcome
    )
  ),

  "takes the exact retry for a conflict": answering((_, outcome) =>
    Effect.succeed(outcome._tag === "AlreadyApplied" ? { _tag: "Refused", by: { _tag: "ReceiptConflict" } } : outcome)
  ),

  "runs alongside for a retry": (right) => ({
    ...right,
    commitWith: (rows, alongside) =>
      Effect.tap(
        right.commitWith(rows, alongside),
        ({ _tag }) => Effect.when(alongside, () => _tag === "AlreadyApplied")
      )
  }),

  "runs alongside behind the commit": (right) => ({
    ...right,
    commitWith: (rows, alongside) =>
      Effect.map(right.commit([rows]), ([outcome]) => outcome!).pipe(
        Effect.tap(({ _tag }) => Effect.when(alongside, () => _tag === "Committed"))
      )
  }),

  "ignores inserts that are known": answering((right, outcome, rows) =>
    outcome._tag === "Refused" && outcome.by._tag === "KnownInput"
      ? insertOrIgnore(right, rows, new Set(outcome.by.known.flatMap((one) => [one.inputId, `${one.idempotencyKey}`])))
      : Effect.succeed(outcome)
  ),

  "forgets the keys of terminal inputs": (right) => ({
    ...right,
    readInputByKey: (runtimeId, key) =>
      Effect.map(right.readInputByKey(runtimeId, key), (row) => row?.outcome === null ? row : null),
    readKnown: (runtimeId, inputIds, keys) =>
      Effect.flatMap(
        right.readKnown(runtimeId, inputIds, keys),
        (known) => Effect.filter(known, ({ inputId }) => Effect.map(isTerminal(right, runtimeId, inputId), (is) => !is))
      )
  }),

  "inserts over the keys of terminal inputs": rewriting((right, rows) =>
    Effect.map(
      Effect.forEach(rows.inserts, (insert) =>
        Effect.map(
          insert.idempotencyKey === null
            ? Effect.succeed(null)
            : right.readInputByKey(rows.runtimeId, insert.idempotencyKey),
          (row) => row === null || row.outcome === null ? insert : { ...insert, idempotencyKey: null }
        )),
      (inserts) => ({ ...rows, inserts })
    )
  ),

  "writes the session before it checks the rest": rewriting((right, rows) =>
    rows.session === null || rows.boundary === null ? Effect.succeed(rows) : Effect.map(
      right.commit([{ ...rows, runtime: null, inserts: [], moves: [], boundary: null, notes: [], events: [] }]),
      ([outcome]) => outcome!._tag === "Committed" ? { ...rows, session: null } : rows
    )
  ),

  "compares no parent of the session": rewriting((right, rows) =>
    Effect.map(
      right.readSession(rows.runtimeId),
      (stored) =>
        stored === null || rows.session === null ? rows : { ...rows, session: { ...rows.session, parent: stored } }
    )
  ),

  "keeps the messages that a rewrite replaced": rewriting((right, rows) =>
    Effect.map(
      right.readSession(rows.runtimeId),
      (stored) =>
        stored === null || rows.session === null ? rows : { ...rows, session: { ...rows.session, keep: stored.length } }
    )
  ),

  "shares the bytes of a snapshot": (right) => {
    const shared = new Map<string, Uint8Array>()
    return {
      ...right,
      commit: (group) =>
        Effect.tap(right.commit(group), (outcomes) =>
          group.forEach(({ runtimeId, session }, i) => {
            if (session?.snapshot && outcomes[i]!._tag === "Committed") shared.set(runtimeId, session.snapshot)
          })),
      readSnapshot: (runtimeId) =>
        Effect.map(right.readSnapshot(runtimeId), (bytes) => {
          const own = shared.get(runtimeId)
          return bytes !== null && own?.length === bytes.length ? own : bytes
        })
    }
  },

  "keeps a snapshot as text": (right) => ({
    ...right,
    readSnapshot: (runtimeId) =>
      Effect.map(
        right.readSnapshot(runtimeId),
        (bytes) => bytes && new TextEncoder().encode(new TextDecoder().decode(bytes))
      )
  }),

  "takes an empty snapshot for none": (right) => ({
    ...right,
    readSnapshot: (runtimeId) =>
      Effect.map(right.readSnapshot(runtimeId), (bytes) => bytes?.length === 0 ? null : bytes)
  }),

  "leaves a run open behind its final boundary": rewriting((right, rows) =>
    Effect.map(
      right.readRuntime(rows.runtimeId),
      (stored) =>
        stored === null || rows.boundary === null || rows.runtime === null || rows.runtime.runId !== null
          ? rows
          : {
            ...rows,
            runtime: {
              ...rows.runtime,
              runId: stored.runId,
              runBatch: stored.runBatch,
              runSequence: rows.boundary.after + 1,
              runOpenedAt: stored.runOpenedAt
            }
          }
    )
  ),

  "refuses a whole group for one member": allOrNone,

  "claims though decide refused": (right) => ({
    ...right,
    recover: (runtimeId, claimId, decide) =>
      Effect.tapError(
        right.recover(runtimeId, claimId, decide),
        () =>
          Effect.ignore(right.recover(runtimeId, claimId, ({ runtime }, epoch) =>
            runtime === null ? Either.left("unused") : Either.right([
              {
                runtimeId,
                epoch,
                claimId,
                n: 0,
                runtime,
                inserts: [],
                moves: [],
                session: null,
                boundary: null,
                notes: [],
                events: [],
                ops: undefined,
                deposits: []
              },
              undefined
            ])))
      )
  }),

  "recovers on what it read before the claim": (right) => ({
    ...right,
    recover: (runtimeId, claimId, decide) =>
      Effect.flatMap(
        right.readInputs(runtimeId, { after: 0, limit: 1000, filter: "active" }),
        (inputs) =>
          Effect.zipRight(
            // Long enough for a group of commits, which begins with a turn of the event loop.
            Effect.replicateEffect(eventLoopTurn, 4),
            right.recover(runtimeId, claimId, (loaded, epoch) => decide({ ...loaded, inputs }, epoch))
          )
      )
  }),

  "loads terminal inputs at recovery": (right) => ({
    ...right,
    recover: (runtimeId, claimId, decide) =>
      Effect.flatMap(
        right.readInputs(runtimeId, { after: 0, limit: 1000, filter: "all" }),
        (inputs) => right.recover(runtimeId, claimId, (loaded, epoch) => decide({ ...loaded, inputs }, epoch))
      )
  }),

  "updates a cell by a read and a write": (right) => ({
    ...right,
    updateCell: (cell, f) =>
      Effect.flatMap(
        Effect.flatMap(right.readCell(cell), f),
        (next) => right.updateCell(cell, () => Effect.succeed(next))
      )
  }),

  "empties a cell before it asks what to write": (right) => ({
    ...right,
    updateCell: (cell, f) =>
      Effect.flatMap(right.readCell(cell), (now) =>
        Effect.zipRight(
          right.updateCell(cell, () => Effect.succeed(null)),
          right.updateCell(cell, () => f(now))
        ))
  }),

  "orders inputs by their ids": (right) => ({
    ...right,
    readInputs: (runtimeId, page) =>
      Effect.map(right.readInputs(runtimeId, page), (rows) => [...rows].sort((a, b) => a.inputId < b.inputId ? -1 : 1))
  }),

  "forgets the limit of a page": (right) => ({
    ...right,
    readInputs: (runtimeId, page) => right.readInputs(runtimeId, { ...page, limit: 1_000_000 }),
    readMessages: (runtimeId, start) => right.readMessages(runtimeId, start, 1_000_000),
    readRuntimes: (after) => right.readRuntimes(after, 1_000_000),
    readPending: (after) => right.readPending(after, 1_000_000),
    readDue: (after, until) => right.readDue(after, until, 1_000_000),
    readAllDead: (after) => right.readAllDead(after, 1_000_000),
    readDeposits: (page) => right.readDeposits({ ...page, limit: 1_000_000 })
  }),

  "lists the accepts of ended inputs twice": (right) => ({
    ...right,
    readEvents: (runtimeId, after, limit) =>
      Effect.zipWith(
        right.readEvents(runtimeId, after, limit),
        right.readInputs(runtimeId, { after, limit, filter: "all" }),
        (log, accepts) => ({ ...log, accepts })
      )
  }),

  "drops the accepts of active inputs": (right) => ({
    ...right,
    readEvents: (runtimeId, after, limit) =>
      Effect.map(right.readEvents(runtimeId, after, limit), (log) => ({ ...log, accepts: [] }))
  }),

  "stamps the runtime's row alone": (right) => ({
    ...right,
    readStamp: (runtimeId) => right.readStamp(runtimeId, { _tag: "runtime" })
  }),

  "counts held inputs as ready": (right) => ({
    ...right,
    readPending: (after, limit) =>
      Effect.map(
        right.readPending(after, limit),
        (rows) => rows.map(({ readyAt, runtimeId }) => ({ runtimeId, readyAt: readyAt ?? 0 }))
      )
  }),

  "compares runtime ids without case": lowerCased,

  "counts in 32 bits": rewriting((_, rows) =>
    Effect.succeed({ ...rows, n: rows.n | 0, events: rows.events.map((row) => ({ ...row, number: row.number | 0 })) })
  ),

  "takes no time for time 0": rewriting((_, rows) =>
    Effect.succeed({
      ...rows,
      inserts: rows.inserts.map((row) => ({ ...row, readyAt: row.readyAt ?? 0 })),
      moves: rows.moves.map((row) => ({ ...row, readyAt: row.readyAt ?? 0 }))
    })
  ),

  "joins scope and key with a slash": (right) => ({
    ...rewriting((_, rows) =>
      Effect.succeed({
        ...rows,
        notes: rows.notes.map(({ key, scope, value }) => ({ scope: "", key: `${scope}/${key}`, value }))
      })
    )(right),
    readNotes: (runtimeId, scope, key) =>
      Effect.map(
        right.readNotes(runtimeId, "", key === null ? null : `${scope}/${key}`),
        (notes) =>
          notes.flatMap((note) =>
            note.key.startsWith(`${scope}/`) ? [{ ...note, scope, key: note.key.slice(scope.length + 1) }] : []
          )
      )
  }),

  "ignores notes that are known": rewriting((right, rows) =>
    Effect.map(
      Effect.filter(rows.notes, ({ key, scope }) =>
        Effect.map(right.readNotes(rows.runtimeId, scope, null), (known) =>
          !known.some((note) => note.key === key))),
      (notes) => ({ ...rows, notes })
    )
  ),

  "forgets what is waited for": rewriting((_, rows) =>
    Effect.succeed({
      ...rows,
      inserts: rows.inserts.map((row) => ({ ...row, awaits: null })),
      moves: rows.moves.map((row) => ({ ...row, awaits: null }))
    })
  ),

  "answers a scope for a note of it": (right) => ({
    ...right,
    readNotes: (runtimeId, scope) => right.readNotes(runtimeId, scope, null)
  }),

  "clears the transcript with the snapshot": rewriting((_, rows) =>
    Effect.succeed(rows.session?.snapshot === null ? { ...rows, session: { ...rows.session, keep: 0 } } : rows)
  ),

  "keeps the last rewrite alone": (right) => ({
    ...right,
    readRewrites: (runtimeId) => Effect.map(right.readRewrites(runtimeId), (rewrites) => rewrites.slice(-1))
  }),

  "asks no contributor whether it is staged": rewriting((_, rows) =>
    Effect.succeed(rows.boundary === null ? rows : { ...rows, boundary: { ...rows.boundary, contributors: [] } })
  ),

  "numbers boundaries by itself": rewriting((right, rows) =>
    Effect.map(
      right.readRuntime(rows.runtimeId),
      (stored) =>
        rows.boundary === null ? rows : { ...rows, boundary: { ...rows.boundary, after: stored?.runSequence ?? 0 } }
    )
  ),

  "keeps the first failure of an input": rewriting((right, rows) =>
    Effect.map(
      Effect.forEach(rows.moves, (move) =>
        Effect.map(
          right.readInput(rows.runtimeId, move.inputId),
          (row) => ({ ...move, failure: row?.failure ?? null })
        )),
      (moves) => ({ ...rows, moves })
    )
  ),

  "keeps bodies in Latin-1": rewriting((_, rows) =>
    Effect.succeed({
      ...rows,
      inserts: rows.inserts.map((row) => ({ ...row, payload: row.payload.replace(/[^\x00-\xff]/g, "?") }))
    })
  ),

  ...storewide
} satisfies { readonly [Name in string]: Mistake }

export const naive = (...chosen: ReadonlyArray<keyof typeof mistakes>): Layer.Layer<RuntimeStore> =>
  Layer.scoped(
    RuntimeStore,
    Effect.flatMap(MemoryStore.make, (right) =>
      FromEncoded.make(chosen.reduce((store, name) => mistakes[name](store), right)))
  )
