/** An attempt of the engine's, with the agent's types around it. */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Children from "../../core/Children.js"
import { QuestionExpired } from "../../schema/AgentError.js"
import { InvalidInput } from "../../schema/DriverError.js"
import type { Malformed } from "../../schema/Envelope.js"
import type { BatchId, InputId } from "../../schema/Ids.js"
import type { Input as StoredInput } from "../../schema/Input.js"
import type { Note } from "../../schema/Run.js"
import { RecordCorrupt, SchemaFromTheFuture } from "../../schema/StoreError.js"
import * as Agents from "../Agents.js"
import type * as ControlPlane from "../ControlPlane.js"
import type * as Executor from "../Executor.js"
import * as Codecs from "./codecs.js"
import { awaitError } from "./errors.js"
import { idOf, prompt, resultOf } from "./outside.js"
import type { AskOptions, Delta, Output, Run } from "./Run.js"
import type {
  AnswerOf,
  AnyInput,
  AskOf,
  Definition,
  EventsOf,
  Input,
  MessageOf,
  QuestionNamesOf,
  Shape,
  StateOf
} from "./Spec.js"

/** What an `alongside` itself fails with, told apart from what its boundary does. */
class AlongsideFailed<E> extends Data.TaggedClass("AlongsideFailed")<{ readonly error: E }> {}

const UNDECODABLE = "Undecodable"

/** The key of a child's input: the same for every attempt at the same inputs. */
const childKey = (idempotencyKey: string, key: string): string => `child/${idempotencyKey}/${key}`

/** What an agent's delta is to the engine. */
const engineDelta = <E, R>(
  codecs: Codecs.Codecs,
  { alongside, append, state }: Delta<unknown, unknown, E, R>
): Effect.Effect<Executor.Delta<E, R>> =>
  Effect.gen(function*() {
    const messages = append &&
      (yield* Effect.forEach(append, (message) => Codecs.orDie(codecs.message.encode(message))))
    const snapshot = state === undefined ? undefined : yield* Codecs.orDie(codecs.state.encode(state))
    return {
      ...(messages !== undefined && { append: messages }),
      ...(snapshot !== undefined && { snapshot }),
      ...(alongside !== undefined && { alongside })
    }
  })

/** What a run ends with. */
export const engineOutput = <E, R>(
  codecs: Codecs.Codecs,
  output: Output<unknown, unknown, unknown, E, R> | void
): Effect.Effect<Executor.Output<E, R>> =>
  Effect.gen(function*() {
    const { alongside, append, result, state } = output ?? { result: undefined }
    const delta = yield* engineDelta<E, R>(codecs, {
      ...(append !== undefined && { append }),
      ...(state !== undefined && { state }),
      ...(alongside !== undefined && { alongside })
    })
    const encoded = Option.isSome(codecs.result)
      ? yield* Codecs.orDie(codecs.result.value.encode(result))
      : undefined
    return { ...delta, ...(encoded !== undefined && { result: encoded }) }
  })

/** Whole milliseconds; what lasts for ever has no deadline. */
const untilOf = (now: number, expires: Duration.DurationInput | undefined): { readonly until?: number } => {
  const millis = expires === undefined ? Infinity : Math.ceil(Duration.toMillis(expires))
  return Number.isFinite(millis) ? { until: now + millis } : {}
}

/** One at a time for each name. */
const locks = () => {
  const made = new Map<string, Effect.Semaphore>()
  return (name: string): Effect.Semaphore => {
    const known = made.get(name)
    if (known !== undefined) return known
    const lock = Effect.unsafeMakeSemaphore(1)
    made.set(name, lock)
    return lock
  }
}

/** What the program cannot read ends the attempt, uncharged: it waits for a program that can. */
const aside = (run: Executor.Run, { field, problem }: Malformed, inputIds?: ReadonlyArray<InputId>) =>
  run.setAside({ tag: UNDECODABLE, message: `${field}: ${problem}` }, inputIds)

const readable = <A>(run: Executor.Run, decoded: Either.Either<A, Malformed>): Effect.Effect<A> =>
  Either.match(decoded, { onLeft: (malformed) => aside(run, malformed), onRight: Effect.succeed })

const isUnreadable = (error: unknown): error is RecordCorrupt | SchemaFromTheFuture =>
  error instanceof RecordCorrupt || error instanceof SchemaFromTheFuture

