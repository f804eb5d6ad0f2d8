import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { InputId } from "../../src/schema/Ids.js"
import type * as Input from "../../src/schema/Input.js"
import type { InputHead } from "../../src/schema/InputState.js"
import { Drivers, type Outgoing, type Service } from "../../src/services/Driver.js"
import * as F from "../../src/testing/conformance/driver/fixtures.js"
import { Restart } from "../../src/testing/DriverConformance.js"
import { ephemeral } from "./environments.js"

type DriversService = Context.Tag.Service<Drivers>
type Mistake = (driver: Service, drivers: DriversService) => Partial<Service>

/** Sound drivers, each with the same mistake. */
const mistaken = (drivers: DriversService, mistake: Mistake): DriversService => {
  const known = new Map<string, Service>()
  const withMistake = (driver: Service): Service => {
    const found = known.get(driver.runtimeId) ?? Object.defineProperties(
      Object.create(driver) as Service,
      Object.getOwnPropertyDescriptors(mistake(driver, drivers))
    )
    known.set(driver.runtimeId, found)
    return found
  }
  return {
    ...drivers,
    get: (runtimeId) => Effect.map(drivers.get(runtimeId), withMistake),
    lease: (runtimeId) => Effect.map(drivers.lease(runtimeId), withMistake)
  }
}

export const naive = (mistake: Mistake): Layer.Layer<Drivers> =>
  Layer.map(ephemeral, (context) => Context.make(Drivers, mistaken(Context.get(context, Drivers), mistake)))

/** The same over persistent drivers, of every process. */
export const naiveEverywhere = <R, E>(layer: Layer.Layer<Drivers | Restart | R, E>, mistake: Mistake) =>
  Layer.map(layer, (context) =>
    context.pipe(
      Context.add(Drivers, mistaken(Context.get(context, Drivers), mistake)),
      Context.add(Restart, {
        next: (inDoubt) =>
          Effect.map(Context.get(context, Restart).next(inDoubt), (drivers) => mistaken(drivers, mistake))
      })
    ))

const unnamed = (draft: Input.Draft): Input.Draft => {
  const { id: _id, idempotencyKey: _key, ...header } = draft.header ?? {}
  return { ...draft, header }
}

const free = ({ input, to }: Outgoing): Outgoing => ({ input, to })

export const mistakes = {
  ignoresKeysAndIds: (driver) => ({ accept: (draft) => driver.accept(unnamed(draft)) }),

  /** Like the original, which put a failed batch back one by one, each before the others. */
  reversesRetriedBatches: (driver) => ({
    stage: (options) =>
      Effect.map(driver.stage(options), (outcome) =>
        outcome._tag === "staged" && outcome.run.attempt > 1
          ? { ...outcome, run: { ...outcome.run, inputs: outcome.run.inputs.toReversed() } }
          : outcome)
  }),

  /** Tries a failing batch again and again. */
  countsNoAttempts: (driver) => ({
    fail: ({ runId, visibleAt }) => driver.giveBack({ runId, ...(visibleAt !== undefined && { visibleAt }) })
  }),

  /** What the boundary says is durable before it is known whether the application's rows are. */
  runsAlongsideAfterwards: (driver) => ({
    checkpoint: ({ alongside = Effect.void, ...options }) => Effect.tap(driver.checkpoint(options), () => alongside),
    note: ({ alongside = Effect.void, ...options }) => Effect.tap(driver.note(options), () => alongside),
    complete: ({ alongside = Effect.void, ...options }) => Effect.tap(driver.complete(options), () => alongside)
  }),

  /** Sends at once what should leave with the commit. */
  sendsBeforehand: (driver, { post }) => {
    const sent = (outbox: ReadonlyArray<Outgoing> = []) => Effect.forEach(outbox.map(free), post)
    return {
      checkpoint: ({ outbox, ...options }) => Effect.zipRight(sent(outbox), driver.checkpoint(options)),
      note: ({ outbox, ...options }) => Effect.zipRight(sent(outbox), driver.note(options)),
      complete: ({ outbox, ...options }) => Effect.zipRight(sent(outbox), driver.complete(options))
    }
  },

  /** Sends a child, and thinks no more of it. */
  forgetsChildren: (driver) => {
    const forgetting = <O extends { readonly outbox?: ReadonlyArray<Outgoing> }>({ outbox = [], ...options }: O) => ({
      ...options,
      outbox: outbox.map(free)
    })
    return {
      checkpoint: (options) => driver.checkpoint(forgetting(options)),
      note: (options) => driver.note(forgetting(options)),
      complete: (options) => driver.complete(forgetting(options))
    }
  },

  /** Takes any end, of what nobody waits for and of what is over. */
  endsWhateverIsNamed: (driver) => ({
    endOperation: (operationId, event) =>
      driver.accept({
        _tag: "operation",
        header: { origin: { _tag: "system" }, idempotencyKey: `operation/${operationId}` },
        operationId,
        event
      })
  }),

  /** Looks at nothing that happened before the hold, and takes nothing apart. */
  holdsAsItIs: (driver) => ({
    hold: ({ awaits: _awaits, inputIds: _inputIds, ...options }) => driver.hold(options)
  }),

  /** Knows one shape of message. */
  recordsByDefault: (driver) => ({
    checkpoint: ({ messages: _messages, ...options }) => driver.checkpoint(options),
    note: ({ messages: _messages, ...options }) => driver.note(options),
    complete: ({ messages: _messages, ...options }) => driver.complete(options)
  }),

  /** Puts what the dead letter said into the queue again, as often as it is asked. */
  redrivesAgainAndAgain: (driver) => ({
    redrive: (inputId) =>
      Effect.flatMap(driver.loadInput(inputId), (stored) =>
        Option.isSome(stored) && stored.value.body._tag === "inline"
          ? driver.accept(unnamed(stored.value.body.input))
          : driver.redrive(inputId))
  }),

  /** Decides alone what is staged. */
  ignoresOptions: (driver) => ({ stage: () => driver.stage() }),

  /** The strongest signal stays for ever. */
  keepsSignals: (driver) => {
    let last: Effect.Effect.Success<Service["takeSignal"]> = "none"
    return {
      takeSignal: Effect.map(driver.takeSignal, (signal) => last = signal === "none" ? last : signal)
    }
  },

  /** Whatever the reader has seen already. */
  readsEventsFromTheStart: (driver) => ({ events: () => driver.events() }),

  /** Answers before anything is committed, and commits when there is time. */
  acknowledgesFirst: (driver) => ({
    accept: (draft) =>
      Effect.gen(function*() {
        const id = draft.header?.id ?? (yield* F.freshInputId)
        const later = driver.accept({ ...draft, header: { ...draft.header, id } })
        yield* Effect.forkDaemon(Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 50), later))
        return {
          _tag: "accepted",
          inputId: InputId.make(id),
          sequence: 0,
          state: { id, phase: "queued" } as InputHead
        } as const
      })
  }),

  /** Goes on as the owner whatever happens. */
  takesBackOwnership: (driver) => ({
    accept: (draft) =>
      Effect.catchTag(
        driver.accept(draft),
        "OwnershipLost",
        () => Effect.zipRight(driver.takeOver, driver.accept(draft))
      )
  })
} satisfies { readonly [name: string]: Mistake }
