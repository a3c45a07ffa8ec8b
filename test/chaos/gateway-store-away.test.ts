import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { audited, until } from '../harness/processes.ts'
import { canStartRedis, startRedis, type RedisServer } from '../harness/redis.ts'
import {
  callbackOf,
  chooseUser,
  createWorld,
  isCallback,
  sessionCookie,
  signIn,
  startSignIn,
  withCookie,
  type World,
} from '../harness/world.ts'

const codeOf = ({ body }: Answer): unknown => (JSON.parse(body) as { code?: unknown }).code
const cookiesSet = ({ headers }: Answer): readonly string[] => (headers['set-cookie'] as string[] | undefined) ?? []
const statusOf = async (url: string): Promise<number> => (await fetch(url)).status

describe.skipIf(!canStartRedis)('Redis away, with store.grace: 0', { timeout: 90_000 }, () => {
  let redis: RedisServer
  let world: World
  beforeAll(async () => {
    redis = await startRedis()
    await redis.kill()
    world = await createWorld({ redisUrl: redis.url, store: ['    grace: 0s'], until: 'alive', replicas: 2 })
  })
  afterAll(async () => {
    await redis.restart()
    await world.stop()
    await redis.stop()
  })

  const signedIn = async (user: string): Promise<Browser> => {
    const browser = new Browser()
    await signIn(browser, world.url, user)
    expect((await browser.fetch(`${world.url}/api/orders`)).status).toBe(200)
    return browser
  }
  const worksAgain = (browser: Browser): Promise<void> =>
    until('the same session works', async () => (await browser.fetch(`${world.url}/api/orders`)).status === 200)
  const isAway = (browser: Browser): Promise<void> =>
    until('the gateway noticed', async () => (await browser.fetch(`${world.url}/api/orders`)).status === 503)

  it('a gateway that starts before its Redis lives and is not ready; it is ready when Redis has come', async () => {
    const { ops } = world.gateways[0] ?? { ops: '' }
    expect([await statusOf(`${ops}/livez`), await statusOf(`${ops}/readyz`)]).toEqual([200, 503])
    expect((await new Browser().fetch(`${world.url}/api/orders`)).status).toBe(401) // no cookie, no store needed
    await redis.restart()
    await until('ready', async () => (await statusOf(`${ops}/readyz`)) === 200)
  })

  it.each([
    ['frozen', async () => redis.freeze(), async () => redis.thaw()],
    ['killed and restarted with its data', () => redis.kill(), () => redis.restart()],
  ])('%s: 503 with the cookie untouched, then the same session works', async (_how, takeAway, bringBack) => {
    const browser = await signedIn('ada')
    const cookie = sessionCookie(browser)
    await takeAway()
    try {
      await isAway(browser)
      for (const path of ['/api/orders', '/api/reports', '/bff/user', '/bff/session']) {
        const answer = await browser.fetch(`${world.url}${path}`)
        expect([path, answer.status, codeOf(answer), cookiesSet(answer)]).toEqual([path, 503, 'store.unavailable', []])
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      }
      expect(sessionCookie(browser)).toEqual(cookie)
    } finally {
      await bringBack()
    }
    await worksAgain(browser)
    expect(sessionCookie(browser)).toEqual(cookie)
    const { ops } = world.gateways[0] ?? { ops: '' }
    expect(await statusOf(`${ops}/readyz`)).toBe(200)
  })

  it('a logout meanwhile is pending, clears the cookie, and is made good: the old cookie is dead when Redis is back', async () => {
    const browser = await signedIn('ada')
    const thief = withCookie(new Browser(), sessionCookie(browser))
    await redis.kill()
    try {
      await isAway(browser)
      const answer = await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })
      expect([answer.status, codeOf(answer)]).toEqual([202, 'logout.pending'])
      expect(sessionCookie(browser)).toBeUndefined()
      expect((await thief.fetch(`${world.url}/api/orders`)).status).not.toBe(200)
    } finally {
      await redis.restart()
    }
    // Asked at the other replica, which never saw the logout: it knows from Redis alone.
    const { port } = world.gateways[1] ?? {}
    let answer: Answer | undefined
    await until('the end is stored', async () => {
      answer = await thief.fetch(`${world.url}/api/orders`, { port })
      return answer.status === 401
    })
    expect(answer && codeOf(answer)).toBe('session.ended')
  })

  it('a login that comes back meanwhile gets a page and keeps its code: the same address signs in when Redis is back', async () => {
    const browser = new Browser()
    const page = await startSignIn(browser, world.url, '/here')
    const callback = callbackOf(await chooseUser(browser, page.url, 'grace', isCallback))
    const before = await world.provider.counts()
    await redis.kill()
    try {
      await until(
        'the gateway noticed',
        async () =>
          (
            await withCookie(new Browser(), ['__Host-Http-sallyport-' + new URL(world.url).port, 'A'.repeat(64)]).fetch(
              `${world.url}/bff/user`,
            )
          ).status === 503,
      )
      const answer = await browser.navigate(callback, { from: page.url })
      expect(answer.status).toBe(503)
      expect(answer.headers['content-type']).toContain('text/html')
      expect(answer.headers['retry-after']).toBeDefined()
      expect(sessionCookie(browser)).toBeUndefined()
      expect(await world.provider.counts()).toEqual(before)
      await audited(world.gateways[0], { event: 'sign-in.failed', requestId: answer.headers['x-request-id'], code: 'store.unavailable' })
    } finally {
      await redis.restart()
    }
    await until('the sign-in goes on', async () => {
      const landed = await browser.navigate(callback, { from: page.url, until: ({ url }) => url.pathname === '/here' })
      return landed.url.pathname === '/here'
    })
    expect(JSON.parse((await browser.fetch(`${world.url}/bff/user`)).body)).toMatchObject({ claims: { sub: 'grace' } })
  })
})
