import { get } from 'node:https'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startEmulatorServer, type EmulatorServer } from '../harness/emulators/core.ts'
import { digestOf, jsonReply, type Json } from '../harness/emulators/core-exchange.ts'
import { type Fault, fault } from '../harness/emulators/core-faults.ts'
import { signingKeys, type SigningKeys } from '../harness/emulators/core-keys.ts'

const NOW = Date.UTC(2026, 10, 20, 20)
let keys: SigningKeys
let server: EmulatorServer
/** What the provider behind the core did: the side of a lost answer that nobody sees. */
let effects = 0

beforeAll(async () => {
  keys = await signingKeys()
  server = await startEmulatorServer(
    () => ({
      keys,
      endpointOf: (_method, url) => (url.pathname === '/token' ? 'token' : url.pathname === '/jwks' ? 'jwks' : 'other'),
      handle: async (exchange) => {
        effects += 1
        if (exchange.endpoint === 'jwks') return jsonReply({ keys: keys.published().map(({ jwk }) => jwk) })
        const iat = Math.floor(exchange.now / 1000)
        const id_token = await keys.sign({ iss: 'the-issuer', sub: 'ada', aud: 'gateway', nonce: 'n', iat, exp: iat + 300 })
        return jsonReply({ access_token: 'at', refresh_token: 'rt-2', token_type: 'Bearer', expires_in: 300, id_token })
      },
    }),
    { clock: { now: () => NOW as never } },
  )
})
afterAll(() => server.stop())
afterEach(() => {
  server.faults.clear()
  server.record.clear()
  effects = 0
})

