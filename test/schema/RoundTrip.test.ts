/** Every record that is stored or handed over the wire survives JSON, whatever its values. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Content from "../../src/schema/Content.js"
import * as Input from "../../src/schema/Input.js"
import * as InputState from "../../src/schema/InputState.js"
import { Message } from "../../src/schema/Message.js"
import * as OAuthFlow from "../../src/schema/OAuthFlow.js"
import * as Ops from "../../src/schema/Ops.js"
import * as Policy from "../../src/schema/Policy.js"
import * as Report from "../../src/schema/Report.js"
import * as Run from "../../src/schema/Run.js"
import * as Runtime from "../../src/schema/Runtime.js"
import * as RuntimeEvent from "../../src/schema/RuntimeEvent.js"
import * as Session from "../../src/schema/Session.js"
import * as Turn from "../../src/schema/Turn.js"
import { Payload } from "../../src/services/codecs.js"

/** Values that JSON can tell apart compare by deep equality; those with `Json` inside, or secrets, by their texts. */
const exact = {
  Source: Content.Source,
  Block: Content.Block,
  Content: Content.Content,
  Origin: Input.Origin,
  Visibility: Input.Visibility,
  Header: Input.Header,
  Convention: Input.Convention,
  Kind: Input.Kind,
  Peer: Input.Peer,
  Continuation: Input.Continuation,
  Phase: InputState.Phase,
  Failure: InputState.Failure,
  AbandonReason: InputState.AbandonReason,
  TerminalOutcome: InputState.TerminalOutcome,
  HoldReason: InputState.HoldReason,
  Awaited: InputState.Awaited,
  InputHead: InputState.InputHead,
  PolicyDecision: Policy.PolicyDecision,
  RejectReason: Report.RejectReason,
  AcceptOutcome: Report.AcceptOutcome,
  RecoveryReport: Report.RecoveryReport,
  RetireReport: Report.RetireReport,
  AbandonReport: Report.AbandonReport,
  RecycleReport: Report.RecycleReport,
  Boundary: Run.Boundary,
  ReceiptDraft: Run.ReceiptDraft,
  Receipt: Run.Receipt,
  OpenRun: Run.OpenRun,
  RunEvent: Run.RunEvent,
  RuntimeState: Runtime.RuntimeState,
  BindingFacts: Runtime.BindingFacts,
  LifecycleRecord: Runtime.LifecycleRecord,
  SessionHead: Session.SessionHead,
  Message,
  TranscriptRewriteCommit: Session.TranscriptRewriteCommit,
  RenderMetadata: Turn.RenderMetadata
}

const byText = {
  OperationEnd: Input.OperationEnd,
  OperationEvent: Input.OperationEvent,
  Prompt: Input.Prompt,
  FlowStep: Input.FlowStep,
  ExternalEvent: Input.ExternalEvent,
  Operation: Input.Operation,
  Input: Input.Input,
  Payload,
  TurnMetadata: Turn.TurnMetadata,
  RuntimeEvent: RuntimeEvent.RuntimeEvent,
  EventRecord: RuntimeEvent.EventRecord,
  OpsSnapshot: Ops.OpsSnapshot,
  OAuthFlowSnapshot: OAuthFlow.OAuthFlowSnapshot
}

const runs = { fastCheck: { numRuns: 40 } }

/** JSON has one zero. */
const unsigned = (value: unknown): unknown =>
  Object.is(value, -0)
    ? 0
    : Array.isArray(value)
    ? value.map(unsigned)
    : typeof value === "object" && value !== null && !(value instanceof Uint8Array)
    ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, unsigned(member)]))
    : value

const codecOf = (schema: Schema.Schema.AnyNoContext) => {
  const encode = Schema.encodeSync(schema as Schema.Schema<unknown, unknown>)
  const decode = Schema.decodeUnknownSync(schema as Schema.Schema<unknown, unknown>)
  return { write: (value: unknown) => JSON.stringify(encode(value)), read: (text: string) => decode(JSON.parse(text)) }
}

describe("Round trip through JSON", () => {
  for (const [name, schema] of Object.entries(exact)) {
    const { read, write } = codecOf(schema)
    it.prop(`${name} comes back as it was`, [Arbitrary.make(schema as Schema.Schema<unknown>)], ([value]) => {
      assert.deepStrictEqual(read(write(value)), unsigned(value))
    }, runs)
  }

  for (const [name, schema] of Object.entries(byText)) {
    const { read, write } = codecOf(schema)
    it.prop(`${name} comes back with the same text`, [Arbitrary.make(schema as Schema.Schema<unknown>)], ([value]) => {
      assert.strictEqual(write(read(write(value))), write(value))
    }, runs)
  }

  it("what the schema of a secret gives back is the secret, redacted", () => {
    const { read, write } = codecOf(OAuthFlow.OAuthFlowSnapshot)
    const arbitrary = Arbitrary.make(OAuthFlow.OAuthFlowSnapshot)
    FastCheck.assert(FastCheck.property(arbitrary, (flows) => {
      const back = read(write(flows)) as OAuthFlow.OAuthFlowSnapshot
      assert.deepStrictEqual(
        back.browser.map((flow) => Redacted.value(flow.pkceVerifier)),
        flows.browser.map((flow) => Redacted.value(flow.pkceVerifier))
      )
      assert.deepStrictEqual(
        back.device.map((flow) => Redacted.value(flow.deviceCode)),
        flows.device.map((flow) => Redacted.value(flow.deviceCode))
      )
    }))
  })

  it("a lifecycle record of another version is not read as if it were this one", () => {
    const record = { record_version: 2, runtimeState: "idle", paused: false, silentIntents: [], binding: {} }
    assert.isFalse(Schema.is(Runtime.LifecycleRecord)(record))
  })

  it("an operation's progress is a finite number", () => {
    const is = Schema.is(Input.OperationEvent)
    assert.isTrue(is({ _tag: "progress", message: "m", percent: 0.5 }))
    for (const percent of [NaN, Infinity]) assert.isFalse(is({ _tag: "progress", message: "m", percent }))
  })
})
