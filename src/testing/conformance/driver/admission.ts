/**
 * What is admitted, what is not, and which inputs are the same.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { IdempotencyKey, InputId, SupersessionKey } from "../../../schema/Ids.js"
import * as Input from "../../../schema/Input.js"
import { check, expectEqual, expectFailure } from "../../Conformance.js"
import * as F from "./fixtures.js"

const derived = { durability: "derived" } as const
const system = { origin: { _tag: "system" } } as const

const underived: ReadonlyArray<readonly [kind: string, draft: Input.Draft]> = [
  ["prompt", F.prompt("p", { ...derived, ...system })],
  ["peer_message", F.message("m", { ...derived, ...system })],
  ["peer_request", F.request("q", "ask", { ...derived, ...system })],
  ["peer_response_terminal", F.terminal("t", { ...derived, ...system })],
  ["flow_step", F.flow("f", { ...derived, ...system })]
]

const derivable: ReadonlyArray<readonly [kind: string, draft: Input.Draft]> = [
  ["external_event", F.external("e", { ...derived, ...system })],
  ["continuation", F.continuation("c", { ...derived, ...system })],
  ["operation", F.operation("o", { ...derived, ...system })],
  ["peer_response_progress", F.progress("p", { ...derived, ...system })]
]

const outside: ReadonlyArray<Input.Origin> = [
  { _tag: "operator" },
  { _tag: "peer", peerId: "p" },
  { _tag: "external", sourceName: "s" }
]

const expectViolation = (driver: Parameters<typeof F.rejected>[0], draft: Input.Draft, mentions: string) =>
  Effect.gen(function*() {
    const reason = yield* F.rejected(driver, draft)
    yield* expectEqual<string>(reason._tag, "durability_violation", "the reason")
    yield* check(reason.detail.includes(mentions), `the detail "${reason.detail}" names ${mentions}`)
  })

const durability = [
  ...underived.map(([kind, draft]) =>
    F.make(`D21: a derived ${kind} is rejected as a value, by the name of its kind`, (driver) =>
      Effect.zipRight(
        expectViolation(driver, draft, kind),
        Effect.flatMap(F.rejected(driver, draft), ({ detail }) =>
          check(!detail.includes("peer_peer"), `the kind is named once in "${detail}"`))
      ))
  ),
  ...derivable.map(([kind, draft]) =>
    F.make(`a derived ${kind} of the runtime's own is accepted`, (driver) => F.accept(driver, draft))
  ),
  F.make(
    "a derived input from outside is rejected, whatever its kind",
    (driver) =>
      Effect.forEach(outside, (origin) => expectViolation(driver, F.external("e", { ...derived, origin }), "external"))
  ),
  F.make("an ephemeral input of every kind is accepted", (driver) =>
    Effect.forEach(
      [
        F.prompt("p", { durability: "ephemeral" }),
        F.message("m", { durability: "ephemeral" }),
        F.flow("f", { durability: "ephemeral" }),
        F.external("e", { durability: "ephemeral" }),
        F.continuation("c", { durability: "ephemeral" }),
        F.operation("o", { durability: "ephemeral" })
      ],
      (draft) => F.accept(driver, draft)
    ))
]

const refusals = [
  F.make("D8: a rejected input writes nothing and uses up no key", (driver) =>
    Effect.gen(function*() {
      const draft = F.prompt("p", { ...derived, ...system, key: "k" })
      yield* F.expectUnchanged(driver, F.rejected(driver, draft))
      yield* expectEqual(yield* driver.inputByKey("k" as IdempotencyKey), Option.none(), "the input of the key")
      yield* F.accept(driver, F.prompt("other", { key: "k" }))
      yield* expectEqual(F.tags(yield* F.events(driver)), ["input.accepted"], "the events")
    })),
  F.make("a rejected input's id can be used again", (driver) =>
    Effect.gen(function*() {
      const id = yield* F.freshInputId
      yield* F.rejected(driver, F.prompt("p", { ...derived, ...system, id }))
      yield* F.accept(driver, F.prompt("p", { id }))
    })),
  F.make(
    "progress of a response takes no handling mode",
    (driver) =>
      Effect.flatMap(
        F.rejected(driver, F.progress("p", {}, "steer")),
        ({ _tag }) => expectEqual<string>(_tag, "peer_handling_mode_invalid", "the reason")
      )
  ),
  F.make(
    "a terminal response does not ride along",
    (driver) =>
      Effect.flatMap(
        F.rejected(driver, F.terminal("t", {}, "ride_along")),
        ({ _tag }) => expectEqual<string>(_tag, "peer_handling_mode_invalid", "the reason")
      )
  ),
  F.make("a terminal response names the request that it answers", (driver) =>
    Effect.flatMap(
      F.rejected(driver, {
        _tag: "peer",
        convention: { _tag: "response_terminal", requestId: "", status: "failed" },
        content: []
      }),
      ({ _tag }) => expectEqual<string>(_tag, "peer_response_terminal_invalid", "the reason")
    )),
  F.make(
    "D8, I16: an input over the queue's depth is QueueFull, uses up no key, and fits when one is done",
    (driver) =>
      Effect.gen(function*() {
        yield* F.acceptAll(driver, Array.from({ length: F.limits.queueDepthMax }, (_, i) => F.prompt(`${i}`)))
        const late = F.prompt("late", { key: "late" })
        const error = yield* expectFailure(driver.accept(late), "QueueFull")
        yield* expectEqual(error.queueDepthMax, F.limits.queueDepthMax, "the limit that it names")
        yield* expectEqual((yield* driver.activeInputIds).length, F.limits.queueDepthMax, "the active inputs")
        yield* driver.complete({ runId: (yield* F.stage(driver)).runId })
        yield* F.accept(driver, late)
      })
  ),
  F.make("an input that is consumed at admission needs no room in the queue", (driver) =>
    Effect.gen(function*() {
      yield* F.acceptAll(driver, Array.from({ length: F.limits.queueDepthMax }, (_, i) => F.flow(`${i}`)))
      yield* F.accept(driver, F.operation("o"))
    })),
  F.make("what an input replaces makes room for it", (driver) =>
    Effect.gen(function*() {
      yield* F.accept(driver, F.flow("old", { scope: "s" }))
      yield* F.acceptAll(driver, Array.from({ length: F.limits.queueDepthMax - 1 }, (_, i) => F.flow(`${i}`)))
      yield* F.accept(driver, F.flow("new", { scope: "s" }))
    })),
  F.make(
    "I16: an input over the limit is InputTooLarge, tells both sizes, and uses up no key",
    (driver) =>
      Effect.gen(function*() {
        const draft = F.prompt("x".repeat(F.limits.inputBytesMax), { key: "k" })
        const error = yield* F.expectUnchanged(driver, expectFailure(driver.accept(draft), "InputTooLarge"))
        yield* expectEqual(error.inputBytesMax, F.limits.inputBytesMax, "the limit that it names")
        yield* check(error.bytes > F.limits.inputBytesMax, "the size that it names is over the limit")
        yield* F.accept(driver, F.prompt("x", { key: "k" }))
      })
  )
]

interface Malformed {
  readonly what: string
  readonly field: string
  readonly draft: Input.Draft
}

const long = "k".repeat(F.limits.keyLengthMax + 1)

/** What the types forbid and a caller can hand in all the same. */
const unsound = (draft: unknown): Input.Draft => draft as Input.Draft

