import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Loaded, Source } from '../../../src/credentials/loaded.ts'
import type { Credential, CredentialId, CredentialVerdict, TlsCredential } from '../../../src/domain/credential.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { instant, millis } from '../../../src/kernel/time.ts'
import { verdictOf } from '../../../src/provider/credential-verdict.ts'
import type { Exchange } from '../../../src/provider/fetch.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import type { ProviderDeps } from '../../../src/provider/provider.ts'
import { credentialSet } from '../../harness/credential-set.ts'
import { startHostileProvider } from '../../harness/hostile-provider.ts'
import { askFor, movableClock, providerRoom, visible } from '../../harness/provider-room.ts'
import { CLIENT_SECRET } from '../../harness/hostile-provider.ts'
import { selfSigned } from '../../harness/self-signed.ts'
import type { SelfSigned } from '../../harness/self-signed.ts'

const NOW = instant(Date.UTC(2026, 10, 2))
const answered = (status: number, body: unknown = {}): Exchange => ({
  kind: 'answered',
  status,
  contentType: 'application/json',
  retryAfter: undefined,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})
const refused = (status: number, error: string, more: Record<string, unknown> = {}): Exchange => answered(status, { error, ...more })
const aadsts = (status: number, error: string, number: number): Exchange =>
  refused(status, error, { error_codes: [number], error_description: `AADSTS${number}: …` })

