import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"

/** One call to the file system. `write`, `read`, `stat` and `sync` of an open file carry the path it was opened by. */
export interface Call {
  readonly method: string
  readonly path: string
}

/** A file system that asks `before` ahead of every call, which may record it, delay it or fail in its place. */
export const spyFileSystem = (
  fs: FileSystem.FileSystem,
  before: (call: Call) => Effect.Effect<void, PlatformError.PlatformError>
): FileSystem.FileSystem => {
  const spied = <Args extends ReadonlyArray<unknown>, A, R>(
    method: string,
    path: string,
    use: (...args: Args) => Effect.Effect<A, PlatformError.PlatformError, R>
  ) =>
  (...args: Args) => Effect.zipRight(before({ method, path }), use(...args))

  const spiedFile = (path: string, file: FileSystem.File): FileSystem.File => ({
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    fd: file.fd,
    stat: Effect.zipRight(before({ method: "file.stat", path }), file.stat),
    sync: Effect.zipRight(before({ method: "file.sync", path }), file.sync),
    seek: (...args) => file.seek(...args),
    truncate: (length) => spied("file.truncate", path, () => file.truncate(length))(),
    read: (buffer) => spied("file.read", path, () => file.read(buffer))(),
    readAlloc: (size) => spied("file.readAlloc", path, () => file.readAlloc(size))(),
    write: (buffer) => spied("file.write", path, () => file.write(buffer))(),
    writeAll: (buffer) => spied("file.writeAll", path, () => file.writeAll(buffer))()
  })

  return {
    ...fs,
    makeDirectory: (path, options) => spied("makeDirectory", path, fs.makeDirectory)(path, options),
    open: (path, options) => Effect.map(spied("open", path, fs.open)(path, options), (file) => spiedFile(path, file)),
    remove: (path, options) => spied("remove", path, fs.remove)(path, options),
    rename: (from, to) => spied("rename", to, fs.rename)(from, to),
    stat: (path) => spied("stat", path, fs.stat)(path),
    utimes: (path, accessed, modified) => spied("utimes", path, fs.utimes)(path, accessed, modified)
  }
}
