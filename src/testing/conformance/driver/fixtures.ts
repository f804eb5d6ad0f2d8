/**
 * What the cases of the driver's contract are built of: runtimes that nobody has used, drafts of every kind, runs, and a
 * look at everything that a driver shows.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Digests from "../../../core/Digests.js"
import * as DigestPure from "../../../layers/DigestPure.js"
import * as IdGeneratorUuid from "../../../layers/IdGeneratorUuid.js"
import * as Content from "../../../schema/Content.js"
import { type IdempotencyKey, InputId, RuntimeId, type SupersessionKey } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import type { Failure } from "../../../schema/InputState.js"
import { canonical, type Json } from "../../../schema/Json.js"
import type { EventRecord, RuntimeEvent } from "../../../schema/RuntimeEvent.js"
import type { HandlingMode } from "../../../schema/Turn.js"
import { Digest } from "../../../services/Digest.js"
import type { InDoubtPolicy, Service, StagedInput, StagedRun } from "../../../services/Driver.js"
import { Drivers } from "../../../services/Driver.js"
import { IdGenerator } from "../../../services/IdGenerator.js"
import { RuntimeStore } from "../../../services/RuntimeStore.js"
import { check, expectEqual } from "../../Conformance.js"
import { type DriverCase, limits, Restart } from "./contract.js"

export { limits }

/** A fresh UUID. Ids of cases that run at the same time differ too. */
const fresh = Effect.provide(Effect.flatMap(IdGenerator, ({ next }) => next), IdGeneratorUuid.layer)

export const freshRuntimeId = Effect.map(fresh, (id) => RuntimeId.make(id))
export const freshInputId = Effect.map(fresh, (id) => InputId.make(id))

const named = /^((?:[ID]\d+)(?:, [ID]\d+)*): /

const numbered = (name: string) => {
  const numbers = named.exec(name)?.[1]?.split(", ") ?? []
  const invariants = numbers.filter((number) => number.startsWith("I"))
  const defects = numbers.filter((number) => number.startsWith("D"))
  return { ...(invariants.length > 0 && { invariants }), ...(defects.length > 0 && { defects }) }
}

/** A case about one driver, whose runtime nobody has used. */
export const make = (
  name: string,
  body: (driver: Service, drivers: Context.Tag.Service<Drivers>) => Effect.Effect<void, unknown>
): DriverCase<Drivers> => ({
  name,
  ...numbered(name),
  run: Effect.gen(function*() {
    const drivers = yield* Drivers
    yield* body(yield* drivers.get(yield* freshRuntimeId), drivers)
  })
})

export interface DurableBench {
  readonly drivers: Context.Tag.Service<Drivers>
  readonly store: Context.Tag.Service<RuntimeStore>
  /** The same runtime's driver in a new process, which nobody has told of the old one's end. */
  readonly restart: (inDoubt?: InDoubtPolicy) => Effect.Effect<Service, unknown>
}

/** A case about what is left when the process ends. */
export const makeDurable = (
  name: string,
  body: (driver: Service, bench: DurableBench) => Effect.Effect<void, unknown>
): DriverCase<Drivers | Restart | RuntimeStore> => ({
  name,
  ...numbered(name),
  run: Effect.gen(function*() {
    const drivers = yield* Drivers
    const store = yield* RuntimeStore
    const { next } = yield* Restart
    const driver = yield* drivers.get(yield* freshRuntimeId)
    const restart = (inDoubt?: InDoubtPolicy) => Effect.flatMap(next(inDoubt), (again) => again.get(driver.runtimeId))
    yield* body(driver, { drivers, store, restart })
  })
})

/** Keys and ids as plain text. */
export interface HeaderOptions extends Omit<Input.HeaderDraft, "idempotencyKey" | "supersessionKey"> {
  readonly key?: string
  readonly scope?: string
}

const header = ({ key, scope, ...rest }: HeaderOptions): Input.HeaderDraft => ({
  ...rest,
  ...(key !== undefined && { idempotencyKey: key as IdempotencyKey }),
  ...(scope !== undefined && { supersessionKey: scope as SupersessionKey })
})

const mode = (handlingMode: HandlingMode | undefined) => handlingMode === undefined ? {} : { handlingMode }

export const prompt = (text: string, options: HeaderOptions = {}, handlingMode?: HandlingMode): Input.Draft =>
  Input.prompt(text, header(options), handlingMode && { handlingMode })

/** A plain input that is batched with its neighbours. */
export const flow = (stepId: string, options: HeaderOptions = {}, handlingMode?: HandlingMode): Input.Draft => ({
  _tag: "flow_step",
  stepId,
  content: Content.from(stepId),
  header: header({ origin: { _tag: "flow", flowId: "flow", stepIndex: 0 }, ...options }),
  ...(handlingMode && { turn: { handlingMode } })
})

