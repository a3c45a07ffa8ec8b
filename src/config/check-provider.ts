import type { ProviderProfile } from '../domain/profile.ts'
import { PROFILES } from '../domain/profiles/profiles.ts'
import { grantsOf } from './build-token.ts'
import { checkClientAuth } from './check-credentials.ts'
import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'
import { isLoopback } from './setting.ts'
import { SEVERAL, TENANT_PLACE } from './tenant-place.ts'

type Provider = Parsed['provider']

const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const DOMAIN = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/i

const hasPlace = ({ issuer }: Provider): boolean => issuer?.includes(TENANT_PLACE) === true

/** Whether people of several tenants may come to the door. */
const isOfSeveral = (provider: Provider, { issuer }: ProviderProfile): boolean =>
  issuer.form === 'tenant' && issuer.aliases.includes(provider.tenant ?? (hasPlace(provider) ? SEVERAL : ''))

export const checkProvider = (parsed: Parsed, report: Report): void => {
  const { provider } = parsed
  const profile = PROFILES[provider.profile]
  checkIssuer(provider, profile, report)
  checkTenants(parsed, profile, report)
  checkOverrides(provider, profile, report)
  checkLoginScopes(provider, profile, report)
  checkAudiences(parsed, profile, report)
  if (provider.groups.resolve && !profile.claims.directory)
    report({ code: 'config.groups-unresolvable', path: ['provider', 'groups', 'resolve'] })
  for (const [i, entry] of provider.client_auth.entries()) checkClientAuth(entry, ['provider', 'client_auth', i], report)
}

const checkIssuer = (provider: Provider, { issuer: { form, fixed } }: ProviderProfile, report: Report): void => {
  const byTenant = form === 'tenant'
  const given = [provider.issuer, provider.tenant].filter((value) => value !== undefined).length
  const isOne = fixed !== undefined ? given === 0 || provider.issuer === fixed : given === 1 || (byTenant && hasPlace(provider))
  if (!isOne || (provider.tenant !== undefined && !byTenant))
    report({
      code: 'config.issuer-choice',
      path: ['provider', ...(provider.tenant !== undefined && !byTenant ? ['tenant'] : [])],
      onKey: true,
      fix:
        fixed !== undefined
          ? 'Remove it: the profile knows the issuer, and there is one only.'
          : byTenant
            ? 'Write `tenant: …`, the id or domain of your Entra tenant.'
            : 'Write `issuer: https://…`; `tenant` is for `profile: entra`.',
    })
  else if (hasPlace(provider) && !byTenant)
    report({
      code: 'config.issuer-choice',
      path: ['provider', 'issuer'],
      fix: 'Write the issuer of one realm; `{tenantid}` is for `profile: entra`.',
    })
  if (provider.cloud !== undefined && (!byTenant || provider.issuer !== undefined))
    report({ code: 'config.issuer-choice', path: ['provider', 'cloud'], onKey: true, fix: 'Remove `cloud`: it goes with `tenant` alone.' })
  const issuer = provider.issuer === undefined ? undefined : new URL(provider.issuer)
  if (issuer?.protocol === 'http:' && !(provider.insecure_allow_http && isLoopback(issuer.hostname)))
    report({ code: 'config.issuer-insecure', path: ['provider', 'issuer'] })
  if (issuer?.protocol === 'http:' && provider.ca_file !== undefined) report({ code: 'config.tls-unused', path: ['provider', 'ca_file'] })
  if (provider.insecure_allow_http)
    report({ code: 'config.insecure-setting', path: ['provider', 'insecure_allow_http'], reason: 'insecure_allow_http is on' })
}

/** Fails closed: at a door for everybody, nobody is let in who is not listed. */
const checkTenants = ({ provider, routes }: Parsed, profile: ProviderProfile, report: Report): void => {
  const { tenants } = provider
  const { tenant: claim, tenantForm } = profile.claims
  if (!isOfSeveral(provider, profile)) {
    if (tenants !== undefined && (profile.issuer.form === 'tenant' || claim === undefined))
      report({ code: 'config.tenants-unused', path: ['provider', 'tenants'], onKey: true })
    if (provider.home_tenant !== undefined) report({ code: 'config.tenants-unused', path: ['provider', 'home_tenant'], onKey: true })
  } else {
    if (tenants === undefined) report({ code: 'config.tenants-absent', path: ['provider', provider.tenant ? 'tenant' : 'issuer'] })
    const isForItself =
      routes.some((route) => grantsOf(route, profile).app === 'client_credentials') ||
      provider.client_auth.some((entry) => (entry.client_secret_file ?? entry.client_secret) === undefined)
    if (isForItself && provider.home_tenant === undefined)
      report({ code: 'config.home-tenant-absent', path: ['provider', provider.tenant ? 'tenant' : 'issuer'] })
  }
  const form = { guid: GUID, domain: DOMAIN, word: /^\S+$/ }[tenantForm]
  for (const [i, tenant] of (tenants ?? []).entries())
    if (!form.test(tenant))
      report({
        code: 'config.value-invalid',
        path: ['provider', 'tenants', i],
        reason: `expected ${{ guid: 'a tenant id', domain: 'a domain', word: 'one word' }[tenantForm]}, as the claim \`${claim}\` has it`,
      })
}

