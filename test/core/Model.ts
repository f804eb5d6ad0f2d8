/** Random commands over a `World`, and what holds in every state whatever the commands were. */
import { assert } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as HashMap from "effect/HashMap"
import * as SortedMap from "effect/SortedMap"
import * as Close from "../../src/core/Close.js"
import * as Commit from "../../src/core/Commit.js"
import * as Control from "../../src/core/Control.js"
import * as Digests from "../../src/core/Digests.js"
import * as State from "../../src/core/State.js"
import { runtimeState } from "../../src/core/State.js"
import { operationKey } from "../../src/schema/Ids.js"
import type { OperationEvent } from "../../src/schema/Input.js"
import { type InputHead, isLost, isTerminal } from "../../src/schema/InputState.js"
import type { AcceptOutcome } from "../../src/schema/Report.js"
import { digestOf, fail, input, type InputOptions, kinds, news, runId, sessionId, sha256, stamp } from "./support.js"
import type { World } from "./World.js"

/** A state's maps as plain sorted data, with all that is ready by `now` in its line. */
const indexes = (state: State.DriverState, now: number) => {
  const at = State.promote(state, now)
  const sorted = <K, V>(map: HashMap.HashMap<K, V>): ReadonlyArray<readonly [string, V]> =>
    [...HashMap.toEntries(map)].map(([k, v]) => [String(k), v] as const).sort(([a], [b]) => a < b ? -1 : 1)
  const entries = <K, V>(map: SortedMap.SortedMap<K, V>) => [...SortedMap.entries(map)]
  return {
    active: sorted(at.active),
    byKey: sorted(at.byKey),
    scopes: sorted(at.byScope).map(([scope, members]) => [scope, entries(members)]),
    operations: sorted(at.byOperation).map(([name, members]) => [name, entries(members)]),
    batches: sorted(at.batches).map(([id, members]) => [id, entries(members)]),
    staged: entries(at.staged),
    interrupted: entries(at.lines.interrupted),
    queue: entries(at.lines.queue),
    steer: entries(at.lines.steer),
    riding: entries(at.lines.riding),
    waiting: [at.waiting, at.ridersWaiting].map((waiting) =>
      entries(waiting).map(([key, id]) => [key.at, key.sequence, id] as const)
    )
  }
}

/** The state that `put` alone makes of the rows. */
const rebuilt = (world: World): State.DriverState => {
  const { active, lifecycle, run, session } = world.db
  const empty = State.make(
    world.state.runtimeId,
    world.state.stamp,
    lifecycle,
    world.state.phase,
    session,
    world.state.nextSequence
  )
  return { ...active.reduce(State.put, empty), run }
}

export const invariants = (world: World): void => {
  const { db, state } = world
  const now = indexes(state, world.now)
  assert.deepStrictEqual(now, indexes(rebuilt(world), world.now), "indexes are derived from the heads")
  assert.deepStrictEqual(State.record(state), db.lifecycle, "the stored lifecycle is the one in memory")
  assert.deepStrictEqual(state.run, db.run)
  assert.deepStrictEqual(state.session, db.session)

  const heads = State.activeHeads(state)
  places(state, heads, now)
  assert.strictEqual(
    state.run !== null,
    heads.some((head) => head.phase === "staged"),
    "I10: staged while a run is open"
  )
  for (const head of heads) {
    if (head.phase === "staged") assert.strictEqual(head.run, state.run?.id)
    assert.strictEqual(head.phase === "held", head.hold !== null, "only what is held has a reason to be")
    // Who decides about what was lost gets it beyond all limits, and answers for it.
    if (isLost(head.failure)) continue
    assert.isAtMost(head.attempt, world.limits.attemptsMax, "I13: attempts")
    assert.isAtMost(head.stagings, world.limits.stagingsMax, "I13: stagings")
  }
  const run = state.run
  if (run !== null) assert.isAbove(State.batchOfRun(state).length, 0, "a run has a batch")
  if (run !== null) assert.strictEqual(run.sequence, db.receipts.filter((one) => one.runId === run.id).length)

  waits(world)
  consumedOnce(world)
  denseNumbers(world)
  chained(world)
  assert.strictEqual(world.inputs.size, db.heads.size, "I15: every accepted input is active, held or terminal")
  assert.strictEqual(db.active.length, State.activeCount(state))
}