describe('what an answer says of the credential', () => {
  it.each<[string, 'generic' | 'keycloak' | 'entra' | 'auth0', Exchange, CredentialVerdict['kind']]>([
    ['a token', 'generic', answered(200, { access_token: 'x' }), 'accepted'],
    ['a pushed request', 'generic', answered(201, {}), 'accepted'],
    ['400 invalid_grant', 'generic', refused(400, 'invalid_grant'), 'accepted'],
    ['400 invalid_scope', 'generic', refused(400, 'invalid_scope'), 'accepted'],
    ['400 invalid_target', 'generic', refused(400, 'invalid_target'), 'accepted'],
    ['400 invalid_request, which comes before authentication', 'generic', refused(400, 'invalid_request'), 'none'],
    ['400 unsupported_grant_type, as well', 'generic', refused(400, 'unsupported_grant_type'), 'none'],
    ['400 unauthorized_client: the grant is not allowed', 'generic', refused(400, 'unauthorized_client'), 'none'],
    ['400 without a body', 'generic', answered(400, ''), 'none'],
    ['401 invalid_client', 'generic', refused(401, 'invalid_client'), 'rejected'],
    ['400 invalid_client, as some say it', 'generic', refused(400, 'invalid_client'), 'rejected'],
    ['401 of a code that would be an acceptance with 400', 'generic', refused(401, 'invalid_grant'), 'rejected'],
    ['401 without a body', 'generic', answered(401, ''), 'rejected'],
    ['401 in HTML', 'generic', { ...answered(401, '<p>no</p>'), contentType: 'text/html' } as Exchange, 'rejected'],
    ['403', 'generic', refused(403, 'access_denied'), 'none'],
    ['403 without a body', 'generic', answered(403, ''), 'none'],
    [
      '403 invalid_grant: what Auth0 says of a refresh token nobody issued, to a client it knows',
      'auth0',
      refused(403, 'invalid_grant', { error_description: 'Unknown or invalid refresh token.' }),
      'accepted',
    ],
    ['a wrong secret at Auth0', 'auth0', refused(401, 'access_denied', { error_description: 'Unauthorized' }), 'rejected'],
    ['an API that Auth0 does not know', 'auth0', refused(403, 'access_denied', { error_description: 'Service not found: x' }), 'none'],
    ['429', 'generic', refused(429, 'invalid_client'), 'none'],
    ['500', 'generic', refused(500, 'server_error'), 'none'],
    ['nobody', 'generic', { kind: 'failed', sent: 'unknown', cause: 'ECONNRESET' }, 'none'],
    ['a redirect', 'generic', { kind: 'failed', sent: 'unknown', cause: 'redirect' }, 'none'],
    ['our own file, empty', 'generic', { kind: 'failed', sent: 'not-sent', cause: 'no-credential' }, 'rejected'],
    [
      'an alert in the handshake',
      'generic',
      { kind: 'failed', sent: 'unknown', cause: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' },
      'rejected',
    ],
    ['another alert', 'generic', { kind: 'failed', sent: 'unknown', cause: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' }, 'none'],
    [
      'a wrong secret at Keycloak',
      'keycloak',
      refused(401, 'unauthorized_client', { error_description: 'Invalid client or Invalid client credentials' }),
      'rejected',
    ],
    [
      'a grant that is off at Keycloak',
      'keycloak',
      refused(401, 'unauthorized_client', { error_description: 'Client not enabled to retrieve service account' }),
      'none',
    ],
    [
      'an audience that Keycloak does not know',
      'keycloak',
      refused(400, 'invalid_client', { error_description: 'Audience not found' }),
      'none',
    ],
    ['700027 of Entra', 'entra', aadsts(401, 'invalid_client', 700027), 'rejected'],
    ['7000215 of Entra', 'entra', aadsts(401, 'invalid_client', 7000215), 'rejected'],
    ['700213 of Entra, which is no invalid_client', 'entra', aadsts(400, 'invalid_request', 700213), 'rejected'],
    ['700016 of Entra: no credential would help', 'entra', aadsts(400, 'unauthorized_client', 700016), 'none'],
    ['7000112 of Entra: the application is switched off', 'entra', aadsts(401, 'invalid_client', 7000112), 'none'],
  ])('%s (%s)', (_name, profile, exchange, kind) => {
    expect(verdictOf(exchange, profileOf(profile), NOW).kind).toBe(kind)
  })
})

const secret = (value: string): Credential => ({ kind: 'secret', secret: Secret.of('client-secret', value), method: 'client_secret_post' })
const ASK = askFor('https://reports.example', [], 'client_credentials')

describe('a request whose credential is rejected', () => {
  it('goes out again with each of the others, once, and reports what it saw', async () => {
    const hostile = await startHostileProvider()
    const [bad, worse, good] = [secret('canary-bad'), secret('canary-worse'), secret(CLIENT_SECRET)]
    const seen: string[] = []
    const source = {
      current: () => bad,
      fallbacks: () => [worse, good],
      report: (credential: Credential, { kind }: CredentialVerdict) => void seen.push(`${[bad, worse, good].indexOf(credential)} ${kind}`),
    }
    const room = providerRoom(hostile.issuer, { clientAuth: source })
    expect((await room.provider.application(ASK)).kind).toBe('issued')
    expect(seen).toEqual(['0 rejected', '1 rejected', '2 accepted'])
    expect(room.metrics.filter((line) => line.startsWith('sallyport_credentials_fallbacks_total')).length).toBe(2)
    expect(visible(room)).not.toContain('canary')
    await room.provider.close()
    await hostile.close()
  })
  // While a key is being registered and the other removed, one of the provider's servers may know neither: the next one asked does.
  it('by a server that knows neither goes out once more with those that were accepted a moment ago, four times at most', async () => {
    const hostile = await startHostileProvider()
    const [one, other] = [secret(CLIENT_SECRET), secret('unknown')]
    const room = providerRoom(hostile.issuer, { clientAuth: { current: () => one, fallbacks: () => [other] } })
    let left = 2
    hostile.script.token = () =>
      left-- > 0
        ? { status: 401, body: { error: 'invalid_client' } }
        : { status: 200, body: { access_token: 'opaque', token_type: 'Bearer', expires_in: 60 } }
    expect((await room.provider.application(ASK)).kind).toBe('refused') // nothing was accepted so far: nobody knows that it ever is
    expect(hostile.hits('token')).toBe(2)
    expect((await room.provider.application(ASK)).kind).toBe('issued')
    left = 2
    expect((await room.provider.application(ASK)).kind).toBe('issued')
    expect(hostile.hits('token')).toBe(2 + 1 + 3)
    left = 99
    expect((await room.provider.application(ASK)).kind).toBe('refused')
    expect(hostile.hits('token')).toBe(2 + 1 + 3 + 3)
    await room.provider.close()
    await hostile.close()
  })
  // It was thrown past everything, and the request ended in an error of ours.
  it('that cannot even be presented goes out with the next one', async () => {
    const hostile = await startHostileProvider()
    const { privateKey } = selfSigned()
    const mixedUp: Credential = { kind: 'jwk', privateKey, algorithm: 'ES256', kid: 'mixed-up', file: 'x' }
    const good = secret(CLIENT_SECRET)
    const seen: string[] = []
    const source = {
      current: () => mixedUp,
      fallbacks: () => [good],
      report: ({ kind }: Credential, verdict: CredentialVerdict) =>
        void seen.push(`${kind} ${verdict.kind === 'rejected' ? verdict.code : verdict.kind}`),
    }
    const room = providerRoom(hostile.issuer, { clientAuth: source })
    expect((await room.provider.application(ASK)).kind).toBe('issued')
    expect(seen).toEqual(['jwk no-credential', 'secret accepted'])
    await room.provider.close()
    await hostile.close()
  })
  it('and no other is there to help tells what was said of the one in use, after four at most', async () => {
    const hostile = await startHostileProvider()
    const all = Array.from({ length: 9 }, (_one, i) => secret(`wrong-${i}`))
    const room = providerRoom(hostile.issuer, { clientAuth: { current: () => all[0], fallbacks: () => all.slice(1) } })
    expect(await room.provider.application(ASK)).toEqual({ kind: 'refused', reason: 'credential-rejected', providerCode: 'invalid_client' })
    expect(hostile.hits('token')).toBe(4)
    await room.provider.close()
    await hostile.close()
  })
  it('of somebody else’s endpoint says nothing of ours: a service account carries its own proof', async () => {
    const hostile = await startHostileProvider()
    const seen: string[] = []
    const source = {
      current: () => secret(CLIENT_SECRET),
      fallbacks: () => [secret(CLIENT_SECRET)],
      report: (_: Credential, { kind }: CredentialVerdict) => void seen.push(kind),
    }
    const room = providerRoom(hostile.issuer, { clientAuth: source })
    const key = {
      email: 'robot@example.com',
      keyId: 'k1',
      privateKey: selfSigned().privateKey,
      tokenEndpoint: new URL(`${hostile.issuer}/token`),
    }
    expect((await room.provider.serviceAccount(key, 'ada@example.com', ASK)).kind).not.toBe('issued')
    expect([seen, hostile.hits('token'), hostile.last('token').parameters.has('client_secret')]).toEqual([[], 1, false])
    expect(hostile.last('token').headers.authorization).toBeUndefined()
    await room.provider.close()
    await hostile.close()
  })
  it('a probe is one request with one credential, and spends nothing', async () => {
    const hostile = await startHostileProvider()
    const room = providerRoom(hostile.issuer, {
      clientAuth: { current: () => secret(CLIENT_SECRET), fallbacks: () => [secret(CLIENT_SECRET)] },
    })
    expect(await room.provider.probe(secret('wrong'))).toEqual({ kind: 'rejected', code: 'invalid_client' })
    expect(hostile.hits('token')).toBe(1)
    expect((await room.provider.probe(secret(CLIENT_SECRET))).kind).toBe('accepted')
    expect(hostile.last('token').parameters.get('refresh_token')).toBe('sallyport-credential-probe')
    const none = providerRoom(hostile.issuer, { probe: 'none' })
    expect(await none.provider.probe(secret(CLIENT_SECRET))).toEqual({ kind: 'none', cause: 'no-probe' })
    // Withdrawn while the metadata was waited for.
    const hits = hostile.hits('token')
    expect(await room.provider.probe(secret(CLIENT_SECRET), () => false)).toEqual({ kind: 'none', cause: 'withdrawn' })
    expect(hostile.hits('token')).toBe(hits)
    await none.provider.close()
    await hostile.close()
    expect((await room.provider.probe(secret(CLIENT_SECRET))).kind).toBe('none')
    await room.provider.close()
  })
})

describe('a client certificate in the handshake', () => {
  const server = selfSigned({ kind: 'ec' })
  const [one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  const servers: Server[] = []
  let registered: Set<string>
  let seen: { readonly path: string; readonly thumbprint: string; readonly body: string }[]
  let gate: Promise<void> | undefined
  let issuer: string
  /** Connections that present one of these are dropped right after the handshake, which the client takes for done (TLS 1.3). */
  let dropped: Set<string>
  let drops: string[]
  let howDropped: 'reset' | 'closed'

  const tls = ({ certificate, privateKey, thumbprint }: SelfSigned): TlsCredential => ({
    kind: 'tls',
    method: 'self_signed_tls_client_auth',
    privateKey,
    certificatePem: certificate,
    thumbprint,
    notBefore: NOW,
    notAfter: NOW,
    file: 'tls.crt',
  })
  const listen = async (isMutual: boolean): Promise<string> => {
    const app = createServer(
      { cert: server.certificate, key: server.key, requestCert: isMutual, rejectUnauthorized: false },
      (request, response) => {
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('end', () => {
          const json = (status: number, body: unknown): void =>
            void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
          if (request.url?.startsWith('/.well-known')) return json(200, discovery())
          // What was sent before the connection was dropped is not read.
          if (request.socket.destroyed) return
          const { raw } = (request.socket as TLSSocket).getPeerCertificate()
          const thumbprint = raw ? createHash('sha256').update(raw).digest('base64url') : 'none'
          seen.push({ path: request.url ?? '', thumbprint, body: Buffer.concat(chunks).toString() })
          void (gate ?? Promise.resolve()).then(() =>
            registered.has(thumbprint)
              ? json(200, { access_token: 'at', token_type: 'Bearer', expires_in: 300 })
              : json(401, { error: 'invalid_client' }),
          )
        })
      },
    )
    const raws = new Map<number | undefined, Socket>()
    app.on('connection', (raw: Socket) => raws.set(raw.remotePort, raw))
    app.on('secureConnection', (socket: TLSSocket) => {
      const { raw } = socket.getPeerCertificate()
      const thumbprint = raw ? createHash('sha256').update(raw).digest('base64url') : 'none'
      if (!dropped.has(thumbprint)) return
      drops.push(thumbprint)
      socket.on('error', () => undefined)
      if (howDropped === 'closed') socket.destroy()
      else raws.get(socket.remotePort)?.resetAndDestroy()
    })
    servers.push(app)
    app.listen(0, '127.0.0.1')
    await once(app, 'listening')
    return `https://localhost:${(app.address() as AddressInfo).port}`
  }
  let mutual: string
  const discovery = () => ({
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/keys`,
    mtls_endpoint_aliases: { token_endpoint: `${mutual}/mtls/token` },
  })
  beforeEach(async () => {
    seen = []
    gate = undefined
    dropped = new Set()
    drops = []
    howDropped = 'reset'
    registered = new Set([one.thumbprint, two.thumbprint])
    mutual = await listen(true)
    issuer = await listen(false)
  })
  afterEach(async () => {
    for (const app of servers.splice(0)) {
      app.closeAllConnections()
      await new Promise((resolve) => app.close(resolve))
    }
  })
  const room = (clientAuth: Parameters<typeof providerRoom>[1] & object) =>
    providerRoom(issuer, { ca: () => server.certificate, insecureAllowHttp: false, ...clientAuth })

  it('goes to the alias of the endpoint, names the client and carries no other proof', async () => {
    const { provider } = room({ clientAuth: { current: () => tls(one) } })
    expect((await provider.application(ASK)).kind).toBe('issued')
    expect(seen.map(({ path, thumbprint }) => [path, thumbprint])).toEqual([['/mtls/token', one.thumbprint]])
    const body = new URLSearchParams(seen[0]?.body)
    expect([body.get('client_id'), body.has('client_secret'), body.has('client_assertion')]).toEqual(['gateway', false, false])
    await provider.close()
  })
  it('is rotated with connections open: a request under way ends where it began, the next one has the new certificate', async () => {
    let current = tls(one)
    const { provider } = room({ clientAuth: { current: () => current } })
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    const first = provider.application(ASK)
    await expect.poll(() => seen.length, { timeout: 5000 }).toBe(1)
    current = tls(two)
    const second = provider.application(ASK)
    await expect.poll(() => seen.length, { timeout: 5000 }).toBe(2)
    resolve()
    expect([(await first).kind, (await second).kind]).toEqual(['issued', 'issued'])
    expect(seen.map(({ thumbprint }) => thumbprint)).toEqual([one.thumbprint, two.thumbprint])
    await provider.close()
  })
  it('that the provider does not know yet is followed by the one before, on a connection of its own', async () => {
    registered = new Set([one.thumbprint])
    const [before, after] = [tls(one), tls(two)]
    const { provider } = room({ clientAuth: { current: () => after, fallbacks: () => [before] } })
    expect((await provider.application(ASK)).kind).toBe('issued')
    expect(seen.map(({ thumbprint }) => thumbprint)).toEqual([two.thumbprint, one.thumbprint])
    await provider.close()
  })
  // Its own part can be read; nothing was said to the provider, so nothing it says could have put it aside.
  it('whose chain TLS does not load is not presented, and the next one is', async () => {
    const broken: TlsCredential = { ...tls(two), certificatePem: `${two.certificate}${one.certificate.replace(/\n.{64}\n/, '\n')}` }
    const good = tls(one)
    const reported: string[] = []
    const source = {
      current: () => broken,
      fallbacks: () => [good],
      report: (credential: Credential, verdict: CredentialVerdict) =>
        void reported.push(`${credential === good ? 'good' : 'broken'} ${verdict.kind === 'rejected' ? verdict.code : verdict.kind}`),
    }
    const { provider } = room({ clientAuth: source })
    expect((await provider.application(ASK)).kind).toBe('issued')
    expect(reported).toEqual(['broken no-credential', 'good accepted'])
    expect(seen.map(({ thumbprint }) => thumbprint)).toEqual([one.thumbprint])
    await provider.close()
  })
  // A server that checks certificates itself after the handshake (Node's own does) says nothing: under TLS 1.3 the client has long sent its request.
  describe.each(['reset', 'closed'] as const)('of a server that does not say why: the connection is %s', (how) => {
    const reported: string[] = []
    const nameOf = (credential: Credential): string =>
      credential.kind === 'tls' ? (credential.thumbprint === one.thumbprint ? 'one' : 'two') : credential.kind
    const rotating = (over: Partial<ProviderDeps> = {}) => {
      const all = { one: tls(one), two: tls(two) }
      const source = {
        current: () => all.two,
        fallbacks: () => [all.one],
        report: (credential: Credential, { kind }: CredentialVerdict) => void reported.push(`${nameOf(credential)} ${kind}`),
      }
      return { ...all, ...room({ clientAuth: source, profile: { ...profileOf('generic'), rotation: 'strict' }, ...over }) }
    }
    beforeEach(() => {
      howDropped = how
      dropped = new Set([two.thumbprint])
      reported.length = 0
    })
    const rt = Secret.of('refresh-token', 'rt')
    const known = () => ({ issuer, subject: 'ada' })
    const user = askFor('https://orders.example')
    /** Those that came with the certificate that is taken; of a dropped connection something may have been read. */
    const refreshes = () => seen.filter(({ thumbprint, body }) => thumbprint === one.thumbprint && body.includes('refresh_token=rt'))

    it('what spends nothing goes out again with the one before, and that this one is accepted tells what was wrong', async () => {
      const { provider } = rotating()
      expect((await provider.application(ASK)).kind).toBe('issued')
      expect(drops).toEqual([two.thumbprint])
      expect(reported).toEqual(['two none', 'one accepted', 'two rejected'])
      await provider.close()
    })
    it('where the other one is dropped, too, nothing is said of either', async () => {
      dropped.add(one.thumbprint)
      const { provider, two: candidate } = rotating()
      expect(await provider.application(ASK)).toMatchObject({ kind: 'unavailable', sent: 'unknown' })
      expect(reported).toEqual(['two none', 'one none'])
      expect((await provider.probe(candidate)).kind).toBe('none')
      await provider.close()
    })
    // Known to be taken, it is tried once more: the server was just starting again.
    it('where one that was dropped is accepted the next time, nothing is said of any', async () => {
      dropped.clear()
      const { provider } = rotating()
      expect((await provider.application(ASK)).kind).toBe('issued')
      reported.length = 0
      dropped.add(two.thumbprint).add(one.thumbprint)
      const onceEach = dropped
      dropped = new (class extends Set<string> {
        override has(thumbprint: string): boolean {
          return onceEach.delete(thumbprint)
        }
      })()
      expect((await provider.application(ASK)).kind).toBe('issued')
      expect(reported).toEqual(['two none', 'one none', 'two accepted'])
      await provider.close()
    })
    it('a refresh token that may be used once goes out once; whether it was the certificate is asked without it', async () => {
      const { provider } = rotating()
      expect(await provider.refresh(rt, user, known())).toMatchObject({ kind: 'unavailable', sent: 'unknown' })
      await expect.poll(() => reported).toContain('two rejected')
      expect([refreshes().length, drops.length]).toEqual([0, 2])
      await provider.close()
    })
    it('a refresh token that stays as it is goes out again', async () => {
      const { provider } = rotating({ profile: { ...profileOf('generic'), rotation: 'none' } })
      expect((await provider.refresh(rt, user, known())).kind).toBe('issued')
      expect(refreshes().length).toBe(1)
      await provider.close()
    })
    it('a new one is found out by its probe, before anything is sent that could be lost', async () => {
      const clock = movableClock()
      const loaded = [tls(one)]
      const source: Source = {
        setting: 'certificate_dir',
        place: 'x',
        isStaged: true,
        look: async () => ({
          kind: 'seen',
          faults: [],
          loaded: loaded.map(
            (credential, n): Loaded => ({
              id: credential.thumbprint as CredentialId,
              credential,
              file: `${n}.crt`,
              notBefore: instant(n + 1),
              notAfter: undefined,
            }),
          ),
        }),
      }
      const { set } = await credentialSet([source], { clock, settings: { retryFirstMs: millis(50), spreadMs: millis(100) } })
      const { provider } = room({ clientAuth: set, profile: { ...profileOf('generic'), rotation: 'strict' } })
      expect((await provider.refresh(rt, user, known())).kind).toBe('issued')
      loaded.push(tls(two))
      await set.reload()
      set.start((credential) => provider.probe(credential))
      const whyTwo = () => set.overview().credentials.find(({ id }) => id === two.thumbprint)?.why
      await expect.poll(whyTwo, { timeout: 10_000 }).toBe('waits-for-registration')
      for (let n = 0; n < 5; n += 1) expect((await provider.refresh(rt, user, known())).kind).toBe('issued')
      expect(refreshes().length).toBe(6)
      // Registered: it is used by itself.
      dropped.clear()
      await expect.poll(() => [set.current() ?? tls(one)].map(nameOf), { timeout: 10_000 }).toEqual(['two'])
      await set.stop()
      await provider.close()
    })
  })
  it('no session of TLS is resumed under another certificate', async () => {
    let current: Credential = tls(one)
    const { provider } = room({ clientAuth: { current: () => current } })
    for (const next of [tls(one), tls(two), tls(one), tls(two)]) {
      current = next
      expect((await provider.application(ASK)).kind).toBe('issued')
    }
    expect(seen.map(({ thumbprint }) => thumbprint)).toEqual([one, two, one, two].map(({ thumbprint }) => thumbprint))
    await provider.close()
  })
})
