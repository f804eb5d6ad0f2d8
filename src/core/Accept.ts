/**
 * Admission: state, validity, idempotency, policy, lane, supersession.
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { Destroyed, NotReady, QueueFull } from "../schema/DriverError.js"
import type { BatchId, IdempotencyKey, InputId, Stamp } from "../schema/Ids.js"
import { type Input, kindOf } from "../schema/Input.js"
import type { InputHead } from "../schema/InputState.js"
import type { Limits } from "../schema/Limits.js"
import type { AcceptOutcome } from "../schema/Report.js"
import { IdempotencyConflict } from "../schema/StoreError.js"
import { validate } from "./Admission.js"
import { canApply } from "./InputLifecycle.js"
import { acceptsInput } from "./Lifecycle.js"
import * as PolicyTable from "./PolicyTable.js"
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
    if (!acceptsInput[state.phase]) {
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
      outcome: null,
      failure: null,
      updatedAt: now
    }
    if (policy.consume === "on_accept") return Either.right(consumedAtOnce(step, head, payload))

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

const consumedAtOnce = (step: Step, head: InputHead, payload: string): Transition<AcceptOutcome> => {
  const consumed: InputHead = {
    ...head,
    phase: "consumed",
    outcome: { _tag: "consumed", runId: null, sequence: null }
  }
  step.insert(consumed, payload)
  step.emit({ _tag: "input.consumed", inputId: head.id })
  return step.finish<AcceptOutcome>({
    _tag: "accepted",
    inputId: head.id,
    sequence: head.sequence,
    state: consumed
  })
}

/** Its batch has committed something, or a run has had it: it can no longer be as if it had never been. */
export const hasActed = (head: InputHead): boolean => head.receipt !== null || head.recorded

/** The older input of the same scope, when it can still be replaced. */
const replaceable = (state: State.DriverState, head: InputHead): InputHead | undefined => {
  const scope = State.scopeOf(head)
  if (scope === undefined) return undefined
  const older = State.newestOf(state, scope)
  return older !== undefined && canApply(older.phase, "supersede") && !hasActed(older) ? older : undefined
}

/** Ends an input in favour of a newer one. */
export const replace = (step: Step, older: InputHead, newer: InputHead, how: "coalesce" | "supersede"): void => {
  const batch = older.batch
  if (how === "coalesce") {
    step.end(older, "coalesce", { _tag: "coalesced", into: newer.id }, {
      _tag: "input.coalesced",
      inputId: older.id,
      into: newer.id
    })
  } else {
    step.end(older, "supersede", { _tag: "superseded", by: newer.id }, {
      _tag: "input.superseded",
      inputId: older.id,
      by: newer.id
    })
  }
  dissolve(step, batch)
}

/** A batch that has lost a member and committed nothing: no key may stand for two different sets of inputs. */
export const dissolve = (step: Step, batch: BatchId | null): void => {
  if (batch === null) return
  for (const member of State.members(step.state, batch)) step.amend(member, { batch: null })
}
