import type { Strategy } from './strategy.ts'
import { notSent } from './strategy.ts'

/** OAuth 2.0 Token Exchange, RFC 8693 §2.1. */
export const exchange: Strategy = {
  grant: 'exchange',
  needs: 'access-token',
  send: async ({ provider }, ask, { subject, actor }) => (subject ? provider.exchange(subject, ask, actor) : notSent('no-subject-token')),
}
