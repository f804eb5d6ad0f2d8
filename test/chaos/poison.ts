/** Many healthy runtimes, and some with an input whose executor kills the process. */
import { ControlPlane, type Executor, Input } from "effect-burrow"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { die } from "./commits.js"
import { textOf } from "./texts.js"
import { quiet } from "./work.js"

export const HEALTHY = 20
/** Inputs of each healthy runtime. */
export const EACH = 3

export interface Poison {
  readonly runtime: string
  /** It is sent when the process has died so often. */
  readonly fromLife: number
  /** It commits a checkpoint before it kills. */
  readonly checkpoints: boolean
}

export interface Options {
  readonly poisons: ReadonlyArray<Poison>
  /** Runtimes that send an input to another one and wait for it. */
  readonly parents: number
  /** The process's number, from 0. */
  readonly life: number
  readonly runsMax: number
  readonly inDoubt: "retry" | "hold"
  /** Everything held is released first, but for poisons. */
  readonly release: boolean
}

/** What a healthy run takes; a poison kills within it. */
const WORK_MILLIS = 20

const send = (runtime: string, text: string, key: string) =>
  Effect.flatMap(
    ControlPlane.ControlPlane,
    (plane) => plane.ingest(runtime, Input.prompt(text, { idempotencyKey: key }))
  )

const executor = {
  apply: (run: Executor.Run) =>
    Effect.gen(function*() {
      const texts = run.inputs.map(textOf)
      if (texts.includes("slow poison")) yield* run.checkpoint()
      const isPoison = texts.some((text) => text.endsWith("poison"))
      yield* Effect.sleep(isPoison ? WORK_MILLIS / 2 : WORK_MILLIS)
      if (isPoison) die()
      return { result: texts }
    })
}

const parent = {
  apply: (run: Executor.Run) =>
    Effect.gen(function*() {
      const plane = yield* ControlPlane.ControlPlane
      const child = Input.prompt("child's bread", { idempotencyKey: run.idempotencyKey })
      // A failure of the child is the parent's.
      return { result: (yield* plane.submit(run.runtimeId.replace("parent", "agent"), child)).inputId }
    })
}

const sendAll = ({ life, parents, poisons }: Options) =>
  Effect.gen(function*() {
    for (const { checkpoints, fromLife, runtime } of poisons) {
      if (fromLife > life) continue
      yield* send(runtime, checkpoints ? "slow poison" : "poison", "1")
      yield* send(runtime, "bread", "2")
    }
    for (let i = 0; i < parents; i++) yield* send(`parent/of-${i}`, "bread", "1")
    for (let input = 0; input < EACH; input++) {
      for (let i = 0; i < HEALTHY; i++) yield* send(`agent/${i}`, "bread", `${input}`)
    }
  })

const releaseHealthy = Effect.gen(function*() {
  const plane = yield* ControlPlane.ControlPlane
  for (const { runtimeId } of yield* plane.runtimes({ limit: 1_000 })) {
    for (const row of yield* plane.inputs(runtimeId, { only: "active" })) {
      const { body, head } = Either.getOrThrow(row)
      const isPoison = body._tag === "inline" && textOf(body.input).endsWith("poison")
      if (head.phase === "held" && !isPoison) yield* plane.release(runtimeId, head.id)
    }
  }
})

/** Works until nothing is left to do but what is held. */
export const perform = (options: Options) =>
  Effect.gen(function*() {
    const plane = yield* ControlPlane.ControlPlane
    yield* sendAll(options)
    if (options.release) yield* releaseHealthy
    const settings = {
      attemptsMax: 3,
      runsMax: options.runsMax,
      ...(options.inDoubt !== "retry" && { inDoubt: () => Effect.succeed(options.inDoubt) })
    }
    yield* plane.register("parent", parent, settings)
    // So that it is a parent, not a child, that has its last attempt first.
    if (options.parents > 0) yield* Effect.sleep("200 millis")
    yield* plane.register("agent", executor, settings)
    yield* quiet
  })
