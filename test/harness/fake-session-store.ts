import type { EndReason, Lease, Opened, Session, SessionChange, SessionRef, SpendingMark } from '../../src/domain/session.ts'
import type { SessionStore } from '../../src/domain/session-store.ts'
import type { Clock, Instant } from '../../src/kernel/time.ts'
import { after, millis } from '../../src/kernel/time.ts'
import { createGates, type Gates } from './gates.ts'

interface Row {
  session: Session
  spending: (SpendingMark & { readonly fence: string }) | undefined
  recovered: number | undefined
}

export interface FakeReplicaStore extends SessionStore {
  /** `<method>:before` and `<method>:after`, for instance `save:before`. */
  readonly gates: Gates
  /** Commands answer `unavailable`, and no event arrives. Coming back moves `connectedSince`. */
  setReachable(reachable: boolean): void
  /** From here on another server answers, which may have lost what the one before acknowledged. */
  replaceServer(): void
  /** Only events stop. */
  setDeaf(deaf: boolean): void
  /** The process is gone: nothing it started ever comes back, nothing it sends arrives. */
  kill(): void
}

export interface SharedStore {
  replica(name: string, gates?: Gates): FakeReplicaStore
  add(session: Session): Session
  read(ref: SessionRef): Session | undefined
  markOf(ref: SessionRef): SpendingMark | undefined
  /** As an operator or a back-channel logout would, past every replica. */
  end(ref: SessionRef, reason: EndReason): void
  /** For the test of the tests: leases and marks exclude nobody. */
  withoutExclusion(what: 'lease' | 'lease and mark'): void
  /** Drops whoever holds the lease, as its expiry would. */
  dropLease(ref: SessionRef): void
  leaseHeld(ref: SessionRef): boolean
}

/**
 * Several replicas over one store, with the semantics of the port in few lines and nothing sealed: what is saved is decided by rt_gen, updates
 * cannot create, leases expire, marks are written under the lease. The real adapters have their own contract suite; this one can be stopped anywhere.
 */
