import { randomBytes } from 'node:crypto'
import { rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdminKeys } from '../../src/contract/admin.ts'
import { Browser } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
import { sharedRedisUrl } from '../harness/redis.ts'
import { chooseUser, createWorld, signIn, startSignIn, type World } from '../harness/world.ts'
import { shell } from '../unit/cli/a-shell.ts'

const FIRST = '20261101T000000Z-000001'
const SECOND = '20261120T000000Z-000002'
/** Longer than all three need to have the key, on a busy machine as well. */
const SETTLE_MS = 4_000
const BETWEEN_MS = 400

describe.skipIf(!sharedRedisUrl)('three replicas that see a new sealing key at different times, under load', { timeout: 90_000 }, () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld({ redisUrl: sharedRedisUrl, replicas: 3, ownKeys: true, store: [`  keys_settle: ${SETTLE_MS}ms`] })
  }, 90_000)
  afterAll(() => world?.stop())

  const portOf = (at: number): number => world.gateways[at % 3]?.port ?? 0
  const at = (browser: Browser, replica: number): Browser => {
    browser.through.set(world.url, portOf(replica))
    return browser
  }
  const status = async (replica: number): Promise<AdminKeys> => {
    const config = join(world.folder, `gateway-${replica}.yaml`)
    const { out } = await shell(['keys', 'status', '-o', 'json', '--config', config], { CLIENT_SECRET: world.clientSecret })
    return JSON.parse(out) as AdminKeys
  }
  const sealing = async (replica: number): Promise<string | undefined> =>
    (await status(replica)).keys.find(({ state }) => state === 'seals')?.kid
  /** A sign-in that starts at one replica and comes back to another. */
  const signedIn = async (replica: number): Promise<Browser> => {
    const browser = at(new Browser(), replica)
    const { url } = await startSignIn(browser, world.url)
    at(browser, replica + 1)
    await chooseUser(browser, url, replica % 2 === 0 ? 'ada' : 'grace', isHome)
    return browser
  }
  const isHome = ({ url, status: code }: { url: URL; status: number }): boolean =>
    url.origin === world.url && url.pathname === '/' && code !== 0
  const asked = async (browser: Browser, replica: number): Promise<string> => {
    const { status: code, body } = await browser.fetch(`${world.url}/bff/user`, { port: portOf(replica) })
    return code === 200 ? '200' : `${code} ${(JSON.parse(body) as { code: string }).code}`
  }
  const everywhere = (browser: Browser): Promise<string[]> => {
    browser.through.clear()
    return Promise.all([0, 1, 2].map((replica) => asked(browser, replica)))
  }
  const GOOD = ['200', '200', '200']
  const endings = () => world.gateways.flatMap((gateway) => auditOf(gateway)).filter(({ event }) => event === 'session.ended')

  /** Each browser asks one replica after the other; new ones sign in all the time, and are asked everywhere at once. @returns what was not 200 */
  const underLoad = async (
    browsers: Browser[],
    work: () => Promise<void>,
  ): Promise<{ readonly failed: string[]; readonly count: number; readonly signIns: number }> => {
    const failed: string[] = []
    let [stopped, count, signIns] = [false, 0, 0]
    const note = (answers: readonly string[]): void => {
      count += answers.length
      failed.push(...answers.filter((answer) => answer !== '200'))
    }
    const asking = browsers.map(async (browser, n) => {
      browser.through.clear()
      for (let turn = n; !stopped; turn += 1) {
        note([await asked(browser, turn % 3)])
        await wait(20)
      }
    })
    const signingIn = (async () => {
      while (!stopped) {
        note(await everywhere(await signedIn(signIns)))
        signIns += 1
      }
    })()
    try {
      await work()
    } finally {
      stopped = true
      await Promise.all([...asking, signingIn])
    }
    return { failed, count, signIns }
  }

  it('lose no request and no session, finish the sign-ins in flight, and end exactly the sessions of a key that is taken away', async () => {
    // 1. Sessions and sign-ins under the first key.
    const old = await Promise.all([0, 1, 2, 3].map(signedIn))
    const inFlight = await Promise.all(
      [0, 1, 2].map(async (replica) => {
        const browser = at(new Browser(), replica)
        return { browser, page: (await startSignIn(browser, world.url)).url }
      }),
    )

    // 2. The second key arrives here, there, and there; each replica opens with it at once and seals with it later.
    const second = randomBytes(32).toString('base64url')
    const rotation = await underLoad([...old], async () => {
      for (const [replica, keys] of world.keys.entries()) {
        writeFileSync(join(keys, `${SECOND}.key`), second, { mode: 0o600 })
        world.gateways[replica]?.signal('SIGHUP')
        await until('the key is seen', async () => (await status(replica)).keys.length === 2)
        await wait(BETWEEN_MS)
      }
      // The last one has it before the first one seals with it: that is what keys_settle is for.
      for (const replica of [0, 1, 2]) await until('the new key seals', async () => (await sealing(replica)) === SECOND)
      await wait(300)
    })
    expect(rotation.failed).toEqual([])
    expect([rotation.count > 200, rotation.signIns > 5]).toEqual([true, true])

    // 3. Who was at the provider all the while comes back to another replica, and is signed in.
    for (const [n, { browser, page }] of inFlight.entries()) {
      await chooseUser(at(browser, n + 1), page, 'ada', isHome)
      expect(await everywhere(browser)).toEqual(GOOD)
    }
    expect(endings()).toEqual([])

    // 4. The old key is still needed, and the gateway says until when. One session is sealed anew by its next write.
    const [before] = (await status(1)).keys
    expect(before).toMatchObject({ kid: FIRST, state: 'opens' })
    expect(Date.parse(before?.needed_until ?? '')).toBeGreaterThan(Date.now() + 9 * 3_600_000)
    expect(before?.may_go_from).toBe(before?.needed_until)
    const [renewed, ...lost] = old
    if (!renewed) throw new Error('nobody was signed in')
    const refreshedAt = async (method: string, path: string): Promise<unknown> => {
      const { body } = await renewed.fetch(`${world.url}${path}`, { method, port: portOf(2) })
      return (JSON.parse(body) as { refreshed_at: string }).refreshed_at
    }
    const signedInAt = await refreshedAt('GET', '/bff/session')
    // Within the cool-down of a refresh nothing is written.
    await until('it is refreshed', async () => (await refreshedAt('POST', '/bff/session/refresh')) !== signedInAt)
    const young = await Promise.all([0, 1, 2].map(signedIn))
    const staying = [renewed, ...young, ...inFlight.map(({ browser }) => browser)]
    for (const browser of staying) expect(await everywhere(browser)).toEqual(GOOD)

    // 5. It is taken away all the same, first at one replica. Whoever it had sealed is out, and told why, also where a copy was in memory; nobody else.
    for (const browser of lost) expect(await everywhere(browser)).toEqual(GOOD)
    const removal = await underLoad(staying, async () => {
      for (const [replica, keys] of world.keys.entries()) {
        rmSync(join(keys, `${FIRST}.key`))
        world.gateways[replica]?.signal('SIGHUP')
        await until('the key is gone', async () => (await status(replica)).keys.length === 1)
        if (replica === 0) for (const browser of lost) expect(await asked(browser, 0)).toBe('401 session.key-removed')
      }
    })
    expect(removal.failed).toEqual([])
    for (const browser of lost) expect(await everywhere(browser)).toEqual(Array.from({ length: 3 }, () => '401 session.key-removed'))
    for (const browser of staying) expect(await everywhere(browser)).toEqual(GOOD)
    await until('the ends are audited', () => endings().length >= lost.length)
    expect(endings().map(({ reason }) => reason)).toEqual(lost.map(() => 'key-removed'))
    expect((await status(2)).absent).toMatchObject([{ kid: FIRST }])
  })

  it('test of the test: a new key that seals at once signs nobody out either, but costs requests', async () => {
    // keys_settle is what it is: here the newest key is put to one replica only, and that one is restarted, where the file's own time counts.
    const third = '20261121T000000Z-000003'
    const [keys = ''] = world.keys
    writeFileSync(join(keys, `${third}.key`), randomBytes(32).toString('base64url'), { mode: 0o600 })
    const file = join(keys, `${third}.key`)
    utimesSync(file, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000))
    await world.gateways[0]?.stop()
    await world.restart(0)
    expect(await sealing(0)).toBe(third)
    const browser = at(new Browser(), 0)
    await signIn(browser, world.url, 'ada')
    browser.through.clear()
    expect(await asked(browser, 0)).toBe('200')
    expect([await asked(browser, 1), await asked(browser, 2)]).toEqual(['503 store.key-unknown', '503 store.key-unknown'])
    expect(await asked(browser, 0)).toBe('200')
  })
})
