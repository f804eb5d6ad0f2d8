/**
 * What the end of an operation does beside being admitted, in the same commit.
 *
 *   its key is the operation's, and a batch waits for it:
 *     running                 goes on, and is told
 *     held as a question      queued again, whole
 *     otherwise               stays where it is
 *   it is `cancelled`, and has the name of an active input:
 *     queued, held            abandoned{cancelled}
 *     staged                  abandoned{cancelled}, with the whole run
 *
 * An end under another key ends nothing: how an operation ended is found by its name.
 */
import { type InputId, isStorable, operationKey } from "../schema/Ids.js"
import type { Input, OperationEnd } from "../schema/Input.js"
import type { InputHead } from "../schema/InputState.js"
import type { Limits } from "../schema/Limits.js"
import { cancelOne, releaseAll } from "./Close.js"
import * as State from "./State.js"
import type { Step } from "./Step.js"

type Operation = Extract<Input, { readonly _tag: "operation" }>
type Ending = Omit<Operation, "event"> & { readonly event: OperationEnd }

/** News of work that goes on end nothing. */
const isEnding = (input: Input): input is Ending =>
  input._tag === "operation" && input.event._tag !== "started" && input.event._tag !== "progress"

/** The one by which everybody will know how the operation ended. */
export const isTheEnd = (input: Input): input is Ending =>
  isEnding(input) && isStorable(input.operationId) && input.header.idempotencyKey === operationKey(input.operationId)

/** The inputs whose batches wait for this very end. */
const waitingFor = (state: State.DriverState, input: Ending): ReadonlyArray<InputHead> =>
  isTheEnd(input) ? State.awaiting(state, input.operationId) : []

/** The input that goes by the operation's name, when that was given up. */
const cancelled = (state: State.DriverState, { event, operationId }: Ending): InputHead | undefined =>
  event._tag === "cancelled" ? State.get(state, operationId as InputId) : undefined

/** Whether something active is ended, or goes on, with this input: then also a runtime takes it that is being drained. */
export const concerns = (state: State.DriverState, input: Input): boolean =>
  isEnding(input) && (waitingFor(state, input).length > 0 || cancelled(state, input) !== undefined)

/** Whether a batch waits for an operation, and has not waited too long for such an end. */
export const isAwaited = (state: State.DriverState, input: Input, now: number): boolean =>
  isEnding(input) && waitingFor(state, input).some(({ awaits }) =>
    awaits.some(({ operationId, until }) =>
      // That it has been waited for too long is said by this end too.
      operationId === input.operationId && (until === null || until > now || input.event._tag === "cancelled")
    )
  )

export const nameOf = (input: Input): string => input._tag === "operation" ? input.operationId : ""

/** The consequences of an input that has just been admitted. */
export const follow = (step: Step, input: Input, limits: Limits): void => {
  if (!isEnding(input)) return
  goOn(step, input)
  const named = cancelled(step.state, input)
  if (named !== undefined) cancelOne(step, named, reasonOf(input, limits), limits)
}

const goOn = (step: Step, input: Ending): void => {
  const { event, header, operationId } = input
  const waiting = waitingFor(step.state, input)
  if (waiting.length === 0) return
  step.emit({ _tag: "operation.ended", operationId, how: event._tag, inputId: header.id })
  const held = new Set<NonNullable<InputHead["batch"]>>()
  for (const head of waiting) {
    step.amend(head, { awaits: head.awaits.filter((one) => one.operationId !== operationId) })
    if (head.phase === "held" && head.hold === "question" && head.batch !== null) held.add(head.batch)
  }
  for (const batch of held) releaseAll(step, State.members(step.state, batch))
  // Also a run that is open listens for it.
  step.wake("wake_loop")
}

const reasonOf = ({ header: { origin } }: Ending, { failureLengthMax }: Limits): string =>
  origin._tag === "peer" ? `cancelled by ${origin.peerId}`.slice(0, failureLengthMax) : "cancelled"
