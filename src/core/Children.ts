/**
 * Children of a batch: inputs that a boundary has sent as a part of the batch's work, to end with it. Each is recorded as
 * a note in the commit that it leaves with, and the commit that cancels the batch carries its cancel.
 *
 * Only a command that is somebody's word ends children: `cancel`, `cancelInput`, `abandonPending`, `stop`, `reset`,
 * `destroy`, and the admission of a cancel, by which they end in their turn. What fails, is lost or is superseded leaves
 * them be: a dead letter may be redriven, and finds what they have done.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type BatchId, IdempotencyKey, InputId, RuntimeId } from "../schema/Ids.js"
import type { Input } from "../schema/Input.js"
import type { Note } from "../schema/Run.js"
import type { Deposit } from "./Commit.js"
import { idOfKey, type Sha256 } from "./Digests.js"
import * as State from "./State.js"
import type { Decide, Transition } from "./Step.js"

const Child = Schema.Struct({ runtimeId: RuntimeId, inputId: InputId })
export type Child = typeof Child.Type

const SCOPE = "children/"

export const scopeOf = (batchId: BatchId): string => `${SCOPE}${batchId}`

/** Such scopes are the driver's own: a child and an application's note must not meet under one name. */
export const isReserved = (scope: string): boolean => scope.startsWith(SCOPE)

export const notesOf = (batchId: BatchId, children: ReadonlyArray<Child>): ReadonlyArray<Note> =>
  children.map(({ inputId, runtimeId }) => ({
    scope: scopeOf(batchId),
    key: inputId,
    value: { runtimeId, inputId }
  }))

/** What is sent again, by a later attempt maybe, is recorded already. */
export const unrecorded = (children: ReadonlyArray<Child>, before: ReadonlyArray<Child>): ReadonlyArray<Child> =>
  children.filter(({ inputId, runtimeId }) =>
    !before.some((one) => one.inputId === inputId && one.runtimeId === runtimeId)
  )

const decodeChild = Schema.decodeUnknownOption(Child)

export const childrenOf = (notes: ReadonlyArray<Note>): ReadonlyArray<Child> =>
  notes.flatMap(({ value }) => Option.toArray(decodeChild(value)))

/** The batches that a transition has ended, of those that have committed something: others have no children. */
export const endedBy = (before: State.DriverState, after: Transition<unknown>): ReadonlyArray<BatchId> => {
  const ended = new Set<BatchId>()
  for (const { head: { id } } of after.commit.inputs) {
    const head = State.get(before, id)
    // Active inputs are in memory, and a member that has ended is not. The last one takes the batch with it.
    if (head?.batch && hasCommitted(before, head.batch) && State.firstOf(after.state, head.batch) === undefined) {
      ended.add(head.batch)
    }
  }
  return [...ended]
}

/** Whether a batch may have sent children. One without any receipt costs no look. */
export const hasCommitted = (state: State.DriverState, batchId: BatchId): boolean =>
  (State.firstOf(state, batchId)?.receipt ?? null) !== null ||
  (state.run?.batch === batchId && state.run.sequence > 0)

/** Word to the driver that the children of some batches have to be found first. Nobody else sees it. */
export class MayHaveChildren {
  readonly _tag = "MayHaveChildren"
}

/** As the command, unless it would end a batch that may have children. */
export const unlessParent = <A, E>(decide: Decide<A, E>): Decide<A, E | MayHaveChildren> => (state, stamp, now) =>
  Either.flatMap(
    decide(state, stamp, now),
    (transition): Either.Either<Transition<A>, MayHaveChildren> =>
      endedBy(state, transition).length === 0 ? Either.right(transition) : Either.left(new MayHaveChildren())
  )

/** The command with what leaves by it. */
export const carrying = <A, E>(decide: Decide<A, E>, deposits: ReadonlyArray<Deposit>): Decide<A, E> =>
  deposits.length === 0
    ? decide
    : (state, stamp, now) =>
      Either.map(decide(state, stamp, now), (transition) => ({
        ...transition,
        commit: { ...transition.commit, deposits: [...transition.commit.deposits, ...deposits] }
      }))

/** Admitted by the child's runtime behind the child itself, since both are rows for the same one, in order. */
export const cancelOf = (sha256: Sha256, parent: RuntimeId, { inputId, runtimeId }: Child, at: number): Input => {
  const idempotencyKey = IdempotencyKey.make(`cancel/${inputId}`)
  return {
    _tag: "operation",
    header: {
      id: idOfKey(sha256, runtimeId, idempotencyKey),
      at,
      origin: { _tag: "peer", peerId: parent, runtimeId: parent },
      durability: "durable",
      visibility: { transcript: false, operator: false },
      idempotencyKey
    },
    operationId: inputId,
    event: { _tag: "cancelled" }
  }
}

/** Whether an input may end others when it is admitted. */
export const isCancel = (input: Input): boolean => input._tag === "operation" && input.event._tag === "cancelled"
