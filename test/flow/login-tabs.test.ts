import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
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

/** Beside tabs.test.ts: many tabs, silent sign-ins, and browsers and providers that would go round for ever. */
describe('many tabs and silent sign-ins with a real provider', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })
  afterAll(() => world.stop())

  const at =
    (path: string) =>
    ({ url }: Answer): boolean =>
      url.origin === world.url && url.pathname === path
  const whoami = async (browser: Browser): Promise<unknown> =>
    (JSON.parse((await browser.fetch(`${world.url}/bff/user`)).body) as { claims?: { sub?: unknown } }).claims?.sub
  const attempts = (browser: Browser): readonly string[] =>
    [...browser.cookies('localhost').keys()].filter((name) => name.includes('-login-'))
  const redeemed = async (): Promise<number> => (await world.provider.counts())['authorization_code:ok'] ?? 0
  const login = (browser: Browser, query: string): Promise<Answer> =>
    browser.navigate(`${world.url}/bff/login?${query}`, {
      from: new URL(world.url),
      until: ({ url }) => url.origin === world.url && !url.pathname.startsWith('/bff/'),
    })

  it('of ten tabs at once the newest five finish in any order on their own page, and an older one ends well, too', async () => {
    const browser = new Browser()
    // Within a second or two: where the stamps are equal, the order in which the browser sends the cookies tells older from newer.
    const pages: URL[] = []
    for (let tab = 0; tab < 10; tab += 1) pages.push((await startSignIn(browser, world.url, `/tab-${tab}`)).url)
    expect(attempts(browser)).toHaveLength(5)
    const before = await redeemed()
    for (const tab of [8, 5, 9, 7, 6]) {
      const landed = await chooseUser(browser, pages[tab] as URL, 'ada', at(`/tab-${tab}`))
      expect([landed.url.pathname, await whoami(browser)]).toEqual([`/tab-${tab}`, 'ada'])
    }
    expect([await redeemed(), attempts(browser)]).toEqual([before + 5, []])

    // An evicted one: its callback is not redeemed; by way of resume it lands on its own page, with the session that lives.
    const cookie = sessionCookie(browser)
    const since = browser.seen.length
    const landed = await chooseUser(browser, pages[1] as URL, 'ada', at('/tab-1'))
    expect(landed.url.pathname).toBe('/tab-1')
    expect(browser.seen.slice(since).map(({ url }) => new URL(url).pathname)).toContain('/bff/login/resume')
    expect([await redeemed(), sessionCookie(browser)]).toEqual([before + 5, cookie])
  })

  it('ten that start at the very same moment: every one that comes back ends on its own page, signed in', async () => {
    const browser = new Browser()
    const started = await Promise.all(Array.from({ length: 10 }, (_, tab) => startSignIn(browser, world.url, `/tab-${tab}`)))
    expect(attempts(browser).length).toBeLessThanOrEqual(10) // none of them saw another's cookie
    const ends: string[] = []
    for (const [tab, page] of started.entries()) ends.push((await chooseUser(browser, page.url, 'ada', at(`/tab-${tab}`))).url.pathname)
    expect(ends).toEqual(started.map((_, tab) => `/tab-${tab}`))
    expect(await whoami(browser)).toBe('ada')
    // The next start brings their number down again.
    await startSignIn(browser, world.url, '/')
    expect(attempts(browser).length).toBeLessThanOrEqual(5)
  })

  it('the callbacks of five tabs at the same time: each redeems its own code, and one session lives in the end', async () => {
    const browser = new Browser()
    const callbacks: URL[] = []
    for (let tab = 0; tab < 5; tab += 1) {
      const page = await startSignIn(browser, world.url, `/tab-${tab}`)
      callbacks.push(
        page.url.pathname.startsWith('/interaction/') ? callbackOf(await chooseUser(browser, page.url, 'ada', isCallback)) : page.url,
      )
      browser.clearCookies('127.0.0.1')
    }
    const before = await redeemed()
    const answers = await Promise.all(
      callbacks.map((callback) => browser.navigate(callback, { from: new URL(world.provider.issuer), follow: false })),
    )
    expect(answers.map(({ headers }) => headers['refresh'])).toEqual(callbacks.map((_, tab) => `0;url=/tab-${tab}`))
    expect(await redeemed()).toBe(before + 5)
    expect(await whoami(browser)).toBe('ada')
  })

  it('silently signed in where the provider knows who it is, and left signed out where it does not: never a form, never a circle', async () => {
    const browser = new Browser()
    const nobody = await login(browser, 'prompt=none&return_to=/page')
    expect([nobody.url.pathname, sessionCookie(browser), attempts(browser)]).toEqual(['/page', undefined, []])
    expect(browser.seen.filter(({ url }) => new URL(url).pathname === '/bff/login')).toHaveLength(1)
    expect(browser.seen.some(({ url }) => url.includes('/interaction/'))).toBe(false)
    await until('audited', () =>
      auditOf(world.gateways[0]).some(
        (line) => line.event === 'sign-in.failed' && line['check'] === 'silent' && line['providerCode'] === 'login_required',
      ),
    )

    await signIn(browser, world.url, 'ada')
    const old = sessionCookie(browser)
    const again = await login(browser, 'prompt=none&return_to=/page')
    expect([again.url.pathname, await whoami(browser)]).toEqual(['/page', 'ada'])
    expect(sessionCookie(browser)).not.toEqual(old)
    const replaced = await withCookie(new Browser(), old).fetch(`${world.url}/bff/user`)
    expect((JSON.parse(replaced.body) as { code?: unknown }).code).toBe('session.replaced')

    // The provider forgot: the session here lives on.
    browser.clearCookies('127.0.0.1')
    const forgotten = await login(browser, 'prompt=none&return_to=/page')
    expect([forgotten.url.pathname, await whoami(browser)]).toEqual(['/page', 'ada'])
  })

  it('prompt=login asks although the provider knows who it is; login_hint reaches its page', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const asked = await login(browser, 'prompt=login&login_hint=grace&return_to=/page')
    expect(asked.url.pathname).toMatch(/^\/interaction\//)
    expect(asked.body).toContain('grace')
    expect((await chooseUser(browser, asked.url, 'ada', at('/page'))).url.pathname).toBe('/page')
    expect(await whoami(browser)).toBe('ada')
  })

  it('a browser that keeps no cookies of ours ends on a page after two tries, whatever the provider remembers', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada') // the provider now answers without a question
    const since = browser.seen.length
    const forgetful = async (to: string | URL): Promise<Answer> => {
      let answer = await browser.navigate(to, { follow: false })
      for (let hop = 0; hop < 30; hop += 1) {
        browser.clearCookies('localhost')
        const next = answer.headers['location'] ?? /^0;url=(.*)$/.exec(String(answer.headers['refresh'] ?? ''))?.[1]
        if (next === undefined) return answer
        answer = await browser.navigate(new URL(String(next), answer.url), { from: answer.url, follow: false })
      }
      throw new Error('went round')
    }
    const ended = await forgetful(`${world.url}/bff/login?return_to=/page`)
    expect([ended.status, ended.url.pathname]).toEqual([400, '/bff/login/resume'])
    expect(ended.body).toContain('Start the sign-in again')
    const paths = browser.seen.slice(since).map(({ url }) => new URL(url).pathname)
    expect(paths.filter((path) => path === '/bff/callback')).toHaveLength(2)
    expect(paths.length).toBeLessThanOrEqual(10)
  })
})

