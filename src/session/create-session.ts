import type { Session } from '../domain/session.ts'
import type { Created, SessionDraft } from '../domain/session-store.ts'
import { after, ticks } from '../kernel/time.ts'
import { authenticatedAt, cookieText, sealCard, sealGrant, sealToken } from './codec.ts'
import { newCookie } from './id.ts'
import { everybodysTombstone, operatorTombstone, providerSessionIndex, subjectIndex } from './index-names.ts'
import { kidsIn, noteKeys } from './key-usage.ts'
import { LOGOUT_SKEW_MS } from './records.ts'
import type { StoreParts } from './session-store.ts'
import { digestOf } from './store-l1.ts'

/**
 * Indexes, record, tombstones, in this order (spec §4). A back-channel logout goes the other way: tombstone, index, end each. Whichever way the two
 * interleave, either the logout finds the new ref in the index, or the login finds the tombstone.
 */
export const createSession = async (parts: StoreParts, draft: SessionDraft): Promise<Created> => {
  const { deps, l1, modes } = parts
  const { records, sealer, app, clock, settings } = deps
  // 1. A new id and data key, always: nothing that the browser presented is adopted (ASVS 5.0 §7.2.4).
  const { ref, dataKey, cookie } = newCookie()
  const { grant, tokens } = draft
  const card = { ...draft.card, ref }
  const context = { sealer, app }
  const sealed = {
    card: sealCard(context, card),
    grant: sealGrant(context, { ref, dataKey }, grant),
    tokens: new Map(tokens.map((token) => [token.key, sealToken(context, { ref, dataKey }, token)])),
  }
  const subject = subjectIndex(sealer, app, grant.issuer, card.subject)
  const providerSession =
    grant.providerSessionId === undefined ? undefined : providerSessionIndex(sealer, app, grant.issuer, grant.providerSessionId)
  const indexes = providerSession ? [providerSession, subject] : [subject]

  // 2. Before the record, so that a crash leaves an index entry without a session, never a session that no logout would find.
  const prepared = await Promise.all([
    ...indexes.map((index) => records.addToIndex(index, ref, card.endsAt)),
    noteKeys(records, sealer, sealed, card.endsAt),
  ])
  if (prepared.includes('unavailable')) return { kind: 'unavailable' }

  // 3. Refused when the ref was ended already: a logout read the index between 2 and 3.
  const epoch = modes.epoch
  const startedAt = clock.now()
  const askedAt = ticks(clock)
  const session: Session = { ref, cookie, card, grant, tokens: new Map(tokens.map((token) => [token.key, token])), gen: 1, rtGen: 1 }
  const created = await records.create({ ref, ...sealed, endsAt: card.endsAt, idleTimeoutMs: settings.idleTimeoutMs, indexes })
  if (created === 'unavailable') {
    // It may have been stored all the same. Nobody will ever hold its cookie.
    void parts.end(ref, 'login-raced')
    return { kind: 'unavailable' }
  }
  if (created === 'taken') {
    // There was never a record whose end would clean them.
    await Promise.all(indexes.map((index) => records.dropFromIndex(index, ref)))
    return endedMeanwhile(parts, session)
  }

  // 4. The tombstones last: a logout that came before 2 has left one.
  const [bySession, bySubject, byOperator, ofAll] = await Promise.all([
    providerSession ? records.entombedAt(providerSession) : undefined,
    records.entombedAt(subject),
    records.entombedAt(operatorTombstone(sealer, app, card.provider, card.subject)),
    records.entombedAt(everybodysTombstone(sealer, app)),
  ])
  if (bySession === 'unavailable' || bySubject === 'unavailable' || byOperator === 'unavailable' || ofAll === 'unavailable') {
    void parts.end(ref, 'login-raced')
    return { kind: 'unavailable' }
  }
  const authenticated = authenticatedAt(grant.claims)
  // A subject's logout concerns earlier sign-ins only: who has signed in anew since then stays. Without a time in the ID token we cannot tell.
  const subjectHit = bySubject !== undefined && (authenticated === undefined || authenticated <= after(bySubject, LOGOUT_SKEW_MS))
  // Whoever's it was: one key instead of one per tenant, and a sign-in of somebody else must fall into the same few milliseconds to be hit with it.
  const hitWithAll = ofAll !== undefined && card.createdAt <= ofAll
  if (bySession !== undefined || subjectHit || byOperator !== undefined || hitWithAll || l1.endedBecause(ref) !== undefined)
    return endedMeanwhile(parts, session)

  const chars = sealed.card.length + sealed.grant.length + [...sealed.tokens.values()].reduce((sum, text) => sum + text.length, 0)
  parts.kids.set(session, kidsIn(sealer, sealed))
  l1.keep(digestOf(cookieText(cookie)), session, chars, startedAt, askedAt, epoch)
  modes.tell()
  deps.metrics.count('sallyport_session_created_total', {})
  return { kind: 'created', session }
}

const endedMeanwhile = async (parts: StoreParts, session: Session): Promise<Created> => {
  await parts.endFound(session.ref, 'login-raced', session)
  return { kind: 'ended-meanwhile' }
}
