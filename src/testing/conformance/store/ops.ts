/**
 * Operations of a runtime, and the store's login flows.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { OAuthFlowSnapshot } from "../../../schema/OAuthFlow.js"
import { empty } from "../../../schema/OAuthFlow.js"
import type { OpsSnapshot } from "../../../schema/Ops.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import { awkwardText } from "./awkward.js"
import { accept, begin, type Bench, freshRuntimeId, make, NOW, own, stateOf, type StoreCase } from "./fixtures.js"

const operation: OpsSnapshot["operations"][number] = {
  id: "o1",
  kind: "background_tool_op",
  displayName: awkwardText,
  sourceLabel: "",
  source: null,
  childSessionId: null,
  expectPeerChannel: false,
  status: "running",
  peerReady: false,
  progressCount: 0,
  outcome: null,
  completionSequence: null,
  completedAt: null
}

const result = { id: "o2", content: { text: awkwardText }, isError: false, durationMillis: 12, tokensUsed: 34 }

const snapshot: OpsSnapshot = {
  epochId: "epoch 1",
  operations: [
    operation,
    {
      ...operation,
      id: "o2",
      kind: "mob_member_child",
      source: { _tag: "backend_peer", peerId: "p", address: "a" },
      childSessionId: "child",
      expectPeerChannel: true,
      status: "completed",
      peerReady: true,
      progressCount: 3,
      outcome: { _tag: "completed", result },
      completionSequence: 7,
      completedAt: NOW
    },
    {
      ...operation,
      id: "o3",
      status: "aborted",
      source: { _tag: "session_child", sessionId: "s" },
      outcome: { _tag: "aborted" }
    }
  ],
  feed: [
    { sequence: 6, operationId: "o0", kind: "background_tool_op", outcome: { _tag: "failed", error: awkwardText } },
    { sequence: 7, operationId: "o2", kind: "mob_member_child", outcome: { _tag: "completed", result } },
    { sequence: 8, operationId: "o9", kind: "background_tool_op", outcome: { _tag: "cancelled", reason: "r" } },
    { sequence: 9, operationId: "o9", kind: "background_tool_op", outcome: { _tag: "retired" } },
    { sequence: 10, operationId: "o9", kind: "background_tool_op", outcome: { _tag: "terminated", reason: "r" } }
  ],
  nextCompletionSequence: 11,
  concurrentMax: 4,
  cursors: { agentApplied: 5, runtimeObserved: 10, runtimeInjected: Number.MAX_SAFE_INTEGER }
}

const numbered = (i: number): OpsSnapshot => ({ ...snapshot, epochId: `${i}`, concurrentMax: null, operations: [] })

const operations: ReadonlyArray<StoreCase> = [
  make("a snapshot of operations comes back as it was", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      yield* bench.store.persistOpsLifecycle(owner.runtimeId, owner.stamp(), snapshot)
      yield* expectEqual(yield* Effect.flatten(bench.store.loadOpsLifecycle(owner.runtimeId)), snapshot)
    })),

  make("a later snapshot of operations replaces the earlier one whole", (bench) =>
    Effect.gen(function*() {
      const owner = yield* own(bench)
      for (const next of [snapshot, numbered(2), snapshot, numbered(3), numbered(3)]) {
        yield* bench.store.persistOpsLifecycle(owner.runtimeId, owner.stamp(), next)
        yield* expectEqual(yield* Effect.flatten(bench.store.loadOpsLifecycle(owner.runtimeId)), next)
      }
    })),

  make(
    "operations that were deleted or never stored are none; deleting absent ones is fine",
    (bench) =>
      Effect.gen(function*() {
        const owner = yield* own(bench)
        const load = bench.store.loadOpsLifecycle(owner.runtimeId)
        const remove = Effect.suspend(() => bench.store.deleteOpsLifecycle(owner.runtimeId, owner.stamp()))
        yield* remove
        yield* expectEqual(yield* load, Option.none())
        yield* bench.store.persistOpsLifecycle(owner.runtimeId, owner.stamp(), snapshot)
        yield* remove
        yield* expectEqual(yield* load, Option.none())
        yield* remove
        yield* bench.store.persistOpsLifecycle(owner.runtimeId, owner.stamp(), numbered(2))
        yield* expectEqual(yield* Effect.flatten(load), numbered(2))
        yield* expectEqual(yield* bench.store.loadOpsLifecycle(yield* freshRuntimeId(bench)), Option.none())
      })
  ),

  make("operations of one runtime are its own, and leave everything else of it", (bench) =>
    Effect.gen(function*() {
      const [owner, other] = [yield* own(bench), yield* own(bench)]
      yield* accept(bench, owner)
      yield* begin(bench, owner, ["a"], { snapshot: Uint8Array.of(1) })
      const { ops: _, ...before } = yield* stateOf(bench, owner.runtimeId)
      yield* bench.store.persistOpsLifecycle(owner.runtimeId, owner.stamp(), snapshot)
      yield* bench.store.persistOpsLifecycle(other.runtimeId, other.stamp(), numbered(2))
      yield* bench.store.deleteOpsLifecycle(other.runtimeId, other.stamp())
      const { ops, ...after } = yield* stateOf(bench, owner.runtimeId)
      yield* expectEqual(ops, snapshot)
      yield* expectEqual<unknown>(after, before)
    }))
]

const target = { realm: "r", binding: "b", profile: awkwardText, origin: "https://example.com" }

const flows: OAuthFlowSnapshot = {
  browser: [{
    state: "st-1",
    target,
    provider: "p",
    redirectUri: "http://localhost/\u00e9",
    pkceVerifier: Redacted.make(`secret ${awkwardText}`),
    createdAt: NOW,
    expiresAt: NOW + 600_000
  }],
  device: [{
    target: { realm: "r", binding: "b" },
    provider: "p",
    deviceCode: Redacted.make("another secret"),
    createdAt: NOW,
    expiresAt: NOW + 1
  }]
}

const load = ({ store }: Bench) => Effect.flatten(store.loadAuthOAuthFlowSnapshot)

const plain = ({ browser, device }: OAuthFlowSnapshot) => ({
  browser: browser.map((flow) => ({ ...flow, pkceVerifier: Redacted.value(flow.pkceVerifier) })),
  device: device.map((flow) => ({ ...flow, deviceCode: Redacted.value(flow.deviceCode) }))
})

const counted = (count: number): OAuthFlowSnapshot => ({
  browser: [],
  device: Array.from({ length: count }, () => flows.device[0]!)
})

const expectFlows = (bench: Bench, expected: OAuthFlowSnapshot) =>
  Effect.flatMap(load(bench), (stored) => expectEqual(plain(stored), plain(expected)))

/** An update that breaks off: how it answers, and that the stored flows stay. */
const brokenOff = (
  what: string,
  f: Effect.Effect<OAuthFlowSnapshot, { readonly _tag: "NoRoom" }>,
  says: (exit: Exit.Exit<void, unknown>) => boolean
) =>
  make(
    `I2: an update of the login flows that ${what} writes nothing, and the store goes on`,
    (bench) =>
      Effect.gen(function*() {
        yield* bench.store.persistAuthOAuthFlowSnapshot(flows)
        const exit = yield* Effect.exit(bench.store.updateAuthOAuthFlowSnapshot(() => f))
        yield* check(says(exit), `the answer tells that the update ${what}`)
        yield* expectFlows(bench, flows)
        yield* bench.store.updateAuthOAuthFlowSnapshot(() => Effect.succeed(counted(1)))
        yield* expectFlows(bench, counted(1))
      })
  )

