/** The services of the lives as one process's: whoever has them keeps them, whatever crashes. */
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Draft } from "../../schema/Input.js"
import { Agents } from "../../services/Agents.js"
import { BlobStore } from "../../services/BlobStore.js"
import { ControlPlane, type Service as Plane } from "../../services/ControlPlane.js"
import type { IdGenerator } from "../../services/IdGenerator.js"
import { Inbox } from "../../services/Inbox.js"
import { Observer, type Service as Observing } from "../../services/Observer.js"
import { RuntimeStore } from "../../services/RuntimeStore.js"
import type { Services } from "./Life.js"
import type { Lives } from "./Lives.js"
import { type Position, resumed } from "./resumed.js"
import { through } from "./through.js"

/** What waits for an input's end, and not for the store. */
const waits = (member: PropertyKey): boolean => member === "await" || member === "submit"

/** The service of each life in turn. */
const overLives = <S extends object>(lives: Lives, shape: S, of: (services: Services) => S) =>
  through(shape, (want, member) => lives.ask((life) => want(of(life.services)), waits(member)))

/** Behind a cursor; what has none is not said again. */
const behind = <A extends object, E>(
  after: number,
  open: (services: Services, after: number) => Stream.Stream<A, E>
) =>
(): Position<A, E> => {
  let reached = after
  return {
    open: (services) => open(services, reached),
    pass: (items) => {
      for (const item of items) if ("cursor" in item && typeof item.cursor === "number") reached = item.cursor
    }
  }
}

type DeadLetters = ReturnType<Observing["deadLetters"]>

const deadLetters = (
  lives: Lives,
  open: (services: Services) => DeadLetters
): DeadLetters =>
  resumed(lives, () => {
    const seen = new Set<string>()
    const nameOf = ({ inputId, runtimeId }: Stream.Stream.Success<DeadLetters>) => `${runtimeId}/${inputId}`
    return {
      open: (services) => Stream.filter(open(services), (dead) => !seen.has(nameOf(dead))),
      pass: (items) => Chunk.forEach(items, (dead) => seen.add(nameOf(dead)))
    }
  })

type Named = <A, E, R>(draft: Draft, send: (draft: Draft) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Under an id of the caller's, an input that is sent again is known. */
const naming = (ids: Context.Tag.Service<IdGenerator>): Named => (draft, send) =>
  draft.header?.id !== undefined
    ? send(draft)
    : Effect.flatMap(ids.next, (id) => send({ ...draft, header: { ...draft.header, id } }))

const register = (lives: Lives): Plane["register"] => (agent, executor, options = {}) =>
  Effect.contextWithEffect((context: Context.Context<never>) =>
    lives.keep((life) =>
      Effect.mapInputContext(
        life.services.plane.register(agent, life.executor(executor), life.options(options)),
        // What executors need is from whoever has registered them; the scope is one life's.
        (own: Context.Context<Scope.Scope>) => Context.merge(context, Context.pick(Scope.Scope)(own)) as never
      )
    )
  )

const plane = (lives: Lives, named: Named, first: Services): Plane => {
  const asked = overLives(lives, first.plane, ({ plane }) => plane)
  return {
    ...asked,
    ingest: (runtimeId, input) => named(input, (input) => asked.ingest(runtimeId, input)),
    steer: (runtimeId, input) => named(input, (input) => asked.steer(runtimeId, input)),
    submit: (runtimeId, input) => named(input, (input) => asked.submit(runtimeId, input)),
    register: register(lives),
    cron: (recurring) => lives.keep(({ services }) => services.plane.cron(recurring)),
    deadLetters: (filter) => deadLetters(lives, ({ plane }) => plane.deadLetters(filter)),
    watch: (runtimeId, { after = 0 } = {}) =>
      resumed(lives, behind(after, ({ plane }, after) => plane.watch(runtimeId, { after })))
  }
}

const observer = (lives: Lives, first: Services): Observing => ({
  ...overLives(lives, first.observer, ({ observer }) => observer),
  deadLetters: (filter) => deadLetters(lives, ({ observer }) => observer.deadLetters(filter)),
  watch: (runtimeId, { after = 0 } = {}) =>
    resumed(lives, behind(after, ({ observer }, after) => observer.watch(runtimeId, { after })))
})

const agents = (lives: Lives, named: Named, first: Services): Context.Tag.Service<Agents> => {
  const asked = overLives(lives, first.agents, ({ agents }) => agents)
  return {
    ...asked,
    send: (runtimeId, input) => named(input, (input) => asked.send(runtimeId, input)),
    watch: (runtimeId, { after = 0 }) =>
      resumed(lives, behind(after, ({ agents }, after) => agents.watch(runtimeId, { after })))
  }
}

const inbox = (lives: Lives, named: Named, first: Services): Context.Tag.Service<Inbox> => {
  const { enqueue } = overLives(lives, first.inbox, ({ inbox }) => inbox)
  return {
    enqueue: (runtimeId, input) =>
      // With a key it has an id that is made of that.
      input.header?.idempotencyKey !== undefined
        ? enqueue(runtimeId, input)
        : named(input, (input) => enqueue(runtimeId, input))
  }
}

const store = (lives: Lives, { store: first }: Services): Context.Tag.Service<RuntimeStore> => {
  const { authAuthorityKey, isForeign } = first
  type Subscription = ReturnType<typeof first.subscribe>
  /** The doorbell of a life that is over rings no more: so it is time to look. */
  const subscribed = (subscribe: (store: typeof first) => Subscription): Subscription =>
    lives.ask(
      ({ over, services }) => Effect.map(subscribe(services.store), (rung) => Effect.raceFirst(rung, over)),
      false
    )
  return {
    ...overLives(lives, first, ({ store }) => store),
    authAuthorityKey,
    isForeign,
    subscribe: (runtimeId, inputId) => subscribed((store) => store.subscribe(runtimeId, inputId)),
    subscribeDeposits: subscribed((store) => store.subscribeDeposits)
  }
}

export type Client = Agents | BlobStore | ControlPlane | Inbox | Observer | RuntimeStore

export const make = (lives: Lives, ids: Context.Tag.Service<IdGenerator>): Effect.Effect<Context.Context<Client>> =>
  Effect.map(lives.ready, ({ services: first }) => {
    const named = naming(ids)
    return Context.make(Agents, agents(lives, named, first)).pipe(
      Context.add(BlobStore, { ...first.blobs, ...overLives(lives, first.blobs, ({ blobs }) => blobs) }),
      Context.add(ControlPlane, plane(lives, named, first)),
      Context.add(Inbox, inbox(lives, named, first)),
      Context.add(Observer, observer(lives, first)),
      Context.add(RuntimeStore, store(lives, first))
    )
  })
