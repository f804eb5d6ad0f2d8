/**
 * One driver's memory and its worker: commands wait in line, are folded, committed together and answered. An object
 * over one cell: a process has one of it for each live runtime.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import type { Known } from "../../core/Accept.js"
import * as Commit from "../../core/Commit.js"
import type { Outcome, Refusal } from "../../core/Rows.js"
import * as State from "../../core/State.js"
import type { Decide } from "../../core/Step.js"
import { OwnershipLost } from "../../schema/DriverError.js"
import type { IdempotencyKey, InputId, RuntimeId, Stamp } from "../../schema/Ids.js"
import { strongest, type WakeSignal } from "../../schema/Policy.js"
import {
  type CommitError,
  CommitUnknown,
  InsideTransaction,
  type ReadFailed,
  StaleFence,
  type StoreClosed,
  WriteFailed
} from "../../schema/StoreError.js"
import { Batcher } from "../../services/Batcher.js"
import type { CommandError } from "../../services/Driver.js"
import { refusalError } from "../../services/refusals.js"
import type { Env } from "./Env.js"
import { type InDoubt, type Mode, type Resolution, seen, withCheckpoint } from "./Mode.js"

/** A command that waits for its turn. */
export interface Ask<A, E> {
  readonly name: string
  /** Ids and keys that the store has to be asked about; read once for all commands of a fold. */
  readonly lookup?: { readonly ids: ReadonlyArray<InputId>; readonly keys: ReadonlyArray<IdempotencyKey> }
  /** Reads what only this command needs. Commands with it are not folded with others. */
  readonly prepare?: (state: State.DriverState, known: ReadonlyArray<Known>) => Effect.Effect<Decide<A, E>, E>
  readonly decide?: (known: ReadonlyArray<Known>) => Decide<A, E>
  /** Commits in another way: with an effect in the same transaction. */
  readonly persist?: (commit: Commit.Commit) => Effect.Effect<Outcome, CommitError | StoreClosed | E>
  /** What a refusal of the store means to this command; by default it is an error. */
  readonly onRefusal?: (refusal: Refusal) => Option.Option<A>
  /** Replaces memory altogether: recovery. */
  readonly replace?: (
    isLost: boolean
  ) => Effect.Effect<readonly [state: State.DriverState, reply: A, signal: WakeSignal], E>
  /** Goes ahead when another owner has taken the runtime. */
  readonly whenLost?: boolean
}

/** An ask in line, with the span that it was made in: the worker has none of its own. */
interface AnyAsk extends Ask<unknown, unknown> {
  readonly askedBy?: Tracer.AnySpan
}
/** What a caller goes on with. */
type Answer = Effect.Effect<unknown, unknown>
type Gathered =
  | { readonly ask: AnyAsk; readonly decide: (known: ReadonlyArray<Known>) => Decide<unknown, unknown> }
  | { readonly ask: AnyAsk; readonly decide: undefined; readonly failed: Answer }

interface Round {
  readonly before: State.DriverState
  readonly now: number
  readonly asks: ReadonlyArray<Gathered>
  readonly known: ReadonlyArray<Known>
}

const inLine = <A, E>(ask: Ask<A, E>, context: Context.Context<never>): AnyAsk => {
  const span = Context.getOption(context, Tracer.ParentSpan)
  return (Option.isSome(span) ? { ...ask, askedBy: span.value } : ask) as unknown as AnyAsk
}

const askedBy = (asks: ReadonlyArray<Gathered>): ReadonlyArray<Tracer.AnySpan> =>
  asks.flatMap(({ ask }) => ask.askedBy === undefined ? [] : [ask.askedBy])

const alone = (ask: AnyAsk): boolean =>
  ask.prepare !== undefined || ask.persist !== undefined || ask.replace !== undefined

export class Cell {
  private readonly mode: Ref.Ref<Mode>
  private readonly batcher: Batcher<AnyAsk, unknown, unknown>
  private signal: WakeSignal

  constructor(readonly runtimeId: RuntimeId, private readonly env: Env, state: State.DriverState, signal: WakeSignal) {
    this.mode = Ref.unsafeMake<Mode>({ _tag: "Ready", state })
    this.signal = signal
    this.batcher = new Batcher<AnyAsk, unknown, unknown>({
      operation: `a command of runtime ${runtimeId}`,
      fork: env.fork,
      take: (asks) => {
        const at = asks.findIndex(alone)
        return Math.min(at === 0 ? 1 : at < 0 ? asks.length : at, env.limits.foldCommandsMax)
      },
      run: (batch) => this.run(batch)
    })
  }

  /** The state that readers see: committed, if old (I4). */
  get state(): Effect.Effect<State.DriverState> {
    return Effect.map(Ref.get(this.mode), seen)
  }

