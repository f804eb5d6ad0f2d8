/** The driver's commands and queries over its cell. A class, since a process may have thousands of them. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Accept from "../../core/Accept.js"
import * as Boundary from "../../core/Boundary.js"
import * as Close from "../../core/Close.js"
import * as Control from "../../core/Control.js"
import * as Session from "../../core/Session.js"
import * as Stage from "../../core/Stage.js"
import * as State from "../../core/State.js"
import type { Decide } from "../../core/Step.js"
import type { InvalidInput } from "../../schema/DriverError.js"
import type { BatchId, InputId, RunId, RuntimeId, SessionId } from "../../schema/Ids.js"
import type { Draft, OperationEnd } from "../../schema/Input.js"
import type { Json } from "../../schema/Json.js"
import type { RecoveryReport } from "../../schema/Report.js"
import type { RunEvent } from "../../schema/Run.js"
import type { SessionDelta, SessionHead } from "../../schema/Session.js"
import type {
  BoundaryError,
  BoundaryOptions,
  BoundaryOutcome,
  Service,
  SessionError,
  StageOptions
} from "../../services/Driver.js"
import type { StoredDeposit } from "../../services/RuntimeStore.js"
import * as Spans from "../../services/Spans.js"
import * as Admission from "./Admission.js"
import { Arguments } from "./Arguments.js"
import { type Ask, Cell } from "./Cell.js"
import * as Children from "./Children.js"
import * as Deltas from "./Deltas.js"
import type { Env } from "./Env.js"
import * as Events from "./Events.js"
import * as Intake from "./Intake.js"
import * as OperationEnds from "./OperationEnds.js"
import * as Outgoing from "./Outgoing.js"
import { recover, type Recovered, recycle, type Taking } from "./Recovery.js"
import * as Redrive from "./Redrive.js"
import * as Runs from "./Runs.js"

export class DriverLive implements Service {
  private readonly cell: Cell
  private readonly args: Arguments
  private lastRecovery: RecoveryReport

  constructor(readonly runtimeId: RuntimeId, private readonly env: Env, recovered: Recovered<RecoveryReport>) {
    this.cell = new Cell(runtimeId, env, recovered.state, recovered.signal)
    this.args = new Arguments(runtimeId, env.limits)
    this.lastRecovery = recovered.report
  }

  private command<A, E>(name: string, decide: Decide<A, E>) {
    return this.cell.submit<A, E>({ name, decide: () => decide })
  }

  /** A command that may end batches ends their children with them. */
  private ending<A, E>(name: string, decide: Decide<A, E>) {
    return Children.submit<A, E>(this.env, this.cell, { name, decide: () => decide })
  }

  get recovery() {
    return Effect.sync(() => this.lastRecovery)
  }

  accept(draft: Draft) {
    return Admission.accept(this.env, this.cell, this.runtimeId, draft, Accept.accept)
  }

  endOperation(operationId: string, end: OperationEnd) {
    return this.args.operationId("operationId", operationId).pipe(
      Effect.zipRight(this.args.operationEnd(end)),
      Effect.flatMap(() =>
        Admission.accept(this.env, this.cell, this.runtimeId, Admission.endOf(operationId, end), Accept.endOperation)
      )
    )
  }

  admit({ body, inputId }: StoredDeposit) {
    return Effect.flatMap(body, (stored) => Intake.open(this.env, this.runtimeId, inputId, stored)).pipe(
      Effect.flatMap((input) => this.accept(input))
    )
  }

  stage({ attemptsMax, missingBlob = "fail", ...which }: StageOptions = {}) {
    const limits = this.limitsOf(attemptsMax)
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(this, function*() {
        const runId = (yield* this.env.ids.next) as RunId
        const batchId = (yield* this.env.ids.next) as BatchId
        // A run that its caller never hears of is nobody's: it goes back. That it was not opened is answer enough.
        const giveBack = Effect.ignore(this.giveBack({ runId }))
        const reply = yield* restore(this.command("stage", Stage.stage({ ...which, runId, batchId }, limits))).pipe(
          Effect.onInterrupt(() => giveBack)
        )
        yield* Effect.annotateCurrentSpan(
          reply._tag === "nothing"
            ? { "burrow.outcome": reply._tag }
            : { "burrow.outcome": reply._tag, "burrow.run.id": runId, "burrow.attempt": reply.attempt }
        )
        if (reply._tag === "nothing") {
          return { ...reply, nextReadyAt: Option.fromNullable(reply.nextReadyAt) }
        }
        const inputs = yield* restore(Runs.openReadable(this.env, this.runtimeId, reply.inputs, missingBlob)).pipe(
          Effect.onError(() => giveBack)
        )
        const { session } = yield* this.cell.state
        return { _tag: "staged" as const, run: Runs.stagedRun(reply, inputs, session) }
      })
    ).pipe(
      Effect.withSpan("Driver.stage", { captureStackTrace: false, attributes: { "burrow.runtime.id": this.runtimeId } })
    )
  }

  private limitsOf(attemptsMax = this.env.limits.attemptsMax) {
    // Nobody is given up who was never tried.
    return { ...this.env.limits, attemptsMax: Math.max(1, attemptsMax) }
  }

  checkpoint<E, R>(options: BoundaryOptions<E, R>) {
    return this.boundary("checkpoint", options)
  }

  note<E, R>(options: BoundaryOptions<E, R>) {
    return this.boundary("note", options)
  }

  complete<E, R>(options: BoundaryOptions<E, R> & { readonly result?: Json }) {
    return this.boundary("final", options)
  }

  private boundary<E, R>(
    kind: Boundary.Kind,
    options: BoundaryOptions<E, R> & { readonly result?: Json }
  ): Effect.Effect<BoundaryOutcome, BoundaryError | E, R> {
    const { after, alongside, awaits = [], notes = [], outbox = [], runId } = options
    return Effect.gen(this, function*() {
      const taken = yield* Deltas.take(this.env, this.runtimeId, options.delta)
      const result = options.result === undefined
        ? null
        : yield* this.args.json("result", options.result, this.env.limits.resultBytesMax)
      yield* this.args.notes(notes, outbox.filter(({ endsWithBatch }) => endsWithBatch === true).length)
      yield* this.args.awaits(kind, awaits)
      const messages = yield* this.args.messages(options.messages ?? new Map())
      const { children, deposits } = yield* Outgoing.takeAll(this.env, this.runtimeId, outbox)
      const sessionId = (yield* this.env.ids.next) as SessionId
      const context = yield* Effect.context<R>()
      const ask: Ask<Boundary.BoundaryReply, BoundaryError | E> = {
        name: kind,
        prepare: (state) =>
          Effect.gen(this, function*() {
            const facts = yield* Runs.boundaryFacts(this.env, state, { runId, after, awaits, messages, children })
            // A repetition is known by what it says; the transcript that it was made on may be gone.
            const delta = facts.receipt === null
              ? yield* Deltas.gather(this.env, state, taken)
              : Deltas.asSaid(taken)
            const command = { kind, runId, delta, sessionId, result, notes, deposits, children, awaits }
            return Boundary.boundary(after === undefined ? command : { ...command, after }, facts, this.env)
          }),
        ...(alongside && {
          persist: (commit) => Effect.provide(this.env.store.commitWith(commit, alongside), context)
        })
      }
      const reply = yield* this.cell.submit(ask)
      const steers = reply.delivered.length === 0
        ? []
        : yield* Runs.openInputs(this.env, this.runtimeId, reply.delivered, "placeholder")
      yield* Effect.annotateCurrentSpan("burrow.outcome", reply.alreadyApplied ? "already_applied" : "committed")
      const handedOver = Arr.getRights(steers.map(({ input }) => input))
      if (handedOver.length > 0) {
        yield* Effect.annotateCurrentSpan("burrow.input.id", Spans.idsOf(handedOver))
        yield* Effect.linkSpanCurrent(Spans.linksTo(handedOver))
      }
      return {
        receipt: reply.receipt,
        alreadyApplied: reply.alreadyApplied,
        steers,
        session: Option.fromNullable(reply.session)
      }
    }).pipe(
      Effect.withSpan("Driver.boundary", {
        captureStackTrace: false,
        attributes: { "burrow.runtime.id": this.runtimeId, "burrow.run.id": runId, "burrow.boundary": kind }
      })
    )
  }

  private close(name: string, command: Close.CloseCommand, attemptsMax?: number) {
    return this.closing(name, command, this.command(name, Close.close(command, this.limitsOf(attemptsMax))))
  }

  private closing<A, E>(name: string, command: Close.CloseCommand, submitted: Effect.Effect<A, E>) {
    return submitted.pipe(
      Effect.withSpan("Driver.close", {
        captureStackTrace: false,
        attributes: { "burrow.runtime.id": this.runtimeId, "burrow.run.id": command.runId, "burrow.outcome": name }
      })
    )
  }

  fail({ attemptsMax, failure, recoverable = true, runId, ...options }: Parameters<Service["fail"]>[0]) {
    return Effect.flatMap(
      this.args.time("visibleAt", options.visibleAt),
      (visibleAt) =>
        this.close(
          "fail",
          { _tag: "fail", runId, failure: this.args.failure(failure), recoverable, visibleAt },
          attemptsMax
        )
    )
  }

  uncharge({ runId }: Parameters<Service["uncharge"]>[0]) {
    return this.command("uncharge", Close.uncharge(runId))
  }

  settle({ runId }: Parameters<Service["settle"]>[0]) {
    return this.close("settle", { _tag: "settle", runId })
  }

  cancelInput({ inputId, reason }: Parameters<Service["cancelInput"]>[0]) {
    return this.ending("cancelInput", Close.cancelInput({ inputId, reason: this.args.text(reason) }, this.env.limits))
  }

  redrive(inputId: InputId) {
    return Effect.flatMap(
      Redrive.draft(this.env, this.runtimeId, inputId),
      (draft) => this.accept(draft)
    )
  }

  cancel({ reason, runId }: Parameters<Service["cancel"]>[0]) {
    const command = { _tag: "cancel", runId, reason: this.args.text(reason) } as const
    return this.closing("cancel", command, this.ending("cancel", Close.close(command, this.env.limits)))
  }

  giveBack({ runId, ...options }: Parameters<Service["giveBack"]>[0]) {
    return Effect.flatMap(
      this.args.time("visibleAt", options.visibleAt),
      (visibleAt) => this.close("giveBack", { _tag: "give_back", runId, visibleAt })
    )
  }

  hold({ awaits, failure, inputIds, reason, runId, ...options }: Parameters<Service["hold"]>[0]) {
    return Effect.flatMap(
      this.args.time("until", options.until),
      (until) =>
        this.close("hold", {
          _tag: "hold",
          runId,
          reason,
          until,
          ...(awaits !== undefined && { awaits }),
          ...(inputIds !== undefined && { inputIds }),
          ...(failure !== undefined && { failure: this.args.failure(failure) })
        })
    )
  }

  holdInput({ inputId, reason, ...options }: Parameters<Service["holdInput"]>[0]) {
    return Effect.flatMap(
      this.args.time("until", options.until),
      (until) => this.command("holdInput", Close.holdInput({ inputId, reason, until }))
    )
  }

  release(inputId: InputId) {
    return this.command("release", Close.release(inputId))
  }

  abandonPending(reason: Parameters<Service["abandonPending"]>[0]) {
    return this.ending("abandonPending", Control.abandonPending(reason))
  }

  onRunEvent(event: RunEvent) {
    switch (event._tag) {
      case "run_failed":
        return this.fail(event)
      case "run_cancelled":
        return this.cancel(event)
      case "run_given_back":
        return this.giveBack(event)
    }
  }

  publish(code: string, data: Json) {
    return this.args.name("code", code).pipe(
      Effect.zipRight(this.args.json("data", data, this.env.limits.valueBytesMax)),
      Effect.zipRight(this.command("publish", Control.publish(code, data)))
    )
  }

  onControl(command: "stop" | "resume") {
    return command === "stop" ? Effect.asVoid(this.stop) : this.resume
  }

  attach(agentRuntimeId?: string) {
    return Effect.flatMap(
      agentRuntimeId === undefined ? Effect.succeed(null) : this.args.name("agentRuntimeId", agentRuntimeId),
      (name) => this.command("attach", Control.attach(name))
    )
  }

  get detach() {
    return this.command("detach", Control.detach)
  }

  get pause() {
    return this.command("pause", Control.pause(true))
  }

  get unpause() {
    return this.command("unpause", Control.pause(false))
  }

  get retire() {
    return this.command("retire", Control.retire)
  }

  get reset() {
    return this.ending("reset", Control.reset)
  }

  get stop() {
    return this.ending("stop", Control.stop(this.env.limits))
  }

  get resume() {
    return this.command("resume", Control.resume)
  }

  get destroy() {
    return this.ending("destroy", Control.destroy(this.env.limits))
  }

  get recycle() {
    return this.rebuild("recycle", recycle)
  }

  get recover() {
    return this.rebuild("recover", recover)
  }

  get takeOver() {
    return this.rebuild("takeOver", recover, { whenLost: true })
  }

  private rebuild<Report, E>(
    name: string,
    take: (env: Env, runtimeId: RuntimeId, taking: Taking) => Effect.Effect<Recovered<Report>, E>,
    { whenLost = false } = {}
  ) {
    return this.cell.submit({
      name,
      whenLost,
      replace: (isLost) =>
        Effect.map(take(this.env, this.runtimeId, isLost ? "anew" : "again"), (recovered) => {
          this.lastRecovery = recovered.recovery
          return [recovered.state, recovered.report, recovered.signal] as const
        })
    })
  }

  setSilentIntents(intents: ReadonlyArray<string>) {
    return Effect.flatMap(
      this.args.intents(intents),
      (intents) => this.command("setSilentIntents", Control.setSilentIntents(intents))
    )
  }

  private changeSession(
    name: string,
    delta: SessionDelta,
    more: { readonly expected?: Uint8Array | null; readonly clear?: boolean } = {}
  ): Effect.Effect<Required<Pick<Ask<SessionHead | null, SessionError>, "name" | "prepare">>, InvalidInput> {
    return Effect.gen(this, function*() {
      const taken = yield* Deltas.take(this.env, this.runtimeId, delta)
      const sessionId = (yield* this.env.ids.next) as SessionId
      return {
        name,
        prepare: (state: State.DriverState) =>
          Effect.map(
            // Between runs only: nothing of a running run's session is worth reading.
            state.run === null ? Deltas.gather(this.env, state, taken) : Effect.succeed(Session.noDelta),
            (gathered) =>
              Control.changeSession({
                name,
                sessionId,
                delta: more.expected === undefined ? gathered : { ...gathered, expected: more.expected },
                clear: more.clear ?? false
              }, this.env.sha256)
          )
      }
    })
  }

  rewrite(rewrite: Parameters<Service["rewrite"]>[0]) {
    return this.changeSession("rewrite", { rewrite }).pipe(
      Effect.flatMap((ask) => this.cell.submit(ask)),
      Effect.flatMap((session) =>
        session === null ? Effect.dieMessage("a rewrite leaves a session") : Effect.succeed(session)
      )
    )
  }

  commitSession(delta: Parameters<Service["commitSession"]>[0]) {
    return this.changeSession("commitSession", delta).pipe(
      Effect.flatMap((ask) => this.cell.submit(ask)),
      Effect.map(Option.fromNullable)
    )
  }

  replaceSnapshotIfCurrent(expected: Uint8Array | null, next: Uint8Array | null) {
    return this.changeSession("replaceSnapshotIfCurrent", { snapshot: next }, { expected }).pipe(
      Effect.flatMap((ask) => {
        const changed: Ask<boolean, SessionError> = {
          name: ask.name,
          prepare: (state, known) =>
            Effect.map(
              ask.prepare(state, known),
              (decide) => (before, stamp, now) =>
                Either.map(decide(before, stamp, now), (transition) => ({ ...transition, reply: true }))
            ),
          onRefusal: (refusal) => refusal._tag === "SnapshotChanged" ? Option.some(false) : Option.none()
        }
        return this.cell.submit(changed)
      })
    )
  }

  get clearSession() {
    return this.changeSession("clearSession", {}, { clear: true }).pipe(
      Effect.flatMap((ask) => this.cell.submit(ask)),
      Effect.asVoid
    )
  }

  get state() {
    return Effect.map(this.cell.state, State.runtimeState)
  }

  get isIdle() {
    return Effect.map(this.state, (state) => state === "idle")
  }

  get isIdleOrAttached() {
    return Effect.map(this.state, (state) => state === "idle" || state === "attached")
  }

  get isPaused() {
    return Effect.map(this.cell.state, (state) => state.paused)
  }

  get silentIntents() {
    return Effect.map(this.cell.state, (state) => state.silentIntents)
  }

  get steers() {
    return this.cell.steers
  }

  /** What was found when it was opened may ask for a loop. */
  get announce() {
    return this.cell.announce
  }

  get isForgettable() {
    return this.cell.isIdle
  }

  get openRun() {
    return Effect.map(this.cell.state, (state) => Option.fromNullable(state.run))
  }

  get session() {
    return Effect.map(this.cell.state, (state) => Option.fromNullable(state.session))
  }

  inputState(inputId: InputId) {
    return Effect.flatMap(this.cell.state, (state) =>
      Option.match(HashMap.get(state.active, inputId), {
        onSome: Effect.succeedSome,
        onNone: () => Effect.map(this.loadInput(inputId), Option.map((stored) => stored.head))
      }))
  }

  loadInput(inputId: InputId) {
    return this.env.store.loadInputState(this.runtimeId, inputId)
  }

  inputByKey(key: Parameters<Service["inputByKey"]>[0]) {
    return this.env.store.loadInputStateByKey(this.runtimeId, key)
  }

  operationEnd(operationId: string) {
    return OperationEnds.find(this.env, this.runtimeId, operationId)
  }

  get activeInputIds() {
    return Effect.map(this.cell.state, (state) => State.activeHeads(state).map((head) => head.id))
  }

  get takeSignal() {
    return this.cell.takeSignal
  }

  events({ after = 0 }: { readonly after?: number } = {}) {
    return Events.events(this.env, this.runtimeId, after)
  }
}
