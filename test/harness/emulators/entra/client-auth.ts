import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose'
import { basicOf, type Exchange, type Json } from '../core-exchange.ts'
import type { RegisteredCertificate } from './credentials.ts'
import type { App } from './directory.ts'
import { Aadsts, isoSeconds } from './errors.ts'
import type { EntraState } from './state.ts'

export interface AuthenticatedClient {
  readonly app: App
  /** `azpacr`: 0 nothing, 1 a secret, 2 an assertion. */
  readonly strength: '0' | '1' | '2'
}

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** Five minutes either way. */
const SKEW_MS = 300_000
const LONGEST_FEDERATED_SECONDS = 25 * 3600

/** E9–E11. `tenant` is undefined behind `common` and `organizations`. */
export const authenticate = async (
  state: EntraState,
  exchange: Exchange,
  door: string,
  tenant: string | undefined,
): Promise<AuthenticatedClient> => {
  const { form, headers, now } = exchange
  const basic = basicOf(headers.authorization)
  const clientId = form.get('client_id') ?? basic?.id
  if (!clientId) throw new Aadsts(900144, { field: 'client_id' })
  exchange.note({ client: clientId })
  const app = state.directory.app(clientId)
  if (!app || (tenant !== undefined && app.tenants !== undefined && !app.tenants.includes(tenant)))
    throw new Aadsts(700016, { client: clientId, tenant: door })
  if (!app.enabled) throw new Aadsts(7000112, { client: app.id, name: app.name })

  const secret = form.get('client_secret') ?? basic?.secret
  const assertion = form.get('client_assertion')
  if (app.public === true) {
    if (secret !== undefined || assertion !== null) throw new Aadsts(700025)
    return { app, strength: '0' }
  }
  if (assertion !== null) {
    if (form.get('client_assertion_type') !== JWT_BEARER) throw new Aadsts(900144, { field: 'client_assertion_type' })
    const frontEnd = state.credentials.nextFrontEnd()
    exchange.note({ frontEnd })
    await checkAssertion(state, { app, assertion, door, tenant, now, frontEnd })
    return { app, strength: '2' }
  }
  if (secret === undefined) throw new Aadsts(7000218)
  const known = app.secretList.filter(({ value }) => value === secret)
  if (known.length === 0) throw new Aadsts(7000215, { client: app.id })
  if (!known.some(({ until = Number.POSITIVE_INFINITY }) => now < until)) throw new Aadsts(7000222, { client: app.id })
  return { app, strength: '1' }
}

interface Presented {
  readonly app: App
  readonly assertion: string
  readonly door: string
  readonly tenant: string | undefined
  readonly now: number
  readonly frontEnd: number
}

const checkAssertion = async (state: EntraState, presented: Presented): Promise<void> => {
  const { app, assertion } = presented
  const { header, claims } = parsed(assertion)
  if (claims.iss !== app.id && (state.credentials.hasFederation(app.id) || isUrl(claims.iss)))
    return checkFederated(state, presented, claims)

  const certificate = certificateOf(state, presented, header)
  if (certificate.revoked) throw new Aadsts(7000214)
  const verified = await jwtVerify(assertion, certificate.publicKey, {
    algorithms: ['RS256', 'PS256'],
    currentDate: new Date(0),
    clockTolerance: Number.MAX_SAFE_INTEGER,
  }).catch(() => undefined)
  if (!verified) throw badSignature(state, certificate)
  if (claims.iss !== claims.sub) throw new Aadsts(50027, { reason: 'Issuer and subject of the client assertion differ.' })
  if (claims.iss !== app.id) throw new Aadsts(700021)
  checkAudience(state, presented, claims)
  checkDates(claims, presented.now)
  if (presented.now < certificate.validFrom || presented.now >= certificate.validTo)
    throw new Aadsts(1000502, { thumbprint: hexOf(certificate.x5t) })
}

const parsed = (assertion: string): { readonly header: Json; readonly claims: JWTPayload } => {
  try {
    return { header: { ...decodeProtectedHeader(assertion) }, claims: decodeJwt(assertion) }
  } catch {
    throw new Aadsts(50027, { reason: 'JWT token is invalid or malformed.' })
  }
}

