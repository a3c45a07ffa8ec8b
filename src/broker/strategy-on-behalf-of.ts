import type { Strategy } from './strategy.ts'
import { ready, unsendable } from './strategy.ts'

/** RFC 7523 §2.1 with `requested_token_use=on_behalf_of`: how Entra says token exchange. */
export const onBehalfOf: Strategy = {
  grant: 'on_behalf_of',
  needs: 'access-token',
  prepare: ({ provider }, ask, { subject }) =>
    subject ? ready(() => provider.onBehalfOf(subject, ask)) : unsendable('audience-denied', 'no-assertion'),
}
