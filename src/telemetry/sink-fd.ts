import { write, writeSync } from 'node:fs'
import { asciiJson } from './line.ts'

const BUFFER_BYTES = 64 * 1024
const FLUSH_AFTER_MS = 250
const RETRY_AFTER_MS = 10
/** Two in turn are the usual case; a burst or a reader that stands still may fill these many (8 MiB) before lines are lost. */
const WAITING_MAX = 128
const SYNC_RETRIES_MAX = 200

export interface FdSink {
  /** One line of JSON with its line end. Never blocks, never throws. */
  write(line: string): void
  /** For the `exit` event, where nothing asynchronous runs any more. */
  flushSync(): void
  /** All that was written is with the system, or given up. */
  drained(): Promise<void>
}

export interface FdSinkDeps {
  readonly fd: number
  /** The system refused `lines` lines for good (disk full, reader gone). Must not write to this sink for each call. */
  readonly onLost?: (lines: number) => void
  /** What the stream says of itself once there is room again; nothing, where a line of the log does not belong. */
  readonly lostLine?: (lines: number) => string
  readonly bufferBytes?: number
  readonly waitingMax?: number
}

/** A run of whole lines. */
interface Chunk {
  readonly bytes: Buffer
  used: number
  lines: number
  written: number
}

/**
 * Lines go into one of two fixed buffers, and a full one to the system by one `fs.write` (proxy-transport.md §2: the cheapest form measured). Never two
 * writes at once: the parts of a long write to a pipe may interleave with another one, and a line would end inside another. So a reader that stands
 * still costs, in this order: nothing, memory up to a bound, lines; not the requests under way.
 */
export const createFdSink = (deps: FdSinkDeps): FdSink => {
  const size = deps.bufferBytes ?? BUFFER_BYTES
  const waitingMax = deps.waitingMax ?? WAITING_MAX
  const spare: Chunk[] = []
  const waiting: Chunk[] = []
  let active = chunkOf(size)
  let flying: Chunk | undefined
  let timer: NodeJS.Timeout | undefined
  let lost = 0
  let idle: (() => void)[] = []

  /** Puts the active buffer at the end of the queue; false when that is full. */
  const rotate = (): boolean => {
    if (waiting.length >= waitingMax) return false
    waiting.push(active)
    active = spare.pop() ?? chunkOf(size)
    drain()
    return true
  }

  const flush = (): void => {
    const isDone = active.used === 0 || rotate()
    timer = isDone ? undefined : setTimeout(flush, FLUSH_AFTER_MS).unref()
  }

  const append = (line: string): boolean => {
    if (line.length > size || (active.used + line.length > size && !rotate())) return false
    active.used += active.bytes.write(line, active.used, 'latin1')
    active.lines += 1
    timer ??= setTimeout(flush, FLUSH_AFTER_MS).unref()
    return true
  }

  const drain = (): void => {
    if (flying) return
    const chunk = waiting.shift()
    if (!chunk) {
      settleIdle()
      return
    }
    flying = chunk
    write(deps.fd, chunk.bytes, chunk.written, chunk.used - chunk.written, null, (error, bytes) => {
      flying = undefined
      if (error && error.code !== 'EAGAIN') {
        deps.onLost?.(chunk.lines)
        release(chunk)
      } else {
        chunk.written += error ? 0 : bytes
        if (chunk.written < chunk.used) waiting.unshift(chunk)
        else release(chunk)
      }
      if (error?.code === 'EAGAIN')
        setTimeout(drain, RETRY_AFTER_MS).unref() // the pipe is full
      else {
        sayLost()
        drain()
      }
    })
  }

  const release = (chunk: Chunk): void => {
    chunk.used = chunk.lines = chunk.written = 0
    if (spare.length < 2) spare.push(chunk)
  }

  /** As soon as there is room again, the stream itself says what it lacks. */
  const sayLost = (): void => {
    const count = lost
    if (count > 0 && (!deps.lostLine || append(deps.lostLine(count)))) lost -= count
  }

  const settleIdle = (): void => {
    const settled = idle
    idle = []
    for (const done of settled) done()
  }

  return {
    write: (line) => {
      if (append(asciiJson(line))) return
      lost += 1
      deps.onLost?.(1)
    },
    flushSync: () => {
      clearTimeout(timer)
      timer = undefined
      // What is flying is with the system already; writing it again would double it.
      const chunks = [...waiting.splice(0), active]
      active = chunkOf(size)
      for (const chunk of chunks) writeAll(deps.fd, chunk)
    },
    drained: async () => {
      while (active.used > 0 || waiting.length > 0 || flying) {
        clearTimeout(timer)
        flush()
        await new Promise<void>((done) => idle.push(done))
      }
    },
  }
}

const chunkOf = (size: number): Chunk => ({ bytes: Buffer.allocUnsafe(size), used: 0, lines: 0, written: 0 })

const writeAll = (fd: number, chunk: Chunk): void => {
  for (let retries = 0; chunk.written < chunk.used && retries < SYNC_RETRIES_MAX; ) {
    try {
      chunk.written += writeSync(fd, chunk.bytes, chunk.written, chunk.used - chunk.written)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return
      retries += 1
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_AFTER_MS)
    }
  }
}