/** I14: what is waited for has not ended, and a batch waits as one. */
const waits = ({ db, state }: World): void => {
  const keys = new Set([...db.heads.values()].map(({ key }) => key))
  for (const head of State.activeHeads(state)) {
    const first = head.batch === null ? undefined : State.firstOf(state, head.batch)
    assert.deepStrictEqual(head.awaits, first?.awaits ?? [], "a batch waits as one")
    for (const { operationId } of head.awaits) {
      assert.isFalse(keys.has(operationKey(operationId)), "what has ended is not waited for")
    }
    if (head.awaits.length === 0 || state.run?.batch === head.batch) continue
    assert.isNotNull(head.receipt, "who waits for something has committed that")
  }
  for (const head of db.heads.values()) if (isTerminal(head)) assert.deepStrictEqual(head.awaits, [])
}

const places = (state: State.DriverState, heads: ReadonlyArray<InputHead>, now: ReturnType<typeof indexes>): void => {
  const { interrupted, queue, riding, staged, steer } = now
  const lines = { staged, interrupted, queue, steer, riding }
  for (const [name, line] of Object.entries(lines)) {
    for (const [sequence, id] of line) assert.strictEqual(State.get(state, id)?.sequence, sequence, name)
    const order = line.map(([sequence]) => sequence)
    assert.deepStrictEqual(order, [...order].sort((a, b) => a - b), `I6: ${name} is in admission order`)
  }
  const placed = [...Object.values(lines).flat().map(([, id]) => id), ...now.waiting.flat().map(([, , id]) => id)]
  const parked = heads.filter((head) => head.phase === "held" && head.readyAt === null).map((head) => head.id)
  assert.deepStrictEqual([...placed, ...parked].sort(), heads.map((head) => head.id).sort(), "one place for each input")
}

const consumedOnce = ({ db }: World): void => {
  const consumed = db.receipts.flatMap((receipt) => receipt.consumed.map((id) => ({ id, receipt })))
  assert.strictEqual(new Set(consumed.map(({ id }) => id)).size, consumed.length, "I8: consumed by one receipt")
  for (const { id, receipt } of consumed) {
    assert.deepStrictEqual(db.heads.get(id)?.outcome, {
      _tag: "consumed",
      runId: receipt.runId,
      sequence: receipt.sequence
    })
  }
  const byRuns = [...db.heads.values()].filter((head) =>
    head.outcome?._tag === "consumed" && head.outcome.runId !== null
  )
  assert.strictEqual(byRuns.length, consumed.length, "I8: what a run consumed is in a receipt")
}

const denseNumbers = ({ db, state }: World): void => {
  const numbers = [...db.events.keys(), ...db.active.map((head) => head.sequence)].sort((a, b) => a - b)
  assert.deepStrictEqual(numbers, Array.from({ length: state.nextSequence - 1 }, (_, i) => i + 1), "I18: dense events")
}

/** I11: the revision is the fold over all messages, whatever the deltas were. */
const chained = ({ db }: World): void => {
  if (db.session === null) return
  let revision = Digests.firstRevision(sha256, sessionId)
  for (const row of db.messages) {
    revision = Digests.nextRevision(sha256, revision, row.message)
    assert.strictEqual(row.revision, revision)
  }
  assert.strictEqual(db.session.revision, revision)
}

type Staging = Extract<Command, { readonly _tag: "stage" }>["options"]

interface Expected {
  readonly batch: ReadonlyArray<InputHead>
  /** Whose attempts are found to be used up. */
  readonly over: ReadonlyArray<string>
}

