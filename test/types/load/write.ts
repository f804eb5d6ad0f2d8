/**
 * Writes the program of many agents, for measurements by hand:
 * `tsx test/types/load/write.ts <directory> [count]`, then `tsc -p <directory> --extendedDiagnostics`.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { sources } from "./program.js"

const [directory, count = "20"] = process.argv.slice(2)
if (directory === undefined) throw new Error("Where to? Give a directory.")
fs.mkdirSync(directory, { recursive: true })
for (const [name, text] of Object.entries(sources(Number(count)))) fs.writeFileSync(path.join(directory, name), text)
