import { createHash } from 'node:crypto'
import { Browser, exchange, type Answer } from '../browser.ts'
import { APP_AUDIENCE, AUDIENCES, type FaultWorld, REPLICAS, USERS } from './fault-world.ts'
import type { ClientOp, HistoryEvent, Operation, SeenToken } from './history.ts'
import type { Random } from './random.ts'

const SESSIONS_PER_USER = 4
/** Tabs of one session that ask at the same time. */
const TABS = 2
/** More time for the least that has to be done. */
const BUSY_MS = 15_000
/** Old cookies a client goes on trying. */
const DEAD_MAX = 6

interface Cookie {
  readonly session: string
  readonly header: string
}

interface Client {
  readonly user: string
  readonly browser: Browser
  current: Cookie | undefined
  readonly dead: Cookie[]
  signingIn: boolean
}

export interface Clients {
  /** Until so many operations have been done, or it is too late; where a machine is busy, not before `atLeast` have been, for as long again and more. */
  run(operations: number, deadline: number, atLeast?: number): Promise<number>
  /** Each living and each ended session once more at every replica. */
  askAll(): Promise<void>
}

const WEIGHTS = { api: 50, app: 10, user: 12, refresh: 6, logout: 4, 'sign-in': 2, probe: 10 } as const

export interface ClientsOptions {
  readonly world: FaultWorld
  readonly record: (event: HistoryEvent) => void
  readonly now: () => number
  /** Between two requests of one tab; 0 unless given. */
  readonly thinkMs?: number | undefined
}

