/**
 * A driver state with the obvious database under it: a map of heads by id, and what commits append. Every commit is
 * checked against what is already there as it is applied.
 */
import { assert } from "@effect/vitest"
import * as Either from "effect/Either"
import { accept, type AcceptRefusal, endOperation, type Known } from "../../src/core/Accept.js"
import { boundary, type BoundaryCommand, type BoundaryRefusal, type BoundaryReply } from "../../src/core/Boundary.js"
import { close, type CloseCommand } from "../../src/core/Close.js"
import * as Commit from "../../src/core/Commit.js"
import { append } from "../../src/core/Projection.js"
import { type InDoubt, recover } from "../../src/core/Recover.js"
import { noDelta } from "../../src/core/Session.js"
import { stage, type StageCommand, type StageRefusal, type StageReply } from "../../src/core/Stage.js"
import * as State from "../../src/core/State.js"
import type { Decide } from "../../src/core/Step.js"
import type { Transition } from "../../src/core/Step.js"
import type { UnknownOperation } from "../../src/schema/DriverError.js"
import { type InputId, operationKey } from "../../src/schema/Ids.js"
import type { Input } from "../../src/schema/Input.js"
import { type InputHead, isTerminal } from "../../src/schema/InputState.js"
import { canonical } from "../../src/schema/Json.js"
import type { Limits } from "../../src/schema/Limits.js"
import type { WakeSignal } from "../../src/schema/Policy.js"
import type { CloseReply } from "../../src/schema/Report.js"
import type { AcceptOutcome, RecoveryReport } from "../../src/schema/Report.js"
import type { OpenRun, Receipt } from "../../src/schema/Run.js"
import type { LifecycleRecord } from "../../src/schema/Runtime.js"
import type { EventRecord, RuntimeEvent } from "../../src/schema/RuntimeEvent.js"
import type { SessionHead } from "../../src/schema/Session.js"
import type { RunNotOpen } from "../../src/schema/StoreError.js"
import {
  batchId,
  digestOf,
  emptyState,
  limits as defaultLimits,
  runId,
  runtimeId,
  sessionId,
  sha256,
  stamp
} from "./support.js"

export class Database {
  readonly heads = new Map<InputId, InputHead>()
  readonly payloads = new Map<InputId, string>()
  readonly events = new Map<number, EventRecord>()
  readonly receipts: Array<Receipt> = []
  lifecycle: LifecycleRecord = State.record(emptyState())
  run: OpenRun | null = null
  session: SessionHead | null = null
  messages: ReadonlyArray<{ readonly revision: string; readonly message: string }> = []

  apply(commit: Commit.Commit): void {
    for (const { head, payload } of commit.inputs) {
      const before = this.heads.get(head.id)
      assert.strictEqual(payload === null, before !== undefined, "exactly the first row of an input has its payload")
      if (payload !== null) this.payloads.set(head.id, payload)
      if (before !== undefined) sameBody(before, head)
      this.heads.set(head.id, head)
    }
    if (commit.lifecycle !== null) {
      this.lifecycle = commit.lifecycle.record
      this.run = commit.lifecycle.run
    }
    const { boundary, session } = commit
    if (session !== null) {
      assert.deepStrictEqual(session.parent.version, this.session?.version ?? 0)
      this.messages = [...this.messages.slice(0, session.keep), ...session.append]
      assert.strictEqual(this.messages.length, session.after.length)
      this.session = session.after
    }
    if (boundary !== null) {
      assert.strictEqual(boundary.receipt.sequence, boundary.after + 1)
      const ofRun = this.receipts.filter((receipt) => receipt.runId === boundary.receipt.runId)
      assert.strictEqual(ofRun.length, boundary.after, "I7: receipts of a run are dense")
      this.receipts.push(boundary.receipt)
    }
    for (const event of commit.events) {
      assert.isFalse(this.events.has(event.number), `I18: event ${event.number} is written once`)
      this.events.set(event.number, event)
    }
  }

  get active(): ReadonlyArray<InputHead> {
    return [...this.heads.values()].filter((head) => !isTerminal(head))
  }
}

const sameBody = (before: InputHead, after: InputHead): void => {
  assert.isFalse(isTerminal(before), `I8: terminal input ${before.id} is written again`)
  for (const field of ["sequence", "acceptedAt", "kind", "key", "supersessionKey", "payloadDigest"] as const) {
    assert.strictEqual(after[field], before[field], `${field} of an input never changes`)
  }
}

export type Boundary = Partial<BoundaryCommand> & {
  readonly receipt?: Receipt
  /** What inputs become in place of their own messages. */
  readonly said?: ReadonlyMap<InputId, string | null>
}

export interface Staging extends Omit<StageCommand, "runId" | "batchId"> {
  readonly attemptsMax?: number
}

export class World {
  state: State.DriverState = emptyState()
  db = new Database()
  now = 1_000
  epoch = 1
  commits = 0
  runs = 0
  signal: WakeSignal = "none"
  last: Commit.Commit = Commit.make(runtimeId, stamp(0), {})
  readonly limits: Limits
  readonly inputs = new Map<InputId, Input>()
  /** What each batch has named to wait for. */
  readonly named = new Map<string, Set<string>>()
  /** Called with every commit, before it is applied. */
  onCommit: (commit: Commit.Commit) => void = () => {}

  constructor(limits: Partial<Limits> = {}) {
    this.limits = { ...defaultLimits, ...limits }
  }

  /** Decides and, unless refused, commits. */
  run<A, E>(decide: Decide<A, E>): Either.Either<Transition<A>, E> {
    const decided = decide(this.state, stamp(this.commits + 1, this.epoch), this.now)
    if (Either.isRight(decided)) this.settle(decided.right)
    return decided
  }

