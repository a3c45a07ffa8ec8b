import type { Session } from '../domain/session.ts'
import type { Strategy } from './strategy.ts'
import { ready, unsendable } from './strategy.ts'

/**
 * Google's domain-wide delegation: a service account that may act as anybody of its domain. Who that is comes from the verified ID token of the session
 * alone; nothing that a request says of itself gets here (providers.md §3).
 */
export const serviceAccount: Strategy = {
  grant: 'service_account',
  needs: 'user',
  prepare: ({ provider, keys }, ask, { session }) => {
    const subject = session && subjectOf(session, ask.subjectClaim ?? 'email')
    if (subject === undefined) return unsendable('audience-denied', 'no-subject-claim')
    const key = ask.keyFile === undefined ? undefined : keys?.serviceAccount(ask.keyFile)
    return key ? ready(() => provider.serviceAccount(key, subject, ask)) : unsendable('credential-rejected', 'no-key')
  },
}

/** An address that was not verified is whatever its owner typed: it would make its owner anybody. */
const subjectOf = ({ grant: { claims } }: Session, claim: string): string | undefined => {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined
  if (typeof value !== 'string' || value === '' || (claim === 'email' && claims['email_verified'] !== true)) return undefined
  return value
}
