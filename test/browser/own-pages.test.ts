import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { PRIVATE } from '../harness/sites.ts'
import { openScene, type Scene, sessionCookie, settled, signedIn } from './people.ts'

describe.skipIf(!canLaunchBrowser)('in a browser that is signed in', () => {
  let scene: Scene
  let context: BrowserContext
  let page: Page
  let app = ''
  beforeAll(async () => {
    scene = await openScene('people')
    app = scene.sites.app
    ;({ context, page } = await signedIn(scene))
  })
  afterAll(async () => {
    await context?.close()
    await scene?.close()
  })

  it('fetch, image, script, event stream, download and form of the application’s own page reach the API', async () => {
    const own = await context.newPage()
    await own.goto(`${app}/`)
    await settled(own, 'signed in as ada')
    const loads = await own.evaluate(async () => {
      const loaded = (element: HTMLElement, event: string): Promise<string> =>
        new Promise((resolve) => {
          element.addEventListener(event, () => resolve('loaded'))
          element.addEventListener('error', () => resolve('refused'))
          document.body.append(element)
        })
      const stream = new Promise((resolve) => {
        const source = new EventSource('/api/events')
        source.addEventListener('message', ({ data }) => resolve(data))
        source.addEventListener('error', () => resolve('refused'))
      })
      return Promise.all([
        fetch('/api/fetched').then((answer) => answer.text()),
        fetch('/api/posted', { method: 'POST', headers: { 'x-csrf': '1' }, body: 'x' }).then((answer) => answer.status),
        fetch('/api/posted-bare', { method: 'POST', body: 'x' }).then((answer) => answer.status),
        loaded(Object.assign(document.createElement('img'), { src: '/api/pixel' }), 'load'),
        loaded(Object.assign(document.createElement('script'), { src: '/api/script' }), 'load'),
        stream,
      ])
    })
    expect(loads).toEqual([PRIVATE, 200, 403, 'loaded', 'loaded', 'hello'])
    const [download] = await Promise.all([
      own.waitForEvent('download'),
      own.evaluate(() => Object.assign(document.createElement('a'), { href: '/api/download', download: 'report.txt' }).click()),
    ])
    expect(await download.failure()).toBeNull()
    const seen = scene.sites.arrivals.map(({ path, headers }) => `${path} ${headers.authorization?.startsWith('Bearer ey') ?? false}`)
    for (const path of ['/api/fetched', '/api/posted', '/api/pixel', '/api/script', '/api/events', '/api/download'])
      expect(seen).toContain(`${path} true`)
    expect(scene.sites.arrivals.filter(({ path }) => path === '/api/posted-bare')).toEqual([])
    // The outer cookie stays outside.
    expect(scene.sites.arrivals.filter(({ headers }) => headers.cookie !== undefined)).toEqual([])
    await own.close()
  })

  it('a WebSocket is refused in words, from the own page and from others', async () => {
    const open = (from: Page): Promise<string> =>
      from.evaluate(
        (url) =>
          new Promise<string>((resolve) => {
            const socket = new WebSocket(url)
            socket.addEventListener('open', () => resolve('open'))
            socket.addEventListener('close', ({ code }) => resolve(`closed ${code}`))
          }),
        `${app.replace('https:', 'wss:')}/api/socket`,
      )
    for (const from of [`${app}/`, `${scene.sites.sub}/page`, `${scene.sites.evil}/page`]) {
      const mark = scene.sites.mark()
      const other = await context.newPage()
      await other.goto(from)
      expect(await open(other)).toBe('closed 1006')
      const handshake = scene.sites.tap.exchanges.slice(mark).find(({ sent }) => sent.startsWith('GET /api/socket'))
      expect(handshake?.received).toMatch(/^HTTP\/1\.1 (?:403|501) [\s\S]*"code":"(?:proxy\.websocket-unsupported|csrf\.[a-z-]+)"/)
      await other.close()
    }
    expect(scene.sites.arrivals.filter(({ path }) => path.startsWith('/api/socket'))).toEqual([])
  })

  it.each(['/bff/logout/callback', '/bff/nothing', '/bff/login/resume?last=1', '/', '/app/home'])(
    'nobody can put %s into a frame',
    async (path) => {
      for (const from of [`${scene.sites.evil}/page`, `${scene.sites.sub}/page`, `${app}/`]) {
        const framing = await context.newPage()
        await framing.goto(from)
        const mark = scene.sites.mark()
        await framing.evaluate((url) => {
          const frame = Object.assign(document.createElement('iframe'), { src: url })
          document.body.append(frame)
          return new Promise((resolve) => frame.addEventListener('load', resolve))
        }, app + path)
        expect(scene.sites.heardAt(path.split('?')[0] ?? '', mark)).not.toEqual([])
        const frame = framing.frames()[1]
        expect(await frame?.evaluate(() => document.body.innerText).catch(() => '')).not.toMatch(/application|signed|sign|address|Request/)
        expect(frame?.url()).not.toBe(app + path) // an error page of the browser's own
        await framing.close()
      }
    },
  )

  it.each([
    ['/bff/logout/callback', 'signed out'],
    ['/bff/nothing', 'Request'],
  ])('on its own page %s no injected script, handler, form or image works', async (path, text) => {
    const own = await context.newPage()
    await own.goto(app + path)
    expect(await own.textContent('body')).toContain(text)
    const mark = scene.sites.mark()
    const tried = await own.evaluate(async () => {
      const blocked: string[] = []
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => blocked.push(effectiveDirective))
      const at = globalThis as unknown as { ran?: boolean }
      document.body.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.ran = true' }))
      document.body.append(Object.assign(document.createElement('script'), { src: '/spa.js' }))
      document.body.append(Object.assign(document.createElement('img'), { src: '/api/pixel' }))
      document.body.insertAdjacentHTML(
        'beforeend',
        '<img src="x:" onerror="globalThis.ran = true"><form method="post" action="/bff/logout"></form>',
      )
      document.body.append(Object.assign(document.createElement('base'), { href: 'https://evil.test/' }))
      ;[...document.forms].at(-1)?.submit()
      await fetch('/bff/user').catch(() => undefined)
      // A form is sent a moment later, and so is what forbids it.
      for (let turns = 0; turns < 100 && !blocked.includes('form-action'); turns += 1)
        await new Promise((resolve) => setTimeout(resolve, 20))
      return { ran: at.ran ?? false, blocked: [...new Set(blocked)].sort() }
    })
    expect(tried.ran).toBe(false)
    expect(tried.blocked).toEqual(expect.arrayContaining(['base-uri', 'connect-src', 'form-action', 'img-src', 'script-src-elem']))
    expect(scene.sites.tap.exchanges.slice(mark)).toEqual([])
    await own.close()
  })

  it.each(['evil', 'sub'] as const)('prefetch and prerender by %s.test start no login and leave no cookie', async (site) => {
    for (const inside of [context, await scene.browser.newContext()]) {
      const before = await inside.cookies(app)
      const attacker = await inside.newPage()
      await attacker.goto(`${scene.sites[site]}/page`)
      const mark = scene.sites.mark()
      const paths = ['/bff/login', '/bff/login/resume', '/bff/continue', '/bff/callback', '/bff/logout/continue']
      await attacker.evaluate(
        ([origin, all]) => {
          const urls = all.map((path) => origin + path)
          const rules = {
            prefetch: [{ source: 'list', urls, eagerness: 'immediate' }],
            prerender: [{ source: 'list', urls: [`${urls[0]}?prerender`], eagerness: 'immediate' }],
          }
          document.head.append(
            Object.assign(document.createElement('script'), { type: 'speculationrules', textContent: JSON.stringify(rules) }),
          )
          for (const href of urls)
            document.head.append(Object.assign(document.createElement('link'), { rel: 'prefetch', href: `${href}?link` }))
        },
        [app, paths] as const,
      )
      // A page with cookies for the application gets no speculative load from another site; `link` always asks.
      const wanted = paths.map((path) => `${path}?link`)
      await expect
        .poll(() => wanted.filter((target) => !scene.sites.heardAt(target, mark).some(({ status }) => status !== 0)), { timeout: 5_000 })
        .toEqual([])
      const asked = () => scene.sites.tap.exchanges.slice(mark).filter(({ sent }) => sent.includes('Sec-Purpose: prefetch'))
      await expect.poll(() => asked().every(({ received }) => received !== '')).toBe(true)
      const speculated = asked()
      expect(speculated.length).toBeGreaterThanOrEqual(wanted.length)
      expect(speculated.filter(({ received }) => !received.startsWith('HTTP/1.1 503 ') || /\nset-cookie:/i.test(received))).toEqual([])
      expect(await inside.cookies(app)).toEqual(before)
      await attacker.close()
      if (inside !== context) await inside.close()
    }
    await page.reload()
    await settled(page, 'signed in as ada')
    expect(await sessionCookie(context)).toBeDefined()
  })
})
