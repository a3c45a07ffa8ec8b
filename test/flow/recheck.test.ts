import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBroker, type RunningBroker } from '../../src/broker/broker.ts'
import { BROKER_DEFAULTS } from '../../src/broker/deps.ts'
import type { Route } from '../../src/domain/route.ts'
import { minutes } from '../../src/kernel/time.ts'
import { edgeHost, fetching, signedIn, type EdgeHost, type Got } from '../harness/edge-host.ts'
import { createFakeProvider, type FakeProviderPort } from '../harness/fake-provider-port.ts'
import { recordingLog } from '../harness/provider-room.ts'
import { aRoute } from '../harness/proxy-host.ts'
import { the } from '../harness/the.ts'

const RECHECK = 10
const GRACE = 15
const MINUTE = 60_000

let host: EdgeHost
let provider: FakeProviderPort
let broker: RunningBroker | undefined
let cookie = ''

const routes = (upstream: URL): readonly Route[] => {
  const at = (name: string, token: Route['token']): Route =>
    aRoute(upstream, { route: { name, path: `/${name}`, upstreamPath: `/${name}`, token, allow: { kind: 'signed-in' } } })
  return [
    at('api/orders', { principal: 'user', ask: { ...the.orders, grant: 'refresh' } }),
    at('api/reports', { principal: 'app', ask: { ...the.reports, grant: 'client_credentials' } }),
    at('api/plain', { principal: 'none' }),
  ]
}

/** The edge and the broker as they are; only the provider is a stand-in. */
beforeEach(async () => {
  host = await edgeHost({
    routes,
    broker: (store, clock) => {
      provider = createFakeProvider({ clock, lifeMs: minutes(60) })
      broker = createBroker({
        store,
        provider,
        clock,
        log: recordingLog().log,
        metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
        audit: { record: () => {} },
        settings: { ...BROKER_DEFAULTS, recheckMs: minutes(RECHECK), recheckGraceMs: minutes(GRACE) },
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
  broker?.close()
  await host.close()
})

const get = (path: string): Promise<Got> => host.ask(path, { headers: { ...fetching, cookie } })
const codeOf = (got: Got): string => (JSON.parse(got.body) as { code: string }).code

describe.each(['/api/reports', '/api/plain'])('a user that the provider knows no more, on %s, which carries no token of theirs', (path) => {
  it('is served within session.recheck without asking, and not beyond', async () => {
    expect((await get(path)).status).toBe(200)
    const asked = provider.sends.length
    host.clock.shift((RECHECK - 1) * MINUTE)
    expect((await get(path)).status).toBe(200)
    expect(provider.sends.length).toBe(asked)

    provider.answerNext({ kind: 'refused', reason: 'grant-rejected', providerCode: 'invalid_grant' })
    host.clock.shift(2 * MINUTE)
    const saw = host.upstreamSaw.length
    const got = await get(path)
    expect([got.status, codeOf(got)]).toEqual([401, 'session.ended'])
    expect(host.upstreamSaw.length).toBe(saw)
    expect((await get(path)).status).toBe(401)
  })

  it('is confirmed by one refresh, whoever asks, and then left alone again', async () => {
    host.clock.shift((RECHECK + 1) * MINUTE)
    const answers = await Promise.all(Array.from({ length: 6 }, () => get(path)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
    expect(provider.sends).toHaveLength(1)
    expect((await get(path)).status).toBe(200)
    expect(provider.sends).toHaveLength(1)
  })

  it('is served up to recheck_grace while the provider is away; then 503, with the session untouched', async () => {
    expect((await get(path)).status).toBe(200)
    provider.away.is = true
    host.clock.shift((RECHECK + 1) * MINUTE)
    expect((await get(path)).status).toBe(200)

    host.clock.shift((GRACE + 1) * MINUTE)
    const saw = host.upstreamSaw.length
    const got = await get(path)
    expect([got.status, codeOf(got)]).toEqual([503, 'provider.unavailable'])
    expect(Number(got.headers['retry-after'])).toBeGreaterThan(0)
    expect(got.headers['set-cookie']).toBeUndefined()
    expect(host.upstreamSaw.length).toBe(saw)
  })
})

it('a provider that is back confirms the session that waited for it', async () => {
  host.clock.shift((RECHECK + GRACE + 1) * MINUTE)
  provider.answerNext({ kind: 'unavailable', sent: 'not-sent', retryAfter: minutes(0.1), cause: 'ECONNREFUSED' })
  expect((await get('/api/reports')).status).toBe(503)
  host.clock.shift(MINUTE)
  expect((await get('/api/reports')).status).toBe(200)
})
