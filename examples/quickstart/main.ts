/**
 * The main job of the project: a text becomes durable prompts, and a small agent consumes them line by line. Kill it
 * wherever you like, and start it again on the same file.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as process from "node:process"
import * as Arguments from "./arguments.js"
import * as Job from "./job.js"
import * as Output from "./output.js"
import { report } from "./report.js"

const main = Effect.gen(function*() {
  const args = yield* Arguments.parse(process.argv.slice(2))
  switch (args._tag) {
    case "help":
      return yield* Output.line(`Usage: ${Arguments.usage}`)
    case "report":
      return yield* report(args.db)
    case "run":
      return yield* Job.run(args)
  }
})

/** 130: ended by a signal, as shells know it. */
const exitCode = (exit: Exit.Exit<unknown, unknown>): number =>
  Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1

/** What the engine logs is for people. */
const log = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

main.pipe(
  Effect.provide([NodeContext.layer, log]),
  Logger.withMinimumLogLevel(LogLevel.Error),
  Effect.tapErrorCause(Output.complain),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(exitCode(exit))
  })
)
