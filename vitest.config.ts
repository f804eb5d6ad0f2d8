import * as os from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (file: string) => fileURLToPath(new URL(`./src/${file}`, import.meta.url))
const isCI = process.env["CI"] !== undefined && process.env["CI"] !== "" && process.env["CI"] !== "false"

export default defineConfig({
  resolve: {
    // Exact matches: a prefix match would also rewrite paths which the package does not export.
    alias: [
      { find: /^effect-burrow$/, replacement: source("index.ts") },
      { find: /^effect-burrow\/sqlite$/, replacement: source("sqlite.ts") },
      { find: /^effect-burrow\/testing$/, replacement: source("testing.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Also where there are two processors only: much of the time goes to waiting for disks and child processes.
    poolOptions: { forks: { maxForks: Math.max(2, os.availableParallelism() - 1) } },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: isCI ? ["default", "json"] : ["default"],
    outputFile: { json: "test-report/vitest.json" }
  }
})
