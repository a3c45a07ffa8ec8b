import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Provider, type Configuration, type KoaContextWithOIDC } from 'oidc-provider'
import { providerStore } from './provider-store.ts'
import { errorPage, logoutPage, signInPage, signedOutPage } from './provider-pages.ts'

/** A user of the embedded provider. */
export interface DevUser {
  readonly subject: string
  readonly name: string
  readonly email: string
  readonly roles: readonly string[]
}

export const DEV_USERS: readonly DevUser[] = [
  { subject: 'ada', name: 'Ada Lovelace', email: 'ada@example.com', roles: ['clerk', 'analyst'] },
  { subject: 'grace', name: 'Grace Hopper', email: 'grace@example.com', roles: ['clerk'] },
]

export interface DevProviderOptions {
  /** 0 picks a free port. */
  readonly port: number
  readonly clientId: string
  readonly clientSecret: string
  readonly redirectUri: string
  readonly postLogoutRedirectUri: string
  /** Told of every sign-out here (OpenID Connect Back-Channel Logout 1.0). */
  readonly backchannelLogoutUri?: string
  /** Audience (an absolute URI, RFC 8707) → the scopes that may be granted for it. */
  readonly resources: Readonly<Record<string, readonly string[]>>
  readonly accessTokenSeconds: number
  /** Where browsers and clients reach it, when that is not its own port. */
  readonly issuer?: string
  /** `DEV_USERS` unless given. */
  readonly users?: readonly DevUser[]
  /** Called after each answer of the token endpoint. */
  readonly onTokenRequest?: (grantType: string, ok: boolean) => void
}

export interface DevProvider {
  readonly issuer: string
  /** The one it listens on. */
  readonly port: number
  /** Refuses connections until `back`, and forgets nothing. */
  away(): Promise<void>
  /** On the same port; rejects when somebody else has it by now. */
  back(): Promise<void>
  isAway(): boolean
  stop(): Promise<void>
}

/**
 * An OpenID Provider for demo and development, on 127.0.0.1: another site than `localhost`, so that cookies and Fetch Metadata behave as with a real one.
 * Refresh tokens rotate at every use and a second use revokes the whole grant; access tokens are JWTs (RFC 9068) for exactly one resource.
 */
export const startDevProvider = async (options: DevProviderOptions): Promise<DevProvider> => {
  const server = createServer()
  await listen(server, options.port)
  const { port } = server.address() as AddressInfo
  const issuer = options.issuer ?? `http://127.0.0.1:${port}`
  const provider = new Provider(issuer, configuration(options))
  provider.on('grant.success', (ctx: KoaContextWithOIDC) => options.onTokenRequest?.(String(ctx.oidc.params?.['grant_type']), true))
  provider.on('grant.error', (ctx: KoaContextWithOIDC) => options.onTokenRequest?.(String(ctx.oidc?.params?.['grant_type']), false))
  const answer = provider.callback()
  const users = usersOf(options)
  server.on('request', (request, response) => {
    if (request.url?.startsWith('/interaction/')) void interact(provider, users, request, response)
    else void answer(request, response)
  })
  // One after the other: who looks while a port is being opened or closed would think that there is nothing to do.
  let turn: Promise<void> = Promise.resolve()
  const next = (change: () => Promise<void>): Promise<void> => {
    const changed = turn.then(change)
    turn = changed.catch(() => undefined)
    return changed
  }
  return {
    issuer,
    port,
    away: () => next(async () => (server.listening ? close(server) : undefined)),
    back: () => next(async () => (server.listening ? undefined : listen(server, port))),
    isAway: () => !server.listening,
    stop: () => next(() => close(server)),
  }
}

const usersOf = ({ users }: DevProviderOptions): readonly DevUser[] => users ?? DEV_USERS