const malformed: ReadonlyArray<Malformed> = [
  { what: "an empty key", field: "header.idempotencyKey", draft: F.prompt("p", { key: "" }) },
  { what: "a key that is too long", field: "header.idempotencyKey", draft: F.prompt("p", { key: long }) },
  { what: "a key with NUL", field: "header.idempotencyKey", draft: F.prompt("p", { key: "a\u0000b" }) },
  { what: "a key with a lone surrogate", field: "header.idempotencyKey", draft: F.prompt("p", { key: "\ud800" }) },
  {
    what: "a supersession key that is too long",
    field: "header.supersessionKey",
    draft: F.prompt("p", { scope: long })
  },
  { what: "an empty supersession key", field: "header.supersessionKey", draft: F.prompt("p", { scope: "" }) },
  {
    what: "a correlation id that is too long",
    field: "header.correlationId",
    draft: F.prompt("p", { correlationId: long })
  },
  { what: "an id that is no UUID v7", field: "header.id", draft: F.prompt("p", { id: "1" as InputId }) },
  { what: "a time that is no number", field: "header.deliverAt", draft: F.prompt("p", { deliverAt: Number.NaN }) },
  { what: "a time before the epoch", field: "header.deliverAt", draft: F.prompt("p", { deliverAt: -1 }) },
  { what: "a text with a lone surrogate", field: "content", draft: F.prompt("\udfff") },
  { what: "an event without a type", field: "eventType", draft: F.external("") },
  { what: "a continuation without a reason", field: "reason", draft: F.continuation("") },
  { what: "an operation without an id", field: "operationId", draft: F.operation("") },
  { what: "a step without an id", field: "stepId", draft: F.flow("") },
  {
    what: "a payload that is not JSON",
    field: "payload",
    draft: unsound({ _tag: "external_event", eventType: "e", payload: { deep: [1n] } })
  },
  {
    what: "content that is not blocks",
    field: "content",
    draft: unsound({ _tag: "prompt", content: [{ _tag: "video" }] })
  },
  {
    what: "an unknown durability",
    field: "header.durability",
    draft: unsound(F.prompt("p", unsound({ durability: "so-so" }) as object))
  }
]

