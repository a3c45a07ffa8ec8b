import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { openScene, type Scene, sessionCookie, settled, signedIn } from './people.ts'

describe.skipIf(!canLaunchBrowser)('the page of my sessions', { timeout: 60_000 }, () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene()
  })
  afterAll(() => scene?.close())

  it('opens from a link of another site, ends the other browser by its button, then this one, without a script', async () => {
    const { app, evil } = scene.sites
    const other = await signedIn(scene)
    const { context } = await signedIn(scene)

    // 1. By a link from elsewhere, which comes without the Strict cookie.
    const page = await context.newPage()
    const refusals: string[] = []
    page.on('console', (message) => refusals.push(message.text()))
    await page.goto(`${evil}/page?to=${encodeURIComponent(`${app}/bff/sessions`)}`)
    await page.click('#link0')
    const entries = page.locator('.entries li')
    await entries.first().waitFor()
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Where you are signed in')
    expect(await entries.count()).toBe(2)
    expect(await entries.first().getByRole('heading').textContent()).toMatch(/^Chrome on \w+ \(this browser\)$/)
    // Each button says aloud which session it is for.
    expect(await page.getByRole('button', { name: /^Sign out: Chrome on \w+, last used \d{4}-/ }).count()).toBe(2)

    // 2. The other browser is out, this one is not.
    await entries.nth(1).getByRole('button').click()
    await page.getByText('Only in this browser.').waitFor()
    expect(new URL(page.url()).pathname).toBe('/bff/sessions')
    await other.page.reload()
    await other.page.waitForURL((url) => !url.pathname.startsWith('/app/'))
    const own = await context.newPage()
    await own.goto(`${app}/app/home`)
    await settled(own, 'signed in as ada')

    // 3. And this one.
    await page.getByRole('button').click()
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
    expect(await sessionCookie(context)).toBeUndefined()
    expect(refusals.filter((text) => /Content Security Policy/i.test(text))).toEqual([])
    await Promise.all([context.close(), other.context.close()])
  })
})
