import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canLaunchBrowser, launchBrowser } from '../harness/chromium.ts'
import { type DemoProcess, startDemoProcess } from '../harness/demo-process.ts'

describe.skipIf(!canLaunchBrowser)('the demo while tokens run out', () => {
  let browser: Browser
  let demo: DemoProcess
  let context: BrowserContext
  let page: Page

  beforeAll(async () => {
    ;[browser, demo] = await Promise.all([launchBrowser(), startDemoProcess(['--token-seconds', '7'])])
  })
  afterAll(async () => {
    await browser?.close()
    if (demo) expect(await demo.stop()).toBe(0)
  })
  beforeEach(async () => {
    context = await browser.newContext()
    page = await context.newPage()
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Ada Lovelace' }).click()
    await page.getByText('Signed in as Ada Lovelace').waitFor()
    // The page's own calls have their tokens: a provider taken down in the middle of a refresh may cost the session, and that is not what is tried here.
    await expect.poll(() => page.getByText('Audit log:').count(), { timeout: 20_000 }).toBe(6)
  })
  afterEach(() => context.close())

  /** One number of the table of calls. */
  const counted = async (principal: 'user' | 'app', column: 'Tokens' | 'Calls' | 'Told to wait' | 'Failed'): Promise<number> =>
    Number(await page.locator(`#pulse tr[data-principal="${principal}"] td[data-label="${column}"]`).textContent())
  const lastAnswer = (principal: 'user' | 'app', text: string): Promise<void> =>
    page.locator(`#pulse tr[data-principal="${principal}"]`).getByText(text).waitFor({ timeout: 25_000 })

  it('renews the tokens of both principals again and again, and no call fails or waits', async () => {
    await page.getByRole('button', { name: 'Watch' }).click()
    await expect
      .poll(async () => Math.min(await counted('user', 'Tokens'), await counted('app', 'Tokens')), { timeout: 20_000 })
      .toBeGreaterThan(1)
    for (const principal of ['user', 'app'] as const) {
      expect(await counted(principal, 'Failed')).toBe(0)
      expect(await counted(principal, 'Told to wait')).toBe(0)
    }
    await page.getByRole('button', { name: 'Stop watching' }).click()
  })

  it('keeps the session while the provider is down, says when to come back, and goes on when it is up', { timeout: 90_000 }, async () => {
    // 1. Down: what has a token works on; who wants to sign in gets a page that says so.
    await page.getByRole('button', { name: 'Take it down' }).click()
    await page.locator('#provider-state').getByText('down').waitFor()
    await lastAnswer('user', '200 allowed')
    const [signIn] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: 'Try to sign in' }).click()])
    await signIn.getByRole('heading', { name: 'The sign-in service is not reachable.' }).waitFor()
    await signIn.close()
    // 2. Expired: both principals are told to wait, the session is what it was.
    await lastAnswer('user', '503 wait')
    await lastAnswer('app', '503 wait')
    await page.locator('#provider-checks').getByText('you are still signed in').first().waitFor()
    await page.locator('#provider-checks li', { hasText: 'Your session' }).getByText('signed in').waitFor()
    await page.reload()
    await page.getByText('Signed in as Ada Lovelace').waitFor()
    // 3. Back, with everything it granted: the same session works, and nobody signed in again.
    await page.getByRole('button', { name: 'Bring it back' }).click()
    await page.locator('#provider-state').getByText('up').waitFor()
    await lastAnswer('user', '200 allowed')
    await lastAnswer('app', '200 allowed')
    expect(await counted('user', 'Failed')).toBe(0)
    expect(await page.locator('#who').textContent()).toBe('Signed in as Ada Lovelace')
  })
})
