import { createHmac, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { exportJWK } from 'jose'
import type { JWK } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../src/kernel/secret.ts'
import { millis } from '../../src/kernel/time.ts'
import { canary, expectNoLeak, leaks } from '../harness/canary.ts'
import { CLIENT_SECRET, startHostileProvider } from '../harness/hostile-provider.ts'
import type { Answer, EndpointName, HostileProvider, Script } from '../harness/hostile-provider.ts'
import { askFor, callbackOf, NONCE, providerRoom, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

/**
 * What a provider, or whoever sits in its place, may answer, one kind per line, and what comes of it. Whether a session lives on is in the word:
 * only `refused grant-rejected` and `violation session` end one.
 */
interface Kind {
  readonly name: string
  /** The step that meets the answer. */
  readonly at: 'discovery' | 'sign-in' | 'refresh'
  readonly answer: (hostile: HostileProvider) => void | Promise<void>
  readonly outcome: string
}

const SECRETS = {
  access: canary('access'),
  refresh: canary('refresh'),
  old: canary('old'),
  word: canary('word'),
  claim: canary('claim'),
  private: canary('private'),
}
/** What everybody could see while the table was worked through. */
const seen: string[] = []
const slow: NodeJS.Timeout[] = []
const NOW = Math.floor(Date.now() / 1000)

// Answers.
const says =
  (endpoint: EndpointName, answer: Answer) =>
  (hostile: HostileProvider): void => {
    hostile.script[endpoint] = () => answer
  }
const acts =
  (endpoint: EndpointName, script: Script) =>
  (hostile: HostileProvider): void => {
    hostile.script[endpoint] = script
  }
const metadata =
  (make: (hostile: HostileProvider) => Record<string, unknown>) =>
  (hostile: HostileProvider): void => {
    hostile.metadata = make(hostile)
  }
/** A good answer but for these members. */
const tokens =
  (make: (hostile: HostileProvider) => Record<string, unknown> | Promise<Record<string, unknown>>) =>
  (hostile: HostileProvider): void => {
    hostile.script.token = async () => ({
      body: await hostile.tokens({ access_token: SECRETS.access, refresh_token: SECRETS.refresh, ...(await make(hostile)) }),
    })
  }
const idToken = (claims: Record<string, unknown>, header: Record<string, unknown> = {}) =>
  tokens(async (hostile) => ({ id_token: await hostile.idToken({ nonce: NONCE, secret: SECRETS.claim, ...claims }, header) }))
const keys =
  (make: (hostile: HostileProvider) => unknown[] | Promise<unknown[]>) =>
  async (hostile: HostileProvider): Promise<void> => {
    hostile.keys = (await make(hostile)) as JWK[]
  }
const HTML = { 'content-type': 'text/html' }
const part = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`
const refusal = (body: Record<string, unknown>): Record<string, unknown> => ({ error_description: SECRETS.word, ...body })

const d = (name: string, outcome: string, answer: Kind['answer']): Kind => ({ name, at: 'discovery', outcome, answer })
const s = (name: string, outcome: string, answer: Kind['answer']): Kind => ({ name, at: 'sign-in', outcome, answer })
const r = (name: string, outcome: string, answer: Kind['answer']): Kind => ({ name, at: 'refresh', outcome, answer })

const DISCOVERY: readonly Kind[] = [
  d(
    'the issuer of somebody else',
    'unavailable issuer-mismatch',
    metadata(() => ({ issuer: 'https://evil.example' })),
  ),
  d(
    'an issuer with one slash more',
    'unavailable issuer-mismatch',
    metadata(({ issuer }) => ({ issuer: `${issuer}/` })),
  ),
  d(
    'an issuer in capitals',
    'unavailable issuer-mismatch',
    metadata(({ issuer }) => ({ issuer: issuer.toUpperCase() })),
  ),
  d(
    'a list of issuers, ours among them',
    'unavailable issuer-mismatch',
    metadata(({ issuer }) => ({ issuer: [issuer] })),
  ),
  d(
    'no issuer',
    'unavailable issuer-mismatch',
    metadata(() => ({ issuer: undefined })),
  ),
  d(
    'a form of an issuer where there are no tenants',
    'unavailable issuer-mismatch',
    metadata(({ issuer }) => ({ issuer: `${issuer}/{tenantid}` })),
  ),
  d(
    'no token endpoint',
    'unavailable endpoint-invalid',
    metadata(() => ({ token_endpoint: undefined })),
  ),
  d(
    'a token endpoint without TLS',
    'unavailable endpoint-invalid',
    metadata(() => ({ token_endpoint: 'http://evil.example/token' })),
  ),
  d(
    'a password in an endpoint',
    'unavailable endpoint-invalid',
    metadata(() => ({ token_endpoint: `https://a:${SECRETS.word}@id.example/` })),
  ),
  d(
    'a file for keys',
    'unavailable endpoint-invalid',
    metadata(() => ({ jwks_uri: 'file:///etc/passwd' })),
  ),
  d(
    'a script for a sign-in page',
    'unavailable endpoint-invalid',
    metadata(() => ({ authorization_endpoint: 'javascript:alert(1)' })),
  ),
  d(
    'a fragment in an endpoint',
    'unavailable endpoint-invalid',
    metadata(() => ({ authorization_endpoint: 'https://id.example/#a' })),
  ),
  d(
    'an endpoint that is a list',
    'unavailable endpoint-invalid',
    metadata(() => ({ token_endpoint: ['https://id.example/token'] })),
  ),
  d(
    'an endpoint of three thousand characters',
    'unavailable endpoint-invalid',
    metadata(() => ({ jwks_uri: `https://id.example/${'a'.repeat(3000)}` })),
  ),
  d(
    'endpoints in a prototype',
    'unavailable issuer-mismatch',
    says('discovery', { body: '{"__proto__":{"issuer":"x","token_endpoint":"https://evil.example"}}' }),
  ),
  d('a list instead of a document', 'unavailable metadata-malformed', says('discovery', { body: [] })),
  d('a page instead of a document', 'unavailable metadata-malformed', says('discovery', { headers: HTML, body: `<p>${SECRETS.word}` })),
  d(
    'JSON under another type',
    'unavailable metadata-malformed',
    says('discovery', { headers: { 'content-type': 'text/plain' }, body: {} }),
  ),
  d('a byte order mark', 'unavailable metadata-malformed', says('discovery', { body: '\ufeff{}' })),
  d('nesting beyond reason', 'unavailable metadata-malformed', says('discovery', { body: `{"a":${nested(100_000)}}` })),
  d('half a megabyte', 'unavailable body-too-large', says('discovery', { body: { a: 'a'.repeat(500_000) } })),
  d('a coded body', 'unavailable content-encoding', says('discovery', { headers: { 'content-encoding': 'gzip' }, body: gzipSync('{}') })),
  d('a way to somewhere else', 'unavailable redirect', says('discovery', { status: 302, headers: { location: 'https://evil.example' } })),
  d('nothing, successfully', 'unavailable http-204', says('discovery', { status: 204 })),
  d('trouble', 'unavailable http-500', says('discovery', { status: 500, body: SECRETS.word })),
]

