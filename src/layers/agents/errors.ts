/**
 * What the engine refuses, in the words of the everyday API. What is not the caller's is one error; of which kind, its
 * reason says. An error that the engine learns does not compile here until somebody has decided about it.
 */
import {
  AgentClosed,
  type AwaitError,
  type SendError,
  type StoreReason,
  StoreUnavailable
} from "../../schema/AgentError.js"
import type { AwaitError as EngineAwaitError, IngestError } from "../../services/ControlPlane.js"

export const unavailable = (reason: StoreReason): StoreUnavailable => new StoreUnavailable({ reason })

export const sendError = (error: IngestError): SendError => {
  switch (error._tag) {
    case "NotReady":
      return new AgentClosed({ runtimeId: error.runtimeId, state: error.state })
    case "Destroyed":
      return new AgentClosed({ runtimeId: error.runtimeId, state: "destroyed" })
    case "QueueFull":
    case "InputTooLarge":
    case "InvalidInput":
    case "TooManyRuntimes":
    case "IdempotencyConflict":
    case "InsideTransaction":
      return error
    case "WriteFailed":
    case "ReadFailed":
    case "StoreBusy":
    case "CommitUnknown":
    case "StoreReplaced":
    case "TransactionEnded":
    case "RecordCorrupt":
    case "SchemaFromTheFuture":
    case "StoreClosed":
    case "OwnershipLost":
    case "BlobNotFound":
    case "BlobCorrupt":
    case "BlobTooLarge":
    case "BlobInvalidId":
    case "BlobInvalidMediaType":
    case "BlobReadFailed":
    case "BlobWriteFailed":
      return unavailable(error)
  }
}

/** Nothing is decoded here, so nothing is `Undecodable`. */
export const awaitError = (error: EngineAwaitError): Exclude<AwaitError, { readonly _tag: "Undecodable" }> => {
  switch (error._tag) {
    case "DeadLettered":
    case "Cancelled":
    case "Superseded":
    case "Dropped":
    case "Lost":
    case "Refused":
    case "UnknownInput":
    case "WouldDeadlock":
    case "TooManyWaiters":
      return error
    case "ReadFailed":
    case "RecordCorrupt":
    case "SchemaFromTheFuture":
    case "StoreReplaced":
    case "StoreClosed":
    case "OwnershipLost":
      return unavailable(error)
  }
}
