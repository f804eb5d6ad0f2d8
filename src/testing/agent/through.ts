/** Services whose every effect goes through one place. */
import * as Effect from "effect/Effect"

type Asked = Effect.Effect<unknown, unknown, unknown>

/** The members of a service that are effects, or functions that answer one. */
export type Members<S> = {
  [K in keyof S]: S[K] extends Asked | ((...args: never) => Asked) ? K : never
}[keyof S]

/** `want` is the effect of one member, of whichever of the services is asked in the end. */
export type Ask<S> = <A, E, R>(want: (service: S) => Effect.Effect<A, E, R>, member: keyof S) => Effect.Effect<A, E, R>

/** A service like `shape`, whose effects are asked for. What is neither an effect nor answers one has to be added. */
export const through = <S extends object>(shape: S, ask: Ask<S>): Pick<S, Members<S>> => {
  type Answer = (...args: ReadonlyArray<unknown>) => Asked
  const members = (Object.keys(shape) as Array<keyof S>).flatMap((key): ReadonlyArray<[keyof S, Asked | Answer]> => {
    if (typeof shape[key] === "function") {
      return [[key, (...args) => ask((service) => (service[key] as Answer)(...args), key)]]
    }
    return Effect.isEffect(shape[key]) ? [[key, ask((service) => service[key] as Asked, key)]] : []
  })
  return Object.fromEntries(members) as Pick<S, Members<S>>
}