  /**
   * Whether memory holds nothing that the rows do not: no command, no doubt, no run, and no input that ends with the
   * process.
   */
  get isIdle(): Effect.Effect<boolean> {
    return Effect.map(
      Ref.get(this.mode),
      (mode) =>
        mode._tag === "Ready" && mode.state.run === null && this.batcher.isIdle && !State.hasEphemeral(mode.state)
    )
  }

  /** The state in which what has become ready stands in its line. */
  private get current(): Effect.Effect<State.DriverState> {
    return Effect.zipWith(this.state, Clock.currentTimeMillis, State.promote)
  }

  private steersOf(current: State.DriverState): number {
    return State.steers(current, this.env.limits.batchInputsMax).length
  }

  /** How many steers the open run's next checkpoint hands over. */
  get steers(): Effect.Effect<number> {
    return Effect.map(this.current, (state) => this.steersOf(state))
  }

  get announce(): Effect.Effect<void> {
    return this.publish(this.signal)
  }

  get takeSignal(): Effect.Effect<WakeSignal> {
    return Effect.sync(() => {
      const taken = this.signal
      this.signal = "none"
      return taken
    })
  }

  submit<A, E>(ask: Ask<A, E>): Effect.Effect<A, E | CommandError> {
    return Effect.flatMap(this.env.store.insideTransaction, (inside) => {
      if (inside) return Effect.fail(new InsideTransaction({ operation: ask.name }))
      return Effect.flatMap(Ref.get(this.mode), (mode): Effect.Effect<A, E | CommandError> => {
        const refusal = this.unavailable(mode, ask)
        return refusal === undefined
          // The worker answers each ask with what its own `decide` replied.
          ? Effect.contextWithEffect((context: Context.Context<never>) =>
            this.batcher.submit(inLine(ask, context)) as Effect.Effect<A, E | CommandError>
          )
          : Effect.fail(refusal)
      })
    })
  }

  private unavailable(
    mode: Mode,
    ask: Pick<AnyAsk, "name" | "whenLost">
  ): OwnershipLost | CommitUnknown | undefined {
    if (mode._tag === "InDoubt") {
      const cause = new Error("an earlier commit of this runtime is still in doubt")
      return new CommitUnknown({ operation: `${ask.name} of runtime ${this.runtimeId}`, cause })
    }
    return mode._tag === "Lost" && ask.whenLost !== true
      ? new OwnershipLost({ runtimeId: this.runtimeId, by: mode.by })
      : undefined
  }

  private run(batch: Arr.NonEmptyReadonlyArray<AnyAsk>): Effect.Effect<ReadonlyArray<Answer>> {
    return Effect.flatMap(Ref.get(this.mode), (mode): Effect.Effect<ReadonlyArray<Answer>> => {
      const refusal = this.unavailable(mode, batch[0])
      if (refusal !== undefined) return Effect.succeed(batch.map(() => Effect.fail(refusal)))
      const { replace } = batch[0]
      return replace === undefined
        ? Effect.flatMap(this.gather(seen(mode), batch), (round) => this.round(round))
        : Effect.map(this.replace(mode, replace), (answer) => [answer])
    })
  }

  private replace(mode: Mode, recover: NonNullable<AnyAsk["replace"]>): Effect.Effect<Answer> {
    const isLost = mode._tag === "Lost"
    const before = seen(mode)
    return Effect.flatMap(Effect.exit(recover(isLost)), (exit): Effect.Effect<Answer> => {
      if (Exit.isSuccess(exit)) {
        const [state, reply, signal] = exit.value
        return Effect.as(
          Effect.zipRight(
            // The executor of a runtime that was lost was told so.
            Ref.set(this.mode, { _tag: "Ready", state: { ...state, attached: !isLost && before.attached } }),
            this.publish(signal)
          ),
          Effect.succeed(reply)
        )
      }
      // The claim may have happened: then what memory holds is nobody's any more.
      const unknown = Chunk.some(Cause.failures(exit.cause), (error) => error instanceof CommitUnknown)
      return Effect.as(
        unknown
          ? Effect.zipRight(Ref.set(this.mode, { _tag: "Lost", state: before, by: null }), this.publish("none"))
          : Effect.void,
        exit
      )
    })
  }