/** The batch that the rules of the design pick, worked out from the heads alone. */
const expectedBatch = (world: World, options: Staging): Expected => {
  const over: Array<string> = []
  const broken = new Set<string>()
  for (;;) {
    const heads = State.activeHeads(world.state).flatMap((head): ReadonlyArray<InputHead> =>
      over.includes(head.id) ? [] : head.batch !== null && broken.has(head.batch) ? [{ ...head, batch: null }] : [head]
    )
    const isUsedUp = (head: InputHead) =>
      head.attempt >= world.limits.attemptsMax || head.stagings >= world.limits.stagingsMax
    const batch = nextOf(heads, world)
    const starters = startersOf(batch)
    const isTaken = isLost(starters[0]?.failure ?? null) && options.decidesLost
    const isWholeOver = !isTaken && batch[0]?.batch !== null && starters.some(isUsedUp)
    const ended = batch.filter((head) => isWholeOver || isUsedUp(head) && !(isTaken && starters.includes(head)))
    if (ended.length === 0) return { batch, over }
    over.push(...ended.map((head) => head.id))
    const { batch: id, receipt } = batch[0]!
    if (id !== null && receipt === null) broken.add(id)
  }
}

const isLastTry = (world: World, chosen: ReadonlyArray<InputHead>): boolean =>
  chosen.some((head) => head.attempt + 1 >= world.limits.attemptsMax || head.stagings + 1 >= world.limits.stagingsMax)

const rides = (head: InputHead): boolean => head.policy.apply === "ride_along"
const startersOf = (batch: ReadonlyArray<InputHead>) => batch.every(rides) ? batch : batch.filter((one) => !rides(one))
const ridersFirst = (
  batch: ReadonlyArray<InputHead>
) => [...batch.filter(rides), ...batch.filter((head) => !rides(head))]

const nextOf = (heads: ReadonlyArray<InputHead>, world: World): ReadonlyArray<InputHead> => {
  const { batchInputsMax } = world.limits
  const ready = heads.filter((head) =>
    head.phase === "queued"
      ? (head.readyAt ?? 0) <= world.now
      : head.phase === "held" && head.readyAt !== null && head.readyAt <= world.now
  )
  const line = (name: string) => ready.filter((head) => head.batch === null && !rides(head) && head.lane === name)
  const interrupted = ready.find((head) => head.batch !== null)
  const queue = line("queue")
  const prompt = queue.findIndex((head) => head.kind === "prompt")
  if (interrupted !== undefined) return ridersFirst(heads.filter((head) => head.batch === interrupted.batch))
  const taken = line("steer").length > 0
    ? line("steer").slice(0, batchInputsMax)
    : queue.slice(0, prompt === 0 ? 1 : Math.min(prompt < 0 ? queue.length : prompt, batchInputsMax))
  const other = taken.findIndex((head) => isLost(head.failure) !== isLost(taken[0]!.failure))
  const starters = other < 0 ? taken : taken.slice(0, other)
  const isFirstTry = starters.length > 0 && starters.every((head) => head.attempt === 0 && head.failure === null)
  const riders = isFirstTry
    ? ready.filter((head) => head.batch === null && rides(head)).slice(0, batchInputsMax - 1)
    : []
  return [...riders, ...starters].slice(0, batchInputsMax)
}

