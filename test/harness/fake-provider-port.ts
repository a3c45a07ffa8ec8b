import type { Provider, ProviderProfile } from '../../src/domain/provider.ts'
import type { AccessToken, Ask, TokenAnswer } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import type { Clock, Millis } from '../../src/kernel/time.ts'
import { after, minutes, seconds } from '../../src/kernel/time.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { createGates, type Gates } from './gates.ts'

interface Family {
  readonly subject: string
  current: string
  readonly consumed: Map<string, number>
  revoked: boolean
}

export interface FakeProviderPort extends Provider {
  /** `refresh:before` (nothing happened yet), `refresh:after` (spent, the answer is on its way), the same for `application` and `revoke`. */
  readonly gates: Gates
  /** A first refresh token, as a login would yield. */
  grant(subject: string): Secret<'refresh-token'>
  /** Instead of working, the next call answers this; the refresh token is not spent. */
  answerNext(answer: TokenAnswer | ((ask: Ask) => TokenAnswer)): void
  /** The next call works, and its answer gets lost on the way. */
  loseNext(): void
  /** The next call works, and its answer is turned into this violation, with the rotated refresh token. */
  violateNext(concerns: 'session' | 'audience'): void
  readonly sends: { readonly refreshToken: string; readonly ask: Ask }[]
  readonly applications: Ask[]
  /** Exchanges, on-behalf-of and service account calls: what was turned in, by its `subject` in the token or the name impersonated. */
  readonly derivations: { readonly from: string; readonly ask: Ask; readonly actor: string | undefined }[]
  readonly revoked: string[]
  /** Refresh tokens sent again after their rotation had been received. */
  readonly sentAfterRotation: string[]
  /** While set, it answers nothing and the fate of what is sent is unknown. */
  readonly away: { is: boolean }
  /** At most so many refresh calls were under way at once. */
  mostAtOnce(): number
  isAlive(refreshToken: Secret<'refresh-token'> | undefined): boolean
  /** Whose access token this is, and for which ask. */
  readAccessToken(token: AccessToken | undefined): { readonly subject: string; readonly audience: string | undefined } | undefined
}

const LOST: TokenAnswer = { kind: 'unavailable', sent: 'unknown', retryAfter: seconds(1), cause: 'timeout' }

export interface FakeProviderOptions {
  readonly clock: Clock
  readonly rotation?: ProviderProfile['rotation']
  readonly lifeMs?: Millis
  readonly requestTimeoutMs?: Millis
  /** How long `tolerant` and `grace` forgive a second use. */
  readonly toleranceMs?: Millis
  readonly gates?: Gates
}

/**
 * The provider port as a provider with real rotation: a strict one revokes the family when a spent refresh token comes again (RFC 9700 §4.14.2),
 * a tolerant one and one with a grace forgive it for a while, one without rotation hands back nothing.
 */
