import type { Browser, BrowserContext, Cookie, Page } from 'playwright-core'
import { launchBrowser } from '../harness/chromium.ts'
import { type Sites, startSites } from '../harness/sites.ts'

/** One browser and one set of sites, for all tests of a file. */
export interface Scene {
  readonly browser: Browser
  readonly sites: Sites
  close(): Promise<void>
}

/** Playwright switches these off; people's browsers have them, and they are where a signed-out page may come back from. */
const AS_PEOPLE_HAVE_IT = ['--disable-back-forward-cache', '--disable-background-networking']

/** @param as `people`: with the back/forward cache and speculative loads; Playwright's own `goBack` does not get along with the former */
export const openScene = async (as: 'playwright' | 'people' = 'playwright'): Promise<Scene> => {
  const sites = await startSites()
  const browser = await launchBrowser(sites.browserArgs, as === 'people' ? AS_PEOPLE_HAVE_IT : [])
  return {
    browser,
    sites,
    close: async () => {
      await browser.close()
      await sites.stop()
    },
  }
}

export const SESSION = '__Host-Http-sallyport'
export const sessionCookie = async (context: BrowserContext): Promise<Cookie | undefined> =>
  (await context.cookies()).find(({ name }) => name === SESSION)

/** On the provider's page. */
export const choose = (page: Page, user = 'ada'): Promise<void> => page.locator(`button[name="user"][value="${user}"]`).click()

/** The frontend has said who is signed in. */
export const settled = (page: Page, who: 'signed in as ada' | 'signed out'): Promise<void> =>
  page.locator('#who', { hasText: who }).waitFor()

/** As a person does: the login link, the provider's page, and back to a page of the application. */
export const signIn = async (page: Page, { app }: Sites, to = '/app/home'): Promise<void> => {
  await page.goto(`${app}/bff/login?return_to=${encodeURIComponent(to)}`)
  await choose(page)
  await page.waitForURL(app + to)
  await settled(page, 'signed in as ada')
}

/** A browser of its own with Ada signed in. */
export const signedIn = async ({ browser, sites }: Scene): Promise<{ readonly context: BrowserContext; readonly page: Page }> => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await signIn(page, sites)
  return { context, page }
}