/** What `stage` says to these commands is what the rules say. */
const stage = (world: World, options: Staging): void => {
  const before = State.activeHeads(world.state)
  const { batch, over } = expectedBatch(world, options)
  const blocked = options.onFailure === "block" &&
    before.some((head) =>
      head.phase === "queued" && head.batch !== null && (head.readyAt ?? 0) > world.now &&
      before.find((other) => other.batch === head.batch)!.failure !== null
    )
  const { paused } = world.state
  const decided = world.run(world.staging(options))
  if (Either.isLeft(decided)) return
  const { reply } = decided.right
  const ended = over.map((id) => world.db.heads.get(id as InputHead["id"])!)
  if (paused || blocked) return assert.strictEqual(reply._tag, "nothing")
  for (const { outcome } of ended) {
    assert.strictEqual(outcome?._tag === "abandoned" && outcome.reason._tag, "max_attempts_exhausted", "I13: used up")
  }
  const starters = startersOf(batch)
  const afterLoss = isLost(starters[0]?.failure ?? null)
  const keptBack = !options.mayBeFatal && batch.some((head) => isLost(head.failure) && isLastTry(world, [head]))
  if (reply._tag === "nothing") {
    assert.strictEqual(reply.keptBack, keptBack)
    assert.isTrue(keptBack || batch.length === 0, "I14: what is ready is staged")
    return
  }
  assert.isFalse(keptBack, "I13: what may be fatal is kept back")
  const alone = isLastTry(world, starters) && batch.every((head) => head.receipt === null)
  const riders = batch[0]?.batch === null ? batch.filter((head) => !starters.includes(head)) : []
  const expected = (alone ? [...riders, ...starters.slice(0, 1)] : batch).map((head) => head.id)
  assert.deepStrictEqual(reply.inputs.map((head) => head.id), expected, "I6: the next batch")
  assert.isTrue(!reply.inputs.every(rides) || reply.resume !== null, "riders alone end a turn, and begin none")
  assert.strictEqual(reply.afterLoss, afterLoss)
}

const { constantFrom, integer, nat, option, record, boolean, oneof, constant, array } = FastCheck
const maybe = <A>(arbitrary: FastCheck.Arbitrary<A>) => option(arbitrary, { nil: undefined })

const acceptance = record({
  _tag: constant("accept" as const),
  kind: constantFrom(...kinds),
  key: maybe(nat(5)),
  scope: maybe(nat(2)),
  mode: maybe(constantFrom("queue" as const, "steer" as const, "ride_along" as const)),
  durability: constantFrom("durable" as const, "durable" as const, "derived" as const, "ephemeral" as const),
  delay: maybe(nat(40)),
  same: boolean()
})

/** Mostly as by default. */
const rarely = integer({ min: 0, max: 4 }).map((n) => n === 0)

const staging = record({
  _tag: constant("stage" as const),
  options: record({
    onFailure: constantFrom("pass" as const, "pass" as const, "block" as const),
    mayBeFatal: rarely.map((is) => !is),
    decidesLost: rarely
  })
})

const ending = record({
  _tag: constantFrom(...(["fail", "fail", "give_back", "hold", "cancel", "settle"] as const)),
  delay: maybe(nat(40)),
  recoverable: FastCheck.integer({ min: 0, max: 5 }).map((n) => n > 0),
  /** Of a hold: it waits for what the batch named, all of it or what is left; or is of some inputs only. */
  waits: maybe(constantFrom("named" as const, "left" as const)),
  some: maybe(nat(7))
})

const ended = record({
  _tag: constant("end" as const),
  /** Of an operation that somebody waits for, of any, or of an input. */
  of: constantFrom("awaited" as const, "awaited" as const, "any" as const, "input" as const),
  at: nat(20),
  event: constantFrom<typeof OperationEvent.Type>(
    { _tag: "completed", result: 1 },
    { _tag: "failed", error: "no" },
    { _tag: "cancelled" },
    { _tag: "cancelled" },
    { _tag: "progress", message: "half" }
  ),
  asked: boolean()
})

const controls = [
  "retire",
  "reset",
  "stop",
  "resume",
  "resume",
  "recycle",
  "pause",
  "unpause",
  "abandon",
  "silence",
  "publish",
  "attach",
  "detach",
  "clear",
  "say",
  "rewrite"
] as const
const act = record({ _tag: constantFrom(...controls) })

