import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canLaunchBrowser, launchBrowser } from '../harness/chromium.ts'
import { type DemoProcess, startDemoProcess } from '../harness/demo-process.ts'

const JWT = /eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/

describe.skipIf(!canLaunchBrowser)('the demo in a browser', () => {
  let browser: Browser
  let demo: DemoProcess
  let context: BrowserContext
  let page: Page
  const bodies: string[] = []

  beforeAll(async () => {
    ;[browser, demo] = await Promise.all([launchBrowser(), startDemoProcess()])
  })
  afterAll(async () => {
    await browser?.close()
    // Ends cleanly, or the next `npm run demo` meets a port in use.
    if (demo) expect(await demo.stop()).toBe(0)
  })
  beforeEach(async () => {
    context = await browser.newContext()
    page = await context.newPage()
    bodies.length = 0
    page.on('response', (response) => {
      if (!response.url().startsWith(demo.url)) return
      void response.text().then(
        (text) => bodies.push(`${response.url()} ${JSON.stringify(response.headers())} ${text}`),
        () => undefined, // a redirect has no body
      )
    })
  })
  afterEach(() => context.close())

  const signIn = async (name: string): Promise<void> => {
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('button', { name }).click()
    await page.getByText(`Signed in as ${name}`).waitFor()
  }
  const screenshot = async (name: string): Promise<void> => {
    const folder = process.env['SALLYPORT_TEST_SCREENSHOTS']
    if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true })
  }

  it('signs in, calls one API as the user and the other as the application, and signs out', async () => {
    await page.goto(demo.url)
    await page.getByRole('heading', { name: 'No token ever reaches this page.' }).waitFor()
    await screenshot('demo-signed-out')
    await signIn('Ada Lovelace')
    await page.getByRole('button', { name: 'List my orders' }).click()
    await page.locator('#orders').getByText('Analytical engine').waitFor()
    expect(await page.locator('#orders').textContent()).toContain('"principal": "user"')
    await page.getByLabel('New order').fill('Difference engine')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.locator('#orders').getByText('201 Created').waitFor()
    await page.getByRole('button', { name: 'Sum up all orders' }).click()
    await page.locator('#reports').getByText('"principal": "app"').waitFor()
    await screenshot('demo-signed-in')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Yes, sign me out' }).click()
    await page.waitForURL(`${demo.url}/**`)
    await page.goto(demo.url)
    await page.getByText('Not signed in').waitFor()
  })

  it('keeps one HttpOnly cookie in the browser, and no token anywhere', async () => {
    await signIn('Grace Hopper')
    await page.getByRole('button', { name: 'List my orders' }).click()
    await page.locator('#orders').getByText('Nanoseconds of wire').waitFor()
    const cookies = (await context.cookies(demo.url)).filter((cookie) => cookie.name.startsWith('__Host-Http-sallyport'))
    expect(cookies.map(({ httpOnly, secure, sameSite, path }) => ({ httpOnly, secure, sameSite, path }))).toEqual([
      { httpOnly: true, secure: true, sameSite: 'Strict', path: '/' },
    ])
    const held = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]))
    expect(held).toBe(JSON.stringify(['', {}, {}]))
    expect(bodies.length).toBeGreaterThan(5) // the search below looked at something
    expect(bodies.filter((text) => JWT.test(text))).toEqual([])
  })

  it('is still signed in after a reload, and in a second tab', async () => {
    await signIn('Ada Lovelace')
    await page.reload()
    await page.getByText('Signed in as Ada Lovelace').waitFor()
    const second = await context.newPage()
    await second.goto(demo.url)
    await second.getByText('Signed in as Ada Lovelace').waitFor()
  })

  it('ends on a page that says what happened when the sign-in is cancelled', async () => {
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('heading', { name: 'The sign-in was cancelled.' }).waitFor()
    await screenshot('page-cancelled')
    await page.getByRole('link', { name: 'Start the sign-in again' }).click()
    await page.getByRole('button', { name: 'Ada Lovelace' }).waitFor()
    expect(new URL(page.url()).origin).not.toBe(demo.url)
  })

  it('shows nothing private when the back button leads behind a sign-out', async () => {
    await signIn('Ada Lovelace')
    await page.getByRole('button', { name: 'List my orders' }).click()
    await page.locator('#orders').getByText('Analytical engine').waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Yes, sign me out' }).click()
    await page.waitForURL(`${demo.url}/**`)
    await page.goBack()
    await page.goBack().catch(() => undefined)
    expect(await page.locator('body').textContent()).not.toContain('Analytical engine')
  })
})
