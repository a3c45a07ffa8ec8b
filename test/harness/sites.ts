import { createHash, randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDevProvider } from '../../src/dev/provider.ts'
import { canary } from './canary.ts'
import { freePlaces } from './gateways.ts'
import { type GatewayProcess, startGatewayProcess, until } from './processes.ts'
import { selfSigned } from './self-signed.ts'
import { type Arrival, FRONTEND, PRIVATE, startSitesUpstream } from './sites-content.ts'
import { heard, type HeardExchange, startTlsTap, type TlsTap } from './tls-tap.ts'

/**
 * Several sites as a browser meets them, all on loopback: the gateway with TLS of its own at app.test, an attacker on a subdomain of it and another on a
 * site of his own, and a provider on a third site.
 */
export interface Sites {
  /** Origins, without a slash at the end. */
  readonly app: string
  readonly sub: string
  readonly evil: string
  readonly issuer: string
  /** What Chromium needs to find these hosts and to take their certificate for a good one, HTTP cache included. */
  readonly browserArgs: readonly string[]
  readonly tap: TlsTap
  readonly gateway: GatewayProcess
  /** What the API behind the gateway saw. */
  readonly arrivals: readonly Arrival[]
  /** Method and URL of every request at the provider. */
  readonly providerSaw: readonly string[]
  /** Everything that must stay between gateway, provider and upstream: each token ever issued, and the client's own secret. */
  readonly secrets: ReadonlySet<string>
  /** What went through the tap for a path, from `since` (a length of `tap.exchanges`) on, answered or not. */
  heardAt(path: string, since?: number): HeardExchange[]
  /** The tap's length now, for `since`. */
  mark(): number
  stop(): Promise<void>
}

const CLIENT_ID = 'sallyport-sites'
const AUDIENCE = 'https://api.sites.example/'