/** The two documented pairs, and `kid` = SHA-1 thumbprint with either algorithm; a mixture finds no key (providers.md §8.4.2). */
const certificateOf = (state: EntraState, { app, frontEnd }: Presented, header: Json): RegisteredCertificate => {
  const named = [header['x5t#S256'], header['x5t'], header['kid']].find((name): name is string => typeof name === 'string')
  if (named === undefined)
    throw new Aadsts(50027, { reason: 'No certificate thumbprint specified in token header.' }, { error: 'invalid_client' })
  const { alg } = header
  const found = state.credentials.certificates(app.id, frontEnd).find(({ x5t, x5tS256 }) => {
    if (header['x5t#S256'] !== undefined) return alg === 'PS256' && header['x5t#S256'] === x5tS256
    if (header['x5t'] !== undefined) return alg === 'RS256' && header['x5t'] === x5t
    return header['kid'] === x5t
  })
  const supported = alg === 'RS256' || alg === 'PS256'
  if (!found || !supported)
    throw new Aadsts(700027, { client: app.id, thumbprint: supported ? `Thumbprint of key used by client: '${hexOf(named)}', ` : '' })
  return found
}

const badSignature = (state: EntraState, certificate: RegisteredCertificate): Aadsts =>
  state.settings.badSignatureCode === 7000274
    ? new Aadsts(7000274)
    : new Aadsts(
        700027,
        { thumbprint: hexOf(certificate.x5t) },
        {
          text: "Client assertion contains an invalid signature. [Reason - The key used is not valid., Thumbprint of key used by client: '{thumbprint}']",
        },
      )

/** One string: the token endpoint or the issuer, of the tenant that is asked. */
const checkAudience = (state: EntraState, { door, tenant }: Presented, claims: JWTPayload): void => {
  const { aud } = claims
  if (Array.isArray(aud)) {
    if (aud.length === 1) throw new Aadsts(50027, { reason: 'The audience must be a single string.' }, { error: 'invalid_client' })
    throw new Aadsts(
      50027,
      {},
      {
        error: 'invalid_client',
        text: `Number of audience values in the provided client credential exceed maximum allowed. ${aud.length} audience values provided, maximum allowed is 1.`,
      },
    )
  }
  const names = tenant === undefined ? [] : [door, tenant]
  const accepted = names.flatMap((name) => [`${state.authority}/${name}/oauth2/v2.0/token`, `${state.authority}/${name}/v2.0`])
  if (!accepted.includes(aud ?? '')) throw new Aadsts(700023)
}

const checkDates = (claims: JWTPayload, now: number): void => {
  const from = (claims.nbf ?? claims.iat ?? 0) * 1000
  const until = (claims.exp ?? 0) * 1000
  if (from > now + SKEW_MS || until < now - SKEW_MS)
    throw new Aadsts(700024, { now: isoSeconds(now), nbf: isoSeconds(from), exp: isoSeconds(until) })
}

/** E11: issuer, subject and audience byte for byte, then the signature by the issuer's own keys. */
const checkFederated = async (state: EntraState, { app, assertion, now, frontEnd }: Presented, claims: JWTPayload): Promise<void> => {
  const aud = [claims.aud ?? ''].flat().join(' ')
  const facts = { iss: claims.iss, sub: claims.sub, aud }
  const seen = state.credentials.federations(app.id, frontEnd)
  if (seen.length === 0) throw new Aadsts(70021, facts)
  const byIssuer = seen.filter(({ issuer }) => issuer === claims.iss)
  if (byIssuer.length === 0) throw new Aadsts(700211, facts)
  const bySubject = byIssuer.filter(({ subject }) => subject === claims.sub)
  if (bySubject.length === 0)
    throw new Aadsts(byIssuer.some(({ subject }) => subject.toLowerCase() === claims.sub?.toLowerCase()) ? 7002138 : 700213, facts)
  const federation = bySubject.find(({ audience = state.settings.exchangeAudience }) => audience === aud)
  if (!federation) throw new Aadsts(700212, facts)
  if ((claims.exp ?? 0) - (claims.iat ?? claims.nbf ?? 0) > LONGEST_FEDERATED_SECONDS) throw new Aadsts(70023)
  const keys = await keysOf(federation.issuer, federation.jwksUri)
  const verified = await jwtVerify(assertion, createLocalJWKSet(keys), {
    algorithms: ['RS256'],
    currentDate: new Date(0),
    clockTolerance: Number.MAX_SAFE_INTEGER,
  }).catch(() => undefined)
  if (!verified) throw new Aadsts(50013, { reason: 'The key was not found.' }, { error: 'invalid_client' })
  checkDates(claims, now)
}

const keysOf = async (issuer: string, jwksUri: string | undefined): Promise<JSONWebKeySet> => {
  try {
    const place =
      jwksUri ??
      ((await (await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)).json()) as { readonly jwks_uri: string })
        .jwks_uri
    return (await (await fetch(place)).json()) as JSONWebKeySet
  } catch {
    throw new Aadsts(50166)
  }
}

const isUrl = (text: string | undefined): boolean => /^https?:\/\//.test(text ?? '')
const hexOf = (thumbprint: string): string => Buffer.from(thumbprint, 'base64url').toString('hex').toUpperCase()
