import { Server as TlsServer } from 'node:tls'
import type { Settings } from '../config/settings.ts'
import type { UserContextKeys } from '../crypto/user-context.ts'
import { ENDPOINTS } from '../contract/paths.ts'
import type { Route } from '../domain/route.ts'
import type { EdgeContext } from '../edge/edge-context.ts'
import { createFailureLimit } from '../edge/guard-failures.ts'
import { METADATA_PATH } from '../edge/protected-resource.ts'
import { createLoginRate } from '../edge/guard-rate.ts'
import { proxiedProblem } from '../edge/proxied-problem.ts'
import { createPublicServer } from '../edge/server.ts'
import { endStreamsWithSessions } from '../edge/session-streams.ts'
import { backchannelLogout } from '../flows/backchannel-logout.ts'
import { createBearerCallers } from '../flows/bearer-callers.ts'
import { callerIdentity, type CallerIdentityDeps } from '../flows/caller-identity.ts'
import { createBackground } from '../flows/background.ts'
import { callback } from '../flows/callback.ts'
import { frontchannelLogout } from '../flows/frontchannel-logout.ts'
import { createMinuteLimit, REJECTIONS_PER_MINUTE, UNKNOWN_PER_MINUTE } from '../flows/minute-limit.ts'
import { createLogoutContinue } from '../flows/logout-continue.ts'
import { logout } from '../flows/logout.ts'
import { endMine, mySessions } from '../flows/my-sessions.ts'
import { resumeLogin } from '../flows/login-resume.ts'
import { login } from '../flows/login.ts'
import { createRevocations, revokeWithSessions } from '../flows/revocations.ts'
import { createUpstreamRejections } from '../flows/upstream-rejections.ts'
import type { FileWatch } from '../kernel/file-watch.ts'
import type { Clock } from '../kernel/time.ts'
import { minutes, systemClock } from '../kernel/time.ts'
import { openTlsPair } from '../kernel/tls-files.ts'
import type { TlsPair } from '../kernel/tls-files.ts'
import { createAttempts } from '../login/attempts.ts'
import { returnTo } from '../login/return-to.ts'
import { compileForApplications } from '../policy/decide-application.ts'
import { compileAllow, roleSources } from '../policy/decide.ts'
import { routeTable } from '../policy/route-table.ts'
import { agents } from '../proxy/agents.ts'
import { connections } from '../proxy/connections.ts'
import { createForwarder } from '../proxy/forwarder.ts'
import { trustedProxies } from '../proxy/trusted-proxies.ts'
import { sessionCookieJar } from '../session/cookie.ts'
import { frontendOf } from './frontend.ts'
import { headerDeps } from './header-deps.ts'
import { pagesOf } from './pages.ts'
import { APP, type Rooms } from './rooms.ts'
import type { Telemetry } from './telemetry.ts'
import { watchUpstreamFiles } from './upstream-files.ts'

export type PublicEdge = Awaited<ReturnType<typeof wirePublicEdge>>

