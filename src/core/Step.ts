/**
 * One command under decision. Commands are written as a sequence of moves on a draft; what comes out is a value: the
 * next state, and exactly the rows, events and the signal that changed.
 */
import type * as Either from "effect/Either"
import type { Stamp } from "../schema/Ids.js"
import type { InputHead, TerminalOutcome } from "../schema/InputState.js"
import { isTerminal } from "../schema/InputState.js"
import { strongest, type WakeSignal } from "../schema/Policy.js"
import type { Note } from "../schema/Run.js"
import type { EventRecord, RuntimeEvent } from "../schema/RuntimeEvent.js"
import * as Commit from "./Commit.js"
import * as InputLifecycle from "./InputLifecycle.js"
import type { DriverState } from "./State.js"
import * as State from "./State.js"

export interface Transition<out A> {
  readonly state: DriverState
  readonly commit: Commit.Commit
  readonly signal: WakeSignal
  readonly reply: A
}

/** How commands are written: on a state, under the stamp of their commit, at a time. */
export type Decide<A, E> = (state: DriverState, stamp: Stamp, now: number) => Either.Either<Transition<A>, E>

export class Step {
  state: DriverState
  private readonly before: DriverState
  private readonly records = new Map<string, Commit.InputStateRecord>()
  private readonly events: Array<EventRecord> = []
  private lifecycleChanged = false
  private signal: WakeSignal = "none"
  session: Commit.SessionWrite | null = null
  boundary: Commit.BoundaryWrite | null = null
  notes: ReadonlyArray<Note> = []
  deposits: ReadonlyArray<Commit.Deposit> = []

  constructor(state: DriverState, readonly stamp: Stamp, readonly now: number) {
    this.before = state
    this.state = { ...state, stamp }
  }

  /** Allocates the next number: dense, inside the commit of its cause. */
  number(): number {
    const number = this.state.nextSequence
    if (number >= Number.MAX_SAFE_INTEGER) throw new Error("the runtime has used up its numbers")
    this.state = { ...this.state, nextSequence: number + 1 }
    return number
  }

  emit(event: RuntimeEvent): void {
    this.events.push({ number: this.number(), at: this.now, event })
  }

  /** Puts a new input in. Its row is its accept event, unless it ends at once. */
  insert(head: InputHead, payload: string): void {
    if (isTerminal(head)) this.events.push(acceptEvent(head))
    this.write(head, payload)
  }

  private write(head: InputHead, payload: string | null): void {
    this.records.set(
      head.id,
      Commit.inputRecord(head, payload ?? this.records.get(head.id)?.payload ?? null)
    )
    this.state = State.put(this.state, head)
  }

  move(head: InputHead, trigger: InputLifecycle.Trigger, change: Partial<InputHead>): InputHead {
    const moved = { ...head, ...change, phase: InputLifecycle.next(head.phase, trigger), updatedAt: this.now }
    this.write(moved, null)
    return moved
  }

  /** A change that is no transition. */
  amend(head: InputHead, change: Partial<Omit<InputHead, "phase" | "outcome">>): InputHead {
    const amended = { ...head, ...change, updatedAt: this.now }
    this.write(amended, null)
    return amended
  }

  /**
   * Ends an input, which waits for nothing any more. Its accept event leaves the row, which is no longer read for
   * events, and joins the log under its old number.
   */
  end(head: InputHead, trigger: InputLifecycle.Trigger, outcome: TerminalOutcome, event?: RuntimeEvent): void {
    this.move(head, trigger, { outcome, readyAt: null, hold: null, awaits: [] })
    this.events.push(acceptEvent(head))
    if (event !== undefined) this.emit(event)
  }

  abandon(head: InputHead, reason: Extract<TerminalOutcome, { readonly _tag: "abandoned" }>["reason"]): void {
    this.end(head, "abandon", { _tag: "abandoned", reason }, {
      _tag: "input.abandoned",
      inputId: head.id,
      reason,
      failure: head.failure
    })
  }

  /** Changes facts of the runtime's own row. */
  lifecycle(
    change: Partial<Pick<DriverState, "phase" | "paused" | "attached" | "binding" | "silentIntents" | "run">>
  ): void {
    this.state = { ...this.state, ...change }
    this.lifecycleChanged = true
  }

  /** Changes what is not stored. */
  local(change: Partial<Pick<DriverState, "attached">>): void {
    this.state = { ...this.state, ...change }
  }

  changeSession(write: Commit.SessionWrite): void {
    this.session = write
    this.state = { ...this.state, session: write.after }
  }

  wake(signal: WakeSignal): void {
    this.signal = strongest(this.signal, signal)
  }

  finish<A>(reply: A): Transition<A> {
    const from = State.storedState(this.before)
    const to = State.storedState(this.state)
    // Starting and ending a run have events of their own.
    const byRunAlone = this.before.phase === this.state.phase && (from === "running" || to === "running")
    if (from !== to && this.lifecycleChanged && !byRunAlone) {
      this.emit({ _tag: "runtime.state_changed", from, to })
    }
    return {
      state: this.state,
      signal: this.signal,
      reply,
      commit: Commit.make(this.state.runtimeId, this.stamp, {
        lifecycle: this.lifecycleChanged ? Commit.lifecycle(State.record(this.state), this.state.run) : null,
        inputs: [...this.records.values()],
        session: this.session,
        boundary: this.boundary,
        notes: this.notes,
        deposits: this.deposits,
        events: this.events
      })
    }
  }
}

const acceptEvent = (head: InputHead): EventRecord => ({
  number: head.sequence,
  at: head.acceptedAt,
  event: { _tag: "input.accepted", inputId: head.id, kind: head.kind, lane: head.lane }
})
