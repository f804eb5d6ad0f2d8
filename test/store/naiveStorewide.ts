/**
 * Mistakes about what is the whole store's: deposits, due times, dead letters.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { type Mistake, rewriting } from "./mistake.js"

export const storewide = {
  "writes deposits beside the commit": (right) => ({
    ...right,
    commit: (group) =>
      Effect.tap(
        right.commit(Arr.map(group, (rows) => ({ ...rows, deposits: [] }))),
        () => right.deposit(group.flatMap(({ deposits }) => deposits))
      ),
    commitWith: (rows, alongside) =>
      Effect.ensuring(
        right.commitWith({ ...rows, deposits: [] }, alongside),
        Effect.orDie(right.deposit(rows.deposits))
      )
  }),

  "forgets the deposits of commits": rewriting((_, rows) => Effect.succeed({ ...rows, deposits: [] })),

  "keeps one deposit of each call": (right) => ({
    ...right,
    deposit: (deposits) => right.deposit(deposits.slice(0, 1))
  }),

  "numbers deposits by their places": (right) => {
    const all = (refused: boolean) => right.readDeposits({ after: 0, limit: 1_000_000, refused })
    return {
      ...right,
      readDeposits: ({ after, limit, refused }) =>
        Effect.map(all(refused), (rows) => rows.map((row, i) => ({ ...row, no: i + 1 })).slice(after, after + limit)),
      settleDeposits: (settled) =>
        Effect.flatMap(Effect.orDie(all(false)), (rows) =>
          right.settleDeposits(settled.flatMap(({ failure, no }) => {
            const row = rows[no - 1]
            return row === undefined ? [] : [{ no: row.no, failure }]
          })))
    }
  },

  "removes what was refused": (right) => ({
    ...right,
    settleDeposits: (settled) => right.settleDeposits(settled.map(({ no }) => ({ no, failure: null })))
  }),

  "lists due runtimes by their ids": (right) => ({
    ...right,
    readDue: (after, until, limit) =>
      Effect.map(
        right.readDue(after, until, 1_000_000),
        (rows) => [...rows].sort((a, b) => a.runtimeId < b.runtimeId ? 1 : -1).slice(0, limit)
      )
  }),

  "takes what is ready at after for due": (right) => ({
    ...right,
    readDue: (after, until, limit) => right.readDue(after - 1, until, limit),
    readNextReadyAt: (after) => right.readNextReadyAt(after - 1)
  }),

  "lists dead letters by admission alone": (right) => ({
    ...right,
    readAllDead: (after, limit) =>
      Effect.map(
        right.readAllDead(after, 1_000_000),
        (rows) => [...rows].sort((a, b) => b.sequence - a.sequence).slice(0, limit)
      )
  })
} satisfies { readonly [Name in string]: Mistake }