export const external = (eventType: string, options: HeaderOptions = {}, handlingMode?: HandlingMode): Input.Draft => ({
  _tag: "external_event",
  eventType,
  payload: null,
  header: header({ origin: { _tag: "external", sourceName: "door" }, ...options }),
  ...mode(handlingMode)
})

/** What is handed to a run at its next checkpoint. */
export const steer = (text: string, options: HeaderOptions = {}): Input.Draft => external(text, options, "steer")

/** What goes with others, and begins no run. */
export const rider = (text: string, options: HeaderOptions = {}): Input.Draft => external(text, options, "ride_along")

export const continuation = (
  reason: string,
  options: HeaderOptions = {},
  handlingMode?: HandlingMode
): Input.Draft => ({ _tag: "continuation", reason, header: header(options), ...mode(handlingMode) })

export const operation = (operationId: string, options: HeaderOptions = {}): Input.Draft => ({
  _tag: "operation",
  operationId,
  event: { _tag: "started", kind: "tool_call" },
  header: header({ origin: { _tag: "system" }, ...options })
})

const peer = (
  convention: Input.Convention,
  text: string,
  options: HeaderOptions,
  handlingMode?: HandlingMode
): Input.Draft => ({
  _tag: "peer",
  convention,
  content: Content.from(text),
  header: header({ origin: { _tag: "peer", peerId: "peer" }, ...options }),
  ...mode(handlingMode)
})

export const message = (text: string, options: HeaderOptions = {}, handlingMode?: HandlingMode): Input.Draft =>
  peer({ _tag: "message" }, text, options, handlingMode)

export const request = (
  text: string,
  intent: string,
  options: HeaderOptions = {},
  handlingMode?: HandlingMode
): Input.Draft => peer({ _tag: "request", requestId: "r", intent }, text, options, handlingMode)

export const progress = (text: string, options: HeaderOptions = {}, handlingMode?: HandlingMode): Input.Draft =>
  peer({ _tag: "response_progress", requestId: "r", phase: "in_progress" }, text, options, handlingMode)

export const terminal = (text: string, options: HeaderOptions = {}, handlingMode?: HandlingMode): Input.Draft =>
  peer({ _tag: "response_terminal", requestId: "r", status: "completed" }, text, options, handlingMode)

/** What a case calls an input. */
const labelOf = (input: Input.Input): string => {
  switch (input._tag) {
    case "flow_step":
      return input.stepId
    case "external_event":
      return input.eventType
    case "continuation":
      return input.reason
    case "operation":
      return input.operationId
    default:
      return Content.toText(input.content)
  }
}

export const labels = (inputs: ReadonlyArray<StagedInput>): ReadonlyArray<string> =>
  inputs.map(({ head, input }) => Either.match(input, { onLeft: () => `${head.id} cannot be read`, onRight: labelOf }))

export const idsOf = (run: StagedRun): ReadonlyArray<InputId> => run.inputs.map(({ head }) => head.id)

const demand = <A>(found: Option.Option<A>, sentence: string) =>
  Effect.flatMap(check(Option.isSome(found), sentence), () => Effect.orElseFail(found, () => new Error(sentence)))

/** The value of an option that has to have one. */
export const some = demand

export const accept = (driver: Service, draft: Input.Draft) =>
  Effect.flatMap(
    driver.accept(draft),
    (outcome) =>
      demand(
        outcome._tag === "accepted" ? Option.some(outcome) : Option.none(),
        `the input is accepted, not ${outcome._tag}`
      )
  )

export const acceptAll = (driver: Service, drafts: ReadonlyArray<Input.Draft>) =>
  Effect.forEach(drafts, (draft) => Effect.map(accept(driver, draft), ({ inputId }) => inputId))

export const rejected = (driver: Service, draft: Input.Draft) =>
  Effect.flatMap(driver.accept(draft), (outcome) =>
    demand(
      outcome._tag === "rejected" ? Option.some(outcome.reason) : Option.none(),
      `the input is rejected, not ${outcome._tag}`
    ))

export const stage = (driver: Service) =>
  Effect.flatMap(
    driver.stage(),
    (outcome) => demand(outcome._tag === "staged" ? Option.some(outcome.run) : Option.none(), "a run is staged")
  )

/** Stages, and expects exactly these inputs. */
export const stageOf = (driver: Service, expected: ReadonlyArray<string>) =>
  Effect.tap(stage(driver), (run) => expectEqual(labels(run.inputs), expected, "the staged batch"))

export const nothing = (driver: Service) =>
  Effect.flatMap(
    driver.stage(),
    (outcome) => demand(outcome._tag === "nothing" ? Option.some(outcome) : Option.none(), "nothing is staged")
  )

/** One batch goes, and then nothing. */
export const nothingBut = (driver: Service, label: string) =>
  Effect.gen(function*() {
    const { runId } = yield* stageOf(driver, [label])
    yield* driver.complete({ runId })
    return yield* nothing(driver)
  })

/** A runtime with an open run of one prompt. */
export const running = (driver: Service, text = "go") =>
  Effect.zipRight(accept(driver, prompt(text)), stageOf(driver, [text]))

