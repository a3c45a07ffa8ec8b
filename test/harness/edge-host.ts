import { randomBytes } from 'node:crypto'
import { createServer, request as send, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ephemeralKeyring, type VisibleKeyring } from '../../src/crypto/keyring.ts'
import { createUserContextKeys } from '../../src/crypto/user-context.ts'
import { createSealer } from '../../src/crypto/seal.ts'
import { headerDeps } from '../../src/assembly/header-deps.ts'
import type { AuditEvent } from '../../src/domain/audit-event.ts'
import type { Broker } from '../../src/domain/broker.ts'
import type { MetricName, Metrics } from '../../src/domain/metric.ts'
import type { Provider, Redeemed } from '../../src/domain/provider.ts'
import type { Route } from '../../src/domain/route.ts'
import type { SessionDirectory } from '../../src/domain/session-directory.ts'
import type { OnceStore, SessionStore } from '../../src/domain/session-store.ts'
import type { EdgeContext } from '../../src/edge/edge-context.ts'
import type { Frontend } from '../../src/edge/frontend-routes.ts'
import { createFailureLimit } from '../../src/edge/guard-failures.ts'
import { createLoginRate, type Rate } from '../../src/edge/guard-rate.ts'
import type { Pages } from '../../src/edge/pages/layout.ts'
import { proxiedProblem } from '../../src/edge/proxied-problem.ts'
import { createPublicServer } from '../../src/edge/server.ts'
import { endStreamsWithSessions } from '../../src/edge/session-streams.ts'
import { createBearerCallers } from '../../src/flows/bearer-callers.ts'
import { callerIdentity } from '../../src/flows/caller-identity.ts'
import { backchannelLogout } from '../../src/flows/backchannel-logout.ts'
import { createBackground } from '../../src/flows/background.ts'
import { callback } from '../../src/flows/callback.ts'
import { frontchannelLogout } from '../../src/flows/frontchannel-logout.ts'
import { createMinuteLimit } from '../../src/flows/minute-limit.ts'
import { resumeLogin } from '../../src/flows/login-resume.ts'
import { login } from '../../src/flows/login.ts'
import { createLogoutContinue } from '../../src/flows/logout-continue.ts'
import { logout } from '../../src/flows/logout.ts'
import { endMine, mySessions } from '../../src/flows/my-sessions.ts'
import { createUpstreamRejections } from '../../src/flows/upstream-rejections.ts'
import { createRevocations, revokeWithSessions } from '../../src/flows/revocations.ts'
import type { AccessEntry, Facts, Log } from '../../src/kernel/ports.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, type Clock, instant, minutes, seconds, systemClock } from '../../src/kernel/time.ts'
import type { Attempts } from '../../src/login/attempts.ts'
import { createAttempts } from '../../src/login/attempts.ts'
import { returnTo } from '../../src/login/return-to.ts'
import { compileForApplications } from '../../src/policy/decide-application.ts'
import { compileAllow, type RoleSource, roleSources } from '../../src/policy/decide.ts'
import { routeTable } from '../../src/policy/route-table.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { agents } from '../../src/proxy/agents.ts'
import { connections } from '../../src/proxy/connections.ts'
import { createForwarder } from '../../src/proxy/forwarder.ts'
import { trustedProxies } from '../../src/proxy/trusted-proxies.ts'
import { sessionCookieJar } from '../../src/session/cookie.ts'
import { createMemoryStores } from '../../src/session/store-memory.ts'
import { canary } from './canary.ts'
import { freePort } from './free-port.ts'
import { aRoute } from './proxy-host.ts'
import { a, the } from './the.ts'

export interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}
export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string
}

/** Real time that can be put ahead: sockets need real time. */
interface ShiftedClock extends Clock {
  shift(ms: number): void
}
const shiftedClock = (): ShiftedClock => {
  let ahead = 0
  return {
    now: () => instant(Date.now() + ahead),
    sleep: systemClock.sleep,
    shift: (ms) => {
      ahead += ms
    },
  }
}

type Replaceable<T> = { -readonly [K in keyof T]: T[K] }

