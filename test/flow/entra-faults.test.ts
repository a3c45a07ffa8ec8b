import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { type Fault, fault } from '../harness/emulators/core-faults.ts'
import { FABRIKAM } from '../harness/emulators/entra/defaults.ts'
import { aadstsReply } from '../harness/emulators/entra/errors.ts'
import { createEntraWorld, type EntraWorld } from '../harness/entra-world.ts'
import { chooseUser, sessionCookie, signIn, startSignIn } from '../harness/world.ts'

let world: EntraWorld
beforeAll(async () => {
  world = await createEntraWorld({ providerLines: ['  timeout: 2s'] })
})
afterAll(() => world.stop())
afterEach(() => {
  world.entra.faults.clear()
  world.entra.record.clear()
})

const named = (faults: readonly Fault[]): [string, Fault][] => faults.map((one) => [one.name, one])

/** What met the call for a second API's token, and what became of it and of everything else of this session. */
const refreshMeets = async (one: Fault) => {
  const browser = new Browser()
  await signIn(browser, world.url, 'ada', '/bff/user')
  world.entra.faults.next('token', one)
  const { status, headers, body } = await browser.fetch(`${world.url}/api/customers`)
  expect(world.entra.faults.struck).toHaveLength(1)
  const at = async (path: string): Promise<number> => (await browser.fetch(`${world.url}${path}`)).status
  return {
    status,
    retryAfter: headers['retry-after'],
    code: status === 200 ? 'none' : (JSON.parse(body) as { readonly code: string }).code,
    held: await at('/api/orders'),
    other: await at('/api/inventory'),
    user: await at('/bff/user'),
  }
}
const LIVES = { held: 200, other: 200, user: 200 }

describe('a refresh at Entra meets', () => {
  it.each(
    named([
      fault.latency(2500),
      fault.hang(true),
      fault.resetBeforeBody(),
      fault.resetAfterBody(),
      fault.answerLost(),
      fault.truncated(),
      fault.serverError(500),
      fault.serverError(502),
      fault.malformedJson(),
      fault.emptyBody(),
    ]),
  )('%s: that API waits, and nothing else of the session', async (_name, one) => {
    const met = await refreshMeets(one)
    expect(met).toMatchObject({ status: 503, code: 'provider.unavailable', ...LIVES })
    expect(Number(met.retryAfter)).toBeGreaterThanOrEqual(1)
  })

  it.each(
    named([
      fault.noExpiresIn(),
      fault.stringExpiresIn(),
      fault.lowerCaseTokenType(),
      fault.extraFields(),
      fault.noRefreshToken(),
      fault.noIdToken(),
    ]),
  )('%s: as good as any', async (_name, one) => {
    expect(await refreshMeets(one)).toMatchObject({ status: 200, ...LIVES })
  })

  it.each(
    named([
      fault.zeroExpiresIn(),
      fault.member('expires_in', -5),
      fault.otherTokenType(),
      fault.member('access_token', 'a\r\nx-forged: b'),
      fault.member('access_token', ''),
      fault.idTokenExpired(),
      fault.skew(3_600_000),
    ]),
  )('%s: of no use, and the session lives', async (_name, one) => {
    expect(await refreshMeets(one)).toMatchObject({ status: 502, code: 'token.invalid', ...LIVES })
  })

  it.each(
    named([fault.idTokenIssuer(), fault.idTokenAudience(), fault.idTokenSubject(), fault.idTokenUnsigned(), fault.idTokenBadSignature()]),
  )('%s: whose session is it? It ends', async (_name, one) => {
    expect(await refreshMeets(one)).toMatchObject({ status: 401, code: 'session.ended', held: 401, other: 401 })
  })

  it.each([
    [50196, 503, 'provider.unavailable'],
    [7000215, 502, 'token.credential-rejected'],
    [53003, 403, 'token.audience-denied'],
    [65001, 401, 'token.consent-required'],
    [500011, 403, 'token.audience-denied'],
  ])('AADSTS%d: that API alone says so', async (number, status, code) => {
    expect(await refreshMeets(fault.reply(aadstsReply(number)))).toMatchObject({ status, code, ...LIVES })
  })

  it.each([50173, 70043, 700082, 50057])('AADSTS%d: the sign-in is over', async (number) => {
    expect(await refreshMeets(fault.reply(aadstsReply(number)))).toMatchObject({
      status: 401,
      code: 'session.ended',
      held: 401,
      other: 401,
    })
  })
})

describe('a sign-in at Entra meets', () => {
  it.each(
    named([
      fault.idTokenIssuer(),
      fault.idTokenAudience(),
      fault.idTokenNonce(),
      fault.idTokenSubject(''),
      // A tenant that its own issuer is not.
      fault.idTokenClaims({ tid: FABRIKAM }),
      fault.idTokenExpired(),
      fault.idTokenUnsigned(),
      fault.idTokenUnknownKey(),
      fault.idTokenBadSignature(),
      fault.noIdToken(),
      fault.malformedJson(),
      fault.otherTokenType(),
      fault.answerLost(),
      fault.throttled(1, 'html'),
    ]),
  )('%s: nobody is signed in, and the next attempt works', async (_name, one) => {
    const browser = new Browser()
    world.entra.faults.next('token', one)
    const page = await startSignIn(browser, world.url)
    const answer = await chooseUser(
      browser,
      page.url,
      'ada',
      ({ url, headers }) => url.pathname === '/bff/callback' && headers['location'] === undefined,
    )
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(sessionCookie(browser)).toBeUndefined()
    await signIn(browser, world.url, 'ada', '/bff/user')
    expect(sessionCookie(browser)).toBeDefined()
  })
})

// Last: what the provider asks for, all calls keep.
describe('a throttle of Entra', () => {
  it('holds back further calls for as long as it said, and no API whose token is there', async () => {
    const met = await refreshMeets(fault.throttled(30, 'html'))
    expect(met).toMatchObject({ status: 503, held: 200, other: 503, user: 200 })
    expect(Number(met.retryAfter)).toBeGreaterThanOrEqual(25)
    expect(world.entra.record.where({ grant: 'refresh_token' })).toHaveLength(1)
  })
})
