import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeJwt, type JWTPayload } from 'jose'
import type { ProfileName } from '../../../src/domain/profile.ts'
import { type Answer, Browser } from '../browser.ts'
import type { EmulatorServer } from '../emulators/core.ts'
import { type Google, startGoogle } from '../emulators/google/google.ts'
import { freePlaces, type Gateways, startGateways } from '../gateways.ts'
import { startUpstream, type Upstream } from '../upstream.ts'
import { allRoutes, APIS, type Place, UNTICKED } from './routes.ts'
import { grantOf, type Way } from './table.ts'

/** What an API reads in a token. */
export interface ReadToken {
  readonly audiences: readonly string[]
  /** `ada`; undefined: it is an application's. */
  readonly user: string | undefined
  readonly scopes: readonly string[]
}

/** What one emulator adds to the stage. */
export interface Cast {
  readonly server: EmulatorServer
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** A private JWK, instead of the secret. */
  readonly clientKey?: string
  /** Who answers the pages from now on. */
  sit(user: string): void
  setEnabled(user: string, enabled: boolean): void
  read(token: string): ReadToken | undefined
  /** An access token for the gateway that another client holds; without a user, its own. */
  bring(user: string | undefined): Promise<string>
  /** The provider, or its administrator, ends what a browser is signed in by. */
  signOut(browser: Browser, user: string): Promise<void>
  /** From the provider's sign-out page back here, where somebody has to say so. */
  leave?(browser: Browser, page: Answer): Promise<Answer>
  /** What its sign-out page would frame for this browser's sign-in of Grace. */
  frame?(browser: Browser, publicUrl: string): Promise<string>
  readonly providerLines?: readonly string[]
  readonly secrets?: () => readonly string[]
}

/** One emulator, one gateway as a process, one API behind all of its routes. */
export interface Stage {
  readonly profile: ProfileName
  readonly url: string
  readonly cast: Cast
  readonly upstream: Upstream
  readonly gateway: Gateways
  /** Where the token of a way is asked for: service accounts are Google's, whoever signs people in. */
  askedAt(way: Way): EmulatorServer
  read(way: Way, token: string): ReadToken | undefined
  signIn(user?: string): Promise<Browser>
  /** Every token and key that the API got. */
  sent(): readonly string[]
  stop(): Promise<void>
}

const GOOGLE_CHILD = fileURLToPath(new URL('../gateway-google.child.ts', import.meta.url))
export const KEYS = { a: 'canary-api-key-of-a', b: 'canary-api-key-of-b' } as const

export const openStage = async (profile: ProfileName, castOf: (publicUrl: string, google: Google) => Promise<Cast>): Promise<Stage> => {
  const places = await freePlaces(1)
  const url = `http://localhost:${places[0]?.public ?? 0}`
  const [google, upstream] = await Promise.all([startGoogle({ publicUrl: url, unticked: [UNTICKED] }), startUpstream()])
  const cast = await castOf(url, google)
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-profiles-'))
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const place: Place = {
    upstream: upstream.url,
    files: { keys: { a: write('a', KEYS.a), b: write('b', KEYS.b) }, account: write('account.json', google.keyFile) },
  }
  const gateway = await startGateways({
    places,
    profile,
    provider: cast,
    routes: allRoutes(profile, place),
    ...(cast.clientKey !== undefined && { clientAuth: `[{ jwk_file: ${write('client.json', cast.clientKey)} }]` }),
    ...(profile === 'google' && { entry: GOOGLE_CHILD, env: () => ({ GOOGLE_ISSUER: cast.issuer }) }),
    providerLines: [
      '  timeout: 2s',
      ...(profile === 'google' ? [] : [`  bearer: { audiences: ['${APIS[profile].gateway}'] }`]),
      ...(cast.providerLines ?? []),
    ],
  })
  return {
    profile,
    url,
    cast,
    upstream,
    gateway,
    askedAt: (way) => (grantOf(way) === 'service_account' ? google : cast.server),
    read: (way, token) => {
      if (grantOf(way) !== 'service_account') return cast.read(token)
      const issued = google.read(token)
      return issued && { audiences: [], user: issued.user?.key, scopes: issued.scopes }
    },
    signIn: async (user = 'ada') => {
      cast.sit(user)
      const browser = new Browser()
      const landed = await browser.navigate(`${url}/bff/login?return_to=/here`, {
        from: new URL(url),
        until: (answer) => answer.url.pathname === '/here',
      })
      if (landed.url.pathname !== '/here')
        throw new Error(`the sign-in ended at ${landed.url.href} with ${landed.status}: ${landed.body.slice(0, 400)}`)
      return browser
    },
    sent: () => [...new Set(upstream.seen.map(({ headers }) => String(headers.authorization).replace('Bearer ', '')))],
    stop: async () => {
      await gateway.stop()
      await Promise.all([cast.server.stop(), ...(cast.server === google ? [] : [google.stop()]), upstream.stop()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export const wordsIn = (claim: unknown): readonly string[] =>
  Array.isArray(claim) ? claim.map(String) : typeof claim === 'string' ? claim.split(' ') : []

/** Of a token that can be read at all. */
export const opened = (token: string): (JWTPayload & Readonly<Record<string, unknown>>) | undefined => {
  try {
    return decodeJwt(token)
  } catch {
    return undefined
  }
}
export const audiencesOf = (claims: JWTPayload): readonly string[] => [claims.aud ?? []].flat()
