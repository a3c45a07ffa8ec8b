import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ORDERS, RESOURCES, REPORTS, startDemoApis, type DemoApis } from '../../src/dev/apis.ts'
import { Browser, type Answer } from './browser.ts'
import { freePort, startGatewayProcess, startProviderProcess, type GatewayProcess, type ProviderProcess } from './processes.ts'

export interface WorldOptions {
  /** undefined: the memory store. */
  readonly redisUrl?: string | undefined
  readonly replicas?: number
  readonly accessTokenSeconds?: number
  /** YAML lines under `session.store`, indented by four. */
  readonly store?: readonly string[]
  readonly entry?: string
}

export interface World {
  /** The one public URL, whichever replica answers. */
  readonly url: string
  readonly gateways: GatewayProcess[]
  readonly provider: ProviderProcess
  readonly apis: DemoApis
  readonly folder: string
  readonly redisPrefix: string
  readonly clientSecret: string
  /** Replica `at` again, with the same configuration, after it was stopped. */
  restart(at: number): Promise<void>
  stop(): Promise<void>
}

/** The whole gateway as users run it: real processes, the embedded provider as a third, two APIs. One public URL per replica, one redirect URI. */
export const createWorld = async (options: WorldOptions = {}): Promise<World> => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-world-'))
  const clientSecret = randomBytes(32).toString('base64url')
  const redisPrefix = `t${randomBytes(6).toString('hex')}`
  const ports = await Promise.all(
    Array.from({ length: options.replicas ?? 1 }, async () => ({ public: await freePort(), ops: await freePort() })),
  )
  const publicPort = ports[0]?.public ?? 0
  const provider = await startProviderProcess({
    port: 0,
    clientId: 'sallyport-test',
    clientSecret,
    redirectUri: `http://localhost:${publicPort}/bff/callback`,
    postLogoutRedirectUri: `http://localhost:${publicPort}/bff/logout/callback`,
    resources: RESOURCES,
    accessTokenSeconds: options.accessTokenSeconds ?? 300,
  })
  const apis = await startDemoApis({ issuer: provider.issuer, clientId: 'sallyport-test' })
  const keys = mkdtempSync(join(folder, 'keys-'))
  writeFileSync(join(keys, '20261101T000000Z-000001.key'), randomBytes(32).toString('base64url'), { mode: 0o600 })
  writeFileSync(join(keys, 'index.key'), randomBytes(32).toString('base64url'), { mode: 0o600 })

  const begin = async (at: number): Promise<GatewayProcess> => {
    const port = ports[at]
    if (!port) throw new Error(`there is no replica ${at}`)
    const config = join(folder, `gateway-${at}.yaml`)
    const store = options.redisUrl
      ? [`    redis: { url: '${options.redisUrl}', key_prefix: ${redisPrefix} }`, ...(options.store ?? [])]
      : undefined
    writeFileSync(
      config,
      [
        `public_url: http://localhost:${publicPort}`,
        'listen:',
        `  public: 127.0.0.1:${port.public}`,
        `  ops: 127.0.0.1:${port.ops}`,
        `  admin: unix:${join(folder, `admin-${at}.sock`)}`,
        'provider:',
        '  profile: generic',
        `  issuer: ${provider.issuer}`,
        '  insecure_allow_http: true',
        '  client_id: sallyport-test',
        "  client_auth: [{ client_secret: '${env:CLIENT_SECRET}' }]",
        'session:',
        `  keys_dir: ${keys}`,
        ...(store ? ['  store:', ...store] : ['  store: memory']),
        'routes:',
        '  - path: /api/orders',
        `    upstream: ${apis.orders.url}`,
        `    token: { principal: user, audience: '${ORDERS}', scopes: [orders.read, orders.write] }`,
        '  - path: /api/reports',
        `    upstream: ${apis.reports.url}`,
        `    token: { principal: app, audience: '${REPORTS}', scopes: [reports.read] }`,
        '    allow: signed_in',
        'shutdown: { delay: 0s, grace: 2s }',
        '',
      ].join('\n'),
    )
    return startGatewayProcess({
      config,
      publicPort: port.public,
      opsPort: port.ops,
      env: { CLIENT_SECRET: clientSecret },
      ...(options.entry && { entry: options.entry }),
    })
  }

  const gateways = await Promise.all(ports.map((_port, at) => begin(at)))
  return {
    url: `http://localhost:${publicPort}`,
    gateways,
    provider,
    apis,
    folder,
    redisPrefix,
    clientSecret,
    restart: async (at) => {
      gateways[at] = await begin(at)
    },
    stop: async () => {
      await Promise.all([...gateways.map((gateway) => gateway.stop()), provider.stop(), apis.orders.stop(), apis.reports.stop()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Signs in as a person would: the login page of the provider, a choice, back through the callback to `returnTo`. */
export const signIn = async (browser: Browser, gatewayUrl: string, user: string, returnTo = '/'): Promise<Answer> => {
  const page = await browser.navigate(`${gatewayUrl}/bff/login?return_to=${encodeURIComponent(returnTo)}`, { from: new URL(gatewayUrl) })
  return browser.navigate(page.url, {
    method: 'POST',
    body: `user=${user}`,
    from: page.url,
    until: (answer) => answer.url.origin === new URL(gatewayUrl).origin && answer.url.pathname === returnTo,
  })
}
