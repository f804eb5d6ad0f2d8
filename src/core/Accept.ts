/**
 * Admission: state, validity, idempotency, policy, lane, supersession.
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { Destroyed, NotReady, QueueFull, UnknownOperation } from "../schema/DriverError.js"
import type { IdempotencyKey, InputId, Stamp } from "../schema/Ids.js"
import { type Input, kindOf } from "../schema/Input.js"
import type { InputHead } from "../schema/InputState.js"
import type { Limits } from "../schema/Limits.js"
import type { AcceptOutcome } from "../schema/Report.js"
import { IdempotencyConflict } from "../schema/StoreError.js"
import { validate } from "./Admission.js"
import { acceptsInput, stagesRuns } from "./Lifecycle.js"
import * as Operations from "./Operations.js"
import * as PolicyTable from "./PolicyTable.js"
import { replace, replaceable } from "./Replacement.js"
import * as State from "./State.js"
import { Step, type Transition } from "./Step.js"

export interface AcceptCommand {
  readonly input: Input
  /** The encoded body as it is stored. */
  readonly payload: string
  readonly payloadDigest: string
}

/** An input that has the id or key of a new one, from memory or from the store. */
export interface Known {
  readonly inputId: string
  readonly idempotencyKey: string | null
  readonly payloadDigest: string
  readonly sequence: number
}

export type AcceptRefusal = NotReady | Destroyed | QueueFull | IdempotencyConflict

export const accept =
  (command: AcceptCommand, limits: Limits, known: ReadonlyArray<Known>) =>
  (state: State.DriverState, stamp: Stamp, now: number): Either.Either<Transition<AcceptOutcome>, AcceptRefusal> => {
    const { input, payload, payloadDigest } = command
    const { runtimeId } = state
    const { id, idempotencyKey: key = null } = input.header
    const step = new Step(state, stamp, now)

    const existing = same(state, known, id, key)
    if (existing.length > 0) {
      return existing.every((one) => one.payloadDigest === payloadDigest && one.inputId === existing[0]!.inputId)
        ? Either.right(step.finish<AcceptOutcome>({
          _tag: "deduplicated",
          inputId: id,
          existing: existing[0]!.inputId as InputId,
          sequence: existing[0]!.sequence
        }))
        : Either.left(new IdempotencyConflict({ runtimeId, key, inputId: existing[0]!.inputId }))
    }
    if (state.phase === "destroyed") return Either.left(new Destroyed({ runtimeId }))
    // What is drained may wait for it, and could not be drained otherwise.
    if (!acceptsInput[state.phase] && !(stagesRuns[state.phase] && Operations.concerns(state, input))) {
      return Either.left(new NotReady({ runtimeId, state: State.runtimeState(state), command: "accept" }))
    }
    const reason = validate(input)
    if (reason !== undefined) return Either.right(step.finish<AcceptOutcome>({ _tag: "rejected", inputId: id, reason }))

    const runOpen = state.run !== null
    const policy = PolicyTable.resolve(input, { runOpen, silentIntents: state.silentIntents })
    const head: InputHead = {
      id,
      sequence: step.number(),
      acceptedAt: now,
      kind: kindOf(input),
      durability: input.header.durability,
      key,
      supersessionKey: input.header.supersessionKey ?? null,
      payloadDigest,
      policy,
      lane: PolicyTable.laneOf(policy),
      phase: "queued",
      attempt: 0,
      stagings: 0,
      batch: null,
      run: null,
      receipt: null,
      readyAt: input.header.deliverAt !== undefined && input.header.deliverAt > now ? input.header.deliverAt : null,
      deliverAt: input.header.deliverAt ?? null,
      hold: null,
      recorded: false,
      awaits: [],
      outcome: null,
      failure: null,
      updatedAt: now
    }
    if (policy.consume === "on_accept") return Either.right(consumedAtOnce(step, head, command, limits))

    const replaced = policy.queue === "fifo" ? undefined : replaceable(state, head)
    // What it replaces makes room for it.
    if (State.activeCount(state) - (replaced ? 1 : 0) >= limits.queueDepthMax) {
      return Either.left(new QueueFull({ runtimeId, queueDepthMax: limits.queueDepthMax }))
    }
    step.insert(head, payload)
    if (replaced !== undefined) {
      replace(step, replaced, head, policy.queue === "coalesce" ? "coalesce" : "supersede")
    }
    step.wake(PolicyTable.signalOf(policy, runOpen))
    return Either.right(step.finish<AcceptOutcome>({
      _tag: "accepted",
      inputId: id,
      sequence: head.sequence,
      state: head
    }))
  }

/** Admits the end of an operation that somebody waits for. One that has ended is known by its key, whoever waits still. */
export const endOperation = (command: AcceptCommand, limits: Limits, known: ReadonlyArray<Known>) =>
(
  state: State.DriverState,
  stamp: Stamp,
  now: number
): Either.Either<Transition<AcceptOutcome>, AcceptRefusal | UnknownOperation> => {
  const { input } = command
  const isKnown = same(state, known, input.header.id, input.header.idempotencyKey ?? null).length > 0
  // Of a runtime that takes none now it is not said whether somebody waits.
  return isKnown || !stagesRuns[state.phase] || Operations.isAwaited(state, input, now)
    ? accept(command, limits, known)(state, stamp, now)
    : Either.left(new UnknownOperation({ runtimeId: state.runtimeId, operationId: Operations.nameOf(input) }))
}

const same = (
  state: State.DriverState,
  known: ReadonlyArray<Known>,
  id: InputId,
  key: IdempotencyKey | null
): ReadonlyArray<Known> => {
  const byKey = key === null ? undefined : Option.getOrUndefined(HashMap.get(state.byKey, key))
  const inMemory = [State.get(state, id), byKey === undefined ? undefined : State.get(state, byKey)].flatMap((head) =>
    head === undefined
      ? []
      : [{ inputId: head.id, idempotencyKey: head.key, payloadDigest: head.payloadDigest, sequence: head.sequence }]
  )
  return [
    ...inMemory,
    ...known.filter((one) => one.inputId === id || (key !== null && one.idempotencyKey === key))
  ]
}

const consumedAtOnce = (
  step: Step,
  head: InputHead,
  { input, payload }: AcceptCommand,
  limits: Limits
): Transition<AcceptOutcome> => {
  const consumed: InputHead = {
    ...head,
    phase: "consumed",
    outcome: { _tag: "consumed", runId: null, sequence: null }
  }
  step.insert(consumed, payload)
  step.emit({ _tag: "input.consumed", inputId: head.id })
  Operations.follow(step, input, limits)
  return step.finish<AcceptOutcome>({
    _tag: "accepted",
    inputId: head.id,
    sequence: head.sequence,
    state: consumed
  })
}
