/**
 * The lives of a process, one after the other over one disk. Who stays outside sees one process: what was registered is
 * registered with each life, and who was not answered by one is answered by the next.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Supervisor from "effect/Supervisor"
import * as AgentsLive from "../../layers/AgentsLive.js"
import * as ControlPlaneLive from "../../layers/ControlPlaneLive.js"
import * as DriverPersistent from "../../layers/DriverPersistent.js"
import * as InboxLive from "../../layers/InboxLive.js"
import type { RuntimeId } from "../../schema/Ids.js"
import { Agents } from "../../services/Agents.js"
import { makeFork } from "../../services/Batcher.js"
import { BlobStore } from "../../services/BlobStore.js"
import { ControlPlane } from "../../services/ControlPlane.js"
import type { Digest } from "../../services/Digest.js"
import { Drivers } from "../../services/Driver.js"
import type { IdGenerator } from "../../services/IdGenerator.js"
import { Inbox } from "../../services/Inbox.js"
import { Observer } from "../../services/Observer.js"
import { RuntimeStore } from "../../services/RuntimeStore.js"
import type { Encoded } from "../../services/RuntimeStoreEncoded.js"
import * as FromEncoded from "../../services/RuntimeStoreFromEncoded.js"
import { Fuse } from "./Fuse.js"
import { Life, type Services, unlessOver, Within } from "./Life.js"
import * as quiet from "./quiet.js"
import { through } from "./through.js"

/** What survives. */
export interface Disk {
  /** The disk as one life has it. What that life still tries when it is over comes to nothing. */
  readonly open: (life: Life) => Effect.Effect<
    { readonly encoded: Encoded; readonly blobs: Context.Tag.Service<BlobStore> },
    never,
    Scope.Scope
  >
}

type Attach<E> = (life: Life) => Effect.Effect<void, E, Scope.Scope>

interface Registration {
  readonly attach: Attach<unknown>
  at: { readonly life: Life; readonly scope: Scope.CloseableScope } | undefined
}

interface Needs {
  readonly disk: Disk
  readonly options: DriverPersistent.Options
  /** What a life has beside its disk. */
  readonly machine: Context.Context<Digest | IdGenerator>
  readonly supervisor: Supervisor.Supervisor<unknown>
}

const GOODBYE = "1 second"

