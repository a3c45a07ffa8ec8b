import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type EdgeHost, edgeHost, fetching, type Got, signedIn } from '../harness/edge-host.ts'

/** When a session is over, whoever holds its cookie. The hot way asks memory, the cold way the store. */
let host: EdgeHost
let cookie: string
beforeEach(async () => {
  host = await edgeHost()
  cookie = await signedIn(host)
})
afterEach(() => host.close())

const MINUTE = 60_000
const ask = (path: string, method = 'GET'): Promise<Got> => host.ask(path, { method, headers: { ...fetching, cookie } })
const over = async (): Promise<void> => {
  for (const path of ['/api/orders', '/api/reports', '/bff/user', '/bff/session']) {
    const got = await ask(path)
    expect([got.status, JSON.parse(got.body)], path).toMatchObject([401, { code: 'session.ended', login_url: '/bff/login' }])
    expect(got.headers['set-cookie']).toBeUndefined()
  }
  expect((await ask('/bff/session/refresh', 'POST')).status).toBe(401)
  expect(host.upstreamSaw).toEqual([])
}

describe.each([
  ['hot', false],
  ['cold', true],
])('%s', (_way, isCold) => {
  beforeEach(() => {
    host.broken.memory = isCold
  })
  it('a session that nobody used for the idle timeout is over, although the browser still sends its cookie', async () => {
    host.clock.shift(60 * MINUTE)
    await over()
    expect(host.events).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'idle' }))
  })
  it('a session in use all the time is over at its absolute end', async () => {
    for (let passed = 0; passed < 590; passed += 30) {
      expect((await ask('/bff/user')).status).toBe(200)
      host.clock.shift(30 * MINUTE)
    }
    host.upstreamSaw.length = 0
    await over()
    expect(host.events).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'absolute' }))
  })
  it('watching the timers keeps nothing alive', async () => {
    for (let n = 0; n < 5; n += 1) {
      host.clock.shift(11 * MINUTE)
      for (const path of ['/bff/session', '/bff/user?slide=false']) expect((await ask(path)).status).toBe(200)
    }
    host.clock.shift(6 * MINUTE)
    await over()
  })
  it('one that is over stays over, though the clock be set back an hour', async () => {
    host.clock.shift(61 * MINUTE)
    await over()
    host.clock.shift(-61 * MINUTE)
    await over()
  })
  it('a sign-out is final for every copy of the cookie, at once', async () => {
    for (let n = 0; n < 3; n += 1) expect((await ask('/bff/user')).status).toBe(200)
    expect((await ask('/bff/logout', 'POST')).status).toBe(200)
    await over()
  })
})

it('the answer says when, so that a page need not guess', async () => {
  const { session } = JSON.parse((await ask('/bff/user')).body) as { session: { ends_in_seconds: number; timeout_in_seconds: number } }
  expect(session.timeout_in_seconds).toBeGreaterThan(3590)
  expect(session.ends_in_seconds).toBeGreaterThan(35_990)
  host.clock.shift(30 * MINUTE)
  const later = JSON.parse((await ask('/bff/session')).body) as { ends_in_seconds: number; timeout_in_seconds: number }
  expect(later.timeout_in_seconds).toBeLessThanOrEqual(1800)
})
