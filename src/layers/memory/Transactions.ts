/**
 * Transactions over rows in memory, nested ones included.
 *
 * A transaction that runs an effect keeps its changes in its journal and takes them back before it lets go of the thread,
 * so the tables hold committed rows whenever somebody else can look. Those who are inside see its changes made again
 * for as long as they look. All of that is synchronous; only the changes of a transaction that succeeded stay.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { TransactionEnded } from "../../schema/StoreError.js"
import { type Journal, redo, type Tables, undo } from "./Tables.js"

interface Frame {
  readonly tables: Tables
  /** The transaction around it, perhaps another store's. */
  readonly around: Frame | null
  readonly journal: Journal
  /** For the transactions inside: a failed one takes its own changes back, and nobody else's. */
  readonly lock: Effect.Semaphore
  open: boolean
}

class Innermost extends Context.Tag("effect-burrow/layers/memory/Transactions/Innermost")<Innermost, Frame>() {}

const innermost: Effect.Effect<Frame | null> = Effect.contextWith((context: Context.Context<never>) =>
  Context.getOrElse(context, Innermost, () => null)
)

/** The innermost frame of these tables. */
const frameOf = (tables: Tables, from: Frame | null): Frame | null => {
  let frame = from
  while (frame !== null && frame.tables !== tables) frame = frame.around
  return frame
}

/** The frames of one store around `frame`, outermost first. */
const lineage = (frame: Frame | null): ReadonlyArray<Frame> => {
  const frames: Array<Frame> = []
  for (let at = frame; at !== null; at = frameOf(at.tables, at.around)) frames.push(at)
  return frames.reverse()
}

/** A frame inside one that has ended has ended too: what it was made on is applied or gone. */
const isOpen = (frame: Frame | null): boolean => lineage(frame).every(({ open }) => open)

const within = <A>(frame: Frame | null, look: () => A): A => {
  const journals = lineage(frame).map(({ journal }) => journal)
  journals.forEach(redo)
  try {
    return look()
  } finally {
    journals.reverse().forEach(undo)
  }
}

const enclose = <A, E, R>(effect: Effect.Effect<A, E, R>, frame: Frame): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => Context.add(context, Innermost, frame))

/** On the left nothing of the journal stays. */
type Change<A, E> = (tables: Tables, journal: Journal) => Either.Either<A, E>

export interface Transactions {
  readonly inside: Effect.Effect<boolean>
  /** Committed rows, and those of the transaction around the caller. */
  readonly read: <A>(operation: string, look: (tables: Tables) => A) => Effect.Effect<A, TransactionEnded>
  /** A transaction, or a part of the one around the caller, that asks nobody. It changes what it puts into the journal. */
  readonly write: <A, E>(operation: string, change: Change<A, E>) => Effect.Effect<A, E | TransactionEnded>
  /** The same around an effect. Its `write`s and `read`s join. */
  readonly around: <A, E, R>(
    operation: string,
    body: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TransactionEnded, R>
}

/** Changes the tables for as long as those inside `frame` look, and for good when there is no frame. */
const attempt = <A, E>(frame: Frame | null, tables: Tables, change: Change<A, E>): Either.Either<A, E> =>
  within(frame, () => {
    const journal: Journal = []
    let succeeded = false
    try {
      const changed = change(tables, journal)
      succeeded = Either.isRight(changed)
      return changed
    } finally {
      if (!succeeded) undo(journal)
      else if (frame !== null) hand(journal, frame)
    }
  })

const hand = (journal: Journal, frame: Frame): void => {
  for (const change of journal) frame.journal.push(change)
}

const close = <A, E>(
  operation: string,
  frame: Frame,
  outer: Frame | null,
  isEnded: boolean,
  exit: Exit.Exit<A, E>
): Effect.Effect<A, E | TransactionEnded> => {
  frame.open = false
  if (Exit.isFailure(exit)) return exit
  if (isEnded) return Effect.fail(new TransactionEnded({ operation }))
  if (outer === null) redo(frame.journal)
  else hand(frame.journal, outer)
  return exit
}

/**
 * Tables may have several of them, one after the other: what one has left open changes nothing, and holds up nobody, when
 * `isOver` says that its time is up.
 */
export const make = (tables: Tables, isOver: () => boolean = () => false): Effect.Effect<Transactions> =>
  Effect.map(Effect.makeSemaphore(1), (root) => {
    const isUsable = (frame: Frame | null): boolean => !isOver() && isOpen(frame)
    const serialised = <A, E, R>(
      operation: string,
      body: (frame: Frame | null, around: Frame | null) => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | TransactionEnded, R> =>
      Effect.flatMap(innermost, (around) => {
        const frame = frameOf(tables, around)
        return (frame?.lock ?? root).withPermits(1)(
          Effect.suspend((): Effect.Effect<A, E | TransactionEnded, R> =>
            isUsable(frame) ? body(frame, around) : Effect.fail(new TransactionEnded({ operation }))
          )
        )
      })

    return {
      inside: Effect.map(innermost, (around) => {
        const frame = frameOf(tables, around)
        return frame !== null && isOpen(frame)
      }),
      read: (operation, look) =>
        Effect.flatMap(innermost, (around) => {
          const frame = frameOf(tables, around)
          if (!isOpen(frame)) return Effect.fail(new TransactionEnded({ operation }))
          return Effect.succeed(within(frame, () => look(tables)))
        }),
      write: (operation, change) => serialised(operation, (frame) => attempt(frame, tables, change)),
      around: (operation, body) =>
        serialised(operation, (outer, around) =>
          Effect.uninterruptibleMask((restore) => {
            const frame: Frame = { tables, around, journal: [], lock: Effect.unsafeMakeSemaphore(1), open: true }
            return Effect.flatMap(
              Effect.exit(restore(enclose(body, frame))),
              (exit) => close(operation, frame, outer, !isUsable(outer), exit)
            )
          }))
    }
  })
