import type { Sealer } from '../domain/sealer.ts'

/** An index of session refs: of one provider session (`iss`, `sid`) or of one subject (`iss`, `sub`). The name is an HMAC: a dump shows neither. */
export interface IndexName {
  readonly kind: 'provider-session' | 'subject'
  /** 22 base64url characters. */
  readonly name: string
}

export const providerSessionIndex = (sealer: Sealer, app: string, issuer: string, providerSessionId: string): IndexName => ({
  kind: 'provider-session',
  name: sealer.index('provider-session', app, issuer, providerSessionId),
})

export const subjectIndex = (sealer: Sealer, app: string, issuer: string, subject: string): IndexName => ({
  kind: 'subject',
  name: sealer.index('subject', app, issuer, subject),
})

/** Not an index: the tombstone of all sign-ins that came to their end before an operator ended sessions by tenant, age, or all. */
export const everybodysTombstone = (sealer: Sealer, app: string): IndexName => ({
  kind: 'subject',
  name: sealer.index('all-ended-by-operator', app),
})

/** Not an index: the tombstone of all sign-ins of a subject, whoever the issuer says it is. An operator knows the provider by its name here. */
export const operatorTombstone = (sealer: Sealer, app: string, provider: string, subject: string): IndexName => ({
  kind: 'subject',
  name: sealer.index('ended-by-operator', app, provider, subject),
})