describe('the limit on starting logins', () => {
  it('stops a circle that no single flow can see: a browser that loses every session it gets', async () => {
    const world = await createWorld({ login: '{ rate: { per_address: 5/h, global: 600/m } }' })
    try {
      const browser = new Browser()
      await signIn(browser, world.url, 'ada')
      let answer: Answer | undefined
      let rounds = 0
      for (; rounds < 20 && answer?.status !== 429; rounds += 1) {
        const name = sessionCookie(browser)?.[0]
        if (name !== undefined) browser.setCookie('localhost', name, 'A'.repeat(64), true)
        answer = await browser.navigate(`${world.url}/bff/login?return_to=/page`, {
          from: new URL(world.url),
          until: ({ url }) => url.pathname === '/page',
        })
      }
      expect([answer?.status, rounds]).toEqual([429, 5])
      expect(answer?.headers['set-cookie']).toBeUndefined()
      expect(Number(answer?.headers['retry-after'])).toBeGreaterThan(600)
      const metrics = await (await fetch(`${world.gateways[0]?.ops}/metrics`)).text()
      expect(metrics).toContain('sallyport_guard_rate_refusals_total{limit="address"} 1')
      await until('audited', () =>
        auditOf(world.gateways[0]).some((line) => line.event === 'sign-in.limited' && line['limit'] === 'address'),
      )
    } finally {
      await world.stop()
    }
  })
})
