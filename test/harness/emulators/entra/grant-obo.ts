import { decodeJwt, type JWTPayload } from 'jose'
import type { Reply } from '../core-exchange.ts'
import { Aadsts, isoSeconds } from './errors.ts'
import { askedScopes } from './scopes.ts'
import { answer, checkUser, oneTarget, type TokenAsk } from './grant-answer.ts'

/** E12: on-behalf-of, providers.md §1.6. The assertion is a user's access token for this very client. */
export const onBehalfOf = async (ask: TokenAsk): Promise<Reply> => {
  const { state, exchange, door, client } = ask
  const { form, now } = exchange
  // 1. The request.
  if (door.kind !== 'tenant') throw new Aadsts(9001023)
  const assertion = form.get('assertion')
  if (assertion === null) throw new Aadsts(900144, { field: 'assertion' })
  if (form.get('requested_token_use') !== 'on_behalf_of') throw new Aadsts(900144, { field: 'requested_token_use' })
  const scope = form.get('scope')
  if (scope === null) throw new Aadsts(900144, { field: 'scope' })

  // 2. The assertion: ours, a user's, for this client, of this tenant, in time.
  const claims = await verified(ask, assertion)
  const { app } = client
  const issued = state.issued.get(String(claims['uti']))
  if (!issued) throw new Aadsts(240002)
  const expected = [app.id, ...(app.api?.uris ?? [])]
  if (!expected.includes(String(claims.aud)))
    throw new Aadsts(500131, { aud: String(claims.aud), expected: expected.join(';'), client: app.id, name: app.name })
  if (claims['tid'] !== door.id) throw new Aadsts(50013, { reason: 'The tenant of the assertion is another one.' })
  if ((claims.exp ?? 0) * 1000 <= now) throw new Aadsts(500133, { now: isoSeconds(now), exp: isoSeconds((claims.exp ?? 0) * 1000) })
  const { grant } = issued
  if (!grant) throw new Aadsts(7000114, { client: app.id })

  // 3. What for.
  const asked = askedScopes(state.directory, scope, door.id)
  const target = oneTarget(asked, scope)
  if (!target) throw new Aadsts(70011, { scope })
  const own = { ...grant, client: app.id, tenant: door.id, spa: false, offline: asked.offlineAccess }
  checkUser(own, door.id, client)
  return answer(ask, { grant: own, target, asked, nonce: undefined, before: undefined })
}

/** Graph's tokens fail here, as everywhere: their header does not show what was signed. */
const verified = async ({ state }: TokenAsk, assertion: string): Promise<JWTPayload> => {
  const found = await state.keys.verify(assertion)
  if (found) return found.claims
  throw new Aadsts(50013, {
    reason: isJwt(assertion) ? 'The provided signature value did not match the expected signature value.' : 'The token is malformed.',
  })
}
const isJwt = (text: string): boolean => {
  try {
    return decodeJwt(text) !== undefined
  } catch {
    return false
  }
}
