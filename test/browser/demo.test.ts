import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canLaunchBrowser, launchBrowser } from '../harness/chromium.ts'
import { type DemoProcess, startDemoProcess } from '../harness/demo-process.ts'

const JWT = /eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

describe.skipIf(!canLaunchBrowser)('the demo in a browser', () => {
  let browser: Browser
  let demo: DemoProcess
  let context: BrowserContext
  let page: Page
  const bodies: string[] = []
  const complaints: string[] = []

  beforeAll(async () => {
    ;[browser, demo] = await Promise.all([launchBrowser(), startDemoProcess()])
  })
  afterAll(async () => {
    await browser?.close()
    if (!demo) return
    // Ends cleanly, or the next `npm run demo` meets a port in use.
    expect(await demo.stop()).toBe(0)
    // One URL, and whatever was done since has not printed a line.
    expect(
      demo
        .output()
        .trim()
        .split(/\s*\n\s*/),
    ).toEqual([demo.url, 'Sign in as ada or grace. Ctrl+C ends it.'])
  })
  beforeEach(async () => {
    context = await browser.newContext()
    page = await context.newPage()
    bodies.length = 0
    complaints.length = 0
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (/content security policy/i.test(message.text())) complaints.push(message.text())
    })
    page.on('response', (response) => {
      if (!response.url().startsWith(demo.url)) return
      void response.text().then(
        (text) => bodies.push(`${response.url()} ${JSON.stringify(response.headers())} ${text}`),
        () => undefined, // a redirect has no body
      )
    })
  })
  afterEach(async () => {
    await context.close()
    expect(complaints).toEqual([])
  })

  const pane = (name: string): Locator => page.getByRole('group', { name, exact: true })
  const signIn = async (name: string): Promise<void> => {
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('button', { name }).click()
    await page.getByText(`Signed in as ${name}`).waitFor()
    await pane('Inventory as the application').getByText('Audit log:').waitFor()
  }
  /** What a pane says: the verdict, the rows by their first words, and the line of the API's audit log without its time. */
  const told = async (name: string): Promise<readonly [verdict: string, rows: readonly string[], audit: string]> => {
    const verdict = (await pane(name).locator('.pane-title .chip').textContent()) ?? ''
    const rows = await pane(name).locator('tbody tr td:first-child').allTextContents()
    const audit = (await pane(name).locator('.audit').textContent()) ?? ''
    return [verdict, rows, audit.replace(/^Audit log: (?:\d\d:\d\d:\d\d )?/, '')]
  }

  const NOT_ASKED = 'nothing. The call never reached the API.'
  const GATEWAY_SAYS_NO = ['403 refused by the gateway', [], NOT_ASKED]
  it.each([
    [
      'Ada Lovelace',
      {
        'Orders as you': ['200 allowed', ['1', '2'], 'user ada · GET /orders · allowed'],
        'Orders as the application': ['200 allowed', ['1', '2', '3'], 'app sallyport-demo · GET /orders · allowed'],
        'Customers as you': ['403 refused by the API', [], 'user ada · GET /customers · refused'],
        'Customers as the application': ['200 allowed', ['1', '2', '3'], 'app sallyport-demo · GET /customers · allowed'],
        'Inventory as you': ['403 refused by the API', [], 'user ada · GET /inventory · refused'],
        'Inventory as the application': ['200 allowed', ['1', '2', '3'], 'app sallyport-demo · GET /inventory · allowed'],
      },
    ],
    [
      'Grace Hopper',
      {
        'Orders as you': ['200 allowed', ['3'], 'user grace · GET /orders · allowed'],
        'Orders as the application': GATEWAY_SAYS_NO,
        'Customers as you': ['200 allowed', ['1', '2', '3'], 'user grace · GET /customers · allowed'],
        'Customers as the application': GATEWAY_SAYS_NO,
        'Inventory as you': ['403 refused by the API', [], 'user grace · GET /inventory · refused'],
        'Inventory as the application': GATEWAY_SAYS_NO,
      },
    ],
  ])('%s gets from each API what it lets her and the application have', async (name, matrix) => {
    await signIn(name)
    const shown: Record<string, unknown> = {}
    for (const one of Object.keys(matrix)) shown[one] = await told(one)
    expect(shown).toEqual(matrix)
  })

  it('writes as the user who may; the application and Grace are refused by the API itself', async () => {
    await signIn('Ada Lovelace')
    const mine = pane('Orders as you')
    await mine.getByLabel('New order').fill('Difference engine')
    await mine.getByRole('button', { name: 'Add as you' }).click()
    await mine.getByText('201 added').waitFor()
    // The row that was written as one principal is read through both.
    await mine.getByRole('cell', { name: 'Difference engine' }).waitFor()
    const theirs = pane('Orders as the application')
    await theirs.getByRole('cell', { name: 'Difference engine' }).waitFor()
    await theirs.getByRole('button', { name: 'Try to add as the application' }).click()
    const said = theirs.getByRole('status').filter({ hasText: 'refused by the API' })
    expect(await said.textContent()).toMatch(/may only read here\..*app sallyport-demo · POST \/orders · refused/)

    await context.clearCookies()
    await signIn('Grace Hopper')
    await mine.getByLabel('New order').fill('COBOL manual')
    await mine.getByRole('button', { name: 'Add as you' }).click()
    await mine.getByText('grace may not write orders.').waitFor()
    await theirs.getByRole('button', { name: 'Try to add as the application' }).click()
    await theirs.getByRole('status').getByText('refused by the gateway').waitFor()
  })

  // Issue 3, "shown by" 5: what `explain` promises is what the APIs' own logs hold.
  it('is explained as the APIs’ audit logs recorded it', async () => {
    const config = here('../../src/dev/demo.yaml')
    const names = [...readFileSync(config, 'utf8').matchAll(/\$\{env:(\w+)\}/g)].map(([, name = '']) => name)
    const values: Readonly<Record<string, string>> = { DEMO_PORT: '8080', DEMO_FOLDER: '/folder', DEMO_FRONTEND: '/folder' }
    const env = Object.fromEntries(names.map((name) => [name, values[name] ?? 'http://127.0.0.1:1']))
    const explain = async (...more: string[]): Promise<string> => {
      const argv = [here('../../bin/sallyport.mjs'), 'explain', '--config', config, ...more]
      return (await promisify(execFile)(process.execPath, argv, { env: { PATH: process.env['PATH'] ?? '', ...env } })).stdout
    }
    const [printed, asJson] = await Promise.all([explain(), explain('--output', 'json')])
    const { routes } = JSON.parse(asJson) as { readonly routes: readonly Explained[] }

    await signIn('Ada Lovelace')
    const asked = await page.evaluate(
      async (paths) => {
        const ids = new Map<string, string>()
        for (const path of paths) {
          const answer = await fetch(path, { headers: { 'x-csrf': '1' } })
          ids.set(answer.headers.get('x-request-id') ?? '', path)
        }
        const logs = (await (await fetch('/demo/audit')).json()) as Record<string, { readonly request_id: string }[]>
        return Object.values(logs)
          .flat()
          .flatMap((line) => (ids.has(line.request_id) ? [{ path: ids.get(line.request_id), line }] : []))
      },
      routes.map(({ path }) => path),
    )
    const recorded: Readonly<Record<string, Recorded>> = Object.fromEntries(
      asked.map(({ path, line }) => {
        const { principal, subject, audience, scopes } = line as unknown as Recorded
        return [path, { principal, subject, audience, scopes: [...scopes].sort() }]
      }),
    )
    const promised = Object.fromEntries(
      routes
        .filter(({ principal }) => principal !== 'none')
        .map(({ path, principal, audience, scopes, upstream_sees: sees }) => {
          expect(sees.principal).toBe(principal)
          const subject = sees.subject === 'user' ? 'ada' : sees.client_id
          return [path, { principal, subject, audience, scopes: [...scopes].sort() }]
        }),
    )
    expect(Object.keys(promised)).toHaveLength(6)
    expect(recorded).toEqual(promised)
    // The table that a person reads, held against the same lines.
    const words = Object.entries(recorded).map(([path, { principal, audience, scopes }]) => {
      const as = principal === 'user' ? 'user, by refresh' : 'app, by client_credentials'
      const sees = principal === 'user' ? 'the signed-in user (sub), client sallyport-demo' : 'the application sallyport-demo, no user'
      return [path, [as, [audience, ...scopes].join(' '), sees].map(glued)] as const
    })
    const rows = tableOf(printed).flatMap(([path, as, token, , sees]) => (as === 'none' ? [] : [[path, [as, token, sees]] as const]))
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(words))
  })

  it('keeps one HttpOnly cookie in the browser, and no token anywhere', async () => {
    await signIn('Grace Hopper')
    const cookies = (await context.cookies(demo.url)).filter((cookie) => cookie.name.startsWith('__Host-Http-sallyport'))
    expect(cookies.map(({ httpOnly, secure, sameSite, path }) => ({ httpOnly, secure, sameSite, path }))).toEqual([
      { httpOnly: true, secure: true, sameSite: 'Strict', path: '/' },
    ])
    const held = await page.evaluate(() => JSON.stringify([document.cookie, Object.entries(localStorage), Object.entries(sessionStorage)]))
    expect(held).toBe(JSON.stringify(['', [], []]))
    expect(await page.locator('#cookie-name').textContent()).toBe(cookies[0]?.name)
    expect(await page.locator('#holds').textContent()).toMatch(/script can read\s*none/)
    expect(bodies.length).toBeGreaterThan(5) // the search below looked at something
    expect(bodies.filter((text) => JWT.test(text))).toEqual([])
  })

  it('is still signed in after a reload and in a second tab; signed out in one, the other says so at its next call', async () => {
    await signIn('Ada Lovelace')
    await page.reload()
    await page.getByText('Signed in as Ada Lovelace').waitFor()
    const [second] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: 'Open a second tab' }).click()])
    await second.getByText('Signed in as Ada Lovelace').waitFor()
    await second.getByRole('button', { name: 'Sign out here only' }).click()
    await second.getByText('Not signed in').waitFor()
    await page.bringToFront()
    await page.locator('#read-all').dispatchEvent('click') // it may know already, and then has no button to press
    await page.getByRole('heading', { name: 'You are signed out.' }).waitFor()
    expect(await page.getByRole('alert').textContent()).toContain('401 session.absent')
    // Gone from the document, not only from sight.
    await page.waitForLoadState('networkidle')
    expect(await page.locator('main').textContent()).not.toContain('Analytical engine')
    expect(await page.locator('main td').count()).toBe(0)
    await page.getByRole('link', { name: 'Sign in again' }).click()
    await page
      .getByText('Signed in as Ada Lovelace')
      .or(page.getByRole('button', { name: 'Ada Lovelace' }))
      .waitFor()
  })

  it('ends on a page that says what happened when the sign-in is cancelled', async () => {
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('heading', { name: 'The sign-in was cancelled.' }).waitFor()
    await page.getByRole('link', { name: 'Start the sign-in again' }).click()
    await page.getByRole('button', { name: 'Ada Lovelace' }).waitFor()
    expect(new URL(page.url()).origin).not.toBe(demo.url)
  })

  it('shows nothing private when the back button leads behind a sign-out', async () => {
    await signIn('Ada Lovelace')
    await pane('Orders as you').getByRole('cell', { name: 'Analytical engine' }).waitFor()
    await page.getByRole('button', { name: 'Sign out', exact: true }).click()
    await page.getByRole('button', { name: 'Yes, sign me out' }).click()
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
    await page.goBack()
    await page.goBack().catch(() => undefined)
    expect(await page.locator('body').textContent()).not.toContain('Analytical engine')
  })

  it('fits a phone: nothing is wider than the screen', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.goto(demo.url)
    const widest = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth)
    await page.getByRole('link', { name: 'Sign in' }).waitFor()
    expect(await widest()).toBeLessThanOrEqual(360)
    await signIn('Ada Lovelace')
    await page.getByRole('button', { name: 'Watch' }).click()
    await page.locator('#pulse').getByText('200 allowed').first().waitFor()
    expect(await widest()).toBeLessThanOrEqual(360)
  })
})

/** Cells wrap wherever they must: what is compared is their letters. */
const glued = (text: string): string => text.replaceAll(/\s/g, '')
const tableOf = (printed: string): readonly (readonly string[])[] => {
  const blocks = printed.split('\n\n')
  const head = blocks.findIndex((block) => block.startsWith('ROUTE '))
  const starts = ['ROUTE', 'CALLED AS', 'TOKEN FOR', 'WHO GETS IN', 'ITS AUDIT LOG SHOWS'].map(
    (title) => blocks[head]?.indexOf(title) ?? -1,
  )
  const rows = blocks.slice(head + 1).filter((block) => block.startsWith('/'))
  return rows.map((block) =>
    starts.map((from, at) =>
      glued(
        block
          .split('\n')
          .map((line) => line.slice(from, starts[at + 1]))
          .join(''),
      ),
    ),
  )
}

interface Explained {
  readonly path: string
  readonly principal: 'user' | 'app' | 'none'
  readonly audience: string
  readonly scopes: readonly string[]
  readonly upstream_sees: { readonly principal: string; readonly subject: string; readonly client_id: string }
}

interface Recorded {
  readonly principal: string
  readonly subject: string
  readonly audience: string
  readonly scopes: readonly string[]
}
