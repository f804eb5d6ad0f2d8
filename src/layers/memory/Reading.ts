/**
 * What the reads of a store answer, over rows in memory.
 */
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type { InputHeadRow, InputRow } from "../../core/Rows.js"
import { RIDES_ALONG } from "../../services/codecs.js"
import type { Encoded, StoredDepositRow, Totals } from "../../services/RuntimeStoreEncoded.js"
import { copyBytes, knownOf, type Ordered, receiptAt, type Runtime, type Tables } from "./Tables.js"

type ReadName = Exclude<
  {
    [M in keyof Encoded]-?: M extends `read${string}` ? M : never
  }[keyof Encoded],
  "readVersion"
>

type Reads = {
  readonly [M in ReadName]: (
    tables: Tables,
    ...args: Parameters<Encoded[M]>
  ) => Effect.Effect.Success<ReturnType<Encoded[M]>>
}

/** The first `limit` answers behind a key. */
const page = <K extends number | string, V, A>(
  table: Ordered<K, V>,
  after: K | null,
  limit: number,
  answer: (value: V, key: K) => A | undefined
): ReadonlyArray<A> => {
  const answers: Array<A> = []
  if (limit <= 0) return answers
  for (const [key, value] of table.after(after)) {
    const one = answer(value, key)
    if (one !== undefined && answers.push(one) >= limit) break
  }
  return answers
}

const inputOf = (runtime: Runtime, inputId: string | undefined): InputRow | null => {
  if (inputId === undefined) return null
  const head = runtime.inputs.get(inputId)?.row
  const payload = runtime.payloads.get(inputId)
  return head === undefined || payload === undefined ? null : { ...head, payload }
}

const isDead = (runtime: Runtime, inputId: string): boolean => {
  const head = runtime.inputs.get(inputId)?.row
  if (head?.phase !== "abandoned") return false
  const { outcome } = head
  const parsed = Either.getOrNull(Either.try(() => JSON.parse(outcome ?? "null") as unknown))
  return Predicate.isTagged(parsed, "abandoned") && Predicate.hasProperty(parsed, "reason") &&
    (Predicate.isTagged(parsed.reason, "max_attempts_exhausted") || Predicate.isTagged(parsed.reason, "failed"))
}

const allDead = (
  tables: Tables,
  after: { readonly runtimeId: string; readonly sequence: number } | null,
  limit: number
): ReadonlyArray<InputRow & { readonly runtimeId: string }> => {
  const dead: Array<InputRow & { readonly runtimeId: string }> = []
  const first = after === null ? undefined : tables.runtimes.get(after.runtimeId)
  const walk = (runtimeId: string, runtime: Runtime, behind: number | null): void => {
    for (const [, inputId] of runtime.admitted.after(behind)) {
      if (dead.length >= limit) return
      const input = isDead(runtime, inputId) ? inputOf(runtime, inputId) : null
      if (input !== null) dead.push({ runtimeId, ...input })
    }
  }
  if (after !== null && first !== undefined) walk(after.runtimeId, first, after.sequence)
  for (const [runtimeId, runtime] of tables.runtimes.after(after?.runtimeId ?? null)) {
    if (dead.length >= limit) break
    walk(runtimeId, runtime, null)
  }
  return dead
}

const due = (
  { ready }: Tables,
  after: number,
  until: number,
  limit: number
): ReadonlyArray<{ readonly runtimeId: string; readonly readyAt: number }> => {
  const earliest = new Map<string, number>()
  for (const [readyAt, inputs] of ready.after(after)) {
    if (readyAt > until || earliest.size >= limit) break
    for (const runtimeId of [...inputs.values()].sort()) {
      if (!earliest.has(runtimeId) && earliest.size < limit) earliest.set(runtimeId, readyAt)
    }
  }
  return Array.from(earliest, ([runtimeId, readyAt]) => ({ runtimeId, readyAt }))
}

const readyAtOf = ({ batchId, phase, policy, readyAt }: InputHeadRow): number | null =>
  batchId === null && policy.includes(RIDES_ALONG) ? null : phase === "held" ? readyAt : readyAt ?? 0

/** `undefined` when the runtime waits for nothing. */
const pendingOf = (runtime: Runtime): number | null | undefined => {
  if (runtime.row !== null && runtime.row.runId !== null) return 0
  let earliest: number | null | undefined = undefined
  for (const [, inputId] of runtime.active.after(null)) {
    const head = runtime.inputs.get(inputId)?.row
    if (head === undefined) continue
    if (head.phase === "staged") return 0
    const readyAt = readyAtOf(head)
    earliest = earliest === undefined || earliest === null || readyAt === null
      ? earliest ?? readyAt
      : Math.min(earliest, readyAt)
  }
  return earliest
}