export const startSites = async (): Promise<Sites> => {
  const certificate = selfSigned({ kind: 'ec' })
  const [[place], tap] = await Promise.all([freePlaces(1), startTlsTap(certificate)])
  if (!place) throw new Error('there is no free port')
  tap.leadTo(place.public)
  const app = `https://app.test:${tap.port}`
  const clientSecret = canary('clientsecret')
  const secrets = new Set([clientSecret])

  const provider = await startDevProvider({
    port: 0,
    clientId: CLIENT_ID,
    clientSecret,
    redirectUri: `${app}/bff/callback`,
    postLogoutRedirectUri: `${app}/bff/logout/callback`,
    resources: { [AUDIENCE]: ['api.use'] },
    accessTokenSeconds: 300,
  })
  const watched = watchProvider(Number(new URL(provider.issuer).port), (token) => secrets.add(token))
  const upstream = await startSitesUpstream()
  const attackers = await startAttackers(certificate)
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-sites-'))
  const gateway = await startGatewayProcess({
    config: writeConfig(folder, { app, place, certificate, issuer: provider.issuer, upstream: upstream.url }),
    publicPort: place.public,
    opsPort: place.ops,
    env: { CLIENT_SECRET: clientSecret },
  })

  return {
    app,
    sub: `https://sub.app.test:${attackers.port}`,
    evil: `https://evil.test:${attackers.port}`,
    issuer: provider.issuer,
    browserArgs: [
      '--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      // Not --ignore-certificate-errors: that keeps the errors, and with them nothing is ever cached.
      `--ignore-certificate-errors-spki-list=${createHash('sha256')
        .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
        .digest('base64')}`,
    ],
    tap,
    gateway,
    arrivals: upstream.arrivals,
    providerSaw: watched.saw,
    secrets,
    heardAt: (path, since = 0) =>
      tap.exchanges
        .slice(since)
        .map(heard)
        .filter(({ target }) => target === path || target.startsWith(`${path}?`)),
    mark: () => tap.exchanges.length,
    stop: async () => {
      watched.stop()
      await Promise.all([gateway.stop(), provider.stop(), upstream.stop(), attackers.stop(), tap.stop()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Waits until a request for `path` was answered, or the browser has given it up. */
export const answered = async (sites: Sites, path: string, since: number): Promise<HeardExchange[]> => {
  await until(`an answer to ${path}`, () => sites.heardAt(path, since).some(({ status }) => status !== 0), 5_000)
  return sites.heardAt(path, since)
}

const writeConfig = (
  folder: string,
  at: {
    readonly app: string
    readonly place: { readonly public: number; readonly ops: number }
    readonly certificate: { readonly certificate: string; readonly key: string }
    readonly issuer: string
    readonly upstream: string
  },
): string => {
  const put = (path: string, text: string, mode = 0o644): string => {
    const file = join(folder, path)
    writeFileSync(file, text, { mode })
    return file
  }
  const frontend = join(folder, 'frontend')
  const keys = join(folder, 'keys')
  for (const dir of [frontend, keys]) mkdirSync(dir)
  for (const [name, text] of Object.entries(FRONTEND)) put(join('frontend', name), text)
  put('keys/20261101T000000Z-000001.key', randomBytes(32).toString('base64url'), 0o600)
  put('keys/index.key', randomBytes(32).toString('base64url'), 0o600)
  return put(
    'gateway.yaml',
    `
public_url: ${at.app}
listen:
  public: 127.0.0.1:${at.place.public}
  ops: 127.0.0.1:${at.place.ops}
  admin: 'off'
  tls: { certificate_file: ${put('tls.pem', at.certificate.certificate)}, private_key_file: ${put('tls.key', at.certificate.key, 0o600)} }
provider:
  profile: generic
  issuer: ${at.issuer}
  insecure_allow_http: true
  client_id: ${CLIENT_ID}
  client_auth: [{ client_secret: '\${env:CLIENT_SECRET}' }]
session: { keys_dir: ${keys}, store: memory }
frontend: { dir: ${frontend}, require_sign_in: [/app] }
routes:
  - path: /api
    upstream: ${at.upstream}
    token: { principal: user, audience: '${AUDIENCE}', scopes: [api.use] }
telemetry: { log: { level: debug } }
shutdown: { delay: 0s, grace: 2s }
`,
  )
}

/** Sees what the provider is asked and every token it hands out; it runs in this process. */
const watchProvider = (port: number, onToken: (token: string) => void) => {
  const saw: string[] = []
  const listen = (message: unknown): void => {
    const { request, response, server } = message as { request: IncomingMessage; response: ServerResponse; server: Server }
    if ((server.address() as AddressInfo | null)?.port !== port) return
    saw.push(`${request.method ?? ''} ${request.url ?? ''}`)
    if (request.url !== '/token') return
    const end = response.end.bind(response)
    response.end = ((...args: Parameters<typeof end>) => {
      const body: unknown = JSON.parse(String(args[0]))
      for (const [name, value] of Object.entries(body as Record<string, unknown>))
        if (/^(?:access|refresh|id)_token$/.test(name) && typeof value === 'string') onToken(value)
      return end(...args)
    }) as typeof end
  }
  subscribe('http.server.request.start', listen)
  return { saw, stop: () => unsubscribe('http.server.request.start', listen) }
}

/** evil.test and sub.app.test: whatever page an attacker wants. One server, because the host decides what it is to a browser. */
const startAttackers = async ({ certificate, key }: { readonly certificate: string; readonly key: string }) => {
  const server = createTlsServer({ cert: certificate, key }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://attacker')
    const to = url.searchParams.get('to') ?? ''
    request.resume()
    if (url.pathname === '/short') return void response.writeHead(302, { location: to }).end()
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'max-age=600' })
    const shown = to.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
    const links = ['', 'rel="noreferrer"', 'target="_blank"'].map((extra, at) => `<a id="link${at}" href="${shown}" ${extra}>go</a>`)
    const refresh = url.pathname === '/refresh' ? `<meta http-equiv="refresh" content="0;url=${shown}">` : ''
    response.end(`<!doctype html><title>attacker</title>${refresh}<h1>A nice page</h1>${links.join(' ')}`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export { PRIVATE }
