/**
 * Kills this process right before or right after a COMMIT of its own: the statement itself, as the store's client runs
 * it, whoever it is for. Each commit has a name, made of what it is about to commit.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as process from "node:process"

export interface Shot {
  /** A name, or the number of the commit, from 1. */
  readonly at: string | number
  readonly when: "before" | "after"
}

/** Nothing of this process runs after it, not even what is queued. */
export const die = (): never => {
  process.kill(process.pid, "SIGKILL")
  for (;;);
}

type Db = Database.Database

interface Statement {
  run: () => unknown
  readonly all: (...params: Array<unknown>) => Array<unknown>
}

const prepare = Database.prototype.prepare as (this: Db, sql: string) => Statement

interface Seen {
  readonly events: number
  readonly inputs: number
  readonly deposits: ReadonlyMap<number, string>
  readonly epochs: ReadonlyMap<string, number>
}

const nothing: Seen = { events: 0, inputs: 0, deposits: new Map(), epochs: new Map() }

const all = (db: Db, sql: string, ...params: Array<unknown>): ReadonlyArray<Record<string, unknown>> =>
  prepare.call(db, sql).all(...params) as ReadonlyArray<Record<string, unknown>>

const tablesOf = (db: Db): boolean => all(db, "SELECT 1 FROM sqlite_master WHERE name = 'burrow_deposits'").length > 0

const textOf = (payload: unknown): string => /"text":"([^"]*)"/.exec(String(payload))?.[1] ?? "?"

const look = (db: Db): Seen => ({
  events: Number(all(db, "SELECT coalesce(max(no), 0) AS n FROM burrow_events")[0]!["n"]),
  inputs: Number(all(db, "SELECT coalesce(max(no), 0) AS n FROM burrow_inputs")[0]!["n"]),
  deposits: new Map(
    all(db, "SELECT no, payload FROM burrow_deposits WHERE failure IS NULL").map((row) =>
      [Number(row["no"]), textOf(row["payload"])] as const
    )
  ),
  epochs: new Map(
    all(db, "SELECT runtime_id, epoch FROM burrow_runtimes").map((row) =>
      [String(row["runtime_id"]), Number(row["epoch"])] as const
    )
  )
})

const nameOf = (db: Db, before: Seen, now: Seen): string => {
  const parts: Array<string> = []
  for (const [runtime, epoch] of now.epochs) {
    if (epoch !== before.epochs.get(runtime)) parts.push(`claim ${runtime}`)
  }
  for (const row of all(db, "SELECT payload FROM burrow_inputs WHERE no > ? ORDER BY no", before.inputs)) {
    parts.push(`accept ${textOf(row["payload"])}`)
  }
  for (const row of all(db, "SELECT code, data FROM burrow_events WHERE no > ? ORDER BY no", before.events)) {
    const { boundary, sequence } = JSON.parse(String(row["data"]))
    if (row["code"] === "run.boundary") parts.push(`${boundary} ${sequence}`)
    else if (row["code"] === "run.started") parts.push("stage")
    else if (row["code"] !== "input.accepted") parts.push(String(row["code"]))
  }
  for (const [no, text] of before.deposits) if (!now.deposits.has(no)) parts.push(`settle ${text}`)
  const [version] = all(db, "SELECT value FROM burrow_meta WHERE name = 'owner'")
  return parts.length > 0 ? parts.join(", ") : version === undefined ? "tables" : "opening"
}

/** From now on every commit to a store's tables is told to `journal` by name, and one of them is the last. */
export const arm = (journal: string | undefined, shot: Shot | undefined): void => {
  const isNaming = journal !== undefined || typeof shot?.at === "string"
  let number = 0
  // Reads of several statements are transactions too: they begin otherwise.
  const writing = new WeakMap<Db, Seen>()
  const beginning = (db: Db, begin: () => unknown): unknown => {
    writing.set(db, isNaming && tablesOf(db) ? look(db) : nothing)
    return begin()
  }
  const committing = (db: Db, commit: () => unknown): unknown => {
    const before = writing.get(db)
    if (!writing.delete(db) || before === undefined) return commit()
    number++
    const name = isNaming ? nameOf(db, before, look(db)) : ""
    const isIt = shot !== undefined && (shot.at === name || shot.at === number)
    if (isIt && shot.when === "before") die()
    const result = commit()
    if (journal !== undefined) fs.appendFileSync(journal, `${name}\n`)
    if (isIt) die()
    return result
  }
  Database.prototype.prepare = function(this: Db, sql: string) {
    const statement = prepare.call(this, sql)
    const run = statement.run.bind(statement)
    switch (sql) {
      case "BEGIN IMMEDIATE":
        return Object.assign(statement, { run: () => beginning(this, () => run()) })
      case "COMMIT":
        return Object.assign(statement, { run: () => committing(this, () => run()) })
      default:
        return statement
    }
  } as unknown as Db["prepare"]
}