const totalsOf = (runtime: Runtime): Totals => {
  const totals = {
    accepted: runtime.inputs.size,
    active: 0,
    held: 0,
    consumed: 0,
    superseded: 0,
    coalesced: 0,
    abandoned: 0,
    receipts: runtime.receipts.size,
    runs: 0
  }
  for (const { row: { outcome, phase } } of runtime.inputs.values()) {
    if (phase === "held" || phase === "consumed" || phase === "superseded" || phase === "coalesced") totals[phase] += 1
    else if (phase === "abandoned") totals.abandoned += 1
    else if (outcome === null) totals.active += 1
  }
  for (const [, { row }] of runtime.events.after(null)) {
    if (row.code === "run.started") totals.runs += 1
  }
  return totals
}

export const reads: Reads = {
  readCell: (tables, cell) => copyBytes(tables.cells.get(cell) ?? null),
  readRuntime: (tables, runtimeId) => tables.runtime(runtimeId).row,
  readRuntimes: (tables, after, limit) =>
    page(
      tables.runtimes,
      after,
      limit,
      ({ row }, runtimeId) => row === null ? undefined : { runtimeId, state: row.state }
    ),
  readPending: (tables, after, limit) =>
    page(tables.runtimes, after, limit, (runtime, runtimeId) => {
      const readyAt = pendingOf(runtime)
      return readyAt === undefined ? undefined : { runtimeId, readyAt }
    }),
  readDue: due,
  readNextReadyAt: (tables, after) => {
    for (const [readyAt] of tables.ready.after(after)) return readyAt
    return null
  },
  readDeposit: ({ deposits }, runtimeId, inputId) => {
    let found: StoredDepositRow | null = null
    for (const [, row] of deposits.after(null)) {
      if (row.runtimeId === runtimeId && row.inputId === inputId) found = row
    }
    return found
  },
  readDeposits: ({ deposits }, { after, limit, refused }) =>
    page(deposits, after, limit, (row) => (row.failure !== null) === refused ? row : undefined),
  readAllDead: allDead,
  readInput: (tables, runtimeId, inputId) => inputOf(tables.runtime(runtimeId), inputId),
  readInputByKey: (tables, runtimeId, key) => {
    const runtime = tables.runtime(runtimeId)
    return inputOf(runtime, runtime.idsByKey.get(key))
  },
  readInputs: (tables, runtimeId, { after, filter, limit }) => {
    const runtime = tables.runtime(runtimeId)
    return page(filter === "active" ? runtime.active : runtime.admitted, after, limit, (inputId) => {
      const wanted = filter !== "dead" || isDead(runtime, inputId)
      return wanted ? inputOf(runtime, inputId) ?? undefined : undefined
    })
  },
  readKnown: (tables, runtimeId, inputIds, keys) => knownOf(tables.runtime(runtimeId), inputIds, keys),
  readPayloads: (tables, runtimeId, inputIds) => {
    const { payloads } = tables.runtime(runtimeId)
    return Array.from(new Set(inputIds)).flatMap((inputId) => {
      const payload = payloads.get(inputId)
      return payload === undefined ? [] : [{ inputId, payload }]
    })
  },
  readReceipt: (tables, runtimeId, runId, sequence) => {
    const stored = receiptAt(tables.runtime(runtimeId), runId, sequence)
    return stored === undefined ? null : { receipt: stored.row.receipt, result: stored.row.result }
  },
  readSession: (tables, runtimeId) => tables.runtime(runtimeId).session?.row ?? null,
  readSnapshot: (tables, runtimeId) => copyBytes(tables.runtime(runtimeId).snapshot),
  readMessages: (tables, runtimeId, start, limit) =>
    tables.runtime(runtimeId).messages.slice(Math.max(start, 0), Math.max(start, 0) + Math.max(limit, 0)),
  readRewrites: (tables, runtimeId) => [...tables.runtime(runtimeId).rewrites],
  readNotes: (tables, runtimeId, scope, key) => {
    const notes = tables.runtime(runtimeId).notes.get(scope)
    if (key === null) return [...notes?.values() ?? []]
    const note = notes?.get(key)
    return note === undefined ? [] : [note]
  },
  readEvents: (tables, runtimeId, after, limit) => {
    const runtime = tables.runtime(runtimeId)
    return {
      floor: 0,
      events: page(runtime.events, after, limit, ({ row }) => row),
      accepts: page(runtime.active, after, limit, (id) => {
        const head = runtime.inputs.get(id)?.row
        if (head === undefined) return undefined
        const { acceptedAt, inputId, kind, lane, sequence } = head
        return { inputId, sequence, acceptedAt, kind, lane }
      })
    }
  },
  readOps: (tables, runtimeId) => tables.runtime(runtimeId).ops,
  readTotals: (tables, runtimeId) => totalsOf(tables.runtime(runtimeId)),
  readStamp: (tables, runtimeId, witness) => {
    const runtime = tables.runtime(runtimeId)
    switch (witness._tag) {
      case "runtime":
        return runtime.row && { epoch: runtime.row.epoch, n: runtime.row.n }
      case "input":
        return runtime.inputs.get(witness.inputId)?.stamp ?? null
      case "receipt":
        return receiptAt(runtime, witness.runId, witness.sequence)?.stamp ?? null
      case "event":
        return runtime.events.get(witness.number)?.stamp ?? null
      case "session":
        return runtime.session?.stamp ?? null
    }
  }
}