const readInputs = (
  run: Executor.Run,
  codecs: Codecs.Codecs
): Effect.Effect<ReadonlyArray<AnyInput>> =>
  Effect.suspend(() => {
    const read = run.inputs.map((input) => ({ input, decoded: Codecs.inputOf(codecs, input) }))
    const broken = read.flatMap(({ decoded, input }) =>
      Either.isLeft(decoded) ? [{ id: input.header.id, why: decoded.left }] : []
    )
    const [first] = broken
    return first === undefined
      ? Effect.succeed(read.flatMap(({ decoded }) => Either.isRight(decoded) ? [decoded.right] : []))
      : aside(run, first.why, broken.map(({ id }) => id))
  })

/** A steer has been handed over already: one that the agent's Schemas do not read is shown as it is. */
const steerOf = (run: Executor.Run, codecs: Codecs.Codecs) => (input: StoredInput): Effect.Effect<AnyInput> =>
  Either.match(Codecs.inputOf(codecs, input), {
    onRight: Effect.succeed,
    onLeft: ({ field, problem }) =>
      Effect.as(
        Effect.logWarning(
          `steer ${input.header.id} of ${run.runtimeId} is not what the agent's Schema reads: ${field}: ${problem}`
        ),
        Codecs.other(input)
      )
  })