const ecKey = (): JWK => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) as JWK
const KEYS: readonly Kind[] = [
  s('keys that are away', 'unavailable keys', says('jwks', { status: 503 })),
  s('a page of keys', 'unavailable keys', says('jwks', { headers: HTML, body: '<html>' })),
  s('keys that are no list', 'unavailable keys', says('jwks', { body: { keys: {} } })),
  s('keys elsewhere', 'unavailable keys', says('jwks', { status: 301, headers: { location: 'https://evil.example/jwks' } })),
  s(
    'too many keys to read',
    'unavailable keys',
    keys(() => Array.from({ length: 3000 }, (_, i) => ({ ...ecKeyOnce, kid: `k${i}` }))),
  ),
  s(
    'no keys at all',
    'invalid key-unknown',
    keys(() => []),
  ),
  s(
    'keys for encryption',
    'invalid key-unknown',
    keys(({ signer }) => [{ ...signer.publicJwk, use: 'enc' }]),
  ),
  s(
    'keys for another algorithm',
    'invalid key-unknown',
    keys(({ signer }) => [{ ...signer.publicJwk, alg: 'ES512' }]),
  ),
  s(
    'a key of another kind under that name',
    'invalid key-unknown',
    keys(({ signer }) => [{ kty: 'oct', k: 'AAAA', kid: signer.kid }]),
  ),
  s(
    'a key that is not on its curve',
    'invalid signature',
    keys(({ signer }) => [{ ...signer.publicJwk, x: part('x'.repeat(32)) }]),
  ),
  s(
    'a key without half of it',
    'invalid signature',
    keys(({ signer }) => [{ ...signer.publicJwk, y: undefined }]),
  ),
  s(
    'a key of another issuer',
    'invalid signature',
    keys(({ signer }) => [{ ...signer.publicJwk, issuer: 'https://evil.example' }]),
  ),
  s(
    'more false keys of that name than are tried',
    'invalid signature',
    keys(({ signer }) => [...Array.from({ length: 8 }, () => ({ ...ecKey(), kid: signer.kid })), signer.publicJwk]),
  ),
  s(
    'a false key of that name before the true one',
    'signed-in',
    keys(({ signer }) => [{ ...ecKey(), kid: signer.kid }, signer.publicJwk]),
  ),
  s(
    'rubbish among the keys',
    'signed-in',
    keys(({ signer }) => [null, 'a', 7, [], { kty: 'RSA' }, signer.publicJwk]),
  ),
  s(
    'a private key',
    'signed-in',
    keys(({ signer }) => [{ ...signer.publicJwk, d: SECRETS.private, k: SECRETS.private }]),
  ),
]
const ecKeyOnce = ecKey()

