import { chromium, type Browser } from 'playwright-core'
import { inject } from 'vitest'
import './provided.ts'

/** For `describe.skipIf(!canLaunchBrowser)`. */
export const canLaunchBrowser: boolean = inject('chromium') !== null

const ARGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * A real Chromium that talks to loopback only on our behalf. Close it in `afterAll`.
 * @param without switches of Playwright that would hide what people's browsers do, such as the back/forward cache
 */
export const launchBrowser = async (args: readonly string[] = [], without: readonly string[] = []): Promise<Browser> => {
  const program = inject('chromium')
  if (!program) throw new Error('no Chromium here: guard the test with skipIf(!canLaunchBrowser)')
  const env = Object.fromEntries(
    Object.entries({ ...process.env, ...program.env }).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  return chromium.launch({
    executablePath: program.bin,
    args: [...ARGS, ...args].filter((arg) => !without.includes(arg)),
    ignoreDefaultArgs: [...without],
    env,
    headless: true,
    timeout: 60_000,
  })
}
