import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, request as send, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { type Configuration, Provider } from 'oidc-provider'
import { providerStore } from '../../../../src/dev/provider-store.ts'
import { type EmulatorServer, startEmulatorServer } from '../core.ts'
import type { EndpointName, Exchange, Json, Reply } from '../core-exchange.ts'
import { signingKeys } from '../core-keys.ts'
import { textOf } from '../oidc/vendor.ts'

/** Audience → scopes. */
export type Resources = Readonly<Record<string, readonly string[]>>

export interface GenericOptions {
  readonly publicUrl: string
  readonly resources: Resources
}

export interface Generic extends EmulatorServer {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  sit(user: string | undefined): void
  setEnabled(user: string, enabled: boolean): void
  /** An access token of the client `nightly`; without a user, its own. */
  bring(user: string | undefined, audience: string): Promise<string>
  /** `sid` of the last ID token. */
  lastSid(): string
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const LIFE = 300
const CLIENT = 'sallyport'
export const CALLER = 'nightly'

/**
 * `oidc-provider` as the independent third, behind the fault plan and the record of the emulators. What it does not know, exchange and on-behalf-of, is
 * added here as the standards have it (RFC 8693 §2, RFC 7523 §2.1): only that much of it is ours.
 */
export const startGeneric = async ({ publicUrl, resources }: GenericOptions): Promise<Generic> => {
  const secret = `canary-${randomBytes(18).toString('base64url')}`
  const keys = await signingKeys({ algorithm: 'ES256' })
  const disabled = new Set<string>()
  let person: string | undefined
  let lastSid = ''
  let inner: { readonly provider: Provider; readonly server: Server } | undefined
  const signing = signingKey()
  const server = await startEmulatorServer(
    async ({ origin }) => {
      const provider = new Provider(origin, configuration({ publicUrl, resources, secret, disabled, signing }))
      addGrants(provider, resources, signing)
      const answer = provider.callback()
      const listener = createServer((request, response) => {
        if (request.url?.startsWith('/interaction/')) void interact(provider, () => person, request, response)
        else void answer(request, response)
      })
      await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
      inner = { provider, server: listener }
      const { port } = listener.address() as AddressInfo
      return {
        keys,
        endpointOf: (_method, url) => endpointOf(url),
        handle: async (exchange) => {
          const reply = await forward(port, exchange)
          const { id_token: idToken } = reply.json ?? {}
          if (typeof idToken === 'string') lastSid = String(decodeJwt(idToken)['sid'])
          return reply
        },
      }
    },
    { host: '127.0.0.1' },
  )
  if (!inner) throw new Error('the provider was not asked for')
  const { provider, server: listener } = inner
  return {
    ...server,
    issuer: server.origin,
    clientId: CLIENT,
    clientSecret: secret,
    sit: (user) => {
      person = user
    },
    setEnabled: (user, enabled) => void (enabled ? disabled.delete(user) : disabled.add(user)),
    bring: async (user, audience) => {
      const client = await provider.Client.find(CALLER)
      if (!client) throw new Error('the caller is not registered')
      const token =
        user === undefined
          ? new provider.ClientCredentials({ client, scope: 'gateway.use' } as never)
          : new provider.AccessToken({ client, accountId: user, scope: 'gateway.use' } as never)
      token.resourceServer = resourceServer(provider, audience, resources)
      return token.save()
    },
    lastSid: () => lastSid,
    stop: async () => {
      await server.stop()
      listener.closeAllConnections()
      listener.close()
    },
  }
}

interface Parts extends GenericOptions {
  readonly secret: string
  readonly disabled: ReadonlySet<string>
  readonly signing: ReturnType<typeof signingKey>
}

const NAMES: Readonly<Record<string, string>> = { ada: 'Ada Lovelace', grace: 'Grace Hopper' }

const configuration = ({ publicUrl, resources, secret, disabled, signing }: Parts): Configuration => ({
  adapter: providerStore(),
  clients: [
    {
      client_id: CLIENT,
      client_secret: secret,
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials', EXCHANGE, JWT_BEARER],
      response_types: ['code'],
      redirect_uris: [`${publicUrl}/bff/callback`],
      post_logout_redirect_uris: [`${publicUrl}/bff/logout/callback`],
      backchannel_logout_uri: `${publicUrl}/bff/logout/backchannel`,
      backchannel_logout_session_required: true,
    },
    { client_id: CALLER, client_secret: secret, grant_types: ['client_credentials'], response_types: [], redirect_uris: [] },
  ],
  findAccount: (_ctx, id) =>
    disabled.has(id)
      ? undefined
      : {
          accountId: id,
          claims: () => ({ sub: id, name: NAMES[id], preferred_username: id, email: `${id}@shop.example`, email_verified: true }),
        },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false,
  // The library keeps its requests from reaching this machine; whom it tells of a sign-out is on this machine.
  fetch: (url, options) => {
    const unguarded = { ...options }
    Reflect.deleteProperty(unguarded, 'dispatcher')
    return fetch(url, unguarded)
  },
  scopes: ['openid', 'profile', 'email', 'offline_access'],
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [signing.privateJwk] },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  ttl: {
    AccessToken: LIFE,
    ClientCredentials: LIFE,
    AuthorizationCode: 60,
    IdToken: 3600,
    RefreshToken: 3600,
    Interaction: 600,
    Session: 3600,
    Grant: 3600,
  },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc
    if (!client || !session?.accountId) return undefined
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
    grant.addOIDCScope('openid profile email offline_access')
    for (const [resource, scopes] of Object.entries(resources)) grant.addResourceScope(resource, scopes.join(' '))
    await grant.save()
    return grant
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = form
      },
      postLogoutSuccessSource: (ctx) => {
        ctx.body = 'signed out'
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => Object.keys(resources)[0] ?? [],
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => infoOf(resource, resources),
    },
  },
})