const onInput = record({
  _tag: constantFrom("holdInput" as const, "release" as const, "cancelInput" as const),
  at: nat(20),
  delay: maybe(nat(40))
})

export const command = oneof(
  { weight: 12, arbitrary: acceptance },
  { weight: 3, arbitrary: ended },
  { weight: 7, arbitrary: staging },
  {
    weight: 6,
    arbitrary: record({
      _tag: constantFrom("checkpoint" as const, "note" as const, "final" as const),
      messages: array(integer(), { maxLength: 3 }),
      awaits: array(record({ name: nat(5), delay: maybe(nat(40)) }), { maxLength: 3 })
    })
  },
  { weight: 4, arbitrary: ending },
  { weight: 2, arbitrary: onInput },
  { weight: 2, arbitrary: act },
  { weight: 2, arbitrary: record({ _tag: constant("tick" as const), millis: nat(60) }) },
  {
    weight: 1,
    arbitrary: record({
      _tag: constant("crash" as const),
      inDoubt: constantFrom("retry" as const, "hold" as const, "settle" as const)
    })
  },
  { weight: 1, arbitrary: record({ _tag: constant("destroy" as const), really: nat(30) }) }
)
export type Command = typeof command extends FastCheck.Arbitrary<infer A> ? A : never

const later = (world: World, delay: number | undefined): number | null => delay === undefined ? null : world.now + delay

const inputOf = (world: World, given: Extract<Command, { readonly _tag: "accept" }>) => {
  const { delay, durability, key, kind, mode, same, scope } = given
  const options: InputOptions = {
    durability,
    text: same ? "again" : `text ${world.inputs.size}`,
    ...(key !== undefined && { key: `key ${key}` }),
    ...(scope !== undefined && { scope: `scope ${scope}` }),
    ...(mode !== undefined && { mode }),
    ...(delay !== undefined && { deliverAt: world.now + delay })
  }
  return input(kind, world.inputs.size + 1, options)
}

/** Runs a command, checking what is particular to it; refusals are as good as successes. */
export const execute = (world: World, given: Command): void => {
  const run = world.state.run?.id ?? runId(0)
  switch (given._tag) {
    case "accept": {
      const value = inputOf(world, given)
      const known = world.known(value)
      const decided = world.run(world.accepting(value, known))
      if (Either.isLeft(decided)) return
      const { commit, reply } = decided.right
      if (reply._tag === "accepted") {
        assert.strictEqual(known.length, 0, "I5: one input per key")
        world.inputs.set(value.header.id, value)
      } else assert.isTrue(Commit.isEmpty(commit), `${reply._tag} writes nothing`)
      if (reply._tag === "deduplicated") assert.strictEqual(known[0]?.payloadDigest, digestOf(value))
      return
    }
    case "stage":
      return stage(world, given.options)
    case "checkpoint":
    case "note":
    case "final":
      return bound(world, given)
    case "end":
      return end(world, given)
    case "fail":
      world.run(
        world.closing({ ...fail(run), visibleAt: later(world, given.delay), recoverable: given.recoverable } as never)
      )
      return
    case "give_back":
      world.run(world.closing({ _tag: "give_back", runId: run, visibleAt: later(world, given.delay) }))
      return
    case "hold":
      return hold(world, given)
    case "cancel":
      world.run(world.closing({ _tag: "cancel", runId: run, reason: "enough" }))
      return
    case "settle":
      world.run(world.closing({ _tag: "settle", runId: run }))
      return
    case "holdInput":
    case "release":
    case "cancelInput":
      return onOne(world, given)
    case "tick":
      world.now += given.millis
      return
    case "crash":
      return crash(world, given.inDoubt)
    case "destroy":
      if (given.really === 0) world.run(Control.destroy(world.limits))
      return
    default:
      control(world, given._tag)
  }
}