export const make = <T extends Shape>(
  agent: Definition<string, T>,
  plane: ControlPlane.Service,
  run: Executor.Run
): Effect.Effect<Run<T>> =>
  Effect.gen(function*() {
    const codecs = Codecs.of(agent)
    const inputs = yield* readInputs(run, codecs)
    const lockOf = locks()
    const batch = run.idempotencyKey
    const state = Effect.flatMap(run.snapshot, (stored) => readable<StateOf<T>>(run, codecs.state.decode(stored)))
    // Before anything is done with it.
    yield* state

    const unreadable = <A, E, R>(
      effect: Effect.Effect<A, E, R>
    ): Effect.Effect<A, Exclude<E, RecordCorrupt | SchemaFromTheFuture>, R> =>
      Effect.catchAll(effect, (error) =>
        isUnreadable(error)
          ? run.setAside({ tag: error._tag, message: error.message })
          : Effect.fail(error as Exclude<E, RecordCorrupt | SchemaFromTheFuture>))

    /** A boundary that cannot be is the run's failure, not a value in it. */
    const unboxed = <A, E, R>(
      boundary: Effect.Effect<A, Executor.DeltaError | AlongsideFailed<E>, R>
    ): Effect.Effect<A, E, R> =>
      Effect.catchAll(
        boundary,
        (error) => error instanceof AlongsideFailed ? Effect.fail(error.error) : run.refuse(error)
      )

    const boxed = <E, R>(delta: Delta<unknown, unknown, E, R>): Effect.Effect<Executor.Delta<AlongsideFailed<E>, R>> =>
      Effect.map(engineDelta(codecs, delta), ({ alongside, ...rest }) => ({
        ...rest,
        ...(alongside && { alongside: Effect.mapError(alongside, (error) => new AlongsideFailed({ error })) })
      }))

    const note = (delta: Executor.Delta): Effect.Effect<void> =>
      Effect.catchAll(run.note(delta), (error) => run.refuse(error))

    const noted = (scope: string, key: string): Effect.Effect<Option.Option<Note>> =>
      Effect.map(unreadable(run.notes(scope, key)), ([found]) => Option.fromNullable(found))

    /** The keys whose results the fiber works for. */
    const within = FiberRef.unsafeMake<ReadonlyArray<string>>([])
    const once = <A, I, E, R>(
      key: string,
      schema: Schema.Schema<A, I>,
      effect: Effect.Effect<A, E, R>
    ): Effect.Effect<A, E, R> => {
      const result = Codecs.codec(`once.${key}`, schema)
      const fresh = Effect.uninterruptibleMask((restore) =>
        Effect.tap(restore(effect), (value) =>
          Effect.flatMap(Codecs.orDie(result.encode(value)), (value) =>
            note({ notes: [{ scope: batch, key, value }] })))
      )
      const stored = Effect.flatMap(
        noted(batch, key),
        Option.match({
          onNone: () =>
            fresh,
          onSome: ({ value }) => readable<A>(run, result.decode(value))
        })
      )
      return Effect.flatMap(FiberRef.get(within), (keys) =>
        keys.includes(key)
          ? Effect.dieMessage(`once("${key}") within once("${key}") would wait for itself. Give it another key.`)
          : lockOf(`once/${key}`).withPermits(1)(Effect.locally(stored, within, [...keys, key])))
    }

    const ask: Run<T>["ask"] = <K extends QuestionNamesOf<T>, E, R>(
      question: K,
      { ask, commit: beside = {}, expires, key }: AskOptions<AskOf<T, K>, StateOf<T>, MessageOf<T>, E, R>
    ) =>
      Effect.gen(function*() {
        const codec = codecs.question(question)
        if (Option.isNone(codec)) return yield* Effect.dieMessage(`${agent.agentName} has no question ${question}`)
        const now = yield* Clock.currentTimeMillis
        const scope = Agents.scopeOf(question)
        const delta = Effect.gen(function*() {
          const asked = yield* noted(scope, key)
          const notes = [{ scope, key, value: { ask: yield* Codecs.orDie(codec.value.ask.encode(ask)), askedAt: now } }]
          return { ...(yield* boxed(beside)), ...(Option.isNone(asked) && { notes }) }
        })
        const end = yield* unboxed(unreadable(run.operation(Agents.operationOf(question, key), {
          delta,
          ...untilOf(now, expires)
        })))
        if (end._tag === "cancelled") {
          return yield* new QuestionExpired({ runtimeId: run.runtimeId, question, key })
        }
        // Ended by somebody who knows operations, and no questions: there is no answer, and never will be.
        if (end._tag === "failed") {
          return yield* run.refuse(
            new InvalidInput({ runtimeId: run.runtimeId, field: `questions.${question}`, problem: end.error })
          )
        }
        return yield* readable<AnswerOf<T, K>>(run, codec.value.answer.decode(end.result))
      })

    const child: Run<T>["child"] = (other, { id, input, key }) => {
      const idempotencyKey = childKey(batch, key)
      const to = idOf(other, id ?? `${batch}/${key}`)
      const inputId = run.idOfKey(to, idempotencyKey)
      const origin = { _tag: "peer" as const, peerId: run.runtimeId, runtimeId: run.runtimeId }
      const sent = Effect.flatMap(noted(Children.scopeOf(batch as BatchId), inputId), (known) =>
        Option.isSome(known)
          ? Effect.void
          : note({
            outbox: [{ to, input: prompt(input, { idempotencyKey, origin }, undefined), endsWithBatch: true }]
          }))
      const answered = lockOf(idempotencyKey).withPermits(1)(sent).pipe(
        Effect.zipRight(Effect.mapError(plane.await(to, inputId), awaitError)),
        Effect.flatMap(({ result }) => resultOf(other, to, inputId, result))
      )
      // Looked at before anything is sent: what nobody can wait for would still be carried out.
      return run.dependingOn(to, answered)
    }

    return {
      agent: run.agent,
      id: run.id,
      runId: run.runId,
      attempt: run.attempt,
      idempotencyKey: batch,
      inputs: inputs as unknown as Run<T>["inputs"],
      state,
      history: (options) =>
        Effect.flatMap(unreadable(run.history(options)), (messages) =>
          readable(
            run,
            Either.all(messages.map((message) => codecs.message.decode(message)))
          )),
      checkpoint: (delta = {}) =>
        Effect.flatMap(
          unboxed(Effect.flatMap(boxed(delta), run.checkpoint)),
          (steers) =>
            Effect.forEach(steers, (steer) => steerOf(run, codecs)(steer) as Effect.Effect<Input<EventsOf<T>>>)
        ),
      rewrite: ({ from, reason, with: messages }) =>
        Effect.gen(function*() {
          const end = Option.match(yield* run.session, {
            onNone: () => 0,
            onSome: ({ length }) => length
          })
          const replacement = yield* Effect.forEach(messages, (message) => Codecs.orDie(codecs.message.encode(message)))
          yield* Effect.catchAll(
            run.rewrite({ selection: { start: from, end }, reason, replacement }),
            (error) => run.refuse(error)
          )
        }),
      steered: run.steered,
      once,
      ask,
      child,
      emit: (progress) => Effect.flatMap(Codecs.orDie(codecs.progress.encode(progress)), run.emit),
      heartbeat: run.heartbeat
    }
  })