const infoOf = (resource: string, resources: Resources) => ({
  scope: (resources[resource] ?? []).join(' '),
  audience: resource,
  accessTokenFormat: 'jwt' as const,
  accessTokenTTL: LIFE,
  jwt: { sign: { alg: 'RS256' as const } },
})
const resourceServer = (provider: Provider, resource: string, resources: Resources) =>
  new provider.ResourceServer(resource, infoOf(resource, resources))

const signingKey = () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const names = { kid: randomBytes(8).toString('hex'), use: 'sig', alg: 'RS256' }
  return {
    privateJwk: { ...privateKey.export({ format: 'jwk' }), ...names },
    publicJwk: { ...publicKey.export({ format: 'jwk' }), ...names },
  }
}

type TokenEndpointContext = Parameters<Parameters<Provider['registerGrantType']>[1]>[0]

/** A user's access token from another one; `subject` is the parameter that carries it. */
const addGrants = (provider: Provider, resources: Resources, { publicJwk }: Parts['signing']): void => {
  const keySet = createLocalJWKSet({ keys: [publicJwk as never] })
  const grant =
    (subject: string, more: Json) =>
    async (ctx: TokenEndpointContext): Promise<void> => {
      const { client, params } = ctx.oidc
      const resource = textOf(params?.['resource'] ?? params?.['audience'])
      const proven = await jwtVerify(textOf(params?.[subject]), keySet).catch(() => undefined)
      if (!client || !proven?.payload.sub || !(resource in resources)) {
        ctx.status = 400
        ctx.body = { error: proven ? 'invalid_target' : 'invalid_grant' }
        return
      }
      const scope = textOf(params?.['scope'])
      const token = new provider.AccessToken({ client, accountId: proven.payload.sub, scope } as never)
      token.resourceServer = resourceServer(provider, resource, resources)
      ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: LIFE, scope, ...more }
    }
  const exchanged = { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }
  const shared = ['scope', 'audience', 'resource']
  provider.registerGrantType(EXCHANGE, grant('subject_token', exchanged), [
    ...shared,
    'subject_token',
    'subject_token_type',
    'requested_token_type',
  ])
  provider.registerGrantType(JWT_BEARER, grant('assertion', {}), [...shared, 'assertion', 'requested_token_use'])
}

/** Nobody types: who sits there is known. */
const interact = async (
  provider: Provider,
  person: () => string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const accountId = person()
  const result = accountId === undefined ? { error: 'access_denied' } : { login: { accountId, remember: false } }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
}

const PATHS: Readonly<Record<string, EndpointName>> = {
  '/.well-known/openid-configuration': 'discovery',
  '/jwks': 'jwks',
  '/auth': 'authorize',
  '/token': 'token',
  '/token/revocation': 'revocation',
  '/session/end': 'logout',
}
const endpointOf = ({ pathname }: URL): EndpointName => PATHS[pathname] ?? 'other'

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date'])

const forward = (port: number, exchange: Exchange): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const { method, url, headers, body } = exchange
    const path = `${url.pathname}${url.search}`
    const outgoing = send({ host: '127.0.0.1', port, method, path, headers, agent: false }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const kept = Object.entries(incoming.headers).filter(([name, value]) => value !== undefined && !HOP_BY_HOP.has(name))
        const isJson = /json/.test(incoming.headers['content-type'] ?? '') && text !== ''
        const content = isJson ? { json: JSON.parse(text) as Json } : { text }
        resolve({ status: incoming.statusCode ?? 0, headers: Object.fromEntries(kept) as NonNullable<Reply['headers']>, ...content })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
