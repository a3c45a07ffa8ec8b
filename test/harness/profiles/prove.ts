import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ProfileName } from '../../../src/domain/profile.ts'
import type { Browser } from '../browser.ts'
import { expectNoLeak } from '../canary.ts'
import { CASTS } from './casts.ts'
import { type Actors, actorsOf, clearFaults, prime, type Primed, PROFILE_RUNS, WAY_RUNS } from './flows.ts'
import { KEYS, openStage, type Stage } from './stage.ts'
import { FLOW_CELLS, isPossible, nameOf, PROFILE_FLOWS, type Way, WAY_FLOWS, type WayFlow, WAYS } from './table.ts'

/** Leaves a provider behind that nobody asks for a minute. */
const LAST = 'throttled' satisfies WayFlow

/** The column of one profile: every cell that is not listed as impossible runs, at one emulator, through one gateway. */
export const proveProfile = (profile: ProfileName): void => {
  let stage: Stage
  const ran = new Set<string>()
  const browsers: Browser[] = []
  let primed: Primed
  const possible = FLOW_CELLS.filter((cell) => cell.profile === profile && isPossible(cell))
  const waysOf = (flow: WayFlow): readonly Way[] => WAYS.filter((way) => possible.some((cell) => cell.flow === flow && cell.way === way))
  beforeAll(async () => {
    stage = await openStage(profile, CASTS[profile])
    primed = await prime(stage, waysOf('expiry'))
  })
  afterAll(() => stage.stop())
  afterEach(() => clearFaults(stage))

  const wayFlow = (flow: WayFlow): void => {
    const ways = waysOf(flow)
    if (ways.length === 0) return
    describe(`${flow}`, () => {
      let actors: Actors
      beforeAll(async () => {
        actors = await actorsOf(stage, ways)
        browsers.push(actors.browser)
        await WAY_RUNS[flow].before?.(stage, actors, primed, ways)
      })
      it.each<Way>(ways)('%s', async (way) => {
        await WAY_RUNS[flow].run(stage, actors, way, primed)
        ran.add(nameOf({ profile, way, flow }))
      })
    })
  }

  for (const flow of WAY_FLOWS) if (flow !== LAST) wayFlow(flow)
  it.each(PROFILE_FLOWS.filter((flow) => possible.some((cell) => cell.flow === flow)))('%s', async (flow) => {
    browsers.push(...(await PROFILE_RUNS[flow](stage, primed)))
    ran.add(nameOf({ profile, way: '*', flow }))
  })
  wayFlow(LAST)

  it('every cell ran, or is listed with the fact that forbids it', () => {
    expect(possible.map(nameOf).filter((cell) => !ran.has(cell))).toEqual([])
  })

  it('no token, key or secret of the run is in what the gateway wrote, or in what a browser saw', () => {
    const output = stage.gateway.gateways[0]?.output() ?? ''
    const seen = browsers
      .flatMap((browser) => browser.seen.filter(({ url }) => url.startsWith(stage.url)))
      .map(({ headers, body }) => `${headers}\n${body}`)
    expectNoLeak([stage.cast.clientSecret, ...Object.values(KEYS), ...stage.sent()], { output, browser: seen.join('\n') })
  })
}
