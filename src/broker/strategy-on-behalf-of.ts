import type { Strategy } from './strategy.ts'
import { notSent } from './strategy.ts'

/** RFC 7523 §2.1 with `requested_token_use=on_behalf_of`: how Entra says token exchange. */
export const onBehalfOf: Strategy = {
  grant: 'on_behalf_of',
  needs: 'access-token',
  send: async ({ provider }, ask, { subject }) => (subject ? provider.onBehalfOf(subject, ask) : notSent('no-assertion')),
}