const checkOverrides = (provider: Provider, profile: ProviderProfile, report: Report): void => {
  if (provider.target !== undefined && provider.target !== profile.target && (profile.scopesCarryAudience || profile.audiences !== 'many'))
    report({ code: 'config.target-override', path: ['provider', 'target'] })
  if (profile.rotation === 'none' && provider.rotation !== undefined && provider.rotation !== 'none')
    report({ code: 'config.rotation-override', path: ['provider', 'rotation'] })
  const rotation = provider.rotation ?? profile.rotation
  const grace = provider.rotation_grace ?? profile.rotationGraceMs
  if (rotation === 'grace' && grace === 0) report({ code: 'config.rotation-grace', path: ['provider', 'rotation'] })
  // The first sender's answer is waited for as long as it may still come (spec §5); keys are part of its time.
  else if (rotation === 'grace' && grace <= provider.timeout + 3000)
    report({
      code: 'config.rotation-grace-short',
      path: ['provider', provider.rotation_grace === undefined ? 'timeout' : 'rotation_grace'],
    })
  if (rotation !== 'grace' && provider.rotation_grace !== undefined)
    report({ code: 'config.rotation-grace', path: ['provider', 'rotation_grace'], onKey: true })
}

const checkLoginScopes = ({ scopes }: Provider, { login }: ProviderProfile, report: Report): void => {
  const at = scopes?.findIndex((scope) => login.detachingScopes.includes(scope)) ?? -1
  if (at >= 0) report({ code: 'config.scope-detaches', path: ['provider', 'scopes', at] })
}

/** What the provider puts into tokens whatever is asked for, of users and of applications; an exchange names its audience always. */
const checkAudiences = (parsed: Parsed, profile: ProviderProfile, report: Report): void => {
  const { routes } = parsed
  if (profile.audiences === 'many') return checkToldApart(parsed, profile, report)
  let first: string | undefined
  for (const [i, route] of routes.entries())
    for (const [audience, ...at] of audiencesAsked(route, profile)) {
      first ??= audience
      if (profile.audiences === 'none' || audience !== first)
        report({
          code: 'config.audience-unavailable',
          path: ['routes', i, 'token', ...at],
          fix:
            profile.audiences === 'none'
              ? 'Remove `audience`, and name the scopes.'
              : 'Use the audience of the authorization server on every route, or `grant: exchange` for the others.',
        })
    }
}

/** Each audience that a refresh or client credentials are to yield, and where it is written: also what an exchange turns in, and who acts in it. */
const audiencesAsked = (route: Parsed['routes'][number], profile: ProviderProfile): readonly (readonly [string, ...string[]])[] => {
  const { token } = route
  const { user, bearer, app } = grantsOf(route, profile)
  const isAsked = user === 'refresh' || app === 'client_credentials'
  const subject = user === 'exchange' ? token.subject?.audience : undefined
  const actor = user === 'exchange' || bearer === 'exchange' ? token.actor?.audience : undefined
  return [
    ...(isAsked && token.audience !== undefined ? [[token.audience, 'audience'] as const] : []),
    ...(subject === undefined ? [] : [[subject, 'subject', 'audience'] as const]),
    ...(actor === undefined ? [] : [[actor, 'actor', 'audience'] as const]),
  ]
}

/** Where scopes alone say what a token is for, one without them is for every API of the user: each upstream could call the others with it. */
const checkToldApart = ({ provider, routes }: Parsed, profile: ProviderProfile, report: Report): void => {
  if ((provider.target ?? profile.target) !== 'scope' || profile.scopesCarryAudience) return
  const asked = routes.flatMap(({ token, callers }, i) =>
    token.principal === 'user' && token.audience !== undefined && grantsOf({ token, callers }, profile).user === 'refresh'
      ? [{ i, audience: token.audience, isNamed: token.scopes.length > 0 }]
      : [],
  )
  for (const { i, audience, isNamed } of asked) {
    const other = asked.find((one) => one.audience !== audience)
    if (isNamed || !other) continue
    report({
      code: 'config.token-for-two-audiences',
      path: ['routes', i, 'token', 'audience'],
      also: ['routes', other.i, 'token', 'audience'],
      reason: 'without scopes the provider’s token is for every API of the user: each upstream can call the others with it',
      fix: 'Give each API a client scope of its own, and name its scopes on the route.',
    })
  }
}
