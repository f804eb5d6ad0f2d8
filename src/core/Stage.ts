/**
 * Staging: which inputs go next, as a batch that is frozen and counted before it is executed.
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import { Destroyed, NotReady, RunInProgress } from "../schema/DriverError.js"
import type { BatchId, RunId, Stamp } from "../schema/Ids.js"
import { type InputHead, isLost } from "../schema/InputState.js"
import type { Limits } from "../schema/Limits.js"
import type { OpenTurn } from "../schema/Run.js"
import { exhausted, partWith } from "./Close.js"
import { stagesRuns } from "./Lifecycle.js"
import * as State from "./State.js"
import { Step, type Transition } from "./Step.js"

export interface StageCommand {
  readonly runId: RunId
  /** The id of the batch, if a new one is formed. */
  readonly batchId: BatchId
  /** `block`: while a failed batch waits for its next attempt, nothing else goes. Default: the others pass it. */
  readonly onFailure?: "pass" | "block"
  /** `false`: not now a batch whose last attempt this would be, and whose run was lost before. */
  readonly mayBeFatal?: boolean
  /** The caller decides about a batch whose run was lost, and takes it also when its attempts are used up. */
  readonly decidesLost?: boolean
}

export type StageReply =
  | {
    readonly _tag: "staged"
    readonly runId: RunId
    readonly batchId: BatchId
    readonly attempt: number
    readonly boundary: "run_start" | "run_checkpoint"
    readonly inputs: ReadonlyArray<InputHead>
    /** The attempt before was lost, with its process or its owner: nobody knows how far it came. */
    readonly afterLoss: boolean
    /** The last boundary of this batch, by whichever attempt made it. */
    readonly resume: OpenTurn | null
    /** Other batches that have begun a turn and not ended it. */
    readonly openTurns: ReadonlyArray<OpenTurn>
  }
  | {
    readonly _tag: "nothing"
    readonly paused: boolean
    /** When the earliest waiting input is ready, in epoch milliseconds. */
    readonly nextReadyAt: number | null
    /** There is a batch to go, which `mayBeFatal: false` has kept back. */
    readonly keptBack: boolean
  }

export type StageRefusal = NotReady | Destroyed | RunInProgress

export const stage =
  (command: StageCommand, limits: Limits) =>
  (state: State.DriverState, stamp: Stamp, now: number): Either.Either<Transition<StageReply>, StageRefusal> => {
    const { runtimeId } = state
    if (state.phase === "destroyed") return Either.left(new Destroyed({ runtimeId }))
    if (!stagesRuns[state.phase]) {
      return Either.left(new NotReady({ runtimeId, state: State.runtimeState(state), command: "stage" }))
    }
    if (state.run !== null) {
      return Either.left(new RunInProgress({ runtimeId, runId: state.run.id, command: "stage" }))
    }
    const step = new Step(State.promote(state, now), stamp, now)
    const nothing = (keptBack: boolean, readyAt = State.nextReadyAt(step.state)) =>
      Either.right(step.finish<StageReply>({ _tag: "nothing", paused: state.paused, nextReadyAt: readyAt, keptBack }))
    if (state.paused) return nothing(false)
    const blocked = command.onFailure === "block" ? blockedUntil(step.state) : null
    if (blocked !== null) return nothing(false, blocked)
    for (;;) {
      const chosen = choose(step.state, limits)
      const first = State.starters(chosen)[0]
      if (first === undefined) return nothing(false)
      const afterLoss = isLost(first.failure)
      // The loss of their last run did not say so: whose attempts are used up is decided where they are counted.
      const over = usedUp(chosen, limits, afterLoss && command.decidesLost === true)
      if (over.length > 0) {
        for (const head of over) step.abandon(head, { _tag: "max_attempts_exhausted", attempts: head.attempt })
        partWith(step, chosen, over)
        continue
      }
      if (command.mayBeFatal === false && chosen.some((head) => isLost(head.failure) && isLast([head], limits))) {
        return nothing(true)
      }
      const batchId = first.batch ?? command.batchId
      const batch = mustSplit(chosen, limits) ? split(step, chosen, batchId) : { id: batchId, members: chosen }
      return Either.right(open(step, command.runId, batch.id, batch.members, afterLoss))
    }
  }

/** When the earliest failed batch goes on, if one waits for that. */
const blockedUntil = (state: State.DriverState): number | null => {
  let until: number | null = null
  for (const batchId of HashMap.keys(state.batches)) {
    const head = State.firstOf(state, batchId)
    if (head?.phase === "queued" && head.failure !== null && State.isWaiting(state, head)) {
      until = Math.min(until ?? Infinity, head.readyAt ?? Infinity)
    }
  }
  return until
}

/**
 * 1. An interrupted batch that is ready again, whole. 2. The steer lane. 3. The head of the queue lane: a prompt alone,
 * or the inputs up to the next prompt. In front of 2 and 3 goes what rides along.
 */