export const createFakeProvider = (options: FakeProviderOptions): FakeProviderPort => {
  const { clock, rotation = 'strict', lifeMs = minutes(5), requestTimeoutMs = seconds(5), toleranceMs = seconds(60) } = options
  const gates = options.gates ?? createGates()
  const families: Family[] = []
  const scripted: (TokenAnswer | ((ask: Ask) => TokenAnswer))[] = []
  const spoiled: ('lose' | 'session' | 'audience')[] = []
  const rotationReceived = new Set<string>()
  const sends: FakeProviderPort['sends'] = []
  const applications: Ask[] = []
  const derivations: FakeProviderPort['derivations'] = []
  const revoked: string[] = []
  const away = { is: false }
  const sentAfterRotation: string[] = []
  let serial = 0
  let underWay = 0
  let most = 0

  const newRefreshToken = (): string => `canary-rt-${++serial}`
  const accessToken = (ask: Ask, subject: string): AccessToken => ({
    key: ask.key,
    token: Secret.of('access-token', JSON.stringify({ canary: 'at', serial: ++serial, subject, audience: ask.audience })),
    issuedAt: clock.now(),
    expiresAt: after(clock.now(), lifeMs),
    scopes: ask.scopes,
  })
  const familyOf = (token: string): Family | undefined => families.find((family) => family.current === token || family.consumed.has(token))
  const rejected: TokenAnswer = { kind: 'refused', reason: 'grant-rejected', providerCode: 'invalid_grant' }

  const work = (token: string, ask: Ask): TokenAnswer => {
    const family = familyOf(token)
    if (!family || family.revoked) return rejected
    const consumedAt = family.consumed.get(token)
    if (consumedAt !== undefined && (rotation === 'strict' || clock.now() - consumedAt > toleranceMs)) {
      family.revoked = true
      return rejected
    }
    if (rotation !== 'none') {
      family.consumed.set(token, consumedAt ?? clock.now())
      if (family.current !== token) family.consumed.set(family.current, clock.now())
      family.current = newRefreshToken()
    }
    const refreshToken = rotation === 'none' ? undefined : Secret.of('refresh-token', family.current)
    return {
      kind: 'issued',
      access: accessToken(ask, family.subject),
      refreshToken,
      refreshEndsAt: undefined,
      claims: undefined,
      idToken: undefined,
    }
  }

  const spoil = (answer: TokenAnswer): TokenAnswer => {
    const how = spoiled.shift()
    if (!how || answer.kind !== 'issued') return answer
    if (how === 'lose') return LOST
    return { kind: 'violation', concerns: how, check: 'planted', refreshToken: answer.refreshToken }
  }

  const scriptedAnswer = (ask: Ask): TokenAnswer | undefined => {
    const next = scripted.shift()
    return typeof next === 'function' ? next(ask) : next
  }

  const refresh: Provider['refresh'] = async (refreshToken, ask) => {
    const token = refreshToken.reveal()
    sends.push({ refreshToken: token, ask })
    if (rotationReceived.has(token)) sentAfterRotation.push(token)
    most = Math.max(most, ++underWay)
    try {
      await gates.pass('refresh:before')
      const answer = away.is ? LOST : (scriptedAnswer(ask) ?? spoil(work(token, ask)))
      await gates.pass('refresh:after')
      if ((answer.kind === 'issued' || answer.kind === 'violation') && answer.refreshToken) rotationReceived.add(token)
      return answer
    } finally {
      underWay -= 1
    }
  }

  /** A token of whoever the turned-in one is of; the fake's tokens say so themselves. */
  const derive = async (from: string, ask: Ask, actor?: string): Promise<TokenAnswer> => {
    derivations.push({ from, ask, actor })
    await gates.pass('derive:before')
    const scriptedNext = away.is ? LOST : scriptedAnswer(ask)
    const access = { ...accessToken(ask, from), ...(actor !== undefined && { standsFor: 'user-through-application' as const }) }
    const issued = {
      kind: 'issued',
      access,
      refreshToken: undefined,
      refreshEndsAt: undefined,
      claims: undefined,
      idToken: undefined,
    } as const
    const answer: TokenAnswer = scriptedNext ?? spoil(issued)
    await gates.pass('derive:after')
    return answer
  }
  const subjectOf = (token: Secret<'access-token'>): string => (JSON.parse(token.reveal()) as { subject: string }).subject

  return {
    name: 'default',
    profile: { ...profileOf('generic'), rotation },
    exchange: (subject, ask, actor) => derive(subjectOf(subject), ask, actor && subjectOf(actor)),
    onBehalfOf: (assertion, ask) => derive(subjectOf(assertion), ask),
    serviceAccount: (_key, subject, ask) => derive(subject, ask),
    derivations,
    requestTimeoutMs,
    gates,
    refresh,
    away,
    answers: async () => !away.is,
    application: async (ask) => {
      applications.push(ask)
      await gates.pass('application:before')
      const scriptedNext = scriptedAnswer(ask)
      const answer: TokenAnswer = scriptedNext ?? {
        kind: 'issued',
        access: accessToken(ask, 'the application'),
        refreshToken: undefined,
        refreshEndsAt: undefined,
        claims: undefined,
        idToken: undefined,
      }
      await gates.pass('application:after')
      return answer
    },
    revoke: async (token) => {
      await gates.pass('revoke:before')
      revoked.push(token.reveal())
      const family = familyOf(token.reveal())
      if (family) family.revoked = true
      return 'revoked'
    },
    authorizationUrl: () => Promise.reject(new Error('not part of this fake')),
    redeem: () => Promise.reject(new Error('not part of this fake')),
    endSessionUrl: async () => undefined,
    readLogoutToken: async () => ({ kind: 'unavailable', retryAfter: seconds(1), cause: 'unused' }),
    readBearerToken: async () => ({ kind: 'unavailable', retryAfter: seconds(1), cause: 'unused' }),
    issuer: async () => undefined,
    issuers: async () => undefined,
    logoutOrigins: () => [],
    grant: (subject) => {
      const current = newRefreshToken()
      families.push({ subject, current, consumed: new Map(), revoked: false })
      return Secret.of('refresh-token', current)
    },
    answerNext: (answer) => scripted.push(answer),
    loseNext: () => spoiled.push('lose'),
    violateNext: (concerns) => spoiled.push(concerns),
    sends,
    applications,
    revoked,
    sentAfterRotation,
    mostAtOnce: () => most,
    isAlive: (token) => {
      const family = token && familyOf(token.reveal())
      return family !== undefined && !family.revoked && (rotation === 'none' || family.current === token?.reveal())
    },
    readAccessToken: (token) => token && (JSON.parse(token.token.reveal()) as { subject: string; audience: string | undefined }),
  }
}
