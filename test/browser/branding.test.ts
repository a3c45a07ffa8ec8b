import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pagesOf } from '../../src/assembly/pages.ts'
import { contrast } from '../../src/edge/pages/accent.ts'
import { canLaunchBrowser, launchBrowser } from '../harness/chromium.ts'
import { type EdgeHost, edgeHost } from '../harness/edge-host.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-branding-'))
const put = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
// An image runs no script, whatever the file holds.
const LOGO = `<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40" width="120" height="40" onload="alert(1)"><script>alert(1)</script>
<rect width="120" height="40" rx="8" fill="#ffcc00"/><circle cx="20" cy="20" r="10" fill="#402a00"/></svg>`
/** With line ends as Windows writes them: a browser hashes a style as it reads it. */
const TEMPLATE = readFileSync(new URL('../../examples/branding.html', import.meta.url), 'utf8').replaceAll('\n', '\r\n')
const support = { text: 'Call 555-0100 & ask for Ada', url: 'mailto:help@example.com' }
const NOTHING = { name: undefined, accent: undefined, support: undefined, logoFile: undefined, templateFile: undefined }
const DRESSES = {
  accent: () => ({ ...NOTHING, name: 'Acme Shop', accent: '#ffcc00', support, logoFile: put('logo.svg', LOGO) }),
  template: () => ({ ...NOTHING, support, templateFile: put('page.html', TEMPLATE) }),
}

describe.skipIf(!canLaunchBrowser)('the gateway’s own pages in the operator’s clothes', () => {
  let browser: Browser
  const hosts = new Map<string, EdgeHost>()
  beforeAll(async () => {
    browser = await launchBrowser()
    for (const [name, dress] of Object.entries(DRESSES)) hosts.set(name, await edgeHost({ pages: pagesOf(dress()) }))
  })
  afterAll(async () => {
    await browser?.close()
    for (const host of hosts.values()) await host.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** At the first link, as somebody who uses the keyboard sees it. */
  const open = async (dress: string, path: string, colorScheme: 'light' | 'dark'): Promise<{ page: Page; said: string[] }> => {
    const page = await browser.newPage({ colorScheme, viewport: { width: 640, height: 520 } })
    const said: string[] = []
    page.on('console', (message) => said.push(message.text()))
    page.on('dialog', (dialog) => void dialog.dismiss().then(() => said.push('dialog')))
    await page.goto(`${hosts.get(dress)?.origin ?? ''}${path}`)
    await page.keyboard.press('Tab')
    return { page, said: said.filter((text) => !/status of 40/.test(text)) }
  }

  const looks = (page: Page) =>
    page.evaluate(() => {
      const hex = (colour: string): string =>
        `#${(colour.match(/[\d.]+/g) ?? [])
          .slice(0, 3)
          .map((part) => Number(part).toString(16).padStart(2, '0'))
          .join('')}`
      const of = (element: Element | null) => {
        const { color, backgroundColor, outlineStyle, outlineWidth } = getComputedStyle(element ?? document.body)
        return { text: hex(color), ground: hex(backgroundColor), outlineStyle, outlineWidth }
      }
      const [first = null, second = null] = document.querySelectorAll('.actions a')
      const images = [...document.images].map(({ complete, naturalWidth }) => complete && naturalWidth > 0)
      return {
        first: of(first),
        second: of(second),
        main: of(document.querySelector('main')),
        help: of(document.querySelector('.support a')),
        images,
      }
    })

  it.each([
    ['accent', 'light'],
    ['accent', 'dark'],
    ['template', 'light'],
    ['template', 'dark'],
  ] as const)('%s, %s: its styles and images apply, everything can be read, the focus is seen', async (dress, scheme) => {
    const { page, said } = await open(dress, '/bff/logout/callback', scheme)
    const seen = await looks(page)
    expect(said).toEqual([]) // no violation of the policy, no dialog
    expect(seen.images).toEqual(dress === 'accent' ? [true] : [])
    if (dress === 'accent') expect(seen.first.ground).toBe('#ffcc00')
    expect(contrast(seen.first.text, seen.first.ground)).toBeGreaterThanOrEqual(4.5)
    for (const part of [seen.main, seen.second, seen.help]) expect(contrast(part.text, seen.main.ground)).toBeGreaterThanOrEqual(4.5)
    expect([seen.first.outlineStyle, seen.first.outlineWidth]).toEqual(['solid', '3px'])
    expect(await page.locator('html').getAttribute('lang')).toBe('en')
    expect(await page.getByRole('link').allTextContents()).toEqual(['Sign in again', 'Go to the start page', support.text])
    await page.close()
  })

  it('a hostile address changes nothing of it', async () => {
    const { page, said } = await open('template', '/nothing?<script>alert(1)</script><style>*{display:none}</style>{{style}}', 'light')
    expect(said).toEqual([])
    expect(await page.locator('h1').textContent()).toBe('There is nothing here.')
    expect(await page.locator('style, script').count()).toBe(1)
    await page.close()
  })
})