const token = (form: Record<string, string> = {}): Promise<Response> =>
  fetch(`${server.origin}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'rt-1', ...form }),
  })
const answered = async (one: Fault): Promise<Json> => {
  server.faults.next('token', one)
  return (await (await token()).json()) as Json
}

describe('the fault plan of the emulators', () => {
  it('strikes one call per entry, in the order they were planned, and leaves the next one alone', async () => {
    server.faults.next('token', fault.serverError(502))
    server.faults.next('token', fault.throttled(7))
    expect((await token()).status).toBe(502)
    const throttled = await token()
    expect([throttled.status, throttled.headers.get('retry-after')]).toEqual([429, '7'])
    expect((await token()).status).toBe(200)
    expect(server.faults.struck.map(({ name }) => name)).toEqual(['502 in HTML', '429 in json'])
  })

  it('strikes calls of one kind only, and as often as told', async () => {
    server.faults.when(({ form }) => form.get('scope') === 'orders', fault.serverError(500), 1)
    expect((await token({ scope: 'customers' })).status).toBe(200)
    expect((await token({ scope: 'orders' })).status).toBe(500)
    expect((await token({ scope: 'orders' })).status).toBe(200)
    const undo = server.faults.always('jwks', fault.serverError(503))
    for (let i = 0; i < 2; i += 1) expect((await fetch(`${server.origin}/jwks`)).status).toBe(503)
    undo()
    expect((await fetch(`${server.origin}/jwks`)).status).toBe(200)
  })

  it.each([
    ['before its body: nothing happened', fault.resetBeforeBody(), 0],
    ['after its body: nothing happened', fault.resetAfterBody(), 0],
    ['when the answer is lost: it happened', fault.answerLost(), 1],
    ['half way through the answer: it happened', fault.truncated(), 1],
  ])('breaks the connection of a call %s', async (_when, one, happened) => {
    server.faults.next('token', one)
    await expect(token().then((answer) => answer.text())).rejects.toThrow(/failed|terminated|closed/)
    expect(effects).toBe(happened)
    expect(server.record.tokenCalls).toMatchObject([{ answered: false, outcome: happened ? 'issued' : 'none', faults: [one.name] }])
  })

  it('stays silent until the caller gives up, with or without effect', async () => {
    for (const processed of [false, true]) {
      server.faults.next('token', fault.hang(processed))
      const given = fetch(`${server.origin}/token`, { method: 'POST', body: 'grant_type=refresh_token', signal: AbortSignal.timeout(100) })
      await expect(given).rejects.toThrow(/timeout/)
    }
    expect(effects).toBe(1)
  })

  it('holds a call until the test lets it go', async () => {
    const held = server.faults.hold('token')
    const call = token()
    await held.arrived
    expect(effects).toBe(0)
    held.release()
    expect((await call).status).toBe(200)
    const after = server.faults.hold('token', 'answer')
    const second = token()
    await after.arrived
    after.release()
    expect((await second).status).toBe(200)
  })

  it('changes answers as providers in the field do', async () => {
    expect(await answered(fault.noExpiresIn())).not.toHaveProperty('expires_in')
    expect(await answered(fault.stringExpiresIn())).toHaveProperty('expires_in', '300')
    expect(await answered(fault.zeroExpiresIn())).toHaveProperty('expires_in', 0)
    expect(await answered(fault.lowerCaseTokenType())).toHaveProperty('token_type', 'bearer')
    expect(await answered(fault.extraFields())).toHaveProperty('foo')
    expect(await answered(fault.noRefreshToken())).not.toHaveProperty('refresh_token')
    await expect(answered(fault.malformedJson())).rejects.toThrow(/JSON/)
    await expect(answered(fault.emptyBody())).rejects.toThrow(/JSON/)
  })

  it('forges ID tokens: wrong claims under a good signature, good claims under none', async () => {
    const idToken = async (one: Fault): Promise<string> => String((await answered(one))['id_token'])
    const wellSigned = async (one: Fault): Promise<Json> => (await keys.verify(await idToken(one)))?.claims ?? {}
    expect(await wellSigned(fault.idTokenIssuer())).toMatchObject({ iss: 'https://evil.example', sub: 'ada' })
    expect(await wellSigned(fault.idTokenAudience())).toMatchObject({ aud: 'somebody-else' })
    expect(await wellSigned(fault.idTokenNonce())).toMatchObject({ nonce: 'another-nonce' })
    expect(await wellSigned(fault.idTokenSubject())).toMatchObject({ sub: 'somebody-else' })
    expect((await wellSigned(fault.idTokenExpired())).exp).toBeLessThan(NOW / 1000)
    expect(decodeProtectedHeader(await idToken(fault.idTokenUnsigned()))).toMatchObject({ alg: 'none' })
    const stranger = await idToken(fault.idTokenUnknownKey())
    expect(decodeProtectedHeader(stranger).kid).not.toBe(keys.active.kid)
    const bad = await idToken(fault.idTokenBadSignature())
    expect(decodeProtectedHeader(bad).kid).toBe(keys.active.kid)
    expect([await keys.verify(stranger), await keys.verify(bad)]).toEqual([undefined, undefined])
    expect(decodeJwt(bad).sub).toBe('ada')
  })

  it('has a clock that a call, or the emulator from now on, reads wrongly', async () => {
    const iat = async (): Promise<number> => decodeJwt(String(((await (await token()).json()) as Json)['id_token'])).iat ?? 0
    server.faults.next('token', fault.skew(-600_000))
    expect([await iat(), await iat()]).toEqual([NOW / 1000 - 600, NOW / 1000])
    server.clock.shift(3_600_000)
    expect(await iat()).toBe(NOW / 1000 + 3600)
    server.clock.shift(-3_600_000)
  })

  it('goes away and comes back at the same place', async () => {
    await server.away()
    await expect(token()).rejects.toThrow(/failed/)
    await server.back()
    expect((await token()).status).toBe(200)
  })
})

describe('the record of the emulators', () => {
  it('says which refresh token was sent again after it had been spent, and holds none', async () => {
    server.faults.next('token', fault.resetAfterBody())
    await token().catch(() => undefined)
    await token({ client_id: 'gateway', client_secret: 'canary-secret' })
    expect(server.record.sentAgain()).toEqual([])
    server.faults.next('token', fault.answerLost())
    await token({ refresh_token: 'rt-2' }).catch(() => undefined)
    await token({ refresh_token: 'rt-2' })
    expect(server.record.sentAgain()).toEqual([digestOf('rt-2')])
    expect(server.record.where({ grant: 'refresh_token', outcome: 'issued' })).toHaveLength(3)
    expect(server.record.tokenCalls[1]).toMatchObject({
      client: 'gateway',
      authentication: 'secret-post',
      presented: digestOf('rt-1'),
      refreshToken: digestOf('rt-2'),
    })
    expect(JSON.stringify(server.record)).not.toMatch(/canary-secret|"rt-[12]"/)
  })
})

describe('the keys of the emulators', () => {
  it('roll at once, and check with every published key until it is withdrawn', async () => {
    const rolling = await signingKeys({ withCertificate: true, count: 2 })
    const old = rolling.active
    const before = await rolling.sign({ sub: 'ada' })
    await rolling.roll()
    expect(rolling.active.kid).not.toBe(old.kid)
    expect(decodeProtectedHeader(await rolling.sign({})).kid).toBe(rolling.active.kid)
    expect(await rolling.verify(before)).toMatchObject({ claims: { sub: 'ada' } })
    rolling.withdraw(old.kid)
    expect(await rolling.verify(before)).toBeUndefined()
    expect(rolling.published().every(({ jwk }) => jwk.x5t === jwk.kid && jwk.x5c?.length === 1)).toBe(true)
    const announced = await rolling.announce()
    expect(rolling.active.kid).not.toBe(announced.kid)
    expect(rolling.published()).toContain(announced)
  })

  it.each(['PS256', 'ES256', 'EdDSA'])('sign with %s', async (algorithm) => {
    const some = await signingKeys({ algorithm })
    expect(await some.verify(await some.sign({ sub: 'ada' }))).toMatchObject({ header: { alg: algorithm }, claims: { sub: 'ada' } })
  })

  it('serve TLS under a certificate of their own', async () => {
    const secure = await startEmulatorServer(() => ({ keys, endpointOf: () => 'other', handle: () => jsonReply({ ok: true }) }), {
      tls: true,
    })
    expect(secure.origin).toMatch(/^https:\/\/localhost:/)
    const status = await new Promise((resolve, reject) => {
      get(secure.origin, { ca: secure.ca }, (answer) => resolve(answer.resume().statusCode)).once('error', reject)
    })
    expect(status).toBe(200)
    await secure.stop()
  })
})
