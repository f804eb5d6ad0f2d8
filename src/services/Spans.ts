/** What the spans of an input's sender, of its run and of a shared transaction know of each other. */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { RuntimeId } from "../schema/Ids.js"
import type { Input } from "../schema/Input.js"

/** Whether spans go anywhere: those of Effect's default tracer are made, which takes its time, and seen by nobody. */
export const areSeen: Effect.Effect<boolean> = Effect.map(
  Effect.tracer,
  (tracer) => tracer !== Context.get(DefaultServices.liveServices, Tracer.Tracer)
)

/**
 * To the spans under which the inputs were sent, maybe by another process, maybe long ago. Of an unsampled one there is
 * nothing to find.
 */
export const linksTo = (inputs: ReadonlyArray<Input>): ReadonlyArray<Tracer.SpanLink> =>
  inputs.flatMap(({ header: { id, trace } }): ReadonlyArray<Tracer.SpanLink> =>
    trace?.sampled === true
      ? [{ _tag: "SpanLink", span: Tracer.externalSpan(trace), attributes: { "burrow.input.id": id } }]
      : []
  )

/**
 * The value of `burrow.input.id` on the span of several: plain text, which every backend searches, where a list becomes
 * what each makes of it. Their links have each id alone.
 */
export const idsOf = (inputs: ReadonlyArray<Input>): string => inputs.map(({ header }) => header.id).join(",")

/** A commit of one runtime, with the spans of the commands that it carries out. */
export interface Asked {
  readonly write: { readonly runtimeId: RuntimeId }
  readonly askedBy: ReadonlyArray<Tracer.AnySpan>
}

export const ofCaller: Effect.Effect<ReadonlyArray<Tracer.AnySpan>> = Effect.contextWith(
  (context: Context.Context<never>) => Option.toArray(Context.getOption(context, Tracer.ParentSpan))
)

/**
 * A transaction of one command is that command's; one that several share is nobody's child, and links to all of them.
 * When none of them is sampled, it has no span.
 */
export const transaction = <A, E>(
  store: string,
  members: ReadonlyArray<Asked>,
  commit: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const links = members.flatMap(({ askedBy, write: { runtimeId } }) =>
    askedBy.flatMap((span): ReadonlyArray<Tracer.SpanLink> =>
      span.sampled ? [{ _tag: "SpanLink", span, attributes: { "burrow.runtime.id": runtimeId } }] : []
    )
  )
  const [first, ...others] = links
  return first === undefined ? commit : Effect.withSpan(commit, "RuntimeStore.commit", {
    ...(others.length === 0 ? { parent: first.span } : { root: true, links }),
    captureStackTrace: false,
    attributes: { "burrow.store": store, "burrow.commit.members": members.length }
  })
}
