import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as DigestNode from "../../src/layers/DigestNode.js"
import * as IdGeneratorUuid from "../../src/layers/IdGeneratorUuid.js"
import { cases } from "../../src/testing/RuntimeStoreConformance.js"
import { mistakes, naive } from "./naive.js"

type Mistake = keyof typeof mistakes

/** The cases that a store with one mistake fails, and no others. */
const caught: { readonly [M in Mistake]: ReadonlyArray<string> } = {
  "checks no token": [
    "I2: StaleFence when there is a newer owner: nothing of the boundary is written, and no alongside is run",
    "of two refusals of a boundary the first is answered: the token comes before the receipt",
    "I9: of many claims at the same time all succeed with epochs of their own, and the highest one holds",
    "I9: every kind of write under an older token is StaleFence and changes nothing, after a recovery",
    "I9: every kind of write under an older token is StaleFence and changes nothing, after a claim",
    "I9: a token is its epoch and its claim: with one of them wrong a write is StaleFence",
    "I9: nobody writes a runtime that was never claimed",
    "I9: a stale token is StaleFence also where there is no session to change",
    "I9: nothing that was read before the claim is used: a recovery sees every write of the former owner",
    "I12: an absent witness has no stamp, nor has one whose commit was refused",
    "a refused write within an alongside changes nothing and leaves the commit to the alongside",
    "I9: a stale one among commits made at the same time is refused alone",
    "I2: the deposits of a commit that is refused are not written"
  ],
  "takes any receipt at the place for the same one": [
    "I7: other content at a stored sequence is ReceiptConflict, and the stored receipt stays",
    "I2: ReceiptConflict when another boundary has that place: nothing of the boundary is written, and no alongside is run",
    "of two refusals of a boundary the first is answered: the receipt comes before the open run"
  ],
  "takes the exact retry for a conflict": [
    "I7: the exact retry of the last boundary is alreadyApplied and writes nothing, also of a closed run",
    "I7: the exact retry by a later owner is alreadyApplied",
    "I7: the exact retry runs no alongside",
    "I7: of two writers of one boundary at the same time one applies it",
    "I2, I7: the outbox of a boundary is deposited with it, and not again by its exact retry"
  ],
  "runs alongside for a retry": [
    "I7: the exact retry runs no alongside"
  ],
  "runs alongside behind the commit": [
    "I2: an alongside that fails writes nothing, and the store goes on",
    "I2: an alongside that dies writes nothing, and the store goes on",
    "I2: an alongside that interrupts itself writes nothing, and the store goes on",
    "I2: an alongside that fails after some time writes nothing, and the store goes on",
    "I2: an alongside whose caller is interrupted writes nothing, and the store goes on",
    "I2: an alongside that takes too long is AlongsideTimeout and writes nothing, and the store goes on",
    "I2: what an alongside wrote in the store goes with its failure",
    "insideTransaction is true within an alongside and false elsewhere",
    "I4: nobody outside sees anything of a commit whose alongside still runs and then fails",
    "I2: the outbox of a boundary whose alongside fails is not deposited",
    "I2: a deposit made inside a transaction that fails is not there",
    "I2: a commit that fails moves no input in time"
  ],
  "ignores inserts that are known": [
    "I5: another input under a stored key is IdempotencyConflict, and nothing is stored",
    "I5: another input under a stored id is IdempotencyConflict, and nothing is stored",
    "I5: the key and the id of a terminal input stay taken, however it ended",
    "I5: a refused insert names every stored input that has its id or its key",
    "the lifecycle row and the listed inputs are written together; one known input takes them all out",
    "commit answers refusals as values",
    "commitWith answers as commit does, and runs no alongside for what is refused",
    "I5: of many inserts of one key at the same time one is written, the others are refused"
  ],
  "forgets the keys of terminal inputs": [
    "an input is found by its key, terminal or not",
    "lookup answers stored inputs that have one of the ids or keys, once each, terminal ones included"
  ],
  "inserts over the keys of terminal inputs": [
    "I5: the key and the id of a terminal input stay taken, however it ended"
  ],
  "writes the session before it checks the rest": [
    "I2: ReceiptConflict when another boundary has that place: nothing of the boundary is written, and no alongside is run",
    "I2: RunNotOpen when another run is open: nothing of the boundary is written, and no alongside is run",
    "I2: SequenceMismatch when it skips a place: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is queued: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is not stored: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is terminal: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is staged under another run: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is another runtime's: nothing of the boundary is written, and no alongside is run",
    "I2: NoteConflict when one of its notes is stored: nothing of the boundary is written, and no alongside is run",
    "of two refusals of a boundary the first is answered: the open run comes before the last sequence",
    "of two refusals of a boundary the first is answered: the contributors come before the notes",
    "I2: an alongside that fails writes nothing, and the store goes on",
    "I2: an alongside that dies writes nothing, and the store goes on",
    "I2: an alongside that interrupts itself writes nothing, and the store goes on",
    "I2: an alongside that fails after some time writes nothing, and the store goes on",
    "I2: an alongside whose caller is interrupted writes nothing, and the store goes on",
    "I2: an alongside that takes too long is AlongsideTimeout and writes nothing, and the store goes on",
    "I2: what an alongside wrote in the store goes with its failure",
    "I4: nobody outside sees anything of a commit whose alongside still runs and then fails"
  ],
  "compares no parent of the session": [
    "I2: TranscriptRevisionConflict when the parent has an older version: nothing of the boundary is written, and no alongside is run",
    "I2: TranscriptRevisionConflict when the parent has another revision: nothing of the boundary is written, and no alongside is run",
    "I2: TranscriptRevisionConflict when the session has begun since: nothing of the boundary is written, and no alongside is run",
    "of two refusals of a boundary the first is answered: the session parent comes before the contributors",
    "I11: a change of the session on another parent is TranscriptRevisionConflict, and the first stays",
    "I11: of many changes on one parent at the same time one is written",
    "I11: a second rewrite of one parent is TranscriptRevisionConflict, and the first stays with its record",
    "I11: a snapshot changed since makes the parent another one, though the transcript is the same"
  ],
  "keeps the messages that a rewrite replaced": [
    "I11: loadRevision is the revision of the first messages; none for 0 and beyond the end",
    "I11: a page pinned to a revision is readable after a rewrite behind it, and a conflict after one in it",
    "a rewrite replaces messages and keeps those before and behind",
    "I11: a second rewrite of one parent is TranscriptRevisionConflict, and the first stays with its record"
  ],
  "shares the bytes of a snapshot": [
    "a snapshot is a copy: neither the array that was given nor the one that was answered is shared"
  ],
  "keeps a snapshot as text": [
    "a snapshot's bytes come back as they were given, all 256 values of a byte included",
    "a snapshot of 1 MiB comes back whole",
    "clearSessionSnapshot removes the snapshot and leaves transcript, inputs, receipts and lifecycle",
    "replaceSessionSnapshotIfCurrent replaces exactly the expected bytes, and answers true"
  ],
  "takes an empty snapshot for none": [
    "a snapshot's bytes come back as they were given, all 256 values of a byte included"
  ],
  "leaves a run open behind its final boundary": [
    "I10: a checkpoint and a note leave the run open at their sequence, a final boundary closes it",
    "I10: after a final boundary its run is not open any more",
    "a runtime without open run and active inputs is not pending"
  ],
  "refuses a whole group for one member": [
    "I7: the exact retry of the last boundary is alreadyApplied and writes nothing, also of a closed run",
    "I7: the exact retry by a later owner is alreadyApplied",
    "I7: of two writers of one boundary at the same time one applies it",
    "I18: a number is used once: a second event of it is WriteFailed, and the first stays",
    "I2: a commit that cannot be written fails with WriteFailed, and nothing of it is stored",
    "I2: the change of an input that is not stored is WriteFailed, and nothing of its commit is stored",
    "I9: a stale one among commits made at the same time is refused alone",
    "I17: one that cannot be written among commits made at the same time fails alone, with WriteFailed",
    "I2: the deposits of a commit that cannot be written are not written, and those of its neighbours are",
    "I2, I7: the outbox of a boundary is deposited with it, and not again by its exact retry"
  ],
  "claims though decide refused": [
    "I10: a checkpoint and a note leave the run open at their sequence, a final boundary closes it",
    "I9: on the left of decide nothing is written, not even the claim, and the error comes unchanged"
  ],
  "recovers on what it read before the claim": [
    "I9: nothing that was read before the claim is used: a recovery sees every write of the former owner"
  ],
  "loads terminal inputs at recovery": [
    "recovery finds lifecycle, open run, session, the active heads in order of admission, and the last number"
  ],
  "updates a cell by a read and a write": [
    "updates of the login flows at the same time follow each other: none is lost",
    "updates of a cell at the same time follow each other: none is lost"
  ],
  "empties a cell before it asks what to write": [
    "I2: an update of the login flows that dies writes nothing, and the store goes on",
    "I2: an update of the login flows that interrupts itself writes nothing, and the store goes on",
    "I2: an update of the login flows that fails writes nothing, and its error comes unchanged",
    "I2: an update of the login flows whose caller is interrupted writes nothing, and the store goes on",
    "updates of the login flows at the same time follow each other: none is lost",
    "I2: an update of a cell that fails writes nothing, and its error comes unchanged",
    "updates of a cell at the same time follow each other: none is lost"
  ],
  "orders inputs by their ids": [
    "inputs are loaded in order of admission, whatever their ids and the order of their writes"
  ],
  "forgets the limit of a page": [
    "a page of inputs is what is behind its cursor, and not more than its limit",
    "a page has 100 inputs unless it says otherwise, from the start",
    "dead letters are the inputs whose attempts were used up, with their last failure",
    "a page of the transcript begins at start and is not longer than its limit",
    "a page of the transcript has 100 messages unless it says otherwise, from the start",
    "I11: a page pinned to a revision is read as of then, whatever was appended since",
    "I11: every message keeps the revision that ends with it",
    "I11: a page pinned to a revision is readable after a rewrite behind it, and a conflict after one in it",
    "a page of runtimes is what is behind its cursor, and not more than its limit",
    "pending runtimes are listed in order of their ids, in pages",
    "a page of deposits is what is behind its cursor, and not more than its limit",
    "a page of refused deposits is what is behind its cursor, and not more than its limit",
    "I14: due runtimes come earliest first, each once, with its earliest time",
    "I13: the dead letters of all runtimes are listed by runtime and admission, in pages"
  ],
  "lists the accepts of ended inputs twice": [
    "I2: a boundary writes session, receipt, result, inputs, notes, events and lifecycle together",
    "I18: an accept stays the same one event when its input ends",
    "I18: an accept stays the same one event while its input is staged, held and consumed by a run",
    "an input that ends at its admission has its accept in the log",
    "I18: a reader that follows the cursor gets every event once, while inputs come and end"
  ],
  "drops the accepts of active inputs": [
    "a page of events is what is behind its cursor, and not more than its limit, accepts included",
    "a page has 100 events unless it says otherwise, from the start",
    "I18: the accepts of active inputs are events in their places",
    "I18: an accept stays the same one event when its input ends",
    "I18: an accept stays the same one event while its input is staged, held and consumed by a run",
    "I18: a reader that follows the cursor gets every event once, while inputs come and end"
  ],
  "stamps the runtime's row alone": [
    "I12: loadStamp tells the commit that last wrote the witness's row",
    "I12: an absent witness has no stamp, nor has one whose commit was refused"
  ],
  "counts held inputs as ready": [
    "I14: pending runtimes: held inputs without a deadline wait for somebody",
    "I14: pending runtimes: inputs that ride along wait for others, whatever their times"
  ],
  "compares runtime ids without case": [
    "I17: runtime ids are compared as they are, and none of them is special",
    "runtimes are listed in order of their ids, with their states",
    "going through the pages names every runtime once, whatever their ids"
  ],
  "counts in 32 bits": [
    "I12: loadStamp tells the commit that last wrote the witness's row",
    "numbers and times of events up to the largest come back exactly"
  ],
  "takes no time for time 0": [
    "an input is found by its key, terminal or not",
    "I8: every phase, hold, outcome and awaited operation of a head comes back as it was written",
    "an input may be stored in any phase from the start",
    "one input's write leaves its neighbours as they are",
    "I5: an id or key in one runtime says nothing about another",
    "I17: runtime ids are compared as they are, and none of them is special",
    "I2: a boundary writes session, receipt, result, inputs, notes, events and lifecycle together",
    "recovery finds lifecycle, open run, session, the active heads in order of admission, and the last number",
    "I17: recovery reports a corrupt head and goes on with the others",
    "I16: recovery decodes no body",
    "the lifecycle row and the listed inputs are written together; inputs that are not listed stay",
    "I14: pending runtimes: of several the earliest counts",
    "I14: pending runtimes: a held input with a deadline is ready then",
    "I14: pending runtimes: held inputs without a deadline wait for somebody"
  ],
  "joins scope and key with a slash": [
    "NoteConflict names the note",
    "a note is named by scope and key as they are, and none of them is special",
    "I7: a note is written once, for ever: a second one of its scope and key is refused as NoteConflict"
  ],
  "ignores notes that are known": [
    "I2: NoteConflict when one of its notes is stored: nothing of the boundary is written, and no alongside is run",
    "NoteConflict names the note",
    "I7: a note is written once, for ever: a second one of its scope and key is refused as NoteConflict"
  ],
  "forgets what is waited for": [
    "I8: every phase, hold, outcome and awaited operation of a head comes back as it was written",
    "an input may be stored in any phase from the start",
    "recovery finds lifecycle, open run, session, the active heads in order of admission, and the last number"
  ],
  "answers a scope for a note of it": [
    "a note is found by its scope and key, alone, and nothing is found by others"
  ],
  "clears the transcript with the snapshot": [
    "a write of the session keeps the snapshot, replaces it or removes it, as it says",
    "clearSessionSnapshot removes the snapshot and leaves transcript, inputs, receipts and lifecycle",
    "clearSessionSnapshotIfCurrent removes exactly the expected bytes, and answers true"
  ],
  "keeps the last rewrite alone": [
    "the records of all rewrites are kept, oldest first"
  ],
  "asks no contributor whether it is staged": [
    "I2: ContributorNotStaged when a contributor is queued: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is not stored: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is terminal: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is staged under another run: nothing of the boundary is written, and no alongside is run",
    "I2: ContributorNotStaged when a contributor is another runtime's: nothing of the boundary is written, and no alongside is run",
    "of two refusals of a boundary the first is answered: the contributors come before the notes"
  ],
  "numbers boundaries by itself": [
    "I10: after a final boundary its run is not open any more",
    "I7: the exact retry of the last boundary is alreadyApplied and writes nothing, also of a closed run",
    "I7: the exact retry runs no alongside",
    "I7: other content at a stored sequence is ReceiptConflict, and the stored receipt stays",
    "I7: of two writers of one boundary at the same time one applies it",
    "I2: ReceiptConflict when another boundary has that place: nothing of the boundary is written, and no alongside is run",
    "I2: SequenceMismatch when it skips a place: nothing of the boundary is written, and no alongside is run",
    "of two refusals of a boundary the first is answered: the last sequence comes before the session key",
    "SequenceMismatch tells the last sequence",
    "I2, I7: the outbox of a boundary is deposited with it, and not again by its exact retry"
  ],
  "keeps the first failure of an input": [
    "I8: every phase, hold, outcome and awaited operation of a head comes back as it was written",
    "dead letters are the inputs whose attempts were used up, with their last failure"
  ],
  "keeps bodies in Latin-1": [
    "a stored prompt comes back with its whole header and content",
    "a stored peer message comes back with its whole header and content",
    "a stored peer request comes back with its whole header and content",
    "a stored peer response comes back with its whole header and content",
    "a stored flow step comes back with its whole header and content",
    "a stored external event comes back with its whole header and content",
    "a body of 1 MiB comes back whole"
  ],
  "writes deposits beside the commit": [
    "I2: the deposits of a commit that is refused are not written",
    "I2, I7: the outbox of a boundary is deposited with it, and not again by its exact retry",
    "I2: the outbox of a boundary whose alongside fails is not deposited"
  ],
  "forgets the deposits of commits": [
    "I2: a deposit is written with its commit",
    "I2: the deposits of a commit that cannot be written are not written, and those of its neighbours are",
    "I2, I7: the outbox of a boundary is deposited with it, and not again by its exact retry",
    "I2: the outbox of a boundary whose alongside fails is not deposited"
  ],
  "keeps one deposit of each call": [
    "the targets of deposits are compared as they are",
    "I6: deposits are numbered in the order in which they were made",
    "a page of deposits is what is behind its cursor, and not more than its limit",
    "I17: a deposit that cannot be read is RecordCorrupt, and its neighbours are read",
    "I15: a deposit that was admitted is gone, and one that was refused is kept with the failure",
    "a page of refused deposits is what is behind its cursor, and not more than its limit",
    "many deposits are written and settled together"
  ],
  "numbers deposits by their places": [
    "I15: a deposit that was admitted is gone, and one that was refused is kept with the failure",
    "a page of refused deposits is what is behind its cursor, and not more than its limit",
    "a refused deposit that is admitted after all is gone",
    "the number of a deposit is not used again, so who settles it twice meets no other"
  ],
  "removes what was refused": [
    "I15: a deposit that was admitted is gone, and one that was refused is kept with the failure",
    "a page of refused deposits is what is behind its cursor, and not more than its limit",
    "many deposits are written and settled together"
  ],
  "lists due runtimes by their ids": [
    "I14: due runtimes come earliest first, each once, with its earliest time",
    "I14: due is what gets ready behind after and not behind until",
    "I14: held inputs with a deadline get due; staged and ended ones do not"
  ],
  "takes what is ready at after for due": [
    "I14: due is what gets ready behind after and not behind until",
    "I2: a commit that fails moves no input in time",
    "I14: the next ready time is the earliest one behind a time, of whatever runtime"
  ],
  "lists dead letters by admission alone": [
    "I13: the dead letters of all runtimes are listed by runtime and admission, in pages"
  ]
}

