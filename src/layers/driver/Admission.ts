/** The way of an input in: taken in its caller's fiber and span, then decided in the driver's turn. */
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { AcceptCommand, Known } from "../../core/Accept.js"
import { isCancel } from "../../core/Children.js"
import type { Decide } from "../../core/Step.js"
import { operationKey, type RuntimeId } from "../../schema/Ids.js"
import type { Draft, OperationEnd } from "../../schema/Input.js"
import type { Limits } from "../../schema/Limits.js"
import type { AcceptOutcome } from "../../schema/Report.js"
import type { ReadFailed } from "../../schema/StoreError.js"
import * as Metrics from "../../services/Metrics.js"
import * as Spans from "../../services/Spans.js"
import type { Cell } from "./Cell.js"
import * as Children from "./Children.js"
import type { Env } from "./Env.js"
import * as Intake from "./Intake.js"

/** What the core says to an input, with what is known of its id and key. */
type Deciding<E> = (
  command: AcceptCommand,
  limits: Limits,
  known: ReadonlyArray<Known>
) => Decide<AcceptOutcome, E>

export const accept = <E>(env: Env, cell: Cell, runtimeId: RuntimeId, draft: Draft, decide: Deciding<E>) =>
  Effect.useSpan("Driver.accept", {
    captureStackTrace: false,
    attributes: { "burrow.runtime.id": runtimeId, "burrow.input.kind": draft._tag }
  }, (span) => Effect.withParentSpan(acceptIn(span, env, cell, runtimeId, draft, decide), span))

const acceptIn = <E>(
  span: Tracer.Span,
  env: Env,
  cell: Cell,
  runtimeId: RuntimeId,
  draft: Draft,
  decide: Deciding<E>
) =>
  Intake.take(env, runtimeId, draft).pipe(
    Effect.flatMap(({ idGiven, ...command }) => {
      const { id, idempotencyKey } = command.input.header
      span.attribute("burrow.input.id", id)
      // It comes from elsewhere: out of another run's outbox, or by a caller's own word.
      if (draft.header?.trace !== undefined) span.addLinks(Spans.linksTo([command.input]))
      const ask: Children.Deciding<AcceptOutcome, E | ReadFailed> = {
        name: "accept",
        decide: (known) => decide(command, env.limits, known),
        // A fresh id without a key cannot be known to anybody.
        ...((idGiven || idempotencyKey !== undefined) && {
          lookup: { ids: idGiven ? [id] : [], keys: idempotencyKey === undefined ? [] : [idempotencyKey] }
        })
      }
      return isCancel(command.input) ? Children.submit(env, cell, ask) : cell.submit(ask)
    }),
    Effect.map((outcome) => {
      if (outcome._tag === "deduplicated") span.attribute("burrow.input.id", outcome.existing)
      span.attribute("burrow.outcome", outcome._tag)
      Metrics.accepted(outcome)
      return outcome
    })
  )

/** The input that ends an operation. The same for the same end, so that a repetition is one. */
export const endOf = (operationId: string, end: OperationEnd): Draft => ({
  _tag: "operation",
  header: {
    origin: { _tag: "system" },
    durability: "durable",
    visibility: { transcript: false, operator: false },
    idempotencyKey: operationKey(operationId)
  },
  operationId,
  event: end
})
