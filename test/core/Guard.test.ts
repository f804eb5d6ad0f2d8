import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { type Facts, judge } from "../../src/core/Guard.js"
import type { Outcome, Rows } from "../../src/core/Rows.js"

const rows: Rows = {
  runtimeId: "agent",
  epoch: 1,
  claimId: "claim",
  n: 1,
  runtime: null,
  inserts: [],
  moves: [],
  session: {
    sessionId: "session",
    parent: { revision: "r1", version: 1 },
    after: { revision: "r2", version: 2, length: 2 },
    keep: 1,
    append: [],
    snapshot: undefined,
    expected: Uint8Array.of(1),
    rewrite: null
  },
  boundary: {
    runId: "run",
    batchId: "batch",
    after: 1,
    digest: "digest",
    contributors: ["a", "b"],
    receipt: "{}",
    result: null
  },
  notes: [{ scope: "s", key: "k", value: "1" }],
  events: [],
  ops: undefined,
  deposits: []
}

const facts: Facts = {
  runtime: { epoch: 1, claimId: "claim", runId: "run", runSequence: 1 },
  receiptDigest: null,
  contributorsStaged: 2,
  session: { sessionId: "session", revision: "r1", version: 1, length: 1 },
  snapshot: Uint8Array.of(1),
  notes: []
}

interface Fault {
  readonly name: string
  readonly spoil: (facts: Facts) => Facts
  readonly said: Outcome
}

const refused = (by: Extract<Outcome, { readonly _tag: "Refused" }>["by"]): Outcome => ({ _tag: "Refused", by })
const runtime = (facts: Facts, change: Partial<NonNullable<Facts["runtime"]>>): Facts => ({
  ...facts,
  runtime: { ...facts.runtime!, ...change }
})
const session = (facts: Facts, change: Partial<NonNullable<Facts["session"]>>): Facts => ({
  ...facts,
  session: { ...facts.session!, ...change }
})

/** In the order of design.md §6; what only one of two writes can meet comes between. */
const faults: ReadonlyArray<Fault> = [
  {
    name: "another token",
    spoil: (facts) => runtime(facts, { epoch: 2 }),
    said: refused({ _tag: "StaleFence", current: 2 })
  },
  {
    name: "another receipt",
    spoil: (facts) => ({ ...facts, receiptDigest: "other" }),
    said: refused({ _tag: "ReceiptConflict" })
  },
  {
    name: "another open run",
    spoil: (facts) => runtime(facts, { runId: "other" }),
    said: refused({ _tag: "RunNotOpen" })
  },
  {
    name: "another last sequence",
    spoil: (facts) => runtime(facts, { runSequence: 7 }),
    said: refused({ _tag: "SequenceMismatch", last: 7 })
  },
  {
    name: "another session",
    spoil: (facts) => session(facts, { sessionId: "other" }),
    said: refused({ _tag: "SessionKeyMismatch", actual: "other" })
  },
  {
    name: "another parent",
    spoil: (facts) => session(facts, { version: 5 }),
    said: refused({ _tag: "TranscriptRevisionConflict", actual: "r1 (version 5)" })
  },
  {
    name: "another snapshot",
    spoil: (facts) => ({ ...facts, snapshot: Uint8Array.of(2) }),
    said: refused({ _tag: "SnapshotChanged" })
  },
  {
    name: "a contributor that is not staged",
    spoil: (facts) => ({ ...facts, contributorsStaged: 1 }),
    said: refused({ _tag: "ContributorNotStaged" })
  },
  {
    name: "a note that is taken",
    spoil: (facts) => ({ ...facts, notes: [{ scope: "s", key: "k", value: "2" }] }),
    said: refused({ _tag: "NoteConflict", scope: "s", key: "k" })
  }
]

describe("Guard", () => {
  it("what agrees with the store may be written", () => assert.isUndefined(judge(rows, facts)))

  for (const fault of faults) {
    it(`${fault.name} alone is refused`, () => assert.deepStrictEqual(judge(rows, fault.spoil(facts)), fault.said))
  }

  it("of several faults the first in the order of the design decides", () =>
    FastCheck.assert(
      FastCheck.property(FastCheck.subarray(faults.map((_, i) => i), { minLength: 1 }), (chosen) => {
        const spoilt = chosen.reduce((spoilt, i) => faults[i]!.spoil(spoilt), facts)
        assert.strictEqual(judge(rows, spoilt)?._tag, "Refused")
        const said = judge(rows, spoilt)
        const expected = faults[Math.min(...chosen)]!.said
        assert.strictEqual(
          said?._tag === "Refused" ? said.by._tag : said?._tag,
          expected._tag === "Refused" ? expected.by._tag : expected._tag
        )
      })
    ))

  it("I7: the same digest is AlreadyApplied, before anything but the token is looked at", () =>
    FastCheck.assert(
      FastCheck.property(FastCheck.subarray(faults.slice(2).map((_, i) => i + 2)), (chosen) => {
        const spoilt = chosen.reduce<Facts>((spoilt, i) => faults[i]!.spoil(spoilt), {
          ...facts,
          receiptDigest: "digest"
        })
        assert.deepStrictEqual(judge(rows, spoilt), { _tag: "AlreadyApplied" })
        assert.deepStrictEqual(judge(rows, faults[0]!.spoil(spoilt)), faults[0]!.said)
      })
    ))

  it("I9: a runtime that nobody claimed, or another claim of the same epoch, is a stale fence", () => {
    assert.deepStrictEqual(
      judge(rows, { ...facts, runtime: null }),
      refused({ _tag: "StaleFence", current: null })
    )
    assert.deepStrictEqual(
      judge(rows, runtime(facts, { claimId: "other" })),
      refused({ _tag: "StaleFence", current: 1 })
    )
  })

  it("what the write set does not have is not asked about", () => {
    const spoilt = faults.slice(1).reduce((spoilt, fault) => fault.spoil(spoilt), facts)
    assert.isUndefined(judge({ ...rows, boundary: null, session: null, notes: [] }, spoilt))
  })

  it("a session that has no row yet has version 0", () => {
    const first = { ...rows.session!, parent: { revision: "r0", version: 0 }, expected: undefined }
    const none = { ...facts, session: null, snapshot: null }
    assert.isUndefined(judge({ ...rows, session: first }, none))
    assert.deepStrictEqual(
      judge({ ...rows, session: { ...first, parent: { revision: "r1", version: 1 } } }, none),
      refused({ _tag: "TranscriptRevisionConflict", actual: "empty (version 0)" })
    )
  })

  it("the snapshot is compared byte for byte, and absence only with absence", () => {
    const said = (expected: Uint8Array | null, stored: Uint8Array | null) =>
      judge({ ...rows, session: { ...rows.session!, expected } }, { ...facts, snapshot: stored })?._tag
    assert.isUndefined(said(null, null))
    assert.isUndefined(said(new Uint8Array(), new Uint8Array()))
    assert.isUndefined(said(Uint8Array.of(1, 2), Uint8Array.of(1, 2)))
    assert.strictEqual(said(null, new Uint8Array()), "Refused")
    assert.strictEqual(said(new Uint8Array(), null), "Refused")
    assert.strictEqual(said(Uint8Array.of(1), Uint8Array.of(1, 2)), "Refused")
  })

  it("the same parent's version with another revision is a conflict", () =>
    assert.deepStrictEqual(
      judge(rows, session(facts, { revision: "other" })),
      refused({ _tag: "TranscriptRevisionConflict", actual: "other (version 1)" })
    ))
})
