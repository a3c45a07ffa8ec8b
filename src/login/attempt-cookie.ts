import type { AttemptSecrets } from '../domain/login-attempt.ts'
import type { Sealer } from '../domain/sealer.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import { scanCookie } from '../kernel/cookie-scan.ts'
import { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import { toNumericDate } from '../kernel/time.ts'
import { ATTEMPT_LIFETIME } from './attempt.ts'

/** 60 abandoned attempts of a chatty implementation were 36 kB and a 431 on every request (browser-facts §4). */
const ATTEMPTS_MAX = 5
/** Lax: the provider's redirect back is a cross-site navigation, on which Strict cookies do not come. */
const ATTRIBUTES = { sameSite: 'lax' } as const
/** 256 bits in base64url. */
const SECRET_CHARS = 43
/** 16 bytes in their one spelling. */
const ID = /^[A-Za-z0-9_-]{21}[AQgw]$/
/** Seconds in base 36, of one length until the year 4453: sorts as text. */
const STAMP_CHARS = 7
const VALUE = /^([0-9a-z]{7})\.(.+)$/

export interface AttemptCookieDeps {
  readonly sealer: Sealer
  readonly app: string
  /** The origin the browser sees. */
  readonly publicUrl: URL
}

/**
 * One cookie per login attempt, so that parallel tabs all end well. `<stamp>.<sealed nonce and verifier>`: the stamp says which is the oldest, and
 * is sealed in by the associated data. Name and value stay below 250 bytes.
 */
export interface AttemptCookieJar {
  nameOf(id: string): string
  /** The new attempt's, after those that clear the oldest ones in excess. */
  issue(secrets: AttemptSecrets, header: string | undefined, now: Instant): readonly SetCookie[]
  /** undefined: not in this browser (login CSRF, or its time is over), there twice, or it does not open. */
  read(header: string | undefined, id: string): AttemptSecrets | undefined
  clear(id: string): SetCookie
}

export const attemptCookieJar = ({ sealer, app, publicUrl }: AttemptCookieDeps): AttemptCookieJar => {
  const prefix = prefixFor(publicUrl)
  const nameOf = (id: string): string => `${prefix}${id}`
  const clear = (id: string): SetCookie => ({ name: nameOf(id), value: undefined, ...ATTRIBUTES, maxAgeSeconds: 0 })
  return {
    nameOf,
    issue: ({ id, nonce, verifier }, header, now) => {
      const stamp = toNumericDate(now).toString(36).padStart(STAMP_CHARS, '0')
      const sealed = sealer.seal('attempt', [app, id, stamp], nonce.reveal() + verifier.reveal())
      const value = Secret.of('attempt-cookie', `${stamp}.${sealed}`)
      return [...surplus(header, prefix).map(clear), { name: nameOf(id), value, ...ATTRIBUTES, maxAgeSeconds: ATTEMPT_LIFETIME / 1000 }]
    },
    read: (header, id) => {
      const value = header === undefined || !ID.test(id) ? undefined : scanCookie(header, `${nameOf(id)}=`)
      const [, stamp, sealed] = VALUE.exec(value ?? '') ?? []
      if (stamp === undefined || sealed === undefined) return undefined
      const unsealed = sealer.open('attempt', [app, id, stamp], sealed)
      if (unsealed.kind !== 'opened' || unsealed.text.length !== 2 * SECRET_CHARS) return undefined
      return {
        id,
        nonce: Secret.of('nonce', unsealed.text.slice(0, SECRET_CHARS)),
        verifier: Secret.of('code-verifier', unsealed.text.slice(SECRET_CHARS)),
      }
    },
    clear,
  }
}

const prefixFor = (publicUrl: URL): string =>
  publicUrl.protocol === 'http:' ? `__Host-Http-sallyport-${publicUrl.port || '80'}-login-` : '__Host-Http-sallyport-login-'

/** Ids of the presented attempts that must go so that a new one is at most the fifth: the oldest; what has no stamp of ours counts as older still. */
const surplus = (header: string | undefined, prefix: string): readonly string[] => {
  if (header === undefined || !header.includes(prefix)) return []
  const stamps = new Map<string, string>()
  for (const cookie of header.split(';')) {
    const [name = '', value = ''] = cookie.replace(/^[ \t]+/, '').split('=', 2)
    const id = name.slice(prefix.length)
    if (name.startsWith(prefix) && ID.test(id)) stamps.set(id, VALUE.exec(value)?.[1] ?? '')
  }
  return [...stamps]
    .sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0))
    .slice(0, -(ATTEMPTS_MAX - 1))
    .map(([id]) => id)
}