const invalid = [
  ...malformed.map(({ draft, field, what }) =>
    F.make(`${what} is InvalidInput{${field}}, and nothing is written`, (driver) =>
      Effect.gen(function*() {
        const error = yield* F.expectUnchanged(driver, expectFailure(driver.accept(draft), "InvalidInput"))
        yield* check(error.field.startsWith(field), `the field "${error.field}" is ${field} or in it`)
      }))
  ),
  F.make("InvalidInput names the kind of the value, never the value", (driver) =>
    Effect.gen(function*() {
      const secret = "sesame".repeat(20)
      const error = yield* expectFailure(driver.accept(F.prompt("p", { key: secret })), "InvalidInput")
      yield* check(!error.message.includes("sesame"), "the message does not show the key")
    })),
  F.make(
    "a runtime id is storable text of a bounded length",
    (_, drivers) =>
      Effect.forEach(
        ["", "a\u0000", "\ud800", "r".repeat(F.limits.idLengthMax + 1)],
        (id) =>
          Effect.flatMap(expectFailure(drivers.get(id), "InvalidInput"), ({ field }) =>
            expectEqual(field, "runtimeId", "the field"))
      )
  ),
  F.make("any other text is a runtime id", (_, drivers) =>
    Effect.gen(function*() {
      const own = yield* F.freshRuntimeId
      for (const name of ["/", "'; --", "日本", "%00", "."]) {
        const { runtimeId } = yield* drivers.get(`${name}${own}`)
        yield* expectEqual<string>(runtimeId, `${name}${own}`, "the runtime's id")
      }
    }))
]