  private settle(transition: Transition<unknown>): void {
    this.commits++
    this.onCommit(transition.commit)
    this.db.apply(transition.commit)
    this.last = transition.commit
    this.state = transition.state
    this.signal = transition.signal
  }

  /** Fails the test when the command is refused. */
  do<A, E>(decide: Decide<A, E>): A {
    return Either.getOrThrowWith(this.run(decide), (refusal) => refusal as Error).reply
  }

  /** Fails the test when the command is not refused. */
  refused<E>(decide: Decide<unknown, E>): E {
    const before = this.state
    const decided = this.run(decide)
    if (Either.isRight(decided)) return assert.fail("the command was not refused")
    assert.strictEqual(this.state, before)
    return decided.left
  }

  accepting(input: Input, known: ReadonlyArray<Known> = []): Decide<AcceptOutcome, AcceptRefusal> {
    const command = { input, payload: `payload of ${input.header.id}`, payloadDigest: digestOf(input) }
    return accept(command, this.limits, known)
  }

  ending(input: Input): Decide<AcceptOutcome, AcceptRefusal | UnknownOperation> {
    const command = { input, payload: `payload of ${input.header.id}`, payloadDigest: digestOf(input) }
    return endOperation(command, this.limits, this.known(input))
  }

  /** What the store knows of the input's id and key. */
  known(input: Input): ReadonlyArray<Known> {
    const { id, idempotencyKey } = input.header
    return [...this.db.heads.values()].filter((head) =>
      head.id === id || (idempotencyKey !== undefined && head.key === idempotencyKey)
    ).map((head) => ({
      inputId: head.id,
      idempotencyKey: head.key,
      payloadDigest: head.payloadDigest,
      sequence: head.sequence
    }))
  }

  accept(input: Input): AcceptOutcome {
    const outcome = this.do(this.accepting(input, this.known(input)))
    if (outcome._tag === "accepted") this.inputs.set(input.header.id, input)
    return outcome
  }

  /** Accepts, and answers the head as it was stored. */
  admit(input: Input): InputHead {
    const outcome = this.accept(input)
    return outcome._tag === "accepted" ? outcome.state : assert.fail(`the input was ${outcome._tag}`)
  }

  staging({ attemptsMax = this.limits.attemptsMax, ...which }: Staging = {}): Decide<StageReply, StageRefusal> {
    this.runs++
    return stage({ ...which, runId: runId(this.runs), batchId: batchId(this.runs) }, { ...this.limits, attemptsMax })
  }

  /** Stages, and answers the batch; fails the test when nothing is ready. */
  stage(options?: Staging): Extract<StageReply, { readonly _tag: "staged" }> {
    const reply = this.do(this.staging(options))
    return reply._tag === "staged" ? reply : assert.fail("nothing was staged")
  }

  bounding(command: Boundary = {}): Decide<BoundaryReply, BoundaryRefusal> {
    const run = this.state.run?.id ?? runId(0)
    const { receipt = null, said = new Map(), ...given } = command
    const names = (given.awaits ?? []).map(({ operationId }) => operationId)
    const keys = new Set([...this.db.heads.values()].map(({ key }) => key))
    return boundary(
      { kind: "final", runId: run, delta: noDelta, sessionId, result: null, notes: [], ...given },
      {
        messages: new Map([...this.messages(), ...said]),
        receipt,
        ended: new Set(names.filter((name) => keys.has(operationKey(name)))),
        children: []
      },
      { sha256, limits: this.limits }
    )
  }

  boundary(kind: BoundaryCommand["kind"], command: Boundary = {}): BoundaryReply {
    return this.do(this.bounding({ kind, ...command }))
  }

  /** The messages of what is staged and meant for the transcript, as the driver gathers them. */
  private messages(): ReadonlyMap<InputId, string> {
    const messages = new Map<InputId, string>()
    for (const head of State.activeHeads(this.state)) {
      const message = this.inputs.get(head.id) && append(this.inputs.get(head.id)!)
      if (head.phase === "staged" && head.policy.recordTranscript && message !== undefined) {
        messages.set(head.id, Either.getOrThrow(canonical({ ...message })))
      }
    }
    return messages
  }

  close(command: CloseCommand): CloseReply {
    return this.do(this.closing(command))
  }

  closing(command: CloseCommand): Decide<CloseReply, RunNotOpen> {
    return close(command, this.limits)
  }

  /** The process ends, and the next owner reads what was committed. */
  crash(inDoubt: InDoubt = "retry", { sameProcess = false } = {}): RecoveryReport {
    this.epoch++
    const { db } = this
    const recovered = recover({ runtimeId, inDoubt, sameProcess }, {
      lifecycle: db.lifecycle,
      run: db.run,
      session: db.session,
      inputs: db.active,
      corrupt: [],
      lastSequence: Math.max(0, ...db.events.keys(), ...[...db.heads.values()].map((head) => head.sequence)),
      hasReceipt: (run, sequence) => db.receipts.some((one) => one.runId === run && one.sequence === sequence)
    }, this.limits)(stamp(0, this.epoch), this.now)
    const transition = Either.getOrThrow(recovered)
    this.settle(transition)
    return transition.reply
  }

  head(id: InputId): InputHead {
    return this.db.heads.get(id) ?? assert.fail(`no input ${id}`)
  }

  /** The events of the last commit without their numbers, accept events of ended inputs left out. */
  get lastEvents(): ReadonlyArray<RuntimeEvent> {
    return this.last.events.map(({ event }) => event).filter((event) => event._tag !== "input.accepted")
  }
}

export const ids = (heads: ReadonlyArray<InputHead>): ReadonlyArray<InputId> => heads.map((head) => head.id)
