import { realpathSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Whether this file is the one that was started. Tests import the agents of an example, and do not run it. */
export const isEntry = ({ url }: ImportMeta): boolean =>
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(url))