/** A batch remembers what it has named in any run of it: what is gone from its list has ended. */
const bound = (world: World, given: Extract<Command, { readonly _tag: "checkpoint" | "note" | "final" }>): void => {
  const awaits = new Map(given.awaits.map(({ delay, name }) => [`op ${name}`, later(world, delay)]))
  const batch = world.state.run?.batch
  const decided = world.run(world.bounding({
    kind: given._tag,
    delta: { append: given.messages.map(String) },
    awaits: Array.from(awaits, ([operationId, until]) => ({ operationId, until }))
  }))
  if (Either.isLeft(decided) || batch === undefined || given._tag === "final") return
  const named = world.named.get(batch) ?? new Set()
  for (const operationId of awaits.keys()) named.add(operationId)
  world.named.set(batch, named)
}

const hold = (world: World, { delay, some, waits }: Extract<Command, { readonly recoverable: boolean }>): void => {
  const { run } = world.state
  const batch = State.batchOfRun(world.state)
  const left = batch[0]?.awaits.map(({ operationId }) => operationId) ?? []
  const named = run === null ? [] : [...world.named.get(run.batch) ?? []]
  const decided = world.run(world.closing({
    _tag: "hold",
    runId: run?.id ?? runId(0),
    reason: "question",
    until: later(world, delay),
    ...(waits !== undefined && { awaits: waits === "named" ? named : left }),
    ...(some !== undefined && { inputIds: batch.flatMap(({ id }, i) => some & (1 << i) ? [id] : []) })
  }))
  if (Either.isLeft(decided)) return
  const isReplaced = ({ id }: InputHead) => ["superseded", "coalesced"].includes(world.head(id).phase)
  if (!batch.some(isReplaced)) {
    const isHeld = batch.some(({ id }) => world.head(id).phase === "held")
    assert.strictEqual(
      isHeld,
      waits !== "named" || named.length === left.length,
      "I14: nobody waits for what has ended"
    )
  }
  for (const { id } of batch) {
    const { attempt, phase, stagings } = world.head(id)
    const before = batch.find((head) => head.id === id)!
    if (phase === "superseded" || phase === "coalesced") continue
    // Recovery in one process may have taken a count already.
    assert.deepStrictEqual([attempt, stagings], [before.attempt, before.stagings].map((n) => Math.max(0, n - 1)))
  }
}

const end = (world: World, { asked, at, event, of }: Extract<Command, { readonly _tag: "end" }>): void => {
  const pick = <A>(from: ReadonlyArray<A>): A | undefined => from[at % Math.max(1, from.length)]
  const target = of === "input" ? pick(State.activeHeads(world.state))?.id : undefined
  const awaited = of === "awaited" ? pick([...HashMap.keys(world.state.byOperation)].sort()) : undefined
  const operationId = target ?? awaited ?? `op ${at % 6}`
  const id = world.inputs.size + 1
  // Only an end is under the operation's key.
  const value = news(id, operationId, event, event._tag === "progress" ? { key: `news ${id}` } : {})
  const known = world.known(value)
  const waiting = State.awaiting(world.state, operationId)
  const decided = world.run<AcceptOutcome, { readonly _tag: string }>(
    asked ? world.ending(value) : world.accepting(value, known)
  )
  if (Either.isLeft(decided)) {
    if (decided.left._tag === "UnknownOperation") {
      const inTime = waiting.flatMap(({ awaits }) => awaits).some((one) =>
        one.operationId === operationId && (one.until === null || one.until > world.now)
      )
      assert.isFalse(inTime && event._tag !== "progress", "who waits in time is known")
    }
    return
  }
  if (decided.right.reply._tag !== "accepted") return
  world.inputs.set(value.header.id, value)
  const ends = event._tag !== "progress"
  assert.strictEqual(
    world.lastEvents.some(({ _tag }) => _tag === "operation.ended"),
    ends && waiting.length > 0,
    "an end is told to those who wait"
  )
  if (!ends) return
  if (waiting.length > 0) assert.notStrictEqual(world.signal, "none")
  for (const { hold, id } of waiting) {
    if (hold === "question") assert.include(["queued", "superseded", "coalesced"], world.head(id).phase)
  }
  if (target !== undefined && event._tag === "cancelled") {
    assert.strictEqual(world.head(target).phase, "abandoned", "a cancel by the name of an input ends it")
  }
}