export interface EdgeHost {
  readonly origin: string
  readonly port: number
  readonly events: AuditEvent[]
  readonly access: AccessEntry[]
  readonly logged: { readonly facts: Facts; readonly message: string }[]
  /** The messages among them that an operator would be shown: warnings and errors. */
  readonly warned: string[]
  readonly clock: ShiftedClock
  readonly store: SessionStore
  /** How often the provider was asked where to go. */
  authorizations(): number
  /** The codes of the problems that were answered, pages included, in this order. */
  problems(): readonly string[]
  /** How often a counter was moved, whatever its labels. */
  counted(name: MetricName): number
  readonly redemptions: string[]
  readonly revoked: string[]
  readonly upstreamSaw: {
    readonly url: string
    readonly authorization: string | undefined
    readonly cookie: string | undefined
    body: string
  }[]
  readonly secrets: string[]
  /** What the ports do instead of working. */
  readonly broken: {
    store: boolean
    /** Nothing is in memory: each request takes the slow way. */
    memory: boolean
    once: boolean
    provider: boolean
    redeem: Redeemed | undefined
    create: 'unavailable' | 'ended-meanwhile' | undefined
    /** Called while a code is being redeemed. */
    whileRedeeming: (() => Promise<void>) | undefined
  }
  /** The ports as flows and edge hold them: a test may put another method in the place of one. */
  readonly ports: {
    readonly store: Replaceable<SessionStore>
    readonly once: Replaceable<OnceStore>
    readonly provider: Replaceable<Provider>
    readonly broker: Replaceable<Broker>
    readonly attempts: Replaceable<Attempts>
  }
  /** Requests the forwarder has not accounted for yet. */
  inFlight(): number
  /** Sockets the public listener holds. */
  connections(): Promise<number>
  ask(path: string, ask?: Ask): Promise<Got>
  close(): Promise<void>
}

/** What a browser sends when it navigates. */
export const navigation = (site: 'same-origin' | 'cross-site' | 'same-site' | 'none' = 'same-origin'): Record<string, string> => ({
  'sec-fetch-site': site,
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  accept: 'text/html',
})
/** What the frontend's fetch sends. */
export const fetching: Record<string, string> = {
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'cors',
  'sec-fetch-dest': 'empty',
  'x-csrf': '1',
}

export const cookiesOf = (got: Got): string[] => got.headers['set-cookie'] ?? []
/** `Cookie` header of a browser that stored these. */
export const jarOf = (...lines: readonly string[]): string => lines.map((line) => line.split(';')[0] ?? '').join('; ')

/** Signs in as Alice and forgets the access lines of it. @returns the `Cookie` header from then on */
export const signedIn = async (host: EdgeHost): Promise<string> => {
  const started = await host.ask('/bff/login', { headers: navigation() })
  const state = new URL(String(started.headers.location)).searchParams.get('state') ?? ''
  const got = await host.ask(`/bff/callback?${new URLSearchParams({ code: 'c', state }).toString()}`, {
    headers: { ...navigation('cross-site'), cookie: jarOf(...cookiesOf(started)) },
  })
  host.access.length = 0
  return jarOf(cookiesOf(got)[0] ?? '')
}

export interface EdgeHostOptions {
  /** The public address is https, as behind an ingress that ends TLS; this host itself still speaks http. */
  readonly https?: boolean
  /** `upstream`: the same server the routes lead to. */
  readonly frontend?: Frontend | 'upstream'
  readonly requireSignIn?: readonly string[]
  /** How the gateway's own pages look; plain unless set. */
  readonly pages?: Pages
  readonly trustedProxies?: readonly string[]
  /** undefined: logins are not limited. */
  readonly loginRate?: { readonly perAddress: Rate | undefined; readonly global: Rate | undefined }
  /** Of the public route: how long an answer may stand still. */
  readonly idleMs?: number
  /** What the upstream does instead of answering `upstream`; what it saw is kept as ever. */
  readonly upstream?: RequestListener
  /** In place of the usual five. */
  readonly routes?: (upstream: URL) => readonly Route[]
  /** Where roles are read; as the generic profile does unless set. */
  readonly roleSources?: readonly RoleSource[]
  readonly contextClaims?: readonly string[]
  readonly contextKeyring?: VisibleKeyring
  /** What the broker does instead of handing out one token to everybody. */
  readonly broker?: (store: SessionStore, clock: Clock) => Partial<Broker>
}

