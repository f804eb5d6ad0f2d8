// Prints "N passed, N failed" for a JSON report of vitest. Plain JavaScript, so that it runs without any dependency.
import { readFileSync } from "node:fs"

const path = process.argv[2]

const summarize = (report) => {
  // A file that failed to load has no failed case in it, and must not disappear from the sum.
  const brokenFiles = report.testResults.filter((file) =>
    file.status === "failed" && !file.assertionResults.some((result) => result.status === "failed")
  )
  return { passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles.length }
}

const read = () => {
  try {
    return summarize(JSON.parse(readFileSync(path, "utf8")))
  } catch (cause) {
    // Without a report the test run itself has failed.
    console.error(`no readable test report: ${cause instanceof Error ? cause.message : String(cause)}`)
    return { passed: 0, failed: 1 }
  }
}

const { failed, passed } = read()
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
