import { performance } from 'node:perf_hooks'
import { tokenRevocation } from 'openid-client'
import type { Dispatcher } from 'undici'
import type { Credential, CredentialSource, CredentialVerdict } from '../domain/credential.ts'
import type { Metrics } from '../domain/metric.ts'
import { SERVICE_ACCOUNTS } from '../domain/profiles/profiles.ts'
import type { Provider, ProviderProfile } from '../domain/provider.ts'
import { explainCode } from '../domain/provider-code.ts'
import type { Ask } from '../domain/token.ts'
import type { Log } from '../kernel/ports.ts'
import type { Secret } from '../kernel/secret.ts'
import { millis } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { createAgent } from './agent.ts'
import { endSessionUrl } from './authorize.ts'
import { readBearerToken } from './bearer-token.ts'
import { attempt, attemptWithout } from './attempts.ts'
import type { Call } from './call.ts'
import { createCredentialConnections } from './credential-connections.ts'
import { probeCredential } from './credential-probe.ts'
import { exchange, onBehalfOf, serviceAccount } from './derived-grants.ts'
import { createDiscovery } from './discovery.ts'
import { endpointUrl } from './endpoint-url.ts'
import { createFetch } from './fetch.ts'
import { createGroups } from './groups.ts'
import { createKeys } from './keys.ts'
import { readLogoutToken } from './logout-token.ts'
import { authorize } from './par.ts'
import type { ParMode } from './par.ts'
import { redeem } from './redeem.ts'
import type { CallName, Room } from './room.ts'
import { knownScopes } from './scopes.ts'
import { isForm, issuerIn } from './tenants.ts'
import { application, refresh } from './token-endpoint.ts'
import { denialOf } from './token-outcome.ts'

export interface ProviderDeps {
  readonly name: string
  /** Byte for byte as the provider announces it; with a tenant's domain, or a word for several, in the tenant's place where its issuers have one. */
  readonly issuer: string
  /** Who may sign in, by the profile's claim for it; undefined: whoever the issuer admits. */
  readonly tenants?: readonly string[] | undefined
  /** Where the client is registered: with several tenants its own tokens are asked for there, and assertions addressed to it. */
  readonly homeTenant?: string | undefined
  readonly profile: ProviderProfile
  readonly clientId: string
  readonly clientAuth: CredentialSource
  readonly redirectUri: string
  readonly postLogoutRedirectUri: string
  /** `provider.scopes`. */
  readonly scopes: readonly string[]
  /** The asks of all user routes: their audiences are named in the authorization request. */
  readonly userAsks: readonly Ask[]
  /** undefined: `auto`. */
  readonly par?: ParMode | undefined
  /** Asks the provider's directory for memberships that do not fit into an ID token, of these groups; undefined: does not ask. */
  readonly groups?: { readonly wanted: readonly string[] } | undefined
  /** Of one request to the provider, everything included. */
  readonly timeoutMs: Millis
  /** Accepts an issuer on loopback over http; never any other. */
  readonly insecureAllowHttp: boolean
  /** PEM of the authorities trusted for this provider, instead of the system's; asked at each connection. */
  readonly ca?: (() => string) | undefined
  /** Instead of an own agent; stays the caller's to close. */
  readonly dispatcher?: Dispatcher | undefined
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** How a credential is probed, instead of as the profile says. */
  readonly probe?: ProviderProfile['credential']['probe'] | undefined
  /** For the jitter of retries; in [0, 1). */
  readonly random?: (() => number) | undefined
}

export interface OpenProvider extends Provider {
  /** Asks the provider for next to nothing with this very credential. @param mayBeSent asked right before */
  probe(credential: Credential, mayBeSent?: () => boolean): Promise<CredentialVerdict>
  /** Its metadata is held: it was spoken to, and answered. */
  isKnown(): boolean
  close(): Promise<void>
}

/** What spends nothing: tokens that stay as good as they are, and revocation (RFC 7009 §2.2: a second one is fine). A code is for one use, and so may a refresh token be. */
const REPEATABLE: ReadonlySet<CallName> = new Set(['client_credentials', 'exchange', 'on_behalf_of', 'revocation', 'par'])

/** Keys are fetched within this after a token answer came; it is part of `requestTimeoutMs`. */
const KEYS_TIMEOUT_MS = millis(2000)

