import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { decodeJwt, jwtVerify } from 'jose'
import type { Json } from '../core-exchange.ts'
import { type Oidc, type OidcOptions, startOidc } from '../oidc/oidc.ts'
import { accessAnswer } from '../oidc/tokens.ts'
import { type GrantAsk, Refused, type Target, textOf, type User, type Vendor, wordsOf } from '../oidc/vendor.ts'

export const CALENDAR = 'https://www.googleapis.com/auth/calendar'
export const DRIVE = 'https://www.googleapis.com/auth/drive'
const LONG_NAMES: Readonly<Record<string, string>> = {
  email: 'https://www.googleapis.com/auth/userinfo.email',
  profile: 'https://www.googleapis.com/auth/userinfo.profile',
}
const DOMAIN = 'shop.example'

const person = (key: string, name: string): User => ({
  key,
  subject: `1000000000000000${key.length}${key.charCodeAt(0)}`,
  claims: { name, email: `${key}@${DOMAIN}`, email_verified: true, hd: DOMAIN },
  enabled: true,
})

export interface GoogleOptions extends OidcOptions {
  /** Scopes that people untick on the consent page. */
  readonly unticked?: readonly string[]
  /** Domain-wide delegation: what the administrator allowed to the service account; calendar and drive unless told. */
  readonly delegated?: readonly string[]
}

export interface Google extends Oidc {
  /** The JSON key file that the console gives out. */
  readonly keyFile: string
}

const ACCOUNT = 'reporter@shop-project.iam.gserviceaccount.com'

/** One key for all of a process: what it signs is nobody's secret, and RSA keys are dear. */
let shared: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } | undefined

/** `jwt-bearer` of a service account: who may be named as `sub` is the administrator's word, scope by scope. */
const delegation =
  (publicKey: KeyObject, delegated: readonly string[]) =>
  async (ask: GrantAsk): Promise<Json> => {
    const { exchange, state } = ask
    const assertion = exchange.form.get('assertion') ?? ''
    const bad = (why: string): Refused => new Refused('invalid_grant', why)
    const endpoint = `${state.origin}/token`
    const currentDate = new Date(exchange.now)
    const proven = await jwtVerify(assertion, publicKey, { algorithms: ['RS256'], audience: endpoint, currentDate }).catch(() => undefined)
    if (!proven) throw bad('Invalid JWT Signature.')
    const { iss, sub, iat = 0, exp = 0 } = proven.payload
    if (exp - iat > 3600) throw bad('Invalid JWT: Token must be a short-lived token (60 minutes)')
    if (iss !== ACCOUNT) throw bad('Invalid grant: account not found')
    const user = state.users.find(({ claims }) => claims['email'] === sub)
    if (!user?.enabled) throw bad('Invalid email or User ID')
    const scopes = wordsOf(textOf(decodeJwt(assertion)['scope']))
    if (scopes.length === 0 || scopes.some((scope) => !delegated.includes(scope)))
      throw new Refused(
        'unauthorized_client',
        'Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.',
        401,
      )
    return accessAnswer(ask, { audience: undefined, scopes }, { user })
  }

const googleOf = (options: GoogleOptions, publicKey: KeyObject): Vendor => ({
  issuerPath: '',
  paths: { authorize: '/o/oauth2/v2/auth', token: '/token', keys: '/oauth2/v3/certs', revoke: '/revoke', logout: undefined },
  discovery: { grant_types_supported: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:jwt-bearer'] },
  reuse: 'none',
  assertionAudience: 'token-endpoint',
  needsHint: false,
  hasBackchannel: false,
  authorize: (query) => {
    for (const name of ['audience', 'resource'])
      if (query.has(name)) throw new Refused('invalid_request', `Parameter not allowed for this message type: ${name}`)
    const asked = wordsOf(query.get('scope'))
    if (asked.includes('offline_access')) throw new Refused('invalid_scope', 'Some requested scopes were invalid: [offline_access]')
    const scopes = asked.filter((scope) => options.unticked?.includes(scope) !== true)
    return {
      target: { audience: undefined, scopes },
      // Without both, a refresh token comes with the very first consent only.
      offline: query.get('access_type') === 'offline' && query.get('prompt') === 'consent',
    }
  },
  // One token carries all that was granted, whatever is asked.
  refresh: (_form, { scopes }): Target => ({ audience: undefined, scopes }),
  accessClaims: () => undefined,
  scopeText: (scopes) => scopes.map((scope) => LONG_NAMES[scope] ?? scope).join(' '),
  grants: { 'urn:ietf:params:oauth:grant-type:jwt-bearer': delegation(publicKey, options.delegated ?? [CALENDAR, DRIVE]) },
})

/** Google's accounts and token endpoint (providers.md §3). */
export const startGoogle = async (options: GoogleOptions): Promise<Google> => {
  const { privateKey, publicKey } = (shared ??= generateKeyPairSync('rsa', { modulusLength: 2048 }))
  const oidc = await startOidc(googleOf(options, publicKey), [person('ada', 'Ada Lovelace'), person('grace', 'Grace Hopper')], options)
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  return {
    ...oidc,
    keyFile: JSON.stringify({
      type: 'service_account',
      client_email: ACCOUNT,
      private_key_id: 'k1',
      private_key: key,
      token_uri: `${oidc.origin}/token`,
    }),
  }
}