const choose = (state: State.DriverState, limits: Limits): ReadonlyArray<InputHead> => {
  for (const head of State.inLineOrder(state, "interrupted")) return State.members(state, head.batch!)
  const steers = take(State.inLineOrder(state, "steer"), limits.batchInputsMax, () => true)
  if (steers.length > 0) return withRiders(state, steers, limits)
  const queued = take(State.inLineOrder(state, "queue"), limits.batchInputsMax, (head) => head.kind !== "prompt")
  return withRiders(state, queued.length > 0 ? queued : take(State.inLineOrder(state, "queue"), 1, () => true), limits)
}

/**
 * Riders go with what is tried for the first time: neither an earlier run's loss nor an earlier failure of those that
 * they go with is theirs. There is always room for one that they go with.
 */
const withRiders = (
  state: State.DriverState,
  starters: ReadonlyArray<InputHead>,
  { batchInputsMax }: Limits
): ReadonlyArray<InputHead> => {
  if (starters.length === 0 || starters.some((head) => head.attempt > 0 || head.failure !== null)) return starters
  const riders: Array<InputHead> = []
  for (const head of State.inLineOrder(state, "riding")) {
    if (riders.length >= batchInputsMax - 1) break
    riders.push(head)
  }
  return [...riders, ...starters.slice(0, batchInputsMax - riders.length)]
}

/**
 * A batch ends as a whole; what was never in one together ends each for itself, and so do riders. `taken`: those that
 * the batch was formed of go on, whatever was counted.
 */
const usedUp = (chosen: ReadonlyArray<InputHead>, limits: Limits, taken: boolean): ReadonlyArray<InputHead> => {
  const starters = State.starters(chosen)
  if (chosen[0]!.batch !== null && !taken && exhausted(starters, limits)) return chosen
  return chosen.filter((head) => exhausted([head], limits) && !(taken && starters.includes(head)))
}

/** Whose run was lost goes apart from the others: what is decided about the one must not befall the other. */
const take = (
  line: Iterable<InputHead>,
  max: number,
  goes: (head: InputHead) => boolean
): ReadonlyArray<InputHead> => {
  const taken: Array<InputHead> = []
  for (const head of line) {
    if (taken.length === max || !goes(head)) break
    if (isLost(head.failure) !== isLost((taken[0] ?? head).failure)) break
    taken.push(head)
  }
  return taken
}

/**
 * The last attempt is made by each input alone, so that only one that failed alone is abandoned (I13). Riders make none:
 * they go with the first attempt of others, and leave a batch that has failed with them before its last.
 */
const mustSplit = (chosen: ReadonlyArray<InputHead>, limits: Limits): boolean => {
  const starters = State.starters(chosen)
  const together = chosen[0]!.batch === null ? starters : chosen
  return together.length > 1 && chosen.every((head) => head.receipt === null) && isLast(starters, limits)
}

const isLast = (chosen: ReadonlyArray<InputHead>, limits: Limits): boolean =>
  chosen.some((head) => head.attempt + 1 >= limits.attemptsMax || head.stagings + 1 >= limits.stagingsMax)

/** Batches of one, under keys of their own; the first goes now, the others are next. */
const split = (step: Step, chosen: ReadonlyArray<InputHead>, batchId: BatchId) => {
  const starters = State.starters(chosen)
  const riders = chosen.filter((head) => !starters.includes(head))
  const alone = starters.map((head) => step.amend(head, { batch: `${batchId}/${head.id}` as BatchId }))
  const isNew = chosen[0]!.batch === null
  if (!isNew) { for (const head of riders) step.amend(head, { batch: null }) }
  return { id: alone[0]!.batch!, members: [...isNew ? riders : [], ...alone.slice(0, 1)] }
}

const open = (
  step: Step,
  runId: RunId,
  batchId: BatchId,
  chosen: ReadonlyArray<InputHead>,
  afterLoss: boolean
): Transition<StageReply> => {
  const [first, ...others] = State.starters(chosen)
  const attempt = Math.max(first!.attempt, ...others.map((head) => head.attempt)) + 1
  for (const head of chosen) if (head.phase === "held") step.emit({ _tag: "input.released", inputId: head.id })
  const inputs = chosen.map((head) =>
    step.move(head, "stage", {
      batch: batchId,
      run: runId,
      // Each is charged for itself: members of a dissolved batch have been tried before.
      attempt: head.attempt + 1,
      stagings: head.stagings + 1,
      readyAt: null,
      hold: null
    })
  )
  step.lifecycle({ run: { id: runId, batch: batchId, sequence: 0, openedAt: step.now } })
  step.emit({ _tag: "run.started", runId, batchId, attempt, inputIds: inputs.map((head) => head.id) })
  const { receipt } = first!
  return step.finish<StageReply>({
    _tag: "staged",
    runId,
    batchId,
    attempt,
    boundary: first!.lane === "steer" ? "run_checkpoint" : "run_start",
    inputs,
    afterLoss,
    resume: receipt && { batchId, ...receipt },
    openTurns: openTurns(step.state, batchId)
  })
}

/** Work follows the batches that wait, not the inputs. */
const openTurns = (state: State.DriverState, except: BatchId): ReadonlyArray<OpenTurn> => {
  const turns: Array<OpenTurn> = []
  for (const batchId of HashMap.keys(state.batches)) {
    const receipt = State.firstOf(state, batchId)?.receipt ?? null
    if (receipt !== null && batchId !== except) turns.push({ batchId, ...receipt })
  }
  return turns
}
