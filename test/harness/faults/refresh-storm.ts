import { setTimeout as wait } from 'node:timers/promises'
import type { Program } from '../debs.ts'
import { Browser, exchange } from '../browser.ts'
import { type FaultWorld, PROVIDER_TIMEOUT_MS, REPLICAS, startFaultWorld, usersOf } from './fault-world.ts'
import type { HistoryEvent, SeenToken } from './history.ts'
import type { Instead } from './provider-proxy.ts'
import { createRandom, type Random } from './random.ts'
import { checkRefreshes, type RefreshVerdict } from './refresh-checker.ts'

const SESSIONS = 50
export const STORM_AUDIENCES = ['one', 'two', 'three', 'four'].map((name) => `https://${name}.example/`)
const TOKEN_SECONDS = 8
const SIGN_INS_AT_ONCE = 8

export interface RefreshStorm {
  readonly program: Program
  readonly seed: number
  readonly forMs: number
  readonly entry?: string
  /** false: nothing goes wrong. */
  readonly faults?: boolean
}

export interface RefreshStormResult extends RefreshVerdict {
  readonly requests: number
  readonly statuses: Readonly<Record<number, number>>
  /** Requests that reached an API with another user's token, or one for another audience. */
  readonly crossed: readonly string[]
}

/**
 * Fifty people at three gateways, each opening a page that calls four APIs at once, over and over while their tokens run out: at a provider that takes
 * every second use of a refresh token for theft, is slow, loses answers, answers 429, 500 and HTML; and gateways that fall when an answer is on the wire.
 */
export const runRefreshStorm = async (storm: RefreshStorm): Promise<RefreshStormResult> => {
  const begun = performance.now()
  const now = (): number => Math.round((performance.now() - begun) * 10) / 10
  const history: HistoryEvent[] = []
  const record = (event: HistoryEvent): void => void history.push(event)
  const random = createRandom(storm.seed)
  const world = await startFaultWorld({
    program: storm.program,
    random: random.fork(),
    record,
    now,
    offsetsMin: [0],
    topology: 'one',
    entry: storm.entry,
    users: usersOf(SESSIONS),
    audiences: STORM_AUDIENCES,
    accessTokenSeconds: TOKEN_SECONDS,
  })
  try {
    const cookies = new Map<string, string>()
    const waiting = [...usersOf(SESSIONS)]
    const signInNext = async (): Promise<void> => {
      for (let next = waiting.pop(); next; next = waiting.pop()) cookies.set(next.subject, await signInAtLast(world, next.subject, random))
    }
    await Promise.all(Array.from({ length: SIGN_INS_AT_ONCE }, signInNext))
    const until = now() + storm.forMs
    const faults = storm.faults === false ? undefined : injectFaults(world, random.fork(), record, now, () => now() < until)
    await Promise.all([...cookies].map(([user, cookie]) => person({ world, random: random.fork(), record, now, until, user, cookie })))
    await faults
    const verdict = checkRefreshes(history, {
      providerTimeoutMs: PROVIDER_TIMEOUT_MS / 2,
      saveMs: 1_000,
      youngMs: (TOKEN_SECONDS * 1_000 * 4) / 5 - 2_000,
    })
    const ops = history.filter((event) => event.kind === 'op')
    const statuses: Record<number, number> = {}
    for (const { status } of ops) statuses[status] = (statuses[status] ?? 0) + 1
    const crossed = ops.flatMap(({ user, audience, seen }) =>
      seen && (seen.subject !== user || seen.audience !== audience) ? [`${user} at ${audience}: ${seen.subject} for ${seen.audience}`] : [],
    )
    return { ...verdict, requests: ops.length, statuses, crossed }
  } finally {
    await world.stop()
  }
}

/** On a machine that is busy with other tests a sign-in may outlast the provider's two seconds. */
const signInAtLast = async (world: FaultWorld, user: string, random: Random): Promise<string> => {
  for (let tried = 0; tried < 5; tried += 1) {
    const cookie = await signIn(world, user, random).catch(() => undefined)
    if (cookie !== undefined) return cookie
  }
  throw new Error(`${user} could not sign in`)
}