/** In live time: who does not end may be waiting for the test's clock, which nobody moves any more. */
const forAWhile = (effect: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.flatMap(Effect.forkDaemon(effect), (fiber) =>
    Effect.asVoid(Effect.raceFirst(
      Effect.interruptible(Fiber.await(fiber)),
      Effect.interruptible(Effect.withClock(Effect.sleep(GOODBYE), Clock.make()))
    )))

const PAGE = 256

/** Takes every runtime with work, as its first mention would. What fails is said by the engine, which meets it again. */
const takeAll = ({ lease, store }: Context.Tag.Service<Drivers>): Effect.Effect<void> => {
  const page = (after: RuntimeId | undefined): Effect.Effect<void> =>
    store.loadPendingRuntimes({ limit: PAGE, ...(after !== undefined && { after }) }).pipe(
      Effect.tap(Effect.forEach(({ runtimeId }) => Effect.ignore(Effect.scoped(lease(runtimeId))), { discard: true })),
      Effect.flatMap((pending) => pending.length < PAGE ? Effect.void : page(pending[pending.length - 1]?.runtimeId)),
      Effect.ignore
    )
  return page(undefined)
}

export class Lives {
  private readonly fuse = new Fuse()
  private current: Life | undefined
  private broken: Cause.Cause<never> | undefined
  private isClosing = false
  private changed = Deferred.unsafeMake<void>(FiberId.none)
  private readonly registrations = new Set<Registration>()
  private readonly leaving = new Set<Life>()

  constructor(private readonly needs: Needs) {}

  readonly run: Effect.Effect<never> = Effect.forever(
    Effect.flatMap(Scope.make(), (scope) =>
      Effect.suspend(() => {
        const life = this.current = new Life(scope)
        this.broken = undefined
        return Effect.raceFirst(Effect.disconnect(this.start(life)), life.over).pipe(
          Effect.matchCause({
            onFailure: (cause) => void (this.broken = cause),
            onSuccess: () => void (life.isUp = !life.isOver)
          }),
          Effect.zipRight(Effect.sync(() => this.tell())),
          Effect.zipRight(life.over),
          Effect.zipRight(this.leave(life)),
          Effect.zipRight(Effect.suspend(() => this.isClosing ? Effect.never : Effect.void))
        )
      }))
  )

  private tell(): void {
    const { changed } = this
    this.changed = Deferred.unsafeMake(FiberId.none)
    Deferred.unsafeDone(changed, Effect.void)
  }

  private start(life: Life): Effect.Effect<void> {
    const { disk, supervisor } = this.needs
    const { untold, watched } = this.fuse.lay(life)
    return Effect.gen(this, function*() {
      const { blobs, encoded } = yield* disk.open(life)
      const services = yield* this.services(life, {
        insideTransaction: encoded.insideTransaction,
        store: untold(yield* FromEncoded.make(guarded(life, watched(encoded)))),
        blobs: { ...blobs, ...through(blobs, (want) => life.alive(Effect.suspend(() => want(blobs)))) }
      })
      life.begin(services)
      yield* takeAll(services.drivers)
      for (const registration of Array.from(this.registrations)) {
        yield* Effect.catchAll(this.attach(registration, registration.attach, life), Effect.die)
        // Whoever had registered it may have gone meanwhile.
        if (!this.registrations.has(registration)) yield* this.detach(registration)
      }
    }).pipe(
      Scope.extend(life.scope),
      Effect.supervised(supervisor),
      (started) => life.heard(started)
    )
  }

  private services(
    life: Life,
    opened: Pick<Services, "blobs" | "insideTransaction" | "store">
  ): Effect.Effect<Services> {
    const { machine, options } = this.needs
    const layer = Layer.merge(AgentsLive.layer, InboxLive.layerWith(options)).pipe(
      Layer.provideMerge(ControlPlaneLive.layer),
      Layer.provideMerge(DriverPersistent.layerWith(options)),
      Layer.provide(Layer.merge(Layer.succeed(RuntimeStore, opened.store), Layer.succeed(BlobStore, opened.blobs))),
      Layer.provide(Layer.succeedContext(machine))
    )
    return Effect.map(Layer.buildWithScope(layer, life.scope), (context) => ({
      ...opened,
      agents: Context.get(context, Agents),
      drivers: Context.get(context, Drivers),
      inbox: Context.get(context, Inbox),
      observer: Context.get(context, Observer),
      plane: Context.get(context, ControlPlane)
    }))
  }

  /** Its executors' finalizers run in this process, whatever is killed: nobody waits for them. */
  private leave(life: Life): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.leaving.has(life) || life.hasGone) return Effect.void
      this.leaving.add(life)
      const left = Effect.sync(() => {
        this.leaving.delete(life)
        life.gone()
      })
      return Effect.asVoid(Effect.forkDaemon(life.heard(Effect.ensuring(Scope.close(life.scope, Exit.void), left))))
    })
  }

  /** The life that takes commands. */
  get ready(): Effect.Effect<Life> {
    return Effect.suspend(() => {
      if (this.broken !== undefined) return Effect.failCause(this.broken)
      const { current } = this
      if (current?.isReady === true) return Effect.succeed(current)
      return this.isClosing ? Effect.interrupt : Effect.zipRight(Deferred.await(this.changed), this.ready)
    })
  }

  /** Ends the life of now, also one that has just begun, and waits for the next one. */
  get crash(): Effect.Effect<void> {
    return unlessOver(Effect.suspend(() => {
      this.current?.end()
      return Effect.asVoid(this.ready)
    }))
  }

  /** See `Fuse`. */
  arm(boundaries: number): Effect.Effect<void> {
    return unlessOver(Effect.sync(() => this.fuse.arm(boundaries)))
  }

  /** As the end of a process that was asked to end, and is killed when it does not. */
  get close(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      this.isClosing = true
      const { current } = this
      if (current === undefined) return
      const closing = yield* Effect.forkDaemon(
        current.isReady ? Scope.close(current.scope, Exit.void) : this.leave(current)
      )
      yield* forAWhile(Fiber.await(closing))
      current.end()
      this.tell()
      yield* forAWhile(
        Effect.forEach([Fiber.await(closing), ...Array.from(this.leaving, ({ left }) => left)], identity)
      )
    })
  }

  /**
   * Asks the life there is, and the next one when that did not answer. What was done and answered is not done again, so a
   * command is carried out once; `waits` for what may wait for long, and changes nothing when it is asked again.
   */
  ask<A, E, R>(want: (life: Life) => Effect.Effect<A, E, R>, waits: boolean): Effect.Effect<A, E, R> {
    return Effect.flatMap(Effect.serviceOption(Within), (within) =>
      Option.isSome(within)
        // What a run does is done in its own life, and ends with it.
        ? within.value.alive(Effect.suspend(() => want(within.value)))
        : Effect.flatMap(this.ready, (life) =>
          Effect.flatMap(life.services.insideTransaction, (inside) =>
            // A transaction is one life's, too.
            inside ? want(life) : this.askOutside(want, waits))))
  }

  private askOutside<A, E, R>(
    want: (life: Life) => Effect.Effect<A, E, R>,
    waits: boolean
  ): Effect.Effect<A, E, R> {
    return Effect.flatMap(this.ready, (life) =>
      Effect.flatMap(
        this.answerOf(life, Effect.suspend(() => want(life)), waits),
        Option.match({
          onNone: () => this.askOutside(want, waits),
          onSome: (exit) => exit
        })
      ))
  }

  /** None when the life is over, and has not answered. */
  answerOf<A, E, R>(
    life: Life,
    effect: Effect.Effect<A, E, R>,
    waits: boolean
  ): Effect.Effect<Option.Option<Exit.Exit<A, E>>, never, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        // A daemon, since it may hang where its life has.
        Effect.supervised(Effect.forkDaemon(Effect.interruptible(effect)), this.needs.supervisor),
        (fiber) =>
          restore(settled(life, fiber, waits)).pipe(
            Effect.onInterrupt(() => life.isOver ? Fiber.interruptFork(fiber) : Fiber.interrupt(fiber)),
            Effect.tap(Option.match({
              onNone: () => Fiber.interruptFork(fiber),
              onSome: () => Fiber.inheritAll(fiber)
            }))
          )
      )
    )
  }

  /** Attaches something to this life and to those that come, until the scope closes. */
  keep<E>(attach: Attach<E>): Effect.Effect<void, E, Scope.Scope> {
    return Effect.asVoid(
      Effect.acquireRelease(unlessOver(this.register(attach)), (registration) =>
        Effect.suspend(() => {
          this.registrations.delete(registration)
          return this.detach(registration)
        }))
    )
  }

  private register<E>(attach: Attach<E>): Effect.Effect<Registration, E> {
    return Effect.flatMap(this.ready, (life) => {
      const registration: Registration = { attach, at: undefined }
      return Effect.flatMap(
        Effect.exit(this.attach(registration, attach, life)),
        (exit): Effect.Effect<Registration, E> => {
          if (life.isOver) return this.register(attach)
          if (Exit.isFailure(exit)) return Effect.failCause(exit.cause)
          this.registrations.add(registration)
          return Effect.succeed(registration)
        }
      )
    })
  }

  private attach<E>(registration: Registration, attach: Attach<E>, life: Life): Effect.Effect<void, E> {
    return Effect.flatMap(
      Scope.fork(life.scope, ExecutionStrategy.sequential),
      (scope) =>
        Scope.extend(attach(life), scope).pipe(
          Effect.tapErrorCause((cause) => Scope.close(scope, Exit.failCause(cause))),
          Effect.tap(() =>
            Effect.sync(() => {
              if (!life.isOver) registration.at = { life, scope }
            })
          )
        )
    )
  }

  private detach({ at }: Registration): Effect.Effect<void> {
    return at === undefined || at.life.isOver
      ? Effect.void
      : Effect.flatMap(
        Effect.forkDaemon(Scope.close(at.scope, Exit.void)),
        (fiber) => Effect.asVoid(settled(at.life, fiber, true))
      )
  }
}

