import { request as send } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { ORDERS } from '../../src/dev/apis.ts'
import { Browser } from '../harness/browser.ts'
import { until } from '../harness/processes.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { createWorld, signIn, type World } from '../harness/world.ts'

const SLOW = 50
const DELAY_SECONDS = 1
const GRACE_SECONDS = 20

describe('SIGTERM', { timeout: 60_000 }, () => {
  let world: World
  let upstream: Upstream
  const begin = async (shutdown: string): Promise<Browser> => {
    upstream = await startUpstream()
    world = await createWorld({
      shutdown,
      routes: [
        '  - path: /api/slow',
        `    upstream: ${upstream.url}`,
        `    token: { principal: user, audience: '${ORDERS}', scopes: [orders.read] }`,
      ],
    })
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    return browser
  }
  afterEach(async () => {
    upstream.release()
    await world.stop()
    await upstream.stop()
  })

  it('is not ready first, goes on serving, lets 50 requests finish, cuts the stream, exits 0 within its bounds', async () => {
    const browser = await begin(`{ delay: ${DELAY_SECONDS}s, grace: ${GRACE_SECONDS}s }`)
    const [gateway] = world.gateways
    const readyz = async (): Promise<number> => (await fetch(`${gateway?.ops}/readyz`)).status
    const slow = Promise.all(Array.from({ length: SLOW }, () => browser.fetch(`${world.url}/api/slow/held`)))
    const cookie = [...browser.cookies('localhost')].map(([name, value]) => `${name}=${value}`).join('; ')
    const streaming = Promise.withResolvers<void>()
    const cut = new Promise<boolean>((resolve) => {
      const headers = { cookie, 'x-csrf': '1', 'sec-fetch-site': 'same-origin' }
      send(`${world.url}/api/slow/events`, { headers, agent: false }, (response) => {
        response.once('data', () => streaming.resolve())
        response.once('close', () => resolve(!response.complete))
      }).end()
    })
    await streaming.promise
    await until('all requests are upstream', () => upstream.held() === SLOW)

    gateway?.signal('SIGTERM')
    const since = performance.now()
    await until('not ready', async () => (await readyz()) === 503)
    // The platform still sends requests until it has noticed: they are served.
    expect((await browser.fetch(`${world.url}/api/orders`)).status).toBe(200)
    expect((await fetch(`${gateway?.ops}/livez`)).status).toBe(200)
    await until('no new connections', () =>
      browser.fetch(`${world.url}/livez`).then(
        () => false,
        (error: unknown) => (error as { code?: string }).code === 'ECONNREFUSED',
      ),
    )
    expect(performance.now() - since).toBeGreaterThan(DELAY_SECONDS * 1000 - 50)
    expect(upstream.held()).toBe(SLOW)
    const released = performance.now()
    upstream.release()
    const answers = await slow
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(Array.from({ length: SLOW }, () => '200 done'))
    expect(await cut).toBe(true)
    expect(await gateway?.exited).toBe(0)
    expect(performance.now() - released, 'the stream holds up nothing').toBeLessThan((GRACE_SECONDS * 1000) / 2)
    expect(performance.now() - since).toBeLessThan((DELAY_SECONDS + GRACE_SECONDS) * 1000)
  })

  it('does not wait for its grace when nothing is left to wait for', async () => {
    const browser = await begin('{ delay: 0s, grace: 20s }')
    expect((await browser.fetch(`${world.url}/api/orders`)).status).toBe(200)
    const since = performance.now()
    world.gateways[0]?.signal('SIGTERM')
    expect(await world.gateways[0]?.exited).toBe(0)
    expect(performance.now() - since).toBeLessThan(15_000)
  })

  it('cuts what is still slow at the end of its grace', async () => {
    const browser = await begin('{ delay: 0s, grace: 1s }')
    const slow = browser.fetch(`${world.url}/api/slow/held`).then(
      ({ status }) => status,
      () => 'cut',
    )
    await until('the request is upstream', () => upstream.held() === 1)
    const since = performance.now()
    world.gateways[0]?.signal('SIGTERM')
    expect(await slow).not.toBe(200)
    expect(await world.gateways[0]?.exited).toBe(0)
    expect(performance.now() - since).toBeLessThan(10_000)
  })
})