const head = [
  F.make("the accepted input's head says what was asked and decided", (driver) =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1_000)
      const id = yield* F.freshInputId
      const { inputId, sequence, state } = yield* F.accept(driver, F.flow("f", { id, key: "k", scope: "s" }))
      yield* expectEqual(inputId, id, "the id")
      yield* expectEqual(
        { ...state, payloadDigest: "", policy: state.policy.reason },
        {
          id,
          sequence,
          acceptedAt: 1_000,
          kind: "flow_step",
          durability: "durable",
          key: "k" as IdempotencyKey,
          supersessionKey: "s" as SupersessionKey,
          payloadDigest: "",
          policy: state.policy.reason,
          lane: "queue",
          phase: "queued",
          attempt: 0,
          stagings: 0,
          batch: null,
          run: null,
          receipt: null,
          readyAt: null,
          hold: null,
          deliverAt: null,
          recorded: false,
          awaits: [],
          outcome: null,
          failure: null,
          updatedAt: 1_000
        } as const,
        "the head"
      )
      yield* expectEqual(yield* driver.inputState(id), Option.some(state), "inputState")
    })),
  F.make(
    "what the draft leaves out is filled in: id, time, origin, durability, visibility",
    (driver) =>
      Effect.gen(function*() {
        yield* TestClock.adjust(5)
        const { inputId } = yield* F.accept(driver, Input.prompt("p"))
        const stored = yield* F.some(yield* driver.loadInput(inputId), "the input is stored")
        const { trace: _trace, ...header } = stored.body._tag === "inline" ? stored.body.input.header : {}
        yield* expectEqual<unknown>(
          header,
          {
            id: inputId,
            at: 5,
            origin: { _tag: "operator" },
            durability: "durable",
            visibility: { transcript: true, operator: true }
          } as const,
          "the header"
        )
      })
  ),
  F.make(
    "an input says where in a trace it was handed in, unless its sender says so itself, and its run sees it",
    (driver) =>
      Effect.gen(function*() {
        const trace = { traceId: "t", spanId: "s", sampled: false }
        const caller = yield* Effect.flatMap(Effect.currentSpan, (span) =>
          Effect.as(F.acceptAll(driver, [F.flow("mine"), F.flow("theirs", { trace })]), span)).pipe(
            Effect.withSpan("caller")
          )
        const run = yield* F.stage(driver)
        const inputs = yield* Effect.forEach(run.inputs, ({ input }) =>
          input)
        const [mine, theirs] = inputs.map(({ header }) => header.trace)
        yield* expectEqual(mine?.traceId, caller.traceId, "the caller's trace")
        yield* check(mine !== undefined && mine.spanId !== caller.spanId, "the span is that of the acceptance")
        yield* expectEqual(theirs, trace, "what the sender said")
      })
  ),
  F.make(
    "a continuation is the runtime talking to itself, unless it says otherwise",
    (driver) =>
      Effect.gen(function*() {
        const { inputId } = yield* F.accept(driver, F.continuation("c"))
        const stored = yield* F.some(yield* driver.loadInput(inputId), "the input is stored")
        const found = stored.body._tag === "inline" ? stored.body.input.header : undefined
        yield* expectEqual(found?.origin, { _tag: "system" }, "its origin")
        yield* expectEqual(found?.visibility, { transcript: false, operator: false }, "its visibility")
      })
  ),
  F.make(
    "I1: an input that was accepted can be read, with its body, by id and by key",
    (driver) =>
      Effect.gen(function*() {
        const { inputId, state } = yield* F.accept(driver, F.prompt("hello", { key: "k" }))
        const byId = yield* F.some(yield* driver.loadInput(inputId), "the input is stored under its id")
        const byKey = yield* F.some(yield* driver.inputByKey("k" as IdempotencyKey), "it is stored under its key")
        yield* expectEqual(byId.head, state, "the head of the row")
        yield* expectEqual(byKey, byId, "the input of the key")
        yield* expectEqual(byId.body._tag === "inline" && byId.body.input._tag, "prompt", "the body")
      })
  ),
  F.make("activeInputIds are in admission order", (driver) =>
    Effect.gen(function*() {
      const ids = yield* F.acceptAll(driver, [F.prompt("a"), F.steer("b"), F.flow("c"), F.continuation("d")])
      yield* F.accept(driver, F.operation("ended"))
      yield* expectEqual(yield* driver.activeInputIds, ids, "the active ids")
    })),
  F.make("an unknown id and an unknown key are none", (driver) =>
    Effect.gen(function*() {
      const id = yield* F.freshInputId
      yield* expectEqual(yield* driver.inputState(id), Option.none(), "inputState")
      yield* expectEqual(yield* driver.loadInput(id), Option.none(), "loadInput")
      yield* expectEqual(yield* driver.inputByKey("k" as IdempotencyKey), Option.none(), "inputByKey")
    }))
]

export const cases = [...durability, ...refusals, ...invalid, ...head]
