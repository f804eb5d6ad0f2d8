/**
 * Blobs as files, for platforms whose directories can be synced (Linux, macOS; not Windows).
 *
 * ```text
 * <directory>/<first 2 hex digits>/<64 hex digits>                a record: media type, zero byte, bytes
 * <directory>/<first 2 hex digits>/.<64 hex digits>.<uuid>.tmp    left by a process that died while writing; harmless
 * ```
 *
 * The modification time of a file is the time of its last put, by `Clock`.
 *
 * @since 0.1.0
 */
import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { BlobId } from "../schema/Blob.js"
import { BlobReadFailed, BlobStoreOpenFailed, BlobTooLarge, BlobWriteFailed } from "../schema/BlobError.js"
import * as BlobStore from "../services/BlobStore.js"
import * as Digest from "../services/Digest.js"
import type * as IdGenerator from "../services/IdGenerator.js"
import * as IdGeneratorUuid from "./IdGeneratorUuid.js"

interface Place {
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  readonly directory: string
}

const isReason = (reason: PlatformError.SystemErrorReason) => (error: PlatformError.PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === reason
const isNotFound = isReason("NotFound")
const isAlreadyExists = isReason("AlreadyExists")
const isPermissionDenied = isReason("PermissionDenied")

const unusable = (directory: string, description: string): PlatformError.SystemError =>
  new PlatformError.SystemError({
    reason: "BadResource",
    module: "FileSystem",
    method: "stat",
    pathOrDescriptor: directory,
    description
  })

const statDirectory = ({ directory, fs }: Place): Effect.Effect<FileSystem.File.Info, PlatformError.PlatformError> =>
  Effect.filterOrFail(
    fs.stat(directory),
    (info) => info.type === "Directory",
    () => unusable(directory, "it is not a directory")
  )

const syncDirectory = (
  fs: FileSystem.FileSystem,
  directory: string
): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (handle) => handle.sync))

/** Makes the directory and the missing ones above it, each synced into its parent before the next is made. */
const makeDirectories = (
  { directory, fs, path }: Place
): Effect.Effect<void, PlatformError.PlatformError> => {
  const parent = path.dirname(directory)
  const syncParent = syncDirectory(fs, parent)
  const one = fs.makeDirectory(directory).pipe(
    Effect.zipRight(syncParent),
    // One that is there may have been made by a process that died before it synced the parent. A parent that we may not
    // open was not made by us.
    Effect.catchIf(isAlreadyExists, () => Effect.catchIf(syncParent, isPermissionDenied, () => Effect.void))
  )
  return Effect.catchIf(
    one,
    (error) => isNotFound(error) && parent !== directory,
    () => Effect.zipRight(makeDirectories({ fs, path, directory: parent }), one)
  )
}

const open = (place: Place): Effect.Effect<FileSystem.File.Info, BlobStoreOpenFailed> =>
  makeDirectories(place).pipe(
    Effect.zipRight(statDirectory(place)),
    Effect.zipLeft(syncDirectory(place.fs, place.directory)),
    Effect.mapError((cause) =>
      new BlobStoreOpenFailed({
        directory: place.directory,
        reason: isReason("BadResource")(cause)
          ? "NotADirectory"
          : isPermissionDenied(cause)
          ? "PermissionDenied"
          : "Unavailable",
        cause
      })
    )
  )

const readAll = Effect.fnUntraced(function*(handle: FileSystem.File, size: number) {
  const buffer = new Uint8Array(size)
  let length = 0
  while (length < size) {
    const read = Number(yield* handle.read(buffer.subarray(length)))
    if (read === 0) break
    length += read
  }
  return buffer.subarray(0, length)
})

