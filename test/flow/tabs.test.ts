import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { auditOf, audited, until } from '../harness/processes.ts'
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

describe('tabs, the back button, and a second person', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })
  afterAll(() => world.stop())

  const at =
    (path: string) =>
    ({ url }: Answer): boolean =>
      url.origin === world.url && url.pathname === path
  const redeemed = async (): Promise<number> => (await world.provider.counts())['authorization_code:ok'] ?? 0
  const whoami = async (browser: Browser): Promise<unknown> =>
    (JSON.parse((await browser.fetch(`${world.url}/bff/user`)).body) as { claims?: { sub?: unknown } }).claims?.sub
  const codeOf = ({ body }: Answer): unknown => (JSON.parse(body) as { code?: unknown }).code
  /** As far as the address the provider sends the browser to; not gone there yet. */
  const upToCallback = async (
    browser: Browser,
    returnTo: string,
    user = 'ada',
  ): Promise<{ readonly callback: URL; readonly from: URL }> => {
    const page = await startSignIn(browser, world.url, returnTo)
    return { callback: callbackOf(await chooseUser(browser, page.url, user, isCallback)), from: page.url }
  }
  const attempts = (browser: Browser): readonly string[] =>
    [...browser.cookies('localhost').keys()].filter((name) => name.includes('-login-'))
  const paths = (browser: Browser, since: number): readonly string[] => browser.seen.slice(since).map(({ url }) => new URL(url).pathname)

  it('two tabs that sign in at the same time each end on their own page, whichever finishes first', async () => {
    const browser = new Browser()
    const first = await startSignIn(browser, world.url, '/first')
    const second = await startSignIn(browser, world.url, '/second')
    expect(attempts(browser)).toHaveLength(2)
    expect((await chooseUser(browser, second.url, 'ada', at('/second'))).url.pathname).toBe('/second')
    expect(await whoami(browser)).toBe('ada')
    expect((await chooseUser(browser, first.url, 'ada', at('/first'))).url.pathname).toBe('/first')
    expect(await whoami(browser)).toBe('ada')
    expect(attempts(browser)).toEqual([])
  })

  it('a callback that is loaded again, by the back button, goes on to the page and redeems nothing', async () => {
    const browser = new Browser()
    const { callback, from } = await upToCallback(browser, '/page')
    await browser.navigate(callback, { from, until: at('/page') })
    const [cookie, before, since] = [sessionCookie(browser), await redeemed(), browser.seen.length]
    const landed = await browser.navigate(callback, { from, until: at('/page') })
    expect(landed.url.pathname).toBe('/page')
    expect(paths(browser, since)).toEqual(['/bff/callback', '/bff/login/resume', '/page'])
    expect(await redeemed()).toBe(before)
    expect(sessionCookie(browser)).toEqual(cookie)
  })

  it('a doubled callback redeems once, and both end on the page', async () => {
    const browser = new Browser()
    const { callback, from } = await upToCallback(browser, '/page')
    const before = await redeemed()
    const answers = await Promise.all([1, 2].map(() => browser.navigate(callback, { from, follow: false })))
    expect(await redeemed()).toBe(before + 1)
    const refreshes = answers.map(({ headers }) => String(headers['refresh']))
    expect(refreshes.sort()).toEqual(['0;url=/bff/login/resume?return_to=%2Fpage', '0;url=/page'])
    const landed = await browser.navigate(`${world.url}/bff/login/resume?return_to=%2Fpage`, {
      from: new URL(world.url),
      until: at('/page'),
    })
    expect(landed.url.pathname).toBe('/page')
    expect(await whoami(browser)).toBe('ada')
  })

  it('an old callback without a session starts exactly one new sign-in, which ends where the first one wanted to go', async () => {
    const browser = new Browser()
    const { callback, from } = await upToCallback(browser, '/page')
    await browser.navigate(callback, { from, until: at('/page') })
    browser.clearCookies('localhost')
    browser.clearCookies('127.0.0.1')
    const since = browser.seen.length
    const asked = await browser.navigate(callback, { from })
    expect(asked.url.origin).toBe(world.provider.issuer)
    const logins = paths(browser, since).filter((path) => path.startsWith('/bff/'))
    expect(logins).toEqual(['/bff/callback', '/bff/login/resume'])
    expect(attempts(browser)).toHaveLength(1)
    const landed = await chooseUser(browser, asked.url, 'grace', at('/page'))
    expect([landed.url.pathname, await whoami(browser)]).toEqual(['/page', 'grace'])
  })

  it('an attempt whose cookie has expired is begun anew once, and a second loss ends on a page, not in a circle', async () => {
    const browser = new Browser()
    const { callback, from } = await upToCallback(browser, '/page')
    const before = await redeemed()
    browser.clearCookies('localhost')
    browser.clearCookies('127.0.0.1')
    const again = await browser.navigate(callback, { from })
    expect(again.url.origin).toBe(world.provider.issuer)
    const second = callbackOf(await chooseUser(browser, again.url, 'ada', isCallback))
    browser.clearCookies('localhost')
    const ended = await browser.navigate(second, { from: again.url })
    expect([ended.url.pathname, ended.status]).toEqual(['/bff/login/resume', 400])
    expect(ended.body).toContain('Start the sign-in again')
    expect(await redeemed()).toBe(before)
    await audited(world.gateways[0], { event: 'sign-in.failed', code: 'login.attempt-unknown', check: 'attempt-cookie' })
  })

  it('a second person who signs in replaces the session: the old cookie is told so, and is worth nothing', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const old = withCookie(new Browser(), sessionCookie(browser))
    browser.clearCookies('127.0.0.1') // the provider knows her no more, and asks who it is
    const asked = await startSignIn(browser, world.url, '/page')
    expect(await whoami(browser)).toBe('ada') // nothing is replaced before the new session is there
    const landed = await chooseUser(browser, asked.url, 'grace', at('/page'))
    expect([landed.url.pathname, await whoami(browser)]).toEqual(['/page', 'grace'])
    for (const path of ['/api/orders', '/bff/user']) {
      const answer = await old.fetch(`${world.url}${path}`)
      expect([answer.status, codeOf(answer)]).toEqual([401, 'session.replaced'])
    }
    expect(JSON.parse((await browser.fetch(`${world.url}/api/orders`)).body)).toMatchObject({ seen: { subject: 'grace' } })
    await until('audited', () => auditOf(world.gateways[0]).some((line) => line.event === 'session.ended' && line['reason'] === 'replaced'))
  })

  it('a person who cancels is told so and may start again', async () => {
    const browser = new Browser()
    const page = await startSignIn(browser, world.url, '/page')
    const ended = await chooseUser(browser, page.url, 'nobody', () => false)
    expect([ended.url.pathname, ended.status]).toEqual(['/bff/callback', 403])
    expect(ended.body).toContain('/bff/login?return_to=%2Fpage')
    expect(sessionCookie(browser)).toBeUndefined()
  })
})
