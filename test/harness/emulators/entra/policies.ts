import type { Api, User } from './directory.ts'
import { Aadsts, isoSeconds } from './errors.ts'
import type { AskedClaims } from './scopes.ts'
import type { EntraState, Policy } from './state.ts'

export interface Proofs {
  readonly mfa: boolean
  readonly acrs: readonly string[]
  readonly authTime: number
}

const applies = (state: EntraState, policy: Policy, user: User, api: Api): boolean =>
  (policy.user === undefined || state.directory.user(policy.user) === user) &&
  (policy.resource === undefined || policy.resource === api.name || state.directory.api(policy.resource)?.id === api.id)

const stepUp = (api: Api, policies: readonly string[], error: string): Aadsts =>
  new Aadsts(50076, { resource: api.id }, { error, claims: { access_token: { capolids: { essential: true, values: policies } } } })

/** Conditional Access for one API: throws what stands in the way. E12, E15, providers.md §1.9. */
export const enforce = (
  state: EntraState,
  who: { readonly user: User; readonly api: Api },
  proofs: Proofs,
  claims: AskedClaims,
  now: number,
): void => {
  const { user, api } = who
  const policies = state.policies.filter((policy) => applies(state, policy, user, api))
  if (policies.some(({ require }) => require === 'block')) throw new Aadsts(53003)
  if (policies.some(({ require }) => require === 'compliant-device')) throw new Aadsts(53000)
  for (const { require } of policies)
    if (typeof require === 'object' && now - proofs.authTime > require.signInEverySeconds * 1000)
      throw new Aadsts(70043, { issued: isoSeconds(proofs.authTime), seconds: require.signInEverySeconds })
  if (!proofs.mfa && (claims.policies || policies.some(({ require }) => require === 'mfa')))
    throw stepUp(
      api,
      policies.filter(({ require }) => require === 'mfa').map(({ id }) => id),
      'invalid_grant',
    )
  if (claims.acrs !== undefined && !proofs.acrs.includes(claims.acrs))
    throw new Aadsts(
      50076,
      { resource: api.id },
      {
        error: 'interaction_required',
        claims: { access_token: { acrs: { essential: true, value: claims.acrs } } },
      },
    )
}

/** What a second factor would cure. */
export const needsPerson = (refusal: unknown): refusal is Aadsts => refusal instanceof Aadsts && refusal.code === 50076