const makeEncoded = (
  place: Place,
  opened: FileSystem.File.Info,
  temporaryNames: IdGenerator.IdGenerator["Type"]
): BlobStore.BlobStoreEncoded => {
  const { directory, fs, path } = place

  const locate = (id: BlobId) => {
    const name = id.slice("sha256:".length)
    const shard = path.join(directory, name.slice(0, 2))
    return { name, shard, file: path.join(shard, name) }
  }

  // Without it a lost directory would read as "no blob was ever put", and after an unmount the blobs would go to the
  // disk below. The inode is not compared: overlay file systems may change it under an open directory.
  const checkDirectory = Effect.filterOrFail(
    statDirectory(place),
    (info) => info.dev === opened.dev,
    () => unusable(directory, "it is on another device than when it was opened")
  )

  const renewTime = (file: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (millis) => fs.utimes(file, new Date(millis), new Date(millis)))

  const writeWhole = (temporary: string, file: string, record: Uint8Array) =>
    fs.open(temporary, { flag: "wx" }).pipe(
      Effect.flatMap((handle) =>
        handle.writeAll(record).pipe(
          Effect.zipRight(renewTime(temporary)),
          Effect.zipRight(handle.sync),
          Effect.zipRight(fs.rename(temporary, file)),
          // One that cannot be removed either is what a crash would leave, and the first failure is the news.
          Effect.onError(() => Effect.ignore(fs.remove(temporary)))
        )
      ),
      Effect.scoped
    )

  // Both every time, also if the shard was there: who made it may have died before it was synced.
  const syncShard = (shard: string) => Effect.zipRight(syncDirectory(fs, shard), syncDirectory(fs, directory))

  const write = Effect.fnUntraced(function*(id: BlobId, record: Uint8Array) {
    const { file, name, shard } = locate(id)
    yield* checkDirectory
    yield* Effect.catchIf(fs.makeDirectory(shard), isAlreadyExists, () => Effect.void)
    yield* writeWhole(path.join(shard, `.${name}.${yield* temporaryNames.next}.tmp`), file, record)
    yield* syncShard(shard)
  })

  const read = Effect.fnUntraced(function*(id: BlobId, recordBytesMax: number) {
    const { file } = locate(id)
    const handle = yield* fs.open(file, { flag: "r" })
    const info = yield* handle.stat
    if (info.type !== "File") return yield* unusable(file, "it is not a file")
    const size = Number(info.size)
    if (size > recordBytesMax) {
      return yield* new BlobTooLarge({ blobId: id, bytes: size, blobBytesMax: recordBytesMax })
    }
    return yield* readAll(handle, size)
  }, Effect.scoped)

  const renew = (id: BlobId) => {
    const { file, shard } = locate(id)
    return fs.open(file, { flag: "r" }).pipe(
      Effect.flatMap((handle) => Effect.zipRight(renewTime(file), handle.sync)),
      Effect.scoped,
      Effect.zipRight(syncShard(shard)),
      Effect.as(true),
      Effect.catchIf(isNotFound, () => Effect.succeed(false))
    )
  }

  const remove = (id: BlobId) => {
    const { file, shard } = locate(id)
    return Effect.catchIf(fs.remove(file), isNotFound, () => Effect.void).pipe(
      // Also if there was no file: who removed it may have died before that was synced.
      Effect.zipRight(syncDirectory(fs, shard)),
      Effect.catchIf(isNotFound, () => checkDirectory)
    )
  }

  // Nothing is interrupted half-way: a call to the operating system goes on without its fiber, and would then write to
  // a descriptor that was closed and given to another file. What waits is bounded by the size of a blob.
  const asWrite = (id: BlobId) => <A>(effect: Effect.Effect<A, PlatformError.PlatformError>) =>
    Effect.uninterruptible(Effect.mapError(effect, (cause) => new BlobWriteFailed({ blobId: id, cause })))

  return {
    persistent: true,
    read: (id, recordBytesMax) =>
      read(id, recordBytesMax).pipe(
        Effect.asSome,
        Effect.catchTag(
          "SystemError",
          (error) => isNotFound(error) ? Effect.as(checkDirectory, Option.none()) : Effect.fail(error)
        ),
        Effect.mapError((cause) => cause._tag === "BlobTooLarge" ? cause : new BlobReadFailed({ blobId: id, cause })),
        Effect.uninterruptible
      ),
    write: (id, record) => asWrite(id)(write(id, record)),
    renew: (id) => asWrite(id)(renew(id)),
    remove: (id) => asWrite(id)(remove(id))
  }
}

/**
 * A store in `directory`, which is made if it is missing. A relative path counts from the working directory at the time
 * of opening. Several stores and processes may share a directory. `layer` says what it promises and fails with.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { BlobStoreFileSystem } from "effect-burrow"
 * import { DigestNode } from "effect-burrow/sqlite"
 * import * as Effect from "effect/Effect"
 *
 * const store = BlobStoreFileSystem.make({ directory: "data/blobs" }).pipe(
 *   Effect.provide([DigestNode.layer, NodeContext.layer])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly directory: string
  readonly blobBytesMax?: number | undefined
}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const digest = yield* Digest.Digest
  const place: Place = { fs, path, directory: path.resolve(options.directory) }
  const opened = yield* Effect.uninterruptible(open(place))
  // A generator of our own: names must differ from those of other processes also where a test makes ids count.
  const temporaryNames = yield* IdGeneratorUuid.make
  return BlobStore.make(makeEncoded(place, opened, temporaryNames), { digest, blobBytesMax: options.blobBytesMax })
})

/**
 * Blobs as files in `directory`, of up to `blobBytesMax` bytes each (64 MiB if not given). What `put` answered is synced
 * to disk, the file and all directories above it that were made for it.
 *
 * Fails with `BlobStoreOpenFailed` if the directory can neither be made nor used. A directory that is lost later fails
 * each operation with `BlobReadFailed` or `BlobWriteFailed`; it is not made again, since it may be on a disk that comes
 * back.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { BlobStoreFileSystem } from "effect-burrow"
 * import { DigestNode } from "effect-burrow/sqlite"
 * import * as Layer from "effect/Layer"
 *
 * const blobs = BlobStoreFileSystem.layer({ directory: "data/blobs", blobBytesMax: 16_000_000 }).pipe(
 *   Layer.provide([DigestNode.layer, NodeContext.layer])
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly directory: string
  readonly blobBytesMax?: number
}): Layer.Layer<BlobStore.BlobStore, BlobStoreOpenFailed, Digest.Digest | FileSystem.FileSystem | Path.Path> =>
  Layer.effect(BlobStore.BlobStore, make(options))
