/** What the engine's errors are to those who write agents. */
import { type AwaitError, StoreUnavailable, type Undecodable } from "../../schema/AgentError.js"
import type * as ControlPlane from "../ControlPlane.js"

export const awaitError = (error: ControlPlane.AwaitError): Exclude<AwaitError, Undecodable> => {
  switch (error._tag) {
    case "ReadFailed":
    case "RecordCorrupt":
    case "SchemaFromTheFuture":
    case "OwnershipLost":
    case "StoreReplaced":
    case "StoreClosed":
      return new StoreUnavailable({ reason: error })
    default:
      return error
  }
}