  /** One look into the store for all that memory lacks. */
  private gather(before: State.DriverState, batch: ReadonlyArray<AnyAsk>): Effect.Effect<Round> {
    const lookups = batch.flatMap((ask) => ask.lookup === undefined ? [] : [ask.lookup])
    const read: Effect.Effect<ReadonlyArray<Known>, ReadFailed> = lookups.length === 0
      ? Effect.succeed([])
      : this.env.store.lookup(
        this.runtimeId,
        lookups.flatMap((lookup) => lookup.ids),
        lookups.flatMap((lookup) => lookup.keys)
      )
    return Effect.flatMap(Effect.either(read), (known) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.map(
          Effect.forEach(batch, (ask): Effect.Effect<Gathered> =>
            ask.lookup !== undefined && Either.isLeft(known)
              ? Effect.succeed({ ask, decide: undefined, failed: Effect.fail(known.left) })
              : prepared(ask, before, Either.getOrElse(known, () => []))),
          (asks) => ({ before, now, asks, known: Either.getOrElse(known, () => []) })
        )))
  }

  private round(round: Round): Effect.Effect<ReadonlyArray<Answer>> {
    const { asks, before, known } = round
    let folded: ReturnType<typeof foldAll> = {
      state: before,
      commit: Commit.make(before.runtimeId, before.stamp, {}),
      signal: "none",
      answers: []
    }
    const persist = asks[0]?.ask.persist ?? ((commit: Commit.Commit) => this.env.store.commit(commit, askedBy(asks)))
    return Effect.flatMap(
      withCheckpoint(this.mode, before, (stamp) => folded = foldAll(round, stamp), persist),
      (settled): Effect.Effect<ReadonlyArray<Answer>> => {
        switch (settled._tag) {
          case "Committed":
            return Effect.as(this.publish(folded.signal), folded.answers)
          case "InDoubt":
            return Effect.as(
              this.env.fork(this.resolve(settled.doubt, folded.signal))
                ? Effect.void
                : Deferred.succeed(settled.doubt.resolution, "lost"),
              folded.answers.map((answer) => this.await(settled.doubt, answer, settled.error))
            )
          case "Failed":
            // Which of them the store could not take is found by trying each alone (I17). What is wrong with the store
            // is wrong for all.
            return asks.length > 1 && mayBeOneMembers(settled.cause)
              ? this.oneByOne(round)
              : Effect.succeed(asks.map(() => Effect.failCause(settled.cause)))
          case "Refused": {
            const { by } = settled
            if (by._tag !== "KnownInput") {
              const refused = asks.map(({ ask }) => this.refusal(ask, folded.commit, by))
              return Effect.as(by._tag === "StaleFence" ? this.publish("none") : Effect.void, refused)
            }
            const news = by.known.filter((one) => !known.some((other) => other.inputId === one.inputId))
            // The unique index knows better than what was gathered: everything is decided again with that.
            return news.length === 0
              ? Effect.succeed(asks.map(({ ask }) => this.refusal(ask, folded.commit, by)))
              : this.again(round, [...known, ...news])
          }
        }
      }
    )
  }

  private again(round: Round, known: ReadonlyArray<Known>): Effect.Effect<ReadonlyArray<Answer>> {
    return Effect.flatMap(
      Effect.forEach(round.asks, (gathered) =>
        gathered.decide === undefined
          ? Effect.succeed(gathered)
          : prepared(gathered.ask, round.before, known)),
      (asks) => this.round({ ...round, asks, known })
    )
  }

  private oneByOne(round: Round): Effect.Effect<ReadonlyArray<Answer>> {
    return Effect.map(
      Effect.forEach(
        round.asks,
        (gathered) =>
          Effect.flatMap(Ref.get(this.mode), (mode): Effect.Effect<ReadonlyArray<Answer>> => {
            const refusal = this.unavailable(mode, gathered.ask)
            return refusal === undefined
              ? this.round({ ...round, before: seen(mode), asks: [gathered] })
              : Effect.succeed([Effect.fail(refusal)])
          })
      ),
      (answers) => answers.flat()
    )
  }

  private refusal(ask: AnyAsk, commit: Commit.Commit, by: Refusal): Answer {
    const meant = ask.onRefusal?.(by) ?? Option.none()
    if (Option.isSome(meant)) return Effect.succeed(meant.value)
    return Effect.fail(
      by._tag === "StaleFence"
        ? new OwnershipLost({ runtimeId: this.runtimeId, by: by.current })
        : refusalError(commit, by)
    )
  }

  /** A durable write, then a look: what it shows is what every later process will see (I12). */
  private resolve(doubt: InDoubt, signal: WakeSignal): Effect.Effect<void> {
    const { after, before, witness } = doubt
    const { n, token } = after.stamp
    const look = this.env.store.barrier(this.runtimeId, token).pipe(
      Effect.zipRight(this.env.store.loadStamp(this.runtimeId, witness)),
      Effect.map((stamp) => Option.exists(stamp, (found) => found.epoch === token.epoch && found.n === n)),
      Effect.retry({ schedule: patience, while: (error) => error.retryable }),
      Effect.matchCauseEffect({
        // Nobody will know any more, or another owner does: only taking the runtime anew leads on.
        onFailure: (cause): Effect.Effect<Resolution> =>
          Effect.as(
            Effect.zipRight(
              Ref.set(this.mode, { _tag: "Lost", state: before, by: ownerOf(cause) }),
              this.publish("none")
            ),
            "lost"
          ),
        onSuccess: (committed): Effect.Effect<Resolution> =>
          Effect.as(
            Effect.zipRight(
              Ref.set(this.mode, { _tag: "Ready", state: committed ? after : before }),
              committed ? this.publish(signal) : Effect.void
            ),
            committed ? "committed" : "absent"
          )
      })
    )
    return Effect.onExit(look, (exit) => Deferred.succeed(doubt.resolution, Exit.isSuccess(exit) ? exit.value : "lost"))
  }

  private await(doubt: InDoubt, answer: Answer, error: CommitUnknown): Answer {
    return Deferred.await(doubt.resolution).pipe(
      Effect.timeoutTo({
        duration: Duration.millis(this.env.limits.inDoubtMillis),
        onSuccess: (resolution) => resolution,
        onTimeout: (): Resolution => "lost"
      }),
      Effect.flatMap((resolution): Answer =>
        resolution === "committed"
          ? answer
          : Effect.fail(
            resolution === "lost" ? error : new WriteFailed({ operation: error.operation, cause: error.cause })
          )
      )
    )
  }

  /** After every commit, and when the runtime was lost. */
  private publish(signal: WakeSignal): Effect.Effect<void> {
    return Effect.zipWith(Ref.get(this.mode), this.current, (mode, state) => {
      this.signal = strongest(this.signal, signal)
      this.env.announce({
        runtimeId: this.runtimeId,
        signal,
        runId: state.run?.id ?? null,
        steers: this.steersOf(state),
        nextReadyAt: State.nextReadyAt(state),
        lost: mode._tag === "Lost" ? new OwnershipLost({ runtimeId: this.runtimeId, by: mode.by }) : null
      })
    })
  }
}

