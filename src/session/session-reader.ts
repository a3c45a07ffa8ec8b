import type { Opened, Session, SessionRef } from '../domain/session.ts'
import { assertNever } from '../kernel/assert.ts'
import { instant, ticks } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { cookieText, openSession, partsOfSession } from './codec.ts'
import type { SessionCookie } from '../domain/session.ts'
import { cookieParts } from './id.ts'
import type { CookieParts } from './id.ts'
import { Secret } from '../kernel/secret.ts'
import { RECORD_VERSION } from './records.ts'
import type { RecordRead, StoredSession } from './records.ts'
import type { StoreParts } from './session-store.ts'
import { digestOf } from './store-l1.ts'
import type { L1Entry } from './store-l1.ts'

type Outcome = 'l1' | 'store' | 'absent' | 'ended' | 'unavailable' | 'unopened'

/** The slow way to a session. */
export class SessionReader {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  async open(cookie: string): Promise<Opened> {
    const { l1, modes, deps } = this.#parts
    const parts = cookieParts(cookie)
    if (!parts) return this.#counted('absent', { kind: 'absent' })
    const reason = l1.endedBecause(parts.ref)
    if (reason) return this.#counted('ended', { kind: 'ended', reason })

    const digest = digestOf(cookie)
    const entry = l1.get(digest, deps.clock.now())
    const mode = modes.mode
    // The copy in memory has been validated by this very cookie; all that is in question is whether it is still the newest.
    if (entry && mode === 'checking') {
      const checked = await this.#compare(entry)
      if (checked) return this.#counted('l1', checked)
    }
    if (entry && mode === 'grace' && this.#isInGrace(entry)) return this.#counted('l1', { kind: 'found', held: entry.stale })
    const opened = await this.#read(parts, Secret.of('session-cookie', cookie), digest)
    if (opened.kind !== 'unavailable') return opened
    // The read has just shown that commands fail; the mode knows it now as well.
    const again = l1.get(digest, deps.clock.now())
    return again && this.#isInGrace(again) ? { kind: 'found', held: again.stale } : opened
  }

  reopen(session: Session): Promise<Opened> {
    return this.#read(partsOfSession(session), session.cookie, digestOf(cookieText(session.cookie)))
  }

  #isInGrace(entry: L1Entry): boolean {
    const { deps, modes } = this.#parts
    return modes.isTrue(entry) || ticks(deps.clock) - entry.checkedAt < deps.settings.graceMs
  }

  /** @returns undefined when a full read has to decide */
  async #compare(entry: L1Entry): Promise<Opened | undefined> {
    const { l1, deps } = this.#parts
    const { ref, gen } = entry.session
    const askedAt = ticks(deps.clock)
    const check = await l1.during(ref, () => deps.records.check(ref))
    if (check.kind !== 'found' || check.gen !== gen || check.idleForMs === undefined) return undefined
    if (l1.endedBecause(ref) !== undefined || l1.look(entry.digest) !== entry) return undefined
    if (entry.checkedAt < askedAt) entry.checkedAt = askedAt
    return { kind: 'found', held: entry.held }
  }

  async #read(parts: CookieParts, cookie: SessionCookie, digest: string): Promise<Opened> {
    const { l1, modes, deps } = this.#parts
    const { ref } = parts
    return l1.during(ref, async () => {
      // Both before the read: what is heard of from here on is newer than what it brings.
      const epoch = modes.epoch
      const startedAt = deps.clock.now()
      const askedAt = ticks(deps.clock)
      const read = await this.#readNewest(ref)
      switch (read.kind) {
        case 'unavailable':
          return this.#counted('unavailable', read)
        case 'unreadable':
          deps.log.warn({ sessionRef: ref }, 'a stored session is damaged')
          return this.#counted('unopened', { kind: 'absent' })
        case 'ended':
          l1.ended(ref, read.reason)
          return this.#counted('ended', read)
        case 'absent':
          return this.#gone(parts, digest)
        case 'found':
          return this.#opened({ parts, cookie, digest, epoch, startedAt, askedAt }, read.stored, read.idleForMs)
        default:
          return assertNever(read)
      }
    })
  }

  /** Never a refresh token older than one this replica has stored: its server may have been lost before another had it. */
  async #readNewest(ref: SessionRef): Promise<RecordRead> {
    const { deps, saves } = this.#parts
    const read = await deps.records.read(ref)
    if (read.kind !== 'found' || !saves.isBehind(ref, read.stored.rtGen)) return read
    return (await saves.restore(ref)) === 'unavailable' ? { kind: 'unavailable' } : deps.records.read(ref)
  }

  /** The store forgets a session at its absolute end. Whoever still holds a copy knows that this is why. */
  async #gone({ ref }: CookieParts, digest: string): Promise<Opened> {
    const { l1, deps, endFound } = this.#parts
    const entry = l1.look(digest)
    l1.drop(ref)
    if (!entry || l1.expiry(entry, deps.clock.now()) !== 'absolute') return this.#counted('absent', { kind: 'absent' })
    return this.#counted('ended', await endFound(ref, 'absolute', entry.session))
  }

  async #opened(at: ReadContext, stored: StoredSession, idleForMs: Millis | undefined): Promise<Opened> {
    const { l1, modes, deps, endFound } = this.#parts
    const { ref } = at.parts
    // A later release wrote it; another replica can read it.
    if (stored.version > RECORD_VERSION) return this.#counted('unavailable', { kind: 'key-unknown' })
    const result = openSession(deps, at.cookie, at.parts, stored)
    switch (result.kind) {
      case 'key-unknown':
        return this.#counted('unavailable', result)
      case 'key-removed':
        return this.#counted('ended', await endFound(ref, 'key-removed', undefined))
      case 'invalid':
        // A data key that does not fit, or a damaged seal. It ends nothing: guessing must not sign anybody out.
        deps.log.warn({ sessionRef: ref }, 'a presented cookie does not open the session it names')
        return this.#counted('unopened', { kind: 'absent' })
      case 'opened':
        break
      default:
        return assertNever(result)
    }
    const { session, chars, entriesDropped, kids } = result
    if (entriesDropped > 0) {
      deps.log.warn({ sessionRef: ref, count: entriesDropped }, 'stored access tokens do not open and are left out')
      deps.metrics.count('sallyport_session_lookups_total', { outcome: 'unopened' })
    }
    const now = deps.clock.now()
    if (session.card.endsAt <= now) return this.#counted('ended', await endFound(ref, 'absolute', session))
    if (idleForMs === undefined || idleForMs >= deps.settings.idleTimeoutMs)
      return this.#counted('ended', await endFound(ref, 'idle', session))
    const endedMeanwhile = l1.endedBecause(ref)
    if (endedMeanwhile) return this.#counted('ended', { kind: 'ended', reason: endedMeanwhile })
    this.#parts.kids.set(session, kids)
    // By our clock, from a length measured by the store's: clocks minutes apart do not shorten anybody's session.
    const held = l1.keep(at.digest, session, chars, instant(at.startedAt - idleForMs), at.askedAt, at.epoch)
    modes.tell()
    return this.#counted('store', { kind: 'found', held })
  }

  #counted(outcome: Outcome, opened: Opened): Opened {
    this.#parts.deps.metrics.count('sallyport_session_lookups_total', { outcome })
    return opened
  }
}

interface ReadContext {
  readonly parts: CookieParts
  readonly cookie: SessionCookie
  readonly digest: string
  readonly epoch: number
  readonly startedAt: Instant
  readonly askedAt: number
}
