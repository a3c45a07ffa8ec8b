import { PROFILES } from '../domain/profiles/profiles.ts'
import { millis } from '../kernel/time.ts'
import { buildClientAuth, buildCredentialRotation } from './build-credentials.ts'
import { buildRedis } from './build-redis.ts'
import { buildRoute } from './build-routes.ts'
import { resolvePath } from './reference.ts'
import type { Parsed } from './schema.ts'
import { SEVERAL, TENANT_PLACE } from './tenant-place.ts'
import type { Rate } from './units.ts'
import type { FrontendSettings, PagesSettings, ProviderSettings, SessionSettings, Settings } from './settings.ts'

/** From the file's words to ours. `dir`: the folder that relative paths start from. Only for what check.ts has passed. */
export const buildSettings = (parsed: Parsed, dir: string): Settings => {
  const { listen, telemetry, shutdown } = parsed
  const tls = listen.tls && {
    certificateFile: resolvePath(dir, listen.tls.certificate_file),
    privateKeyFile: resolvePath(dir, listen.tls.private_key_file),
  }
  return {
    publicUrl: parsed.public_url,
    basePath: parsed.base_path,
    listen: { public: listen.public, ops: listen.ops, admin: listen.admin, trustedProxies: listen.trusted_proxies, tls },
    providers: { default: buildProvider(parsed.provider, dir) },
    apps: { default: { provider: 'default' } },
    login: { rate: { perAddress: limitOf(parsed.login.rate.per_address), global: limitOf(parsed.login.rate.global) } },
    session: buildSession(parsed.session, dir),
    frontend: parsed.frontend && buildFrontend(parsed.frontend, dir),
    pages: buildPages(parsed.pages, dir),
    userContext: {
      keysDir: optionalPath(dir, parsed.user_context.keys_dir),
      keysSettleMs: millis(parsed.user_context.keys_settle),
      claims: [...new Set(parsed.user_context.claims)],
    },
    routes: parsed.routes.map((route) => buildRoute(route, parsed.provider.profile, dir)),
    telemetry: {
      logLevel: telemetry.log.level,
      audit: telemetry.audit === 'stdout' ? { kind: 'stdout' } : { kind: 'file', file: resolvePath(dir, telemetry.audit.file) },
    },
    shutdown: { delayMs: millis(shutdown.delay), graceMs: millis(shutdown.grace) },
  }
}

const limitOf = (rate: Rate | 'off'): Rate | undefined => (rate === 'off' ? undefined : rate)

const optionalPath = (dir: string, path: string | undefined): string | undefined =>
  path === undefined ? undefined : resolvePath(dir, path)

const buildProvider = (provider: Parsed['provider'], dir: string): ProviderSettings => ({
  profile: provider.profile,
  issuer: issuerOf(provider),
  tenant: provider.tenant,
  tenants: provider.tenants?.map((tenant) => tenant.toLowerCase()),
  homeTenant: provider.home_tenant,
  clientId: provider.client_id,
  clientAuth: provider.client_auth.map((entry) => buildClientAuth(entry, dir)),
  credentialRotation: buildCredentialRotation(provider.credential_rotation),
  scopes: [...new Set(['openid', ...(provider.scopes ?? PROFILES[provider.profile].login.scopes)])],
  target: provider.target,
  rotation: provider.rotation,
  rotationGraceMs: provider.rotation_grace === undefined ? undefined : millis(provider.rotation_grace),
  assertion: { audience: undefined, key: undefined, type: undefined, rsa: undefined, ...provider.assertion },
  groups: { resolve: provider.groups.resolve },
  par: provider.par,
  logout: {
    backchannel: provider.logout.backchannel,
    frontchannel: provider.logout.frontchannel ?? PROFILES[provider.profile].logout.frontchannelByDefault,
    requireType: provider.logout.require_type,
  },
  bearer: {
    audiences: provider.bearer.audiences,
    scopes: [...new Set(provider.bearer.scopes)],
    requireType: provider.bearer.require_type ?? PROFILES[provider.profile].callers.typed,
  },
  caFile: optionalPath(dir, provider.ca_file),
  timeoutMs: millis(provider.timeout),
  insecureAllowHttpIssuer: provider.insecure_allow_http,
})

const issuerOf = ({ issuer, tenant, cloud, profile }: Parsed['provider']): string => {
  const { fixed, hosts } = PROFILES[profile].issuer
  return issuer?.replace(TENANT_PLACE, tenant ?? SEVERAL) ?? fixed ?? `https://${hosts[cloud ?? 'global']}/${tenant}/v2.0`
}

const buildSession = (session: Parsed['session'], dir: string): SessionSettings => ({
  keysDir: optionalPath(dir, session.keys_dir),
  keysSettleMs: millis(session.keys_settle),
  idleTimeoutMs: millis(session.idle_timeout),
  absoluteTimeoutMs: millis(session.absolute_timeout),
  recheckMs: millis(session.recheck),
  recheckGraceMs: millis(session.recheck_grace),
  claims: session.claims,
  store:
    session.store === 'memory'
      ? { kind: 'memory' }
      : { kind: 'redis', redis: buildRedis(session.store.redis, dir), graceMs: millis(session.store.grace) },
  l1: { entriesMax: session.l1.entries_max, bytesMax: session.l1.bytes_max },
})

const buildFrontend = (frontend: NonNullable<Parsed['frontend']>, dir: string): FrontendSettings => {
  const requireSignIn = frontend.require_sign_in
  if (frontend.upstream) return { kind: 'upstream', upstream: frontend.upstream, requireSignIn }
  const { csp, immutable, source_maps: sourceMaps } = frontend
  return { kind: 'dir', dir: resolvePath(dir, frontend.dir ?? '.'), requireSignIn, csp, immutable, sourceMaps }
}

const buildPages = ({ name, accent, support, ...files }: Parsed['pages'], dir: string): PagesSettings => ({
  name,
  accent,
  support: support && { text: support.text, url: support.url },
  logoFile: optionalPath(dir, files.logo_file),
  templateFile: optionalPath(dir, files.template_file),
})
