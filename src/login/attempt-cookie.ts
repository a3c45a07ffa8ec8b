import type { AttemptSecrets } from '../domain/login-attempt.ts'
import type { Sealer } from '../domain/sealer.ts'
import { scanCookie } from '../kernel/cookie-scan.ts'
import { Secret } from '../kernel/secret.ts'
import { ATTEMPT_LIFETIME } from './attempt.ts'
import { byAge, isAttemptId } from './attempt-id.ts'

/** 60 abandoned attempts of a chatty implementation were 36 kB and a 431 on every request (browser-facts §4). */
const ATTEMPTS_MAX = 5
/** Lax: the provider's redirect back is a cross-site navigation, on which Strict cookies do not come. */
const ATTRIBUTES = 'Secure; HttpOnly; Path=/; SameSite=Lax'
/** 256 bits in base64url. */
const SECRET_CHARS = 43

export type OpenedAttemptCookie =
  | { readonly kind: 'opened'; readonly secrets: AttemptSecrets }
  /** Not in this browser (login CSRF, or the ten minutes are over), or there twice. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'key-unknown' }
  | { readonly kind: 'invalid' }

export interface AttemptCookieDeps {
  readonly sealer: Sealer
  readonly app: string
  readonly publicUrl: URL
}

export interface AttemptCookieJar {
  nameOf(id: string): string
  /** Value of `Set-Cookie`; name and value together stay below 250 bytes. */
  set(secrets: AttemptSecrets): string
  cleared(id: string): string
  open(header: string | undefined, id: string): OpenedAttemptCookie
  /** Ids of the attempts that must be cleared now so that a new one is at most the fifth: the oldest. */
  surplus(header: string | undefined): readonly string[]
}

/** One cookie per login attempt, so that parallel tabs all end well. */
export const attemptCookieJar = ({ sealer, app, publicUrl }: AttemptCookieDeps): AttemptCookieJar => {
  const prefix = prefixFor(publicUrl)
  const nameOf = (id: string): string => `${prefix}${id}`
  const placeOf = (id: string): readonly string[] => [app, id]
  return {
    nameOf,
    set: ({ id, nonce, verifier }) => {
      const sealed = sealer.seal('attempt', placeOf(id), nonce.reveal() + verifier.reveal())
      return `${nameOf(id)}=${sealed}; Max-Age=${ATTEMPT_LIFETIME / 1000}; ${ATTRIBUTES}`
    },
    cleared: (id) => `${nameOf(id)}=; Max-Age=0; ${ATTRIBUTES}`,
    open: (header, id) => {
      const sealed = header === undefined || !isAttemptId(id) ? undefined : scanCookie(header, `${nameOf(id)}=`)
      if (sealed === undefined || sealed === 'doubled') return { kind: 'absent' }
      const unsealed = sealer.open('attempt', placeOf(id), sealed)
      if (unsealed.kind === 'key-removed') return { kind: 'absent' }
      if (unsealed.kind !== 'opened') return unsealed
      const nonce = Secret.of('nonce', unsealed.text.slice(0, SECRET_CHARS))
      const verifier = Secret.of('code-verifier', unsealed.text.slice(SECRET_CHARS))
      return unsealed.text.length === 2 * SECRET_CHARS ? { kind: 'opened', secrets: { id, nonce, verifier } } : { kind: 'invalid' }
    },
    surplus: (header) => [...attemptsIn(header, prefix)].sort(byAge).slice(0, -(ATTEMPTS_MAX - 1)),
  }
}

const prefixFor = (publicUrl: URL): string =>
  publicUrl.protocol === 'http:' ? `__Host-Http-sallyport-${publicUrl.port || '80'}-login-` : '__Host-Http-sallyport-login-'

const attemptsIn = (header: string | undefined, prefix: string): ReadonlySet<string> => {
  const found = new Set<string>()
  if (header === undefined || !header.includes(prefix)) return found
  for (const cookie of header.split(';')) {
    const at = cookie.search(/[^ \t]/)
    const id = cookie.slice(at + prefix.length, cookie.indexOf('='))
    if (at >= 0 && cookie.startsWith(prefix, at) && isAttemptId(id)) found.add(id)
  }
  return found
}