export const createSharedStore = (clock: Clock): SharedStore => {
  const rows = new Map<SessionRef, Row>()
  const tombstones = new Map<SessionRef, EndReason>()
  const leases = new Map<SessionRef, { readonly fence: string; until: Instant }>()
  const ears = new Set<(change: SessionChange) => void>()
  let fences = 0
  let exclusion: 'on' | 'lease' | 'lease and mark' = 'on'

  const announce = (change: SessionChange): void => {
    for (const ear of ears) ear(change)
  }
  const endRow = (ref: SessionRef, reason: EndReason): 'ended' | 'absent' => {
    if (!rows.delete(ref)) return 'absent'
    tombstones.set(ref, reason)
    leases.delete(ref)
    announce({ kind: 'ended', ref, reason })
    return 'ended'
  }
  const leaseOf = (ref: SessionRef) => {
    const lease = leases.get(ref)
    return lease && lease.until > clock.now() ? lease : undefined
  }
  const holds = (lease: Lease): boolean => exclusion !== 'on' || leaseOf(lease.ref)?.fence === lease.fence
  const underLease = (lease: Lease, session: Session): Row | 'absent' | 'lease-lost' | 'superseded' => {
    const row = rows.get(session.ref)
    if (!row) return 'absent'
    if (!holds(lease)) return 'lease-lost'
    return row.session.rtGen === session.rtGen ? row : 'superseded'
  }

  const replica = (name: string, gates: Gates = createGates()): FakeReplicaStore => {
    let reachable = true
    let deaf = false
    let dead = false
    let connectedSince = clock.now()
    let serverSince: number = Number.NEGATIVE_INFINITY
    const listeners = new Set<(change: SessionChange) => void>()
    ears.add((change) => {
      if (reachable && !dead && !deaf) for (const listener of listeners) listener(change)
    })
    const forEver = new Promise<never>(() => {})

    /** One command: a gate before it, one atomic step, a gate after it. */
    const command = async <T, U>(method: string, away: U, step: () => T): Promise<T | U> => {
      if (dead) await forEver
      await gates.pass(`${method}:before`)
      if (dead) await forEver
      if (!reachable) return away
      const result = step()
      await gates.pass(`${method}:after`)
      if (dead) await forEver
      return result
    }
    const AWAY = { kind: 'unavailable' } as const

    const look = (ref: SessionRef): Opened => {
      const row = rows.get(ref)
      if (row) return { kind: 'found', held: { session: row.session, lastSeenAt: clock.now(), stale: false } }
      const reason = tombstones.get(ref)
      return reason ? { kind: 'ended', reason } : { kind: 'absent' }
    }

    return {
      gates,
      setReachable: (now) => {
        if (now && !reachable) connectedSince = clock.now()
        reachable = now
      },
      replaceServer: () => {
        serverSince = clock.now()
      },
      serverAge: () => millis(clock.now() - serverSince),
      setDeaf: (now) => {
        deaf = now
      },
      kill: () => {
        dead = true
      },
      peek: () => undefined,
      open: async () => ({ kind: 'absent' }),
      refOf: () => undefined,
      create: async () => AWAY,
      touch: () => {},
      mode: () => (reachable ? 'live' : 'grace'),
      ready: async () => {},
      reachable: () => reachable,
      connectedSince: () => connectedSince,
      close: async () => {},
      look: async () => AWAY,
      entomb: async () => 'unavailable',
      refsOf: async () => 'unavailable',
      forget: async () => {},
      onEnded: () => () => {},
      onChange: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      reopen: (session) => command('reopen', AWAY, () => look(session.ref)),
      save: (session, { grant, tokens }) =>
        command('save', AWAY, () => {
          const row = rows.get(session.ref)
          if (!row) return { kind: 'absent' as const, reason: tombstones.get(session.ref) }
          if (grant && row.session.rtGen !== session.rtGen) return { kind: 'superseded' as const }
          if (grant) row.spending = undefined
          row.session = {
            ...row.session,
            ...(grant && { grant }),
            tokens: new Map([...row.session.tokens, ...tokens.map((token) => [token.key, token] as const)]),
            gen: row.session.gen + 1,
            rtGen: row.session.rtGen + (grant ? 1 : 0),
          }
          announce({ kind: 'written', ref: session.ref, gen: row.session.gen })
          return { kind: 'saved' as const, session: row.session }
        }),
      end: (ref, reason) => command('end', 'unavailable' as const, () => endRow(ref, reason)),
      endIfUnrenewed: (session, reason) =>
        command('endIfUnrenewed', 'unavailable' as const, () => {
          const row = rows.get(session.ref)
          if (!row) return 'absent' as const
          return row.session.rtGen === session.rtGen ? endRow(session.ref, reason) : ('superseded' as const)
        }),
      acquireLease: (ref, length) =>
        command('acquireLease', 'unavailable' as const, () => {
          if (leaseOf(ref) && exclusion === 'on') return 'held' as const
          const fence = `${name} ${++fences}`
          leases.set(ref, { fence, until: after(clock.now(), length) })
          return { ref, fence }
        }),
      renewLease: (lease, length) =>
        command('renewLease', 'unavailable' as const, () => {
          const held = leaseOf(lease.ref)
          if (held?.fence !== lease.fence) return 'lost' as const
          held.until = after(clock.now(), length)
          return 'renewed' as const
        }),
      releaseLease: (lease) =>
        command('releaseLease', undefined, () => {
          if (leaseOf(lease.ref)?.fence === lease.fence) leases.delete(lease.ref)
        }),
      markSpending: (lease, session, timeoutMs) =>
        command('markSpending', AWAY, () => {
          const row = underLease(lease, session)
          if (typeof row === 'string') return { kind: row }
          if (row.spending && exclusion !== 'lease and mark') return { kind: 'found' as const, mark: row.spending, now: clock.now() }
          row.spending = { rtGen: session.rtGen, replica: name, sentAt: clock.now(), timeoutMs, fence: lease.fence }
          return { kind: 'marked' as const }
        }),
      clearMark: (lease, session, replaced) =>
        command('clearMark', undefined, () => {
          const row = rows.get(session.ref)
          if (row?.spending?.fence !== lease.fence || row.session.rtGen !== session.rtGen) return
          row.spending = replaced && { ...replaced, fence: '-' }
          if (replaced && row.recovered === session.rtGen) row.recovered = undefined
        }),
      takeOverMark: (lease, session, found, timeoutMs, forgives = false) =>
        command('takeOverMark', 'unavailable' as const, () => {
          const row = underLease(lease, session)
          if (typeof row === 'string') return row
          if (row.spending !== found) return 'superseded' as const
          if (!forgives && row.recovered === session.rtGen) return 'recovered-before' as const
          row.recovered = session.rtGen
          row.spending = { rtGen: session.rtGen, replica: name, sentAt: clock.now(), timeoutMs, fence: lease.fence }
          return 'taken' as const
        }),
    }
  }

  return {
    replica,
    add: (session) => {
      rows.set(session.ref, { session, spending: undefined, recovered: undefined })
      return session
    },
    read: (ref) => rows.get(ref)?.session,
    markOf: (ref) => rows.get(ref)?.spending,
    end: endRow,
    withoutExclusion: (what) => {
      exclusion = what
    },
    dropLease: (ref) => void leases.delete(ref),
    leaseHeld: (ref) => leaseOf(ref) !== undefined,
  }
}