/** People who do all at once, at random replicas, what sessions are for. */
export const createClients = (options: ClientsOptions): ((random: Random) => Clients) => {
  const { world, now } = options
  let done = 0
  const record = (op: Operation): void => {
    done += 1
    options.record(op)
  }
  const origin = new URL(world.url)
  const clients: Client[] = USERS.flatMap(({ subject }) =>
    Array.from({ length: SESSIONS_PER_USER }, () => ({
      user: subject,
      browser: new Browser(),
      current: undefined,
      dead: [],
      signingIn: false,
    })),
  )
  const portOf = (gateway: number): number | undefined => world.gateways[gateway]?.port

  const ask = async (
    client: Client,
    op: ClientOp,
    cookie: Cookie,
    gateway: number,
    path: string,
    audience?: string,
  ): Promise<Operation> => {
    const from = now()
    const isPost = op === 'refresh' || op === 'logout'
    const answer = await exchange(new URL(path, origin), {
      method: isPost ? 'POST' : 'GET',
      port: portOf(gateway),
      headers: { ...FETCH, cookie: cookie.header, ...(isPost && { origin: origin.origin }) },
    }).catch(() => undefined)
    const { code, claims, seen } = bodyOf(answer)
    const operation: Operation = {
      kind: 'op',
      op,
      session: cookie.session,
      user: client.user,
      gateway,
      from,
      to: now(),
      status: answer?.status ?? 0,
      code,
      claimed: claims?.sub,
      audience,
      seen,
    }
    record(operation)
    return operation
  }

  const signIn = async (client: Client, random: Random): Promise<void> => {
    const { browser, user, current } = client
    client.signingIn = true
    const from = now()
    let gateway = random.int(0, REPLICAS)
    const through = (): void => void browser.through.set(origin.origin, portOf(gateway) ?? 0)
    through()
    browser.clearCookies('127.0.0.1') // a sign-in of its own at the provider, with a grant of its own
    if (!current) browser.clearCookies(origin.hostname)
    let status = 0
    let code: string | undefined
    let made: Cookie | undefined
    try {
      const page = await browser.navigate(`${origin.origin}/bff/login?return_to=/`, { from: origin })
      ;({ status, code } = { status: page.status, code: bodyOf(page).code })
      if (page.url.hostname !== origin.hostname) {
        gateway = random.int(0, REPLICAS) // the callback may land anywhere
        through()
        const back = await browser.navigate(page.url, {
          method: 'POST',
          body: `user=${user}`,
          from: page.url,
          until: ({ url }) => url.origin === origin.origin,
        })
        ;({ status, code } = { status: back.status, code: bodyOf(back).code })
        made = cookieOf(browser)
        if (made?.session === current?.session) made = undefined
      }
    } catch {
      status = 0
    }
    browser.seen.length = 0
    record({ kind: 'op', op: 'sign-in', session: made?.session, replaces: current?.session, user, gateway, from, to: now(), status, code })
    if (made) {
      if (current) bury(client, current)
      client.current = made
    }
    client.signingIn = false
  }

  const bury = (client: Client, cookie: Cookie): void => {
    client.dead.push(cookie)
    if (client.dead.length > DEAD_MAX) client.dead.shift()
  }

  const step = async (client: Client, random: Random): Promise<void> => {
    const cookie = client.current
    if (!cookie && !client.signingIn) return signIn(client, random)
    const dead = client.dead.length > 0 ? random.pick(client.dead) : undefined
    const op = cookie ? random.weighed(WEIGHTS) : 'probe'
    const gateway = random.int(0, REPLICAS)
    if (op === 'probe' || !cookie) {
      if (dead) await ask(client, 'probe', dead, gateway, '/bff/user')
      // Nothing else to do while another tab signs in.
      if (!cookie || !dead) await new Promise((resolve) => setTimeout(resolve, 20))
      return
    }
    if (op === 'sign-in' && !client.signingIn) return signIn(client, random)
    const answered = await send(client, op === 'sign-in' ? 'user' : op, cookie, gateway, random)
    if (client.current !== cookie) return
    if (op === 'logout' && (answered.status === 200 || answered.status === 202)) {
      client.current = undefined
      bury(client, cookie)
      client.browser.clearCookies(origin.hostname)
    } else if (answered.status === 401 && answered.code !== 'session.step-up-required') client.current = undefined
    else if (answered.status === 0) await new Promise((resolve) => setTimeout(resolve, 50)) // its replica is down
  }

  const send = (client: Client, op: Exclude<ClientOp, 'sign-in' | 'probe'>, cookie: Cookie, gateway: number, random: Random) => {
    const at = random.int(0, AUDIENCES.length)
    if (op === 'api') return ask(client, op, cookie, gateway, `/api/${at}`, AUDIENCES[at])
    if (op === 'app') return ask(client, op, cookie, gateway, '/api/app', APP_AUDIENCE)
    return ask(client, op, cookie, gateway, PATHS[op])
  }

  return (random) => ({
    run: async (operations, deadline, atLeast = 0) => {
      const before = done
      const goesOn = (): boolean => now() < deadline || (done - before < atLeast && now() < deadline + BUSY_MS)
      const work = async (client: Client, own: Random): Promise<void> => {
        while (done - before < operations && goesOn()) {
          await step(client, own)
          if (options.thinkMs) await new Promise((resolve) => setTimeout(resolve, own.int(0, 2 * (options.thinkMs ?? 0))))
        }
      }
      await Promise.all(clients.flatMap((client) => Array.from({ length: TABS }, () => work(client, random.fork()))))
      return done - before
    },
    askAll: async () => {
      const all = clients.flatMap((client) => [client.current, ...client.dead].flatMap((cookie) => (cookie ? [{ client, cookie }] : [])))
      for (let gateway = 0; gateway < REPLICAS; gateway += 1)
        for (const { client, cookie } of all) {
          if (cookie === client.current) await ask(client, 'api', cookie, gateway, '/api/0', AUDIENCES[0])
          else await ask(client, 'probe', cookie, gateway, '/bff/user')
        }
    },
  })
}

const PATHS = { user: '/bff/user', refresh: '/bff/session/refresh', logout: '/bff/logout' } as const
const FETCH = {
  accept: 'application/json',
  'x-csrf': '1',
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'cors',
  'sec-fetch-dest': 'empty',
}

interface Body {
  readonly code?: string
  readonly claims?: { readonly sub?: string }
  readonly seen?: SeenToken
}
const bodyOf = (answer: Answer | undefined): Body => {
  try {
    return JSON.parse(answer?.body ?? '{}') as Body
  } catch {
    return {}
  }
}

const SESSION = /^__Host-Http-sallyport-\d+$/
/** The session's name, as the gateway prints it: the hash of the first 16 of the cookie's 48 bytes. */
const cookieOf = (browser: Browser): Cookie | undefined => {
  const found = [...browser.cookies('localhost')].find(([name]) => SESSION.test(name))
  if (!found) return undefined
  const [name, value] = found
  const id = Buffer.from(value, 'base64url').subarray(0, 16)
  const session = createHash('sha256').update(id).digest().subarray(0, 16).toString('base64url')
  return { session, header: `${name}=${value}` }
}
