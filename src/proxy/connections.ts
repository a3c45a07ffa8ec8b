import type { SessionRef } from '../domain/session.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import { after, millis, seconds } from '../kernel/time.ts'

/** An answer that is still being written. `cut` ends it without its last chunk, so that nobody takes it for complete. */
export interface OpenStream {
  cut(): void
}

export interface Connections {
  /**
   * False: the session has ended meanwhile, or the gateway is draining; the caller must cut.
   * @param idleEndsAt when the session ends unless it is used again, as known now
   */
  add(ref: SessionRef | undefined, endsAt: Instant | undefined, stream: OpenStream, idleEndsAt?: Instant): boolean
  remove(stream: OpenStream): void
  /** Cuts all streams of a session; those of it that come later are refused. Returns how many were cut. */
  endSession(ref: SessionRef): number
  /**
   * An open stream is no use of its session. When the moment has come at which the session would be over unless somebody used it, `look` says whether it is:
   * until when it lives now; or undefined, it is gone. Asked once per session at a time.
   */
  whenIdle(look: (ref: SessionRef) => Promise<Instant | undefined>): void
  /** Drain: cuts everything and refuses what comes. */
  endAll(): number
  /** Cuts what has passed its session's end. Called twice a second while anything is open; public for tests with a clock of their own. */
  sweep(now: Instant): void
  count(): number
  close(): void
}

interface Held {
  readonly ref: SessionRef | undefined
  readonly endsAt: Instant | undefined
}

const SWEEP_MS = millis(500)
const ENDED_MAX = 100_000

/** Open streams of this replica by session: they end when the session does, within a second. */
export const connections = (clock: Clock): Connections => {
  const open = new Map<OpenStream, Held>()
  const byRef = new Map<SessionRef, Set<OpenStream>>()
  // A session can end between the upstream call and the answer's first byte, when no stream is registered yet. A ref never comes back to life, so
  // remembering it is safe; the oldest are forgotten, long after any request of theirs has been answered or timed out.
  const ended = new Set<SessionRef>()
  /** Of sessions with open streams; `undefined` while it is being asked. */
  const idleEnds = new Map<SessionRef, Instant | undefined>()
  let lookWhenIdle: Parameters<Connections['whenIdle']>[0] | undefined
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const remove: Connections['remove'] = (stream) => {
    const held = open.get(stream)
    if (!held) return
    open.delete(stream)
    if (held.ref !== undefined) {
      const streams = byRef.get(held.ref)
      streams?.delete(stream)
      if (streams?.size === 0) {
        byRef.delete(held.ref)
        idleEnds.delete(held.ref)
      }
    }
    if (open.size === 0) stop()
  }
  const cutAll = (streams: Iterable<OpenStream>): number => {
    const list = [...streams]
    for (const stream of list) {
      remove(stream) // before the cut: its close listener comes back here
      stream.cut()
    }
    return list.length
  }
  const endSession: Connections['endSession'] = (ref) => {
    ended.add(ref)
    if (ended.size > ENDED_MAX)
      for (const oldest of ended) {
        ended.delete(oldest)
        break
      }
    return cutAll(byRef.get(ref) ?? [])
  }
  const askIfIdle = (ref: SessionRef): void => {
    if (!lookWhenIdle) return
    idleEnds.set(ref, undefined)
    const settle = (until: Instant | undefined): void => {
      if (until === undefined) endSession(ref)
      else if (byRef.has(ref)) idleEnds.set(ref, until)
    }
    lookWhenIdle(ref).then(settle, () => settle(after(clock.now(), seconds(1))))
  }
  const sweep: Connections['sweep'] = (now) => {
    for (const [ref, at] of idleEnds) if (at !== undefined && at <= now) askIfIdle(ref)
    const late = [...open].filter(([, { endsAt }]) => endsAt !== undefined && endsAt <= now)
    cutAll(late.map(([stream]) => stream))
  }
  const start = (): void => {
    timer ??= setInterval(() => sweep(clock.now()), SWEEP_MS).unref()
  }
  const stop = (): void => {
    clearInterval(timer)
    timer = undefined
  }

  return {
    add: (ref, endsAt, stream, idleEndsAt) => {
      if (isClosed || (ref !== undefined && ended.has(ref)) || (endsAt !== undefined && endsAt <= clock.now())) return false
      open.set(stream, { ref, endsAt })
      if (ref !== undefined) {
        const streams = byRef.get(ref)
        if (streams) streams.add(stream)
        else byRef.set(ref, new Set([stream]))
        // The newest stream knows best: its request was the last use.
        if (idleEndsAt !== undefined) idleEnds.set(ref, idleEndsAt)
      }
      start()
      return true
    },
    remove,
    endSession,
    whenIdle: (look) => {
      lookWhenIdle = look
    },
    endAll: () => {
      isClosed = true
      return cutAll(open.keys())
    },
    sweep,
    count: () => open.size,
    close: stop,
  }
}