/** Failed by none of the mistakes alone. */
const moreTogether: ReadonlyArray<string> = [
  "a rewrite to nothing empties the transcript, and it can be appended to again"
]

/** One mistake hides another. */
const lessTogether: ReadonlyArray<string> = [
  "a write of the session keeps the snapshot, replaces it or removes it, as it says",
  "clearSessionSnapshotIfCurrent removes exactly the expected bytes, and answers true",
  "an input that ends at its admission has its accept in the log",
  "a page of refused deposits is what is behind its cursor, and not more than its limit",
  "a refused deposit that is admitted after all is gone"
]

/** The cases never wait for anything; the test runner's own messages would wait for all of them. */
const breathe = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** The names of the cases that a store with these mistakes fails. */
const failedBy = (...chosen: ReadonlyArray<Mistake>) => {
  const layer = Layer.mergeAll(naive(...chosen), DigestNode.layer, IdGeneratorUuid.layer)
  return Effect.map(
    Effect.filter(
      cases,
      ({ run }) => Effect.map(Effect.exit(Effect.zipRight(breathe, Effect.provide(run, layer))), Exit.isFailure)
    ),
    (failed) => failed.map(({ name }) => name)
  )
}

const names = Object.keys(mistakes) as ReadonlyArray<Mistake>

describe("a store that", () => {
  for (const name of names) {
    it.effect(`${name} fails exactly the cases of the promises it breaks`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* failedBy(name), caught[name])
        assert.isNotEmpty(caught[name])
      }))
  }

  it.effect("makes all of these mistakes fails their cases", () =>
    Effect.gen(function*() {
      const expected = new Set([...names.flatMap((name) => caught[name]), ...moreTogether])
      for (const name of lessTogether) expected.delete(name)
      assert.deepStrictEqual((yield* failedBy(...names)).sort(), [...expected].sort())
    }))

  it.effect("makes none fails none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failedBy(), [])
    }))
})
