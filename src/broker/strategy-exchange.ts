import type { Strategy } from './strategy.ts'
import { ready, unsendable } from './strategy.ts'

/** OAuth 2.0 Token Exchange, RFC 8693 §2.1. */
export const exchange: Strategy = {
  grant: 'exchange',
  needs: 'access-token',
  prepare: ({ provider }, ask, { subject, actor }) =>
    subject ? ready(() => provider.exchange(subject, ask, actor)) : unsendable('audience-denied', 'no-subject-token'),
}