/** The public listener on loopback over the real rooms: memory store, seals, attempts, policy, forwarder. Only provider and broker are stand-ins. */
export const edgeHost = async (options: EdgeHostOptions = {}): Promise<EdgeHost> => {
  const port = await freePort()
  const https = options.https === true
  const publicUrl = new URL(`${https ? 'https' : 'http'}://localhost:${port}`)
  const clock = shiftedClock()
  const events: AuditEvent[] = []
  const access: AccessEntry[] = []
  const logged: EdgeHost['logged'] = []
  const audit = { record: (event: AuditEvent): void => void events.push(event) }
  const line = (facts: Facts, message: string): void => void logged.push({ facts, message })
  const warned: string[] = []
  const loud = (facts: Facts, message: string): void => {
    warned.push(message)
    line(facts, message)
  }
  const log: Log = { debug: line, info: line, warn: loud, error: loud }
  const counts = new Map<MetricName, number>()
  const metrics: Metrics = { count: (name) => void counts.set(name, (counts.get(name) ?? 0) + 1), gauge: () => {}, observe: () => {} }
  const sealer = createSealer({ keyring: ephemeralKeyring(clock.now()) })
  const userContext = createUserContextKeys(options.contextKeyring ?? ephemeralKeyring(clock.now()))
  const upstreamSaw: EdgeHost['upstreamSaw'] = []
  const upstream = createServer((request, response) => {
    const { authorization, cookie } = request.headers
    const seen = { url: request.url ?? '', authorization, cookie, body: '' }
    upstreamSaw.push(seen)
    if (options.upstream) return options.upstream(request, response)
    if (request.url?.endsWith('/events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: hello\n\n')
      return
    }
    request.setEncoding('utf8').on('data', (chunk: string) => {
      seen.body += chunk
    })
    request.on('end', () => response.end('upstream'))
  })
  const upstreamUrl = new URL(`http://127.0.0.1:${await listening(upstream)}`)

  const real = createMemoryStores({
    sealer,
    clock,
    log,
    metrics,
    audit,
    app: 'default',
    replica: 'r1',
    settings: { idleTimeoutMs: minutes(60), graceMs: seconds(0), l1: { entriesMax: 100, bytesMax: 1 << 20 } },
  })
  const broken: EdgeHost['broken'] = {
    store: false,
    memory: false,
    once: false,
    provider: false,
    redeem: undefined,
    create: undefined,
    whileRedeeming: undefined,
  }
  const store: SessionStore = {
    ...real.sessions,
    peek: (cookie, now) => (broken.store || broken.memory ? undefined : real.sessions.peek(cookie, now)),
    open: async (cookie) => (broken.store ? { kind: 'unavailable' } : real.sessions.open(cookie)),
    end: async (ref, reason) => (broken.store ? 'unavailable' : real.sessions.end(ref, reason)),
    create: async (draft) => (broken.create ? { kind: broken.create } : real.sessions.create(draft)),
  }
  const once: OnceStore = { ...real.once, claim: async (...args) => (broken.once ? 'unavailable' : real.once.claim(...args)) }

  const secrets = { access: canary('access'), refresh: canary('refresh'), id: canary('id'), code: canary('code') }
  const redemptions: string[] = []
  let authorizations = 0
  const revoked: string[] = []
  const profile: Provider['profile'] = { ...profileOf('generic'), logoutHint: 'id-token' }
  const provider: Provider = {
    name: 'default',
    profile,
    requestTimeoutMs: seconds(5),
    answers: async () => !broken.provider,
    authorizationUrl: async ({ state, extras }) => {
      authorizations += 1
      return broken.provider
        ? { kind: 'unavailable', retryAfter: seconds(7), cause: 'ECONNREFUSED' }
        : {
            kind: 'url',
            url: `https://login.example.com/authorize?${new URLSearchParams({ state: state.reveal(), ...extras }).toString()}`,
          }
    },
    redeem: async (query) => {
      redemptions.push(query.get('code') ?? '')
      await broken.whileRedeeming?.()
      if (broken.redeem) return broken.redeem
      const now = clock.now()
      const draft = a.draft({ now })
      return {
        kind: 'signed-in',
        issuer: the.issuer,
        subject: the.alice.sub,
        tenant: undefined,
        providerSessionId: `ps-${randomBytes(4).toString('hex')}`,
        authTime: now,
        issuedAt: now,
        claims: draft.grant.claims,
        idToken: Secret.of('id-token', secrets.id),
        refreshToken: Secret.of('refresh-token', secrets.refresh),
        refreshEndsAt: undefined,
        scopes: draft.grant.scopes,
        access: undefined,
      }
    },
    refresh: async () => ({ kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'unused' }),
    application: async () => ({ kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'unused' }),
    exchange: async () => ({ kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'unused' }),
    onBehalfOf: async () => ({ kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'unused' }),
    serviceAccount: async () => ({ kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'unused' }),
    revoke: async (token) => {
      revoked.push(token.reveal())
      return 'revoked'
    },
    endSessionUrl: async ({ idToken }) =>
      Secret.of('logout-url', `https://login.example.com/logout?id_token_hint=${idToken?.reveal() ?? ''}`),
    readLogoutToken: async () => ({ kind: 'unavailable', retryAfter: seconds(1), cause: 'unused' }),
    readBearerToken: async () => ({ kind: 'unavailable', retryAfter: seconds(1), cause: 'unused' }),
    issuer: async () => (broken.provider ? undefined : the.issuer),
    issuers: async () => (broken.provider ? undefined : [the.issuer]),
    logoutOrigins: () => ['https://login.example.com'],
  }
  const token = { key: the.orders.key, token: Secret.of('access-token', secrets.access), issuedAt: clock.now(), scopes: [] }
  const issued = { ...token, expiresAt: after(clock.now(), minutes(5)) }
  const broker: Broker = {
    peekUser: () => undefined, // each request takes the slow path unless a test says otherwise
    user: async () => ({ kind: 'issued', access: issued }),
    peekApp: () => issued,
    app: async () => ({ kind: 'issued', access: issued }),
    peekBearer: () => issued,
    bearer: async () => ({ kind: 'issued', access: issued }),
    replace: async () => ({ kind: 'refused', code: 'token.audience-denied' }),
    isConfirmed: () => true,
    confirm: async () => ({ kind: 'confirmed' }),
    refreshNow: async ({ session }) => ({ kind: 'refreshed', session }),
    ...options.broker?.(store, clock),
  }

  const jar = sessionCookieJar(publicUrl)
  const proxies = trustedProxies(options.trustedProxies ?? [])
  const accessLog = { record: (entry: AccessEntry): void => void access.push(entry) }
  const context: EdgeContext = {
    origin: publicUrl.origin,
    host: publicUrl.host,
    https,
    basePath: '/bff',
    problems: { https, loginPath: '/bff/login', ...(options.pages && { pages: options.pages }) },
    cookies: jar,
    proxies,
    access: accessLog,
    audit,
    metrics,
    log,
    clock,
  }
  const attempts = createAttempts({ sealer, app: 'default', provider: 'default', publicUrl, clock })
  const background = createBackground(clock)
  const toPath = (raw: string | undefined): string => returnTo(raw, publicUrl)
  const shared = { app: 'default', provider, attempts, store, audit, clock, ask: undefined, background, once }
  const loginDeps = {
    ...shared,
    returnTo: toPath,
    scopes: ['openid'],
    metrics,
    rate: createLoginRate({ perAddress: undefined, global: undefined, ...options.loginRate, clock, log }),
  }
  const continuation = createLogoutContinue({ app: 'default', once, sealer })
  const revocations = createRevocations({ provider, once, audit, metrics, clock })
  revokeWithSessions(store, revocations)
  const notices = { ...shared, metrics, requireType: false, unknown: createMinuteLimit(600), rejections: createMinuteLimit(600) }
  const directory: SessionDirectory = {
    ...real.directory,
    ofSubject: async (...args) => (broken.store ? 'unavailable' : real.directory.ofSubject(...args)),
    isOfSubject: async (...args) => (broken.store ? 'unavailable' : real.directory.isOfSubject(...args)),
  }
  const mine = { store, directory, audit }
  const routes = options.routes?.(upstreamUrl) ?? [
    aRoute(upstreamUrl, { route: { token: { principal: 'user', ask: { ...the.orders, grant: 'refresh' } } } }),
    aRoute(upstreamUrl, {
      route: {
        name: 'api/reports',
        path: '/api/reports',
        upstreamPath: '/api/reports',
        token: { principal: 'app', ask: { ...the.reports, grant: 'client_credentials' } },
        allow: { kind: 'role', anyOf: ['reader'] },
      },
    }),
    aRoute(upstreamUrl, {
      route: {
        name: 'api/admin',
        path: '/api/admin',
        upstreamPath: '/api/admin',
        allow: { kind: 'role', anyOf: ['admin'] },
        token: { principal: 'none' },
      },
    }),
    aRoute(upstreamUrl, {
      route: {
        name: 'export',
        path: '/api/orders/export',
        upstreamPath: '/api/orders/export',
        allow: { kind: 'role', anyOf: ['admin'] },
        token: { principal: 'none' },
      },
    }),
    aRoute(upstreamUrl, {
      route: { name: 'public', path: '/public', upstreamPath: '/public', allow: undefined, methods: ['GET'], token: { principal: 'none' } },
      ...(options.idleMs !== undefined && { limits: { bodyTimeoutMs: options.idleMs } }),
    }),
  ]
  const open = connections(clock)
  const pools = agents()
  const sources = options.roleSources ?? roleSources('generic', the.clientId)
  const decide = (route: Route) => route.allow && compileAllow(route.allow, sources)
  const forwarder = createForwarder({
    agents: pools,
    ...headerDeps(publicUrl, routes),
    trustedProxies: proxies,
    accessLog,
    log,
    metrics,
    connections: open,
    isDraining: () => false,
    problem: proxiedProblem(context.problems),
    onRejected: createUpstreamRejections({ broker, store, decide, log, metrics, audit, clock }).note,
  })
  endStreamsWithSessions(store, open, clock)
  const app = await createPublicServer({
    context,
    login: {
      login: (request) => login(loginDeps, request),
      callback: (request) => callback({ ...shared, metrics, absoluteTimeout: minutes(600) }, request),
      resume: (request) => resumeLogin({ ...loginDeps, sessions: store }, request),
      store,
      returnTo: toPath,
      setCookie: jar.set,
    },
    logout: { logout: (request) => logout({ ...shared, revocations, continuation }, request), continuation },
    providerLogout: {
      backchannel: (token, visitor) => backchannelLogout(notices, token, visitor),
      frontchannel: (query, visitor) => frontchannelLogout(notices, query, visitor),
      frontchannelOrigins: provider.logoutOrigins,
      store,
    },
    formTimeoutMs: 1_000,
    session: { store, broker, view: { idleTimeout: minutes(60), recheck: minutes(60), claims: ['sub', 'name'] } },
    mySessions: {
      store,
      list: (held) => mySessions(mine, held),
      end: (held, ref, visitor) => endMine(mine, held, ref, visitor),
      endOwn: (sessionCookie, visitor) => logout({ ...shared, revocations, continuation }, { sessionCookie, reason: 'local', visitor }),
    },
    proxy: {
      table: routeTable(routes, ['/bff']),
      decide,
      store,
      broker,
      forwarder,
      idleTimeout: minutes(60),
      identity: (route) => callerIdentity({ sign: userContext.sign, claims: options.contextClaims ?? [], issuer: publicUrl.origin }, route),
      bearer: {
        callers: createBearerCallers({
          provider,
          audiences: [publicUrl.origin],
          requireType: true,
          limit: createFailureLimit({ count: 60, perMs: minutes(1) }),
          audit,
          metrics,
          clock,
        }),
        decideForApplications: (route) => route.allow && compileForApplications(route.allow, sources),
      },
    },
    wellKnown: {
      contextKeys: userContext.jwks,
      resources: {
        routes: routes.filter(({ callers }) => callers?.includes('bearer')),
        issuers: () => provider.issuers(),
        scopes: ['gateway'],
      },
    },
    frontend: { frontend: frontendOf(options.frontend, upstreamUrl), requireSignIn: options.requireSignIn ?? [], store, forwarder },
  })
  await app.listen({ host: '127.0.0.1', port })

  return {
    origin: publicUrl.origin,
    port,
    events,
    access,
    logged,
    warned,
    clock,
    store,
    authorizations: () => authorizations,
    problems: () => logged.flatMap(({ facts, message }) => (message === 'request answered with a problem' ? [facts.code ?? ''] : [])),
    counted: (name) => counts.get(name) ?? 0,
    redemptions,
    revoked,
    upstreamSaw,
    secrets: Object.values(secrets),
    broken,
    ports: { store, once, provider, broker, attempts },
    inFlight: () => forwarder.inFlight(),
    connections: () => new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count))),
    ask: (path, ask = {}) => exchange(port, publicUrl.host, path, ask),
    close: async () => {
      open.endAll()
      app.server.closeAllConnections()
      await app.close()
      await pools.destroy()
      forwarder.close()
      upstream.closeAllConnections()
      upstream.close()
      await store.close()
    },
  }
}

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))

const exchange = (port: number, host: string, path: string, { method = 'GET', headers = {}, body }: Ask): Promise<Got> =>
  new Promise((resolve, reject) => {
    const outgoing = send({ host: '127.0.0.1', port, path, method, headers: { host, ...headers }, agent: false }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      incoming.on('end', () => {
        const { headers: got, rawHeaders, statusCode = 0 } = incoming
        resolve({ status: statusCode, headers: got, rawHeaders, body: text })
      })
      incoming.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })

const frontendOf = (wanted: EdgeHostOptions['frontend'], upstream: URL): Frontend => {
  if (wanted !== 'upstream') return wanted ?? { kind: 'none' }
  const everything = { name: 'frontend', path: '', upstreamPath: '', allow: undefined, token: { principal: 'none' } } as const
  return { kind: 'upstream', route: aRoute(upstream, { route: everything }) }
}
