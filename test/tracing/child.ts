/** Another process: `node --import tsx child.ts <filename> <runtime>` accepts one input, and says where its span is. */
import { ControlPlane, Input } from "effect-burrow"
import { BurrowSqlite } from "effect-burrow/sqlite"
import * as Effect from "effect/Effect"
import * as process from "node:process"
import { placeOf, recorded } from "./recording.js"

const [filename = "", runtimeId = ""] = process.argv.slice(2)

const program = recorded(
  Effect.flatMap(ControlPlane.ControlPlane, (plane) => plane.ingest(runtimeId, Input.prompt("from elsewhere"))).pipe(
    Effect.withSpan("caller")
  ),
  BurrowSqlite.layer({ filename })
).pipe(
  Effect.map(([story]) => console.log(placeOf(story.one("Driver.accept"))))
)

void Effect.runPromise(program)
