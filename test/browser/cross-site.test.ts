import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { answered } from '../harness/sites.ts'
import { ATTEMPTS } from './attempts.ts'
import { openScene, type Scene, sessionCookie, settled, signedIn } from './people.ts'

/** The ways that sign-out links and forms are forged. */
const FORGED = [
  'fetch POST of text',
  'fetch with X-CSRF',
  'sendBeacon',
  'image',
  'iframe',
  'link prefetch',
  'framed form POST of text',
  'form POST',
  'navigation',
]

describe.skipIf(!canLaunchBrowser)('a browser that is signed in', () => {
  let scene: Scene
  let context: BrowserContext
  let victim: Page
  let cookie = ''
  let made = 0

  beforeAll(async () => {
    scene = await openScene()
    ;({ context, page: victim } = await signedIn(scene))
    cookie = (await sessionCookie(context))?.value ?? ''
    expect(cookie).toHaveLength(64)
  })
  afterAll(async () => {
    await context?.close()
    await scene?.close()
  })

  describe.each(['evil', 'sub'] as const)('on a page of %s.test', (site) => {
    let attacker: Page
    beforeAll(async () => {
      attacker = await context.newPage()
      await attacker.goto(`${scene.sites[site]}/page`)
    })
    afterAll(async () => {
      const opened = context.pages().filter((page) => page !== victim)
      await Promise.all(opened.map((page) => page.close()))
    })

    const attempt = async ({ run, leaves }: (typeof ATTEMPTS)[number], path: string) => {
      const mark = scene.sites.mark()
      const page = leaves ? await context.newPage() : attacker
      if (leaves) await page.goto(`${scene.sites[site]}/page`)
      await run(page, `${scene.sites.app}${path}`)
      const exchanges = await answered(scene.sites, path, mark)
      if (leaves) await page.close()
      return exchanges
    }

    it.each(ATTEMPTS)('cannot reach an API by $by', async (by) => {
      const path = `/api/attempt-${(made += 1)}`
      const exchanges = await attempt(by, path)
      for (const { method, status, setCookies, response } of exchanges) {
        expect([401, 403]).toContain(status)
        expect(setCookies).toEqual([])
        expect(response('access-control-allow-origin')).toBeUndefined()
        expect(response('clear-site-data')).toBeUndefined()
        if (by.preflighted) expect(method).toBe('OPTIONS')
      }
      // A sibling's requests do carry the Strict cookie: it is the gateway that refuses them.
      if (site === 'sub' && !by.preflighted && by.by !== 'sandboxed frame')
        expect(exchanges.map(({ request }) => request('cookie')).join()).toContain(cookie)
      expect(scene.sites.arrivals.filter((arrival) => arrival.path.startsWith(path))).toEqual([])
    })

    it.each(ATTEMPTS.filter(({ by }) => FORGED.includes(by)))('cannot be signed out by $by', async (by) => {
      for (const path of ['/bff/logout', '/bff/logout/local']) {
        for (const { status, setCookies, response } of await attempt(by, path)) {
          expect([403, 405, 503]).toContain(status) // 503: a prefetch
          expect(setCookies).toEqual([])
          expect(response('clear-site-data')).toBeUndefined()
        }
      }
    })

    it('cannot read who is signed in', async () => {
      const told = await attacker.evaluate(async (url) => {
        const answers = [fetch(url, { credentials: 'include' }), fetch(url, { credentials: 'include', headers: { 'x-csrf': '1' } })]
        return Promise.all(
          answers.map((answer) =>
            answer.then(
              (got) => got.text(),
              () => 'kept from the page',
            ),
          ),
        )
      }, `${scene.sites.app}/bff/user`)
      expect(told).toEqual(['kept from the page', 'kept from the page'])
    })

    it('still holds the same session after all that', async () => {
      expect((await sessionCookie(context))?.value).toBe(cookie)
      await victim.reload()
      await settled(victim, 'signed in as ada')
      expect(scene.sites.arrivals.filter(({ path }) => path.includes('attempt'))).toEqual([])
    })
  })
})
