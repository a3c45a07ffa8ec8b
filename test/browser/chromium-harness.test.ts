import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canLaunchBrowser, launchBrowser } from '../harness/chromium.ts'

describe.skipIf(!canLaunchBrowser)('the browser', () => {
  let browser: Browser
  let server: Server
  let origin = ''

  beforeAll(async () => {
    server = createServer((_request, response) => {
      response.setHeader('set-cookie', '__Host-Http-probe=1; Secure; HttpOnly; Path=/; SameSite=Strict')
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>probe</title><h1>Sallyport probe</h1>')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    origin = `http://localhost:${(server.address() as AddressInfo).port}`
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    server?.close()
  })

  it('draws text, because screenshots without letters prove nothing', async () => {
    const page = await browser.newPage({ viewport: { width: 400, height: 120 } })
    await page.goto(origin)
    // Without a font every letter is the same box, or nothing at all.
    const widths = await page.evaluate(() => {
      const context = document.createElement('canvas').getContext('2d')
      return ['i', 'W'].map((letter) => context?.measureText(letter).width ?? 0)
    })
    expect(widths[0]).toBeGreaterThan(0)
    expect(widths[1]).toBeGreaterThan((widths[0] ?? 0) * 1.5)
    const folder = process.env['SALLYPORT_TEST_SCREENSHOTS']
    if (folder) await page.screenshot({ path: `${folder}/chromium-harness.png` })
    await page.close()
  })

  it('accepts a __Host-Http- cookie on http://localhost and hides it from scripts', async () => {
    const page = await browser.newPage()
    await page.goto(origin)
    expect(await page.evaluate(() => document.cookie)).toBe('')
    const cookies = await page.context().cookies(origin)
    expect(cookies.map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite }))).toEqual([
      { name: '__Host-Http-probe', httpOnly: true, sameSite: 'Strict' },
    ])
    await page.close()
  })
})
