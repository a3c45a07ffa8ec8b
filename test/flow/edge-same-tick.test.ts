import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { Secret } from '../../src/kernel/secret.ts'
import { instant } from '../../src/kernel/time.ts'
import { edgeHost, fetching, signedIn, type EdgeHost } from '../harness/edge-host.ts'
import { watchSameTick, type SameTick } from '../harness/same-tick.ts'
import { the } from '../harness/the.ts'

const access = {
  key: the.orders.key,
  token: Secret.of('access-token', 'an-access-token'),
  issuedAt: instant(0),
  expiresAt: instant(Number.MAX_SAFE_INTEGER),
  scopes: [],
}

let host: EdgeHost
let cookie: string
let before: SameTick
const counts = watchSameTick(() => true)
const since = (): SameTick => ({ atOnce: counts().atOnce - before.atOnce, later: counts().later - before.later })
beforeAll(async () => {
  host = await edgeHost({ broker: () => ({ peekUser: () => access }) })
  cookie = await signedIn(host)
})
afterAll(() => host.close())
beforeEach(() => {
  before = counts()
})

it.each([
  ['a read', 'GET', '/api/orders/7', undefined],
  ['an upload', 'POST', '/api/orders', 'x'.repeat(100_000)],
  ['one as the application', 'GET', '/api/reports/7', undefined],
  ['one without a session', 'GET', '/public/7', undefined],
])('%s goes to its upstream without an await, when all it needs is in memory', async (_what, method, path, body) => {
  const headers = { ...fetching, cookie, origin: host.origin }
  const got = await host.ask(path, { method, headers, ...(body !== undefined && { body }) })
  expect(got.status).toBe(200)
  expect(since()).toEqual({ atOnce: 1, later: 0 })
})

it('a request whose session is not in memory does wait, and this test can tell', async () => {
  host.broken.memory = true
  try {
    expect((await host.ask('/api/orders/7', { headers: { ...fetching, cookie } })).status).toBe(200)
    expect(since()).toEqual({ atOnce: 0, later: 1 })
  } finally {
    host.broken.memory = false
  }
})