const onOne = (
  world: World,
  { _tag, at, delay }: Extract<Command, { readonly _tag: "holdInput" | "release" | "cancelInput" }>
): void => {
  const heads = State.activeHeads(world.state)
  const inputId = heads[at % Math.max(1, heads.length)]?.id
  if (inputId === undefined) return
  switch (_tag) {
    case "release":
      return void world.run(Close.release(inputId))
    case "holdInput":
      return void world.run(Close.holdInput({ inputId, reason: "operator", until: later(world, delay) }))
    case "cancelInput": {
      const { abandoned } = world.do(Close.cancelInput({ inputId, reason: "no more" }, world.limits))
      assert.include(abandoned, inputId)
      assert.strictEqual(world.signal === "wake_loop", State.hasReady(world.state), "I14: who is ready is not left")
      return
    }
  }
}

const control = (world: World, name: typeof controls[number]): void => {
  const change = (what: string, delta: Control.SessionCommand["delta"], clear = false) =>
    world.run(Control.changeSession({ name: what, delta, sessionId, clear }, sha256))
  const { messages, session } = world.db
  switch (name) {
    case "retire":
    case "reset":
    case "recycle":
      return void world.run<unknown, unknown>(Control[name])
    case "resume":
      return void world.run(Control.resume)
    case "stop":
      return void world.run(Control.stop(world.limits))
    case "pause":
    case "unpause":
      return void world.run(Control.pause(name === "pause"))
    case "abandon":
      return void world.run(Control.abandonPending({ _tag: "cancelled", reason: "cleared" }))
    case "silence":
      return void world.run(Control.setSilentIntents(["ask", "b", "ask"]))
    case "publish":
      return void world.run(Control.publish("code", { n: 1 }))
    case "attach":
      return void world.run(Control.attach("executor"))
    case "detach":
      return void world.run(Control.detach)
    case "clear":
      return void change("clear", { append: [] }, true)
    case "say":
      return void change("say", { append: ["\"said\""] })
    case "rewrite": {
      if (session === null || messages.length < 2) return
      const selection = { start: 1, end: 2 }
      const tail = messages.slice(2).map((row) => row.message)
      const keepRevision = messages[0]!.revision as typeof session.revision
      return void change("rewrite", {
        append: [],
        rewrite: { selection, reason: "shorter", replacement: ["1"], keepRevision, tail }
      })
    }
  }
}

/** I1, I3: what the next owner reads is what this one knew. */
const crash = (world: World, inDoubt: "retry" | "hold" | "settle"): void => {
  const before = world.state
  const calm = before.run === null && State.activeHeads(before).every((head) => head.durability !== "ephemeral")
  const seen = runtimeState(before)
  const events = world.db.events.size
  world.crash(inDoubt)
  if (!calm) return
  assert.deepStrictEqual(indexes(world.state, world.now), indexes(before, world.now), "I3: recovery finds the state")
  assert.strictEqual(world.db.events.size, events)
  assert.strictEqual(runtimeState(world.state), seen === "attached" ? "idle" : seen)
  assert.deepStrictEqual(
    { ...world.state, ...same },
    { ...before, ...same, attached: false, binding: world.state.binding }
  )
}

const same = {
  stamp: stamp(0),
  active: 0,
  byKey: 0,
  byScope: 0,
  byOperation: 0,
  batches: 0,
  staged: 0,
  lines: 0,
  waiting: 0,
  ridersWaiting: 0
}

export const terminalOf = (world: World): ReadonlyArray<InputHead> => [...world.db.heads.values()].filter(isTerminal)
