import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { sessionCookie, signIn, createWorld, type World } from '../harness/world.ts'

/** Hostile values, followed by a browser's own URL parser through the gateway, a real provider and back to wherever that leads. */
const corpus = readFileSync(new URL('../corpus/return-to.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('"'))
  .map((line) => JSON.parse(line) as string)

/** As a form would send it: lone surrogates have no UTF-8, and become U+FFFD. */
const encoded = (raw: string): string => new URLSearchParams({ '': raw }).toString().slice(1)

/** `/bff%3Fx` is somebody else's name. */
const isOwn = ({ pathname }: URL): boolean => /^\/bff(?:\/|$)/i.test(pathname)

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.stop())

interface Journey {
  readonly raw: string
  readonly end: Answer
  /** Every address on the way. */
  readonly visited: readonly URL[]
}

/** The provider knows her from the first sign-in: from then on a journey is nothing but redirects. */
const LANES = 4
const travel = async (paths: readonly string[], toPath: (value: string) => string): Promise<readonly Journey[]> => {
  const journeys: Journey[] = []
  const queue = [...paths]
  const lane = async (): Promise<void> => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    for (let raw = queue.shift(); raw !== undefined; raw = queue.shift()) {
      const since = browser.seen.length
      const end = await browser.navigate(`${world.url}${toPath(raw)}`, {
        from: new URL(world.url),
        // It must not go there: the step that would is where the journey is judged.
        until: ({ url }) => url.origin !== world.url && url.origin !== world.provider.issuer,
      })
      journeys.push({ raw, end, visited: browser.seen.slice(since).map(({ url }) => new URL(url)) })
    }
    expect(sessionCookie(browser)).toBeDefined()
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return journeys
}

describe('a return-to leads nowhere but to our own origin', { timeout: 60_000 }, () => {
  it('through the provider and back, for each value of the corpus', async () => {
    expect(corpus.length).toBeGreaterThanOrEqual(300)
    const journeys = await travel(corpus, (raw) => `/bff/login?return_to=${encoded(raw)}`)
    expect(journeys).toHaveLength(corpus.length)
    const astray = journeys.filter(
      ({ end, visited }) =>
        end.url.origin !== world.url || visited.some(({ origin }) => origin !== world.url && origin !== world.provider.issuer),
    )
    expect(astray.map(({ raw, end }) => [raw, end.url.href])).toEqual([])
    // Each of them did sign in: a refusal on the way would prove nothing.
    expect(journeys.filter(({ visited }) => !visited.some(({ pathname }) => pathname === '/bff/callback')).map(({ raw }) => raw)).toEqual(
      [],
    )
    // None lands on an endpoint of the gateway itself.
    expect(journeys.filter(({ end }) => isOwn(end.url)).map(({ raw }) => raw)).toEqual([])
  })

  it('by the step of the bounce, and by a resume that finds a session', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const astray: string[] = []
    for (const raw of corpus)
      for (const path of ['/bff/continue?to=', '/bff/login/resume?return_to=']) {
        const answer = await browser.navigate(`${world.url}${path}${encoded(raw)}`, { from: new URL(world.url), follow: false })
        const leads = new URL(String(answer.headers['location'] ?? '/'), answer.url)
        if (answer.status !== 303 || leads.origin !== world.url || isOwn(leads))
          astray.push(`${path}${raw} → ${answer.status} ${leads.href}`)
      }
    expect(astray).toEqual([])
  })

  it('by the step of the bounce of a visitor who has to sign in', async () => {
    const astray: string[] = []
    for (const raw of corpus) {
      const browser = new Browser()
      const answer = await browser.navigate(`${world.url}/bff/continue?to=${encoded(raw)}`, { from: new URL(world.url), follow: false })
      const leads = /^0;url=(.*)$/.exec(String(answer.headers['refresh']))?.[1] ?? ''
      const linked = /href="([^"]*)"/.exec(answer.body)?.[1]
      if (
        answer.status !== 200 ||
        !/^\/bff\/login(?:\?return_to=[\w%.~!'()*-]*)?$/.test(leads) ||
        linked !== leads.replaceAll("'", '&#39;')
      )
        astray.push(`${raw} → ${answer.status} ${leads}`)
    }
    expect(astray).toEqual([])
  })

  it('and a good one does lead where it says: the corpus fails for what it is, not because nothing passes', async () => {
    const [journey] = await travel(['/orders?id=7#top'], (raw) => `/bff/login?return_to=${encoded(raw)}`)
    expect(journey?.end.url.href).toBe(`${world.url}/orders?id=7#top`)
  })
})
