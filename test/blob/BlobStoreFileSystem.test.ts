import * as NodeContext from "@effect/platform-node/NodeContext"
import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as BlobStoreFileSystem from "../../src/layers/BlobStoreFileSystem.js"
import * as DigestNode from "../../src/layers/DigestNode.js"
import * as BlobStore from "../../src/services/BlobStore.js"
import { blobBytesMax, cases, Tamper, tamperCases } from "../../src/testing/BlobStoreConformance.js"
import { type Call, spyFileSystem } from "./spyFileSystem.js"

const platform = Layer.merge(NodeContext.layer, DigestNode.layer)

const bytes = Uint8Array.of(1, 2, 3)
const name = "32796c37f86a9dfbd9f0d659c446f17c43a2b13caa71ad8accb6b28c966ffc6b"
const id = `sha256:${name}`

/** A store in a directory of its own, and the means to look behind it. */
const setup = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const parent = yield* fs.makeTempDirectoryScoped({ prefix: "burrow-blobs-" })
  const directory = path.join(parent, "blobs")
  const locate = (blobId: string) => path.join(directory, blobId.slice(7, 9), blobId.slice(7))
  const openOn = (fileSystem: FileSystem.FileSystem) =>
    Effect.provideService(
      BlobStoreFileSystem.make({ directory, blobBytesMax }),
      FileSystem.FileSystem,
      fileSystem
    )
  const put = (blobs: BlobStore.BlobStore["Type"]) => blobs.put(bytes, "text/plain")
  const blobs = yield* openOn(fs)
  return {
    fs,
    path,
    parent,
    directory,
    file: locate(id),
    shard: path.join(directory, "32"),
    locate,
    openOn,
    put,
    blobs
  }
})

const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.either(effect), Either.match({ onLeft: (error) => error._tag, onRight: () => "success" }))

const temporaries = (fs: FileSystem.FileSystem, directory: string) =>
  Effect.map(fs.readDirectory(directory, { recursive: true }), (names) => names.filter((each) => each.endsWith(".tmp")))

describe("BlobStoreFileSystem, the contract", () => {
  const tamperable = Layer.unwrapScoped(Effect.map(setup, ({ blobs, fs, locate, path }) =>
    Layer.merge(
      Layer.succeed(BlobStore.BlobStore, blobs),
      Layer.succeed(Tamper, {
        read: (blobId) => fs.readFile(locate(blobId)),
        overwrite: (blobId, record) =>
          Effect.zipRight(
            fs.makeDirectory(path.dirname(locate(blobId)), { recursive: true }),
            fs.writeFile(locate(blobId), record)
          )
      })
    ))).pipe(Layer.provide(platform))

  for (const { name, run } of [...cases, ...tamperCases]) {
    it.effect(name, () => Effect.provide(run, tamperable))
  }
})