/** RS256 by a key that is too short to be trusted. */
const shortRsa = async (hostile: HostileProvider): Promise<void> => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'short' }
  hostile.keys = [jwk]
  const signed = `${part({ alg: 'RS256', kid: 'short' })}.${part(hostile.claims({ nonce: NONCE }))}`
  const { sign } = await import('node:crypto')
  tokens(() => ({ id_token: `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}` }))(hostile)
}
const hmac = (hostile: HostileProvider): string => {
  const signed = `${part({ alg: 'HS256', kid: hostile.signer.kid })}.${part(hostile.claims({ nonce: NONCE }))}`
  const secret = createPublicKey({ key: hostile.signer.publicJwk as JsonWebKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const ID_TOKENS: readonly Kind[] = [
  s(
    'no ID token',
    'invalid id-token',
    tokens(() => ({})),
  ),
  s(
    'an ID token in a list',
    'invalid id-token',
    tokens(async (hostile) => ({ id_token: [await hostile.idToken({ nonce: NONCE })] })),
  ),
  s(
    'an encrypted ID token',
    'invalid id-token',
    tokens(() => ({ id_token: 'a.b.c.d.e' })),
  ),
  s(
    'an ID token of no JSON',
    'invalid id-token',
    tokens(() => ({ id_token: `${part('x')}.${part('y')}.${part('z')}` })),
  ),
  s(
    'an ID token of a list',
    'invalid id-token',
    tokens(() => ({ id_token: `${part({ alg: 'ES256' })}.${part([])}.${part('z')}` })),
  ),
  s(
    'an unsigned one',
    'invalid algorithm',
    tokens((h) => ({ id_token: `${part({ alg: 'none' })}.${part(h.claims({ nonce: NONCE }))}.` })),
  ),
  s(
    'one that says NoNe',
    'invalid algorithm',
    tokens((h) => ({ id_token: `${part({ alg: 'NoNe' })}.${part(h.claims({ nonce: NONCE }))}.` })),
  ),
  s(
    'one keyed with the public key',
    'invalid algorithm',
    tokens((hostile) => ({ id_token: hmac(hostile) })),
  ),
  s(
    'one without its signature',
    'invalid signature',
    tokens(async (hostile) => ({ id_token: (await hostile.idToken({ nonce: NONCE })).replace(/[^.]+$/, '') })),
  ),
  s(
    'one that was changed after it was signed',
    'invalid signature',
    tokens(async (hostile) => {
      const [head, , signature] = (await hostile.idToken({ nonce: NONCE })).split('.')
      return { id_token: `${head}.${part(hostile.claims({ nonce: NONCE, sub: 'grace' }))}.${signature}` }
    }),
  ),
  s(
    'one signed by another key of that name',
    'invalid signature',
    tokens(async (h) => ({ id_token: await h.idToken({ nonce: NONCE }, { kid: h.signer.kid }, await h.newSigner()) })),
  ),
  s(
    'one that brings its own key',
    'invalid key-unknown',
    tokens(async (h) => {
      const rogue = await h.newSigner()
      return { id_token: await h.idToken({ nonce: NONCE }, { jwk: rogue.publicJwk, jku: 'https://evil.example' } as never, rogue) }
    }),
  ),
  s(
    'one with a rule that must be understood',
    'invalid signature',
    tokens((h) => ({
      id_token: `${part({ alg: 'ES256', kid: h.signer.kid, crit: ['x'], x: 1 })}.${part(h.claims({ nonce: NONCE }))}.${part('x'.repeat(64))}`,
    })),
  ),
  s('one by a key that is too short', 'invalid signature', shortRsa),
  s('a wrong nonce', 'invalid nonce', idToken({ nonce: 'other' })),
  s('no nonce', 'invalid nonce', idToken({ nonce: undefined })),
  s('a list of nonces', 'invalid nonce', idToken({ nonce: [NONCE] })),
  s('another issuer', 'invalid issuer', idToken({ iss: 'https://evil.example' })),
  s('another client', 'invalid audience', idToken({ aud: 'other' })),
  s('an audience that is an object', 'invalid audience', idToken({ aud: { gateway: true } })),
  s('two audiences and nobody it was made for', 'invalid authorized-party', idToken({ aud: ['gateway', 'other'] })),
  s('our audience, made for another', 'invalid authorized-party', idToken({ azp: 'other' })),
  s('one that is over', 'invalid expiry', idToken({ exp: NOW - 120 })),
  s('an end in words', 'invalid expiry', idToken({ exp: 'tomorrow' })),
  s('an end in milliseconds', 'invalid expiry', idToken({ exp: NOW * 1000 })),
  s('one of tomorrow', 'invalid issued-at', idToken({ iat: NOW + 86_400 })),
  s('one that is not good yet', 'invalid not-before', idToken({ nbf: NOW + 600 })),
  s('nobody', 'invalid subject', idToken({ sub: '' })),
  s('a name of 256 characters', 'invalid subject', idToken({ sub: 'a'.repeat(256) })),
  s('a name of two lines', 'invalid subject', idToken({ sub: 'ada\r\nset-cookie: a=b' })),
  s('a name that is a number', 'invalid subject', idToken({ sub: 7 })),
  s(
    'forty kilobytes of claims',
    'invalid claims-size',
    idToken({ groups: Array.from({ length: 1100 }, () => randomBytes(16).toString('hex')) }),
  ),
  s('the hash of another access token', 'invalid at-hash', idToken({ at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' })),
  s('a moment of sign-in that is none', 'invalid auth-time', idToken({ auth_time: 'now' })),
]

const cut: Script = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write(`{"access_token":"${SECRETS.access}"`)
  setImmediate(() => response.destroy())
  return undefined
}
const trickle: Script = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  slow.push(setInterval(() => response.write(' '), 50))
  return undefined
}

const TOKENS: readonly Kind[] = [
  // Answers of success.
  r('a page, successfully', 'unavailable unknown response', says('token', { headers: HTML, body: `<p>${SECRETS.word}` })),
  r('nothing', 'unavailable unknown response', says('token', { body: '' })),
  r('a list', 'unavailable unknown response', says('token', { body: [{ access_token: SECRETS.access }] })),
  r('half a document', 'unavailable unknown response', says('token', { body: `{"access_token":"${SECRETS.access}` })),
  r(
    'a successor in a list',
    'unavailable unknown response',
    tokens(() => ({ refresh_token: [SECRETS.refresh] })),
  ),
  r(
    'a successor that no cookie jar could hold',
    'unavailable unknown response',
    tokens(() => ({ refresh_token: SECRETS.refresh.repeat(500) })),
  ),
  r(
    'no access token',
    'violation audience access-token',
    tokens(() => ({ access_token: undefined })),
  ),
  r(
    'a header inside the access token',
    'violation audience access-token',
    tokens(() => ({ access_token: 'a\r\nset-cookie: a=b' })),
  ),
  r(
    'an access token beyond ASCII',
    'violation audience access-token',
    tokens(() => ({ access_token: 'tökén' })),
  ),
  r(
    'an access token of 70 kilobytes',
    'violation audience access-token',
    tokens(() => ({ access_token: 'a'.repeat(70_000) })),
  ),
  r('an error, successfully', 'violation audience access-token', says('token', { body: refusal({ error: 'invalid_grant' }) })),
  r(
    'a type nobody asked for',
    'violation audience token-type',
    tokens(() => ({ token_type: 'DPoP' })),
  ),
  r(
    'no type',
    'violation audience token-type',
    tokens(() => ({ token_type: undefined })),
  ),
  r(
    'no life',
    'violation audience expires-in',
    tokens(() => ({ expires_in: 0 })),
  ),
  r(
    'a life in the past',
    'violation audience expires-in',
    tokens(() => ({ expires_in: -300 })),
  ),
  r(
    'a life in words',
    'violation audience expires-in',
    tokens(() => ({ expires_in: 'soon' })),
  ),
  r(
    'a life without end',
    'violation audience expires-in',
    says('token', { body: `{"access_token":"a","token_type":"Bearer","expires_in":1e400}` }),
  ),
  r(
    'a life in a text',
    'issued',
    tokens(() => ({ expires_in: '300' })),
  ),
  r(
    'a life untold',
    'issued',
    tokens(() => ({ expires_in: undefined })),
  ),
  r(
    'members nobody knows',
    'issued',
    tokens(() => ({ ext_expires_in: 1, foci: '1', constructor: { name: 'x' } })),
  ),
  r(
    'an ID token that is a number',
    'violation audience id-token',
    tokens(() => ({ id_token: 7 })),
  ),
  r('an ID token that is over', 'violation audience expiry', idToken({ exp: NOW - 120 })),
  r('the ID token of somebody else', 'violation session subject-changed', idToken({ sub: 'grace' })),
  r('an ID token of another issuer', 'violation session issuer', idToken({ iss: 'https://evil.example' })),
  r('an ID token of another client', 'violation session audience', idToken({ aud: 'other' })),
  r(
    'an ID token signed by a stranger',
    'violation session signature',
    tokens(async (h) => ({ id_token: await h.idToken({}, { kid: h.signer.kid }, await h.newSigner()) })),
  ),
  r(
    'an access token for another API',
    'violation audience access-token-audience',
    tokens(async (h) => ({ access_token: await h.idToken({ aud: 'x' }) })),
  ),
  r(
    'a token of the application',
    'violation audience access-token-principal',
    tokens(async (h) => ({ access_token: await h.idToken({ aud: 'https://orders.example', sub: 'gateway' }) })),
  ),
  // Keys that cannot be had while a session is refreshed: the session goes on.
  r(
    'an ID token whose key is not published',
    'issued',
    tokens(async (h) => ({ id_token: await h.idToken({}, {}, await h.newSigner()) })),
  ),
  r('an ID token while the keys are away', 'issued', async (hostile) => {
    says('jwks', { status: 503 })(hostile)
    idToken({})(hostile)
  }),
  r('an ID token while the keys are a page', 'issued', async (hostile) => {
    says('jwks', { headers: HTML, body: '<html>502' })(hostile)
    idToken({})(hostile)
  }),
  // Refusals, and what looks like one.
  r('a refusal of the refresh token', 'refused grant-rejected', says('token', { status: 400, body: refusal({ error: 'invalid_grant' }) })),
  r(
    'a refusal of the client, behind a challenge',
    'refused credential-rejected',
    says('token', { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: refusal({ error: 'invalid_client' }) }),
  ),
  r(
    'a challenge alone',
    'unavailable answered http-401',
    says('token', { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' }, body: '' }),
  ),
  r('an empty 400', 'unavailable answered http-400', says('token', { status: 400, body: '' })),
  r(
    'a refusal on a page',
    'unavailable answered http-400',
    says('token', { status: 400, headers: HTML, body: '{"error":"invalid_grant"}' }),
  ),
  r('a refusal in a list', 'unavailable answered http-400', says('token', { status: 400, body: [{ error: 'invalid_grant' }] })),
  r('a list of refusals', 'unavailable answered http-400', says('token', { status: 400, body: { error: ['invalid_grant'] } })),
  r(
    'a refusal in a prototype',
    'unavailable answered http-400',
    says('token', { status: 400, body: '{"__proto__":{"error":"invalid_grant"}}' }),
  ),
  r(
    'a refusal of 300 kilobytes',
    'unavailable answered http-400',
    says('token', { status: 400, body: refusal({ error: 'invalid_grant', a: 'a'.repeat(300_000) }) }),
  ),
  r('a refusal nobody knows', 'unavailable answered made_up', says('token', { status: 400, body: refusal({ error: 'made_up' }) })),
  r(
    'a refusal with a secret for a code',
    'unavailable answered scripterror',
    says('token', { status: 400, body: { error: '<script>\r\nerror', error_description: SECRETS.word } }),
  ),
  r('a throttle on a page', 'unavailable answered throttled', says('token', { status: 429, headers: HTML, body: '<p>slow down' })),
  r(
    'not now, in JSON',
    'unavailable answered overloaded',
    says('token', { status: 503, body: refusal({ error: 'temporarily_unavailable' }) }),
  ),
  r('a page of a proxy', 'unavailable unknown http-502', says('token', { status: 502, headers: HTML, body: '<p>Bad Gateway' })),
  r('a refusal behind trouble', 'unavailable unknown http-500', says('token', { status: 500, body: refusal({ error: 'invalid_grant' }) })),
  r(
    'a way to somewhere else',
    'unavailable unknown redirect',
    says('token', { status: 307, headers: { location: 'https://evil.example/token' } }),
  ),
  r('a status that is none', 'unavailable unknown http-799', says('token', { status: 799, body: refusal({ error: 'invalid_grant' }) })),
  // What breaks on the way.
  r(
    'a bomb',
    'unavailable unknown content-encoding',
    says('token', { headers: { 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(5_000_000)) }),
  ),
  r('an answer that was cut', 'unavailable unknown UND_ERR_RES_CONTENT_LENGTH_MISMATCH', acts('token', cut)),
  r('an answer that never ends', 'unavailable unknown timeout', acts('token', trickle)),
  r(
    'a line that goes dead',
    'unavailable unknown UND_ERR_SOCKET',
    acts('token', (_request, response) => void response.destroy()),
  ),
  r(
    'headers without end',
    'unavailable unknown UND_ERR_HEADERS_OVERFLOW',
    says('token', { headers: { 'x-a': 'a'.repeat(20_000) }, body: {} }),
  ),
]

const ALL = [...DISCOVERY, ...KEYS, ...ID_TOKENS, ...TOKENS]
const OLD = Secret.of('refresh-token', SECRETS.old)
const ASK = askFor('https://orders.example', ['orders.read'])

const play = async (room: ProviderRoom, hostile: HostileProvider, at: Kind['at']): Promise<object> => {
  const { provider, checks } = room
  switch (at) {
    case 'discovery':
      return provider.authorizationUrl({ ...checks, scopes: ['openid'], ask: undefined, extras: {} })
    case 'sign-in':
      return provider.redeem(callbackOf(hostile, room), checks, undefined)
    case 'refresh':
      return provider.refresh(OLD, ASK, { issuer: hostile.issuer, subject: 'ada' })
  }
}

/** The outcome in one line; `providerCode` where nothing else tells. */
const lineOf = (outcome: object): string => {
  const { kind, sent, concerns, check, reason, cause } = outcome as Readonly<Record<string, string | undefined>>
  return [kind, sent, concerns, reason, check ?? cause].filter((word) => word !== undefined).join(' ')
}

describe('what a provider may answer', () => {
  afterAll(() => {
    for (const timer of slow) clearInterval(timer)
  })

  it.each(ALL)('$at: $name is $outcome', async ({ at, answer, outcome }) => {
    const hostile = await startHostileProvider()
    // Only what is about time is short of it: a busy machine may keep any other answer waiting.
    const room = providerRoom(hostile.issuer, { timeoutMs: millis(outcome.endsWith('timeout') ? 600 : 10_000) })
    try {
      // A refresh finds metadata and keys at hand, as in a gateway that has run for a while; a script of keys is met by what asks for them.
      await answer(hostile)
      if (at === 'refresh') await room.provider.answers()
      const got = await play(room, hostile, at)
      seen.push(visible(room, got))
      expect(lineOf(got)).toBe(outcome)
      // Whoever is in the provider's place is told nothing but what was asked for, and never asked about a user.
      expect(hostile.requests.filter(({ endpoint }) => endpoint === 'other')).toEqual([])
    } finally {
      await room.provider.close()
      await hostile.close()
    }
  })

  it('are more than sixty kinds, no two of one', () => {
    expect(ALL.length).toBeGreaterThanOrEqual(60)
    expect(new Set(ALL.map(({ at, name }) => `${at} ${name}`)).size).toBe(ALL.length)
  })

  it('of all that is wrong only the session’s own refresh token, refused in so many words, and a contradiction of identity end a session', () => {
    const ends = TOKENS.filter(({ outcome }) => outcome.startsWith('refused grant-rejected') || outcome.startsWith('violation session'))
    expect(ends.map(({ name }) => name)).toEqual([
      'the ID token of somebody else',
      'an ID token of another issuer',
      'an ID token of another client',
      'an ID token signed by a stranger',
      'a refusal of the refresh token',
    ])
  })

  it('no secret of any of them is in what anybody can see: logs, metrics, outcomes', () => {
    expectNoLeak([...Object.values(SECRETS), CLIENT_SECRET], { seen: seen.join('\n') })
    expect(seen).toHaveLength(ALL.length)
  })
  it('and the search would find one, in whatever spelling it got there', () => {
    for (const secret of Object.values(SECRETS))
      for (const spelling of [
        secret,
        Buffer.from(`x${secret}y`).toString('base64'),
        Buffer.from(secret).toString('hex'),
        encodeURIComponent(secret),
      ])
        expect(leaks([secret], { seen: `${seen[0]} ${spelling}` }), spelling).toHaveLength(1)
  })
})

describe('userinfo', () => {
  let hostile: HostileProvider
  beforeAll(async () => {
    hostile = await startHostileProvider()
    hostile.metadata = { userinfo_endpoint: `${hostile.issuer}/userinfo` }
  })
  afterAll(() => hostile.close())

  it('is never asked, however loudly it is announced: what it could say is in no answer', async () => {
    const room = providerRoom(hostile.issuer)
    const signedIn = await room.provider.redeem(callbackOf(hostile, room), room.checks, undefined)
    if (signedIn.kind !== 'signed-in' || !signedIn.refreshToken) throw new Error('not signed in')
    expect((await room.provider.refresh(signedIn.refreshToken, ASK, { issuer: hostile.issuer, subject: 'ada' })).kind).toBe('issued')
    expect(hostile.requests.map(({ path }) => path)).toEqual(['/.well-known/openid-configuration', '/jwks', '/token', '/token'])
    await room.provider.close()
  })
  it('is not even known: no source file names its endpoint', () => {
    const src = join(import.meta.dirname, '../../src')
    const naming = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.startsWith('dev/'))
      .filter((path) => readFileSync(join(src, path), 'utf8').includes('userinfo_endpoint'))
    expect(naming).toEqual([])
  })
})