const signIn = async (world: FaultWorld, user: string, random: Random): Promise<string | undefined> => {
  const browser = new Browser()
  const origin = new URL(world.url)
  browser.through.set(origin.origin, world.gateways[random.int(0, REPLICAS)]?.port ?? 0)
  const page = await browser.navigate(`${origin.origin}/bff/login?return_to=/`, { from: origin })
  const isBack = ({ url }: { readonly url: URL }): boolean => url.origin === origin.origin
  await browser.navigate(page.url, { method: 'POST', body: `user=${user}`, from: page.url, until: isBack })
  const found = [...browser.cookies('localhost')].find(([name]) => name.startsWith('__Host-Http-sallyport'))
  return found && `${found[0]}=${found[1]}`
}

interface Person {
  readonly world: FaultWorld
  readonly random: Random
  readonly record: (event: HistoryEvent) => void
  readonly now: () => number
  readonly until: number
  readonly user: string
  readonly cookie: string
}

/** Opens the page again and again: four calls at once, each at whichever replica. Signed out, nothing is left to do. */
const person = async ({ world, random, record, now, until, user, cookie }: Person): Promise<void> => {
  const call = async (at: number): Promise<number> => {
    const gateway = random.int(0, REPLICAS)
    const from = now()
    const answer = await exchange(new URL(`/api/${at}`, world.url), {
      port: world.gateways[gateway]?.port,
      headers: { accept: 'application/json', cookie, 'x-csrf': '1', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' },
    }).catch(() => undefined)
    const status = answer?.status ?? 0
    const { code, seen } = bodyOf(answer?.body)
    record({ kind: 'op', op: 'api', session: user, user, gateway, from, to: now(), status, code, audience: STORM_AUDIENCES[at], seen })
    return status
  }
  await wait(random.int(0, 1_000))
  while (now() < until) {
    const statuses = await Promise.all(STORM_AUDIENCES.map((_audience, at) => call(at)))
    if (statuses.includes(401)) return
    await wait(random.int(300, 1_100))
  }
}

const bodyOf = (body: string | undefined): { readonly code?: string; readonly seen?: SeenToken } => {
  try {
    return JSON.parse(body ?? '{}') as { readonly code?: string; readonly seen?: SeenToken }
  } catch {
    return {}
  }
}

const HTML = { 'content-type': 'text/html' }
const JSON_TYPE = { 'content-type': 'application/json' }
const INSTEAD: readonly Instead[] = [
  { status: 429, headers: { ...JSON_TYPE, 'retry-after': '1' }, body: '{"error":"slow_down"}' },
  { status: 500, headers: JSON_TYPE, body: '{"error":"server_error"}' },
  { status: 502, headers: HTML, body: '<html><body><h1>502 Bad Gateway</h1></body></html>' },
]

/** About one refresh in twelve meets something; every few seconds a gateway falls with the answer to a refresh on its wire, before or after it got it. */
const injectFaults = async (
  world: FaultWorld,
  random: Random,
  record: (event: HistoryEvent) => void,
  now: () => number,
  isOn: () => boolean,
): Promise<void> => {
  let fallsNext: { readonly gateway: number; readonly held: boolean; fell(): void } | undefined
  world.provider.instead = () => (random.next() < 0.03 ? random.pick(INSTEAD) : undefined)
  world.provider.fate = async (gateway, isRefresh) => {
    if (!isRefresh) return { kind: 'pass' }
    if (fallsNext?.gateway === gateway) {
      const { held, fell } = fallsNext
      fallsNext = undefined
      const kill = (): void => {
        record({ kind: 'fault', fault: 'gateway-kill', gateway, from: now(), to: now() })
        world.gateways[gateway]?.signal('SIGKILL')
        fell()
      }
      if (held) kill()
      else setImmediate(kill)
      return held ? { kind: 'cut', after: 0 } : { kind: 'pass' }
    }
    const draw = random.next()
    if (draw < 0.02) return { kind: 'cut', after: random.int(0, 1_500) }
    if (draw < 0.05) return { kind: 'late', ms: random.int(100, PROVIDER_TIMEOUT_MS + 300) }
    return { kind: 'pass' }
  }
  while (isOn()) {
    await wait(random.int(1_500, 3_000))
    const gateway = random.int(0, REPLICAS)
    const fell = Promise.withResolvers<void>()
    fallsNext = { gateway, held: random.next() < 0.5, fell: fell.resolve }
    await Promise.race([fell.promise, wait(3_000)])
    if (fallsNext) fallsNext = undefined
    else await world.restart(gateway)
  }
  world.provider.fate = async () => ({ kind: 'pass' })
  world.provider.instead = () => undefined
}
