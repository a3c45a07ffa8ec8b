import { setTimeout as wait } from 'node:timers/promises'
import { Browser } from '../browser.ts'
import { until } from '../processes.ts'

/** A request of a user that did not get what it asked for. */
export interface Failure {
  readonly what: string
  readonly replica: number
  readonly from: number
  readonly to: number
  readonly status: number
  readonly code: string
}

export interface LoadTarget {
  readonly url: string
  /** A path for each way to a token. */
  readonly calls: Readonly<Record<string, string>>
  /** As far as the callback takes the person. */
  readonly signIn: (browser: Browser) => Promise<unknown>
  /** Where replica `at` listens; undefined: it takes no part just now. */
  readonly portOf: (at: number) => number | undefined
  readonly replicas: number
}

export interface Load {
  readonly served: Readonly<Record<string, number>>
  /** Requests that failed while no loaded credential was accepted, or nobody was there to accept one. */
  excused(): number
  /** Requests that the store did not answer in time: a machine that is too busy for its Redis, and nothing of what is tried here. */
  starved(): number
  /** The others. Empty is the promise. */
  failures(): readonly Failure[]
  /** Waits until so many more requests of each kind were served on each replica. */
  goesOn(more?: number): Promise<void>
  /** What fails in `steps`, and until everything is served again everywhere, is excused if `allowed` says so of its code. */
  outage(allowed: RegExp, steps: () => Promise<void>): Promise<void>
  stop(): Promise<void>
}

const PEOPLE = 6
const PAUSE_MS = 30
/** How many calls a person makes before signing in anew: a session that begins has no tokens, so that somebody asks the provider all the time. With the sign-in no multiple of the replicas. */
const CALLS_MAX = 5
const RECOVERY_MS = 60_000
/** People who sign in, call each API on each replica in turn, and sign in again. */
export const startLoad = async (target: LoadTarget): Promise<Load> => {
  const failed: Failure[] = []
  const windows: { readonly from: number; to: number; readonly allowed: RegExp }[] = []
  const served: Record<string, number> = {}
  /** By kind and replica: when it last went well. */
  const well = new Map<string, { count: number; at: number }>()
  const kinds = ['sign-in', ...Object.keys(target.calls)]
  let isOver = false

  const attempt = async (
    what: string,
    replica: number,
    work: () => Promise<{ status: number; code: string } | undefined>,
  ): Promise<boolean> => {
    const from = performance.now()
    const problem = await work().catch((error: unknown) => ({ status: 0, code: String(Reflect.get(Object(error), 'code') ?? error) }))
    const to = performance.now()
    if (problem) {
      failed.push({ what, replica, from, to, ...problem })
      return false
    }
    served[what] = (served[what] ?? 0) + 1
    const key = `${what} ${replica}`
    well.set(key, { count: (well.get(key)?.count ?? 0) + 1, at: to })
    return true
  }

  const signIn = async (replica: number, port: number): Promise<Browser | undefined> => {
    const browser = new Browser()
    browser.through.set(target.url, port)
    const isIn = await attempt('sign-in', replica, async () => {
      const thrown: unknown = await target.signIn(browser).then(
        () => undefined,
        (error: unknown) => error,
      )
      const last = browser.seen.at(-1)
      // The provider's own pages are on its own port, and their absence is not the gateway's doing.
      const refused: unknown = Reflect.get(Object(thrown), 'port')
      if (refused !== undefined) return { status: 0, code: refused === port ? 'gateway-refuses' : 'provider-refuses' }
      const { status } = await browser.fetch(`${target.url}/bff/user`)
      return status === 200 ? undefined : problemOf(last)
    })
    return isIn ? browser : undefined
  }

  const person = async (number: number): Promise<void> => {
    let browser: Browser | undefined
    let calls = 0
    for (let n = number; !isOver; n += 1, await wait(PAUSE_MS)) {
      const replica = n % target.replicas
      const port = target.portOf(replica)
      if (port === undefined) continue
      if (!browser || calls > CALLS_MAX) {
        browser = await signIn(replica, port)
        calls = 0
        if (!browser) await wait(200)
        continue
      }
      calls += 1
      const mine = browser
      const [kind = '', path = ''] = Object.entries(target.calls)[Math.floor(n / target.replicas) % (kinds.length - 1)] ?? []
      mine.seen.length = 0
      const isServed = await attempt(kind, replica, async () => {
        mine.through.set(target.url, port)
        const answer = await mine.fetch(`${target.url}${path}`)
        return answer.status === 200 ? undefined : problemOf(answer)
      })
      // A session that is over would fail for ever, and hide what comes after.
      if (!isServed && [401, 403].includes(failed.at(-1)?.status ?? 0)) browser = undefined
    }
  }
  const people = Array.from({ length: PEOPLE }, (_none, n) => person(n))

  const isExcused = (failure: Failure): boolean =>
    windows.some(({ from, to, allowed }) => failure.to >= from && failure.from <= to && allowed.test(failure.code))
  const places = (): string[] =>
    kinds.flatMap((kind) =>
      Array.from({ length: target.replicas }, (_none, at) => at)
        .filter((at) => target.portOf(at) !== undefined)
        .map((at) => `${kind} ${at}`),
    )
  const goesOn = async (more = 1, withinMs = RECOVERY_MS): Promise<void> => {
    const before = new Map([...well].map(([key, { count }]) => [key, count]))
    await until(
      `everything is served everywhere: ${places().join(', ')}`,
      () => places().every((key) => (well.get(key)?.count ?? 0) >= (before.get(key) ?? 0) + more),
      withinMs,
    )
  }
  await goesOn().catch(async (error: unknown) => {
    isOver = true
    await Promise.all(people)
    throw new Error(`${String(error)}; ${JSON.stringify(failed.slice(-5))}`)
  })

  return {
    served,
    excused: () => failed.filter(isExcused).length,
    starved: () => failed.filter((failure) => !isExcused(failure) && isStarved(failure)).length,
    failures: () => failed.filter((failure) => !isExcused(failure) && !isStarved(failure)),
    goesOn,
    outage: async (allowed, steps) => {
      const window = { from: performance.now(), to: Number.POSITIVE_INFINITY, allowed }
      windows.push(window)
      await steps()
      // Until the last failure lies before one success of each kind on each replica.
      const began = performance.now()
      await until(
        'everything is served again, everywhere and by itself',
        () => places().every((key) => (well.get(key)?.at ?? 0) > Math.max(began, failed.at(-1)?.to ?? 0)),
        RECOVERY_MS,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; ${JSON.stringify(failed.slice(-5))}`)
      })
      window.to = performance.now()
    },
    stop: async () => {
      isOver = true
      await Promise.all(people)
    },
  }
}

const isStarved = ({ code }: Failure): boolean => code === 'store.unavailable'

const problemOf = (answer: { readonly status: number; readonly body: string } | undefined): { status: number; code: string } => {
  const status = answer?.status ?? 0
  try {
    return { status, code: String((JSON.parse(answer?.body ?? '') as { readonly code?: unknown }).code) }
  } catch {
    return { status, code: `page-${status}` }
  }
}