const configuration = (options: DevProviderOptions): Configuration => ({
  adapter: providerStore(),
  clients: [
    {
      client_id: options.clientId,
      client_secret: options.clientSecret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types: ['code'],
      redirect_uris: [options.redirectUri],
      post_logout_redirect_uris: [options.postLogoutRedirectUri],
      ...(options.backchannelLogoutUri !== undefined && {
        backchannel_logout_uri: options.backchannelLogoutUri,
        backchannel_logout_session_required: true,
      }),
    },
  ],
  findAccount: (_ctx, id) => {
    const user = usersOf(options).find((u) => u.subject === id)
    if (!user) return undefined
    return {
      accountId: id,
      claims: () => ({ sub: id, name: user.name, email: user.email, preferred_username: user.subject, roles: [...user.roles] }),
    }
  },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'roles'], email: ['email'] },
  conformIdTokenClaims: false,
  // The library keeps its requests from reaching this machine. Here, whom it tells of a sign-out is on this machine, and named by whoever started it.
  fetch: (url, options) => {
    const unguarded = { ...options }
    Reflect.deleteProperty(unguarded, 'dispatcher')
    return fetch(url, unguarded)
  },
  scopes: ['openid', 'profile', 'email', 'offline_access'],
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [signingKey()] },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  ttl: {
    AccessToken: options.accessTokenSeconds,
    ClientCredentials: options.accessTokenSeconds,
    AuthorizationCode: 60,
    IdToken: 3600,
    RefreshToken: 24 * 3600,
    Interaction: 600,
    Session: 24 * 3600,
    Grant: 24 * 3600,
  },
  // The usual policy keeps a confidential client's refresh token for most of its life; the demo shows the strict one.
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  // First-party client: consent is not asked, every configured resource is granted.
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc
    if (!client || !session?.accountId) return undefined
    const known = ctx.oidc.result?.consent?.grantId ?? session.grantIdFor(client.clientId)
    const grant =
      (known && (await ctx.oidc.provider.Grant.find(known))) ||
      new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
    grant.addOIDCScope('openid profile email offline_access')
    for (const [resource, scopes] of Object.entries(options.resources)) grant.addResourceScope(resource, scopes.join(' '))
    await grant.save()
    return grant
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    // As without it, which says on the console that there should be one (RFC 7009 §2.1).
    revocation: { enabled: true, allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = logoutPage(form)
      },
      postLogoutSuccessSource: (ctx) => {
        ctx.body = signedOutPage()
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => Object.keys(options.resources)[0] ?? [],
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => {
        const scopes = options.resources[resource]
        if (!scopes) throw new UnknownResource()
        return {
          scope: scopes.join(' '),
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: options.accessTokenSeconds,
          jwt: { sign: { alg: 'RS256' } },
        }
      },
    },
  },
  renderError: (ctx, out) => {
    ctx.type = 'html'
    ctx.body = errorPage(out.error)
  },
})

/** RFC 8707 §2: invalid_target, in the shape the library passes on to the client. */
class UnknownResource extends Error {
  readonly error = 'invalid_target'
  readonly error_description = 'the requested resource is not known'
  readonly status = 400
  readonly statusCode = 400
  readonly expose = true
  constructor() {
    super('invalid_target')
  }
}

/** GET shows who may sign in; POST is the choice. There are no passwords: it listens on loopback only and lives as long as the demo. */
const interact = async (
  provider: Provider,
  users: readonly DevUser[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  try {
    const details = await provider.interactionDetails(request, response)
    const { login_hint: given } = details.params
    const hint = typeof given === 'string' ? given : ''
    if (request.method !== 'POST') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(signInPage(users, hint))
      return
    }
    const chosen = new URLSearchParams(await readForm(request))
    const user = users.find((u) => u.subject === chosen.get('user'))
    const result = user
      ? { login: { accountId: user.subject, remember: false } }
      : { error: 'access_denied', error_description: 'cancelled' }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
  } catch {
    response.writeHead(400, { 'content-type': 'text/html; charset=utf-8' }).end(errorPage('interaction_expired'))
  }
}

const readForm = async (request: IncomingMessage): Promise<string> => {
  let form = ''
  for await (const chunk of request) {
    form += String(chunk)
    if (form.length > 4096) throw new Error('form too large')
  }
  return form
}

const signingKey = () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), use: 'sig', alg: 'RS256' }
}

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
