/** In front of an example: `<filename> <shot and journal as JSON> <its own arguments>`. It dies at the shot. */
import * as process from "node:process"
import { arm, type Shot } from "../chaos/commits.js"

const [filename = "", options = "{}"] = process.argv.splice(2, 2)
const { journal, shot }: { readonly journal?: string; readonly shot?: Shot } = JSON.parse(options)

process.env["DB"] = filename
arm(journal, shot)