/** One provider. Asks nothing before its first use, so the gateway starts while the provider is down. @throws Error when the issuer may not be spoken to */
export const createProvider = (deps: ProviderDeps): OpenProvider => {
  const { name, profile, clientId, clock, log, random } = deps
  if (!endpointUrl(deps.issuer, deps.insecureAllowHttp))
    throw new Error('provider.issuer must be https, or http on loopback with insecure_allow_http')
  const own = deps.dispatcher ? undefined : createAgent({ ca: deps.ca, timeoutMs: deps.timeoutMs })
  const fetch = createFetch(deps.dispatcher ?? (own as Dispatcher))
  const connections = createCredentialConnections({ ca: deps.ca, timeoutMs: deps.timeoutMs, fetch })
  const keysTimeoutMs = millis(Math.min(deps.timeoutMs, KEYS_TIMEOUT_MS))
  const attemptDeps = {
    source: deps.clientAuth,
    profile,
    clientId,
    clock,
    fetchFor: connections.fetchFor,
    onFallback: () => deps.metrics.count('sallyport_credentials_fallbacks_total', { provider: name }),
    onDropped: (credential: Credential) => doubt(credential),
  }
  const isRepeatable = (grant: CallName): boolean => REPEATABLE.has(grant) || (grant === 'refresh' && profile.rotation === 'none')

  const base: Room = {
    name,
    clock,
    log,
    timeoutMs: deps.timeoutMs,
    client: {
      clientId,
      profile,
      tenants: deps.tenants?.map((tenant) => tenant.toLowerCase()),
      homeTenant: deps.homeTenant,
      redirectUri: new URL(deps.redirectUri),
      postLogoutRedirectUri: new URL(deps.postLogoutRedirectUri),
      scopes: { profile, loginScopes: knownScopes(deps.scopes, profile), userAsks: deps.userAsks },
    },
    discovery: createDiscovery({ ...deps, fetch }),
    keys: createKeys({ name, fetch, clock, log, random, timeoutMs: keysTimeoutMs }),
    call: async (grant, metadata, budgetMs, run) => {
      const startedAt = performance.now()
      const call =
        grant === 'service_account'
          ? await attemptWithout({ ...attemptDeps, fetch }, metadata, budgetMs, run)
          : await attempt(attemptDeps, metadata, budgetMs, run, isRepeatable(grant))
      const ms = performance.now() - startedAt
      const outcome = outcomeOf(call)
      const labels = { provider: name, request: grant, outcome }
      deps.metrics.count('sallyport_provider_requests_total', labels)
      deps.metrics.observe('sallyport_provider_request_seconds', ms / 1000, labels)
      report(base, grant, call, outcome, ms)
      return call
    },
    revoke: (token) => revoke(base, token),
  }
  const { directory } = profile.claims
  const room: Room = {
    ...base,
    ...(deps.groups &&
      directory && { groups: createGroups({ fetch, directory, wanted: deps.groups.wanted, timeoutMs: keysTimeoutMs }, base) }),
  }

  const probe: OpenProvider['probe'] = (credential, mayBeSent = () => true) =>
    probeCredential({ room, attempt: attemptDeps, kind: deps.probe ?? profile.credential.probe, mayBeSent }, credential)
  const doubted = new Set<Credential>()
  /** Whether it was the certificate is asked with what may go out twice, so that the next code or refresh token is not lost as well. */
  const doubt = (credential: Credential): void => {
    if (doubted.has(credential)) return
    doubted.add(credential)
    const isInUse = (): boolean => [deps.clientAuth.current(), ...(deps.clientAuth.fallbacks?.() ?? [])].includes(credential)
    void probe(credential, isInUse)
      .then((verdict) => deps.clientAuth.report?.(credential, verdict))
      .catch(() => undefined)
      .finally(() => doubted.delete(credential))
  }

  return {
    name,
    profile,
    // A token for the directory, and its answer, have twice the time of keys.
    requestTimeoutMs: millis(deps.timeoutMs + keysTimeoutMs * (room.groups ? 3 : 1)),
    authorizationUrl: async (request) => {
      const found = await room.discovery.get()
      if (found.kind === 'unavailable') return found
      // Behind the redirect: the user takes longer to sign in than this takes, and the callback finds the keys there.
      void room.keys.ready(found.metadata.jwksUri)
      return authorize(room, found.metadata, deps.par ?? 'auto', request)
    },
    redeem: (query, checks, ask) => redeem(room, query, checks, ask),
    refresh: (refreshToken, ask, known) => refresh(room, refreshToken, ask, known),
    answers: room.discovery.probe,
    application: (ask) => application(room, ask),
    exchange: (subject, ask, actor) => exchange(room, subject, ask, actor),
    onBehalfOf: (assertion, ask) => onBehalfOf(room, assertion, ask),
    serviceAccount: (key, subject, ask) => serviceAccount(room, key, subject, ask),
    revoke: room.revoke,
    endSessionUrl: async (hint) => {
      const found = await room.discovery.get()
      return found.kind === 'found' ? endSessionUrl(found.metadata, room.client, hint) : undefined
    },
    readLogoutToken: (token, { requireType }) => readLogoutToken(room, token, requireType),
    readBearerToken: (token, rules) => readBearerToken(room, token, rules),
    issuer: async () => {
      const [issuer, ...others] = (await issuers(room)) ?? []
      return others.length === 0 ? issuer : undefined
    },
    issuers: () => issuers(room),
    logoutOrigins: () => logoutOrigins(deps.issuer, room.discovery.held()?.endSessionEndpoint),
    isKnown: () => room.discovery.held() !== undefined,
    probe,
    close: async () => {
      await connections.close()
      await own?.destroy()
    },
  }
}