/** The flows over the rooms, and the public listener over the flows. Listens when `start` says so. */
export const wirePublicEdge = async (
  settings: Settings,
  telemetry: Telemetry,
  rooms: Rooms,
  watch: FileWatch,
  clock: Clock,
  isDraining: () => boolean,
) => {
  const { audit, log, metrics, access } = telemetry
  const { store, once, provider, broker, sealer, asks, routes } = rooms
  const { publicUrl, basePath, session } = settings
  const https = publicUrl.protocol === 'https:'
  const jar = sessionCookieJar(publicUrl)
  const proxies = trustedProxies(settings.listen.trustedProxies)
  const context: EdgeContext = {
    origin: publicUrl.origin,
    host: publicUrl.host,
    https,
    basePath,
    problems: { https, loginPath: `${basePath}${ENDPOINTS.login}`, pages: pagesOf(settings.pages) },
    cookies: jar,
    proxies,
    access,
    audit,
    metrics,
    log,
    clock,
  }

  // 1. Flows.
  const background = createBackground(clock)
  const attempts = createAttempts({ sealer, app: APP, provider: provider.name, publicUrl, clock })
  const toPath = (raw: string | undefined): string => returnTo(raw, publicUrl, basePath)
  const shared = { app: APP, provider, attempts, store, once, audit, metrics, clock, background, ask: asks[0] }
  const scopes = [...new Set([...settings.providers.default.scopes, ...asks.flatMap((ask) => ask.scopes)])]
  // By this machine's clock: a correction of the fleet's would fill its buckets or mute it.
  const rate = createLoginRate({ ...settings.login.rate, clock: systemClock, log })
  const loginDeps = { ...shared, returnTo: toPath, scopes, rate }
  const continuation = createLogoutContinue({ app: APP, once, sealer })
  const revocations = createRevocations({ provider, once, audit, metrics, clock })
  const { backchannel, frontchannel, requireType } = settings.providers.default.logout
  const notices = {
    provider,
    store,
    once,
    audit,
    metrics,
    clock,
    background,
    requireType,
    unknown: createMinuteLimit(UNKNOWN_PER_MINUTE),
    rejections: createMinuteLimit(REJECTIONS_PER_MINUTE),
  }

  const mine = { store, directory: rooms.directory, audit }

  // 2. Proxy. All its files are read now: a missing one is found at the start.
  const pools = agents()
  const open = connections(clock)
  const sources = roleSources(settings.providers.default.profile, settings.providers.default.clientId)
  const decide = (route: Route) => route.allow && compileAllow(route.allow, sources)
  const rejections = createUpstreamRejections({ broker, store, decide, log, metrics, audit, clock })
  const forwarder = createForwarder({
    agents: pools,
    ...headerDeps(publicUrl, routes),
    trustedProxies: proxies,
    accessLog: access,
    log,
    metrics,
    connections: open,
    isDraining,
    problem: proxiedProblem(context.problems),
    onRejected: rejections.note,
  })
  const frontend = await frontendOf(settings)
  const takers = routes.filter(({ callers }) => callers?.includes('bearer'))
  const { bearer } = settings.providers.default
  watchUpstreamFiles(routes, pools, { watch, log })
  for (const route of [...routes, ...(frontend.kind === 'upstream' ? [frontend.route] : [])]) pools.poolFor(route)
  // What follows an end, whoever brings it about.
  const following = [endStreamsWithSessions(store, open, clock), revokeWithSessions(store, revocations)]

  // 3. The listener.
  const waiting = { count: 0 }
  // Its certificate is replaced while it listens: new connections get the new one, those that stand go on as they are.
  const use = (pair: TlsPair): void => void (app.server instanceof TlsServer && app.server.setSecureContext(pair))
  const tls = settings.listen.tls && openTlsPair(settings.listen.tls, { setting: 'listen.tls', log, use })
  const app = await createPublicServer({
    context,
    login: {
      login: (request) => login(loginDeps, request),
      callback: (request) => callback({ ...shared, absoluteTimeout: session.absoluteTimeoutMs }, request),
      resume: (request) => resumeLogin({ ...loginDeps, sessions: store }, request),
      store,
      returnTo: toPath,
      setCookie: jar.set,
    },
    logout: { logout: (request) => logout({ ...shared, revocations, continuation }, request), continuation },
    providerLogout: {
      backchannel: backchannel ? (token, visitor) => backchannelLogout(notices, token, visitor) : undefined,
      frontchannel: frontchannel ? (query, visitor) => frontchannelLogout(notices, query, visitor) : undefined,
      frontchannelOrigins: provider.logoutOrigins,
      store,
    },
    session: { store, broker, view: { idleTimeout: session.idleTimeoutMs, recheck: session.recheckMs, claims: session.claims } },
    mySessions: {
      store,
      list: (held) => mySessions(mine, held),
      end: (held, ref, visitor) => endMine(mine, held, ref, visitor),
      endOwn: (sessionCookie, visitor) => logout({ ...shared, revocations, continuation }, { sessionCookie, reason: 'local', visitor }),
    },
    proxy: {
      table: routeTable(routes, [basePath, '/.well-known/sallyport', ...(takers.length > 0 ? [METADATA_PATH] : [])]),
      decide,
      store,
      broker,
      forwarder,
      waiting,
      idleTimeout: session.idleTimeoutMs,
      identity: (route: Route) => callerIdentity(rooms.userContext && contextDeps(settings, rooms.userContext), route),
      bearer:
        takers.length === 0
          ? undefined
          : {
              callers: createBearerCallers({
                provider,
                ...bearer,
                limit: createFailureLimit({ count: BEARER_FAILURES, perMs: minutes(1) }),
                audit,
                metrics,
                clock,
              }),
              decideForApplications: (route: Route) => route.allow && compileForApplications(route.allow, sources),
            },
    },
    wellKnown: {
      clientKeys: rooms.credential.publicKeys,
      contextKeys: rooms.userContext && (() => rooms.userContext?.jwks() ?? { keys: [] }),
      resources: { routes: takers, issuers: provider.issuers, scopes: bearer.scopes },
    },
    frontend: { frontend, requireSignIn: settings.frontend?.requireSignIn ?? [], store, forwarder },
    tls: tls?.now(),
  })
  if (tls) watch.add('listen.tls', tls.look)
  return {
    app,
    open,
    forwarder,
    waiting,
    pools,
    background,
    revocations,
    unsubscribe: () => following.forEach((stop) => stop()),
  }
}

/** What one address may get wrong in a minute, before it has to wait. */
const BEARER_FAILURES = 60

const contextDeps = ({ publicUrl, userContext }: Settings, { sign }: UserContextKeys): CallerIdentityDeps => ({
  sign,
  claims: userContext.claims,
  issuer: publicUrl.origin,
})
