import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cookiesOf, edgeHost, type EdgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'
import { a, the } from '../harness/the.ts'

let host: EdgeHost
let mine: string
let other: string
beforeEach(async () => {
  host = await edgeHost()
  other = await signedIn(host)
  mine = await signedIn(host)
})
afterEach(() => host.close())

const value = (cookie: string): string => cookie.split('=')[1] ?? ''
const refOf = (cookie: string): string => host.store.refOf(value(cookie)) ?? ''
const isAlive = async (cookie: string): Promise<boolean> => (await host.store.open(value(cookie))).kind === 'found'
const somebody = async (over: Parameters<typeof a.draft>[0]) => {
  const created = await host.store.create(a.draft({ now: host.clock.now(), ...over }))
  if (created.kind !== 'created') throw new Error(created.kind)
  return created.session
}

describe('another person’s session', () => {
  it('is not in my list, cannot be ended by me, and answers exactly as one that never was', async () => {
    const bobs = await somebody({ card: { subject: 'bob' } })
    // The same subject, as another issuer names it, is another person.
    const elsewhere = await somebody({ grant: { issuer: 'https://other.example', claims: the.alice.claims } })
    const list = await host.ask('/bff/sessions', { headers: { ...fetching, cookie: mine } })
    const answers = []
    for (const ref of [bobs.ref, elsewhere.ref, 'A'.repeat(22)]) {
      expect(list.body).not.toContain(ref)
      for (const [method, suffix, headers] of [
        ['DELETE', '', fetching],
        ['POST', '/end', fetching],
      ] as const) {
        const got = await host.ask(`/bff/sessions/${ref}${suffix}`, { method, headers: { ...headers, cookie: mine } })
        const { request_id, ...told } = JSON.parse(got.body) as { request_id: string }
        const { date, 'x-request-id': id, ...sent } = got.headers
        expect([request_id, date].every((one) => typeof one === 'string')).toBe(true)
        expect(id).toBe(request_id)
        answers.push(JSON.stringify([got.status, told, sent]))
      }
    }
    expect(new Set(answers).size).toBe(1)
    expect(answers[0]).toMatch(/^\[404,.*session\.unknown/)
    for (const { cookie } of [bobs, elsewhere]) expect((await host.store.open(cookie.reveal())).kind).toBe('found')
    expect(host.events.filter(({ event }) => event === 'session.ended')).toEqual([])
  })

  it('is not reached by a ref of mine in another spelling, nor by a path around it', async () => {
    const ref = refOf(other)
    for (const path of [
      `/bff/sessions/%${ref.charCodeAt(0).toString(16)}${ref.slice(1)}`,
      `/bff/sessions/${ref}=`,
      `/bff/sessions/${ref}%00`,
      `/bff/sessions/x/../${ref}`,
      `/bff/sessions//${ref}`,
      `/bff/sessions/${ref}/`,
      `/bff/Sessions/${ref}`,
      '/bff/sessions/',
      '/bff/sessions/{ref}',
    ]) {
      const got = await host.ask(path, { method: 'DELETE', headers: { ...fetching, cookie: mine } })
      expect([path, got.status >= 400 && got.status < 500]).toEqual([path, true])
    }
    expect(await isAlive(other)).toBe(true)
  })
})

describe('a page of another origin', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const { 'x-csrf': _left, ...withoutHeader } = fetching
  it.each([
    ['a form of a sibling, whose Strict cookies are sent', 'POST', '/end', { ...navigation('same-site'), ...form }],
    ['a form of another site', 'POST', '/end', { ...navigation('cross-site'), ...form }],
    ['a form typed by nobody', 'POST', '/end', { ...navigation('none'), ...form }],
    ['a form without Fetch Metadata, from another origin', 'POST', '/end', { ...form, origin: 'http://evil.example', accept: 'text/html' }],
    ['a form without Fetch Metadata or Origin', 'POST', '/end', { ...form, accept: 'text/html' }],
    ['a fetch of a sibling', 'DELETE', '', { ...fetching, 'sec-fetch-site': 'same-site' }],
    ['a fetch of our own page without the header', 'DELETE', '', withoutHeader],
    ['a form in place of a fetch', 'POST', '', { ...navigation(), ...form }],
    ['a link in place of a form', 'GET', '/end', navigation()],
  ] as const)('cannot end a session: %s', async (_what, method, suffix, headers) => {
    for (const cookie of [other, mine]) {
      const got = await host.ask(`/bff/sessions/${refOf(cookie)}${suffix}`, { method, headers: { ...headers, cookie: mine } })
      expect(got.status).toBeGreaterThanOrEqual(403)
      expect(got.status).toBeLessThan(500)
      expect(cookiesOf(got)).toEqual([])
      expect(await isAlive(cookie)).toBe(true)
    }
  })

  it.each([
    ['a fetch from a sibling', { ...fetching, 'sec-fetch-site': 'same-site' }],
    ['a frame', { ...navigation('same-site'), 'sec-fetch-dest': 'iframe' }],
    ['a script tag of a sibling', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' }],
    ['a fetch without Fetch Metadata or the header', { accept: 'application/json' }],
    ['a prefetch', { ...navigation(), 'sec-purpose': 'prefetch' }],
  ])('cannot read the list: %s', async (_what, headers) => {
    const got = await host.ask('/bff/sessions', { headers: { ...headers, cookie: mine } })
    expect(got.status).toBeGreaterThanOrEqual(403)
    expect(got.body).not.toContain(refOf(mine))
    expect(got.headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('the admin listener', () => {
  it.each(['/admin/sessions', '/admin/keys', '/admin/status', '/bff/admin/sessions', `/admin/sessions/${'A'.repeat(22)}`])(
    'is nowhere on the public one: %s',
    async (path) => {
      for (const method of ['GET', 'DELETE', 'POST']) {
        const got = await host.ask(path, { method, headers: { ...fetching, cookie: mine } })
        expect([got.status, got.body.includes(refOf(other))]).toEqual([404, false])
      }
      expect(await isAlive(other)).toBe(true)
    },
  )
})