/** The issuer's, and that of the page people sign out on, once it is known. */
const logoutOrigins = (issuer: string, endSessionEndpoint: URL | undefined): readonly string[] => [
  ...new Set([new URL(issuer).origin, ...(endSessionEndpoint ? [endSessionEndpoint.origin] : [])]),
]

/** Of several tenants each has its own, and the list says which; without a list there are too many to name. */
const issuers = async ({ client, discovery }: Room): Promise<readonly string[] | undefined> => {
  const found = await discovery.get()
  if (found.kind === 'unavailable') return undefined
  const { issuer } = found.metadata
  return isForm(issuer) ? client.tenants?.map((tenant) => issuerIn(issuer, tenant)) : [issuer]
}

/** RFC 7009 §2. */
const revoke = async (room: Room, token: Secret<'refresh-token'>): Promise<'revoked' | 'unsupported' | 'unavailable'> => {
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return 'unavailable'
  if (!found.metadata.revocationEndpoint) return 'unsupported'
  const { exchange: answered } = await room.call('revocation', found.metadata, room.timeoutMs, (configuration) =>
    tokenRevocation(configuration, token.reveal(), { token_type_hint: 'refresh_token' }),
  )
  // 200 whatever the token was, also an unknown one (§2.2); some answer 204.
  return answered.kind === 'answered' && answered.status < 300 ? 'revoked' : 'unavailable'
}

/** `refused`: the provider answered and said no; `unusable`: 200, but the library would not have it. */
type CallOutcome = 'answered' | 'unusable' | 'refused' | 'unavailable'
const outcomeOf = ({ exchange, accepted }: Call): CallOutcome => {
  if (exchange.kind === 'failed' || exchange.status >= 500 || exchange.status === 429) return 'unavailable'
  if (exchange.status >= 300) return 'refused'
  return accepted ? 'answered' : 'unusable'
}

/** Credential trouble is the operator's to mend today; all else is told by the flows, which know whose request it was. */
const report = (room: Room, grant: string, { exchange }: Call, outcome: CallOutcome, ms: number): void => {
  const facts = { provider: room.name, grant, ms: Math.round(ms) }
  if (outcome === 'answered') return room.log.debug(facts, 'provider answered')
  if (exchange.kind === 'failed') {
    return room.log.warn({ ...facts, cause: exchange.cause, reason: exchange.sent }, 'provider did not answer')
  }
  if (outcome === 'unusable') return room.log.warn({ ...facts, status: exchange.status }, 'provider answer not usable')
  const profile = grant === 'service_account' ? SERVICE_ACCOUNTS : room.client.profile
  const denial = denialOf(exchange, { profile, spent: 'nothing', now: room.clock.now() })
  if (denial.kind === 'refused' && denial.reason === 'credential-rejected') {
    return room.log.error(
      { ...facts, status: exchange.status, ...explained(denial.providerCode) },
      'provider rejected the client credential',
    )
  }
  const code = denial.kind === 'refused' ? denial.providerCode : denial.cause
  room.log.info({ ...facts, status: exchange.status, ...explained(code) }, 'provider answered no')
}

/** The code with what to do about it, where it is one we know: our words, never the provider's. */
const explained = (providerCode: string) => {
  const hint = explainCode(providerCode)?.fix
  return { providerCode, ...(hint !== undefined && { hint }) }
}
