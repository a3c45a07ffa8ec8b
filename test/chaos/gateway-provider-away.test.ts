import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
import { createWorld, sessionCookie, signIn, type World } from '../harness/world.ts'

const LIFE_SECONDS = 4
const codeOf = ({ body }: Answer): unknown => (JSON.parse(body) as { code?: unknown }).code

describe('the provider away', { timeout: 60_000 }, () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld({ accessTokenSeconds: LIFE_SECONDS, providerLines: ['  timeout: 2s'] })
  })
  afterAll(() => world.stop())

  const orders = (browser: Browser): Promise<Answer> => browser.fetch(`${world.url}/api/orders`)
  const refreshes = async (): Promise<readonly [ok: number, refused: number]> => {
    const counts = await world.provider.counts()
    return [counts['refresh_token:ok'] ?? 0, counts['refresh_token:refused'] ?? 0]
  }
  const ends = (): readonly unknown[] =>
    auditOf(world.gateways[0])
      .filter(({ event }) => event === 'session.ended')
      .map(({ reason }) => reason)

  it('refusing connections: a good token goes on, an expired one is a 503 and no logout, and the same refresh token works when it is back', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const cookie = sessionCookie(browser)
    expect((await orders(browser)).status).toBe(200) // from here on the API has the provider's keys
    const [okBefore, refusedBefore] = await refreshes()
    await world.provider.away()
    onTestFinished(() => world.provider.back())
    expect((await orders(browser)).status).toBe(200)
    await wait(LIFE_SECONDS * 1000)
    const answer = await orders(browser)
    expect([answer.status, codeOf(answer), answer.headers['set-cookie']]).toEqual([503, 'provider.unavailable', undefined])
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect((await browser.fetch(`${world.url}/bff/user`)).status).toBe(200)
    const { ops } = world.gateways[0] ?? { ops: '' }
    expect((await fetch(`${ops}/readyz`)).status).toBe(200)
    await world.provider.back()
    await until('the same session works', async () => (await orders(browser)).status === 200)
    expect(sessionCookie(browser)).toEqual(cookie)
    const [ok, refused] = await refreshes()
    expect([ok - okBefore, refused - refusedBefore]).toEqual([1, 0])
    expect(ends()).toEqual([])
  })

  it('silent after it took the refresh token: the answer is lost, one recovery attempt is made, and then the person is asked to sign in', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'grace')
    const [okBefore, refusedBefore] = await refreshes()
    await wait(LIFE_SECONDS * 1000)
    world.provider.freeze()
    let answer: Answer
    try {
      answer = await orders(browser)
    } finally {
      world.provider.thaw()
    }
    expect([answer.status, codeOf(answer), answer.headers['set-cookie']]).toEqual([503, 'provider.unavailable', undefined])
    await until('the provider has answered what nobody heard', async () => (await refreshes())[0] === okBefore + 1)
    await until('somebody knows', async () => (answer = await orders(browser)).status !== 503)
    expect(answer.status).toBe(401)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'session.refresh-lost', login_url: '/bff/login' })
    expect(await refreshes()).toEqual([okBefore + 1, refusedBefore + 1])
    await until('the end is in the audit stream', () => ends().length > 0)
    expect(ends()).toEqual(['refresh-lost'])
  })
})
