import type { Log } from './ports.ts'
import { seconds } from './time.ts'
import type { Clock, Instant, Millis } from './time.ts'

/** What a look at files came to. */
export interface FileLook {
  /** `kept`: what is there now cannot be used, and what was in use stays. */
  readonly outcome: 'unchanged' | 'replaced' | 'kept'
  /** When the certificate in use ends, for those that are one. */
  readonly notAfter?: Instant | undefined
}

export interface FileWatchDeps {
  /** Only waits by it. */
  readonly clock: Pick<Clock, 'sleep'>
  readonly log: Log
  readonly everyMs?: Millis
  /** After each look; `failed`: it threw. Must not throw. */
  readonly onLook?: ((setting: string, outcome: FileLook['outcome'] | 'failed', notAfter: Instant | undefined) => void) | undefined
}

/** One thing that is watched. */
export interface Watched {
  /** @returns when a look that began after the call is over; at the latest when it has taken too long */
  look(): Promise<void>
  stop(): void
}

/** Looks after every file of the gateway that may change: one loop, one cadence, whatever it is that is looked at. */
export interface FileWatch {
  /**
   * @param setting that names the files, for log lines and metrics
   * @param look reads, judges, and takes over what is good. Two looks of one thing never overlap. Its failure is told without what the error says.
   */
  add(setting: string, look: () => Promise<FileLook>): Watched
  /** Looks at everything now, for instance at SIGHUP. @returns as `Watched.look` for each of them */
  lookAtAll(): Promise<void>
  /** No look begins any more. @returns when those under way are over; one that hangs is not waited for */
  stop(): Promise<void>
}

/** Kubernetes swaps a mount and tells nobody; events of the file system are lost over such swaps (stack §4), so files are read and compared. */
const EVERY_MS = seconds(5)
/** Longer than that a look hangs, for instance on a file system whose server is gone: nobody waits for it, and everything else goes on. */
const LOOK_MS_MAX = seconds(5)

export const createFileWatch = ({ clock, log, everyMs = EVERY_MS, onLook }: FileWatchDeps): FileWatch => {
  const stopped = new AbortController()
  const all = new Set<Thing>()
  const watch = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(everyMs, stopped.signal)
      for (const thing of all) thing.turn()
    }
  }
  // The only way out of the loop is the abort of its sleep.
  watch().catch(() => undefined)
  return {
    add: (setting, look) => {
      const thing: Thing = createThing({ setting, look, clock, log, onLook, isStopped: () => !all.has(thing) })
      if (!stopped.signal.aborted) all.add(thing)
      return { look: thing.look, stop: () => void all.delete(thing) }
    },
    lookAtAll: async () => {
      await Promise.all([...all].map((thing) => thing.look()))
    },
    stop: async () => {
      stopped.abort()
      const left = [...all]
      all.clear()
      await Promise.all(left.map((thing) => thing.over()))
    },
  }
}

type Thing = ReturnType<typeof createThing>
interface ThingDeps extends Pick<FileWatchDeps, 'clock' | 'log' | 'onLook'> {
  readonly setting: string
  readonly look: () => Promise<FileLook>
  readonly isStopped: () => boolean
}

const createThing = ({ setting, look, clock, log, onLook, isStopped }: ThingDeps) => {
  let running: Promise<void> | undefined
  let isFailing = false
  /** Turns that found the look of an earlier one still under way. */
  let late = 0

  const run = async (): Promise<void> => {
    try {
      const seen = await look()
      isFailing = false
      onLook?.(setting, seen.outcome, seen.notAfter)
    } catch {
      // What the error says may quote the file.
      if (!isFailing) log.error({ mode: setting }, 'a look at files failed; what is in use stays')
      isFailing = true
      onLook?.(setting, 'failed', undefined)
    }
  }
  const start = (): Promise<void> => {
    if (isStopped()) return Promise.resolve()
    running ??= run().finally(() => {
      running = undefined
      late = 0
    })
    return running
  }
  /** Until it is over, or hangs. */
  const atMost = async (work: Promise<void> | undefined): Promise<void> => {
    if (!work) return
    const done = new AbortController()
    const patience = clock.sleep(LOOK_MS_MAX, done.signal).catch(() => undefined)
    await Promise.race([work, patience]).finally(() => done.abort())
  }

  return {
    turn: (): void => {
      if (!running) return void start()
      late += 1
      if (late === 2) log.error({ mode: setting }, 'a look at files does not come back; what is in use stays')
    },
    /** A look under way may have read before the files changed: it is not the one that is waited for. */
    look: async (): Promise<void> => {
      const before = running
      await atMost(before)
      if (before === undefined || running !== before) await atMost(start())
    },
    over: (): Promise<void> => atMost(running),
  }
}