const updates: ReadonlyArray<StoreCase> = [
  make(
    "an update of the login flows reads the stored ones and writes what it computes",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.store.persistAuthOAuthFlowSnapshot(flows)
        const seen: Array<OAuthFlowSnapshot> = []
        yield* bench.store.updateAuthOAuthFlowSnapshot((now) =>
          Effect.map(now, (stored) => {
            seen.push(stored)
            return { ...stored, device: [] }
          })
        )
        yield* expectEqual(seen.map(plain), [plain(flows)])
        yield* expectFlows(bench, { ...flows, device: [] })
      })
  ),

  brokenOff("dies", Effect.die("a defect"), (exit) => Exit.isFailure(exit) && exit.cause._tag === "Die"),
  brokenOff("interrupts itself", Effect.interrupt, Exit.isInterrupted),

  make(
    "I2: an update of the login flows that fails writes nothing, and its error comes unchanged",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.store.persistAuthOAuthFlowSnapshot(flows)
        const noRoom = { _tag: "NoRoom", max: 7 } as const
        const update = bench.store.updateAuthOAuthFlowSnapshot(() => Effect.fail(noRoom))
        yield* check((yield* expectFailure(update, "NoRoom")) === noRoom, "the error is the same one")
        yield* expectFlows(bench, flows)
      })
  ),

  make(
    "I2: an update of the login flows whose caller is interrupted writes nothing, and the store goes on",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.store.persistAuthOAuthFlowSnapshot(flows)
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          bench.store.updateAuthOAuthFlowSnapshot(() =>
            Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
          )
        )
        yield* Deferred.await(started)
        yield* check(Exit.isInterrupted(yield* Fiber.interrupt(fiber)), "the caller is interrupted")
        yield* expectFlows(bench, flows)
        yield* bench.store.persistAuthOAuthFlowSnapshot(empty)
        yield* expectFlows(bench, empty)
      })
  ),

  make(
    "updates of the login flows at the same time follow each other: none is lost",
    (bench) =>
      Effect.gen(function*() {
        yield* bench.store.persistAuthOAuthFlowSnapshot(empty)
        const add = bench.store.updateAuthOAuthFlowSnapshot((now) =>
          Effect.flatMap(now, ({ device }) => Effect.as(Effect.yieldNow(), counted(device.length + 1)))
        )
        yield* Effect.replicateEffect(add, 25, { concurrency: "unbounded", discard: true })
        yield* expectEqual((yield* load(bench)).device.length, 25)
      })
  )
]

const oauth: ReadonlyArray<StoreCase> = [
  make("the login flows come back as they were, secrets included", (bench) =>
    Effect.gen(function*() {
      yield* bench.store.persistAuthOAuthFlowSnapshot(flows)
      yield* expectFlows(bench, flows)
    })),

  make(
    "login flows that are stored replace the earlier ones whole, and need no token",
    (bench) =>
      Effect.gen(function*() {
        for (const next of [flows, empty, counted(3), flows]) {
          yield* bench.store.persistAuthOAuthFlowSnapshot(next)
          yield* expectFlows(bench, next)
        }
      })
  ),

  ...updates
]

export const ops: ReadonlyArray<StoreCase> = [...operations, ...oauth]
