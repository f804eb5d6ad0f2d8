import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as process from "node:process"
import { linesOf, run, type Start, temporaryFolder } from "../crash/job.js"

/** Root may do everything: then the job runs as somebody who may not. */
const NOBODY = 65_534
const unprivileged: Start = process.getuid?.() === 0 ? { uid: NOBODY } : {}

/** Every file and folder, with its bytes. */
const listing = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort().map((name) => {
    const file = path.join(folder, name)
    return fs.statSync(file).isFile() ? `${name}: ${fs.readFileSync(file, "hex")}` : `${name}/`
  })

interface Case {
  readonly name: string
  /** Makes what is there before; answers the arguments. */
  readonly prepare: (folder: string) => ReadonlyArray<string> | Effect.Effect<ReadonlyArray<string>>
  readonly says: RegExp
  readonly start?: Start
}

const textIn = (folder: string, text = "one\ntwo\n"): string => {
  fs.writeFileSync(`${folder}/text.txt`, text)
  return `${folder}/text.txt`
}

const storeIn = (folder: string): Effect.Effect<string> =>
  Effect.as(run(["--db", `${folder}/a.db`], { stdin: { text: "one\n" } }), `${folder}/a.db`)

const cases: ReadonlyArray<Case> = [
  {
    name: "wrong arguments",
    prepare: (folder) => ["--db", `${folder}/a.db`, "--crash-after", "0"],
    says: /--crash-after needs a positive whole number, not "0"\. Usage: npm run quickstart/
  },
  {
    name: "an unknown flag",
    prepare: (folder) => ["--db", `${folder}/a.db`, "--crash"],
    says: /Unknown option '--crash'\. Usage: npm run quickstart/
  },
  {
    name: "a text that does not exist",
    prepare: (folder) => ["--db", `${folder}/a.db`, `${folder}/none.txt`],
    says: /none\.txt cannot be read: there is no such file/
  },
  {
    name: "a text that may not be read",
    prepare: (folder) => {
      fs.chmodSync(textIn(folder), 0o000)
      return ["--db", `${folder}/a.db`, `${folder}/text.txt`]
    },
    says: /text\.txt cannot be read: permission is denied/,
    start: unprivileged
  },
  {
    name: "a directory as text",
    prepare: (folder) => ["--db", `${folder}/a.db`, folder],
    says: /cannot be read: it is a directory/
  },
  {
    name: "a directory as database",
    prepare: (folder) => ["--db", folder, textIn(folder)],
    says: /cannot be opened as a store: it is a folder/
  },
  {
    name: "a file as the folder of the database",
    prepare: (folder) => ["--db", `${textIn(folder)}/deep/a.db`, textIn(folder)],
    says: /cannot be opened as a store: .* is not a folder/
  },
  {
    name: "a file that is not a database",
    prepare: (folder) => ["--db", textIn(folder, "This is a letter, and no database.\n".repeat(100)), textIn(folder)],
    says: /cannot be opened as a store: it is not a SQLite database/
  },
  {
    name: "a read-only database",
    prepare: (folder) =>
      Effect.map(storeIn(folder), (db) => {
        fs.chmodSync(db, 0o444)
        return ["--db", db, textIn(folder)]
      }),
    says: /a\.db cannot be opened as a store: .*(read-only|permission)/,
    start: unprivileged
  },
  {
    name: "a database in a read-only folder",
    prepare: (folder) => {
      fs.mkdirSync(`${folder}/locked`, { mode: 0o555 })
      return ["--db", `${folder}/locked/a.db`, textIn(folder)]
    },
    says: /locked\/a\.db cannot be opened as a store/,
    start: unprivileged
  },
  {
    name: "a database of a newer version",
    prepare: (folder) =>
      Effect.map(storeIn(folder), (db) => {
        const database = new Database(db)
        database.exec("INSERT INTO burrow_migrations VALUES (999, 'of another time', 0)")
        database.close()
        return ["--db", db, textIn(folder)]
      }),
    says: /has version 999; this library knows up to \d+\. Use a newer one/
  },
  {
    name: "a report on a file that does not exist",
    prepare: (folder) => ["--report", "--db", `${folder}/a.db`],
    says: /a\.db cannot be opened as a store: it does not exist/
  },
  {
    name: "a report on a file that is not a database",
    prepare: (folder) => ["--report", "--db", textIn(folder, "This is a letter, and no database.\n".repeat(100))],
    says: /cannot be opened as a store: it is not a SQLite database/
  },
  {
    name: "a report on a SQLite database that is no store",
    prepare: (folder) => {
      const database = new Database(`${folder}/other.db`)
      database.exec("CREATE TABLE other (a)")
      database.close()
      return ["--report", "--db", `${folder}/other.db`]
    },
    says: /other\.db cannot be opened as a store/
  }
]

describe("gets one clear line and a non-zero exit, and nothing half-made is left:", () => {
  for (const { name, prepare, says, start } of cases) {
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        fs.chmodSync(folder, 0o777)
        const prepared = prepare(folder)
        const args = Effect.isEffect(prepared) ? yield* prepared : prepared
        const before = listing(folder)
        const job = yield* run(args, { ...start, env: { TMPDIR: folder } })
        assert.strictEqual(job.code, 1)
        assert.match(job.stderr, says)
        assert.match(job.stderr, /^quickstart: /)
        assert.lengthOf(linesOf(job.stderr), 1, job.stderr)
        assert.strictEqual(job.stdout, "")
        assert.deepStrictEqual(listing(folder).filter((entry) => !entry.startsWith("tsx-")), before)
      }), 120_000)
  }
})