const prepared = (
  ask: AnyAsk,
  before: State.DriverState,
  known: ReadonlyArray<Known>
): Effect.Effect<Gathered> =>
  ask.prepare === undefined
    ? Effect.succeed({ ask, decide: ask.decide ?? refuseAll })
    : Effect.match(Effect.sandbox(ask.prepare(before, known)), {
      onFailure: (cause) => ({ ask, decide: undefined, failed: Effect.failCause(cause) }),
      onSuccess: (decide) => ({ ask, decide: () => decide })
    })

const ownerOf = (cause: Cause.Cause<{ readonly _tag: string }>): number | null => {
  for (const error of Cause.failures(cause)) if (error instanceof StaleFence) return error.current
  return null
}

/** Whether a failure may be about one command's rows: of a group, or of a fold. */
const mayBeOneMembers = (cause: Cause.Cause<unknown>): boolean =>
  !Chunk.some(Cause.failures(cause), (error) => Predicate.hasProperty(error, "_tag") && error._tag !== "WriteFailed")

const patience = Schedule.exponential("10 millis").pipe(
  Schedule.union(Schedule.spaced("1 second")),
  Schedule.jittered
)

/** An ask without a decision is a fault of this folder. */
const refuseAll = (): Decide<never, never> => () => {
  throw new Error("a command without a decision")
}

/** What is inserted here may end here, and leave the state: nothing else would know it before the next read. */
const inserted = (commit: Commit.Commit): ReadonlyArray<Known> =>
  commit.inputs.flatMap(({ head, payload }) =>
    payload === null
      ? []
      : [{ inputId: head.id, idempotencyKey: head.key, payloadDigest: head.payloadDigest, sequence: head.sequence }]
  )

/** Each command on the state that those before it lead to; a refused one changes nothing for those behind it. */
const foldAll = ({ asks, before, known: gatheredKnown, now }: Round, stamp: Stamp) => {
  let state = before
  let known = gatheredKnown
  let commit = Commit.make(before.runtimeId, stamp, {})
  let signal: WakeSignal = "none"
  const answers = asks.map((gathered): Answer => {
    if (gathered.decide === undefined) return gathered.failed
    try {
      const decided = gathered.decide(known)(state, stamp, now)
      if (Either.isLeft(decided)) return Effect.fail(decided.left)
      state = decided.right.state
      commit = Commit.combine(commit, decided.right.commit)
      signal = strongest(signal, decided.right.signal)
      known = [...known, ...inserted(decided.right.commit)]
      return Effect.succeed(decided.right.reply)
    } catch (defect) {
      return Effect.die(defect)
    }
  })
  return { state, commit, signal, answers }
}
