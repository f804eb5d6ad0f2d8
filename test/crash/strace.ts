/** Reads what `strace -f -y` wrote down: was each acknowledgement on the disk before it was printed? */

export const traced = [
  "write",
  "writev",
  "pwrite64",
  "pwritev",
  "pwritev2",
  "sendmsg",
  "ftruncate",
  "fsync",
  "fdatasync",
  "sync_file_range",
  "io_uring_enter"
]

export const straceOf = (log: string): ReadonlyArray<string> => [
  "strace",
  "-f",
  "-qq",
  "-y",
  "-s",
  "256",
  "-e",
  `trace=${traced.map((name) => `?${name}`).join(",")}`,
  "-e",
  "signal=none",
  "-o",
  log
]

export interface Verdict {
  /** In the order in which they were printed. */
  readonly acknowledged: ReadonlyArray<number>
  /** Commits that were seen to reach the disk. */
  readonly syncs: number
  readonly complaints: ReadonlyArray<string>
}

interface Call {
  readonly name: string
  readonly file: string
  readonly rest: string
}

const started = /^(\d+)\s+(\w+)\((\d+)<(.*?)>(.*)$/
const resumed = /^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$/

/**
 * An acknowledgement stands for a commit of its own: since the one before, the job has accepted one line. So between
 * two of them the log must have been written, and what was written to the log or the database must have been synced.
 * A write counts from its start, a sync from its successful end.
 */
export const judge = (trace: string, database: string): Verdict => {
  const wal = `${database}-wal`
  const pending = new Map<string, Call>()
  const unsynced = new Set<string>()
  const acknowledged: Array<number> = []
  const complaints: Array<string> = []
  let syncs = 0
  let commitsSinceLast = 0

  const begin = ({ file, name, rest }: Call): void => {
    if (/^(p?writev?2?|pwrite64|ftruncate)$/.test(name) && (file === wal || file === database)) unsynced.add(file)
    const [, number] = /^write/.test(name) ? /"accepted line (\d+)\\n/.exec(rest) ?? [] : []
    if (number === undefined) return
    for (const one of unsynced) complaints.push(`line ${number} is acknowledged, and ${one} is written and not synced`)
    if (commitsSinceLast === 0) complaints.push(`line ${number} is acknowledged without a commit that was synced`)
    commitsSinceLast = 0
    acknowledged.push(Number(number))
  }
  const end = ({ file, name }: Call, result: string): void => {
    if (!/^(fsync|fdatasync)$/.test(name) || !/= 0$/.test(result.trimEnd())) return
    if (file === wal && unsynced.has(wal)) {
      syncs++
      commitsSinceLast++
    }
    unsynced.delete(file)
  }

  for (const line of trace.split("\n")) {
    const first = started.exec(line)
    if (first !== null) {
      const [, thread, name, , file, rest] = first
      const call = { name: name!, file: file!, rest: rest! }
      begin(call)
      if (rest!.endsWith("<unfinished ...>")) pending.set(thread!, call)
      else end(call, rest!)
      continue
    }
    const [, thread, name, rest] = resumed.exec(line) ?? []
    const call = thread === undefined ? undefined : pending.get(thread)
    if (call === undefined || call.name !== name) continue
    pending.delete(thread!)
    end(call, rest!)
  }
  return { acknowledged, syncs, complaints }
}
