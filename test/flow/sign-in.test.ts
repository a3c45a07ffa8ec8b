import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { createWorld, signIn, type World } from '../harness/world.ts'

const SESSION = /^__Host-Http-sallyport-\d+$/
const sessionCookie = (browser: Browser): string | undefined => [...browser.cookies('localhost')].find(([name]) => SESSION.test(name))?.[1]

describe('a person signs in, calls two APIs and signs out', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })
  afterAll(() => world.stop())

  it('signs in through the provider and lands where it wanted to go', async () => {
    const browser = new Browser()
    const landed = await signIn(browser, world.url, 'ada', '/bff/user')
    expect(landed.url.pathname).toBe('/')
    expect(sessionCookie(browser)).toMatch(/^[A-Za-z0-9_-]{64}$/)
    const user = await browser.fetch(`${world.url}/bff/user`)
    expect(user.status).toBe(200)
    expect(JSON.parse(user.body)).toMatchObject({ claims: { sub: 'ada', name: 'Ada Lovelace' }, session: { active: true } })
  })

  it('calls one API as the user and as the application, and the API saw just that', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'grace')
    const orders = await browser.fetch(`${world.url}/api/orders`)
    expect(orders.status).toBe(200)
    expect(JSON.parse(orders.body)).toMatchObject({ seen: { principal: 'user', subject: 'grace' }, orders: [{ owner: 'grace' }] })
    const reports = await browser.fetch(`${world.url}/api/reports`)
    expect(reports.status).toBe(200)
    expect(JSON.parse(reports.body)).toMatchObject({ seen: { principal: 'app', subject: 'sallyport-test' } })
    expect(world.apis.orders.audit.slice(-2)).toMatchObject([
      { principal: 'user', subject: 'grace' },
      { principal: 'app', subject: 'sallyport-test' },
    ])
  })

  it('answers 401 with a login_url to whom has no session, and sets no cookie', async () => {
    const answer = await new Browser().fetch(`${world.url}/api/orders`)
    expect(answer.status).toBe(401)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'session.absent', login_url: expect.stringContaining('/bff/login') as string })
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.headers['x-request-id']).toBeTruthy()
  })

  it('signs out here and at the provider, and the old cookie is worth nothing afterwards', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const stolen = sessionCookie(browser) ?? ''
    const name = [...browser.cookies('localhost').keys()].find((key) => SESSION.test(key)) ?? ''
    const answer = await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })
    expect(answer.status).toBe(200)
    const { location } = JSON.parse(answer.body) as { location: string }
    const atProvider = await browser.navigate(new URL(location, world.url), { from: new URL(world.url) })
    expect(atProvider.url.origin).toBe(world.provider.issuer)
    expect(sessionCookie(browser)).toBeUndefined()
    const thief = new Browser()
    thief.setCookie('localhost', name, stolen, true)
    expect((await thief.fetch(`${world.url}/api/orders`)).status).toBe(401)
  })
})
