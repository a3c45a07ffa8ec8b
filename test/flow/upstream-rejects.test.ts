import { afterEach, beforeEach, expect, it } from 'vitest'
import { createBroker, type RunningBroker } from '../../src/broker/broker.ts'
import { BROKER_DEFAULTS } from '../../src/broker/deps.ts'
import type { Route } from '../../src/domain/route.ts'
import { minutes } from '../../src/kernel/time.ts'
import { edgeHost, fetching, signedIn, type EdgeHost, type Got } from '../harness/edge-host.ts'
import { createFakeProvider, type FakeProviderPort } from '../harness/fake-provider-port.ts'
import { recordingLog } from '../harness/provider-room.ts'
import { aRoute } from '../harness/proxy-host.ts'
import { the } from '../harness/the.ts'

let host: EdgeHost
let provider: FakeProviderPort
let broker: RunningBroker | undefined
let cookie = ''
/** What the API takes for invalid: it changed its keys, or simply refuses all. */
let isInvalid: (authorization: string) => boolean
let tokensSeen: string[]

const routes = (upstream: URL): readonly Route[] => {
  const at = (name: string, token: Route['token']): Route =>
    aRoute(upstream, { route: { name, path: `/${name}`, upstreamPath: `/${name}`, token, allow: { kind: 'signed-in' } } })
  return [
    at('api/orders', { principal: 'user', ask: { ...the.orders, grant: 'refresh' } }),
    at('api/reports', { principal: 'app', ask: { ...the.reports, grant: 'client_credentials' } }),
  ]
}

/** Edge, forwarder, flow and broker as they are; an API that says no, and a stand-in for the provider. */
beforeEach(async () => {
  tokensSeen = []
  isInvalid = () => false
  host = await edgeHost({
    routes,
    upstream: (request, response) => {
      const { authorization = '' } = request.headers
      tokensSeen.push(authorization)
      request.resume().on('end', () => {
        if (!isInvalid(authorization)) response.end('yes')
        else response.writeHead(401, { 'www-authenticate': 'Bearer realm="secret-realm", error="invalid_token"' }).end('no')
      })
    },
    broker: (store, clock) => {
      provider = createFakeProvider({ clock, lifeMs: minutes(60) })
      broker = createBroker({
        store,
        provider,
        clock,
        log: recordingLog().log,
        metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
        audit: { record: () => {} },
        settings: { ...BROKER_DEFAULTS, recheckMs: minutes(60), recheckGraceMs: minutes(60) },
        asks: [the.orders],
      })
      return broker
    },
  })
  const { redeem } = host.ports.provider
  host.ports.provider.redeem = async (...args) => {
    const signedInNow = await redeem(...args)
    return signedInNow.kind === 'signed-in' ? { ...signedInNow, refreshToken: provider.grant(the.alice.sub) } : signedInNow
  }
  cookie = await signedIn(host)
})
afterEach(async () => {
  const told = JSON.stringify([host.logged, host.events, host.access])
  for (const token of tokensSeen) expect(told).not.toContain(token.replace('Bearer ', ''))
  expect(told).not.toContain('secret-realm')
  broker?.close()
  await host.close()
})

const ask = (path: string, method = 'GET'): Promise<Got> =>
  host.ask(path, { method, headers: { ...fetching, cookie }, ...(method === 'POST' && { body: '{}' }) })
/** All that were handed out so far are invalid from now on. */
const changeKeys = (): void => {
  const old = new Set(tokensSeen)
  isInvalid = (authorization) => old.has(authorization)
}

it.each([
  ['/api/orders', () => provider.sends.length],
  ['/api/reports', () => provider.applications.length],
])('nobody notices when an API changes its keys: %s', async (path, calls) => {
  expect((await ask(path)).status).toBe(200)
  const before = calls()
  changeKeys()
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask(path)))
  expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [200, 'yes']))
  expect(calls() - before).toBe(1)
  expect((await ask(path)).status).toBe(200)
  expect(calls() - before).toBe(1)
  expect(host.events.filter(({ event }) => event === 'token.rejected-upstream')).toHaveLength(1)
})

it('a POST is not sent twice: it gets the API’s own answer, without its challenge, and the next one works', async () => {
  expect((await ask('/api/orders', 'POST')).status).toBe(200)
  changeKeys()
  const seen = tokensSeen.length
  const got = await ask('/api/orders', 'POST')
  expect([got.status, got.body, got.headers['www-authenticate']]).toEqual([401, 'no', undefined])
  expect(tokensSeen.length - seen).toBe(1)
  // The replacement was asked for behind it.
  while (host.events.every(({ event }) => event !== 'token.rejected-upstream')) await new Promise((resolve) => setImmediate(resolve))
  expect((await ask('/api/orders', 'POST')).status).toBe(200)
})

it('an API that refuses whatever it is sent costs the provider one call a minute, and its 401 arrives', async () => {
  isInvalid = () => true
  const before = provider.sends.length
  for (let i = 0; i < 10; i += 1) expect((await ask('/api/orders')).status).toBe(401)
  // The first token, and the one in its place.
  expect(provider.sends.length - before).toBe(2)
  host.clock.shift(61_000)
  expect((await ask('/api/orders')).status).toBe(401)
  expect(provider.sends.length - before).toBe(3)
  expect(host.counted('sallyport_broker_upstream_rejections_total')).toBeGreaterThan(10)
  const lines = host.logged.filter(({ message }) => message === 'upstream rejected our token')
  expect(lines[0]?.facts).toMatchObject({ route: 'api/orders', audience: 'api://orders', upstreamCode: 'invalid_token', status: 401 })
  expect(host.warned.filter((message) => message === 'upstream rejected our token').length).toBeLessThanOrEqual(2)
})

it('a session that turns out to be over is told so, rather than what the API said of its token', async () => {
  expect((await ask('/api/orders')).status).toBe(200)
  changeKeys()
  provider.answerNext({ kind: 'refused', reason: 'grant-rejected', providerCode: 'invalid_grant' })
  for (let i = 0; i < 2; i += 1) {
    const got = await ask('/api/orders')
    expect([got.status, (JSON.parse(got.body) as { code: string }).code]).toEqual([401, 'session.ended'])
  }
})