/** The store of a life: nobody gets an answer of it when that is over. */
const guarded = (life: Life, encoded: Encoded): Encoded => {
  const { authorityKey, insideTransaction, isForeign, name } = encoded
  return {
    ...through(encoded, (want) => life.alive(Effect.suspend(() => want(encoded)))),
    // What an application does in a transaction may take its time, which those who wait for the transaction have not.
    commitWith: (rows, alongside) => life.alive(encoded.commitWith(rows, life.cutOff(alongside))),
    updateCell: (cell, f) => life.alive(encoded.updateCell(cell, (now) => life.cutOff(f(now)))),
    authorityKey,
    insideTransaction,
    isForeign: isForeign ?? (() => false),
    name
  }
}

/** How the fiber has ended; none when it did not in its life. */
const settled = <A, E>(
  life: Life,
  fiber: Fiber.RuntimeFiber<A, E>,
  waits: boolean
): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.async((resume) => {
    const ended = (exit: Exit.Exit<A, E>) =>
      resume(Effect.succeed(life.isOver && Exit.isFailure(exit) ? Option.none() : Option.some(exit)))
    const look = () => {
      if (life.hasGone || (life.isOver && waits)) resume(Effect.succeedNone)
    }
    fiber.addObserver(ended)
    const stop = life.listen(look)
    look()
    return Effect.sync(() => {
      stop()
      fiber.removeObserver(ended)
    })
  })

/** The lives of one process, the first of which is there when this answers, until the scope closes. */
export const make = (disk: Disk, options: DriverPersistent.Options): Effect.Effect<
  Lives,
  never,
  Scope.Scope | Digest | IdGenerator
> =>
  Effect.gen(function*() {
    const fork = yield* makeFork
    const machine = yield* Effect.context<Digest | IdGenerator>()
    const lives = new Lives({ disk, options, machine, supervisor: yield* quiet.supervisor })
    yield* Effect.addFinalizer(() => lives.close)
    fork(lives.run)
    yield* lives.ready
    return lives
  })