describe("BlobStoreFileSystem, durability", () => {
  const recorded = Effect.gen(function*() {
    const context = yield* setup
    const calls: Array<Call> = []
    const spy = spyFileSystem(context.fs, (call) => Effect.sync(() => calls.push(call)))
    const blobs = yield* context.openOn(spy)
    /** The calls of an effect that change or sync something, paths relative to the store. */
    const writesOf = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.gen(function*() {
        calls.length = 0
        yield* effect
        return calls
          .filter(({ method }) => !["open", "stat", "file.stat", "file.read"].includes(method))
          .map(({ method, path }) =>
            `${method} ${context.path.relative(context.directory, path).replace(/[0-9a-f-]{36}\.tmp/, "<uuid>.tmp")}`
          )
      })
    return { ...context, blobs, calls, spy, writesOf }
  })

  it.scoped("put syncs the file before it gets its name, and every directory entry after", () =>
    Effect.gen(function*() {
      const { blobs, put, writesOf } = yield* recorded
      assert.deepStrictEqual(yield* writesOf(put(blobs)), [
        "makeDirectory 32",
        `file.writeAll 32/.${name}.<uuid>.tmp`,
        `utimes 32/.${name}.<uuid>.tmp`,
        `file.sync 32/.${name}.<uuid>.tmp`,
        `rename 32/${name}`,
        "file.sync 32",
        "file.sync "
      ])
    }).pipe(Effect.provide(platform)))

  it.scoped("put of a blob that is there syncs file and directories again", () =>
    Effect.gen(function*() {
      const { blobs, put, writesOf } = yield* recorded
      yield* put(blobs)
      assert.deepStrictEqual(yield* writesOf(put(blobs)), [
        `utimes 32/${name}`,
        `file.sync 32/${name}`,
        "file.sync 32",
        "file.sync "
      ])
    }).pipe(Effect.provide(platform)))

  it.scoped("delete syncs the directory, also if the file is gone already", () =>
    Effect.gen(function*() {
      const { blobs, put, writesOf } = yield* recorded
      yield* put(blobs)
      const expected = [`remove 32/${name}`, "file.sync 32"]
      assert.deepStrictEqual(yield* writesOf(blobs.delete(id)), expected)
      assert.deepStrictEqual(yield* writesOf(blobs.delete(id)), expected)
    }).pipe(Effect.provide(platform)))

  it.scoped("opening makes missing directories one by one and syncs each into its parent", () =>
    Effect.gen(function*() {
      const { directory, path, spy, writesOf } = yield* recorded
      const open = BlobStoreFileSystem.make({ directory: path.join(directory, "a", "b") }).pipe(
        Effect.provideService(FileSystem.FileSystem, spy)
      )
      assert.deepStrictEqual(
        yield* writesOf(open.pipe(Effect.provide(platform))),
        [
          "makeDirectory a/b",
          "makeDirectory a",
          "file.sync ",
          "makeDirectory a/b",
          "file.sync a",
          "file.sync a/b"
        ]
      )
      assert.deepStrictEqual(
        yield* writesOf(open.pipe(Effect.provide(platform))),
        ["makeDirectory a/b", "file.sync a", "file.sync a/b"]
      )
    }).pipe(Effect.provide(platform)))

  it.scoped("a blob is found by another store in the same directory", () =>
    Effect.gen(function*() {
      const { blobs, fs, openOn, put } = yield* setup
      yield* put(blobs)
      const other = yield* openOn(fs)
      assert.isTrue(other.persistent)
      assert.deepStrictEqual(yield* other.get(id), { mediaType: "text/plain", bytes })
    }).pipe(Effect.provide(platform)))

  it.scoped("several stores in one directory can put the same content at the same time", () =>
    Effect.gen(function*() {
      const { blobs, directory, fs, openOn, put } = yield* setup
      const stores = yield* Effect.replicateEffect(openOn(fs), 8)
      yield* Effect.forEach([...stores, ...stores], put, { concurrency: "unbounded" })
      assert.deepStrictEqual((yield* blobs.get(id)).bytes, bytes)
      assert.deepStrictEqual(yield* temporaries(fs, directory), [])
    }).pipe(Effect.provide(platform)))

  it.scoped("the modification time is the time of the last put", () =>
    Effect.gen(function*() {
      const { blobs, file, fs, put } = yield* setup
      const modified = Effect.map(fs.stat(file), ({ mtime }) => Option.map(mtime, (time) => time.getTime()))
      yield* TestClock.setTime(1_700_000_000_000)
      yield* put(blobs)
      assert.deepStrictEqual(yield* modified, Option.some(1_700_000_000_000))
      yield* TestClock.adjust("1 hour")
      yield* blobs.get(id)
      assert.deepStrictEqual(yield* modified, Option.some(1_700_000_000_000))
      yield* put(blobs)
      assert.deepStrictEqual(yield* modified, Option.some(1_700_003_600_000))
    }).pipe(Effect.provide(platform)))
})

