import { afterEach, expect, it } from 'vitest'
import { ORDERS } from '../../src/dev/apis.ts'
import { Browser } from '../harness/browser.ts'
import { until } from '../harness/processes.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { createWorld, signIn, type World } from '../harness/world.ts'

let world: World
let upstream: Upstream
afterEach(async () => {
  await world.stop()
  await upstream.stop()
})

it('SIGTERM lets a request finish that was still waiting for its token when the listener closed', { timeout: 90_000 }, async () => {
  upstream = await startUpstream()
  world = await createWorld({
    shutdown: '{ delay: 1s, grace: 10s }',
    routes: [
      '  - path: /api/waiting',
      `    upstream: ${upstream.url}`,
      `    token: { principal: app, audience: '${ORDERS}', scopes: [orders.read] }`,
      '    allow: signed_in',
    ],
  })
  const browser = new Browser()
  await signIn(browser, world.url, 'ada')
  world.provider.freeze()
  // Of unknown length, as a stream is: whoever begins one after the streams were told to go is cut.
  const waiting = browser.fetch(`${world.url}/api/waiting/x`)
  const [gateway] = world.gateways
  gateway?.signal('SIGTERM')
  await until('no new connections', () =>
    browser.fetch(`${world.url}/livez`).then(
      () => false,
      (error: unknown) => (error as { code?: string }).code === 'ECONNREFUSED',
    ),
  )
  expect(upstream.seen).toEqual([])
  world.provider.thaw()
  const { status, body } = await waiting
  expect([status, body]).toEqual([200, '{"path":"/api/waiting/x"}'])
  expect(await gateway?.exited).toBe(0)
})
