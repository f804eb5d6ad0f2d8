/** The table of a process's drivers: one for each runtime, opened once, however many ask at the same time. */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { InvalidInput } from "../../schema/DriverError.js"
import { RuntimeId } from "../../schema/Ids.js"
import * as Limits from "../../schema/Limits.js"
import { InsideTransaction, StoreClosed } from "../../schema/StoreError.js"
import { makeFork } from "../../services/Batcher.js"
import { BlobStore } from "../../services/BlobStore.js"
import { Digest } from "../../services/Digest.js"
import type { Drivers, InDoubtPolicy, OpenError, Service } from "../../services/Driver.js"
import { IdGenerator } from "../../services/IdGenerator.js"
import { RuntimeStore } from "../../services/RuntimeStore.js"
import { Doorbell } from "./Doorbell.js"
import { DriverLive } from "./DriverLive.js"
import type { Env } from "./Env.js"
import { recover } from "./Recovery.js"

/**
 * How the drivers of a process behave. All limits have defaults; see `Limits`.
 */
export interface Options {
  readonly limits?: Partial<Limits.Limits>
  /** What becomes of a batch whose run was lost with its process. Default: `retry`. */
  readonly inDoubt?: InDoubtPolicy
}

const decodeId = Schema.decodeUnknownEither(RuntimeId)

export const make = (
  options: Options = {}
): Effect.Effect<
  Context.Tag.Service<Drivers>,
  never,
  RuntimeStore | BlobStore | Digest | IdGenerator | Scope.Scope
> =>
  Effect.gen(function*() {
    const env: Env = {
      store: yield* RuntimeStore,
      blobs: yield* BlobStore,
      sha256: (yield* Digest).sha256,
      ids: yield* IdGenerator,
      limits: { ...Limits.defaults, ...options.limits },
      inDoubt: options.inDoubt ?? "retry",
      fork: yield* makeFork,
      doorbell: new Doorbell()
    }
    const table = new Map<RuntimeId, Deferred.Deferred<Service, OpenError>>()

    /** Opened in the background: a caller that is interrupted takes no other's driver with it. */
    const open = (runtimeId: RuntimeId, opened: Deferred.Deferred<Service, OpenError>): Effect.Effect<void> =>
      recover(env, runtimeId, "anew").pipe(
        Effect.map((recovered) => new DriverLive(runtimeId, env, recovered)),
        Effect.onExit((exit) =>
          Effect.zipRight(
            // A failure is not remembered: the next caller tries again.
            Effect.sync(() => exit._tag === "Failure" && table.delete(runtimeId)),
            Exit.isInterrupted(exit) ? Deferred.fail(opened, closed(runtimeId)) : Deferred.done(opened, exit)
          )
        ),
        Effect.exit,
        Effect.asVoid
      )

    return {
      get: (name) =>
        Effect.gen(function*() {
          const runtimeId = yield* parseId(env, name)
          const existing = table.get(runtimeId)
          const isOpen = existing !== undefined && (yield* Deferred.isDone(existing))
          // To wait for an opening from within a transaction would be to wait for the connection one holds.
          if (!isOpen && (yield* env.store.insideTransaction)) {
            return yield* new InsideTransaction({ operation: `opening runtime ${runtimeId}` })
          }
          if (existing !== undefined) return yield* Deferred.await(existing)
          if (env.fork.closed) return yield* closed(runtimeId)
          const opened = Deferred.unsafeMake<Service, OpenError>(yield* Effect.fiberId)
          table.set(runtimeId, opened)
          env.fork(open(runtimeId, opened))
          return yield* Deferred.await(opened)
        })
    }
  })

const closed = (runtimeId: RuntimeId) => new StoreClosed({ operation: `opening runtime ${runtimeId}` })

const parseId = (env: Env, name: string): Either.Either<RuntimeId, InvalidInput> => {
  const { idLengthMax } = env.limits
  if (name.length > idLengthMax) {
    return Either.left(
      new InvalidInput({
        runtimeId: `${name.slice(0, 32)}...`,
        field: "runtimeId",
        problem: `is ${name.length} characters long; at most ${idLengthMax} are taken`
      })
    )
  }
  return Either.mapLeft(decodeId(name), () =>
    new InvalidInput({
      runtimeId: JSON.stringify(name.slice(0, 32)),
      field: "runtimeId",
      problem: "must be non-empty, well-formed Unicode without NUL"
    }))
}