describe("BlobStoreFileSystem, failures", () => {
  /** Runs an operation again and again, the n-th file system call of the n-th run failing, until none is left. */
  const withEachCallFailing = <E extends { readonly _tag: string }>(
    prepare: (context: Effect.Effect.Success<typeof setup>) => Effect.Effect<unknown, unknown>,
    operation: (blobs: BlobStore.BlobStore["Type"]) => Effect.Effect<unknown, E>,
    verify: (context: Effect.Effect.Success<typeof setup>) => Effect.Effect<unknown, unknown>
  ) =>
    Effect.gen(function*() {
      const outcomes: Array<string> = []
      for (let failing = 0;; failing++) {
        const context = yield* setup
        yield* prepare(context)
        let call = Number.NEGATIVE_INFINITY
        let failed: string | undefined
        const blobs = yield* context.openOn(spyFileSystem(context.fs, ({ method, path }) =>
          Effect.suspend(() => {
            if (call++ !== failing) return Effect.void
            failed = method
            return Effect.fail(
              new PlatformError.SystemError({
                reason: "Unknown",
                module: "FileSystem",
                method,
                pathOrDescriptor: path,
                description: "EIO"
              })
            )
          })))
        call = 0
        const outcome = yield* tagOf(operation(blobs))
        if (failed === undefined) return outcomes
        outcomes.push(`${failed}: ${outcome}`)
        assert.deepStrictEqual(yield* temporaries(context.fs, context.directory), [])
        yield* verify(context)
      }
    })

  /** Whole or not there, and a second put mends everything. */
  const wholeOrAbsent = ({ blobs, put }: Effect.Effect.Success<typeof setup>) =>
    Effect.gen(function*() {
      if (yield* blobs.exists(id)) assert.deepStrictEqual((yield* blobs.get(id)).bytes, bytes)
      yield* put(blobs)
      assert.deepStrictEqual((yield* blobs.get(id)).bytes, bytes)
    })

  const put = (blobs: BlobStore.BlobStore["Type"]) => blobs.put(bytes, "text/plain")

  it.scoped("put of a new blob: each failing call fails it or is made up for, and leaves no half file", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* withEachCallFailing(() => Effect.void, put, wholeOrAbsent), [
        "open: success",
        "stat: success",
        "stat: BlobWriteFailed",
        "makeDirectory: BlobWriteFailed",
        "open: BlobWriteFailed",
        "file.writeAll: BlobWriteFailed",
        "utimes: BlobWriteFailed",
        "file.sync: BlobWriteFailed",
        "rename: BlobWriteFailed",
        "open: BlobWriteFailed",
        "file.sync: BlobWriteFailed",
        "open: BlobWriteFailed",
        "file.sync: BlobWriteFailed"
      ])
    }).pipe(Effect.provide(platform)))

  it.scoped("put of a blob that is there: a failing read is made up for by writing, a failing renewal fails it", () =>
    Effect.gen(function*() {
      const prepare = ({ blobs }: { readonly blobs: BlobStore.BlobStore["Type"] }) => put(blobs)
      assert.deepStrictEqual(yield* withEachCallFailing(prepare, put, wholeOrAbsent), [
        "open: success",
        "file.stat: success",
        "file.read: success",
        "open: BlobWriteFailed",
        "utimes: BlobWriteFailed",
        "file.sync: BlobWriteFailed",
        "open: BlobWriteFailed",
        "file.sync: BlobWriteFailed",
        "open: BlobWriteFailed",
        "file.sync: BlobWriteFailed"
      ])
    }).pipe(Effect.provide(platform)))

  it.scoped("get and delete: each failing call fails them", () =>
    Effect.gen(function*() {
      const prepare = ({ blobs }: { readonly blobs: BlobStore.BlobStore["Type"] }) => put(blobs)
      assert.deepStrictEqual(yield* withEachCallFailing(prepare, (blobs) => blobs.get(id), wholeOrAbsent), [
        "open: BlobReadFailed",
        "file.stat: BlobReadFailed",
        "file.read: BlobReadFailed"
      ])
      assert.deepStrictEqual(yield* withEachCallFailing(prepare, (blobs) => blobs.delete(id), wholeOrAbsent), [
        "remove: BlobWriteFailed",
        "open: BlobWriteFailed",
        "file.sync: BlobWriteFailed"
      ])
    }).pipe(Effect.provide(platform)))

  it.scoped("an interrupted put ends what it began: the blob is whole and no temporary file is left", () =>
    Effect.gen(function*() {
      const { blobs, directory, fs, openOn, put } = yield* setup
      for (const at of ["file.writeAll", "utimes", "file.sync", "rename"]) {
        const reached = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        const opened = yield* Deferred.make<void>()
        const slow = yield* openOn(
          spyFileSystem(fs, ({ method }) =>
            Effect.flatMap(Deferred.isDone(opened), (isOpen) =>
              isOpen && method === at
                ? Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate))
                : Effect.void))
        )
        yield* blobs.delete(id)
        yield* Deferred.succeed(opened, undefined)
        const fiber = yield* Effect.fork(put(slow))
        yield* Deferred.await(reached)
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.repeatN(Effect.yieldNow(), 10)
        assert.deepStrictEqual((yield* temporaries(fs, directory)).length, 1)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(interruption)
        assert.deepStrictEqual((yield* blobs.get(id)).bytes, bytes)
        assert.deepStrictEqual(yield* temporaries(fs, directory), [])
      }
    }).pipe(Effect.provide(platform)))

  it.scoped("what a crash left of a put disturbs nobody", () =>
    Effect.gen(function*() {
      const { blobs, fs, path, put, shard } = yield* setup
      const leftover = path.join(shard, `.${name}.01890000-0000-7000-8000-000000000000.tmp`)
      yield* fs.makeDirectory(shard)
      yield* fs.writeFile(leftover, Uint8Array.of(116))
      assert.isFalse(yield* blobs.exists(id))
      yield* put(blobs)
      assert.deepStrictEqual((yield* blobs.get(id)).bytes, bytes)
      yield* blobs.delete(id)
      assert.isFalse(yield* blobs.exists(id))
    }).pipe(Effect.provide(platform)))

  it.scoped("a directory in the place of a blob's file fails typed", () =>
    Effect.gen(function*() {
      const { blobs, directory, file, fs, put } = yield* setup
      yield* fs.makeDirectory(file, { recursive: true })
      assert.strictEqual(yield* tagOf(blobs.get(id)), "BlobReadFailed")
      assert.strictEqual(yield* tagOf(blobs.exists(id)), "BlobReadFailed")
      assert.strictEqual(yield* tagOf(put(blobs)), "BlobWriteFailed")
      assert.strictEqual(yield* tagOf(blobs.delete(id)), "BlobWriteFailed")
      assert.deepStrictEqual(yield* temporaries(fs, directory), [])
    }).pipe(Effect.provide(platform)))

  it.scoped("a file in the place of a directory of blobs fails typed", () =>
    Effect.gen(function*() {
      const { blobs, fs, put, shard } = yield* setup
      yield* fs.writeFile(shard, bytes)
      assert.strictEqual(yield* tagOf(blobs.get(id)), "BlobReadFailed")
      assert.strictEqual(yield* tagOf(put(blobs)), "BlobWriteFailed")
      assert.strictEqual(yield* tagOf(blobs.delete(id)), "BlobWriteFailed")
    }).pipe(Effect.provide(platform)))

  it.scoped("a store that lost its directory fails typed and does not make it again", () =>
    Effect.gen(function*() {
      const { blobs, directory, fs, put } = yield* setup
      yield* put(blobs)
      yield* fs.remove(directory, { recursive: true })
      assert.strictEqual(yield* tagOf(blobs.get(id)), "BlobReadFailed")
      assert.strictEqual(yield* tagOf(blobs.exists(id)), "BlobReadFailed")
      assert.strictEqual(yield* tagOf(put(blobs)), "BlobWriteFailed")
      assert.strictEqual(yield* tagOf(blobs.delete(id)), "BlobWriteFailed")
      assert.isFalse(yield* fs.exists(directory))
    }).pipe(Effect.provide(platform)))

  it.scoped("a store whose directory is on another device than before, as after an unmount, fails typed", () =>
    Effect.gen(function*() {
      const { fs, openOn, put } = yield* setup
      let device = 1
      const mounted = yield* openOn({
        ...fs,
        stat: (path) => Effect.map(fs.stat(path), (info) => ({ ...info, dev: device }))
      })
      device = 2
      assert.strictEqual(yield* tagOf(mounted.get(id)), "BlobReadFailed")
      assert.strictEqual(yield* tagOf(put(mounted)), "BlobWriteFailed")
      assert.strictEqual(yield* tagOf(mounted.delete(id)), "BlobWriteFailed")
    }).pipe(Effect.provide(platform)))

  it.scoped("a directory that cannot be made or used is the typed error of the layer", () =>
    Effect.gen(function*() {
      const { fs, path, parent } = yield* setup
      const inTheWay = path.join(parent, "file")
      yield* fs.writeFile(inTheWay, bytes)
      const open = (directory: string) =>
        Effect.flip(Layer.build(BlobStoreFileSystem.layer({ directory }).pipe(Layer.provide(platform))))
      for (const directory of [inTheWay, path.join(inTheWay, "below"), path.join(inTheWay, "far", "below")]) {
        const error = yield* open(directory)
        assert.deepInclude(error, { _tag: "BlobStoreOpenFailed", directory, reason: "NotADirectory" })
      }
      assert.deepInclude(yield* open("/proc/burrow"), { _tag: "BlobStoreOpenFailed", reason: "Unavailable" })
    }).pipe(Effect.provide(platform)))

  it.scoped("a directory that this process may not touch is the typed error of the layer", () =>
    Effect.gen(function*() {
      const { directory, fs, openOn } = yield* setup
      const denied = openOn({
        ...fs,
        makeDirectory: (path) =>
          Effect.fail(
            new PlatformError.SystemError({
              reason: "PermissionDenied",
              module: "FileSystem",
              method: "makeDirectory",
              pathOrDescriptor: path
            })
          )
      })
      assert.deepInclude(yield* Effect.flip(denied), {
        _tag: "BlobStoreOpenFailed",
        directory,
        reason: "PermissionDenied"
      })
    }).pipe(Effect.provide(platform)))

  it.scoped("a parent that this process may not open stops only an opening that makes a directory in it", () =>
    Effect.gen(function*() {
      const { directory, fs, openOn, parent } = yield* setup
      const guarded = openOn({
        ...fs,
        open: (path, options) =>
          path === parent
            ? Effect.fail(
              new PlatformError.SystemError({
                reason: "PermissionDenied",
                module: "FileSystem",
                method: "open",
                pathOrDescriptor: path
              })
            )
            : fs.open(path, options)
      })
      assert.strictEqual(yield* tagOf(guarded), "success")
      yield* fs.remove(directory, { recursive: true })
      assert.strictEqual(yield* tagOf(guarded), "BlobStoreOpenFailed")
    }).pipe(Effect.provide(platform)))
})
