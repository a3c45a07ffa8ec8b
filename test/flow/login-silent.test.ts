import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Redeemed } from '../../src/domain/provider.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation } from '../harness/edge-host.ts'

let host: EdgeHost
beforeEach(async () => {
  host = await edgeHost({ requireSignIn: ['/app'], frontend: 'upstream' })
})
afterEach(() => host.close())

interface Started {
  readonly state: string
  readonly cookie: string
}
const start = async (query: string, cookie = ''): Promise<Started> => {
  const got = await host.ask(`/bff/login?${query}`, { headers: { ...navigation(), ...(cookie !== '' && { cookie }) } })
  expect(got.status).toBe(302)
  return { state: new URL(String(got.headers.location)).searchParams.get('state') ?? '', cookie: jarOf(...cookiesOf(got)) }
}
const back = ({ state, cookie }: Started, answer: Record<string, string> = { code: 'c' }): Promise<Got> =>
  host.ask(`/bff/callback?${new URLSearchParams({ ...answer, state }).toString()}`, { headers: { ...navigation('cross-site'), cookie } })
const refused = (providerCode: string): Redeemed => ({ kind: 'refused', cancelled: false, providerCode })
const clears = (got: Got): boolean => cookiesOf(got).every((line) => /-login-[\w-]{22}=; Max-Age=0;/.test(line))

describe('a silent sign-in that finds nobody', () => {
  it.each(['login_required', 'interaction_required', 'consent_required', 'account_selection_required'])(
    '(%s) goes on to the page, signed out, with no page of ours in between and no further sign-in',
    async (code) => {
      host.broken.redeem = refused(code)
      const got = await back(await start('prompt=none&return_to=/app/x%3Fa%3D1'))
      expect([got.status, got.headers['refresh']]).toEqual([200, '0;url=/app/x?a=1'])
      expect([cookiesOf(got).length, clears(got)]).toEqual([1, true])
      expect(host.authorizations()).toBe(1)
      expect(host.events.at(-1)).toMatchObject({ event: 'sign-in.failed', check: 'silent', providerCode: code })
    },
  )

  it('leaves the session that lives alone', async () => {
    const signedIn = jarOf(cookiesOf(await back(await start('return_to=/')))[0] ?? '')
    host.broken.redeem = refused('login_required')
    const got = await back(await start('prompt=none&return_to=/', signedIn))
    expect(clears(got)).toBe(true)
    expect((await host.ask('/bff/user', { headers: { ...fetching, cookie: signedIn } })).status).toBe(200)
  })

  it('on a page that needs somebody ends in one sign-in with a form, not in a circle', async () => {
    host.broken.redeem = refused('login_required')
    const got = await back(await start('prompt=none&return_to=/app'))
    expect(got.headers['refresh']).toBe('0;url=/app')
    const page = await host.ask('/app', { headers: navigation('same-origin') })
    expect([page.status, page.headers.location]).toEqual([302, '/bff/login?return_to=%2Fapp'])
    const login = await host.ask(String(page.headers.location), { headers: navigation('same-origin') })
    expect(new URL(String(login.headers.location)).searchParams.has('prompt')).toBe(false)
  })

  it('signs in where there is somebody', async () => {
    const got = await back(await start('prompt=none&return_to=/app'))
    expect(got.headers['refresh']).toBe('0;url=/app')
    expect(cookiesOf(got).some((line) => /^__Host-Http-sallyport-\d+=[\w-]{64};/.test(line))).toBe(true)
  })
})

describe('nobody who signs in silently is asked for a password', () => {
  it('after a lost attempt', async () => {
    const started = await start('prompt=none&return_to=/app')
    const got = await back({ ...started, cookie: '' })
    expect([got.headers['refresh'], cookiesOf(got)]).toEqual(['0;url=/app', []])
  })
  it('after one that is too old', async () => {
    const started = await start('prompt=none&return_to=/app')
    host.clock.shift(11 * 60_000)
    expect((await back(started)).headers['refresh']).toBe('0;url=/app')
    expect(host.redemptions).toEqual([])
  })
  it('by a doubled callback', async () => {
    const started = await start('prompt=none&return_to=/app')
    await back(started)
    expect((await back(started)).headers['refresh']).toBe('0;url=/app')
    expect(host.redemptions).toHaveLength(1)
  })
})

it.each([
  ['without prompt=none', 'return_to=/app', 'login_required', 403],
  ['prompt=login', 'prompt=login&return_to=/app', 'interaction_required', 403],
  ['prompt=none, refused for another reason', 'prompt=none&return_to=/app', 'unauthorized_client', 403],
])('what was asked for is answered on a page: %s', async (_name, query, code, status) => {
  host.broken.redeem = refused(code)
  const got = await back(await start(query))
  expect([got.status, got.headers['refresh']]).toEqual([status, undefined])
  expect(got.body).toContain('Start the sign-in again')
})

it('whether an attempt is silent cannot be changed on the way: the state is sealed', async () => {
  host.broken.redeem = refused('login_required')
  const started = await start('return_to=/app')
  const got = await host.ask(
    `/bff/callback?${new URLSearchParams({ error: 'login_required', prompt: 'none', state: started.state }).toString()}`,
    {
      headers: { ...navigation('cross-site'), cookie: started.cookie },
    },
  )
  expect(got.status).toBe(403)
})