/** Stages and completes until nothing is ready; the labels of the batches, in order. */
export const drain = (driver: Service) =>
  Effect.gen(function*() {
    const batches: Array<ReadonlyArray<string>> = []
    while (true) {
      const outcome = yield* driver.stage()
      if (outcome._tag === "nothing") return batches
      batches.push(labels(outcome.run.inputs))
      yield* driver.complete({ runId: outcome.run.runId })
    }
  })

export const failure: Failure = { tag: "Boom", message: "it did not work" }

export const fail = (driver: Service, { runId }: StagedRun) => driver.fail({ runId, failure })

/** Stages what is next and fails it, so that the next attempt is its last but `left`. */
export const failUntilLast = (driver: Service, attempts: number = limits.attemptsMax - 1) =>
  Effect.forEach(
    Array.from({ length: attempts }),
    () => Effect.flatMap(stage(driver), (run) => Effect.as(fail(driver, run), run))
  )

export const head = (driver: Service, id: InputId) =>
  Effect.flatMap(driver.inputState(id), (found) => demand(found, `input ${id} is known`))

const phase = (driver: Service, id: InputId) => Effect.map(head(driver, id), (found) => found.phase)

export const expectPhase = (driver: Service, id: InputId, expected: string, sentence = "the phase") =>
  Effect.flatMap(phase(driver, id), (actual) => expectEqual<string>(actual, expected, sentence))

/** Everything that a driver shows from memory, and the rows of its active inputs. */
export const look = (driver: Service) =>
  Effect.gen(function*() {
    const active = yield* driver.activeInputIds
    return {
      state: yield* driver.state,
      paused: yield* driver.isPaused,
      silentIntents: yield* driver.silentIntents,
      openRun: yield* driver.openRun,
      session: yield* driver.session,
      heads: yield* Effect.forEach(active, (id) => driver.inputState(id)),
      rows: yield* Effect.forEach(active, (id) => Effect.map(driver.loadInput(id), Option.map((stored) => stored.head)))
    }
  })

/** The effect leaves memory, and the rows of active inputs, as they were (I3). */
export const expectUnchanged = <A, E>(driver: Service, effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const before = yield* look(driver)
    const result = yield* effect
    yield* expectEqual(yield* look(driver), before, "what the driver shows is what it was")
    return result
  })

/** Memory and rows are one: every active head is what its row says. */
export const expectConsistent = (driver: Service) =>
  Effect.flatMap(look(driver), ({ heads, rows }) => expectEqual(heads, rows, "the heads in memory and the rows"))

export const eventsUntil = (driver: Service, last: (event: RuntimeEvent) => boolean, after = 0) =>
  driver.events({ after }).pipe(
    Stream.takeUntil(({ event }) => last(event)),
    Stream.runCollect,
    Effect.map((chunk): ReadonlyArray<EventRecord> => Array.from(chunk))
  )

const MARK = "conformance.mark"
const isMark = (event: RuntimeEvent): boolean => event._tag === "runtime.published" && event.code === MARK

/** All events up to now, which a mark behind them shows. A runtime that was destroyed takes no mark. */
export const events = (driver: Service) =>
  Effect.gen(function*() {
    const mark = yield* fresh
    yield* driver.publish(MARK, mark)
    const found = yield* eventsUntil(driver, (event) => isMark(event) && "data" in event && event.data === mark)
    yield* expectEqual(
      found.map(({ number }) => number),
      found.map((_, i) => i + 1),
      "the numbers of the events, which are dense"
    )
    return found.map(({ event }) => event).filter((event) => !isMark(event))
  })

export const tags = (found: ReadonlyArray<RuntimeEvent>): ReadonlyArray<string> => found.map(({ _tag }) => _tag)

/** The events of one kind, in order. */
export const only = <const Tag extends RuntimeEvent["_tag"]>(found: ReadonlyArray<RuntimeEvent>, tag: Tag) =>
  found.filter((event): event is Extract<RuntimeEvent, { readonly _tag: Tag }> => event._tag === tag)

/** The transcript is these messages, by its revision, which is a fold over all of them. */
export const expectTranscript = (driver: Service, messages: ReadonlyArray<Json>) =>
  Effect.gen(function*() {
    const { sha256 } = yield* Digest
    const session = yield* demand(yield* driver.session, "there is a session")
    let revision = Digests.firstRevision(sha256, session.id)
    for (const one of messages) revision = Digests.nextRevision(sha256, revision, yield* canonical(one))
    yield* expectEqual(session.length, messages.length, "the length of the transcript")
    yield* check(session.revision === revision, `the transcript is ${JSON.stringify(messages)}`)
  }).pipe(Effect.provide(DigestPure.layer))

/** Long enough for a forked command to get in line, and for a worker that waits for its turn to get it. */
export const turns = Effect.repeatN(
  Effect.async<void>((resume) => void setTimeout(() => resume(Effect.void), 0)),
  4
)
