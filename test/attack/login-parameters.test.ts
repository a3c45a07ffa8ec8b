import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { freePlaces, startGateways, type Gateways } from '../harness/gateways.ts'
import { CLIENT_SECRET, startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'

/** What a link of another site can make the gateway ask of the provider: once with the request in the address, once pushed. */
describe.each([false, true])('pushed: %s', (isPushed) => {
  let hostile: HostileProvider
  let gateway: Gateways
  beforeAll(async () => {
    const places = await freePlaces(1)
    hostile = await startHostileProvider(`http://localhost:${places[0]?.public}/bff/callback`)
    if (isPushed) hostile.metadata = { pushed_authorization_request_endpoint: `${hostile.issuer}/par` }
    gateway = await startGateways({
      places,
      provider: { issuer: hostile.issuer, clientId: hostile.clientId, clientSecret: CLIENT_SECRET },
      routes: [
        '  - path: /api/orders',
        '    upstream: http://127.0.0.1:9',
        "    token: { principal: user, audience: 'https://orders.example', scopes: [orders.read] }",
      ],
    })
  })
  afterAll(async () => {
    await gateway.stop()
    await hostile.close()
  })

  /** All parameters as the provider gets them. */
  const asked = async (query: string): Promise<URLSearchParams> => {
    const answer = await new Browser().navigate(`${gateway.url}/bff/login?${query}`, { follow: false })
    expect(answer.status).toBe(302)
    const front = new URL(String(answer.headers['location'])).searchParams
    if (!isPushed) return front
    expect([...front.keys()].sort()).toEqual(['client_id', 'request_uri'])
    const pushed = hostile.takePushed(front.get('request_uri') ?? '')
    if (!pushed) throw new Error('nothing was pushed')
    return pushed
  }
  const OWN = [
    'client_id',
    'code_challenge',
    'code_challenge_method',
    'nonce',
    'redirect_uri',
    'resource',
    'response_type',
    'scope',
    'state',
  ]

  it('what is allow-listed is passed on, each once', async () => {
    const extras = { prompt: 'login', login_hint: 'ada@example.com', domain_hint: 'example.com', ui_locales: 'de-CH de' }
    const parameters = await asked(new URLSearchParams(extras).toString())
    expect([...parameters.keys()].sort()).toEqual([...OWN, ...Object.keys(extras)].sort())
    for (const [name, value] of Object.entries(extras)) expect(parameters.getAll(name)).toEqual([value])
  })

  it.each([
    'scope=openid+admin',
    'redirect_uri=https%3A%2F%2Fevil.example%2F',
    'request_uri=urn%3Aevil',
    'request=eyJhbGciOiJub25lIn0.e30.',
    'claims=%7B%22id_token%22%3A%7B%7D%7D',
    'acr_values=low',
    'max_age=0',
    'response_type=token',
    'response_mode=form_post',
    'state=evil',
    'nonce=evil',
    'code_challenge=evil&code_challenge_method=plain',
    'client_id=other&client_secret=x',
    'resource=https%3A%2F%2Fevil.example',
    'audience=evil',
    'id_token_hint=e.e.e',
    'registration=%7B%7D',
    'iss=https%3A%2F%2Fevil.example&target_link_uri=https%3A%2F%2Fevil.example',
    'authorization_details=%5B%5D',
    'dpop_jkt=x',
    'display=popup',
    '__proto__=x&constructor=y',
    'step_up=x',
  ])('%s changes nothing', async (query) => {
    const [plain, spoiled] = [await asked(''), await asked(query)]
    expect([...spoiled.keys()].sort()).toEqual(OWN)
    const fixed = (parameters: URLSearchParams) =>
      OWN.filter((name) => !['state', 'nonce', 'code_challenge'].includes(name)).map((name) => parameters.getAll(name))
    expect(fixed(spoiled)).toEqual(fixed(plain))
    expect(spoiled.get('redirect_uri')).toBe(`${gateway.url}/bff/callback`)
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(spoiled.get(name)?.length).toBeGreaterThanOrEqual(43)
      expect(spoiled.get(name)).not.toBe(plain.get(name))
    }
  })

  it.each([
    'prompt=none+login',
    'prompt=create',
    'login_hint=a%0d%0ab',
    'login_hint=a&login_hint=b',
    'domain_hint=a+b',
    'ui_locales=a%2Cb',
    'provider=other',
  ])('%s is refused: no attempt, and the provider is not asked', async (query) => {
    const before = hostile.hits('par')
    const answer = await new Browser().navigate(`${gateway.url}/bff/login?${query}`, { follow: false })
    expect([answer.status, answer.headers['set-cookie'], hostile.hits('par')]).toEqual([400, undefined, before])
  })
})
