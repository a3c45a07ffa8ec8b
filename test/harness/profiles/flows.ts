import { expect } from 'vitest'
import { PROFILES } from '../../../src/domain/profiles/profiles.ts'
import type { Browser } from '../browser.ts'
import type { Fault } from '../emulators/core-faults.ts'
import { fault } from '../emulators/core-faults.ts'
import { until } from '../processes.ts'
import { apiOf, APIS, pathOf, type Which, whichOf } from './routes.ts'
import { KEYS, type Stage } from './stage.ts'
import { callerOf, grantOf, isPossible, type ProfileFlow, type Way, type WayFlow, WAYS } from './table.ts'
import { type RefusedFlow, wordsFor } from './words.ts'

/** Who calls in one flow: a browser that is signed in, and what callers without one bring. */
export interface Actors {
  readonly browser: Browser
  readonly bearer: string
}

export const actorsOf = async (stage: Stage, ways: readonly Way[]): Promise<Actors> => ({
  browser: await stage.signIn(),
  bearer: ways.some((way) => callerOf(way) === 'bearer') ? await stage.cast.bring('ada') : '',
})

interface Got {
  readonly status: number
  readonly code: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

const asBearer = async (url: string, token: string): Promise<Got> => {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}`, accept: 'application/json' } })
  return got(answer.status, await answer.text(), Object.fromEntries(answer.headers))
}
const asBrowser = async (browser: Browser, url: string): Promise<Got> => {
  const { status, body, headers } = await browser.fetch(url)
  return got(status, body, headers)
}
const got = (status: number, body: string, headers: Got['headers']): Got => {
  const code = status < 400 ? undefined : (JSON.parse(body) as { code?: string }).code
  return { status, code, headers }
}

const call = (stage: Stage, { browser, bearer }: Actors, way: Way, last: string): Promise<Got> => {
  const url = `${stage.url}/${pathOf(way, last)}`
  return callerOf(way) === 'bearer' ? asBearer(url, bearer) : asBrowser(browser, url)
}

const requestsAt = (stage: Stage, way: Way, last: string) => stage.upstream.seen.filter(({ path }) => path === `/${pathOf(way, last)}`)
/** What went on to the API, without the scheme. */
const sentTo = (stage: Stage, way: Way, last: string): string =>
  String(requestsAt(stage, way, last).at(-1)?.headers.authorization).replace('Bearer ', '')

/** `grant_type` of the call that each grant makes; undefined: it makes none. */
const TYPES = {
  refresh: 'refresh_token',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  on_behalf_of: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  service_account: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  client_credentials: 'client_credentials',
  static: undefined,
  pass_through: undefined,
} as const
const typeOf = (way: Way): string | undefined => TYPES[grantOf(way)]

const callsOf = (stage: Stage, way: Way): number => {
  const type = typeOf(way)
  return type === undefined ? 0 : stage.askedAt(way).record.where({ grant: type }).length
}

/** Strikes the calls of this way alone. */
const strike = (stage: Stage, way: Way, ...faults: readonly Fault[]): (() => void) =>
  stage.askedAt(way).faults.when(({ endpoint, form }) => endpoint === 'token' && form.get('grant_type') === typeOf(way), faults)

/** What the API got is a token for it, of whom the way stands for. */
const expectToken = (stage: Stage, actors: Actors, way: Way, last: string, which: Which): void => {
  const token = sentTo(stage, way, last)
  if (grantOf(way) === 'static') return expect(token).toBe(KEYS[which === 'b' ? 'b' : 'a'])
  const read = stage.read(way, token)
  expect(read, `nobody issued ${token}`).toBeDefined()
  expect(read?.user).toBe(callerOf(way) === 'application' ? undefined : 'ada')
  const { audience, scopes } = apiOf(stage.profile, way, which)
  if (audience !== undefined) expect(read?.audiences).toEqual([audience])
  else expect(read?.scopes).toEqual(expect.arrayContaining([...scopes]))
  // What was brought is for the gateway, and goes on only where the route says so.
  if (callerOf(way) === 'bearer') expect(token === actors.bearer).toBe(grantOf(way) === 'pass_through')
}

interface WayRun {
  before?(stage: Stage, actors: Actors, primed: Primed, ways: readonly Way[]): Promise<void>
  run(stage: Stage, actors: Actors, way: Way, primed: Primed): Promise<void>
}

const refused = (flow: RefusedFlow, forSession: readonly [number, string], forBearer = forSession): WayRun => ({
  run: async (stage, actors, way) => {
    const unticked = flow === 'consent' && stage.profile === 'google'
    if (!unticked) strike(stage, way, fault.reply(wordsFor(stage.profile, way, flow)))
    const before = callsOf(stage, way)
    const answers = [await call(stage, actors, way, flow), await call(stage, actors, way, flow)]
    const expected = callerOf(way) === 'bearer' ? forBearer : forSession
    expect(answers.map(({ status, code }) => [status, code])).toEqual([expected, expected])
    // Said once, it is not asked again at once; where another token could be turned in, that was tried.
    expect(callsOf(stage, way) - before).toBeLessThanOrEqual(grantOf(way) === 'exchange' ? 2 : 1)
    expect(requestsAt(stage, way, flow)).toEqual([])
    if (callerOf(way) === 'session') expect((await asBrowser(actors.browser, `${stage.url}/bff/user`)).status).toBe(200)
    if (callerOf(way) === 'bearer' && expected[0] === 401) expect(answers[0]?.headers['www-authenticate']).toContain('Bearer')
  },
})

const EXPIRY_SECONDS = 2

/** A refresh token is spent. */
const again = (browser: Browser, stage: Stage): Promise<Got> => asBrowser(browser, `${stage.url}/again`)

/** What takes time by itself is begun first and looked at later. */
export interface Primed {
  /** Has called on every way, with tokens that are over by now. */
  readonly actors: Actors
  readonly at: number
  readonly sent: ReadonlyMap<Way, string>
  /** The answer to whose refresh got lost. */
  readonly loser: Browser
  readonly lostAt: { readonly serial: number; readonly presented: string | undefined }
}

export const prime = async (stage: Stage, ways: readonly Way[]): Promise<Primed> => {
  const loser = await stage.signIn()
  stage.cast.server.faults.next('token', fault.answerLost())
  expect((await again(loser, stage)).status).toBe(503)
  const { serial = 0, presented } = stage.cast.server.record.where({ answered: false }).at(-1) ?? {}

  const actors = await actorsOf(stage, ways)
  const sent = new Map<Way, string>()
  for (const way of ways) strike(stage, way, fault.member('expires_in', EXPIRY_SECONDS))
  for (const way of ways) {
    expect((await call(stage, actors, way, 'expiry')).status, way).toBe(200)
    sent.set(way, sentTo(stage, way, 'expiry'))
  }
  clearFaults(stage)
  return { actors, at: Date.now(), sent, loser, lostAt: { serial, presented } }
}

export const clearFaults = (stage: Stage): void => {
  stage.cast.server.faults.clear()
  stage.askedAt('session service_account').faults.clear()
}

let throttled = new Map<Way, Got>()

export const WAY_RUNS: Readonly<Record<WayFlow, WayRun>> = {
  'first call': {
    run: async (stage, actors, way) => {
      const before = callsOf(stage, way)
      const answers = [await call(stage, actors, way, 'first call'), await call(stage, actors, way, 'first call')]
      expect(answers.map(({ status, code }) => [status, code])).toEqual([
        [200, undefined],
        [200, undefined],
      ])
      expectToken(stage, actors, way, 'first call', 'a')
      const made = callsOf(stage, way) - before
      // What a sign-in yields may serve the first of them.
      if (grantOf(way) === 'refresh') expect(made).toBeLessThanOrEqual(1)
      else expect(made).toBe(typeOf(way) === undefined ? 0 : 1)
    },
  },
  'two audiences': {
    run: async (stage, actors, way) => {
      const answers = await Promise.all((['a', 'b'] as const).map((which) => call(stage, actors, way, which)))
      expect(answers.map(({ status, code }) => [status, code])).toEqual([
        [200, undefined],
        [200, undefined],
      ])
      for (const which of ['a', 'b'] as const) expectToken(stage, actors, way, which, which)
      expect(sentTo(stage, way, 'a')).not.toBe(sentTo(stage, way, 'b'))
    },
  },
  expiry: {
    before: (_stage, _actors, { at }) => until('their end', () => Date.now() - at > EXPIRY_SECONDS * 1000),
    run: async (stage, _actors, way, { actors, sent }) => {
      const before = callsOf(stage, way)
      const answers = await Promise.all([1, 2, 3].map(() => call(stage, actors, way, 'expiry')))
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
      expect(sentTo(stage, way, 'expiry')).not.toBe(sent.get(way))
      expectToken(stage, actors, way, 'expiry', whichOf(way, 'expiry'))
      expect(callsOf(stage, way) - before).toBe(1)
    },
  },
  'refused by the rule': {
    run: async (stage, actors, way) => {
      const before = callsOf(stage, way)
      const { status, code } = await call(stage, actors, way, 'refused by the rule')
      expect([status, code]).toEqual([403, 'policy.denied'])
      expect(requestsAt(stage, way, 'refused by the rule')).toEqual([])
      expect(callsOf(stage, way)).toBe(before)
    },
  },
  'wrong principal': {
    run: async (stage, actors, way) => {
      const other = await stage.cast.bring(callerOf(way) === 'application' ? 'ada' : undefined)
      // No ID token, or its digest of the access token would give it away first.
      strike(stage, way, fault.member('access_token', other), fault.noIdToken())
      const { status, code } = await call(stage, actors, way, 'wrong principal')
      expect([status, code]).toEqual([502, 'token.principal-mismatch'])
      expect(requestsAt(stage, way, 'wrong principal')).toEqual([])
      await until('it is counted', async () => {
        const metrics = await (await fetch(`${stage.gateway.gateways[0]?.ops}/metrics`)).text()
        return new RegExp(`principal_mismatches_total\\{grant="${grantOf(way)}"\\} [1-9]`).test(metrics)
      })
    },
  },
  // Auth0 answers so where a policy does not cover the audience, and says nothing.
  'wrong audience': {
    run: async (stage, actors, way) => {
      const other = await stage.cast.bring(callerOf(way) === 'application' ? undefined : 'ada')
      strike(stage, way, fault.member('access_token', other), fault.noIdToken())
      const { status, code } = await call(stage, actors, way, 'wrong audience')
      expect([status, code]).toEqual([502, 'token.invalid'])
      expect(requestsAt(stage, way, 'wrong audience')).toEqual([])
    },
  },
  'step-up': refused('step-up', [401, 'session.step-up-required'], [401, 'caller.step-up-required']),
  // A caller without a browser has no page to consent on.
  consent: refused('consent', [401, 'token.consent-required'], [403, 'token.audience-denied']),
  'audience denied': refused('audience denied', [403, 'token.audience-denied']),
  throttled: {
    // All at once: the first answer holds the provider off for everybody.
    before: async (stage, actors, _primed, ways) => {
      for (const way of ways) strike(stage, way, fault.throttled(60))
      throttled = new Map()
      const ask = async (way: Way) => void throttled.set(way, await call(stage, actors, way, 'throttled'))
      // What Google says of service accounts is no word on the provider that people sign in at.
      await ask('session service_account')
      const { tokenCalls } = stage.cast.server.record
      const before = tokenCalls.length
      await Promise.all(ways.filter((way) => way !== 'session service_account').map(ask))
      expect(tokenCalls.length).toBeGreaterThan(before)
    },
    run: async (stage, _actors, way) => {
      const { status, code, headers } = throttled.get(way) ?? { status: 0, code: undefined, headers: {} }
      expect([status, code]).toEqual([503, 'provider.unavailable'])
      const wait = Number(headers['retry-after'])
      expect(wait).toBeGreaterThan(50)
      expect(wait).toBeLessThanOrEqual(60)
      expect(requestsAt(stage, way, 'throttled')).toEqual([])
    },
  },
}

const ended = (browser: Browser, stage: Stage): Promise<void> =>
  until('the session is over', async () => (await asBrowser(browser, `${stage.url}/bff/user`)).status === 401)

/** What each kind of refresh token comes to when the answer that replaced it is lost. */
const AFTER_LOSS = { none: 'goes on', tolerant: 'goes on', grace: 'goes on', strict: 'is over' } as const

const signOutHere = async (browser: Browser, stage: Stage): Promise<string | undefined> =>
  (JSON.parse((await browser.fetch(`${stage.url}/bff/logout`, { method: 'POST' })).body) as { readonly location?: string }).location

/** Each ends with the browsers that took part. */
export const PROFILE_RUNS: Readonly<Record<ProfileFlow, (stage: Stage, primed: Primed) => Promise<readonly Browser[]>>> = {
  'sign-in': async (stage) => {
    const [ada, grace] = [await stage.signIn('ada'), await stage.signIn('grace')]
    const claimsOf = async (browser: Browser) =>
      (JSON.parse((await browser.fetch(`${stage.url}/bff/user`)).body) as { claims: Record<string, unknown> }).claims
    const [one, other] = [await claimsOf(ada), await claimsOf(grace)]
    expect([one['name'], other['name']]).toEqual(['Ada Lovelace', 'Grace Hopper'])
    expect(one['sub']).not.toBe(other['sub'])
    return [ada, grace]
  },
  'lost rotation': async (stage, { loser, lostAt }) => {
    let last: Got | undefined
    await until('it is known what became of it', async () => {
      last = await again(loser, stage)
      return last.status < 300 || last.status === 401
    })
    const { rotation } = PROFILES[stage.profile]
    const outcome = (last?.status ?? 0) < 300 ? 'goes on' : 'is over'
    expect(outcome).toBe(AFTER_LOSS[rotation])
    if (outcome === 'is over') expect(last?.code).toBe('session.refresh-lost')
    // The answer that was lost, and one recovery: however often it was asked for meanwhile.
    const { tokenCalls } = stage.cast.server.record
    const sent = tokenCalls.filter(({ presented, serial }) => serial >= lostAt.serial && presented === lostAt.presented)
    expect(sent.length).toBe(2)
    return [loser]
  },
  'user disabled': async (stage) => {
    const browser = await stage.signIn('grace')
    stage.cast.setEnabled('grace', false)
    try {
      const { status, code } = await again(browser, stage)
      expect([status, code]).toEqual([401, 'session.ended'])
      await ended(browser, stage)
    } finally {
      stage.cast.setEnabled('grace', true)
    }
    return [browser]
  },
  'sign-out revokes': async (stage) => {
    const browser = await stage.signIn()
    const before = stage.cast.server.record.count('revocation')
    await signOutHere(browser, stage)
    await ended(browser, stage)
    await until('it was revoked', () => stage.cast.server.record.count('revocation') > before)
    expect(stage.cast.server.record.requests.findLast(({ endpoint }) => endpoint === 'revocation')?.status).toBe(200)
    return [browser]
  },
  'sign-out at the provider': async (stage) => {
    const browser = await stage.signIn()
    const location = await signOutHere(browser, stage)
    const page = await browser.navigate(new URL(location ?? '', stage.url), { from: new URL(stage.url) })
    const landed = stage.cast.leave ? await stage.cast.leave(browser, page) : page
    expect(landed.url.href.startsWith(stage.url)).toBe(true)
    const asked = stage.cast.server.record.requests.find(({ endpoint }) => endpoint === 'logout')?.query
    expect(asked?.['post_logout_redirect_uri']).toBe(`${stage.url}/bff/logout/callback`)
    await ended(browser, stage)
    return [browser]
  },
  'back-channel logout': async (stage) => {
    const browser = await stage.signIn('grace')
    expect((await asBrowser(browser, `${stage.url}/bff/user`)).status).toBe(200)
    await stage.cast.signOut(browser, 'grace')
    await ended(browser, stage)
    return [browser]
  },
  'front-channel logout': async (stage) => {
    const browser = await stage.signIn('grace')
    if (!stage.cast.frame) throw new Error('nobody says which page would be framed')
    // Framed by another site: no cookie comes along.
    expect((await fetch(await stage.cast.frame(browser, stage.url))).status).toBe(200)
    await ended(browser, stage)
    return [browser]
  },
  'application calls': async (stage) => {
    const token = await stage.cast.bring(undefined)
    const answer = await asBearer(`${stage.url}/jobs`, token)
    expect([answer.status, answer.code]).toEqual([200, undefined])
    const sent = String(stage.upstream.seen.findLast(({ path }) => path === '/jobs')?.headers.authorization).replace('Bearer ', '')
    expect(sent).not.toBe(token)
    const read = stage.cast.read(sent)
    expect([read?.user, read?.audiences]).toEqual([undefined, [APIS[stage.profile].a.audience]])
    // Neither a user on the route of applications, nor an application on a route of users.
    expect((await asBearer(`${stage.url}/jobs`, await stage.cast.bring('ada'))).code).toBe('policy.denied')
    const users = WAYS.find((way) => callerOf(way) === 'bearer' && isPossible({ profile: stage.profile, way, flow: 'first call' }))
    if (users) expect((await asBearer(`${stage.url}/${pathOf(users, 'first call')}`, token)).code).toBe('caller.user-required')
    return []
  },
}
