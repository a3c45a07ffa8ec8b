import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MySessions } from '../../src/contract/session-view.ts'
import { minutes } from '../../src/kernel/time.ts'
import { expectNoLeak } from '../harness/canary.ts'
import { cookiesOf, edgeHost, type EdgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'

let host: EdgeHost
beforeEach(async () => {
  host = await edgeHost()
})
afterEach(() => host.close())

const listed = async (cookie: string): Promise<MySessions['sessions']> => {
  const got = await host.ask('/bff/sessions', { headers: { ...fetching, cookie } })
  expect([got.status, got.headers['cache-control']]).toEqual([200, 'no-store'])
  return (JSON.parse(got.body) as MySessions).sessions
}
const refOf = (cookie: string): string => host.store.refOf(cookie.split('=')[1] ?? '') ?? ''
const isAlive = async (cookie: string): Promise<boolean> => (await host.store.open(cookie.split('=')[1] ?? '')).kind === 'found'
const cleared = (got: Parameters<typeof cookiesOf>[0]): boolean =>
  cookiesOf(got).some((line) => /^__Host-Http-sallyport-\d+=;.*Max-Age=0/.test(line))

describe('GET /bff/sessions', () => {
  it('lists where the same person is signed in, this browser first, and nothing that opens a session', async () => {
    const [first, second] = [await signedIn(host), await signedIn(host)]
    const sessions = await listed(second)
    expect(sessions).toEqual([
      {
        ref: refOf(second),
        created_at: expect.stringMatching(/Z$/) as unknown,
        last_seen_at: expect.stringMatching(/Z$/) as unknown,
        browser: 'Unknown browser',
        address: '127.0.0.0/24',
        current: true,
      },
      { ...sessions[1], ref: refOf(first), current: false },
    ])
    const page = await host.ask('/bff/sessions', { headers: { ...navigation(), cookie: second } })
    const cookies = [first, second].map((cookie) => cookie.split('=')[1] ?? '')
    expectNoLeak([...host.secrets, ...cookies], { json: JSON.stringify(sessions), page: page.body, headers: JSON.stringify(page.headers) })
  })

  it('is a page with a button for each session when it is navigated to, without script, with forms to us only', async () => {
    const [first, second] = [await signedIn(host), await signedIn(host)]
    const got = await host.ask('/bff/sessions', { headers: { ...navigation('none'), cookie: second } })
    expect([got.status, got.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(got.headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^;]+; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$/,
    )
    expect(got.headers['referrer-policy']).toBe('same-origin')
    expect(got.body).not.toContain('<script')
    for (const cookie of [first, second]) expect(got.body).toContain(`<form method="post" action="/bff/sessions/${refOf(cookie)}/end">`)
    expect(got.body.match(/\(this browser\)/g)).toHaveLength(1)
    const labels = [...got.body.matchAll(/aria-label="([^"]+)"/g)].map(([, label]) => label)
    expect(labels).toHaveLength(2)
    for (const label of labels) expect(label).toMatch(/^Sign out: Unknown browser, last used \d{4}-/)
  })

  it('comes to a link from another site by one step on our own origin, which brings the cookie, and never loops', async () => {
    const bounced = await host.ask('/bff/sessions', { headers: navigation('cross-site') })
    expect([bounced.status, bounced.headers['refresh']]).toEqual([200, '0;url=/bff/sessions?from=elsewhere'])
    const again = await host.ask('/bff/sessions?from=elsewhere', { headers: navigation('cross-site') })
    expect([again.status, again.headers['refresh']]).toEqual([401, undefined])
    const cookie = await signedIn(host)
    expect((await host.ask('/bff/sessions?from=elsewhere', { headers: { ...navigation(), cookie } })).status).toBe(200)
  })

  it('leaves out what has ended or was left idle, and itself counts as use', async () => {
    const [idle, ended, mine] = [await signedIn(host), await signedIn(host), await signedIn(host)]
    await host.ask('/bff/logout/local', { method: 'POST', headers: { ...fetching, cookie: ended } })
    host.clock.shift(minutes(40))
    await listed(mine)
    host.clock.shift(minutes(40))
    expect((await listed(mine)).map(({ ref }) => ref)).toEqual([refOf(mine)])
    expect(await isAlive(idle)).toBe(false)
  })

  it.each([
    ['no cookie', 401, 'session.absent'],
    ['the store away', 503, 'store.unavailable'],
  ])('with %s: %i %s, and the cookie stays', async (what, status, code) => {
    const cookie = await signedIn(host)
    host.broken.store = what === 'the store away'
    const got = await host.ask('/bff/sessions', { headers: { ...fetching, ...(host.broken.store && { cookie }) } })
    expect([got.status, (JSON.parse(got.body) as { code: string }).code, cookiesOf(got)]).toEqual([status, code, []])
  })
})

describe('ending a session of mine', () => {
  it('ends another one by DELETE; this one goes on', async () => {
    const [other, mine] = [await signedIn(host), await signedIn(host)]
    const got = await host.ask(`/bff/sessions/${refOf(other)}`, { method: 'DELETE', headers: { ...fetching, cookie: mine } })
    expect([got.status, got.body, cookiesOf(got)]).toEqual([200, '{}', []])
    expect([await isAlive(other), await isAlive(mine)]).toEqual([false, true])
    expect(host.events).toContainEqual(
      expect.objectContaining({ event: 'session.ended', reason: 'user', sessionRef: refOf(other), subject: 'alice', stored: true }),
    )
    expect((await listed(mine)).map(({ ref }) => ref)).toEqual([refOf(mine)])
  })

  it('ends another one by the form, and comes back to the list', async () => {
    const [other, mine] = [await signedIn(host), await signedIn(host)]
    const headers = { ...navigation(), cookie: mine, 'content-type': 'application/x-www-form-urlencoded' }
    const got = await host.ask(`/bff/sessions/${refOf(other)}/end`, { method: 'POST', headers })
    expect([got.status, got.headers.location, cookiesOf(got)]).toEqual([303, '/bff/sessions', []])
    expect([await isAlive(other), await isAlive(mine)]).toEqual([false, true])
  })

  it.each([
    ['DELETE', '', fetching, 200],
    ['POST', '/end', navigation(), 200],
  ] as const)(
    'ends this very one by %s%s: the cookie is cleared and the refresh token revoked',
    async (method, suffix, headers, status) => {
      const mine = await signedIn(host)
      const got = await host.ask(`/bff/sessions/${refOf(mine)}${suffix}`, { method, headers: { ...headers, cookie: mine } })
      expect([got.status, cleared(got)]).toEqual([status, true])
      if (suffix === '/end') expect(got.headers['refresh']).toBe('0;url=/bff/logout/callback')
      expect(await isAlive(mine)).toBe(false)
      expect(host.revoked.length).toBe(1)
    },
  )

  it('with the store away: another is 503 and nothing is cleared; this one is pending and its cookie is cleared', async () => {
    const [other, mine] = [await signedIn(host), await signedIn(host)]
    await host.ask('/bff/user', { headers: { ...fetching, cookie: mine } })
    const realPeek = host.ports.store.peek
    host.broken.store = true
    // The session itself is still served from memory.
    const held = await (async () => {
      host.broken.store = false
      const opened = realPeek(mine.split('=')[1] ?? '', host.clock.now())
      host.broken.store = true
      return opened
    })()
    host.ports.store.peek = () => held
    const another = await host.ask(`/bff/sessions/${refOf(other)}`, { method: 'DELETE', headers: { ...fetching, cookie: mine } })
    expect([another.status, cookiesOf(another)]).toEqual([503, []])
    const own = await host.ask(`/bff/sessions/${refOf(mine)}`, { method: 'DELETE', headers: { ...fetching, cookie: mine } })
    expect([own.status, cleared(own)]).toEqual([202, true])
  })
})
