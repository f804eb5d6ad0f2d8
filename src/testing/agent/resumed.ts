/** Streams of a life that go on in the next one, as those of a client that connects again. */
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Life, type Services, Within } from "./Life.js"
import type { Lives } from "./Lives.js"

/** Where a reader is, and how it goes on from there. */
export interface Position<A, E> {
  readonly open: (services: Services) => Stream.Stream<A, E>
  /** Moves it behind items that were handed out. */
  readonly pass: (items: Chunk.Chunk<A>) => void
}

type Pull<A, E> = Effect.Effect<Chunk.Chunk<A>, Option.Option<E>>

interface Reading<A, E> {
  readonly life: Life
  readonly scope: Scope.CloseableScope
  readonly pull: Pull<A, E>
}

class Reader<A, E> {
  private reading: Reading<A, E> | undefined

  constructor(private readonly lives: Lives, private readonly position: Position<A, E>) {}

  get next(): Pull<A, E> {
    return Effect.suspend(() => {
      const { reading } = this
      return reading === undefined || reading.life.isOver
        ? Effect.zipRight(this.reopen, this.next)
        // Not passed before it is answered: what was on its way when its life ended comes again.
        : Effect.flatMap(
          this.lives.answerOf(reading.life, reading.pull, true),
          Option.match({
            onNone: () => this.next,
            onSome: (exit) => Effect.tap(exit, (items) => Effect.sync(() => this.position.pass(items)))
          })
        )
    })
  }

  private get reopen(): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(this, function*() {
        // What is left of it may hang where its life has.
        yield* Effect.forkDaemon(this.close)
        const life = yield* restore(this.lives.ready)
        const scope = yield* Scope.make()
        const pull = yield* Scope.extend(Stream.toPull(this.position.open(life.services)), scope)
        this.reading = { life, scope, pull }
      })
    )
  }

  get close(): Effect.Effect<void> {
    return Effect.suspend(() => this.reading === undefined ? Effect.void : Scope.close(this.reading.scope, Exit.void))
  }
}

export const resumed = <A, E>(lives: Lives, position: () => Position<A, E>): Stream.Stream<A, E> =>
  Stream.unwrap(Effect.map(
    Effect.serviceOption(Within),
    Option.match({
      // Its life is its process: there is nowhere to connect to again.
      onSome: (life) => life.isOver ? Stream.fromEffect(Effect.interrupt) : position().open(life.services),
      onNone: () =>
        Stream.unwrapScoped(Effect.map(
          Effect.acquireRelease(
            Effect.sync(() => new Reader(lives, position())),
            (reader) => reader.close
          ),
          (reader) => Stream.repeatEffectChunkOption(reader.next)
        ))
    })
  ))
