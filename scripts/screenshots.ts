import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { findChromium } from '../test/harness/chromium-program.ts'
import { startDemoProcess } from '../test/harness/demo-process.ts'
import { palettePng } from './palette-png.ts'

/** `npm run screenshots`: the demo and the gateway's own pages, as people see them, into docs/screenshots. */
const FOLDER = fileURLToPath(new URL('../docs/screenshots/', import.meta.url))
const BYTES_MAX = 150_000
const MARGIN = 16
const SCREENS = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } } as const

const program = findChromium()
const env = Object.fromEntries(
  Object.entries({ ...process.env, ...program.env }).filter((entry): entry is [string, string] => entry[1] !== undefined),
)
mkdirSync(FOLDER, { recursive: true })
const [browser, demo]: [Browser, Awaited<ReturnType<typeof startDemoProcess>>] = await Promise.all([
  chromium.launch({
    executablePath: program.bin,
    args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-lcd-text'],
    env,
    timeout: 30_000,
  }),
  startDemoProcess(['--token-seconds', '8']),
])

const shoot = async (page: Page, name: string, part?: Locator): Promise<void> => {
  const box = await part?.boundingBox()
  const clip = box && { x: 0, y: box.y - MARGIN, width: page.viewportSize()?.width ?? 0, height: box.height + 2 * MARGIN }
  const png = palettePng(await page.screenshot({ animations: 'disabled', ...(clip && { clip, fullPage: true }) }))
  writeFileSync(`${FOLDER}${name}.png`, png)
  process.stdout.write(`${name}.png ${Math.round(png.length / 1000)} kB\n`)
  if (png.length > BYTES_MAX) throw new Error(`${name}.png is larger than ${BYTES_MAX} bytes`)
}

const signIn = async (page: Page, name: string): Promise<void> => {
  await page.goto(demo.url)
  await page.getByRole('link', { name: 'Sign in' }).click()
  await page.getByRole('button', { name }).click()
  await page.getByText(`Signed in as ${name}`).waitFor()
  await page.getByRole('group', { name: 'Inventory as the application' }).getByText('Audit log:').waitFor()
}

/** The whole walk on one screen. */
const walk = async (screen: keyof typeof SCREENS): Promise<void> => {
  const context = await browser.newContext({ viewport: SCREENS[screen], colorScheme: 'light', deviceScaleFactor: 1 })
  const page = await context.newPage()
  await page.goto(demo.url)
  await page.getByRole('link', { name: 'Sign in' }).waitFor()
  await shoot(page, `${screen}-signed-out`)
  await signIn(page, 'Ada Lovelace')
  await shoot(page, `${screen}-signed-in`)
  await page.getByRole('button', { name: 'Try to add as the application' }).click()
  await page.getByRole('group', { name: 'Orders as the application' }).getByText('refused by the API').waitFor()
  await page.evaluate(() => scrollTo(0, 0))
  await shoot(page, `${screen}-principals`, page.locator('.principals'))
  await page.getByRole('button', { name: 'Take it down' }).click()
  await page.locator('#provider-checks').getByText('503 wait').nth(1).waitFor({ timeout: 20_000 }) // both principals
  const card = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Take the identity provider down' }) })
  await card.scrollIntoViewIfNeeded()
  await shoot(page, `${screen}-provider-down`)
  await page.getByRole('button', { name: 'Bring it back' }).click()
  await page.locator('#provider-state').getByText('up').waitFor()
  await context.close()
}

/** Who is no analyst, in the dark. */
const grace = async (): Promise<void> => {
  const page = await browser.newPage({ viewport: SCREENS.desktop, colorScheme: 'dark' })
  await signIn(page, 'Grace Hopper')
  await shoot(page, 'desktop-grace-dark', page.locator('.principals'))
  await page.close()
}

/** Each of the gateway's own pages, by whatever leads there. */
const PAGES: Readonly<Record<string, (page: Page, context: BrowserContext) => Promise<void>>> = {
  'page-cancelled': async (page) => {
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('heading', { name: 'cancelled' }).waitFor()
  },
  'page-signed-out': async (page) => {
    await signIn(page, 'Grace Hopper')
    await page.getByRole('button', { name: 'Sign out', exact: true }).click()
    await page.getByRole('button', { name: 'Yes, sign me out' }).click()
    await page.getByRole('heading', { name: 'signed out' }).waitFor()
  },
  // Another browser with the same cookie, which nobody told.
  'page-session-ended': async (page, context) => {
    await signIn(page, 'Grace Hopper')
    const other = await browser.newContext()
    await other.addCookies(await context.cookies())
    const elsewhere = await other.newPage()
    await elsewhere.goto(demo.url)
    await elsewhere.getByRole('button', { name: 'Sign out here only' }).click()
    await elsewhere.getByText('Not signed in').waitFor()
    await page.evaluate(() => location.assign('/api/orders'))
    await page.getByRole('heading', { name: 'session has ended' }).waitFor()
    await other.close()
  },
  'page-sign-in-unavailable': async (page) => {
    await fetch(`${demo.url}/demo/controls/provider/away`, { method: 'POST', headers: { 'x-demo': '1' } })
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'not reachable' }).waitFor()
    await fetch(`${demo.url}/demo/controls/provider/back`, { method: 'POST', headers: { 'x-demo': '1' } })
  },
}

try {
  for (const screen of Object.keys(SCREENS) as (keyof typeof SCREENS)[]) await walk(screen)
  await grace()
  for (const colorScheme of ['light', 'dark'] as const)
    for (const [name, lead] of Object.entries(PAGES)) {
      const context = await browser.newContext({ viewport: { width: 640, height: 480 }, colorScheme })
      const page = await context.newPage()
      await lead(page, context)
      await shoot(page, `${name}-${colorScheme}`)
      await context.close()
    }
} finally {
  await browser.close()
  await demo.stop()
}
