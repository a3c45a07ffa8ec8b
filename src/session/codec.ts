import type { Sealer, Unsealed } from '../domain/sealer.ts'
import type { Card, Grant, Session, SessionCookie, SessionRef } from '../domain/session.ts'
import type { AccessToken, Claims, TokenKey } from '../domain/token.ts'
import { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import { cookieParts } from './id.ts'
import type { CookieParts } from './id.ts'
import { kidsIn } from './key-usage.ts'
import type { StoredSession } from './records.ts'

/** The name of a field of the record; part of its seal's associated data, so that no field opens in another's place. */
export type FieldName = 'card' | 'grant' | `t:${TokenKey}`

export interface CodecContext {
  readonly sealer: Sealer
  readonly app: string
}

const placeOf = ({ app }: CodecContext, ref: SessionRef, field: FieldName): readonly string[] => [app, ref, field]

/** The border where a cookie that we hold becomes text again. */
export const cookieText = (cookie: SessionCookie): string => cookie.reveal()

/** @throws never for a cookie of ours: it was parsed when the session was opened */
export const partsOfSession = (session: Session): CookieParts => {
  const parts = cookieParts(session.cookie.reveal())
  if (!parts) throw new Error('a session without a well-formed cookie')
  return parts
}

/** Opens with the keyring alone: what an operator may read. */
export const sealCard = (context: CodecContext, card: Card): string => {
  const { ref, ...stored } = card
  return context.sealer.seal('card', placeOf(context, ref, 'card'), JSON.stringify(stored))
}

export const sealGrant = (context: CodecContext, { ref, dataKey }: CookieParts, grant: Grant): string =>
  context.sealer.seal(
    'grant',
    placeOf(context, ref, 'grant'),
    JSON.stringify({ ...grant, refreshToken: grant.refreshToken?.reveal(), idToken: grant.idToken?.reveal() } satisfies StoredGrant),
    dataKey,
  )

export const sealToken = (context: CodecContext, { ref, dataKey }: CookieParts, access: AccessToken): string => {
  const { key, token, ...rest } = access
  return context.sealer.seal(
    'token',
    placeOf(context, ref, `t:${key}`),
    JSON.stringify({ ...rest, token: token.reveal() } satisfies StoredToken),
    dataKey,
  )
}

interface StoredGrant extends Omit<Grant, 'refreshToken' | 'idToken'> {
  readonly refreshToken?: string | undefined
  readonly idToken?: string | undefined
}
interface StoredToken extends Omit<AccessToken, 'key' | 'token'> {
  readonly token: string
}
type StoredCard = Omit<Card, 'ref'>

export const openCard = (context: CodecContext, ref: SessionRef, sealed: string): Card | Closed => {
  const opened = context.sealer.open('card', placeOf(context, ref, 'card'), sealed)
  if (opened.kind !== 'opened') return opened
  const { tenant, ...card } = JSON.parse(opened.text) as StoredCard
  return { ...card, ref, tenant }
}

/** Why a seal stayed shut. */
export type Closed = Exclude<Unsealed, { kind: 'opened' }>
export type OpenedSession =
  | {
      readonly kind: 'opened'
      readonly session: Session
      /** Characters of what was opened, for the bound of L1. */
      readonly chars: number
      /** Token entries that did not open although the grant did: moved, damaged, or sealed with a removed key. They are as if never stored. */
      readonly entriesDropped: number
      /** Something is sealed with a key that is not the newest in the record: seal it anew with the next write. */
      readonly kids: ReadonlySet<string>
    }
  | Closed

/**
 * A record and its cookie become a session. The grant is opened first: only with the right data key does the rest matter.
 * What opens was sealed by us, so its shape is not checked again; prototype keys in claims stay plain own properties.
 */
export const openSession = (context: CodecContext, cookie: SessionCookie, parts: CookieParts, stored: StoredSession): OpenedSession => {
  const { ref, dataKey } = parts
  const grantText = context.sealer.open('grant', placeOf(context, ref, 'grant'), stored.grant, dataKey)
  if (grantText.kind !== 'opened') return grantText
  const card = openCard(context, ref, stored.card)
  if ('kind' in card) return card

  const tokens = new Map<TokenKey, AccessToken>()
  let chars = grantText.text.length + stored.card.length
  let entriesDropped = 0
  for (const [key, sealed] of stored.tokens) {
    const opened = context.sealer.open('token', placeOf(context, ref, `t:${key}`), sealed, dataKey)
    if (opened.kind === 'key-unknown') return opened
    if (opened.kind !== 'opened') {
      entriesDropped += 1
      continue
    }
    chars += opened.text.length
    const { token, ...rest } = JSON.parse(opened.text) as StoredToken
    tokens.set(key, { ...rest, key, token: Secret.of('access-token', token) })
  }
  const session: Session = { ref, cookie, card, grant: grantOf(grantText.text), tokens, gen: stored.gen, rtGen: stored.rtGen }
  return { kind: 'opened', session, chars, entriesDropped, kids: kidsIn(context.sealer, stored) }
}

const grantOf = (text: string): Grant => {
  const { refreshToken, idToken, ...stored } = JSON.parse(text) as StoredGrant
  return {
    ...stored,
    refreshEndsAt: stored.refreshEndsAt,
    providerSessionId: stored.providerSessionId,
    refreshToken: refreshToken === undefined ? undefined : Secret.of('refresh-token', refreshToken),
    idToken: idToken === undefined ? undefined : Secret.of('id-token', idToken),
  }
}

/** `auth_time`, or else `iat`, of the ID token a session began with; undefined when it has neither. OIDC Core §2. */
export const authenticatedAt = (claims: Claims): Instant | undefined => {
  const at = claims['auth_time'] ?? claims['iat']
  return typeof at === 'number' && Number.isFinite(at) ? ((at * 1000) as Instant) : undefined
}
