/**
 * What happens to an input in its caller's fiber, before the driver decides: completed, checked, its bytes made
 * durable, digested and encoded.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { AcceptCommand } from "../../core/Accept.js"
import { validate } from "../../core/Admission.js"
import { blobId, payloadDigest } from "../../core/Digests.js"
import type { BlobError } from "../../schema/BlobError.js"
import { InputTooLarge, InvalidInput } from "../../schema/DriverError.js"
import type { Malformed } from "../../schema/Envelope.js"
import type { InputId, RuntimeId } from "../../schema/Ids.js"
import { contentOf, type Draft, type Header, type Input, type TraceContext, withContent } from "../../schema/Input.js"
import { canonical, type NotCanonical } from "../../schema/Json.js"
import type { RecordCorrupt, SchemaFromTheFuture } from "../../schema/StoreError.js"
import { BlobStore } from "../../services/BlobStore.js"
import * as codecs from "../../services/codecs.js"
import * as InputBlobs from "../../services/InputBlobs.js"
import type { StoredInput } from "../../services/RuntimeStore.js"
import type { Env } from "./Env.js"

const PAYLOAD_MEDIA_TYPE = "application/vnd.effect-burrow.input+json"

/** What it takes to check an input and to make its bytes durable. */
export type Needs = Pick<Env, "blobs" | "sha256" | "ids" | "limits">

export interface Taken extends AcceptCommand {
  /** The caller chose the id, so it may be known already. */
  readonly idGiven: boolean
}

export const take = (
  env: Needs,
  runtimeId: RuntimeId,
  draft: Draft
): Effect.Effect<Taken, InvalidInput | InputTooLarge | BlobError> =>
  Effect.gen(function*() {
    const invalid = (field: string, problem: string) => new InvalidInput({ runtimeId, field, problem })
    const input = yield* complete(env, draft)
    yield* checkKeys(env, input.header, invalid)
    yield* Either.mapLeft(jsonParts(input), noJson(invalid))
    const encoded = yield* Either.mapLeft(codecs.payload.encode({ _tag: "inline", input }), describe(invalid))
    const digest = yield* Either.mapLeft(payloadDigest(env.sha256, input), noJson(invalid))
    // Media do not count: they have a limit and a place of their own.
    const light = refer(env, input)
    const payload = light === input
      ? encoded
      : yield* Either.mapLeft(codecs.payload.encode({ _tag: "inline", input: light }), describe(invalid))
    const size = byteLength(payload)
    if (size > env.limits.inputBytesMax) {
      return yield* new InputTooLarge({ runtimeId, bytes: size, inputBytesMax: env.limits.inputBytesMax })
    }
    // Nothing is kept for an input that will be rejected as it is.
    if (light !== input && validate(input) === undefined) {
      yield* InputBlobs.externalize(input, env.limits).pipe(Effect.provideService(BlobStore, env.blobs))
    }
    return {
      input,
      payloadDigest: digest,
      payload: size > env.limits.inlineBytesMax ? yield* asBlob(env, payload) : payload,
      idGiven: draft.header?.id !== undefined
    }
  })

/** What the input will be in its row: large blocks by the names that the blob store will give them. */
const refer = (env: Needs, input: Input): Input => {
  const content = contentOf(input)
  const large = InputBlobs.isLarge(env.limits.blockInlineBytesMax)
  if (!content.some(large)) return input
  return withContent(
    input,
    content.map((block) =>
      large(block)
        ? { ...block, source: { _tag: "blob", blobId: blobId(env.sha256, block.source.data, block.mediaType) } }
        : block
    )
  )
}

/** The schemas take any value where JSON is meant; what is none is found before it is encoded. */
const jsonParts = (input: Input): Either.Either<unknown, NotCanonical> => {
  switch (input._tag) {
    case "external_event":
      return canonical({ payload: input.payload })
    case "operation":
      return canonical({ event: input.event })
    case "prompt":
    case "flow_step":
      return canonical({ turn: input.turn })
    default:
      return Either.void
  }
}

const noJson =
  (invalid: (field: string, problem: string) => InvalidInput) => ({ kind, path }: NotCanonical): InvalidInput =>
    invalid(path, `is ${kind}, which has no JSON form`)

/** The whole body as a blob; the row keeps its name. */
const asBlob = (env: Needs, payload: string): Effect.Effect<string, BlobError | InvalidInput> =>
  Effect.flatMap(
    env.blobs.put(new TextEncoder().encode(payload), PAYLOAD_MEDIA_TYPE),
    (blobId) =>
      // A blob's reference has nothing in it that could fail to encode.
      Either.match(codecs.payload.encode({ _tag: "blob", blobId }), { onLeft: Effect.die, onRight: Effect.succeed })
  )

/** A body out of its row or its blob, with the bytes of its blocks inline. */
export const open = (
  env: Env,
  runtimeId: RuntimeId,
  inputId: InputId,
  body: StoredInput["body"]
): Effect.Effect<Input, BlobError | RecordCorrupt | SchemaFromTheFuture> => {
  if (body._tag === "inline") return Effect.succeed(body.input)
  return Effect.flatMap(
    env.blobs.get(body.blobId),
    ({ bytes }) =>
      Effect.flatMap(
        codecs.body(runtimeId, inputId, new TextDecoder().decode(bytes)),
        (inner) => open(env, runtimeId, inputId, inner)
      )
  )
}

export const hydrate = (
  env: Env,
  input: Input,
  missing: "fail" | "placeholder"
): Effect.Effect<Input, BlobError> =>
  InputBlobs.hydrate(input, { missing }).pipe(Effect.provideService(BlobStore, env.blobs))

/** Continuations are the runtime talking to itself; everything else is meant to be seen. */
const complete = (env: Needs, draft: Draft): Effect.Effect<Input> =>
  Effect.gen(function*() {
    const given = draft.header ?? {}
    const inward = draft._tag === "continuation"
    const trace = given.trace ?? (yield* currentTrace)
    const header: Header = {
      ...(trace && { trace }),
      origin: inward ? { _tag: "system" } : { _tag: "operator" },
      durability: "durable",
      visibility: { transcript: !inward, operator: !inward },
      // Not yet what its type says: encoding checks every field of it.
      ...given as Partial<Header>,
      id: (given.id ?? (yield* env.ids.next)) as InputId,
      at: given.at ?? (yield* Clock.currentTimeMillis)
    }
    return { ...draft, header } as Input
  })

const currentTrace: Effect.Effect<TraceContext | undefined> = Effect.map(
  Effect.option(Effect.currentPropagatedSpan),
  Option.match({
    onNone: () => undefined,
    onSome: ({ sampled, spanId, traceId }) => ({ traceId, spanId, sampled })
  })
)

const checkKeys = (
  env: Needs,
  header: Header,
  invalid: (field: string, problem: string) => InvalidInput
): Effect.Effect<void, InvalidInput> => {
  const { keyLengthMax } = env.limits
  for (const field of ["idempotencyKey", "supersessionKey", "correlationId"] as const) {
    const key = header[field]
    if (typeof key === "string" && key.length > keyLengthMax) {
      return Effect.fail(
        invalid(`header.${field}`, `is ${key.length} characters long; at most ${keyLengthMax} are taken`)
      )
    }
  }
  return Effect.void
}

const describe = (invalid: (field: string, problem: string) => InvalidInput) => ({ field, problem }: Malformed) =>
  invalid(field.replace(/^input\./, ""), problem)

const byteLength = (text: string): number => new TextEncoder().encode(text).byteLength
